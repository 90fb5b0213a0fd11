"""Where shots begin, as PySceneDetect's content detector finds it on small frames, and a picture of each."""

import tempfile
import threading
from collections.abc import Iterator

import cv2
import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from vidclass.labelling.background import Background
from vidclass.video.ffmpeg import Ffmpeg, passthrough, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.probe import VideoInfo
from vidclass.video.times import sound_output

WIDTH = 144  # pixels of the frames that are compared, and of the pictures
SETTLED = (
    6  # frames after a cut that the picture of a shot is taken: after a fade's or an encoder's beginning
)
BURST = 2  # frames after a cut in which another one is a part of it
MOST_PICTURES = 20_000  # of some 4 kB each
ONE_THREAD = ("-threads", "1")  # the browser plays at the same time, and ffmpeg may make a proxy


class Shots:
    """The first frames of a recording's shots, found in the background after start(), with a picture each.

    .background: the work. .frames: how many have been looked at. .cuts: the first frames of the shots but the
    first one's, rising; it grows.
    """

    def __init__(self, path: str, info: VideoInfo, limits: VideoLimits = DEFAULT_LIMITS):
        self._path, self._limits = path, limits
        ratio = info.height / max(1.0, info.width * float(info.pixel_aspect))
        self._size = min(max(2 * round(ratio * WIDTH / 2), 16), 2 * WIDTH), WIDTH
        self.background = Background(self._find)
        self.frames = 0
        self.cuts: list[int] = []
        self._pictures: dict[int, tuple[int, int]] = {}  # {first frame of a shot: (offset, bytes)}
        self._file, self._lock = tempfile.TemporaryFile(), threading.Lock()

    def start(self) -> None:
        self.background.start()

    def close(self) -> None:
        """Ends the work and removes the pictures."""
        self.background.stop()
        self._file.close()

    def picture(self, first: int) -> bytes | None:
        """A JPEG of the shot that begins with a frame; None if it has none, or not yet."""
        with self._lock:
            if first not in self._pictures:
                return None
            offset, size = self._pictures[first]
            self._file.seek(offset)
            return self._file.read(size)

    def _find(self, background: Background) -> None:
        detector = ContentDetector(min_scene_len=0)  # else cuts would be left out, or come late
        first, last = 0, None
        for number, frame in enumerate(self._read(background)):
            found = detector.process_frame(FrameTimecode(number, 25.0), frame)
            if found and found[-1].frame_num - first > BURST:
                if first not in self._pictures and last is not None:
                    self._keep(first, last)
                first = found[-1].frame_num
                self.cuts.append(first)
            if number == first + SETTLED:
                self._keep(first, frame)
            last, self.frames = frame, number + 1
        if last is not None and first not in self._pictures:
            self._keep(first, last)
        if not self.frames and not background.stopped:
            raise ValueError(f"{self._path}: no frame can be decoded")

    def _read(self, background: Background) -> Iterator[np.ndarray]:
        """The frames as uint8 BGR (height, WIDTH, 3)."""
        height, width = self._size
        output = [
            "-vf",
            f"scale={width}:{height}:flags=area",
            "-pix_fmt",
            "bgr24",
            "-f",
            "rawvideo",
            "pipe:1",
        ]
        chosen = [*ONE_THREAD, *video_arguments(self._path, self._limits)]
        with Ffmpeg([*chosen, *passthrough(), *output, *sound_output(self._path)]) as process:
            background.watch(process)
            while not background.stopped:
                frame = np.empty((height, width, 3), np.uint8)
                if process.stdout.readinto(frame.reshape(-1)) < frame.size:
                    break
                process.watchdog.start()
                yield frame
        process.check_stall(self._path)

    def _keep(self, first, frame):
        """Stores the picture of a shot."""
        if len(self._pictures) >= MOST_PICTURES:
            return
        _, content = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, 80))
        with self._lock:
            offset = self._file.seek(0, 2)
            self._file.write(content.tobytes())
            self._pictures[first] = offset, len(content)
