"""Who votes is a row of its own, which nothing in the database joins with who writes.

The number of a voter is a hash of the participant's under the installation's key, so this step needs the key where
there are votes. The way back finds voters by the same hash: of participants, and of all accounts.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

from participation.settings import Settings
from participation.tokens import Keyring

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0028_voters"
down_revision = "0027_returned_mails"
CHUNK = 1000
_INSTANT = sa.DateTime(timezone=True)
_WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_VOTES = sa.text("SELECT EXISTS (SELECT 1 FROM vote) OR EXISTS (SELECT 1 FROM ballot)")


def upgrade() -> None:
    """Go one step up."""
    connection = op.get_bind()
    _overwrite_what_is_dropped(connection)
    op.create_table(
        "voter",
        sa.Column("id", _WIDE, autoincrement=False, nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("supports", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("supports >= 0", name="ck_voter_not_negative"),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_voter_process_id_process", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_voter"),
    )
    op.create_index("ix_voter_process_id", "voter", ["process_id"])
    pairs = _pairs_table()
    if connection.scalar(_VOTES):
        keyring = _keyring()
        _require_right_key(connection, keyring)
        # Sorted by the hash: the order in which people came is lost.
        people = sorted(
            (keyring.voter_number(row.person_hash), row.id, row.process_id, row.kind) for row in connection.execute(sa.text(
                "SELECT id, process_id, person_hash, kind FROM participant WHERE id IN "
                "(SELECT participant_id FROM vote UNION SELECT participant_id FROM ballot)")))
        voter = sa.table("voter", *(sa.column(name) for name in ("id", "process_id", "channel")))
        for some in _chunks(people):
            connection.execute(voter.insert(), [{"id": one[0], "process_id": one[2], "channel": one[3]} for one in some])
            connection.execute(pairs.insert(), [{"voter_id": one[0], "participant_id": one[1]} for one in some])
    _replace_tables("participant_id", "voter_id", connection)
    connection.execute(sa.text(
        "UPDATE voter SET supports = (SELECT count(*) FROM vote JOIN contribution ON contribution.id = vote.contribution_id "
        "WHERE vote.voter_id = voter.id AND vote.annulment_id IS NULL AND contribution.kind = 'proposal')"))
    # Whoever did nothing but vote is no participant any more, and nobody is one since the time of a vote.
    acts = ("SELECT created_at AS at, participant_id FROM contribution "
            "UNION ALL SELECT joined_at AS at, participant_id FROM co_author")
    connection.execute(sa.text(
        "DELETE FROM participant WHERE id IN (SELECT participant_id FROM voter_pair) "
        "AND id NOT IN (SELECT participant_id FROM contribution) AND id NOT IN (SELECT participant_id FROM co_author)"))
    connection.execute(sa.text(
        f"UPDATE participant SET created_at = (SELECT min(at) FROM ({acts}) AS act WHERE act.participant_id = participant.id) "  # noqa: S608 - a constant
        "WHERE id IN (SELECT participant_id FROM voter_pair)"))
    pairs.drop(connection)


def downgrade() -> None:
    """Go one step down: people who only voted are participants again, since when is not known."""
    connection = op.get_bind()
    pairs = _pairs_table()
    if connection.scalar(_VOTES):
        _join_again(connection, pairs, _keyring())
    _replace_tables("voter_id", "participant_id", connection)
    pairs.drop(connection)
    op.drop_index("ix_voter_process_id", "voter")
    op.drop_table("voter")


def _join_again(connection: sa.Connection, pairs: sa.Table, keyring: Keyring) -> None:
    voters = {row.id: row for row in connection.execute(sa.text("SELECT id, process_id, channel FROM voter"))}
    found: dict[int, int] = {}
    for row in connection.execute(sa.text("SELECT id, person_hash FROM participant")):
        number = keyring.voter_number(row.person_hash)
        if number in voters:
            found[number] = row.id
    missing = {number: row for number, row in voters.items() if number not in found}
    names: dict[int, tuple[str, str, str | None]] = {}
    accounts = connection.execute(sa.text("SELECT id, display_name FROM account WHERE deleted_at IS NULL")).all()
    for process_id in {row.process_id for row in missing.values()}:
        for account in accounts:
            identity = f"account:{account.id}"
            person_hash = keyring.person_hash(process_id, identity)
            if (number := keyring.voter_number(person_hash)) in missing:
                names[number] = (person_hash, account.display_name, keyring.seal(identity))
    participant = sa.table("participant", *(sa.column(name) for name in (
        "id", "process_id", "person_hash", "kind", "pseudonym", "is_staff", "contact_sealed")), sa.column("created_at", _INSTANT))
    for number, row in missing.items():
        # Nobody finds these again: imported ones, and those of accounts that are gone.
        person_hash, name, contact = names.get(number, (secrets.token_hex(32), "Unterstützung", None))
        found[number] = connection.execute(participant.insert().values(
            process_id=row.process_id, person_hash=person_hash, kind=row.channel, pseudonym=name, is_staff=False,
            contact_sealed=contact, created_at=datetime.now(UTC)).returning(participant.c.id)).scalar_one()
    for some in _chunks(sorted(found.items())):
        connection.execute(pairs.insert(), [{"voter_id": one[0], "participant_id": one[1]} for one in some])


def _keyring() -> Keyring:
    context = op.get_context()
    given = context.config.attributes.get("secret_key") if context.config else None
    return Keyring(given or Settings.from_environ().secret_key)


def _require_right_key(connection: sa.Connection, keyring: Keyring) -> None:
    """With another key nobody would find their votes again, and everybody could vote anew."""
    sealed = connection.scalars(sa.text(
        "SELECT contact_sealed FROM participant WHERE contact_sealed IS NOT NULL ORDER BY id DESC LIMIT 100")).all()
    if sealed and not any(keyring.unseal(one) for one in sealed):
        message = "SECRET_KEY passt nicht zu dieser Datenbank. Setzen Sie den Schlüssel, mit dem sie geführt wurde."
        raise RuntimeError(message)


def _overwrite_what_is_dropped(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Else the old rows would stay readable in the free pages of the file.
        connection.execute(sa.text("PRAGMA secure_delete=ON"))


def _chunks(rows: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _pairs_table() -> sa.Table:
    """Voter and participant beside each other, until this step is done."""
    table = sa.Table("voter_pair", sa.MetaData(), sa.Column("participant_id", sa.Integer(), primary_key=True),
                     sa.Column("voter_id", _WIDE, unique=True), prefixes=["TEMPORARY"])
    table.create(op.get_bind())
    return table


def _coarse(column: str, *, is_sqlite: bool, process: str = "") -> str:
    """The hour of an instant, the day of one two weeks old; where a phase began later than that, its begin."""
    if is_sqlite:
        hour, day = (f"strftime('%Y-%m-%d {time}:00.000000', {column})" for time in ("%H:00", "00:00"))
        old, later = "strftime('%Y-%m-%d %H:%M:%f', 'now', '-14 days')", "max"
    else:
        hour, day = (f"date_trunc('{unit}', {column} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'" for unit in ("hour", "day"))
        old, later = "now() - interval '14 days'", "greatest"
    begin = f"CASE WHEN {column} < {old} THEN {day} ELSE {hour} END"
    if not process:
        return begin
    started = f"SELECT max(starts_at) FROM phase WHERE phase.process_id = {process} AND starts_at <= {column}"  # noqa: S608
    return f"{later}({begin}, coalesce(({started}), {begin}))"


def _replace_tables(old: str, new: str, connection: sa.Connection) -> None:
    """Votes, ballots and marks are copied into tables that name the other one, in an order that tells nothing.

    Copied, since SQLite would empty the marks along with a table of ballots that it rebuilds.
    """
    up = new == "voter_id"

    def reference(table: str) -> sa.ForeignKeyConstraint:
        target = new.removesuffix("_id")
        return sa.ForeignKeyConstraint([new], [f"{target}.id"], name=f"fk_{table}_{new}_{target}",
                                       ondelete="CASCADE" if up else None)

    def number(**options: bool) -> sa.Column[int]:
        return sa.Column(new, _WIDE if up else sa.Integer(), nullable=False, **options)

    is_sqlite = connection.dialect.name == "sqlite"
    pair = f"JOIN voter_pair ON voter_pair.{old} = "
    op.create_table(
        "next_vote",
        sa.Column("contribution_id", sa.Integer(), autoincrement=False, nullable=False),
        number(autoincrement=False),
        sa.Column("given_at" if up else "created_at", _INSTANT, nullable=False),
        sa.Column("source_hash", sa.String(length=16), nullable=True),
        sa.Column("annulment_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"], name="fk_vote_contribution_id", ondelete="CASCADE"),
        reference("vote"),
        sa.ForeignKeyConstraint(["annulment_id"], ["annulment.id"], name="fk_vote_annulment_id_annulment"),
        sa.PrimaryKeyConstraint("contribution_id", new, name="pk_next_vote"),
        sqlite_with_rowid=not up,
    )
    at = _coarse("vote.created_at", is_sqlite=is_sqlite, process="contribution.process_id") if up else "vote.given_at"
    connection.exec_driver_sql(
        f"INSERT INTO next_vote SELECT vote.contribution_id, voter_pair.{new}, {at}, vote.source_hash, vote.annulment_id "  # noqa: S608
        f"FROM vote {pair} vote.{old} JOIN contribution ON contribution.id = vote.contribution_id "
        f"ORDER BY vote.contribution_id, voter_pair.{new}")
    columns = [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("phase_id", sa.Integer(), nullable=False),
        number(),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("source_hash", sa.String(length=16), nullable=True),
        sa.Column("annulment_id", sa.Integer(), nullable=True),
        sa.Column("changed_at", _INSTANT, nullable=False),
        *([] if up else [sa.Column("created_at", _INSTANT, nullable=False)]),
    ]
    op.create_table(
        "next_ballot", *columns,
        sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name="fk_ballot_phase_id_phase", ondelete="CASCADE"),
        reference("ballot"),
        sa.ForeignKeyConstraint(["annulment_id"], ["annulment.id"], name="fk_ballot_annulment_id_annulment"),
        sa.PrimaryKeyConstraint("id", name="pk_next_ballot"),
        sa.UniqueConstraint("phase_id", new, name=f"uq_ballot_phase_id_{new}"),
    )
    at = _coarse("ballot.changed_at", is_sqlite=is_sqlite) if up else "ballot.changed_at, ballot.changed_at"
    connection.exec_driver_sql(
        f"INSERT INTO next_ballot SELECT ballot.id, ballot.phase_id, voter_pair.{new}, ballot.channel, ballot.size, "  # noqa: S608
        f"ballot.source_hash, ballot.annulment_id, {at} FROM ballot {pair} ballot.{old} "
        f"ORDER BY voter_pair.{new}, ballot.phase_id")
    op.create_table(
        "next_mark",
        sa.Column("ballot_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.CheckConstraint("value <> 0", name="ck_ballot_mark_says_something"),
        sa.ForeignKeyConstraint(["ballot_id"], ["next_ballot.id"], name="fk_ballot_mark_ballot_id_ballot", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"],
                                name="fk_ballot_mark_contribution_id_contribution", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ballot_id", "contribution_id", name="pk_next_mark"),
    )
    connection.execute(sa.text("INSERT INTO next_mark SELECT ballot_id, contribution_id, value FROM ballot_mark"))
    for table, copied in (("ballot_mark", "next_mark"), ("ballot", "next_ballot"), ("vote", "next_vote")):
        op.drop_table(table)
        op.rename_table(copied, table)
        if not is_sqlite:
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT pk_{copied} TO pk_{table}")
    if not is_sqlite:
        op.execute("ALTER SEQUENCE next_ballot_id_seq RENAME TO ballot_id_seq")
        op.execute("SELECT setval('ballot_id_seq', coalesce((SELECT max(id) FROM ballot), 0) + 1, false)")
    op.create_index(f"ix_vote_{new}", "vote", [new])
    for index, column in (("ix_vote_source", "source_hash"), ("ix_vote_annulment", "annulment_id")):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(index, "vote", [column], sqlite_where=known, postgresql_where=known)
    op.create_index(f"ix_ballot_{new}", "ballot", [new])
    op.create_index("ix_ballot_source_hash", "ballot", ["source_hash"])
    op.create_index("ix_ballot_annulment_id", "ballot", ["annulment_id"])
    op.create_index("ix_ballot_mark_contribution_id", "ballot_mark", ["contribution_id"])
