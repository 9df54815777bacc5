"""Every setting, read once from the environment, so that nothing else needs to look there."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENTS = ("production", "demo", "development", "test")
MINIMUM_SECRET_LENGTH = 32
OIDC_CLAIMS = {"sub": "sub", "email": "email", "verified": "email_verified", "name": "preferred_username", "level": "acr"}


class SettingsError(Exception):
    """A setting is missing or insecure; the text (German) names it and the cure."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation. Sizes in bytes, times in seconds unless the name says otherwise."""

    environment: str = "development"
    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: Path = Path("data")
    database_url: str = ""
    redis_url: str = ""
    secret_key: str = field(default="", repr=False)
    base_url: str = ""
    trusted_hosts: tuple[str, ...] = ()
    smtp_url: str = field(default="", repr=False)
    mail_from: str = "beteiligung@localhost"
    metrics_token: str = field(default="", repr=False)
    proxy_count: int = 0
    web_workers: int = 2
    web_threads: int = 2
    basemap: str = "none"
    basemap_url: str = ""
    basemap_attribution: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_label: str = ""
    oidc_scope: str = "openid email profile"
    # Which claim says what: sub, email, verified, name, level.
    oidc_claims: dict[str, str] = field(default_factory=lambda: dict(OIDC_CLAIMS))
    # Values of the level claim that prove who a person is.
    oidc_levels: tuple[str, ...] = ()
    rate_limits: bool = True
    page_cache: bool = True
    # Only for tests: every page in a language that has no catalogue, to see it from right to left.
    test_locale: str = ""
    max_upload_bytes: int = 10 * 1024 * 1024
    # Plans of a town are larger than any photo.
    max_document_bytes: int = 25 * 1024 * 1024
    max_request_bytes: int = 32 * 1024 * 1024

    @property
    def is_production(self) -> bool:
        """Whether residents' real data is at stake, so that insecure settings must stop the start."""
        return self.environment == "production"

    @property
    def is_demo(self) -> bool:
        """Whether sign-ins of the demo town may be shown."""
        return self.environment == "demo"

    @property
    def cookies_are_secure(self) -> bool:
        """Secure cookies need https; a demo on http://localhost could not sign in with them."""
        return self.base_url.startswith("https://")

    @property
    def upload_dir(self) -> Path:
        """Where pictures and documents lie, each under a name of our own."""
        return self.data_dir / "uploads"

    @property
    def template_dir(self) -> Path:
        """Where templates lie translated; whatever is missing there is made anew."""
        return self.data_dir / "templates"

    @property
    def mail_dir(self) -> Path:
        """Where mails land as long as no mail server is set."""
        return self.data_dir / "mails"

    @staticmethod
    def from_environ(environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment.

        Raises SettingsError when a value can't be read, or when production would start insecurely.
        """
        env = os.environ if environ is None else environ
        environment = env.get("BETEILIGUNG_ENV", "development")
        if environment not in ENVIRONMENTS:
            message = f"BETEILIGUNG_ENV={environment} gibt es nicht. Möglich sind: {', '.join(ENVIRONMENTS)}."
            raise SettingsError(message)
        data_dir = Path(env.get("DATA_DIR") or "data").expanduser().absolute()
        port = _whole_number(env, "PORT", 8000)
        host = env.get("HOST") or "127.0.0.1"
        shown_host = "localhost" if host in {"0.0.0.0", "127.0.0.1", "::", "::1"} else host  # noqa: S104 - compared
        base_url = (env.get("BASE_URL") or f"http://{shown_host}:{port}").rstrip("/")
        base_host = urlsplit(base_url).hostname or "localhost"
        trusted = _words(env.get("TRUSTED_HOSTS", ""))
        settings = Settings(
            environment=environment,
            host=host,
            port=port,
            data_dir=data_dir,
            database_url=_database_url(env.get("DATABASE_URL", ""), data_dir),
            redis_url=env.get("REDIS_URL", ""),
            secret_key=env.get("SECRET_KEY") or _kept_secret(data_dir, environment),
            base_url=base_url,
            trusted_hosts=tuple(dict.fromkeys([*trusted, base_host])),
            smtp_url=env.get("SMTP_URL", ""),
            mail_from=env.get("MAIL_FROM") or f"beteiligung@{base_host}",
            metrics_token=env.get("METRICS_TOKEN", ""),
            proxy_count=_whole_number(env, "PROXY_COUNT", 0),
            web_workers=_whole_number(env, "WEB_WORKERS", 2),
            web_threads=_whole_number(env, "WEB_THREADS", 2),
            basemap=env.get("BASEMAP") or "none",
            basemap_url=env.get("BASEMAP_URL", ""),
            basemap_attribution=env.get("BASEMAP_ATTRIBUTION", ""),
            oidc_issuer=env.get("OIDC_ISSUER", ""),
            oidc_client_id=env.get("OIDC_CLIENT_ID", ""),
            oidc_client_secret=env.get("OIDC_CLIENT_SECRET", ""),
            oidc_label=env.get("OIDC_LABEL") or "zentrales Konto",
            oidc_scope=env.get("OIDC_SCOPE") or "openid email profile",
            oidc_claims=_claims(env.get("OIDC_CLAIMS", "")),
            oidc_levels=tuple(_words(env.get("OIDC_LEVELS", ""))),
            rate_limits=env.get("RATE_LIMITS", "on") != "off",
            page_cache=env.get("PAGE_CACHE", "on") != "off",
        )
        if settings.oidc_issuer and not (settings.oidc_client_id and settings.oidc_client_secret):
            message = "OIDC_ISSUER ist gesetzt. Dann gehören OIDC_CLIENT_ID und OIDC_CLIENT_SECRET dazu."
            raise SettingsError(message)
        if settings.oidc_issuer and environment not in {"development", "test"} and not (
                settings.oidc_issuer.startswith("https://")):
            # No answer of it would be believed, and every click on the button would end in an error.
            message = f"OIDC_ISSUER={settings.oidc_issuer} muss mit https:// beginnen."
            raise SettingsError(message)
        if settings.is_production:
            problems = insecure_settings(settings, env)
            if problems:
                message = "Der Betrieb startet nicht, weil eine Einstellung unsicher ist:\n- " + "\n- ".join(problems)
                raise SettingsError(message)
        return settings


def insecure_settings(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """Name each setting that must not go into production, in German, with its cure."""
    problems = []
    if len(env.get("SECRET_KEY", "")) < MINIMUM_SECRET_LENGTH:
        problems.append(f"SECRET_KEY fehlt oder ist kürzer als {MINIMUM_SECRET_LENGTH} Zeichen.")
    if not env.get("BASE_URL", "").startswith("https://"):
        problems.append("BASE_URL fehlt oder beginnt nicht mit https:// (öffentliche Adresse der Plattform).")
    if not settings.smtp_url:
        problems.append("SMTP_URL fehlt. Ohne Mailserver kommt keine Bestätigung an.")
    if not env.get("MAIL_FROM"):
        problems.append("MAIL_FROM fehlt (Absenderadresse der E-Mails).")
    if "*" in settings.trusted_hosts:
        problems.append("TRUSTED_HOSTS darf kein * enthalten. Nennen Sie die Namen einzeln.")
    if not settings.rate_limits:
        problems.append("RATE_LIMITS=off ist nur für Messungen gedacht.")
    return problems


def _words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def _claims(raw: str) -> dict[str, str]:
    """`name=given_name,level=trust_level`: what differs from the usual claims."""
    found = dict(OIDC_CLAIMS)
    for pair in _words(raw):
        name, _, claim = pair.partition("=")
        if name not in found or not claim:
            message = f"OIDC_CLAIMS={raw} ist nicht lesbar. Schreiben Sie zum Beispiel: name=given_name,level=acr"
            raise SettingsError(message)
        found[name] = claim
    if found["email"] != OIDC_CLAIMS["email"] and "verified=" not in raw.replace(" ", ""):
        # "email_verified" says nothing of an address from elsewhere.
        found["verified"] = ""
    return found


def _whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    raw = env.get(name, "")
    if not raw:
        return default
    if not raw.isdecimal() or int(raw) > 65535:  # noqa: PLR2004 - the largest port
        message = f"{name}={raw} ist keine Zahl zwischen 0 und 65535."
        raise SettingsError(message)
    return int(raw)


def _database_url(raw: str, data_dir: Path) -> str:
    """SQLite in the data directory unless a URL is given; PostgreSQL always through psycopg 3."""
    if not raw:
        return f"sqlite:///{data_dir / 'beteiligung.sqlite3'}"
    for prefix in ("postgres://", "postgresql://"):
        if raw.startswith(prefix):
            return "postgresql+psycopg://" + raw.removeprefix(prefix)
    return raw


def _kept_secret(data_dir: Path, environment: str) -> str:
    """A random key per installation, kept in the data directory, so that no default key exists anywhere."""
    if environment == "production":
        return ""
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists() or not path.read_text().strip():
            # Complete or not at all: a full disk must not leave an empty key, a second process no other one.
            with tempfile.NamedTemporaryFile("w", dir=data_dir, prefix=".secret-", delete=False) as file:
                file.write(secrets.token_urlsafe(48))
            if path.exists() and not path.read_text().strip():
                path.unlink()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
            Path(file.name).unlink()
        return path.read_text().strip()
    except OSError as error:
        message = f"Das Datenverzeichnis {data_dir} ist nicht beschreibbar ({error.strerror}). Setzen Sie DATA_DIR."
        raise SettingsError(message) from error
