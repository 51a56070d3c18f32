"""What the modules of the OpenID Foundation's plans for providers check, in their words (docs/spec/conformance.md), as far as it can be told
without their suite: the Basic plan and, with the same rules, the Form Post plan.
"""

import json
import secrets
import time
import urllib.parse

import jwt
import oauth
import pytest
import requests
from people import Person, Refused, parameters


class Party:
    """A relying party as the suite is one: no PKCE unless a test says so; the answer in the response mode of the plan."""

    def __init__(self, client, mode):
        self.client, self.mode = client, mode

    def request(self, **more):
        """The parameters of an authorization request; those that are None are left out."""
        asked = {
            "response_type": "code", "client_id": self.client["id"], "redirect_uri": oauth.CALLBACK, "scope": "openid",
            "state": secrets.token_urlsafe(12), "nonce": secrets.token_urlsafe(12), **({"response_mode": self.mode} if self.mode else {}),
            **more,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def answer(self, person, asked, method="GET"):
        """What came back to the redirect URI, with `state` and `iss` checked."""
        endpoint = oauth.discover()["authorization_endpoint"]
        if method == "POST":
            target, form = person.visit(endpoint, form=asked)
        else:
            target, form = person.visit(endpoint + "?" + urllib.parse.urlencode(asked))
        redirect = asked.get("redirect_uri", oauth.CALLBACK)
        assert target.startswith(redirect)
        back = parameters(target) if form is None else form
        if self.mode == "form_post":
            assert form is not None and target == redirect
        else:
            assert form is None
        assert back.get("state") == asked.get("state")
        assert back["iss"] == oauth.AUTH
        return back

    def redeem(self, code, asked=None, **more):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": (asked or {}).get("redirect_uri", oauth.CALLBACK), **more}
        return self.token(form)

    def token(self, form):
        if self.client["token_endpoint_auth_method"] == "client_secret_basic":
            return requests.post(oauth.discover()["token_endpoint"], data=form, auth=(self.client["id"], self.client["secret"]), timeout=10)
        form = {**form, "client_id": self.client["id"], "client_secret": self.client["secret"]}
        return requests.post(oauth.discover()["token_endpoint"], data=form, timeout=10)

    def sign_in(self, person=None, method="GET", **more):
        """A whole flow: the tokens, and the claims of the checked ID token."""
        person, asked = person or Person(), self.request(**more)
        answer = self.redeem(self.answer(person, asked, method)["code"], asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        tokens = answer.json()
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] > 0
        return tokens, oauth.verify_id_token(tokens["id_token"], self.client["id"], asked.get("nonce"), tokens["access_token"])

    def error(self, person=None, **more):
        back = self.answer(person or Person(), self.request(**more))
        assert "code" not in back
        return back["error"]


def userinfo(token, method="GET", **more):
    headers = {"authorization": "Bearer " + token} if token else {}
    return requests.request(method, oauth.discover()["userinfo_endpoint"], headers=headers, timeout=10, **more)


def asked_to_sign_in(person):
    return any(title.startswith("Sign in") for title in person.seen)


@pytest.fixture(params=[None, "form_post"], ids=["basic", "form_post"])
def party(request, clients):
    return Party(clients["conformance"], request.param)


def test_server(party):
    tokens, claims = party.sign_in()
    assert jwt.get_unverified_header(tokens["id_token"])["kid"]
    assert len(claims["sub"]) <= 255 and claims["sub"].isascii()
    assert userinfo(tokens["access_token"]).json()["sub"] == claims["sub"]


def test_response_type_missing(party):
    assert party.error(response_type=None) in ("unsupported_response_type", "invalid_request")


def test_idtoken_signature(party):
    tokens, _ = party.sign_in()
    assert jwt.get_unverified_header(tokens["id_token"])["alg"] == "RS256"


def test_idtoken_unsigned(tmp_path):
    """Nobody is given unsigned ID tokens: they are not offered, and a client that wants them is refused."""
    assert "none" not in oauth.discover()["id_token_signing_alg_values_supported"]
    path = tmp_path / "clients.yaml"
    path.write_text(json.dumps({"clients": [oauth.client("unsigned", "client_secret_basic", id_token_signed_response_alg="none")]}))
    status, said = oauth.apply(path, "--dry-run")
    assert status != 0
    assert "id_token_signed_response_alg" in said


def test_userinfo_get(party):
    tokens, claims = party.sign_in()
    answer = userinfo(tokens["access_token"])
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert answer.json()["sub"] == claims["sub"]


def test_userinfo_post_header(party):
    tokens, claims = party.sign_in()
    assert userinfo(tokens["access_token"], "POST").json()["sub"] == claims["sub"]


def test_userinfo_post_body(party):
    """Not offered (RFC 6750 §2.2 leaves it open): it is refused as a request without a token."""
    tokens, _ = party.sign_in()
    refused = userinfo(None, "POST", data={"access_token": tokens["access_token"]})
    assert refused.status_code in (400, 401)
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_ensure_request_without_nonce_succeeds_for_code_flow(party):
    _, claims = party.sign_in(nonce=None)
    assert "nonce" not in claims


@pytest.mark.parametrize("scope, wanted", [("profile", {"preferred_username": "alice"}), ("email", {"email": "alice@example.com"})])
def test_scope_of_claims(party, scope, wanted):
    tokens, claims = party.sign_in(scope="openid " + scope)
    told = userinfo(tokens["access_token"]).json()
    assert wanted.items() <= told.items()
    if scope == "email":
        assert told["email_verified"] is False
    # With an access token to be had, they come from userinfo alone (OpenID Connect Core §5.4).
    assert not set(wanted) & set(claims)
    plain, _ = party.sign_in(scope="openid")
    assert set(userinfo(plain["access_token"]).json()) == {"sub"}


@pytest.mark.parametrize("scope", ["address", "phone"])
def test_scope_that_is_not_offered(party, scope):
    """The plan skips what `scopes_supported` leaves out. It is passed over, and whoever asked is told what was granted."""
    assert scope not in oauth.discover()["scopes_supported"]
    tokens, _ = party.sign_in(scope="openid " + scope)
    assert tokens["scope"] == "openid"


def test_alternate_happy_flow(party):
    asked = party.request(scope="email profile openid")
    back = party.answer(Person(), dict(reversed(asked.items())))
    tokens = party.redeem(back["code"]).json()
    assert {"email", "preferred_username"} <= set(userinfo(tokens["access_token"]).json())


@pytest.mark.parametrize("display", ["page", "popup"])
def test_display(party, display):
    person = Person()
    party.sign_in(person, display=display)
    assert person.seen[0] == "Sign in"


def test_prompt_login(party):
    person = Person()
    _, first = party.sign_in(person, max_age="15000")
    time.sleep(1.1)
    _, second = party.sign_in(person, prompt="login", max_age="15000")
    assert asked_to_sign_in(person)
    assert second["sub"] == first["sub"]
    assert second["auth_time"] > first["auth_time"]


def test_prompt_none_not_logged_in(party):
    person = Person()
    assert party.error(person, prompt="none") == "login_required"
    assert [title for title in person.seen if not title.startswith("Back to")] == []


def test_prompt_none_logged_in(party):
    person = Person()
    _, first = party.sign_in(person)
    _, second = party.sign_in(person, prompt="none")
    assert not asked_to_sign_in(person)
    assert second["sub"] == first["sub"]
    assert second.get("auth_time") == first.get("auth_time")


def test_max_age_1(party):
    person = Person()
    party.sign_in(person)
    time.sleep(2.1)
    _, second = party.sign_in(person, max_age="1")
    assert asked_to_sign_in(person)
    assert time.time() - second["auth_time"] < 10


def test_max_age_10000(party):
    person = Person()
    _, first = party.sign_in(person, max_age="15000")
    _, second = party.sign_in(person, max_age="10000")
    assert not asked_to_sign_in(person)
    assert (second["auth_time"], second["sub"]) == (first["auth_time"], first["sub"])


@pytest.mark.parametrize(
    "more", [{"extra": "foobar"}, {"login_hint": "buffy@example.com"}, {"ui_locales": "se"}, {"claims_locales": "se"}, {"acr_values": "1 2"}],
    ids=lambda more: next(iter(more)))
def test_ensure_request_with_parameter_succeeds(party, more):
    party.sign_in(**more)


def test_id_token_hint(party):
    person = Person()
    tokens, first = party.sign_in(person)
    _, second = party.sign_in(person, prompt="none", id_token_hint=tokens["id_token"])
    assert not asked_to_sign_in(person)
    assert second["sub"] == first["sub"]


def test_id_token_hint_of_somebody_else(party):
    """Whoever is signed in here is not the one (OpenID Connect Core §3.1.2.1)."""
    tokens, _ = party.sign_in()
    other = Person("bob", "staple-lantern-orbit")
    party.sign_in(other)
    assert party.error(other, prompt="none", id_token_hint=tokens["id_token"]) == "login_required"


def test_codereuse(party):
    """At once; that 30 seconds later it is no better is a matter of the clock (CodeFlowTests)."""
    asked = party.request()
    code = party.answer(Person(), asked)["code"]
    tokens = party.redeem(code).json()
    assert userinfo(tokens["access_token"]).status_code == 200
    again = party.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert userinfo(tokens["access_token"]).status_code == 401


def test_ensure_registered_redirect_uri(party):
    asked = party.request(redirect_uri=oauth.CALLBACK + "/other")
    with pytest.raises(Refused, match="400"):
        Person().visit(oauth.discover()["authorization_endpoint"] + "?" + urllib.parse.urlencode(asked))


def test_ensure_redirect_uri_in_authorization_request(party):
    """Of a client with two; with one only, OAuth lets it be left out (RFC 6749 §3.1.2.3)."""
    with pytest.raises(Refused, match="400"):
        Person().visit(oauth.discover()["authorization_endpoint"] + "?" + urllib.parse.urlencode(party.request(redirect_uri=None)))


def test_redirect_uri_query_OK(party):
    asked = party.request(redirect_uri=oauth.CALLBACK + "?foo=bar")
    back = party.answer(Person(), asked)
    if party.mode is None:
        assert back["foo"] == "bar"
    assert party.redeem(back["code"], asked).status_code == 200


@pytest.mark.parametrize("query", ["?foo=baz", "?foo=bar&bar=foo", "?"])
def test_redirect_uri_query_mismatch(party, query):
    with pytest.raises(Refused, match="400"):
        asked = party.request(redirect_uri=oauth.CALLBACK + query)
        Person().visit(oauth.discover()["authorization_endpoint"] + "?" + urllib.parse.urlencode(asked))


def test_redirect_uri_regfrag(tmp_path):
    path = tmp_path / "clients.yaml"
    path.write_text(json.dumps({"clients": [oauth.client("fragment", "client_secret_basic", "https://rp.example.com/cb#foobar")]}))
    status, said = oauth.apply(path, "--dry-run")
    assert status != 0
    assert "redirect_uris" in said


def test_ensure_post_request_succeeds(party):
    party.sign_in(method="POST")


def test_server_client_secret_post(party, clients):
    tokens, claims = Party(clients["conformance-post"], party.mode).sign_in()
    assert userinfo(tokens["access_token"]).json()["sub"] == claims["sub"]


UNSIGNED = jwt.encode({"iss": "conformance", "aud": oauth.AUTH, "redirect_uri": "https://evil.example.com/"}, None, algorithm="none")


def test_request_object_is_refused_as_unsupported(party):
    """OpenID Connect Core §6.1: never passed over, because what it says would not hold."""
    assert "none" not in oauth.discover()["request_object_signing_alg_values_supported"]
    assert party.error(request=UNSIGNED) == "request_not_supported"


def test_request_uri_is_refused_as_unsupported(party):
    """By a client that has registered none: nobody else can have this server fetch something."""
    assert oauth.discover()["require_request_uri_registration"] is True
    assert party.error(request_uri="https://rp.example.com/request") == "request_uri_not_supported"


def test_claims_essential(party):
    tokens, _ = party.sign_in(claims=json.dumps({"userinfo": {"name": {"essential": True}, "email": {"essential": True}}}))
    assert userinfo(tokens["access_token"]).json()["email"] == "alice@example.com"


def test_refresh_token(party, clients):
    tokens, first = party.sign_in(scope="openid offline_access", prompt="consent")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    stolen = Party(clients["conformance-other"], party.mode).token(form)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    refreshed = party.token(form)
    assert refreshed.status_code == 200, refreshed.text
    refreshed = refreshed.json()
    again = oauth.verify_id_token(refreshed["id_token"], party.client["id"], None, refreshed["access_token"])
    assert "nonce" in first and "nonce" not in again
    assert [again[name] for name in ("iss", "sub", "aud", "auth_time")] == [first[name] for name in ("iss", "sub", "aud", "auth_time")]
    assert userinfo(refreshed["access_token"]).status_code == 200


def test_ensure_request_with_valid_pkce_succeeds(party):
    _, asked, verifier = oauth.begin(party.client)
    challenge = {name: asked[name] for name in ("code_challenge", "code_challenge_method")}
    back = party.answer(Person(), party.request(**challenge))
    assert party.redeem(back["code"], code_verifier=verifier[:-1] + "~").json()["error"] == "invalid_grant"
    assert party.redeem(back["code"], code_verifier=verifier).status_code == 200


def test_discovery_endpoint_verification():
    answer = requests.get(oauth.AUTH + "/.well-known/openid-configuration", timeout=10)
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    metadata = answer.json()
    assert metadata["issuer"] == oauth.AUTH
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert metadata[name].startswith(oauth.AUTH + "/")
    assert "code" in metadata["response_types_supported"]
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert {"public", "pairwise"} & set(metadata["subject_types_supported"])
    assert "openid" in metadata["scopes_supported"]
    assert "authorization_code" in metadata["grant_types_supported"]
    assert "sub" in metadata["claims_supported"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["claims_parameter_supported"] is True
    assert {"query", "form_post"} <= set(metadata["response_modes_supported"])
    for endpoint in ("token", "introspection", "revocation"):
        algorithms = metadata[endpoint + "_endpoint_auth_signing_alg_values_supported"]
        assert "ES256" in algorithms and "none" not in algorithms
        assert "private_key_jwt" in metadata[endpoint + "_endpoint_auth_methods_supported"]
    assert "none" not in metadata["introspection_endpoint_auth_methods_supported"]
    assert all(isinstance(value, (str, bool, list)) and value != [] for value in metadata.values())
    keys = requests.get(metadata["jwks_uri"], timeout=10).json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert all(key["use"] == "sig" and not {"d", "p", "q", "k"} & set(key) for key in keys)
    assert requests.get(oauth.AUTH + "/.well-known/oauth-authorization-server", timeout=10).json() == metadata


class Pushing(Party):
    """Sends its request to /par first (RFC 9126), with PKCE."""

    def push(self, **more):
        _, asked, self.verifier = oauth.begin(self.client)
        form = {name: value for name, value in {**asked, **more}.items() if value is not None}
        endpoint = oauth.discover()["pushed_authorization_request_endpoint"]
        return requests.post(endpoint, data=form, auth=(self.client["id"], self.client["secret"]), timeout=10), asked

    def visit(self, request_uri, client_id=None):
        query = urllib.parse.urlencode({"client_id": client_id or self.client["id"], "request_uri": request_uri})
        return Person().authorize(oauth.discover()["authorization_endpoint"] + "?" + query)


@pytest.fixture
def pushing(clients):
    return Pushing(clients["pushing"], None)


def test_par_happy_flow(pushing):
    answer, asked = pushing.push()
    assert answer.status_code == 201, answer.text
    back = parameters(pushing.visit(answer.json()["request_uri"]))
    assert (back["state"], back["iss"]) == (asked["state"], oauth.AUTH)
    assert pushing.redeem(back["code"], code_verifier=pushing.verifier).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"state": None}, {"nonce": None}, {"nonce": "n" * 64}, {"nonce": "n" * 384}, {"state": "s" * 384},
        {"state": "s" * 1000}, {"nonce": "n" * 1024}, {"state": "%0D%0A\r\nä +"}, {"scope": " ".join(reversed(oauth.SCOPE.split()))},
    ],
    ids=["no state", "no nonce", "nonce of 64", "long nonce", "long state", "longer state", "longest nonce", "state of line ends", "other order"])
def test_par_succeeds(pushing, more):
    answer, asked = pushing.push(**more)
    back = parameters(pushing.visit(answer.json()["request_uri"]))
    assert back.get("state") == {**asked, **more}["state"]
    tokens = pushing.redeem(back["code"], code_verifier=pushing.verifier).json()
    oauth.verify_id_token(tokens["id_token"], pushing.client["id"], {**asked, **more}["nonce"], tokens["access_token"])
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = requests.get(
            oauth.discover()["userinfo_endpoint"], headers={"authorization": f"{scheme} {tokens['access_token']}"}, timeout=10)
        assert answer.status_code == 200


def test_request_without_using_par_fails(clients):
    party = Pushing(clients["pushing-only"], None)
    assert party.error(code_challenge="x" * 43, code_challenge_method="S256") == "invalid_request"
    assert parameters(party.visit(party.push()[0].json()["request_uri"]))["code"]


def test_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(pushing):
    """Somebody opens the page twice, and signs in on the second."""
    request_uri = pushing.push()[0].json()["request_uri"]
    query = urllib.parse.urlencode({"client_id": pushing.client["id"], "request_uri": request_uri})
    assert requests.get(oauth.discover()["authorization_endpoint"] + "?" + query, timeout=10).status_code == 200
    assert parameters(pushing.visit(request_uri))["code"]


def test_par_attempt_reuse_request_uri(pushing):
    request_uri = pushing.push()[0].json()["request_uri"]
    pushing.visit(request_uri)
    with pytest.raises(Refused, match="400"):
        pushing.visit(request_uri)


def test_par_attempt_to_use_request_uri_for_different_client(pushing):
    with pytest.raises(Refused, match="400"):
        pushing.visit(pushing.push()[0].json()["request_uri"], "conformance-other")


@pytest.mark.parametrize(
    "more, error",
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"), ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"), ({"response_type": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://evil.example.com/"}, "invalid_request"), ({"state": ["a", "b"]}, "invalid_request"),
    ])
def test_par_refuses(pushing, more, error):
    answer, _ = pushing.push(**more)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_par_attempt_invalid_http_method(pushing):
    answer = requests.get(oauth.discover()["pushed_authorization_request_endpoint"], timeout=10)
    assert answer.status_code == 405


@pytest.mark.parametrize("more", [{"code_verifier": None}, {"code_verifier": "x" * 43}, {"client": "conformance-other"}])
def test_code_is_bound_to_verifier_and_client(pushing, clients, more):
    back = parameters(pushing.visit(pushing.push()[0].json()["request_uri"]))
    party = Party(clients[more["client"]], None) if "client" in more else pushing
    form = {"code_verifier": pushing.verifier, **more}
    form.pop("client", None)
    refused = party.redeem(back["code"], **{name: value for name, value in form.items() if value})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_user_rejects_authentication(pushing):
    class Unwilling(Person):
        def answer(self, page):
            return {"answer": "deny"} if ("answer", "deny") in page.buttons else super().answer(page)

    url, asked, _ = oauth.begin(pushing.client, prompt="consent")
    back = parameters(Unwilling().authorize(url))
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", asked["state"], oauth.AUTH)
