"""Races of many callers for one thing: connections that are kept, what each caller was told and when, and the judge of it."""

import asyncio
import random
import time
from typing import NamedTuple, Optional

CALLERS = 64
# Those of a race with a revocation that call once it was answered.
LATE_CALLERS = 24
ANSWER_SECONDS_MAX = 30


class Call(NamedTuple):
    """What one caller was told. Times by the monotonic clock, in ns: before the request was written, after the answer was read."""

    began: int
    ended: int
    # What it got: the same text for the same thing. Nothing when it was refused.
    got: Optional[str]
    # False when it may have been done all the same: 503, or no whole answer.
    is_sure: bool = True


def judge(calls, is_once=True, revoked=None):
    """What a history shows that no order of its calls explains, a sentence each.

    A thing that `is_once` is got by one caller; of another all get the same. Somebody gets it unless it was revoked. A call that began
    after another was refused, or after the answer to `revoked`, gets nothing: what is used up or ended stays so. (Of what is not used up
    by being asked for, a refusal too is an ending.)
    """
    faults = []
    gains = [call for call in calls if call.got is not None]
    if is_once and len(gains) > 1:
        faults.append(f"{len(gains)} callers got it")
    if len({call.got for call in gains}) > 1 and not is_once:
        faults.append(f"{len({call.got for call in gains})} different ones were got")
    if not gains and revoked is None and all(call.is_sure for call in calls):
        faults.append("nobody got it, and nobody had revoked it")
    refused_at = min((call.ended for call in calls if call.got is None and call.is_sure), default=None)
    for call in gains:
        if revoked is not None and call.began > revoked.ended:
            faults.append(f"got {(call.began - revoked.ended) / 1e6:.3f} ms after the revocation was answered")
        if refused_at is not None and call.began > refused_at:
            faults.append(f"got {(call.began - refused_at) / 1e6:.3f} ms after another caller was refused")
    return faults


# Histories, and whether they are in order: a judge that takes a false one, or refuses a true one, is none.
HISTORIES = [
    ("one of three", True, [Call(1, 9, "a"), Call(2, 8, None), Call(3, 7, None)], None, True),
    ("two of three", False, [Call(1, 9, "a"), Call(2, 8, "b"), Call(3, 7, None)], None, True),
    ("the same twice", False, [Call(1, 9, "a"), Call(2, 8, "a"), Call(3, 7, None)], None, True),
    ("nobody", False, [Call(1, 9, None), Call(2, 8, None)], None, True),
    ("perhaps one that got no answer", True, [Call(1, 9, None, False), Call(2, 8, None)], None, True),
    ("one, although another got no answer", True, [Call(1, 9, None, False), Call(2, 8, "a")], None, True),
    ("one, after another was refused", False, [Call(1, 3, None), Call(4, 8, "a")], None, True),
    ("one, after another got no answer", True, [Call(1, 3, None, False), Call(4, 8, "a")], None, True),
    ("nobody, because it was revoked", True, [Call(1, 9, None), Call(2, 8, None)], Call(3, 5, None), True),
    ("one, before the revocation was answered", True, [Call(4, 9, "a"), Call(6, 8, None)], Call(3, 5, None), True),
    ("one, after the revocation was answered", False, [Call(6, 9, "a"), Call(7, 8, None)], Call(3, 5, None), True),
    ("all the same successor", True, [Call(1, 9, "a"), Call(2, 8, "a"), Call(10, 12, "a")], None, False),
    ("two successors", False, [Call(1, 9, "a"), Call(2, 8, "b")], None, False),
    ("a successor after the sign-out was answered", False, [Call(1, 9, "a"), Call(6, 8, "a")], Call(3, 5, None), False),
    ("a successor after the session had ended", False, [Call(1, 3, None), Call(4, 8, "a")], Call(2, 9, None), False),
    ("no successor", False, [Call(1, 9, None)], None, False),
]


def misjudged():
    """The histories of which the judge says the wrong thing."""
    return [name for name, is_true, calls, revoked, is_once in HISTORIES if is_true == bool(judge(calls, is_once, revoked))]


class Answer(NamedTuple):
    began: int
    ended: int
    # 0 when there was none.
    status: int
    head: bytes
    body: bytes

    def field(self, name):
        """A header's first value, or nothing."""
        start = self.head.lower().find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start:end if end >= 0 else None].strip().decode()


class Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self):
        self.transport, self.waiting, self.began, self.data = None, None, 0, b""

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        self.transport = None
        self.finish(Answer(self.began, time.monotonic_ns(), 0, b"", b""))

    def ask(self, request):
        """A future of the `Answer`. The request is written before this returns."""
        future = self.waiting = asyncio.get_running_loop().create_future()
        self.data, self.began = b"", time.monotonic_ns()
        if self.transport is None:
            self.finish(Answer(self.began, self.began, 0, b"", b""))
        else:
            self.transport.write(request)
        return future

    def finish(self, answer):
        future, self.waiting = self.waiting, None
        if future is not None and not future.done():
            future.set_result(answer)

    def data_received(self, data):
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.data[:end]
        lower = head.lower()
        start = lower.find(b"\r\ncontent-length:")
        length = int(lower[start + 17:].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self.data) < end + 4 + length:
            return
        self.finish(Answer(self.began, time.monotonic_ns(), int(head[9:12]), head, self.data[end + 4:]))


class Callers:
    """`CALLERS` connections, spread over the nodes, and one to the control socket of each."""

    def __init__(self, ports, sockets, seed):
        self.ports, self.sockets, self.random = ports, sockets, random.Random(seed)
        self.connections, self.controls = [None] * CALLERS, [None] * len(sockets)

    async def connect(self):
        """Makes those anew that have ended."""
        loop = asyncio.get_running_loop()
        for number, connection in enumerate(self.connections):
            if connection is None or connection.transport is None:
                port = self.ports[number % len(self.ports)]
                _, self.connections[number] = await loop.create_connection(Connection, "127.0.0.1", port)
        for number, connection in enumerate(self.controls):
            if connection is None or connection.transport is None:
                _, self.controls[number] = await loop.create_unix_connection(Connection, self.sockets[number])

    async def call(self, request, number=None):
        """One request, on any connection or on that one."""
        await self.connect()
        number = self.random.randrange(CALLERS) if number is None else number
        return await asyncio.wait_for(self.connections[number].ask(request), ANSWER_SECONDS_MAX)

    async def each(self, requests):
        """One request on each of the first connections, all at once."""
        await self.connect()
        return await asyncio.wait_for(
            asyncio.gather(*(connection.ask(one) for connection, one in zip(self.connections, requests))), ANSWER_SECONDS_MAX)

    async def operate(self, request):
        await self.connect()
        return await asyncio.wait_for(self.random.choice(self.controls).ask(request), ANSWER_SECONDS_MAX)

    async def race(self, requests, revoke=None):
        """The answers to `requests`, one for each connection, and that to `revoke`: (an operator's?, request). With it, some of the
        callers call when it was answered, the others at the same time."""
        await self.connect()
        order = list(range(CALLERS))
        self.random.shuffle(order)
        early = order if revoke is None else order[LATE_CALLERS:]
        asked = [self.connections[number].ask(requests[number]) for number in early[:CALLERS // 2]]
        ended = None
        if revoke is not None:
            is_operators, request = revoke
            # A connection of its own: those of the callers are busy.
            connection = self.random.choice(self.controls) if is_operators else self.connections[order[0]]
            ending = connection.ask(request)
        asked += [self.connections[number].ask(requests[number]) for number in early[CALLERS // 2:]]
        if revoke is not None:
            ended = await asyncio.wait_for(ending, ANSWER_SECONDS_MAX)
            late = [number for number in order[:LATE_CALLERS] if self.connections[number].transport is not None]
            asked += [self.connections[number].ask(requests[number]) for number in late]
        return await asyncio.wait_for(asyncio.gather(*asked), ANSWER_SECONDS_MAX), ended
