"""A label as a file has it: a row of start, end and class, still as text."""

import re
from typing import NamedTuple

TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,9}(?:[.,]\d{0,20})?)", re.ASCII)


class Row(NamedTuple):
    """A label as a file has it."""

    line: int  # of the file, from 1
    start: str  # a time, or empty
    end: str
    class_name: str


def parse_time(text: str) -> float:
    """Seconds from "83.5", "1:23.5" or "0:01:23,500". Raises ValueError."""
    text = text.strip()
    found = TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r:.80} is not a time; expected seconds or HH:MM:SS.mmm")
    hours, minutes, seconds = found.groups()
    seconds = float(seconds.replace(",", "."))
    if minutes and seconds >= 60 or hours and int(minutes) >= 60:
        raise ValueError(f"{text!r:.80} is not a time: a minute has 60 seconds, an hour 60 minutes")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds
