"""What clasify.py found out about a recording, as result.json tells it: segments and probabilities. It may be
anybody's file: whatever it holds is checked."""

import json
import math
import os
from dataclasses import dataclass
from typing import Any

from vidclass.dataset.labels import Label
from vidclass.labelling.options import check_typed

MAX_BYTES = 2**26  # of a file: 100 hours of the demo's windows
MAX_CLASSES = 4096


@dataclass(frozen=True)
class Windows:
    """The probabilities of the classes over time. Windows rise and don't overlap."""

    classes: list[str]
    starts: list[float]  # seconds
    ends: list[float]
    probabilities: list[list[float]]  # of each window, in the order of the classes


def read_result(path: str | os.PathLike) -> tuple[list[Label], list[float | None], Windows]:
    """(segments as Labels sorted by start, the probability of each or None, the windows) of a result.json.
    Raises OSError, or ValueError, naming the file, if it is no result."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"longer than {MAX_BYTES >> 20} MB")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise ValueError("not JSON") from None
        classes = _classes(found)
        segments = sorted((_segment(item) for item in _items(found, "segments")), key=lambda item: item[0])
        labels = [label for label, _ in segments]
        for before, label in zip(labels, labels[1:]):
            if label.start < before.end - 0.0015:  # both are rounded to milliseconds
                raise ValueError(f"segments overlap at {label.start:.3f} s")
        return labels, [probability for _, probability in segments], _windows(found, classes)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}; expected a result.json of clasify.py") from None


def _items(found: Any, key: str) -> list[dict]:
    items = found.get(key) if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"no list of {key} in it")
    return items


def _number(item: dict, key: str) -> float:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e9 < value < 1e9:
        raise ValueError(f"a {key} in it is no number of seconds")
    return float(value)


def _classes(found: Any) -> list[str]:
    classes = found.get("classes") if isinstance(found, dict) else None
    if not isinstance(classes, list) or not 0 < len(classes) <= MAX_CLASSES:
        raise ValueError("no list of classes in it")
    for name in classes:
        check_typed(name)
    if len(set(classes)) < len(classes):
        raise ValueError("it names a class twice")
    return classes


def _segment(item: dict) -> tuple[Label, float | None]:
    name = item.get("class")
    check_typed(name)
    start, end = _number(item, "start"), _number(item, "end")
    if not 0 <= start < end:
        raise ValueError(f"a segment in it lasts from {start:.3f} to {end:.3f} s")
    return Label(start, end, str(name), 0), as_probability(item.get("probability"))


def as_probability(value: Any) -> float | None:
    """A number from 0 to 1, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= 1 else None  # an integer may be too long for float()


def _windows(found: Any, classes: list[str]) -> Windows:
    windows = Windows(classes, [], [], [])
    at = -math.inf
    for item in _items(found, "windows"):
        start, end, given = _number(item, "start"), _number(item, "end"), item.get("probabilities")
        if not at - 0.0015 <= start < end:
            raise ValueError(f"a window in it lasts from {start:.3f} to {end:.3f} s")
        row = [as_probability(given.get(name)) for name in classes] if isinstance(given, dict) else [None]
        if None in row:
            raise ValueError(f"the window at {start:.3f} s has no probability of each class")
        at = end
        windows.starts.append(start)
        windows.ends.append(end)
        windows.probabilities.append([value for value in row if value is not None])
    return windows
