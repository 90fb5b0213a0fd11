"""Keras's training loop with our checkpoints and early stopping."""

import os
import re
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from vidclass.console import print
from vidclass.training.batches import Batches
from vidclass.training.checkpoint import link_checkpoint
from vidclass.training.metadata import Metadata
from vidclass.training.preparation import Splits

BEST = "lstm-features.hdf5"  # name of the best checkpoint so far
PATIENCE = 5  # epochs without improvement
# Of the validation loss, to count as an improvement. On clips that are easy to tell apart it would go on
# falling by ever smaller amounts for a thousand epochs, each with its checkpoint.
MIN_DELTA = 0.001


@dataclass(frozen=True)
class Fit:
    """What fit returns."""

    history: dict[str, list]  # keras.callbacks.History's, of the epochs of this run
    first_epoch: int  # of this run, counted from 1
    best_path: str | None  # the numbered checkpoint of the best epoch; None if the loss never improved
    best_epoch: int  # counted from 1; 0 if the loss never improved


def fit(
    research_model: Any, sequences: Splits, metadata: Metadata, options: Any, devices: int = 1, fold: int = 0
) -> Fit:
    """Trains until options.epochs or until the validation loss has not improved for PATIENCE epochs.

    research_model: a ResearchModel; one that was loaded from a checkpoint, with its optimizer, goes on from
    there. sequences: ClipSequences of the splits. metadata: for the checkpoints, which go to
    data_dir/checkpoints; logs for TensorBoard and as CSV go to data_dir/logs. options: train.TrainOptions.
    devices: that share each batch. fold: counted from 1, whose checkpoints get a folder of their own; 0: not
    one of several. Raises RuntimeError if a new network never gets a checkpoint.
    """
    before = research_model.metadata
    logs = os.path.join(options.data_dir, "logs")
    os.makedirs(logs, exist_ok=True)
    run = f"{research_model.name}-{time.strftime('%Y%m%d-%H%M%S')}" + (f"-fold-{fold}" if fold else "")
    if devices > 1:
        print(f"Training on {devices} devices, {-(-options.batch_size // devices)} clips of a batch on each")
    elif keras.backend.backend() == "tensorflow":
        create_variables(research_model)
    train_batches = Batches(sequences.train, options.batch_size, options.seed, devices)
    checkpoints = Checkpoints(research_model, metadata, os.path.join(options.data_dir, "checkpoints"), fold)
    history = research_model.trainer.fit(
        train_batches,
        validation_data=Batches(sequences.validation, options.batch_size, multiple=devices),
        initial_epoch=before.epoch if before else 0,
        epochs=options.epochs,
        shuffle=False,  # the batches do
        verbose=0 if options.quiet else 1 if sys.stdout.isatty() else 2,
        callbacks=[
            Seeder(train_batches),
            checkpoints,
            keras.callbacks.EarlyStopping(
                patience=PATIENCE, min_delta=MIN_DELTA, baseline=before.val_loss if before else None
            ),
            keras.callbacks.TensorBoard(os.path.join(logs, run)),
            keras.callbacks.CSVLogger(os.path.join(logs, f"{run}.csv")),
        ],
    ).history
    if checkpoints.best_path is None and before is None:
        raise RuntimeError("the validation loss was NaN in every epoch: no checkpoint was written")
    return Fit(history, checkpoints.first_epoch, checkpoints.best_path, checkpoints.best_epoch)


def create_variables(research_model: Any) -> None:
    """Creates the variables of the optimizer and the metrics. TensorFlow traces a training step twice if the
    first makes them, which takes seconds."""
    trainer, nb_classes = research_model.trainer, research_model.nb_classes
    trainer.optimizer.build(trainer.trainable_variables)
    probabilities = np.zeros((1, nb_classes), np.float32)
    outputs = [probabilities for _ in trainer.outputs]
    trainer.compute_metrics(None, probabilities, outputs if len(outputs) > 1 else probabilities)
    trainer.reset_metrics()


class Seeder(keras.callbacks.Callback):
    """Seeds order and dropout anew in each epoch: a training that goes on from a checkpoint
    then does the same as one that was never stopped."""

    def __init__(self, train_batches: Batches):
        super().__init__()
        self._batches = train_batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._batches.epoch = epoch
        for number, layer in enumerate(self.model._flatten_layers()):
            if getattr(layer, "seed_generator", None) is not None:
                sequence = np.random.SeedSequence((self._batches.seed or 0, epoch, number))
                layer.seed_generator.state.assign(sequence.generate_state(2))


class Checkpoints(keras.callbacks.Callback):
    """Saves the model whenever val_loss improves by MIN_DELTA.

    keras.callbacks.ModelCheckpoint, which would do, refuses names that end in .hdf5.

    .first_epoch: of this run, counted from 1. .best_path: the numbered file that lstm-features.hdf5 is the
    same as, None before the first improvement. .best_epoch: its epoch, counted from 1.
    """

    def __init__(self, research_model: Any, metadata: Metadata, folder: str, fold: int = 0):
        super().__init__()
        self.best_path: str | None = None
        self.best_epoch = 0
        before = research_model.metadata
        self.first_epoch = before.epoch + 1 if before else 1
        self._best = before.val_loss if before else float("inf")
        self._research_model, self._metadata = research_model, metadata
        self._folder = os.path.join(folder, f"fold-{fold}") if fold else folder
        self._earlier = folder if fold <= 1 else None  # where those of an earlier run are

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        val_loss = (logs or {})["val_loss"]
        if not val_loss < self._best - MIN_DELTA:
            return
        if self.best_path is None:
            if self._earlier:
                aside = set_aside(self._earlier, self.first_epoch - 1)
                if aside and self._folder != self._earlier:
                    keep_in_use(aside, self._earlier)
            os.makedirs(self._folder, exist_ok=True)
        self._best, self.best_epoch = val_loss, epoch + 1
        self.best_path = os.path.join(self._folder, f"lstm-features.{epoch + 1:03d}-{val_loss:.3f}.hdf5")
        metadata = replace(self._metadata, epoch=epoch + 1, val_loss=float(val_loss))
        self._research_model.save(self.best_path, metadata)
        link_checkpoint(self.best_path, os.path.join(self._folder, BEST))


def keep_in_use(aside: str, folder: str) -> None:
    """Gives the earlier best, which was set aside, its name in `folder` back, until the mean of all folds is
    written."""
    earlier = os.path.join(aside, BEST)
    if os.path.exists(earlier):
        link_checkpoint(earlier, os.path.join(folder, BEST))


def set_aside(folder: str | os.PathLike, epoch: int = 0) -> str | None:
    """Moves an earlier run's checkpoints of later epochs than this to a folder of their own: the last one
    left is then the best of this run. Returns the new folder, None if there are none."""
    os.makedirs(folder, exist_ok=True)
    earlier = []
    for file in os.listdir(folder):
        number = re.fullmatch(r"lstm-features\.(\d+)-.*\.hdf5", file)
        is_other = file == BEST or re.fullmatch(r"fold-\d+", file)
        if int(number[1]) > epoch if number else is_other and epoch == 0:
            earlier.append(file)
    if not earlier:
        return None
    newest = max(os.path.getmtime(os.path.join(folder, file)) for file in earlier)
    aside = os.path.join(folder, time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(newest)))
    os.makedirs(aside, exist_ok=True)
    for file in earlier:
        os.replace(os.path.join(folder, file), os.path.join(aside, file))
    print(f"The checkpoints of an earlier run are now in {aside}")
    return aside
