"""Builds the demo town from the texts beside this file: invented people in a real place, alive on whatever day."""

from __future__ import annotations

import io
import json
import random
import tomllib
from datetime import datetime, time, timedelta
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from docx import Document
from sqlalchemy import insert, select

from mapping.geometry import Area, area_from_geojson, district_of, load_boundary, load_districts
from participation import clock, formats, search, tokens
from participation.accounts.models import Account, Participant, ParticipantKind, RoleGrant
from participation.catalogue.models import Measure, MeasureSource, MeasureState, Priority
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption
from participation.contributions.ballots.operations import recount as recount_ballots
from participation.contributions.comments.models import Comment
from participation.contributions.models import AnswerStatus, Contribution, ContributionState, Revision, Voter
from participation.contributions.operations import count_people
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations import searched_text
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.events import ContributionSubmitted, emit
from participation.following.models import Frequency
from participation.following.operations import follow
from participation.municipalities.models import District, Municipality, MunicipalityKind
from participation.municipalities.operations import set_districts
from participation.own_fields import read_answers, read_fields, store_answers, store_field
from participation.permissions import Actor, Role
from participation.processes.models import (
    Phase,
    Process,
    ProcessDocument,
    ProcessNews,
    ProcessState,
    TextVariant,
    Theme,
)
from participation.uploads import store_document

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.settings import Settings
    from participation.tokens import Keyring

FOLDER = Path(__file__).parent
# Known to everybody who starts the demo; real installations have no password that anybody else set.
DEMO_PASSWORD = "mitreden-in-der-demo"  # noqa: S105
SYNTHETIC_SUPPORTERS = 165
# How many packed a basket so far.
BASKETS = 143
EXTRA_READERS = 6


def town_exists(session: Session) -> bool:
    """Whether anything is there already."""
    return session.scalar(select(Municipality.id).limit(1)) is not None


def sign_ins() -> list[tuple[str, str]]:
    """(what the account is for, e-mail address) of each demo account."""
    people = _read("people")
    shown = [(f"Einwohnerin {person['name']}", person["email"]) for person in people["person"] if "email" in person]
    names = {
        Role.ADMIN: "Administration",
        Role.EDITOR: "Redaktion",
        Role.MODERATOR: "Moderation",
        Role.PLANNER: "Planung",
    }
    return [*((f"{names[Role(one['roles'][0])]} ({one['name']})", one["email"]) for one in people["staff"]), *shown]


def build_town(session: Session, keyring: Keyring, settings: Settings, now: datetime) -> None:
    """Fill an empty database. Emits an event for each contribution that awaits moderation."""
    Builder(session, keyring, settings, now).build()


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


# Whom a proposal of the demo concerns, by words of its text: what its author might have ticked.
CONCERNED = {
    "Kinder und Jugendliche": ("Schul", "Kind", "Jugend", "Spielplatz", "Skater"),
    "Familien": ("Famil", "Eltern", "Kita"),
    "Ältere Menschen": ("Rollator", "Senior", "ältere", "Oma", "Opa", "Pflege", "Hausnotruf"),
    "Vereine": ("Verein", "Chor", "Ehrenamt"),
    "Betriebe": ("Laden", "Betrieb", "Händler", "Handwerk", "Gasthof"),
}


class Builder:
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

    def build(self) -> None:
        """In the order in which one thing needs the other."""
        town = self._municipality()
        self._people(town)
        data = _read("process_smart_city")
        self._process(town, data["process"], data)
        for process in _read("processes_more")["process"]:
            self._process(town, process, process)
        budget = _read("budget")
        self._process(town, budget["process"], budget)
        for entry in _read("proposals")["proposal"]:
            self._proposal(entry)
        for entry in budget["proposal"]:
            self._proposal({**entry, "process": budget["process"]["key"], "state": "published", "at": "18:10"})
        self._answers()
        self._comments()
        self._votes()
        self._ballots(budget["proposal"])
        self._measures()
        self._followers()
        self.session.flush()
        self._counters()

    def _followers(self) -> None:
        """Those who can be signed in as follow the town's large process, each at their own pace."""
        process = next(one for one in self.processes.values() if one.slug == "smart-city")
        for account, frequency in zip(self.accounts.values(), cycle(Frequency)):
            if not account.grants and frequency is not Frequency.NEVER:
                actor = Actor(account_id=account.id, email=account.email, email_is_confirmed=True)
                follow(self.session, self.keyring, actor, process, None, self.now, frequency=frequency)

    def _municipality(self) -> Municipality:
        data = _read("municipality")
        fields = ("name", "slug", "ags", "email", "address", "website", "accent_color", "intro")
        kreis = Municipality(
            kind=MunicipalityKind.KREIS, created_at=self.now, **{name: data["parent"][name].strip() for name in fields}
        )
        self.session.add(kreis)
        self.session.flush()
        shape = load_boundary((FOLDER / "billerbeck_boundary.geojson").read_bytes())
        west, south, east, north = shape.bbox
        town = Municipality(
            kind=MunicipalityKind.TOWN,
            parent_id=kreis.id,
            boundary=json.loads(shape.geojson),
            west=west,
            south=south,
            east=east,
            north=north,
            sketch=json.loads((FOLDER / "billerbeck_sketch.geojson").read_text()),
            intro_variants=data["municipality"]["intro_variants"],
            created_at=self.now,
            **{name: data["municipality"][name].strip() for name in fields},
        )
        self.session.add(town)
        self.session.flush()
        set_districts(self.session, town, load_districts((FOLDER / "billerbeck_districts.geojson").read_bytes()), self.now)
        self.session.flush()
        self.districts = [
            (row.id, area_from_geojson(json.dumps(row.boundary)))
            for row in self.session.scalars(select(District).where(District.municipality_id == town.id))
        ]
        return town

    def _people(self, town: Municipality) -> None:
        data = _read("people")
        password = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(DEMO_PASSWORD)
        for person in data["person"]:
            self.people[person["key"]] = person
            if "email" in person:
                self.accounts[person["key"]] = self._account(person["name"], person["email"], password)
        for person in data["staff"]:
            self.people[person["key"]] = {**person, "name": person["public_name"], "kind": "account"}
            account = self._account(person["public_name"], person["email"], password)
            # Staff needs a second factor; the demo shows its code on the page that asks for it.
            account.totp_secret_sealed = self.keyring.seal(demo_totp_secret(person["email"]))
            account.totp_confirmed_at = self.now
            account.grants = [RoleGrant(role=Role(role), municipality_id=town.id) for role in person["roles"]]
            self.accounts[person["key"]] = account
        self.session.flush()

    def _account(self, name: str, email: str, password: str) -> Account:
        account = Account(
            email=email, display_name=name, password_hash=password, created_at=self.now, email_confirmed_at=self.now
        )
        self.session.add(account)
        self.session.flush()
        return account

    def _day(self, offset: int) -> datetime:
        """The beginning of a day in Berlin, counted from today."""
        today = clock.to_berlin(self.now).date()
        return clock.from_berlin(datetime.combine(today + timedelta(days=offset), time()))

    def _process(self, town: Municipality, entry: dict[str, Any], parts: dict[str, Any]) -> None:
        process = Process(
            municipality=town,
            slug=entry["slug"],
            state=ProcessState(entry["state"]),
            title=entry["title"],
            summary=entry["summary"],
            body=entry["body"].strip(),
            theme_label=entry.get("theme_label", "Thema"),
            contact=entry.get("contact", "").strip(),
            faq=entry.get("faq", "").strip(),
            position=entry.get("position", 0),
            catalogue_is_public=entry.get("catalogue_is_public", False),
            created_at=self.now,
            published_at=self._day(-entry.get("published_days_ago", 30)),
        )
        for number, theme in enumerate(parts.get("theme", [])):
            row = Theme(
                slug=theme["slug"],
                name=theme["name"],
                tone=theme["tone"],
                position=number,
                description=theme.get("description", ""),
                proposal_count=0,
            )
            process.themes.append(row)
            self.themes[entry["key"], theme["key"]] = row
        for number, phase in enumerate(parts.get("phase", [])):
            settings = formats.read_settings(phase["format"], phase.get("settings", {}))
            process.phases.append(
                Phase(
                    position=number,
                    format_key=phase["format"],
                    title=phase["title"],
                    body=phase.get("body", "").strip(),
                    starts_at=self._day(phase["first_day"]),
                    ends_at=self._day(phase["last_day"] + 1),
                    stored_settings=formats.store_settings(settings),
                    stored_fields=[store_field(one) for one in read_fields(phase.get("field", []))],
                )
            )
        self.session.add(process)
        self.session.flush()
        self._variants(process, "process", process.id, parts)
        for phase, given in zip(process.phases, parts.get("phase", []), strict=True):
            self._variants(process, "phase", phase.id, given)
        for theme, given in zip(process.themes, parts.get("theme", []), strict=True):
            self._variants(process, "theme", theme.id, given)
        for item in parts.get("news", []):
            self.session.add(ProcessNews(process_id=process.id, title=item["title"], body=item["body"].strip(),
                                         published_at=self.now - timedelta(days=item["days_ago"])))
        for number, document in enumerate(parts.get("document", [])):
            name = Path(document["file_name"]).with_suffix(".docx").name
            upload = store_document(
                self.session,
                self.settings.upload_dir,
                town.id,
                _as_docx(document["title"], document["body"]),
                name,
                self.settings.max_upload_bytes,
            )
            process.documents.append(ProcessDocument(upload=upload, title=document["title"], position=number))
        self.processes[entry["key"]] = process

    def _author(self, process: Process, key: str, pseudonym: str | None) -> Participant:
        person = self.people.get(key, {"name": pseudonym or "Gast", "kind": "guest"})
        name = pseudonym or person["name"]
        known = self.authors.get((process.id, f"{key}:{name}"))
        if known is not None:
            return known
        account = self.accounts.get(key)
        identity = f"account:{account.id}" if account else f"demo:{key}:{name}"
        author = Participant(
            process_id=process.id,
            person_hash=self.keyring.person_hash(process.id, identity),
            pseudonym=name,
            kind=ParticipantKind.ACCOUNT if person["kind"] == "account" else ParticipantKind.GUEST,
            is_staff="roles" in person,
            created_at=self.now,
            contact_sealed=self.keyring.seal(identity) if account else None,
        )
        self.session.add(author)
        self.session.flush()
        self.authors[process.id, f"{key}:{name}"] = author
        return author

    def _written_at(self, entry: dict[str, Any]) -> datetime:
        if "hours_ago" in entry:
            return self.now - timedelta(hours=entry["hours_ago"])
        hour, minute = (int(part) for part in entry["at"].split(":"))
        day = clock.to_berlin(self.now).date() - timedelta(days=entry["days_ago"])
        wall = datetime.combine(day, time(hour, minute))
        try:
            return clock.from_berlin(wall)
        except ValueError:  # the hour that summer time skips
            return clock.from_berlin(wall + timedelta(hours=1))

    def _add(self, row: Contribution, at: datetime, title: str) -> None:
        row.created_at = row.submitted_at = at
        row.revision_number = 1
        row.receipt_number = tokens.new_receipt_number() if isinstance(row, Proposal) else None
        if row.state is ContributionState.PUBLISHED:
            # Moderators work in office hours: most is checked within a day.
            row.published_at = row.decided_at = min(at + timedelta(minutes=self.random.randint(12, 600)), self.now)
        row.revisions = [Revision(number=1, title=title, body=row.body, created_at=at)]
        self.session.add(row)
        self.session.flush()
        if row.state is ContributionState.SUBMITTED:
            emit(self.session, ContributionSubmitted(row.id, 1, row.process_id, at))

    def _proposal(self, entry: dict[str, Any]) -> None:
        process = self.processes[entry["process"]]
        at = self._written_at(entry)
        collecting = next((phase for phase in process.phases if phase.format_key == "collect"), None)
        lon, lat = entry.get("lon"), entry.get("lat")
        row = Proposal(
            process_id=process.id,
            phase_id=collecting.id if collecting else None,
            theme_id=self.themes[entry["process"], entry["theme"]].id,
            participant_id=self._author(process, entry["author"], entry.get("pseudonym")).id,
            state=ContributionState(entry["state"]),
            title=entry["title"],
            body=entry["text"].strip(),
            place=entry.get("place", ""),
            lon=lon,
            lat=lat,
            district_id=district_of(lon, lat, self.districts) if lon is not None and lat is not None else None,
        )
        row.process = process
        asked = row.own_fields
        concerned = [group for group, marks in CONCERNED.items() if any(mark in f"{row.title} {row.body}" for mark in marks)]
        if asked and concerned:
            said = {asked[0].key: concerned[:2]}
            row.stored_answers = store_answers(read_answers(asked, said)[0])
        self._add(row, at, row.title)
        self.proposals[entry["key"]] = row
        row.support_target = entry.get("support", 0)  # type: ignore[attr-defined]
        if row.is_published:
            search.index_proposal(self.session, row.id, process.id, row.title, searched_text(row))

    def _variants(self, process: Process, entity: str, entity_id: int, given: dict[str, Any]) -> None:
        """Texts in other languages: a table for each language, with the names of the columns."""
        for variant in given.get("variant", []):
            for field in variant.keys() - {"language"}:
                self.session.add(TextVariant(process_id=process.id, entity=entity, entity_id=entity_id, field=field,
                                             language=variant["language"], text=variant[field].strip()))

    def _answers(self) -> None:
        for entry in _read("answers")["answer"]:
            row = self.proposals[entry["proposal"]]
            row.answer_status = AnswerStatus(entry["status"])
            row.answer_body = entry["text"].strip()
            row.answer_cost = entry.get("cost")
            row.answered_by = entry["by"]
            row.answered_at = self.now - timedelta(days=entry["days_ago"])

    def _comments(self) -> None:
        written: dict[str, Comment] = {}
        for entry in _read("comments")["comment"]:
            proposal = self.proposals[entry["proposal"]]
            parent = written.get(entry.get("reply_to", ""))
            at = (
                self.now - timedelta(hours=entry["hours_ago"])
                if "hours_ago" in entry
                else proposal.created_at + timedelta(hours=entry["hours_after"])
            )
            row = Comment(
                process_id=proposal.process_id,
                phase_id=proposal.phase_id,
                participant_id=self._author(proposal.process, entry["author"], entry.get("pseudonym")).id,
                state=ContributionState(entry["state"]),
                body=entry["text"].strip(),
                proposal_id=proposal.id,
                parent_id=parent.id if parent else None,
                thread_id=parent.thread_id if parent else None,
                depth=parent.depth + 1 if parent else 0,
            )
            row.process = proposal.process
            self._add(row, min(at, self.now), "")
            row.thread_id = row.thread_id or row.id
            written[entry["key"]] = row
            if row.is_published:
                proposal.comment_count = (proposal.comment_count or 0) + 1

    def _votes(self) -> None:
        """Supporters vote while an idea is young; some ideas are found late."""
        for key, process in self.processes.items():
            pool = [
                Voter(
                    id=self.keyring.voter_of(process.id, f"demo:{key}:{number}"),
                    process_id=process.id,
                    channel=ParticipantKind.ACCOUNT,
                )
                for number in range(SYNTHETIC_SUPPORTERS)
            ]
            self.session.add_all(pool)
            self.session.flush()
            ids = [one.id for one in pool]
            rows: list[dict[str, Any]] = []
            for proposal in self.proposals.values():
                wanted = getattr(proposal, "support_target", 0)
                if proposal.process_id != process.id or not proposal.is_published or not wanted:
                    continue
                start = proposal.published_at or proposal.created_at
                span = (self.now - start).total_seconds()
                for voter in self.random.sample(ids, min(wanted, len(ids))):
                    at = start + timedelta(seconds=span * self.random.betavariate(0.7, 2.2))
                    rows.append({"contribution_id": proposal.id, "voter_id": voter, "given_at": clock.hour_of(at)})
                proposal.support_count = min(wanted, len(ids))
            if rows:
                self.session.execute(insert(Vote), rows)
        recount_votes(self.session)

    def _ballots(self, entries: list[dict[str, Any]]) -> None:
        """Baskets that people packed within the money, each from what most of them like."""
        process = self.processes["buergerbudget"]
        phase = next(one for one in process.phases if one.format_key == "budget")
        total, most = phase.settings.total, phase.settings.max_number  # type: ignore[attr-defined]
        for entry in entries:
            row = self.proposals[entry["key"]]
            self.session.add(BallotOption(phase_id=phase.id, contribution_id=row.id, cost=entry["cost"]))
        for number in range(BASKETS):
            voter = Voter(id=self.keyring.voter_of(process.id, f"demo:basket:{number}"), process_id=process.id,
                          channel=ParticipantKind.ACCOUNT)
            at = self.now - timedelta(hours=self.random.uniform(1, 200))
            self.session.add(voter)
            self.session.flush()
            left = total
            chosen: list[int] = []
            for entry in self.random.sample(entries, len(entries)):
                if self.random.random() < entry["weight"] and entry["cost"] <= left and len(chosen) < most:
                    left -= entry["cost"]
                    chosen.append(self.proposals[entry["key"]].id)
            if chosen:
                ballot = Ballot(phase_id=phase.id, voter_id=voter.id, channel=voter.channel, size=len(chosen),
                                changed_at=clock.hour_of(at))
                self.session.add(ballot)
                self.session.flush()
                self.session.execute(insert(BallotMark), [
                    {"ballot_id": ballot.id, "contribution_id": key, "value": 1} for key in chosen])
        recount_ballots(self.session)

    def _measures(self) -> None:
        for number, entry in enumerate(_read("measures")["measure"]):
            texts = (
                "title",
                "points",
                "remark",
                "deviation_reason",
                "field_of_action",
                "goal",
                "approach",
                "target_group",
                "actors",
                "resources",
                "benefit",
                "responsible",
                "decided_by",
                "communication",
                "cost",
                "timeframe",
            )
            measure = Measure(
                process_id=self.processes[entry["process"]].id,
                code=entry["code"],
                position=number,
                theme_id=self.themes[entry["process"], entry["theme"]].id,
                is_greyed=entry["greyed"],
                state=MeasureState(entry["state"]),
                created_at=self.now,
                updated_at=self.now,
                priority=Priority(entry["priority"]) if entry.get("priority") else None,
                deviating_priority=Priority(entry["deviating_priority"]) if entry.get("deviating_priority") else None,
                **{name: entry.get(name, "").strip() for name in texts},
            )
            measure.sources = [
                MeasureSource(
                    proposal_id=self.proposals[link["key"]].id,
                    taken_up_at=self._day(-link["days_ago"]),
                    note=link.get("note", ""),
                )
                for link in entry.get("proposals", [])
            ]
            self.session.add(measure)

    def _counters(self) -> None:
        for process in self.processes.values():
            visible = [one for one in self.proposals.values() if one.process_id == process.id and one.is_published]
            process.proposal_count = len(visible)
            process.comment_count = sum(one.comment_count or 0 for one in visible)
            process.participant_count = count_people(self.session, self.keyring, process.id)
            for theme in process.themes:
                theme.proposal_count = len([one for one in visible if one.theme_id == theme.id])
        self.session.flush()


def demo_totp_secret(email: str) -> str:
    """The second factor of a demo account, the same every time, so that the demo can show its code."""
    import base64  # noqa: PLC0415 - for this one line
    import hashlib  # noqa: PLC0415

    return base64.b32encode(hashlib.sha256(f"demo:{email}".encode()).digest()[:20]).decode()


def _as_docx(title: str, body: str) -> io.BytesIO:
    """A short text as a document to download."""
    document = Document()
    document.core_properties.title = title
    document.core_properties.language = "de-DE"
    document.add_heading(title, 0)
    for block in body.strip().split("\n\n"):
        if block.startswith("#"):
            document.add_heading(block.lstrip("# ").strip(), 1)
        elif block.startswith("- "):
            for line in block.split("\n"):
                document.add_paragraph(line.removeprefix("- ").replace("**", ""), style="List Bullet")
        else:
            document.add_paragraph(block.replace("**", "").replace("\\\n", "\n"))
    buffer = io.BytesIO()
    document.save(buffer)
    buffer.seek(0)
    return buffer
