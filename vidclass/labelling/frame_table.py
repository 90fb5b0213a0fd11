"""When each frame of a recording is shown, and what a label file says for that. Nothing is decoded."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidclass.dataset.cut_plan import Recording
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.times import first_time, packet_times


@dataclass(frozen=True)
class FrameTable:
    """The frames of a recording."""

    fps: Fraction  # frames per second, the average where it varies
    times: np.ndarray  # of all frames and of the end, in seconds, rising: float64 (frames + 1,)
    marks: np.ndarray  # what a label file says for these times, in whole microseconds: int64 (frames + 1,)
    is_regular: bool  # whether the frames come at a constant rate
    has_hidden: bool  # whether the file has frames that are not shown, as an edit list hides them

    @property
    def frames(self) -> int:
        return len(self.times) - 1

    def nearest(self, seconds: float) -> int:
        """The number of the frame that begins next to a time of a label file; `frames` is the end."""
        micros = min(max(seconds, 0.0) * 1e6, float(self.marks[-1]))
        right = int(np.searchsorted(self.marks, micros))
        if right and micros - self.marks[right - 1] < self.marks[min(right, self.frames)] - micros:
            return right - 1
        return min(right, self.frames)

    def mark(self, number: int) -> str:
        """What a label file says for the time of a frame, in seconds: "12.345678"."""
        return f"{self.marks[number] / 10**6:.6f}"


def read_frame_table(source: Recording, limits: VideoLimits = DEFAULT_LIMITS) -> FrameTable:
    """The FrameTable of a recording. Raises ValueError, naming the file, if it has no frames.

    cut_clips.py counts frames from the recording's beginning at a constant rate. So, where the rate is
    constant, a mark is the time in that count which is next to the frame's: the same frame is cut, also where
    the picture begins by half a frame later than the recording.
    """
    packets, last = packet_times(source.path, limits)
    if len(packets) and _is_avi(
        source.path
    ):  # which has no times: ffmpeg guesses when the first one is shown
        packets = packets - packets[0] + source.start
    shown = packets[packets >= source.start - 0.5 / float(source.fps)]
    if len(shown) < len(packets) - np.count_nonzero(packets < source.start):  # of some it is not known
        shown = source.start + np.arange(len(packets)) / float(source.fps)
    if not len(shown):
        raise ValueError(f"{source.path}: no frames in it")
    start, is_regular = first_time(shown, source.fps)
    if is_regular:
        start = source.start
        times = start + np.arange(len(shown) + 1) / float(source.fps)
        places = np.floor(times * float(source.fps) + 0.5).astype(np.int64)
        marks = places * (10**6 * source.fps.denominator) // source.fps.numerator
    else:
        times = np.append(np.maximum.accumulate(shown), shown[-1] + (last or 1 / float(source.fps)))
        marks = np.floor(times * 1e6 + 0.01).astype(np.int64)
    marks = np.minimum(np.maximum(marks, 0), int(source.seconds * 10**6 + 0.5))
    return FrameTable(source.fps, times, marks, is_regular, len(shown) != len(packets))


def _is_avi(path):
    with open(path, "rb") as file:
        return file.read(4) == b"RIFF"
