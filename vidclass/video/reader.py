"""Reading a video's frames with ffmpeg, as uint8 RGB arrays (height, width, 3).

Training clips and the video to classify are decoded by the same ffmpeg with the same rules (every decoded
frame once, rotation applied, the source's own colour matrix), so that the same frame looks the same in both.
"""

import contextlib
import itertools
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from vidclass.parallel import RunAhead
from vidclass.video import selection
from vidclass.video.ffmpeg import Ffmpeg, error_reason, passthrough, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits, frame_limit, too_many_frames_message
from vidclass.video.probe import probe
from vidclass.video.resampling import Resampling, find_resampling, resampled_limit
from vidclass.video.times import read_stamps, read_times, sound_output, times_output

# PPM frames carry their size; rgb24 leaves the conversion, with the source's matrix and range, to ffmpeg.
PPM_OUTPUT = ("-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1")


AHEAD_BYTES = 64 * 2**20  # of the frames that FrameReader.begin keeps
FRAMES_A_PLACE, FRAME_STEP = 5, 10  # of what FrameReader.spread reads


def describe_loss(path: str, frames: int, expected: int, failed: bool, messages: bytes) -> str | None:
    """None, or a line on what is missing of a video of which `frames` of `expected` frames were decoded.

    failed, messages: of the Ffmpeg that decoded it.
    """
    # Of our output of times, where ffmpeg guesses wrong of MPEG-PS: no damage.
    messages = b"\n".join(
        line for line in messages.splitlines() if b"monotonically increasing dts" not in line
    )
    if not failed and not messages.strip():
        # ffmpeg doesn't complain of an AVI that is cut short, but its header counts the frames. Elsewhere the
        # number may be an estimate, and lower for good reasons: sound that outlasts the picture.
        with open(path, "rb") as file:
            if file.read(4) != b"RIFF":
                return None
    if failed or frames < expected - 1:
        about = max(expected, frames)
        return f"damaged: {frames} of about {about} frames decoded ({error_reason(messages, path)})"
    return None


class FrameReader:
    """Iterates over a video's frames as RGB arrays, all of the size of the first.

    .info: VideoInfo. .limits: VideoLimits, for whatever else opens the file. .size: (height, width) of the
    frames, once the first one has come; before that what the header says. After the last frame: .loss, None
    or a line on what could not be decoded; .times, when each frame is shown, in seconds from the recording's
    start, float64 (frames,). Of a video that is resampled, see resample: .own_times, the same of the video's
    own frames; .places, the number of the first frame that shows each of these, int (own frames,).

    Raises FileNotFoundError or ValueError, naming the file, when there is no video in it.
    """

    def __init__(self, path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS):
        self.path, self.limits = os.fspath(path), limits
        self.info = probe(path, limits)
        self.size = self.info.height, self.info.width
        self.loss: str | None = None
        self.times = np.empty(0)
        self.own_times = self.times
        self.places: np.ndarray | None = None
        self._resampling: Resampling | None = None
        self._expected = self.info.frames
        self._begun: Iterator[tuple[int, np.ndarray]] | None = None

    def resample(self) -> None:
        """Lets the frames come at a constant rate if those of the video don't, see resampling.py; .info tells
        this rate and their number."""
        found = self._resampling = find_resampling(self.path, self.info, self.limits)
        if found:
            self.info = self.info._replace(fps=found.fps, frames=found.frames)
            self._expected = found.own_frames

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame for _, frame in self._read(None))

    def select(self, numbers: Iterable[int], end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (number, frame) of at least these frames, numbered from 0, and of all from `end` on: the
        others are decoded, but neither converted nor read, which takes longer than decoding. numbers: rising.
        """
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        if self._resampling:  # how many there are tells the last one only
            end = max(1, min(end, self.info.frames) - math.ceil(self.info.fps))
        # What ffmpeg rotates has filters that can't bear a size that changes.
        return self._read(selection.select(numbers, end) if not self.info.rotation else None)

    @contextlib.contextmanager
    def begin(self, numbers: Iterable[int], end: int) -> Iterator[None]:
        """A `with` block in which a thread already reads what `select` is going to be asked for next, as far
        as AHEAD_BYTES hold it. Arguments: those of `select`."""
        frames = RunAhead(self.select(numbers, end), AHEAD_BYTES, lambda numbered: numbered[1].nbytes)
        with contextlib.closing(frames) as self._begun:
            yield
        self._begun = None

    def spread(self, count: int) -> Iterator[np.ndarray]:
        """Yields about so many frames from all over the video, without decoding all of it: where exactly they
        are taken depends on its key frames."""
        places = max(1, min(count // FRAMES_A_PLACE, self.info.frames // (FRAMES_A_PLACE * FRAME_STEP)))
        for place in range(places):
            seek = float(self.info.frames / self.info.fps) * place / places
            arguments = ["-ss", f"{seek:.3f}", *video_arguments(self.path, self.limits)]
            arguments += ["-frames:v", str(FRAMES_A_PLACE), "-vf", f"framestep={FRAME_STEP}", *PPM_OUTPUT]
            with Ffmpeg(arguments) as process:
                while (frame := read_ppm(process.stdout)) is not None:
                    process.watchdog.stop()
                    yield frame
                    process.watchdog.start()
            process.check_stall(self.path)

    def _read(self, chosen):
        """Yields (number, frame) of a Selection, of all frames without one."""
        last, most = -1, resampled_limit(self.path) if self._resampling else frame_limit(self.path)
        filters = self._resampling.filters() if self._resampling else ""
        with tempfile.TemporaryDirectory() as folder:
            times = os.path.join(folder, "times")
            arguments = video_arguments(self.path, self.limits)
            if chosen:
                arguments += chosen.arguments(folder, filters)
            elif filters:
                arguments += ["-vf", filters]
            if (chosen or filters) and not self.info.rotation:
                arguments = [*selection.ONE_GRAPH, *arguments]
            arguments += [*passthrough(), *PPM_OUTPUT, *times_output(times), *sound_output(self.path)]
            with Ffmpeg(arguments) as process:
                for place in itertools.count():
                    if (frame := read_ppm(process.stdout)) is None:
                        break
                    process.watchdog.stop()
                    last = chosen.number(place) if chosen else place
                    self.size = frame.shape[:2]
                    if last >= most:
                        raise ValueError(f"{self.path}: {too_many_frames_message(self.path)}")
                    yield last, frame
                    process.watchdog.start()
            process.check_stall(self.path)
            stamps: list[str] = []
            with (
                contextlib.suppress(FileNotFoundError),
                open(times) as file,
            ):  # ffmpeg could not open the video
                stamps = file.readlines()
            shown = read_stamps(stamps)
        frames = max(last + 1, len(shown)) if chosen and not self._resampling else last + 1
        if not frames:
            raise ValueError(f"{self.path}: no frame can be decoded ({process.reason(self.path)})")
        decoded = len(shown) if self._resampling else frames
        self.loss = describe_loss(self.path, decoded, self._expected, process.failed, process.messages)
        if self._resampling:
            self.times = self._resampling.first + np.arange(frames) / float(self.info.fps)
            self.own_times = np.maximum.accumulate(shown)
            self.places = np.minimum(self._resampling.places(self.own_times), last)
        else:
            self.times = read_times(stamps, frames, self.info.fps)


def read_ppm(stream: BinaryIO) -> np.ndarray | None:
    """The next binary PPM image of a stream as a uint8 array (height, width, 3), or None at its end."""
    if stream.readline() != b"P6\n":
        return None
    width, height = map(int, stream.readline().split())
    stream.readline()  # 255
    frame = np.empty((height, width, 3), np.uint8)
    return frame if stream.readinto(frame.reshape(-1)) == frame.size else None  # type: ignore[attr-defined]
