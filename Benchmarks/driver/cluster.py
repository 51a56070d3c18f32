"""Several nodes of Gatehouse on one PostgreSQL: what they do together, and what the database spends on it."""

import base64
import glob
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import threading
import time

import gatehouse
from load import REFRESH_BODY, Load, run_wrk
from processes import BenchError, Server, http_request

GROUP = "several nodes on PostgreSQL"
NODES = (1, 2, 4)
POSTGRES_PORT, FIRST_PORT = 17030, 17100
USER = "postgres"
URI = f"postgres://gatehouse@127.0.0.1:{POSTGRES_PORT}/postgres"
CONNECTIONS = 64
# More than connections, so that refreshes seldom meet at an account.
USERS = [f"bench{number}" for number in range(128)]
SETTLE_SECONDS = 0.3

SETTINGS = f"""\
issuer: http://localhost:{gatehouse.AUTH}
listen:
  auth: 127.0.0.1:@PORT@
  gateway: 127.0.0.1:@PORT1@
  admin: 127.0.0.1:@PORT2@
  control: unix:data/gatehouse.sock
storage: {URI}
master_keys: [file:data/master.key]
apply: [resources.yaml]
"""


class Postgres(Server):
    """PostgreSQL as Debian configures it, fsync and all, but for shared_buffers and the count of statements."""

    def __init__(self, directory):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
        if not programs:
            raise BenchError("PostgreSQL is not installed")
        self.programs = programs[-1]
        # Where its user may go, which the folder of the run is not.
        self.folder = tempfile.mkdtemp(prefix="gatehouse-bench-pg-")
        self.user = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
            self.user = ["setpriv", f"--reuid={pwd.getpwnam(USER).pw_uid}", f"--regid={pwd.getpwnam(USER).pw_gid}", "--clear-groups"]
        options = {
            "listen_addresses": "127.0.0.1", "port": POSTGRES_PORT, "unix_socket_directories": self.folder, "max_connections": 200,
            "shared_buffers": "256MB", "shared_preload_libraries": "pg_stat_statements", "log_min_messages": "fatal",
        }
        command = [*self.user, f"{self.programs}/postgres", "-D", f"{self.folder}/data"]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        super().__init__("postgres", command, POSTGRES_PORT, directory)

    def start(self):
        subprocess.run(
            [*self.user, f"{self.programs}/initdb", "-D", f"{self.folder}/data", "-U", "gatehouse", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd="/",
        )
        super().start()
        self.sql("CREATE EXTENSION pg_stat_statements")

    def _is_ready(self):
        try:
            return self.sql("SELECT 1") == "1"
        except BenchError:
            return False

    def stop(self):
        if self.process is not None:
            super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text):
        command = [f"{self.programs}/psql", "-h", "127.0.0.1", "-p", str(POSTGRES_PORT), "-U", "gatehouse", "-d", "postgres", "-XAtqc", text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def spent(self):
        """Statements, transactions and bytes of WAL since the server's start."""
        text = self.sql(
            "SELECT (SELECT SUM(calls) FROM pg_stat_statements), (SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'), "
            "pg_current_wal_insert_lsn() - '0/0'")
        return [int(float(number)) for number in text.split("|")]


class Node(Server):
    def __init__(self, directory, number, key, backend_port):
        self.number, port = number, FIRST_PORT + 10 * number
        folder = os.path.join(directory, f"node-{number}")
        os.makedirs(os.path.join(folder, "data"), exist_ok=True)
        users = "\n".join(f"  - {{username: {name}, password: {gatehouse.PASSWORD}, roles: [customer]}}" for name in USERS)
        texts = {
            "gatehouse.yaml": SETTINGS.replace("@PORT1@", str(port + 1)).replace("@PORT2@", str(port + 2)).replace("@PORT@", str(port)),
            "resources.yaml": gatehouse.RESOURCES.replace("@USERS@", users).replace("@BACKEND@", str(backend_port)),
            "data/master.key": key,
        }
        for name, text in texts.items():
            with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        super().__init__(f"node {number}", [gatehouse.BINARY, "serve", "--config", os.path.join(folder, "gatehouse.yaml")], port, directory)

    def _is_ready(self):
        try:
            return http_request(self.port + 2, "/health/ready", timeout=1)[0] == 200
        except OSError:
            return False

    def login(self, user):
        status, answer = http_request(self.port, "/login", "POST", gatehouse.login_body(user), gatehouse.JSON)
        if status != 200:
            raise BenchError(f"a login was answered {status}: {answer[:300]!r}")
        return json.loads(answer)


class Cluster:
    """A fresh database and `count` nodes on it, each on the servers' core."""

    def __init__(self, directory, count, backend_port):
        self.directory, self.count = directory, count
        self.key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.postgres = Postgres(directory)
        self.nodes = [Node(directory, number, self.key, backend_port) for number in range(count)]

    def __enter__(self):
        try:
            for server in (self.postgres, *self.nodes):
                server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in (*self.nodes, self.postgres):
            server.stop()

    def measure(self, loads, seconds):
        """Sends each node its load, all at once."""
        time.sleep(SETTLE_SECONDS)
        before = [sum(node.cpu_seconds() for node in self.nodes), self.postgres.cpu_seconds(), *self.postgres.spent()]
        results, problems = [None] * self.count, []

        def run(number):
            try:
                results[number] = run_wrk(self.nodes[number].port, loads[number], seconds)
            except BenchError as error:
                problems.append(str(error))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = [sum(node.cpu_seconds() for node in self.nodes), self.postgres.cpu_seconds(), *self.postgres.spent()]
        if problems:
            raise BenchError(problems[0])
        requests = sum(result["requests"] for result in results)
        failed = sum(result["status_errors"] + result["socket_errors"] + result["timeouts"] for result in results)
        if requests == 0 or failed:
            raise BenchError(f"{failed} of {requests} requests failed; {results[0]['notes']}")
        nodes, database, statements, transactions, wal = [(new - old) / requests for old, new in zip(before, after)]
        return {
            "per_second": round(sum(result["requests"] / result["seconds"] for result in results), 1),
            "p50_ms": round(max(result["p50_us"] for result in results) / 1000, 3),
            "p99_ms": round(max(result["p99_us"] for result in results) / 1000, 3),
            "cpu_us": round(nodes * 1e6, 2),
            "database_us": round(database * 1e6, 2),
            "statements": round(statements, 2),
            "transactions": round(transactions, 2),
            "wal_bytes": round(wal, 1),
            "requests": requests,
        }


def rows(directory, seconds, backend_port):
    """(name, measure) of each row."""
    for count in NODES:
        for what in ("login", "refresh", "validate"):
            def measure(count=count, what=what):
                with Cluster(directory, count, backend_port) as cluster:
                    return cluster.measure([load(cluster, node, what) for node in cluster.nodes], seconds)

            yield f"{count} node{'s' if count > 1 else ''}, {what}", measure


def load(cluster, node, what):
    connections = max(4, CONNECTIONS // cluster.count)
    if what == "validate":
        token = node.login(USERS[0])["access_token"]
        return Load("/validate", "POST", gatehouse.JSON, json.dumps({"token": token}), connections=connections)
    if what == "login":
        return Load("/login", "POST", gatehouse.JSON, gatehouse.login_body(USERS[node.number]), connections=1)
    # Sessions begun on one node are refreshed on the next.
    other = cluster.nodes[(node.number + 1) % cluster.count]
    tokens = os.path.join(cluster.directory, f"refresh-{node.number}.txt")
    connections = max(4, connections // 2)
    with open(tokens, "w", encoding="utf-8") as file:
        for number in range(2 * connections):
            file.write(other.login(USERS[number % len(USERS)])["refresh_token"] + "\n")
    return Load(
        "/token/refresh", "POST", gatehouse.JSON, REFRESH_BODY, script="refresh.lua", environment={"TOKENS": tokens},
        connections=connections)
