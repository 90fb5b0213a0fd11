"""Frames as images: clips split into JPEG files, single pictures, files read, arrays resized."""

import os
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from vidclass.video.ffmpeg import PROGRESS, Ffmpeg, capture, passthrough, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits, frame_limit, too_many_frames_message
from vidclass.video.probe import VideoInfo, has_index, probe
from vidclass.video.reader import describe_loss

# Frames go to JPEG by way of the RGB that FrameReader gives, with no colour left out and at the best quality,
# so that InceptionV3 sees nearly the same in both. JPEG (JFIF) is BT.601 at full range whatever the clip is.
JPEG_FILTER = (
    "format=rgb24,scale=out_color_matrix=bt601:out_range=full:flags=accurate_rnd+full_chroma_int+bicubic,"
    "format=yuvj444p"
)
QUALITY = ("-qmin", "1", "-q:v", "1")
JPEG_OUTPUT = ("-vf", JPEG_FILTER, *QUALITY, "-f", "image2", "%04d.jpg")
JPEG_PIPE = ("-f", "image2pipe", "-c:v", "mjpeg", "pipe:1")
START_OF_IMAGE = b"\xff\xd8\xff"
MJPEG_OUTPUT = ("-q:v", "4", "-f", "image2pipe", "-c:v", "mjpeg", "pipe:1")
ONE_THREAD = ("-threads", "1")  # others work beside this one
KEY_FRAMES = 15  # seconds from one key frame to the next at most: encoders' default is 10


class SplitClip(NamedTuple):
    """A clip's frames."""

    frames: int
    info: VideoInfo
    loss: str | None  # a line on what could not be decoded


def split_into_frames(
    path: str | os.PathLike,
    folder: str | os.PathLike,
    limits: VideoLimits = DEFAULT_LIMITS,
    on_start: Callable[[Ffmpeg], None] | None = None,
) -> SplitClip:
    """Writes a clip's frames as folder/0001.jpg, 0002.jpg, ... in high quality.

    on_start: called with the running Ffmpeg, so that a caller can kill it. Raises OSError or ValueError with
    a reason if no frame can be had, there are more than limits.max_frames, or the frames can't be written.
    """
    info, absolute, possible = probe(path, limits), os.path.abspath(path), frame_limit(path)
    most = min(limits.max_frames, possible)
    # Relative to `folder`: a % in the path would be taken for a frame number.
    output = (*passthrough(), *ONE_THREAD, "-frames:v", str(most + 1), *JPEG_OUTPUT)
    arguments = [*PROGRESS, *ONE_THREAD, *video_arguments(absolute, limits), *output]
    with Ffmpeg(arguments, text=True, folder=os.fspath(folder)) as process:
        if on_start:
            on_start(process)
        for _ in process.progress():
            pass
    frames = len(os.listdir(folder))
    process.check_stall(path)
    if b"No space left" in process.messages:
        raise OSError(f"{path}: the disk is full")
    if not frames or process.returncode < 0:
        raise ValueError(process.reason(absolute))
    if frames > possible:
        raise ValueError(too_many_frames_message(path))
    if frames > limits.max_frames:
        raise ValueError(
            f"it has more than {limits.max_frames} frames; cut clips from it (cut_clips.py), or give a "
            f"greater --max-frames"
        )
    loss = describe_loss(absolute, frames, info.frames, process.failed, process.messages)
    return SplitClip(frames, info, loss)


def jpeg_sizes(path: str | os.PathLike, count: int, limits: VideoLimits = DEFAULT_LIMITS) -> list[int]:
    """How large some frames of a clip are as split_into_frames writes them, in bytes: at most `count` of
    them, every tenth. Nothing is written; of a clip that can't be decoded there are none."""
    output = ("-frames:v", str(count), "-vf", f"framestep=10,{JPEG_FILTER}", *QUALITY)
    content = capture([*ONE_THREAD, *video_arguments(path, limits), *passthrough(), *output, *JPEG_PIPE])
    # In the data of a JPEG, no byte after 0xff is one of a marker's.
    return [len(START_OF_IMAGE + rest) for rest in content.split(START_OF_IMAGE)[1:]]


def still_image(
    path: str | os.PathLike,
    seconds: float,
    video_filter: str,
    limits: VideoLimits = DEFAULT_LIMITS,
    patience: float | None = None,
) -> bytes | None:
    """A JPEG of the frame that a recording shows at a time in seconds, None if there is none.

    video_filter: of ffmpeg, to scale it. patience: seconds that it may take (None: watchdog.STALL).
    """
    # Without an index ffmpeg lands late, up to the next key frame: so it is sent well before, and decodes its
    # way.
    seek = seconds if has_index(path) else max(0.0, seconds - KEY_FRAMES)
    place = (*ONE_THREAD, "-ss", f"{seek:.3f}", "-copyts", "-start_at_zero")
    output = ("-frames:v", "1", "-vf", f"trim=start={seconds:.3f},{video_filter}", *MJPEG_OUTPUT)
    return capture([*place, *video_arguments(path, limits), *output], patience) or None


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as a uint8 RGB array (height, width, 3). Raises OSError, or ValueError if it is not an
    image."""
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise ValueError(f"{path}: not a readable image")
    return image


def resize(rgb: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 RGB image at the height and width of image_shape; averaging when it shrinks, bilinear when it
    grows."""
    height, width = image_shape[:2]
    if rgb.shape[:2] == (height, width):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height * width
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
