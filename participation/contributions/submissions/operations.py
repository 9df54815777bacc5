"""Pictures of a form that was refused: kept for a day, so that nobody has to choose the same picture again.

A browser may not put a chosen file back into a form. So the picture, already re-encoded and without metadata, is laid
aside in a folder of its own, and the form carries a sealed reference to it. No row in the database knows of it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from participation.errors import InvalidInput
from participation.i18n import N_
from participation.uploads import SIZES, Upload, picture_path

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

KEPT_FOR = timedelta(hours=24)
REFERENCE_MAX = 1000
_FOLDER = "pending"
# Sealed values of other kinds must not pass for a picture.
_PURPOSE = "kept-picture:"
_GONE = N_("Das Bild ist nicht mehr da. Bitte wählen Sie es noch einmal aus.")


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """What the row of an upload says, without the row."""

    name: str
    sha256: str
    byte_size: int
    width: int
    height: int


def keep_picture(keyring: Keyring, folder: Path, upload: Upload) -> str:
    """Lay the files of an upload aside, whose row will be rolled back; returns the reference for the form."""
    for size in SIZES:
        kept = picture_path(folder / _FOLDER, upload.name, size)
        kept.parent.mkdir(parents=True, exist_ok=True)
        picture_path(folder, upload.name, size).replace(kept)
    known = KeptPicture(upload.name, upload.sha256, upload.byte_size, upload.width or 0, upload.height or 0)
    return keyring.seal(_PURPOSE + json.dumps(asdict(known)))


def kept_picture(keyring: Keyring, folder: Path, reference: str) -> KeptPicture | None:
    """What a reference stands for; None when it is not ours or the picture is gone."""
    plain = keyring.unseal(reference) if 0 < len(reference) <= REFERENCE_MAX and reference.isascii() else None
    if plain is None or not plain.startswith(_PURPOSE):
        return None
    known = KeptPicture(**json.loads(plain.removeprefix(_PURPOSE)))
    return known if all(picture_path(folder / _FOLDER, known.name, size).is_file() for size in SIZES) else None


def kept_preview(folder: Path, picture: KeptPicture) -> bytes:
    """The small size of a kept picture as WebP, to show what is there; empty when it has just been removed."""
    try:
        return picture_path(folder / _FOLDER, picture.name, "small").read_bytes()
    except FileNotFoundError:
        return b""


def take_picture(session: Session, keyring: Keyring, folder: Path, municipality_id: int, reference: str) -> Upload:
    """Make a kept picture an upload, under a new name: the same reference may come twice at once.

    Raises InvalidInput (field "picture") when it is no longer there.
    """
    picture = kept_picture(keyring, folder, reference)
    if picture is None:
        raise InvalidInput(_GONE, field="picture")
    return _copied(session, folder / _FOLDER, folder, municipality_id, picture)


def copy_picture(session: Session, folder: Path, upload: Upload) -> Upload:
    """The same picture once more, under a name of its own: each upload belongs to one thing and goes with it.

    Raises InvalidInput (field "picture") when it is no longer there.
    """
    known = KeptPicture(upload.name, upload.sha256, upload.byte_size, upload.width or 0, upload.height or 0)
    return _copied(session, folder, folder, upload.municipality_id, known)


def _copied(session: Session, source: Path, folder: Path, municipality_id: int, picture: KeptPicture) -> Upload:
    name = secrets.token_hex(16)
    try:
        for size in SIZES:
            target = picture_path(folder, name, size)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(picture_path(source, picture.name, size), target)
    except FileNotFoundError as error:
        raise InvalidInput(_GONE, field="picture") from error
    upload = Upload(
        municipality_id=municipality_id, name=name, media_type="image/webp", sha256=picture.sha256,
        byte_size=picture.byte_size, width=picture.width, height=picture.height,
    )
    session.add(upload)
    session.flush()
    return upload


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Not every file system knows hard links.
        shutil.copyfile(source, target)


def discard_files(folder: Path, upload: Upload) -> None:
    """Remove the files of an upload whose row is not going to stay."""
    for size in SIZES:
        picture_path(folder, upload.name, size).unlink(missing_ok=True)


def forget_pictures(folder: Path, now: datetime) -> int:
    """Remove what was kept for longer than KEPT_FOR; returns how many files. Twice is the same as once."""
    oldest = (now - KEPT_FOR).timestamp()
    removed = 0
    for path in (folder / _FOLDER).glob("*/*.webp"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
