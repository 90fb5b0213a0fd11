"""The summary of a recording's results, a small file beside them: by it a later run knows that they are
complete, and makes its table of all recordings."""

import json
import math
import os
from dataclasses import asdict, dataclass
from typing import Any

from vidclass import atomic, names
from vidclass.recording.segments import Segment, Timeline

ENDING = ".summary.json"
MOST_BYTES = 2**20  # of a file that is read; ours have some hundred, 4096 classes of long names some more


@dataclass(frozen=True)
class Summary:
    """What is told of a recording's results."""

    recording: dict[str, Any]  # what tells it from another: see recording_identity
    made_with: dict[str, Any]  # checkpoint and options: all that decides what the results are
    classes: list[str]
    seconds: list[float]  # that each class lasts in all
    frames: int
    segments: int  # how many there are
    least_sure: Segment  # the one with the lowest probability
    files: list[str]  # names of the results in the summary's folder
    loss: str | None  # what of the recording could not be decoded


def recording_identity(path: str) -> dict[str, Any]:
    """What tells a recording from another, and from itself when it has changed. Raises OSError."""
    status = os.stat(path)
    return {"path": os.path.abspath(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def summarize(
    timeline: Timeline,
    recording: dict[str, Any],
    made_with: dict[str, Any],
    files: list[str],
    loss: str | None,
) -> Summary:
    """The Summary of a timeline. files: paths of the results."""
    seconds = dict.fromkeys(timeline.classes, 0.0)
    for segment in timeline.segments:
        seconds[segment.class_name] += segment.end - segment.start
    return Summary(
        recording,
        made_with,
        list(timeline.classes),
        [round(time, 3) for time in seconds.values()],
        timeline.windows[-1].end_frame,
        len(timeline.segments),
        min(timeline.segments, key=lambda segment: segment.probability),
        [os.path.basename(path) for path in files],
        loss,
    )


def write_summary(path: str, summary: Summary) -> None:
    """Writes a Summary, whole or not at all."""
    atomic.write_text(path, json.dumps(asdict(summary), indent=1) + "\n")


def read_summary(path: str) -> Summary | None:
    """The Summary in a file that anyone may have made; None if there is none, it is damaged, or one of the
    results that it lists is missing."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > MOST_BYTES:
            return None
        with open(path, encoding="utf-8") as file:
            content = json.loads(file.read(MOST_BYTES))
        content["least_sure"] = Segment(*content["least_sure"])
        summary = Summary(**content)
        folder = os.path.dirname(path)
        if _is_sound(summary) and all(os.path.isfile(os.path.join(folder, name)) for name in summary.files):
            return summary
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _is_sound(summary):
    """Whether all that is used of a summary is of the right type. May raise whatever other types lead to."""
    for name in summary.files:
        names.check_name(name)  # no path
    start, end, class_name, probability = summary.least_sure
    numbers = [*summary.seconds, start, end, probability]
    texts = [*summary.classes, class_name, summary.recording["path"]]
    return (
        type(summary.recording) is type(summary.made_with) is dict
        and type(summary.files) is type(summary.classes) is type(summary.seconds) is list
        and len(summary.seconds) == len(summary.classes) > 0
        and all(type(text) is str for text in texts)
        and all(type(number) in (int, float) and 0 <= number < 1e9 for number in numbers)
        and all(type(number) is int and 0 <= number < 2**62 for number in (summary.segments, summary.frames))
        and math.isfinite(probability)
        and (summary.loss is None or type(summary.loss) is str)
    )


def all_summaries(folder: str) -> list[Summary]:
    """All that lie in a folder, by the names of the recordings."""
    found = [
        read_summary(os.path.join(folder, name))
        for name in sorted(os.listdir(folder))
        if name.endswith(ENDING)
    ]
    return sorted(
        (summary for summary in found if summary),
        key=lambda summary: (os.path.basename(summary.recording["path"]), summary.recording["path"]),
    )
