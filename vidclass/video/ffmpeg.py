"""Finding and running ffmpeg. Nothing else in the suite starts it: this module knows what it may open, when
it is ended, what counts as a failure, and what its messages mean."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from vidclass import atomic, processes
from vidclass.progress import progress
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.watchdog import STALL, Watchdog

# Containers, as ffmpeg's demuxers are called. None of those that name other files or hosts, which ffmpeg
# would open: HLS, DASH, concat, image patterns, SDP and the like.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,gxf,dv,nut,ivf,obu,h264,hevc,m4v,vc1,yuv4mpegpipe,gif,wtv,"
    "rm"
)
FILES_ONLY = ("-protocol_whitelist", "file,pipe")
# It asks nothing, prints errors alone, and overwrites: outputs are temporary files of ours.
COMMON = ("-nostdin", "-hide_banner", "-v", "error", "-y")
FIRST_VIDEO = ("-map", "0:V:0")  # not a cover picture
FIRST_FRAME_PATIENCE = 3600  # seconds that ffmpeg may take on its way to the first frame it writes
BUFFER = 1 << 20  # bytes
# In messages of an output, as versions 5 to 9 have them.
WRITING = rb"Error (writing|closing|muxing)|to the muxer|av_interleaved_write_frame|Error opening output"


@functools.cache
def find_ffmpeg() -> str:
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


# Arguments


def pixel_limit(limits: VideoLimits) -> list[str]:
    """ffmpeg's arguments that refuse larger frames. (Decoders round a frame's sides up before they
    compare.)"""
    return ["-max_pixels", str(2 * limits.max_pixels)]


def input_arguments(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> list[str]:
    """ffmpeg's arguments that open a file and nothing else."""
    whitelist = [*FILES_ONLY, "-format_whitelist", FORMATS]
    return [*whitelist, *pixel_limit(limits), "-i", f"file:{os.fspath(path)}"]


def video_arguments(path: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS) -> list[str]:
    """ffmpeg's arguments that open a file and choose its video."""
    return [*input_arguments(path, limits), *FIRST_VIDEO]


def parts_arguments(path: str | os.PathLike) -> list[str]:
    """ffmpeg's arguments that open a list of parts which we have written ourselves, one after the other."""
    return [*FILES_ONLY, "-f", "concat", "-i", f"file:{os.fspath(path)}"]


@functools.cache
def passthrough() -> tuple[str, str]:
    """ffmpeg's arguments for 'each decoded frame once, none dropped or doubled to keep a rate'."""
    # ffmpeg 5.1 renamed -vsync, and later ones dropped the old name.
    return ("-fps_mode" if _is_at_least(59, 37, 100) else "-vsync", "passthrough")


def filter_file(path: str | os.PathLike) -> list[str]:
    """ffmpeg's arguments for an output whose video filter is in a file that we have written ourselves."""
    # ffmpeg 7.0 reads any option's value from a file, and later ones dropped the option for scripts.
    return ["-/filter:v" if _is_at_least(61, 3, 100) else "-filter_script:v", os.fspath(path)]


def _is_at_least(*version):
    """Whether ffmpeg is of a version, that of libavcodec, or newer; where it doesn't tell, it is."""
    found = _libavcodec()
    return found is None or found >= version


@functools.cache
def _libavcodec():
    """The version of ffmpeg's libavcodec, three numbers; None where it doesn't tell."""
    found = re.search(r"libavcodec\s+(\d+)\.\s*(\d+)\.\s*(\d+)", ask(find_ffmpeg(), "-version"))
    return found and tuple(map(int, found.groups()))


# Running


class Ffmpeg:
    """A running ffmpeg; a context manager. It has ended when the block ends: by itself, or killed if an
    exception leaves the block. It dies with this process, and a Watchdog ends it where it is stuck.

    arguments: after COMMON. Its output is read from .stdout. text: as text. patience: seconds for each of its
    steps (None: watchdog.STALL). folder: in which it works. .returncode, .messages (its stderr, bytes),
    .failed: when it has ended.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        text: bool = False,
        patience: float | None = None,
        folder: str | None = None,
    ):
        self._command = [find_ffmpeg(), *COMMON, *arguments]
        self._options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "cwd": folder,
            **({"text": True, "errors": "replace"} if text else {"bufsize": BUFFER}),
        }
        self._patience = patience
        self.messages, self.returncode = b"", 0

    def __enter__(self):
        self._log = tempfile.TemporaryFile()
        self._process = processes.popen(self._command, stderr=self._log, **self._options)
        self.stdout: IO = self._process.stdout  # type: ignore[assignment]
        self.watchdog = Watchdog(self._process, self._patience)
        self.watchdog.__enter__()
        return self

    def __exit__(self, kind, *error):
        try:
            if kind is None:
                self._process.wait()
        finally:
            self._process.kill()
            self.stdout.close()
            self.returncode = self._process.wait()
            self.watchdog.__exit__()
            self._log.seek(0)
            self.messages = self._log.read()
            self._log.close()

    def kill(self) -> None:
        """Ends it, from any thread."""
        self._process.kill()

    @property
    def stalled(self) -> str | None:
        """Why a file on which it was stuck is refused, None if it was not stuck."""
        if not self.watchdog.barked:
            return None
        return f"ffmpeg made no progress with it for {self.watchdog.seconds:g} s and was ended"

    @property
    def failed(self) -> bool:
        """Whether its output is incomplete: up to version 5 it ends with 0 when the disk is full at the last
        moment."""
        broken = b"Error writing trailer" in self.messages or b"Error closing file" in self.messages
        return self.returncode != 0 or broken

    def reason(self, path: str | os.PathLike) -> str:
        """What its messages tell a person that is wrong with a file."""
        return error_reason(self.messages, path)

    def writing_reason(self, path: str | os.PathLike) -> str | None:
        """What its messages tell a person that kept it from writing a file, None if they tell of nothing but
        what it has read."""
        lines = [line for line in self.messages.splitlines() if re.search(WRITING, line)]
        return error_reason(b"\n".join(lines), path) if lines else None

    def check_stall(self, path: str | os.PathLike) -> None:
        """Raises ValueError, naming the file, if it was stuck."""
        if self.stalled:
            raise ValueError(f"{os.fspath(path)}: {self.stalled}")

    def progress(self) -> Iterator[tuple[int, float]]:
        """Yields (frames, seconds) of its output whenever they have grown, from what `-progress pipe:1`
        prints as text. Reports that tell of nothing new are no step."""
        frames, seconds = 0, 0.0
        for line in self.stdout:
            found = re.fullmatch(r"(frame|out_time_us)=\s*(\d+)\n?", line)
            if not found:
                continue
            before = frames, seconds
            if found[1] == "frame":
                frames = int(found[2])
            else:
                seconds = int(found[2]) / 1e6
            if (frames, seconds) != before:
                self.watchdog.start()
                yield frames, seconds


PROGRESS = ("-progress", "pipe:1")  # see Ffmpeg.progress


def run_to_end(arguments: Sequence[str], path: str | os.PathLike) -> tuple[int, float]:
    """Runs ffmpeg on a file. Returns (frames, seconds) of its output. Raises ValueError, naming the file, if
    ffmpeg was stuck."""
    frames, seconds = 0, 0.0
    with Ffmpeg([*PROGRESS, *arguments], text=True) as process:
        for frames, seconds in process.progress():  # noqa: B007
            pass
    process.check_stall(path)
    return frames, seconds


def capture(arguments: Sequence[str], patience: float | None = None) -> bytes:
    """What ffmpeg writes to its standard output, whole; empty if it takes longer than `patience` seconds
    (None: watchdog.STALL)."""
    with Ffmpeg(arguments, patience=patience) as process:
        content = process.stdout.read()
    return b"" if process.stalled else content


def ask(program: str, question: str) -> str:
    """What an ffmpeg answers to an option like -version or -encoders; nothing if it takes too long."""
    command = [program, "-hide_banner", question]
    try:
        answer = processes.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=STALL)
    except subprocess.TimeoutExpired:
        return ""
    return answer.stdout.decode(errors="replace")


class FfmpegError(OSError):
    """ffmpeg could not write a file, for a `reason`."""

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"{path}: can't be written ({reason})")
        self.reason = reason


def write_with_ffmpeg(
    arguments: Sequence[str],
    path: str | os.PathLike,
    check: Callable[[str], None] | None = None,
    seconds: float | None = None,
    title: str | None = None,
    others: Sequence[str] = (),
) -> None:
    """Runs ffmpeg with an output that appears under its name when it is complete.

    check: called with the complete file's temporary path; what it raises goes through, and there is no file.
    seconds: of the output, to show a bar, with a title. others: ffmpeg's arguments for further outputs.
    Raises OSError, FfmpegError if ffmpeg says why.
    """
    with (
        atomic.atomic_write(path, os.path.splitext(path)[1]) as partial,
        progress(
            total=seconds,
            unit="s",
            desc=title or f"Writing {path}",
            quiet=seconds is None,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s",
        ) as bar,
    ):
        outputs = [*arguments, f"file:{partial}", *others]
        # Before it writes, ffmpeg may have to go through the whole recording without a word.
        with Ffmpeg([*PROGRESS, *outputs], text=True, patience=FIRST_FRAME_PATIENCE) as process:
            for _, done in process.progress():
                bar.update(done - bar.n)
        if process.stalled:
            raise OSError(f"{path}: can't be written ({process.stalled})")
        if process.failed:
            raise FfmpegError(path, process.reason(partial))
        if check:
            check(partial)


def error_reason(messages: bytes, path: str | os.PathLike) -> str:
    """The part of ffmpeg's messages that tells a person what is wrong with a file."""
    lines = [line.strip() for line in messages.decode(errors="replace").splitlines() if line.strip()]
    if any("matches no streams" in line for line in lines):
        return "it has no video stream"
    # '[mov,mp4 @ 0x55d0c8] moov atom not found' without the address and without the path we name ourselves.
    lines = [
        re.sub(r"^\[[^\]]*@[^\]]*\]\s*", "", line).replace(f"file:{os.fspath(path)}: ", "") for line in lines
    ]
    return lines[0] if lines else "it ends too early"
