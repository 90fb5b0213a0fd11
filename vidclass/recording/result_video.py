"""Writes result.avi: the video's frames with the classes and their probabilities on them.

The video is decoded a second time for that, so that no frame waits in memory for its window's end.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from vidclass.parallel import run_ahead
from vidclass.progress import progress
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.overlay import Caption, Strip, caption, color, draw_lines
from vidclass.recording.segments import Timeline, Window, over_segments
from vidclass.video.reader import FrameReader
from vidclass.video.times import steady_rate
from vidclass.video.writer import VideoWriter


def write_as_classified(
    windows: Iterable[Window], classes: list[str], reader: FrameReader, writer: VideoWriter, quiet: bool
) -> list[Window]:
    """Writes each window's frames as soon as it is classified, without a strip. Returns the windows."""
    written: list[Window] = []

    def captions() -> Iterator[Caption]:
        for window in classified:
            written.append(window)
            yield caption(classes, window)

    with contextlib.closing(run_ahead(windows)) as classified:
        write_frames(reader, writer, captions(), quiet=quiet)
    return written


def write_timeline(
    timeline: Timeline, times: np.ndarray, reader: FrameReader, writer: VideoWriter, options: ClassifyOptions
) -> None:
    """Writes the video as `options`, ClassifyOptions, ask for: the corner says what was found of the segment
    with smoothing, and what was found of the window without. times: of all frames and of the end, in
    seconds."""
    writer.rate = steady_rate(reader.info.fps, times)
    classes, strip = timeline.classes, Strip(timeline, times) if options.strip else None
    if options.smoothing:
        spans = over_segments(timeline.windows, timeline.segments, times)
        firsts = [classes.index(segment.class_name) for segment in timeline.segments]
        captions = [caption(classes, span, first) for span, first in zip(spans, firsts)]
    else:
        captions = [caption(classes, window) for window in timeline.windows]
    write_frames(reader, writer, captions, strip, options.quiet)


def write_frames(
    reader: FrameReader,
    writer: VideoWriter,
    captions: Iterable[Caption],
    strip: Strip | None = None,
    quiet: bool = False,
) -> None:
    """Writes the frames, each with what its Caption says, as the Captions come, and with a strip if given.
    Frames after the last Caption get it, too: a damaged video may yield more of them the second time."""
    total = reader.info.frames or None
    title = f"Writing {writer.path}"
    with progress(reader, total=total, unit="frame", desc=title, quiet=quiet) as bar:
        frames = enumerate(bar)  # not bar.n, which follows late, or not at all
        written, shown = 0, Caption(0, [], [])
        for shown in captions:
            due = itertools.islice(frames, shown.end_frame - written)
            written += _write(due, shown, writer, strip)
        _write(frames, shown, writer, strip)
        bar.total = bar.n


def _write(frames, shown, writer, strip):
    """Writes (number, frame) pairs with a Caption. Returns how many there were."""
    count = 0
    colors = [color(number) for number in shown.numbers] if strip else None
    for number, frame in frames:
        draw_lines(frame, shown.lines, colors)
        if strip:
            strip.draw(frame, number)
        writer.write(frame)
        count += 1
    return count
