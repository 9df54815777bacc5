"""The page of one proposal: who sees it, what stands on it, and that hiding it takes it away everywhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from app import Beteiligung, create_app
from participation import clock
from participation.accounts.models import Participant, ParticipantKind
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionPicture, ContributionState, Voter
from participation.contributions.operations import ensure_participant
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.formats import FORMATS
from participation.permissions import Role
from participation.processes.models import Process, Theme
from participation.settings import Settings
from participation.uploads import store_picture
from tests import factories
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from participation.tokens import Keyring

Counter = Callable[[], AbstractContextManager[list[str]]]
OK, NOT_FOUND = 200, 404


def own_proposal(session: Session, keyring: Keyring, author: Account, process: Process, **values: object) -> Proposal:
    participant = ensure_participant(
        session, keyring, process.id, f"account:{author.id}", kind=ParticipantKind.ACCOUNT,
        pseudonym=author.display_name, now=clock.now(),
    )
    return factories.proposal(session, process, participant=participant, **values)


def test_everything_about_a_proposal_stands_on_its_page(session: Session, browser: Browser) -> None:
    process = factories.process(session, attribution="ideen.beispiel.example, CC BY 4.0")
    proposal = factories.proposal(
        session, process, title="Bänke am <b>Markt</b>", body="Erster Absatz.\n\nZweiter <i>Absatz</i>.",
        place="Am Brunnen", lon=7.3, lat=51.98, support_count=12,
    )
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    text = " ".join(page.text_content().split())
    assert page.xpath("//h1")[0].text_content() == "Bänke am <b>Markt</b>"
    for part in ("Zweiter <i>Absatz</i>.", "Am Brunnen", "Verkehr", "12 Unterstützungen", "CC BY 4.0",
                 "Eingereicht", "Veröffentlicht", "Zurück zu allen Vorschlägen"):
        assert part in text
    assert page.get_element_by_id("map_lage") is not None
    script = browser.get(page.xpath("//script[contains(@src, 'lage.js')]/@src")[0])
    assert script.mimetype == "text/javascript"
    assert "51.98" in script.get_data(as_text=True)


@pytest.mark.parametrize("state", [ContributionState.SUBMITTED, ContributionState.RETURNED,
                                   ContributionState.HIDDEN, ContributionState.REJECTED])
def test_what_is_not_public_is_seen_by_its_author_and_moderators_only(
    session: Session, new_browser: Callable[[], Browser], keyring: Keyring, state: ContributionState
) -> None:
    process = factories.process(session)
    author, neighbour = factories.account(session), factories.account(session)
    moderator = factories.account(session, Role.MODERATOR, town=process.municipality)
    reason = "Das ist Werbung." if state in {ContributionState.HIDDEN, ContributionState.REJECTED} else None
    proposal = own_proposal(session, keyring, author, process, state=state, title="Noch nicht öffentlich",
                            state_reason=reason, published_at=clock.now(), lon=7.3, lat=51.98)
    session.commit()
    path = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    assert new_browser().get(path).status_code == NOT_FOUND
    assert new_browser().get(f"{path}/lage.js").status_code == NOT_FOUND
    assert new_browser().sign_in(neighbour).get(path).status_code == NOT_FOUND
    text = new_browser().sign_in(author).text(path)
    assert "Noch nicht öffentlich" in text
    assert (reason or "Ihr Vorschlag") in text
    assert new_browser().sign_in(moderator).get(path).status_code == OK


@pytest.mark.parametrize("number", [0, 999_999, 2**31, 10**30])
def test_a_number_that_does_not_exist_is_not_found(session: Session, browser: Browser, number: int) -> None:
    process = factories.process(session)
    session.commit()
    base = f"/verfahren/{process.slug}/vorschlaege/{number}"
    for path in (base, f"{base}/lage.js", f"{base}/bilder/{number}/small", f"{base}/kommentare"):
        assert browser.get(path).status_code == NOT_FOUND
    assert browser.post(f"{base}/unterstuetzen").status_code == NOT_FOUND


def test_an_address_that_no_process_can_have_is_not_found(session: Session, browser: Browser) -> None:
    factories.process(session)
    session.commit()
    assert browser.get("/verfahren/%00/vorschlaege/1/bilder/1/small").status_code == NOT_FOUND
    assert browser.post("/verfahren/%00/vorschlaege/1/unterstuetzen").status_code == NOT_FOUND


def test_a_proposal_is_not_found_under_another_process(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    other = factories.process(session, process.municipality)
    proposal = factories.proposal(session, process)
    session.commit()
    assert browser.get(f"/verfahren/{other.slug}/vorschlaege/{proposal.id}").status_code == NOT_FOUND


def test_pictures_are_served_safely_and_vanish_with_the_proposal(
    session: Session, app: Beteiligung, new_browser: Callable[[], Browser], keyring: Keyring
) -> None:
    process = factories.process(session)
    author = factories.account(session)
    proposal = own_proposal(session, keyring, author, process)
    raw = io.BytesIO()
    Image.new("RGB", (900, 600), "green").save(raw, "JPEG")
    raw.seek(0)
    folder = app.extensions["platform"].settings.upload_dir
    upload = store_picture(session, folder, process.municipality_id, raw, 10**7)
    proposal.pictures = [ContributionPicture(upload=upload, alt="Eine grüne Wiese")]
    session.commit()
    page = new_browser().open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    shown = page.xpath("//img[@alt='Eine grüne Wiese']/@src")[0]
    response = new_browser().get(shown)
    assert response.mimetype == "image/webp"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"].startswith("private, max-age=")
    assert new_browser().get(shown, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    assert new_browser().get(shown.replace("small", "huge")).status_code == NOT_FOUND
    contributions.hide(session, proposal, "Werbung", clock.now())
    session.commit()
    assert new_browser().get(shown).status_code == NOT_FOUND
    own = new_browser().sign_in(author).get(shown)
    assert own.status_code == OK
    assert "no-store" in own.headers["Cache-Control"]


def test_a_page_with_200_comments_needs_few_queries(
    session: Session, browser: Browser, count_queries: Counter
) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, lon=7.3, lat=51.98)
    author = factories.participant(session, process)
    for _ in range(40):
        first = factories.comment(session, proposal, participant=author)
        for _ in range(4):
            factories.comment(session, proposal, parent=first, participant=author)
    session.commit()
    with count_queries() as statements:
        page = browser.open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    assert len(page.find_class("bp-comment")) == 200
    assert len(statements) <= 8, "\n".join(statements)


# ------------------------------------------------------------------------------------- hiding, with the page cache on


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Beteiligung]:
    """An application with the page cache on, on a database of its own that really commits."""
    url = migrated_sqlite(tmp_path / "town.sqlite3")
    app = create_app(Settings(
        environment="test", data_dir=tmp_path, database_url=url, secret_key=SECRET, base_url="http://localhost",
        rate_limits=False, page_cache=True,
    ))
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    app.extensions["platform"].database.dispose()


def test_hidden_means_gone_from_every_page_at_once_and_restored_means_back(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        kept = factories.proposal(session, process, title="Bleibt stehen", lon=7.31, lat=51.97)
        hidden = factories.proposal(session, process, title="Trampolin im Ratssaal", lon=7.3, lat=51.98)
        factories.comment(session, hidden)
        ids = kept.id, hidden.id
        base, process_id = f"/verfahren/{process.slug}", process.id
    stranger = Browser(live)
    addresses = (f"{base}/vorschlaege", f"{base}/vorschlaege?q=Trampolin", f"{base}/vorschlaege?thema=verkehr",
                 f"{base}/karte", f"{base}/karte.geojson", f"{base}/karte.geojson?zoom=17&bbox=7,51,8,53")

    def shown() -> list[bool]:
        # Each time a browser without a cookie, which is answered from complete pages.
        return ["im Ratssaal" in Browser(live).get(path).get_data(as_text=True) for path in addresses]

    def number() -> str:
        return stranger.open(f"{base}/vorschlaege").find_class("bp-result-count")[0].text_content()

    for _ in range(2):
        assert shown() == [True] * len(addresses)
    assert number().startswith("2 Vorschläge")
    with database.unit_of_work() as session:
        contributions.hide(session, session.get_one(Proposal, ids[1]), "Werbung", clock.now())
    assert shown() == [False] * len(addresses)
    assert number().startswith("1 Vorschlag")
    assert stranger.get(f"{base}/vorschlaege/{ids[1]}").status_code == NOT_FOUND
    assert stranger.get(f"{base}/vorschlaege/{ids[0]}").status_code == OK
    with database.reading() as session:
        process = session.get_one(Process, process_id)
        assert (process.proposal_count, process.comment_count) == (1, 0)
    with database.unit_of_work() as session:
        contributions.publish(session, session.get_one(Proposal, ids[1]), clock.now())
    assert shown() == [True] * len(addresses)
    assert number().startswith("2 Vorschläge")
    with database.reading() as session:
        process = session.get_one(Process, process_id)
        assert (process.proposal_count, process.comment_count) == (2, 1)


def test_a_cached_page_keeps_the_parts_of_each_reader_apart(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        proposal = factories.proposal(session, process)
        account = factories.account(session)
        path = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    stranger, resident = Browser(live), Browser(live).sign_in(account)
    for _ in range(3):
        assert "Anmelden und unterstützen" in stranger.text(path)
        text = resident.text(path)
        assert "Anmelden und unterstützen" not in text
        assert "Kommentar senden" in text


def test_a_kept_page_opens_for_everybody_whatever_its_phases_ask(live: Beteiligung) -> None:
    database = live.extensions["platform"].database
    with database.unit_of_work() as session:
        town = factories.municipality(session)
        paths, people = [], [factories.account(session)]
        for key in FORMATS:
            process = factories.process(session, town, phases=[factories.phase(key)])
            paths.append(f"/verfahren/{process.slug}/vorschlaege/{factories.proposal(session, process).id}")
        people += [factories.account(session, role, town=town) for role in Role]
    readers = [Browser(live), *(Browser(live).sign_in(one) for one in people)]
    for path in paths:
        # The first one makes the page, the others read the kept one.
        assert [reader.get(path).status_code for reader in readers] == [OK] * len(readers), path


# ------------------------------------------------------------------------------------------------------------ recount


def test_counters_stay_right_when_comments_change_while_their_proposal_is_hidden(
    session: Session, keyring: Keyring
) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process)
    comments = [factories.comment(session, proposal) for _ in range(3)]
    now = clock.now()
    contributions.hide(session, proposal, "Wird geklärt", now)
    contributions.hide(session, comments[0], "Beleidigung", now)
    session.refresh(process)
    assert process.comment_count == 0
    contributions.publish(session, proposal, now)
    session.refresh(process)
    session.refresh(proposal)
    assert (process.proposal_count, process.comment_count, proposal.comment_count) == (1, 2, 2)
    # The factories make participants without counting them.
    assert not any(wrong for counter, wrong in recount(session, keyring).items() if counter != "process.participant_count")


def test_recount_corrects_every_counter_and_nothing_else(session: Session, keyring: Keyring) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process)
    factories.comment(session, proposal)
    factories.comment(session, proposal, state=ContributionState.SUBMITTED)
    hidden = factories.proposal(session, process, state=ContributionState.HIDDEN, state_reason="Werbung")
    votes = [factories.vote(session, proposal) for _ in range(3)]
    factories.vote(session, hidden, votes[0].voter_id)
    # Somebody who both writes and votes is one person.
    author = session.get_one(Participant, proposal.participant_id)
    factories.vote(session, hidden, keyring.voter_number(author.person_hash))
    session.get_one(Voter, votes[2].voter_id).supports = 9
    other = factories.process(session, process.municipality)
    session.flush()
    version = process.municipality.content_version
    proposal.support_count, proposal.comment_count, process.proposal_count = 40, 7, 99
    process.themes[1].proposal_count = 5
    session.flush()
    corrected = recount(session, keyring)
    assert corrected["contribution.support_count"] == 2
    assert corrected["contribution.comment_count"] == 1
    assert corrected["voter.supports"] == 1
    session.expire_all()
    assert (proposal.support_count, proposal.comment_count, hidden.support_count) == (3, 1, 2)
    assert (process.proposal_count, process.comment_count) == (1, 1)
    # Three who vote, and the authors of two proposals and two comments.
    assert process.participant_count == 7
    assert [session.get_one(Theme, theme.id).proposal_count for theme in process.themes] == [1, 0]
    assert session.get_one(Process, other.id).proposal_count == 0
    assert process.municipality.content_version > version
    assert set(recount(session, keyring).values()) == {0}
    assert session.get_one(Contribution, proposal.id).support_count == 3
