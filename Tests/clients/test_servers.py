"""Servers as relying parties: Apache's mod_auth_openidc and OpenBao let people and programs in whom Gatehouse has signed in."""

import shutil
import tempfile

import oauth
import pytest
import requests
import servers
from people import Person, parameters


@pytest.fixture(scope="module")
def apache(clients):
    # Not below pytest's own folder: the user that Apache runs as may not pass through it.
    folder = tempfile.mkdtemp(prefix="gatehouse-apache-", dir="/tmp")
    server = servers.apache(folder, clients["apache"])
    yield f"http://localhost:{oauth.PORTS['apache']}/site"
    server.stop()
    shutil.rmtree(folder)


def test_apache_lets_in_whom_gatehouse_has_signed_in(apache):
    person = Person()
    start = person.browser.get(apache + "/index.shtml", allow_redirects=False, timeout=10)
    assert start.status_code == 302
    asked = parameters(start.headers["location"])
    assert asked["code_challenge_method"] == "S256"
    back = person.authorize(start.headers["location"])
    page = person.browser.get(back, timeout=10)
    assert page.status_code == 200, page.text
    shown = dict(line.split("=", 1) for line in page.text.split("\n") if line)
    assert shown["user"] == "alice"
    assert shown["preferred_username"] == "alice"
    assert shown["email"] == "alice@example.com"
    assert shown["iss"] == oauth.AUTH
    assert shown["aud"] == "apache"
    assert shown["nonce"] == asked["nonce"]
    headers = {"authorization": "Bearer " + shown["access_token"]}
    assert requests.get(oauth.AUTH + "/userinfo", headers=headers, timeout=10).json()["sub"] == shown["sub"]
    # The session is the browser's: it stays in, and another does not come in.
    assert person.browser.get(apache + "/index.shtml", allow_redirects=False, timeout=10).status_code == 200
    assert requests.get(apache + "/index.shtml", allow_redirects=False, timeout=10).status_code == 302


def test_apache_refuses_an_answer_that_is_not_its_own(apache):
    person = Person()
    start = person.browser.get(apache + "/index.shtml", allow_redirects=False, timeout=10)
    back = person.authorize(start.headers["location"])
    stranger = requests.get(back, allow_redirects=False, timeout=10)
    assert stranger.status_code in (302, 400, 401, 500)
    assert "user=alice" not in stranger.text
    forged = person.browser.get(back.replace("code=", "code=x"), timeout=10)
    assert "user=alice" not in forged.text


class Bao:
    """Its HTTP API."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None, token="root", status=(200, 204)):
        headers = {"x-vault-token": token} if token else {}
        answer = requests.request(method, f"{self.url}/v1/{path}", json=body, headers=headers, timeout=10)
        assert answer.status_code in status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}


@pytest.fixture(scope="module")
def bao(clients, tmp_path_factory):
    server = servers.bao(str(tmp_path_factory.mktemp("bao")))
    bao = Bao(f"http://localhost:{oauth.PORTS['bao']}")
    bao.call("POST", "sys/policies/acl/reader", {"policy": 'path "secret/data/orders" { capabilities = ["read"] }'})
    bao.call("POST", "secret/data/orders", {"data": {"word": "lantern"}})
    yield bao
    server.stop()


def reads(bao, token):
    return bao.call("GET", "secret/data/orders", token=token)["data"]["data"]["word"] == "lantern"


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
@pytest.mark.parametrize("algorithm", oauth.ALGORITHMS)
def test_openbao_takes_our_tokens_by_the_keys_it_discovers(bao, clients, algorithm, kind):
    client = clients[f"signed-{algorithm}"]
    url, _, verifier = oauth.begin(client)
    tokens = oauth.redeem(client, parameters(Person().authorize(url))["code"], verifier).json()
    mount = f"jwt-{algorithm}-{kind}".lower().replace("_", "-")
    bao.call("POST", f"sys/auth/{mount}", {"type": "jwt"})
    bao.call("POST", f"auth/{mount}/config", {
        "oidc_discovery_url": oauth.AUTH, "bound_issuer": oauth.AUTH, "jwt_supported_algs": ["ES256" if kind == "access_token" else algorithm],
    })
    audience = {"access_token": "orders", "id_token": client["id"]}[kind]
    for role, bound in (("reader", audience), ("other", "somebody-else")):
        bao.call("POST", f"auth/{mount}/role/{role}", {
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": [bound], "token_policies": ["reader"],
        })
    signed_in = bao.call("POST", f"auth/{mount}/login", {"role": "reader", "jwt": tokens[kind]}, token=None)
    assert reads(bao, signed_in["auth"]["client_token"])
    bao.call("POST", f"auth/{mount}/login", {"role": "other", "jwt": tokens[kind]}, token=None, status=(400,))
    other = {"access_token": "id_token", "id_token": "access_token"}[kind]
    bao.call("POST", f"auth/{mount}/login", {"role": "reader", "jwt": tokens[other]}, token=None, status=(400,))


def test_openbao_signs_a_person_in(bao, clients):
    client = clients["bao"]
    bao.call("POST", "sys/auth/oidc", {"type": "oidc"})
    bao.call("POST", "auth/oidc/config", {
        "oidc_discovery_url": oauth.AUTH, "oidc_client_id": client["id"], "oidc_client_secret": client["secret"], "default_role": "reader",
    })
    redirect = client["redirect_uris"][0]
    bao.call("POST", "auth/oidc/role/reader", {
        "role_type": "oidc", "user_claim": "preferred_username", "allowed_redirect_uris": [redirect], "oidc_scopes": ["profile", "email"],
        "claim_mappings": {"email": "mail"}, "token_policies": ["reader"],
    })
    asked = bao.call("POST", "auth/oidc/oidc/auth_url", {"role": "reader", "redirect_uri": redirect, "client_nonce": "n" * 20}, token=None)
    url = asked["data"]["auth_url"]
    assert parameters(url)["code_challenge_method"] == "S256"
    back = parameters(Person().authorize(url))
    query = f"auth/oidc/oidc/callback?state={back['state']}&code={back['code']}&client_nonce={'n' * 20}"
    signed_in = bao.call("GET", query, token=None)["auth"]
    assert signed_in["metadata"] == {"role": "reader", "mail": "alice@example.com"}
    assert reads(bao, signed_in["client_token"])
    # A second time there is nothing to be had for the same answer.
    bao.call("GET", query, token=None, status=(400,))
