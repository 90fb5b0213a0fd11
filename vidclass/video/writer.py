"""Writing RGB frames as a video with ffmpeg."""

import contextlib
import os
from fractions import Fraction

import numpy as np

from vidclass import atomic
from vidclass.video import encoders
from vidclass.video.ffmpeg import NEVER, Ffmpeg, find_ffmpeg, input_arguments, passthrough
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.times import sound_output, start_time


def _sound(path, limits):
    """ffmpeg's arguments for the sound of a file, if it has any, beside pictures that begin with its first
    frame."""
    start = start_time(path, limits)
    # ffmpeg's AVI of MP3 at lower sampling rates, whose packets are half as long, plays at half the speed.
    in_step = (
        f"atrim=start={start:.6f},asetpts=PTS-{start:.6f}/TB,aresample=async=1:first_pts=0,"
        f"aformat=sample_rates=32000|44100|48000"
    )
    return [*input_arguments(path, limits), "-map", "0:v", "-map", "1:a:0?", "-af", in_step]


class VideoWriter:
    """Writes RGB frames as a video, which appears under its name when the `with` block ends well, else not at
    all.

    path: the file to write; its extension chooses between XVID in .avi and H.264 in .mp4, .m4v, .mov and
    .mkv, see encoders. fps, pixel_aspect: see VideoInfo. The first frame sets the size; one that H.264 can't
    have, of odd height or width, gets its last row or column twice. sound: a video, opened within limits,
    with the sound to add, if it has any, from the moment of its first frame on. .rate: fps, to be changed
    before the first frame at the latest. Raises OSError, naming the file, if it can't be written, ValueError
    for another extension.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        fps: Fraction,
        pixel_aspect: Fraction = Fraction(1),
        sound: str | os.PathLike | None = None,
        limits: VideoLimits = DEFAULT_LIMITS,
    ):
        self.path, self.rate = os.fspath(path), fps
        self._pixel_aspect, self._sound, self._limits = pixel_aspect, sound, limits
        self._padded = encoders.is_padded(self.path)
        self._process: Ffmpeg | None = None
        self._stack = contextlib.ExitStack()
        try:
            if os.path.isdir(self.path):
                raise IsADirectoryError(0, "it is a folder")
            # Fails at once, not after hours, if it can't be written.
            self._partial = self._stack.enter_context(atomic.temporary(self.path))
        except OSError as error:
            raise OSError(f"{self.path}: can't be written ({error.strerror})") from None

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame: uint8 RGB (height, width, 3)."""
        if self._padded and (frame.shape[0] % 2 or frame.shape[1] % 2):
            frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
        if self._process is None:
            self._process = Ffmpeg(self._arguments(*frame.shape[:2]), writes=True, patience=NEVER)
            self._process.__enter__()
        try:
            self._process.stdin.write(np.ascontiguousarray(frame))
        except BrokenPipeError:
            self._end(self._process)
            raise

    def _arguments(self, height, width):
        coding_filter, coding = encoders.arguments(
            self.path, find_ffmpeg(), round(height * width * self.rate / 5)
        )
        frames = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}")
        filters = [f"setsar={self._pixel_aspect.numerator}/{self._pixel_aspect.denominator}"]
        filters += [coding_filter] if coding_filter else []
        return [
            *(*frames, "-framerate", str(self.rate), "-i", "pipe:0"),
            *(_sound(self._sound, self._limits) if self._sound else ()),
            *(*passthrough(), "-vf", ",".join(filters), *coding, f"file:{self._partial}"),
            *(sound_output(self._sound, 1) if self._sound else ()),
        ]

    def _end(self, process, error=None):
        """Lets ffmpeg finish the file, or kills it where there is an error. Raises OSError if it has
        failed."""
        self._process = None
        process.__exit__(type(error) if error else None, error, None)
        if not error and process.failed:
            raise OSError(f"{self.path}: can't be written ({process.reason(self._partial)})")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        with self._stack:
            if self._process is not None:
                self._end(self._process, error)
                if error is None:
                    atomic.move_into_place(self._partial, self.path)
