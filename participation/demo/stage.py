"""What the parts of the demo share: the texts beside this file, the day it is, and what was added so far."""

from __future__ import annotations

import random
import tomllib
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapping.geometry import Area
from participation import clock
from participation.accounts.models import Account, Participant
from participation.contributions.proposals.models import Proposal
from participation.processes.models import Process, Theme

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.settings import Settings
    from participation.tokens import Keyring

FOLDER = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    """The texts of one file."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


class Demo:
    """Holds what later steps need of earlier ones: keys of the texts to rows."""

    def __init__(self, session: Session, keyring: Keyring, settings: Settings, now: datetime) -> None:
        """Everything is placed in time relative to `now`."""
        self.session = session
        self.keyring = keyring
        self.settings = settings
        self.now = now
        # The same town every time: only its dates move.
        self.random = random.Random(48727)  # noqa: S311 - a demo, no secret
        self.people: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, Account] = {}
        self.processes: dict[str, Process] = {}
        self.themes: dict[tuple[str, str], Theme] = {}
        self.authors: dict[tuple[int, str], Participant] = {}
        self.proposals: dict[str, Proposal] = {}
        self.districts: list[tuple[int, Area]] = []

    def day(self, offset: int) -> datetime:
        """The beginning of a day in Berlin, counted from today."""
        today = clock.to_berlin(self.now).date()
        return clock.from_berlin(datetime.combine(today + timedelta(days=offset), time()))

    def written_at(self, entry: dict[str, Any]) -> datetime:
        """When something was written, by the words of the texts."""
        if "hours_ago" in entry:
            return self.now - timedelta(hours=entry["hours_ago"])
        hour, minute = (int(part) for part in entry["at"].split(":"))
        day = clock.to_berlin(self.now).date() - timedelta(days=entry["days_ago"])
        wall = datetime.combine(day, time(hour, minute))
        try:
            return clock.from_berlin(wall)
        except ValueError:  # the hour that summer time skips
            return clock.from_berlin(wall + timedelta(hours=1))
