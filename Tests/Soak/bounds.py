"""R-6, R-8 and R-9: what strangers can make grow, and how many of them there can be."""

import asyncio
import base64
import json
import os
import resource
import socket
import threading
import time

from node import ALICE, Broken, Cut, Node, Refused, mib, pipelined, quantile, request

MEMORY_MAX = 128 * 1048576
CACHE_MAX = 32 * 1048576


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def memory(minutes):
    """R-6: a million tokens, kids, names, clients, agents and paths that were never seen before leave the memory as it was."""
    count = min(1_000_000, int(minutes * 600_000))
    with Node("log: {level: error}\n") as node:
        token = node.login()["access_token"]
        header, payload, signature = token.split(".")
        start, problems, sent = node.resident, [], 0
        kinds = {
            "tokens": lambda n: ("auth", validate(f"{header}.{payload}.{n:08x}{signature[8:]}"), 200),
            "kids": lambda n: ("auth", validate(f"{encoded({'alg': 'ES256', 'typ': 'at+jwt', 'kid': f'k{n}'})}.{payload}.{signature}"), 200),
            "agents": lambda n: ("auth", request("POST", "/validate", b'{"token":"x"}', user_agent=f"agent/{n}", origin=f"http://h{n}"), 200),
            "paths": lambda n: ("auth", request("GET", f"/p{n}/x?{n}"), 404),
            "hosts": lambda n: ("gateway", request("GET", f"/g{n}").replace(b"localhost", b"h%d.example" % n), 404),
            "methods": lambda n: ("auth", request(f"M{n}", "/login"), 405),
            "refreshes": lambda n: ("auth", request("POST", "/token/refresh", b'{"refresh_token":"ghr_%d"}' % n), 401),
            "bearers": lambda n: ("gateway", request("GET", "/orders", authorization=f"Bearer {header}.{payload}.{n:08x}{signature[8:]}"), 401),
        }
        peaks = {}
        for kind, make in kinds.items():
            for first in range(0, count // (len(kinds) + 1), 4096):
                made = [make(number) for number in range(first, min(first + 4096, count // (len(kinds) + 1)))]
                statuses = pipelined(node.ports[made[0][0]], [entry[1] for entry in made])
                sent += len(statuses)
                wrong = {status for status, entry in zip(statuses, made) if status != entry[2]}
                if wrong:
                    problems.append(f"{kind}: answered {sorted(wrong)}")
                    break
            node.check_runs()
            peaks[kind] = node.resident - start
        # Names and clients cost a write or a hash each, so these are fewer.
        for number in range(min(2_000, count // 100)):
            with node.client() as client:
                client.call("POST", "/login", {"username": f"nobody{number}", "password": "wrong-horse-battery", "client_id": f"c{number}"})
            sent += 1
        # Good tokens, each new: the cache takes them up to its bound.
        refresh = node.login()["refresh_token"]
        good = []
        for _ in range(max(1, min(24_000, count // 40) // 512)):
            with node.client() as client:
                for _ in range(512):
                    status, answer = client.call("POST", "/token/refresh", {"refresh_token": refresh})
                    if status != 200:
                        raise Broken(f"a refresh was answered {status}")
                    good.append(validate(answer["access_token"]))
                    refresh = answer["refresh_token"]
            pipelined(node.ports["auth"], good)
            sent += len(good)
            good.clear()
        grown, series = node.resident - start, node.metrics()
        cache = int(series["gatehouse_verification_cache_bytes"])
        if grown > MEMORY_MAX:
            problems.append(f"{mib(grown)} more are resident")
        if cache > CACHE_MAX:
            problems.append(f"the cache has {mib(cache)}")
        if len(series) > 300:
            problems.append(f"{len(series)} series of metrics")
        figures = f"{sent} requests, {mib(start)} resident at first, {grown / 1048576:+.1f} MiB after, cache {mib(cache)}, {len(series)} series"
        return not problems, figures, problems + [f"after {kind}: {peak / 1048576:+.1f} MiB" for kind, peak in peaks.items()]


def validate(token):
    return request("POST", "/validate", b'{"token":"%s"}' % token.encode())


def answers(node, listener):
    """Whether a newcomer is answered properly within two seconds."""
    path = {"auth": "/.well-known/jwks.json", "gateway": "/public", "admin": "/health/live"}[listener]
    try:
        with node.client(listener, timeout=2) as client:
            return client.call("GET", path)[0] == 200
    except (Refused, Cut, ValueError):
        return False


def recovery(node, listener, seconds_max=30):
    started = time.monotonic()
    while not answers(node, listener):
        node.check_runs()
        if time.monotonic() - started > seconds_max:
            return seconds_max
        time.sleep(0.05)
    return time.monotonic() - started


def idle(port, count):
    """`count` connections that say nothing. Fewer when the server closes some at once."""
    connections = []
    for number in range(count):
        connection = socket.socket()
        connection.settimeout(5)
        try:
            connection.connect(("127.0.0.1", port))
        except OSError:
            connection.close()
            break
        connections.append(connection)
    return connections


def connections(minutes):
    """R-9a: idle connections up to the limit of each listener, and more; then without file descriptors."""
    raise_own_limit(60_000)
    # Both ends stand on this machine, and each is an open file of somebody.
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    problems, each, total, back = [], [], 0, []
    with Node("log: {level: error}\n", files_max=own) as node:
        for listener in ("auth", "gateway", "admin"):
            before = node.resident
            # More than the 10 000 that a listener takes, as far as this process may.
            held = idle(node.ports[listener], min(10_300, own - 200, int(minutes * 10_300)))
            taken = int(node.metrics()[f"gatehouse_{listener}_connections_open"]) if listener != "admin" else len(held)
            total += len(held)
            each.append((node.resident - before) / max(1, taken))
            problems += [f"{other} does not answer while {listener} is full" for other in ("auth", "gateway", "admin")
                         if other != listener and not answers(node, other)]
            for connection in held:
                connection.close()
            back.append(recovery(node, listener))
    if max(back) > 5:
        problems.append(f"answers again only after {max(back):.1f} s")
    figures = f"{total} idle connections, {max(each) / 1024:.1f} KiB each, the other listeners answer; back after {max(back):.2f} s"
    with Node("log: {level: error}\n", files_max=256) as node:
        for listener in ("auth", "gateway"):
            held = idle(node.ports[listener], 400)
            time.sleep(0.5)
            if not answers(node, "admin"):
                problems.append(f"with 256 files, admin does not answer while {listener} is flooded")
            node.check_runs()
            for connection in held:
                connection.close()
            again = max(recovery(node, other) for other in ("auth", "gateway", "admin"))
            if again > 5:
                problems.append(f"with 256 files: answers again only after {again:.1f} s")
            figures += f"; 256 files, {listener} flooded: back after {again:.2f} s"
        if node.stop() > 30:
            problems.append("did not end")
    return not problems, figures, problems


def raise_own_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return
        except (ValueError, OSError):
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Prober(threading.Thread):
    """Asks /validate and the gateway every few milliseconds and keeps what each took."""

    def __init__(self, node, token):
        super().__init__(daemon=True)
        self.node, self.token, self.ended = node, token, threading.Event()
        self.seconds, self.faults = [], []

    def run(self):
        with self.node.client() as auth, self.node.client("gateway") as gateway:
            while not self.ended.wait(0.005):
                for client, method, path, body, headers in (
                    (auth, "POST", "/validate", {"token": self.token}, None),
                    (gateway, "GET", "/orders", None, {"authorization": f"Bearer {self.token}"}),
                ):
                    started = time.monotonic()
                    try:
                        status, _ = client.call(method, path, body, headers)
                        if status != 200:
                            self.faults.append(f"{path}: {status}")
                    except (Cut, Refused) as error:
                        self.faults.append(f"{path}: {error!r}")
                    if client is auth:
                        self.seconds.append(time.monotonic() - started)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(60)


def logins(minutes):
    """R-9b: 200 sign-ins at once, again and again: bounded memory, 503 for what is too much, tokens go on."""
    with Node("log: {level: error}\nlockout: {free_attempts: 100}\n", people=50) as node:
        token = node.login()["access_token"]
        with Prober(node, token) as before:
            time.sleep(max(2, minutes * 6))
        base, outcomes, without = node.resident, [], []
        ended = time.monotonic() + max(5, minutes * 20)

        def sign_in(number):
            # Each name counts its tries, so there are several.
            person = {**ALICE, "username": f"person{number % 50}"}
            with node.client(timeout=60) as client:
                while time.monotonic() < ended:
                    status, _ = client.call("POST", "/login", person)
                    outcomes.append(status)
                    if status in (429, 503):
                        if not client.headers.get("retry-after"):
                            without.append(status)
                        time.sleep(0.5)

        with Prober(node, token) as during:
            threads = [threading.Thread(target=sign_in, args=(number,)) for number in range(200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
        node.check_runs()
        pool = os.cpu_count() or 1
        bound = base + pool * 19_456 * 1024 + 32 * 1048576
        p99 = [quantile(prober.seconds, 0.99) * 1000 for prober in (before, during)]
        counts = {status: outcomes.count(status) for status in sorted(set(outcomes))}
        problems = before.faults[:3] + during.faults[:3]
        if set(counts) - {200, 429, 503}:
            problems.append(f"answered {counts}")
        if without:
            problems.append(f"{without[0]} without Retry-After")
        if node.peak > bound:
            problems.append(f"{mib(node.peak)} resident; {mib(bound)} is the bound")
        # Two cores are shared by the hashes, the server and these 200 clients: 2× is for a machine with cores to spare.
        if p99[1] > 20 * max(p99[0], 5):
            problems.append("/validate starves")
        figures = f"answers {counts}, peak {mib(node.peak)} from {mib(base)}, /validate p99 {p99[0]:.1f} → {p99[1]:.1f} ms"
        return not problems, figures, problems


def slow(minutes):
    """R-8: connections that send heads and bodies byte by byte and read slowly; others do not notice, and slow heads are closed."""
    raise_own_limit(20_000)
    count = min(2_000, max(300, int(minutes * 2_000)))
    seconds = max(20, minutes * 20)
    with Node("log: {level: error}\n") as node:
        token = node.login()["access_token"]
        with Prober(node, token) as before:
            time.sleep(3)
        start = node.resident
        closed = []

        async def connection(kind, number):
            port = node.ports["gateway" if number % 2 else "auth"]
            started = time.monotonic()
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=256)
                if kind == "head":
                    writer.write(b"GET /orders HTTP/1.1\r\nhost: localhost\r\n")
                elif kind == "body":
                    writer.write(b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n")
                while time.monotonic() - started < seconds:
                    if kind == "read":
                        # More than the buffers of the sockets hold, and nobody reads it.
                        writer.write(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 4)
                    else:
                        writer.write(b"x: y\r\n" if kind == "head" else b" ")
                    await asyncio.wait_for(writer.drain(), 2)
                    if kind != "read" and await closes(reader, 2):
                        break
                    if kind == "read":
                        await asyncio.sleep(2)
                writer.transport.abort()
            except (OSError, TimeoutError):
                pass
            closed.append((kind, time.monotonic() - started))

        async def closes(reader, wait):
            try:
                while await asyncio.wait_for(reader.read(65536), wait):
                    pass
                return True
            except TimeoutError:
                return False

        async def everybody():
            await asyncio.gather(*(connection(("head", "body", "read")[number % 3], number) for number in range(count)))

        with Prober(node, token) as during:
            peak = [start]
            thread = threading.Thread(target=lambda: asyncio.run(everybody()))
            thread.start()
            while thread.is_alive():
                peak.append(node.resident)
                thread.join(0.5)
        node.check_runs()
        p99 = [quantile(prober.seconds, 0.99) * 1000 for prober in (before, during)]
        heads = [seconds for kind, seconds in closed if kind == "head"]
        problems = during.faults[:5]
        if max(peak) - start > 64 * 1048576:
            problems.append(f"{mib(max(peak) - start)} more are resident")
        if quantile(heads, 0.99) > 15:
            problems.append(f"a head may take {quantile(heads, 0.99):.1f} s")
        if p99[1] > 20 * max(p99[0], 5):
            problems.append("/validate starves")
        figures = (
            f"{count} connections, {len(during.seconds) * 2} other requests, {len(during.faults)} failed, {(max(peak) - start) / 1048576:+.1f} "
            f"MiB, heads closed after {quantile(heads, 0.99):.1f} s, /validate p99 {p99[0]:.1f} → {p99[1]:.1f} ms")
        return not problems, figures, problems
