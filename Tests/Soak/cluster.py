"""R-3 and R-23: several nodes on one PostgreSQL."""

import base64
import glob
import http.client
import importlib
import json
import os
import random
import secrets
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

import clock
from load import People
from node import BINARY, ROOT, Broken, Client, Cut, Node, Refused, quantile
from postgres import Postgres

REVOCATIONS = 10_000
REVOKERS = 2
# A revocation that is not seen by then is missed.
SEEN_SECONDS_MAX = 10
BUDGET_SECONDS = 0.020


class Cluster:
    """Nodes with one database, one master key and one issuer; a context manager."""

    def __init__(self, count, more_settings="", postgres=None, binary=BINARY):
        self.postgres, self.nodes, self.binary = postgres or Postgres(), [], binary
        self.count, self.more_settings = count, more_settings

    def __enter__(self):
        self.postgres.__enter__()
        try:
            key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
            for number in range(self.count):
                node = Node()
                node.binary = self.binary
                self.nodes.append(node)
                adapt(node, self.uri(number), key, self.more_settings)
                node.__enter__()
        except BaseException:
            self.__exit__()
            raise
        return self

    def uri(self, _number):
        """Of the database, for one of the nodes."""
        return self.postgres.uri

    def __exit__(self, *_):
        for node in self.nodes:
            node.__exit__()
        self.postgres.__exit__()


def adapt(node, uri, key, more_settings):
    """The quick start's settings, but for the database that is shared."""
    path = os.path.join(node.folder, "data/master.key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(key)
    with open(node.config, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("storage: sqlite:data/gatehouse.db", f'storage: "{uri}"')
    lines = [line for line in text.splitlines() if not line.startswith("issuer:")]
    with open(node.config, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ["issuer: http://localhost:8080", more_settings, ""]))


class Control(Client):
    """The operator's API, through the control socket."""

    def __init__(self, node):
        super().__init__(0)
        self.path = os.path.join(node.folder, "data/gatehouse.sock")

    def call(self, method, path, body=None, headers=None, wants_json=True):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("localhost", timeout=30)
            self.connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.connection.sock.connect(self.path)
        return super().call(method, path, body, headers, wants_json)


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Revoker(threading.Thread):
    """Gets tokens on the first node, revokes them there, and watches the others until they refuse."""

    def __init__(self, nodes, count, everything):
        super().__init__(daemon=True)
        self.nodes, self.count, self.everything = nodes, count, everything
        self.seconds, self.missed, self.wrong, self.repeated = [], [], [], 0

    def run(self):
        own, control = self.nodes[0].client(), Control(self.nodes[0])
        others = [node.client() for node in self.nodes[1:]]
        refresh = None
        while len(self.seconds) + len(self.missed) < self.count:
            if refresh is None:
                answer = self.repeat(own, "POST", "/login", {"username": "alice", "password": "correct-horse-battery"})
            else:
                answer = self.repeat(own, "POST", "/token/refresh", {"refresh_token": refresh})
            if answer is None:
                refresh = None
                continue
            access, refresh = answer["access_token"], answer["refresh_token"]
            if not all(self.is_valid(client, access) for client in others):
                # A node that could not follow for a moment refuses: nothing to measure.
                self.repeated += 1
                continue
            # Each tenth ends the whole session.
            if len(self.seconds) % 10 == 9:
                self.repeat(own, "POST", "/logout", {"refresh_token": refresh}, expected=204)
                refresh = None
            else:
                self.repeat(control, "POST", "/admin/token/revoke", {"jti": claims(access)["jti"]}, expected=204)
            answered = time.monotonic()
            if self.is_valid(own, access):
                self.wrong.append("valid where it was revoked")
            for client in others:
                while self.is_valid(client, access):
                    if time.monotonic() - answered > SEEN_SECONDS_MAX:
                        self.missed.append(access)
                        break
                else:
                    self.seconds.append(time.monotonic() - answered)
            self.everything.append(access)

    def repeat(self, client, method, path, body, expected=200):
        """The answer to a call that is repeated while the database cannot be reached."""
        for _ in range(200):
            try:
                status, answer = client.call(method, path, body)
            except (Cut, Refused, OSError):
                client.close()
                continue
            if status == expected:
                return answer
            if status != 503:
                self.wrong.append(f"{method} {path}: {status} {answer}")
                return None
            if not client.headers.get("retry-after"):
                self.wrong.append("503 without Retry-After")
            self.repeated += 1
            time.sleep(0.01)
        self.wrong.append(f"{method} {path}: no answer")
        return None

    @staticmethod
    def is_valid(client, token):
        _, answer = client.call("POST", "/validate", {"token": token})
        return answer.get("valid", False)


class Cutter(threading.Thread):
    """Cuts a connection of the nodes to their database, again and again: of the pool or the one that listens."""

    def __init__(self, postgres, stop):
        super().__init__(daemon=True)
        self.postgres, self.stop, self.cut = postgres, stop, 0

    def run(self):
        while not self.stop.wait(0.2):
            sql = ("SELECT COUNT(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
                   "WHERE application_name = 'gatehouse' ORDER BY random() LIMIT 1) AS one")
            self.cut += int(self.postgres.sql(sql))


def revoke(cluster, count, everything):
    revokers = [Revoker(cluster.nodes, count // REVOKERS, everything) for _ in range(REVOKERS)]
    for revoker in revokers:
        revoker.start()
    for revoker in revokers:
        revoker.join()
    seconds = [second for revoker in revokers for second in revoker.seconds]
    missed = [token for revoker in revokers for token in revoker.missed]
    wrong = [text for revoker in revokers for text in revoker.wrong]
    return seconds, missed, wrong, sum(revoker.repeated for revoker in revokers)


def feed(minutes):
    """A third of the revocations under load, two thirds while connections are being cut as well."""
    # With time enough, REVOCATIONS of them while connections are being cut.
    cut_count = max(200, min(REVOCATIONS, int(REVOCATIONS * minutes / 3)))
    count = cut_count // 2
    everything, stop = [], threading.Event()
    with Cluster(2, "passwords: {memory_kib: 7168, iterations: 5}\nlockout: {free_attempts: 100}") as cluster:
        with People(cluster.nodes[0], pause=0.01, count=4), People(cluster.nodes[1], pause=0.01, count=4, seed=9) as people:
            quiet = revoke(cluster, count, everything)
            loaded = sum(person.requests for person in people.all)
            cutter = Cutter(cluster.postgres, stop)
            cutter.start()
            cut = revoke(cluster, cut_count, everything)
            stop.set()
            cutter.join()
        # Long after, on both: nothing came back.
        back = [token for node in cluster.nodes for token in refused_not(node, everything)]
        for node in cluster.nodes:
            node.check_runs()
    p99 = quantile(quiet[0], 0.99)
    held = not (quiet[1] or cut[1] or quiet[2] or cut[2] or back) and len(everything) >= count + cut_count - 2 and p99 < BUDGET_SECONDS

    def shown(seconds):
        return "/".join(f"{quantile(seconds, share) * 1000:.1f}" for share in (0.5, 0.99, 1))

    figures = (f"{len(everything)} revocations, {len(quiet[1]) + len(cut[1])} missed, {len(back)} came back; ms to the first refusal elsewhere, "
               f"median/p99/longest: {shown(quiet[0])} under load, {shown(cut[0])} with {cutter.cut} connections cut "
               f"({cut[3]} calls repeated); {loaded} other requests on the second node")
    return held, figures, quiet[2] + cut[2] + [f"p99 {p99 * 1000:.1f} ms"]


def refused_not(node, tokens):
    """Which of the tokens the node takes."""
    with node.client() as client:
        for start in range(0, len(tokens), 100):
            part = tokens[start:start + 100]
            _, answer = client.call("POST", "/validate", {"tokens": part})
            for token, result in zip(part, answer["results"]):
                if result.get("valid"):
                    yield token


CACHE_SECONDS = 3
SKEW_SECONDS = 30
# Tokens that one service still has: the oldest are checked until they have expired.
TOKENS_KEPT = 12


class Service:
    """A service that checks tokens with PyJWT and joserfc, by a set of keys that it keeps for as long as it may, and no longer."""

    def __init__(self):
        self.libraries = libraries()
        self.tokens, self.verified, self.failed = [], 0, []
        self.jwt_keys, self.joserfc_keys = {}, None

    def keep_keys(self, document):
        jwt, jwk, _ = self.libraries
        self.jwt_keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys}
        self.joserfc_keys = jwk.KeySet.import_key_set(document)

    def verify(self):
        """Checks every token that it has; one that expires is let go of."""
        jwt, _, joserfc = self.libraries
        for token in list(self.tokens):
            # A token's times are those of the node that made it, whose clock may be wrong by that much.
            expected = {"algorithms": ["ES256"], "audience": "orders", "issuer": "http://localhost:8080", "leeway": SKEW_SECONDS + 5}
            try:
                key = self.jwt_keys[jwt.get_unverified_header(token)["kid"]]
                claims = jwt.decode(token, key, **expected)
                if joserfc.decode(token, self.joserfc_keys, algorithms=["ES256"]).claims != claims:
                    self.failed.append("the two libraries read different claims")
            except jwt.ExpiredSignatureError:
                self.tokens.remove(token)
                continue
            except Exception as error:  # Whatever a library says, the token was good.
                self.failed.append(repr(error))
            self.verified += 1
        del self.tokens[:-TOKENS_KEPT]


def libraries():
    """PyJWT, and joserfc's keys and tokens, of the environment that the other tests have."""
    places = glob.glob(os.path.join(ROOT, ".tools/venv/lib/python3*/site-packages"))
    sys.path += [place for place in places if place not in sys.path]
    try:
        return importlib.import_module("jwt"), importlib.import_module("joserfc.jwk"), importlib.import_module("joserfc.jwt")
    except ImportError as error:
        raise Broken(f"{error}: scripts/setup test installs it") from error


class Verifier(threading.Thread):
    """Gets tokens on any node and checks them as a service does that keeps the published keys for as long as it may."""

    def __init__(self, nodes, stop, seed):
        super().__init__(daemon=True)
        self.nodes, self.stop, self.random = nodes, stop, random.Random(seed)
        self.tokens, self.unknown, self.refused, self.keys = 0, [], [], set()
        self.service = Service()

    def run(self):
        published, fetched_at, refresh = set(), None, None
        while not self.stop.is_set():
            try:
                source, judge = self.random.choice(self.nodes), self.random.choice(self.nodes)
                # The cache is filled before the token is asked for: as old as it may be.
                if fetched_at is None or time.monotonic() - fetched_at > CACHE_SECONDS:
                    with self.random.choice(self.nodes).client(timeout=5) as client:
                        asked_at = time.monotonic()
                        status, document = client.call("GET", "/.well-known/jwks.json")
                    if status != 200:
                        continue
                    published, fetched_at = {key["kid"] for key in document["keys"]}, asked_at
                    self.service.keep_keys(document)
                with source.client(timeout=5) as client:
                    if refresh is None:
                        status, answer = client.call("POST", "/login", {"username": "alice", "password": "correct-horse-battery"})
                    else:
                        status, answer = client.call("POST", "/token/refresh", {"refresh_token": refresh})
                if status != 200:
                    refresh = None if status == 401 else refresh
                    continue
                access, refresh = answer["access_token"], answer["refresh_token"]
                head = access.split(".")[0]
                kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
                # What is checked within the time that the cache is good for.
                if time.monotonic() - fetched_at <= CACHE_SECONDS:
                    self.tokens += 1
                    self.keys.add(kid)
                    if kid not in published:
                        self.unknown.append(kid)
                    self.service.tokens.append(access)
                    self.service.verify()
                with judge.client(timeout=5) as client:
                    status, answer = client.call("POST", "/validate", {"token": access})
                if status == 200 and not answer["valid"] and answer["reason"] in ("unknown_key", "bad_signature", "not_yet_valid"):
                    self.refused.append(answer["reason"])
            except (Cut, Refused, OSError):
                # A node that was killed.
                time.sleep(0.05)


def keys(minutes):
    """R-3: keys change every few seconds on three nodes, one of them with a wrong clock, and nodes are killed."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-keys-") as folder:
        environment = clock.moved_environment(folder, SKEW_SECONDS)
        settings = f"""passwords: {{memory_kib: 7168, iterations: 5}}
lockout: {{free_attempts: 100}}
keys: {{rotate_every: 1m, jwks_max_age: {CACHE_SECONDS}s}}
tokens: {{access_ttl: 10s}}
revocations: {{max_staleness: 2s}}"""
        with Cluster(2, settings) as cluster:
            skewed = Node(environment=environment)
            cluster.nodes.append(skewed)
            with open(os.path.join(cluster.nodes[0].folder, "data/master.key"), encoding="ascii") as file:
                adapt(skewed, cluster.postgres.uri, file.read(), settings)
            skewed.launch()
            wait_until_ahead(skewed)
            return rotate(cluster, minutes)


def wait_until_ahead(node):
    """Until a node whose clock is wrong has its database and says so; it never becomes ready."""
    limit, health = time.monotonic() + 30, None
    while time.monotonic() < limit:
        try:
            with node.client("admin") as client:
                status, health = client.call("GET", "/health/ready")
        except (Cut, Refused):
            status = 0
        if status == 200:
            raise Broken(f"a node with a wrong clock is ready: {health}")
        if status == 503 and "ahead" in health["parts"].get("clock", ""):
            return
        time.sleep(0.02)
    raise Broken(f"a node with a wrong clock does not say so: {health}")


def rotate(cluster, minutes):
    stop, rotations, kills = threading.Event(), 0, 0
    verifiers = [Verifier(cluster.nodes, stop, seed) for seed in range(6)]
    for verifier in verifiers:
        verifier.start()
    began = time.monotonic()
    chance, ends_at, problems = random.Random(3), began + max(20, minutes * 60), []
    while time.monotonic() < ends_at:
        time.sleep(1)
        node = chance.choice(cluster.nodes[:2])
        try:
            with Control(node) as control:
                status, answer = control.call("POST", "/admin/keys/rotate", {})
        except (Cut, OSError):
            continue
        rotations += status == 200
        if status not in (200, 409):
            problems.append(f"key rotate: {status} {answer}")
        if chance.random() < 0.04:
            victim = chance.choice(cluster.nodes[:2])
            victim.process.send_signal(signal.SIGKILL)
            victim.process.wait()
            victim.start()
            kills += 1
    stop.set()
    for verifier in verifiers:
        verifier.join()
    tokens = sum(verifier.tokens for verifier in verifiers)
    used = set().union(*(verifier.keys for verifier in verifiers))
    unknown = [kid for verifier in verifiers for kid in verifier.unknown]
    refused = [reason for verifier in verifiers for reason in verifier.refused]
    verified = sum(verifier.service.verified for verifier in verifiers)
    failed = [text for verifier in verifiers for text in verifier.service.failed]
    held = not (unknown or refused or failed or problems) and tokens > 100 and rotations >= 2 and len(used) > 2 and verified > 5 * tokens
    figures = (f"{tokens} tokens under {len(used)} keys, {rotations} rotations, {kills} nodes killed; {len(unknown)} under a key that a good "
               f"cache did not have, {len(refused)} refused by another node; {verified} checks by PyJWT and joserfc "
               f"({verified / (time.monotonic() - began):.0f}/s), {len(failed)} failed")
    return held, figures, problems + unknown[:5] + refused[:5] + failed[:5]
