"""Copies of a recording that have only some of its classes."""

import os
import re
import sys
from collections.abc import Collection
from typing import NamedTuple

from vidclass import atomic
from vidclass.console import count, print
from vidclass.recording.segments import Timeline, stretches_of
from vidclass.video.cutting import EVEN, H264, MARGINS, RECORDING_TIMES, first_picture, seek_before
from vidclass.video.encoders import AAC
from vidclass.video.ffmpeg import (
    FIRST_VIDEO,
    FfmpegError,
    capture,
    input_arguments,
    parts_arguments,
    passthrough,
    video_arguments,
    write_with_ffmpeg,
)
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.probe import has_index
from vidclass.video.times import find_times

COPIED = (*FIRST_VIDEO, "-map", "0:a?", "-c", "copy")  # streams, as they are


def kept_name(output: str, recording: str | os.PathLike, exact: bool) -> str:
    """The name of what `keep` writes: result-kept.mp4."""
    extension = os.path.splitext(recording)[1].lower()
    if exact and extension not in (".mp4", ".mkv", ".mov", ".m4v"):
        extension = ".mkv"  # others don't take H.264
    return f"{os.path.splitext(output)[0]}-kept{extension}"


class _Part(NamedTuple):
    """A stretch of a recording that _copy_stretches has copied to a file, in seconds."""

    start: float
    end: float
    is_clean: bool = True  # it doesn't begin with an open group of pictures


def keep(
    timeline: Timeline,
    classes: Collection[str],
    path: str | os.PathLike,
    exact: bool = False,
    quiet: bool = False,
    limits: VideoLimits = DEFAULT_LIMITS,
) -> None:
    """Writes a copy of a recording that has only the segments of some classes, sound in step.

    Without `exact` nothing is encoded anew: each stretch begins at the key frame at or before its start.
    Raises ValueError if no segment is of these classes, OSError if the copy can't be written.
    """
    stretches = stretches_of(timeline.segments, classes)
    if not stretches:
        raise ValueError(f"{path}: not written, nothing in {timeline.video} is {' or '.join(classes)}")
    total = sum(end - start for start, end in stretches)
    if exact:
        arguments = _exact_arguments(timeline, stretches, limits)
        return write_with_ffmpeg(arguments, path, seconds=None if quiet else total)
    with atomic.temporary(path, ".parts") as folder:
        os.mkdir(folder)
        try:
            title = None if quiet else f"Preparing {path}"
            parts = _copy_stretches(timeline, stretches, folder, title, limits)
            listing = os.path.join(folder, "list")
            with open(listing, "w", encoding="ascii") as file:
                file.write(
                    "ffconcat version 1.0\n" + "".join(f"file {_name(n)}\n" for n in range(len(parts)))
                )
            write_with_ffmpeg([*parts_arguments(listing), "-map", "0", "-c", "copy"], path)
        except FfmpegError as error:
            if "No space left" in error.reason:
                raise OSError(f"{path}: can't be written ({error.reason})") from None
            raise OSError(
                f"{path}: not written, what is in {timeline.video} can't be copied as it is "
                f"({error.reason}); add --exact to encode it anew"
            ) from None
    _tell_of_seams(path, parts, len(stretches))


def _tell_of_seams(path, parts, stretches):
    """Says what of the copy's parts is not as somebody might expect."""
    if joined := stretches - len(parts):
        print(
            f"{path}: {count(joined, 'cut')} left out, the recording has no key frame there: what lies "
            f"between is in it, too; --exact leaves it out",
            file=sys.stderr,
        )
    if unclean := sum(not part.is_clean for part in parts):
        print(
            f"{path}: at {unclean} of its {count(len(parts) - 1, 'seam')} the recording has an open group of "
            f"pictures; players may garble or leave out what comes first there, so it begins one key frame "
            f"earlier; --exact cuts cleanly",
            file=sys.stderr,
        )


def _copy_stretches(timeline, stretches, folder, title, limits):
    """Copies stretches, (start, end) in seconds, of a recording to files of a folder, see _name. title: of
    the bar, None for none. Returns a _Part for each file."""
    recording = timeline.video
    if not has_index(recording):
        recording = os.path.join(folder, "recording.mkv")  # which has one
        write_with_ffmpeg(
            ["-fflags", "+genpts", *input_arguments(timeline.video, limits), *COPIED],
            recording,
            seconds=timeline.segments[-1].end if title else None,
            title=title,
        )
        # What AVI tells of the order of frames is not enough to keep their times.
        before, after = (first_picture(file, timeline.fps, limits) for file in (timeline.video, recording))
        moved = after - before
        stretches = [(start + moved, end + moved) for start, end in stretches]
    parts: list[_Part] = []
    for start, end in stretches:
        part = _Part(_key_frame_before(recording, start, limits), end)
        if parts and part.start > parts[-1].end:
            path = os.path.join(folder, _name(len(parts)))
            _copy(recording, part, path, limits)
            if _begins_anew(path, limits):
                parts.append(part)
                continue
            # What comes first behind the seam may not be shown: so let it be what is before the stretch.
            part = _Part(_key_frame_before(recording, part.start - 0.01, limits), end, is_clean=False)
        if parts and part.start <= parts[-1].end:  # it would be there twice
            part = parts.pop()._replace(end=end)
        _copy(recording, part, os.path.join(folder, _name(len(parts))), limits)
        parts.append(part)
    return parts


def _name(number):
    """The name of the file of a part, counted from 0. Matroska holds whatever a recording holds."""
    return f"{number}.mkv"


def _key_frame_before(recording, time, limits):
    """When the last key frame is shown that is shown at or before a time, both in seconds; 0 if there is
    none."""
    for margin in MARGINS:
        seek = seek_before(time, margin)
        key_frames = ("-skip_frame", "nokey", *RECORDING_TIMES, *seek)
        times = find_times(recording, key_frames, until=time + 0.001, limits=limits)
        if len(times):
            return float(times.max())
        if not seek:
            break
    return 0.0


def _copy(recording, part, path, limits):
    """Copies a _Part, which begins with a key frame, of a recording that has an index.

    By itself ffmpeg goes by the time at which a key frame is decoded, which is before it is shown: so it may
    land on one that is shown after the time that it is sent to. And in some containers it looks 0.13 s before
    that time (dts_heuristic in ffmpeg's ffmpeg_demux.c), so that it may land one key frame too early.
    """
    for seek in (part.start + 0.001, part.start + 0.132):
        place = (*RECORDING_TIMES, "-ss", f"{seek:.6f}", "-noaccurate_seek")
        landed = find_times(recording, place, most=1, limits=limits)
        if len(landed) and abs(landed[0] - part.start) < 0.002:
            break
    else:
        seek = part.start + 0.001
    # A millisecond less: the frame that begins at `end` must not come along for a rounded time.
    stretch = ("-ss", f"{seek:.6f}", "-t", f"{part.end - seek - 0.001:.6f}")
    output = (*COPIED, "-avoid_negative_ts", "make_zero")
    write_with_ffmpeg([*stretch, *input_arguments(recording, limits), *output], path)


def _begins_anew(part, limits):
    """Whether a video begins with a picture that leaves nothing for what was before it: in H.264 and HEVC an
    IDR picture, in other codecs one that is the first to be shown."""

    def first_packets(*options):
        """(codec, times of packets), as ffmpeg's framecrc shows them."""
        output = ("-c", "copy", *options, "-f", "framecrc", "-")
        report = capture([*video_arguments(part, limits), *output]).decode(errors="replace")
        patterns = r"^#codec_id 0: (\w+)", r"^0,[^,]*,\s*(-?\d+)"
        return [re.findall(pattern, report, re.M) for pattern in patterns]

    codec, time = first_packets("-frames:v", "1")
    idr_units = {"h264": "5", "hevc": "19|20"}.get("".join(codec))
    if idr_units is None:  # pictures that are stored after it and shown before it need what was there before
        # Of one that would be shown before the part begins, ffmpeg has made the time that of the beginning.
        return all(int(other) > int(time[0]) for other in first_packets("-frames:v", "4")[1][1:])
    return first_packets("-frames:v", "1", "-bsf:v", f"filter_units=pass_types={idr_units}")[1] == time


def _exact_arguments(timeline, stretches, limits):
    """ffmpeg's arguments to encode these stretches, [start, end] in seconds, one after the other."""
    # Half a frame, see ClipCutter.cut; where each frame has a time of its own, what rounding takes.
    early = 0.5 / float(timeline.fps) if timeline.is_regular else 0.001

    def inside(before):
        return "+".join(f"gte(t,{start - before:.6f})*lt(t,{end - before:.6f})" for start, end in stretches)

    previous, cuts = 0.0, []
    for start, end in stretches:
        cuts.append(f"gte(T,{start - early:.6f})*{start - previous:.6f}")
        previous = end
    removed = "+".join(cuts)
    # Samples are chosen in groups of 128, 3 ms; aresample mends what that leaves at each cut.
    in_groups = "asetnsamples=n=128:p=0"
    sound = f"{in_groups},aselect='{inside(0)}',asetpts='PTS-({removed})/TB',aresample=async=1:first_pts=0"
    pictures = f"settb=AVTB,select='{inside(early)}',setpts='PTS-({removed})/TB',{EVEN}"
    return [
        *(*video_arguments(timeline.video, limits), "-map", "0:a:0?"),
        *("-vf", pictures, *passthrough(), "-af", sound),
        *(*H264, "-crf", "18", *AAC),
    ]
