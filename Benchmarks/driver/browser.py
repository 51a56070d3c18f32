"""Somebody with a browser who signs in at Gatehouse's pages, for tokens that come by a code (RFC 6749 §4.1)."""

import base64
import hashlib
import html.parser
import secrets
import urllib.parse

import gatehouse
from processes import BenchError, http_exchange

PAGES_MAX = 8
SCOPE = "orders:read offline_access"


class Form(html.parser.HTMLParser):
    """The only form of a page: where it goes, and its fields."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields = None, {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.action = given["action"]
        elif tag == "input" and "name" in given:
            self.fields[given["name"]] = given.get("value") or ""


class Browser:
    """Keeps cookies by name, and signs in where a page asks for a password. The client is first-party: nobody is asked for consent."""

    def __init__(self, user):
        self.user, self.cookies = user, {}

    def _send(self, path, form=None):
        headers = {"Host": f"localhost:{gatehouse.AUTH}"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = None if form is None else urllib.parse.urlencode(form)
        status, fields, answer = http_exchange(gatehouse.AUTH, path, "GET" if form is None else "POST", body, headers)
        for cookie in fields.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return status, fields["Location"], answer.decode()

    def code(self):
        """One code, and what has to go with it to `/token`."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": gatehouse.CLIENT, "redirect_uri": gatehouse.CALLBACK, "scope": SCOPE,
            "state": secrets.token_urlsafe(8), "code_challenge": challenge, "code_challenge_method": "S256",
        }
        path = "/authorize?" + urllib.parse.urlencode(asked)
        status, location, answer = self._send(path)
        for _ in range(PAGES_MAX):
            if location is not None:
                target = urllib.parse.urljoin(f"http://localhost:{gatehouse.AUTH}{path}", location)
                if target.startswith(gatehouse.CALLBACK):
                    given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))
                    if "code" in given and given.get("state") == asked["state"]:
                        return given["code"], {"code_verifier": verifier}
                    break
                path = _path(target)
                status, location, answer = self._send(path)
                continue
            form = Form(answer)
            if status != 200 or "password" not in form.fields:
                break
            path = _path(urllib.parse.urljoin(f"http://localhost:{gatehouse.AUTH}{path}", form.action or ""))
            fields = {**form.fields, "username": self.user, "password": gatehouse.PASSWORD}
            status, location, answer = self._send(path, fields)
        raise BenchError(f"no code from Gatehouse's pages: {status} {location} {answer[:300]!r}")


def _path(url):
    parts = urllib.parse.urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def codes(count):
    """`count` codes, spread over the accounts, each of whom signs in once."""
    people = [Browser(user) for user in gatehouse.USERS]
    for number in range(count):
        yield people[number % len(people)].code()
