"""What the results of each of many recordings are called in one folder."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable

from vidclass.names import NAME_BYTES

# What is longest of what is added to a name: while it is written, and beside it.
ADDED_BYTES = len("..summary.json.012345-01234567.tmp.hdf5.lock")
# Names that others' files have: index.html, match.summary.json, match-kept.mp4.
TAKEN, TAKEN_ENDS = ("index",), (".summary", "-kept")
DIGITS = 6  # of a path's hash


def result_names(
    recordings: Iterable[str], is_another: Callable[[str, str], bool] = lambda stem, path: False
) -> dict[str, str]:
    """{recording: the name of its results, without extension}: its own, and where several would share one, or
    it is taken, with the beginning of its path's SHA-256. So it doesn't depend on their order.

    recordings: paths, of different files. is_another(name, path): whether there are results of this name
    already, of another recording.
    """
    stems = {path: os.path.splitext(os.path.basename(path))[0] for path in recordings}
    counts: dict[str, int] = {}
    for stem in stems.values():
        counts[_folded(stem)] = counts.get(_folded(stem), 0) + 1
    return {
        path: _with_hash(stem, path)
        if counts[_folded(stem)] > 1 or _is_taken(stem) or is_another(stem, path)
        else stem
        for path, stem in stems.items()
    }


def _folded(stem):
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFC", stem).casefold()


def _is_taken(stem):
    folded = _folded(stem)
    too_long = len(os.fsencode(stem)) > NAME_BYTES - ADDED_BYTES
    return folded in TAKEN or folded.endswith(TAKEN_ENDS) or stem.startswith(".") or too_long


def _with_hash(stem, path):
    digits = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:DIGITS]
    room = NAME_BYTES - ADDED_BYTES - len(f"-{digits}")
    return f"{os.fsencode(stem)[:room].decode(errors='ignore').lstrip('.')}-{digits}"
