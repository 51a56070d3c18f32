"""ID tokens and access tokens of the code flow, checked with the keys of the JWKS by PyJWT and joserfc, in each algorithm."""

import joserfc.errors
import joserfc.jwe
import joserfc.jwk
import joserfc.jwt
import jwt
import oauth
import pytest
import requests
from people import Person, parameters


def sign_in(client, **more):
    """The tokens of a whole flow, and the nonce that was sent."""
    url, asked, verifier = oauth.begin(client, **more)
    back = parameters(Person().authorize(url))
    assert back["state"] == asked["state"]
    assert back["iss"] == oauth.AUTH
    answer = oauth.redeem(client, back["code"], verifier)
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["cache-control"]
    return answer.json(), asked["nonce"]


def break_signature(token):
    """The same token with one bit of its signature changed."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


@pytest.mark.parametrize("algorithm", oauth.ALGORITHMS)
def test_id_tokens_verify_in_the_algorithm_of_the_client(clients, algorithm):
    client = clients[f"signed-{algorithm}"]
    tokens, nonce = sign_in(client)
    claims = oauth.verify_id_token(tokens["id_token"], client["id"], nonce, tokens["access_token"], algorithm)
    keys = joserfc.jwk.KeySet.import_key_set(requests.get(oauth.discover()["jwks_uri"], timeout=10).json())
    decoded = joserfc.jwt.decode(tokens["id_token"], keys, algorithms=[algorithm])
    assert decoded.claims == claims
    joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": oauth.AUTH}, aud={"essential": True, "value": client["id"]},
        nonce={"essential": True, "value": nonce}, exp={"essential": True}, iat={"essential": True},
    ).validate(decoded.claims)
    # What has been tampered with, or is meant for another, is refused by both: neither check is empty.
    with pytest.raises(joserfc.errors.BadSignatureError):
        joserfc.jwt.decode(break_signature(tokens["id_token"]), keys, algorithms=[algorithm])
    with pytest.raises(jwt.InvalidSignatureError):
        oauth.verify_id_token(break_signature(tokens["id_token"]), client["id"], nonce, tokens["access_token"], algorithm)
    with pytest.raises(jwt.InvalidAudienceError):
        oauth.verify_id_token(tokens["id_token"], "signed-other", nonce, tokens["access_token"], algorithm)


@pytest.mark.parametrize("algorithm", oauth.ALGORITHMS)
def test_access_tokens_verify_for_their_audience_and_are_no_id_tokens(clients, algorithm):
    client = clients[f"signed-{algorithm}"]
    tokens, _ = sign_in(client)
    token = tokens["access_token"]
    uri = oauth.discover()["jwks_uri"]
    key = jwt.PyJWKClient(uri).get_signing_key_from_jwt(token).key
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="orders", issuer=oauth.AUTH, options={"require": ["exp", "jti", "sub"]})
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims["client_id"] == client["id"]
    assert "orders:read" in claims["scope"].split()
    keys = joserfc.jwk.KeySet.import_key_set(requests.get(uri, timeout=10).json())
    assert joserfc.jwt.decode(token, keys, algorithms=["ES256"]).claims == claims
    assert jwt.get_unverified_header(tokens["id_token"]).get("typ", "JWT") == "JWT"
    for wrong in (client["id"], "reports"):
        with pytest.raises(jwt.InvalidAudienceError):
            jwt.decode(token, key, algorithms=["ES256"], audience=wrong)
    # Neither passes for the other.
    refused = requests.get(oauth.AUTH + "/userinfo", headers={"authorization": "Bearer " + tokens["id_token"]}, timeout=10)
    assert refused.status_code == 401


def test_the_answer_can_come_as_a_form(clients):
    client = clients["form-post"]
    url, asked, verifier = oauth.begin(client, response_mode="form_post")
    target, fields = Person().visit(url)
    assert target == client["redirect_uris"][0]
    assert set(fields) == {"code", "state", "iss"}
    assert fields["state"] == asked["state"]
    assert oauth.redeem(client, fields["code"], verifier).status_code == 200


@pytest.mark.parametrize("algorithm", oauth.ENCRYPTION_KEYS)
def test_id_tokens_are_encrypted_to_the_clients_key(clients, algorithm):
    client = clients[f"encrypted-{algorithm}"]
    tokens, nonce = sign_in(client)
    userinfo = requests.get(
        oauth.discover()["userinfo_endpoint"], headers={"authorization": f"Bearer {tokens['access_token']}"}, timeout=10)
    assert userinfo.headers["content-type"] == "application/jwt"
    for sealed in (tokens["id_token"], userinfo.text):
        opened = joserfc.jwe.decrypt_compact(sealed, oauth.ENCRYPTION_KEYS[algorithm], algorithms=[algorithm, "A128CBC-HS256"])
        assert opened.headers()["cty"] == "JWT"
        signed = opened.plaintext.decode()
        # A signed JWT inside: nobody else could have made it for this client.
        keys = joserfc.jwk.KeySet.import_key_set(requests.get(oauth.discover()["jwks_uri"], timeout=10).json())
        claims = joserfc.jwt.decode(signed, keys, algorithms=["RS256"]).claims
        assert claims["aud"] == client["id"] and claims["iss"] == oauth.AUTH
        other = joserfc.jwk.RSAKey.generate_key(2048) if algorithm.startswith("RSA") else joserfc.jwk.ECKey.generate_key("P-256")
        with pytest.raises(Exception):
            joserfc.jwe.decrypt_compact(sealed, other, algorithms=[algorithm, "A128CBC-HS256"])
    oauth.verify_id_token(
        joserfc.jwe.decrypt_compact(
            tokens["id_token"], oauth.ENCRYPTION_KEYS[algorithm], algorithms=[algorithm, "A128CBC-HS256"]).plaintext.decode(),
        client["id"], nonce, tokens["access_token"], "RS256")
