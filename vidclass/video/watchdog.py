"""Ends an ffmpeg that is stuck: on a damaged file, a dead network share, a camera that has gone silent."""

import threading
import time
from typing import Protocol

STALL = 120  # seconds that ffmpeg may take for its next frame, or its next sign of progress


class Killable(Protocol):
    def kill(self) -> None: ...


class Watchdog:
    """Kills a process that takes too long for its next step; a context manager, with a thread of its own.

    seconds: that a step may take (None: STALL). start() begins a step. stop() says that nothing is waited
    for: a reader that works on a frame keeps the writer waiting, and that is no stall. .barked: whether it
    killed the process.
    """

    def __init__(self, process: Killable, seconds: float | None = None):
        self._process = process
        self.seconds = STALL if seconds is None else seconds
        self.barked = False
        self._since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._since = time.monotonic()

    def stop(self) -> None:
        self._since = None

    def __enter__(self):
        self.start()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        tick = min(1, self.seconds / 4)
        step, waited, before = None, 0.0, time.monotonic()
        while not self._ended.wait(tick):
            now, since = time.monotonic(), self._since
            # While the job was suspended (Ctrl-Z), ffmpeg was, too, and the clock went on.
            passed, before = min(now - before, 2 * tick), now
            waited = waited + passed if since is not None and since == step else 0.0
            step = since
            if waited > self.seconds:
                self.barked = True
                self._process.kill()
                return
