"""Production does not start on an insecure setting, and names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

SAFE = {
    "BETEILIGUNG_ENV": "production",
    "SECRET_KEY": "x" * 48,
    "BASE_URL": "https://beteiligung.stadt.example",
    "SMTP_URL": "smtp://mail.example",
    "MAIL_FROM": "beteiligung@stadt.example",
    "DATA_DIR": "/tmp/nowhere",  # noqa: S108
}


def test_production_starts_on_safe_settings() -> None:
    settings = Settings.from_environ(SAFE)
    assert settings.cookies_are_secure
    assert settings.trusted_hosts == ("beteiligung.stadt.example",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "kurz"),
        ("SECRET_KEY", ""),
        ("BASE_URL", "http://stadt.example"),
        ("SMTP_URL", ""),
        ("MAIL_FROM", ""),
        ("TRUSTED_HOSTS", "*"),
        ("RATE_LIMITS", "off"),
    ],
)
def test_production_refuses_and_names_the_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({**SAFE, name: value})


def test_a_provider_that_would_never_be_believed_is_named_at_the_start(tmp_path: Path) -> None:
    provider = {"DATA_DIR": str(tmp_path), "OIDC_ISSUER": "http://konto.stadt.example", "OIDC_CLIENT_ID": "a",
                "OIDC_CLIENT_SECRET": "b"}
    for environment in ({"BETEILIGUNG_ENV": "demo"}, SAFE):
        with pytest.raises(SettingsError, match="OIDC_ISSUER=http://konto"):
            Settings.from_environ({**environment, **provider})
    assert Settings.from_environ({"BETEILIGUNG_ENV": "development", **provider}).oidc_issuer


def test_unreadable_values_are_named() -> None:
    with pytest.raises(SettingsError, match="PORT=achtzig"):
        Settings.from_environ({"PORT": "achtzig"})
    with pytest.raises(SettingsError, match="BETEILIGUNG_ENV=prod"):
        Settings.from_environ({"BETEILIGUNG_ENV": "prod"})


def test_each_installation_has_a_secret_of_its_own(tmp_path: Path) -> None:
    first = Settings.from_environ({"DATA_DIR": str(tmp_path / "a")})
    again = Settings.from_environ({"DATA_DIR": str(tmp_path / "a")})
    other = Settings.from_environ({"DATA_DIR": str(tmp_path / "b")})
    assert first.secret_key == again.secret_key != other.secret_key
    assert (tmp_path / "a" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert first.secret_key not in repr(first)


def test_postgresql_urls_of_every_style_work() -> None:
    for url in ("postgres://a@b/c", "postgresql://a@b/c"):
        assert Settings.from_environ({**SAFE, "DATABASE_URL": url}).database_url == "postgresql+psycopg://a@b/c"
