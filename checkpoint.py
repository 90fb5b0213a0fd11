"""What a checkpoint holds: one HDF5 file, a whole Keras model as `model.save` writes it, so that keras.models.load_model
opens it, and our metadata as JSON in the attribute METADATA.

Reading one takes the metadata and arrays, nothing else, from the file: no code in it is run and no other file is opened. The
first to read it is a process that may crash or be ended.
"""
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

import files
import processes

METADATA = "video_classification"  # name of the HDF5 attribute
READING_SECONDS = 60  # that reading a checkpoint may take, and one more for each 10 MB
MODELS = ("lstm", "bilstm", "gru", "article")


@dataclass
class Metadata:
    """What clasify.py and a training that goes on need to know of a checkpoint beside its weights."""
    class_names: list  # of str, in the order of the network's outputs
    seq_length: int  # frames per sequence
    image_shape: list  # height, width, 3: the size at which InceptionV3 saw the frames
    clip_seconds: float  # the time that a training clip spanned
    weights: str  # identity of InceptionV3's weights
    weights_name: str  # how the user named them, for messages
    model: str = "lstm"
    units: int = 64
    dense: int = 0  # width of the article network's hidden layer, 0 for others
    features_length: int = 2048
    temperature: float = 1.0  # by which the logits are divided to get calibrated probabilities
    epoch: int = 0  # after which it was saved, counted from 1
    val_loss: float | None = None  # of that epoch
    training: dict | None = None  # options of train.py that decide which clips it trains on, and how


class Checkpoint:
    """A checkpoint opened to be read; a context manager. tried: it is known that reading it comes to an end.

    .metadata: Metadata, None if the file has none (one of the article's repository). .arguments: of the ResearchModel
    that its weights fit. Raises FileNotFoundError, OSError if it can't be read, ValueError, naming the file, if it is no
    checkpoint.
    """

    def __init__(self, path, tried=False):
        self.path = path
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such checkpoint")
        if not tried:
            _try_out(path)
        import h5py
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            if not os.access(path, os.R_OK):
                raise
            raise ValueError(f"{path}: not an HDF5 file, or a damaged one ({error})") from None
        try:
            with self._named():
                self.metadata = self._read_metadata()
                self._items = {}
                # visititems follows neither soft nor external links, so nothing outside of this file is ever opened.
                self._file.visititems(self._items.__setitem__)
                if "model_weights" not in self._items:
                    raise ValueError(f"{path}: no Keras model is in it")
                self._weights = self._arrays(f"model_weights/{layer}"
                                             for layer in _names(self._items["model_weights"].attrs, "layer_names"))
                self.arguments = self._arguments()
                # Before a network is built from it: its largest arrays are in the file.
                units, dense = self.arguments["units"], self.arguments["dense"]
                if 4 * units * max(units, dense, self.arguments["features_length"]) > os.path.getsize(path):
                    raise ValueError(f"{path}: its metadata tells of a larger network than is in it")
        except BaseException:
            self._file.close()
            raise

    @contextlib.contextmanager
    def _named(self):
        """A `with` block in which any error becomes a ValueError that names the file: h5py raises what HDF5's C library
        stumbles over, from KeyError to RuntimeError."""
        try:
            yield
        except Exception as error:
            if isinstance(error, ValueError) and str(self.path) in str(error):
                raise
            raise ValueError(f"{self.path}: not a Keras model, or a damaged one ({error})") from None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def take_weights(self, model):
        """Sets a Keras model's weights to the file's. Raises ValueError unless they are of the same shapes in order."""
        expected = [tuple(weight.shape) for weight in model.weights]
        found = [dataset.shape for dataset in self._weights]
        if found != expected:
            raise ValueError(f"{self.path}: a checkpoint of another network (arrays {found}, expected {expected})")
        with self._named():
            model.set_weights([dataset[()] for dataset in self._weights])
        for layer in model.layers:
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()

    def take_optimizer(self, model):
        """Sets the state of a compiled Keras model's optimizer to the file's. Raises ValueError if it doesn't fit."""
        model.optimizer.build(model.trainable_variables)
        variables = model.optimizer.variables
        with self._named():
            datasets = self._optimizer_arrays()
            if [dataset.shape for dataset in datasets] != [tuple(variable.shape) for variable in variables]:
                raise ValueError(f"{self.path}: holds no state of this network's optimizer, training can't go on from it")
            for variable, dataset in zip(variables, datasets):
                variable.assign(dataset[()])

    def read_all(self):
        """Reads all that the other methods might read."""
        with self._named():
            for dataset in [*self._weights, *self._optimizer_arrays()]:
                dataset[()]

    def _read_metadata(self):
        if METADATA not in self._file.attrs:
            return None
        try:
            metadata = Metadata(**json.loads(self._file.attrs[METADATA]))
            sound = _is_sound(metadata)
        except (ValueError, TypeError):
            sound = False
        if not sound:
            raise ValueError(f"{self.path}: its metadata is damaged")
        return metadata

    def _arrays(self, groups):
        """The datasets of these groups, in Keras's order. Raises ValueError if one is not stored plainly."""
        datasets = [self._items[f"{group}/{name}"] for group in groups
                    for name in _names(self._items[group].attrs, "weight_names")]
        # Keras stores arrays in the file itself: one that claims to be larger than the file is a trap.
        size = os.path.getsize(self.path)
        if any(d.is_virtual or d.external or d.nbytes > size or d.dtype.kind not in "fiu" for d in datasets):
            raise ValueError(f"{self.path}: its arrays are not stored as Keras stores them")
        return datasets

    def _optimizer_arrays(self):
        return self._arrays(["optimizer_weights"]) if "optimizer_weights" in self._items else []

    def _arguments(self):
        if self.metadata is not None:
            return {"nb_classes": len(self.metadata.class_names), "model": self.metadata.model,
                    "seq_length": self.metadata.seq_length, "features_length": self.metadata.features_length,
                    "units": self.metadata.units, "dense": self.metadata.dense}
        shapes = [dataset.shape for dataset in self._weights]
        if [len(shape) for shape in shapes] != [2, 2, 1, 2, 1, 2, 1] or shapes[0][1] != 4 * shapes[3][0]:
            raise ValueError(f"{self.path}: a Keras model, but neither one of train.py nor the article's LSTM")
        return {"nb_classes": shapes[5][1], "model": "article", "seq_length": self._config_seq_length(),
                "features_length": shapes[0][0], "units": shapes[3][0], "dense": shapes[3][1]}

    def _config_seq_length(self):
        """The sequence length that a Keras 2 file notes for its input, None if it notes none. Plain JSON, no code."""
        try:
            layers = json.loads(self._file.attrs["model_config"])["config"]
            layers = layers["layers"] if isinstance(layers, dict) else layers
            for layer in layers:
                shape = layer["config"].get("batch_input_shape") or layer["config"].get("batch_shape")
                if shape and shape[1]:
                    return int(shape[1])
        except (KeyError, TypeError, ValueError, IndexError):
            pass
        return None


_tried = set()  # (path, size, time) of checkpoints that a process has read to the end


def _try_out(path):
    """Lets another process read a checkpoint first: HDF5's C library may crash over a damaged one or never come back, deaf to
    Ctrl-C (1.14.6: free space of size 0 in a global heap). Raises ValueError if it does."""
    status = os.stat(path)
    identity = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
    if identity in _tried:
        return
    try:
        died = processes.run([sys.executable, os.path.abspath(__file__), os.path.abspath(path)], stdin=subprocess.DEVNULL,
                             capture_output=True, timeout=READING_SECONDS + status.st_size / 1e7).returncode < 0
    except subprocess.TimeoutExpired:
        died = True
    if died:
        raise ValueError(f"{path}: a damaged checkpoint, HDF5 can't get through it")
    _tried.add(identity)  # what it refuses in words, this process will, too


def _is_sound(metadata):
    """Whether metadata from a file is of the right types and within reason. May raise TypeError."""
    numbers = (metadata.seq_length, metadata.units, metadata.features_length, *metadata.image_shape)
    return (isinstance(metadata.class_names, list) and all(isinstance(n, str) for n in metadata.class_names)
            and len(metadata.class_names) >= 2 and len(metadata.image_shape) == 3
            and all(type(n) is int and 0 < n <= 65536 for n in numbers)
            and type(metadata.dense) is int and 0 <= metadata.dense <= 65536
            and isinstance(metadata.weights, str) and isinstance(metadata.weights_name, str)
            and math.isfinite(metadata.clip_seconds) and metadata.clip_seconds > 0
            and math.isfinite(metadata.temperature) and metadata.temperature > 0
            and type(metadata.epoch) is int and metadata.epoch >= 0
            and (metadata.val_loss is None or math.isfinite(metadata.val_loss))
            and metadata.model in MODELS and (metadata.training is None or _is_sound_training(**metadata.training)))


def _is_sound_training(validation_split, seed, batch_size, group, **_):
    return (type(validation_split) is float and 0 < validation_split < 1 and type(seed) is int and seed >= 0
            and type(batch_size) is int and type(group) is bool)


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


def find(path, data_dir):
    """A checkpoint's path: as given, else in the data folder's checkpoints."""
    beside = os.path.join(data_dir, "checkpoints", path)
    return beside if not os.path.exists(path) and os.path.exists(beside) else path


def write(path, model, metadata):
    """Writes a Keras model and its Metadata, whole or not at all."""
    from absl import logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # Keras would advise its new format at every checkpoint
    try:
        _write_whole(path, model.save, metadata)
    finally:
        logging.set_verbosity(verbosity)


def rewrite_metadata(path, metadata):
    """Replaces a checkpoint's Metadata, whole or not at all."""
    _write_whole(path, lambda partial: shutil.copyfile(path, partial), metadata)


def _write_whole(path, make, metadata):
    """Puts a file that make(path) makes, with Metadata noted in it, in place of `path`."""
    import h5py
    with files.written_whole(path, ".hdf5") as partial:  # Keras goes by the extension
        make(partial)
        with h5py.File(partial, "a") as file:
            file.attrs[METADATA] = json.dumps(asdict(metadata))


def link(source, target):
    """Gives a file a second name, in place of what has that name; a copy where the disk knows no hard links."""
    with files.written_whole(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)


if __name__ == "__main__":  # the process of _try_out
    try:
        with Checkpoint(sys.argv[1], tried=True) as checkpoint:
            checkpoint.read_all()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
