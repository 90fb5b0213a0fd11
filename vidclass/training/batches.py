"""Batches of feature sequences, read from disk as they are needed."""

import functools

import keras
import numpy as np

from vidclass.features.identity import FEATURES_LENGTH


class ClipSequences:
    """Clips with the feature sequences that lie on disk for them.

    dataset: a DataSet. rows: list of its Clips. identity: of the features (inception.features_id).
    .dataset, .rows, .identity, .targets: one-hot classes, float32 (n, classes). len() is the number of clips.
    """

    def __init__(self, dataset, rows, identity):
        self.dataset, self.rows, self.identity = dataset, rows, identity
        self.targets = np.array(
            [dataset.get_class_one_hot(row.class_name) for row in rows], np.float32
        ).reshape(-1, len(dataset.classes))

    def __len__(self):
        return len(self.rows)

    def load(self, numbers, steps=None):
        """The sequences of clips given by number, float32 (n, seq_length, 2048). steps: int (n, seq_length),
        which steps of each clip to take instead of all."""
        sequences = _aligned((len(numbers), self.dataset.seq_length, FEATURES_LENGTH))
        whole = np.empty(sequences.shape[1:], np.float32)
        for place, number in enumerate(numbers):
            row = self.rows[number]
            if not self.dataset.read_sequence(
                row, self.identity, sequences[place] if steps is None else whole
            ):
                raise ValueError(
                    f"{self.dataset.get_sequence_path(row, self.identity)}: missing or damaged; delete it and run again"
                )
            # Here, where they are read anyway, and not at each start.
            values = sequences[place] if steps is None else whole
            with np.errstate(all="ignore"):
                suspect = not np.isfinite(values.sum())  # fast; too large a sum of numbers is not their fault
            if suspect and not np.isfinite(values).all():
                raise ValueError(
                    f"{self.dataset.get_sequence_path(row, self.identity)}: holds values that are no numbers (NaN or "
                    f"infinite); delete it and run extract_features.py, which makes it again"
                )
            if steps is not None:
                np.take(
                    whole, steps[place], axis=0, out=sequences[place], mode="clip"
                )  # "raise" would copy once more
        return sequences


def _aligned(shape):
    """An empty float32 array that begins where TensorFlow needs it to, to use it without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 16, np.float32)
    return buffer[-buffer.ctypes.data % 64 // 4 :][:size].reshape(shape)


def batches(clips, batch_size, seed=None, augment=None, multiple=1):
    """A keras.utils.PyDataset of (sequences (n, seq_length, 2048), one-hot classes (n, classes), weights in
    the loss (n,)), read from disk as needed.

    clips: Clips. seed: of the order and the augmentation, which differ from epoch to epoch; None: in order,
    as they are. augment: says which steps of each clip to show, augment(random generator, clips, steps) ->
    int (clips, steps). multiple: of clips in a batch (devices that share it): a smaller one is filled up with
    clips that have no weight in the loss.
    """
    weights = class_weights(clips.targets)

    @functools.lru_cache(maxsize=2)
    def order(epoch):
        return (
            np.arange(len(clips))
            if seed is None
            else np.random.default_rng((seed, epoch)).permutation(len(clips))
        )

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            # Threads read ahead. With one worker tf.data would do it, and end an epoch seconds late: its
            # tuner sleeps.
            super().__init__(workers=2, max_queue_size=4)
            self.seed, self.epoch = seed, 0  # fit sets the epoch

        def __len__(self):
            return -(-len(clips) // batch_size)

        def __getitem__(self, index):
            numbers = order(self.epoch)[index * batch_size : (index + 1) * batch_size]
            steps = None
            if augment is not None:  # with a generator of its own: threads ask for batches in any order
                steps = augment(
                    np.random.default_rng((seed, self.epoch, index)), len(numbers), clips.dataset.seq_length
                )
            sequences, targets, shares = clips.load(numbers, steps), clips.targets[numbers], weights[numbers]
            surplus = -len(numbers) % multiple
            if surplus:
                fill = np.arange(len(numbers) + surplus) % len(numbers)
                sequences, targets = sequences[fill], targets[fill]
                # The loss is divided by the number of clips, those without weight included.
                shares = np.append(shares, np.zeros(surplus, np.float32)) * np.float32(
                    len(fill) / len(numbers)
                )
            return sequences, targets, shares

    return Batches()


def predict(research_model, clips, batch_size=64):
    """Calibrated probabilities of Clips, float64 (n, classes)."""
    parts = [
        research_model.predict(clips.load(range(start, min(start + batch_size, len(clips)))))
        for start in range(0, len(clips), batch_size)
    ]
    return np.concatenate(parts) if parts else clips.targets.astype(np.float64)


def class_weights(targets):
    """Weights of the clips that give each class the same say in the loss, float32 (n,), 1 on average.
    targets: one-hot."""
    counts = targets.sum(0)
    return (targets @ (len(targets) / np.count_nonzero(counts) / np.maximum(counts, 1))).astype(np.float32)


def feature_statistics(clips):
    """Mean and variance of each feature over all frames of Clips: two float32 (2048,)."""
    frames = total = squares = 0
    for number in range(len(clips)):
        sequence = clips.load([number])[0].astype(np.float64)
        frames, total, squares = (
            frames + len(sequence),
            total + sequence.sum(0),
            squares + (sequence**2).sum(0),
        )
    mean = total / frames
    return mean.astype(np.float32), np.maximum(squares / frames - mean**2, 0).astype(np.float32)
