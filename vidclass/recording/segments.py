"""Windows of a video to segments of one class each."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from vidclass.errors import UsageError, check_seconds

# Least probability that a window can give a class: a network that is wrong is often sure of it.
MIN_PROBABILITY = 0.01
# Logarithm of the odds that one window's class differs from the one before. Cuts between kinds of video are
# rare.
TRANSITION_LOG_ODDS = -4.0
FAST_WINDOWS = 4  # that a class lasts at least with --fast


@dataclass(frozen=True)
class Smoothing:
    """How segments are found without flicker: as the likeliest sequence of classes over all windows."""

    min_duration: float | None = None  # seconds that a class lasts at least; None: as long as a window
    fast: bool = False  # at least FAST_WINDOWS windows

    def __post_init__(self) -> None:
        check_seconds("--min-duration", self.min_duration)
        if self.fast and self.min_duration is not None:
            raise UsageError("--fast sets --min-duration to four windows: give one of them")

    @property
    def is_coarse_to_fine(self) -> bool:
        """Whether windows are left out where the least duration allows it: see coarse_to_fine.py."""
        return self.fast or self.min_duration is not None

    def least(self, window_seconds: float | Fraction) -> float:
        """Seconds that a class lasts at least. window_seconds: that a window lasts."""
        if self.min_duration is not None:
            return float(self.min_duration)
        return float(window_seconds) * (FAST_WINDOWS if self.fast else 1)


class Window(NamedTuple):
    """A stretch of the video and the probabilities of the classes in it."""

    start: float  # seconds
    end: float
    first_frame: int
    end_frame: int  # the first one after the window
    probabilities: list  # of float, in the order of the classes
    looked_at: bool = True  # by the network; else the probabilities are interpolated


class Segment(NamedTuple):
    """A stretch of one class."""

    start: float  # seconds
    end: float
    class_name: str
    probability: float  # of that class, the mean over the segment's time


class Timeline(NamedTuple):
    """What is known of a recording."""

    video: str  # its path
    fps: Fraction
    size: tuple  # (height, width)
    classes: list  # of str
    windows: list  # of Window, which do not overlap: see average_windows
    segments: list  # of Segment
    skipped: tuple = ()  # classes that a player is to skip
    sound: tuple | None = None  # (sampling rate in Hz, channels); None without
    is_regular: bool = True  # whether its frames come at a constant rate


def average_windows(windows: Iterable[Window]) -> Iterator[Window]:
    """Yields Windows that don't overlap, each with the mean of the probabilities of the windows that cover
    it. It was looked at if one of them was.

    windows: iterable of Windows in order of their start and of their end. What no later window can change is
    given out at once.
    """
    covering: list[Window] = []  # those that reach beyond `at`
    at, at_frame = 0.0, 0

    def cells(until, until_frame):
        nonlocal at, at_frame
        while at_frame < until_frame and covering:
            first = covering[0]
            end, end_frame = min((first.end_frame, first.end), (until_frame, until))[::-1]
            mean = np.mean([window.probabilities for window in covering], axis=0)
            looked_at = any(window.looked_at for window in covering)
            yield Window(at, end, at_frame, end_frame, mean.tolist(), looked_at)
            at, at_frame = end, end_frame
            while covering and covering[0].end_frame <= at_frame:
                covering.pop(0)

    for window in windows:
        yield from cells(window.start, window.first_frame)
        if not covering:
            at, at_frame = window.start, window.first_frame
        covering.append(window)
    if covering:
        yield from cells(covering[-1].end, covering[-1].end_frame)


def find_segments(
    classes: list[str], windows: list[Window], window_seconds: float = 1.0, smoothing: Smoothing | None = None
) -> list[Segment]:
    """Segments of one class each, from Windows that don't overlap.

    window_seconds: how long the windows were that the network saw, needed for smoothing only. Without it,
    each window is of its likeliest class. With it, the likeliest sequence of classes is found, in which a
    change costs TRANSITION_LOG_ODDS and every class lasts for the least duration, except at the recording's
    two ends.
    """
    if not windows:
        return []
    probabilities = np.array([window.probabilities for window in windows])
    chosen = probabilities.argmax(1)
    if smoothing:
        durations = np.array([window.end - window.start for window in windows])
        # What several windows share of the evidence counts once.
        shares = np.minimum(durations / window_seconds, 1)[:, None]
        scores = np.log(np.maximum(probabilities, MIN_PROBABILITY)) * shares
        chosen = viterbi_min_duration(scores, durations, smoothing.least(window_seconds))
    firsts = np.flatnonzero(np.append(True, chosen[1:] != chosen[:-1]))
    names = [classes[number] for number in chosen[firsts]]
    return make_segments(classes, windows, names, [windows[number].start for number in firsts[1:]])


def make_segments(
    classes: list[str], windows: list[Window], names: list[str], cuts: list[float]
) -> list[Segment]:
    """Segments of classes that follow each other: names, n of str; cuts: the n - 1 times between them, in
    seconds. Their probabilities are those of the windows that they cover."""
    edges = [windows[0].start, *cuts, windows[-1].end]
    return [
        Segment(start, end, name, float(mean[classes.index(name)]))
        for name, start, end, mean in zip(names, edges, edges[1:], _means(windows, edges))
    ]


def snap_cuts(segments: list[Segment], times: np.ndarray, most: float) -> list[Segment]:
    """Segments that give way to each other where a frame begins, not while one is shown.

    times: of the frames, rising, in seconds. most: seconds that a cut is moved at most.
    """
    if not segments:
        return segments
    edges = [segment.start for segment in segments] + [segments[-1].end]
    for number in range(1, len(segments)):
        place = int(np.searchsorted(times, edges[number]))
        nearest = min(
            times[max(place - 1, 0) : place + 1].tolist(), key=lambda time: abs(time - edges[number])
        )
        if abs(nearest - edges[number]) <= most and edges[number - 1] < nearest < edges[number + 1]:
            edges[number] = nearest
    return [segment._replace(start=start, end=end) for segment, start, end in zip(segments, edges, edges[1:])]


def stretches_of(segments: list[Segment], classes: Collection[str]) -> list[tuple[float, float]]:
    """(start, end) in seconds of what is of some classes; segments that touch become one."""
    found: list[tuple[float, float]] = []
    for segment in segments:
        if segment.class_name in classes:
            touches = bool(found) and found[-1][1] == segment.start
            start = found.pop()[0] if touches else segment.start
            found.append((start, segment.end))
    return found


def over_segments(windows: list[Window], segments: list[Segment], times: np.ndarray) -> list[Window]:
    """A Window for each Segment: its frames, and the mean probability of each class over its time. times: of
    all frames and of the end, in seconds, rising (frames + 1,)."""
    edges = [segments[0].start, *(segment.end for segment in segments)]
    frames = [0, *np.searchsorted(times, edges[1:-1]).tolist(), len(times) - 1]
    return [
        Window(start, end, first, last, mean.tolist())
        for start, end, first, last, mean in zip(edges, edges[1:], frames, frames[1:], _means(windows, edges))
    ]


def _means(windows, edges):
    """Yields the mean probabilities of the windows, (classes,), over the time from each edge to the next."""
    probabilities = np.array([window.probabilities for window in windows])
    starts, ends = (np.array([window[field] for window in windows]) for field in (0, 1))
    for start, end in zip(edges, edges[1:]):
        shares = np.maximum(np.minimum(ends, end) - np.maximum(starts, start), 1e-12)
        yield np.average(probabilities, axis=0, weights=shares)


def viterbi_min_duration(scores: np.ndarray, durations: np.ndarray, min_duration: float) -> np.ndarray:
    """The likeliest class of each step, int (steps,): scores (steps, classes) and TRANSITION_LOG_ODDS for
    each change add up to the most, and no class lasts less than min_duration, in seconds, except at the two
    ends.

    durations: of the steps, (steps,). Viterbi, "Error bounds for convolutional codes", 1967, with a least
    duration as in hidden semi-Markov models (Yu, "Hidden semi-Markov models", 2010).
    """
    steps, count = scores.shape
    total = np.vstack([np.zeros(count), np.cumsum(scores, axis=0)])  # of the steps before
    ends = np.cumsum(durations)
    # The best after so many steps, the last of a class that has lasted long enough.
    best = np.full((steps + 1, count), -np.inf)
    # Where that class began, if it became long enough at this step; -1: it did before.
    begun = np.full((steps + 1, count), -1)
    opened = np.zeros((steps, count))  # the best before a class begins at a step
    before = np.zeros((steps, count), int)  # the class that it follows
    waiting = 0  # first beginning that isn't long enough yet
    for step in range(steps):
        if step:
            others = np.where(np.eye(count, dtype=bool), -np.inf, best[step])  # row: class that begins
            before[step] = others.argmax(1)
            opened[step] = others.max(1) + TRANSITION_LOG_ODDS
            best[step + 1] = best[step] + scores[step]
        while waiting <= step and (
            waiting == 0 or step == steps - 1 or ends[step] - ends[waiting - 1] >= min_duration - 1e-6
        ):
            found = opened[waiting] + total[step + 1] - total[waiting]
            better = found > best[step + 1]
            best[step + 1][better], begun[step + 1][better] = found[better], waiting
            waiting += 1
    chosen = np.empty(steps, int)
    step, name = steps, int(best[steps].argmax())
    while step:
        start = begun[step, name]
        if start < 0:
            chosen[step - 1] = name
            step -= 1
        else:
            chosen[start:step] = name
            step, name = start, before[start, name]
    return chosen
