"""What is good once, by its type: how it is made, asked for, got and ended."""

import base64
import hashlib
import html
import json
import re
import time
import urllib.parse

from node import Broken
from racing import CALLERS

# So many of a type are made at once.
BATCH = 6
SECRET = "f3a9c1d07b5e48629a1f0c7d3e6b8254"
PASSWORD = "correct-horse-battery"
CALLBACK = "http://127.0.0.1:9000/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def encoded(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(key, header, claims):
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "EdDSA", **header}, claims))
    return f"{signed}.{encoded(key.sign(signed.encode()))}"


def http(method, path, body=b"", **headers):
    """The bytes of one request; a body is a form (dict) or JSON (text)."""
    if isinstance(body, dict):
        body, headers["content_type"] = urllib.parse.urlencode(body).encode(), "application/x-www-form-urlencoded"
    elif isinstance(body, str):
        body, headers["content_type"] = body.encode(), "application/json"
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def told(answer, status=200):
    """The JSON of an answer to what prepares a race."""
    if answer.status != status:
        raise Broken(f"prepared in vain: {answer.status} {answer.head[:200]} {answer.body[:300]}")
    return json.loads(answer.body) if answer.body[:1] == b"{" else None


class Kind:
    """One type of artefact, as one worker makes and races it."""

    is_once = True
    # Which statuses refuse for good.
    refusals = (400, 401)

    def __init__(self, worker):
        self.worker, self.callers = worker, worker.callers

    async def make(self):
        """A few artefacts."""

    async def wait_until_known(self):
        """Until every node takes what has been declared or enabled."""

    async def requests(self, artefact):
        """What the callers send; the same for all of them as a rule."""

    def got(self, answer):
        """What the answer gives, or nothing."""
        return json.loads(answer.body)["access_token"] if answer.status == 200 else None

    async def revocation(self, _artefact):
        """What makes the artefact worthless: (an operator's?, request), or nothing."""
        return None

    async def afterwards(self, _artefact, _gains, _is_revoked):
        """Sentences on what is wrong after the race; puts right what the revocation ended."""
        return []


class OfClient(Kind):
    """Ended by disabling its client, which every node has to have heard of when it is enabled again."""

    @property
    def client(self):
        return f"{self.prefix}{self.worker.number}"

    async def revocation(self, _artefact):
        return True, http("PATCH", f"/admin/clients/{self.client}", '{"disabled":true}')

    async def afterwards(self, _artefact, _gains, is_revoked):
        if is_revoked:
            told(await self.callers.operate(http("PATCH", f"/admin/clients/{self.client}", '{"disabled":false}')), 204)
            await self.wait_until_known()
        return []

    async def wait_until_known(self):
        limit = time.monotonic() + 10
        for number in range(len(self.callers.ports)):
            while (answer := await self.callers.call(await self.harmless(), number)).status not in (200, 201):
                if time.monotonic() > limit:
                    raise Broken(f"{self.client} is enabled, and a node refuses it: {answer.status} {answer.body[:300]}")

    def secret(self, **form):
        return {"client_id": self.client, "client_secret": SECRET, **form}


class Proofs(OfClient):
    prefix, grant = "proving", {"grant_type": "client_credentials"}

    async def harmless(self):
        return http("POST", "/token", self.secret(**self.grant))

    async def make(self):
        nonce = (await self.callers.call(self.request(self.proof(None)))).field(b"dpop-nonce")
        return [self.proof(nonce) for _ in range(BATCH)]

    def proof(self, nonce):
        key = self.worker.key
        public = encoded(key.public_key().public_bytes_raw())
        claims = {"jti": self.worker.unique(), "htm": "POST", "htu": self.worker.issuer + "/token", "iat": int(time.time())}
        header = {"typ": "dpop+jwt", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": public}}
        return jwt(key, header, {**claims, **({"nonce": nonce} if nonce else {})})

    def request(self, proof):
        return http("POST", "/token", self.secret(**self.grant), dpop=proof)

    async def requests(self, artefact):
        return [self.request(artefact)] * CALLERS


class Assertions(OfClient):
    prefix = "asserting"

    def assertion(self):
        now = int(time.time())
        claims = {"iss": self.client, "sub": self.client, "aud": self.worker.issuer, "iat": now, "exp": now + 120}
        return jwt(self.worker.key, {"kid": "one"}, {**claims, "jti": self.worker.unique()})

    def request(self, assertion):
        return http("POST", "/token", {
            "grant_type": "client_credentials", "client_id": self.client, "client_assertion_type": ASSERTION,
            "client_assertion": assertion})

    async def harmless(self):
        return self.request(self.assertion())

    async def make(self):
        return [self.assertion() for _ in range(BATCH)]

    async def requests(self, artefact):
        return [self.request(artefact)] * CALLERS


class PushedRequests(OfClient):
    prefix, refusals = "pushing", (303, 400, 401)

    async def harmless(self):
        return http("POST", "/par", self.secret(**authorization(self.client)))

    async def make(self):
        await self.worker.signed_in()
        return [told(answer, 201)["request_uri"] for answer in await self.callers.each([await self.harmless()] * BATCH)]

    async def requests(self, artefact):
        query = urllib.parse.urlencode({"client_id": self.client, "request_uri": artefact})
        return [http("GET", f"/authorize?{query}", cookie=self.worker.cookie)] * CALLERS

    def got(self, answer):
        return code(answer)


class EndedWithSession(Kind):
    """Ended with all sessions of its person, who signs in anew."""

    async def revocation(self, _artefact):
        return True, http("DELETE", f"/admin/users/racer{self.worker.number}/sessions")

    async def afterwards(self, _artefact, _gains, is_revoked):
        if is_revoked:
            self.worker.cookies = {}
            await self.worker.signed_in()
        return []


class Codes(EndedWithSession):
    def token(self, form):
        return http("POST", "/token", {"client_id": f"coding{self.worker.number}", "client_secret": SECRET, **form})

    async def make(self):
        await self.worker.signed_in()
        request = http(
            "GET", "/authorize?" + urllib.parse.urlencode(authorization(f"coding{self.worker.number}")), cookie=self.worker.cookie)
        answers = await self.callers.each([request] * BATCH)
        return [code(answer) or told(answer) for answer in answers]

    async def requests(self, artefact):
        form = {"grant_type": "authorization_code", "code": artefact, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return [self.token(form)] * CALLERS

    def got(self, answer):
        return json.loads(answer.body)["refresh_token"] if answer.status == 200 else None

    async def afterwards(self, artefact, gains, is_revoked):
        faults = await super().afterwards(artefact, gains, is_revoked)
        # A code that came again has ended what it bought (RFC 6749 §4.1.2).
        for refresh in gains:
            answer = await self.callers.call(self.token({"grant_type": "refresh_token", "refresh_token": refresh}))
            if answer.status == 200:
                faults.append("what a code bought works after the code had come again")
        return faults


class DeviceCodes(EndedWithSession):
    def secret(self, **form):
        return {"client_id": f"device{self.worker.number}", "client_secret": SECRET, **form}

    async def make(self):
        await self.worker.signed_in()
        begun = await self.callers.each([http("POST", "/device_authorization", self.secret(scope="orders:read"))] * BATCH)
        begun = [told(answer) for answer in begun]
        for one in begun:
            page = await self.worker.browse("GET", "/device")
            page = await self.worker.browse("POST", *form(page, user_code=one["user_code"]))
            page = await self.worker.browse("POST", *form(page, answer="allow"))
            if b"Device connected" not in page.body:
                raise Broken(f"no device was connected: {page.status} {page.body[:500]}")
        return [one["device_code"] for one in begun]

    async def requests(self, artefact):
        return [http("POST", "/token", self.secret(grant_type=DEVICE, device_code=artefact))] * CALLERS


class InitialTokens(Kind):
    # Nothing revokes one.
    async def make(self):
        return [
            told(await self.callers.operate(http("POST", "/admin/registration-tokens", '{"uses":1}')), 201)["registration_token"]
            for _ in range(BATCH)]

    async def requests(self, artefact):
        body = json.dumps({"redirect_uris": [CALLBACK], "client_name": "Racer", "token_endpoint_auth_method": "none"})
        source = f"10.{self.worker.number}.{self.worker.random.randrange(256)}.{self.worker.random.randrange(256)}"
        return [http("POST", "/register", body, authorization=f"Bearer {artefact}", x_forwarded_for=source)] * CALLERS

    def got(self, answer):
        if answer.status != 201:
            return None
        made = json.loads(answer.body)
        self.made = made["client_id"], made["registration_access_token"]
        return made["client_id"]

    async def afterwards(self, _artefact, gains, _is_revoked):
        if gains:
            answer = await self.callers.call(http("DELETE", f"/register/{self.made[0]}", authorization=f"Bearer {self.made[1]}"))
            if answer.status != 204:
                return [f"a client was not deleted: {answer.status} {answer.body[:200]}"]
        return []


class RefreshTokens(Kind):
    """Tabs that refresh at once: each gets the same successor, which is the next artefact."""

    is_once = False

    async def make(self):
        login = http("POST", "/login", json.dumps({"username": f"racer{self.worker.number}", "password": PASSWORD}))
        self.current = told(await self.callers.call(login))["refresh_token"]
        return [None] * BATCH

    async def requests(self, _artefact):
        return [http("POST", "/token/refresh", json.dumps({"refresh_token": self.current}))] * CALLERS

    def got(self, answer):
        return json.loads(answer.body)["refresh_token"] if answer.status == 200 else None

    async def revocation(self, _artefact):
        return False, http("POST", "/logout", json.dumps({"refresh_token": self.current}))

    async def afterwards(self, _artefact, gains, is_revoked):
        if is_revoked or not gains:
            await self.make()
        else:
            self.current = gains[0]
        return []


class Secrets(Proofs):
    """Good any number of times: the judge must find it."""

    async def requests(self, _artefact):
        return [await self.harmless()] * CALLERS


KINDS = {
    "refresh tokens": RefreshTokens, "codes": Codes, "request_uris": PushedRequests, "device codes": DeviceCodes, "proofs": Proofs,
    "assertions": Assertions, "initial tokens": InitialTokens,
}


def authorization(client):
    return {
        "response_type": "code", "client_id": client, "redirect_uri": CALLBACK, "scope": "openid orders:read", "state": "s",
        "code_challenge": encoded(hashlib.sha256(VERIFIER.encode()).digest()), "code_challenge_method": "S256"}


def code(answer):
    """That of a redirect to the client, or nothing."""
    found = re.search(r"[?&]code=([^&]+)", answer.field(b"location") or "") if answer.status == 303 else None
    return urllib.parse.unquote(found[1]) if found else None


def form(page, **more):
    """Where the form of a page goes, and what it sends."""
    text = page.body.decode()
    action = re.search(r'<form[^>]*action="([^"]*)"', text)
    if action is None:
        raise Broken(f"a page without a form: {page.status} {text[:500]}")
    fields = {name: html.unescape(value) for name, value in re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', text)}
    return html.unescape(action[1]), {**fields, **more}
