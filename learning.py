"""How a network learns: batches of sequences, checkpoints at improvements, early stopping, calibration."""
import functools
import os
import re
import time
from dataclasses import replace

import numpy as np

import checkpoint
from console import print
from data import FEATURES_LENGTH

BEST = "lstm-features.hdf5"  # name of the best checkpoint so far
PATIENCE = 5  # epochs without improvement
# Of the validation loss, to count as an improvement. On clips that are easy to tell apart it would go on falling by
# ever smaller amounts for a thousand epochs, each with its checkpoint.
MIN_DELTA = 0.001
SHORTEST = 0.5  # share of a clip that augmentation leaves at least
# Standard deviation of the logarithm of the temperature before anything is known: a dozen validation clips that are all
# right would call for certainty, this holds them back.
TEMPERATURE_PRIOR = 0.5


class Clips:
    """Clips with the feature sequences that lie on disk for them.

    dataset: a DataSet. rows: list of its Clips. identity: of the features (inception.features_id).
    .dataset, .rows, .identity, .targets: one-hot classes, float32 (n, classes). len() is the number of clips.
    """

    def __init__(self, dataset, rows, identity):
        self.dataset, self.rows, self.identity = dataset, rows, identity
        self.targets = np.array([dataset.get_class_one_hot(row.class_name) for row in rows],
                                np.float32).reshape(-1, len(dataset.classes))

    def __len__(self):
        return len(self.rows)

    def load(self, numbers, steps=None):
        """The sequences of clips given by number, float32 (n, seq_length, 2048). steps: int (n, seq_length), which steps
        of each clip to take instead of all."""
        sequences = _aligned((len(numbers), self.dataset.seq_length, FEATURES_LENGTH))
        whole = np.empty(sequences.shape[1:], np.float32)
        for place, number in enumerate(numbers):
            row = self.rows[number]
            if not self.dataset.read_sequence(row, self.identity, sequences[place] if steps is None else whole):
                raise ValueError(f"{self.dataset.get_sequence_path(row, self.identity)}: missing or damaged; delete it and run again")
            # Here, where they are read anyway, and not at each start.
            values = sequences[place] if steps is None else whole
            with np.errstate(all="ignore"):
                suspect = not np.isfinite(values.sum())  # fast; too large a sum of numbers is not their fault
            if suspect and not np.isfinite(values).all():
                raise ValueError(f"{self.dataset.get_sequence_path(row, self.identity)}: holds values that are no numbers (NaN or "
                                 f"infinite); delete it and run extract_features.py, which makes it again")
            if steps is not None:
                np.take(whole, steps[place], axis=0, out=sequences[place], mode="clip")  # "raise" would copy once more
        return sequences


def _aligned(shape):
    """An empty float32 array that begins where TensorFlow needs it to, to use it without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 16, np.float32)
    return buffer[-buffer.ctypes.data % 64 // 4:][:size].reshape(shape)


def fit(research_model, train_batches, validation_batches, metadata, data_dir, epochs, verbose=0):
    """Trains until `epochs` or until the validation loss has not improved for PATIENCE epochs.

    research_model: a ResearchModel; one that was loaded from a checkpoint, with its optimizer, goes on from there.
    train_batches, validation_batches: see batches. metadata: for the checkpoints, which go to data_dir/checkpoints; logs
    for TensorBoard and as CSV go to data_dir/logs.

    Returns (keras's History.history, the numbered checkpoint of the best epoch, that epoch counted from 1); the last two
    are None and 0 if the loss never improved.
    """
    import keras
    before = research_model.metadata
    logs = os.path.join(data_dir, "logs")
    os.makedirs(logs, exist_ok=True)
    run = f"{research_model.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    checkpoints = _make_checkpoints(research_model, metadata, os.path.join(data_dir, "checkpoints"))
    history = research_model.model.fit(
        train_batches,
        validation_data=validation_batches,
        initial_epoch=before.epoch if before else 0,
        epochs=epochs,
        shuffle=False,  # the batches do
        verbose=verbose,
        callbacks=[
            _make_seeder(train_batches),
            checkpoints,
            keras.callbacks.EarlyStopping(patience=PATIENCE, min_delta=MIN_DELTA,
                                          baseline=before.val_loss if before else None),
            keras.callbacks.TensorBoard(os.path.join(logs, run)),
            keras.callbacks.CSVLogger(os.path.join(logs, f"{run}.csv")),
        ]).history
    return history, checkpoints.best_path, checkpoints.best_epoch


def batches(clips, batch_size, seed=None, augment=None, multiple=1):
    """A keras.utils.PyDataset of (sequences (n, seq_length, 2048), one-hot classes (n, classes), weights in the loss (n,)),
    read from disk as needed.

    clips: Clips. seed: of the order and the augmentation, which differ from epoch to epoch; None: in order, as they are.
    augment: says which steps of each clip to show, augment(random generator, clips, steps) -> int (clips, steps). multiple:
    of clips in a batch (devices that share it): a smaller one is filled up with clips that have no weight in the loss.
    """
    import keras
    weights = class_weights(clips.targets)

    @functools.lru_cache(maxsize=2)
    def order(epoch):
        return np.arange(len(clips)) if seed is None else np.random.default_rng((seed, epoch)).permutation(len(clips))

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            # Threads read ahead. With one worker tf.data would do it, and end an epoch seconds late: its tuner sleeps.
            super().__init__(workers=2, max_queue_size=4)
            self.seed, self.epoch = seed, 0  # fit sets the epoch

        def __len__(self):
            return -(-len(clips) // batch_size)

        def __getitem__(self, index):
            numbers = order(self.epoch)[index * batch_size:(index + 1) * batch_size]
            steps = None
            if augment is not None:  # with a generator of its own: threads ask for batches in any order
                steps = augment(np.random.default_rng((seed, self.epoch, index)), len(numbers), clips.dataset.seq_length)
            sequences, targets, shares = clips.load(numbers, steps), clips.targets[numbers], weights[numbers]
            surplus = -len(numbers) % multiple
            if surplus:
                fill = np.arange(len(numbers) + surplus) % len(numbers)
                sequences, targets = sequences[fill], targets[fill]
                # The loss is divided by the number of clips, those without weight included.
                shares = np.append(shares, np.zeros(surplus, np.float32)) * np.float32(len(fill) / len(numbers))
            return sequences, targets, shares

    return Batches()


def augment(random, clips, steps):
    """Clips that begin later, end earlier and run unevenly: of each a stretch of at least half its length, at random,
    spread over the sequence again, each step a little early or late. Order is kept.

    random: numpy Generator. Returns which steps to show of each clip, int (clips, steps).
    """
    length = random.uniform(SHORTEST, 1, (clips, 1))
    start = random.uniform(0, 1 - length)
    position = (np.arange(steps) + random.uniform(0, 1, (clips, steps))) / steps
    return np.minimum(((start + length * position) * steps).astype(int), steps - 1)


def predict(research_model, clips, batch_size=64):
    """Calibrated probabilities of Clips, float64 (n, classes)."""
    parts = [research_model.predict(clips.load(range(start, min(start + batch_size, len(clips)))))
             for start in range(0, len(clips), batch_size)]
    return np.concatenate(parts) if parts else clips.targets.astype(np.float64)


def _make_seeder(train_batches):
    """A Keras callback that seeds order, augmentation and dropout anew in each epoch: a training that goes on from a
    checkpoint then does the same as one that was never stopped."""
    import keras

    class Seeder(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            train_batches.epoch = epoch
            for number, layer in enumerate(self.model._flatten_layers()):
                if getattr(layer, "seed_generator", None) is not None:
                    sequence = np.random.SeedSequence((train_batches.seed, epoch, number))
                    layer.seed_generator.state.assign(sequence.generate_state(2))

    return Seeder()


def _make_checkpoints(research_model, metadata, folder):
    """A Keras callback that saves the model whenever val_loss improves by MIN_DELTA.

    keras.callbacks.ModelCheckpoint, which would do, refuses names that end in .hdf5.
    .best_path: the numbered file that lstm-features.hdf5 is the same as, None before the first improvement. .best_epoch:
    its epoch, counted from 1.
    """
    import keras
    before = research_model.metadata

    class Checkpoints(keras.callbacks.Callback):
        best_path, best_epoch = None, 0
        _best = before.val_loss if before else float("inf")

        def on_epoch_end(self, epoch, logs=None):
            val_loss = logs["val_loss"]
            if not val_loss < self._best - MIN_DELTA:
                return
            if self.best_path is None:
                set_aside(folder, before.epoch if before else 0)
            self._best, self.best_epoch = val_loss, epoch + 1
            self.best_path = os.path.join(folder, f"lstm-features.{epoch + 1:03d}-{val_loss:.3f}.hdf5")
            research_model.save(self.best_path, replace(metadata, epoch=epoch + 1, val_loss=float(val_loss)))
            checkpoint.link(self.best_path, os.path.join(folder, BEST))

    return Checkpoints()


def set_aside(folder, epoch=0):
    """Moves an earlier run's checkpoints of later epochs than this to a folder of their own: the last one left is then
    the best of this run."""
    os.makedirs(folder, exist_ok=True)
    earlier = []
    for file in os.listdir(folder):
        number = re.fullmatch(r"lstm-features\.(\d+)-.*\.hdf5", file)
        if int(number[1]) > epoch if number else file == BEST and epoch == 0:
            earlier.append(file)
    if not earlier:
        return
    newest = max(os.path.getmtime(os.path.join(folder, file)) for file in earlier)
    aside = os.path.join(folder, time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(newest)))
    os.makedirs(aside, exist_ok=True)
    for file in earlier:
        os.replace(os.path.join(folder, file), os.path.join(aside, file))
    print(f"The checkpoints of an earlier run are now in {aside}")


def class_weights(targets):
    """Weights of the clips that give each class the same say in the loss, float32 (n,), 1 on average. targets: one-hot."""
    counts = targets.sum(0)
    return (targets @ (len(targets) / np.count_nonzero(counts) / np.maximum(counts, 1))).astype(np.float32)


def feature_statistics(clips):
    """Mean and variance of each feature over all frames of Clips: two float32 (2048,)."""
    frames = total = squares = 0
    for number in range(len(clips)):
        sequence = clips.load([number])[0].astype(np.float64)
        frames, total, squares = frames + len(sequence), total + sequence.sum(0), squares + (sequence ** 2).sum(0)
    mean = total / frames
    return mean.astype(np.float32), np.maximum(squares / frames - mean ** 2, 0).astype(np.float32)


def fit_temperature(targets, probabilities):
    """The temperature at which a network's probabilities are most likely right (Guo et al., "On Calibration of Modern
    Neural Networks", 2017), with a log-normal prior around 1. targets: one-hot (n, classes)."""
    from scipy.optimize import minimize_scalar
    from models import scale

    def cost(logarithm):
        likelihood = (scale(probabilities, np.exp(logarithm)) * targets).sum(1)
        return -np.log(np.maximum(likelihood, 1e-12)).sum() + 0.5 * (logarithm / TEMPERATURE_PRIOR) ** 2

    return float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x))
