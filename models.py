"""The networks that classify a sequence of features, and what a checkpoint holds.

A checkpoint is one HDF5 file: the whole Keras model as `model.save` writes it, so that keras.models.load_model opens it,
and our metadata as JSON in the attribute METADATA. Reading one builds the network from the metadata and takes arrays,
nothing else, from the file: no code in it is run and no other file is opened.
"""
import json
import math
import os
from dataclasses import asdict, dataclass

import numpy as np

METADATA = "video_classification"  # name of the HDF5 attribute
MODELS = ("lstm", "article")
UNITS = {"lstm": 64, "article": 2048}
ARTICLE_DENSE = 512


@dataclass
class Metadata:
    """What clasify.py needs to know of a checkpoint beside its weights."""
    class_names: list  # of str, in the order of the network's outputs
    seq_length: int  # frames per sequence
    image_shape: list  # height, width, 3: the size at which InceptionV3 saw the frames
    clip_seconds: float  # the time that a training clip spanned
    weights: str  # identity of InceptionV3's weights
    weights_name: str  # how the user named them, for messages
    model: str = "lstm"
    units: int = UNITS["lstm"]
    dense: int = 0  # width of the article network's hidden layer, 0 for others
    features_length: int = 2048


class ResearchModel:
    """A network from sequences (n, seq_length, features_length) to class probabilities (n, nb_classes), compiled.

    model: "lstm", or "article" for the article's own network. saved_model: a checkpoint whose weights to take.
    units: width of the LSTM (None: the model's default). .model: the keras.Model. .metadata: Metadata of the
    checkpoint it was loaded from, or None.
    """

    def __init__(self, nb_classes, model="lstm", seq_length=40, saved_model=None, features_length=2048, units=None,
                 dense=ARTICLE_DENSE):
        if model not in MODELS:
            raise ValueError(f"no model is called {model}; there are {', '.join(MODELS)}")
        self.name = model
        self.nb_classes = nb_classes
        self.seq_length = seq_length
        self.features_length = features_length
        self.units = units or UNITS[model]
        self.dense = dense if model == "article" else 0
        self.metadata = None
        self.model = self._build()
        if saved_model:
            with _open(saved_model) as file:
                self.metadata, _, arrays = _describe(saved_model, file)
                _take_weights(self.model, arrays)

    def _build(self):
        from keras import Sequential, layers, optimizers
        from lstm import LSTM
        sequence = layers.Input((self.seq_length, self.features_length))
        classes = layers.Dense(self.nb_classes, activation="softmax")
        if self.name == "article":
            model = Sequential([
                sequence,
                LSTM(self.units, dropout=0.5),
                layers.Dense(self.dense, activation="relu"),
                layers.Dropout(0.5),
                classes,
            ])
            optimizer = optimizers.Adam(optimizers.schedules.InverseTimeDecay(1e-5, decay_steps=1, decay_rate=1e-6))
        else:
            # Few clips and 2048 features: a narrow projection learns less by heart than a wide LSTM, and the mean over
            # the LSTM's outputs lets each frame speak, while the LSTM still carries what came before.
            model = Sequential([
                sequence,
                layers.Normalization(),  # see set_normalization
                layers.Dropout(0.5),
                layers.Dense(self.units),
                LSTM(self.units, return_sequences=True),
                layers.GlobalAveragePooling1D(),
                layers.Dropout(0.5),
                classes,
            ])
            optimizer = optimizers.Adam(1e-3)
        # XLA takes seconds to compile for each batch size, and the LSTM runs no faster with it (benchmarks/lstm.py).
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
        return model

    def set_normalization(self, mean, variance):
        """Tells a network that standardises its features their statistics, each (features_length,); others ignore it.

        InceptionV3's features differ in scale by a factor of 25 between one set of weights and another.
        """
        from keras import layers
        for layer in self.model.layers:
            if isinstance(layer, layers.Normalization):
                # A feature that hardly ever varies would be blown up to noise.
                floor = 0.01 * np.median(variance[variance > 0]) if np.any(variance > 0) else 1.0
                layer.set_weights([mean, np.maximum(variance, floor), np.array(0)])
                layer.finalize_state()

    def save(self, path, metadata):
        """Writes the checkpoint, whole or not at all. metadata: Metadata; its account of the network is filled in."""
        import h5py
        from absl import logging
        metadata = Metadata(**{**asdict(metadata), "model": self.name, "units": self.units, "dense": self.dense,
                               "features_length": self.features_length})
        partial = f"{os.fspath(path)}.{os.getpid()}.tmp.hdf5"  # Keras goes by the extension
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)  # Keras would advise its new format at every checkpoint
        try:
            self.model.save(partial)
            with h5py.File(partial, "a") as file:
                file.attrs[METADATA] = json.dumps(asdict(metadata))
            os.replace(partial, path)
        finally:
            logging.set_verbosity(verbosity)
            if os.path.exists(partial):
                os.remove(partial)

    @classmethod
    def load(cls, path):
        """A checkpoint, ours or one of the article's repository (whose .metadata is None).

        Raises OSError if it can't be read, ValueError, naming the file, if it is no checkpoint or of another model.
        """
        with _open(path) as file:
            metadata, arguments, arrays = _describe(path, file)
            model = cls(**arguments)
            _take_weights(model.model, arrays)
        model.metadata = metadata
        return model


def read_settings(path):
    """(metadata or None, number of classes, sequence length or None) of a checkpoint, without building its network.

    Raises what ResearchModel.load raises, but for arrays that don't fit the metadata.
    """
    with _open(path) as file:
        metadata, arguments, _ = _describe(path, file)
    return metadata, arguments["nb_classes"], arguments["seq_length"]


def _open(path):
    import h5py
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if not os.access(path, os.R_OK):
            raise
        raise ValueError(f"{path}: not an HDF5 file, or a damaged one ({error})") from None
    return file


def _describe(path, file):
    """(metadata or None, ResearchModel's arguments, the _Arrays of the weights) of a checkpoint."""
    metadata, arrays = _read_metadata(path, file), _Arrays(path, file)
    if metadata is None:
        return None, _article_sizes(path, file, arrays.shapes), arrays
    return metadata, {"nb_classes": len(metadata.class_names), "model": metadata.model,
                      "seq_length": metadata.seq_length, "features_length": metadata.features_length,
                      "units": metadata.units, "dense": metadata.dense}, arrays


def _read_metadata(path, file):
    """The checkpoint's Metadata, None if it carries none. Raises ValueError if it makes no sense."""
    if METADATA not in file.attrs:
        return None
    try:
        metadata = Metadata(**json.loads(file.attrs[METADATA]))
        numbers = (metadata.seq_length, metadata.units, metadata.features_length, *metadata.image_shape)
        sound = (isinstance(metadata.class_names, list) and all(isinstance(n, str) for n in metadata.class_names)
                 and len(metadata.class_names) >= 2 and len(metadata.image_shape) == 3
                 and all(type(n) is int and 0 < n <= 65536 for n in numbers)
                 and type(metadata.dense) is int and 0 <= metadata.dense <= 65536
                 and isinstance(metadata.weights, str) and isinstance(metadata.weights_name, str)
                 and math.isfinite(metadata.clip_seconds) and metadata.clip_seconds > 0 and metadata.model in MODELS)
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise ValueError(f"{path}: its metadata is damaged")
    return metadata


class _Arrays:
    """The weights of a Keras HDF5 file in the order of its layers."""

    def __init__(self, path, file):
        self.path = path
        items = {}
        # visititems follows neither soft nor external links, so nothing outside of this file is ever opened.
        file.visititems(items.__setitem__)
        if "model_weights" not in items:
            raise ValueError(f"{path}: no Keras model is in it")
        try:
            self._datasets = [items[f"model_weights/{layer}/{name}"]
                              for layer in _names(items["model_weights"].attrs, "layer_names")
                              for name in _names(items[f"model_weights/{layer}"].attrs, "weight_names")]
            self.shapes = [dataset.shape for dataset in self._datasets]
            # Keras stores arrays plainly, in the file itself: one that claims to be larger than the file is a trap.
            size = os.path.getsize(path)
            plain = all(not d.is_virtual and not d.external and d.nbytes <= size and d.dtype.kind in "fiu"
                        for d in self._datasets)
        except (KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not a Keras model, or a damaged one ({error})") from None
        if not plain:
            raise ValueError(f"{path}: its arrays are not stored as Keras stores them")

    def read(self):
        return [dataset[()] for dataset in self._datasets]


def _names(attributes, key):
    """The names in an attribute, which Keras splits into key0, key1, ... where it grows long."""
    if key in attributes:
        values = list(attributes[key])
    else:
        values, chunk = list(attributes[f"{key}0"]), 1
        while f"{key}{chunk}" in attributes:
            values += list(attributes[f"{key}{chunk}"])
            chunk += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _article_sizes(path, file, shapes):
    """ResearchModel's arguments for the article's network (LSTM, Dense, Dense) with weights of these shapes."""
    if [len(shape) for shape in shapes] != [2, 2, 1, 2, 1, 2, 1] or shapes[0][1] != 4 * shapes[3][0]:
        raise ValueError(f"{path}: a Keras model, but neither one of train.py nor the article's LSTM")
    return {"nb_classes": shapes[5][1], "model": "article", "seq_length": _config_seq_length(file),
            "features_length": shapes[0][0], "units": shapes[3][0], "dense": shapes[3][1]}


def _config_seq_length(file):
    """The sequence length that a Keras 2 file notes for its input, None if it notes none. Plain JSON, no code."""
    try:
        layers = json.loads(file.attrs["model_config"])["config"]
        layers = layers["layers"] if isinstance(layers, dict) else layers
        for layer in layers:
            shape = layer["config"].get("batch_input_shape") or layer["config"].get("batch_shape")
            if shape and shape[1]:
                return int(shape[1])
    except (KeyError, TypeError, ValueError, IndexError):
        pass
    return None


def _take_weights(model, arrays):
    """Sets the model's weights to the file's, which must be of the same shapes in the same order."""
    expected = [tuple(weight.shape) for weight in model.weights]
    if arrays.shapes != expected:
        raise ValueError(f"{arrays.path}: a checkpoint of another network (arrays {arrays.shapes}, expected "
                         f"{expected})")
    model.set_weights(arrays.read())
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
