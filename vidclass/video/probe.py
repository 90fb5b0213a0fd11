"""What a video's header says, and what must be counted where it says nothing."""

import contextlib
import itertools
import math
import os
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import cv2

from vidclass import platform
from vidclass.video.ffmpeg import (
    FORMATS,
    Ffmpeg,
    capture,
    input_arguments,
    passthrough,
    run_to_end,
    video_arguments,
)
from vidclass.video.limits import (
    DEFAULT_LIMITS,
    MAX_FPS,
    MOST_PACKETS,
    VideoLimits,
    frame_limit,
    too_many_frames_message,
)
from vidclass.video.mp4_header import check_header

# OpenCV opens videos only to read their header here.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{FORMATS}")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# It reads its other settings when it is loaded, which another module, or a notebook, may have done before.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class VideoInfo(NamedTuple):
    """What a video's header says."""

    width: int  # pixels, as displayed: after rotation
    height: int
    fps: Fraction  # frames per second, the average where it varies
    frames: int  # as the header says or the duration suggests; 0 if unknown
    pixel_aspect: Fraction  # width of a pixel by its height; not 1 on DVDs and much of television
    rotation: int = 0  # degrees by which the frames are rotated to be displayed


def probe(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> VideoInfo:
    """What a video's header says. Raises FileNotFoundError or ValueError, naming the file, also if its frames
    are larger than the limits allow."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such video file")
    try:
        check_header(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    width, height, fps, frames, aspect, rotation = _read_header(path)
    if width * height > limits.max_pixels:
        raise ValueError(
            f"{path}: its frames have {width}x{height} pixels; more than {limits.max_pixels} "
            f"need --max-pixels"
        )
    # A GIF's header has no rate, and what OpenCV makes of its first frames is off by a tenth: they are timed
    # in 1/100 s.
    if _is_gif(path):
        frames, end, _ = read_packets(path, limits=limits)
        fps = frames / end if end > 0 else 0
    if not 0 < fps <= MAX_FPS:
        fps, frames = _measure_fps(path, limits)
    return VideoInfo(width, height, as_frame_rate(fps), max(frames, 0), aspect, rotation)


def _read_header(path):
    """(width, height, frames per second, frames, pixel aspect, rotation) as OpenCV reads a header. Raises
    ValueError, naming the file, if there is no video."""
    with _named_for_opencv(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError(f"{path}: no video that can be read (damaged, empty, or sound only)")
        sizes = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        width, height = (int(capture.get(size)) for size in sizes)
        fps, frames = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        aspect = [int(capture.get(part)) for part in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN)]
        rotation = int(capture.get(cv2.CAP_PROP_ORIENTATION_META))
    finally:
        capture.release()
    pixel_aspect = Fraction(*aspect) if min(aspect) > 0 else Fraction(1)
    return width, height, fps, frames, pixel_aspect, rotation


def _is_gif(path):
    with open(path, "rb") as file:
        return file.read(4) == b"GIF8"


@contextlib.contextmanager
def _named_for_opencv(path: str | os.PathLike) -> Iterator[str]:
    """A name by which OpenCV opens a file: it crashes on one that is not text. Raises ValueError, naming the
    file, if there is none."""
    path = os.fspath(path)
    try:
        path.encode()
        yield f"file:{path}"
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            name = platform.descriptor_path(file.fileno())
            if name is None:
                raise ValueError(f"{path}: on this system its name must be text; rename it") from None
            yield f"file:{name}"


def as_frame_rate(fps: float) -> Fraction:
    """The fraction that a frame rate in floating point stands for: 29.97003 is 30000/1001."""
    # MPEG-4 (XVID) counts time in units of at least 1/65535 s.
    rate = Fraction(fps).limit_denominator(1001)
    if rate.numerator <= 65535:
        return rate
    return Fraction(fps).limit_denominator(max(1, 65535 // math.ceil(fps)))


def _measure_fps(path, limits):
    """(frames per second, frames) by decoding everything: for headers without a usable rate, as browsers
    record."""
    frames, seconds = _decode(path, limits)
    if not frames or not seconds:
        raise ValueError(f"{path}: neither its header nor its frames give a frame rate")
    return frames / seconds, frames


def count_frames(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> int:
    """The number of frames that can be decoded. Raises ValueError, naming the file, if there are none."""
    frames, _ = _decode(path, limits)
    if not frames:
        raise ValueError(f"{path}: no frame can be decoded")
    return frames


def _decode(path, limits):
    """(frames, seconds) of a video, by decoding everything. Raises ValueError, naming the file, if that does
    not end."""
    most = frame_limit(path)
    output = (*passthrough(), "-frames:v", str(most + 1), "-f", "null", "-")
    frames, seconds = run_to_end([*video_arguments(path, limits), *output], path)
    if frames > most:
        raise ValueError(f"{path}: {too_many_frames_message(path)}")
    return frames, seconds


def has_index(path: str | os.PathLike) -> bool:
    """Whether a file is of a kind that tells where its key frames are, as its first bytes tell: MP4,
    QuickTime, Matroska."""
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") or head[:4] == b"\x1aE\xdf\xa3"


def is_program_stream(path: str | os.PathLike) -> bool:
    """Whether a file is MPEG-PS (.mpg, .vob), as its first bytes tell."""
    with open(path, "rb") as file:
        return file.read(4) == b"\0\0\1\xba"


def last_duration(path: str | os.PathLike, time: float, limits: VideoLimits = DEFAULT_LIMITS) -> float | None:
    """For how many seconds a video's last frame is shown, as its header says; None where that tells nothing.
    time: when it begins, in seconds."""
    return read_packets(path, time - 1, limits)[2] or None  # some round their times


def read_packets(
    path: str | os.PathLike, start: float = 0.0, limits: VideoLimits = DEFAULT_LIMITS
) -> tuple[int, float, float]:
    """(number, end of the last one that is shown, its duration) of a video's frames, times in seconds; of
    those from the key frame before `start` on. As its headers say: nothing is decoded."""
    seek = ("-ss", f"{start:.3f}") if start > 0 else ()
    number, last, duration, final, unit = 0, 0, 0, 0, Fraction(1)
    arguments = [*seek, *video_arguments(path, limits), "-c", "copy", "-f", "framecrc", "pipe:1"]
    with Ffmpeg(arguments, text=True) as process:
        for line in itertools.islice(process.stdout, MOST_PACKETS):
            process.watchdog.start()
            if found := re.match(r"#tb 0: (\d+)/(\d+)$", line):
                unit = Fraction(int(found[1]), int(found[2]))
            elif found := re.match(r"0, +-?\d+, +(-?\d+), +(\d+),", line):
                number += 1
                last, duration = max((last, duration), (int(found[1]), int(found[2])))
                final = int(found[2])
        process.kill()
    duration = own_duration(duration, final)
    return number, float((last + duration) * unit), float(duration * unit)


def own_duration(duration: int, final: int) -> int:
    """How long the frame that is shown last is shown. duration: of its packet, in MP4 that to the next one in
    the order of decoding, if there is one. final: of the packet that is decoded last, after which there is
    none; 0 if it has none."""
    return min(duration, final) if final > 0 else duration


def audio_format(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> tuple[int, int] | None:
    """(sampling rate in Hz, channels) of a file's sound, None if it has none."""
    # The AU format, as its header is six numbers whatever the channels are.
    output = ("-map", "0:a:0", "-frames:a", "1", "-c:a", "pcm_s16be", "-f", "au", "pipe:1")
    header = capture([*input_arguments(path, limits), *output])[:24]
    if len(header) < 24 or header[:4] != b".snd":
        return None
    *_, rate, channels = struct.unpack(">4s5I", header)
    return rate, channels
