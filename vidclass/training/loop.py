"""Keras's training loop with our checkpoints and early stopping."""

import os
import re
import time
from dataclasses import replace

import keras
import numpy as np

from vidclass.console import print
from vidclass.training.checkpoint import hard_link

BEST = "lstm-features.hdf5"  # name of the best checkpoint so far
PATIENCE = 5  # epochs without improvement
# Of the validation loss, to count as an improvement. On clips that are easy to tell apart it would go on
# falling by ever smaller amounts for a thousand epochs, each with its checkpoint.
MIN_DELTA = 0.001


def fit(research_model, train_batches, validation_batches, metadata, data_dir, epochs, verbose=0):
    """Trains until `epochs` or until the validation loss has not improved for PATIENCE epochs.

    research_model: a ResearchModel; one that was loaded from a checkpoint, with its optimizer, goes on from
    there. train_batches, validation_batches: see batches. metadata: for the checkpoints, which go to
    data_dir/checkpoints; logs for TensorBoard and as CSV go to data_dir/logs.

    Returns (keras's History.history, the numbered checkpoint of the best epoch, that epoch counted from 1);
    the last two are None and 0 if the loss never improved.
    """
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
            keras.callbacks.EarlyStopping(
                patience=PATIENCE, min_delta=MIN_DELTA, baseline=before.val_loss if before else None
            ),
            keras.callbacks.TensorBoard(os.path.join(logs, run)),
            keras.callbacks.CSVLogger(os.path.join(logs, f"{run}.csv")),
        ],
    ).history
    return history, checkpoints.best_path, checkpoints.best_epoch


def _make_seeder(train_batches):
    """A Keras callback that seeds order, augmentation and dropout anew in each epoch: a training that goes on
    from a checkpoint then does the same as one that was never stopped."""

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

    keras.callbacks.ModelCheckpoint, which would do, refuses names that end in .hdf5. .best_path: the numbered
    file that lstm-features.hdf5 is the same as, None before the first improvement. .best_epoch: its epoch,
    counted from 1.
    """
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
            hard_link(self.best_path, os.path.join(folder, BEST))

    return Checkpoints()


def set_aside(folder, epoch=0):
    """Moves an earlier run's checkpoints of later epochs than this to a folder of their own: the last one
    left is then the best of this run."""
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
