"""Changing what was handed in: freely, as a change that others can follow, and as one that is checked first."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import func, select

from moderation.models import Case, CaseState, Outcome
from moderation.operations import decide, report_contribution
from participation import clock
from participation.accounts.models import Account, ParticipantKind
from participation.contributions.models import ContributionPicture, ContributionState
from participation.contributions.operations import ensure_participant
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.errors import Conflict
from participation.formats import CollectSettings, Moderation
from participation.permissions import Role
from participation.uploads import Upload, picture_path
from tests import factories
from tests.browser_client import Browser
from tests.contributions.test_submissions import picture, refused

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.processes.models import Process
    from participation.tokens import Keyring


class Scene:
    """A published proposal, its author, and what others do."""

    def __init__(self, session: Session, keyring: Keyring, moderation: Moderation) -> None:
        settings = replace(CollectSettings(), moderation=moderation)
        self.session, self.keyring = session, keyring
        self.process: Process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
        self.author: Account = factories.account(session)
        who = ensure_participant(
            session, keyring, self.process.id, f"account:{self.author.id}", kind=ParticipantKind.ACCOUNT,
            pseudonym="Die Bäckerin", now=clock.now(), contact=f"account:{self.author.id}",
        )
        self.proposal: Proposal = factories.proposal(
            session, self.process, participant=who, title="Eine Bank am Markt", body="Zum Ausruhen im Schatten.")
        self.moderator = factories.account(session, Role.MODERATOR, town=self.process.municipality)
        self.path = f"/verfahren/{self.process.slug}/vorschlaege/{self.proposal.id}"
        session.commit()

    def support(self) -> None:
        factories.vote(self.session, self.proposal)
        self.proposal.support_count += 1
        self.session.commit()

    def fresh(self) -> Proposal:
        self.session.expire_all()
        return self.session.get_one(Proposal, self.proposal.id)

    def open_cases(self) -> list[Case]:
        self.session.expire_all()
        return list(self.session.scalars(select(Case).where(Case.state == CaseState.OPEN).order_by(Case.id)))

    def decide(self, outcome: Outcome, **values: Any) -> None:
        (case,) = self.open_cases()
        decide(self.session, factories.actor(self.moderator), case, outcome, now=clock.now(),
               **{"rule_key": "", "statement": "", "revision_seen": case.revision_number, **values})
        self.session.commit()


@pytest.fixture
def before(session: Session, keyring: Keyring) -> Scene:
    return Scene(session, keyring, Moderation.BEFORE)


@pytest.fixture
def after(session: Session, keyring: Keyring) -> Scene:
    return Scene(session, keyring, Moderation.AFTER)


def change(browser: Browser, scene: Scene, **values: Any) -> Any:
    return browser.submit(f"{scene.path}/bearbeiten", values, form=-1)


def test_until_others_react_a_typo_is_mended_without_a_trace(after: Scene, new_browser: Callable[[], Browser]) -> None:
    browser = new_browser().sign_in(after.author)
    answer = change(browser, after, title="Eine Bank am Marktplatz")
    assert "Ihre Änderung ist veröffentlicht" in answer.get_data(as_text=True)
    page = new_browser().text(after.path)
    assert "Eine Bank am Marktplatz" in page
    assert "Was ist neu?" not in page
    assert new_browser().get(f"{after.path}/verlauf").status_code == 302
    assert after.fresh().edited_at is None
    assert [case.revision_number for case in after.open_cases()] == [2]


def test_after_the_first_support_everybody_can_follow_what_changed(
    after: Scene, new_browser: Callable[[], Browser]
) -> None:
    after.support()
    browser = new_browser().sign_in(after.author)
    change(browser, after, body="Zum Ausruhen im Schatten <b>und</b> mit Lehne.",
           theme_id=str(after.process.themes[1].id))
    page = new_browser().open(after.path)
    (link,) = page.xpath("//a[contains(@href, '/verlauf')]/@href")
    history = new_browser().open(link)
    assert history.xpath("//section//ins")[0].text_content().endswith("<b>und</b> mit Lehne.)")
    assert "Schatten." in history.xpath("//section//del")[0].text_content()
    assert "Thema: Wohnen" in " ".join(history.text_content().split())
    assert new_browser().text(f"/verfahren/{after.process.slug}/vorschlaege?q=Lehne").count("Eine Bank am Markt") == 1
    assert not any(recount(after.session, after.keyring)[name] for name in ("theme.proposal_count", "process.proposal_count"))
    # A second change is one more step.
    change(browser, after, title="Zwei Bänke am Markt")
    assert len(new_browser().open(link).xpath("//section[starts-with(@id, 'fassung-')]")) == 2


def test_a_change_is_checked_first_and_the_published_text_stays_meanwhile(
    before: Scene, new_browser: Callable[[], Browser], run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    before.support()
    browser = new_browser().sign_in(before.author)
    answer = change(browser, before, title="Kostenlos Geld", body="Ruft an: 0171 1234567.").get_data(as_text=True)
    assert "bisherige Fassung" in answer
    assert before.fresh().state is ContributionState.PUBLISHED
    assert before.fresh().revision_number == 1
    for who in (new_browser(), browser):
        assert "Eine Bank am Markt" in who.text(before.path)
        assert "Kostenlos" not in who.text(before.path)
    found = new_browser().open(f"/verfahren/{before.process.slug}/vorschlaege?q=Kostenlos")
    assert not found.find_class("bp-contribution")
    run_jobs()
    desk = new_browser().sign_in(before.moderator)
    (case,) = before.open_cases()
    assert (case.revision_number, case.warning_count > 0) == (2, True)
    page = desk.open(f"/moderation/faelle/{case.id}")
    assert "Kostenlos Geld" in page.xpath("//h2[@id='fall']")[0].text_content()
    assert "Eine Bank am Markt" in page.xpath("//del")[0].text_content()
    assert page.xpath("//mark")[0].text_content() in "0171 1234567"
    assert not page.xpath("//button[@value='return']")
    before.decide(Outcome.REJECT, rule_key="personal_data", statement="Bitte ohne Telefonnummer.")
    assert before.fresh().state is ContributionState.PUBLISHED
    assert before.fresh().pending_revision is None
    assert "Eine Bank am Markt" in new_browser().text(before.path)
    run_jobs()
    assert "Ihr Vorschlag bleibt in der bisherigen Fassung zu lesen." in mails()[-1]
    # What was refused can be mended: nothing is typed twice.
    again = browser.open(f"{before.path}/bearbeiten")
    assert again.xpath("//input[@name='title']/@value") == ["Kostenlos Geld"]
    change(browser, before, title="Zwei Bänke am Markt", body="Zum Ausruhen.")
    before.decide(Outcome.APPROVE)
    proposal = before.fresh()
    assert (proposal.title, proposal.revision_number, proposal.state) == (
        "Zwei Bänke am Markt", 3, ContributionState.PUBLISHED)
    history = new_browser().text(f"{before.path}/verlauf")
    assert "Zwei Bänke" in history
    assert "Kostenlos" not in history
    english = html.fromstring(
        new_browser().get(f"{before.path}/verlauf", headers={"Accept-Language": "en"}).get_data(as_text=True))
    # What was written in German is read out in German, what the page says of it is not.
    assert set(english.xpath("//div[contains(@class, 'bp-prose--pre')]/@lang")) == {"de"}
    assert set(english.xpath("//ins/span/@lang | //del/span/@lang")) == {"en"}
    assert not any(wrong for name, wrong in recount(before.session, before.keyring).items() if name != "process.participant_count")


def test_a_newer_change_takes_the_place_of_the_one_that_waits_and_reports_stay(
    before: Scene, new_browser: Callable[[], Browser], keyring: Keyring
) -> None:
    report_contribution(
        before.session, keyring, before.proposal, reason_key="unlawful", statement="So nicht.", in_good_faith=True,
        name="", email="", submission_key="eine", now=clock.now())
    before.session.commit()
    browser = new_browser().sign_in(before.author)
    change(browser, before, title="Zwei Bänke")
    assert "Zwei Bänke" in browser.open(f"{before.path}/bearbeiten").xpath("//input[@name='title']/@value")
    change(browser, before, title="Drei Bänke")
    assert "Sie haben nichts geändert" in change(browser, before).get_data(as_text=True)
    # The report means what is public, so its case stays beside the one of the change.
    assert [case.revision_number for case in before.open_cases()] == [1, 3]
    case = before.session.scalars(select(Case).where(Case.revision_number == 2)).one()
    with pytest.raises(Conflict):
        decide(before.session, factories.actor(before.moderator), case, Outcome.APPROVE, rule_key="", statement="",
               revision_seen=2, now=clock.now())


def test_what_waits_for_its_first_check_may_still_be_changed(
    session: Session, new_browser: Callable[[], Browser], before: Scene
) -> None:
    before.proposal.state, before.proposal.published_at = ContributionState.SUBMITTED, None
    session.commit()
    browser = new_browser().sign_in(before.author)
    change(browser, before, title="Eine Bank mit Lehne")
    proposal = before.fresh()
    assert (proposal.title, proposal.state, proposal.revision_number) == (
        "Eine Bank mit Lehne", ContributionState.SUBMITTED, 2)


def test_two_windows_do_not_undo_each_other(after: Scene, new_browser: Callable[[], Browser]) -> None:
    browser = new_browser().sign_in(after.author)
    change(browser, after, title="Aus dem ersten Fenster")
    late = change(browser, after, title="Aus dem zweiten", revision_seen="1")
    assert late.status_code == 409
    assert "Aus dem zweiten" in late.get_data(as_text=True)
    assert after.fresh().title == "Aus dem ersten Fenster"


def test_pictures_of_a_change_are_seen_by_author_and_moderators_until_it_is_approved(
    before: Scene, new_browser: Callable[[], Browser], app: Beteiligung, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    browser, desk = new_browser().sign_in(before.author), new_browser().sign_in(before.moderator)
    change(browser, before, picture=(io.BytesIO(picture()), "a.jpg"), picture_alt="Die Bank")
    (waiting,) = before.session.scalars(select(ContributionPicture))
    address = f"{before.path}/bilder/{waiting.id}/small"
    assert new_browser().get(address).status_code == 404
    assert browser.get(address).status_code == desk.get(address).status_code == 200
    assert not new_browser().open(before.path).find_class("bp-gallery")
    (case,) = before.open_cases()
    assert desk.open(f"/moderation/faelle/{case.id}").xpath("//img[@alt='Die Bank']")
    before.decide(Outcome.APPROVE)
    assert new_browser().get(address).status_code == 200
    assert new_browser().open(before.path).xpath("//img[@alt='Die Bank']")
    name = before.session.scalars(select(Upload.name)).one()
    file = picture_path(app.extensions["platform"].settings.upload_dir, name, "small")
    assert file.is_file()
    # A change that leaves it out takes the file along once it is approved.
    change(browser, before, picture_drop="y")
    before.decide(Outcome.APPROVE)
    assert before.session.scalar(select(func.count()).select_from(Upload)) == 0
    run_jobs()
    assert not file.exists()
    assert len(mails()) == 2


def test_after_the_phase_nothing_changes(after: Scene, new_browser: Callable[[], Browser]) -> None:
    phase = after.process.phases[0]
    phase.ends_at = clock.now()
    after.session.commit()
    browser = new_browser().sign_in(after.author)
    assert browser.get(f"{after.path}/bearbeiten").status_code == 409
    assert browser.post(f"{after.path}/bearbeiten", {"title": "Zu spät", "body": "B"}).status_code == 409
    assert after.fresh().title == "Eine Bank am Markt"


def test_strangers_change_nothing(after: Scene, new_browser: Callable[[], Browser]) -> None:
    stranger = new_browser().sign_in(factories.account(after.session))
    after.session.commit()
    assert stranger.post(f"{after.path}/bearbeiten", {"title": "Meins", "body": "B"}).status_code == 404
    assert after.fresh().title == "Eine Bank am Markt"


def test_a_reason_for_withdrawing_stands_where_the_proposal_was(
    after: Scene, new_browser: Callable[[], Browser]
) -> None:
    browser = new_browser().sign_in(after.author)
    form = browser.post(f"{after.path}/zurueckziehen")
    assert "Die Sache hat sich erledigt." in form.get_data(as_text=True)
    bad = browser.post(f"{after.path}/zurueckziehen", {"confirmed": "yes", "reason": "<b>selbst geschrieben</b>"})
    assert "aus der Liste" in refused(bad).text_content()
    assert after.fresh().is_published
    browser.post(f"{after.path}/zurueckziehen", {"confirmed": "yes", "reason": "done"})
    gone = new_browser().get(after.path)
    assert gone.status_code == 410
    text = gone.get_data(as_text=True)
    assert "Die Sache hat sich erledigt." in text
    assert "Eine Bank am Markt" in text
    assert "Zum Ausruhen" not in text
    assert "Eine Bank" not in new_browser().text(f"/verfahren/{after.process.slug}/vorschlaege")


def test_without_a_reason_it_vanishes(after: Scene, new_browser: Callable[[], Browser]) -> None:
    browser = new_browser().sign_in(after.author)
    browser.post(f"{after.path}/zurueckziehen", {"confirmed": "yes", "reason": ""})
    assert new_browser().get(after.path).status_code == 404


def _send_picture(browser: Browser, path: str, alt: str) -> Any:
    return browser.submit(f"{path}/bilder", {"picture": (io.BytesIO(picture("PNG")), "bild.png"), "picture_alt": alt},
                          form=-1, content_type="multipart/form-data")


def test_up_to_five_pictures_are_added_ordered_and_removed(
    session: Session, keyring: Keyring, new_browser: Callable[[], Browser],
) -> None:
    scene = Scene(session, keyring, Moderation.AFTER)
    author = new_browser().sign_in(scene.author)
    for name in ("Eins", "Zwei", "Drei", "Vier", "Fünf"):
        assert "Gespeichert." in _send_picture(author, scene.path, name).get_data(as_text=True)
    page = author.open(f"{scene.path}/bilder")
    assert page.xpath("//ul[@class='submission-pictures']//img/@alt") == ["Eins", "Zwei", "Drei", "Vier", "Fünf"]
    assert "Bild hinzufügen" not in page.text_content()
    sixth = author.post(f"{scene.path}/bilder", {"picture": (io.BytesIO(picture("PNG")), "x.png"), "picture_alt": "Sechs"},
                        content_type="multipart/form-data")
    assert sixth.status_code == 422
    assert "Mehr als 5 Bilder" in sixth.get_data(as_text=True)
    author.post(f"{scene.path}/bilder", {"step": "first", "place": "2"})
    author.post(f"{scene.path}/bilder", {"step": "drop", "place": "1"})
    session.expire_all()
    public = new_browser().open(scene.path)
    assert public.xpath("//ul[@class='bp-gallery']//img/@alt") == ["Drei", "Zwei", "Vier", "Fünf"]
    author.submit(f"{scene.path}/bearbeiten", {
        "title": "Zwei Bänke am Markt", "picture": (io.BytesIO(picture("PNG")), "neu.png"), "picture_alt": "Neu",
    }, form=-1, content_type="multipart/form-data")
    scene.process.municipality.content_version += 1
    session.commit()
    assert new_browser().open(scene.path).xpath("//ul[@class='bp-gallery']//img/@alt") == ["Neu", "Zwei", "Vier", "Fünf"]


def test_the_history_says_how_many_pictures_came_and_went_and_where_the_place_was(
    after: Scene, new_browser: Callable[[], Browser],
) -> None:
    after.support()
    author = new_browser().sign_in(after.author)
    for name in ("Eins", "Zwei", "Drei"):
        _send_picture(author, after.path, name)
    author.post(f"{after.path}/bilder", {"step": "drop", "place": "1"})

    def steps() -> list[str]:
        found = new_browser().open(f"{after.path}/verlauf").xpath("//section[starts-with(@id, 'fassung-')]")
        return [" ".join(" ".join(one.itertext()).split()) for one in found]

    (pictures,) = steps()
    for wanted in ("3 Bilder sind dazugekommen.", "1 Bild ist entfernt.", "Titel und Text sind gleich geblieben."):
        assert wanted in pictures
    change(author, after, place="Am Brunnen")
    change(author, after, place="Am Rathaus", lon="7.29", lat="51.97")
    moved, named, _pictures = steps()
    assert "Ort in Worten: ohne Angabe Am Brunnen" in named
    assert "Punkt" not in named
    assert "Bild" not in named
    assert "Ort in Worten: Am Brunnen Am Rathaus" in moved
    assert "Der Punkt auf der Karte ist neu." in moved
    author.post(f"{after.path}/bilder", {"step": "first", "place": "1"})
    assert "Die Bilder sind anders beschrieben oder anders sortiert." in steps()[0]


def test_new_pictures_of_a_public_proposal_wait_for_the_check(
    session: Session, keyring: Keyring, new_browser: Callable[[], Browser],
) -> None:
    scene = Scene(session, keyring, Moderation.BEFORE)
    author = new_browser().sign_in(scene.author)
    answer = _send_picture(author, scene.path, "Eine Bank").get_data(as_text=True)
    assert "Ihre Änderung wird geprüft, bevor sie erscheint" in answer
    assert new_browser().open(scene.path).xpath("//ul[@class='bp-gallery']") == []
    wrong = author.post(f"{scene.path}/bilder", {"picture": (io.BytesIO(b"kein Bild"), "x.png")},
                        content_type="multipart/form-data")
    assert wrong.status_code == 422
    assert "kein lesbares Bild" in wrong.get_data(as_text=True)
    assert new_browser().get(f"{scene.path}/bilder").status_code in {302, 401, 404}
    assert new_browser().sign_in(factories.account(session)).get(f"{scene.path}/bilder").status_code == 404
