"""Hypothesis strategies for files that were whole once."""

import json

from hypothesis import strategies as st

KINDS = ["flip", "overwrite", "delete", "insert", "repeat", "truncate"]
# A mutation: (kind, where as a share of the file, how long, bytes to put there)
_EDITS = st.tuples(
    st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.integers(1, 64), st.binary(max_size=16)
)


def mutated(*whole):
    """One of these files (bytes) with one to four changes."""
    return st.builds(apply, st.sampled_from(whole), st.lists(_EDITS, min_size=1, max_size=4))


def apply(content, edits):
    """The content of a file after these edits, see _EDITS."""
    for kind, share, length, new in edits:
        content, at = bytearray(content), int(share * len(content))
        if kind == "flip" and content:
            content[at] ^= 1 << length % 8
        elif kind == "overwrite":
            content[at : at + len(new)] = new
        elif kind == "delete":
            del content[at : at + length]
        elif kind == "insert":
            content[at:at] = new
        elif kind == "repeat":
            content[at:at] = content[at : at + length] * 3
        elif kind == "truncate":
            del content[at:]
    return bytes(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def json_mutated(whole):
    """A JSON object with some of its values replaced, keys dropped or added; as text."""
    keys = st.sampled_from(sorted(whole)) | st.text(max_size=8)

    def change(replaced, dropped):
        return json.dumps({key: value for key, value in {**whole, **replaced}.items() if key not in dropped})

    return st.builds(
        change, st.dictionaries(keys, JSON, max_size=3), st.sets(st.sampled_from(sorted(whole)), max_size=1)
    )
