# `make` alone lists the targets. Everything here can be run on a fresh machine: what is missing is installed first.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help setup build quick test soak planted check run demo bench docs clean

# One scratch path for releases, one for tests: switching flags within one would compile the dependencies again each time.
RELEASE := swift build -c release --product gatehouse --explicit-target-dependency-import-check error
DEBUG := swift build --scratch-path .build-test --traits Faults --explicit-target-dependency-import-check error

help:
	@echo "usage: make TARGET"
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 10

setup: ## installs what is missing for building, testing and benchmarks (a second run installs nothing)
	@scripts/setup all

build: ## release build of the server; prints where it is
	@scripts/setup build
	@$(RELEASE)
	@! grep -qa GATEHOUSE_FAILPOINT "$$($(RELEASE) --show-bin-path)/gatehouse" || { echo "the release has failpoints" >&2; exit 1; }
	@echo "$$($(RELEASE) --show-bin-path)/gatehouse"

quick: ## T=Target: debug build of one target
	@test -n "$(T)" || { echo "usage: make quick T=Target" >&2; exit 2; }
	@scripts/setup build
	@$(DEBUG) --target "$(T)"

test: ## F=filter: every test, or those whose name matches; ends with "N passed, N failed"
	@scripts/setup test
	@scripts/test "$(F)"

soak: build ## MINUTES=10 E=name: the long experiments on the release binary, a line each (docs/soak.md)
	@scripts/setup soak
	@scripts/soak --minutes "$(or $(MINUTES),10)" $(E)

planted: ## B=name: who tests the tests: plants each bug of Tests/PlantedBugs and says which the tests do not see
	@scripts/setup test
	@scripts/planted-bugs $(B)

check: ## format, import rules, forbidden calls, generated documents
	@scripts/setup build
	@scripts/check

run: build ## the quick start: Gatehouse with demo users and a demo service behind it; Ctrl-C stops both
	@scripts/run

demo: build ## walks through the calls with curl and shows each answer; fails when one is not as expected
	@scripts/run --fresh -- scripts/demo

bench: build ## BENCH_SECONDS=5 BENCH_ONLY=regex: side by side with the peers, as one table (docs/benchmarks.md)
	@scripts/setup bench
	@swift build -c release --package-path Benchmarks --scratch-path .build-bench
	@PYTHONDONTWRITEBYTECODE=1 .tools/venv/bin/python Benchmarks/driver

docs: ## writes the generated documents anew (docs/configuration.md, docs/errors.md)
	@scripts/setup build
	@scripts/generated-docs write

clean: ## removes what builds and benchmarks made; .tools stays
	rm -rf .build .build-test .build-planted .build-bench .bench
