"""The frames of a live source: an address or a camera."""

import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from vidclass.console import print
from vidclass.errors import UsageError
from vidclass.recording.options import PROTOCOLS
from vidclass.video.ffmpeg import Ffmpeg, pixel_limit
from vidclass.video.images import resize
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.reader import PPM_OUTPUT, read_ppm

SILENCE = 30  # seconds without a frame after which a source is given up
# Seconds after which a source that can't say that it ends is taken to have ended, once pictures have come.
ENDED = 5
WITHOUT_END = ("udp", "rtp")
# Pixels, height and width: larger frames are shrunk by ffmpeg, which would keep a dozen of them ready at full
# size.
LARGEST_SIDE = 3840


def _input(source):
    """ffmpeg's arguments that open a source and nothing else. Raises UsageError if it is not one."""
    if source.isascii() and source.isdigit():
        return ["-f", "v4l2", "-i", f"/dev/video{int(source)}"]
    scheme = source.partition("://")[0].lower()
    if "://" not in source or scheme not in PROTOCOLS:
        raise UsageError(
            f"--stream {source}: expected the number of a camera or an address that begins with "
            f"{', '.join(f'{name}://' for name in PROTOCOLS)}; a file is classified without --stream"
        )
    transport = ("-rtsp_transport", "tcp") if scheme.startswith("rtsp") else ()
    patience = ("-timeout", str(ENDED * 10**6)) if scheme == "udp" else ()
    return ["-protocol_whitelist", PROTOCOLS[scheme], *transport, *patience, "-i", source]


class Source:
    """Iterates over the frames of a live source as RGB arrays of image_shape, at `rate` frames per second:
    one is left out or repeated where the source gives more or fewer. close() ends it, from any thread.

    address: see PROTOCOLS, or a camera's number. quiet: don't print that it waits. A source that can't say
    that it ends (WITHOUT_END) has ended when nothing has come for ENDED seconds; that is printed. Raises
    UsageError if it is not a live source; while iterating OSError if it can't be opened, breaks off, is
    silent or has frames of more than limits.max_pixels.
    """

    def __init__(
        self,
        address: str,
        rate: Fraction | int,
        image_shape: tuple[int, ...],
        quiet: bool = False,
        limits: VideoLimits = DEFAULT_LIMITS,
    ):
        self.image_shape = image_shape
        self._address, self._quiet, self._limits = address, quiet, limits
        self._process: Ffmpeg | None = None
        self._scheme = address.partition("://")[0].lower()
        self._frames = 0
        # A frame that is too large becomes one of 1x1 pixels: nothing else in ffmpeg tells its size to the
        # pixel.
        side = f"if(gt(iw*ih,{limits.max_pixels}),1,min({{}},{LARGEST_SIDE}))"
        size = f"w='{side.format('iw')}':h='{side.format('ih')}'"
        filters = f"fps={rate},scale={size}:flags=area+accurate_rnd+full_chroma_int"
        opened = ("-threads", "2", *pixel_limit(limits), *_input(address))
        self._arguments = [*opened, "-map", "0:v:0", "-vf", filters, *PPM_OUTPUT]

    def close(self) -> None:
        if self._process:
            self._process.kill()

    def __iter__(self) -> Iterator[np.ndarray]:
        if not self._quiet:
            print(f"{self._address}: waiting for pictures, {SILENCE} s at most", file=sys.stderr)
        begun = time.monotonic()
        while True:
            attempt = time.monotonic()
            process = yield from self._run()
            # ffmpeg gives up a silent UDP address after ENDED seconds, and hands out all it has. The sender
            # may still begin.
            again = self._scheme == "udp" and not self._frames and time.monotonic() - attempt > 0.9 * ENDED
            if not again or time.monotonic() - begun > SILENCE - ENDED:
                break
        silent = process.watchdog.barked
        if self._scheme in WITHOUT_END and self._frames and (silent or not process.failed):
            print(f"{self._address}: nothing more has come for {ENDED} s, taken for its end", file=sys.stderr)
        elif silent or again:
            raise OSError(f"{self._address}: no picture for {SILENCE} s")
        elif b"max pixel count" in process.messages:
            raise self._too_large()
        elif process.failed or not self._frames:
            what = "broke off" if self._frames else "not opened"
            raise OSError(f"{self._address}: {what} ({process.reason(self._address)})")

    def _run(self):
        """Yields the frames that one Ffmpeg gives. Returns it when it has ended."""
        with Ffmpeg(self._arguments, patience=SILENCE) as process:
            self._process = process
            while (frame := read_ppm(process.stdout)) is not None:
                if frame.shape[:2] == (1, 1):
                    raise self._too_large()
                self._frames += 1
                if self._scheme in WITHOUT_END and self._scheme != "udp":
                    process.watchdog.seconds = ENDED
                process.watchdog.start()
                yield resize(frame, self.image_shape)
        return process

    def _too_large(self):
        return OSError(
            f"{self._address}: its frames have more than {self._limits.max_pixels} pixels; larger ones need "
            f"--max-pixels"
        )
