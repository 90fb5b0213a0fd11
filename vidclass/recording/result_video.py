"""Writes result.avi: the video's frames with the classes and their probabilities on them.

The video is decoded a second time for that, so that no frame waits in memory for its window's end.
"""

from fractions import Fraction

import numpy as np

from vidclass.progress import SharedBar
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.overlay import Caption, Strip, caption, captions_layer
from vidclass.recording.segments import Timeline, over_segments
from vidclass.video.drawing import Drawing
from vidclass.video.times import most_off, steady_rate
from vidclass.video.writer import VideoWriter


def write(
    timeline: Timeline,
    times: np.ndarray,
    writer: VideoWriter,
    options: ClassifyOptions,
    bar: SharedBar | None = None,
) -> Fraction | None:
    """Writes the video as `options`, ClassifyOptions, ask for. Returns its frame rate, None if its frames
    keep their times. times: of all frames and of the end, in seconds. bar: of which its own is a part."""
    rate = steady_rate(timeline.fps, times)
    own = times[:-1] - times[0] if writer.can_keep(times) and most_off(times, rate) else None
    height, width = writer.size
    strip = Strip(timeline, times, height, width) if options.strip else None
    corner = captions_layer(find_captions(timeline, times, options), height, width, squares=bool(strip))
    drawing = Drawing([corner, strip.layer()], strip.mark()) if strip else Drawing([corner])
    writer.write(rate, drawing, len(times) - 1, bar or options.quiet, own)
    return rate if own is None else None


def find_captions(timeline: Timeline, times: np.ndarray, options: ClassifyOptions) -> list[Caption]:
    """What the corner says: what was found of the segment with smoothing, and of the window without.
    Arguments: see write(). Frames after the last Caption get it, too: a damaged video may yield more of them
    the second time."""
    classes = timeline.classes
    if not options.smoothing:  # some windows may have no frame: the last one is shown longer than they last
        return [
            caption(classes, window) for window in timeline.windows if window.first_frame < len(times) - 1
        ]
    spans = over_segments(timeline.windows, timeline.segments, times)
    firsts = [classes.index(segment.class_name) for segment in timeline.segments]
    return [caption(classes, span, first) for span, first in zip(spans, firsts)]
