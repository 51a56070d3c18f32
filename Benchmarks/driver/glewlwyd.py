"""Glewlwyd, an OpenID provider in C from Debian, under measurement: a database of its own, and what a client needs by its REST API."""

import json
import os
import shutil
import sqlite3
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import gatehouse
import peers
from processes import BenchError, Server, http_exchange

# As Debian's package installs it: the tables, and the account `admin`.
TABLES = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
ADMIN = {"username": "admin", "password": "password"}
USER = "bench0"
SCOPE = "orders:read"
API = "/api/oidc"


class Glewlwyd(Server):
    """Its SQLite is set to WAL, which commits more than ten times as often as the rollback journal that it comes with; both are durable."""

    def __init__(self, directory):
        if not os.access("/usr/bin/glewlwyd", os.X_OK) or not os.path.exists(TABLES):
            raise BenchError("Glewlwyd is not installed")
        port = peers.PORTS["glewlwyd"]
        self.folder = os.path.join(directory, "glewlwyd")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.issuer = f"http://localhost:{port}{API}"
        self.cookie = None
        database = os.path.join(self.folder, "glewlwyd.db")
        path = peers.fill(directory, "glewlwyd.conf", "glewlwyd/glewlwyd.conf", PORT=port, DATABASE=database)
        connection = sqlite3.connect(database)
        with open(TABLES, encoding="utf-8") as file:
            connection.executescript("PRAGMA journal_mode = WAL; BEGIN;\n" + file.read() + "\nCOMMIT;")
        connection.close()
        super().__init__("glewlwyd", ["glewlwyd", f"--config-file={path}"], port, directory)

    def start(self):
        super().start()
        try:
            self._configure()
        except BaseException:
            self.stop()
            raise

    def _call(self, method, path, body=None):
        headers = {"Content-Type": "application/json", **({"Cookie": self.cookie} if self.cookie else {})}
        status, fields, answer = http_exchange(self.port, path, method, json.dumps(body) if body else None, headers)
        if status not in (200, 302):
            raise BenchError(f"Glewlwyd answered {status} to {method} {path}: {answer[:300]!r}")
        if fields["Set-Cookie"]:
            self.cookie = fields["Set-Cookie"].partition(";")[0]
        return fields

    def _configure(self):
        self._call("POST", "/api/auth/", ADMIN)
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        # What Gatehouse does too: ES256, tokens of ten minutes, refresh tokens that are good once. Its own default is to keep them.
        parameters = {
            "iss": self.issuer, "jwt-type": "ecdsa", "jwt-key-size": "256", "key": private.decode(), "cert": public.decode(),
            "jwks-show": True, "access-token-duration": 600, "refresh-token-duration": 1_209_600, "code-duration": 600,
            "refresh-token-rolling": False, "refresh-token-one-use": "always", "allow-non-oidc": True, "auth-type-code-enabled": True,
            "auth-type-client-enabled": True, "auth-type-refresh-enabled": True, "introspection-revocation-allowed": True,
            "introspection-revocation-allow-target-client": True, "subject-type": "public",
        }
        self._call("POST", "/api/mod/plugin/", {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": parameters})
        self._call(
            "POST", "/api/scope/",
            {"name": SCOPE, "display_name": "Orders", "description": "Orders", "password_required": False, "scheme": {}})
        # A `client_secret` is compared as it is; a `password` would be hashed for each request.
        self._call(
            "POST", "/api/client/",
            {
                "client_id": gatehouse.CLIENT, "name": "bench", "confidential": True, "client_secret": gatehouse.SECRET, "enabled": True,
                "scope": [SCOPE, "openid"], "redirect_uri": [gatehouse.CALLBACK],
                "authorization_type": ["code", "client_credentials", "refresh_token"],
                "token_endpoint_auth_method": ["client_secret_basic"],
            })
        self._call(
            "POST", "/api/user/",
            {"username": USER, "password": gatehouse.PASSWORD, "name": USER, "scope": ["openid", SCOPE, "g_profile"], "enabled": True})

    def codes(self, count):
        """`count` codes for somebody who has signed in and agreed."""
        self.cookie = None
        self._call("POST", "/api/auth/", {"username": USER, "password": gatehouse.PASSWORD})
        self._call("PUT", f"/api/auth/grant/{gatehouse.CLIENT}", {"scope": f"openid {SCOPE}"})
        asked = {
            "response_type": "code", "client_id": gatehouse.CLIENT, "redirect_uri": gatehouse.CALLBACK, "scope": f"openid {SCOPE}",
            "state": "bench", "nonce": "bench-0123456789", "g_continue": "",
        }
        for _ in range(count):
            location = self._call("GET", f"{API}/auth?{urllib.parse.urlencode(asked)}")["Location"] or ""
            answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
            if "code" not in answer:
                raise BenchError(f"Glewlwyd gave no code: {location[:300]}")
            yield answer["code"], {}
