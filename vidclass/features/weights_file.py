"""Finding the file of InceptionV3's weights again: where the training had it, or in a folder.

The path comes from a checkpoint, which a stranger may have made. So nothing is opened there but a plain file
of a size that weights can have, and all that is told of it is whether it is the one that is looked for.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Any

from vidclass.errors import UsageError
from vidclass.features.identity import CHUNK, content_id

FOLDER = "VIDCLASS_WEIGHTS"  # the environment variable that names a folder to look in
MOST_BYTES = 2**30  # of a file that is looked at. Keras's own have 88 and 96 MB


def find_weights(identity: str, path: str | None = None) -> str | None:
    """The path of the weights file whose weights_id is `identity`: `path`, or a file in the folder that the
    environment variable FOLDER names; None if neither is it. Raises UsageError if there is no such folder."""
    for place in _places(path):
        if _identity(place) == identity:
            return place
    return None


def _places(path):
    if path:
        yield path
    if folder := os.environ.get(FOLDER):
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise UsageError(f"{FOLDER}: {folder} can't be read ({error.strerror})") from None
        yield from (os.path.join(folder, name) for name in names)


def _identity(path):
    """The weights_id of a plain file, None of anything else."""
    with contextlib.suppress(OSError, ValueError):
        # Before it is opened: to open a pipe may wait for ever, to open a device may set it going.
        if _is_usable(os.stat(path)):
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with open(descriptor, "rb", buffering=0) as file:
                if _is_usable(status := os.fstat(descriptor)):  # else another took its place
                    return content_id(_chunks(file, status.st_size))
    return None


def _is_usable(status):
    return stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MOST_BYTES


def _chunks(file: Any, size: int) -> Iterator[bytes]:
    """What is in a file up to a size: it may be growing."""
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk
