"""A client whose token is bound to its key, and the DPoP proofs (RFC 9449) that it sends with each request to the gateway."""

import base64
import hashlib
import os
import subprocess
import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

import peers
from processes import LOAD_CORE, SERVER_CORE, BenchError, http_exchange
from tokens import ISSUER

PATH = "/orders"
# A nonce is given out for five seconds and taken for ten. Proofs are made with one that is new, and sent within nine.
NONCE_STEP, NONCE_SECONDS = 5, 9
LOAD_SECONDS_MAX = 4
PER_SECOND_MAX = 15_000
# How many at the end of the pool proofs.lua keeps for what is sent after it has stopped.
KEPT = 512


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class ProvingClient:
    def __init__(self, port):
        self.port = port
        # As the load sends it in Host: the route names no host.
        self.url = f"http://127.0.0.1:{port}{PATH}"
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.jwk = {"kty": "EC", "crv": "P-256", "x": encoded(numbers.x.to_bytes(32, "big")), "y": encoded(numbers.y.to_bytes(32, "big"))}
        text = '{"crv":"P-256","kty":"EC","x":"' + self.jwk["x"] + '","y":"' + self.jwk["y"] + '"}'
        self.jkt = encoded(hashlib.sha256(text.encode()).digest())
        self.token = None

    @property
    def ath(self):
        return encoded(hashlib.sha256(self.token.encode()).digest())

    def proof(self, method, url, nonce=None, key=None, **claims):
        claims.update(jti=uuid.uuid4().hex, htm=method, htu=url, iat=int(time.time()), **({"nonce": nonce} if nonce else {}))
        return jwt.encode(claims, key or self.key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": self.jwk})

    def get(self, proof, scheme="DPoP"):
        headers = {"Authorization": f"{scheme} {self.token}", **({"DPoP": proof} if proof else {})}
        status, fields, _ = http_exchange(self.port, PATH, headers=headers)
        return status, fields

    def nonce(self):
        status, fields = self.get(self.proof("GET", self.url, ath=self.ath))
        if status != 401 or not fields["DPoP-Nonce"] or "use_dpop_nonce" not in (fields["WWW-Authenticate"] or ""):
            raise BenchError(f"the gateway asked for no nonce: {status}")
        return fields["DPoP-Nonce"]

    def prove_bound(self, endpoints):
        """Gets the token. It passes with a proof, once; not without, not with another key, for another URL, or as a bearer token."""
        form, url = {"grant_type": "client_credentials", "scope": "orders:read"}, f"{ISSUER}/token"
        status, fields, answer = endpoints.post("/token", form, headers={"DPoP": self.proof("POST", url)})
        if status != 400 or b"use_dpop_nonce" not in answer:
            raise BenchError(f"/token asked for no nonce: {status} {answer[:200]!r}")
        answer = endpoints.tokens(form, headers={"DPoP": self.proof("POST", url, fields["DPoP-Nonce"])})
        self.token = answer["access_token"]
        if answer.get("token_type") != "DPoP" or endpoints.verified(self.token).get("cnf") != {"jkt": self.jkt}:
            raise BenchError(f"/token gave out a token that is not bound to the key: {answer}")
        nonce = self.nonce()
        good = self.proof("GET", self.url, nonce, ath=self.ath)
        thief = ec.generate_private_key(ec.SECP256R1())
        for proof, scheme, wanted in (
            (good, "DPoP", 200), (good, "DPoP", 401), (None, "DPoP", 401), (None, "Bearer", 401),
            (self.proof("GET", self.url, nonce, key=thief, ath=self.ath), "DPoP", 401),
            (self.proof("GET", self.url + "x", nonce, ath=self.ath), "DPoP", 401),
            (self.proof("GET", self.url, nonce, ath=encoded(b"x" * 32)), "DPoP", 401),
        ):
            status, _ = self.get(proof, scheme)
            if status != wanted:
                raise BenchError(f"the gateway answered {status} where {wanted} was due")

    def fresh_pool(self, directory, seconds):
        """A file of proofs for `seconds` of load that starts now, and how many: all with a nonce that has just begun. Where making them is
        slow there are fewer, so that none is too old."""
        time.sleep(NONCE_STEP - time.time() % NONCE_STEP + 0.02)
        began, nonce = time.monotonic(), self.nonce()
        count, limit = seconds * PER_SECOND_MAX // 2, NONCE_SECONDS - 1 - seconds
        environment = {**os.environ, "BENCH_KEY": f"{self.key.private_numbers().private_value:064x}"}
        command = [f"{peers.BARE}/bare-proofs", "GET", self.url, nonce, self.ath, str(count), str(limit)]
        # The server is idle, so its core helps.
        parts = [os.path.join(directory, f"proofs-{core}.txt") for core in (SERVER_CORE, LOAD_CORE)]
        makers = []
        for core, part in zip((SERVER_CORE, LOAD_CORE), parts):
            with open(part, "wb") as file:
                makers.append(subprocess.Popen(["taskset", "-c", str(core), *command], stdout=file, env=environment))
        if any([maker.wait() for maker in makers]):
            raise BenchError("the proofs could not be made")
        pool = os.path.join(directory, "proofs.txt")
        made = 0
        with open(pool, "wb") as file:
            for part in parts:
                with open(part, "rb") as lines:
                    text = lines.read()
                made += text.count(b"\n")
                file.write(text)
        spent = time.monotonic() - began
        if spent + seconds > NONCE_SECONDS or made < 4 * KEPT:
            raise BenchError(f"{made} proofs in {spent:.1f} s: too few, or too old before the load ends")
        return pool, made
