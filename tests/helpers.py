"""What test files share beside the fixtures of conftest.py."""

import subprocess

import numpy as np

from vidclass.video.drawing import Drawing
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.reader import FrameReader
from vidclass.video.writer import VideoWriter


def ffmpeg(*arguments, **options):
    """Runs ffmpeg, which must succeed. An argument that begins with a dash is split at blanks:
    "-c:v mpeg4 -q:v 2". options: of subprocess.run. Returns a finished subprocess.CompletedProcess."""
    words = []
    for argument in map(str, arguments):
        words += argument.split() if argument.startswith("-") else [argument]
    return subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *words], check=True, **options)


def render_frames(path, frames, rate):
    """Writes frames, uint8 RGB (height, width, 3), to a video without loss: .mkv."""
    frames = np.stack(list(frames))
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    raw = f"-f rawvideo -pix_fmt rgb24 -video_size {size} -framerate {rate}"
    ffmpeg(raw, "-i -", "-c:v ffv1 -pix_fmt gbrp", f"file:{path}", input=frames.tobytes())
    return path


def write_copy(path, source, rate=None, sound=True, drawing=None):
    """Writes a video once more with a VideoWriter. rate: its own, if not given."""
    reader = FrameReader(source)
    frames = sum(1 for _ in reader)
    with VideoWriter(path, reader, sound) as writer:
        writer.write(rate or reader.info.fps, drawing or Drawing(), frames, quiet=True)


BITS = 10  # of the counter in the pictures


def counter(path, frames=300, fps=25, size=(96, 160), arguments=()):
    """Writes a video whose picture n has the bits of n as black and white squares."""
    height, width = size
    command = [find_ffmpeg(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
    command += [
        "-video_size",
        f"{width}x{height}",
        "-framerate",
        str(fps),
        "-i",
        "pipe:0",
        *arguments,
        str(path),
    ]
    subprocess.run(command, input=counter_pictures(frames, size), check=True)
    return path


def counter_pictures(frames, size=(96, 160)):
    """The pictures of counter(), as ffmpeg's rawvideo in gray: bytes."""
    height, width = size
    rows = [
        np.repeat([255 * (number >> bit & 1) for bit in range(BITS)], width // BITS)
        for number in range(frames)
    ]
    return b"".join(np.tile(row.astype(np.uint8), (height, 1)).tobytes() for row in rows)


def read_counter(frame):
    """The number in a picture."""
    width = frame.shape[1] // BITS
    return sum(1 << bit for bit in range(BITS) if frame[:, bit * width : (bit + 1) * width].mean() > 128)
