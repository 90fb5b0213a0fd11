"""Frames as images: clips split into JPEG files, files read, arrays resized."""

import os
import subprocess
import tempfile

import cv2
import numpy as np

from vidclass import processes
from vidclass.video.ffmpeg import error_reason, find_ffmpeg, passthrough, stalled_message, video_arguments
from vidclass.video.limits import frame_limit, too_many_frames_message
from vidclass.video.probe import probe
from vidclass.video.reader import describe_loss
from vidclass.video.watchdog import Watchdog, read_progress

# Frames go to JPEG by way of the RGB that FrameReader gives, with no colour left out and at the best quality,
# so that InceptionV3 sees nearly the same in both. JPEG (JFIF) is BT.601 at full range whatever the clip is.
JPEG_FILTER = (
    "format=rgb24,scale=out_color_matrix=bt601:out_range=full:flags=accurate_rnd+full_chroma_int+bicubic,"
    "format=yuvj444p"
)
JPEG_QUALITY = ("-qmin", "1", "-q:v", "1")


def split_into_frames(path, folder, on_start=None, most=None):
    """Writes a clip's frames as folder/0001.jpg, 0002.jpg, ... in high quality.

    on_start: called with the running subprocess.Popen, so that a caller can end it. most: frames that it may
    have. Returns (number of frames, VideoInfo, None or a line on what could not be decoded). Raises OSError
    or ValueError with a reason if no frame can be had, or the frames can't be written.
    """
    info, absolute, limit = probe(path), os.path.abspath(path), frame_limit(path)
    # Relative to `folder`: a % in the path would be taken for a frame number.
    command = [
        find_ffmpeg(),
        "-threads",
        "1",
        *video_arguments(absolute),
        *passthrough(),
        "-vf",
        JPEG_FILTER,
        *JPEG_QUALITY,
        "-threads",
        "1",
        "-frames:v",
        str(min(most or limit, limit) + 1),
        "-progress",
        "pipe:1",
        "-f",
        "image2",
        "%04d.jpg",
    ]
    with (
        tempfile.TemporaryFile() as log,
        processes.running(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
        ) as process,
    ):
        if on_start:
            on_start(process)
        with Watchdog(process) as watchdog:
            for _ in read_progress(process, watchdog):
                pass
            process.wait()
        log.seek(0)
        stderr = log.read()
    frames = len(os.listdir(folder))
    if watchdog.barked:
        raise ValueError(stalled_message(watchdog))
    if b"No space left" in stderr:
        raise OSError(f"{path}: the disk is full")
    if not frames or process.returncode < 0:
        raise ValueError(error_reason(stderr, absolute))
    if frames > limit:
        raise ValueError(too_many_frames_message(path))
    if most and frames > most:
        raise ValueError(
            f"it has more than {most} frames; cut clips from it (cut_clips.py), or give a greater --max-frames"
        )
    return frames, info, describe_loss(absolute, frames, info.frames, process.returncode != 0, stderr)


def read_image(path):
    """An image file as a uint8 RGB array (height, width, 3). Raises OSError, or ValueError if it is no image."""
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise ValueError(f"{path}: not a readable image")
    return image


def resize(rgb, image_shape):
    """A uint8 RGB image at the height and width of image_shape; averaging when it shrinks, bilinear when it
    grows."""
    height, width = image_shape[:2]
    if rgb.shape[:2] == (height, width):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height * width
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
