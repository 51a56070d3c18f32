"""Services that record what reaches them, each with the HTTP parser of somebody else, and proxies in front of one of them."""

import asyncio
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import aiohttp.web
import h11


class Record:
    """The requests that a service has read to their end, in order: (method, target, body, header names)."""

    def __init__(self):
        self.requests = []
        self.lock = threading.Lock()

    def add(self, method, target, body, names):
        with self.lock:
            self.requests.append((method, target, body, names))

    def take(self):
        with self.lock:
            taken, self.requests = self.requests, []
            return taken


def text(value):
    return value if isinstance(value, str) else value.decode("latin-1")


class H11Service:
    """One thread a connection; the parser is h11."""

    def __init__(self):
        self.record = Record()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        reader = h11.Connection(h11.SERVER)
        with connection:
            try:
                while True:
                    request, body = None, b""
                    while True:
                        event = reader.next_event()
                        if event is h11.NEED_DATA:
                            reader.receive_data(connection.recv(65536))
                        elif isinstance(event, h11.Request):
                            request = event
                        elif isinstance(event, h11.Data):
                            body += bytes(event.data)
                        elif isinstance(event, h11.EndOfMessage):
                            break
                        else:
                            return
                    self.record.add(text(request.method), text(request.target), body, [text(name) for name, _ in request.headers])
                    headers = [("content-length", "2"), ("x-method", text(request.method))]
                    answer = reader.send(h11.Response(status_code=200, headers=headers))
                    answer += b"" if request.method == b"HEAD" else reader.send(h11.Data(data=b"ok"))
                    connection.sendall(answer + reader.send(h11.EndOfMessage()))
                    if reader.our_state is not h11.DONE or reader.their_state is not h11.DONE:
                        return
                    reader.start_next_cycle()
            except (h11.RemoteProtocolError, OSError):
                return

    def stop(self):
        self.listener.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """The parser is that of http.server and http.client; bodies are ours to read."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        body = self.chunks() if coding == "chunked" else self.rfile.read(int(length or 0))
        if coding != "chunked" and len(body) < int(length or 0):
            self.close_connection = True  # It broke off: no request.
            return
        self.server.record.add(self.command, self.path, body, [name.lower() for name in self.headers.keys()])
        self.send_response(200)
        self.send_header("content-length", "2")
        self.send_header("x-method", self.command)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    def chunks(self):
        body = b""
        while True:
            size = int(self.rfile.readline().strip(), 16)
            body += self.rfile.read(size)
            assert self.rfile.readline() == b"\r\n"
            if size == 0:
                return body

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class StandardService:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.record = self.record = Record()
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class AiohttpService:
    """The parser is llhttp, Node's."""

    def __init__(self):
        self.record = Record()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()
        assert ready.wait(10)

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.start())
        ready.set()
        self.loop.run_forever()

    async def start(self):
        runner = aiohttp.web.ServerRunner(aiohttp.web.Server(self.answer))
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]

    async def answer(self, request):
        body = await request.read()
        self.record.add(request.method, request.raw_path, body, [name.lower() for name in request.headers.keys()])
        return aiohttp.web.Response(body=b"ok", headers={"x-method": request.method})

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; underscores_in_headers on;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{service}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_request_buffering off;
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s
frontend gate
    bind 127.0.0.1:{port}
    default_backend service
backend service
    server one 127.0.0.1:{service}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ProxiedService:
    """nginx or HAProxy in front of an h11 service: their parser reads what we forward, and h11 what they make of it."""

    def __init__(self, name, configuration, command):
        self.service = H11Service()
        self.record = self.service.record
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix=f"gatehouse-{name}-")
        path = os.path.join(self.folder, "conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration.format(folder=self.folder, port=self.port, service=self.service.port))
        self.process = subprocess.Popen([*command, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{name} does not listen")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


SERVICES = {"h11": H11Service, "http.server": StandardService, "aiohttp": AiohttpService}
# Debian's, installed for the benchmarks; without them these two are left out.
if shutil.which("nginx"):
    SERVICES["nginx"] = lambda: ProxiedService("nginx", NGINX, ["nginx", "-c"])
if shutil.which("haproxy"):
    SERVICES["haproxy"] = lambda: ProxiedService("haproxy", HAPROXY, ["haproxy", "-db", "-f"])
