"""Ends an ffmpeg that is stuck: a damaged file, a dead network share, a camera that says nothing more."""

import re
import threading
import time

STALL = 120  # seconds that ffmpeg may take for its next frame, or its next sign of progress


class Watchdog:
    """Kills a process that takes too long for its next step; a context manager, with a thread of its own.

    process: a subprocess.Popen. seconds: that a step may take (None: STALL). start() begins a step, stop()
    says that nothing is waited for: a reader that works on a frame keeps the writer waiting, and that is no
    stall. .barked: whether it killed the process.
    """

    def __init__(self, process, seconds=None):
        self._process = process
        self.seconds = STALL if seconds is None else seconds
        self.barked = False
        self._since = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self):
        self._since = time.monotonic()

    def stop(self):
        self._since = None

    def __enter__(self):
        self.start()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        while not self._ended.wait(min(1, self.seconds / 4)):
            since = self._since
            if since is not None and time.monotonic() - since > self.seconds:
                self.barked = True
                self._process.kill()
                return


def read_progress(process, watchdog):
    """Yields (frames, seconds) of ffmpeg's output whenever they have grown, from what `-progress pipe:1`
    tells.

    process: a subprocess.Popen whose stdout is text. watchdog: its Watchdog; reports that tell of nothing new
    are no step.
    """
    frames, seconds = 0, 0.0
    for line in process.stdout:
        found = re.fullmatch(r"(frame|out_time_us)=\s*(\d+)\n?", line)
        if not found:
            continue
        before = frames, seconds
        if found[1] == "frame":
            frames = int(found[2])
        else:
            seconds = int(found[2]) / 1e6
        if (frames, seconds) != before:
            watchdog.start()
            yield frames, seconds
