"""When the frames of a video are shown."""

import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from vidclass.video.ffmpeg import Ffmpeg, passthrough, run_to_end, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, MAX_FPS, MOST_PACKETS, VideoLimits, frame_limit
from vidclass.video.probe import as_frame_rate, own_duration

MOST_OFF = 0.25  # seconds that a regular frame may be off its time
NOTICEABLE = 0.05  # seconds by which sound and picture may differ: ITU-R BT.1359's 0.045
TIME_BASE = 60_000  # ticks a second of times that at_times sets: MPEG-4 has at most 65,535
LEAST_STEP = TIME_BASE // 1000  # between two frames: Matroska has milliseconds
MOST_SET = 100_000  # frames of which at_times can set the times, in 150 MB of ffmpeg's memory


def find_times(
    path: str | os.PathLike,
    arguments: Sequence[str] = (),
    most: int | None = None,
    until: float | None = None,
    limits: VideoLimits = DEFAULT_LIMITS,
) -> np.ndarray:
    """When the frames of a video are shown, in seconds from the recording's beginning, float64 (frames,).

    arguments: further ones of ffmpeg for its input. most: only the first so many frames. until: only those
    before this time. Raises ValueError if ffmpeg is stuck.
    """
    options = ["-frames:v", str(most or frame_limit(path))]
    if until is not None:
        options += ["-to", f"{until:.6f}"]
    with tempfile.NamedTemporaryFile("r") as times:
        output = times_output(times.name, mapped=True, options=options)
        run_to_end([*arguments, *video_arguments(path, limits), *output, *sound_output(path)], path)
        return np.array(read_stamps(times))


def start_time(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> float:
    """When a video's first frame is shown, in seconds from the recording's start; its sound may begin
    earlier."""
    times = find_times(path, most=1, limits=limits)
    return float(times[0]) if len(times) else 0.0


def times_output(path: str, mapped: bool = False, options: Sequence[str] = ()) -> list[str]:
    """ffmpeg's arguments for an output beside the frames: the time of each in milliseconds, a line each.
    mapped: the video has been chosen already."""
    chosen = () if mapped else ("-map", "0:V:0")
    # Without a time base of its own, an encoder rounds times to the header's frame rate.
    coding = ("-c:v", "wrapped_avframe", "-enc_time_base", "1:90000", "-f", "mkvtimestamp_v2")
    return [*chosen, *passthrough(), *options, *coding, f"file:{path}"]


def read_times(file: Iterable[str], frames: int, fps: Fraction) -> np.ndarray:
    """When so many frames are shown, in seconds, float64 (frames,), from what times_output wrote. Where they
    come at a constant rate, with times that are rounded or that ffmpeg has guessed, they are that rate's;
    where there are no times, too."""
    regular = np.arange(frames) / float(fps)
    stamps = read_stamps(file)[:frames]
    if len(stamps) < frames or not frames:
        return regular
    found = np.maximum.accumulate(stamps)
    first, is_regular = first_time(found, fps)
    return first + regular if is_regular else found


def first_time(times: Sequence[float] | np.ndarray, fps: Fraction) -> tuple[float, bool]:
    """(when the first frame is shown in seconds, whether frames with these times come at a constant rate).

    If they do, most of them tell when the first one is shown; its own time may be wrong (of H.264 in AVI it
    is). MPEG-PS gives a time to some frames only: of the others ffmpeg guesses some wrong by some frames, for
    a second or two, and all is well again.
    """
    times = np.asarray(times)
    first = np.median(times - np.arange(len(times)) / float(fps))
    off = np.abs(times - first - np.arange(len(times)) / float(fps)) * float(fps)  # in frames
    most = min(0.5, MOST_OFF * float(fps))
    is_regular = off.max() < most or (off.max() < 8 and off[-1] < most and (off < most).mean() > 0.8)
    return float(first if is_regular else times[0]), bool(is_regular)


def has_constant_rate(times: np.ndarray, rate: Fraction) -> bool:
    """Whether read_times has given frames the times of a constant rate."""
    return _largest_difference(times, rate) < 1e-6


def _largest_difference(times, rate):
    """How far times are at most from those of a constant rate that begin with the first, in seconds."""
    return float(np.abs(times - times[0] - np.arange(len(times)) / float(rate)).max())


def from_time(first: float) -> str:
    """ffmpeg's filter that counts time from a moment on, in seconds."""
    return f"setpts=PTS-({first:.6f})/TB"


def constant_rate(fps: Fraction) -> str:
    """ffmpeg's filter that lets frames come at a constant rate from time 0 on."""
    return f"fps={fps}:start_time=0"


def sound_output(path: str | os.PathLike, number: int = 0) -> list[str]:
    """ffmpeg's arguments for an output that goes nowhere, with the first picture and sound of a file, its
    input of this number.

    Of MPEG-TS, MPEG-PS and Ogg (AVFMT_TS_DISCONT) ffmpeg counts time from the beginning of the earliest
    stream that it uses. Players use all of them, and broadcasts begin with sound: so whatever asks for times
    must use the sound, too.
    """
    with open(path, "rb") as file:
        head = file.read(3 * 204)
    # A packet of MPEG-TS begins with a G and has one of three sizes.
    is_transport_stream = any(
        [head[at + n * size : at + n * size + 1] for n in range(3)] == [b"G"] * 3
        for size in (188, 192, 204)
        for at in range(size)
    )
    if not is_transport_stream and head[:4] not in (b"OggS", b"\0\0\1\xba"):
        return []
    streams = ["-map", f"{number}:V:0", "-map", f"{number}:a?"]
    return [*streams, "-c", "copy", "-frames:v", "1", "-frames:a", "1", "-f", "null", "-"]


def read_stamps(file: Iterable[str]) -> list[float]:
    """The times in what times_output wrote, in seconds."""
    return [float(line) / 1000 for line in file if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?\n?", line)]


def steady_rate(fps: Fraction, times: np.ndarray) -> Fraction:
    """The constant frame rate at which a video lasts as long as with these times, of all frames and of the
    end: fps, its own, where that is so to half a frame."""
    frames, seconds = len(times) - 1, times[-1] - times[0]
    if abs(frames / float(fps) - seconds) < 0.5 / float(fps) or seconds <= 0:
        return fps
    return as_frame_rate(min(max(frames / seconds, 1 / 1000), MAX_FPS))


def most_off(times: np.ndarray, rate: Fraction) -> float:
    """How far off their times frames are shown at most at a constant rate, in seconds; 0 if nobody notices.
    times: of all frames and of the end."""
    off = _largest_difference(times, rate)
    return off if off > max(1 / float(rate), NOTICEABLE) else 0.0


def at_times(times: np.ndarray, rate: Fraction) -> str:
    """ffmpeg's filter that moves frame n from n / rate seconds to times[n]; further ones follow the last at
    that rate. times: in seconds, rising, at most MOST_SET."""
    least = LEAST_STEP * np.arange(len(times))
    ticks = np.maximum.accumulate(np.round(times * TIME_BASE).astype(int) - least) + least
    further = f"{ticks[-1]}+(ld(0)-{len(times) - 1})*{TIME_BASE * rate.denominator}/{rate.numerator}"

    def tick(first, end):
        """ffmpeg's expression for the tick of one of these frames, a search by halves."""
        if end - first == 1:
            return str(ticks[first]) if end < len(times) else further
        middle = (first + end) // 2
        return f"if(lt(ld(0),{middle}),{tick(first, middle)},{tick(middle, end)})"

    number = f"st(0,round(T*{rate.numerator}/{rate.denominator}))"
    return f"settb=1/{TIME_BASE},setpts='{number};{tick(0, len(times))}'"


def packet_times(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> tuple[np.ndarray, float]:
    """(when the frames of a video are shown, in the order of time; for how long the last one is), in seconds
    from the recording's beginning, float64 (frames,). As its headers say: nothing is decoded, so that there
    may be frames among them that are never shown. A time that the headers don't tell is nan."""
    found: list[tuple[int, int]] = []
    unit = Fraction(1)
    copied = ("-c", "copy", "-f", "framecrc", "pipe:1")
    with Ffmpeg([*video_arguments(path, limits), *copied, *sound_output(path)], text=True) as process:
        for line in itertools.islice(process.stdout, MOST_PACKETS):
            process.watchdog.start()
            if found_unit := re.match(r"#tb 0: (\d+)/(\d+)$", line):
                unit = Fraction(int(found_unit[1]), int(found_unit[2]))
            elif packet := re.match(r"0, +-?\d+, +(-?\d+), +(\d+),", line):
                found.append((int(packet[1]), int(packet[2])))
        process.kill()
    process.check_stall(path)
    final = found[-1][1] if found else 0
    found.sort()
    last = own_duration(found[-1][1], final) if found else 0
    stamps = np.array([stamp for stamp, _ in found], float)
    stamps[np.abs(stamps) > 2.0**62] = np.nan  # AV_NOPTS_VALUE
    return stamps * float(unit), float(last * unit)
