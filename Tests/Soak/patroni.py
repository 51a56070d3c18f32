"""R-4a with Patroni: somebody else decides who the primary is."""

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from cluster import Cluster
from disk import Reader
from node import Broken, Skipped, quantile, run
from postgres import USER
from writers import QUICK, Writers, wait_valid

MEMBERS = 3
# The least that Patroni takes. Less than the 30 s for which nodes decide from memory.
TTL_SECONDS = 20
BACK_SECONDS_MAX = 5

CONFIG = """\
scope: gatehouse
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{hosts: "127.0.0.1:{etcd}"}}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: 5
    retry_timeout: 5
    synchronous_mode: true
    synchronous_node_count: 1
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 100, shared_buffers: 128MB}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {folder}/{name}
  bin_dir: {programs}
  pgpass: {folder}/{name}.pgpass
  authentication:
    superuser: {{username: postgres, password: one}}
    replication: {{username: replicator, password: two}}
  parameters: {{unix_socket_directories: {folder}, log_min_messages: fatal}}
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
"""


def program(name):
    """The path of a program of Patroni or etcd: beside the one that PATRONI names, or one of the system's."""
    folders = [os.path.dirname(os.environ["PATRONI"])] if "PATRONI" in os.environ else []
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"]]))
    if not found:
        raise Skipped(f"there is no {name}: scripts/setup soak installs it")
    return found


def free_ports(count):
    """Held until all are known, so that none is named twice."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def as_user():
    run.end_with_parent()
    if os.geteuid() == 0:
        user = pwd.getpwnam(USER)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        run.end_with_parent()


class Managed:
    """Three members under Patroni, with etcd; a context manager, and the database of a `Cluster`."""

    def __init__(self):
        self.patroni, self.patronictl, self.etcd = program("patroni"), program("patronictl"), program("etcd")
        told = subprocess.run([self.patroni, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = told.split()[-1]
        self.programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]), default=None)
        if not self.programs:
            raise Skipped("PostgreSQL is not installed: scripts/setup test installs it")
        self.folder = tempfile.mkdtemp(prefix="gatehouse-soak-patroni-")
        os.chmod(self.folder, 0o755)
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
        ports = free_ports(2 + 2 * MEMBERS)
        self.etcd_ports, self.names = ports[:2], [f"member{number}" for number in range(MEMBERS)]
        self.ports = dict(zip(self.names, ports[2:2 + MEMBERS]))
        self.rest = dict(zip(self.names, ports[2 + MEMBERS:]))
        self.store, self.agents = None, {}
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        self.uri = f"postgres://gatehouse@{hosts}/gatehouse"

    def __enter__(self):
        try:
            client, peer = (f"http://127.0.0.1:{port}" for port in self.etcd_ports)
            self.store = self.launch("etcd", [
                self.etcd, "--data-dir", f"{self.folder}/etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"])
            for name in self.names:
                text = CONFIG.format(name=name, rest=self.rest[name], etcd=self.etcd_ports[0], ttl=TTL_SECONDS, port=self.ports[name],
                                     folder=self.folder, programs=self.programs)
                with open(f"{self.folder}/{name}.yml", "w", encoding="ascii") as file:
                    file.write(text)
                self.start(name)
            self.wait_whole()
            leader = self.ports[self.leader()]
            for sql in ("CREATE ROLE gatehouse LOGIN", "CREATE DATABASE gatehouse OWNER gatehouse"):
                subprocess.run([f"{self.programs}/psql", f"postgres://postgres@127.0.0.1:{leader}/postgres", "-qc", sql], check=True)
            if not self.takes_writes("CREATE TABLE probe (at timestamptz)"):
                raise Broken("no writes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            self.lose(name)
        if self.store is not None:
            self.store.kill()
            self.store.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def launch(self, name, words):
        with open(f"{self.folder}/{name}.log", "ab") as log:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=as_user, cwd="/", start_new_session=True)

    def start(self, name):
        """The member as its machine starts it."""
        self.agents[name] = self.launch(name, [self.patroni, f"{self.folder}/{name}.yml"])

    def postmaster(self, name):
        """The processes of its PostgreSQL, the first one first."""
        try:
            with open(f"{self.folder}/{name}/postmaster.pid", encoding="ascii") as file:
                first = int(file.readline())
            with open(f"/proc/{first}/cmdline", "rb") as file:
                if f"{self.folder}/{name}".encode() not in file.read():
                    return []
        except (OSError, ValueError):
            return []
        children = subprocess.run(["ps", "--ppid", str(first), "-o", "pid="], capture_output=True, text=True, check=False).stdout
        return [first] + [int(word) for word in children.split()]

    def lose(self, name):
        """Agent and PostgreSQL are gone at once."""
        agent = self.agents.pop(name, None)
        if agent is not None:
            agent.kill()
            agent.wait()
        self.kill_server(name)

    def kill_server(self, name):
        for process in self.postmaster(name):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def members(self):
        """What Patroni says of each: name to role and state."""
        for name in self.names:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.rest[name]}/cluster", timeout=2) as answer:
                    return {member["name"]: (member["role"], member["state"]) for member in json.load(answer)["members"]}
            except (OSError, ValueError, urllib.error.URLError):
                continue
        return {}

    def leader(self):
        return next((name for name, (role, _) in self.members().items() if role == "leader"), None)

    def wait_whole(self, seconds=120):
        """Until there are a leader, one standby that commits wait for, and another one that follows."""
        limit = time.monotonic() + seconds
        while True:
            members = self.members()
            roles = sorted(role for role, state in members.values() if state in ("running", "streaming"))
            if len(roles) == MEMBERS and "leader" in roles and "sync_standby" in roles:
                return
            if time.monotonic() > limit:
                raise Broken(f"the members do not come together: {members}")
            time.sleep(0.2)

    def takes_writes(self, sql="INSERT INTO probe VALUES (now())"):
        """Whether the leader takes a durable write, as psql sees it."""
        leader = self.leader()
        if leader is None:
            return False
        try:
            done = subprocess.run(
                [f"{self.programs}/psql", f"postgres://gatehouse@127.0.0.1:{self.ports[leader]}/gatehouse?connect_timeout=2", "-qc", sql],
                capture_output=True, check=False, timeout=3)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def switch_over(self, name):
        """By hand; the command that does it."""
        return self.launch("patronictl", [
            self.patronictl, "-c", f"{self.folder}/{name}.yml", "switchover", "gatehouse", "--leader", name, "--force"])


class Trial:
    """What one way to lose the leader did to two nodes."""

    def __init__(self, cluster, writers, way):
        self.managed, self.nodes, self.writers, self.way = cluster.postgres, cluster.nodes, writers, way
        token = self.nodes[0].login()["access_token"]
        wait_valid(self.nodes, token)
        self.readers = [Reader(node, token) for node in self.nodes]
        self.problems = []

    def run(self):
        for reader in self.readers:
            reader.start()
        try:
            time.sleep(1)
            self.change()
        finally:
            for reader in self.readers:
                reader.over.set()
            for reader in self.readers:
                reader.join(60)
        self.problems += [fault for reader in self.readers for fault in reader.faults[:3]]
        if self.back - self.server > BACK_SECONDS_MAX:
            self.problems.append(f"sign-ins only {self.back - self.server:.1f} s after the database took writes")
        self.problems = [f"{self.way}: {problem}" for problem in self.problems]
        return self

    def change(self):
        old, began, command = self.managed.leader(), time.monotonic(), None
        if self.way == "leader lost":
            self.managed.lose(old)
        elif self.way == "server killed":
            self.managed.kill_server(old)
        elif self.way == "agent frozen":
            self.managed.agents[old].send_signal(signal.SIGSTOP)
        else:
            command = self.managed.switch_over(old)
        # A frozen agent's server goes on until somebody else is promoted; a switch-over begins a little later.
        if self.way != "server killed":
            self.until(60, lambda: self.managed.leader() not in (old, None))
        self.until(60, self.managed.takes_writes)
        if self.way == "agent frozen":
            # Its server takes connections still, and its commits wait for ever: nodes that do not look further have no writes until
            # the agent goes on, so that is not waited for.
            time.sleep(2)
            self.managed.agents[old].send_signal(signal.SIGCONT)
        self.server = time.monotonic() - began
        self.writers.first_after(time.monotonic() - 0.001)
        self.back = time.monotonic() - began
        if self.way == "leader lost":
            self.managed.start(old)
        if command and command.wait(60) != 0:
            self.problems.append("patronictl failed")
        self.managed.wait_whole()
        time.sleep(1)
        # The longest that nobody could sign in on one of the nodes.
        self.gap = max(self.writers.gap(writers, began) for writers in self.writers.by_node)

    @staticmethod
    def until(seconds, is_over):
        limit = time.monotonic() + seconds
        while not is_over():
            if time.monotonic() > limit:
                raise Broken(f"no leader within {seconds} s")
            time.sleep(0.05)


def patroni(minutes):
    """R-4a: the leader of three members is lost, its server killed, its agent frozen, or it is asked to hand over; then it returns."""
    managed, ways, trials, began = Managed(), ["switchover", "server killed", "leader lost"], [], time.monotonic()
    # Patroni 3.0.2 names no synchronous standby again after it ("Synchronous replication key updated by someone else", for ever).
    if int(managed.version.split(".")[0]) >= 4:
        ways.append("agent frozen")
    with Cluster(2, QUICK, postgres=managed) as cluster:
        with Writers(cluster.nodes, tries_max=20_000) as writers:
            while len(trials) < len(ways) or time.monotonic() - began < minutes * 60:
                trials.append(Trial(cluster, writers, ways[len(trials) % len(ways)]).run())
                if trials[-1].problems or writers.wrong:
                    break
        lost = list(writers.lost(cluster.nodes))
        for node in cluster.nodes:
            node.check_runs()
    problems = lost[:5] + writers.wrong[:5] + [text for trial in trials for text in trial.problems]
    shown = []
    for way in ways:
        those = [trial for trial in trials if trial.way == way]
        if those:
            shown.append(
                f"{len(those)} × {way} (no sign-in for {quantile([trial.gap for trial in those], 0.5):.1f} s, longest "
                f"{max(trial.gap for trial in those):.1f})")
    readers = [reader for trial in trials for reader in trial.readers]
    figures = (
        f"Patroni {managed.version}: {', '.join(shown)}; {writers.total('sign_ins')} sign-ins, {writers.total('ended')} sign-outs, "
        f"{len(lost)} lost; {writers.refusals} × 503, longest answer {max(writer.longest for writer in writers.all):.1f} s; "
        f"{sum(reader.asked for reader in readers)} decisions and keys, {sum(len(reader.faults) for reader in readers)} failed")
    return not problems, figures, problems
