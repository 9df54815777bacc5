"""Where the platform lives: its data directory, which it has to itself, and the address it listens on."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

from participation.commands.supervision.failures import StartError, reason
from participation.commands.supervision.programs import POLL

if TYPE_CHECKING:
    from pathlib import Path

MINIMUM_FREE_BYTES = 200 * 1024 * 1024
MEGABYTE = 1024 * 1024
# Seconds.
LOCK_WAIT = 10.0


def check_data_dir(data_dir: Path) -> None:
    """Make the data directory. Raises StartError when it can't be written or its disk is nearly full."""
    try:
        for folder in (data_dir, data_dir / "logs", data_dir / "valkey"):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        free = shutil.disk_usage(data_dir).free
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "")
    except OSError as error:
        message = f"Das Datenverzeichnis {data_dir} ist nicht beschreibbar ({reason(error)}). Setzen Sie DATA_DIR."
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


def shown_host(host: str) -> str:
    """What to call the host in an address that a person opens on this machine."""
    return "localhost" if host in {"0.0.0.0", "127.0.0.1", "::", "::1"} else host  # noqa: S104 - compared, not bound
