"""Probing, reading and writing video with ffmpeg. Frames are uint8 RGB arrays (height, width, 3) everywhere.

Training clips and the video to classify are decoded by the same ffmpeg with the same rules (every decoded frame once,
rotation applied, the source's own colour matrix), so that the same frame looks the same in both.
"""
import contextlib
import functools
import itertools
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile
from fractions import Fraction
from typing import NamedTuple

import numpy as np

import encoders
import files
import processes
from mp4_header import check_header
from watchdog import STALL, Watchdog, read_progress

# Containers, as ffmpeg's demuxers are called. None of those that name other files or hosts, which ffmpeg would open: HLS,
# DASH, concat, image patterns, SDP and the like.
FORMATS = ("mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,gxf,dv,nut,ivf,obu,h264,hevc,m4v,vc1,yuv4mpegpipe,gif,wtv,"
           "rm")
# OpenCV opens videos only to read their header here.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{FORMATS}")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

# Pixels of a frame at most, twice those of 8K: a header of some bytes may announce any number. --max-pixels changes it.
MAX_PIXELS = 2 ** 26
# Bytes that a file has for each of its frames at least: "the same again" takes so many with its entry in the container.
# From less, an edit list that repeats what is there could make frames without end.
BYTES_PER_FRAME = 4
FEWEST_FRAMES = 1000  # that a file may have however small it is
# Frame rates outside of this are a container's time base rather than the rate of its frames.
MAX_FPS = 300
# Frames whose times are read at most: enough for a rate, and for any distance between key frames.
MOST_PACKETS = 10 ** 6

# Frames go to JPEG by way of the RGB that FrameReader gives, with no colour left out and at the best quality, so that
# InceptionV3 sees nearly the same in both. JPEG (JFIF) is BT.601 at full range whatever the clip is.
JPEG_FILTER = ("format=rgb24,scale=out_color_matrix=bt601:out_range=full:flags=accurate_rnd+full_chroma_int+bicubic,"
               "format=yuvj444p")
JPEG_QUALITY = ("-qmin", "1", "-q:v", "1")


class VideoInfo(NamedTuple):
    """What a video's header says."""
    width: int  # pixels, as displayed: after rotation
    height: int
    fps: Fraction  # frames per second, the average where it varies
    frames: int  # as the header says or the duration suggests; 0 if unknown
    pixel_aspect: Fraction  # width of a pixel by its height; not 1 on DVDs and much of television


@functools.cache
def find_ffmpeg():
    """The ffmpeg on PATH, else the one in imageio-ffmpeg's wheel. Raises FileNotFoundError if there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise FileNotFoundError("no ffmpeg found: install it (apt install ffmpeg), or run "
                                "pip install imageio-ffmpeg, which carries one") from None


def probe(path):
    """Reads a video's header. Returns VideoInfo. Raises FileNotFoundError or ValueError, naming the file."""
    import cv2
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
        raise ValueError(f"{path}: its frames have {width}x{height} pixels; more than {MAX_PIXELS} need --max-pixels")
    # Of a GIF the header has no rate, and what OpenCV makes of its first frames is off by a tenth: they are timed in 1/100 s.
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
    return rate if rate.numerator <= 65535 else Fraction(fps).limit_denominator(max(1, 65535 // math.ceil(fps)))


def _measure_fps(path):
    """(frames per second, frames) by decoding everything: for headers without a usable rate, as browsers record."""
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
    """(frames, seconds) of a video, by decoding everything. Raises ValueError, naming the file, if that does not end."""
    most = frame_limit(path)
    command = [find_ffmpeg(), *_input(path), *passthrough(), "-frames:v", str(most + 1), "-f", "null", "-progress", "pipe:1",
               "-"]
    frames, seconds = 0, 0.0
    with processes.running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           errors="replace") as process, Watchdog(process) as watchdog:
        for frames, seconds in read_progress(process, watchdog):  # noqa: B007
            pass
    if watchdog.barked:
        raise ValueError(f"{path}: {stall_text(watchdog)}")
    if frames > most:
        raise ValueError(f"{path}: {repeated_text(path)}")
    return frames, seconds


def frame_limit(path):
    """How many frames can be in a file, by its size."""
    return max(FEWEST_FRAMES, os.path.getsize(path) // BYTES_PER_FRAME)


def repeated_text(path):
    """Why a file with more frames than that is refused."""
    return (f"more than {frame_limit(path)} frames come out of {os.path.getsize(path)} bytes, an edit list repeats them; "
            f"encode it anew with ffmpeg")


def stall_text(watchdog):
    """Why a file on which ffmpeg was stuck is refused."""
    return f"ffmpeg made no progress with it for {watchdog.seconds:g} s and was ended"


def _input(path):
    """ffmpeg's arguments that open a file and choose its video (not a cover picture)."""
    return ["-nostdin", "-hide_banner", "-v", "error", *source(path), "-map", "0:V:0"]


def source(path):
    """ffmpeg's arguments that open a file and nothing else. (Decoders round a frame's sides up before they compare.)"""
    return ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-max_pixels", str(2 * MAX_PIXELS),
            "-i", f"file:{os.fspath(path)}"]


@functools.cache
def passthrough():
    """ffmpeg's arguments for 'each decoded frame once, none dropped or doubled to keep a rate'."""
    version = processes.run([find_ffmpeg(), "-version"], capture_output=True, text=True, errors="replace").stdout
    libavcodec = re.search(r"libavcodec\s+(\d+)\.\s*(\d+)\.\s*(\d+)", version)
    # ffmpeg 5.1 (libavcodec 59.37) renamed -vsync, and later ones dropped the old name.
    recent = libavcodec is None or tuple(map(int, libavcodec.groups())) >= (59, 37, 100)
    return ("-fps_mode", "passthrough") if recent else ("-vsync", "passthrough")


def reason(stderr, path):
    """The part of ffmpeg's messages that tells a person what is wrong."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    if any("matches no streams" in line for line in lines):
        return "it has no video stream"
    # '[mov,mp4 @ 0x55d0c8] moov atom not found' without the address and without the path we name ourselves.
    lines = [re.sub(r"^\[[^\]]*@[^\]]*\]\s*", "", line).replace(f"file:{os.fspath(path)}: ", "") for line in lines]
    return lines[0] if lines else "it ends too early"


def has_failed(returncode, stderr):
    """Whether ffmpeg's output is incomplete: up to version 5 it ends with 0 when the disk is full at the last moment."""
    return returncode != 0 or b"Error writing trailer" in stderr or b"Error closing file" in stderr


def _loss(path, frames, expected, failed, stderr):
    """None, or a line on what is missing of a video of which `frames` of `expected` frames were decoded."""
    # Of our output of times, where ffmpeg guesses wrong of MPEG-PS: no damage.
    stderr = b"\n".join(line for line in stderr.splitlines() if b"monotonically increasing dts" not in line)
    if not failed and not stderr.strip():
        # ffmpeg says nothing of an AVI that is cut short, but its header counts the frames. Elsewhere the number may be
        # an estimate, and lower for good reasons: sound that outlasts the picture.
        with open(path, "rb") as file:
            if file.read(4) != b"RIFF":
                return None
    if failed or frames < expected - 1:
        return f"damaged: {frames} of about {max(expected, frames)} frames decoded ({reason(stderr, path)})"
    return None


def split_into_frames(path, folder, on_start=None, most=None):
    """Writes a clip's frames as folder/0001.jpg, 0002.jpg, ... in high quality.

    on_start: called with the running subprocess.Popen, so that a caller can end it. most: frames that it may have.
    Returns (number of frames, VideoInfo, None or a line on what could not be decoded).
    Raises OSError or ValueError with a reason if no frame can be had, or the frames can't be written.
    """
    info, absolute, limit = probe(path), os.path.abspath(path), frame_limit(path)
    # Relative to `folder`: a % in the path would be taken for a frame number.
    command = [find_ffmpeg(), "-threads", "1", *_input(absolute), *passthrough(), "-vf", JPEG_FILTER,
               *JPEG_QUALITY, "-threads", "1", "-frames:v", str(min(most or limit, limit) + 1), "-progress", "pipe:1",
               "-f", "image2", "%04d.jpg"]
    with tempfile.TemporaryFile() as log, processes.running(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            errors="replace") as process:
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
        raise ValueError(stall_text(watchdog))
    if b"No space left" in stderr:
        raise OSError(f"{path}: the disk is full")
    if not frames or process.returncode < 0:
        raise ValueError(reason(stderr, absolute))
    if frames > limit:
        raise ValueError(repeated_text(path))
    if most and frames > most:
        raise ValueError(f"it has more than {most} frames; cut clips from it (cut_clips.py), or give a greater --max-frames")
    return frames, info, _loss(absolute, frames, info.frames, process.returncode != 0, stderr)


class FrameReader:
    """Iterates over a video's frames as RGB arrays, all of the size of the first.

    .info: VideoInfo. After the last frame: .loss, None or a line on what could not be decoded; .times, when each frame is
    shown, in seconds from the recording's start, float64 (frames,).
    Raises FileNotFoundError or ValueError, naming the file, when there is no video in it.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        self.info = probe(path)
        self.loss, self.times = None, None

    def __iter__(self):
        # PPM frames carry their size; rgb24 leaves the conversion, with the source's matrix and range, to ffmpeg.
        command = [find_ffmpeg(), *_input(self.path), *passthrough(),
                   "-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
        frames, most = 0, frame_limit(self.path)
        with tempfile.TemporaryFile() as log, tempfile.NamedTemporaryFile("r") as times:
            process = processes.popen([*command, *times_output(times.name), *sound_output(self.path)], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=log, bufsize=1 << 20)
            try:
                with Watchdog(process) as watchdog:
                    while (frame := read_ppm(process.stdout)) is not None:
                        watchdog.stop()
                        frames += 1
                        if frames > most:
                            raise ValueError(f"{self.path}: {repeated_text(self.path)}")
                        yield frame
                        watchdog.start()
                    failed = process.wait() != 0
            finally:
                process.kill()
                process.stdout.close()
                process.wait()
            if watchdog.barked:
                raise ValueError(f"{self.path}: {stall_text(watchdog)}")
            log.seek(0)
            stderr = log.read()
            self.times = _read_times(times, frames, self.info.fps)
        if not frames:
            raise ValueError(f"{self.path}: no frame can be decoded ({reason(stderr, self.path)})")
        self.loss = _loss(self.path, frames, self.info.frames, failed, stderr)


def find_times(path, arguments=(), most=None, until=None):
    """When the frames of a video are shown, in seconds from the recording's beginning, float64 (frames,): with ffmpeg's further
    `arguments` for its input, of the first `most` frames, of those before `until`. Raises ValueError if ffmpeg is stuck."""
    with tempfile.NamedTemporaryFile("r") as times:
        options = ("-frames:v", str(most or frame_limit(path)), *(() if until is None else ("-to", f"{until:.6f}")))
        command = [find_ffmpeg(), "-progress", "pipe:1", *arguments, *_input(path),
                   *times_output(times.name, mapped=True, options=options), *sound_output(path)]
        with processes.running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, errors="replace") as process, Watchdog(process) as watchdog:
            for _ in read_progress(process, watchdog):
                pass
        if watchdog.barked:
            raise ValueError(f"{path}: {stall_text(watchdog)}")
        return np.array(read_stamps(times))


def start_time(path):
    """When a video's first frame is shown, in seconds from the recording's start; its sound may begin earlier."""
    times = find_times(path, most=1)
    return float(times[0]) if len(times) else 0.0


def has_index(path):
    """Whether a file is of a kind that tells where its key frames are, as its first bytes tell: MP4, QuickTime, Matroska."""
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") or head[:4] == b"\x1aE\xdf\xa3"


def is_program_stream(path):
    """Whether a file is MPEG-PS (.mpg, .vob), as its first bytes tell."""
    with open(path, "rb") as file:
        return file.read(4) == b"\0\0\1\xba"


def times_output(path, mapped=False, options=()):
    """ffmpeg's arguments for an output beside the frames: the time of each in milliseconds, a line each."""
    # Without a time base of its own, an encoder rounds times to the frame rate that the header tells.
    return [*(() if mapped else ("-map", "0:V:0")), *passthrough(), *options, "-c:v", "wrapped_avframe",
            "-enc_time_base", "1:90000", "-f", "mkvtimestamp_v2", "-y", f"file:{path}"]


def _read_times(file, frames, fps):
    """Seconds at which so many frames are shown, float64, from what times_output wrote. Where they are a constant rate's,
    rounded or guessed by ffmpeg, they are that rate's; where there are none, too."""
    regular = np.arange(frames) / float(fps)
    found = read_stamps(file)[:frames]
    if len(found) < frames or not frames:
        return regular
    found = np.maximum.accumulate(found)
    first, is_regular = first_time(found, fps)
    return first + regular if is_regular else found


def first_time(times, fps):
    """(when the first frame is shown in seconds, whether frames with these times come at a constant rate).

    If they do, most of them tell when the first one is shown; its own time may be wrong (of H.264 in AVI it is). MPEG-PS gives
    a time to some frames only: of the others ffmpeg guesses some wrong by some frames, for a second or two, and all is well again.
    """
    times = np.asarray(times)
    first = np.median(times - np.arange(len(times)) / float(fps))
    off = np.abs(times - first - np.arange(len(times)) / float(fps)) * float(fps)  # in frames
    is_regular = off.max() < 0.5 or (off.max() < 8 and off[-1] < 0.5 and (off < 0.5).mean() > 0.8)
    return float(first if is_regular else times[0]), bool(is_regular)


def sound_output(path, number=0):
    """ffmpeg's arguments for an output that goes nowhere, with the first picture and sound of a file, its input of this number.

    Of MPEG-TS, MPEG-PS and Ogg (AVFMT_TS_DISCONT) ffmpeg counts time from the beginning of the earliest stream that it uses.
    Players use all of them, and broadcasts begin with sound: so whatever asks for times must use the sound, too.
    """
    with open(path, "rb") as file:
        head = file.read(3 * 204)
    is_transport_stream = any(head[at:at + 1] == head[at + size:at + size + 1] == head[at + 2 * size:at + 2 * size + 1] == b"G"
                              for size in (188, 192, 204) for at in range(size))
    if not is_transport_stream and head[:4] not in (b"OggS", b"\0\0\1\xba"):
        return []
    return ["-map", f"{number}:V:0", "-map", f"{number}:a?", "-c", "copy", "-frames:v", "1", "-frames:a", "1", "-f", "null", "-"]


def read_stamps(file):
    """The times in what times_output wrote, in seconds."""
    return [float(line) / 1000 for line in file if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?\n?", line)]


def read_ppm(stream):
    """The next binary PPM image of a stream as a uint8 array (height, width, 3), or None at its end."""
    if stream.readline() != b"P6\n":
        return None
    width, height = map(int, stream.readline().split())
    stream.readline()  # 255
    frame = np.empty((height, width, 3), np.uint8)
    return frame if stream.readinto(frame.reshape(-1)) == frame.size else None


def last_duration(path, time):
    """For how many seconds a video's last frame is shown, as its header says; None where that tells nothing. time: when it
    begins, in seconds."""
    return read_packets(path, time - 1)[2] or None  # some round their times


def read_packets(path, start=0.0):
    """(number, end of the last one that is shown, its duration) of a video's frames, times in seconds; of those from the key
    frame before `start` on. As its headers say: nothing is decoded."""
    command = [find_ffmpeg(), "-nostdin", "-v", "error", *(("-ss", f"{start:.3f}") if start > 0 else ()), *source(path),
               "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "pipe:1"]
    number, last, duration, unit = 0, 0, 0, Fraction(1)
    with processes.running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True) as process, Watchdog(process) as watchdog:
        for line in itertools.islice(process.stdout, MOST_PACKETS):
            watchdog.start()
            if found := re.match(r"#tb 0: (\d+)/(\d+)$", line):
                unit = Fraction(int(found[1]), int(found[2]))
            elif found := re.match(r"0, +-?\d+, +(-?\d+), +(\d+),", line):
                number += 1
                last, duration = max((last, duration), (int(found[1]), int(found[2])))
        process.kill()
    return number, float((last + duration) * unit), float(duration * unit)


def steady_rate(fps, times):
    """The constant frame rate at which a video lasts as long as with these times, of all frames and of the end: fps, its own,
    where that is so to half a frame."""
    frames, seconds = len(times) - 1, times[-1] - times[0]
    if abs(frames / float(fps) - seconds) < 0.5 / float(fps) or seconds <= 0:
        return fps
    return as_frame_rate(min(max(frames / seconds, 1 / 1000), MAX_FPS))


def audio_format(path):
    """(sampling rate in Hz, channels) of a file's sound, None if it has none."""
    # The AU format, as its header is six numbers whatever the channels are.
    command = [find_ffmpeg(), "-nostdin", "-v", "error", *source(path), "-map", "0:a:0", "-frames:a", "1", "-c:a", "pcm_s16be",
               "-f", "au", "pipe:1"]
    try:
        header = processes.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=STALL).stdout[:24]
    except subprocess.TimeoutExpired:
        return None
    return struct.unpack(">4s5I", header)[4:] if len(header) == 24 and header[:4] == b".snd" else None


def _sound(path):
    """ffmpeg's arguments for the sound of a file, if it has any, beside pictures that begin with its first frame."""
    start = start_time(path)
    return [*source(path), "-map", "0:v", "-map", "1:a:0?",
            "-af", f"atrim=start={start:.6f},asetpts=PTS-{start:.6f}/TB,aresample=async=1:first_pts=0,"
            # ffmpeg's AVI of MP3 at lower rates, whose packets are half as long, plays at half the speed.
            "aformat=sample_rates=32000|44100|48000"]


class VideoWriter:
    """Writes RGB frames as a video, which appears under its name when the `with` block ends well, else not at all.

    path: the file to write; its extension chooses between XVID in .avi and H.264 in .mp4, .m4v, .mov and .mkv, see encoders.
    fps, pixel_aspect: see VideoInfo. The first frame sets the size; one that H.264 can't have, of odd height or width, gets
    its last row or column twice. sound: a video with the sound to add, if it has any, from the moment of its first frame on.
    .rate: fps, to be changed before the first frame at the latest.
    Raises OSError, naming the file, if it can't be written, ValueError for another extension.
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
            self._partial = files.partial_name(self.path)
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
        coding_filter, coding = encoders.arguments(self.path, find_ffmpeg(), round(height * width * self.rate / 5))
        filters = [f"setsar={self._pixel_aspect.numerator}/{self._pixel_aspect.denominator}",
                   *([coding_filter] if coding_filter else ())]
        command = [find_ffmpeg(), "-hide_banner", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
                   "-video_size", f"{width}x{height}", "-framerate", str(self.rate), "-i", "pipe:0",
                   *(_sound(self._sound) if self._sound else ()), *passthrough(), "-vf", ",".join(filters), *coding,
                   f"file:{self._partial}", *(sound_output(self._sound, 1) if self._sound else ())]
        self._process = processes.popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log)

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
            files.discard(self._partial)

    def _fail(self):
        self._process.wait()
        self._log.seek(0)
        raise OSError(f"{self.path}: can't be written ({reason(self._log.read(), self._partial)})")
