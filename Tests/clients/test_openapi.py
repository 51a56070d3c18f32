"""schemathesis makes requests from /openapi.json, good ones and bad ones, and compares each answer with the description."""

import json
import os
import shutil
import subprocess
import sys

import oauth
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SEED = 20
# Where it stops sooner, it has not tried much.
CASES_MIN = 300

# What it runs: signs in first when it is to have a token. Wrong passwords by the hundred make a source wait, so the Gatehouse is its own.
STRANGER = 'exec "$0" run "$QUICKSTART_AUTH/openapi.json" "$@"'
SIGNED_IN = """
token=$(curl -sf "$QUICKSTART_AUTH/login" -H 'content-type: application/json' \
    -d '{"username":"alice","password":"correct-horse-battery"}' | sed -E 's/.*"refresh_token":"([^"]*)".*/\\1/')
exec "$0" run "$QUICKSTART_AUTH/openapi.json" -H "Authorization: Bearer $token" "$@"
"""


@pytest.mark.parametrize("script, seconds, more", [(STRANGER, 25, []), (SIGNED_IN, 15, ["--exclude-path", "/logout"])], ids=["stranger", "signed in"])
def test_every_answer_is_one_that_the_description_names(tmp_path, script, seconds, more):
    program = shutil.which("schemathesis", path=os.path.dirname(sys.executable))
    report = tmp_path / "report.json"
    command = [
        os.path.join(ROOT, "scripts/run"), "--fresh", "--binary", oauth.BINARY, "--",
        "bash", "-c", script, program, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-time", str(seconds),
        "--max-examples", "30", "--seed", str(SEED), "--request-timeout", "5", "--continue-on-failure",
        "--report", "json", "--report-json-path", str(report), *more,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds + 60, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    summary = json.loads(report.read_text(encoding="utf-8"))
    assert summary["operations"]["tested"] == summary["operations"]["selected"] > 0
    assert summary["test_cases"]["generated"] >= CASES_MIN
