"""ffmpeg jobs that cut recordings: training clips of equal length, and copies without some classes."""
import os
import subprocess
import tempfile

import files
import processes
import video

ENCODE = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # what yuv420p needs


def cut_clip(recording, start, frames, fps, path):
    """Encodes a clip of exactly so many frames at fps, a Fraction, from `start`, in seconds; it appears whole or not at all.

    Raises ValueError if the recording doesn't hold so many frames there, OSError if the clip can't be written.
    """
    # Half a frame early: a time is rounded somewhere on its way, and its frame must not be missed.
    begin = max(0.0, float(start) - 0.5 / float(fps))
    arguments = ["-threads", "1", "-ss", f"{begin:.6f}", *video.source(recording), "-map", "0:V:0", "-an", "-sn", "-dn",
                 "-vf", f"setpts=PTS-STARTPTS,fps={fps},{EVEN}", "-frames:v", str(frames), *ENCODE, "-crf", "16",
                 "-threads", "1"]
    _run(arguments, path, lambda partial: check_frames(recording, start, partial, frames))


def check_frames(recording, start, partial, frames):
    """Raises ValueError unless a clip has so many frames."""
    try:
        found = video.probe(partial).frames
    except ValueError:  # ffmpeg had nothing to put into it
        found = 0
    if found != frames:
        raise ValueError(f"{recording}: at {float(start):.3f} s it has {found} frames for a clip of {frames}")


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
    parts = files.partial_name(path, ".parts")
    try:
        os.mkdir(parts)
        names = []
        for number, (start, end) in enumerate(stretches):
            names.append(f"{number}.mkv")  # holds whatever the recording holds
            _run(["-ss", f"{start:.6f}", "-t", f"{end - start:.6f}", *video.source(timeline.video), "-map", "0:V:0", "-map", "0:a?",
                  "-c", "copy", "-avoid_negative_ts", "make_zero"], os.path.join(parts, names[-1]))
        with open(os.path.join(parts, "list"), "w", encoding="ascii") as file:
            file.write("ffconcat version 1.0\n" + "".join(f"file {name}\n" for name in names))
        _run(["-protocol_whitelist", "file,pipe", "-f", "concat", "-i", f"file:{os.path.join(parts, 'list')}", "-map", "0",
              "-c", "copy"], path)
    finally:
        files.discard(parts)


def _exact_arguments(timeline, stretches):
    """ffmpeg's arguments to encode these stretches, [start, end] in seconds, one after the other."""
    early = 0.5 / float(timeline.fps)  # half a frame, see cut_clip
    inside = "+".join(f"gte(t,{start - early:.6f})*lt(t,{end - early:.6f})" for start, end in stretches)
    previous, cuts = 0.0, []
    for start, end in stretches:
        cuts.append(f"gte(T,{start - early:.6f})*{start - previous:.6f}")
        previous = end
    removed = "+".join(cuts)
    # Samples are chosen in groups of 128, 3 ms; aresample mends what that leaves at each cut.
    return [*video.source(timeline.video), "-map", "0:V:0", "-map", "0:a:0?",
            "-vf", f"select='{inside}',setpts='PTS-({removed})/TB',{EVEN}", *video.passthrough(),
            "-af", f"asetnsamples=n=128:p=0,aselect='{inside}',asetpts='PTS-({removed})/TB',aresample=async=1:first_pts=0",
            *ENCODE, "-crf", "18", "-c:a", "aac", "-b:a", "192k"]


def _run(arguments, path, check=None, seconds=None):
    """Runs ffmpeg with an output that appears under its name when it is complete. check: called with its path before.
    seconds: to show in a bar."""
    from bars import progress
    with files.written_whole(path, os.path.splitext(path)[1]) as partial, tempfile.TemporaryFile() as log, \
            progress(total=seconds, unit="s", desc=f"Writing {path}", quiet=seconds is None,
                     bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as bar:
        process = processes.popen([video.find_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", "-y", "-progress",
                                   "pipe:1", *arguments, f"file:{partial}"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            for line in process.stdout:
                if line.startswith("out_time_us=") and line[12:].strip().isdigit():
                    bar.update(int(line[12:]) / 1e6 - bar.n)
            process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        log.seek(0)
        stderr = log.read()
        if video.has_failed(process.returncode, stderr):
            raise OSError(f"{path}: can't be written ({video.reason(stderr, partial)})")
        if check:
            check(partial)
