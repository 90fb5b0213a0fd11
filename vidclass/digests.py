"""The SHA-256 of a file, which tells it from others of its size."""

import hashlib
import os

CHUNK = 2**20  # bytes that are read at once


def file_digest(path: str | os.PathLike) -> bytes:
    """The SHA-256 of a file's content. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
