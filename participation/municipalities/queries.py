"""Finding municipalities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, or_, select

from participation.municipalities.models import Municipality, MunicipalityKind

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def municipality_for_host(session: Session, host: str) -> Municipality | None:
    """The municipality that answers to a host name, else the installation's default: the first without a host.

    Towns come before their Kreis.
    """
    return session.scalar(
        select(Municipality)
        .where(or_(Municipality.host == host, Municipality.host.is_(None)))
        .order_by(
            case((Municipality.host == host, 0), else_=1),
            case((Municipality.kind == MunicipalityKind.TOWN, 0), else_=1),
            Municipality.id,
        )
        .limit(1)
    )
