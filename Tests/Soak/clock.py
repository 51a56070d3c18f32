"""R-7: the wall clock jumps under a running server (clock.c moves it)."""

import os
import struct
import subprocess
import tempfile
import time

from node import ALICE, Broken, Node

JUMPS = [3_600, 0, -3_600, 0, 315_360_000, 0, -86_400, 0]
# The follower of the revocations looks twice a second, everything else on each request.
SETTLE_SECONDS = 1.2


def clock(minutes):
    """R-7: nothing that was ended, used up or locked comes back, whatever the clock says, and the server goes on."""
    rounds = max(1, int(minutes))
    problems, checks = [], 0
    for _ in range(rounds):
        more, problems_here = one_round()
        checks += more
        problems += problems_here
    return not problems, f"{rounds} × {len(JUMPS)} jumps, {checks} checks, {len(problems)} broken", problems


def moved_environment(folder, seconds):
    """The environment of a server whose wall clock stands `seconds` off; the file SOAK_CLOCK can change that."""
    library, moved = os.path.join(folder, "clock.so"), os.path.join(folder, "moved")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock.c")
    # Swift brings a C compiler.
    subprocess.run(["clang", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)
    with open(moved, "wb") as file:
        file.write(struct.pack("=q", seconds))
    return {"LD_PRELOAD": library, "SOAK_CLOCK": moved}


def one_round():
    problems = []
    with tempfile.TemporaryDirectory(prefix="gatehouse-clock-") as folder:
        environment = moved_environment(folder, 0)
        moved = environment["SOAK_CLOCK"]

        def jump(seconds):
            # Over the old bytes: a shorter file would end the server, which has it mapped.
            with open(moved, "r+b") as file:
                file.write(struct.pack("=q", seconds))

        with Node("log: {level: info}\n", environment=environment) as node:
            checks = watch(node, jump, problems)
            node.stop()
    return checks, problems


def watch(node, jump, problems):
    """Ends, uses up and locks what there is, and looks after each jump whether it came back; the number of looks."""
    checks = 0
    with node.client() as client:

        def post(path, body):
            return client.call("POST", path, body)

        ended, replayed = node.login(), node.login()
        if post("/logout", {"refresh_token": ended["refresh_token"]})[0] != 204:
            raise Broken("a logout was refused")
        first = replayed["refresh_token"]
        for _ in range(2):
            replayed = post("/token/refresh", {"refresh_token": replayed["refresh_token"]})[1]
        if post("/token/refresh", {"refresh_token": first})[0] != 401:
            problems.append("a replay was answered")
        wrong = {"username": "bob", "password": "wrong-horse-battery"}
        for _ in range(7):
            locked = post("/login", wrong)[0]
        if locked != 429:
            problems.append(f"not locked: {locked}")
        for seconds in JUMPS:
            jump(seconds)
            time.sleep(SETTLE_SECONDS)
            node.check_runs()
            outcomes = {
                "the token of an ended session": post("/validate", {"token": ended["access_token"]})[1].get("valid"),
                "the refresh token of an ended session": post("/token/refresh", {"refresh_token": ended["refresh_token"]})[0] == 200,
                "the token of a replayed grant": post("/validate", {"token": replayed["access_token"]})[1].get("valid"),
                "the refresh token of a replayed grant": post("/token/refresh", {"refresh_token": replayed["refresh_token"]})[0] == 200,
                "a used refresh token": post("/token/refresh", {"refresh_token": first})[0] == 200,
            }
            problems += [f"{seconds:+} s: {what} is accepted" for what, is_accepted in outcomes.items() if is_accepted]
            checks += len(outcomes) + 2
            answer = post("/login", ALICE)
            if answer[0] != 200:
                problems.append(f"{seconds:+} s: a sign-in is answered {answer}")
            elif not post("/validate", {"token": answer[1]["access_token"]})[1].get("valid"):
                problems.append(f"{seconds:+} s: a new token is not valid")
    return checks
