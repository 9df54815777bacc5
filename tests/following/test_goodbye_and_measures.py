"""Leaving for good, hearing at once of what becomes of a proposal, and in one's own language."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from lxml import html
from sqlalchemy import func, select

from participation import clock, outbox
from participation.catalogue.models import Measure
from participation.catalogue.operations import drop_source, save_measure, set_publication, take_up_proposal
from participation.contributions.coauthors import operations as co_authors
from participation.following import operations
from participation.following.models import Follower, Frequency, Subscription
from participation.following.newsletters import operations as newsletters
from participation.permissions import Role
from participation.processes.models import TextVariant
from tests import factories
from tests.following.conftest import follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from participation.contributions.proposals.models import Proposal
    from participation.tokens import Keyring
    from tests.browser_client import Browser


def test_whoever_comes_again_after_leaving_reads_the_same(
    session: Session, keyring: Keyring, proposal: Proposal, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    operations.request_following(session, keyring, proposal.process, proposal, "leserin@beispiel.example", clock.now(),
                                 frequency=Frequency.WEEKLY)
    follower = session.scalars(select(Follower)).one()
    operations.confirm_following(session, keyring, follower.subscriptions[0], clock.now())
    link = f"/abo/{operations.follower_token(keyring, follower)}"
    session.commit()
    for _scanner in range(3):
        assert "E-Mails beenden" in browser.text(f"{link}/abmelden")
        assert new_browser().client.head(f"{link}/abmelden").status_code == 200
    session.expire_all()
    assert session.scalar(select(func.count()).select_from(Follower)) == 1, "looking at a link ends nothing"
    first = browser.post(f"{link}/abmelden", {"List-Unsubscribe": "One-Click"})
    assert session.scalar(select(func.count()).select_from(Follower)) == 0
    answers = [first, browser.get(f"{link}/abmelden"), browser.post(f"{link}/abmelden")]
    assert [one.status_code for one in answers] == [200] * 3
    assert len({html.fromstring(one.get_data(as_text=True)).xpath("string(//main)") for one in answers}) == 1
    assert "Sie bekommen keine E-Mails" in first.get_data(as_text=True)
    assert all("Set-Cookie" not in one.headers for one in answers)
    gone = browser.get(link)
    assert gone.status_code == 410
    assert "bekommen Sie keine E-Mails mehr" in gone.get_data(as_text=True)


def test_a_link_that_is_not_whole_ends_nothing_and_says_so(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
) -> None:
    token = operations.follower_token(keyring, follow(session, keyring, reader, proposal))
    mistyped = token[:-1] + ("0" if token[-1] != "0" else "1")
    other = token.replace("-", "-0", 1)
    for damaged in (mistyped, token[:-1], token[:20], other, f"9{token}", "abc", "1-ausgedacht", "999-" + "0" * 32):
        for answer in (browser.get(f"/abo/{damaged}/abmelden"), browser.get(f"/abo/{damaged}"),
                       browser.post(f"/abo/{damaged}/abmelden", {"List-Unsubscribe": "One-Click"})):
            page = answer.get_data(as_text=True)
            assert answer.status_code == 410
            assert "ist nicht vollständig" in page
            assert "haben wir nichts geändert" in page
            assert "E-Mails beendet" not in page
            assert "/konto/benachrichtigungen" in page
    session.expire_all()
    assert session.scalars(select(Follower)).one().frequency is Frequency.WEEKLY
    browser.post(f"/abo/{token.rpartition('-')[0]}/abmelden")
    session.expire_all()
    assert session.scalars(select(Follower)).one().frequency is Frequency.NEVER, "the shorter links of earlier mails hold"


def test_an_account_that_wants_no_mail_reads_that_it_gets_none(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
) -> None:
    follower = follow(session, keyring, reader, proposal)
    link = f"/abo/{operations.follower_token(keyring, follower)}/abmelden"
    browser.submit(link, form=-1)
    assert "Sie bekommen keine E-Mails" in browser.text(link)


def test_after_the_end_of_all_mails_one_new_thing_is_followed_alone(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
) -> None:
    follower = follow(session, keyring, reader, proposal)
    follow(session, keyring, reader, proposal, whole=True)
    new = factories.proposal(session, proposal.process, title="Eine Uhr am Markt")
    session.commit()
    operations.unsubscribe(session, follower)
    session.commit()
    browser.sign_in(reader)
    assert "Sie haben alle E-Mails beendet" in browser.text("/konto/benachrichtigungen")
    answer = browser.submit(f"/verfahren/{new.process.slug}/vorschlaege/{new.id}", form="/folgen")
    assert "Was Sie vorher verfolgt haben, bleibt beendet." in answer.get_data(as_text=True)
    session.expire_all()
    assert [one.target for one in follower.subscriptions] == [f"proposal:{new.id}"]
    assert follower.frequency is Frequency.WEEKLY
    page = browser.text("/konto/benachrichtigungen")
    assert "Eine Uhr am Markt" in page
    assert "Bänke am Fluss" not in page
    answer = browser.submit(f"/verfahren/{new.process.slug}", form="/folgen")
    assert "bleibt beendet" not in answer.get_data(as_text=True), "nothing was ended this time"


@pytest.mark.parametrize("has_account", [False, True])
def test_an_address_that_wanted_no_mail_agrees_to_one_thing_alone(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser, *, has_account: bool,
) -> None:
    if has_account:
        silent = follow(session, keyring, reader, proposal)
    else:
        reader.email = "umgezogen@beispiel.example"
        operations.request_following(session, keyring, proposal.process, proposal, "leserin@beispiel.example",
                                     clock.now(), frequency=Frequency.WEEKLY)
        silent = operations.confirm_following(session, keyring, session.scalars(select(Subscription)).one(), clock.now())
    operations.set_frequency(session, silent, Frequency.NEVER, clock.now())
    operations.request_following(session, keyring, proposal.process, None, "leserin@beispiel.example", clock.now(),
                                 frequency=Frequency.WEEKLY)
    asked = session.scalars(select(Subscription).where(Subscription.confirmed_at.is_(None))).one()
    token = operations.subscription_token(keyring, asked)
    session.commit()
    answer = browser.submit(f"/abo/{token}/bestaetigen", form=-1).get_data(as_text=True)
    assert "Was Sie vorher verfolgt haben, bleibt beendet." in answer
    session.expire_all()
    assert [one.target for one in silent.subscriptions] == [f"process:{proposal.process_id}"]
    assert silent.frequency is Frequency.WEEKLY


@pytest.fixture
def measure(session: Session, proposal: Proposal) -> Measure:
    admin = factories.actor(factories.account(session, Role.ADMIN, town=proposal.process.municipality))
    found = save_measure(session, admin, proposal.process, None, {
        "code": "M7", "title": "Sitzplätze in der Stadt", "theme_id": proposal.process.themes[0].id},
        version_seen=-1, now=clock.now())
    session.commit()
    return found


def _due(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(outbox.OutboxRow).where(
        outbox.OutboxRow.job == "send_digests", outbox.OutboxRow.done_at.is_(None))) or 0


def test_taking_up_into_a_public_measure_is_told_at_once(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, measure: Measure,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal, frequency=Frequency.AT_ONCE)
    admin = factories.actor(factories.account(session, Role.ADMIN, town=proposal.process.municipality))
    proposal.process.catalogue_is_public = True
    take_up_proposal(session, admin, measure, proposal, clock.now())
    session.commit()
    (row,) = session.scalars(select(outbox.OutboxRow).where(outbox.OutboxRow.job == "send_digests")).all()
    assert row.not_before_at - clock.now() <= timedelta(seconds=45)
    run_jobs()
    (text,) = mails()
    assert "Daraus wird eine Maßnahme: M7 Sitzplätze in der Stadt" in text


def test_what_was_taken_up_in_the_workbench_is_told_when_the_catalogue_opens_and_once(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, measure: Measure,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], digests: Callable[..., None],
) -> None:
    follow(session, keyring, reader, proposal)
    admin = factories.actor(factories.account(session, Role.ADMIN, town=proposal.process.municipality))
    take_up_proposal(session, admin, measure, proposal, clock.now())
    session.commit()
    assert _due(session) == 0, "the workbench is nobody else's business"
    digests()
    assert mails() == []
    later = clock.now() + timedelta(days=9)
    set_publication(session, admin, proposal.process, is_public=True, now=later)
    session.commit()
    digests(later=timedelta(days=16))
    assert len([one for one in mails() if "M7" in one]) == 1
    for number, is_public in enumerate((True, False, True)):
        set_publication(session, admin, proposal.process, is_public=is_public, now=later + timedelta(days=8 + number))
    session.commit()
    digests(later=timedelta(days=30))
    assert len(mails()) == 1, "hidden for a while and shown again is no news"
    drop_source(session, admin, measure, proposal.id, clock.now())


def test_titles_of_processes_and_phases_come_in_the_readers_language(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    process = proposal.process
    phase = factories.phase("discuss", title="Reden wir darüber", opens=1, closes=40)
    process.phases.append(phase)
    session.flush()
    session.add_all([
        TextVariant(entity="process", entity_id=process.id, field="title", language="en", process_id=process.id,
                    text="Town of tomorrow"),
        TextVariant(entity="phase", entity_id=phase.id, field="title", language="en", process_id=process.id,
                    text="Let us talk"),
    ])
    reader.locale = "en"
    german = factories.account(session, email="leser@beispiel.example")
    for one in (reader, german):
        follow(session, keyring, one, proposal, whole=True)
    digests()
    texts = {one.split("\n")[0].removeprefix("To: "): one for one in mails()}
    assert "Town of tomorrow" in texts[reader.email]
    assert "Let us talk" in texts[reader.email]
    assert "Reden wir" not in texts[reader.email]
    assert "Stadt von morgen" in texts[german.email]
    assert "Reden wir darüber" in texts[german.email]


def test_lists_of_the_account_and_all_mails_name_a_process_as_its_reader_reads_it(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    process, now = proposal.process, clock.now()
    session.add(TextVariant(entity="process", entity_id=process.id, field="title", language="en", process_id=process.id,
                            text="Town of tomorrow"))
    reader.locale = "en"
    german = factories.account(session, email="leser@beispiel.example")
    for one in (reader, german):
        follow(session, keyring, one, proposal, whole=True)
    author = factories.actor(factories.account(session))
    proposal.is_own = True
    co_authors.invite(session, keyring, author, proposal, now, email=reader.email)
    operations.request_following(session, keyring, process, None, "neu@beispiel.example", now,
                                 frequency=Frequency.WEEKLY, locale="en")
    editor = factories.actor(factories.account(session, Role.EDITOR, town=process.municipality))
    letter = newsletters.write_newsletter(session, editor, process, "Rundbrief", "Kommen Sie.", now)
    newsletters.send_newsletter(session, editor, letter, now)
    session.commit()
    run_jobs()
    texts = [" ".join(one.split()) for one in mails()]
    for address, number in ((reader.email, 2), ("neu@beispiel.example", 1)):
        own = [one for one in texts if f"To: {address}" in one]
        assert len(own) == number
        assert all("Town of tomorrow" in one and "Stadt von morgen" not in one for one in own)
    (own,) = [one for one in texts if f"To: {german.email}" in one]
    assert "Stadt von morgen" in own

    browser.sign_in(reader)
    form = f"/verfahren/{process.slug}/vorschlaege/neu"
    browser.submit(form, {"step": "draft", "title": "Eine Bank"}, form=-1)
    browser.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    for page in ("/konto/benachrichtigungen", "/konto/beitraege"):
        assert "Town of tomorrow" in browser.text(page), page
        assert "Stadt von morgen" not in browser.text(page), page


def test_a_digest_leads_to_the_town_whose_process_is_followed(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    other = factories.municipality(session, name="Anderswo", host="anderswo.example")
    there = factories.proposal(session, factories.process(session, other))
    elsewhere = factories.account(session, email="leser@beispiel.example")
    for one, followed in ((reader, proposal), (elsewhere, there)):
        followed.process.phases.append(factories.phase("discuss", title="Reden wir darüber", opens=1, closes=40))
        follow(session, keyring, one, followed, whole=True)
    session.commit()
    digests()
    texts = {one.split("\n")[0].removeprefix("To: "): one for one in mails()}
    assert f"http://anderswo.example/verfahren/{there.process.slug}" in texts[elsewhere.email]
    assert "localhost" not in texts[elsewhere.email]
    assert f"http://localhost/verfahren/{proposal.process.slug}" in texts[reader.email]
