"""A video whose frame rate varies, at a constant rate, as cut_clips.py cuts clips from it.

A frame that is shown for long comes several times, one that is shown for a moment perhaps not at all.
"""

import os
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidclass.video.cutting import first_picture
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits, frame_limit
from vidclass.video.probe import VideoInfo, is_program_stream
from vidclass.video.times import constant_rate, first_time, from_time, packet_times


@dataclass(frozen=True)
class Resampling:
    """How frames come at a constant rate."""

    first: float  # when the first one is shown, in seconds from the recording's beginning
    fps: Fraction
    frames: int  # as the headers say

    def filters(self) -> str:
        """ffmpeg's filters for it."""
        return f"settb=AVTB,{from_time(self.first)},{constant_rate(self.fps)}"

    def places(self, times: np.ndarray) -> np.ndarray:
        """The number, at the constant rate, of the first frame that shows each frame of the video, rising,
        int (frames,). times: of these, in seconds, rising."""
        places = np.floor((times - self.first) * float(self.fps) + 0.5)
        return np.maximum(places, 0).astype(int)


def find_resampling(
    path: str | os.PathLike, info: VideoInfo, limits: VideoLimits = DEFAULT_LIMITS
) -> Resampling | None:
    """The Resampling of a video, to the average rate that its header says; None if its frames come at that
    rate, as far as its headers tell. Nothing but its first frames is decoded."""
    if is_program_stream(path):  # its times are guesses, most of them
        return None
    times, _ = packet_times(path, limits)
    if len(times) < 2 or np.isnan(times).any() or first_time(times, info.fps)[1]:
        return None
    first = first_picture(path, info.fps, limits)
    found = Resampling(first, info.fps, 0)
    frames = int(found.places(times[-1:])[0]) + 1
    # A header may claim that a frame is shown for a year.
    return Resampling(first, info.fps, frames) if frames <= frame_limit(path) else None
