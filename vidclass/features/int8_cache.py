"""The cache of networks in 8-bit integers, on this machine's disk: converting one takes seconds."""

import contextlib
import hashlib
import os
from collections.abc import Sequence

from vidclass import atomic

FORMAT = 1  # to be counted up when the same arguments are going to give another network
MOST = 8  # networks that are kept, 22 MB each: those that were used last
ENDING = ".tflite"
DIGEST = 32  # bytes of a SHA-256, before the network in its file


def folder() -> str | None:
    """Where they lie: vidclass in $XDG_CACHE_HOME, which is ~/.cache if it isn't set. None for who has no
    home."""
    caches = os.environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(caches):  # the specification of XDG wants such ignored
        caches = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(caches, "vidclass") if os.path.isabs(caches) else None


def key(version: str, identity: str, image_shape: tuple[int, int, int], ranges: Sequence[float]) -> str:
    """What identifies a network: TensorFlow's version, its weights' identity, the images' shape, the ranges
    of its activations."""
    text = repr((FORMAT, version, identity, tuple(image_shape), tuple(ranges)))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def load(name: str) -> bytes | None:
    """The network of a key; None if it isn't there or is damaged."""
    place = folder()
    if place is None:
        return None
    path = os.path.join(place, name + ENDING)
    try:
        with open(path, "rb") as file:
            digest, content = file.read(DIGEST), file.read()
    except OSError:
        return None
    if hashlib.sha256(content).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return content


def save(name: str, content: bytes) -> None:
    """Keeps a network, in place of the one that wasn't used for the longest time if there are too many.
    Where nothing can be written it does nothing: the cache only saves time."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        os.makedirs(place, mode=0o700, exist_ok=True)
        atomic.remove_stale_temporaries(place)
        with atomic.atomic_write(os.path.join(place, name + ENDING)) as partial, open(partial, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        paths = [os.path.join(place, found) for found in os.listdir(place) if found.endswith(ENDING)]
        for path in sorted(paths, key=os.path.getmtime)[:-MOST]:
            os.remove(path)
