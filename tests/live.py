"""The platform as people run it: `beteiligung serve` with the demo town, on a free port and an empty data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
# With a demo town to build, on a machine that does other things as well.
START_SECONDS = 600
# What `make` writes beside the interpreter.
STARTER = Path(sys.executable).with_name("beteiligung")


class LivePlatform:
    """A running platform and where it lies."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data_dir: Path, environment: dict[str, str]) -> None:
        self.process = process
        self.port = port
        self.url = f"http://localhost:{port}"
        self.data_dir = data_dir
        self.environment = environment

    def command(self, *arguments: str) -> str:
        """Run `beteiligung …` on the same data; returns what it printed."""
        done = subprocess.run(
            [str(STARTER), *arguments], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False, timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def serving(data_dir: Path, **extra: str) -> Iterator[LivePlatform]:
    """Start everything, wait until it answers, stop everything."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}},
        "BETEILIGUNG_ENV": "demo", "DATA_DIR": str(data_dir), "HOST": "127.0.0.1", "PORT": str(port),
        "RATE_LIMITS": "off", **extra,
    }
    log = (data_dir.parent / f"{data_dir.name}-serve.log").open("wb")
    process = subprocess.Popen(
        [str(STARTER), "serve"], cwd=ROOT, env=environment,
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )
    platform = LivePlatform(process, port, data_dir, environment)
    try:
        _wait(platform, Path(log.name))
        yield platform
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        log.close()


def _wait(platform: LivePlatform, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if platform.process.poll() is not None:
            raise AssertionError(log.read_text(errors="replace"))
        try:
            with urllib.request.urlopen(f"{platform.url}/readyz", timeout=30):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))
