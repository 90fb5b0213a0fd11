"""A small H.264 copy of a recording that a browser can't play, made while it is watched: pieces of SEGMENT
frames each, with the recording's own times."""

import contextlib
import os
import time

from vidclass.labelling.background import Background
from vidclass.video.ffmpeg import PROGRESS, Ffmpeg, passthrough, video_arguments
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.times import sound_output

SEGMENT = 48  # frames of a piece; each begins with a key frame
HEIGHT = 360  # pixels at most
SOUND_RATE = 44100
INIT, LIST = "init.mp4", "list.m3u8"
# The sound begins with 1024 samples that are none; without these it would begin before 0, and all times, the
# picture's too, would be moved to make up for that.
SOUND = f"aresample={SOUND_RATE}:async=1,asetpts=PTS+1024"


class Proxy:
    """The pieces of a recording's proxy in a folder: they appear one after another when start() was called.

    path: of the recording. has_sound: whether it has any. folder: an empty one. .background: the work.
    """

    def __init__(self, path: str, has_sound: bool, folder: str, limits: VideoLimits = DEFAULT_LIMITS):
        self._path, self._has_sound, self._folder, self._limits = path, has_sound, folder, limits
        self.background = Background(self._make)
        self._started = False

    def start(self) -> None:
        """Begins, if it has not begun yet."""
        if not self._started:
            self._started = True
            self.background.start()

    def piece(self, name: str, patience: float) -> str | None:
        """The path of INIT, or of the piece with a number: "17". None if it is not there within so many
        seconds, or will never be."""
        path = os.path.join(self._folder, INIT if name == INIT else f"{int(name)}.m4s")
        until = time.monotonic() + patience
        while not self._is_complete(name, path):
            if self.background.done or time.monotonic() > until:
                return path if self._is_complete(name, path) else None
            time.sleep(0.05)
        return path

    def _is_complete(self, name, path):
        # INIT is written when the first piece begins; pieces appear whole.
        return os.path.exists(os.path.join(self._folder, "0.m4s") if name == INIT else path)

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        with contextlib.suppress(FileNotFoundError):
            return sum(name.endswith(".m4s") for name in os.listdir(self._folder))
        return 0

    def _make(self, background: Background) -> None:
        arguments = [*PROGRESS, *self._arguments()]
        with Ffmpeg(arguments, text=True, folder=self._folder) as process:
            background.watch(process)
            for _ in process.progress():
                pass
        process.check_stall(self._path)
        if not self.pieces and not background.stopped:
            raise ValueError(f"{self._path}: {process.reason(self._path)}")

    def _arguments(self) -> list[str]:
        path = os.path.abspath(self._path)
        scale = f"scale=-2:'min({HEIGHT},trunc(ih/2)*2)',setsar=1"
        # As wide as it is shown, where pixels are not square.
        picture = f"scale='trunc(iw*max(sar,1)/2)*2':'trunc(ih*max(1/sar,1)/2)*2',{scale},format=yuv420p"
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-crf", "25"]
        keys = ["-bf", "0", "-sc_threshold", "0", "-g", str(SEGMENT), "-force_key_frames"]
        keys += [f"expr:eq(mod(n,{SEGMENT}),0)", "-enc_time_base:v", "1:90000"]
        sound = ["-map", "0:a:0", "-af", SOUND, "-c:a", "aac", "-ac", "2", "-b:a", "96k"]
        pieces = ["-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "0.001", "-hls_list_size", "0"]
        # Each piece has its times: MediaSource reads no edit list, which would say when the picture begins.
        pieces += ["-hls_segment_options", "movflags=+frag_discont"]
        pieces += ["-hls_flags", "temp_file", "-hls_fmp4_init_filename", INIT]
        pieces += ["-hls_segment_filename", "%d.m4s", LIST]
        chosen = video_arguments(path, self._limits)
        output = [*passthrough(), "-vf", picture, *coding, *keys]
        if self._has_sound:
            return [*chosen, *output, *sound, *pieces]
        return [*chosen, *output, *pieces, *sound_output(path)]
