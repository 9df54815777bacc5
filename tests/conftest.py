"""One database of each kind for the whole run; every test lives in a transaction that is rolled back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, delete, event, select

from app import Beteiligung, create_app
from participation import mail, outbox, web
from participation.accounts import passwords
from participation.commands.database import migrate
from participation.db import Base, Database
from participation.settings import Settings
from participation.tokens import Keyring
from tests.browser_client import Browser
from tests.databases import migrated_sqlite, start_postgresql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SECRET = "a secret of the tests, long enough to pass"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
# One Chromium for maps and journeys: playwright can be started once per process.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
JOURNEYS = "tests/journeys/"
# The longest first; "" is everything else.
LONGEST = (JOURNEYS, "tests/test_hostile_input.py", "tests/faults/", "tests/commands/", "tests/mapping/", "")
# Each has a PostgreSQL of its own, and perhaps a Chromium.
MOST_WORKERS = 8
DATABASES = tuple(os.environ.get("TEST_DATABASES", "sqlite,postgresql").split(","))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`, as pyproject.toml says: a worker a core for the suite or a folder of it; a few files are quicker in one."""
    if all(Path(name.partition("::")[0]).is_dir() for name in config.args):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A file stays on one worker, with what it sets up; all journeys share one platform, so they are like one file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return JOURNEYS if nodeid.startswith(JOURNEYS) else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long and cannot be divided comes first, so that no worker is alone with it at the end."""
    items.sort(key=lambda item: next(number for number, path in enumerate(LONGEST) if item.nodeid.startswith(path)))


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> Iterator[PasswordHasher]:
    """Hashing a password takes 40 ms on purpose; the tests do it hundreds of times. Yields what production uses."""
    real = passwords._hasher
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield real
    passwords._hasher = real


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated SQLite file."""
    return migrated_sqlite(tmp_path_factory.mktemp("sqlite") / "test.sqlite3")


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of this worker; yields the URL of its default database."""
    url, stop = start_postgresql(tmp_path_factory.mktemp("postgresql"), tmp_path_factory.mktemp("runtime"))
    yield url
    stop()


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: str) -> str:
    """A migrated PostgreSQL database."""
    migrate(postgresql_server)
    return postgresql_server


@pytest.fixture(scope="session", params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Database]:
    """The engine of the database at hand."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def database(engine: Database, database_url: str) -> Iterator[Database]:
    """A database whose every commit is undone after the test."""
    connection = engine.engine.connect()
    transaction = connection.begin()
    joined = Database.joined_to(connection, database_url)
    yield joined
    joined.dispose()
    transaction.rollback()
    connection.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session in the test's transaction. Commit what a request or a job shall see."""
    with database.new_session(write=True) as session:
        yield session


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """The keys of the tests."""
    return Keyring(SECRET)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uploads and mails of the whole run."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def one_app(data_dir: Path) -> Beteiligung:
    """Building the application takes longer than a test; its database is exchanged per test."""
    settings = Settings(
        environment="test",
        data_dir=data_dir,
        database_url=f"sqlite:///{data_dir}/unused.sqlite3",
        secret_key=SECRET,
        base_url="http://localhost",
        rate_limits=False,
        page_cache=False,
    )
    app = create_app(settings)
    app.config["WTF_CSRF_ENABLED"] = False
    return app


@pytest.fixture
def app(one_app: Beteiligung, database: Database) -> Iterator[Beteiligung]:
    """The application on the test's database, without CSRF; see `csrf` to switch it on."""
    platform = one_app.extensions["platform"]
    before = platform.database
    platform.database = database
    yield one_app
    platform.database = before


@pytest.fixture(params=DATABASES)
def committing_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database for races, where what is committed stays: one of its own, or PostgreSQL emptied after."""
    if request.param == "sqlite":
        yield migrated_sqlite(tmp_path / "races.sqlite3")
        return
    url: str = request.getfixturevalue("postgresql_url")
    yield url
    database = Database(url)
    with database.unit_of_work() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
    database.dispose()


@pytest.fixture(autouse=True)
def _brakes_off() -> Iterator[None]:
    """The throttles belong to the process: a test that builds an application with them must not leave them to others."""
    yield
    web.limiter.enabled = False


@pytest.fixture
def committing(committing_url: str, tmp_path: Path) -> Iterator[Beteiligung]:
    """An application whose requests really commit."""
    app = create_app(Settings(
        environment="test", data_dir=tmp_path, database_url=committing_url, secret_key=SECRET,
        base_url="http://localhost", rate_limits=False, page_cache=True,
    ), Database(committing_url, pool_size=20))
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    app.extensions["platform"].database.dispose()


@pytest.fixture
def csrf(app: Beteiligung) -> Iterator[None]:
    """CSRF protection as in production."""
    app.config["WTF_CSRF_ENABLED"] = True
    yield
    app.config["WTF_CSRF_ENABLED"] = False


@pytest.fixture
def browser(app: Beteiligung) -> Browser:
    """One visitor's browser without JavaScript: follows links, fills forms, keeps cookies."""
    return Browser(app)


@pytest.fixture
def new_browser(app: Beteiligung) -> Callable[[], Browser]:
    """More visitors."""
    return lambda: Browser(app)


@pytest.fixture
def run_jobs(app: Beteiligung, database: Database) -> Callable[[], int]:
    """Work all waiting jobs in this process; returns how many were done."""

    def run() -> int:
        done = 0
        with app.app_context():
            while True:
                with database.reading() as session:
                    rows = list(
                        session.scalars(
                            select(outbox.OutboxRow.id)
                            .where(
                                outbox.OutboxRow.done_at.is_(None),
                                outbox.OutboxRow.failed_at.is_(None),
                                outbox.OutboxRow.attempts == 0,
                            )
                            .order_by(outbox.OutboxRow.id)
                        )
                    )
                if not rows:
                    return done
                done += sum(outbox.work_row(database, row) for row in rows)

    return run


@pytest.fixture
def mails(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """The mails that were sent since the test began, decoded, newest last.

    Two files may be of the same tick of the clock, and a test that reads no mails may have left one of the same name.
    """
    import email
    from email import policy

    sent: list[bytes] = []
    keep = mail._keep

    def noting(message: bytes, *args: Any) -> None:
        sent.append(message)
        keep(message, *args)

    monkeypatch.setattr(mail, "_keep", noting)

    def kept() -> list[tuple[int, Path]]:
        """What lies there now: a mail that was delivered twice lies there once."""
        found = ((path.read_bytes(), path) for path in (data_dir / "mails").glob("*.eml"))
        return sorted((sent.index(content), path) for content, path in found if content in sent)

    def read() -> list[str]:
        found = []
        for number, _path in kept():
            message = email.message_from_bytes(sent[number], policy=policy.default)
            body = message.get_body(("plain",))
            found.append(f"To: {message['To']}\nSubject: {message['Subject']}\n\n{body.get_content() if body else ''}")
        return found

    yield read
    for _number, path in kept():
        path.unlink()


@pytest.fixture
def count_queries(database: Database) -> Callable[[], AbstractContextManager[list[str]]]:
    """Collect the statements that reach the database: `with count_queries() as statements: …`."""

    @contextmanager
    def counting() -> Iterator[list[str]]:
        statements: list[str] = []

        def note(*args: object) -> None:
            statement = str(args[2])
            if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    return counting


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium of the system, or the one that playwright brought."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
