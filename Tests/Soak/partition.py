"""R-19: the network between a node and its PostgreSQL is cut."""

import os
import subprocess
import threading
import time

from bounds import Prober
from cluster import Cluster
from node import ALICE, Broken, Cut, Refused, quantile
from postgres import Postgres
from writers import QUICK, Writers, wait_valid

STALENESS_SECONDS = 3


class Island:
    """A PostgreSQL in a network namespace of its own: what comes over the wire can be cut off, its socket is reached all the same.
    A context manager, and the database of a `Cluster`. Needs root."""

    OURS, THEIRS = "10.213.77.1", "10.213.77.2"

    def __init__(self):
        self.name = f"gatehouse{os.getpid()}"
        self.link = f"gh{os.getpid()}"
        self.postgres = Postgres([f"listen_addresses={self.THEIRS}"], namespace=self.name, rules=[f"host all all {self.OURS}/32 trust"])
        self.wire = f"postgres://gatehouse@{self.THEIRS}/postgres?sslmode=disable&gssencmode=disable"
        self.uri = self.postgres.uri
        inside = ["ip", "netns", "exec", self.name]
        # How to cut, and how to undo it.
        self.ways = {
            "questions lost": (
                ["ip", "route", "add", "blackhole", f"{self.THEIRS}/32"], ["ip", "route", "del", "blackhole", f"{self.THEIRS}/32"]),
            "answers lost": (
                [*inside, "ip", "route", "add", "blackhole", f"{self.OURS}/32"],
                [*inside, "ip", "route", "del", "blackhole", f"{self.OURS}/32"]),
            "link down": (["ip", "link", "set", self.link, "down"], ["ip", "link", "set", self.link, "up"]),
        }

    @staticmethod
    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"{' '.join(words)}: {done.stderr.strip()}")

    def __enter__(self):
        if os.geteuid() != 0:
            raise Broken("network namespaces need root")
        self.run("ip", "netns", "add", self.name)
        try:
            self.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", f"{self.link}i", "netns", self.name)
            self.run("ip", "address", "add", f"{self.OURS}/30", "dev", self.link)
            self.run("ip", "link", "set", self.link, "up")
            for words in (["address", "add", f"{self.THEIRS}/30", "dev", f"{self.link}i"], ["link", "set", f"{self.link}i", "up"]):
                self.run("ip", "-n", self.name, *words)
            self.postgres.__enter__()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.postgres.__exit__()
        subprocess.run(["ip", "route", "del", "blackhole", f"{self.THEIRS}/32"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.link], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


class Archipelago(Cluster):
    """The first node reaches the database over the wire, the second through its socket."""

    def uri(self, number):
        return self.postgres.wire if number == 0 else self.postgres.uri


def partition(minutes):
    """R-19: the network between a node and its database is cut, in three ways, again and again, while another node serves everything."""
    island, told = Island(), []
    served, stale, refused, decided, written = [], [], [], [], []
    problems, ended = [], time.monotonic() + max(45, minutes * 60)
    settings = f"{QUICK}revocations: {{max_staleness: {STALENESS_SECONDS}s}}\n"
    with Archipelago(2, settings, postgres=island) as cluster:
        cut, other = cluster.nodes
        with Writers([other]) as writers:
            while time.monotonic() < ended and not problems:
                way = list(island.ways)[len(told) % len(island.ways)]
                told.append(way)
                kept, own, gone = other.login()["access_token"], cut.login(), other.login()
                wait_valid(cluster.nodes, kept)
                with Prober(other, kept) as prober:
                    island.run(*island.ways[way][0])
                    cut_at = time.monotonic()
                    problems += cut_off(cut, kept, own, cut_at, served, stale, refused)
                    with other.client() as client:
                        if client.call("POST", "/logout", {"refresh_token": gone["refresh_token"]})[0] != 204:
                            problems.append("a sign-out elsewhere failed")
                    if decision(cut, gone["access_token"]) != {"stale"}:
                        problems.append("the node that is cut off does not say stale")
                    island.run(*island.ways[way][1])
                    problems += returned(cut, gone["access_token"], own, decided, written)
                problems += prober.faults[:3]
                problems = [f"{way}: {problem}" for problem in problems]
        problems += writers.wrong[:5]
        for node in cluster.nodes:
            node.check_runs()
    if max(refused, default=0) > 6:
        problems.append(f"a refusal took {max(refused):.1f} s")
    shown = ", ".join(f"{told.count(way)} {way}" for way in island.ways)
    figures = (
        f"{len(told)} cuts ({shown}): decisions from memory for {min(served):.1f} to {max(served):.1f} s, stale after {max(stale):.1f} s at the "
        f"latest; {len(refused)} writes 503 after {quantile(refused, 0.5) * 1000:.0f} ms (median; longest {max(refused):.1f} s); back: decisions "
        f"within {max(decided, default=0):.1f} s, writes within {max(written, default=0):.1f} s; {writers.total('sign_ins')} sign-ins elsewhere meanwhile")
    return not problems, figures, problems


def decision(node, token):
    """What /validate and the gateway say: `good`, `bad`, `stale`, or something else."""
    said = set()
    with node.client() as auth, node.client("gateway") as gateway:
        status, answer = auth.call("POST", "/validate", {"token": token})
        said.add("stale" if status == 503 else "good" if answer.get("valid") else "bad")
        status, _ = gateway.call("GET", "/orders", headers={"authorization": f"Bearer {token}"})
        said.add({200: "good", 401: "bad", 503: "stale"}.get(status, str(status)))
    return said


def cut_off(node, kept, own, cut_at, served, stale, refused):
    """From the cut until the bound has passed: decisions, and what needs the database meanwhile."""
    problems, over = [], threading.Event()

    def write(path, body):
        with node.client() as client:
            while not over.is_set():
                started = time.monotonic()
                try:
                    status, _ = client.call("POST", path, body)
                except (Cut, Refused) as error:
                    problems.append(f"{path}: {error!r}")
                    return
                refused.append(time.monotonic() - started)
                if status != 503 or not client.headers.get("retry-after"):
                    problems.append(f"{path}: {status}")
                over.wait(0.05)

    threads = [
        threading.Thread(target=write, args=arguments)
        for arguments in (("/login", ALICE), ("/token/refresh", {"refresh_token": own["refresh_token"]}),
                          ("/logout", {"refresh_token": own["refresh_token"]}))
    ]
    for thread in threads:
        thread.start()
    last_good = first_stale = None
    while time.monotonic() - cut_at < STALENESS_SECONDS + 4:
        asked = time.monotonic() - cut_at
        said = decision(node, kept)
        if said == {"good"}:
            last_good = asked
        elif "stale" in said:
            first_stale = first_stale or asked
        is_early, is_late = asked < STALENESS_SECONDS - 1, asked > STALENESS_SECONDS
        if said - {"good", "stale"} or (is_early and said != {"good"}) or (is_late and said != {"stale"}):
            problems.append(f"{asked:.1f} s after the cut: {said}")
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join(60)
    with node.client("admin") as admin:
        status, answer = admin.call("GET", "/health/ready")
        broken = {name for name, state in answer["parts"].items() if state != "ok"}
        if status != 503 or broken != {"store", "revocations"}:
            problems.append(f"/health/ready: {status} {broken}")
        if admin.call("GET", "/health/live")[0] != 200:
            problems.append("/health/live is not 200")
    served.append(last_good or 0)
    stale.append(first_stale or float("inf"))
    return problems


def returned(node, gone, own, decided, written):
    """After the cut: what was revoked elsewhere is refused from the first decision on, and everything works again."""
    problems, back_at = [], time.monotonic()
    while (said := decision(node, gone)) != {"bad"}:
        if "good" in said:
            return ["a token that was revoked meanwhile is served"]
        if time.monotonic() - back_at > 30:
            return ["no decisions 30 s after the cut"]
    decided.append(time.monotonic() - back_at)
    with node.client() as client:
        while client.call("POST", "/token/refresh", {"refresh_token": own["refresh_token"]})[0] == 503:
            if time.monotonic() - back_at > 30:
                return ["no writes 30 s after the cut"]
            time.sleep(0.02)
        written.append(time.monotonic() - back_at)
        status, _ = client.call("POST", "/token/refresh", {"refresh_token": own["refresh_token"]})
        if status != 200:
            problems.append(f"a sign-out that was refused was done: {status}")
    return problems
