"""R-5 with PostgreSQL: its disk is full."""

import os
import shutil
import subprocess
import threading
import time

from cluster import Cluster
from node import Broken, Cut, Refused
from postgres import USER, Postgres
from writers import QUICK, Writers, wait_valid

# A new database has 23 MiB.
DISK_BYTES = 64 * 1048576
# From the first refusal on. Less than the 30 s for which nodes decide from memory.
FULL_SECONDS = 10
# docs/guides/postgresql.md: 8 s for a connection that is lost within COMMIT; and one for two busy cores.
ANSWER_SECONDS_MAX = 9
BACK_SECONDS_MAX = 5
# As an init system does with what ended.
RESTART_SECONDS = 0.5


class SmallDisk(Postgres):
    """A PostgreSQL that has a part of its data on a small disk: `all`, only the write-ahead log (`log`), or all but that (`tables`).
    Needs root."""

    def __init__(self, part):
        super().__init__(["min_wal_size=2MB", "max_wal_size=8MB", "checkpoint_timeout=30s", "log_min_messages=error"])
        self.disk, log = os.path.join(self.folder, "disk"), os.path.join(self.folder, "wal")
        self.part, self.ended, self.starts = part, None, 0
        if part == "log":
            log = os.path.join(self.disk, "wal")
        else:
            self.data = os.path.join(self.disk, "data")
        self.initial = ["--wal-segsize=1"] + ([] if part == "all" else [f"--waldir={log}"])

    def __enter__(self):
        if os.geteuid() != 0:
            raise Broken("mounting a file system needs root")
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk], check=True)
        shutil.chown(self.disk, USER)
        try:
            return super().__enter__()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.kill()
        subprocess.run(["umount", "-l", self.disk], check=False)
        super().__exit__()

    def fill(self):
        with open(os.path.join(self.disk, "filler"), "wb", buffering=0) as file:
            for block in (b"\0" * 65536, b"\0" * 4096):
                try:
                    while True:
                        file.write(block)
                except OSError:
                    continue

    def use_up_log(self):
        """As another database of the server would, that needs no room but in the log: until the server ends itself."""
        before, limit = self.said("PANIC:"), time.monotonic() + 30
        while self.said("PANIC:") == before:
            if time.monotonic() > limit:
                raise Broken("the log does not fill")
            try:
                self.sql("SELECT pg_logical_emit_message(false, 'soak', repeat('x', 200000))")
            except Broken:
                time.sleep(0.05)

    def empty(self):
        os.remove(os.path.join(self.disk, "filler"))

    def attend(self):
        """Starts it when it has ended, without waiting for it, as an init system would."""
        if self.process.poll() is None:
            self.ended = None
            return
        self.ended = self.ended or time.monotonic()
        if time.monotonic() - self.ended > RESTART_SECONDS:
            self.starts += 1
            self.launch()
            self.ended = None

    def said(self, text):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read().count(text)


class Reader(threading.Thread):
    """Asks one node for what a full disk must not stop: decisions of /validate and of the gateway, and the published keys."""

    def __init__(self, node, token):
        super().__init__(daemon=True)
        self.node, self.token, self.over = node, token, threading.Event()
        self.asked, self.faults, self.longest = 0, [], 0.0

    def run(self):
        with self.node.client() as auth, self.node.client("gateway") as gateway:
            while not self.over.wait(0.005):
                for client, method, path, body, headers in (
                    (auth, "POST", "/validate", {"token": self.token}, None),
                    (auth, "GET", "/.well-known/jwks.json", None, None),
                    (gateway, "GET", "/orders", None, {"authorization": f"Bearer {self.token}"}),
                ):
                    started = time.monotonic()
                    try:
                        status, answer = client.call(method, path, body, headers)
                        if status != 200 or (body and answer.get("valid") is not True):
                            self.faults.append(f"{path}: {status} {str(answer)[:100]}")
                    except (Cut, Refused) as error:
                        self.faults.append(f"{path}: {error!r}")
                    self.asked += 1
                    self.longest = max(self.longest, time.monotonic() - started)


class Round:
    """What one full disk did."""

    def __init__(self, cluster, writers):
        self.disk, self.nodes, self.writers = cluster.postgres, cluster.nodes, writers
        self.problems, self.live, self.ready = [], [], set()
        token = self.nodes[0].login()["access_token"]
        wait_valid(self.nodes, token)
        self.readers = [Reader(node, token) for node in self.nodes]

    def wait(self, what, seconds, is_over):
        """The seconds until it was over; the database is attended meanwhile."""
        began = time.monotonic()
        while not is_over():
            if time.monotonic() - began > seconds:
                raise Broken(f"{what}: not within {seconds} s")
            if self.writers.wrong:
                raise Broken(f"{what}: {self.writers.wrong[:3]}")
            self.disk.attend()
            time.sleep(0.02)
        return time.monotonic() - began

    def stay_full(self, seconds):
        began = time.monotonic()
        self.wait("full", seconds + 1, lambda: time.monotonic() - began > seconds)
        for node in self.nodes:
            with node.client("admin") as admin:
                self.live.append(admin.call("GET", "/health/live")[0])
                self.ready.add(admin.call("GET", "/health/ready")[0])

    def run(self):
        for reader in self.readers:
            reader.start()
        try:
            before, starts = self.writers.refusals, self.disk.starts
            self.disk.fill()
            self.until_refused = self.wait("writes are refused", 120, lambda: self.writers.refusals > before)
            self.stay_full(FULL_SECONDS / 2)
            if self.disk.part == "all":
                self.disk.use_up_log()
            self.stay_full(FULL_SECONDS / 2)
            self.starts = self.disk.starts - starts
            self.disk.empty()
            returned = time.monotonic()
            self.server_back = self.wait("the database is back", 60, lambda: self.disk.answers())
            self.back = self.wait("writes are back", 60, lambda: self.writers.signed_in_since(returned)) + self.server_back
            self.wait("after it", 10, lambda: time.monotonic() - returned > self.back + 1)
        finally:
            for reader in self.readers:
                reader.over.set()
            for reader in self.readers:
                reader.join(60)
        self.problems += [fault for reader in self.readers for fault in reader.faults[:3]]
        if set(self.live) != {200}:
            self.problems.append(f"/health/live: {self.live}")
        # What is not ours: until somebody has started the server again.
        ours = self.back - (self.server_back if self.starts else 0)
        if ours > BACK_SECONDS_MAX:
            self.problems.append(f"writes only {ours:.1f} s after the database")
        return self


def one_part(part, seconds):
    rounds, began = [], time.monotonic()
    with Cluster(2, QUICK, postgres=SmallDisk(part)) as cluster:
        with Writers(cluster.nodes, tries_max=20_000) as writers:
            time.sleep(1)
            while not rounds or (time.monotonic() - began < seconds and not rounds[-1].problems):
                rounds.append(Round(cluster, writers).run())
        lost = list(writers.lost(cluster.nodes))
        for node in cluster.nodes:
            node.check_runs()
        panics, full = cluster.postgres.said("PANIC:"), cluster.postgres.said("No space left on device")
    problems = [f"{part}: {text}" for text in lost[:5] + writers.wrong[:5] + [text for one in rounds for text in one.problems][:5]]
    longest = max(writer.longest for writer in writers.all)
    if longest > ANSWER_SECONDS_MAX:
        problems.append(f"{part}: an answer took {longest:.1f} s")
    if not full or (part != "tables" and not panics):
        problems.append(f"{part}: the disk was not full for the database: {full} errors, {panics} panics")
    readers = [reader for one in rounds for reader in one.readers]
    figures = (
        f"{part}: {len(rounds)} × full, {panics} panics, {sum(one.starts for one in rounds)} starts in vain, /health/ready "
        f"{sorted(set().union(*(one.ready for one in rounds)))}; {writers.refusals} × 503, longest answer {longest:.1f} s; "
        f"{sum(reader.asked for reader in readers)} decisions and keys, {sum(len(reader.faults) for reader in readers)} failed; "
        f"writes back {max(one.back for one in rounds):.1f} s after the space, the server {max(one.server_back for one in rounds):.1f} s; "
        f"{writers.total('sign_ins')} sign-ins, {writers.total('ended')} sign-outs, {len(lost)} lost")
    return problems, figures


def disk_full(minutes):
    """R-5: the disk of PostgreSQL is full, as a whole, for its log, or for its tables, and has room again."""
    parts = ("all", "log", "tables")
    problems, figures = [], []
    for part in parts:
        more, text = one_part(part, minutes * 60 / len(parts) - FULL_SECONDS)
        problems += more
        figures.append(text)
    return not problems, "; ".join(figures), problems
