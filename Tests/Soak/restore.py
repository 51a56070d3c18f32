"""R-16 with a million accounts: a backup is taken while refreshes are written at full speed, and put in the place of what is lost."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time

from backup import Replaced, refusals
from cluster import Cluster, Control
from node import BINARY, Broken, Node, mib
from onetime import http
from racing import Connection
from writers import QUICK

PEOPLE = 1_000_000
# So many accounts for one that has a session and a grant.
PEOPLE_EACH = 10
REFRESHERS = 64
QUIET = 20
ENDED = 10
# Of writes before the backup and after it.
SECONDS_AROUND = 5
PASSWORD = "correct-horse-battery"
RESTORE_SECONDS_MAX = 300
WRITES_MIN = 500
SETTINGS = QUICK + "log: {level: warning}\n"


class PostgreSQL:
    """One node, with a PostgreSQL that a base backup is taken of."""

    name = "pg_basebackup"

    def __enter__(self):
        self.database = Replaced()
        self.cluster = Cluster(1, SETTINGS, postgres=self.database)
        self.cluster.__enter__()
        self.node = self.cluster.nodes[0]
        return self

    def __exit__(self, *_):
        self.cluster.__exit__()

    def run(self, *statements):
        for statement in statements:
            self.database.server.sql(statement)

    def ask(self, statement):
        return [line.split("|") for line in self.database.server.sql(statement).splitlines()]

    def columns(self, table):
        return [row[0] for row in self.ask(
            f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' AND table_schema = 'public'")]

    def back_up(self):
        """The backup is kept apart; its bytes."""
        self.database.back_up()
        self.kept = self.database.other.data + ".kept"
        os.rename(self.database.other.data, self.kept)
        return folder_bytes(self.kept)

    def lose(self):
        self.node.stop()
        self.database.server.kill()

    def put_in_place(self):
        subprocess.run(["cp", "-a", self.kept, self.database.other.data], check=True)
        self.database.replace(self.node)

    def is_refused(self):
        """A base backup goes on in the same history: a start has nothing to compare it with."""
        return None


class SQLite:
    """One node with a file, which is copied while it is written."""

    name = "VACUUM INTO"

    def __enter__(self):
        self.node = Node(SETTINGS)
        self.node.__enter__()
        self.path = os.path.join(self.node.folder, "data/gatehouse.db")
        self.kept = os.path.join(self.node.folder, "kept.db")
        return self

    def __exit__(self, *_):
        self.node.__exit__()

    def run(self, *statements):
        # As sqlite3 does it, on a database that no server has open.
        self.node.stop()
        with sqlite3.connect(self.path) as database:
            for statement in statements:
                database.execute(statement)
        database.close()
        self.node.start()

    def ask(self, statement):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        rows = [[str(value) for value in row] for row in database.execute(statement)]
        database.close()
        return rows

    def columns(self, table):
        return [row[1] for row in self.ask(f"PRAGMA table_info({table})")]

    def back_up(self):
        # Within one read transaction. What SQLite calls its online backup begins anew with each write of another program, so it is never
        # done: after 240 s under 400 writes/s it had 59 MB of 340.
        database = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        database.execute("VACUUM INTO ?", (self.kept,))
        database.close()
        return os.path.getsize(self.kept)

    def lose(self):
        self.node.process.kill()
        self.node.process.wait()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.path + suffix):
                os.remove(self.path + suffix)

    def put_in_place(self):
        shutil.copyfile(self.kept, self.path)

    def is_refused(self):
        self.node.launch()
        return self.node.process.wait(60) != 0


def folder_bytes(path):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def populate(store):
    """Accounts beside one that was made through the product, and a session and a grant for some of them."""
    with Control(store.node) as control:
        status, answer = control.call("POST", "/admin/users", {"username": "pattern", "password": PASSWORD})
    if status != 201:
        raise Broken(f"no account: {status} {answer}")
    pattern = store.node.login(username="pattern")
    account = store.ask("SELECT id FROM accounts WHERE username = 'pattern'")[0][0]

    def copies(table, count, where, **changed):
        columns = store.columns(table)
        values = ", ".join(changed.get(name, f"one.{name}") for name in columns)
        return (f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} AS one, numbers WHERE {where}")

    started, email = time.monotonic(), "'person' || n || '@example.com'"
    store.run(
        copies("accounts", PEOPLE, f"one.id = '{account}'", id="'account-' || n", username="'person' || n",
               canonical_username="'person' || n", email=email, canonical_email=email),
        copies("sessions", PEOPLE // PEOPLE_EACH, f"one.id = '{pattern['sid']}'", id="'session-' || n", account_id="'account-' || n"),
        copies("grants", PEOPLE // PEOPLE_EACH, f"one.session_id = '{pattern['sid']}'", id="'grant-' || n",
               session_id="'session-' || n", account_id="'account-' || n"))
    return time.monotonic() - started


class Refreshers(threading.Thread):
    """People who refresh without a pause, each on a connection of its own, and keep every answer."""

    def __init__(self, port, answers):
        super().__init__(daemon=True)
        self.port, self.stopped, self.wrong = port, False, []
        # By session: (when it was answered, the refresh token), the sign-in first.
        self.kept = {answer["sid"]: [(0, answer["refresh_token"])] for answer in answers}

    def run(self):
        asyncio.run(self.all())

    async def all(self):
        await asyncio.gather(*(self.one(tokens) for tokens in self.kept.values()))

    async def one(self, tokens):
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
        while not self.stopped:
            answer = await connection.ask(http("POST", "/token/refresh", json.dumps({"refresh_token": tokens[-1][1]})))
            if answer.status != 200:
                self.wrong.append(f"a refresh was answered {answer.status} {answer.body[:200]}")
                if answer.status != 503:
                    return
                continue
            tokens.append((answer.ended, json.loads(answer.body)["refresh_token"]))

    def end(self):
        self.stopped = True
        self.join(60)

    def count(self, began, ended):
        return sum(began < at <= ended for tokens in self.kept.values() for at, _ in tokens)


def one(store, problems):
    """One backup under writes, one restore: what was measured."""
    node, figures = store.node, {}
    figures["made"] = populate(store)
    refreshers = Refreshers(node.ports["auth"], [node.login(username=f"person{number + 1}") for number in range(REFRESHERS)])
    quiet = [node.login(username=f"person{1000 + number}") for number in range(QUIET)]
    ended = [node.login() for _ in range(2 * ENDED)]

    def end(answers):
        with node.client() as client:
            for answer in answers:
                status, body = client.call("POST", "/logout", {"refresh_token": answer["refresh_token"]})
                if status != 204:
                    raise Broken(f"a sign-out was answered {status} {body}")

    end(ended[:ENDED])
    refreshers.start()
    try:
        time.sleep(SECONDS_AROUND)
        began = time.monotonic_ns()
        figures["bytes"] = store.back_up()
        finished = time.monotonic_ns()
        end(ended[ENDED:])
        time.sleep(SECONDS_AROUND)
    finally:
        refreshers.end()
    problems += refreshers.wrong[:3]
    figures["backup"] = (finished - began) / 1e9
    figures["writes"] = refreshers.count(began, finished) / figures["backup"]
    if figures["writes"] < WRITES_MIN:
        problems.append(f"{store.name}: only {figures['writes']:.0f} writes/s")
    store.lose()

    started = time.monotonic()
    store.put_in_place()
    placed = time.monotonic()
    check_contents(store, refreshers, began, finished, quiet, ended, problems)
    check_as_it_is(store, quiet, ended, problems)
    resumed = time.monotonic()
    done = subprocess.run(
        [BINARY, "restored", "--yes", "--config", node.config], cwd=node.folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"gatehouse restored: {done.stderr}")
    figures["restored"] = time.monotonic() - resumed
    node.start()
    # From the loss to ready, without what is checked in between.
    figures["ready"] = placed - started + time.monotonic() - resumed
    if figures["ready"] > RESTORE_SECONDS_MAX:
        problems.append(f"{store.name}: ready after {figures['ready']:.0f} s")
    everything = [(answer["refresh_token"], answer["access_token"]) for answer in quiet + ended]
    everything += [(tokens[-1][1], None) for tokens in refreshers.kept.values()]
    if refusals(node, everything) != (len(everything), len(quiet + ended)):
        problems.append(f"{store.name}: after restored something from before works, of {len(everything)} sessions")
    figures["refused"] = len(everything)
    for username in ("alice", f"person{PEOPLE}"):
        again = node.login(username=username)
        if refusals(node, [(again["refresh_token"], again["access_token"])]) != (0, 0):
            problems.append(f"{store.name}: a new sign-in of {username} does not work")
    node.check_runs()
    return figures


def check_contents(store, refreshers, began, finished, quiet, ended, problems):
    """The rows: all accounts, and of each session at least what had been answered, and at most what had been asked for."""
    if int(store.ask("SELECT COUNT(*) FROM accounts WHERE id LIKE 'account-%'")[0][0]) != PEOPLE:
        problems.append(f"{store.name}: accounts are gone")
    found = store.ask(
        "SELECT session_id, refresh_current, CASE WHEN revoked_ms IS NULL THEN 1 ELSE 0 END FROM grants "
        "WHERE session_id NOT LIKE 'session-%'")
    rows = {session: (int(current), is_live) for session, current, is_live in found}
    for session, tokens in refreshers.kept.items():
        least, most = (sum(at <= moment for at, _ in tokens) for moment in (began, finished))
        current, is_live = rows.get(session, (0, "0"))
        if not least <= current <= most + 1 or is_live != "1":
            problems.append(f"{store.name}: {least} to {most} refresh tokens were answered, {current} are there, live: {is_live}")
    for answer, expected in [(answer, "1") for answer in quiet + ended[ENDED:]] + [(answer, "0") for answer in ended[:ENDED]]:
        if rows.get(answer["sid"], (0, "none"))[1] != expected:
            problems.append(f"{store.name}: a session is {rows.get(answer['sid'])}, and should be live: {expected}")


def check_as_it_is(store, quiet, ended, problems):
    """Without `restored`: a start is refused where it can be known; otherwise what was ended after the backup is back."""
    node, is_refused = store.node, store.is_refused()
    if is_refused is not None:
        if not is_refused:
            problems.append(f"{store.name}: a server starts on an older file")
        return
    node.start()
    # One of two: the other is left as it was for what comes after `restored`.
    if refusals(node, [(answer["refresh_token"], answer["access_token"]) for answer in quiet[::2]]) != (0, 0):
        problems.append(f"{store.name}: sessions from before the backup are gone")
    if refusals(node, [(answer["refresh_token"], None) for answer in ended[:ENDED]])[0] != ENDED:
        problems.append(f"{store.name}: what was ended before the backup is back")
    if refusals(node, [(answer["refresh_token"], answer["access_token"]) for answer in ended[ENDED:]])[1]:
        problems.append(f"{store.name}: nothing came back with the backup, so the next check shows nothing")
    node.stop()


def restore(_minutes):
    """R-16: once for each way of making a backup, however long it takes."""
    lines, problems = [], []
    for store in (PostgreSQL(), SQLite()):
        with store:
            figures = one(store, problems)
        lines.append(
            f"{store.name} of {mib(figures['bytes'])} in {figures['backup']:.1f} s under {figures['writes']:.0f} writes/s, ready after "
            f"{figures['ready']:.1f} s (restored {figures['restored']:.1f} s), then none of {figures['refused']} sessions worked")
    return not problems, f"{PEOPLE} accounts: " + "; ".join(lines), problems
