"""The rows of the table, in order. Each starts what it needs, proves that it answers rightly, and is measured alone."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Callable

import cluster
import gatehouse
import oauth
import peers
from gatehouse import JSON, Gatehouse, login_body
from load import CONNECTIONS, REFRESH_BODY, Load, measure, run_wrk
from processes import SERVER_CORE, BenchError
from tokens import TokenMaker

VALIDATE, PROXY, FIRST = "POST /validate, known token", "proxied GET", "token seen for the first time"
LOGIN, REFRESH, START = "POST /login", "POST /token/refresh", "start"
# One login at a time, as the bare program hashes: two hashes that share a core would spend time on each other's cache.
HASHING_CONNECTIONS = 1
REFRESH_CONNECTIONS = 32
COLLECT_SECONDS_MAX = 30


@dataclass
class Row:
    group: str
    name: str
    measure: Callable[[], dict]
    needs_gatehouse: bool = False


def all_rows(directory, seconds):
    bench = Bench(directory, seconds)
    rows = [
        Row(VALIDATE, "gatehouse /validate", bench.validate, True),
        Row(VALIDATE, "bare NIO, fixed answer", bench.validate_bare),
        Row(VALIDATE, "Flask + PyJWT", bench.validate_flask),
        Row(PROXY, "gatehouse, known token", bench.proxy_gatehouse, True),
    ]
    for name, make, guarded in (
        ("nginx, plain", peers.nginx, False),
        ("HAProxy, plain", peers.haproxy, False),
        ("HAProxy, jwt_verify", lambda folder: peers.haproxy(folder, "haproxy-jwt"), True),
        ("Envoy, plain", peers.envoy, False),
        ("Envoy, jwt_authn", lambda folder: peers.envoy(folder, "envoy-jwt"), True),
        ("Envoy, jwt_authn with cache", lambda folder: peers.envoy(folder, "envoy-cache"), True),
        ("Traefik, plain", peers.traefik, False),
    ):
        rows.append(Row(PROXY, name, lambda make=make, guarded=guarded: bench.proxy_peer(make, guarded)))
    return rows + [
        Row(FIRST, "gatehouse, token seen first", bench.first_sight, True),
        Row(FIRST, "gatehouse, known token at that pace", bench.known_paced, True),
        Row(FIRST, "bare ES256 verification", lambda: bench.bare_crypto("es256_verify")),
        Row(FIRST, "bare ES256 signature", lambda: bench.bare_crypto("es256_sign")),
        Row(LOGIN, "gatehouse /login", bench.login, True),
        Row(LOGIN, "bare Argon2id", bench.bare_argon2),
        Row(REFRESH, "gatehouse /token/refresh", bench.refresh, True),
        Row(REFRESH, "bare SQLite commit", bench.bare_sqlite),
    ] + [Row(*row) for row in oauth.rows(bench)] + [
        Row(START, "gatehouse, existing database", bench.start, True),
    ] + [Row(cluster.GROUP, name, measure, True) for name, measure in cluster.rows(directory, seconds, peers.PORTS["backend"])]


class Bench:
    """What the rows share: the folder of this run, the seconds of load, one token of each kind for the peers."""

    def __init__(self, directory, seconds):
        self.directory, self.seconds = directory, seconds
        self.maker = TokenMaker(directory)
        self.token, self.forged = self.maker.token(), self.maker.forged()
        self.first_sight_pace = None

    def gatehouse(self, port=gatehouse.AUTH):
        return Gatehouse(self.directory, peers.PORTS["backend"], port)

    # --- /validate

    def validate_load(self, token):
        return Load("/validate", "POST", JSON, peers.validate_body(token))

    def validate(self):
        with self.gatehouse() as server:
            token = server.token()
            peers.prove_validates(server, token, self.forged)
            return measure(server, self.validate_load(token), self.seconds)

    def validate_bare(self):
        with peers.bare_nio(self.directory) as server:
            peers.prove_open(server)
            return measure(server, self.validate_load(self.token), self.seconds)

    def validate_flask(self):
        with peers.flask(self.directory) as server:
            peers.prove_validates(server, self.token, self.forged)
            return measure(server, self.validate_load(self.token), self.seconds)

    # --- through a proxy

    def bearer(self, token):
        return Load("/orders", headers={"Authorization": f"Bearer {token}"})

    def proxy_gatehouse(self):
        with peers.backend(self.directory), self.gatehouse(gatehouse.GATEWAY) as server:
            token = server.token()
            peers.prove_guarded(server, token, self.forged)
            return measure(server, self.bearer(token), self.seconds)

    def proxy_peer(self, make, guarded):
        with peers.backend(self.directory), make(self.directory) as server:
            if guarded:
                peers.prove_guarded(server, self.token, self.forged)
            else:
                peers.prove_open(server)
            # The plain ones get the token too, so that all move the same bytes.
            return measure(server, self.bearer(self.token), self.seconds)

    # --- a new token each time

    def first_sight(self):
        """Tokens come from refreshes; then a restart, so that no cache knows any of them."""
        pool = os.path.join(self.directory, "pool.txt")
        with self.gatehouse() as server:
            run_wrk(server.port, self.refresh_load(server, pool), min(6 * self.seconds, COLLECT_SECONDS_MAX))
        with peers.backend(self.directory), self.gatehouse(gatehouse.GATEWAY) as server:
            known = self.bearer(server.token())
            load = Load("/orders", script="pool.lua", environment={"TOKENS": pool})
            figures = measure(server, load, self.seconds, warm_up=known)
        with open(pool, encoding="utf-8") as file:
            size = sum(1 for _ in file)
        if figures["requests"] > size - 2 * CONNECTIONS:
            # Used up before the time was over.
            figures["per_second"] = None
        self.first_sight_pace = figures["per_second"]
        return figures

    def known_paced(self):
        """A known token at about the pace of the row before: at full speed the kernel finds the other core always awake, and a
        request costs it less than half, which has nothing to do with tokens."""
        if not self.first_sight_pace:
            raise BenchError("the pace of first sights is not known")
        with peers.backend(self.directory), self.gatehouse(gatehouse.GATEWAY) as server:
            load = self.bearer(server.token())
            load.script, load.environment = "paced.lua", {"DELAY": str(max(1, round(CONNECTIONS / self.first_sight_pace * 1000)))}
            return measure(server, load, self.seconds)

    def bare_crypto(self, operation):
        figures = self.bare("bare-crypto", min(self.seconds, 2))
        return {"cpu_us": figures[operation], "per_second": round(1e6 / figures[operation], 1)}

    def bare(self, program, *arguments):
        """One of the bare programs, pinned as the servers are; its JSON."""
        command = ["taskset", "-c", str(SERVER_CORE), f"{peers.BARE}/{program}", *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            raise BenchError(f"{program}: {error}: {error.stderr}") from error
        return json.loads(done.stdout)

    # --- login, refresh

    def login(self):
        with self.gatehouse() as server:
            server.token()
            load = Load("/login", "POST", JSON, login_body(), connections=HASHING_CONNECTIONS)
            return measure(server, load, self.seconds)

    def bare_argon2(self):
        figures = self.bare("bare-argon2", self.seconds)
        return {"cpu_us": figures["cpu_us"], "per_second": round(1e6 / figures["wall_us"], 1)}

    def refresh_load(self, server, collect=None):
        """More sessions than connections, so that the queue of tokens never runs dry."""
        tokens = os.path.join(self.directory, "refresh.txt")
        with open(tokens, "w", encoding="utf-8") as file:
            file.write("".join(token + "\n" for token in server.sessions(2 * REFRESH_CONNECTIONS)))
        environment = {"TOKENS": tokens, **({"COLLECT": collect} if collect else {})}
        return Load(
            "/token/refresh", "POST", JSON, REFRESH_BODY, script="refresh.lua", environment=environment, connections=REFRESH_CONNECTIONS)

    def refresh(self):
        with self.gatehouse() as server:
            # No warm-up: it would spend the tokens. The logins before have opened the database and warmed the signer.
            return measure(server, self.refresh_load(server), self.seconds, warm_up=False)

    def bare_sqlite(self):
        figures = self.bare("bare-sqlite", self.seconds, os.path.join(self.directory, "bare.db"))
        return {"cpu_us": figures["cpu_us"], "per_second": round(1e6 / figures["wall_us"], 1)}

    # --- start

    def start(self):
        with self.gatehouse():
            pass
        return gatehouse.start_figures(self.directory, peers.PORTS["backend"])
