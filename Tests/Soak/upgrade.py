"""R-15: the release before this one and this one serve side by side, forward and back."""

import os
import random
import re
import signal
import subprocess
import threading
import time

import node as nodes_module
from cluster import Cluster, Control, claims
from load import People
from node import ALICE, Broken, Cut, Refused, Skipped
from postgres import Postgres

# The last commit before the schema's fourth migration. There is one line of releases so far, so it stands for the release before.
PREVIOUS_REVISION = "2d17fc6"
LOCK_SECONDS_MAX = 1
REPORT_SECONDS = 4
SETTINGS = "lockout: {free_attempts: 100}\npasswords: {memory_kib: 7168, iterations: 5}"


def previous_program():
    """The path of the release before."""
    named = os.environ.get("GATEHOUSE_PREVIOUS")
    if not named:
        raise Skipped(
            f"GATEHOUSE_PREVIOUS names no program of the release before: git worktree add DIR {PREVIOUS_REVISION}, make build there, "
            "and name DIR/.build/release/gatehouse")
    if not os.access(named, os.X_OK):
        raise Broken(f"no program at {named}")
    return named


class Carrier(threading.Thread):
    """Carries what one node gave to the others: a session that is begun on one, refreshed on any, checked on all and ended on another.
    Some are kept, open, ended and revoked, and looked at again with each change of programs."""

    def __init__(self, nodes, stop, seed):
        super().__init__(daemon=True)
        self.nodes, self.stop, self.random = nodes, stop, random.Random(seed)
        self.faults, self.open, self.ended, self.carried, self.pairs = [], [], [], 0, set()

    def ask(self, path, body, expected, wanted=None):
        """(node, answer) of one that runs: a node that is being restarted refuses, and another is asked."""
        while not self.stop.is_set():
            node = wanted or self.random.choice(self.nodes)
            if not node.in_service.is_set():
                if wanted:
                    return node, None
                continue
            program = node.binary
            try:
                with node.client() as client:
                    status, answer = client.call("POST", path, body)
            except Refused:
                if wanted:
                    return node, None
                continue
            except Cut as cut:
                self.faults.append(str(cut))
                return node, None
            if status != expected:
                self.faults.append(f"{path} of {os.path.relpath(program)}: {status} {str(answer)[:200]}")
                return node, None
            return node, answer
        return None, None

    def everywhere(self, access, is_valid, seconds=0.0):
        """Each node that runs says so about the token, within the seconds."""
        for node in self.nodes:
            limit = time.monotonic() + seconds
            while True:
                _, answer = self.ask("/validate", {"token": access}, 200, wanted=node)
                if answer is None or answer["valid"] is is_valid:
                    break
                if time.monotonic() > limit:
                    self.faults.append(f"/validate: {answer} where valid = {is_valid} was expected")
                    break
                time.sleep(0.005)

    def run(self):
        while not self.stop.wait(0.02):
            begun, answer = self.ask("/login", ALICE, 200)
            for _ in range(3):
                if answer is None:
                    break
                self.everywhere(answer["access_token"], True)
                other, answer = self.ask("/token/refresh", {"refresh_token": answer["refresh_token"]}, 200)
                if answer:
                    self.pairs.add((begun.binary, other.binary))
            if answer is None:
                continue
            self.carried += 1
            access, refresh = answer["access_token"], answer["refresh_token"]
            choice = self.carried % 3
            if choice == 0:
                self.open.append([access, refresh])
            elif choice == 1:
                # Answered 204 with an empty body.
                if self.ask("/logout", {"refresh_token": refresh}, 204)[1] is not None:
                    self.everywhere(access, False, seconds=1)
                    self.ended.append((access, refresh))
            elif self.revoke(access):
                self.everywhere(access, False, seconds=1)
                self.ended.append((access, None))

    def revoke(self, access):
        node = self.random.choice(self.nodes)
        try:
            with Control(node) as control:
                status, answer = control.call("POST", "/admin/token/revoke", {"jti": claims(access)["jti"]})
        except (Cut, OSError):
            # The control socket of a node that is being restarted: whether it was done is not known.
            return False
        if status != 204:
            self.faults.append(f"/admin/token/revoke of {os.path.relpath(node.binary)}: {status} {answer}")
        return status == 204

    def look(self):
        """What was kept, on each node: open sessions go on, what was ended stays so. Not while it runs."""
        for entry in self.open[-20:]:
            self.everywhere(entry[0], True)
            for node in self.nodes:
                _, answer = self.ask("/token/refresh", {"refresh_token": entry[1]}, 200, wanted=node)
                if answer:
                    entry[:] = [answer["access_token"], answer["refresh_token"]]
        for access, refresh in self.ended[-20:]:
            self.everywhere(access, False)
            if refresh:
                for node in self.nodes:
                    self.ask("/token/refresh", {"refresh_token": refresh}, 401, wanted=node)


class Rollout:
    """The cluster, what works on it, and the change of programs."""

    def __init__(self, cluster):
        self.nodes, self.postgres = cluster.nodes, cluster.postgres
        self.problems, self.ends, self.changes, self.carriers = [], [], 0, []
        self.carried, self.kept, self.pairs = 0, [], set()

    def work(self, seconds):
        """Some carriers for a while; what they keep is given to the next ones."""
        stop = threading.Event()
        carriers = [Carrier(self.nodes, stop, 100 * self.changes + number) for number in range(3)]
        for carrier, old in zip(carriers, self.carriers):
            carrier.open, carrier.ended = old.open, old.ended
        for carrier in carriers:
            carrier.start()
        time.sleep(seconds)
        stop.set()
        for carrier in carriers:
            carrier.join(60)
            stop_again = threading.Event()
            carrier.stop = stop_again
            carrier.look()
            self.problems += carrier.faults
            self.carried += carrier.carried
            self.pairs |= carrier.pairs
        self.carriers = carriers

    def change(self, program, report=False):
        """One node after the other to the other program."""
        for number, node in enumerate(self.nodes):
            reporter = self.report() if report and number == 0 else None
            self.ends.append(node.stop())
            # A balancer keeps people away from a node that is not ready; one that ends drains without its help.
            node.in_service.clear()
            time.sleep(0.1)
            node.binary = program
            node.start()
            node.in_service.set()
            self.changes += 1
            if reporter and reporter.wait(60) != 0:
                self.problems.append("the report of somebody else failed")
            self.work(1.5)
            if self.problems:
                return

    def report(self):
        """Somebody reads a table for long, in a transaction of psql."""
        return subprocess.Popen(
            self.postgres.words("BEGIN; SELECT COUNT(*) FROM grants; SELECT pg_sleep(%d); COMMIT" % REPORT_SECONDS),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def schema(self):
        return int(self.postgres.sql("SELECT MAX(number) FROM schema_migrations"))

    def lock_waits(self):
        """Seconds of each wait for a lock of more than 50 ms."""
        with open(os.path.join(self.postgres.folder, "log"), encoding="utf-8", errors="replace") as file:
            text = file.read()
        # The advisory lock is asked for, not waited for; what remains are tables and rows.
        waits = re.findall(r"(?:acquired \w+ on \w+ .*? after|still waiting for .*? after) ([0-9.]+) ms", text)
        return [float(wait) / 1000 for wait in waits]

    def refused(self, program, number):
        """A program that does not fit the store ends with one sentence, and changes nothing."""
        self.postgres.sql(
            f"INSERT INTO schema_migrations (number, name, at_ms, usable_from) VALUES ({number}, 'of the future', 0, {number})")
        node = self.nodes[0]
        node.stop()
        before = self.everything()
        node.binary, offset = program, len(node.log)
        node.launch()
        try:
            status = node.process.wait(30)
        except subprocess.TimeoutExpired:
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            self.problems.append("it serves on a store that it does not know")
            return
        said = node.log[offset:]
        if status != 1 or f"the store has schema {number}, newer than" not in said or "start a newer gatehouse" not in said:
            self.problems.append(f"refused with status {status}: {said[-300:]}")
        if self.everything() != before:
            self.problems.append("a program that was refused has changed the store")
        self.postgres.sql(f"DELETE FROM schema_migrations WHERE number = {number}")

    def everything(self):
        """Columns of all tables and what each has, as text. The others are stopped."""
        tables = self.postgres.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1").split()
        columns = self.postgres.sql(
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY 1, 2")
        return [columns] + [self.postgres.sql(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]


def upgrade(minutes):
    """R-15: three nodes go from the release before to this one and back, node by node, under everything."""
    previous, this = previous_program(), nodes_module.BINARY
    postgres = Postgres(["log_min_messages=log", "log_lock_waits=on", "deadlock_timeout=50ms"])
    began, rounds, refused = time.monotonic(), 0, 0
    with Cluster(3, SETTINGS, postgres=postgres, binary=previous) as cluster:
        rollout = Rollout(cluster)
        first = rollout.schema
        crowd = [People(node, 0.02, 4, seed=1 + 10 * number) for number, node in enumerate(cluster.nodes)]
        with crowd[0], crowd[1], crowd[2]:
            rollout.work(2)
            while not rollout.problems and (rounds == 0 or time.monotonic() - began < minutes * 60):
                rollout.change(this, report=rounds == 0)
                last = rollout.schema
                if not rollout.problems:
                    rollout.change(previous)
                rounds += 1
                if any(people.faults for people in crowd):
                    break
        waits = rollout.lock_waits()
        faults = [fault for people in crowd for fault in people.faults]
        for node in cluster.nodes[1:]:
            node.check_runs()
            node.stop()
        for program, number in ((previous, last + 1), (this, last + 2)):
            rollout.refused(program, number)
            refused += 1
            rollout.nodes[0].binary = this
            rollout.nodes[0].start()
    problems = faults[:8] + rollout.problems[:8]
    mixed = {pair for pair in rollout.pairs if pair[0] != pair[1]}
    if last <= first:
        problems.append(f"this release changes nothing of the schema ({first} to {last})")
    if len(mixed) < 2:
        problems.append("no session went from one release to the other, and back")
    longest = max((second for people in crowd for second in people.seconds), default=0)
    if max(waits, default=0) > LOCK_SECONDS_MAX:
        problems.append(f"somebody waited {max(waits):.2f} s for a lock")
    if max(rollout.ends) > 30:
        problems.append(f"a node took {max(rollout.ends):.1f} s to end")
    figures = (
        f"{rounds} × forward and back on schema {first} → {last}, {rollout.changes} nodes changed (ends ≤ {max(rollout.ends):.2f} s); "
        f"{sum(people.total('requests') for people in crowd)} requests, {len(faults)} failed, "
        f"{sum(people.total('refused') for people in crowd)} found nobody, longest {longest:.2f} s; {rollout.carried} sessions carried from node to node, {len(rollout.problems)} faults; "
        f"{len(waits)} waits for a lock over 50 ms, longest {max(waits, default=0):.2f} s; {refused} refused to start on a later schema")
    return not problems, figures, problems
