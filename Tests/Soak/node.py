"""A Gatehouse under an experiment: the release binary with the quick start's files, watched through /proc, and clients for it."""

import http.client
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("GATEHOUSE_BINARY", os.path.join(ROOT, ".build/release/gatehouse"))
ALICE = {"username": "alice", "password": "correct-horse-battery"}
READY_SECONDS_MAX = 60
EXIT_SECONDS_MAX = 40


def load_run():
    """scripts/run as a module: the quick start's ports, files and demo service are known there."""
    loader = importlib.machinery.SourceFileLoader("gatehouse_run", os.path.join(ROOT, "scripts/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


run = load_run()


class Broken(Exception):
    """What an experiment found; the text says what."""


class Skipped(Exception):
    """What an experiment needs is not installed; the text says what."""


class Node:
    """One server with a database of its own, and the demo service behind it; a context manager."""

    def __init__(self, more_settings="", files_max=None, environment=None, people=0):
        self.folder = tempfile.mkdtemp(prefix="gatehouse-soak-")
        self.ports = run.other_ports()
        self.config = run.copy_example(self.folder, self.ports)
        with open(self.config, "a", encoding="utf-8") as file:
            file.write(more_settings)
        if people:
            # Beside alice and bob, with alice's password.
            names = "".join(f"  - {{username: person{number}, password: {ALICE['password']}, roles: [customer]}}\n" for number in range(people))
            resources = os.path.join(self.folder, "resources.yaml")
            with open(resources, encoding="utf-8") as file:
                text = file.read()
            with open(resources, "w", encoding="utf-8") as file:
                file.write(text.replace("users:\n", "users:\n" + names, 1))
        self.files_max, self.binary = files_max, BINARY
        self.environment = {**os.environ, **(environment or {})}
        # Cleared while a balancer would send nobody here.
        self.in_service = threading.Event()
        self.in_service.set()
        self.servers = run.Processes()
        self.process = None

    def __enter__(self):
        try:
            service = self.servers.start(
                "the demo service", [f"{run.EXAMPLE}/orders-service.py", str(self.ports["service"])], subprocess.DEVNULL)
            run.wait_until_ready("the demo service", service, self.ports["service"], "/")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def log(self):
        with open(os.path.join(self.folder, "log.jsonl"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def launch(self):
        """Starts the program and does not wait."""

        def prepare():
            run.end_with_parent()
            if self.files_max:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.files_max, self.files_max))

        with open(os.path.join(self.folder, "log.jsonl"), "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=prepare, env=self.environment,
            )

    def start(self):
        self.launch()
        limit = time.monotonic() + READY_SECONDS_MAX
        while not run.is_ready(self.ports["admin"], "/health/ready"):
            if self.process.poll() is not None:
                raise Broken(f"ended with status {self.process.returncode} at its start: {self.log[-800:]}")
            if time.monotonic() > limit:
                raise Broken("not ready")
            time.sleep(0.01)

    def stop(self):
        """SIGTERM; the seconds until it was gone."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(EXIT_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise Broken(f"did not end within {EXIT_SECONDS_MAX} s of SIGTERM") from error
        if status != 0:
            raise Broken(f"ended with status {status} after SIGTERM")
        return time.monotonic() - started

    def check_runs(self):
        if self.process.poll() is not None:
            raise Broken(f"the server ended with status {self.process.returncode}: {self.log[-800:]}")

    def _status(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

    @property
    def resident(self):
        """Bytes."""
        return self._status("VmRSS") * 1024

    @property
    def peak(self):
        """The most bytes that were ever resident."""
        return self._status("VmHWM") * 1024

    @property
    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rows(self):
        """Rows of each table that sign-ins, tokens and revocations could make grow."""
        with sqlite3.connect(f"file:{self.folder}/data/gatehouse.db?mode=ro", uri=True, timeout=10) as database:
            tables = ("sessions", "grants", "revocations", "throttles", "audit")
            known = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return {table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables if table in known}

    @property
    def wal_bytes(self):
        path = f"{self.folder}/data/gatehouse.db-wal"
        return os.path.getsize(path) if os.path.exists(path) else 0

    def metrics(self):
        with self.client("admin") as client:
            status, text = client.call("GET", "/metrics", wants_json=False)
            if status != 200:
                raise Broken(f"/metrics answered {status}")
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))

    def client(self, listener="auth", **more):
        return Client(self.ports[listener], **more)

    def login(self, **more):
        with self.client() as client:
            status, answer = client.call("POST", "/login", {**ALICE, **more})
        if status != 200:
            raise Broken(f"a sign-in was answered {status}: {answer}")
        return answer


class Refused(Exception):
    """Nothing listens."""


class Cut(Exception):
    """A connection ended without the whole answer."""


class Client:
    """One connection that is kept as long as the server keeps it."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout, self.connection = port, timeout, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _is_ended(self):
        """Whether the server has closed the connection between two requests: nothing was lost by that."""
        poll = select.poll()
        poll.register(self.connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def call(self, method, path, body=None, headers=None, wants_json=True):
        """(status, JSON or text). `Refused` when no connection could be made, `Cut` when one was and gave no whole answer."""
        if self.connection is not None and (self.connection.sock is None or self._is_ended()):
            self.close()
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            try:
                self.connection.connect()
            except OSError as error:
                self.close()
                raise Refused from error
        headers = dict(headers or {})
        if body is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(body)
        try:
            self.connection.request(method, path, body=body, headers=headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Cut(f"{method} {path}: {type(error).__name__}") from error
        self.headers = answer.headers
        return answer.status, (json.loads(content) if content and wants_json else content.decode(errors="replace"))


def pipelined(port, requests, timeout=60):
    """Sends `requests` (bytes each) on one connection in small groups; the statuses of their answers."""
    statuses = []
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        stream = connection.makefile("rb")
        for start in range(0, len(requests), 64):
            group = requests[start:start + 64]
            connection.sendall(b"".join(group))
            for _ in group:
                line = stream.readline()
                if not line.startswith(b"HTTP/1.1 "):
                    raise Cut(f"after {len(statuses)} answers: {line[:80]!r}")
                statuses.append(int(line[9:12]))
                length = 0
                while (field := stream.readline().lower()) not in (b"\r\n", b""):
                    if field.startswith(b"content-length:"):
                        length = int(field[15:])
                stream.read(length)
    return statuses


def request(method, path, body=b"", **headers):
    """The bytes of one request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def mib(count):
    return f"{count / 1048576:.1f} MiB"
