"""What many teams write first: /validate with Flask and PyJWT. Served by gunicorn with one worker."""

import json
import os

import jwt
from flask import Flask, jsonify, request

with open(os.environ["BENCH_JWKS"], encoding="utf-8") as file:
    KEYS = {key["kid"]: jwt.PyJWK(key).key for key in json.load(file)["keys"]}
ISSUER = os.environ["BENCH_ISSUER"]

app = Flask(__name__)


@app.post("/validate")
def validate():
    token = request.get_json()["token"]
    try:
        claims = jwt.decode(
            token,
            KEYS[jwt.get_unverified_header(token)["kid"]],
            algorithms=["ES256"],
            issuer=ISSUER,
            audience="orders",
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
        )
    except (jwt.PyJWTError, KeyError):
        return jsonify(valid=False)
    return jsonify(
        valid=True, sub=claims["sub"], client_id=claims["client_id"], scope=claims["scope"], aud=claims["aud"], exp=claims["exp"],
        iat=claims["iat"], sid=claims["sid"],
    )
