"""What the results of each of many recordings are called in one folder."""

import collections
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
OWN, ANOTHERS = "own", "another's"  # whose results are there


def result_names(
    recordings: Iterable[str], owner: Callable[[str, str], str] = lambda name, path: ""
) -> dict[str, str]:
    """{recording: the name of its results, without extension}: its own; where several would share one, or it
    is taken, with the beginning of its path's SHA-256. Results that are there keep their name. So it doesn't
    depend on the order of the recordings.

    recordings: paths, of different files. owner(name, path): whose results of this name are there already:
    OWN, ANOTHERS, or "" if there are none.
    """
    stems = {path: os.path.splitext(os.path.basename(path))[0] for path in recordings}
    owners = {path: owner(stem, path) for path, stem in stems.items()}
    counts = collections.Counter(map(_folded, stems.values()))
    claims = collections.Counter(_folded(stem) for path, stem in stems.items() if owners[path] == OWN)

    def name(path, stem):
        hashed = _with_hash(stem, path)
        if _is_taken(stem) or owners[path] == ANOTHERS:
            return hashed
        if owners[path] == OWN:
            return stem if claims[_folded(stem)] == 1 else hashed
        return stem if counts[_folded(stem)] == 1 and owner(hashed, path) != OWN else hashed

    return {path: name(path, stem) for path, stem in stems.items()}


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
