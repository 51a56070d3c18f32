"""The clients that the tests of the OAuth server use, and what the tests check of the tokens themselves."""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import urllib.parse

import joserfc.jwk
import jwt
import requests

AUTH = os.environ.get("QUICKSTART_AUTH", "http://localhost:8080")
GATEWAY = os.environ.get("QUICKSTART_GATEWAY", "http://localhost:8000")
# Absolute, because some of the tests run in a folder of their own.
BINARY = os.path.abspath(os.environ.get("QUICKSTART_BINARY", ".build/release/gatehouse"))
CONFIG = os.environ.get("QUICKSTART_CONFIG", "")
LIBRARIES = ["authlib", "requests-oauthlib", "idpyoidc", "oic"]
METHODS = ["none", "client_secret_basic", "client_secret_post"]
ALGORITHMS = ["RS256", "ES256", "EdDSA"]
ENCRYPTION_KEYS = {
    "RSA-OAEP-256": joserfc.jwk.RSAKey.generate_key(2048),
    "ECDH-ES": joserfc.jwk.ECKey.generate_key("P-256"),
    "ECDH-ES+A256KW": joserfc.jwk.ECKey.generate_key("P-256"),
}
CALLBACK = "http://127.0.0.1:9100/callback"
SECRET = "f3a9c1d07b5e48629a1f0c7d3e6b8254"
# RFC 6749 §2.3.1 has it form-encoded in the Basic header, which changes each of these characters. Many clients do not.
ODD_SECRET = "a+b c/d:e%f&g=h-0123456789"
SCOPE = "openid profile email offline_access orders:read"


def free_ports(*names):
    """Held until all are known, so that none is named twice."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: probe.getsockname()[1] for name, probe in zip(names, probes)}
    for probe in probes:
        probe.close()
    return ports


PORTS = free_ports("apache", "bao", "scanner", "mcp", "party", "onward")
# Resources whose ids are addresses, as RFC 8707 has them: an MCP server behind the gateway, and something else.
# What people see of clients and accounts must stand whatever they are called.
LONG_NAME = "The Extraordinarily Long-Named Application of the Department for Things That Nobody Has Measured " + "X" * 30
RIGHT_TO_LEFT = "متجر الكتب ومحل القهوة (الفرع الثاني)"
LONG_ACCOUNT = "a" * 188 + "@example.com"
PARTY = f"http://127.0.0.1:{PORTS['party']}"
ONWARD = f"http://127.0.0.1:{PORTS['onward']}"
SHOWN = ["shop:orders", "shop:pay", "shop:plain", *[f"shop:part-{number}" for number in range(20)]]
MCP, FOREIGN = GATEWAY + "/mcp", GATEWAY + "/elsewhere"


def client(name, method, redirect=CALLBACK, **more):
    members = {
        "id": name, "client_name": f"The {name} test", "token_endpoint_auth_method": method,
        "grants": ["authorization_code", "refresh_token"], "redirect_uris": [redirect], "scopes": SCOPE.split(),
    }
    return {**members, **({"public": True} if method == "none" else {"secret": SECRET}), **more}


CLIENTS = {
    one["id"]: one
    for one in [
        *[client(f"{library}-{method}", method) for library in LIBRARIES for method in METHODS],
        *[client(f"signed-{name}", "client_secret_post", id_token_signed_response_alg=name) for name in ALGORITHMS],
        *[
            client(
                f"encrypted-{name}", "client_secret_post", id_token_encrypted_response_alg=name, userinfo_encrypted_response_alg=name,
                jwks={"keys": [{**key.as_dict(private=False), "use": "enc", "alg": name, "kid": name}]})
            for name, key in ENCRYPTION_KEYS.items()
        ],
        client("apache", "client_secret_basic", f"http://localhost:{PORTS['apache']}/site/callback"),
        client("bao", "client_secret_basic", f"http://localhost:{PORTS['bao']}/v1/auth/oidc/oidc/callback"),
        client("authlib-nonce", "client_secret_basic"),
        # The plans of the OpenID Foundation come without PKCE, which only old clients may.
        client("conformance", "client_secret_basic", profile="legacy", redirect_uris=[CALLBACK, CALLBACK + "?foo=bar"]),
        client("conformance-post", "client_secret_post", profile="legacy"),
        client("conformance-other", "client_secret_basic", profile="legacy"),
        client("pushing", "client_secret_basic"),
        client("pushing-only", "client_secret_basic", require_pushed_authorization_requests=True),
        client("odd-secret", "client_secret_basic", secret=ODD_SECRET),
        client(
            "scanner", "none", f"http://127.0.0.1:{PORTS['scanner']}/callback", application_type="native",
            scopes=["mcp:use", "elsewhere:use", "offline_access"]),
        client("form-post", "client_secret_post"),
        {
            "id": "television", "client_name": "The Television", "public": True, "grants": ["device_code", "refresh_token"],
            "scopes": ["openid", "orders:read"],
        },
        client(
            "shop", "none", f"{PARTY}/callback", client_name="The Book Shop", scopes=[*SCOPE.split(), *SHOWN],
            redirect_uris=[f"{PARTY}/callback", f"{PARTY}/onward"], client_uri=ONWARD + "/", policy_uri="https://shop.example.com/privacy",
            tos_uri="https://shop.example.com/terms", authorization_details_types=["payment_initiation"],
            post_logout_redirect_uris=[f"{PARTY}/bye"], frontchannel_logout_uri=f"{PARTY}/frame"),
        client("long", "none", f"{PARTY}/callback", client_name=LONG_NAME),
        client("rtl", "none", f"{PARTY}/callback", client_name=RIGHT_TO_LEFT),
        client("hosted", "none", "https://books.example.com/callback", client_name="Books"),
    ]
}
# JSON is YAML.
RESOURCES = json.dumps(
    {
        "clients": list(CLIENTS.values()),
        "resources": [
            {"id": MCP, "scopes": ["mcp:use"]}, {"id": FOREIGN, "scopes": ["elsewhere:use"]},
            {
                "id": "shop-api", "name": "The Book Shop's orders", "scopes": SHOWN,
                "scope_descriptions": {
                    "shop:orders": "See what you have ordered", "shop:pay": "Pay in your name, up to 50 € a day",
                    **{name: f"Do the thing that has the number {name[10:]}, as often as it likes" for name in SHOWN[3:]},
                },
            },
        ],
        "roles": {"mcp-user": ["mcp:use", "elsewhere:use"], "shopper": [*SHOWN, "orders:read"]},
        "users": [
            {"username": "mallory-may", "email": "may@example.com", "password": "paper-moon-harbour", "roles": ["mcp-user"]},
            {"username": "nora", "email": "nora@example.com", "password": "paper-moon-harbour", "roles": ["shopper"]},
            {"username": "omar", "password": "paper-moon-harbour", "roles": ["shopper"]},
            {"username": LONG_ACCOUNT, "password": "paper-moon-harbour", "roles": ["shopper"]},
        ],
        "routes": [
            {
                "name": "mcp", "match": {"path": "/mcp"}, "upstream": f"http://127.0.0.1:{PORTS['mcp']}",
                "require": {
                    "scope": "mcp:use", "audience": MCP, "resource_metadata": GATEWAY + "/.well-known/oauth-protected-resource/mcp",
                },
            },
            {
                "name": "mcp-metadata", "match": {"path": "/.well-known/oauth-protected-resource"},
                "upstream": f"http://127.0.0.1:{PORTS['mcp']}", "require": "none",
            },
        ],
    },
    indent=1,
)


def apply(path, *more):
    """`gatehouse apply` of a file beside the quick start's, as an operator would: the status, and what was said."""
    usual = os.path.join(os.path.dirname(CONFIG), "resources.yaml")
    command = [BINARY, "apply", "--config", CONFIG, *more, "-f", usual, "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def discover():
    answer = requests.get(AUTH + "/.well-known/openid-configuration", timeout=10)
    assert answer.status_code == 200
    return answer.json()


def half_hash(text, algorithm):
    """`at_hash` (OpenID Connect Core §3.1.3.6); Ed25519 takes SHA-512."""
    digest = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    raw = digest(text.encode()).digest()
    return base64.urlsafe_b64encode(raw[: len(raw) // 2]).rstrip(b"=").decode()


def verify_id_token(token, client_id, nonce, access_token, algorithm="RS256"):
    """Checks it as a client must (OpenID Connect Core §3.1.3.7), with PyJWT and the keys that discovery names; the claims.

    Without a nonce in the request (None) it has none."""
    metadata = discover()
    header = jwt.get_unverified_header(token)
    assert header["alg"] == algorithm
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token).key
    claims = jwt.decode(
        token, key, algorithms=[algorithm], audience=client_id, issuer=metadata["issuer"],
        options={"require": ["iss", "sub", "aud", "exp", "iat", "at_hash"]},
    )
    assert claims["aud"] == client_id
    assert claims.get("nonce") == nonce
    assert claims["at_hash"] == half_hash(access_token, algorithm)
    return claims


def begin(client, **more):
    """An authorization request as any client would make it; its address, and the verifier of PKCE."""
    verifier = secrets.token_urlsafe(48)
    asked = {
        "response_type": "code", "client_id": client["id"], "redirect_uri": client["redirect_uris"][0], "scope": SCOPE,
        "state": secrets.token_urlsafe(16), "nonce": secrets.token_urlsafe(16),
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256", **more,
    }
    return discover()["authorization_endpoint"] + "?" + urllib.parse.urlencode(asked), asked, verifier


def redeem(client, code, verifier, **more):
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": client["redirect_uris"][0], "client_id": client["id"],
        "code_verifier": verifier, **({"client_secret": client["secret"]} if "secret" in client else {}), **more,
    }
    return requests.post(discover()["token_endpoint"], data=form, timeout=10)
