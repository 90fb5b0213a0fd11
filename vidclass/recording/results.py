"""The files that clasify.py writes: their names, what may not be overwritten, what is said of them."""

import glob
import os
import sys
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidclass import atomic
from vidclass.console import count, print
from vidclass.errors import UsageError
from vidclass.recording import kept_copy
from vidclass.recording.exporters import WRITERS
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.segments import Timeline
from vidclass.text import clock
from vidclass.video import encoders
from vidclass.video.times import most_off

# Extensions of videos that --keep can't copy parts of: a GIF's frames, and streams without times.
UNCOPIED = frozenset(
    [".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".obu", ".vc1", ".y4m", ".m1v", ".m2v"]
)


@dataclass(frozen=True)
class ResultFiles:
    """The files that clasify.py writes of one video."""

    video_file: str  # what is classified
    options: ClassifyOptions

    def __post_init__(self) -> None:
        extension = os.path.splitext(self.video_file)[1].lower()
        if self.options.keep and not self.options.exact and extension in UNCOPIED:
            raise UsageError(f"{self.video_file}: --keep of a {extension} needs --exact")

    @property
    def kept(self) -> str | None:
        """The copy of the recording with some classes only."""
        options = self.options
        return kept_copy.kept_name(options.output, self.video_file, options.exact) if options.keep else None

    def name(self, extension: str) -> str:
        """The file beside `output` with another extension."""
        return f"{os.path.splitext(self.options.output)[0]}.{extension}"

    def paths(self) -> list[str]:
        """All of them, result.avi first."""
        paths = [self.options.output] if self.options.video else []
        paths += [self.name(extension) for extension in self.options.export]
        paths += [self.name(extension) for extension in ("html", "png") if self.options.report]
        return paths + ([self.kept] if self.kept else [])

    def prepare(self) -> None:
        """Removes what a run that was killed left half-written. Raises UsageError if one of the files would
        take the place of the video, or of another."""
        paths = self.paths()
        for path in paths:
            if os.path.exists(path) and os.path.samefile(path, self.video_file):
                raise UsageError(f"{path} is the video itself; give the result another name with --output")
        if len(set(paths)) < len(paths):
            raise UsageError(
                f"{self.options.output} would be written twice; give it another name with --output"
            )
        folder, name = os.path.split(os.path.splitext(os.path.abspath(self.options.output))[0])
        atomic.remove_stale_temporaries(folder, (name, f"{name}-kept"))

    def make_folder(self) -> None:
        """Makes the folder that they go to. Raises OSError, naming what can't be written there."""
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.options.output)), exist_ok=True)
        except OSError as error:
            raise OSError(f"{self.paths()[0]}: can't be written ({error.strerror})") from None

    def others(self) -> list[str]:
        """What else lies there under their names, from before: it would be taken for theirs."""
        names = [
            self.name(extension)
            for extension in (*WRITERS, "html", "png", *(e[1:] for e in encoders.CONTAINERS))
        ]
        names += sorted(glob.glob(f"{glob.escape(os.path.splitext(self.options.output)[0])}-kept.*"))
        return [
            name
            for name in names
            if os.path.lexists(name)
            and name not in self.paths()
            and not (os.path.exists(name) and os.path.samefile(name, self.video_file))
        ]

    def write(self, timeline: Timeline) -> None:
        """Writes the tables."""
        for name in self.options.export:
            atomic.write_text(self.name(name), WRITERS[name](timeline))

    def write_kept(self, timeline: Timeline) -> None:
        """Writes the copy of the recording with some classes only, if it is asked for. Raises ValueError if
        there is nothing of these classes."""
        if self.kept:
            options = self.options
            kept_copy.keep(timeline, options.keep, self.kept, options.exact, options.quiet, options.limits)


def warn_of_rate(video_file: str, output: str, rate: Fraction, times: np.ndarray) -> None:
    """Says so if frames are shown at other times in `output`, which has a constant rate, than in the video.
    times: of all frames and of the end, in seconds."""
    if off := most_off(times, rate):
        print(
            f"{video_file}: its frame rate varies; {output} shows all frames at the average rate, up to "
            f"{off:.2f} s off their time and their sound (an .mp4 or .mkv keeps them). The times in other "
            f"files are the video's",
            file=sys.stderr,
        )


def warn_of_others(timeline: Timeline, files: ResultFiles) -> None:
    """Says what could be taken for what it is not: results of an earlier run, and names for formulas."""
    others = files.others()
    if others:
        left = "it is" if len(others) == 1 else "they are"
        print(f"{', '.join(others)}: from before this run, left as {left}", file=sys.stderr)
    formulas = sorted({segment.class_name for segment in timeline.segments if is_formula(segment.class_name)})
    if formulas and "csv" in files.options.export:
        print(
            f"{files.name('csv')}: a spreadsheet takes {', '.join(map(ascii, formulas))} for a formula; let "
            f"it read the column as text",
            file=sys.stderr,
        )


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet calculates what a cell of a CSV file says."""
    if not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def print_summary(timeline: Timeline, files: ResultFiles) -> None:
    """Prints how much of the video each class has, and what was written."""
    seconds = dict.fromkeys(timeline.classes, 0.0)
    for segment in timeline.segments:
        seconds[segment.class_name] += segment.end - segment.start
    print(", ".join(f"{name} {clock(time)}" for name, time in seconds.items()))
    print(
        f"{count(timeline.windows[-1].end_frame, 'frame')}, {count(len(timeline.segments), 'segment')}: "
        f"{', '.join(files.paths())}"
    )
