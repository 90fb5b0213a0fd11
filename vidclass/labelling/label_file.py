"""A recording's labels as segments that follow each other: read from a label file, and saved as one."""

import contextlib
import csv
import io
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vidclass import atomic
from vidclass.console import count
from vidclass.dataset.cut_plan import Recording
from vidclass.dataset.label_formats import decode, read_rows
from vidclass.dataset.labels import Label, read_labels
from vidclass.dataset.recording_labels import check_end, check_start
from vidclass.labelling.frame_table import FrameTable
from vidclass.labelling.options import check_typed
from vidclass.labelling.results import Windows, as_probability, read_result

MOST_SEGMENTS = 50_000
VIDEOS = tuple(".mp4 .m4v .mov .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .vob .wmv".split())
EDL_CLASS = "Commercial"  # as cut_clips.py calls what an EDL marks


class Segment(NamedTuple):
    """A stretch of the recording up to the next segment's first frame."""

    first: int  # frame
    class_name: str | None  # None: without a label
    probability: float | None = None  # of the class, its mean over the segment, as clasify.py found it


@dataclass(frozen=True)
class Labels:
    """What is known of a recording when the page opens."""

    path: str  # where they are saved: a .csv
    source: str | None  # the file that they were read from
    segments: list[Segment] = field(default_factory=lambda: [Segment(0, None)])
    windows: Windows | None = None
    lost: int = 0  # labels that are too short to be seen


def label_paths(recording: str, given: str | None) -> tuple[str, str | None, str | None]:
    """(the CSV to save, the file to open, the result.json with the probabilities); None: there is none.

    given: the label file that the user names; None: labels.csv beside the recording. Of a file that is no CSV
    the corrected labels go to the CSV beside it, and are read from there when it is there.
    """
    given = given or os.path.join(os.path.dirname(recording), "labels.csv")
    stem, extension = os.path.splitext(given)
    path = given if extension.lower() in (".csv", ".tsv", "") else f"{stem}.csv"
    if given != path and not os.path.exists(given):
        raise FileNotFoundError(f"{given}: no such file")
    result = f"{stem}.json"
    for name in (path, given, result):
        if os.path.exists(name) and not os.path.isfile(name):  # a pipe could be waited for, for ever
            raise ValueError(f"{name}: not a plain file; name one that labels can be saved in")
    source = next((name for name in (path, given) if os.path.exists(name)), None)
    return path, source, result if os.path.exists(result) else None


def has_neighbours(recording: str) -> bool:
    """Whether other recordings seem to lie in a recording's folder, so that labels there may be theirs."""
    folder, name = os.path.split(os.path.abspath(recording))
    return any(
        other != name and other.lower().endswith(VIDEOS) and not other.startswith("result.")
        for other in os.listdir(folder)
    )


def open_labels(source: Recording, table: FrameTable, given: str | None) -> Labels:
    """The Labels of a recording. Raises OSError or ValueError, naming the file and the line, if they can't be
    understood or are of another recording."""
    path, opened, result = label_paths(source.path, given)
    labels: list[Label] = []
    probabilities: list[float | None] = []
    windows = None
    if result:
        try:
            labels, probabilities, windows = read_result(result)
        except ValueError:
            if given is not None:
                raise
            # Nobody named it: another program's.
    if opened and opened != result:
        labels = read_labels(opened, EDL_CLASS) if read_rows(opened, EDL_CLASS) else []
        _check_classes(labels, opened)
        known = read_probabilities(opened)
        probabilities = [known.get(label.line) for label in labels]
    shown = opened or result or path
    try:
        labels = check_end(check_start(labels, shown, source), shown, source)
    except ValueError as error:
        raise ValueError(str(error).replace(", line 0:", ":")) from None  # JSON's have none
    segments = as_segments(labels, probabilities, table)
    return Labels(path, opened, segments, windows, len(labels) - sum(named(one) for one in segments))


def named(segment: Segment) -> bool:
    """Whether a segment has a label."""
    return segment.class_name is not None


def lost_text(lost: int) -> str:
    """What is said of labels that are shorter than half a frame, of which no segment can be made."""
    verb = "is" if lost == 1 else "are"
    return f"{count(lost, 'label')} shorter than half a frame {verb} left out, and not saved again"


def _check_classes(labels, path):
    """So that all that is opened can be saved."""
    for label in labels:
        try:
            check_typed(label.class_name)
        except ValueError as error:
            raise ValueError(f"{path}, line {label.line}: {error}") from None


def as_segments(
    labels: Sequence[Label], probabilities: Sequence[float | None], table: FrameTable
) -> list[Segment]:
    """Labels, sorted by start, as Segments; what is between them is without a label."""
    segments: list[Segment] = []
    at = 0
    for label, probability in zip(labels, probabilities):
        first, end = max(table.nearest(label.start), at), table.nearest(label.end)
        if end <= first:  # less than half a frame
            continue
        if first > at:
            segments.append(Segment(at, None))
        segments.append(Segment(first, label.class_name, probability))
        at = end
    if at < table.frames or not segments:
        segments.append(Segment(at, None))
    return segments


def read_probabilities(path: str) -> dict[int, float]:
    """{line: what its column "probability" says} of a CSV of ours; nothing of other files."""
    found: dict[int, float] = {}
    with open(path, "rb") as file:
        reader = csv.reader(io.StringIO(decode(file.read()), newline=""))
    with contextlib.suppress(csv.Error):
        titles = next(reader, [])
        if titles[:3] != ["start", "end", "class"] or titles[3:4] != ["probability"]:
            return {}
        for row in reader:
            with contextlib.suppress(ValueError, IndexError):
                probability = as_probability(float(row[3]))
                if probability is not None:
                    found[reader.line_num] = probability
    return found


def to_csv(segments: Sequence[Segment], table: FrameTable) -> str:
    """The labelled Segments as cut_clips.py reads them: start, end, class, and the probability if one has
    it."""
    with_probability = any(segment.probability is not None for segment in segments)
    rows: list[tuple[str, ...]] = [("start", "end", "class", "probability")[: 3 + with_probability]]
    ends = [*(segment.first for segment in segments[1:]), table.frames]
    for segment, end in zip(segments, ends):
        if segment.class_name is not None:
            last = "" if segment.probability is None else f"{segment.probability:.4f}"
            row = (table.mark(segment.first), table.mark(end), segment.class_name, last)
            rows.append(row[: 3 + with_probability])
    return atomic.csv_text(rows)


def check_segments(rows: Any, frames: int) -> list[Segment]:
    """The Segments of a recording with so many frames that a page sends as [first, class or null, probability
    or null]; neighbours of one class are one. Raises ValueError if they are none."""
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_SEGMENTS:
        raise ValueError("expected a list of segments")
    segments: list[Segment] = []
    at = 0
    for row in rows:
        if not isinstance(row, list) or len(row) != 3:
            raise ValueError("a segment is [first frame, class, probability]")
        first, name, probability = row
        if not isinstance(first, int) or isinstance(first, bool) or not at <= first < frames:
            raise ValueError("the first frames of segments rise, from 0 to the recording's last")
        if not segments and first:
            raise ValueError("the first segment begins with frame 0")
        at = first + 1
        if name is not None:
            check_typed(name)
        if not segments or segments[-1].class_name != name or name is not None:
            segments.append(Segment(first, name, as_probability(probability)))
    return segments


def keep_backup(path: str, ending: str = ".bak") -> str | None:
    """Copies a file to <name><ending>, if there is one. Returns the copy's name. Raises OSError, naming the
    copy."""
    if not os.path.exists(path):
        return None
    copy = f"{path}{ending}"
    with atomic.atomic_write(copy) as name:
        shutil.copyfile(path, name)
    return copy


def keep_others(path: str) -> str | None:
    """Copies what another program wrote to a name that is free: <name>.bak-<date and time>. Returns the
    name; None: there is no such file."""
    ending = time.strftime(".bak-%Y%m%d-%H%M%S")
    while os.path.exists(f"{path}{ending}"):
        ending += "+"
    return keep_backup(path, ending)
