"""Ports that no other worker, and no connection that somebody opens meanwhile, takes before the server is up."""

from __future__ import annotations

import os
import random
import socket

# Below the range out of which the system serves outgoing connections; a stretch for each worker.
FIRST, STRETCH, STRETCHES = 10_000, 500, 40


def free_port() -> int:
    """A free port of this worker's own stretch."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    begin = FIRST + STRETCH * (int(worker) % STRETCHES)
    # Not the first one again and again: a second run of the tests on the same machine looks here too.
    for port in random.sample(range(begin, begin + STRETCH), 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = f"no free port between {begin} and {begin + STRETCH}"
    raise RuntimeError(message)
