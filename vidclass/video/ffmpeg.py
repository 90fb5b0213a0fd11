"""Finding and running ffmpeg: what it may open, when it is ended, and what its messages mean."""

import functools
import os
import re
import shutil
import subprocess
import tempfile

from vidclass import atomic, processes
from vidclass.progress import progress
from vidclass.video.limits import MAX_PIXELS
from vidclass.video.watchdog import Watchdog, read_progress

# Containers, as ffmpeg's demuxers are called. None of those that name other files or hosts, which ffmpeg
# would open: HLS, DASH, concat, image patterns, SDP and the like.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,gxf,dv,nut,ivf,obu,h264,hevc,m4v,vc1,yuv4mpegpipe,gif,wtv,"
    "rm"
)


@functools.cache
def find_ffmpeg():
    """The ffmpeg on PATH, else the one in imageio-ffmpeg's wheel. Raises FileNotFoundError if there is
    neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise FileNotFoundError(
            "no ffmpeg found: install it (apt install ffmpeg), or run "
            "pip install imageio-ffmpeg, which carries one"
        ) from None


def stalled_message(watchdog):
    """Why a file on which ffmpeg was stuck is refused."""
    return f"ffmpeg made no progress with it for {watchdog.seconds:g} s and was ended"


def video_arguments(path):
    """ffmpeg's arguments that open a file and choose its video (not a cover picture)."""
    return ["-nostdin", "-hide_banner", "-v", "error", *input_arguments(path), "-map", "0:V:0"]


def input_arguments(path):
    """ffmpeg's arguments that open a file and nothing else. (Decoders round a frame's sides up before they
    compare.)"""
    return [
        "-protocol_whitelist",
        "file,pipe",
        "-format_whitelist",
        FORMATS,
        "-max_pixels",
        str(2 * MAX_PIXELS),
        "-i",
        f"file:{os.fspath(path)}",
    ]


@functools.cache
def passthrough():
    """ffmpeg's arguments for 'each decoded frame once, none dropped or doubled to keep a rate'."""
    version = processes.run(
        [find_ffmpeg(), "-version"], capture_output=True, text=True, errors="replace"
    ).stdout
    libavcodec = re.search(r"libavcodec\s+(\d+)\.\s*(\d+)\.\s*(\d+)", version)
    # ffmpeg 5.1 (libavcodec 59.37) renamed -vsync, and later ones dropped the old name.
    recent = libavcodec is None or tuple(map(int, libavcodec.groups())) >= (59, 37, 100)
    return ("-fps_mode", "passthrough") if recent else ("-vsync", "passthrough")


def error_reason(stderr, path):
    """The part of ffmpeg's messages that tells a person what is wrong."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    if any("matches no streams" in line for line in lines):
        return "it has no video stream"
    # '[mov,mp4 @ 0x55d0c8] moov atom not found' without the address and without the path we name ourselves.
    lines = [
        re.sub(r"^\[[^\]]*@[^\]]*\]\s*", "", line).replace(f"file:{os.fspath(path)}: ", "") for line in lines
    ]
    return lines[0] if lines else "it ends too early"


def has_failed(returncode, stderr):
    """Whether ffmpeg's output is incomplete: up to version 5 it ends with 0 when the disk is full at the last
    moment."""
    return returncode != 0 or b"Error writing trailer" in stderr or b"Error closing file" in stderr


PATIENCE = 3600  # seconds that ffmpeg may take on its way to the first frame it writes


class FfmpegError(OSError):
    """ffmpeg could not write a file, for a `reason`."""

    def __init__(self, path, reason):
        super().__init__(f"{path}: can't be written ({reason})")
        self.reason = reason


def write_with_ffmpeg(arguments, path, check=None, seconds=None, title=None, others=()):
    """Runs ffmpeg with an output that appears under its name when it is complete. check: called with its path
    before. seconds: to show in a bar, with a title. others: ffmpeg's arguments for further outputs."""
    with (
        atomic.atomic_write(path, os.path.splitext(path)[1]) as partial,
        tempfile.TemporaryFile() as log,
        progress(
            total=seconds,
            unit="s",
            desc=title or f"Writing {path}",
            quiet=seconds is None,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s",
        ) as bar,
    ):
        process = processes.popen(
            [
                find_ffmpeg(),
                "-nostdin",
                "-hide_banner",
                "-v",
                "error",
                "-y",
                "-progress",
                "pipe:1",
                *arguments,
                f"file:{partial}",
                *others,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
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
            raise OSError(f"{path}: can't be written ({stalled_message(watchdog)})")
        log.seek(0)
        stderr = log.read()
        if has_failed(process.returncode, stderr):
            raise FfmpegError(path, error_reason(stderr, partial))
        if check:
            check(partial)
