"""How long an import of many rows takes and how much memory: in processes of their own, by the command that people use."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from sqlalchemy.orm import Session

from participation.db import Database
from tests import factories
from tests.benchmarks.dataset import WORDS

MAP = """
[source]
name = "messung"
[fields]
key = "nr"
title = "titel"
body = "text"
author = "name"
date = "datum"
lon = "lon"
lat = "lat"
theme = "thema"
supports = "stimmen"
[comment_rows]
key = "nr"
body = "text"
author = "name"
date = "datum"
proposal = "vorschlag"
"""
STARTER = Path(sys.executable).with_name("beteiligung")


def measure(database: Database, environment: dict[str, str], folder: Path, rows: int) -> None:
    """Import `rows` proposals and as many comments, then the same again, and print time and peak memory."""
    with database.unit_of_work() as session:
        _process(session)
    proposals, comments, mapping = folder / "vorschlaege.csv", folder / "kommentare.csv", folder / "messung.toml"
    mapping.write_text(MAP)
    _write(proposals, comments, rows)
    for name, command, file in (
        ("import of proposals", "proposals", proposals), ("the same again", "proposals", proposals),
        ("import of comments", "comments", comments), ("the same again", "comments", comments),
    ):
        started = time.perf_counter()
        peak = _run([str(STARTER), "import", command, str(file), "--map", str(mapping), "--process", "import"], environment)
        seconds = time.perf_counter() - started
        print(f"{name}, {rows:,} rows: {seconds:.1f} s, {rows / seconds:,.0f} rows/s, peak {peak:.0f} MB", flush=True)


def _process(session: Session) -> None:
    town = factories.municipality(session, slug="import", ags="05599998")
    factories.process(session, town, slug="import")


def _write(proposals: Path, comments: Path, rows: int) -> None:
    dice = Random(7)  # noqa: S311 - the same rows every time, nothing secret
    with proposals.open("w", newline="") as file, comments.open("w", newline="") as answers:
        writer, replies = csv.writer(file), csv.writer(answers)
        writer.writerow(["nr", "titel", "text", "name", "datum", "lon", "lat", "thema", "stimmen"])
        replies.writerow(["nr", "text", "name", "datum", "vorschlag"])
        for number in range(rows):
            words = " ".join(dice.choices(WORDS, k=40))
            day = f"{dice.randrange(1, 28):02d}.{dice.randrange(1, 13):02d}.2025 {dice.randrange(24):02d}:00"
            writer.writerow([number, words[:60], words, f"Person {dice.randrange(rows)}", day, "7,29", "51,98",
                             dice.choice(("Verkehr", "Leben")), dice.randrange(10)])
            replies.writerow([number, words[:120], f"Person {dice.randrange(rows)}", day, dice.randrange(rows)])


def _run(command: list[str], environment: dict[str, str]) -> float:
    """Run it; returns its peak memory in MB."""
    done = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = done.stdout.read() if done.stdout else b""
    _pid, status, usage = os.wait4(done.pid, 0)
    if status:
        raise RuntimeError(re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", output).decode())
    return usage.ru_maxrss / 1024
