"""A queue delivers at least once: every job of the platform, twice at once and once more, does what it does once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from app import create_app
from moderation.models import Case, Finding
from participation import outbox
from participation.permissions import Role
from participation.settings import Settings
from tests import factories
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from app import Beteiligung
    from participation.db import Database


def test_every_job_may_come_twice_at_once_and_again(tmp_path: Path) -> None:
    url = migrated_sqlite(tmp_path / "town.sqlite3")
    settings = Settings(environment="test", data_dir=tmp_path, database_url=url, secret_key=SECRET,
                        base_url="http://localhost", rate_limits=False)
    app = create_app(settings)
    app.config["WTF_CSRF_ENABLED"] = False
    database = app.extensions["platform"].database
    with database.unit_of_work() as session:
        town = factories.municipality(session)
        process = factories.process(session, town, phases=[factories.phase("collect")])
        moderator = factories.account(session, *Role, town=town)
        known = factories.account(session, email="bekannt@beispiel.example")
        slug = process.slug
    guest, staff = Browser(app), Browser(app).sign_in(moderator)
    receipt = guest.submit(f"/verfahren/{slug}/vorschlaege/neu", {
        "title": "Bänke am Fluss", "body": "Zum Ausruhen, mit 0251 1234567 als Nummer.", "pseudonym": "Gast",
        "theme_id": str(process.themes[0].id)}, form=-1)
    guest.submit(receipt.request.path, {"email": "gast@beispiel.example"}, form="zu-ihnen")
    guest.submit("/konto/registrieren", {
        "email": "neu@beispiel.example", "display_name": "Neu", "password": "ein langes neues Kennwort"}, form=-1)
    guest.submit("/konto/registrieren", {
        "email": known.email, "display_name": "Bekannt", "password": "ein langes neues Kennwort"}, form=-1)
    guest.submit("/konto/passwort-vergessen", {"email": known.email}, form=-1)
    guest.submit("/konto/anmelden-per-link", {"email": known.email}, form=-1)
    guest.submit("/barrierefreiheit/melden", {"message": "Der Knopf ist zu klein."}, form=-1)
    staff.submit("/verwaltung/konten", {
        "email": "kollegin@beispiel.example", "display_name": "Kollegin", "role": "moderator"}, form=-1)
    names = _work_twice_at_once_and_again(app, database)
    with database.reading() as session:
        case_id = session.scalars(select(Case.id)).one()
    staff.submit(f"/moderation/faelle/{case_id}", {"outcome": "approve"}, form="faelle")
    names += _work_twice_at_once_and_again(app, database)
    assert len(set(names)) >= 8, sorted(set(names))
    with database.reading() as session:
        assert session.scalars(select(outbox.OutboxRow.job).where(outbox.OutboxRow.done_at.is_(None))).all() == []
        assert session.scalar(select(func.count()).select_from(Finding).where(Finding.check_key == "contact")) == 1
    mails = list(settings.mail_dir.rglob("*.eml"))
    assert len(mails) == sum(name.startswith("mail_") for name in names)
    database.dispose()


def _work_twice_at_once_and_again(app: Beteiligung, database: Database) -> list[str]:
    """Work what waits; returns the names of the jobs."""
    with database.reading() as session:
        waiting = select(outbox.OutboxRow.id, outbox.OutboxRow.job).where(outbox.OutboxRow.done_at.is_(None))
        rows = session.execute(waiting).all()

    def work(row_id: int) -> None:
        with app.app_context():
            outbox.work_row(database, row_id)

    for row in rows:
        both = [threading.Thread(target=work, args=(row.id,)) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        work(row.id)
    return [row.job for row in rows]
