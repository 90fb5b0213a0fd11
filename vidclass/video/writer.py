"""Writing RGB frames as a video with ffmpeg."""

import os
import subprocess
import tempfile
from fractions import Fraction

import numpy as np

from vidclass import atomic, processes
from vidclass.video import encoders
from vidclass.video.ffmpeg import error_reason, find_ffmpeg, has_failed, input_arguments, passthrough
from vidclass.video.times import sound_output, start_time


def _sound(path):
    """ffmpeg's arguments for the sound of a file, if it has any, beside pictures that begin with its first
    frame."""
    start = start_time(path)
    return [
        *input_arguments(path),
        "-map",
        "0:v",
        "-map",
        "1:a:0?",
        "-af",
        f"atrim=start={start:.6f},asetpts=PTS-{start:.6f}/TB,aresample=async=1:first_pts=0,"
        # ffmpeg's AVI of MP3 at lower rates, whose packets are half as long, plays at half the speed.
        "aformat=sample_rates=32000|44100|48000",
    ]


class VideoWriter:
    """Writes RGB frames as a video, which appears under its name when the `with` block ends well, else not at
    all.

    path: the file to write; its extension chooses between XVID in .avi and H.264 in .mp4, .m4v, .mov and
    .mkv, see encoders. fps, pixel_aspect: see VideoInfo. The first frame sets the size; one that H.264 can't
    have, of odd height or width, gets its last row or column twice. sound: a video with the sound to add, if
    it has any, from the moment of its first frame on. .rate: fps, to be changed before the first frame at the
    latest. Raises OSError, naming the file, if it can't be written, ValueError for another extension.
    """

    def __init__(self, path, fps, pixel_aspect=Fraction(1), sound=None):
        self.path, self.rate = os.fspath(path), fps
        self._pixel_aspect, self._sound = pixel_aspect, sound
        self._padded = encoders.is_padded(self.path)
        self._process = None
        try:
            if os.path.isdir(self.path):
                raise IsADirectoryError(0, "it is a folder")
            # Tells at once, not after hours, that it can't be written.
            self._partial = atomic.temporary_path(self.path)
        except OSError as error:
            raise OSError(f"{self.path}: can't be written ({error.strerror})") from None
        self._log = tempfile.TemporaryFile()

    def write(self, frame):
        """Appends one frame: uint8 RGB (height, width, 3)."""
        if self._padded and (frame.shape[0] % 2 or frame.shape[1] % 2):
            frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
        if self._process is None:
            self._start(*frame.shape[:2])
        try:
            self._process.stdin.write(np.ascontiguousarray(frame))
        except BrokenPipeError:
            self._fail()

    def _start(self, height, width):
        coding_filter, coding = encoders.arguments(
            self.path, find_ffmpeg(), round(height * width * self.rate / 5)
        )
        filters = [
            f"setsar={self._pixel_aspect.numerator}/{self._pixel_aspect.denominator}",
            *([coding_filter] if coding_filter else ()),
        ]
        command = [
            find_ffmpeg(),
            "-hide_banner",
            "-v",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-video_size",
            f"{width}x{height}",
            "-framerate",
            str(self.rate),
            "-i",
            "pipe:0",
            *(_sound(self._sound) if self._sound else ()),
            *passthrough(),
            "-vf",
            ",".join(filters),
            *coding,
            f"file:{self._partial}",
            *(sound_output(self._sound, 1) if self._sound else ()),
        ]
        self._process = processes.popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        try:
            if kind is None and self._process is not None:
                try:
                    self._process.stdin.close()
                except BrokenPipeError:
                    pass
                self._process.wait()
                self._log.seek(0)
                if has_failed(self._process.returncode, self._log.read()):
                    self._fail()
                os.replace(self._partial, self.path)
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._log.close()
            atomic.discard(self._partial)

    def _fail(self):
        self._process.wait()
        self._log.seek(0)
        raise OSError(f"{self.path}: can't be written ({error_reason(self._log.read(), self._partial)})")
