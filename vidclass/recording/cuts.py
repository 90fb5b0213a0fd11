"""Where exactly one class gives way to another."""

import tempfile

import numpy as np

from vidclass.features.sampling import evenly_spaced_indices
from vidclass.recording.segments import MIN_PROBABILITY

CANDIDATES = 25  # places for a cut that are tried at once


class FeatureCache:
    """The features of frames, in a file without a name, as half-precision numbers: 4 kB a frame. folder:
    where it lies."""

    def __init__(self, folder):
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)
        self.frames = []  # their numbers, rising

    def append(self, frame, feature):
        """Adds a frame's feature. Raises OSError, naming the folder, if there is no room."""
        try:
            self._file.write(feature.astype(np.float16))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._folder) from None
        self.frames.append(frame)

    def read(self, first, end):
        """The features from place `first` to before `end` in .frames, float32 (end - first, length)."""
        self._file.seek(0, 2)
        length = self._file.tell() // max(len(self.frames), 1)
        self._file.seek(first * length)
        return (
            np.frombuffer(self._file.read((end - first) * length), np.float16)
            .reshape(end - first, -1)
            .astype(np.float32)
        )

    def close(self):
        self._file.close()


def find_cuts(numbers, cuts, store, model, seq_length):
    """Where one class gives way to another, more exactly than windows tell: a list of frame numbers, one for
    each cut.

    numbers: of the classes that follow each other, n of int. cuts: the n - 1 frames at which windows change,
    rising. A cut is moved by a window at most, and not beyond its neighbours, to where the network is surest
    that the window which ends there is of the class before, and that the one which begins there is of the
    class after.
    """
    frames = np.array(store.frames)
    edges = [0, *np.searchsorted(frames, cuts), len(frames)]  # places in the store
    found = []
    for before, after, place, limit in zip(numbers, numbers[1:], edges[1:], edges[2:]):
        start = int(np.searchsorted(frames, found[-1])) if found else 0
        low, high = max(start + 1, place - seq_length), min(limit - 1, place + seq_length)
        step = max(1, -(-(high - low) // CANDIDATES))
        tried = np.arange(low, high + 1, step)
        while len(tried):
            first = max(start, tried[0] - seq_length)
            features = store.read(first, min(limit, tried[-1] + seq_length))
            sides = []
            for at in tried - first:
                left, right = (
                    features[max(at - seq_length, start - first, 0) : at],
                    features[at : at + seq_length],
                )
                sides += [side[evenly_spaced_indices(len(side), seq_length)] for side in (left, right)]
            scores = np.log(np.maximum(model.predict(np.stack(sides)), MIN_PROBABILITY)).reshape(
                len(tried), 2, -1
            )
            place = tried[(scores[:, 0, before] + scores[:, 1, after]).argmax()]
            if step == 1:
                break
            tried = np.arange(max(low, place - step + 1), min(high, place + step - 1) + 1)
            step = 1
        if len(tried):
            found.append(int(frames[place - 1] + frames[place] + 1) // 2)
        else:
            found.append(int(frames[min(place, len(frames) - 1)]))
    return found
