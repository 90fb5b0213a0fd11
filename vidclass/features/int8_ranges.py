"""The ranges of InceptionV3's activations, in a file beside a dataset's sequences in 8-bit integers."""

import json

from vidclass.features.identity import are_ranges
from vidclass.features.sequence_store import RANGES, FolderStore, UrlStore

CURE = "delete the folder that it is in, and extract its features anew"


def load_ranges(store: FolderStore | UrlStore) -> list[float] | None:
    """The ranges in a store of sequences, None if it has none. Raises ValueError if they are damaged."""
    content = store.load_file(RANGES)
    if content is None:
        return None
    try:
        ranges = json.loads(content)["ranges"]
        if are_ranges(ranges):
            return ranges
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ValueError(f"{store.name_of(RANGES)}: damaged; {CURE}")


def read_ranges(store: FolderStore | UrlStore) -> list[float]:
    """The ranges in a store that has sequences. Raises ValueError if they are missing or damaged."""
    ranges = load_ranges(store)
    if ranges is None:
        raise ValueError(f"{store.name_of(RANGES)}: missing; {CURE}")
    return ranges


def save_ranges(store: FolderStore | UrlStore, ranges: list[float]) -> None:
    """Keeps ranges in a store of sequences."""
    store.save_file(RANGES, json.dumps({"ranges": ranges}).encode())
