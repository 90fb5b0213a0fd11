"""The cache of networks on this machine's disk: to build InceptionV3, or to convert it, takes seconds."""

import contextlib
import hashlib
import os
import stat

from vidclass import atomic

FORMAT = 1  # to be counted up when the same arguments are going to give another network
MOST = {".tflite": 8, ".npz": 2}  # networks that are kept, of 22 and of 87 MB: those that were used last
MOST_BYTES = 2**28  # of a file that is read
DIGEST = 32  # bytes of a SHA-256, before the network in its file


def folder() -> str | None:
    """Where they lie: vidclass in $XDG_CACHE_HOME, which is ~/.cache if it isn't set. None for who has no
    home."""
    caches = os.environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(caches):  # the specification of XDG wants such ignored
        caches = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(caches, "vidclass") if os.path.isabs(caches) else None


def name(ending: str, *parts: object) -> str:
    """The name of a network's file. ending: one of MOST. parts: what identifies it, by their repr."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()[:24] + ending


def load(name: str) -> bytes | None:
    """The network of a name; None if it isn't there or is damaged."""
    place = folder()
    if place is None:
        return None
    path = os.path.join(place, name)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return None  # to open a pipe would wait for ever
        with open(path, "rb") as file:
            digest, content = file.read(DIGEST), file.read(MOST_BYTES)
    except OSError:
        return None
    if hashlib.sha256(content).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return content


def save(name: str, content: bytes) -> None:
    """Keeps a network, in place of the one of its kind that wasn't used for the longest time if there are too
    many. Where nothing can be written it does nothing: the cache only saves time."""
    place = folder()
    if place is None:
        return
    ending = os.path.splitext(name)[1]
    with contextlib.suppress(OSError):
        os.makedirs(place, mode=0o700, exist_ok=True)
        atomic.remove_stale_temporaries(place)
        with atomic.atomic_write(os.path.join(place, name)) as partial, open(partial, "wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        paths = [os.path.join(place, found) for found in os.listdir(place) if found.endswith(ending)]
        for path in sorted(paths, key=os.path.getmtime)[: -MOST[ending]]:
            os.remove(path)
