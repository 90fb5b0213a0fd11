"""Classifies a live source, an address or a camera, for as long as it lasts: a line of JSON for each window."""

import collections
import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np

from extractor import Extractor
from models import ResearchModel
from vidclass import cli, processes
from vidclass.console import print
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.keras_loading import import_keras
from vidclass.video.ffmpeg import error_reason, find_ffmpeg
from vidclass.video.images import resize
from vidclass.video.limits import MAX_PIXELS
from vidclass.video.reader import read_ppm
from vidclass.video.watchdog import Watchdog

# What ffmpeg may open for an address: never a file, whatever a playlist says.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,tls,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtp": "rtp,udp",
    "srt": "srt,udp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp,crypto",
}
BACKLOG = 5  # windows that may wait for the network; a source often begins with the last seconds it has kept
BACKLOG_BYTES = 512 * 2**20  # that their frames may take, but that one window may wait whatever it takes
SILENCE = 30  # seconds without a frame after which a source is given up
# Seconds after which a source that can't say that it ends is taken to have ended, once pictures have come.
ENDED = 5
WITHOUT_END = ("udp", "rtp")
# Pixels, height and width: larger frames are shrunk by ffmpeg, which would keep a dozen of them ready at full
# size.
LARGEST_SIDE = 3840


def stream(
    source,
    saved_model,
    seq_length,
    classes,
    image_shape,
    clip_seconds,
    weights,
    precision="float32",
    hop=None,
    quiet=False,
):
    """Classifies the windows of a live source and prints each as it ends: {"start": ..., "end": ..., "time":
    ..., "class": ..., "probability": ..., "probabilities": {...}}, start and end in seconds from the first
    frame, time as in UTC then. The last window, the one that the source ends in, may be shorter.

    source: an address (see PROTOCOLS) or a camera's number. saved_model: the checkpoint; the arguments after
    it are its own. hop: seconds from one window to the next (None: a window). Where the network is slower
    than the source, whole windows are left out. quiet: don't say that it waits. Returns when the source ends.
    Raises cli.UsageError if it is no live source, OSError if it can't be opened, breaks off or is silent.
    """
    rate = Fraction(seq_length) / Fraction(clip_seconds)  # frames per second that a window needs
    group = max(1, round(Fraction(hop) * rate)) if hop else seq_length  # frames from one window to the next
    if group > seq_length:
        raise cli.UsageError(f"--hop {float(hop):g} would leave gaps: a window is {float(clip_seconds):g} s")
    source = Source(source, rate, image_shape, quiet)
    import_keras()
    model, extractor = ResearchModel.load(saved_model), Extractor(image_shape, weights, precision)
    extractor.extract_batch(
        np.zeros((group, *image_shape), np.uint8)
    )  # compiles; else the first frames would wait

    def classify(sequence, end, arrived):
        probabilities = model.predict(sequence[None])[0].tolist()
        best = int(np.argmax(probabilities))
        print(
            json.dumps(
                {
                    "start": round(float((end - len(features)) / rate), 3),
                    "end": round(float(end / rate), 3),
                    "time": datetime.fromtimestamp(arrived, UTC).isoformat(timespec="milliseconds"),
                    "class": classes[best],
                    "probability": round(probabilities[best], 4),
                    "probabilities": {name: round(p, 4) for name, p in zip(classes, probabilities)},
                }
            ),
            flush=True,
        )

    features, expected, overlapping = collections.deque(maxlen=seq_length), 0, group < seq_length
    waiting = max(1, min(BACKLOG, BACKLOG_BYTES // (seq_length * int(np.prod(image_shape)))))
    with contextlib.closing(take_groups(source, group, seq_length, waiting)) as groups:
        for first, frames, arrived in groups:
            last = len(frames) < group  # the source has ended
            if first != expected or last and not overlapping:
                features.clear()
            expected = first + len(frames)
            features.extend(extractor.extract_batch(np.stack(frames)))
            if len(features) == seq_length or last:
                # A window that the end cuts short is spread over the sequence as a short clip's would be.
                classify(
                    np.stack(features)[evenly_spaced_indices(len(features), seq_length)], expected, arrived
                )


def take_groups(frames, group, seq_length, waiting=BACKLOG):
    """Yields (number of the first frame, list of `group` frames, time.time() when they were complete) as they
    come; the last list may be shorter.

    frames: iterable, run by a thread, with a method close() that ends it. When more than `waiting` windows
    wait, groups are dropped until none waits; then at least seq_length frames are taken again, so that
    windows are left out whole.
    """
    ready = queue.Queue()
    stopped = threading.Event()

    def collect():
        taken, taking, most = [], True, -(-seq_length // group)
        since = 0  # groups taken since the last one that was dropped

        def put_rest():
            if taken and len(taken) < group:
                ready.put((number + 1 - len(taken), taken, time.time()))

        try:
            for number, frame in enumerate(frames):
                if stopped.is_set():
                    break
                if number % group == 0:
                    taking = since < most or ready.qsize() < waiting * most if taking else ready.empty()
                    since = since + 1 if taking else 0
                    taken = []
                if taking:
                    taken.append(frame)
                    if len(taken) == group:
                        ready.put((number + 1 - group, taken, time.time()))
            put_rest()
            ready.put(None)
        except BaseException as error:
            put_rest()
            ready.put(error)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        frames.close()
        thread.join()


def _input(source):
    """ffmpeg's arguments that open a source and nothing else. Raises cli.UsageError if it is none."""
    if source.isascii() and source.isdigit():
        return ["-f", "v4l2", "-i", f"/dev/video{int(source)}"]
    scheme = source.partition("://")[0].lower()
    if "://" not in source or scheme not in PROTOCOLS:
        raise cli.UsageError(
            f"--stream {source}: expected the number of a camera or an address that begins with "
            f"{', '.join(f'{name}://' for name in PROTOCOLS)}; a file is classified without --stream"
        )
    return [
        "-protocol_whitelist",
        PROTOCOLS[scheme],
        *(("-rtsp_transport", "tcp") if scheme.startswith("rtsp") else ()),
        *(("-timeout", str(ENDED * 10**6)) if scheme == "udp" else ()),
        "-i",
        source,
    ]


class Source:
    """Iterates over the frames of a live source as RGB arrays of image_shape, at `rate` frames per second:
    one is left out or repeated where the source gives more or fewer. close() ends it, from any thread. quiet:
    don't say that it waits.

    A source that can't say that it ends (WITHOUT_END) has ended when nothing has come for ENDED seconds; that
    is said. Raises cli.UsageError if it is no live source; while iterating OSError if it can't be opened,
    breaks off, is silent or has frames of more than video.MAX_PIXELS.
    """

    def __init__(self, address, rate, image_shape, quiet=False):
        self._address, self._image_shape, self._quiet, self._process = address, image_shape, quiet, None
        self._scheme = address.partition("://")[0].lower()
        self._frames = 0
        # A frame that is too large becomes one of 1x1 pixels: nothing else in ffmpeg tells its size to the
        # pixel.
        side = f"if(gt(iw*ih,{MAX_PIXELS}),1,min({{}},{LARGEST_SIDE}))"
        self._command = [
            find_ffmpeg(),
            "-nostdin",
            "-hide_banner",
            "-v",
            "error",
            "-threads",
            "2",
            "-max_pixels",
            str(2 * MAX_PIXELS),
            *_input(address),
            "-map",
            "0:v:0",
            "-vf",
            f"fps={rate},scale=w='{side.format('iw')}':h='{side.format('ih')}':flags=area+accurate_rnd+full_chroma_int",
            "-pix_fmt",
            "rgb24",
            "-f",
            "image2pipe",
            "-c:v",
            "ppm",
            "pipe:1",
        ]

    def close(self):
        if self._process:
            self._process.kill()

    def __iter__(self):
        if not self._quiet:
            print(f"{self._address}: waiting for pictures, {SILENCE} s at most", file=sys.stderr)
        begun = time.monotonic()
        while True:
            attempt = time.monotonic()
            with tempfile.TemporaryFile() as log:
                failed, silent = yield from self._run(log)
                log.seek(0)
                said = log.read()
            # ffmpeg gives up a silent UDP address after ENDED seconds, and hands out all it has. The sender
            # may still begin.
            again = self._scheme == "udp" and not self._frames and time.monotonic() - attempt > 0.9 * ENDED
            if not again or time.monotonic() - begun > SILENCE - ENDED:
                break
        if self._scheme in WITHOUT_END and self._frames and (silent or not failed):
            print(f"{self._address}: nothing more has come for {ENDED} s, taken for its end", file=sys.stderr)
        elif silent or again:
            raise OSError(f"{self._address}: no picture for {SILENCE} s")
        elif b"max pixel count" in said:
            raise self._too_large()
        elif failed or not self._frames:
            raise OSError(
                f"{self._address}: {'broke off' if self._frames else 'not opened'} "
                f"({error_reason(said, self._address)})"
            )

    def _run(self, log):
        """Yields the frames that one ffmpeg gives, its messages going to `log`. Returns whether it failed and
        whether it was silent for too long."""
        with (
            processes.running(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, bufsize=1 << 20
            ) as process,
            Watchdog(process, SILENCE) as watchdog,
        ):
            self._process = process
            while (frame := read_ppm(process.stdout)) is not None:
                if frame.shape[:2] == (1, 1):
                    raise self._too_large()
                self._frames += 1
                if self._scheme in WITHOUT_END and self._scheme != "udp":
                    watchdog.seconds = ENDED
                watchdog.start()
                yield resize(frame, self._image_shape)
            return process.wait() != 0, watchdog.barked

    def _too_large(self):
        return OSError(
            f"{self._address}: its frames have more than {MAX_PIXELS} pixels; larger ones need --max-pixels"
        )
