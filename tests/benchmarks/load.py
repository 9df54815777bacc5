"""A load generator as small as possible: prepared bytes on kept connections, answers read by their length."""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Result:
    """What one run showed. Times in milliseconds, size in bytes of one answer with its headers."""

    per_second: float
    p50: float
    p95: float
    size: int
    errors: int
    count: int


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.expected = -1
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.buffer.clear()
        self.expected = -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> bool:
        """Whether the answer is complete."""
        data = self.socket.recv(262_144)
        if not data:
            message = "the server closed the connection"
            raise ConnectionError(message)
        self.buffer += data
        if self.expected < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self.buffer[:end]).lower()
            mark = head.find(b"content-length:")
            length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
            self.expected = end + 4 + length
        return len(self.buffer) >= self.expected


def run(port: int, next_request: Callable[[], bytes | None], *, seconds: float, ok: tuple[bytes, ...]) -> Result:
    """Send until the time is over, or `next_request` has no more."""
    selector = selectors.DefaultSelector()
    times: list[float] = []
    errors = size = 0
    busy = 0
    for _ in range(CONNECTIONS):
        connection = _Connection(port)
        request = next_request()
        if request is None:
            break
        connection.send(request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        busy += 1
    started = time.perf_counter()
    deadline = started + seconds
    while busy:
        for key, _events in selector.select(timeout=15):
            connection = key.data
            if not connection.read():
                continue
            now = time.perf_counter()
            times.append(now - connection.sent_at)
            size = len(connection.buffer)
            if bytes(connection.buffer[9:12]) not in ok:
                errors += 1
            request = next_request() if now < deadline else None
            if request is None:
                selector.unregister(connection.socket)
                connection.socket.close()
                busy -= 1
            else:
                connection.send(request)
    took = time.perf_counter() - started
    cuts = statistics.quantiles(times, n=20) if len(times) > 1 else [0.0] * 19
    return Result(len(times) / took, statistics.median(times) * 1000, cuts[18] * 1000, size, errors, len(times))
