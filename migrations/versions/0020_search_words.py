"""The words of a process: what a search looks through for compounds and for slips of the finger."""

from __future__ import annotations

import re
import unicodedata

import snowballstemmer
import sqlalchemy as sa
from alembic import op

revision = "0020_search_words"
down_revision = "0019_provider_sessions"

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]{4,40}")
_BATCH = 1000
_SHORTEST, _LONGEST = 4, 40


def upgrade() -> None:
    """Go one step up, and read the words of what is public already."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    # Ranges of stems are read letter by letter, whatever the language of the server.
    line = sa.String(length=40, collation=None if is_sqlite else "C")
    op.create_table(
        "proposal_search_word",
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("stem", line, nullable=False),
        sa.Column("backwards", line, nullable=False),
        sa.Column("word", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name="fk_proposal_search_word_process_id_process",
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("process_id", "stem", name="pk_proposal_search_word"),
    )
    op.create_index("ix_proposal_search_word_backwards", "proposal_search_word", ["process_id", "backwards"])
    _fill(is_sqlite=is_sqlite)


def _fill(*, is_sqlite: bool) -> None:
    connection, last = op.get_bind(), 0
    while True:
        rows = connection.execute(
            sa.text(
                "SELECT c.id, c.process_id, p.title, c.body, p.place FROM contribution c JOIN proposal p ON p.id = c.id "
                "WHERE c.state = 'published' AND c.id > :last ORDER BY c.id LIMIT :batch"
            ),
            {"last": last, "batch": _BATCH},
        ).all()
        if not rows:
            return
        found = sorted({(row.process_id, word) for row in rows
                        for word in _WORD.findall(f"{row.title} {row.body} {row.place}") if _LETTERS.fullmatch(word)})
        (_add_on_sqlite if is_sqlite else _add_on_postgresql)(connection, found)
        last = rows[-1].id


def _add_on_sqlite(connection: sa.Connection, found: list[tuple[int, str]]) -> None:
    stemmer, known = snowballstemmer.stemmer("german"), {}
    for process_id, word in found:
        plain = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss"))
        stem = stemmer.stemWord("".join(char for char in plain if not unicodedata.combining(char))[:_LONGEST])
        if len(stem) >= _SHORTEST and _WORD.fullmatch(stem):
            known.setdefault((process_id, stem), word)
    if known:
        connection.execute(
            sa.text("INSERT OR IGNORE INTO proposal_search_word (process_id, stem, backwards, word) "
                    "VALUES (:process_id, :stem, :backwards, :word)"),
            [{"process_id": process_id, "stem": stem, "backwards": stem[::-1], "word": word}
             for (process_id, stem), word in known.items()],
        )


def _add_on_postgresql(connection: sa.Connection, found: list[tuple[int, str]]) -> None:
    if found:
        connection.execute(
            sa.text(
                "INSERT INTO proposal_search_word (process_id, stem, backwards, word) "  # noqa: S608 - numbers of this file
                "SELECT process_id, stem, reverse(stem), word FROM (SELECT CAST(:process_id AS integer) AS process_id, "
                "(ts_lexize('german_stem', CAST(:folded AS text)))[1] AS stem, CAST(:word AS text) AS word) AS given "
                f"WHERE length(stem) BETWEEN {_SHORTEST} AND {_LONGEST} AND EXISTS (SELECT 1 FROM proposal_search "
                "WHERE proposal_search.process_id = given.process_id AND document @@ to_tsquery('simple', stem)) "
                "ON CONFLICT DO NOTHING"
            ),
            [{"process_id": process_id, "folded": word.lower().replace("ß", "ss"), "word": word}
             for process_id, word in found],
        )


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("proposal_search_word")
