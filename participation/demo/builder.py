"""Builds the demo town from the texts beside this file: invented people in a real place, alive on whatever day."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from participation.contributions.proposals.operations.shuffling import shuffle_anew
from participation.demo.contributions import add_answers, add_comments, add_proposal
from participation.demo.crowd import add_ballots, add_votes, count
from participation.demo.people import add_followers, add_people
from participation.demo.processes import add_measures, add_municipality, add_process
from participation.demo.stage import Demo, read
from participation.municipalities.models import Municipality

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.settings import Settings
    from participation.tokens import Keyring


def town_exists(session: Session) -> bool:
    """Whether anything is there already."""
    return session.scalar(select(Municipality.id).limit(1)) is not None


def build_town(session: Session, keyring: Keyring, settings: Settings, now: datetime) -> None:
    """Fill an empty database, in the order in which one thing needs the other.

    Emits an event for each contribution that awaits moderation.
    """
    demo = Demo(session, keyring, settings, now)
    town = add_municipality(demo)
    add_people(demo, town)
    data = read("process_smart_city")
    add_process(demo, town, data["process"], data)
    for process in read("processes_more")["process"]:
        add_process(demo, town, process, process)
    budget = read("budget")
    add_process(demo, town, budget["process"], budget)
    for entry in read("proposals")["proposal"]:
        add_proposal(demo, entry)
    for entry in budget["proposal"]:
        add_proposal(demo, {**entry, "process": budget["process"]["key"], "state": "published", "at": "18:10"})
    add_answers(demo)
    add_comments(demo)
    add_votes(demo)
    add_ballots(demo, budget["proposal"])
    add_measures(demo)
    add_followers(demo)
    demo.session.flush()
    for made in demo.processes.values():
        shuffle_anew(session, made.id)
    count(demo)
