"""Gatehouse as clients that we did not write see it: requests, PyJWT, joserfc, jsonschema and the OpenAPI validators.

Runs against the quick start; `scripts/run` says where it listens.
"""

import json
import os
import socket
import time
import urllib.parse

import joserfc.jwk
import joserfc.jwt
import jsonschema
import jwt
import openapi_spec_validator
import pytest
import requests

AUTH = os.environ.get("QUICKSTART_AUTH", "http://localhost:8080")
GATEWAY = os.environ.get("QUICKSTART_GATEWAY", "http://localhost:8000")
ADMIN = os.environ.get("QUICKSTART_ADMIN", "http://127.0.0.1:9090")


def post(path, body, **kwargs):
    return requests.post(AUTH + path, json=body, timeout=10, **kwargs)


@pytest.fixture(scope="module")
def openapi():
    document = requests.get(AUTH + "/openapi.json", timeout=10).json()
    openapi_spec_validator.validate(document)
    return document


def conforms(openapi, method, path, response):
    """The answer is one that the description names, with a body of its schema."""
    operation = openapi["paths"][path][method]
    answer = operation["responses"].get(str(response.status_code))
    assert answer is not None, f"{method} {path} answered {response.status_code}, which is not described"
    if "content" not in answer:
        return
    media = response.headers["content-type"].split(";")[0]
    schema = dict(answer["content"][media]["schema"], components=openapi["components"])
    jsonschema.Draft202012Validator(schema).validate(response.json())


def login(**more):
    response = post("/login", {"username": "alice", "password": "correct-horse-battery", **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_pyjwt_and_joserfc_verify_from_the_published_keys():
    token = login()["access_token"]
    keys = jwt.PyJWKClient(AUTH + "/.well-known/jwks.json")
    claims = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["ES256"], audience="orders")
    assert claims["iss"].startswith("http://localhost:")
    assert claims["client_id"] == "gatehouse"
    key_set = joserfc.jwk.KeySet.import_key_set(requests.get(AUTH + "/.well-known/jwks.json", timeout=10).json())
    decoded = joserfc.jwt.decode(token, key_set, algorithms=["ES256"])
    assert decoded.header["typ"] == "at+jwt"
    assert decoded.claims == claims
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["ES256"], audience="reports")


def test_the_description_is_valid_and_the_answers_are_as_described(openapi):
    tokens = post("/login", {"username": "alice", "password": "correct-horse-battery"})
    conforms(openapi, "post", "/login", tokens)
    conforms(openapi, "post", "/login", post("/login", {"username": "alice", "password": "wrong-wrong-wrong"}))
    conforms(openapi, "post", "/login", post("/login", {"username": 1}))
    conforms(openapi, "post", "/login", requests.post(AUTH + "/login", data="x", timeout=10))
    tokens = tokens.json()
    conforms(openapi, "post", "/validate", post("/validate", {"token": tokens["access_token"]}))
    conforms(openapi, "post", "/validate", post("/validate", {"tokens": [tokens["access_token"], "x"]}))
    conforms(openapi, "post", "/validate", post("/validate", {}))
    refreshed = post("/token/refresh", {"refresh_token": tokens["refresh_token"]})
    conforms(openapi, "post", "/token/refresh", refreshed)
    conforms(openapi, "post", "/token/refresh", post("/token/refresh", {"refresh_token": "x"}))
    bearer = {"authorization": "Bearer " + refreshed.json()["refresh_token"]}
    sessions = requests.get(AUTH + "/sessions", headers=bearer, timeout=10)
    conforms(openapi, "get", "/sessions", sessions)
    conforms(openapi, "get", "/sessions", requests.get(AUTH + "/sessions", timeout=10))
    conforms(openapi, "delete", "/sessions/{sid}", requests.delete(AUTH + "/sessions/none", headers=bearer, timeout=10))
    conforms(openapi, "get", "/forward-auth", requests.get(AUTH + "/forward-auth", timeout=10))
    conforms(openapi, "get", "/.well-known/jwks.json", requests.get(AUTH + "/.well-known/jwks.json", timeout=10))
    conforms(openapi, "post", "/logout", post("/logout", {"refresh_token": refreshed.json()["refresh_token"]}))
    conforms(openapi, "post", "/logout", post("/logout", {}))


@pytest.mark.parametrize("path", ["/login", "/token/refresh", "/validate", "/logout"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"a":1}', b'{"token":"a","token":"b"}', b"[" * 100 + b"]" * 100, b'{"token":"\xff"}', b'{"token":1e999}', b"\x00"],
)
def test_bad_bodies_are_refused_in_the_contracts_shape(path, body):
    response = requests.post(AUTH + path, data=body, headers={"content-type": "application/json"}, timeout=10)
    assert response.status_code in (400, 415)
    assert set(response.json()) >= {"error", "error_description", "trace_id"}


@pytest.mark.parametrize("path", ["/login", "/token/refresh", "/validate", "/logout", "/nothing"])
def test_ten_megabytes_are_refused(path):
    try:
        response = requests.post(AUTH + path, data=b" " * 10_000_000, headers={"content-type": "application/json"}, timeout=10)
    except requests.ConnectionError:
        return  # refused before it was all sent
    assert response.status_code in (404, 413)


def test_the_gateway_hands_the_identity_over_and_nobody_can_forge_it():
    token = login()["access_token"]
    forged = {"authorization": "Bearer " + token, "X-Auth-Subject": "root", "x_auth_subject": "root", "X-Auth-Roles": "admin", "X-Forwarded-For": "1.2.3.4"}
    answer = requests.get(GATEWAY + "/orders", headers=forged, timeout=10)
    assert answer.status_code == 200
    identity = answer.json()["identity"]
    assert identity["x-auth-subject"] == jwt.decode(token, options={"verify_signature": False})["sub"]
    assert "root" not in json.dumps(identity) and "admin" not in json.dumps(identity)
    assert "1.2.3.4" not in json.dumps(identity)


def test_without_a_token_and_with_too_little_scope_the_gateway_refuses():
    nobody = requests.get(GATEWAY + "/orders", timeout=10)
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == 'Bearer realm="gatehouse"'
    reader = login(scope="orders:read")["access_token"]
    refused = requests.get(GATEWAY + "/reports", headers={"authorization": "Bearer " + reader}, timeout=10)
    assert refused.status_code in (401, 403)
    assert "error=" in refused.headers["www-authenticate"]


def test_a_revoked_token_is_refused_everywhere_by_the_next_request():
    worst = 0.0
    for _ in range(20):
        tokens = login()
        bearer = {"authorization": "Bearer " + tokens["access_token"]}
        assert requests.get(GATEWAY + "/orders", headers=bearer, timeout=10).status_code == 200
        assert post("/logout", {"refresh_token": tokens["refresh_token"]}).status_code == 204
        started = time.monotonic()
        assert requests.get(GATEWAY + "/orders", headers=bearer, timeout=10).status_code == 401
        assert post("/validate", {"token": tokens["access_token"]}).json() == {"valid": False, "reason": "revoked"}
        assert requests.get(AUTH + "/forward-auth", headers=bearer, timeout=10).status_code == 401
        worst = max(worst, time.monotonic() - started)
    print(f"three refusals after a logout took at most {worst * 1000:.0f} ms")


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        answer = b""
        while True:
            part = connection.recv(65536)
            if not part:
                return answer
            answer += part


@pytest.mark.parametrize("port", [urllib.parse.urlsplit(url).port for url in (AUTH, GATEWAY)])
@pytest.mark.parametrize(
    "head",
    [
        b"GET /orders HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /orders HTTP/1.1\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /orders HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /orders HTTP/1.1\nHost: a\n\n",
        b"GET /orders HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ],
)
def test_what_could_be_smuggled_is_refused_and_the_connection_closes(port, head):
    answer = raw(port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert set(json.loads(answer.split(b"\r\n\r\n", 1)[1])) == {"error", "error_description", "trace_id"}


def test_health_and_metrics():
    assert requests.get(ADMIN + "/health/live", timeout=10).status_code == 200
    assert requests.get(ADMIN + "/health/ready", timeout=10).json()["status"] == "ready"
    assert "gatehouse_requests_total" in requests.get(ADMIN + "/metrics", timeout=10).text
    assert requests.get(ADMIN + "/admin/users", timeout=10).status_code == 401
