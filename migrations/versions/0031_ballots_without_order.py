"""Ballots have random numbers: counted up, they told in which order people voted, beside who signed in when."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0031_ballots_without_order"
down_revision = "0030_time_of_annulled_votes"
CHUNK = 1000
_WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BALLOT = "phase_id, voter_id, channel, size, source_hash, annulment_id, changed_at"


def upgrade() -> None:
    """Go one step up."""
    _renumber(is_random=True)


def downgrade() -> None:
    """Go one step down: counted up again, but in no order that was."""
    _renumber(is_random=False)


def _renumber(*, is_random: bool) -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        # Else the old rows would stay readable in the free pages of the file.
        connection.execute(sa.text("PRAGMA secure_delete=ON"))
    numbers = sa.Table("ballot_number", sa.MetaData(), sa.Column("old", _WIDE, primary_key=True, autoincrement=False),
                       sa.Column("new", _WIDE, unique=True), prefixes=["TEMPORARY"])
    numbers.create(connection)
    known = connection.scalars(sa.text("SELECT id FROM ballot ORDER BY voter_id, phase_id")).all()
    pairs = [{"old": old, "new": secrets.randbits(63) if is_random else place} for place, old in enumerate(known, start=1)]
    for start in range(0, len(pairs), CHUNK):
        connection.execute(numbers.insert(), pairs[start : start + CHUNK])
    for table in ("ballot", "ballot_mark"):
        op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608 - two names
    op.drop_table("ballot_mark")
    op.drop_table("ballot")
    _create(is_random=is_random)
    op.execute(f"INSERT INTO ballot (id, {_BALLOT}) SELECT ballot_number.new, {_BALLOT} FROM kept_ballot "  # noqa: S608 - a constant
               "JOIN ballot_number ON ballot_number.old = kept_ballot.id ORDER BY ballot_number.new")
    op.execute("INSERT INTO ballot_mark (ballot_id, contribution_id, value) SELECT ballot_number.new, contribution_id, value "
               "FROM kept_ballot_mark JOIN ballot_number ON ballot_number.old = kept_ballot_mark.ballot_id ORDER BY 1, 2")
    if not is_sqlite and not is_random:
        op.execute("SELECT setval('ballot_id_seq', coalesce((SELECT max(id) FROM ballot), 0) + 1, false)")
    for table in ("kept_ballot_mark", "kept_ballot", "ballot_number"):
        op.execute(f"DROP TABLE {table}")


def _create(*, is_random: bool) -> None:
    number = _WIDE if is_random else sa.Integer()
    op.create_table(
        "ballot",
        sa.Column("id", number, autoincrement=not is_random, nullable=False),
        sa.Column("phase_id", sa.Integer(), nullable=False),
        sa.Column("voter_id", _WIDE, nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("source_hash", sa.String(length=16), nullable=True),
        sa.Column("annulment_id", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name="fk_ballot_phase_id_phase", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["voter_id"], ["voter.id"], name="fk_ballot_voter_id_voter", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["annulment_id"], ["annulment.id"], name="fk_ballot_annulment_id_annulment"),
        sa.PrimaryKeyConstraint("id", name="pk_ballot"),
        sa.UniqueConstraint("phase_id", "voter_id", name="uq_ballot_phase_id_voter_id"),
    )
    op.create_table(
        "ballot_mark",
        sa.Column("ballot_id", number, nullable=False, autoincrement=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.CheckConstraint("value <> 0", name="ck_ballot_mark_says_something"),
        sa.ForeignKeyConstraint(["ballot_id"], ["ballot.id"], name="fk_ballot_mark_ballot_id_ballot", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contribution.id"],
                                name="fk_ballot_mark_contribution_id_contribution", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ballot_id", "contribution_id", name="pk_ballot_mark"),
        sqlite_with_rowid=not is_random,
    )
    for column in ("voter_id", "source_hash", "annulment_id"):
        op.create_index(f"ix_ballot_{column}", "ballot", [column])
    op.create_index("ix_ballot_mark_contribution_id", "ballot_mark", ["contribution_id"])
