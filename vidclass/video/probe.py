"""What a video's header says, and what must be counted where it says nothing."""

import contextlib
import itertools
import math
import os
import re
import struct
import subprocess
from fractions import Fraction
from typing import NamedTuple

import cv2

from vidclass import processes
from vidclass.video.ffmpeg import (
    FORMATS,
    find_ffmpeg,
    input_arguments,
    passthrough,
    stalled_message,
    video_arguments,
)
from vidclass.video.limits import MAX_FPS, MAX_PIXELS, MOST_PACKETS, frame_limit, too_many_frames_message
from vidclass.video.mp4_header import check_header
from vidclass.video.watchdog import STALL, Watchdog, read_progress

# OpenCV opens videos only to read their header here.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{FORMATS}")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


class VideoInfo(NamedTuple):
    """What a video's header says."""

    width: int  # pixels, as displayed: after rotation
    height: int
    fps: Fraction  # frames per second, the average where it varies
    frames: int  # as the header says or the duration suggests; 0 if unknown
    pixel_aspect: Fraction  # width of a pixel by its height; not 1 on DVDs and much of television


def probe(path):
    """Reads a video's header. Returns VideoInfo. Raises FileNotFoundError or ValueError, naming the file."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such video file")
    try:
        check_header(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    with _named_for_opencv(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError(f"{path}: no video that can be read (damaged, empty, or sound only)")
        width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        fps, frames = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        aspect = [int(capture.get(p)) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN)]
    finally:
        capture.release()
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{path}: its frames have {width}x{height} pixels; more than {MAX_PIXELS} need --max-pixels"
        )
    # Of a GIF the header has no rate, and what OpenCV makes of its first frames is off by a tenth: they are
    # timed in 1/100 s.
    if _is_gif(path):
        frames, end, _ = read_packets(path)
        fps = frames / end if end > 0 else 0
    if not 0 < fps <= MAX_FPS:
        fps, frames = _measure_fps(path)
    pixel_aspect = Fraction(*aspect) if min(aspect) > 0 else Fraction(1)
    return VideoInfo(width, height, as_frame_rate(fps), max(frames, 0), pixel_aspect)


def _is_gif(path):
    with open(path, "rb") as file:
        return file.read(4) == b"GIF8"


@contextlib.contextmanager
def _named_for_opencv(path):
    """A name by which OpenCV opens a file: it crashes on one that is no text."""
    path = os.fspath(path)
    try:
        path.encode()
        yield f"file:{path}"
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            yield f"file:/proc/self/fd/{file.fileno()}"


def as_frame_rate(fps):
    """The fraction that a frame rate in floating point stands for: 29.97003 is 30000/1001."""
    # MPEG-4 (XVID) counts time in units of at least 1/65535 s.
    rate = Fraction(fps).limit_denominator(1001)
    return (
        rate if rate.numerator <= 65535 else Fraction(fps).limit_denominator(max(1, 65535 // math.ceil(fps)))
    )


def _measure_fps(path):
    """(frames per second, frames) by decoding everything: for headers without a usable rate, as browsers
    record."""
    frames, seconds = _decode(path)
    if not frames or not seconds:
        raise ValueError(f"{path}: neither its header nor its frames give a frame rate")
    return frames / seconds, frames


def count_frames(path):
    """The number of frames that can be decoded. Raises ValueError, naming the file, if there are none."""
    frames, _ = _decode(path)
    if not frames:
        raise ValueError(f"{path}: no frame can be decoded")
    return frames


def _decode(path):
    """(frames, seconds) of a video, by decoding everything. Raises ValueError, naming the file, if that does
    not end."""
    most = frame_limit(path)
    command = [
        find_ffmpeg(),
        *video_arguments(path),
        *passthrough(),
        "-frames:v",
        str(most + 1),
        "-f",
        "null",
        "-progress",
        "pipe:1",
        "-",
    ]
    frames, seconds = 0, 0.0
    with (
        processes.running(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as process,
        Watchdog(process) as watchdog,
    ):
        for frames, seconds in read_progress(process, watchdog):  # noqa: B007
            pass
    if watchdog.barked:
        raise ValueError(f"{path}: {stalled_message(watchdog)}")
    if frames > most:
        raise ValueError(f"{path}: {too_many_frames_message(path)}")
    return frames, seconds


def has_index(path):
    """Whether a file is of a kind that tells where its key frames are, as its first bytes tell: MP4,
    QuickTime, Matroska."""
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") or head[:4] == b"\x1aE\xdf\xa3"


def is_program_stream(path):
    """Whether a file is MPEG-PS (.mpg, .vob), as its first bytes tell."""
    with open(path, "rb") as file:
        return file.read(4) == b"\0\0\1\xba"


def last_duration(path, time):
    """For how many seconds a video's last frame is shown, as its header says; None where that tells nothing.
    time: when it begins, in seconds."""
    return read_packets(path, time - 1)[2] or None  # some round their times


def read_packets(path, start=0.0):
    """(number, end of the last one that is shown, its duration) of a video's frames, times in seconds; of
    those from the key frame before `start` on. As its headers say: nothing is decoded."""
    command = [
        find_ffmpeg(),
        "-nostdin",
        "-v",
        "error",
        *(("-ss", f"{start:.3f}") if start > 0 else ()),
        *input_arguments(path),
        "-map",
        "0:V:0",
        "-c",
        "copy",
        "-f",
        "framecrc",
        "pipe:1",
    ]
    number, last, duration, unit = 0, 0, 0, Fraction(1)
    with (
        processes.running(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
        Watchdog(process) as watchdog,
    ):
        for line in itertools.islice(process.stdout, MOST_PACKETS):
            watchdog.start()
            if found := re.match(r"#tb 0: (\d+)/(\d+)$", line):
                unit = Fraction(int(found[1]), int(found[2]))
            elif found := re.match(r"0, +-?\d+, +(-?\d+), +(\d+),", line):
                number += 1
                last, duration = max((last, duration), (int(found[1]), int(found[2])))
        process.kill()
    return number, float((last + duration) * unit), float(duration * unit)


def audio_format(path):
    """(sampling rate in Hz, channels) of a file's sound, None if it has none."""
    # The AU format, as its header is six numbers whatever the channels are.
    command = [
        find_ffmpeg(),
        "-nostdin",
        "-v",
        "error",
        *input_arguments(path),
        "-map",
        "0:a:0",
        "-frames:a",
        "1",
        "-c:a",
        "pcm_s16be",
        "-f",
        "au",
        "pipe:1",
    ]
    try:
        header = processes.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=STALL).stdout[
            :24
        ]
    except subprocess.TimeoutExpired:
        return None
    return struct.unpack(">4s5I", header)[4:] if len(header) == 24 and header[:4] == b".snd" else None
