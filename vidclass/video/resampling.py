"""A video whose frame rate varies, at a constant rate, as cut_clips.py cuts clips from it.

A frame that is shown for long comes several times, one that is shown for a moment perhaps not at all.
"""

import os
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from vidclass.video.cutting import first_picture
from vidclass.video.limits import DEFAULT_LIMITS, MOST_PACKETS, VideoLimits, frame_limit
from vidclass.video.probe import VideoInfo, is_program_stream
from vidclass.video.times import constant_rate, first_time, from_time, packet_times

LEAST_RATE = Fraction(10)  # frames per second. Where a frame is shown for seconds, the average is too coarse
MOST_OF_SMALL = 20_000  # frames; stills take few bytes


@dataclass(frozen=True)
class Resampling:
    """How frames come at a constant rate."""

    first: float  # when the first one is shown, in seconds from the recording's beginning
    fps: Fraction
    frames: int = 0  # as the headers say
    own_frames: int = 0  # of the video, as they say
    longer: float = 0.0  # seconds by which its last frame is at least to be prolonged, to be there to the end

    def filters(self) -> str:
        """ffmpeg's filters for it."""
        # The filter for the rate would leave out the last frame, or repeat it for as long as one before it.
        longer = f"tpad=stop_mode=clone:stop_duration={self.longer:.6f}"
        end = f"trim=end_frame={self.frames}"
        return f"settb=AVTB,{from_time(self.first)},{longer},{constant_rate(self.fps)},{end}"

    def places(self, times: np.ndarray) -> np.ndarray:
        """The number, at the constant rate, of the first frame that shows each frame of the video, rising,
        int (frames,). times: of these, in seconds, rising."""
        # ffmpeg rounds halves up; times are rounded to milliseconds or finer.
        places = np.floor((times - self.first) * float(self.fps) + 0.500001)
        return np.clip(places, 0, 2**53).astype(int)


def find_resampling(
    path: str | os.PathLike, info: VideoInfo, limits: VideoLimits = DEFAULT_LIMITS
) -> Resampling | None:
    """The Resampling of a video, to the rate that its header says, at least LEAST_RATE; None if its frames
    come at that rate, as far as its headers tell. Nothing but its first frames is decoded."""
    if is_program_stream(path):  # its times are guesses, most of them
        return None
    times, last = packet_times(path, limits)
    if not 2 <= len(times) < MOST_PACKETS or np.isnan(times).any() or first_time(times, info.fps)[1]:
        return None  # of more packets nobody knows where they end
    found = Resampling(first_picture(path, info.fps, limits), max(info.fps, LEAST_RATE))
    end, begun = (int(place) for place in found.places(times[-1:] + np.array([last, 0.0])))
    # A header may claim that a frame is shown for a year.
    if max(end, begun + 1) < resampled_limit(path):
        # ffmpeg counts in frames at a rate that may be the header's.
        longer = last + 1 + 2 / float(info.fps)
        return replace(found, frames=max(end, begun + 1), own_frames=len(times), longer=longer)
    return None


def resampled_limit(path: str | os.PathLike) -> int:
    """How many frames at most a file can be made to give."""
    return max(frame_limit(path), MOST_OF_SMALL)
