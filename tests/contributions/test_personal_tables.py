"""Nothing about a person is kept that neither the download nor leaving knows of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyotp
import pytest
from sqlalchemy import String as Text, cast, select
from sqlalchemy.orm import Session

from participation import clock
from participation.accounts.models import ExternalIdentity, Passkey, TokenPurpose
from participation.accounts.operations import access, factors, links, sessions
from participation.accounts.verification import verify
from participation.contributions.comments.models import Comment
from participation.contributions.models import CoAuthor
from participation.contributions.personal.operations import delete_account, rename
from participation.contributions.votes.operations import support
from participation.db import Base
from participation.following import operations as following
from participation.formats import Verification
from participation.permissions import Role
from tests import factories
from tests.contributions.test_personal import member, process  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from participation.processes.models import Process
    from participation.tokens import Keyring

# Tables that point at an account or a participant, or whose columns may name somebody, and what becomes of that.
# Whoever adds one decides here: what does the download show of it (contributions/personal/export), and what does
# leaving do with it (accounts/operations/leaving.empty_account, contributions/personal/operations.delete_account)?
KNOWN = {
    "account": "konto; emptied",
    "role_grant": "konto.rollen; deleted",
    "sign_in_session": "anmeldungen; deleted",
    "one_time_token": "links that were mailed, hashed: nothing to show; deleted",
    "recovery_code": "hashed: nothing to show; deleted",
    "passkey": "konto.passkeys; deleted",
    "external_identity": "konto.andere_anbieter; deleted",
    "verification": "konto.nachweise; deleted. Who of the staff confirmed is the staff's act, by number",
    "participant": "teilnahmen; unlinked for good, name and address taken out",
    "contribution": "teilnahmen.vorschlaege, .kommentare; kept without a name, or wiped, as chosen",
    "proposal": "as contribution",
    "revision": "teilnahmen….fassungen; wiped with the contribution",
    "vote": "teilnahmen.unterstuetzungen; stays counted, of nobody",
    "ballot": "teilnahmen.stimmzettel; stays counted, of nobody",
    "co_author": "teilnahmen.mitgeschrieben; passed on",
    "follower": "folgt; deleted",
    "subscription": "folgt; deleted with its follower",
    "audit_entry": "protokoll, by number",
    "decision": "an act of the staff, by number; stays with the emptied account",
    "draft": "entwuerfe; deleted. It names its owner by a keyed hash only",
    "report": "name and address sealed, of whoever reports, without a link to an account",
    "outbox": "addresses sealed; forgotten two weeks after the job",
    # Towns and what staff sign with their names in public.
    "municipality": "contact of a town", "process": "contact of a process", "theme": "not of a person",
    "phase": "not of a person", "district": "not of a person", "newsletter": "signed by its editor",
    "process_version": "signed by its editor", "annulment": "signed by who decided", "upload": "a file's own name",
    "process_document": "a file's own name", "measure": "which offices act and decide",
}
SUSPICIOUS = re.compile(r"email|contact|name|device|phone|street|author|actor|_by$|sealed|person|pseudonym|locale|address")


def test_every_table_that_may_name_somebody_is_known_to_download_and_leaving() -> None:
    unknown = {
        table.name: sorted(column.name for column in table.columns if SUSPICIOUS.search(column.name))
        for table in Base.metadata.sorted_tables
        if table.name not in KNOWN and (
            any(SUSPICIOUS.search(column.name) for column in table.columns)
            or any(key.column.table.name in {"account", "participant"} for key in table.foreign_keys))
    }
    assert unknown == {}
    assert set(KNOWN) <= set(Base.metadata.tables), "a table that went away"


def everything(session: Session) -> dict[str, str]:
    """Each table as one long text."""
    session.expire_all()
    return {
        table.name: "\n".join(
            "|".join("" if value is None else str(value) for value in row)
            for row in session.execute(select(*[cast(column, Text) for column in table.columns]).select_from(table)))
        for table in Base.metadata.sorted_tables
    }


@pytest.mark.parametrize("take_along", [False, True])
def test_no_table_remembers_who_left(
    session: Session, keyring: Keyring, process: Process, take_along: bool,  # noqa: F811, FBT001
) -> None:
    now, mark = clock.now(), "Quittenbaum"
    account = factories.account(session, Role.EDITOR, town=process.municipality, email=f"{mark}@beispiel.example".lower(),
                                display_name=mark)
    actor = factories.actor(account)
    sessions.open_session(session, account, mark, now)
    links.issue_token(session, account.id, TokenPurpose.SIGN_IN, now)
    secret = factors.begin_second_factor(session, keyring, account)
    factors.confirm_second_factor(session, keyring, account, pyotp.TOTP(secret).at(now), now)
    session.add_all([
        Passkey(account_id=account.id, credential_hash="a" * 64, credential_id="b", public_key="c", name=mark, created_at=now),
        ExternalIdentity(account_id=account.id, issuer="https://id.example", subject=mark, created_at=now),
    ])
    verify(session, account.id, Verification.LETTER, process.municipality_id, now)
    who = member(session, keyring, account, process)
    rename(session, keyring, actor, account, mark, everywhere=True, now=now)
    own = factories.proposal(session, process, participant=who, title=f"{mark} am Markt" if take_along else "Bank")
    other = factories.proposal(session, process)
    factories.comment(session, other, participant=who, body=f"Ich bin {mark}" if take_along else "Gut")
    session.add(CoAuthor(contribution_id=other.id, participant_id=who.id, joined_at=now))
    support(session, keyring, actor, other, now)
    following.follow(session, keyring, actor, process, own, now)
    access.request_email_change(session, keyring, account, f"neu-{mark}@beispiel.example", now)
    session.flush()
    before = everything(session)
    assert {name for name, text in before.items() if mark.lower() in text.lower()} >= {
        "account", "passkey", "external_identity", "sign_in_session", "participant"}
    hashes = {who.person_hash, who.contact_sealed}
    delete_account(session, keyring, actor, account, take_along=take_along, now=now)
    session.flush()
    after = everything(session)
    assert {name for name, text in after.items() if mark.lower() in text.lower()} == set()
    assert {name for name, text in after.items() if any(one in text for one in hashes if one)} == set()
    assert session.scalars(select(Comment.body)).all() == ([""] if take_along else ["Gut"])


def test_nobody_sees_from_two_processes_that_somebody_is_the_same(
    session: Session, keyring: Keyring, process: Process, browser: Any,  # noqa: F811
) -> None:
    account = factories.account(session, display_name="Meise")
    second = factories.process(session, process.municipality, phases=[factories.phase("collect")])
    here, there = (member(session, keyring, account, one) for one in (process, second))
    there.pseudonym = "Drossel"
    pages = []
    for who, one in ((here, process), (there, second)):
        proposal = factories.proposal(session, one, participant=who)
        session.commit()
        pages.append(browser.get(f"/verfahren/{one.slug}/vorschlaege/{proposal.id}").get_data(as_text=True))
    assert here.person_hash != there.person_hash
    assert here.contact_sealed != there.contact_sealed, "sealed twice, it looks different"
    for page in pages:
        for secret in (here.person_hash, there.person_hash, here.person_hash[:12], there.person_hash[:12], account.email):
            assert secret not in page
    assert "Meise" in pages[0]
    assert "Meise" not in pages[1]
