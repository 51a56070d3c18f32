"""People who write all the time through several nodes, repeat what was refused, and keep what was answered."""

import threading
import time

from node import ALICE, Broken, Cut, Refused

# Settings of a node that they write through.
QUICK = "passwords: {memory_kib: 7168, iterations: 5}\nlockout: {free_attempts: 100}\n"
TRIES_MAX = 500


class Writer(threading.Thread):
    """Somebody who signs in, refreshes and signs out again and again through one node, repeats what was answered 503, and keeps what
    was answered otherwise."""

    def __init__(self, node, stop, pause=0.02, tries_max=TRIES_MAX):
        super().__init__(daemon=True)
        self.client, self.stop, self.pause, self.tries_max = node.client(), stop, pause, tries_max
        # Session: the last refresh token, and how many there were.
        self.kept, self.ended, self.unsure, self.wrong = {}, [], set(), []
        self.sign_ins, self.refused, self.longest = [], 0, 0.0

    def call(self, path, body, expected=200):
        for _ in range(self.tries_max):
            started = time.monotonic()
            try:
                status, answer = self.client.call("POST", path, body)
            except (Cut, Refused) as error:
                self.wrong.append(f"{path}: {error!r}")
                return None
            self.longest = max(self.longest, time.monotonic() - started)
            if status == expected:
                return answer
            if status != 503:
                self.wrong.append(f"{path}: {status} {str(answer)[:200]}")
                return None
            if not self.client.headers.get("retry-after"):
                self.wrong.append(f"{path}: 503 without Retry-After")
            self.refused += 1
            if self.stop.wait(0.02):
                return None
        self.wrong.append(f"{path}: 503 for {self.tries_max} tries")
        return None

    def run(self):
        number = 0
        while not self.stop.wait(self.pause):
            number += 1
            answer = self.call("/login", ALICE)
            if answer is None:
                continue
            self.sign_ins.append(time.monotonic())
            session, token, count = answer["sid"], answer["refresh_token"], 1
            self.kept[session] = (token, count)
            for _ in range(3):
                answer = self.call("/token/refresh", {"refresh_token": token})
                if answer is None:
                    self.unsure.add(session)
                    break
                token, count = answer["refresh_token"], count + 1
                self.kept[session] = (token, count)
            if answer is not None and number % 4 == 0:
                del self.kept[session]
                if self.call("/logout", {"refresh_token": token}, expected=204) is None:
                    self.unsure.add(session)
                else:
                    self.ended.append((session, token, answer["access_token"]))
        self.client.close()


class Writers:
    """Some for each node; a context manager that ends them."""

    def __init__(self, nodes, count=3, pause=0.02, tries_max=TRIES_MAX):
        self.stop = threading.Event()
        self.by_node = [[Writer(node, self.stop, pause, tries_max) for _ in range(count)] for node in nodes]
        self.all = [writer for writers in self.by_node for writer in writers]

    def __enter__(self):
        for writer in self.all:
            writer.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for writer in self.all:
            writer.join(60)

    def signed_in_since(self, moment):
        """Whether a sign-in was answered on each node."""
        return all(any(at > moment for writer in writers for at in writer.sign_ins[-200:]) for writers in self.by_node)

    @staticmethod
    def gap(writers, since):
        """The longest time after `since` in which no sign-in of these was answered."""
        moments = sorted([since] + [at for writer in writers for at in writer.sign_ins if at > since])
        return max((later - earlier for earlier, later in zip(moments, moments[1:])), default=0)

    def first_after(self, moment, seconds_max=60):
        """Seconds from `moment` until a sign-in was answered on each node."""
        limit = time.monotonic() + seconds_max
        while time.monotonic() < limit:
            firsts = [[at for writer in writers for at in writer.sign_ins[-200:] if at > moment] for writers in self.by_node]
            if all(firsts):
                return max(min(first) for first in firsts) - moment
            time.sleep(0.01)
        raise Broken(f"no sign-in on each node within {seconds_max} s")

    @property
    def wrong(self):
        return [text for writer in self.all for text in writer.wrong]

    @property
    def refusals(self):
        return sum(writer.refused for writer in self.all)

    def total(self, name):
        return sum(len(getattr(writer, name)) for writer in self.all)

    def lost(self, nodes):
        """What was answered and is not there: each node is asked for what the other answered."""
        for writers, node in zip(self.by_node, nodes[1:] + nodes[:1]):
            with node.client() as client:
                for writer in writers:
                    for session, (token, _) in list(writer.kept.items()):
                        status, answer = client.call("POST", "/token/refresh", {"refresh_token": token})
                        if status != 200:
                            yield f"session {session}: {status} {answer}"
                    for session, token, access in writer.ended:
                        status, _ = client.call("POST", "/token/refresh", {"refresh_token": token})
                        _, answer = client.call("POST", "/validate", {"token": access})
                        if status != 401 or answer.get("valid") is not False:
                            yield f"session {session} was ended: {status} {answer}"


def wait_valid(nodes, token):
    """What is asked during an outage was good before it."""
    for node in nodes:
        with node.client() as client:
            status, answer = client.call("POST", "/validate", {"token": token})
            if not answer.get("valid"):
                raise Broken(f"a good token is refused before anything happened: {status} {answer}")
