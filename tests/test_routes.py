"""Every route says who may call it, and holds to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from participation.actions import Action
from participation.permissions import Role
from participation.web import PUBLIC, SAFE_METHODS
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session
    from werkzeug.routing import Rule

    from app import Beteiligung
    from tests.browser_client import Browser

FOR_RESIDENTS = {
    Action.SEE_PROCESS,
    Action.SEE_CONTRIBUTION,
    Action.SUBMIT_PROPOSAL,
    Action.EDIT_PROPOSAL,
    Action.INVITE_CO_AUTHORS,
    Action.WITHDRAW_CONTRIBUTION,
    Action.ATTACH_CONTRIBUTION,
    Action.COMMENT,
    Action.SUPPORT,
    Action.CAST_BALLOT,
    Action.FOLLOW,
    Action.MANAGE_OWN_ACCOUNT,
}


def _routes(app: Beteiligung) -> Iterator[tuple[Rule, object]]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static":
            yield rule, getattr(app.view_functions[rule.endpoint], "access", None)


def _address(app: Beteiligung, rule: Rule, known: dict[str, Any]) -> str:
    """The route's address with ids that exist where we have them, and 999999 where not."""
    values: dict[str, Any] = {}
    for name in rule.arguments:
        converter = rule._converters[name]
        if name in known:
            values[name] = known[name]
        elif hasattr(converter, "items"):
            values[name] = min(converter.items)
        else:
            values[name] = 999_999 if type(converter).__name__ == "IntegerConverter" else "gibt-es-nicht"
    with app.test_request_context():
        return app.url_map.bind("localhost").build(rule.endpoint, values)


def test_every_route_declares_who_may_call_it(one_app: Beteiligung) -> None:
    undeclared = [rule.rule for rule, access in _routes(one_app) if access != PUBLIC and access not in set(Action)]
    assert undeclared == []


def test_addresses_are_german_kebab_case(one_app: Beteiligung) -> None:
    technical = {"/healthz", "/readyz", "/metrics"}
    for rule, _access in _routes(one_app):
        words = [part for part in rule.rule.split("/") if part and "<" not in part]
        assert rule.rule in technical or all(word == word.lower() and "_" not in word for word in words), rule.rule


@pytest.fixture
def town(session: Session) -> dict[str, Any]:
    """One town with one of everything that addresses name."""
    municipality = factories.municipality(session)
    process = factories.process(session, municipality)
    proposal = factories.proposal(session, process)
    session.commit()
    return {
        "slug": process.slug,
        "process_id": process.id,
        "proposal_id": proposal.id,
        "contribution_id": proposal.id,
        "municipality": municipality,
        "process": process,
        "theme_id": process.themes[0].id,
        "phase_id": process.phases[0].id,
    }


def test_no_address_fails_whoever_calls_it(
    app: Beteiligung, town: dict[str, Any], session: Session, new_browser: Callable[[], Browser]
) -> None:
    resident = factories.account(session)
    admin = factories.account(session, Role.ADMIN, town=town["municipality"])
    session.commit()
    browsers = [new_browser(), new_browser().sign_in(resident), new_browser().sign_in(admin)]
    ways = app.url_map.bind("localhost")
    for rule, _access in _routes(app):
        address = _address(app, rule, town)
        for browser in browsers:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                response = browser.client.open(address, method=method)
                assert response.status_code < 500, (method, address, response.status_code)
                for back in _ways_back(response.get_data()):
                    assert ways.test(back, method="GET"), (method, address, back)


def test_who_must_sign_in_first_comes_back_to_the_page_with_the_button(
    town: dict[str, Any], browser: Browser
) -> None:
    button = f"/verwaltung/verfahren/{town['process_id']}/veroeffentlichen"
    for came_from, back in (
        ("", f"/verwaltung/verfahren/{town['process_id']}"),
        ("http://localhost/verwaltung?seite=2", "/verwaltung?seite=2"),
        ("http://localhost/nirgends", f"/verwaltung/verfahren/{town['process_id']}"),
        *((odd, f"/verwaltung/verfahren/{town['process_id']}") for odd in (
            "http://anderswo.example/verwaltung", "http://localhost//anderswo.example", "http://localhost/%00", "http://[::1",
            "javascript:alert(1)", "http://localhost/\xff\xfe%ff", "http://localhost/" + "x" * 3000)),
        ("http://localhost/verwaltung?q=\xff&x=%2F", "/verwaltung?q=%C3%BF&x=%2F"),
    ):
        answer = browser.post(button, headers={"Referer": came_from} if came_from else {})
        assert answer.status_code == 401
        assert set(_ways_back(answer.get_data())) == {back}, came_from


def _ways_back(page: bytes) -> list[str]:
    """Where a page says that one comes back to: after signing in, after choosing a language."""
    return [unquote(found.decode()).partition("#")[0] for found in re.findall(rb'href="[^"]*[?&;]next=([^"&]*)', page)]


def test_staff_pages_are_closed_to_everybody_else(
    app: Beteiligung, town: dict[str, Any], session: Session, new_browser: Callable[[], Browser]
) -> None:
    resident = factories.account(session)
    half = factories.account(session, Role.ADMIN, town=town["municipality"])
    session.commit()
    anonymous, signed_in = new_browser(), new_browser().sign_in(resident)
    without_factor = new_browser().sign_in(half, second_factor=False)
    checked = 0
    for rule, access in _routes(app):
        if access == PUBLIC or access in FOR_RESIDENTS:
            continue
        address = _address(app, rule, town)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            safe = method in SAFE_METHODS
            answer = anonymous.client.open(address, method=method)
            assert answer.status_code in ({302, 303} if safe else {401}), (method, address, answer.status_code)
            assert signed_in.client.open(address, method=method).status_code == 403, (method, address)
            answer = without_factor.client.open(address, method=method)
            assert answer.status_code in ({302, 303} if safe else {403}), (method, address, answer.status_code)
            checked += 1
    assert checked > 20


def test_get_never_changes_anything(
    app: Beteiligung,
    town: dict[str, Any],
    session: Session,
    new_browser: Callable[[], Browser],
    count_queries: Any,
) -> None:
    admin = factories.account(session, Role.ADMIN, town=town["municipality"])
    session.commit()
    browsers = [new_browser(), new_browser().sign_in(admin)]
    for rule, _access in _routes(app):
        if "GET" not in (rule.methods or set()):
            continue
        with count_queries() as statements:
            for browser in browsers:
                browser.get(_address(app, rule, town))
        writes = [one for one in statements if one.split(None, 1)[0].upper() in {"INSERT", "UPDATE", "DELETE"}]
        assert writes == [], rule.rule


def test_a_slash_too_many_at_the_end_leads_to_the_page_and_nowhere_else(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    session.commit()
    for address in ("/verfahren", f"/verfahren/{process.slug}", "/konto/anmelden"):
        answer = browser.get(f"{address}/?q=B%C3%A4nke&sort=neu")
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{address}?q=B%C3%A4nke&sort=neu")
    for address in ("/gibt-es-nicht/", "/anderswo.example//", "/konto/abmelden/"):
        assert browser.get(address).status_code == 404, address
    assert "//anderswo" not in browser.get("/%2Fanderswo.example/").headers.get("Location", "")
    assert browser.post("/konto/anmelden/", {}).status_code == 404
