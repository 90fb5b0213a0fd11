"""Batches of feature sequences, read from disk as they are needed."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from vidclass.dataset.data_file import Clip
from vidclass.training.calibration import class_weights

LARGEST = 1_000_000  # that a feature can be; InceptionV3's are some tens at most


class ClipSequences:
    """Clips and their feature sequences on disk.

    store: a FolderStore. clips: of its dataset. len() is the number of clips.
    .clips. .targets: one-hot classes, float32 (n, classes).
    """

    def __init__(self, store: Any, clips: list[Clip]):
        dataset = store.dataset
        self.clips = clips
        targets = [dataset.get_class_one_hot(clip.class_name) for clip in clips]
        self.targets = np.array(targets, np.float32).reshape(-1, len(dataset.classes))
        self._store = store

    def __len__(self):
        return len(self.clips)

    def load(self, numbers: Sequence[int]) -> np.ndarray:
        """The sequences of clips given by number, float32 (n, seq_length, 2048). Raises ValueError, naming
        the file, if a sequence is missing, damaged, or holds NaN or infinite values."""
        sequences = _aligned_array((len(numbers), *self._store.shape))
        for place, number in enumerate(numbers):
            self._read(self.clips[number], sequences[place])
        return sequences

    def _read(self, clip, into):
        if not self._store.read(clip, into):
            raise ValueError(f"{self._store.path(clip)}: missing or damaged; delete it and run again")
        # Here, where they are read anyway, and not at each start.
        if not (into.min() > -LARGEST and into.max() < LARGEST):
            problem = f"beyond {LARGEST:,}, too large for features" if np.isfinite(into).all() else None
            raise ValueError(
                f"{self._store.path(clip)}: holds values that are {problem or 'NaN or infinite'}; delete it "
                f"and run extract_features.py, which makes it again"
            )


def _aligned_array(shape):
    """An empty float32 array that begins where TensorFlow needs it to, to use it without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 16, np.float32)
    return buffer[-buffer.ctypes.data % 64 // 4 :][:size].reshape(shape)


class Batches(keras.utils.PyDataset):
    """Batches of (sequences (n, seq_length, 2048), one-hot classes (n, classes), weights in the loss (n,)).

    seed: of the order, which differs from epoch to epoch; None: in order. multiple: the number of clips in a
    batch is a multiple of it (devices that share a batch); a smaller batch is filled up with clips that have
    no weight in the loss.

    .epoch: which epoch the batches are of; whoever trains sets it.
    """

    def __init__(self, sequences: ClipSequences, batch_size: int, seed: int | None = None, multiple: int = 1):
        # Threads read ahead. With one worker tf.data would do it, and end an epoch seconds late: its tuner
        # sleeps.
        super().__init__(workers=2, max_queue_size=4)
        self.seed, self.epoch = seed, 0
        self._sequences, self._batch_size = sequences, batch_size
        self._multiple = multiple
        self._weights = class_weights(sequences.targets)
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)

    def __len__(self):
        return -(-len(self._sequences) // self._batch_size)

    def __getitem__(self, index):
        numbers = self._order(self.epoch)[index * self._batch_size : (index + 1) * self._batch_size]
        sequences = self._sequences.load(numbers)
        targets, weights = self._sequences.targets[numbers], self._weights[numbers]
        surplus = -len(numbers) % self._multiple
        if surplus:
            fill = np.arange(len(numbers) + surplus) % len(numbers)
            sequences, targets = sequences[fill], targets[fill]
            # The loss is divided by the number of clips, those without weight included.
            scale = np.float32(len(fill) / len(numbers))
            weights = np.append(weights, np.zeros(surplus, np.float32)) * scale
        return sequences, targets, weights

    def _shuffle(self, epoch):
        """The order of the clips in an epoch."""
        count = len(self._sequences)
        return (
            np.arange(count)
            if self.seed is None
            else np.random.default_rng((self.seed, epoch)).permutation(count)
        )


def predict(research_model: Any, sequences: ClipSequences, batch_size: int = 64) -> np.ndarray:
    """Calibrated probabilities, float64 (n, classes). research_model: a ResearchModel."""
    parts = [research_model.predict(batch) for batch in in_batches(sequences, batch_size)]
    return np.concatenate(parts) if parts else sequences.targets.astype(np.float64)


def predict_branches(research_model: Any, sequences: ClipSequences) -> np.ndarray:
    """Probabilities of each branch of a ResearchModel, float32 (branches, n, classes), of at least one
    clip."""
    return np.concatenate([research_model.predict_branches(batch) for batch in in_batches(sequences)], axis=1)


def in_batches(sequences: ClipSequences, batch_size: int = 64) -> Iterator[np.ndarray]:
    """All sequences in order, float32 (batch_size, seq_length, 2048), the last batch smaller."""
    for start in range(0, len(sequences), batch_size):
        yield sequences.load(range(start, min(start + batch_size, len(sequences))))


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and variance, two float32 arrays, of what a network standardises."""

    frames: tuple[np.ndarray, np.ndarray]  # each feature over all frames, (2048,)
    steps: tuple[np.ndarray, np.ndarray]  # |x_t - x_(t-1)| over all frames but the first of a clip, (2048,)
    summary: tuple[np.ndarray, np.ndarray]  # summarize's numbers over all clips, (3 * 2048,)


def feature_statistics(sequences: ClipSequences) -> FeatureStatistics:
    """The FeatureStatistics of some clips. Raises ValueError, naming the file, if a sequence is damaged."""
    frames, steps, summary = _Moments(), _Moments(), _Moments()
    for number in range(len(sequences)):
        sequence = sequences.load([number])[0].astype(np.float64)
        frames.add(sequence)
        steps.add(np.abs(np.diff(sequence, axis=0)))
        summary.add(summarize(sequence)[None])
    return FeatureStatistics(frames.result(), steps.result(), summary.result())


def summarize(sequence: np.ndarray) -> np.ndarray:
    """What branches.summary sees of a sequence (seq_length, n): mean, mean absolute deviation from it and
    mean absolute step of each feature over time, (3 * n,)."""
    mean = sequence.mean(0)
    steps = np.abs(np.diff(sequence, axis=0)) if len(sequence) > 1 else np.zeros((1, len(mean)))
    return np.concatenate([mean, np.abs(sequence - mean).mean(0), steps.mean(0)])


class _Moments:
    """Mean and variance of rows that come bit by bit."""

    def __init__(self):
        self._rows, self._total, self._squares = 0, np.zeros(1), np.zeros(1)

    def add(self, rows):
        self._rows += len(rows)
        self._total, self._squares = self._total + rows.sum(0), self._squares + (rows**2).sum(0)

    def result(self):
        mean = self._total / max(self._rows, 1)
        variance = np.maximum(self._squares / max(self._rows, 1) - mean**2, 0)
        return mean.astype(np.float32), variance.astype(np.float32)
