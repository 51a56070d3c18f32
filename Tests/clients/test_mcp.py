"""An MCP server behind the gateway, judged by mcp-authlab: it signs in as a client of MCP would, and attacks with what it got."""

import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading

import oauth
import pytest

# What the scanner finds missing today, and why. A line that is no longer true fails the test, as does anything else that it finds.
MISSING = {
    "TLS-01": "the quick start speaks plain HTTP on loopback",
}


class Service(http.server.BaseHTTPRequestHandler):
    """A small MCP server (streamable HTTP). Who may use it is the gateway's to decide; Origin and versions are its own."""

    protocol_version = "HTTP/1.1"
    sessions: set = set()

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=None, **headers):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path.startswith("/.well-known/oauth-protected-resource"):
            return self.answer(200, {
                "resource": oauth.MCP, "authorization_servers": [oauth.AUTH], "scopes_supported": ["mcp:use"],
                "bearer_methods_supported": ["header"],
            })
        return self.answer(405)

    def do_DELETE(self):
        self.sessions.discard(self.headers.get("mcp-session-id"))
        self.answer(204)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if self.headers.get("origin") not in (None, oauth.GATEWAY):
            return self.answer(403)
        if not self.headers.get("x-auth-subject"):
            return self.answer(500, {"problem": "the gateway let somebody through without a name"})
        method = asked["method"]
        if method == "initialize":
            session = secrets.token_urlsafe(32)
            self.sessions.add(session)
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "orders", "version": "1"}}
            return self.answer(200, {"jsonrpc": "2.0", "id": asked["id"], "result": result}, mcp_session_id=session)
        if self.headers.get("mcp-session-id") not in self.sessions:
            return self.answer(404)
        if self.headers.get("mcp-protocol-version", "2025-06-18") != "2025-06-18":
            return self.answer(400)
        if method.startswith("notifications/"):
            return self.answer(202)
        result = {
            "tools/list": {"tools": [{"name": "list_orders", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]},
            "tools/call": {"content": [{"type": "text", "text": "none"}]},
        }.get(method, {})
        return self.answer(200, {"jsonrpc": "2.0", "id": asked["id"], "result": result})


@pytest.fixture
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", oauth.PORTS["mcp"]), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


def scan(folder, *arguments, status=(0,)):
    """Runs the scanner with a home of its own; a person who signs in is its browser."""
    person = os.path.join(os.path.dirname(os.path.abspath(__file__)), "people.py")
    environment = {
        **os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
        "BROWSER": f"{sys.executable} -B {person} %s mallory-may paper-moon-harbour",
    }
    program = shutil.which("mcp-authlab", path=os.path.dirname(sys.executable))
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in status, done.stdout + done.stderr
    return done.stdout


def test_mcp_authlab_finds_nothing_but_what_is_known_to_be_missing(clients, service, tmp_path):
    scan(
        tmp_path, "login", oauth.MCP, "--client-id", "scanner", "--foreign-resource", oauth.FOREIGN, "--thorough", "--timeout", "30",
        "--redirect-port", str(oauth.PORTS["scanner"]))
    report = json.loads(scan(tmp_path, "scan", oauth.MCP, "--format", "json", "--requests"))
    status = {one["id"]: one["status"] for one in report["results"]}
    assert len(status) == 33
    found = {one["id"]: one["message"] for one in report["results"] if one["status"] != "pass"}
    assert set(found) == set(MISSING), found
    assert report["coverage"]["critical_not_run"] == []
    assert report["critical_failures"] == []
