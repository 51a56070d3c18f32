"""Tokens of Gatehouse's shape for the peers, which have no login of their own. Needs PyJWT and cryptography."""

import base64
import json
import os
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "http://localhost:17080"
LIFETIME_SECONDS = 3600


class TokenMaker:
    """An ES256 key, its public forms as files in `directory`, and tokens signed with it."""

    def __init__(self, directory):
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        numbers = public.public_numbers()

        def encoded(number):
            return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()

        jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "bench-1"}
        jwk.update(x=encoded(numbers.x), y=encoded(numbers.y))
        self.jwks_path = os.path.join(directory, "jwks.json")
        with open(self.jwks_path, "w", encoding="utf-8") as file:
            json.dump({"keys": [jwk]}, file)
        with open(os.path.join(directory, "token-key.pem"), "wb") as file:
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            file.write(public.public_bytes(serialization.Encoding.PEM, form))

    def token(self, key=None):
        """A token with all the claims that Gatehouse's own carry, so that all parse the same number of bytes."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": "acc_" + uuid.uuid4().hex, "aud": "orders", "client_id": "gatehouse", "iat": now,
            "exp": now + LIFETIME_SECONDS, "jti": uuid.uuid4().hex, "scope": "orders:read", "auth_time": now, "acr": "1",
            "amr": ["pwd"], "sid": uuid.uuid4().hex, "gid": uuid.uuid4().hex, "ver": [1, 1],
        }
        return jwt.encode(claims, key or self.key, algorithm="ES256", headers={"typ": "at+jwt", "kid": "bench-1"})

    def forged(self):
        """The same token, signed with a key that nobody published."""
        return self.token(ec.generate_private_key(ec.SECP256R1()))
