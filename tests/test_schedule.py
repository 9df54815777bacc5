"""What the platform forgets by itself: as the privacy notice promises, and twice the same as once."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation import clock, schedule
from participation.accounts.models import Account, Participant, ParticipantKind, Role, SignInSession
from participation.processes.models import ProcessState
from participation.web import current_settings
from tests import factories

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session


def _clean_up_twice(app: Flask, session: Session) -> None:
    session.commit()
    with app.app_context():
        schedule.run_cleanup()
        schedule.run_cleanup()
    session.expire_all()


def test_accounts_that_nobody_confirmed_go_after_a_week(app: Flask, session: Session) -> None:
    now = clock.now()
    old, fresh, confirmed = (factories.account(session) for _ in range(3))
    invited = factories.account(session, Role.EDITOR, town=factories.municipality(session))
    for account in (old, fresh, invited):
        account.email_confirmed_at = None
    for account in (old, confirmed, invited):
        account.created_at = now - timedelta(days=8)
    session.add_all(
        SignInSession(account_id=confirmed.id, token_hash=mark * 64, created_at=now, expires_at=now + ends, device="")
        for mark, ends in (("a", timedelta(days=1)), ("b", timedelta(days=-8)))
    )
    gone, kept = old.id, {fresh.id, confirmed.id, invited.id}
    _clean_up_twice(app, session)
    left = set(session.scalars(select(Account.id)))
    assert left >= kept
    assert gone not in left
    assert session.scalars(select(SignInSession.token_hash)).all() == ["a" * 64]


def test_addresses_of_guests_go_with_the_end_of_their_process(app: Flask, session: Session) -> None:
    ended, running = factories.process(session, state=ProcessState.ARCHIVED), factories.process(session)
    kept = {
        (process.id, kind): Participant(
            process_id=process.id, person_hash=f"{process.id}{kind.value}".ljust(64, "0"), kind=kind,
            pseudonym="Wer auch immer", contact_sealed="sealed",
        )
        for process in (ended, running) for kind in (ParticipantKind.GUEST, ParticipantKind.ACCOUNT)
    }
    session.add_all(kept.values())
    _clean_up_twice(app, session)
    gone = {key for key, participant in kept.items() if participant.contact_sealed is None}
    assert gone == {(ended.id, ParticipantKind.GUEST)}


def test_pictures_of_forms_that_nobody_sent_go_too(app: Flask, session: Session) -> None:
    with app.app_context():
        folder = current_settings().upload_dir / "pending" / "ab"
    folder.mkdir(parents=True, exist_ok=True)
    old, fresh = folder / "old.webp", folder / "fresh.webp"
    for path in (old, fresh):
        path.write_bytes(b"picture")
    week_ago = (clock.now() - timedelta(days=7)).timestamp()
    os.utime(old, (week_ago, week_ago))
    _clean_up_twice(app, session)
    assert not old.exists()
    assert fresh.exists()
