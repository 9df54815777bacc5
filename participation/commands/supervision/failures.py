"""Why the platform can't start, in words for whoever wanted it to."""

from __future__ import annotations

import errno


class StartError(Exception):
    """The platform can't start; the text (German) is one sentence with cause and cure."""


class StoppedError(Exception):
    """Somebody asked to stop while something was still starting."""


def reason(error: OSError) -> str:
    """Why the system refused, in German where it is likely to happen."""
    known = {
        errno.EACCES: "keine Schreibrechte",
        errno.EPERM: "keine Schreibrechte",
        errno.EROFS: "der Datenträger ist schreibgeschützt",
        errno.ENOSPC: "der Datenträger ist voll",
        errno.ENOTDIR: "ein Teil des Pfades ist eine Datei",
        errno.EEXIST: "dort liegt eine Datei dieses Namens",
        errno.ENOENT: "die Datei fehlt",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
