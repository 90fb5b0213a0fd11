"""Classifies a live source, an address or a camera, for as long as it lasts: a line of JSON for each
window."""

import collections
import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fractions import Fraction

import numpy as np

from vidclass.console import print
from vidclass.errors import UsageError
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.interfaces import FeatureExtractor, SequenceClassifier
from vidclass.recording.live_source import Source

BACKLOG = 5  # windows that may wait for the network; a source often begins with the last seconds it has kept
BACKLOG_BYTES = 512 * 2**20  # that their frames may take, but that one window may wait whatever it takes


@dataclass(frozen=True)
class LiveWindows:
    """The windows of a live source. Raises UsageError if they would leave gaps."""

    seq_length: int  # frames that the network sees of a window
    seconds: float | Fraction  # length of a window, that of the training clips
    hop: float | Fraction | None = None  # seconds from one window's start to the next's (None: a window)

    def __post_init__(self):
        if self.hop and self.group > self.seq_length:
            hop, window = float(self.hop), float(self.seconds)
            raise UsageError(f"--hop {hop:g} would leave gaps: a window is {window:g} s")

    @property
    def rate(self) -> Fraction:
        """Frames per second that a window needs."""
        return Fraction(self.seq_length) / Fraction(self.seconds)

    @property
    def group(self) -> int:
        """Frames from one window to the next."""
        return max(1, round(Fraction(self.hop) * self.rate)) if self.hop else self.seq_length


def stream(
    source: Source,
    windows: LiveWindows,
    model: SequenceClassifier,
    extractor: FeatureExtractor,
    classes: Sequence[str],
) -> None:
    """Classifies the windows of a live source and prints each as it ends, see window_line. The last window,
    the one that the source ends in, may be shorter.

    model: a ResearchModel. extractor: an Extractor of the source's image_shape. Where the network is slower
    than the source, whole windows are left out. Returns when the source ends. Raises OSError if it can't be
    opened, breaks off or is silent.
    """
    seq_length, group, shape = windows.seq_length, windows.group, source.image_shape
    extractor.extract_batch(np.zeros((group, *shape), np.uint8))  # compiles; else the first frames would wait
    features: collections.deque = collections.deque(maxlen=seq_length)  # of the last window's frames
    expected, overlapping = 0, group < seq_length
    waiting = max(1, min(BACKLOG, BACKLOG_BYTES // (seq_length * int(np.prod(shape)))))
    with contextlib.closing(take_groups(source, group, seq_length, waiting)) as groups:
        for first, frames, arrived in groups:
            last = len(frames) < group  # the source has ended
            if first != expected or last and not overlapping:
                features.clear()
            expected = first + len(frames)
            features.extend(extractor.extract_batch(np.stack(frames)))
            if len(features) == seq_length or last:
                # A window that the end cuts short is spread over the sequence as a short clip's would be.
                spread = evenly_spaced_indices(len(features), seq_length)
                probabilities = model.predict(np.stack(features)[spread][None])[0].tolist()
                times = ((expected - len(features)) / windows.rate, expected / windows.rate)
                print(window_line(times, arrived, classes, probabilities), flush=True)


def window_line(
    times: tuple[Fraction, Fraction], arrived: float, classes: Sequence[str], probabilities: Sequence[float]
) -> str:
    """A window as JSON: {"start": ..., "end": ..., "time": ..., "class": ..., "probability": ...,
    "probabilities": {...}}.

    times: start and end in seconds from the first frame. arrived: when it was complete, as time.time() has
    it; in UTC in the line.
    """
    best = int(np.argmax(probabilities))
    return json.dumps(
        {
            "start": round(float(times[0]), 3),
            "end": round(float(times[1]), 3),
            "time": datetime.fromtimestamp(arrived, timezone.utc).isoformat(timespec="milliseconds"),
            "class": classes[best],
            "probability": round(probabilities[best], 4),
            "probabilities": {name: round(p, 4) for name, p in zip(classes, probabilities)},
        }
    )


def take_groups(
    frames: Source, group: int, seq_length: int, waiting: int = BACKLOG
) -> Generator[tuple[int, list[np.ndarray], float], None, None]:
    """Yields (number of the first frame, list of `group` frames, time.time() when they were complete) as they
    come; the last list may be shorter.

    frames: iterated over by a thread; close() ends it. When more than `waiting` windows wait, groups are
    dropped until none waits; then at least seq_length frames are taken again, so that windows are left out
    whole.
    """
    ready: queue.Queue = queue.Queue()
    collector = _Collector(ready.put, group, -(-seq_length // group), waiting)
    thread = threading.Thread(target=collector.collect, args=(frames, ready.qsize), daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        collector.stopped.set()
        frames.close()
        thread.join()


class _Collector:
    """Gathers frames into groups. put: called with each group, at the end with None or the exception that
    ended it. most: groups of a window. waiting: windows that may wait."""

    def __init__(self, put: Callable[[object], None], group: int, most: int, waiting: int):
        self.stopped = threading.Event()
        self._put, self._group, self._most, self._waiting = put, group, most, waiting
        self._taken: list[np.ndarray] = []  # the frames of the group that is not complete
        self._next = 0  # number of the next frame

    def collect(self, frames: Iterable[np.ndarray], count_ready: Callable[[], int]) -> None:
        """Takes all frames. count_ready: tells how many groups wait."""
        try:
            taking, since = True, 0  # since: groups taken after the last one that was dropped
            for frame in frames:
                if self.stopped.is_set():
                    break
                if self._next % self._group == 0:
                    if taking:
                        taking = since < self._most or count_ready() < self._waiting * self._most
                    else:
                        taking = count_ready() == 0
                    since = since + 1 if taking else 0
                self._next += 1
                if taking:
                    self._taken.append(frame)
                    if len(self._taken) == self._group:
                        self._hand_over()
            self._hand_over()
            self._put(None)
        except BaseException as error:
            self._hand_over()
            self._put(error)

    def _hand_over(self):
        if self._taken:
            self._put((self._next - len(self._taken), self._taken, time.time()))
            self._taken = []
