"""Work that goes on while the page is open: a thread that runs an ffmpeg, and ends with it."""

import threading
from collections.abc import Callable

from vidclass.video.ffmpeg import Ffmpeg


class Background:
    """A thread that does a part of the work after another. .problem: why it ended too early, None if it
    didn't. .done: whether it has ended.

    work: called with this; it gives each Ffmpeg that it runs to `watch`, which raises Stopped after stop().
    """

    def __init__(self, work: Callable[["Background"], None]):
        self._work, self._lock = work, threading.Lock()
        self._process: Ffmpeg | None = None
        self._stopped = self.done = False
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, process: Ffmpeg) -> None:
        """Notes which ffmpeg is to be ended by stop()."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._process = process

    def stop(self) -> None:
        """Ends the ffmpeg that runs, and with it the thread. Returns when it has ended."""
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def _run(self):
        try:
            self._work(self)
        except Stopped:
            pass
        except Exception as error:  # the page says it, and everything else goes on
            if not self._stopped:
                self.problem = str(error) or type(error).__name__
        finally:
            self.done = True


class Stopped(Exception):
    """stop() was called before a part of the work began."""
