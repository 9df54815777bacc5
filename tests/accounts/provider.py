"""A small OpenID provider: enough of Keycloak to sign in at, and to lie with."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Flask, abort, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CLIENT, SECRET = "beteiligung", "geheim & schön"


class Provider:
    """What it says of the person is `person`; `wrong` changes the token before it is signed."""

    def __init__(self) -> None:
        self.key = self.new_key("k1")
        self.person: dict[str, Any] = {"sub": "person-1"}
        self.wrong: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.userinfo: dict[str, Any] | None = None
        self.issuer = ""
        # What else its configuration says; every browser that signed out here, as it was asked to.
        self.more: dict[str, Any] = {}
        self.left: list[dict[str, str]] = []
        self.asked: list[str] = []

    @staticmethod
    def new_key(name: str) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": name, "alg": "RS256", "use": "sig"})

    def logout_token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """What it sends to us when somebody signed out there; a claim of None is left out."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(8),
                "sub": self.person["sub"], "events": {LOGOUT_EVENT: {}}, **claims}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": "logout+jwt", **(header or {})},
                          {name: value for name, value in said.items() if value is not None}, self.key)

    def app(self) -> Flask:
        app = Flask("provider")

        @app.before_request
        def note() -> None:
            self.asked.append(request.path)

        @app.get("/.well-known/openid-configuration")
        def configuration() -> Any:
            return jsonify(issuer=self.issuer, authorization_endpoint=f"{self.issuer}/auth",
                           token_endpoint=f"{self.issuer}/token", jwks_uri=f"{self.issuer}/keys",
                           userinfo_endpoint=f"{self.issuer}/userinfo", **self.more)

        @app.get("/keys")
        def keys() -> Any:
            return jsonify(keys=[self.key.as_dict(private=False)])

        @app.get("/auth")
        def auth() -> Any:
            code = secrets.token_urlsafe(8)
            self.codes[code] = request.args.to_dict()
            return redirect(request.args["redirect_uri"] + "?" + urlencode(
                {"code": code, "state": request.args["state"], "iss": self.issuer}))

        @app.post("/token")
        def token() -> Any:
            asked = self.codes.pop(request.form["code"], None)
            proof = base64.urlsafe_b64encode(hashlib.sha256(request.form["code_verifier"].encode()).digest())
            if asked is None or asked["code_challenge"] != proof.decode().rstrip("="):
                abort(400)
            auth = request.authorization
            from urllib.parse import unquote

            if auth is None or (unquote(auth.username or ""), unquote(auth.password or "")) != (CLIENT, SECRET):
                abort(401)
            now = int(time.time())
            claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
                      **self.person, **self.wrong}
            return jsonify(access_token="t", token_type="Bearer",
                           id_token=jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key))

        @app.get("/logout")
        def logout() -> Any:
            self.left.append(request.args.to_dict())
            jwt.decode(request.args["id_token_hint"], self.key)
            return redirect(request.args["post_logout_redirect_uri"] + "?" + urlencode({"state": request.args["state"]}))

        @app.get("/userinfo")
        def userinfo() -> Any:
            return jsonify(self.userinfo or {"sub": self.person["sub"]})

        return app


@contextmanager
def running() -> Iterator[Provider]:
    """On a free port of this machine."""
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
