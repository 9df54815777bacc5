"""`beteiligung serve`: one process that starts all the others, watches them, and takes them with it when it ends.

It lives as long as the platform, so it imports neither the application nor the database and stays small; what needs
them runs as a process of its own. How they are watched and stopped is in `supervision/`.
"""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import click

from participation.commands.supervision.failures import StartError, StoppedError, reason
from participation.commands.supervision.place import check_data_dir, check_port, lock_data_dir, shown_host
from participation.commands.supervision.programs import (
    POLL,
    STOP_SIGNALS,
    Family,
    Program,
    end_with,
    listen_to_signals,
    tail,
)
from participation.commands.supervision.valkey import start_valkey
from participation.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
# Seconds.
WEB_START = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What `serve` starts, in this order; stopped in the opposite order."""

    preparations: tuple[Program, ...]
    programs: tuple[Program, ...]
    sign_ins: Program | None = None


def serve(settings: Settings, environ: Mapping[str, str], plan: Plan | None = None) -> int:
    """Start everything, watch it, stop it. Returns the exit status: 0 after a wanted stop, 1 after anything else.

    `plan` replaces what is started (for tests). Signals SIGINT, SIGTERM and SIGHUP stop; a second one hurries.
    """
    family: Family | None = None
    lock = -1
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        check_data_dir(settings.data_dir)
        lock = lock_data_dir(settings.data_dir)
        address, port = check_port(settings.host, settings.port)
        _say(f"Datenverzeichnis: {settings.data_dir}")
        family = Family(child_environ(settings, environ, port), settings.data_dir / "logs")
        listen_to_signals(family)
        if not settings.redis_url:
            _say("Warteschlange wird gestartet …")
            family.environ["REDIS_URL"] = start_valkey(family, settings.data_dir, lock)
        plan = plan or platform_plan(settings, address, port)
        for program in plan.preparations:
            _say(f"{program.title} …")
            family.run(program)
        _say("Webserver und Hintergrundaufgaben werden gestartet …")
        for program in plan.programs:
            family.start(program)
        base_url = family.environ.get("BASE_URL") or f"http://{shown_host(settings.host)}:{port}"
        wait_for_web(family, address, port, urlsplit(base_url).netloc)
        _announce(family, settings, base_url, plan)
        while True:
            family.check()
            family.stop_asked.wait(POLL)
    except StoppedError:
        _say("Wird beendet …")
        return 0
    except (StartError, SettingsError) as error:
        _complain(str(error))
        return 1
    finally:
        if family is not None:
            family.stop()
            _say("Alles beendet.")
        if lock >= 0:
            (settings.data_dir / "valkey" / "url").unlink(missing_ok=True)
            os.close(lock)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def platform_plan(settings: Settings, address: str, port: int) -> Plan:
    """The programs of the platform, and what must have run before them."""

    def own(name: str, title: str, *arguments: str, patience: float = 5.0) -> Program:
        return Program(name, title, (str(Path(sys.executable).with_name("beteiligung")), *arguments), patience)

    preparations = []
    if not database_is_ready(settings.database_url, with_town=settings.is_demo):
        preparations.append(own("migrate", "Datenbank wird vorbereitet", "migrate"))
        if settings.is_demo:
            preparations.append(own("demo", "Demo-Kommune wird angelegt", "demo", "--if-empty", "--quiet"))
    web = Program(
        "web", "Der Webserver",
        (
            sys.executable, "-m", "granian", "--interface", "wsgi", "--host", address, "--port", str(port),
            "--workers", str(settings.web_workers), "--blocking-threads", str(settings.web_threads),
            "--backlog", "1024", "--no-ws", "--factory", "--log-level", "warning", "--workers-kill-timeout", "5",
            "app:create_web_app",
        ),
        patience=10.0,
    )
    return Plan(
        tuple(preparations),
        (own("worker", "Der Prozess für Hintergrundaufgaben", "worker", patience=15.0),
         own("cron", "Der Zeitplaner", "cron"),
         web),
        own("sign-ins", "Die Liste der Zugänge", "demo", "--show-sign-ins") if settings.is_demo else None,
    )


def child_environ(settings: Settings, environ: Mapping[str, str], port: int) -> dict[str, str]:
    """The environment of the programs: what the supervisor decided replaces what was asked."""
    return {
        # Fewer memory pools per thread: the same speed with less memory.
        "MALLOC_ARENA_MAX": "2",
        **environ,
        "BETEILIGUNG_ENV": settings.environment,
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "HOST": settings.host,
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }


def database_is_ready(url: str, *, with_town: bool) -> bool:
    """Whether an SQLite database is certainly migrated and filled, asked without loading the application.

    In any doubt, and for PostgreSQL, False: then the commands themselves look.
    """
    if not url.startswith("sqlite:///"):
        return False
    newest = max((path.stem for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py")), default="")
    try:
        path = quote(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as connection:
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            town = not with_town or connection.execute("SELECT 1 FROM municipality LIMIT 1").fetchone()
    except (sqlite3.Error, TypeError):
        return False
    return bool(version == newest and town)


def wait_for_web(family: Family, address: str, port: int, host_header: str) -> None:
    """Return when /healthz answers. Raises StartError when a program ends or the time is over."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared, not bound
    deadline = time.monotonic() + WEB_START
    while time.monotonic() < deadline:
        family.check()
        connection = http.client.HTTPConnection(target, port, timeout=5)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/healthz", headers={"Host": host_header, "X-Forwarded-Proto": "https"})
            if connection.getresponse().status == http.client.OK:
                return
        family.stop_asked.wait(POLL / 2)
    web = next((running for running in family.running if running.program.name == "web"), None)
    message = f"Der Webserver antwortet nach {WEB_START:.0f} Sekunden nicht.\n{tail(web.log) if web else ''}"
    raise StartError(message)


def _announce(family: Family, settings: Settings, base_url: str, plan: Plan) -> None:
    _say("")
    _say(f"Die Plattform läuft: {base_url}")
    if plan.sign_ins is not None:
        _say("")
        try:
            _say(family.run(plan.sign_ins).rstrip())
        except StartError as error:
            _complain(str(error))
    _say("")
    _say(f"Protokolle: {settings.data_dir / 'logs'}")
    _say("Beenden mit Strg+C.")


def _say(text: str) -> None:
    """Print; a terminal that is gone must not keep the platform from stopping in order."""
    with suppress(OSError, ValueError):
        print(text, flush=True)


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


@click.command("serve", help="Alles zusammen starten: Webserver, Hintergrundaufgaben, Zeitplaner, Warteschlange.")
@click.option("--stop-with-parent", is_flag=True, hidden=True)
def command(*, stop_with_parent: bool) -> None:
    """Read the settings and serve. `--stop-with-parent` is for `make run`, whose end should be the platform's too."""
    if stop_with_parent:
        end_with(os.getppid())()
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:
        _complain(f"Das Datenverzeichnis ist nicht beschreibbar ({reason(error)}). Setzen Sie DATA_DIR.")
        sys.exit(1)
    sys.exit(serve(settings, os.environ))


COMMANDS = (command,)

if __name__ == "__main__":
    command(prog_name="beteiligung serve")
