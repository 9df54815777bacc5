"""Cached pages: fast for everybody, personal for nobody, and never showing what was hidden."""

from __future__ import annotations

import gzip
import os
import re
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import has_app_context
from lxml import html
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app import Beteiligung, create_app
from participation import clock
from participation.accounts.models import ParticipantKind, SignInSession
from participation.compression import SHORT, Packed, as_it_is, put_together
from participation.contributions import operations as contributions
from participation.contributions.models import CoAuthor
from participation.contributions.proposals.models import Proposal
from participation.errors import NotFound
from participation.municipalities.operations import raise_content_version
from participation.permissions import Role
from participation.processes.models import Process
from participation.settings import Settings
from tests import factories
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Beteiligung]:
    """An application with the page cache on, on a database of its own that really commits."""
    url = migrated_sqlite(tmp_path / "town.sqlite3")
    app = create_app(
        Settings(
            environment="test",
            data_dir=tmp_path,
            database_url=url,
            secret_key=SECRET,
            base_url="http://localhost",
            rate_limits=False,
        )
    )
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    app.extensions["platform"].database.dispose()


def test_hidden_contribution_is_gone_from_every_cached_page_at_the_next_request(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        proposal = factories.proposal(session, process, title="Ein auffälliger Titel", lon=7.29, lat=51.97)
        slug, key = process.slug, proposal.id
    visitor = Browser(live)
    base = f"/verfahren/{slug}"
    pages = [f"{base}/vorschlaege", f"{base}/vorschlaege?q=auffällig", f"{base}/karte.geojson", f"{base}/karte"]
    for page in pages * 2:
        assert "auffälliger" in visitor.get(page).get_data(as_text=True).encode().decode(
            "unicode_escape", "ignore"
        ) or "auffälliger" in visitor.get(page).get_data(as_text=True), page
    assert visitor.get(f"{base}/vorschlaege/{key}").status_code == 200
    with database.unit_of_work() as session:
        contributions.hide(session, session.get_one(Proposal, key), "Regel verletzt", clock.now())
    for page in pages:
        assert "auffällig" not in visitor.get(page).get_data(as_text=True).replace("q=auffällig", "").replace(
            'value="auffällig"', ""
        ), page
    assert visitor.get(f"{base}/vorschlaege/{key}").status_code == 404


def test_cached_pages_know_nobody(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        factories.process(session)
        hanne = factories.account(session, display_name="Hanne B.")
    signed_in, anonymous = Browser(live).sign_in(hanne), Browser(live)
    for _ in range(2):
        assert "Hanne B." in signed_in.text("/")
        assert "Hanne B." not in anonymous.text("/")
        assert "Anmelden" in anonymous.text("/")


def test_second_anonymous_view_never_enters_flask_and_has_all_headers(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        factories.process(session)
    visitor = Browser(live)
    first = visitor.get("/")
    hits: list[float] = []
    live.extensions["platform"].page_cache.on_hit = hits.append
    second = visitor.get("/", headers={"Accept-Encoding": "gzip"})
    assert len(hits) == 1
    assert second.headers["Content-Encoding"] == "gzip"
    assert second.headers["Content-Security-Policy"] != first.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in second.headers


def test_a_kept_page_is_measured_as_any_other(live: Beteiligung) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        factories.process(session)
    visitor = Browser(live)
    visitor.get("/")

    def measured() -> dict[str, str]:
        lines = visitor.get("/metrics").get_data(as_text=True).splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if 'endpoint="page_cache"' in line)

    before = measured()
    visitor.get("/")
    after = measured()
    for name in ('http_requests_total{endpoint="page_cache",status="2xx"}', 'http_request_seconds_count{endpoint="page_cache"}'):
        assert float(after[name]) == float(before.get(name, 0)) + 1


def test_a_kept_page_reaches_whoever_is_signed_in_without_a_view(
    live: Beteiligung, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session))
        address = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
        hanne, jo = (factories.account(session, display_name=name) for name in ("Hanne B.", "Jo C."))
    readers = {"Hanne B.": Browser(live).sign_in(hanne), "Jo C.": Browser(live).sign_in(jo)}
    # The first page with a form starts a session's own tokens, which sets the cookie.
    _, by_flask = (reader.get(address, headers={"Accept-Encoding": "gzip"}) for reader in readers.values())
    with monkeypatch.context() as patched:
        patched.setattr(live, "full_dispatch_request", lambda: pytest.fail("the view was asked"))
        for name, reader in list(readers.items()) * 2:
            answer = reader.get(address, headers={"Accept-Encoding": "gzip"})
            text = gzip.decompress(answer.data).decode()
            assert name in text
            assert "".join(readers.keys() - {name}) not in text
            changing = {"Content-Security-Policy", "Content-Length", "Vary", "Set-Cookie"}
            assert ({key: value for key, value in answer.headers.items() if key not in changing}
                    == {key: value for key, value in by_flask.headers.items() if key not in changing})
            assert {"Cookie", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
            assert reader.get(address).get_data(as_text=True).count("<h1") == 1
    # A session that ends counts at the next request.
    with database.unit_of_work() as session:
        for one in session.scalars(select(SignInSession).where(SignInSession.account_id == hanne.id)):
            one.revoked_at = clock.now()
    assert "Hanne B." not in readers["Hanne B."].text(address)
    assert "Jo C." in readers["Jo C."].text(address)


def test_a_message_is_shown_once_on_a_kept_page(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session))
        address = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
        account = factories.account(session)
    browser = Browser(live).sign_in(account)
    for _ in range(3):
        browser.get(address)
    assert browser.post(f"{address}/unterstuetzen").status_code == 303
    assert "Ihre Unterstützung ist gezählt" in browser.text(address)
    assert "Ihre Unterstützung ist gezählt" not in browser.text(address)


def test_what_goes_wrong_on_a_kept_page_is_told_as_everywhere(
    live: Beteiligung, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = live.extensions["platform"]
    with platform.database.unit_of_work() as session:
        slug = factories.process(session).slug
        account = factories.account(session)
    browser = Browser(live).sign_in(account)
    for _ in range(2):
        assert browser.get(f"/verfahren/{slug}").status_code == 200

    def away(statement: Any, *_values: object) -> None:
        raise OperationalError(statement, None, ConnectionError())

    monkeypatch.setattr(platform.database, "glance", away)
    answer = browser.get(f"/verfahren/{slug}")
    assert answer.status_code == 503
    assert "Gerade nicht erreichbar" in answer.get_data(as_text=True)


def test_nothing_of_one_reader_stays_when_their_request_fails_before_it_has_begun(
    live: Beteiligung, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        slug = factories.process(session).slug
        hanne = factories.account(session, display_name="Hanne B.")
    reader, stranger = Browser(live).sign_in(hanne), Browser(live)
    for _ in range(2):
        assert "Hanne B." in reader.text(f"/verfahren/{slug}")
    real = live.session_interface.open_session
    broken = iter([True])

    def open_session(*args: Any) -> Any:
        if next(broken, False):
            raise MemoryError
        return real(*args)

    monkeypatch.setattr(live.session_interface, "open_session", open_session)
    assert reader.get(f"/verfahren/{slug}").status_code == 200
    assert not has_app_context()
    assert "Hanne B." in reader.text(f"/verfahren/{slug}")
    for address in ("/", f"/verfahren/{slug}", "/hilfe"):
        assert "Hanne B." not in stranger.text(address)
    assert stranger.get("/konto").status_code in {302, 303, 401}


def test_asking_for_the_head_of_a_page_takes_nobody_their_way_back(live: Beteiligung) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        slug = factories.process(session).slug
    address = f"/verfahren/{slug}"
    ways = [Browser(live).open(address).xpath("//header//a[contains(@href, '/konto/anmelden')]/@href")]
    live.extensions["platform"].page_cache.clear()
    assert Browser(live).client.head(address).status_code == 200
    ways += [Browser(live).open(address).xpath("//header//a[contains(@href, '/konto/anmelden')]/@href") for _ in range(2)]
    assert ways == [[f"/konto/anmelden?next={address}"]] * 3


@pytest.mark.parametrize(("error", "status"), [
    (OperationalError("SELECT 1", None, ConnectionError()), 503), (NotFound(), 404), (ValueError(), 500)])
def test_what_fails_in_a_personal_part_is_an_error_page_with_all_headers(
    live: Beteiligung, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    platform = live.extensions["platform"]
    with platform.database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session))
        address = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
        account = factories.account(session)

    def fails(**_params: Any) -> str:
        raise error

    monkeypatch.setitem(platform.holes, "follow", fails)
    browser = Browser(live).sign_in(account)
    for _ in range(2):
        answer = browser.get(address)
        text = answer.get_data(as_text=True)
        assert answer.status_code == status
        assert {"Content-Security-Policy", "X-Frame-Options", "Cache-Control"} <= set(answer.headers.keys())
        assert "<h1" in text
        assert "<!--" not in text


def test_a_program_that_refuses_gzip_gets_none(live: Beteiligung) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        slug = factories.process(session).slug
        account = factories.account(session)
    for browser in (Browser(live), Browser(live).sign_in(account)):
        for accepted, encoding in (("br, gzip;q=0", None), ("identity", None), ("gzip;q=0.5", "gzip"), ("gzip, br", "gzip")) * 2:
            answer = browser.get(f"/verfahren/{slug}", headers={"Accept-Encoding": accepted})
            assert answer.headers.get("Content-Encoding") == encoding, accepted


def test_forms_on_kept_pages_carry_the_tokens_of_their_reader(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    live.config["WTF_CSRF_ENABLED"] = True
    with database.unit_of_work() as session:
        process = factories.process(session)
        proposal = factories.proposal(session, process)
        people = [factories.account(session), factories.account(session)]
        address = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    tokens, keys = set(), set()
    for person in people:
        browser = Browser(live).sign_in(person)
        for _ in range(2):
            page = browser.open(address)
            tokens.add(page.xpath("//input[@name='csrf_token']/@value")[0])
            keys.add(page.xpath("//input[@name='submission_key']/@value")[0])
        # What the page carries is accepted.
        assert "Unterstützung ist gezählt" in browser.submit(address, {}, form="unterstuetzen").get_data(as_text=True)
    assert len(tokens) >= len(people)
    assert len(keys) == 2 * len(people)


def test_pages_of_somebody_signed_in_cost_at_most_eight_queries(
    live: Beteiligung, count_queries: Any
) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        process = factories.process(session)
        proposal = factories.proposal(session, process)
        account = factories.account(session)
        address = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    browser = Browser(live).sign_in(account)
    with count_queries() as statements:
        browser.open(f"/verfahren/{process.slug}")
    assert len([one for one in statements if "BEGIN" not in one]) <= 8
    # The second time the rules of the process are read, once until any content changes.
    for most in (8, 6, 5):
        with count_queries() as statements:
            browser.open(address)
        assert len([one for one in statements if "BEGIN" not in one]) <= most


def test_a_comment_that_only_its_author_sees_costs_them_one_query_more(live: Beteiligung, count_queries: Any) -> None:
    with live.extensions["platform"].database.unit_of_work() as session:
        process = factories.process(session)
        proposals = [factories.proposal(session, process) for _number in range(2)]
        account = factories.account(session)
        waiting, other = [f"/verfahren/{process.slug}/vorschlaege/{one.id}" for one in proposals]
    browser = Browser(live).sign_in(account)
    browser.submit(waiting, {"body": "Noch nicht zu sehen."}, form="kommentare")
    for address, is_seen, limits in ((other, False, (8, 6, 5)), (waiting, True, (8, 7, 6))):
        browser.open("/verfahren")
        for most in limits:
            with count_queries() as statements:
                page = browser.open(address)
            assert len([one for one in statements if "BEGIN" not in one]) <= most, (address, most, statements)
            assert bool(page.xpath("//*[@id='eigene-kommentare']")) is is_seen


def test_personal_parts_of_a_kept_page_follow_the_rules_as_they_change(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        proposal = factories.proposal(session, process)
        account = factories.account(session)
        address, key = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}", process.id
    browser = Browser(live).sign_in(account)
    for _ in range(3):
        assert browser.open(address).xpath("//section[@id='kommentare']//textarea")
    assert browser.post(f"{address}/unterstuetzen").status_code == 303
    with database.unit_of_work() as session:
        process = session.get_one(Process, key)
        process.phases[0].ends_at = clock.now()
        raise_content_version(session, process.municipality_id)
    # What the buttons send is judged by the rules that hold now, also where the page itself is not opened before.
    assert browser.post(f"{address}/unterstuetzen").status_code == 409
    for _ in range(3):
        assert not browser.open(address).xpath("//section[@id='kommentare']//textarea")


def test_a_kept_page_tells_author_co_author_and_strangers_apart(live: Beteiligung) -> None:
    platform = live.extensions["platform"]
    with platform.database.unit_of_work() as session:
        process = factories.process(session)
        author, co_author, stranger = (factories.account(session) for _ in range(3))
        first, second = (
            factories.participant(session, process, kind=ParticipantKind.ACCOUNT,
                                  person_hash=platform.keyring.person_hash(process.id, f"account:{one.id}"))
            for one in (author, co_author)
        )
        alone = factories.proposal(session, process, participant=first)
        together = factories.proposal(session, process, participant=first, co_author_count=1)
        session.add(CoAuthor(contribution_id=together.id, participant_id=second.id))
        base = f"/verfahren/{process.slug}/vorschlaege"
        addresses = f"{base}/{alone.id}", f"{base}/{together.id}"
    readers = [Browser(live).sign_in(one) for one in (stranger, author, co_author, stranger)]
    for _ in range(3):
        said = [["Das ist Ihr Vorschlag" in text, "Das ist auch Ihr Vorschlag" in text]
                for address in addresses for text in (reader.text(address) for reader in readers)]
        nobody, own, shared = [False, False], [True, False], [False, True]
        assert said == [nobody, own, nobody, nobody, nobody, own, shared, nobody]


def test_each_reader_of_a_kept_page_gets_their_own_parts_and_the_same_text_packed_or_not(live: Beteiligung) -> None:
    platform = live.extensions["platform"]
    with platform.database.unit_of_work() as session:
        process = factories.process(session)
        writer, reader = factories.account(session), factories.account(session)
        moderator = factories.account(session, Role.MODERATOR, town=process.municipality)
        proposal = factories.proposal(session, process)
        hers = factories.participant(session, process, kind=ParticipantKind.ACCOUNT,
                                     person_hash=platform.keyring.person_hash(process.id, f"account:{writer.id}"))
        comments = [factories.comment(session, proposal, body=f"Anmerkung {number}: schön", participant=hers)
                    if number == 1 else factories.comment(session, proposal, body=f"Anmerkung {number}: schön")
                    for number in range(4)]
        numbers = [one.id for one in comments]
        address = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    people = {"writer": Browser(live).sign_in(writer), "reader": Browser(live).sign_in(reader),
              "moderator": Browser(live).sign_in(moderator), "guest": Browser(live)}
    people["guest"].get(f"/verfahren/{process.slug}/vorschlaege/neu")

    def places(page: str, words: str) -> list[int]:
        found = html.fromstring(page).xpath("//*[starts-with(@id, 'kommentar-')][not(self::form)]")
        return [int(one.get("id").removeprefix("kommentar-")) for one in found
                if words in " ".join(one.xpath("string(.)").split())]

    # The first time the shared text is not packed yet; afterwards it is.
    for _ in range(3):
        for who, browser in people.items():
            plain = browser.get(address, headers={"Accept-Encoding": "identity"}).get_data()
            packed = browser.get(address, headers={"Accept-Encoding": "gzip"})
            assert packed.headers["Content-Encoding"] == "gzip"
            assert int(packed.headers["Content-Length"]) == len(packed.get_data())
            page = gzip.decompress(packed.get_data()).decode()
            assert _without_tokens(page) == _without_tokens(plain.decode())
            assert places(page, "schön") == numbers
            assert places(page, "Ausblenden") == (numbers if who == "moderator" else [])
            assert places(page, "Ändern oder zurückziehen") == ([numbers[1]] if who == "writer" else [])


def _without_tokens(page: str) -> str:
    return re.sub(r'value="[^"]{30,}"', "", page)


def test_a_page_put_together_from_packed_pieces_is_whole() -> None:
    for lengths in permutations((0, 1, 3, 400, 70_000), 3):
        texts = [os.urandom(length) for length in lengths]
        for packed in product((True, False), repeat=len(texts)):
            pieces = [(text, Packed.of(text) if is_packed else None)
                      for text, is_packed in zip(texts, packed, strict=True)]
            # Checks the sum over everything too.
            assert gzip.decompress(put_together(pieces)) == b"".join(texts)


def test_short_pieces_stand_in_a_page_as_they_are() -> None:
    tokens = [os.urandom(length) for length in (1, 43, 91, SHORT - 1)]
    text = "Radwege und Sitzbänke ".encode() * 300
    for around in ((text, None), (text, Packed.of(text))):
        pieces = [around, *(part for token in tokens for part in (as_it_is(token), around)), as_it_is(b"the last")]
        body = put_together(pieces)
        assert gzip.decompress(body) == b"".join(whole for whole, _packed in pieces)
        # Unchanged, so nothing of them is told by how long the page is.
        assert all(token in body for token in tokens)
