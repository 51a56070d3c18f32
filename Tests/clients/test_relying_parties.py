"""The code flow of OpenID Connect with libraries that we did not write, each from the discovery address alone.

A person without scripts signs in and agrees; the library makes the request with PKCE, reads the answer, redeems the code, checks the ID
token, asks for userinfo and refreshes.
"""

import os
import secrets
import urllib.parse

import flask
import joserfc.errors
import oauth
import pytest
import requests
import requests_oauthlib
from authlib.integrations.flask_client import OAuth as AuthlibOAuth
from idpyoidc.client.client_auth import CLIENT_AUTHN_METHOD as IDPY_METHODS
from idpyoidc.client.client_auth import ClientAuthnMethod
from idpyoidc.client.rp_handler import RPHandler
from oic.oic import Client as OICClient
from oic.oic.message import AuthorizationResponse, RegistrationResponse
from oic.utils.authn.client import CLIENT_AUTHN_METHOD
from people import Person, parameters

DISCOVERY = oauth.AUTH + "/.well-known/openid-configuration"


class Outcome:
    """What a library had in its hands at the end of the flow."""

    def __init__(self, nonce, tokens, claims, userinfo, refreshed):
        self.nonce, self.tokens, self.claims, self.userinfo, self.refreshed = nonce, tokens, claims, userinfo, refreshed


class Authlib:
    """Its client for Flask: it finds the endpoints and keys itself, and checks the ID token with the nonce in its session."""

    def __init__(self, client):
        self.app = flask.Flask("relying-party")
        self.app.secret_key = secrets.token_hex(16)
        kept = {}
        self.party = AuthlibOAuth(
            self.app, fetch_token=lambda name: kept.get(name),
            update_token=lambda name, token, refresh_token=None, access_token=None: kept.update({name: token}),
        ).register(
            "gatehouse", client_id=client["id"], client_secret=client.get("secret"), server_metadata_url=DISCOVERY,
            client_kwargs={
                "scope": oauth.SCOPE, "code_challenge_method": "S256",
                "token_endpoint_auth_method": client["token_endpoint_auth_method"],
            },
        )

    def run(self, person, change_nonce=None):
        with self.app.test_request_context("/login"):
            url = self.party.authorize_redirect(oauth.CALLBACK).headers["location"]
            state = dict(flask.session)
        back = person.authorize(url)
        with self.app.test_request_context("/callback?" + urllib.parse.urlsplit(back).query):
            flask.session.update(state)
            kept = next(value for key, value in flask.session.items() if key.startswith("_state_gatehouse_"))
            nonce = kept["data"]["nonce"]
            if change_nonce:
                kept["data"]["nonce"] = change_nonce
            tokens = self.party.authorize_access_token()
            userinfo = self.party.userinfo(token=tokens)
            with self.party._get_oauth_client(**self.party.load_server_metadata()) as session:
                refreshed = session.refresh_token(self.party.load_server_metadata()["token_endpoint"], tokens["refresh_token"])
        return Outcome(nonce, tokens, dict(tokens["userinfo"]), dict(userinfo), dict(refreshed))


class RequestsOAuthlib:
    """It knows OAuth and no OpenID Connect: the nonce and the ID token are ours to send and to check."""

    def __init__(self, client):
        self.client = client
        self.metadata = oauth.discover()
        # This is loopback; it refuses plain HTTP otherwise.
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
        self.session = requests_oauthlib.OAuth2Session(
            client["id"], redirect_uri=oauth.CALLBACK, scope=oauth.SCOPE.split(), pkce="S256")

    def run(self, person):
        nonce = secrets.token_urlsafe(16)
        url, _ = self.session.authorization_url(self.metadata["authorization_endpoint"], nonce=nonce)
        back = person.authorize(url)
        method = self.client["token_endpoint_auth_method"]
        how = {
            "none": {"include_client_id": True},
            "client_secret_basic": {"auth": requests.auth.HTTPBasicAuth(*map(urllib.parse.quote_plus, (self.client["id"], self.client.get("secret", ""))))},
            "client_secret_post": {"include_client_id": True, "client_secret": oauth.SECRET},
        }[method]
        tokens = self.session.fetch_token(self.metadata["token_endpoint"], authorization_response=back, **how)
        claims = oauth.verify_id_token(tokens["id_token"], self.client["id"], nonce, tokens["access_token"])
        userinfo = self.session.get(self.metadata["userinfo_endpoint"]).json()
        how = {
            "none": {"client_id": self.client["id"]}, "client_secret_basic": how,
            "client_secret_post": {"client_id": self.client["id"], "client_secret": oauth.SECRET},
        }[method]
        refreshed = self.session.refresh_token(self.metadata["token_endpoint"], **how)
        return Outcome(nonce, tokens, claims, userinfo, refreshed)


class Unproved(ClientAuthnMethod):
    """idpyoidc has no method "none" of its own: the client only says who it is."""

    def construct(self, request, service=None, http_args=None, **kwargs):
        request["client_id"] = service.upstream_get("context").get_client_id()
        return http_args or {}


class IdPyOIDC:
    """Its handler of relying parties checks every message by its own schema, and the ID token when it reads the token response."""

    def __init__(self, client):
        method = self.method = client["token_endpoint_auth_method"]
        self.handler = RPHandler(
            base_url="http://127.0.0.1:9100",
            client_configs={
                "gatehouse": {
                    "issuer": oauth.AUTH, "client_type": "oidc", "client_id": client["id"], "client_secret": client.get("secret", ""),
                    "redirect_uris": [oauth.CALLBACK], "scopes_supported": oauth.SCOPE.split(),
                    "response_types_supported": ["code"], "token_endpoint_auth_methods_supported": [method],
                    "token_endpoint_auth_method": method,
                    "add_ons": {
                        "pkce": {
                            "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                            "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
                        }
                    },
                }
            },
        )

    def run(self, person):
        begun = self.handler.begin("gatehouse", req_args={"scope": oauth.SCOPE.split()})
        url = begun if isinstance(begun, str) else begun["url"]
        party = self.handler.issuer2rp[oauth.AUTH]
        party.get_context().client_authn_methods[self.method] = Unproved() if self.method == "none" else IDPY_METHODS[self.method]()
        nonce = parameters(url)["nonce"]
        answer = parameters(person.authorize(url))
        done = self.handler.finalize(oauth.AUTH, answer)
        assert "error" not in done, done
        # It keeps one record of the flow and writes the refreshed tokens into it.
        tokens = dict(party.get_context().cstate.get(answer["state"]))
        refreshed = self.handler.refresh_access_token(answer["state"])
        return Outcome(nonce, tokens, done["id_token"].to_dict(), done["userinfo"].to_dict(), refreshed.to_dict())


class OIC:
    """pyoidc: it checks the ID token when it reads the answer of the token endpoint."""

    def __init__(self, client):
        self.method = client["token_endpoint_auth_method"]
        self.party = OICClient(client_id=client["id"], client_authn_method=CLIENT_AUTHN_METHOD, config={"code_challenge": {"length": 64}})
        self.party.provider_config(oauth.AUTH)
        self.party.store_registration_info(
            RegistrationResponse(
                client_id=client["id"], client_secret=client.get("secret"), redirect_uris=[oauth.CALLBACK],
                token_endpoint_auth_method=self.method, id_token_signed_response_alg="RS256"))
        self.party.redirect_uris = [oauth.CALLBACK]

    def run(self, person):
        challenge, verifier = self.party.add_code_challenge()
        nonce, state = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        asked = self.party.construct_AuthorizationRequest(
            request_args={
                "response_type": "code", "scope": oauth.SCOPE.split(), "state": state, "nonce": nonce,
                "redirect_uri": oauth.CALLBACK, **challenge,
            })
        back = person.authorize(asked.request(self.party.authorization_endpoint))
        answer = self.party.parse_response(AuthorizationResponse, urllib.parse.urlsplit(back).query, sformat="urlencoded")
        assert answer["state"] == state
        how = {} if self.method == "none" else {"authn_method": self.method}
        more = {"client_id": self.party.client_id} if self.method == "none" else {}
        if self.method == "none":
            how = {"authn_method": ""}
        tokens = self.party.do_access_token_request(
            state=state, request_args={"code": answer["code"], "redirect_uri": oauth.CALLBACK, "code_verifier": verifier, **more}, **how)
        userinfo = self.party.do_user_info_request(state=state, method="GET")
        refreshed = self.party.do_access_token_refresh(state=state, request_args=more, **how)
        return Outcome(nonce, tokens.to_dict(), tokens["id_token"].to_dict(), userinfo.to_dict(), refreshed.to_dict())


PARTIES = {"authlib": Authlib, "requests-oauthlib": RequestsOAuthlib, "idpyoidc": IdPyOIDC, "oic": OIC}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """idpyoidc writes keys of its own into the folder it is in."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("method", oauth.METHODS)
@pytest.mark.parametrize("library", oauth.LIBRARIES)
def test_a_library_signs_a_person_in_and_refreshes(clients, library, method):
    client = clients[f"{library}-{method}"]
    person = Person()
    outcome = PARTIES[library](client).run(person)
    assert person.seen == ["Sign in", "Allow access"]
    claims = outcome.claims
    assert claims["iss"] == oauth.AUTH
    assert claims["aud"] in (client["id"], [client["id"]])
    assert claims["nonce"] == outcome.nonce
    # Not all of them look at it when the token comes from the token endpoint (OpenID Connect Core §3.1.3.8 leaves it to them).
    assert claims["at_hash"] == oauth.half_hash(outcome.tokens["access_token"], "RS256")
    assert outcome.userinfo["sub"] == claims["sub"]
    assert outcome.userinfo["preferred_username"] == "alice"
    assert outcome.userinfo["email"] == "alice@example.com"
    assert outcome.refreshed["access_token"] not in ("", outcome.tokens["access_token"])
    assert outcome.refreshed["refresh_token"] != outcome.tokens["refresh_token"]


def test_a_secret_of_any_characters_is_form_encoded_in_the_basic_header(clients):
    """RFC 6749 §2.3.1; requests-oauthlib is given the pair as the RFC writes it, and knows no better than to send it."""
    assert RequestsOAuthlib(clients["odd-secret"]).run(Person()).refreshed["access_token"]


def test_a_library_refuses_an_id_token_that_answers_another_request(clients):
    """That the libraries check is not taken on trust: Authlib with another nonce in its session."""
    with pytest.raises(joserfc.errors.InvalidClaimError, match="nonce"):
        Authlib(clients["authlib-nonce"]).run(Person(), change_nonce="another")
