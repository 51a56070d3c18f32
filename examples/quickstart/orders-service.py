#!/usr/bin/env python3
"""The service behind the gateway in the quick start: shows what reaches a service once Gatehouse has let a request in.

    orders-service.py [PORT]        default 7001, on 127.0.0.1 only

Every answer is JSON with the method, the path and the identity headers that arrived. GET /orders adds a small list.
It checks nothing itself: the gateway has done so, and nobody but the gateway reaches this port.
"""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 64 * 1024
ORDERS = [
    {"id": 1, "item": "lantern", "quantity": 2},
    {"id": 2, "item": "padlock", "quantity": 1},
]


def is_identity(name):
    name = name.lower()
    return name.startswith(("x-auth-", "x-forwarded-")) or name in ("forwarded", "via", "txn-token", "traceparent")


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "orders-service"
    timeout = 60
    # One write for head and body, and no waiting for more: otherwise Nagle's algorithm adds 40 ms to each answer.
    wbufsize = -1
    disable_nagle_algorithm = True

    def respond(self):
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if "Transfer-Encoding" in self.headers or not 0 <= length <= BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"error": "payload_too_large"})
        received = self.rfile.read(length)
        identity = {name.lower(): value for name, value in self.headers.items() if is_identity(name)}
        answer = {"method": self.command, "path": self.path, "identity": identity}
        if received:
            answer["body_bytes"] = len(received)
        path = self.path.split("?", 1)[0]
        if path == "/orders" and self.command in ("GET", "HEAD"):
            answer["orders"] = ORDERS
        if path == "/orders" and self.command == "POST":
            return self.answer(201, answer)
        return self.answer(200, answer)

    def answer(self, status, value):
        body = (json.dumps(value, indent=2) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7001
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        Server(("127.0.0.1", port), Service).serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
