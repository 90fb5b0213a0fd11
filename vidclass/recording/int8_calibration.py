"""Measuring the ranges of InceptionV3's activations on a recording, for a checkpoint that has none."""

import contextlib
import sys

from vidclass.console import print
from vidclass.errors import INT8
from vidclass.features import int8
from vidclass.features.int8_calibration import frame_count
from vidclass.parallel import RunAhead
from vidclass.recording.trained import Trained
from vidclass.video.images import resize
from vidclass.video.reader import FrameReader

AHEAD = 8  # frames that are read while others go through the network


def int8_ranges(trained: Trained, reader: FrameReader) -> list[float] | None:
    """The ranges that InceptionV3 computes with: the checkpoint's, or measured on frames from all over the
    recording; None where it doesn't compute in 8-bit integers. Raises ValueError if no frame can be read."""
    if trained.precision != INT8 or trained.ranges:
        return trained.ranges
    shape = trained.image_shape
    print(
        f"The checkpoint has no ranges for --precision int8: measuring them on frames of {reader.path}",
        file=sys.stderr,
    )
    images = (resize(frame, shape) for frame in reader.spread(frame_count(shape) // 2))
    with contextlib.closing(RunAhead(images, AHEAD)) as ahead:
        return int8.measure_ranges(trained.weights, shape, ahead)
