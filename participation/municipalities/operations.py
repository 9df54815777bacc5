"""Changing municipalities, and telling caches that visitors see something new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from participation.municipalities.models import Municipality

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def raise_content_version(session: Session, municipality_id: int) -> None:
    """Make every cached page of a municipality outdated, in the transaction that changes what is visible."""
    session.execute(
        update(Municipality)
        .where(Municipality.id == municipality_id)
        .values(content_version=Municipality.content_version + 1)
        .execution_options(synchronize_session=False)
    )
