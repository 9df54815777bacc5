"""Starting, watching and stopping everything together, with small programs in place of the real ones."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from participation.commands.serve import Plan, serve
from participation.commands.supervision.programs import Program
from participation.settings import Settings
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
NOT_EMBEDDED = "redis://127.0.0.1:1/0"
# A web server that answers /healthz, leaves a grandchild, and notes its end.
WEB = """
import http.server, os, pathlib, signal, subprocess, sys
folder, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
def end(*_):
    (folder / "order").open("a").write("web ")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
(folder / "web.pid").write_text(f"{os.getpid()} {child.pid}")
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
WORKER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def end(*_):
    (folder / "order").open("a").write("worker ")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
(folder / "worker.pid").write_text(str(os.getpid()))
time.sleep(600)
"""
STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(pathlib.Path(sys.argv[1]) / "worker.pid").write_text(str(os.getpid()))
time.sleep(600)
"""
# Runs the supervisor as `make run` does: as a process of its own that gets signals.
RUNNER = """
import os, pathlib, sys
from participation.commands.serve import Plan, serve
from participation.commands.supervision.programs import Program
from participation.settings import Settings
folder, port, worker, redis = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
def program(name, title, code, patience=60.0):
    return Program(name, title, (sys.executable, "-c", code, str(folder), str(port)), patience)
plan = Plan((), (program("worker", "Der Helfer", worker, 0.3 if "SIG_IGN" in worker else 60.0), program("web", "Der Webserver", os.environ["WEB"])))
settings = Settings(port=port, data_dir=folder, redis_url=redis, environment="development")
sys.exit(serve(settings, dict(os.environ), plan))
"""


def until(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Started:
    """A supervisor with its fake programs."""

    def __init__(self, folder: Path, worker: str, redis_url: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(folder), str(free_port()), worker, redis_url],
                stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, "WEB": WEB},
            )

    def text(self) -> str:
        return self.output.read_text()

    def until_running(self) -> list[int]:
        until(lambda: "Die Plattform läuft" in self.text() or self.process.poll() is not None)
        assert "Die Plattform läuft" in self.text(), self.text()
        files = [self.folder / "web.pid", self.folder / "worker.pid"]
        # The worker may still be starting when the web server answers already.
        until(lambda: all(one.exists() and one.stat().st_size for one in files))
        return [int(pid) for one in files for pid in one.read_text().split()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def begin(*, worker: str = WORKER, redis_url: str = NOT_EMBEDDED) -> Started:
        started.append(Started(tmp_path, worker, redis_url))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        one.process.wait(240)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_web_first_and_counts_as_success(start, number):
    platform = start()
    pids = platform.until_running()
    platform.process.send_signal(number)
    assert platform.process.wait(240) == 0
    assert (platform.folder / "order").read_text() == "web worker "
    until(lambda: not [pid for pid in pids if is_alive(pid)])


def test_when_one_dies_all_stop_and_the_message_names_it(start):
    platform = start()
    pids = platform.until_running()
    os.kill(pids[-1], signal.SIGKILL)
    assert platform.process.wait(240) == 1
    assert "Der Helfer hat sich durch das Signal 9 beendet." in platform.text()
    until(lambda: not [pid for pid in pids if is_alive(pid)])


def test_a_program_that_will_not_end_is_killed_after_its_patience(start):
    platform = start(worker=STUBBORN)
    pids = platform.until_running()
    platform.process.terminate()
    assert platform.process.wait(240) == 0
    until(lambda: not [pid for pid in pids if is_alive(pid)])


def test_nothing_survives_when_the_supervisor_itself_is_killed(start):
    platform = start()
    pids = platform.until_running()
    platform.process.kill()
    until(lambda: not [pid for pid in pids if is_alive(pid)])


def test_a_program_that_fails_at_once_is_shown_with_its_last_words(start):
    platform = start(worker="raise SystemExit('die Einstellung X fehlt')")
    assert platform.process.wait(240) == 1
    assert "Der Helfer hat sich mit dem Status 1 beendet." in platform.text()
    assert "    die Einstellung X fehlt" in platform.text()


def test_a_data_directory_belongs_to_one_platform(start, tmp_path):
    first = start()
    first.until_running()
    second = subprocess.run(
        [sys.executable, "-c", RUNNER, str(tmp_path), str(free_port()), WORKER, NOT_EMBEDDED],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "WEB": WEB}, timeout=240, check=False,
    )
    assert second.returncode == 1
    assert f"läuft die Plattform schon (Prozess {first.process.pid})" in second.stderr


def test_the_embedded_queue_keeps_its_jobs_over_a_kill_and_wants_a_password(start, tmp_path):
    first = start(redis_url="")
    first.until_running()
    url = (tmp_path / "valkey" / "url").read_text()
    assert (tmp_path / "valkey" / "url").stat().st_mode & 0o077 == 0
    Redis.from_url(url).set("job", "must not be lost")
    until(lambda: Redis.from_url(url).info("persistence")["aof_pending_bio_fsync"] == 0)
    first.process.kill()
    first.process.wait(240)
    (tmp_path / "web.pid").unlink()
    start(redis_url="").until_running()
    url = (tmp_path / "valkey" / "url").read_text()
    assert Redis.from_url(url).get("job") == b"must not be lost"
    without_password = url.split(":")[0] + "://" + url.split("@")[1]
    with pytest.raises(Exception, match=r"(?i)auth"):
        Redis.from_url(without_password).get("job")


def outcome(capsys: pytest.CaptureFixture[str], settings: Settings) -> tuple[int, str]:
    status = serve(settings, {}, Plan((), ()))
    return status, capsys.readouterr().err


def test_a_port_in_use_is_named_with_the_cure(tmp_path, capsys):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        port = other.getsockname()[1]
        status, error = outcome(capsys, Settings(port=port, data_dir=tmp_path, redis_url=NOT_EMBEDDED))
    assert (status, error) == (1, f"Port {port} ist belegt. Starten Sie mit PORT={port + 1} make run.\n")


def test_an_address_of_another_machine_is_named(tmp_path, capsys):
    status, error = outcome(capsys, Settings(host="192.0.2.1", data_dir=tmp_path, redis_url=NOT_EMBEDDED))
    assert status == 1
    assert "HOST=192.0.2.1" in error


def test_a_full_disk_is_named_before_anything_starts(tmp_path, capsys, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=12 * 1024 * 1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    status, error = outcome(capsys, Settings(port=free_port(), data_dir=tmp_path, redis_url=NOT_EMBEDDED))
    assert status == 1
    assert "nur noch 12 MB frei" in error
    assert error.count("\n") == 1


def test_a_data_directory_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "data").write_text("")
    status, error = outcome(capsys, Settings(port=free_port(), data_dir=tmp_path / "data", redis_url=NOT_EMBEDDED))
    assert status == 1
    assert f"{tmp_path / 'data'} ist nicht beschreibbar" in error


def test_a_failed_preparation_stops_the_start(tmp_path, capsys):
    failing = Program("migrate", "Datenbank wird vorbereitet", (sys.executable, "-c", "raise SystemExit('Sperre')"))
    plan = Plan((failing,), ())
    settings = Settings(port=free_port(), data_dir=tmp_path, redis_url=NOT_EMBEDDED)
    assert serve(settings, dict(os.environ), plan) == 1
    error = capsys.readouterr().err
    assert "„Datenbank wird vorbereitet“ ist fehlgeschlagen." in error
    assert "    Sperre" in error


def make(target: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", target, *(f"{name}={value}" for name, value in environ.items())],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=240,
    )


def test_an_old_python_is_named_with_the_version_that_is_needed(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 3.9.2\n")
    old.chmod(0o755)
    answer = make("check-python", PYTHON=str(old))
    assert answer.returncode != 0
    assert answer.stderr.startswith("Python 3.11 oder neuer wird gebraucht, gefunden: 3.9.2.")


def test_the_first_installation_without_network_says_so(tmp_path):
    for name in ("deploy/install.sh", "Makefile", "requirements.txt", "requirements-tools.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull,
               "PIP_FIND_LINKS": "", "PYTHON": sys.executable if shutil.which("pip3") is None else "python3"}
    answer = subprocess.run(
        ["make", "-s", "run"], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **nowhere},
        check=False, timeout=240,
    )
    assert answer.returncode != 0
    assert answer.stderr.startswith("Die Pakete konnten nicht geladen werden: keine Verbindung")
