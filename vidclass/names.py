"""What can be the name of a class or a clip, which names are probably one, and the names of the splits."""

import os
import unicodedata
from collections.abc import Iterable

from vidclass import platform

SPLITS = ("train", "test")  # folders of a dataset
NAME_BYTES = 255  # of a file's or folder's name, on all usual file systems
# The longest that is added to a clip's name: to its sequence, of up to a million frames, while it is written.
_ADDED = ".-1000000-features.npy.012345-1234567.tmp"
CLIP_NAME_BYTES = NAME_BYTES - len(_ADDED)


def check_name(text: str, most: int = NAME_BYTES) -> None:
    """Raises ValueError, with the reason, if a text can't be the name of a class or a clip.

    It can't be if it would be a path, a hidden file, or longer than `most` bytes. Anything else that a file
    system takes is a name: newlines, blanks, bytes that are not text.
    """
    if not text:
        raise ValueError("it is empty")
    if "/" in text or "\0" in text:
        raise ValueError("names have no slash and no NUL in them")
    unusable = platform.FORBIDDEN_IN_NAMES.intersection(text)
    if unusable:
        raise ValueError(f"on this system names have no {' '.join(sorted(unusable))} in them")
    if text.startswith("."):
        raise ValueError("names don't begin with a dot")
    try:
        length = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise ValueError("no file can have this name") from None
    if length > most:
        raise ValueError(f"it is {length} bytes long; rename it, to at most {most} bytes")


def name_or_none(value: object) -> str | None:
    """The value if it can be the name of a file, as a note has it; None for anything else, a path above
    all."""
    try:
        check_name(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return None
    return value  # type: ignore[return-value]


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that look the same: they differ in capitals, blanks or how accents are encoded."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        # Decomposed before and after: casefold() alone keeps some accents apart.
        plain = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
        groups.setdefault(" ".join(plain.split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def alike_classes(data_dir: str, classes: Iterable[str]) -> list[str]:
    """Lines for the user on classes that are probably one."""
    lines = []
    for group in alike(classes):
        same = len({unicodedata.normalize("NFC", name) for name in group}) < len(group)
        shown = " and ".join((ascii if same else repr)(name) for name in group)
        folders = " and ".join(os.path.join(data_dir, split, "<Class>") for split in ("train", "test"))
        lines.append(
            f"Classes {shown} are taken for {len(group)}, though their names look alike; if they are one, "
            f"put their clips into one folder of each split ({folders})"
        )
    return lines
