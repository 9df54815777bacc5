"""Where every page of the platform is: an address for each route that shows one, and the reason for each that shows none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from moderation.models import Case
from participation import clock, tokens
from participation.accounts.models import Account, OneTimeToken, ParticipantKind, SignInSession, TokenPurpose
from participation.accounts.operations.links import issue_token
from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption
from participation.contributions.ballots.operations import recount
from participation.contributions.coauthors import operations as coauthors
from participation.contributions.guests.operations import give_receipt, receipt_token
from participation.contributions.models import ContributionState, Voter
from participation.contributions.operations import add_revision, ensure_participant, mark_own
from participation.following import operations as following
from participation.following.models import Frequency, Subscription
from participation.following.newsletters import operations as newsletters
from participation.processes.models import Process, ProcessNews, ProcessState
from participation.processes.operations import make_preview_link
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask
    from sqlalchemy.orm import Session
    from werkzeug.routing import Rule

    from participation.processes.models import Phase
    from participation.tokens import Keyring

# Everybody who sees the platform differently. The first sees most, so what the others see besides is little.
PEOPLE = {
    "administrator": "admin@billerbeck.example",
    "planner": "planung@billerbeck.example",
    "moderator": "moderation@billerbeck.example",
    "editor": "redaktion@billerbeck.example",
    "resident": "hanne@leute.billerbeck.example",
    "visitor": "",
}
DATA, LEADS_ON, PROVIDER = "data, no page", "leads on at once", "belongs to a provider that this town has not"
NO_PAGE = {
    "accounts.back_from_provider": PROVIDER,
    "accounts.leave_provider": PROVIDER,
    "accounts.to_provider": PROVIDER,
    "accounts.signed_out": LEADS_ON,
    "ballots.download": DATA,
    "catalogue.export": DATA,
    "comments.back": LEADS_ON,
    "comments.back_again": LEADS_ON,
    "comments.show": LEADS_ON,
    "following.not_by_link": LEADS_ON,
    "municipalities.accent_css": DATA,
    "municipalities.choose_language": LEADS_ON,
    "municipalities.logo": DATA,
    "processes.dates": DATA,
    "processes.document": DATA,
    "processes.news_feed": DATA,
    "processes.picture": DATA,
    "processes.poster_code": DATA,
    "processes.preview_document": DATA,
    "processes.preview_picture": DATA,
    "processes.take_part": LEADS_ON,
    "proposals.feed": DATA,
    "proposals.geojson": DATA,
    "proposals.layers": DATA,
    "proposals.map_script": DATA,
    "proposals.picture": DATA,
    "proposals.place_script": DATA,
    "proposals.qr_code": DATA,
    "proposals.tile_file": DATA,
    "proposals.tiles": DATA,
    "personal.back_to_receipt": LEADS_ON,
    "personal.download": DATA,
    "static": DATA,
    "submissions.introduce": LEADS_ON,
    "submissions.picker_script": DATA,
    "telemetry.healthz": DATA,
    "telemetry.metrics": DATA,
    "telemetry.readyz": DATA,
    "votes.back": LEADS_ON,
    "votes.back_again": LEADS_ON,
}


def prepared(session: Session, keyring: Keyring, mails: Path) -> dict[str, list[dict[str, Any]]]:
    """Adds to the demo town what its pages are about; returns, by endpoint, the values that fill its address.

    "" holds what stands for a name of an argument wherever nothing else is said.
    """
    now = clock.now()
    account = {row.email: row for row in session.scalars(select(Account))}
    admin, resident = (factories.actor(account[PEOPLE[who]]) for who in ("administrator", "resident"))
    hanne = account[PEOPLE["resident"]]
    city, budget = (session.scalars(select(Process).where(Process.slug == slug)).one()
                    for slug in ("smart-city", "buergerbudget"))
    phases = {phase.format_key: phase for phase in [*budget.phases, *city.phases]}
    draft = factories.process(session, city.municipality, title="Entwurf zum Ansehen", state=ProcessState.DRAFT)
    ended = _last_years_basket(session, budget, phases["budget"])
    own = ensure_participant(session, keyring, city.id, resident.identity or "", kind=ParticipantKind.ACCOUNT,
                             pseudonym="Hanne", now=now)
    mine = factories.proposal(session, city, participant=own, title="Eine Bank am Berkelufer")
    said = factories.comment(session, mine, participant=own)
    mark_own(keyring, resident, mine)
    mine.title, mine.revision_number, mine.edited_at = "Zwei Bänke am Berkelufer", 2, now
    add_revision(mine, mine.title, mine.body, now)
    guest = factories.participant(session, city, kind=ParticipantKind.GUEST)
    new = factories.proposal(session, city, participant=guest, state=ContributionState.SUBMITTED, submission_key=tokens.new_token(),
                             title="Ein Trinkbrunnen")
    answer = factories.comment(session, mine, participant=guest, submission_key=tokens.new_token())
    give_receipt(keyring, new)
    give_receipt(keyring, answer)
    follower = following.follow(session, keyring, resident, city, None, now)
    following.request_following(session, keyring, city, None, "wer@beispiel.example", now, frequency=Frequency.WEEKLY)
    asked = session.scalars(select(Subscription).order_by(Subscription.id.desc()).limit(1)).one()
    letter = newsletters.write_newsletter(session, admin, city, "Zwischenstand", "Was bisher geschah.", now)
    flag = VoteFlag(process_id=city.id, source_hash="0" * 16, first_at=now, last_at=now)
    taken = Annulment(process_id=city.id, reason="Hundert Stimmen von einem Gerät.", votes=3, ballots=0, created_at=now,
                      created_by="Planung")
    session.add_all([flag, taken])
    session.flush()
    mails.mkdir(exist_ok=True)
    letter_name = f"20260101T000000_walk_{city.municipality_id}.eml"
    (mails / letter_name).write_text("To: wer@beispiel.example\nSubject: Guten Tag\nDate: Thu, 01 Jan 2026 00:00:00 +0000\n\nEin Text.\n",
                                     encoding="utf-8")

    def link(purpose: TokenPurpose) -> list[dict[str, Any]]:
        return [{"token": issue_token(session, hanne.id, purpose, now)}]

    change = link(TokenPurpose.CHANGE_EMAIL)
    session.scalars(select(OneTimeToken).where(
        OneTimeToken.token_hash == tokens.hash_token(change[0]["token"]))).one().payload_sealed = keyring.seal("neu@beispiel.example")
    receipts = [{"token": receipt_token(keyring, one)} for one in (new, answer)]
    on_own = {"proposal_id": mine.id}
    return {
        "": [{
            "slug": city.slug, "process_id": city.id, "proposal_id": 1, "contribution_id": 1, "code": "K1", "measure_id": 1,
            "phase_id": phases["collect"].id, "theme_id": city.themes[0].id, "news_id": session.scalars(select(ProcessNews.id)).first(),
            "newsletter_id": letter.id, "flag_id": flag.id, "annulment_id": taken.id, "document_id": 1,
            "name": letter_name,
        }],
        "accounts.confirm": link(TokenPurpose.CONFIRM_EMAIL),
        "accounts.confirm_new_email": change,
        "accounts.invitation": link(TokenPurpose.STAFF_INVITATION),
        "accounts.reset": link(TokenPurpose.RESET_PASSWORD),
        "accounts.sign_in_by_link": link(TokenPurpose.SIGN_IN),
        "ballots.paper": [{"process_id": budget.id, "phase_id": phases["budget"].id}],
        "ballots.show": [{"slug": budget.slug, "phase_id": phases["budget"].id}],
        "ballots.show_results": [{"slug": budget.slug, "phase_id": ended.id}],
        "coauthors.invitation": [{"token": coauthors.invite(session, keyring, resident, mine, now)}],
        "coauthors.manage": [on_own],
        "comments.edit": [on_own | {"comment_id": said.id}],
        "following.confirm": [{"token": following.subscription_token(keyring, asked)}],
        "following.own": [{"token": following.follower_token(keyring, follower)}],
        "following.leave": [{"token": following.follower_token(keyring, follower)}],
        "following.follow": [{}, {"vorschlag": 1}],
        "moderation.case": [{"case_id": one} for one in session.scalars(select(Case.id).limit(3))],
        "municipalities.edit_page": [{"kind": "impressum"}],
        "processes.edit": [{}, {"process_id": draft.id}],
        "processes.edit_own_field": [{"key": phases["collect"].own_fields[0].key}],
        "processes.edit_phase": [{"process_id": phase.process_id, "phase_id": phase.id} for phase in phases.values()],
        "processes.index": [{}, {"archiv": 1}],
        "processes.new_phase": [{}, {"format": "collect"}],
        "processes.preview": [{"token": make_preview_link(session, admin, draft, now)}],
        "processes.show": [{}, {"slug": budget.slug}, {"slug": "spielplatz-an-der-kolvenburg"}],
        "processes.variants": [{}, {"sprache": "en"}],
        "proposals.history": [on_own],
        "proposals.index": [{}, {"q": "Rad"}, {"q": "nichtsdergleichen"}, {"sort": "entfernung"}],
        "proposals.show": [{}, on_own, {"slug": budget.slug, "proposal_id": session.scalars(
            select(BallotOption.contribution_id).limit(1)).one()}],
        "submissions.edit": [on_own],
        "submissions.mine": [on_own],
        "submissions.pictures": [on_own],
        "submissions.receipt": receipts,
    }


def _last_years_basket(session: Session, budget: Process, now_open: Phase) -> Phase:
    """A vote that is over, with a result."""
    ended = factories.phase("budget", title="Korb vom letzten Jahr", opens=-60, closes=-30,
                            settings=now_open.settings)
    budget.phases.append(ended)
    session.flush()
    options = session.scalars(select(BallotOption).where(BallotOption.phase_id == now_open.id)).all()
    session.add_all(BallotOption(phase_id=ended.id, contribution_id=one.contribution_id, cost=one.cost) for one in options)
    for number in range(1, len(options) + 1):
        chosen = options[:number]
        voter = Voter(id=number, process_id=budget.id, channel=ParticipantKind.ACCOUNT)
        session.add(voter)
        session.flush()
        ballot = Ballot(phase_id=ended.id, voter_id=voter.id, channel=voter.channel, size=len(chosen),
                        changed_at=clock.hour_of(clock.now()))
        session.add(ballot)
        session.flush()
        session.add_all(BallotMark(ballot_id=ballot.id, contribution_id=one.contribution_id, value=1) for one in chosen)
    session.flush()
    recount(session)
    return ended


def addresses(app: Flask, places: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[Rule, str]]:
    """Every route that may be opened, filled. What cannot be filled is left to whoever asks for it."""
    with app.test_request_context():
        build = app.url_map.bind("localhost").build
        for rule in app.url_map.iter_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint in NO_PAGE:
                continue
            for values in places.get(rule.endpoint, [{}]):
                known = {name: value for name, value in places[""][0].items() if name in rule.arguments} | values
                missing = rule.arguments - known.keys()
                assert not missing, f"tests/journeys/places.py does not say what {missing} of {rule.rule} is"
                yield rule, build(rule.endpoint, known)


def signed_in(session: Session, app: Flask, email: str) -> str:
    """The cookie of somebody who has just signed in, with both factors."""
    token, now = tokens.new_token(), clock.now()
    account = session.scalars(select(Account).where(Account.email == email)).one()
    session.add(SignInSession(
        account_id=account.id, token_hash=tokens.hash_token(token), created_at=now, expires_at=now + timedelta(days=1),
        second_factor_at=now,
    ))
    serializer: Any = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return str(serializer.dumps({"_user_id": token, "_fresh": True}))
