"""Writing a video once more, with pictures on its frames: one ffmpeg decodes, draws and encodes."""

import contextlib
import os
import sys
from fractions import Fraction

import numpy as np

from vidclass import atomic
from vidclass.console import print
from vidclass.progress import SharedBar, progress
from vidclass.video import encoders
from vidclass.video.drawing import Drawing
from vidclass.video.ffmpeg import (
    FIRST_VIDEO,
    PROGRESS,
    Ffmpeg,
    filter_file,
    find_ffmpeg,
    input_arguments,
    passthrough,
)
from vidclass.video.limits import frame_limit, too_many_frames_message
from vidclass.video.reader import FrameReader
from vidclass.video.times import MOST_SET, TIME_BASE, at_times, sound_output, start_time

# Damage in the video doesn't make ffmpeg's exit code one of failure: what is decoded is written.
ANY_DAMAGE = ("-max_error_rate", "1")
# Seconds for a step: the video could be decoded before, but a disk may be slow, and the last step of an .mp4
# moves all of it.
PATIENCE = 3600


class UndecodableSound(ValueError):
    """ffmpeg has no decoder for a video's sound, or its header is damaged."""


class VideoWriter:
    """Writes a video's frames, with something drawn on them, as a video that appears under its name when it
    is complete, or not at all; a context manager.

    path: the file to write; its extension chooses between XVID in .avi and H.264 in .mp4, .m4v, .mov and
    .mkv, see encoders. reader: of the video; its frames need not be read. sound: whether its sound is added,
    if it has any, from the moment of its first frame on. Raises OSError, naming the file, if it can't be
    written, ValueError for another extension.
    """

    def __init__(self, path: str | os.PathLike, reader: FrameReader, sound: bool = True):
        self.path, self._reader, self._sound = os.fspath(path), reader, sound
        encoders.container(self.path)
        self._stack = contextlib.ExitStack()
        try:
            if os.path.isdir(self.path):
                raise IsADirectoryError(0, "it is a folder")
            # Fails at once, not after hours, if it can't be written.
            self._partial = self._stack.enter_context(atomic.temporary(self.path))
        except OSError as error:
            raise OSError(f"{self.path}: can't be written ({error.strerror})") from None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what is drawn on: a frame, all of the size of the first; one that H.264 can't
        have, of odd height or width, has its last row or column twice."""
        return encoders.encoded_size(self.path, *self._reader.size)

    def can_keep(self, times: np.ndarray) -> bool:
        """Whether the file can show as many frames at times of their own; an .avi can't."""
        return encoders.container(self.path) != "avi" and len(times) <= MOST_SET

    def write(
        self,
        rate: Fraction,
        drawing: Drawing,
        frames: int | None = None,
        quiet: bool | SharedBar = False,
        times: np.ndarray | None = None,
    ) -> None:
        """Writes all frames, each once, `rate` of them a second, or at these times, in seconds from the first
        (see can_keep). frames: how many there are, if that is known. quiet: no progress bar, or the one of
        which this is a part. Raises ValueError, naming the video, if none can be decoded, OSError if the file
        can't be written."""
        height, width = self.size
        colors, coding = encoders.arguments(self.path, find_ffmpeg(), round(height * width * rate / 5))
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(atomic.temporary(self.path))
                os.mkdir(folder)
                sources, drawn = drawing.write(folder, rate, colors)
                filters = f"{sources}[in]{self._frame_filters(colors)}{drawn},{self._shape()}"
                if times is not None:
                    filters += f",{at_times(times, rate)}"
                    coding = [*coding, "-enc_time_base", f"1:{TIME_BASE}"]
                with open(os.path.join(folder, "filters"), "w") as file:
                    file.write(filters)
            except OSError as error:
                raise OSError(f"{self.path}: can't be written ({error.strerror})") from None
            try:
                self._run(self._arguments(rate, coding), folder, frames, quiet)
            except UndecodableSound:
                print(
                    f"{self._reader.path}: its sound can't be decoded; {self.path} has none", file=sys.stderr
                )
                self._sound = False
                self._run(self._arguments(rate, coding), folder, frames, quiet)
        atomic.move_into_place(self._partial, self.path)

    def _run(self, arguments, folder, frames, quiet):
        """Runs ffmpeg and shows how far it is."""
        # A limit of ffmpeg's own for the frames would end the sound with them.
        written, most = 0, frame_limit(self._reader.path)
        with progress(total=frames, unit="frame", desc=f"Writing {self.path}", quiet=quiet) as bar:
            with Ffmpeg(arguments, text=True, patience=PATIENCE, folder=folder) as process:
                for written, _ in process.progress():
                    bar.update(written - bar.n)
                    if written > most:
                        raise ValueError(f"{self._reader.path}: {too_many_frames_message(self._reader.path)}")
            bar.total = written or bar.total
        if process.stalled:
            raise OSError(f"{self.path}: can't be written ({process.stalled})")
        if self._sound and not written and b"Error while opening decoder" in process.messages:
            raise UndecodableSound
        why = process.writing_reason(self._partial)
        if not written and not why:
            why = process.reason(self._reader.path)
            raise ValueError(f"{self._reader.path}: no frame can be decoded ({why})")
        if process.failed:
            raise OSError(f"{self.path}: can't be written ({why or process.reason(self._partial)})")

    def _arguments(self, rate, coding):
        path, limits = os.path.abspath(self._reader.path), self._reader.limits
        # Frame n is decoded at n / rate seconds, whatever the file says.
        inputs, sound, others = ["-r", str(rate), *input_arguments(path, limits)], [], []
        if self._sound:
            inputs += input_arguments(path, limits)
            sound, others = _sound(self._start(), encoders.delay(self.path)), sound_output(path, 1)
        picture = [*FIRST_VIDEO, *passthrough(), *filter_file("filters")]
        output = f"file:{os.path.abspath(self._partial)}"
        return [*PROGRESS, *ANY_DAMAGE, *inputs, *picture, *sound, *coding, output, *others]

    def _start(self):
        """When the first frame is shown, in seconds from the recording's beginning."""
        reader = self._reader
        times = reader.times if reader.places is None else reader.own_times
        return float(times[0]) if len(times) else start_time(reader.path, reader.limits)

    def _frame_filters(self, colors):
        """Filters that give frames the size and the colours of what is written."""
        (height, width), (full_height, full_width) = self._reader.size, self.size
        filters = f"scale={width}:{height}:{colors}"
        if (height, width) != (full_height, full_width):
            borders = f"right={full_width - width}:bottom={full_height - height}"
            # With a colour for each pixel: ffmpeg pads no half of one.
            filters += f",format=yuv444p,pad={full_width}:{full_height},fillborders={borders}:mode=smear"
        return f"{filters},format=yuv420p"

    def _shape(self):
        """The filter that says what shape a pixel has."""
        aspect = self._reader.info.pixel_aspect
        return f"setsar={aspect.numerator}/{aspect.denominator}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stack.close()


def _sound(start, delay):
    """ffmpeg's arguments for the sound of its second input, if it has any, beside pictures that begin with
    the first frame, `start` seconds after the recording's beginning. delay: see encoders.delay."""
    # ffmpeg's AVI of MP3 at lower sampling rates, whose packets are half as long, plays at half the speed.
    in_step = (
        f"atrim=start={start:.6f},asetpts=PTS-{start:.6f}/TB,aresample=async=1:first_pts=0,"
        f"aformat=sample_rates=32000|44100|48000,atrim=start_sample={delay},asetpts=PTS-STARTPTS"
    )
    return ["-map", "1:a:0?", "-af", in_step]
