"""Labels in line-based lists: MPlayer's and Kodi's EDL, comskip's .txt, SRT and WebVTT.

Each parser raises ValueError, ", line N: ...", for a line that it does not understand.
"""

import html
import re
from collections.abc import Iterator
from fractions import Fraction

from vidclass.dataset.label_rows import Row

EDL_ACTIONS = {"0": "cut", "1": "mute", "2": "scene marker", "3": "commercial break"}
SKIPPED = ("0", "3")  # those that leave a stretch out
_TAGS = re.compile(r"</?(?:[biucsv]|font|lang|ruby|rt|\d[\d:.]*)(?:[.\s][^<>]*)?>|\{\\[^{}]*\}", re.I)


def parse_edl(text: str, class_name: str) -> Iterator[Row]:
    """The Rows of what an edit decision list leaves out, all of one class."""
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or line.startswith("#"):
            continue
        if len(parts) < 3 or parts[2] not in EDL_ACTIONS:
            known = ", ".join(f"{action} ({meaning})" for action, meaning in EDL_ACTIONS.items())
            raise ValueError(
                f", line {number}: expected start, end and one of the actions {known}, found "
                f"{line.strip()!r:.80}"
            )
        if parts[2] in SKIPPED:
            yield Row(number, parts[0], parts[1], class_name)


def parse_comskip(text: str, class_name: str) -> Iterator[Row]:
    """The Rows of the commercials in comskip's .txt: first and last frame of each, counted from 1, and above
    them the frame rate, times 100, cut to an integer."""
    fps = Fraction(1)  # until the first line, the header, is read
    for number, line in enumerate(text.splitlines(), 1):
        header = r"\s*FILE PROCESSING COMPLETE(?:\s+\d+\s+FRAMES AT\s+(\d{1,6})\s*$)?"
        if found := re.match(header, line, re.ASCII):
            if not int(found[1] or 0):
                raise ValueError(
                    f", line {number}: comskip's list, but without its frame rate; give its .edl"
                )
            # 2397 and 2997 are those of NTSC: 24000/1001, 30000/1001.
            exact = Fraction(int(found[1]), 100)
            ntsc = Fraction(-(-exact.numerator // exact.denominator) * 1000, 1001)
            fps = ntsc if int(ntsc * 100) == int(found[1]) else exact
        elif found := re.fullmatch(r"\s*(\d{1,9})\s+(\d{1,9})(\s.*)?", line, re.ASCII):
            start, end = (f"{float(max(int(frame) - 1, 0) / fps):.6f}" for frame in found.groups()[:2])
            yield Row(number, start, end, class_name)
        elif line.strip(" \t-"):
            raise ValueError(
                f", line {number}: expected the first and last frame of a commercial, found "
                f"{line.strip()!r:.80}"
            )


def parse_cues(text: str) -> Iterator[Row]:
    """The Rows of SRT's or WebVTT's cues: their text without tags, and without the probability that we
    add."""
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines) if "-->" in line]
    for number, following in zip(at, [*at[1:], len(lines)]):
        start, _, rest = lines[number].partition("-->")
        end = next(iter(rest.split()), "")  # WebVTT's settings may follow
        cue = []
        for line in lines[number + 1 : following]:
            if not line.strip():
                break
            cue.append(line.strip())
        else:  # no blank line before the next cue, only its number
            if following < len(lines) and cue and cue[-1].isdigit():
                cue.pop()
        name = _TAGS.sub("", " ".join(cue))
        name = re.sub(r"&#?\w{1,31};", lambda entity: html.unescape(entity[0]), name)
        yield Row(number + 1, start, end, re.sub(r": [01]\.\d\d$", "", name.strip()))
