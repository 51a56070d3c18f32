"""Servers under measurement: started on their own core, watched through /proc, always stopped."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SERVER_CORE = int(os.environ.get("BENCH_SERVER_CORE", "0"))
LOAD_CORE = int(os.environ.get("BENCH_LOAD_CORE", "1"))
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


def die_with_parent():
    """For preexec_fn: a driver that is killed outright leaves nothing running (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def http_request(port, path, method="GET", body=None, headers=None, timeout=10):
    """One request to 127.0.0.1; (status, body)."""
    status, _, answer = http_exchange(port, path, method, body, headers, timeout)
    return status, answer


def http_exchange(port, path, method="GET", body=None, headers=None, timeout=10):
    """One request to 127.0.0.1; (status, header fields, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Server:
    """One program pinned to a core; a context manager, so that it is stopped on every way out."""

    def __init__(self, name, command, port, directory, core=SERVER_CORE, environment=None, ready_path=None):
        self.name, self.port, self.core = name, port, core
        self.command = ["taskset", "-c", str(core), *map(str, command)]
        self.directory = directory
        self.environment = {**os.environ, **(environment or {})}
        self.ready_path = ready_path
        self.process = None
        self.ready_seconds = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def log(self):
        return os.path.join(self.directory, self.name.replace(" ", "-") + ".out")

    def start(self):
        if not port_is_free(self.port):
            raise BenchError(f"port {self.port} is in use, so {self.name} cannot start")
        started = time.perf_counter()
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.environment,
                start_new_session=True, preexec_fn=die_with_parent,
            )
        try:
            while not self._is_ready():
                if self.process.poll() is not None:
                    raise BenchError(f"{self.name} ended at its start: {self._last_words()}")
                if time.perf_counter() - started > START_SECONDS_MAX:
                    raise BenchError(f"{self.name} is not ready after {START_SECONDS_MAX} s: {self._last_words()}")
                time.sleep(0.001)
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.perf_counter() - started

    def _is_ready(self):
        try:
            if self.ready_path is None:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            return http_request(self.port, self.ready_path, timeout=1)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _last_words(self):
        with open(self.log, "rb") as file:
            return file.read()[-600:].decode(errors="replace").strip() or "(no output)"

    def stop(self):
        """Asks, waits, then kills whatever is left of the process group."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def _tree(self):
        """The program and all that descends from it: {pid: fields of /proc/PID/stat after the name}."""
        stats = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                        stats[int(entry)] = file.read().rpartition(")")[2].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
        tree, grown = {self.process.pid}, True
        while grown:
            more = {pid for pid, fields in stats.items() if int(fields[1]) in tree} - tree
            tree, grown = tree | more, bool(more)
        return {pid: stats[pid] for pid in tree if pid in stats}

    def cpu_seconds(self):
        """User and system time of all threads and children, ended ones included."""
        return sum(sum(map(int, fields[11:15])) for fields in self._tree().values()) / TICKS_PER_SECOND

    def resident_bytes(self):
        """Sum of the resident sets; pages that a master and its worker share count twice."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(fields[21]) * page for fields in self._tree().values())
