"""ffmpeg jobs that cut recordings: training clips of equal length, and copies without some classes."""
import contextlib
import math
import os
import re
import subprocess
import sys
import tempfile
from fractions import Fraction

import numpy as np

import files
import processes
import video
from console import count, print
from watchdog import STALL, Watchdog, read_progress

ENCODE = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
# Seconds before a clip to which ffmpeg is sent to look for it, one after the other; None: the recording's beginning. Encoders
# put key frames up to 10 s apart by default.
MARGINS = (1, 15, 120, None)
PATIENCE = 3600  # seconds that ffmpeg may take on its way to the first frame it writes
PHASE_FRAMES = 100  # frames whose times tell where a recording's frames begin
COUNTED_FROM = 1  # place in MARGINS of the first that is enough to count frames, see ClipCutter
RECORDING_TIMES = ("-copyts", "-start_at_zero")  # wherever ffmpeg begins to read
COPIED = ("-map", "0:V:0", "-map", "0:a?", "-c", "copy")  # streams, as they are
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # what yuv420p needs


class ClipCutter:
    """Cuts clips from one recording, exact to the frame whatever its container; threads may share it.

    ffmpeg's `-ss` finds its place in an index. MPEG-TS and MPEG-PS have none, and there it lands up to a group of pictures
    late. So it is sent well before the clip, to where a key frame comes before the clip does: if none does, from farther away, at
    last from the recording's beginning. `-copyts -start_at_zero` keeps the recording's own times.

    recording: path of a video. fps: its frame rate, a Fraction.
    """

    def __init__(self, recording, fps):
        self._recording, self._fps = recording, fps
        self._first_time = first_picture(recording, fps)
        self._stopped = False
        self._counts = video.is_program_stream(recording)
        self._nearest = COUNTED_FROM if self._counts else 0  # place in MARGINS: the nearest that has not failed yet

    def stop(self):
        """Lets threads that cut begin nothing more."""
        self._stopped = True

    def cut(self, start, frames, path):
        """Encodes a clip of exactly so many frames from the frame that is shown at `start`, in seconds from the recording's
        beginning, or the next to that; it appears whole or not at all.

        Raises ValueError if the recording doesn't hold so many frames there, OSError if the clip can't be written.
        """
        number = math.floor((Fraction(start) - Fraction(self._first_time)) * self._fps + Fraction(1, 2))
        if number < -1:  # -1: sound that begins a little earlier, the first frame is shown from the beginning
            raise ValueError(f"{self._recording}: its picture begins at {self._first_time:.3f} s, none is there at "
                             f"{float(start):.3f} s")
        first = self._first_time + float(number / self._fps)  # when that frame is shown
        early = first - 0.5 / float(self._fps)  # a time is rounded somewhere on its way, and its frame must not be missed
        for place in range(self._nearest, len(MARGINS)):
            if self._stopped:
                raise ValueError(f"{self._recording}: stopped")
            margin = MARGINS[place]
            seek = _seek_before(early, margin)
            if self._cut(seek, number, first, early, frames, path):
                self._nearest = max(self._nearest, place)
                return
            if not seek:
                break
        raise ValueError(f"{self._recording}: it has no frame at {float(start):.3f} s")

    def _cut(self, seek, number, first, early, frames, path):
        """Cuts a clip after a seek. Returns whether that landed before the clip; otherwise no clip is written."""
        arguments = (*RECORDING_TIMES, *seek)
        # Before a key frame some decoders give out pictures made of what is not there.
        if seek and not len(video.find_times(self._recording, ("-skip_frame", "nokey", *arguments), until=early)):
            return False
        # In the container's own units of time, which may be as long as a frame, two frames would be rounded into one.
        chosen = "settb=AVTB,"
        if self._counts:
            skipped = self._count(arguments, number)
            if skipped is None:
                return False
            chosen += f"select='gte(n,{skipped})',setpts=N/({self._fps}*TB)"
        else:
            # The first frame's own time may be wrong: nothing is before it that would have to go.
            chosen += f"{f'trim=start={early:.6f},' if number > 0 else ''}setpts=PTS-({first:.6f})/TB"
        _run(["-threads", "1", *arguments, *video.source(self._recording), "-map", "0:V:0", "-an", "-sn", "-dn",
              "-vf", f"{chosen},fps={self._fps}:start_time=0,{EVEN}", "-frames:v", str(frames), *ENCODE, "-crf", "16",
              "-threads", "1"], path, lambda partial: check_frames(self._recording, first, partial, frames),
             others=video.sound_output(self._recording))
        return True

    def _count(self, arguments, number):
        """How many of the frames that come after a seek are before frame `number` of the recording, None if it is not known.

        MPEG-PS gives a time to some frames only, and ffmpeg guesses those of others wrong by some frames here and there. Most
        are right, so that all of them together tell which frame of the recording is the first that came.
        """
        seconds = MARGINS[COUNTED_FROM] + 2
        times = video.find_times(self._recording, arguments, most=round(seconds * self._fps))
        if not len(times):
            return None
        first = np.median(times - np.arange(len(times)) / float(self._fps))
        before = round((first - self._first_time) * float(self._fps))  # in the recording
        skipped = number - before
        return skipped if skipped >= 0 else None


def _seek_before(time, margin):
    """ffmpeg's arguments to begin a margin, one of MARGINS, before a time, both in seconds; none to begin at the beginning."""
    return () if margin is None or margin >= time else ("-ss", f"{time - margin:.6f}", "-noaccurate_seek")


def first_picture(recording, fps):
    """When a recording's first frame is shown, in seconds from its beginning, see video.first_time. Raises ValueError, naming
    it, if it has none."""
    times = video.find_times(recording, most=PHASE_FRAMES)
    if not len(times):
        raise ValueError(f"{recording}: no frame can be decoded")
    return video.first_time(times, fps)[0]


def check_frames(recording, start, partial, frames):
    """Raises ValueError unless a clip has so many frames."""
    try:
        found = video.probe(partial).frames
    except ValueError:  # ffmpeg had nothing to put into it
        found = 0
    if found != frames:
        raise ValueError(f"{recording}: at {start:.3f} s it has {found} frames for a clip of {frames}")


def kept_name(output, recording, exact):
    """The name of what `keep` writes: result-kept.mp4."""
    extension = os.path.splitext(recording)[1].lower()
    if exact and extension not in (".mp4", ".mkv", ".mov", ".m4v"):
        extension = ".mkv"  # others don't take H.264
    return f"{os.path.splitext(output)[0]}-kept{extension}"


def keep(timeline, classes, path, exact=False, quiet=False):
    """Writes a copy of a recording that has only the segments of some classes, sound in step.

    Without `exact` nothing is encoded anew: each stretch begins at the key frame at or before its start. Raises
    ValueError if no segment is of these classes, OSError if the copy can't be written.
    """
    stretches = []
    for start, end, name, _ in timeline.segments:
        if name in classes and stretches and stretches[-1][1] == start:
            stretches[-1][1] = end
        elif name in classes:
            stretches.append([start, end])
    if not stretches:
        raise ValueError(f"{path}: not written, nothing in {timeline.video} is {' or '.join(classes)}")
    total = sum(end - start for start, end in stretches)
    if exact:
        return _run(_exact_arguments(timeline, stretches), path, seconds=None if quiet else total)
    with files.partial(path, ".parts") as parts:
        os.mkdir(parts)
        try:
            names, unclean = _copy_stretches(timeline, stretches, parts, None if quiet else f"Preparing {path}")
            with open(os.path.join(parts, "list"), "w", encoding="ascii") as file:
                file.write("ffconcat version 1.0\n" + "".join(f"file {name}\n" for name in names))
            _run(["-protocol_whitelist", "file,pipe", "-f", "concat", "-i", f"file:{os.path.join(parts, 'list')}", "-map", "0",
                  "-c", "copy"], path)
        except _Refused as error:
            if "No space left" in error.reason:
                raise OSError(f"{path}: can't be written ({error.reason})") from None
            raise OSError(f"{path}: not written, what is in {timeline.video} can't be copied as it is ({error.reason}); add "
                          f"--exact to encode it anew") from None
    if unclean:
        print(f"{path}: at {unclean} of its {count(len(names) - 1, 'seam')} the recording has an open group of pictures; players may "
              f"garble or leave out what comes first there, so it begins one key frame earlier; --exact cuts cleanly",
              file=sys.stderr)


class _Refused(OSError):
    """ffmpeg could not write a file, for a `reason`."""

    def __init__(self, path, reason):
        super().__init__(f"{path}: can't be written ({reason})")
        self.reason = reason


def _copy_stretches(timeline, stretches, folder, title):
    """Copies stretches, (start, end) in seconds, of a recording, each to a file of a folder. title: of the bar, None for none.
    Returns (the files' names, how many of them but the first begin with an open group of pictures)."""
    recording = timeline.video
    if not video.has_index(recording):
        recording = os.path.join(folder, "recording.mkv")  # which has one
        _run(["-fflags", "+genpts", *video.source(timeline.video), *COPIED], recording,
             seconds=timeline.segments[-1].end if title else None, title=title)
        # What AVI tells of the order of frames is not enough to keep their times.
        moved = first_picture(recording, timeline.fps) - first_picture(timeline.video, timeline.fps)
        stretches = [(start + moved, end + moved) for start, end in stretches]
    names, unclean = [], 0
    for number, (start, end) in enumerate(stretches):
        part = os.path.join(folder, f"{number}.mkv")  # holds whatever the recording holds
        names.append(os.path.basename(part))
        key_frame = _key_frame_before(recording, start)
        _copy(recording, key_frame, end, part)
        if number and not _begins_anew(part):
            # What comes first behind the seam may not be shown: so let it be what is before the stretch.
            unclean += 1
            _copy(recording, _key_frame_before(recording, key_frame - 0.01), end, part)
    return names, unclean


def _key_frame_before(recording, time):
    """When the last key frame is shown that is shown at or before a time, both in seconds; 0 if there is none."""
    for margin in MARGINS:
        seek = _seek_before(time, margin)
        times = video.find_times(recording, ("-skip_frame", "nokey", *RECORDING_TIMES, *seek), until=time + 0.001)
        if len(times):
            return float(times.max())
        if not seek:
            break
    return 0.0


def _copy(recording, key_frame, end, path):
    """Copies a recording that has an index from a key frame on, up to what is shown at `end`; both in seconds.

    By itself ffmpeg goes by the time at which a key frame is decoded, which is before it is shown: so it may land on one
    that is shown after the time that it is sent to. And in some containers it looks 0.13 s before that time (dts_heuristic
    in ffmpeg's ffmpeg_demux.c), so that it may land one key frame too early.
    """
    for seek in (key_frame + 0.001, key_frame + 0.132):
        landed = video.find_times(recording, (*RECORDING_TIMES, "-ss", f"{seek:.6f}", "-noaccurate_seek"), most=1)
        if len(landed) and abs(landed[0] - key_frame) < 0.002:
            break
    else:
        seek = key_frame + 0.001
    # A millisecond less: the frame that begins at `end` must not come along for a rounded time.
    _run(["-ss", f"{seek:.6f}", "-t", f"{end - seek - 0.001:.6f}", *video.source(recording), *COPIED,
          "-avoid_negative_ts", "make_zero"], path)


def _begins_anew(part):
    """Whether a video begins with a picture that leaves nothing for what was before it: in H.264 and HEVC an IDR picture, in other
    codecs one that is the first to be shown."""
    def first_packets(*options):
        """(codec, times of packets), as ffmpeg's framecrc tells them."""
        report = ""
        command = [video.find_ffmpeg(), "-nostdin", "-v", "error", *video.source(part), "-map", "0:V:0", "-c", "copy", *options,
                   "-f", "framecrc", "-"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            report = processes.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STALL).stdout
        return [re.findall(pattern, report, re.M) for pattern in (r"^#codec_id 0: (\w+)", r"^0,[^,]*,\s*(-?\d+)")]

    codec, time = first_packets("-frames:v", "1")
    idr_units = {"h264": "5", "hevc": "19|20"}.get("".join(codec))
    if idr_units is None:  # pictures that are stored after it and shown before it need what was there before
        return all(int(other) >= int(time[0]) for other in first_packets("-frames:v", "4")[1])
    return first_packets("-frames:v", "1", "-bsf:v", f"filter_units=pass_types={idr_units}")[1] == time


def _exact_arguments(timeline, stretches):
    """ffmpeg's arguments to encode these stretches, [start, end] in seconds, one after the other."""
    early = 0.5 / float(timeline.fps)  # half a frame, see ClipCutter.cut
    inside = "+".join(f"gte(t,{start - early:.6f})*lt(t,{end - early:.6f})" for start, end in stretches)
    previous, cuts = 0.0, []
    for start, end in stretches:
        cuts.append(f"gte(T,{start - early:.6f})*{start - previous:.6f}")
        previous = end
    removed = "+".join(cuts)
    # Samples are chosen in groups of 128, 3 ms; aresample mends what that leaves at each cut.
    return [*video.source(timeline.video), "-map", "0:V:0", "-map", "0:a:0?",
            "-vf", f"settb=AVTB,select='{inside}',setpts='PTS-({removed})/TB',{EVEN}", *video.passthrough(),
            "-af", f"asetnsamples=n=128:p=0,aselect='{inside}',asetpts='PTS-({removed})/TB',aresample=async=1:first_pts=0",
            *ENCODE, "-crf", "18", "-c:a", "aac", "-b:a", "192k"]


def _run(arguments, path, check=None, seconds=None, title=None, others=()):
    """Runs ffmpeg with an output that appears under its name when it is complete. check: called with its path before.
    seconds: to show in a bar, with a title. others: ffmpeg's arguments for further outputs."""
    from bars import progress
    with files.written_whole(path, os.path.splitext(path)[1]) as partial, tempfile.TemporaryFile() as log, \
            progress(total=seconds, unit="s", desc=title or f"Writing {path}", quiet=seconds is None,
                     bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as bar:
        process = processes.popen([video.find_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", "-y", "-progress",
                                   "pipe:1", *arguments, f"file:{partial}", *others], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            # Before it writes, ffmpeg may have to go through the whole recording without a word.
            with Watchdog(process, seconds=PATIENCE) as watchdog:
                for _, done in read_progress(process, watchdog):
                    bar.update(done - bar.n)
                process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        if watchdog.barked:
            raise OSError(f"{path}: can't be written ({video.stall_text(watchdog)})")
        log.seek(0)
        stderr = log.read()
        if video.has_failed(process.returncode, stderr):
            raise _Refused(path, video.reason(stderr, partial))
        if check:
            check(partial)
