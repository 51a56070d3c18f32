"""R-4b: connections that are lost at COMMIT."""

import asyncio
import random
import struct
import threading
import time

from cluster import Cluster
from node import Broken
from postgres import Postgres
from writers import QUICK, Writers

CUTS = 2_000


class CuttingProxy:
    """Before a PostgreSQL: forwards everything, and ends connections around COMMIT as its seed says. A context manager, and the database
    of a `Cluster`. Without TLS."""

    def __init__(self, share=0.5, seed=1):
        self.postgres, self.share, self.random = Postgres(), share, random.Random(seed)
        self.fates = {"before": 0, "after": 0, "at the answer": 0, "after the answer": 0}
        self.is_cutting, self.loop, self.port = False, None, None

    def __enter__(self):
        self.postgres.__enter__()
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        if not ready.wait(10):
            raise Broken("the proxy did not start")
        return self

    def __exit__(self, *_):
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.over.set)
        self.postgres.__exit__()

    @property
    def uri(self):
        return f"postgres://gatehouse@127.0.0.1:{self.port}/postgres?sslmode=disable&gssencmode=disable"

    @property
    def cuts(self):
        return sum(self.fates.values())

    async def serve(self, ready):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.over.wait()
        server.close()

    async def connection(self, reader, writer):
        try:
            upstream = await asyncio.open_unix_connection(f"{self.postgres.folder}/.s.PGSQL.5432")
        except OSError:
            writer.transport.abort()
            return
        state = {"fate": None}
        try:
            await asyncio.gather(self.from_client(reader, upstream[1], state), self.from_server(upstream[0], writer, state))
        except (OSError, asyncio.IncompleteReadError, Ended):
            pass
        finally:
            writer.transport.abort()
            upstream[1].transport.abort()

    async def from_client(self, reader, server, state):
        # The first message has no type (PostgreSQL, "Message Formats").
        kind = b""
        while True:
            head = await reader.readexactly(4 + len(kind))
            body = await reader.readexactly(struct.unpack("!I", head[-4:])[0] - 4)
            is_commit = kind and head[:1] == b"Q" and body == b"COMMIT\0"
            fate = None
            if is_commit and self.is_cutting and self.random.random() < self.share:
                fate = self.random.choice(list(self.fates))
                self.fates[fate] += 1
            if fate == "before":
                raise Ended
            state["fate"] = fate
            server.write(head + body)
            await server.drain()
            if fate == "after":
                raise Ended
            kind = b"?"

    @staticmethod
    async def from_server(reader, client, state):
        while data := await reader.read(65536):
            if state["fate"] == "at the answer":
                raise Ended
            client.write(data)
            await client.drain()
            if state["fate"] == "after the answer":
                raise Ended
        raise Ended


class Ended(Exception):
    """One of the two ends of a connection is gone, or is to be."""


def lost_commits(minutes):
    """R-4b: half of all COMMITs lose their connection; what was answered is there, what was refused is not, a repetition works."""
    proxy = CuttingProxy()
    ended = time.monotonic() + max(20, minutes * 60)
    with Cluster(2, QUICK, postgres=proxy) as cluster:
        before = int(proxy.postgres.sql("SELECT count(*) FROM grants"))
        proxy.is_cutting = True
        with Writers(cluster.nodes, count=4, pause=0) as writers:
            while time.monotonic() < ended and proxy.cuts < CUTS and not writers.wrong:
                time.sleep(0.05)
        proxy.is_cutting = False
        time.sleep(0.5)
        rows = proxy.postgres.sql("SELECT session_id, refresh_current, revoked_ms IS NULL FROM grants").splitlines()
        rows = [row.split("|") for row in rows]
        stored = {session: (int(current), is_live == "t") for session, current, is_live in rows}
        problems = wrongly_told(writers, stored, len(stored) - before)
        lost = list(writers.lost(cluster.nodes))
        for node in cluster.nodes:
            node.check_runs()
    refused = sum(writer.refused for writer in writers.all)
    problems = problems + lost[:5] + writers.wrong[:5]
    if proxy.cuts < min(CUTS, minutes * 60 * 5):
        problems.append(f"only {proxy.cuts} COMMITs were cut")
    shown = ", ".join(f"{count} {fate}" for fate, count in proxy.fates.items())
    figures = (
        f"{proxy.cuts} COMMITs cut ({shown}); {writers.total('sign_ins')} sign-ins, {writers.total('ended')} sign-outs, {refused} × 503, "
        f"each true; {len(lost)} lost; longest answer {max(writer.longest for writer in writers.all):.2f} s")
    return not problems, figures, problems


def wrongly_told(writers, stored, count):
    """Where the rows are not what the answers said: the server was there all the time, so everything could be known."""
    problems, known = [], 0
    for writer in writers.all:
        known += len(writer.kept) + len(writer.ended)
        for session, (_, tokens) in writer.kept.items():
            current, is_live = stored.get(session, (0, False))
            if not is_live or (current != tokens and session not in writer.unsure):
                problems.append(f"session {session}: {tokens} refresh tokens were answered, {current} are stored, live: {is_live}")
        for session, _, _ in writer.ended:
            if stored.get(session, (0, False))[1]:
                problems.append(f"session {session} was ended, and is live")
    dropped = sum(1 for writer in writers.all for session in writer.unsure if session not in writer.kept)
    if count != known + dropped:
        problems.append(f"{count} sessions are stored and {known + dropped} were answered")
    return problems
