"""Reads what is when in a recording from files: CSV, our result.csv, EDL, comskip's .txt, SRT, WebVTT."""

import math
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from vidclass.dataset.label_formats import read_rows
from vidclass.dataset.label_rows import parse_time
from vidclass.names import CLIP_NAME_BYTES, check_name

# Of a class's name: its clips are called <class>_train_<number>.
MOST_BYTES = CLIP_NAME_BYTES - len("_train_1000000")


class Label(NamedTuple):
    """A stretch of one class."""

    start: float  # seconds
    end: float  # math.inf: the recording's end
    class_name: str
    line: int  # of the file, from 1


def read_labels(path: str | os.PathLike, edl_class: str = "Commercial") -> list[Label]:
    """The labels in a file, a list of Label sorted by their start. edl_class: of the stretches that an EDL or
    comskip marks.

    Raises OSError if it can't be read, ValueError, naming file and line, if a line is not understood, labels
    overlap, or there are none.
    """
    labels = []
    for row in read_rows(path, edl_class):
        try:
            labels.append(_make_label(*row))
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}, line {row.line}: {error}") from None
    if not labels:
        raise ValueError(f"{os.fspath(path)}: no labels in it; expected lines of start, end, class")
    labels.sort()
    for before, label in zip(labels, labels[1:]):
        if label.start < before.end - 0.0005:  # files of ours round to milliseconds
            until = "has no end" if math.isinf(before.end) else f"ends at {before.end:.3f} s"
            raise ValueError(
                f"{os.fspath(path)}, line {label.line}: overlaps line {before.line}, which {until}"
            )
    return labels


def _make_label(line, start, end, class_name):
    """A Label of what a row says. An empty start or end is the recording's."""
    label = Label(
        parse_time(start) if start.strip() else 0.0,
        parse_time(end) if end.strip() else math.inf,
        class_name.strip(),
        line,
    )
    if not label.class_name:
        raise ValueError("the class is missing")
    check_class(label.class_name)
    if label.end <= label.start:
        raise ValueError(f"it ends at {end.strip()} and starts at {start.strip() or 0}")
    return label


def check_class(name: str) -> None:
    """Raises ValueError unless this can be the name of a class, and of its folder."""
    try:
        check_name(name, MOST_BYTES)
        if re.search(r"[\r\n]", name):
            raise ValueError("it has more than one line")
    except ValueError as error:
        raise ValueError(
            f"{name[:50]!r} can't be a class, it can't be the name of a folder: {error}"
        ) from None


def fill_gaps(labels: Sequence[Label], seconds: float, class_name: str) -> list[Label]:
    """The labels, and a class for all that they leave out of a recording of so many seconds."""
    filled, at = [], 0.0
    for label in [*labels, Label(seconds, math.inf, "", 0)]:
        if label.start > at:
            filled.append(Label(at, label.start, class_name, label.line))
        filled.append(label)
        at = label.end
    return filled[:-1]
