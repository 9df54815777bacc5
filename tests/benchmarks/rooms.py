"""Every page that a resident or the staff opens, in this process and without the page cache: what each costs by itself.

Counted is the processor's time, on PostgreSQL with that of its own processes; of a few requests the quickest, so that
other work on the same machine disturbs little; and by how much memory grew meanwhile. Where the aim is not met, the slowest statement stands beside it: a page
that grows with the town shows there first.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Engine, event, exists, insert, select, text, update

from moderation.models import Case, CaseState
from participation import tokens
from participation.accounts.models import Account, ParticipantKind, SignInSession
from participation.contributions.ballots import operations as ballots
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption
from participation.contributions.models import SHUFFLE_RANGE, Contribution, ContributionState, Revision, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.proposals.queries import Sort, write_cursor
from participation.contributions.votes.models import Vote
from participation.formats import BallotRule, BudgetSettings, Results, VoteSettings
from participation.permissions import Role
from participation.processes.models import Process
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

TRIES = 3
PAGE_MS, SIMILAR_MS = 100, 50
MARKS_EACH, OPEN_CASES, OWN, STAFF, CASTS, REWRITTEN = 20, 10_000, 5_000, 300, 200, 20
# In the middle of the points.
HERE = "lon=7.303&lat=51.981"
START = datetime(2026, 1, 1, 8, tzinfo=UTC)


@dataclass(slots=True)
class Town:
    """What the pages of this measurement need: who is signed in, and the numbers in their addresses."""

    base: str
    process_id: int
    proposal: int
    last: int
    resident: str
    staff: str
    phases: dict[str, int] = field(default_factory=dict)
    case: int = 0
    contribution: int = 0
    paper: list[int] = field(default_factory=list)
    deep: dict[str, str] = field(default_factory=dict)
    """The last entry before the middle of a list, by its order."""


def measure(app: Any, slug: str, proposal: int, size: int, sign_in: Callable[[Any, str], tuple[str, str]]) -> None:
    """Fill the rooms, open every one, and print what it cost and whether its aim is met."""
    platform = app.extensions["platform"]
    logging.disable(logging.INFO)
    with platform.database.unit_of_work() as session:
        town = _fill(session, platform.keyring, slug, proposal, size)
    cookies = {"": "", "resident": sign_in(app, town.resident), "staff": sign_in(app, town.staff)}
    print(f"{'in one process, nothing cached':46}{'ms':>8}{'queries':>9}{'bytes':>10}{'MB more':>9}  aim", flush=True)
    for name, who, path in _pages(town):
        cookie = cookies[who][0] if who else ""
        _open(app, f"{name}{f' ({who})' if who else ''}", "GET", path, cookie, {}, PAGE_MS)
    cookie, csrf = cookies["resident"]
    for name, title, body in (
        ("common words", "Mehr Laternen am Radweg zum Bahnhof", "Abends ist es dort dunkel, auch auf der Brücke."),
        ("rare words", "Bürgerbusbahnhof mit Spielplatzwald", "Eine Lesebank für die Nachbarschaft im Quartier."),
        ("a long text", "Laterne Radweg", "Freibad Wohnung Garten Energie Sonne Wind Speicher Funknetz. " * 60),
    ):
        _open(app, f"similar while writing, {name}", "POST", f"{town.base}/vorschlaege/neu/aehnliche", cookie,
              {"title": title, "body": body, "csrf_token": csrf}, SIMILAR_MS)
    for rule in ("pro_contra", "points"):
        line = {"zeile": str(proposal), f"marke-{proposal}": "1", "csrf_token": csrf}
        _open(app, f"cast a ballot, {rule}", "POST", f"{town.base}/abstimmung/{town.phases[rule]}", cookie, line, PAGE_MS)
    _cast_baskets(app, town, cookie, csrf)
    cookie, csrf = cookies["staff"]
    for kind, rows in (("vorschlaege", size), ("kommentare", size * 5), ("karte", size), ("tabelle", size * 6)):
        address = f"/verwaltung/verfahren/{town.process_id}/auswertung/{kind}"
        took = _open(app, f"export, {kind}", "POST", address, cookie, {"umfang": "alle", "csrf_token": csrf}, None, 1)
        print(f"    some {rows / took * 1000:,.0f} rows a second", flush=True)
    counts: dict[str, Callable[[Session], dict[str, int]]] = {
        "counters of contributions": lambda session: recount(session, platform.keyring), "ballots": ballots.recount,
    }
    for name, count in counts.items():
        started = time.perf_counter()
        with platform.database.unit_of_work() as session:
            wrong = count(session)
        print(f"recount, {name}: {time.perf_counter() - started:.1f} s, {sum(wrong.values())} were wrong", flush=True)


def _cast_baskets(app: Any, town: Town, cookie: str, csrf: str) -> None:
    """One basket after the other, each with other proposals: what the whole request costs."""
    client, headers = app.test_client(use_cookies=False), {"Cookie": cookie, "Referer": "http://localhost/"}
    path, half = f"{town.base}/abstimmung/{town.phases['budget']}", len(town.paper) // 2
    started, refused = time.process_time(), 0
    for number in range(CASTS):
        basket = town.paper[:half] if number % 2 else town.paper[half:]
        values = {"korb": [str(key) for key in basket], "csrf_token": csrf}
        refused += client.post(path, headers=headers, data=values, base_url="http://localhost").status_code != 303
    took = time.process_time() - started
    print(f"baskets that replace {half} proposals by {half}: {CASTS / took:.0f} a second of this process, "
          f"{refused} refused", flush=True)


def _memory(name: str) -> int:
    """Of this process now (VmRSS), or at its highest since the last look at that (VmHWM), in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _server_time(app: Any) -> float:
    """The processor's time that PostgreSQL's processes have taken so far, in seconds; 0 on SQLite."""
    database = app.extensions["platform"].database
    if database.is_sqlite:
        return 0.0
    with database.reading() as session:
        connection = session.scalar(text("SELECT pg_backend_pid()"))
    server = _parent_of(Path(f"/proc/{connection}"))
    ticks = sum(int(part) for part in _stat_of(Path(f"/proc/{server}"))[13:15])
    total = ticks / os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if folder.name.isdigit() and _parent_of(folder) == server:
                total += int((folder / "schedstat").read_text().split()[0]) / 1e9
    return total


def _stat_of(folder: Path) -> list[str]:
    """What the kernel says of a process behind its name, from its state on."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _parent_of(folder: Path) -> int:
    return int(_stat_of(folder)[1])


def _open(
    app: Any, name: str, method: str, path: str, cookie: str, values: dict[str, str], aim: float | None, tries: int = TRIES
) -> float:
    client = app.test_client(use_cookies=False)
    headers = {"Cookie": cookie, "Referer": "http://localhost/"} if cookie else {"Referer": "http://localhost/"}
    times: list[float] = []
    statements: list[tuple[float, str]] = []
    begun: list[float] = []

    def before(*_args: object) -> None:
        begun.append(time.perf_counter())

    def after(*args: object) -> None:
        statements.append((time.perf_counter() - begun.pop(), str(args[2])))

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "after_cursor_execute", after)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    memory = _memory("VmRSS")
    try:
        for _ in range(tries):
            app.extensions["platform"].page_cache.clear()
            statements.clear()
            length = 0
            elsewhere, started = _server_time(app), time.process_time()
            answer = client.open(quote(path, safe="/?=&%"), method=method, headers=headers, data=values or None,
                                 base_url="http://localhost", buffered=False)
            # Piece by piece, as the server does: what the test keeps is not what the application needs.
            for piece in answer.response:
                length += len(piece)
            answer.close()
            times.append((time.process_time() - started + _server_time(app) - elsewhere) * 1000)
    finally:
        event.remove(Engine, "before_cursor_execute", before)
        event.remove(Engine, "after_cursor_execute", after)
    best = min(times)
    queries = [one for one in statements if not one[1].startswith(("BEGIN", "SELECT pg_backend_pid"))]
    missed = aim is not None and best > aim
    verdict = "" if aim is None else f"≤ {aim:.0f} ms: " + ("NOT met" if missed else "met")
    if answer.status_code >= 400 or (method == "GET" and answer.status_code != 200):
        verdict = f"ANSWERED {answer.status_code}"
    slowest = max(queries, default=(0.0, ""))
    detail = f"  slowest query {slowest[0] * 1000:.0f} ms: {' '.join(slowest[1].split())[:400]}" if missed else ""
    more = (_memory("VmHWM") - memory) / 1024
    print(f"{name[:45]:<46}{best:>8.1f}{len(queries):>9}{length:>10}{more:>9.0f}  {verdict}{detail}", flush=True)
    return best


def _pages(town: Town) -> Iterator[tuple[str, str, str]]:
    """(name, who is signed in, address)."""
    base, desk = town.base, f"/verwaltung/verfahren/{town.process_id}"
    proposal = f"{base}/vorschlaege/{town.proposal}"
    for sort in ("neu", "unterstuetzt", "diskutiert", "zufall"):
        for theme in ("", "&thema=verkehr"):
            for answer in ("", "&antwort=angenommen"):
                for words in ("", "&q=Laterne"):
                    query = f"sort={sort}{'&ab=5' if sort == 'zufall' else ''}{theme}{answer}{words}"
                    yield f"list {query}", "", f"{base}/vorschlaege?{query}"
    for theme in ("", "&thema=verkehr"):
        for words in ("", "&q=Laterne"):
            yield f"list sort=entfernung{theme}{words}", "", f"{base}/vorschlaege?sort=entfernung&{HERE}{theme}{words}"
    for sort, cursor in town.deep.items():
        here = f"&{HERE}" if sort == "entfernung" else "&ab=5" if sort == "zufall" else ""
        yield f"its middle, sort={sort}", "", f"{base}/vorschlaege?sort={sort}{here}&nach={cursor}"
    for words in ("Platz", "Hof Bahn", "Bürgerbusbahnhof", "Wald Garten Platz Bank Bus Zug Haus Weg"):
        yield f"list, q={words}", "", f"{base}/vorschlaege?q={words}"
    yield "list, a slip of the finger", "", f"{base}/vorschlaege?q=Bürgerbuss Laternne"
    yield "list, eight slips", "", f"{base}/vorschlaege?q=Latrene Spilplatz Bückerei Freibat Werkstad Gahweg Kreutzung Nachban"
    yield "list, a rare pair of words", "", f"{base}/vorschlaege?q=Glasfaser Turnhalle Hecke"
    for name, path in (
        ("home", "/"), ("processes", "/verfahren"), ("process", base), ("news", f"{base}/neuigkeiten"),
        ("news, Atom", f"{base}/neuigkeiten.atom"), ("proposals, Atom", f"{base}/vorschlaege.atom"),
        ("dates, iCal", f"{base}/termine.ics"), ("map", f"{base}/karte"), ("map, GeoJSON", f"{base}/karte.geojson"),
        ("proposal, 200 comments", proposal), ("comments by support", f"{proposal}?kommentare=unterstuetzt"),
        ("comments, newest first", f"{proposal}?kommentare=neu"), ("its history", f"{proposal}/verlauf"),
        ("similar ones", f"{proposal}/aehnliche"), ("result, support", f"{base}/abstimmung/{town.phases['support']}/ergebnis"),
        ("result, pro and contra", f"{base}/abstimmung/{town.phases['pro_contra']}/ergebnis"),
        ("result as a table", f"{base}/abstimmung/{town.phases['points']}/ergebnis.csv"),
        ("help", "/hilfe"), ("find a receipt", "/beleg"), ("follow", f"{base}/folgen"),
    ):
        yield name, "", path
    for name, path in (
        ("proposal, 200 comments", proposal), ("ballot, pro and contra", f"{base}/abstimmung/{town.phases['pro_contra']}"),
        ("ballot, points", f"{base}/abstimmung/{town.phases['points']}"),
        ("ballot, 200 prices", f"{base}/abstimmung/{town.phases['budget']}"), ("write a proposal", f"{base}/vorschlaege/neu"),
        ("account", "/konto"), ("own contributions", "/konto/beitraege"), ("their middle", f"/konto/beitraege?vor={town.last // 2}"),
        ("own data", "/konto/daten"), ("own data as a file", "/konto/meine-daten.json"), ("what I follow", "/konto/benachrichtigungen"),
        ("security", "/konto/sicherheit"), ("own receipt", f"{base}/vorschlaege/{town.contribution}/beleg"),
    ):
        yield name, "resident", path
    for name, path in (
        ("proposal, 200 comments", proposal), ("evaluation", f"{desk}/auswertung"), ("staff room", "/verwaltung"), ("desk, 10,000 cases", "/moderation"),
        ("desk, noticed ones", "/moderation?auffaellig=1"), ("desk, comments", "/moderation?art=comment"),
        ("desk, one process", f"/moderation?verfahren={town.process_id}"), ("a case", f"/moderation/faelle/{town.case}"),
        ("decisions", "/moderation/entscheidungen"), ("staff accounts", "/verwaltung/konten"), ("jobs", "/verwaltung/auftraege"),
        ("processes", "/verwaltung/verfahren"), ("edit process", desk), ("phases", f"{desk}/phasen"), ("themes", f"{desk}/themen"),
        ("roles", f"{desk}/rollen"), ("versions", f"{desk}/verlauf"), ("news", f"{desk}/neuigkeiten"),
        ("newsletters", f"{desk}/rundbriefe"), ("votes", f"{desk}/stimmen"), ("workbench", f"{desk}/massnahmen"),
        ("workbench, q=Laterne", f"{desk}/massnahmen?q=Laterne"),
        ("answer", f"{proposal}/antwort"), ("documents", f"{desk}/dokumente"),
    ):
        yield name, "staff", path


def _fill(session: Session, keyring: tokens.Keyring, slug: str, proposal: int, size: int) -> Town:
    process = session.scalars(select(Process).where(Process.slug == slug)).one()
    municipality = process.municipality
    phases = {rule.value: factories.phase("vote", settings=VoteSettings(ballot=rule, results=Results.DURING))
              for rule in (BallotRule.SUPPORT, BallotRule.PRO_CONTRA, BallotRule.POINTS)}
    phases["budget"] = factories.phase("budget", settings=BudgetSettings(results=Results.DURING))
    for number, phase in enumerate(phases.values()):
        phase.position = 10 + number
        process.phases.append(phase)
    session.flush()
    people = list(session.scalars(select(Voter.id).where(Voter.process_id == process.id)))
    # What was handed in under load before this has a case already.
    is_new = ~exists().where(Case.contribution_id == Contribution.id)
    ids = list(session.scalars(select(Contribution.id).where(
        Contribution.process_id == process.id, Contribution.kind == "proposal", is_new).order_by(Contribution.id)))
    paper = ids[: ballots.OPTIONS_MAX]
    session.execute(insert(BallotOption), [
        {"phase_id": phases["budget"].id, "contribution_id": key, "cost": 500} for key in paper])
    for phase in (phases["pro_contra"], phases["points"]):
        for at in range(0, len(people), 500):
            session.execute(insert(Ballot), [
                {"phase_id": phase.id, "voter_id": one, "channel": ParticipantKind.ACCOUNT, "size": MARKS_EACH,
                 "changed_at": START} for one in people[at : at + 500]])
        marked = min(len(ids), 1000)
        for number, ballot in enumerate(session.scalars(select(Ballot.id).where(Ballot.phase_id == phase.id)).all()):
            session.execute(insert(BallotMark), [
                {"ballot_id": ballot, "contribution_id": key, "value": 1}
                for key in {ids[(number * 7 + step * 13) % marked] for step in range(MARKS_EACH)}])
    ballots.recount(session)
    now = datetime.now(UTC)

    def signed_in(account: Account) -> str:
        token = tokens.new_token()
        session.add(SignInSession(account_id=account.id, token_hash=tokens.hash_token(token), created_at=now,
                                  second_factor_at=now, expires_at=now + timedelta(days=9)))
        return token

    resident = factories.account(session, town=municipality)
    staff = factories.account(session, *Role, town=municipality, totp_confirmed_at=now)
    for _ in range(STAFF):
        factories.account(session, Role.PLANNER, town=municipality)
    # Everything that somebody very busy wrote, and what a campaign left on the desk.
    own = factories.participant(session, process, person_hash=keyring.person_hash(process.id, f"account:{resident.id}"))
    voter = Voter(id=keyring.voter_number(own.person_hash), process_id=process.id, channel=ParticipantKind.ACCOUNT)
    session.add(voter)
    session.flush()
    mine = ids[:: max(1, len(ids) // OWN)][:OWN]
    waiting = list(session.scalars(select(Contribution.id).where(Contribution.kind == "comment", is_new)
                                   .order_by(Contribution.id.desc()).limit(min(OPEN_CASES, size * 2))))
    for at in range(0, len(mine), 500):
        session.execute(update(Contribution.__table__).where(Contribution.id.in_(mine[at : at + 500]))
                        .values(participant_id=own.id))
        session.execute(insert(Vote), [{"contribution_id": key, "voter_id": voter.id, "given_at": START}
                                       for key in mine[at : at + 500]])
    # One text that was rewritten again and again after others had supported it.
    words = session.scalars(select(Contribution.body).where(Contribution.id.in_(ids[:REWRITTEN]))).all()
    session.execute(insert(Revision), [
        {"contribution_id": proposal, "number": 2 + number, "title": "Neu geschrieben", "body": body, "was_seen": True,
         "created_at": START} for number, body in enumerate(words)])
    session.execute(update(Contribution.__table__).where(Contribution.id == proposal)
                    .values(revision_number=1 + len(words)))
    session.execute(update(Proposal.__table__).where(Proposal.__table__.c.id == proposal).values(edited_at=START))
    _cases(session, process, ids, CaseState.DECIDED)
    _cases(session, process, waiting, CaseState.OPEN)
    middle = session.execute(
        select(Contribution.id, Contribution.published_at, Contribution.support_count, Contribution.comment_count)
        .where(Contribution.id == ids[len(ids) // 2])).one()
    deep = {sort.value: write_cursor(sort, value, middle.id) for sort, value in (
        (Sort.NEWEST, middle.published_at), (Sort.SUPPORTED, middle.support_count),
        (Sort.DISCUSSED, middle.comment_count), (Sort.FAIR, SHUFFLE_RANGE // 2), (Sort.NEAR, 5000 * 5000))}
    return Town(base=f"/verfahren/{slug}", process_id=process.id, proposal=proposal, last=max(ids),
                resident=signed_in(resident), staff=signed_in(staff),
                phases={name: phase.id for name, phase in phases.items()},
                case=session.scalar(select(Case.id).order_by(Case.id.desc()).limit(1)) or 0, contribution=mine[1],
                paper=paper, deep=deep)


def _cases(session: Session, process: Process, ids: list[int], state: CaseState) -> None:
    is_open = state is CaseState.OPEN
    for at in range(0, len(ids), 5000):
        some = ids[at : at + 5000]
        if is_open:
            session.execute(update(Contribution.__table__).where(Contribution.id.in_(some))
                            .values(state=ContributionState.SUBMITTED))
        session.execute(insert(Case), [
            {"contribution_id": key, "revision_number": 1, "process_id": process.id, "state": state, "opened_at": START,
             "warning_count": key % 50 == 0, "decided_at": None if is_open else START} for key in some])
