"""R-14 and R-17: a mix of all calls, over restarts and for a long time."""

import random
import threading
import time

from node import ALICE, Broken, Cut, Node, Refused, mib, quantile

WORKERS = 12


class Person(threading.Thread):
    """Somebody who signs in, works, refreshes and signs out; `pause` seconds between two requests."""

    def __init__(self, node, seed, stop, pause=0.0):
        super().__init__(daemon=True)
        self.node, self.stop, self.pause, self.random = node, stop, pause, random.Random(seed)
        self.auth, self.gateway = node.client(), node.client("gateway")
        self.access = self.refresh = None
        self.requests = self.refused = self.signed_in = self.signed_out = 0
        self.seconds, self.faults = [], []

    def call(self, client, method, path, body=None, headers=None, expected=(200,)):
        started = time.monotonic()
        try:
            status, answer = client.call(method, path, body, headers)
        except Refused:
            # Nothing listens: a restart. Nothing was asked, so nothing was lost.
            self.refused += 1
            time.sleep(0.02)
            return None
        except Cut as cut:
            self.faults.append(str(cut))
            return None
        self.requests += 1
        self.seconds.append(time.monotonic() - started)
        if status not in expected:
            self.faults.append(f"{method} {path}: {status} {str(answer)[:200]}")
            return None
        return answer

    def step(self):
        if self.access is None:
            answer = self.call(self.auth, "POST", "/login", ALICE)
            if answer:
                self.signed_in += 1
                self.access, self.refresh = answer["access_token"], answer["refresh_token"]
            return
        choice = self.random.random()
        if choice < 0.45:
            answer = self.call(self.auth, "POST", "/validate", {"token": self.access})
            if answer and not answer["valid"]:
                self.faults.append(f"/validate: {answer['reason']}")
        elif choice < 0.85:
            self.call(self.gateway, "GET", "/orders", headers={"authorization": f"Bearer {self.access}"})
        elif choice < 0.995:
            # After a lost answer the same token is presented again and gets the same successor.
            answer = self.call(self.auth, "POST", "/token/refresh", {"refresh_token": self.refresh})
            if answer:
                self.access, self.refresh = answer["access_token"], answer["refresh_token"]
        elif self.call(self.auth, "POST", "/logout", {"refresh_token": self.refresh}, expected=(204,)) is not None:
            self.signed_out += 1
            ended, self.access = self.access, None
            answer = self.call(self.auth, "POST", "/validate", {"token": ended})
            if answer and answer["valid"]:
                self.faults.append("/validate: valid after a logout")

    def run(self):
        while not self.stop.is_set():
            if not self.node.in_service.wait(0.05):
                continue
            self.step()
            if self.pause:
                self.stop.wait(self.pause)
        self.auth.close()
        self.gateway.close()


class People:
    """Several at once; a context manager that ends them."""

    def __init__(self, node, pause=0.0, count=WORKERS, seed=1):
        self.stop = threading.Event()
        self.all = [Person(node, seed + number, self.stop, pause) for number in range(count)]

    def __enter__(self):
        for person in self.all:
            person.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for person in self.all:
            person.join(60)

    def total(self, name):
        return sum(getattr(person, name) for person in self.all)

    @property
    def faults(self):
        return [fault for person in self.all for fault in person.faults]

    @property
    def seconds(self):
        return [second for person in self.all for second in person.seconds]


def drain(minutes):
    """R-14: SIGTERM under load, again and again: no request fails, but for those that found nobody listening."""
    restarts = max(5, int(minutes * 20))
    ends = []
    with Node("lockout: {free_attempts: 100}\n") as node, People(node) as people:
        for _ in range(restarts):
            time.sleep(0.5)
            ends.append(node.stop())
            node.start()
        time.sleep(0.5)
        people.stop.set()
    figures = (
        f"{restarts} restarts, {people.total('requests')} requests, {len(people.faults)} failed, {people.total('refused')} found nobody; "
        f"end after at most {max(ends):.2f} s")
    return not people.faults and max(ends) < 30, figures, people.faults


def steady(minutes):
    """R-17: hours of everything at 70 % of what this machine does: memory, files, tables and WAL stay where they are, no 5xx."""
    # Short tokens, so that what is kept until a token has expired is let go within the experiment.
    with Node("tokens: {access_ttl: 15s}\nlog: {level: warning}\nlockout: {free_attempts: 100}\n") as node:
        with People(node) as first:
            time.sleep(4)
        # Everybody at full speed; then each pauses so that 70 % are left.
        pause = 0.3 / 0.7 * 4 * WORKERS / first.total("requests")
        samples = []
        seconds = minutes * 60
        with People(node, pause, seed=100) as people:
            started = time.monotonic()
            while time.monotonic() - started < seconds:
                time.sleep(max(1, seconds / 60))
                node.check_runs()
                samples.append(
                    (people.total("requests"), node.resident, node.files, node.rows(), node.wal_bytes, first.total("signed_in") + people.total("signed_in")))
                if people.faults:
                    break
            people.stop.set()
            rate = people.total("requests") / (time.monotonic() - started)
        half, last = samples[len(samples) // 2], samples[-1]
        # A leak of one small object for each request would be ten times as much.
        growth = (last[1] - half[1]) / max(1, last[0] - half[0])
        files = [sample[2] for sample in samples[len(samples) // 4:]]
        rows = last[3]
        problems = list(people.faults)
        # In a short run the caches are still filling.
        if minutes >= 5 and growth > 64:
            problems.append(f"memory grows by {growth:.0f} bytes a request")
        if max(files) - min(files) > 4 * WORKERS:
            problems.append(f"between {min(files)} and {max(files)} files are open")
        # A refresh makes no row in any table.
        for table in ("sessions", "grants"):
            if rows[table] > last[5] + WORKERS:
                problems.append(f"{rows[table]} {table} after {last[5]} sign-ins")
        if max(sample[4] for sample in samples) > 64 * 1048576:
            problems.append(f"the WAL has {mib(max(sample[4] for sample in samples))}")
        figures = (
            f"{last[0]} requests at {rate:.0f}/s, p99 {quantile(people.seconds, 0.99) * 1000:.1f} ms; second half: {growth:+.1f} bytes a "
            f"request; {mib(last[1])} resident, {min(files)}–{max(files)} files, WAL {mib(max(sample[4] for sample in samples))}, rows "
            + " ".join(f"{table} {count}" for table, count in rows.items()))
        return not problems, figures, problems

