"""R-2: what is good once, and refresh tokens, as registers: 64 callers race for each."""

import asyncio
import collections
import json
import multiprocessing
import os
import random
import secrets
import subprocess
import time
import traceback
import urllib.parse

import cluster
from node import BINARY, Broken, Node, run
from onetime import BATCH, CALLBACK, KINDS, PASSWORD, SECRET, Secrets, authorization, code, encoded, form, http
from postgres import PgBouncer
from racing import CALLERS, Call, Callers, judge, misjudged

WORKERS = 3
# The last race of one batch in so many has a revocation in it. (What it ends besides would be made in vain.)
BATCHES_EACH = 2
# Faults that a worker tells of before it ends.
FAULTS_MAX = 10
SETTINGS = """passwords: {memory_kib: 7168, iterations: 5, length_min: 8}
lockout: {free_attempts: 100}
log: {level: error}
trusted_proxies: [127.0.0.1]
registration: {policy: token, clients_max: 5000, per_source: 10000, scopes: [openid, "orders:read"]}
"""


class SQLite:
    """One node with a file; used as a `Cluster` is."""

    def __enter__(self):
        self.nodes = [Node(SETTINGS)]
        self.nodes[0].__enter__()
        return self

    def __exit__(self, *_):
        self.nodes[0].__exit__()


def pooled():
    database = PgBouncer()
    return cluster.Cluster(3, f'{SETTINGS}storage_listen: "{database.postgres.uri}"\n', postgres=database)


STORES = {
    "SQLite": SQLite,
    "PostgreSQL, 3 nodes": lambda: cluster.Cluster(3, SETTINGS),
    "PgBouncer, 3 nodes": pooled,
}


def declare(node):
    """A person and clients for each worker."""
    keys = [ed25519().generate() for _ in range(WORKERS)]
    clients = []
    for number, key in enumerate(keys):
        secret = {"secret": SECRET, "first_party": True, "scopes": ["openid", "orders:read"]}
        code = {**secret, "grants": ["authorization_code", "refresh_token"], "redirect_uris": [CALLBACK]}
        public = encoded(key.public_key().public_bytes_raw())
        clients += [
            {"id": f"coding{number}", **code}, {"id": f"pushing{number}", **code},
            {"id": f"device{number}", **secret, "grants": ["device_code", "refresh_token"]},
            {"id": f"proving{number}", "secret": SECRET, "grants": ["client_credentials"], "scopes": ["orders:read"]},
            {
                "id": f"asserting{number}", "grants": ["client_credentials"], "scopes": ["orders:read"],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "one", "x": public}]},
            },
        ]
    users = [{"username": f"racer{number}", "password": PASSWORD, "roles": ["customer"]} for number in range(WORKERS)]
    path = os.path.join(node.folder, "racers.yaml")
    with open(path, "w", encoding="utf-8") as file:
        # JSON is YAML.
        json.dump({"clients": clients, "users": users}, file)
    done = subprocess.run(
        [BINARY, "apply", "--config", node.config, "-f", os.path.join(node.folder, "resources.yaml"), "-f", path],
        cwd=node.folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"gatehouse apply: {done.stdout}{done.stderr}")
    return keys


def ed25519():
    cluster.libraries()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    return Ed25519PrivateKey


class Worker:
    """One process that races artefacts of each type in turn, as one person with one browser."""

    def __init__(self, number, nodes, key):
        self.number, self.key = number, key
        ports = [node.ports["auth"] for node in nodes]
        sockets = [os.path.join(node.folder, "data/gatehouse.sock") for node in nodes]
        self.callers, self.random = Callers(ports, sockets, seed=number), random.Random(number)
        self.cookies, self.issuer = {}, None
        self.counts = {name: collections.Counter() for name in KINDS}
        self.faults = []

    def unique(self):
        return secrets.token_urlsafe(12)

    @property
    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def browse(self, method, path, fields=b""):
        """As a browser does: keeps cookies and follows redirects within Gatehouse."""
        for _ in range(5):
            answer = await self.callers.call(http(method, path, fields, cookie=self.cookie, x_forwarded_for=f"10.9.8.{self.number}"))
            for line in answer.head.split(b"\r\n"):
                if line.lower().startswith(b"set-cookie:"):
                    name, value = line[11:].decode().split(";", 1)[0].strip().split("=", 1)
                    self.cookies[name] = value
            location = answer.field(b"location") or ""
            if answer.status != 303 or not location.startswith("/"):
                return answer
            method, path, fields = "GET", location, b""
        raise Broken("too many redirects")

    async def signed_in(self):
        if "gatehouse-session" in self.cookies:
            return
        page = await self.browse("GET", "/authorize?" + urllib.parse.urlencode(authorization(f"coding{self.number}")))
        page = await self.browse("POST", *form(page, username=f"racer{self.number}", password=PASSWORD))
        if code(page) is None:
            raise Broken(f"no sign-in: {page.status} {page.body[:500]}")

    async def run(self, ends_at):
        configuration = await self.callers.call(http("GET", "/.well-known/openid-configuration"))
        self.issuer = json.loads(configuration.body)["issuer"]
        kinds = {name: kind(self) for name, kind in KINDS.items()}
        # What was declared on one node the others hear of.
        for kind in kinds.values():
            await kind.wait_until_known()
        await self.check_finds()
        turn = 0
        while time.monotonic() < ends_at and len(self.faults) < FAULTS_MAX:
            turn += 1
            for name, kind in kinds.items():
                # The first turn is for each of them, however short the time is.
                if turn > 1 and time.monotonic() >= ends_at:
                    break
                started = time.monotonic()
                made = await kind.make()
                for artefact in made[:-1]:
                    await self.race(name, kind, artefact)
                await self.race(name, kind, made[-1], is_revoked=turn % BATCHES_EACH == 0)
                self.counts[name]["milliseconds"] += int((time.monotonic() - started) * 1000)

    async def check_finds(self):
        """A request that is good any number of times is no register, and the judge has to say so."""
        kind = Secrets(self)
        answers, _ = await self.callers.race(await kind.requests(None))
        if not judge(history(kind, answers)):
            raise Broken("the judge takes what was got by many for what is got once")

    async def race(self, name, kind, artefact, is_revoked=False):
        counts = self.counts[name]
        revoke = await kind.revocation(artefact) if is_revoked else None
        answers, ending = await self.callers.race(await kind.requests(artefact), revoke)
        calls, revoked = history(kind, answers), None
        if ending is not None:
            if ending.status not in (200, 204):
                raise Broken(f"{name}: a revocation was answered {ending.status} {ending.body[:200]}")
            revoked = Call(ending.began, ending.ended, None)
        faults = judge(calls, kind.is_once, revoked)
        expected = (0, 200, 201, 503, *kind.refusals)
        faults += [f"answered {answer.status} {answer.body[:200]}" for answer in answers if answer.status not in expected]
        gains = sorted({call.got for call in calls if call.got is not None})
        faults += await kind.afterwards(artefact, gains, revoked is not None)
        counts["raced"] += 1
        counts["got"] += bool(gains)
        counts["revoked"] += revoked is not None
        counts["got, and revoked"] += bool(gains) and revoked is not None
        counts["calls"] += len(calls)
        counts["unsure"] += sum(not call.is_sure for call in calls)
        counts["nobody, and unsure"] += not gains and revoked is None
        self.faults += [f"{name}: {fault}" for fault in faults[:3]]


def history(kind, answers):
    calls = []
    for answer in answers:
        got = kind.got(answer)
        calls.append(Call(answer.began, answer.ended, got, got is not None or answer.status in kind.refusals))
    return calls


def work(number, nodes, key, ends_at, pipe):
    """A worker as a process of its own; sends (counts, faults)."""
    run.end_with_parent()
    worker = Worker(number, nodes, ed25519().from_private_bytes(key))
    try:
        asyncio.run(worker.run(ends_at))
    except Exception:  # Whatever it is, the experiment is not held.
        worker.faults.append(traceback.format_exc()[-1500:])
    pipe.send((worker.counts, worker.faults))


def race(name, seconds):
    """All types on one store: (counts by type, faults)."""
    context, total, faults = multiprocessing.get_context("fork"), {kind: collections.Counter() for kind in KINDS}, []
    with STORES[name]() as store:
        keys = declare(store.nodes[0])
        ends_at, workers = time.monotonic() + seconds, []
        for number, key in enumerate(keys):
            pipe, end = context.Pipe()
            process = context.Process(target=work, args=(number, store.nodes, key.private_bytes_raw(), ends_at, end), daemon=True)
            process.start()
            workers.append((process, pipe))
        for process, pipe in workers:
            if not pipe.poll(seconds + 120):
                raise Broken("a worker did not end")
            counts, found = pipe.recv()
            faults += [f"{name}: {fault}" for fault in found]
            for kind, counted in counts.items():
                total[kind] += counted
            process.join()
        for node in store.nodes:
            node.check_runs()
    return total, faults


def artefacts(minutes):
    """R-2: a third of the time on each store."""
    if misjudged():
        raise Broken(f"the judge is wrong about {', '.join(misjudged())}")
    lines, problems, raced = [], [], 0
    for name in STORES:
        counts, faults = race(name, max(15, minutes * 60 / len(STORES)))
        problems += faults
        for kind, counted in counts.items():
            raced += counted["raced"]
            seconds = counted["milliseconds"] / 1000 / WORKERS
            rate = counted["raced"] / seconds if seconds else 0
            lines.append(
                f"{name}: {counted['raced']} {kind} ({rate:.0f}/s while it was their turn), {counted['got']} got, "
                f"{counted['revoked']} revoked meanwhile ({counted['got, and revoked']} of them got before), {counted['calls']} calls, {counted['unsure']} unsure "
                f"({counted['nobody, and unsure']} perhaps got by nobody)")
            is_short = counted["raced"] <= BATCH * BATCHES_EACH * WORKERS
            if counted["got"] <= counted["raced"] / 2 or not (counted["revoked"] or is_short or kind == "initial tokens"):
                problems.append(f"{name}: of {counted['raced']} {kind} {counted['got']} were got and {counted['revoked']} revoked")
    print("\n".join(f"          {line}" for line in lines), flush=True)
    return not problems, f"{raced} artefacts, {CALLERS} callers for each, {len(problems)} faults", problems
