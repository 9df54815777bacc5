"""Starting programs, watching them, and leaving none behind.

Nothing may survive the supervisor: every process leads a group that is stopped as a whole, the kernel tells the
processes when the supervisor is killed, and a shell of a few lines then ends whoever did not listen.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from participation.commands.supervision.failures import StartError, StoppedError, reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ROOT = Path(__file__).resolve().parents[3]
# Seconds.
POLL = 0.1
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


@dataclass(frozen=True, slots=True)
class Program:
    """One process to be started. `patience` is how many seconds it gets to end by itself."""

    name: str
    title: str
    argv: tuple[str, ...]
    patience: float = 5.0
    stdin: bytes = b""
    pass_fds: tuple[int, ...] = ()


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
                    preexec_fn=end_with(os.getpid()),  # noqa: PLW1509 - no threads here, and nothing else can ask this
                )
        except OSError as error:
            message = f"{program.title} lässt sich nicht starten ({reason(error)})."
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
            message = f"„{program.title}“ ist fehlgeschlagen.\n{tail(running.log)}"
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
                message = f"{running.program.title} hat sich {how} beendet.\n{tail(running.log)}"
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


def listen_to_signals(family: Family) -> None:
    """Stop at the first signal, hurry at the second."""
    def asked(_number: int, _frame: FrameType | None) -> None:
        if family.stop_asked.is_set():
            family.kill_asked.set()
        family.stop_asked.set()

    for number in STOP_SIGNALS:
        # Under nohup SIGHUP is ignored on purpose. SIGINT is in every job a script puts into the background.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, asked)


def end_with(parent: int) -> Callable[[], None]:
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


def _rotate(log: Path) -> None:
    """Keep the log of the last run beside the new one."""
    with suppress(FileNotFoundError):
        if log.stat().st_size:
            log.replace(log.with_suffix(".log.1"))


def tail(log: Path) -> str:
    """The last lines of a log, indented, with the place of the whole."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([*(f"    {line}" for line in lines), f"Das ganze Protokoll: {log}"])
