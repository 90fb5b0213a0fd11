"""What tells features apart: the network's weights, and whether it computes in 8-bit integers."""

import hashlib
import os
from collections.abc import Iterable

from vidclass.errors import INT8

FEATURES_LENGTH = 2048  # numbers that InceptionV3 gives of a frame
RANGES_LENGTH = 59  # ranges that its activations have, see int8.range_numbers
LEAST_RANGE, LARGEST_RANGE = 1e-3, 1e6
LARGEST_RATIO = 1e4  # of the largest range to the least: XNNPACK multiplies by no more than 256
CHUNK = 2**20  # bytes of a file that are read at once
# md5 of the files that Keras itself downloads, with and without the top
# (keras/src/applications/inception_v3.py).
IMAGENET_FILES = ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")


def weights_id(weights: str | os.PathLike) -> str:
    """A short name for InceptionV3's weights that features of other weights never share.

    "imagenet" (also for a file that is Keras's own), "random", or the beginning of the file's SHA-256.
    Raises FileNotFoundError if there is no such file.
    """
    if weights in ("imagenet", "random"):
        return str(weights)
    if not os.path.isfile(weights):
        raise FileNotFoundError(
            f"{weights}: no such weights file; give imagenet, random or the path of a Keras "
            f"InceptionV3 weights file"
        )
    with open(weights, "rb") as file:
        return content_id(iter(lambda: file.read(CHUNK), b""))


def content_id(chunks: Iterable[bytes]) -> str:
    """What weights_id says of a file with this content."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for chunk in chunks:
        md5.update(chunk)
        sha256.update(chunk)
    return "imagenet" if md5.hexdigest() in IMAGENET_FILES else sha256.hexdigest()[:12]


def are_ranges(value: object) -> bool:
    """Whether a value that anyone may have written is a list of ranges that the network can compute with."""
    if type(value) is not list or len(value) != RANGES_LENGTH:
        return False
    if not all(type(item) in (int, float) and LEAST_RANGE <= item <= LARGEST_RANGE for item in value):
        return False
    return max(value) <= 1.001 * LARGEST_RATIO * min(value)


def features_id(weights_id: str, precision: str = "auto") -> str:
    """A short name for features that no others share but those of the same weights. Of whatever float format:
    their cosine is 0.9999 on average, so that a checkpoint trained on one machine works on the next. Those of
    8-bit integers, whose cosine is at least 0.985, have a name of their own."""
    return f"{weights_id}-{INT8}" if precision == INT8 else weights_id
