"""Where exactly one class gives way to another."""

import bisect
import tempfile

import numpy as np

from vidclass.features.sampling import evenly_spaced_indices
from vidclass.interfaces import SequenceClassifier
from vidclass.recording.segments import MIN_PROBABILITY, Timeline, make_segments

CANDIDATES = 25  # places for a cut that are tried at once


class FeatureCache:
    """The features of the frames that windows sampled, in a file without a name in `folder`, as
    half-precision numbers: 4 kB a frame. .frames: the numbers of the frames, rising. .runs: the places in
    .frames before which sampled frames were left out, rising."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.runs: list[int] = []
        self._file = tempfile.TemporaryFile(dir=folder)
        self.frames: list[int] = []

    def append(self, frame: int, feature: np.ndarray) -> None:
        """Adds a frame's feature. Raises OSError, naming the folder, if there is no room."""
        try:
            self._file.write(feature.astype(np.float16).tobytes())
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.folder) from None
        self.frames.append(frame)

    def leave_out(self) -> None:
        """The network has not seen the next of the sampled frames."""
        if not self.runs or self.runs[-1] < len(self.frames):
            self.runs.append(len(self.frames))

    def read(self, first: int, end: int) -> np.ndarray:
        """The features from place `first` to before `end` in .frames, float32 (end - first, length)."""
        self._file.seek(0, 2)
        length = self._file.tell() // max(len(self.frames), 1)
        self._file.seek(first * length)
        values = np.frombuffer(self._file.read((end - first) * length), np.float16)
        return values.reshape(end - first, -1).astype(np.float32)

    def close(self) -> None:
        """Gives the disk's room back."""
        self._file.close()


def refine_cuts(
    timeline: Timeline, times: np.ndarray, cache: FeatureCache, model: SequenceClassifier, seq_length: int
) -> Timeline:
    """A timeline with its cuts moved to where find_cuts finds them. times: of all frames and of the end, in
    seconds (frames + 1,)."""
    first_frames = {window.start: window.first_frame for window in timeline.windows}
    names = [segment.class_name for segment in timeline.segments]
    numbers = [timeline.classes.index(name) for name in names]
    frames = [first_frames[segment.start] for segment in timeline.segments[1:]]
    cuts = [float(times[frame]) for frame in find_cuts(numbers, frames, cache, model, seq_length)]
    return timeline._replace(segments=make_segments(timeline.classes, timeline.windows, names, cuts))


def find_cuts(
    numbers: list[int], cuts: list[int], cache: FeatureCache, model: SequenceClassifier, seq_length: int
) -> list[int]:
    """Where one class gives way to another, more exactly than windows tell: a frame number for each cut.

    numbers: of the classes that follow each other, n. cuts: the n - 1 frames at which windows change, rising.
    A cut is moved by a window at most, and not beyond its neighbours, to where the network is surest that the
    window which ends there is of the class before, and that the one which begins there is of the class after.
    """
    frames = np.array(cache.frames)
    edges = [0, *np.searchsorted(frames, cuts), len(frames)]  # places in the cache
    found: list[int] = []
    for before, after, cut, place, limit in zip(numbers, numbers[1:], cuts, edges[1:], edges[2:]):
        if place in cache.runs:  # where nothing was looked at
            found.append(max([cut, *found[-1:]]))
            continue
        start = int(np.searchsorted(frames, found[-1])) if found else 0
        run = bisect.bisect(cache.runs, place)
        start, limit = max([start, *cache.runs[:run][-1:]]), min([limit, *cache.runs[run : run + 1]])
        low, high = max(start + 1, place - seq_length), min(limit - 1, place + seq_length)
        if low > high:
            found.append(int(frames[min(place, len(frames) - 1)]))
            continue
        step = max(1, -(-(high - low) // CANDIDATES))
        places = np.arange(low, high + 1, step)
        while True:
            sides = _sides(cache, places, start, limit, seq_length)
            scores = np.log(np.maximum(model.predict(sides), MIN_PROBABILITY)).reshape(len(places), 2, -1)
            place = places[(scores[:, 0, before] + scores[:, 1, after]).argmax()]
            if step == 1:
                break
            places = np.arange(max(low, place - step + 1), min(high, place + step - 1) + 1)
            step = 1
        found.append(int(frames[place - 1] + frames[place] + 1) // 2)
    return found


def _sides(cache, places, start, limit, seq_length):
    """The sequences before and behind each of some places in the cache, of what lies between the places
    `start` and `limit`: float32 (2 * places, seq_length, features)."""
    first = max(start, places[0] - seq_length)
    features = cache.read(first, min(limit, places[-1] + seq_length))
    sides = []
    for at in places - first:
        left = features[max(at - seq_length, start - first, 0) : at]
        right = features[at : at + seq_length]
        sides += [side[evenly_spaced_indices(len(side), seq_length)] for side in (left, right)]
    return np.stack(sides)
