"""Classifies a live source, an address or a camera, for as long as it lasts: a line of JSON for each window."""
import collections
import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone
from fractions import Fraction

import numpy as np

import cli
import processes
import video
from console import print

# What ffmpeg may open for an address: never a file, whatever a playlist says.
PROTOCOLS = {"rtsp": "rtsp,rtp,udp,tcp", "rtsps": "rtsp,rtp,tls,tcp", "rtmp": "rtmp,tcp", "rtmps": "rtmps,rtmp,tls,tcp",
             "rtp": "rtp,udp", "srt": "srt,udp", "udp": "udp", "tcp": "tcp",
             "http": "http,tcp", "https": "https,http,tls,tcp,crypto"}
BACKLOG = 5  # windows that may wait for the network; a source often begins with the last seconds it has kept
SILENCE = 30  # seconds without a frame after which a source is given up


def stream(source, saved_model, seq_length, classes, image_shape, clip_seconds, weights, precision="float32", hop=None):
    """Classifies the windows of a live source and prints each as it ends: {"start": ..., "end": ..., "time": ..., "class":
    ..., "probability": ..., "probabilities": {...}}, start and end in seconds from the first frame, time as in UTC then.

    source: an address (see PROTOCOLS) or a camera's number. saved_model: the checkpoint; the arguments after it are its
    own. hop: seconds from one window to the next (None: a window). Where the network is slower than the source, whole
    windows are left out. Returns when the source ends.
    Raises cli.UsageError if it is no live source, OSError if it can't be opened, breaks off or is silent.
    """
    rate = Fraction(seq_length) / Fraction(clip_seconds)  # frames per second that a window needs
    group = max(1, round(Fraction(hop) * rate)) if hop else seq_length  # frames from one window to the next
    if group > seq_length:
        raise cli.UsageError(f"--hop {float(hop):g} would leave gaps: a window is {float(clip_seconds):g} s")
    source = Source(source, rate, image_shape)
    cli.import_keras()
    from extractor import Extractor
    from models import ResearchModel
    model, extractor = ResearchModel.load(saved_model), Extractor(image_shape, weights, precision)
    extractor.extract_batch(np.zeros((group, *image_shape), np.uint8))  # compiles; else the first frames would wait

    features, expected = collections.deque(maxlen=seq_length), 0
    with contextlib.closing(take_groups(source, group, seq_length)) as groups:
        for first, frames, arrived in groups:
            if first != expected:
                features.clear()
            expected = first + len(frames)
            features.extend(extractor.extract_batch(np.stack(frames)))
            if len(features) == seq_length:
                probabilities = model.predict(np.stack(features)[None])[0].tolist()
                best = int(np.argmax(probabilities))
                print(json.dumps({
                    "start": round(float((expected - seq_length) / rate), 3), "end": round(float(expected / rate), 3),
                    "time": datetime.fromtimestamp(arrived, timezone.utc).isoformat(timespec="milliseconds"),
                    "class": classes[best], "probability": round(probabilities[best], 4),
                    "probabilities": {name: round(p, 4) for name, p in zip(classes, probabilities)}}), flush=True)


def take_groups(frames, group, seq_length):
    """Yields (number of the first frame, list of `group` frames, time.time() when they were complete) as they come.

    frames: iterable, run by a thread, with a method close() that ends it. When more than BACKLOG windows wait, groups are
    dropped until none waits; then at least seq_length frames are taken again, so that windows are left out whole.
    """
    ready = queue.Queue()
    stopped = threading.Event()

    def collect():
        taken, taking, most = [], True, -(-seq_length // group)
        since = 0  # groups taken since the last one that was dropped
        try:
            for number, frame in enumerate(frames):
                if stopped.is_set():
                    break
                if number % group == 0:
                    taking = since < most or ready.qsize() < BACKLOG * most if taking else ready.empty()
                    since = since + 1 if taking else 0
                    taken = []
                if taking:
                    taken.append(frame)
                    if len(taken) == group:
                        ready.put((number + 1 - group, taken, time.time()))
            ready.put(None)
        except BaseException as error:
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
        raise cli.UsageError(f"--stream {source}: expected the number of a camera or an address that begins with "
                             f"{', '.join(f'{name}://' for name in PROTOCOLS)}; a file is classified without --stream")
    return ["-protocol_whitelist", PROTOCOLS[scheme], *(("-rtsp_transport", "tcp") if scheme.startswith("rtsp") else ()),
            "-i", source]


class Source:
    """Iterates over the frames of a live source as RGB arrays of image_shape, at `rate` frames per second: one is left out
    or repeated where the source gives more or fewer. close() ends it, from any thread.

    Raises cli.UsageError if it is no live source; while iterating OSError if it can't be opened, breaks off or is silent.
    """

    def __init__(self, address, rate, image_shape):
        self._address, self._image_shape, self._process = address, image_shape, None
        self._command = [video.find_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", *_input(address), "-map", "0:v:0",
                         "-vf", f"fps={rate}", "-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]

    def close(self):
        if self._process:
            self._process.kill()

    def __iter__(self):
        from extractor import resize
        silent = threading.Event()

        def give_up():
            silent.set()
            self.close()

        with tempfile.TemporaryFile() as log:
            process = self._process = processes.popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                      stderr=log, bufsize=1 << 20)
            frames = 0
            try:
                while True:
                    watchdog = threading.Timer(SILENCE, give_up)
                    watchdog.daemon = True
                    watchdog.start()
                    frame = video.read_ppm(process.stdout)
                    watchdog.cancel()
                    if frame is None:
                        break
                    frames += 1
                    yield resize(frame, self._image_shape)
                failed = process.wait() != 0
            finally:
                process.kill()
                process.stdout.close()
                process.wait()
            log.seek(0)
            if silent.is_set():
                raise OSError(f"{self._address}: no picture for {SILENCE} s")
            if failed or not frames:
                raise OSError(f"{self._address}: {'broke off' if frames else 'not opened'} "
                              f"({video.reason(log.read(), self._address)})")
