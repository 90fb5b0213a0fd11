"""Reading a video's frames with ffmpeg, as uint8 RGB arrays (height, width, 3).

Training clips and the video to classify are decoded by the same ffmpeg with the same rules (every decoded
frame once, rotation applied, the source's own colour matrix), so that the same frame looks the same in both.
"""

import os
import subprocess
import tempfile

import numpy as np

from vidclass import processes
from vidclass.video.ffmpeg import error_reason, find_ffmpeg, passthrough, stalled_message, video_arguments
from vidclass.video.limits import frame_limit, too_many_frames_message
from vidclass.video.probe import probe
from vidclass.video.times import read_times, sound_output, times_output
from vidclass.video.watchdog import Watchdog


def describe_loss(path, frames, expected, failed, stderr):
    """None, or a line on what is missing of a video of which `frames` of `expected` frames were decoded."""
    # Of our output of times, where ffmpeg guesses wrong of MPEG-PS: no damage.
    stderr = b"\n".join(line for line in stderr.splitlines() if b"monotonically increasing dts" not in line)
    if not failed and not stderr.strip():
        # ffmpeg says nothing of an AVI that is cut short, but its header counts the frames. Elsewhere the
        # number may be an estimate, and lower for good reasons: sound that outlasts the picture.
        with open(path, "rb") as file:
            if file.read(4) != b"RIFF":
                return None
    if failed or frames < expected - 1:
        return f"damaged: {frames} of about {max(expected, frames)} frames decoded ({error_reason(stderr, path)})"
    return None


class FrameReader:
    """Iterates over a video's frames as RGB arrays, all of the size of the first.

    .info: VideoInfo. After the last frame: .loss, None or a line on what could not be decoded; .times, when
    each frame is shown, in seconds from the recording's start, float64 (frames,). Raises FileNotFoundError or
    ValueError, naming the file, when there is no video in it.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        self.info = probe(path)
        self.loss, self.times = None, None

    def __iter__(self):
        # PPM frames carry their size; rgb24 leaves the conversion, with the source's matrix and range, to
        # ffmpeg.
        command = [
            find_ffmpeg(),
            *video_arguments(self.path),
            *passthrough(),
            "-pix_fmt",
            "rgb24",
            "-f",
            "image2pipe",
            "-c:v",
            "ppm",
            "pipe:1",
        ]
        frames, most = 0, frame_limit(self.path)
        with tempfile.TemporaryFile() as log, tempfile.NamedTemporaryFile("r") as times:
            process = processes.popen(
                [*command, *times_output(times.name), *sound_output(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=1 << 20,
            )
            try:
                with Watchdog(process) as watchdog:
                    while (frame := read_ppm(process.stdout)) is not None:
                        watchdog.stop()
                        frames += 1
                        if frames > most:
                            raise ValueError(f"{self.path}: {too_many_frames_message(self.path)}")
                        yield frame
                        watchdog.start()
                    failed = process.wait() != 0
            finally:
                process.kill()
                process.stdout.close()
                process.wait()
            if watchdog.barked:
                raise ValueError(f"{self.path}: {stalled_message(watchdog)}")
            log.seek(0)
            stderr = log.read()
            self.times = read_times(times, frames, self.info.fps)
        if not frames:
            raise ValueError(f"{self.path}: no frame can be decoded ({error_reason(stderr, self.path)})")
        self.loss = describe_loss(self.path, frames, self.info.frames, failed, stderr)


def read_ppm(stream):
    """The next binary PPM image of a stream as a uint8 array (height, width, 3), or None at its end."""
    if stream.readline() != b"P6\n":
        return None
    width, height = map(int, stream.readline().split())
    stream.readline()  # 255
    frame = np.empty((height, width, 3), np.uint8)
    return frame if stream.readinto(frame.reshape(-1)) == frame.size else None
