"""Talking to an OpenID provider (Keycloak, a gateway to BundID): code flow with PKCE, state and nonce.

OpenID Connect Core 1.0, RFC 7636, RFC 9207. Nobody is asked before a person presses the button, and nobody but the
issuer that the operator configured.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from participation import text
from participation.fetch import FetchError, fetch_json

if TYPE_CHECKING:
    from participation.settings import Settings

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
METADATA_HOLDS_SECONDS = 3600
LEEWAY_SECONDS = 60
SUBJECT_MAX = 255
# It goes into an address, where long ones are cut by some server on the way.
HINT_MAX = 4000
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Anybody can send a forged word of the provider; its keys are asked for anew not more often than this.
KEYS_HOLD_SECONDS = 60
_metadata: dict[str, tuple[float, dict[str, Any]]] = {}
_lock = threading.Lock()


class ProviderError(Exception):
    """The provider's answer can't be trusted, or there is none. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What one sign-in must remember in the browser until the person comes back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What the provider says of a person, by the operator's mapping."""

    issuer: str
    subject: str
    email: str = ""
    email_is_verified: bool = False
    name: str = ""
    is_verified_person: bool = False
    # The provider's number of its session, and the token itself where the provider can be asked to end that session.
    session_id: str = ""
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """The provider says: this session, or all of this person, ended at this second."""

    issuer: str
    subject: str
    session_id: str
    at: int


def begin(settings: Settings, redirect_uri: str) -> tuple[str, Flow]:
    """The address to send the person to, and what to remember. Raises ProviderError."""
    metadata = _load_metadata(settings)
    flow = Flow(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
    query = urlencode({
        "response_type": "code", "client_id": settings.oidc_client_id, "redirect_uri": redirect_uri,
        "scope": settings.oidc_scope, "state": flow.state, "nonce": flow.nonce, "code_challenge_method": "S256",
        "code_challenge": create_s256_code_challenge(flow.verifier),
    })
    address = str(metadata["authorization_endpoint"])
    return f"{address}{'&' if '?' in address else '?'}{query}", flow


def finish(settings: Settings, redirect_uri: str, flow: Flow, code: str, issuer: str = "") -> Claims:
    """Exchange the code and check everything about the answer. Raises ProviderError.

    `issuer` is what came back beside the code (RFC 9207); another one than ours is refused.
    """
    metadata = _load_metadata(settings)
    needed = metadata.get("authorization_response_iss_parameter_supported") is True
    if (issuer or needed) and issuer != metadata["issuer"]:
        message = "the answer names another issuer"
        raise ProviderError(message)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": flow.verifier}
    headers = {}
    known = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if "client_secret_basic" in known:
        pair = f"{quote(settings.oidc_client_id, safe='')}:{quote(settings.oidc_client_secret, safe='')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form |= {"client_id": settings.oidc_client_id, "client_secret": settings.oidc_client_secret}
    answer = _ask(settings, str(metadata["token_endpoint"]), form=form, headers=headers)
    claims = _checked(settings, metadata, answer, flow.nonce)
    return _mapped(settings, metadata, claims, answer)


def ending(settings: Settings, id_token: str, back: str, state: str) -> str:
    """The address at which a person ends the session at the provider (OpenID Connect RP-Initiated Logout 1.0).

    Raises ProviderError where there is none.
    """
    address = _load_metadata(settings).get("end_session_endpoint")
    if not _is_endpoint(settings, address):
        message = "the provider has no address for signing out"
        raise ProviderError(message)
    query = urlencode({"id_token_hint": id_token, "client_id": settings.oidc_client_id, "post_logout_redirect_uri": back,
                       "state": state})
    return f"{address}{'&' if '?' in str(address) else '?'}{query}"


def ended(settings: Settings, logout_token: str) -> Ended:
    """What the provider says about a session that ended (OpenID Connect Back-Channel Logout 1.0, 2.6).

    Raises ProviderError for anything but a fresh word of the provider to us.
    """
    metadata = _load_metadata(settings)
    try:
        decoded = _decode(logout_token, metadata["keys"])
        if decoded is None and metadata["keys_at"] < time.monotonic() - KEYS_HOLD_SECONDS:
            _load_keys(settings, metadata)
            decoded = _decode(logout_token, metadata["keys"])
        if decoded is None:
            message = "no key of the provider fits the logout token"
            raise ProviderError(message)
        claims = decoded.claims
        JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS, iss={"essential": True, "value": metadata["issuer"]},
            aud={"essential": True, "value": settings.oidc_client_id}, iat={"essential": True}, exp={"essential": True},
            jti={"essential": True}, events={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        message = f"the logout token can't be trusted ({type(error).__name__})"
        raise ProviderError(message) from error
    events, subject, session_id = claims["events"], claims.get("sub") or "", claims.get("sid") or ""
    is_ours = (
        isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict) and "nonce" not in claims
        and str(decoded.header.get("typ", "JWT")).lower() in {"jwt", "logout+jwt", "application/logout+jwt"}
        and isinstance(subject, str) and isinstance(session_id, str) and bool(subject or session_id)
    )
    if not is_ours:
        message = "this is no logout token"
        raise ProviderError(message)
    return Ended(str(metadata["issuer"]), subject, session_id, int(claims["iat"]))


def _is_endpoint(settings: Settings, address: object) -> bool:
    """Whether a browser may be sent there."""
    schemes = ("https://", "http://") if settings.environment in {"development", "test"} else ("https://",)
    return isinstance(address, str) and address.startswith(schemes)


def _load_keys(settings: Settings, metadata: dict[str, Any]) -> None:
    metadata["keys"] = _ask(settings, metadata["jwks_uri"])
    metadata["keys_at"] = time.monotonic()


def _ask(settings: Settings, url: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - as fetch_json
    try:
        return fetch_json(url, allow_private=settings.environment in {"development", "test"}, **options)
    except FetchError as error:
        raise ProviderError(str(error)) from error


def _load_metadata(settings: Settings) -> dict[str, Any]:
    issuer = settings.oidc_issuer
    with _lock:
        known = _metadata.get(issuer)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    found = _ask(settings, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    if found.get("issuer") != issuer or not all(isinstance(found.get(name), str) for name in wanted):
        message = "the provider's configuration does not fit OIDC_ISSUER"
        raise ProviderError(message)
    _load_keys(settings, found)
    with _lock:
        _metadata[issuer] = (time.monotonic() + METADATA_HOLDS_SECONDS, found)
    return found


def _checked(settings: Settings, metadata: dict[str, Any], answer: dict[str, Any], nonce: str) -> dict[str, Any]:
    """The claims of the ID token, once signature, issuer, audience, times and nonce are right."""
    token = str(answer.get("id_token") or "")
    try:
        decoded = _decode(token, metadata["keys"])
        if decoded is None:
            # The provider may have changed its keys since.
            _load_keys(settings, metadata)
            decoded = _decode(token, metadata["keys"])
        if decoded is None:
            message = "no key of the provider fits the ID token"
            raise ProviderError(message)
        claims = CodeIDToken(
            decoded.claims, decoded.header,
            {"iss": {"essential": True, "value": metadata["issuer"]},
             "aud": {"essential": True, "value": settings.oidc_client_id}},
            {"nonce": nonce, "client_id": settings.oidc_client_id, "access_token": answer.get("access_token")},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        message = f"the ID token can't be trusted ({type(error).__name__})"
        raise ProviderError(message) from error
    return dict(claims)


def _decode(token: str, keys: dict[str, Any]) -> jwt.Token | None:
    """The token, or None when none of the keys has signed it."""
    try:
        return jwt.decode(token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)  # type: ignore[arg-type]
    except JoseError as error:
        if type(error).__name__ in {"BadSignatureError", "InvalidKeyIdError"}:
            return None
        raise


def _mapped(
    settings: Settings, metadata: dict[str, Any], claims: dict[str, Any], answer: dict[str, Any]
) -> Claims:
    names = settings.oidc_claims
    endpoint = metadata.get("userinfo_endpoint")
    if names["email"] not in claims and isinstance(endpoint, str) and answer.get("access_token"):
        more = _ask(settings, endpoint, headers={"Authorization": f"Bearer {answer['access_token']}"})
        if more.get("sub") != claims["sub"]:
            message = "the user info is about somebody else"
            raise ProviderError(message)
        claims = {**more, **claims}
    subject = str(claims.get(names["sub"]) or "")
    if not 0 < len(subject) <= SUBJECT_MAX:
        message = "the subject can't be stored"
        raise ProviderError(message)
    level = claims.get(names["level"])
    hint = str(answer.get("id_token") or "")
    may_be_asked = _is_endpoint(settings, metadata.get("end_session_endpoint")) and len(hint) <= HINT_MAX
    return Claims(
        issuer=str(metadata["issuer"]), subject=subject, email=text.clean_line(str(claims.get(names["email"]) or "")),
        # The provider's word is about its own claim `email`; of another one the operator must say which claim vouches.
        email_is_verified=bool(names["verified"]) and claims.get(names["verified"]) is True,
        name=text.clean_line(str(claims.get(names["name"]) or "")),
        is_verified_person=isinstance(level, str) and level in settings.oidc_levels,
        session_id=str(claims.get("sid") or ""), id_token=hint if may_be_asked else "",
    )
