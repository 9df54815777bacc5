"""`beteiligung init`: a municipality and its first administrator, without a password that anybody set."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from sqlalchemy import func, select

from participation import tokens
from participation.accounts.models import Account, OneTimeToken, TokenPurpose
from participation.commands.setup import init
from participation.municipalities.models import District, Municipality, MunicipalityKind
from participation.permissions import Role
from tests.factories import SQUARE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from tests.browser_client import Browser

ARGUMENTS = [
    "--ags", "05558008", "--name", "Musterstadt", "--email", "rathaus@musterstadt.example",
    "--address", "Rathaus; Markt 1; 12345 Musterstadt", "--color", "#ffd800", "--admin-email", "Amt@musterstadt.example",
]


@pytest.fixture
def run(app: Beteiligung) -> Callable[..., Result]:
    def call(*arguments: str, **kwargs: Any) -> Result:
        return CliRunner().invoke(init, list(arguments), obj=lambda: app, **kwargs)

    return call


def _link(result: Result) -> str:
    found = re.search(r"https?://\S+/konto/einladung/\S+", result.output)
    assert found, result.output
    return found[0]


def test_new_town_has_one_admin_with_a_working_one_time_link(
    session: Session, run: Callable[..., Result], browser: Browser
) -> None:
    result = run(*ARGUMENTS)
    assert result.exit_code == 0, result.output
    town = session.scalars(select(Municipality).where(Municipality.ags == "05558008")).one()
    assert (town.name, town.kind, town.slug) == ("Musterstadt", MunicipalityKind.TOWN, "musterstadt")
    assert town.address == "Rathaus\nMarkt 1\n12345 Musterstadt"
    account = session.scalars(select(Account).where(Account.email == "amt@musterstadt.example")).one()
    assert account.password_hash is None
    assert [(grant.role, grant.municipality_id, grant.process_id) for grant in account.grants] == [
        (Role.ADMIN, town.id, None)
    ]
    token = _link(result).rsplit("/", 1)[1]
    row = session.scalars(select(OneTimeToken).where(OneTimeToken.account_id == account.id)).one()
    assert (row.purpose, row.token_hash) == (TokenPurpose.STAFF_INVITATION, tokens.hash_token(token))
    assert (row.expires_at - row.created_at).days == 7
    assert browser.get(f"/konto/einladung/{token}").status_code == 200
    assert "schwarz" in result.output


def test_places_logo_and_imprint_are_taken_from_files(
    session: Session, run: Callable[..., Result], tmp_path: Path, browser: Browser
) -> None:
    (tmp_path / "grenze.geojson").write_text(json.dumps(SQUARE))
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": SQUARE} for name in ("Kern", "Beerlage")
    ]
    (tmp_path / "teile.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (tmp_path / "impressum.md").write_text("Verantwortlich ist **{municipality}**.", encoding="utf-8")
    Image.new("RGB", (50, 50), "red").save(tmp_path / "logo.png")
    result = run(
        *ARGUMENTS, "--boundary", str(tmp_path / "grenze.geojson"), "--districts", str(tmp_path / "teile.geojson"),
        "--imprint", str(tmp_path / "impressum.md"), "--logo", str(tmp_path / "logo.png"),
    )
    assert result.exit_code == 0, result.output
    town = session.scalars(select(Municipality).where(Municipality.ags == "05558008")).one()
    assert town.bounds == (7.2, 51.92, 7.4, 52.04)
    assert set(session.scalars(select(District.name).where(District.municipality_id == town.id))) == {"Kern", "Beerlage"}
    assert "Verantwortlich ist Musterstadt." in browser.text("/impressum")
    with browser.get("/stil/logo") as answer:
        assert answer.status_code == 200


def test_second_run_says_so_and_changes_only_what_is_named(session: Session, run: Callable[..., Result]) -> None:
    run(*ARGUMENTS)
    again = run("--ags", "05558008", "--color", "#123456")
    assert again.exit_code == 0, again.output
    assert "gibt es schon" in again.output
    assert "/konto/einladung/" not in again.output
    session.expire_all()
    town = session.scalars(select(Municipality).where(Municipality.ags == "05558008")).one()
    assert (town.accent_color, town.name) == ("#123456", "Musterstadt")
    assert session.scalar(select(func.count(Municipality.id)).where(Municipality.ags == "05558008")) == 1
    renewed = run("--ags", "05558008", "--admin-email", "amt@musterstadt.example")
    assert _link(renewed)


def test_town_comes_under_its_kreis(session: Session, run: Callable[..., Result]) -> None:
    kreis = ["--ags", "05558", "--name", "Kreis Muster", "--email", "kreis@muster.example", "--address", "Weg 1"]
    assert run(*kreis, "--color", "#123456", "--admin-email", "kreis@muster.example").exit_code == 0
    run(*ARGUMENTS)
    town = session.scalars(select(Municipality).where(Municipality.ags == "05558008")).one()
    assert town.parent is not None
    assert (town.parent.name, town.parent.kind) == ("Kreis Muster", MunicipalityKind.KREIS)


def test_what_is_missing_is_asked(session: Session, run: Callable[..., Result]) -> None:
    answers = "05558008\nMusterstadt\nrathaus@stadt.example\nMarkt 1; 12345 Musterstadt\n\namt@stadt.example\n"
    result = run(input=answers)
    assert result.exit_code == 0, result.output
    assert _link(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ags", "123"], "8 Ziffern"),
        (["--color", "rot"], "#1b6a56"),
        (["--email", "rathaus"], "keine E-Mail-Adresse"),
        (["--admin-email", "amt"], "keine E-Mail-Adresse"),
        (["--host", "https://stadt.example/"], "ohne https://"),
        (["--parent", "05999"], "gibt es hier nicht"),
    ],
)
def test_mistake_is_named_and_leaves_nothing(
    session: Session, run: Callable[..., Result], arguments: list[str], message: str
) -> None:
    before = session.scalar(select(func.count(Municipality.id)))
    result = run(*ARGUMENTS, *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert session.scalar(select(func.count(Municipality.id))) == before


def test_broken_boundary_is_named_and_leaves_nothing(
    session: Session, run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "kaputt.geojson").write_text("{")
    result = run(*ARGUMENTS, "--boundary", str(tmp_path / "kaputt.geojson"))
    assert result.exit_code != 0
    assert "Error" in result.output
    assert session.scalar(select(Municipality.id).where(Municipality.ags == "05558008")) is None
