"""Batches of feature sequences, read from disk as they are needed."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from vidclass.dataset.data_file import Clip


class ClipSequences:
    """Clips and their feature sequences on disk.

    store: a FolderStore. clips: of its dataset. len() is the number of clips.
    .clips. .seq_length. .targets: one-hot classes, float32 (n, classes).
    """

    def __init__(self, store: Any, clips: list[Clip]):
        dataset = store.dataset
        self.clips, self.seq_length = clips, dataset.seq_length
        targets = [dataset.get_class_one_hot(clip.class_name) for clip in clips]
        self.targets = np.array(targets, np.float32).reshape(-1, len(dataset.classes))
        self._store = store

    def __len__(self):
        return len(self.clips)

    def load(self, numbers: Sequence[int], steps: np.ndarray | None = None) -> np.ndarray:
        """The sequences of clips given by number, float32 (n, seq_length, 2048).

        steps: int (n, seq_length), which steps of each clip to take instead of all. Raises ValueError, naming
        the file, if a sequence is missing, damaged, or holds NaN or infinite values.
        """
        sequences = _aligned_array((len(numbers), *self._store.shape))
        whole = np.empty(self._store.shape, np.float32)
        for place, number in enumerate(numbers):
            if steps is None:
                self._read(self.clips[number], sequences[place])
            else:
                self._read(self.clips[number], whole)
                # mode: "raise" would copy once more
                np.take(whole, steps[place], axis=0, out=sequences[place], mode="clip")
        return sequences

    def _read(self, clip, into):
        if not self._store.read(clip, into):
            raise ValueError(f"{self._store.path(clip)}: missing or damaged; delete it and run again")
        # Here, where they are read anyway, and not at each start.
        with np.errstate(all="ignore"):
            suspect = not np.isfinite(into.sum())  # fast; large numbers may add up to infinity, too
        if suspect and not np.isfinite(into).all():
            raise ValueError(
                f"{self._store.path(clip)}: holds values that are NaN or infinite; delete it and run "
                f"extract_features.py, which makes it again"
            )


def _aligned_array(shape):
    """An empty float32 array that begins where TensorFlow needs it to, to use it without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 16, np.float32)
    return buffer[-buffer.ctypes.data % 64 // 4 :][:size].reshape(shape)


class Batches(keras.utils.PyDataset):
    """Batches of (sequences (n, seq_length, 2048), one-hot classes (n, classes), weights in the loss (n,)).

    seed: of the order and the augmentation, which differ from epoch to epoch; None: in order, as they are.
    augment: says which steps of each clip to show, augment(random generator, clips, steps) -> int (clips,
    steps). multiple: the number of clips in a batch is a multiple of it (devices that share a batch); a
    smaller batch is filled up with clips that have no weight in the loss.

    .epoch: which epoch the batches are of; whoever trains sets it.
    """

    def __init__(
        self,
        sequences: ClipSequences,
        batch_size: int,
        seed: int | None = None,
        augment: Callable[[np.random.Generator, int, int], np.ndarray] | None = None,
        multiple: int = 1,
    ):
        # Threads read ahead. With one worker tf.data would do it, and end an epoch seconds late: its tuner
        # sleeps.
        super().__init__(workers=2, max_queue_size=4)
        self.seed, self.epoch = seed, 0
        self._sequences, self._batch_size = sequences, batch_size
        self._augment, self._multiple = augment, multiple
        self._weights = class_weights(sequences.targets)
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)

    def __len__(self):
        return -(-len(self._sequences) // self._batch_size)

    def __getitem__(self, index):
        numbers = self._order(self.epoch)[index * self._batch_size : (index + 1) * self._batch_size]
        steps = None
        if self._augment is not None:  # with a generator of its own: threads ask for batches in any order
            random = np.random.default_rng((self.seed or 0, self.epoch, index))
            steps = self._augment(random, len(numbers), self._sequences.seq_length)
        sequences = self._sequences.load(numbers, steps)
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
    parts = [
        research_model.predict(sequences.load(range(start, min(start + batch_size, len(sequences)))))
        for start in range(0, len(sequences), batch_size)
    ]
    return np.concatenate(parts) if parts else sequences.targets.astype(np.float64)


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Weights of the clips that give each class the same share of the loss, float32 (n,), 1 on average.
    targets: one-hot (n, classes)."""
    counts = targets.sum(0)
    return (targets @ (len(targets) / np.count_nonzero(counts) / np.maximum(counts, 1))).astype(np.float32)


def feature_statistics(sequences: ClipSequences) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each feature over all frames: two float32 (2048,)."""
    frames, total, squares = 0, np.zeros(1), np.zeros(1)
    for number in range(len(sequences)):
        sequence = sequences.load([number])[0].astype(np.float64)
        frames += len(sequence)
        total, squares = total + sequence.sum(0), squares + (sequence**2).sum(0)
    mean = total / frames
    return mean.astype(np.float32), np.maximum(squares / frames - mean**2, 0).astype(np.float32)
