"""A file as it was last read or written here, so that what another program does to it is noticed."""

import os

from vidclass.digests import file_digest


class Watched:
    """A file that others may change. What it holds counts, not when it was written."""

    def __init__(self, path: str):
        self._path = path
        self.note()

    def note(self) -> None:
        """Takes what the file holds now for known. Raises OSError if it can't be read."""
        self._stat, self._content = _stat(self._path), _digest(self._path)

    def is_other(self) -> bool:
        """Whether the file holds something else than what is known. A file that is gone holds nothing that
        could be lost. Raises OSError if it can't be read."""
        stat = _stat(self._path)
        if stat is None or stat == self._stat:
            return False
        content = _digest(self._path)
        if content == self._content:
            self._stat = stat
        return content is not None and content != self._content


def _stat(path):
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(path):
    """None: there is no file."""
    return file_digest(path) if os.path.isfile(path) else None
