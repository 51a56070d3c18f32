"""Gatehouse under measurement: its own database, ports and resources, in release, without failpoints."""

import json
import os
import statistics
import time

from processes import BenchError, Server, http_request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("BENCH_GATEHOUSE", os.path.join(ROOT, ".build/release/gatehouse"))
AUTH, GATEWAY, ADMIN = 17080, 17000, 17090
USERS = [f"bench{number}" for number in range(8)]
PASSWORD = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}
# A service of its own: gets tokens, refreshes those of people, and may look into those for `orders`.
CLIENT, SECRET, CALLBACK = "bench", "9b1d4f6a70c2e8355b7f0e9d2c4a6188", "http://127.0.0.1:17999/callback"

SETTINGS = f"""\
issuer: http://localhost:{AUTH}
listen:
  auth: 127.0.0.1:{AUTH}
  gateway: 127.0.0.1:{GATEWAY}
  admin: 127.0.0.1:{ADMIN}
  control: unix:data/gatehouse.sock
storage: sqlite:data/gatehouse.db
master_keys: [file:data/master.key]
apply: [resources.yaml]
"""
RESOURCES = """\
users:
@USERS@
resources:
  - {id: orders, scopes: [orders:read]}
clients:
  - id: bench
    secret: @SECRET@
    grants: [client_credentials, authorization_code, refresh_token]
    redirect_uris: ["@CALLBACK@"]
    scopes: [orders:read, offline_access]
    first_party: true
    serves: [orders]
roles:
  customer: [orders:read]
routes:
  - name: orders
    match: {path: /orders, methods: [GET]}
    upstream: http://127.0.0.1:@BACKEND@
    require: {scope: orders:read, audience: orders}
""".replace("@SECRET@", SECRET).replace("@CALLBACK@", CALLBACK)


class Gatehouse(Server):
    """The server; `port` is the listener that a row loads."""

    def __init__(self, directory, backend_port, port=AUTH):
        folder = os.path.join(directory, "gatehouse")
        os.makedirs(os.path.join(folder, "data"), exist_ok=True)
        users = "\n".join(f"  - {{username: {name}, password: {PASSWORD}, roles: [customer]}}" for name in USERS)
        for name, text in (("gatehouse.yaml", SETTINGS), ("resources.yaml", RESOURCES)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text.replace("@USERS@", users).replace("@BACKEND@", str(backend_port)))
        command = [BINARY, "serve", "--config", os.path.join(folder, "gatehouse.yaml")]
        super().__init__("gatehouse", command, port, directory)

    def _is_ready(self):
        try:
            return http_request(ADMIN, "/health/ready", timeout=1)[0] == 200
        except OSError:
            return False

    def login(self, user):
        body = login_body(user)
        status, answer = http_request(AUTH, "/login", "POST", body, JSON)
        if status != 200:
            raise BenchError(f"Gatehouse answered {status} to a login: {answer[:300]!r}")
        return json.loads(answer)

    def token(self):
        return self.login(USERS[0])["access_token"]

    def sessions(self, count):
        """`count` new sessions, spread over the accounts; their refresh tokens."""
        return [self.login(USERS[number % len(USERS)])["refresh_token"] for number in range(count)]


def login_body(user=USERS[0]):
    return json.dumps({"username": user, "password": PASSWORD})


def is_built():
    return os.access(BINARY, os.X_OK)


def start_figures(directory, backend_port, starts=5):
    """Milliseconds from exec to ready on the existing database (median, shown as p50), and resident megabytes a second later."""
    times, resident = [], 0
    for _ in range(starts):
        with Gatehouse(directory, backend_port) as server:
            times.append(server.ready_seconds * 1000)
            if len(times) == starts:
                time.sleep(1)
                resident = server.resident_bytes() / 1e6
    ready = round(statistics.median(times), 1)
    return {"ready_ms": ready, "p50_ms": ready, "resident_mb": round(resident, 1), "starts": starts}
