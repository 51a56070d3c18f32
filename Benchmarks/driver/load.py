"""The load: wrk on its own core, one thread, and what the server spent meanwhile."""

import json
import os
import subprocess
from dataclasses import dataclass, field

from processes import LOAD_CORE, BenchError, die_with_parent

LUA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lua")
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "64"))
WARM_UP_SECONDS = 1
# Of `/token/refresh`; refresh.lua puts the token in.
REFRESH_BODY = '{"refresh_token":"@TOKEN@"}'


@dataclass
class Load:
    """What wrk sends: a script of lua/ and its environment."""

    path: str
    method: str = "GET"
    headers: dict = field(default_factory=dict)
    body: str | None = None
    script: str = "fixed.lua"
    environment: dict = field(default_factory=dict)
    connections: int = CONNECTIONS


def run_wrk(port, load, seconds):
    """One run of wrk; its RESULT as a dictionary."""
    environment = {**os.environ, "BENCH_LUA": LUA, "METHOD": load.method, **load.environment}
    environment["HEADERS"] = "".join(f"{name}: {value}\n" for name, value in load.headers.items())
    if load.body is not None:
        environment["BODY"] = load.body
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", os.path.join(LUA, load.script), f"http://127.0.0.1:{port}{load.path}"]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds + 30, check=False, preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"wrk did not end {seconds + 30} s after its start") from error
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return {**json.loads(line[7:]), "notes": done.stderr.strip()}
    raise BenchError(f"wrk gave no result: {(done.stderr or done.stdout).strip()[-400:]}")


def measure(server, load, seconds, warm_up=None):
    """The figures of one row. `warm_up` is another load to send first; by default it is the same one."""
    if warm_up is not False:
        run_wrk(server.port, warm_up or load, WARM_UP_SECONDS)
    before = server.cpu_seconds()
    result = run_wrk(server.port, load, seconds)
    cpu = server.cpu_seconds() - before
    failed = result["status_errors"] + result["socket_errors"] + result["timeouts"]
    if result["requests"] == 0 or failed:
        raise BenchError(f"{failed} of {result['requests']} requests failed; {result['notes']}")
    return {
        "per_second": round(result["requests"] / result["seconds"], 1),
        "p50_ms": round(result["p50_us"] / 1000, 3),
        "p99_ms": round(result["p99_us"] / 1000, 3),
        "cpu_us": round(cpu / result["requests"] * 1e6, 2),
        "resident_mb": round(server.resident_bytes() / 1e6, 1),
        "requests": result["requests"],
    }
