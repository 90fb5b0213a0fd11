"""How large a video may be: what a stranger's file may take of memory and time."""

import os
from dataclasses import dataclass

# Pixels of a frame at most, twice those of 8K: a header of some bytes may announce any number.
MAX_PIXELS = 2**26
MAX_FRAMES = 100_000  # of a clip at most: more than an hour
# Bytes that a file has for each of its frames at least: "the same again" takes so many with its entry in the
# container. From less, an edit list that repeats what is there could make frames without end.
BYTES_PER_FRAME = 4
FEWEST_FRAMES = 1000  # that a file may have however small it is
# Frame rates outside of this are a container's time base rather than the rate of its frames.
MAX_FPS = 300
# Frames whose times are read at most: enough for a rate, and for any distance between key frames.
MOST_PACKETS = 10**6


@dataclass(frozen=True)
class VideoLimits:
    """What a video may take: an argument of whatever opens one, in this process and in those of a cluster.

    Raises ValueError for limits below 1.
    """

    max_pixels: int = MAX_PIXELS  # of a frame, width times height
    max_frames: int = MAX_FRAMES  # of a training clip

    def __post_init__(self):
        if self.max_pixels < 1 or self.max_frames < 1:
            raise ValueError(f"limits below 1: {self.max_pixels} pixels, {self.max_frames} frames")


DEFAULT_LIMITS = VideoLimits()


def frame_limit(path: str | os.PathLike) -> int:
    """How many frames can be in a file, by its size."""
    return max(FEWEST_FRAMES, os.path.getsize(path) // BYTES_PER_FRAME)


def too_many_frames_message(path: str | os.PathLike) -> str:
    """Why a file with more frames than frame_limit allows is refused."""
    return (
        f"more than {frame_limit(path)} frames come out of {os.path.getsize(path)} bytes, an edit list "
        f"repeats them; encode it anew with ffmpeg"
    )
