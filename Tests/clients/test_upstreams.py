"""Do our gateway and the services behind it agree on where each request begins and ends (GW-01, RFC 9112 section 11.2)?

Each case is bytes on one connection. What a service with somebody else's parser has read behind the gateway is compared with what
h11 reads in the very same bytes without one: the same requests in the same order, cut off where one of the two refuses to read on.
"""

import json
import os
import random
import re
import socket
import subprocess
import tempfile
import time

import h11
import pytest
import upstreams

BINARY = os.environ.get("QUICKSTART_BINARY", ".build-test/debug/gatehouse")
END = b"GET /end HTTP/1.1\r\nHost: h\r\n\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"


def post(*fields, body=b"", target=b"/a"):
    return b"POST " + target + b" HTTP/1.1\r\nHost: h\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def chunked(*fields, body):
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


# Odd and legal: (name, bytes, how many requests there are in front of /end).
LEGAL = [
    ("nothing odd", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 1),
    ("an empty line in front", b"\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", 1),
    ("three in one packet", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n" * 3, 3),
    ("a request as a body", post(b"Content-Length: %d" % len(INNER), body=INNER), 1),
    ("a request as the body of a GET", b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 1),
    ("a request as the body of a DELETE", b"DELETE /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 1),
    ("a request as the body of an OPTIONS", b"OPTIONS /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 1),
    ("a request as a chunk", chunked(body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)), 1),
    ("a GET in chunks", b"GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1),
    ("many chunks", chunked(body=b"1\r\na\r\n" * 50 + b"0\r\n\r\n"), 1),
    ("an empty chunked body", chunked(body=b"0\r\n\r\n"), 1),
    ("leading zeros of a size", chunked(body=b"0005\r\nhello\r\n000\r\n\r\n"), 1),
    ("sizes in either case", chunked(body=b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), 1),
    ("chunk extensions", chunked(body=b"5;a\r\nhello\r\n1;a=b;c=\"d;e\"\r\nx\r\n0;last\r\n\r\n"), 1),
    ("a quoted CRLF is none", chunked(body=b"1;a=\"\\\\0\"\r\nx\r\n0\r\n\r\n"), 1),
    ("trailer fields", chunked(body=b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nContent-Length: 99\r\n\r\n"), 1),
    ("a trailer that frames", chunked(body=b"0\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(INNER)), 1),
    ("the coding in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=b"1\r\na\r\n0\r\n\r\n"), 1),
    ("spaces around the coding", post(b"Transfer-Encoding: \t chunked \t", body=b"1\r\na\r\n0\r\n\r\n"), 1),
    ("spaces around the length", post(b"Content-Length: \t 5 \t", body=b"hello"), 1),
    ("no space behind the colon", b"GET /a HTTP/1.1\r\nHost:h\r\nX:y\r\n\r\n", 1),
    ("leading zeros of the length", post(b"Content-Length: 0005", body=b"hello"), 1),
    ("a length of none", post(b"Content-Length: 0"), 1),
    ("a length that Connection lists", post(b"Connection: content-length", b"Content-Length: 5", body=b"hello"), 1),
    ("a coding that Connection lists", chunked(b"Connection: transfer-encoding, te", b"TE: trailers", body=b"1\r\na\r\n0\r\n\r\n"), 1),
    ("another spelling of the length", post(b"Content-Length: 5", b"Content_Length: 50", b"Content.Length: 500", body=b"hello"), 1),
    ("another spelling of the coding", post(b"Content-Length: 5", b"Transfer_Encoding: chunked", b"Transfer.Encoding: chunked", body=b"hello"), 1),
    ("names close to those", post(b"Content-Length: 5", b"X-Transfer-Encoding: chunked", b"Content-Lengths: 1", b"Transfer-Encodin: chunked", body=b"hello"), 1),
    ("an upgrade that is not taken", b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 1),
    ("a WebSocket that is not taken", b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", 1),
    ("an expectation, not waited for", post(b"Expect: 100-continue", b"Content-Length: %d" % len(INNER), body=INNER), 1),
    ("an expectation of an empty body", post(b"Expect: 100-continue", b"Content-Length: 0"), 1),
    ("HEAD between others", b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", 2),
    ("HEAD with a body", b"HEAD /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 1),
    ("a method of WebDAV", b"REPORT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 1),
    ("bytes outside ASCII in a value", b"GET /a HTTP/1.1\r\nHost: h\r\nX: caf\xc3\xa9 \xff\r\n\r\n", 1),
    ("an empty value", b"GET /a HTTP/1.1\r\nHost: h\r\nX:\r\nY: \r\n\r\n", 1),
    ("a request in a value", b"GET /a HTTP/1.1\r\nHost: h\r\nX: GET /inner HTTP/1.1\r\n\r\n", 1),
    ("a request in the query", b"GET /a?GET%20/inner%20HTTP/1.1%0d%0aHost:%20h%0d%0a%0d%0a HTTP/1.1\r\nHost: h\r\n\r\n", 1),
    ("every token character in a name", b"GET /a HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", 1),
    ("ninety fields", b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(90)) + b"\r\n", 1),
    ("one body behind the other", post(b"Content-Length: 5", body=b"hello") + chunked(body=b"1\r\na\r\n0\r\n\r\n") + post(b"Content-Length: 0"), 3),
    ("a large body in one chunk", chunked(body=b"%x\r\n" % 200_000 + b"x" * 200_000 + b"\r\n0\r\n\r\n"), 1),
    ("a large body with a length", post(b"Content-Length: 200000", body=b"x" * 200_000), 1),
]

# What two readers have understood differently: the gateway refuses, and nothing behind it is a request.
AMBIGUOUS = [
    ("CL.TE", post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER)),
    ("TE.CL", post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER))),
    ("two lengths", post(b"Content-Length: 0", b"Content-Length: %d" % len(INNER), body=INNER)),
    ("two equal lengths", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    ("a list of lengths", post(b"Content-Length: 5, 5", body=b"hello")),
    *((f"a length of {value!r}", post(b"Content-Length: " + value, body=b"hello")) for value in (
        b"+5", b"-5", b"5.0", b"0x5", b"5 5", b"\xd9\xa5", b"", b"five", b"5_0", b"1e1", b"\"5\"", b"99999999999999999999", b"5;", b"5,")),
    *((f"a coding of {value!r}", post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n" + INNER)) for value in (
        b"chunked, chunked", b"gzip, chunked", b"chunked, identity", b"identity", b"xchunked", b"chunkedx", b"chunked;q=1", b"\"chunked\"", b"",
        b"chunked\x0b", b"\x0bchunked", b"ch\xc3\xbcnked", b",chunked", b"chunked,", b"chunked identity")),
    ("two codings", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER)),
    ("a coding and none", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + INNER)),
    ("a coding in 1.0", b"POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER),
    ("a space in front of the colon", post(b"Transfer-Encoding : chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + INNER)),
    ("a tab in front of the colon", post(b"Content-Length\t: 5", body=b"hello")),
    ("a folded coding", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + INNER)),
    ("a folded length", post(b"X: y\r\n Content-Length: 5", body=b"hello")),
    ("a bare CR in front of the coding", post(b"X: y\rTransfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER)),
    ("a bare LF in front of the coding", post(b"X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER)),
    ("lines that end in LF", b"GET /a HTTP/1.1\nHost: h\n\n"),
    ("a head that ends in LF", b"GET /a HTTP/1.1\r\nHost: h\r\n\n" + INNER),
    ("a NUL in a value", post(b"X: \x00", b"Content-Length: 0")),
    ("a NUL in a name", post(b"X\x00: y")),
    ("a name that is none", post(b"X(Y): z")),
    ("a line without a colon", post(b"Content-Length")),
    ("an empty name", post(b": 5")),
    ("a line of spaces", post(b" ")),
    ("two Hosts", b"GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"),
    ("no Host", b"GET /a HTTP/1.1\r\n\r\n"),
    ("absolute-form", b"GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a second version", b"GET /a HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("HTTP/0.9", b"GET /a\r\n\r\n"),
    ("HTTP/1.10", b"GET /a HTTP/1.10\r\nHost: h\r\n\r\n"),
    ("two spaces", b"GET  /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two empty lines in front", b"\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a space in front", b" GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]

# Bodies that break off the connection when they are found: the head may have been forwarded, the rest is no request.
BAD_CHUNKS = [
    ("a size that is none", b"x\r\n" + INNER), ("an empty size", b"\r\n" + INNER), ("a signed size", b"+1\r\na\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x1\r\na\r\n0\r\n\r\n"), ("a size with a space", b"1 \r\na\r\n0\r\n\r\n"), ("a space in front", b" 1\r\na\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", b"10000000000000001\r\na\r\n0\r\n\r\n"), ("a size that ends in LF", b"1\na\r\n0\r\n\r\n"),
    ("an extension that ends in LF", b"1;a\na\r\n0\r\n\r\n"), ("a CR in an extension", b"1;a\rb\r\na\r\n0\r\n\r\n"),
    ("no CRLF behind a chunk", b"1\r\nab\r\n0\r\n\r\n"), ("LF behind a chunk", b"1\r\na\n0\r\n\r\n"), ("a chunk too short", b"5\r\nab\r\n0\r\n\r\n" + INNER),
    ("a trailer that ends in LF", b"0\r\nX: y\n\r\n"), ("a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n"), ("a trailer without a colon", b"0\r\n" + INNER),
    ("a last chunk of LF", b"0\n\n" + INNER), ("an extension without end", b"1;" + b"a" * 5000 + b"\r\na\r\n0\r\n\r\n"),
]


def read_directly(data):
    """(method, target, body) of each request that h11 reads to its end in `data`, and whether it refused to read on."""
    reader = h11.Connection(h11.SERVER)
    found = []
    reader.receive_data(data)
    reader.receive_data(b"")
    try:
        while True:
            request, body = None, b""
            while True:
                event = reader.next_event()
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return found, event not in (h11.NEED_DATA,) and not isinstance(event, h11.ConnectionClosed)
            found.append((request.method.decode("latin-1"), request.target.decode("latin-1"), body))
            reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            reader.send(h11.EndOfMessage())
            if reader.our_state is not h11.DONE or reader.their_state is not h11.DONE:
                return found, False
            reader.start_next_cycle()
    except h11.RemoteProtocolError:
        return found, True


class Gateway:
    """A Gatehouse of its own, with one open route to a service."""

    def __init__(self, service):
        self.service = service
        self.folder = tempfile.TemporaryDirectory(prefix="gatehouse-")
        root = self.folder.name
        with open(os.path.join(root, "resources.yaml"), "w", encoding="utf-8") as file:
            file.write(f"routes:\n  - {{name: all, match: {{path: /}}, upstream: 'http://127.0.0.1:{service.port}', require: none}}\n")
        with open(os.path.join(root, "gatehouse.yaml"), "w", encoding="utf-8") as file:
            file.write(
                'listen: {auth: "127.0.0.1:0", gateway: "127.0.0.1:0", admin: "127.0.0.1:0", control: "unix:c.sock"}\n'
                "storage: sqlite:g.db\nmaster_keys: [file:m.key]\napply: [resources.yaml]\nlog: {format: json, level: info}\n"
            )
        self.log = os.path.join(root, "log")
        with open(self.log, "wb") as log:
            command = [os.path.abspath(BINARY), "serve", "--config", "gatehouse.yaml"]
            self.process = subprocess.Popen(command, cwd=root, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.port = self.wait_for_port()

    def wait_for_port(self):
        for _ in range(400):
            with open(self.log, encoding="utf-8") as log:
                events = [json.loads(line) for line in log if line.endswith("\n")]
            if any(event["event"] == "ready" for event in events):
                address = next(event["address"] for event in events if event.get("listener") == "gateway")
                return int(address.rsplit(":", 1)[1])
            assert self.process.poll() is None, open(self.log, encoding="utf-8").read()
            time.sleep(0.05)
        raise RuntimeError("gatehouse is not ready")

    def ask(self, data):
        """Sends `data`, closes the sending side, and returns the answers until the gateway closes: (status, body), without 1xx."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all of it was sent; the refusal is there to be read
            try:
                while part := connection.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass
        return list(split_answers(answer))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.folder.cleanup()


def split_answers(data):
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        assert found and re.match(rb"HTTP/1\.1 \d{3} ", head), f"no answer: {head[:200]!r}"
        status = int(head[9:12])
        if status < 200:
            continue
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        length = 0 if fields.get(b"x-method", b"").strip() == b"head" else int(fields[b"content-length"])
        assert len(data) >= length, "an answer was cut"
        yield status, data[:length]
        data = data[length:]


@pytest.fixture(scope="module", params=sorted(upstreams.SERVICES))
def gateway(request):
    service = upstreams.SERVICES[request.param]()
    started = Gateway(service)
    yield started
    started.stop()
    service.stop()


def agree(gateway, data):
    """Sends `data`; checks that both sides agree; returns what arrived and the answers."""
    gateway.service.record.take()
    answers = gateway.ask(data)
    arrived = gateway.service.record.take()
    direct, _ = read_directly(data)
    seen = [(method, target, body) for method, target, body, _ in arrived]
    assert [status for status, _ in answers].count(200) == len(seen), "each request that arrived was answered, and none else"
    # The n-th answer is for the n-th request; a service may refuse one that the gateway and h11 take.
    taken = [number for number, (status, _) in enumerate(answers) if status == 200]
    for request, number in zip(seen, taken):
        assert number >= len(direct) or request == direct[number], "the gateway and h11 read other requests in the same bytes"
    for _, _, _, names in arrived:
        assert names.count("host") == 1 and names.count("content-length") + names.count("transfer-encoding") <= 1
        assert not {"content_length", "transfer_encoding", "content.length", "transfer.encoding", "upgrade", "te", "expect"} & set(names)
    return seen, answers, direct


@pytest.mark.parametrize(("data", "count"), [pytest.param(data, count, id=name) for name, data, count in LEGAL])
def test_what_is_odd_and_legal_arrives_as_it_was_sent(gateway, data, count):
    seen, answers, direct = agree(gateway, data + END)
    assert [status for status, _ in answers] == [200] * (count + 1)
    assert seen[-1] == ("GET", "/end", b"") and len(seen) == count + 1
    assert seen == direct[: len(seen)] or len(direct) < len(seen)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in AMBIGUOUS])
def test_what_is_ambiguous_is_refused_and_nothing_behind_it_is_read(gateway, data):
    seen, answers, _ = agree(gateway, data + END)
    assert seen == [] and len(answers) == 1 and answers[0][0] in (400, 505)
    assert set(json.loads(answers[0][1])) == {"error", "error_description", "trace_id"}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in BAD_CHUNKS])
def test_a_bad_chunk_ends_the_connection(gateway, body):
    seen, answers, _ = agree(gateway, chunked(body=body) + END)
    assert seen == [] and [status for status, _ in answers] == [400]


@pytest.mark.parametrize("name", ["Content-Length: 5\r\n\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "X: y\r\n", "Content-Length: 5\r\n\r\n"])
def test_a_request_that_breaks_off_is_no_request(gateway, name):
    seen, answers, _ = agree(gateway, b"POST /a HTTP/1.1\r\nHost: h\r\n" + name.encode())
    assert seen == [] and 200 not in [status for status, _ in answers]


def mutated(generator):
    """One to three requests of the corpus, with one to four small changes."""
    legal = [data for _, data, _ in LEGAL if len(data) < 2000]
    ambiguous = [data for _, data in AMBIGUOUS] + [chunked(body=body) for _, body in BAD_CHUNKS]
    data = bytearray(b"".join(generator.choice(legal if generator.random() < 0.9 else ambiguous) for _ in range(generator.randint(1, 3))))
    pieces = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"5", b"chunked", b"\0", b"\xff", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", INNER]
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(data) + 1)
        match generator.randrange(4):
            case 0:
                data[at:at] = generator.choice(pieces)
            case 1:
                del data[at : at + generator.randint(1, 4)]
            case 2:
                data[at : at + 1] = generator.choice(pieces)
            case _:
                data[at:at] = data[at : at + generator.randint(1, 40)]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_requests_are_read_alike_or_refused(gateway, seed):
    generator = random.Random(seed)
    arrived = 0
    for number in range(250):
        data = mutated(generator)
        try:
            seen, _, _ = agree(gateway, data + END)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, case {number}: {data!r}: {error}") from error
        arrived += len(seen)
    assert arrived > 50, "the search must not only find refusals"
