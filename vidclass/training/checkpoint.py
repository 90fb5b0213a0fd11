"""What a checkpoint holds: one HDF5 file, a whole Keras model as `model.save` writes it, so that
keras.models.load_model opens it, and our metadata as JSON in the attribute METADATA.

Reading one takes the metadata and arrays, nothing else, from the file: no code in it is run, no other file is
opened, and HDF5's library works in a process of its own, see hdf5_process.py.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import h5py

from vidclass import atomic, platform
from vidclass.errors import UsageError
from vidclass.features.identity import FEATURES_LENGTH
from vidclass.training import keras_file
from vidclass.training.metadata import MOST_FEATURES, Metadata, branch_count, parse_metadata

METADATA = "video_classification"  # name of the HDF5 attribute


class Checkpoint:
    """A checkpoint opened to be read; a context manager.

    .path. .metadata: Metadata, None if the file has none (one of the article's repository); names in it are
    printable. .arguments: what decides the network that its weights fit. Its weights are finite.

    Raises FileNotFoundError, OSError if it can't be read, ValueError, naming the file, if it is not a
    checkpoint.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such checkpoint")
        self._content = keras_file.read(path, METADATA)
        self.metadata = None if self._content.text is None else parse_metadata(self._content.text, path)
        self.arguments = self._arguments()
        # Before a network is built from it: all that it will hold is in the file.
        self._check_shapes(weight_shapes(self.arguments))
        self._file = open(path, "rb")

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def check_arguments(self, seq_length: int | None, nb_classes: int | None) -> None:
        """Raises UsageError unless it was trained on sequences of this length, of InceptionV3's features, and
        so many classes. What is None is not compared."""
        if seq_length is not None and self.arguments["seq_length"] not in (None, seq_length):
            trained = f"sequences of {self.arguments['seq_length']} frames, not {seq_length}"
            raise UsageError(f"{self.path} was trained on {trained}")
        if nb_classes not in (None, self.arguments["nb_classes"]):
            trained = f"{self.arguments['nb_classes']} classes, not {nb_classes}"
            raise UsageError(f"{self.path} was trained on {trained}")
        if self.arguments["features_length"] != FEATURES_LENGTH:
            raise UsageError(
                f"{self.path} was trained on {self.arguments['features_length']} features of a frame; "
                f"InceptionV3 gives {FEATURES_LENGTH}"
            )

    def load_weights_into(self, model: Any) -> None:
        """Sets a Keras model's weights to the file's. Raises ValueError unless they are of the same shapes in
        order."""
        weights = file_order(model)
        self._check_shapes([tuple(weight.shape) for weight in weights])
        for weight, array in zip(weights, self._content.weights):
            weight.assign(self._read(array))
        for layer in model._flatten_layers():
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()

    def load_optimizer_into(self, model: Any) -> None:
        """Sets the state of a compiled Keras model's optimizer to the file's. Raises ValueError if it doesn't
        fit."""
        model.optimizer.build(model.trainable_variables)
        variables, arrays = model.optimizer.variables, self._content.optimizer
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise ValueError(
                f"{self.path}: holds no state of this network's optimizer, training can't go on from it"
            )
        for variable, array in zip(variables, arrays):
            variable.assign(self._read(array))

    def check_optimizer(self) -> None:
        """Raises ValueError if the optimizer's state is not all numbers, so that no training can go on from
        it."""
        if not all(array.is_finite(self._file.fileno()) for array in self._content.optimizer):
            raise ValueError(
                f"{self.path}: its optimizer's state is not all numbers (NaN or infinite), training "
                f"can't go on from it; take an earlier checkpoint"
            )

    def _read(self, array):
        try:
            return array.read(self._file)
        except ValueError as error:
            raise ValueError(f"{self.path}: not a whole checkpoint ({error})") from None

    def _check_shapes(self, expected):
        found = [array.shape for array in self._content.weights]
        if found != expected:
            raise ValueError(
                f"{self.path}: a checkpoint of another network (arrays {_listed(found)}, expected "
                f"{_listed(expected)})"
            )

    def _arguments(self):
        if self.metadata is not None:
            return {
                "nb_classes": len(self.metadata.class_names),
                "model": self.metadata.model,
                "seq_length": self.metadata.seq_length,
                "features_length": self.metadata.features_length,
                "units": self.metadata.units,
                "dense": self.metadata.dense,
                "network": self.metadata.network,
                "members": self.metadata.members,
            }
        shapes = [array.shape for array in self._content.weights]
        if [len(shape) for shape in shapes] != [2, 2, 1, 2, 1, 2, 1]:
            raise ValueError(
                f"{self.path}: a Keras model, but neither one of train.py nor the article's LSTM"
            )
        seq_length = self._content.seq_length
        if seq_length is not None and not 0 < seq_length * shapes[0][0] <= MOST_FEATURES:
            raise ValueError(f"{self.path}: a network for sequences of {seq_length} frames")
        return {
            "nb_classes": shapes[5][1],
            "model": "article",
            "seq_length": seq_length,
            "features_length": shapes[0][0],
            "units": shapes[3][0],
            "dense": shapes[3][1],
            "network": 1,
            "members": 1,
        }


def file_order(model: Any) -> list:
    """The weights of a Keras model in the order in which Keras writes them to HDF5."""
    return [
        weight
        for layer in model.layers
        for weight in (*layer.trainable_weights, *layer.non_trainable_weights)
    ]


def weight_shapes(arguments: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """The shapes of a ResearchModel's weights in the order of file_order, without building it. A file that
    lists others is refused before a network is built from it. arguments: see Checkpoint.arguments."""
    model, nb_classes, length, units = (
        arguments[name] for name in ("model", "nb_classes", "features_length", "units")
    )
    branches = 1
    if model == "article":
        shapes = _article_shapes(nb_classes, length, units, arguments["dense"])
    elif model not in ("lstm", "bilstm", "gru"):
        raise ValueError(f"weight_shapes doesn't know the network {model}")
    else:
        projection, average = [(length, units), (units,)], [(length,), (length,)]
        content = projection * 2 + _recurrent_shapes(model, 2 * units, units, nb_classes)
        branches = branch_count(arguments["network"], arguments["seq_length"])
        if arguments["network"] == 1:
            shapes = [*average, (), *content]
        elif branches * arguments["members"] == 1:
            shapes = average + content
        else:  # branch by branch, of each what is trained first
            shapes = content + average
        if branches > 1:
            change = projection + _recurrent_shapes(model, units, units, nb_classes)
            averages, softmax = [(3 * length,)] * 2, [(3 * length, nb_classes), (nb_classes,)]
            # Version 2 trained the softmax.
            summary = softmax + averages if arguments["network"] == 2 else averages + softmax
            shapes += change + average + summary
    parts = arguments["members"] * branches
    return shapes * arguments["members"] + [(parts, 1)] * (parts > 1)


def _article_shapes(nb_classes, length, units, dense):
    lstm = [(length, 4 * units), (units, 4 * units), (4 * units,)]
    return [*lstm, (units, dense), (dense,), (dense, nb_classes), (nb_classes,)]


def _recurrent_shapes(model, length, units, nb_classes):
    """Of a recurrent layer that reads `length` numbers a step, and the layer after it."""
    gates = 3 if model == "gru" else 4
    directions = 2 if model == "bilstm" else 1
    bias = (2, gates * units) if model == "gru" else (gates * units,)
    recurrent = [(length, gates * units), (units, gates * units), bias]
    return [*recurrent * directions, (2 * directions * units, nb_classes), (nb_classes,)]


def _listed(shapes):
    """The first of some shapes, as text."""
    return ", ".join(map(str, shapes[:20])) + (f" and {len(shapes) - 20} more" if len(shapes) > 20 else "")


def find_checkpoint(path: str | os.PathLike, data_dir: str | os.PathLike) -> str:
    """A checkpoint's path: as given, else in the data folder's checkpoints. Raises FileNotFoundError if it is
    in neither place."""
    beside = os.path.join(data_dir, "checkpoints", path)
    for place in (path, beside):
        if os.path.exists(place):
            return os.fspath(place)
    elsewhere = f", neither as given nor as {beside}" if beside != os.fspath(path) else ""
    raise FileNotFoundError(f"{path}: no such checkpoint{elsewhere}; train.py makes them")


def write_checkpoint(path: str | os.PathLike, model: Any, metadata: Metadata) -> None:
    """Writes a Keras model and its Metadata, whole or not at all."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # Keras would advise its new format at every checkpoint
    try:
        _write_whole(path, model.save, metadata)
    finally:
        logging.set_verbosity(verbosity)


def rewrite_metadata(path: str | os.PathLike, metadata: Metadata) -> None:
    """Replaces a checkpoint's Metadata, whole or not at all."""
    _write_whole(path, lambda partial: shutil.copyfile(path, partial), metadata)


def _write_whole(path, make, metadata):
    """Puts a file that make(path) makes, with Metadata in it, in place of `path`."""
    with atomic.atomic_write(path, ".hdf5") as partial:  # Keras goes by the extension
        make(partial)
        with h5py.File(partial, "a") as file:
            file.attrs[METADATA] = json.dumps(asdict(metadata))


def link_checkpoint(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Gives a file a second name, in place of what has that name; a copy where the disk knows no hard
    links."""
    with atomic.atomic_write(target) as partial:
        platform.hard_link(os.fspath(source), partial)
