"""Reads what is when in a recording from files: CSV, our result.csv, EDL, SRT, WebVTT."""
import csv
import io
import math
import os
import re
from typing import NamedTuple

EDL_ACTIONS = {"0": "cut", "1": "mute", "2": "scene marker", "3": "commercial break"}
SKIPPED = ("0", "3")  # those that leave a stretch out


class Label(NamedTuple):
    """A stretch of one class."""
    start: float  # seconds
    end: float
    class_name: str
    line: int  # of the file, from 1


def read_labels(path, edl_class="Commercial"):
    """The labels in a file, a list of Label sorted by their start. edl_class: of the stretches that an EDL (.edl) skips.

    Raises OSError if it can't be read, ValueError, naming file and line, if a line is not understood, labels overlap, or
    there are none.
    """
    extension = os.path.splitext(path)[1].lower()
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        text = file.read()
    parse = {".edl": lambda text: _parse_edl(text, edl_class), ".srt": _parse_cues, ".vtt": _parse_cues}.get(extension,
                                                                                                          _parse_csv)
    labels = []
    for line, *columns in parse(text):
        try:
            if len(columns) != 3:
                raise ValueError(*columns)
            start, end, name = columns
            label = Label(parse_time(start), parse_time(end), name.strip(), line)
            if not label.class_name:
                raise ValueError("the class is missing")
            if label.class_name.startswith(".") or re.search(r"[/\0\n]", label.class_name):
                raise ValueError(f"{label.class_name!r} can't be a class, it is no name of a folder")
            if label.end <= label.start:
                raise ValueError(f"it ends at {end} and starts at {start}")
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from None
        labels.append(label)
    if not labels:
        raise ValueError(f"{path}: no labels in it; expected lines of start, end, class")
    labels.sort()
    for before, label in zip(labels, labels[1:]):
        if label.start < before.end - 0.0005:  # files of ours round to milliseconds
            raise ValueError(f"{path}, line {label.line}: overlaps line {before.line}, which ends at {before.end:.3f} s")
    return labels


def parse_time(text):
    """Seconds from "83.5", "1:23.5" or "0:01:23,500". Raises ValueError."""
    text = text.strip()
    found = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,9}(?:[.,]\d{0,20})?)", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is no time; expected seconds or HH:MM:SS.mmm")
    hours, minutes, seconds = found.groups()
    seconds = float(seconds.replace(",", "."))
    if minutes and seconds >= 60 or hours and int(minutes) >= 60:
        raise ValueError(f"{text!r} is no time: a minute has 60 seconds, an hour 60 minutes")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def fill_gaps(labels, seconds, class_name):
    """The labels, and a class for all that they leave out of a recording of so many seconds."""
    filled, at = [], 0.0
    for label in [*labels, Label(seconds, math.inf, "", 0)]:
        if label.start > at:
            filled.append(Label(at, label.start, class_name, label.line))
        filled.append(label)
        at = label.end
    return filled[:-1]


def _parse_csv(text):
    """(line, start, end, class) of each row, or (line, what is wrong); further columns don't matter. A first row without times is a header."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = (0, 1, 2)
    try:
        for number, row in enumerate(reader):
            if not any(cell.strip() for cell in row):
                continue
            names = [cell.strip().lower() for cell in row]
            if number == 0 and not re.match(r"\s*\d", row[0]):
                if {"start", "end", "class"} <= set(names):
                    columns = tuple(map(names.index, ("start", "end", "class")))
                continue
            if len(row) <= max(columns):
                yield reader.line_num, f"expected start, end, class, found {delimiter.join(row)!r}"
            else:
                yield reader.line_num, *(row[column] for column in columns)
    except csv.Error as error:
        yield reader.line_num, str(error)


def _parse_edl(text, class_name):
    """(line, start, end, class) of each stretch that an edit decision list leaves out, or (line, what is wrong)."""
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or line.startswith("#"):
            continue
        if len(parts) < 3 or parts[2] not in EDL_ACTIONS:
            known = ", ".join(f"{action} ({meaning})" for action, meaning in EDL_ACTIONS.items())
            yield number, f"expected start, end and one of the actions {known}, found {line.strip()!r}"
        elif parts[2] in SKIPPED:
            yield number, parts[0], parts[1], class_name


def _parse_cues(text):
    """(line, start, end, class) of each cue of SRT or WebVTT subtitles: its text, without the probability that we add."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        start, arrow, end = line.partition("-->")
        if not arrow:
            continue
        cue = []
        for follows in lines[number:]:
            if not follows.strip():
                break
            cue.append(follows.strip())
        name = re.sub(r": [01]\.\d\d$", "", " ".join(cue))
        for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            name = name.replace(entity, character)
        yield number, start, (end.split() or [""])[0], name
