"""The OAuth endpoints: tokens for a service, refreshing, introspection, discovery, and DPoP at the gateway."""

import base64
import json
import os
import urllib.parse

import jwt

import browser
import gatehouse
import glewlwyd
import peers
import proofs
from load import Load, measure, run_wrk
from processes import BenchError, http_exchange
from tokens import ISSUER

CREDENTIALS, REFRESH = "POST /token, client_credentials", "POST /token, refresh_token"
INTROSPECT, METADATA, DPOP = "POST /introspect, active access token", "GET discovery and JWKS", "proxied GET, DPoP"
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/.well-known/jwks.json"
REFRESH_CONNECTIONS = 32
CREDENTIALS_BODY = "grant_type=client_credentials&scope=orders%3Aread"


class Endpoints:
    """Where one of the two servers answers, and as whom it signs."""

    def __init__(self, server, prefix, issuer, jwks, codes):
        self.server, self.prefix, self.issuer, self.jwks, self.codes = server, prefix, issuer, jwks, codes

    def post(self, path, form, secret=gatehouse.SECRET, headers=None):
        headers = {**form_headers(secret), **(headers or {})}
        return http_exchange(self.server.port, self.prefix + path, "POST", urllib.parse.urlencode(form), headers)

    def tokens(self, form, wanted="access_token", **more):
        """The answer of `/token`, which must have the member `wanted`."""
        status, _, answer = self.post("/token", form, **more)
        if status != 200 or wanted not in (members := json.loads(answer)):
            raise BenchError(f"{self.server.name} gave out no {wanted}: {status} {answer[:300]!r}")
        return members

    def service_token(self):
        return self.tokens({"grant_type": "client_credentials", "scope": "orders:read"})["access_token"]

    def sessions(self, count):
        """The refresh tokens of `count` new grants."""
        return [
            self.tokens(
                {"grant_type": "authorization_code", "code": code, "redirect_uri": gatehouse.CALLBACK, **more}, "refresh_token",
            )["refresh_token"]
            for code, more in self.codes(count)
        ]

    def verified(self, token):
        """The claims, checked as a service would with what the server publishes."""
        status, _, answer = http_exchange(self.server.port, self.jwks)
        if status != 200:
            raise BenchError(f"{self.server.name} answered {status} to a request for its keys")
        header = jwt.get_unverified_header(token)
        keys = {key["kid"]: key for key in json.loads(answer)["keys"]}
        try:
            return jwt.decode(
                token, jwt.PyJWK(keys[header["kid"]], "ES256").key, algorithms=["ES256"], issuer=self.issuer,
                options={"verify_aud": False, "require": ["exp", "iat", "jti", "scope"]})
        except (jwt.PyJWTError, KeyError) as error:
            raise BenchError(f"{self.server.name} signed a token that does not verify: {error!r}") from error

    def refused(self, path, form, **more):
        status, _, answer = self.post(path, form, **more)
        if not 400 <= status < 500:
            raise BenchError(f"{self.server.name} answered {status} at {path} where a refusal was due: {answer[:200]!r}")

    # --- proofs that it does what the rows say

    def prove_credentials(self):
        """Two requests get two tokens that verify; a wrong secret gets none."""
        claims = [self.verified(self.service_token()) for _ in range(2)]
        if claims[0]["jti"] == claims[1]["jti"] or any(one["scope"] != "orders:read" for one in claims):
            raise BenchError(f"{self.server.name} gave out wrong tokens: {claims}")
        self.refused("/token", {"grant_type": "client_credentials", "scope": "orders:read"}, secret="wrong" + gatehouse.SECRET)

    def prove_refresh(self):
        """A refresh token gets an access token that verifies and a successor, and is refused once that was used."""
        first = self.sessions(1)[0]
        chain = [first]
        for _ in range(2):
            answer = self.tokens({"grant_type": "refresh_token", "refresh_token": chain[-1]}, "refresh_token")
            self.verified(answer["access_token"])
            chain.append(answer["refresh_token"])
        if len(set(chain)) != 3:
            raise BenchError(f"{self.server.name} does not rotate refresh tokens")
        self.refused("/token", {"grant_type": "refresh_token", "refresh_token": first})

    def prove_introspects(self, token):
        """True of a good token and false of one whose signature is wrong; nothing for a wrong secret."""
        head, _, signature = token.rpartition(".")
        broken = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        for candidate, wanted in ((token, True), (broken, False)):
            status, _, answer = self.post("/introspect", {"token": candidate})
            if status != 200 or json.loads(answer).get("active") is not wanted:
                raise BenchError(f"{self.server.name} judged a {'good' if wanted else 'broken'} token wrongly: {status} {answer[:200]!r}")
        self.refused("/introspect", {"token": token}, secret="wrong" + gatehouse.SECRET)


def form_headers(secret=gatehouse.SECRET):
    basic = base64.b64encode(f"{gatehouse.CLIENT}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}


class OAuthRows:
    """What the rows share: the folder and the seconds of load of this run, and how long Gatehouse's documents are."""

    def __init__(self, bench):
        self.bench, self.directory, self.seconds = bench, bench.directory, bench.seconds
        self.lengths = {}

    def gatehouse(self):
        server = self.bench.gatehouse()
        return Endpoints(server, "", ISSUER, JWKS, browser.codes)

    def glewlwyd(self):
        server = glewlwyd.Glewlwyd(self.directory)
        return Endpoints(server, glewlwyd.API, server.issuer, f"{glewlwyd.API}/jwks", server.codes)

    def credentials(self, make):
        with (peer := make()).server as server:
            peer.prove_credentials()
            load = Load(f"{peer.prefix}/token", "POST", form_headers(), CREDENTIALS_BODY)
            return measure(server, load, self.seconds)

    def refresh(self, make):
        with (peer := make()).server as server:
            peer.prove_refresh()
            tokens = os.path.join(self.directory, "refresh.txt")
            with open(tokens, "w", encoding="utf-8") as file:
                # More than connections, so that the queue never runs dry.
                file.write("".join(token + "\n" for token in peer.sessions(2 * REFRESH_CONNECTIONS)))
            body = "grant_type=refresh_token&refresh_token=@TOKEN@"
            load = Load(
                f"{peer.prefix}/token", "POST", form_headers(), body, script="refresh.lua", environment={"TOKENS": tokens},
                connections=REFRESH_CONNECTIONS)
            # No warm-up: it would spend the tokens.
            return measure(server, load, self.seconds, warm_up=False)

    def introspect(self, make):
        with (peer := make()).server as server:
            # Gatehouse: a person's token of another client, which the caller may look into because it serves the token's audience.
            token = server.token() if isinstance(server, gatehouse.Gatehouse) else peer.service_token()
            peer.prove_introspects(token)
            load = Load(f"{peer.prefix}/introspect", "POST", form_headers(), urllib.parse.urlencode({"token": token}))
            return measure(server, load, self.seconds)

    def document(self, path, member):
        with self.bench.gatehouse() as server:
            answer = peers.expect(server, 200, path=path)
            if not json.loads(answer).get(member):
                raise BenchError(f"{path} has no {member}: {answer[:200]!r}")
            self.lengths[path] = len(answer)
            return measure(server, Load(path), self.seconds)

    def document_bare(self, path):
        if path not in self.lengths:
            raise BenchError(f"the length of {path} is not known")
        with peers.bare_nio(self.directory, self.lengths[path]) as server:
            if len(peers.expect(server, 200)) != self.lengths[path]:
                raise BenchError("bare NIO answers with another length")
            return measure(server, Load(path), self.seconds)

    def dpop(self):
        """Every request with a proof of its own, all made just before the load and sent before their nonce is too old."""
        with peers.backend(self.directory), self.bench.gatehouse(gatehouse.GATEWAY) as server:
            known = self.bench.bearer(server.token())
            run_wrk(server.port, known, 1)
            client = proofs.ProvingClient(server.port)
            client.prove_bound(self.gatehouse())
            seconds = min(self.seconds, proofs.LOAD_SECONDS_MAX)
            path, count = client.fresh_pool(self.directory, seconds)
            headers = {"Authorization": f"DPoP {client.token}"}
            load = Load(proofs.PATH, headers=headers, script="proofs.lua", environment={"PROOFS": path})
            figures = measure(server, load, seconds, warm_up=False)
            if figures["requests"] > count - 2 * proofs.KEPT:
                figures.update(per_second=None, note="the proofs were used up before the time was over")
            return figures


def rows(bench):
    """(group, name, measure, whether it needs Gatehouse) of each row."""
    own = OAuthRows(bench)
    for group, row in ((CREDENTIALS, own.credentials), (REFRESH, own.refresh), (INTROSPECT, own.introspect)):
        what = {CREDENTIALS: "client_credentials", REFRESH: "refresh at /token", INTROSPECT: "introspection"}[group]
        yield group, f"gatehouse, {what}", lambda row=row: row(own.gatehouse), True
        yield group, f"glewlwyd, {what}", lambda row=row: row(own.glewlwyd), False
    for path, what, member in ((DISCOVERY, "discovery", "token_endpoint"), (JWKS, "JWKS", "keys")):
        yield METADATA, f"gatehouse, {what}", lambda path=path, member=member: own.document(path, member), True
        yield METADATA, f"bare NIO, as long as {what}", lambda path=path: own.document_bare(path), True
    yield DPOP, "gatehouse, DPoP proof each time", own.dpop, True
