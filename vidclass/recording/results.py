"""The files that clasify.py writes: their names, what may not be overwritten, and what is to be said of them."""

import glob
import os
import sys
from typing import NamedTuple

import numpy as np

from vidclass import atomic, cli
from vidclass.console import count, print
from vidclass.recording import html_report, kept_copy
from vidclass.recording.exporters import WRITERS
from vidclass.text import clock
from vidclass.video import encoders

NOTICEABLE = 0.05  # seconds by which sound and picture may differ: ITU-R BT.1359's 0.045


def check_video_extension(output):
    """Raises UsageError unless a video can be written under this name."""
    try:
        encoders.container(output)
    except ValueError as error:
        raise cli.UsageError(f"--output {error}") from None


class Results(NamedTuple):
    """The files that are written."""

    output: str
    export: tuple
    write_video: bool
    report: bool
    kept: str | None  # the copy of the recording with some classes only

    def name(self, extension):
        return f"{os.path.splitext(self.output)[0]}.{extension}"

    def paths(self):
        """All of them, result.avi first."""
        extensions = (*self.export, *(("html", "png") if self.report else ()))
        return [
            *([self.output] if self.write_video else ()),
            *map(self.name, extensions),
            *([self.kept] if self.kept else ()),
        ]

    def check(self, video_file):
        """Raises UsageError if one of them would take the place of the video, or of another. Sweeps up after
        runs that were killed."""
        paths = self.paths()
        for path in paths:
            if os.path.exists(path) and os.path.samefile(path, video_file):
                raise cli.UsageError(
                    f"{path} is the video itself; give the result another name with --output"
                )
        if len(set(paths)) < len(paths):
            raise cli.UsageError(f"{self.output} would be written twice; give it another name with --output")
        folder, name = os.path.split(os.path.splitext(os.path.abspath(self.output))[0])
        atomic.remove_stale_temporaries(folder, (name, f"{name}-kept"))

    def make_folder(self):
        """Makes the folder that they go to. Raises OSError, naming what can't be written there."""
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.output)), exist_ok=True)
        except OSError as error:
            raise OSError(f"{self.paths()[0]}: can't be written ({error.strerror})") from None

    def others(self, video_file):
        """What else lies there under their names, from before: it would be taken for theirs."""
        names = [
            self.name(extension)
            for extension in (*WRITERS, "html", "png", *(e[1:] for e in encoders.CONTAINERS))
        ]
        names += sorted(glob.glob(f"{glob.escape(os.path.splitext(self.output)[0])}-kept.*"))
        return [
            name
            for name in names
            if os.path.lexists(name)
            and name not in self.paths()
            and not (os.path.exists(name) and os.path.samefile(name, video_file))
        ]

    def write(self, timeline, keep, exact, saved_model, quiet):
        """Writes all but result.avi."""
        for name in self.export:
            atomic.write_text(self.name(name), WRITERS[name](timeline))
        if self.report:
            html_report.write(self.name("html"), self.name("png"), timeline, saved_model)
        if self.kept:
            kept_copy.keep(timeline, keep, self.kept, exact, quiet)


def warn_of_rate(video_file, output, rate, times):
    """Says so if frames are shown at other times in `output`, which has a constant rate, than in the video."""
    off = np.abs(times - times[0] - np.arange(len(times)) / float(rate)).max()
    if off > max(1 / float(rate), NOTICEABLE):
        print(
            f"{video_file}: its frame rate varies; {output} shows all frames at the average rate, up to {off:.2f} s off "
            f"their time and their sound. The times in other files are the video's",
            file=sys.stderr,
        )


def warn_of_others(timeline, results):
    """Says what could be taken for what it is not: results of an earlier run, and names for formulas."""
    others = results.others(timeline.video)
    if others:
        print(
            f"{', '.join(others)}: from before this run, left as {'it is' if len(others) == 1 else 'they are'}",
            file=sys.stderr,
        )
    formulas = sorted({segment.class_name for segment in timeline.segments if is_formula(segment.class_name)})
    if formulas and "csv" in results.export:
        print(
            f"{results.name('csv')}: a spreadsheet takes {', '.join(map(ascii, formulas))} for a formula; let it read the "
            f"column as text",
            file=sys.stderr,
        )


def is_formula(cell):
    """Whether a spreadsheet calculates what a cell of a CSV file says."""
    if not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def summarize(timeline, results):
    """Prints how much of the video each class has, and what was written."""
    seconds = dict.fromkeys(timeline.classes, 0.0)
    for segment in timeline.segments:
        seconds[segment.class_name] += segment.end - segment.start
    print(", ".join(f"{name} {clock(time)}" for name, time in seconds.items()))
    print(
        f"{count(timeline.windows[-1].end_frame, 'frame')}, {count(len(timeline.segments), 'segment')}: "
        f"{', '.join(results.paths())}"
    )
