"""Cuts training clips of equal length from a recording, exact to the frame."""

import math
import os
from fractions import Fraction

import numpy as np

from vidclass.video.ffmpeg import video_arguments, write_with_ffmpeg
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.probe import is_program_stream, probe
from vidclass.video.times import constant_rate, find_times, first_time, from_time, sound_output

H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
# Seconds before a clip to which ffmpeg is sent to look for it, one after the other; None: the recording's
# beginning. Encoders put key frames up to 10 s apart by default.
MARGINS: tuple[int | None, ...] = (1, 15, 120, None)
PHASE_FRAMES = 100  # frames whose times tell where a recording's frames begin
COUNTED_FROM = 1  # place in MARGINS of the first that is enough to count frames, see ClipCutter
COUNTED = 17  # seconds whose frames are counted after it: the margin and two more
RECORDING_TIMES = ("-copyts", "-start_at_zero")  # wherever ffmpeg begins to read
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # what yuv420p needs
NO_OTHERS = ("-an", "-sn", "-dn")  # no sound, subtitles or data
ONE_THREAD = ("-threads", "1")  # other clips are cut at the same time


class ClipCutter:
    """Cuts clips from one recording, exact to the frame whatever its container; threads may share it.

    ffmpeg's `-ss` finds its place in an index. MPEG-TS and MPEG-PS have none, and there it lands up to a
    group of pictures late. So it is sent well before the clip, to where a key frame comes before the clip
    does: if none does, from farther away, at last from the recording's beginning. `-copyts -start_at_zero`
    keeps the recording's own times.

    recording: path of a video. fps: its frame rate. Raises ValueError, naming it, if it has no frame.
    """

    def __init__(self, recording: str | os.PathLike, fps: Fraction, limits: VideoLimits = DEFAULT_LIMITS):
        self._recording, self._fps, self._limits = recording, fps, limits
        self._first_time = first_picture(recording, fps, limits)
        self._stopped = False
        self._counts = is_program_stream(recording)
        # Place in MARGINS of the nearest that has not failed yet.
        self._nearest = COUNTED_FROM if self._counts else 0

    def stop(self) -> None:
        """Lets threads that cut begin nothing more."""
        self._stopped = True

    def cut(self, start: Fraction, frames: int, path: str | os.PathLike) -> None:
        """Encodes a clip of exactly so many frames from the frame that is shown at `start`, in seconds from
        the recording's beginning, or the next to that; it appears whole or not at all.

        Raises ValueError if the recording doesn't hold so many frames there, OSError if the clip can't be
        written.
        """
        number = math.floor((Fraction(start) - Fraction(self._first_time)) * self._fps + Fraction(1, 2))
        if number < -1:  # -1: sound that begins a little earlier, the first frame is shown from the beginning
            raise ValueError(
                f"{self._recording}: its picture begins at {self._first_time:.3f} s, there is none at "
                f"{float(start):.3f} s"
            )
        for place in range(self._nearest, len(MARGINS)):
            if self._stopped:
                raise ValueError(f"{self._recording}: stopped")
            seek = seek_before(self._before(number), MARGINS[place])
            if self._cut(seek, number, frames, path):
                self._nearest = max(self._nearest, place)
                return
            if not seek:
                break
        raise ValueError(f"{self._recording}: it has no frame at {float(start):.3f} s")

    def _shown(self, number):
        """When a frame is shown, in seconds."""
        return self._first_time + float(number / self._fps)

    def _before(self, number):
        """Half a frame before it is shown: times are rounded somewhere on their way, and it must not be
        missed."""
        return self._shown(number) - 0.5 / float(self._fps)

    def _cut(self, seek, number, frames, path):
        """Cuts a clip of so many frames, from frame `number` on, after a seek. Returns whether that landed
        before the clip; otherwise no clip is written."""
        arguments, first, early = (*RECORDING_TIMES, *seek), self._shown(number), self._before(number)
        key_frames = ("-skip_frame", "nokey", *arguments)
        # Before a key frame some decoders give out pictures made of what is not there.
        if seek and not len(find_times(self._recording, key_frames, until=early, limits=self._limits)):
            return False
        # In the container's own units of time, which may be as long as a frame, two frames would be rounded
        # into one.
        chosen = "settb=AVTB,"
        if self._counts:
            skipped = self._count(arguments, number)
            if skipped is None:
                return False
            chosen += f"select='gte(n,{skipped})',setpts=N/({self._fps}*TB)"
        else:
            chosen += from_time(first)  # of the frames before it, the filter below takes what is shown then
        source = (*ONE_THREAD, *arguments, *video_arguments(self._recording, self._limits), *NO_OTHERS)
        filters = ("-vf", f"{chosen},{constant_rate(self._fps)},{EVEN}")
        write_with_ffmpeg(
            [*source, *filters, "-frames:v", str(frames), *H264, "-crf", "16", *ONE_THREAD],
            path,
            lambda clip: self._check_frames(clip, first, frames),
            others=sound_output(self._recording),
        )
        return True

    def _check_frames(self, clip, start, frames):
        """Raises ValueError unless a clip has so many frames."""
        try:
            found = probe(clip, self._limits).frames
        except ValueError:  # ffmpeg had nothing to put into it
            found = 0
        if found != frames:
            raise ValueError(
                f"{self._recording}: at {start:.3f} s it has {found} frames for a clip of {frames}"
            )

    def _count(self, arguments, number):
        """How many of the frames that come after a seek are before frame `number` of the recording, None if
        it is not known.

        MPEG-PS gives a time to some frames only, and ffmpeg guesses those of others wrong by some frames here
        and there. Most are right, so that all of them together tell which frame of the recording is the first
        that came.
        """
        most = round(COUNTED * self._fps)
        times = find_times(self._recording, arguments, most, limits=self._limits)
        if not len(times):
            return None
        first = np.median(times - np.arange(len(times)) / float(self._fps))
        before = round((first - self._first_time) * float(self._fps))  # in the recording
        skipped = number - before
        return skipped if skipped >= 0 else None


def seek_before(time: float, margin: int | None) -> tuple[str, ...]:
    """ffmpeg's arguments to begin a margin, one of MARGINS, before a time, both in seconds; none to begin at
    the beginning."""
    return () if margin is None or margin >= time else ("-ss", f"{time - margin:.6f}", "-noaccurate_seek")


def first_picture(recording: str | os.PathLike, fps: Fraction, limits: VideoLimits = DEFAULT_LIMITS) -> float:
    """When a recording's first frame is shown, in seconds from its beginning, see times.first_time. Raises
    ValueError, naming it, if it has none."""
    times = find_times(recording, most=PHASE_FRAMES, limits=limits)
    if not len(times):
        raise ValueError(f"{recording}: no frame can be decoded")
    return first_time(times, fps)[0]
