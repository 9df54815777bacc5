"""Alembic's entry: the same migrations on SQLite and PostgreSQL, one transaction per migration."""

from __future__ import annotations

import importlib
import pkgutil

from alembic import context
from sqlalchemy import Connection

import moderation
import participation
from participation.db import Base, Database
from participation.settings import Settings


def load_all_models() -> None:
    """Import every module that defines tables, so that autogenerate sees them."""
    for package in (participation, moderation):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rsplit(".", 1)[-1] in {"models", "audit", "outbox", "sent_forms", "uploads"}:
                importlib.import_module(module.name)


def run(connection: Connection) -> None:
    """Migrate on a given connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
        compare_type=True,
        include_name=lambda name, kind, _parents: not (kind == "table" and str(name).startswith("proposal_search")),
    )
    with context.begin_transaction():
        context.run_migrations()


load_all_models()
_given = context.config.attributes.get("connection")
if _given is not None:
    run(_given)
else:
    _database = Database(context.config.attributes.get("url") or Settings.from_environ().database_url)
    try:
        with _database.engine.connect() as _connection:
            run(_connection)
            _connection.commit()
    finally:
        _database.dispose()
