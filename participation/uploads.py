"""Files that people send: pictures are decoded and written anew, so that no metadata and no disguise survives."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import threading
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import ExifTags, Image, UnidentifiedImageError
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from participation import text
from participation.db import Base, Created, Key
from participation.errors import InvalidInput
from participation.i18n import N_

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 50_000_000
MAX_SIDE = 12_000
SIZES = {"large": 1600, "small": 640}
WEBP_QUALITY = 80
DOCUMENT_TYPES = {
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".txt": "text/plain; charset=utf-8",
}
# What makes an archive a document of its kind; any other one could be a program.
PART_OF = {".docx": "word/document.xml", ".odt": "content.xml", ".xlsx": "xl/workbook.xml"}
# What a camera says about how it was held, and what turns the picture upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# One picture at a time per process: a decoded picture of 50 million pixels takes 150 MB.
_decoding = threading.Semaphore(1)


class Upload(Base):
    """A stored file. `name` is random and our own; the sender's file name is kept for documents' download only."""

    __tablename__ = "upload"

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    media_type: Mapped[str] = mapped_column(String(100))
    shown_name: Mapped[str] = mapped_column(String(200), default="")
    sha256: Mapped[str] = mapped_column(String(64))
    byte_size: Mapped[int]
    width: Mapped[int | None]
    height: Mapped[int | None]
    created_at: Mapped[Created]

    @property
    def is_picture(self) -> bool:
        """Whether it has the sizes of a picture."""
        return self.width is not None


def store_picture(session: Session, folder: Path, municipality_id: int, stream: IO[bytes], limit: int) -> Upload:
    """Re-encode a picture in every size as WebP without metadata and store it under a name of our own.

    `limit` in bytes. Raises InvalidInput (field "picture") when it is no JPEG, PNG or WebP, broken or too large.
    """
    sizes, width, height = _read_picture(stream, limit)
    name = secrets.token_hex(16)
    for size, content in sizes.items():
        _write(picture_path(folder, name, size), content)
    upload = Upload(
        municipality_id=municipality_id,
        name=name,
        media_type="image/webp",
        sha256=hashlib.sha256(sizes["large"]).hexdigest(),
        byte_size=len(sizes["large"]),
        width=width,
        height=height,
    )
    session.add(upload)
    session.flush()
    return upload


def check_picture(stream: IO[bytes], limit: int) -> None:
    """Whether `store_picture` would take it, where something else is wrong and nothing is to be stored. Raises as it does."""
    _read_picture(stream, limit)


def _read_picture(stream: IO[bytes], limit: int) -> tuple[dict[str, bytes], int, int]:
    data = stream.read(limit + 1)
    if not data:
        raise InvalidInput(N_("Die Bilddatei ist leer. Bitte wählen Sie ein anderes Bild."), field="picture")
    if len(data) > limit:
        raise InvalidInput(
            N_("Das Bild ist größer als %(megabytes)s MB. Bitte wählen Sie ein kleineres Bild."),
            field="picture",
            megabytes=limit // (1024 * 1024),
        )
    with _decoding:
        return _reencode(data)


def _reencode(data: bytes) -> tuple[dict[str, bytes], int, int]:
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS or max(picture.size) > MAX_SIDE:
                raise InvalidInput(
                    N_(
                        "Das Bild hat zu viele Bildpunkte. Bitte verkleinern Sie es auf höchstens 12.000 Punkte "
                        "Kantenlänge und 50 Millionen Bildpunkte."
                    ),
                    field="picture",
                )
            # A JPEG can be decoded at a fraction of its size, which bounds the memory for phone pictures.
            picture.draft("RGB", (SIZES["large"] * 2, SIZES["large"] * 2))
            upright = _upright(picture)
            flat = upright.convert("RGBA" if upright.mode in {"RGBA", "LA", "P", "PA"} else "RGB")
            sizes: dict[str, bytes] = {}
            width = height = 0
            for size, side in SIZES.items():
                copy = flat.copy()
                copy.thumbnail((side, side))
                if size == "large":
                    width, height = copy.size
                copy.info.clear()
                buffer = io.BytesIO()
                copy.save(buffer, "WEBP", quality=WEBP_QUALITY, method=4, exif=b"", icc_profile=b"", xmp=b"")
                sizes[size] = buffer.getvalue()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInput(
            N_("Diese Datei ist kein lesbares Bild. Möglich sind JPEG, PNG und WebP."), field="picture"
        ) from error
    return sizes, width, height


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as the camera was held.

    Not by `ImageOps.exif_transpose`: it writes all the metadata anew and fails on a photo in which any of it is damaged.
    """
    turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


def store_document(
    session: Session, folder: Path, municipality_id: int, stream: IO[bytes], file_name: str, limit: int
) -> Upload:
    """Store a document of staff after a look at what it really is.

    Raises InvalidInput (field "document") for types other than PDF, DOCX, ODT, XLSX and text, empty or too large.
    """
    ending, data = _read_document(stream, file_name, limit)
    name = secrets.token_hex(16)
    _write(document_path(folder, name), data)
    upload = Upload(
        municipality_id=municipality_id,
        name=name,
        media_type=DOCUMENT_TYPES[ending],
        shown_name=text.clean_line(Path(file_name.replace("\\", "/")).name)[-150:],
        sha256=hashlib.sha256(data).hexdigest(),
        byte_size=len(data),
    )
    session.add(upload)
    session.flush()
    return upload


def check_document(stream: IO[bytes], file_name: str, limit: int) -> None:
    """Whether `store_document` would take it, where something else is wrong and nothing is to be stored. Raises as it does."""
    _read_document(stream, file_name, limit)


def _read_document(stream: IO[bytes], file_name: str, limit: int) -> tuple[str, bytes]:
    ending = Path(file_name.replace("\\", "/")).suffix.lower()
    data = stream.read(limit + 1)
    if not file_name and not data:
        raise InvalidInput(N_("Bitte wählen Sie eine Datei aus."), field="document")
    # A disguise may hide in a file of any size; of one that is empty, or cut off here, the content tells nothing.
    if ending not in DOCUMENT_TYPES or (0 < len(data) <= limit and not _looks_like(ending, data)):
        raise InvalidInput(
            N_("Dieser Dateityp ist nicht möglich. Erlaubt sind PDF, DOCX, ODT, XLSX und TXT."), field="document"
        )
    if not data:
        raise InvalidInput(
            N_("Die Datei ist leer. Vielleicht ist beim Speichern etwas schiefgegangen: Bitte öffnen Sie die Datei zuerst "
               "auf Ihrem Gerät, oder wählen Sie eine andere."), field="document"
        )
    if len(data) > limit:
        raise InvalidInput(
            N_("Die Datei ist größer als %(megabytes)s MB. Speichern Sie sie mit kleinerer Auflösung, oder teilen Sie sie "
               "auf mehrere Dateien auf."), field="document", megabytes=limit // (1024 * 1024)
        )
    return ending, data


def _looks_like(ending: str, data: bytes) -> bool:
    if ending == ".pdf":
        return data[:1024].lstrip().startswith(b"%PDF-")
    if ending == ".txt":
        return b"\0" not in data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return PART_OF[ending] in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def picture_path(folder: Path, name: str, size: str) -> Path:
    """Where one size of a picture lies."""
    return folder / name[:2] / f"{name}-{size}.webp"


def document_path(folder: Path, name: str) -> Path:
    """Where a document lies; without an ending, since nothing but our own route serves it."""
    return folder / name[:2] / name


def stored_paths(folder: Path, upload: Upload) -> list[Path]:
    """Every file of an upload."""
    if upload.is_picture:
        return [picture_path(folder, upload.name, size) for size in SIZES]
    return [document_path(folder, upload.name)]


def _write(path: Path, content: bytes) -> None:
    """Complete or not at all, and on the disk before the row that names it is committed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
