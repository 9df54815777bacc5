"""Staying in touch: following, digests, leaving by one click."""

from __future__ import annotations

import email
import re
from datetime import UTC, datetime, timedelta
from email import policy
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from participation import clock, mail, outbox
from participation.contributions import operations as contributions
from participation.contributions.models import AnswerStatus, ContributionState
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.operations.answering import answer_proposal
from participation.following import delivery, jobs, operations
from participation.following.models import REFUSALS_MAX, Follower, Frequency, Subscription
from participation.following.queries import gather_news
from participation.permissions import Role
from participation.processes.models import ProcessNews
from tests import factories
from tests.following.conftest import ADDRESS, follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.accounts.models import Account
    from participation.contributions.proposals.models import Proposal
    from participation.db import Database
    from participation.tokens import Keyring
    from tests.browser_client import Browser


def _process(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}"


def _page(proposal: Proposal) -> str:
    return f"{_process(proposal)}/vorschlaege/{proposal.id}"


def _link(text: str, part: str) -> str:
    found = re.findall(rf"https?://[^/\s]+(/abo/\S*{part}\S*)", text)
    assert found, text
    return str(found[0])


def test_digests_are_due_at_six_in_the_morning_and_on_thursdays() -> None:
    monday = datetime(2027, 6, 14, 10, tzinfo=UTC)
    assert delivery.last_slot(Frequency.DAILY, monday) == datetime(2027, 6, 14, 4, tzinfo=UTC)
    assert delivery.last_slot(Frequency.WEEKLY, monday) == datetime(2027, 6, 10, 4, tzinfo=UTC)
    early = datetime(2027, 6, 17, 3, 59, tzinfo=UTC)
    assert delivery.last_slot(Frequency.DAILY, early) == datetime(2027, 6, 16, 4, tzinfo=UTC)
    assert delivery.last_slot(Frequency.WEEKLY, early) == datetime(2027, 6, 10, 4, tzinfo=UTC)
    assert delivery.last_slot(Frequency.WEEKLY, early + timedelta(minutes=1)) == datetime(2027, 6, 17, 4, tzinfo=UTC)
    winter = datetime(2027, 1, 11, 10, tzinfo=UTC)
    assert delivery.last_slot(Frequency.DAILY, winter) == datetime(2027, 1, 11, 5, tzinfo=UTC)


def test_an_account_follows_by_a_button_and_reads_what_happened(
    session: Session, proposal: Proposal, reader: Account, browser: Browser, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    browser.sign_in(reader)
    assert "Sie folgen diesem Vorschlag" in browser.submit(_page(proposal), form="/folgen").get_data(as_text=True)
    assert "Bänke am Fluss" in browser.text("/konto/benachrichtigungen")
    factories.comment(session, proposal)
    factories.comment(session, proposal)
    factories.comment(session, proposal, state=ContributionState.SUBMITTED)
    proposal.answer_status, proposal.answered_at = AnswerStatus.ACCEPTED, clock.now()
    session.commit()
    digests()
    (text,) = [one for one in mails() if "Neues zu" in one]
    for wanted in (f"To: {ADDRESS}", "Bänke am Fluss", "2 neue Kommentare", "Wird umgesetzt", "Guten Tag Die Leserin"):
        assert wanted in text, wanted
    digests(later=timedelta(days=15))
    assert len([one for one in mails() if "Neues zu" in one]) == 1, "nothing new, no mail"
    browser.submit(_page(proposal), form="/nicht-mehr-folgen")
    assert "Sie folgen noch nichts" in browser.text("/konto/benachrichtigungen")


def test_whoever_wants_no_mails_is_not_told_that_following_brings_some(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
    new_browser: Callable[[], Browser],
) -> None:
    follow(session, keyring, reader, proposal)
    follower = follow(session, keyring, reader, proposal, whole=True)
    other = new_browser().sign_in(factories.account(session))
    session.commit()
    browser.sign_in(reader)
    for page, says in ((_page(proposal), "Sie folgen diesem Vorschlag"), (_process(proposal), "Sie folgen diesem Verfahren")):
        for frequency in (Frequency.DAILY, Frequency.NEVER):
            operations.set_frequency(session, follower, frequency, clock.now())
            session.commit()
            # The second time from a kept page.
            for _time in range(2):
                shown = browser.text(page)
                assert says in shown
                assert ("keine E-Mails" in shown) is (frequency is Frequency.NEVER)
        assert "Sie folgen" not in other.text(page)
    assert browser.open(_page(proposal)).xpath("//section[@id='folgen']//a[@href='/konto/benachrichtigungen']")


def test_a_process_tells_of_new_proposals_answers_phases_and_ends(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = proposal.process
    now = clock.now()
    monkeypatch.setattr(delivery, "last_slot", lambda _frequency, moment: moment)
    process.phases.append(factories.phase("discuss", title="Reden wir darüber", opens=2))
    process.phases.append(factories.phase("vote", title="Wählen wir aus", opens=-3, closes=10))
    follow(session, keyring, reader, proposal, whole=True)
    for number in range(7):
        factories.proposal(session, process, title=f"Neue Idee {number}", at=now)
    factories.proposal(session, process, title="Noch nicht geprüft", state=ContributionState.SUBMITTED)
    hidden = factories.proposal(session, process, title="Verborgene Idee", at=now)
    contributions.hide(session, hidden, "Grund", now)
    proposal.answer_status, proposal.answered_at = AnswerStatus.DECLINED, now
    session.add(ProcessNews(process_id=process.id, title="Der Zeitplan steht", body="Siehe unten.", published_at=now))
    session.commit()
    digests(later=timedelta(days=5))
    (text,) = [one for one in mails() if "Neues zu" in one]
    for wanted in ("Der Zeitplan steht", "Neue Idee 6", "Neue Idee 2", "und 2 weitere neue Vorschläge", "Beantwortet: Bänke am Fluss",
                   "Jetzt offen: Reden wir darüber", "Wählen wir aus"):
        assert wanted in text, wanted
    for unwanted in ("Neue Idee 0", "Verborgene", "Noch nicht", "Jetzt offen: Wählen"):
        assert unwanted not in text, unwanted


def test_nobody_is_told_what_they_wrote_themselves(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal)
    own = factories.participant(session, proposal.process, person_hash=keyring.person_hash(
        proposal.process_id, f"account:{reader.id}"))
    factories.comment(session, proposal, participant=own)
    session.commit()
    digests()
    assert not [one for one in mails() if "Neues zu" in one]


@pytest.mark.parametrize("number", [2, 20])
def test_nobody_is_told_of_their_own_new_proposals(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, number: int,
) -> None:
    mine, theirs = follow(session, keyring, reader, proposal, whole=True), follow(
        session, keyring, factories.account(session), proposal, whole=True)
    own = factories.participant(session, proposal.process, person_hash=keyring.person_hash(
        proposal.process_id, f"account:{reader.id}"))
    now = clock.now()
    for hour in range(number):
        factories.proposal(session, proposal.process, title=f"Fremd {hour}", at=now - timedelta(minutes=20 * hour + 1))
    for hour in range(3):
        factories.proposal(session, proposal.process, title=f"Eigen {hour}", participant=own,
                           at=now - timedelta(minutes=20 * hour))
    session.commit()
    news = gather_news(session, keyring, [mine, theirs], Frequency.WEEKLY, now)
    (alone,), (all_of_it,) = news[mine.id].processes, news[theirs.id].processes
    assert [title for _id, title in alone.proposals] == [f"Fremd {hour}" for hour in range(number)][:5]
    assert alone.more_proposals == max(0, number - 5), "what is counted counts nothing of one's own either"
    assert len(all_of_it.proposals) + all_of_it.more_proposals == number + 3


def test_whoever_wrote_all_that_is_new_gets_no_mail(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal, whole=True)
    own = factories.participant(session, proposal.process, person_hash=keyring.person_hash(
        proposal.process_id, f"account:{reader.id}"))
    factories.proposal(session, proposal.process, participant=own, at=clock.now())
    session.commit()
    digests()
    assert not [one for one in mails() if "Neues zu" in one]


def test_an_address_is_written_to_only_after_its_owner_agreed(
    session: Session, proposal: Proposal, browser: Browser, digests: Callable[..., None],
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    page = browser.text(_process(proposal))
    assert "Neues per E-Mail" in page
    answer = browser.submit(f"{_page(proposal).replace('vorschlaege', 'folgen?vorschlag=').replace('=/', '=')}",
                            {"email": ADDRESS, "frequency": "daily"}, form="/folgen")
    assert "Schauen Sie in Ihr Postfach" in answer.get_data(as_text=True)
    run_jobs()
    factories.comment(session, proposal)
    session.commit()
    digests(Frequency.DAILY)
    (asked,) = mails()
    assert "Bitte bestätigen" in asked
    link = _link(asked, "bestaetigen")
    browser.open(link)
    digests(Frequency.DAILY, later=timedelta(days=9))
    assert len(mails()) == 1, "a program that opens the link agrees to nothing"
    done = browser.submit(link, form=-1)
    assert "Ab jetzt bekommen Sie Neuigkeiten" in done.get_data(as_text=True)
    session.expire_all()
    follower = session.scalars(select(Follower)).one()
    assert follower.frequency is Frequency.DAILY
    assert follower.email_sealed is not None
    assert ADDRESS not in follower.email_sealed
    factories.comment(session, proposal, at=clock.now() + timedelta(seconds=1))
    session.commit()
    digests(Frequency.DAILY, later=timedelta(days=10))
    assert "1 neuer Kommentar" in mails()[-1]


def test_a_known_address_is_told_the_same_on_the_page_and_the_truth_by_mail(
    session: Session, keyring: Keyring, proposal: Proposal, browser: Browser, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    page = f"{_process(proposal)}/folgen"
    first = browser.submit(page, {"email": ADDRESS}, form="/folgen").get_data(as_text=True)
    operations.confirm_following(session, keyring, session.scalars(select(Subscription)).one(), clock.now())
    session.commit()
    run_jobs()
    second = browser.submit(page, {"email": ADDRESS.upper()}, form="/folgen").get_data(as_text=True)
    assert first == second
    assert session.scalar(select(func.count()).select_from(Follower)) == 1
    third = browser.submit(page, {"email": "keine Adresse"}, form="/folgen")
    assert third.status_code == 422
    assert "Das ist keine E-Mail-Adresse" in third.get_data(as_text=True)
    assert len(mails()) == 1, "one mail an hour for the same wish"
    assert keyring is not None


@pytest.mark.parametrize("frequency", ["stuendlich", None])
def test_a_frequency_that_nobody_can_choose_is_asked_for_again_and_changes_nothing(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser, frequency: str | None,
) -> None:
    follower = follow(session, keyring, reader, proposal, frequency=Frequency.DAILY)
    operations.request_following(session, keyring, proposal.process, None, "gast@beispiel.example", clock.now(),
                                 frequency=Frequency.DAILY)
    asked = session.scalars(select(Subscription).where(Subscription.confirmed_at.is_(None))).one()
    confirm = f"/abo/{operations.subscription_token(keyring, asked)}/bestaetigen"
    session.commit()
    sent = {"frequency": frequency} if frequency else {}

    def asks_again(path: str, values: dict[str, str]) -> str:
        answer = browser.post(path, values)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert "Bitte wählen Sie, wie oft wir Ihnen schreiben sollen." in page
        return page

    both = asks_again(f"{_process(proposal)}/folgen", {"email": "keine Adresse", **sent})
    assert "Das ist keine E-Mail-Adresse" in both
    asks_again(f"{_process(proposal)}/folgen", {"email": "neu@beispiel.example", **sent})
    asks_again(f"{_process(proposal)}/folgen", {"email": "neu@beispiel.example", "frequency": "never"})
    asks_again(f"/abo/{operations.follower_token(keyring, follower)}", sent)
    asks_again(confirm, sent)
    browser.sign_in(reader)
    asks_again("/konto/benachrichtigungen", sent)
    session.expire_all()
    assert follower.frequency is Frequency.DAILY
    assert asked.confirmed_at is None
    assert session.scalar(select(func.count()).select_from(Follower)) == 2, "nobody new"


def test_addresses_that_nobody_confirmed_are_forgotten_after_a_week(
    session: Session, keyring: Keyring, proposal: Proposal,
) -> None:
    for days, name in ((8, "alt"), (1, "neu")):
        operations.request_following(session, keyring, proposal.process, None, f"{name}@beispiel.example",
                                     clock.now() - timedelta(days=days), frequency=Frequency.WEEKLY)
    operations.forget_unconfirmed(session, clock.now())
    session.flush()
    (left,) = session.scalars(select(Follower))
    assert keyring.unseal(left.email_sealed or "") == "neu@beispiel.example"


@pytest.mark.usefixtures("csrf")
def test_one_click_in_the_mail_program_ends_everything_without_cookie_or_form_token(
    session: Session, keyring: Keyring, proposal: Proposal, new_browser: Callable[[], Browser],
    digests: Callable[..., None], data_dir: Path, mails: Callable[[], list[str]],
) -> None:
    operations.request_following(session, keyring, proposal.process, proposal, ADDRESS,
                                 clock.now() - timedelta(days=1), frequency=Frequency.WEEKLY)
    operations.confirm_following(session, keyring, session.scalars(select(Subscription)).one(), clock.now() - timedelta(days=1))
    factories.comment(session, proposal)
    session.commit()
    digests()
    assert mails()
    path = max((data_dir / "mails").glob("*digest*.eml"), key=lambda one: one.stat().st_mtime_ns)
    raw = path.read_bytes()
    message = email.message_from_bytes(raw, policy=policy.default)
    header = message["List-Unsubscribe"].strip()
    assert re.search(rb"^List-Unsubscribe:\s+<http[^>\r\n]+/abmelden>\r?$", raw, re.MULTILINE), "one readable address"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert '<html lang="de"' in html
    link = re.sub(r"^<https?://[^/]+|>$", "", header)
    stranger = new_browser()
    assert "E-Mails beenden" in stranger.text(link)
    assert session.scalar(select(func.count()).select_from(Follower)) == 1, "looking ends nothing"
    answer = stranger.post(link, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert session.scalar(select(func.count()).select_from(Follower)) == 0, "a bare address is forgotten"
    assert stranger.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200, "asked again, the same"


@pytest.mark.parametrize("token", ["x", "1-", "1-" + "0" * 32, "-1-abc", "9" * 30, "1-ä"])
def test_links_that_are_not_ours_open_nothing(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser, token: str,
) -> None:
    follow(session, keyring, reader, proposal)
    assert browser.get(f"/abo/{token}").status_code == 410
    for answer in (browser.get(f"/abo/{token}/bestaetigen"), browser.post(f"/abo/{token}/bestaetigen", {"frequency": "weekly"})):
        assert answer.status_code == 410
        assert "nicht vollständig" in answer.get_data(as_text=True)
        assert "bestellen Sie die E-Mails noch einmal" in answer.get_data(as_text=True)
    assert browser.post(f"/abo/{token}/1/beenden").status_code == 404
    browser.post(f"/abo/{token}/abmelden")
    session.expire_all()
    assert session.scalars(select(Follower)).one().frequency is Frequency.WEEKLY


def test_the_link_of_one_reader_ends_nothing_of_another(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
) -> None:
    mine = follow(session, keyring, reader, proposal)
    other = follow(session, keyring, factories.account(session), proposal)
    theirs = session.scalars(select(Subscription).where(Subscription.follower_id == other.id)).one()
    token = operations.follower_token(keyring, mine)
    browser.post(f"/abo/{token}/{theirs.id}/beenden")
    assert session.scalar(select(func.count()).select_from(Subscription)) == 2
    browser.submit(f"/abo/{token}", {"frequency": "never"}, form=-1)
    session.expire_all()
    assert session.get_one(Follower, mine.id).frequency is Frequency.NEVER
    assert session.get_one(Follower, other.id).frequency is Frequency.WEEKLY


def test_a_killed_worker_goes_on_and_nobody_gets_the_same_mail_twice(
    app: Beteiligung, session: Session, database: Database, keyring: Keyring, proposal: Proposal,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 3)
    for number in range(8):
        follow(session, keyring, factories.account(session, email=f"l{number}@beispiel.example"), proposal)
    factories.comment(session, proposal)
    session.commit()
    posted: list[str] = []
    real = jobs.post_one

    def dies(post: Callable[[mail.Mail], None], message: mail.Mail) -> bool:
        if len(posted) == 4:
            posted.append("")
            raise ConnectionResetError
        posted.append(message.recipient)
        return real(post, message)

    monkeypatch.setattr(jobs, "post_one", dies)
    with app.app_context(), database.unit_of_work() as one:
        delivery.begin_digests(one, Frequency.WEEKLY, clock.now() + timedelta(days=8))
    run_jobs()
    assert len(posted) == 5
    with app.app_context():
        waiting = list(session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.done_at.is_(None))))
        for row in waiting:
            outbox.work_row(database, row)
    run_jobs()
    addresses = [one for one in posted if one]
    assert sorted(addresses) == sorted(f"l{number}@beispiel.example" for number in range(8))
    assert len([one for one in mails() if "Neues zu" in one]) == 8


def test_an_address_that_refuses_mail_again_and_again_is_left_alone(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    browser: Browser, monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower = follow(session, keyring, reader, proposal)
    tried: list[str] = []

    def refuse(message: mail.Mail, _settings: Any) -> None:
        tried.append(message.recipient)
        raise mail.RefusedError

    monkeypatch.setattr(mail, "deliver", refuse)
    for week in range(1, 6):
        factories.comment(session, proposal, at=clock.now() + timedelta(days=7 * week - 6))
        session.commit()
        digests(later=timedelta(days=7 * week + 1))
    assert len(tried) == REFUSALS_MAX
    browser.sign_in(reader)
    assert "kommen bei Ihnen nicht an" in browser.text("/konto/benachrichtigungen")
    browser.submit("/konto/benachrichtigungen", {"frequency": "weekly"}, form=-1)
    session.expire_all()
    assert session.get_one(Follower, follower.id).refusals == 0


def test_at_once_comes_with_everything_of_some_minutes_in_one_mail(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal, frequency=Frequency.AT_ONCE)
    now = clock.now()
    for _number in range(3):
        comment = factories.comment(session, proposal, state=ContributionState.SUBMITTED)
        contributions.publish(session, comment, now)
    session.commit()
    rows = session.scalars(select(outbox.OutboxRow).where(outbox.OutboxRow.job == "send_digests")).all()
    assert len(rows) == 1
    assert rows[0].not_before_at - now <= timedelta(seconds=45), "with the sweep within a minute"
    run_jobs()
    (text,) = mails()
    assert "3 neue Kommentare" in text


def test_a_new_follower_is_told_nothing_of_the_time_before(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]], new_browser: Callable[[], Browser],
) -> None:
    """Who follows one thing for long, and another one since just now."""
    other = factories.proposal(session, proposal.process, title="Ein Brunnen")
    for _number in range(3):
        factories.comment(session, proposal, at=clock.now() - timedelta(hours=2))
    session.commit()
    follow(session, keyring, reader, other, frequency=Frequency.AT_ONCE)
    new_browser().sign_in(reader).submit(_page(proposal), {"frequency": "at_once"}, form="folgen")
    contributions.publish(session, factories.comment(session, proposal, state=ContributionState.SUBMITTED), clock.now())
    session.commit()
    run_jobs()
    (text,) = mails()
    assert "Bänke am Fluss" in text
    assert "1 neuer Kommentar" in text


def test_gathering_asks_the_database_the_same_few_questions_for_few_and_many(
    session: Session, keyring: Keyring, proposal: Proposal, count_queries: Callable[[], Any],
) -> None:
    followers = [follow(session, keyring, factories.account(session), proposal, whole=bool(number % 2))
                 for number in range(12)]
    for one in followers:
        one.told_until = followers[0].told_until
    session.commit()
    until, counts = clock.now(), []
    for some in (followers[:2], followers):
        with count_queries() as statements:
            gather_news(session, keyring, some, Frequency.WEEKLY, until)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_what_was_followed_by_address_goes_along_into_the_account(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account,
) -> None:
    now = clock.now()
    operations.request_following(session, keyring, proposal.process, None, ADDRESS, now, frequency=Frequency.DAILY)
    operations.confirm_following(session, keyring, session.scalars(select(Subscription)).one(), now)
    follow(session, keyring, reader, proposal)
    session.expire_all()
    follower = session.scalars(select(Follower)).one()
    assert follower.account_id == reader.id
    assert {one.proposal_id for one in follower.subscriptions} == {None, proposal.id}


def test_a_deleted_account_follows_nothing(
    app: Beteiligung, session: Session, keyring: Keyring, proposal: Proposal, reader: Account,
) -> None:
    follow(session, keyring, reader, proposal)
    with app.app_context():
        delete_account(session, keyring, factories.actor(reader), reader, take_along=False, now=clock.now())
    session.commit()
    assert session.scalar(select(func.count()).select_from(Follower)) == 0
    assert session.scalar(select(func.count()).select_from(Subscription)) == 0


# ---- what a page says is what happens


def test_whoever_left_by_one_click_and_follows_again_gets_mail_again_but_not_of_the_time_between(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
    digests: Callable[..., None], mails: Callable[[], list[str]],
) -> None:
    follower = follow(session, keyring, reader, proposal, whole=True)
    operations.unsubscribe(session, follower)
    factories.comment(session, proposal, at=clock.now() - timedelta(hours=1))
    session.commit()
    browser.sign_in(reader)
    page = browser.submit(_page(proposal), form="/folgen").get_data(as_text=True)
    assert "Wir schreiben Ihnen, wenn es Neues gibt" in page
    digests()
    assert not mails()
    factories.comment(session, proposal, at=clock.now() + timedelta(days=9))
    session.commit()
    digests(later=timedelta(days=16))
    assert "1 neuer Kommentar" in mails()[-1]


def test_the_owner_of_an_account_who_orders_by_address_has_one_list_and_gets_one_mail(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
    digests: Callable[..., None], mails: Callable[[], list[str]],
) -> None:
    earlier = clock.now() - timedelta(days=1)
    own = follow(session, keyring, reader, proposal)
    for target in (proposal, None):
        operations.request_following(session, keyring, proposal.process, target, ADDRESS, earlier,
                                     frequency=Frequency.WEEKLY)
    for one in session.scalars(select(Subscription).where(Subscription.confirmed_at.is_(None))).all():
        found = operations.confirm_following(session, keyring, one, earlier)
        assert found.account_id == reader.id
    session.commit()
    session.expire_all()
    (follower,) = session.scalars(select(Follower)).all()
    assert follower.id == own.id
    assert {one.proposal_id for one in follower.subscriptions} == {None, proposal.id}
    factories.comment(session, proposal)
    session.commit()
    digests()
    assert len(mails()) == 1
    browser.sign_in(reader)
    assert "Ganzes Verfahren" in browser.text("/konto/benachrichtigungen")


def test_a_stranger_who_types_an_address_again_and_again_fills_no_mailbox(
    session: Session, keyring: Keyring, proposal: Proposal, browser: Browser, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    ids = [factories.proposal(session, proposal.process).id for _number in range(8)]
    session.commit()
    for number in ids:
        answer = browser.submit(f"{_process(proposal)}/folgen?vorschlag={number}", {"email": ADDRESS}, form="/folgen")
        assert "Schauen Sie in Ihr Postfach" in answer.get_data(as_text=True)
    run_jobs()
    assert len(mails()) == operations.PENDING_MAX < len(ids)
    assert keyring is not None


def test_many_answers_are_counted_where_they_are_not_named(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    follow(session, keyring, reader, proposal, whole=True)
    for number in range(7):
        row = factories.proposal(session, proposal.process, title=f"Idee {number}",
                                 at=clock.now() - timedelta(days=20))
        row.answer_status, row.answered_at = AnswerStatus.ACCEPTED, clock.now()
    session.commit()
    digests()
    (text,) = mails()
    assert text.count("Beantwortet: ") == 5
    assert "und 2 weitere Antworten" in text


def test_followers_are_told_that_an_answer_was_changed_once(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    editor = factories.actor(factories.account(session, Role.EDITOR, on=proposal.process))
    follow(session, keyring, reader, proposal)
    follow(session, keyring, reader, proposal, whole=True)
    begin = clock.now()

    def answer(cost: str, days: int) -> None:
        session.expire_all()
        answer_proposal(session, editor, proposal, status=AnswerStatus.ACCEPTED, body="Drei Bänke kommen.", cost=cost,
                        now=begin + timedelta(days=days))
        session.commit()

    def told() -> list[str]:
        return [one for one in mails() if "Neues zu" in one]

    answer("1.000.000.000", 0)
    answer("1000000", 0)
    digests(later=timedelta(days=8))
    (first,) = told()
    assert "Die Verwaltung hat geantwortet: Wird umgesetzt" in first
    assert "Beantwortet: Bänke am Fluss" in first, "of an answer that they read nothing of before it is the first they hear"
    answer("1000", 9)
    digests(later=timedelta(days=16))
    assert len(told()) == 2
    assert "Die Verwaltung hat ihre Antwort geändert: Wird umgesetzt" in told()[-1]
    assert "Antwort geändert: Bänke am Fluss" in told()[-1]
    answer("1.000 €", 17)
    digests(later=timedelta(days=30))
    assert "ntwort" not in " ".join(told()[2:]), "nothing was different; the end of a phase is all there is to tell"


def test_a_digest_says_in_which_language_it_is_and_where_everything_is_to_be_read(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, digests: Callable[..., None],
    mails: Callable[[], list[str]], data_dir: Path,
) -> None:
    reader.locale = "en"
    follow(session, keyring, reader, proposal, whole=True)
    new = factories.proposal(session, proposal.process, title="Neue Idee", at=clock.now())
    session.commit()
    digests()
    assert f"http://localhost{_process(proposal)}/vorschlaege/{new.id}" in mails()[0]
    path = max((data_dir / "mails").glob("*digest*.eml"), key=lambda one: one.stat().st_mtime_ns)
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message["List-Id"].strip() == "<neuigkeiten.localhost>"
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert '<html lang="en"' in html
    assert "<h1>" in html


def test_whoever_wrote_the_last_twenty_is_told_the_titles_before_and_who_reads_one_busy_author_how_many_more(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account,
) -> None:
    mine, theirs = follow(session, keyring, reader, proposal, whole=True), follow(
        session, keyring, factories.account(session), proposal, whole=True)
    own = factories.participant(session, proposal.process, person_hash=keyring.person_hash(
        proposal.process_id, f"account:{reader.id}"))
    now = clock.now()
    for number in range(20):
        factories.proposal(session, proposal.process, title=f"Eigen {number}", participant=own,
                           at=now - timedelta(minutes=number))
    session.commit()
    (busy,) = gather_news(session, keyring, [theirs], Frequency.WEEKLY, now)[theirs.id].processes
    assert ([title for _id, title in busy.proposals], busy.more_proposals) == ([f"Eigen {number}" for number in range(5)], 15)
    for number in range(7):
        factories.proposal(session, proposal.process, title=f"Fremd {number}", at=now - timedelta(hours=1, minutes=number))
    session.commit()
    for readers in ([mine], [mine, theirs]):
        (alone,) = gather_news(session, keyring, readers, Frequency.WEEKLY, now)[mine.id].processes
        assert ([title for _id, title in alone.proposals], alone.more_proposals) == ([f"Fremd {number}" for number in range(5)], 2)


def test_everybody_is_told_what_happened_since_their_own_last_mail(
    session: Session, keyring: Keyring, proposal: Proposal, count_queries: Callable[[], Any],
) -> None:
    """Followers of one batch who know different things share the queries, and get what each would get alone."""
    now = clock.now()
    for hours in range(1, 13):
        factories.proposal(session, proposal.process, title=f"Vor {hours} Stunden", at=now - timedelta(hours=hours))
        factories.comment(session, proposal, at=now - timedelta(hours=hours))
        answered = factories.proposal(session, proposal.process, title=f"Antwort {hours}", at=now - timedelta(days=9))
        answered.answer_status, answered.answered_at = AnswerStatus.ACCEPTED, now - timedelta(hours=hours)
    followers = []
    for hours in (2, 5, 8, 12):
        account = factories.account(session)
        follower = follow(session, keyring, account, proposal)
        operations.follow(session, keyring, factories.actor(account), proposal.process, None, now - timedelta(days=1))
        follower.told_until = now - timedelta(hours=hours, minutes=30)
        followers.append(follower)
    own = factories.participant(session, proposal.process, person_hash=keyring.person_hash(
        proposal.process_id, f"account:{followers[0].account_id}"))
    factories.comment(session, proposal, participant=own, at=now - timedelta(minutes=5))
    session.commit()
    with count_queries() as statements:
        together = gather_news(session, keyring, followers, Frequency.WEEKLY, now)
    asked = len(statements)
    for follower in followers:
        with count_queries() as statements:
            alone = gather_news(session, keyring, [follower], Frequency.WEEKLY, now)
        assert together[follower.id] == alone[follower.id]
        assert asked <= len(statements) + 3
    digests = [together[one.id] for one in followers]
    assert [one.proposals[0].comments for one in digests] == [2, 6, 9, 13], "one's own comment does not count"
    assert [(len(one.processes[0].proposals), one.processes[0].more_proposals) for one in digests] == [
        (2, 0), (5, 0), (5, 3), (5, 7)]
    assert [(len(one.processes[0].answers), one.processes[0].more_answers) for one in digests] == [
        (2, 0), (5, 0), (5, 3), (5, 7)]
    assert digests[1].processes[0].proposals[0][1] == "Vor 1 Stunden", "the newest first"


def test_authors_are_asked_on_their_receipt_and_get_no_mail_unasked(
    session: Session, keyring: Keyring, reader: Account, browser: Browser, digests: Callable[..., None],
    mails: Callable[[], list[str]],
) -> None:
    process = factories.process(session, phases=[factories.phase("collect")])
    author = factories.participant(session, process, person_hash=keyring.person_hash(process.id, f"account:{reader.id}"))
    own = factories.proposal(session, process, participant=author, title="Mein Vorschlag",
                             state=ContributionState.SUBMITTED)
    other = factories.proposal(session, process, title="Von jemand anderem", state=ContributionState.SUBMITTED)
    session.commit()
    browser.sign_in(reader)
    receipt = f"/verfahren/{process.slug}/vorschlaege/{own.id}/beleg"
    assert "Möchten Sie wissen, was andere dazu sagen?" in browser.text(receipt)
    assert session.scalar(select(func.count()).select_from(Follower)) == 0
    browser.submit(receipt, form="/folgen")
    assert "Sie folgen diesem Vorschlag" in browser.text(receipt)
    assert session.scalars(select(Follower)).one().frequency is Frequency.WEEKLY
    assert browser.post(f"/verfahren/{process.slug}/folgen", {"vorschlag": str(other.id)}).status_code == 404
    contributions.publish(session, own, clock.now())
    factories.comment(session, own)
    own.answer_status, own.answered_at = AnswerStatus.ACCEPTED, clock.now()
    session.commit()
    digests()
    (text,) = [one for one in mails() if "Neues zu" in one]
    assert "1 neuer Kommentar" in text
    assert "Die Verwaltung hat geantwortet" not in text, "the answer has come by a mail of its own"


def test_no_unchecked_title_goes_to_an_address_that_a_stranger_typed(
    session: Session, proposal: Proposal, browser: Browser,
) -> None:
    proposal.process.phases.append(factories.phase("collect"))
    unchecked = factories.proposal(session, proposal.process, title="Kauft bei mir", state=ContributionState.SUBMITTED)
    session.commit()
    answer = browser.post(f"{_process(proposal)}/folgen", {"vorschlag": str(unchecked.id), "email": ADDRESS})
    assert answer.status_code == 404
    assert session.scalar(select(func.count()).select_from(Follower)) == 0


def test_a_hidden_proposal_is_hidden_from_its_followers_too(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, browser: Browser,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], count_queries: Callable[[], Any],
) -> None:
    follower = follow(session, keyring, reader, proposal)
    operations.request_following(session, keyring, proposal.process, proposal, "gast@beispiel.example", clock.now(),
                                 frequency=Frequency.WEEKLY)
    guest = session.scalars(select(Subscription).where(Subscription.follower_id != follower.id)).one()
    contributions.hide(session, proposal, "Grund", clock.now())
    session.commit()
    run_jobs()
    assert "Bänke am Fluss" not in mails()[0]
    browser.sign_in(reader)
    for page in ("/konto/benachrichtigungen", f"/abo/{operations.follower_token(keyring, follower)}",
                 f"/abo/{operations.subscription_token(keyring, guest)}/bestaetigen"):
        assert "Bänke am Fluss" not in browser.text(page)
    assert "Ein Vorschlag, der zurzeit nicht zu sehen ist" in browser.text("/konto/benachrichtigungen")
    for number in range(20):
        more = factories.proposal(session, proposal.process, title=f"Mehr {number}")
        operations.follow(session, keyring, factories.actor(reader), proposal.process, more, clock.now())
    session.commit()
    with count_queries() as statements:
        browser.text("/konto/benachrichtigungen")
    assert len([one for one in statements if "BEGIN" not in one]) <= 8


def test_whoever_left_and_orders_again_is_asked_again_and_so_is_the_next_person(
    session: Session, proposal: Proposal, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    """Numbers of deleted rows are given anew on SQLite; what was asked once must not silence the next one."""
    for address in (ADDRESS, ADDRESS, "andere@beispiel.example"):
        browser.submit(f"{_process(proposal)}/folgen", {"email": address}, form="/folgen")
        run_jobs()
        session.expire_all()
        operations.unsubscribe(session, session.scalars(select(Follower)).one())
        session.commit()
    assert [re.findall(r"To: (\S+)", one)[0] for one in mails()] == [ADDRESS, ADDRESS, "andere@beispiel.example"]
