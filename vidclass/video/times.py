"""When the frames of a video are shown."""

import re
import subprocess
import tempfile

import numpy as np

from vidclass import processes
from vidclass.video.ffmpeg import find_ffmpeg, passthrough, stalled_message, video_arguments
from vidclass.video.limits import MAX_FPS, frame_limit
from vidclass.video.probe import as_frame_rate
from vidclass.video.watchdog import Watchdog, read_progress


def find_times(path, arguments=(), most=None, until=None):
    """When the frames of a video are shown, in seconds from the recording's beginning, float64 (frames,):
    with ffmpeg's further `arguments` for its input, of the first `most` frames, of those before `until`.
    Raises ValueError if ffmpeg is stuck."""
    with tempfile.NamedTemporaryFile("r") as times:
        options = (
            "-frames:v",
            str(most or frame_limit(path)),
            *(() if until is None else ("-to", f"{until:.6f}")),
        )
        command = [
            find_ffmpeg(),
            "-progress",
            "pipe:1",
            *arguments,
            *video_arguments(path),
            *times_output(times.name, mapped=True, options=options),
            *sound_output(path),
        ]
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
            for _ in read_progress(process, watchdog):
                pass
        if watchdog.barked:
            raise ValueError(f"{path}: {stalled_message(watchdog)}")
        return np.array(read_stamps(times))


def start_time(path):
    """When a video's first frame is shown, in seconds from the recording's start; its sound may begin
    earlier."""
    times = find_times(path, most=1)
    return float(times[0]) if len(times) else 0.0


def times_output(path, mapped=False, options=()):
    """ffmpeg's arguments for an output beside the frames: the time of each in milliseconds, a line each."""
    # Without a time base of its own, an encoder rounds times to the frame rate that the header tells.
    return [
        *(() if mapped else ("-map", "0:V:0")),
        *passthrough(),
        *options,
        "-c:v",
        "wrapped_avframe",
        "-enc_time_base",
        "1:90000",
        "-f",
        "mkvtimestamp_v2",
        "-y",
        f"file:{path}",
    ]


def read_times(file, frames, fps):
    """Seconds at which so many frames are shown, float64, from what times_output wrote. Where they are a
    constant rate's, rounded or guessed by ffmpeg, they are that rate's; where there are none, too."""
    regular = np.arange(frames) / float(fps)
    found = read_stamps(file)[:frames]
    if len(found) < frames or not frames:
        return regular
    found = np.maximum.accumulate(found)
    first, is_regular = first_time(found, fps)
    return first + regular if is_regular else found


def first_time(times, fps):
    """(when the first frame is shown in seconds, whether frames with these times come at a constant rate).

    If they do, most of them tell when the first one is shown; its own time may be wrong (of H.264 in AVI it
    is). MPEG-PS gives a time to some frames only: of the others ffmpeg guesses some wrong by some frames, for
    a second or two, and all is well again.
    """
    times = np.asarray(times)
    first = np.median(times - np.arange(len(times)) / float(fps))
    off = np.abs(times - first - np.arange(len(times)) / float(fps)) * float(fps)  # in frames
    is_regular = off.max() < 0.5 or (off.max() < 8 and off[-1] < 0.5 and (off < 0.5).mean() > 0.8)
    return float(first if is_regular else times[0]), bool(is_regular)


def sound_output(path, number=0):
    """ffmpeg's arguments for an output that goes nowhere, with the first picture and sound of a file, its
    input of this number.

    Of MPEG-TS, MPEG-PS and Ogg (AVFMT_TS_DISCONT) ffmpeg counts time from the beginning of the earliest
    stream that it uses. Players use all of them, and broadcasts begin with sound: so whatever asks for times
    must use the sound, too.
    """
    with open(path, "rb") as file:
        head = file.read(3 * 204)
    is_transport_stream = any(
        head[at : at + 1]
        == head[at + size : at + size + 1]
        == head[at + 2 * size : at + 2 * size + 1]
        == b"G"
        for size in (188, 192, 204)
        for at in range(size)
    )
    if not is_transport_stream and head[:4] not in (b"OggS", b"\0\0\1\xba"):
        return []
    return [
        "-map",
        f"{number}:V:0",
        "-map",
        f"{number}:a?",
        "-c",
        "copy",
        "-frames:v",
        "1",
        "-frames:a",
        "1",
        "-f",
        "null",
        "-",
    ]


def read_stamps(file):
    """The times in what times_output wrote, in seconds."""
    return [float(line) / 1000 for line in file if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?\n?", line)]


def steady_rate(fps, times):
    """The constant frame rate at which a video lasts as long as with these times, of all frames and of the
    end: fps, its own, where that is so to half a frame."""
    frames, seconds = len(times) - 1, times[-1] - times[0]
    if abs(frames / float(fps) - seconds) < 0.5 / float(fps) or seconds <= 0:
        return fps
    return as_frame_rate(min(max(frames / seconds, 1 / 1000), MAX_FPS))
