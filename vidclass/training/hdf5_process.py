"""Opens a Keras model's HDF5 file with HDF5's library, in a process that may die, with limits.

keras_file.py starts it. It follows no link, opens no other file, decompresses nothing, has MEMORY bytes to
spare, and prints as JSON where in the file the arrays are.
"""

import contextlib
import json
import os

import h5py

from vidclass import platform
from vidclass.console import print
from vidclass.training.keras_file import SECONDS, Array

MEMORY = 2**27  # bytes that it may take beyond what Python and HDF5 take to start
MOST_TEXT = 2**21  # bytes of an attribute
MOST_NAMES, LONGEST_NAME, DEEPEST = 1000, 1000, 20  # that a group lists; letters; parts of a path
MOST_ARRAYS = 1000  # of weights and optimizer each; the largest network has 14
LONGEST_REASON = 300  # letters


def main(path: str, attribute: str) -> None:
    """Prints what is in a file as JSON, or {"error": why not}."""
    _rehearse()
    platform.confine(SECONDS, MEMORY)
    try:
        with h5py.File(path, "r") as file:
            descriptor = file.id.get_vfd_handle()
            platform.limit_open_files(descriptor + 1)  # HDF5 can't open another file
            answer = _look(file, attribute, descriptor)
    except MemoryError:
        answer = {"error": f"not a Keras model: to read what it lists would take more than {MEMORY >> 20} MB"}
    except _Refused as error:
        answer = {"error": str(error)}
    except OSError as error:  # HDF5's of a damaged superblock, mostly
        answer = {"error": f"not an HDF5 file, or a damaged one ({_shorten(error)})"}
    except Exception as error:  # h5py raises what the C library stumbles over, from KeyError to RuntimeError
        answer = {"error": f"not a Keras model, or a damaged one ({_shorten(error)})"}
    print(json.dumps(answer))


def _rehearse():
    """Reads a file that is only in memory: so Python loads all modules that it needs while it can still open
    files."""
    with h5py.File("rehearsal", "w", driver="core", backing_store=False) as file:
        file.create_dataset("model_weights/a/b", data=[1.0], dtype="f4")
        file["model_weights"].attrs["layer_names"] = ["a"]
        file["model_weights/a"].attrs["weight_names"] = [b"b"]
        file.attrs["model_config"] = "{"
        with contextlib.suppress(_Refused):
            _array(file["model_weights/a/b"], "b", 0)
        _names(file["model_weights"], "layer_names")
        _names(_member(file, "model_weights/a"), "weight_names")
        _seq_length(file)


class _Refused(Exception):
    """A file that can be read but is not as Keras writes it."""


def _shorten(text):
    text = str(text)
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"


def _look(file, attribute, descriptor):
    size = os.fstat(descriptor).st_size
    if not _holds(file, "model_weights"):
        raise _Refused("no Keras model is in it")
    group = _member(file, "model_weights")
    weights: list[Array] = []
    optimizer: list[Array] = []
    for layer in _names(group, "layer_names"):
        _add_arrays(weights, _member(group, layer), size)
    if _holds(file, "optimizer_weights"):
        _add_arrays(optimizer, _member(file, "optimizer_weights"), size)
    if sum(array.nbytes for array in weights + optimizer) > size:
        raise _Refused("it lists more arrays than it holds")
    found = {
        "text": _text(file, attribute),
        "seq_length": _seq_length(file),
        **{
            name: [(array.shape, array.dtype, array.offset) for array in arrays]
            for name, arrays in (("weights", weights), ("optimizer", optimizer))
        },
    }
    if not all(array.is_finite(descriptor) for array in weights):
        raise _Refused(
            "its weights are not all numbers (NaN or infinite): its training went wrong, or it is "
            "damaged; take another checkpoint"
        )
    return found


def _holds(group, name):
    """Whether a group has an object, not a link to one elsewhere, of this name. Unlike `in` this follows no
    link."""
    links, name = group.id.links, name.encode()
    return links.exists(name) and links.get_info(name).type == h5py.h5l.TYPE_HARD


def _member(group, path):
    """What has this path in a group, each step a name in the group itself: no link to elsewhere is
    followed."""
    parts = [part for part in path.split("/") if part]
    if len(parts) > DEEPEST or len(path) > LONGEST_NAME:
        raise _Refused("its groups lie deeper than Keras's")
    for part in parts:
        if not _holds(group, part):
            raise _Refused(f"not stored as Keras stores it: {_shorten(path)} is not in the file itself")
        group = group[part]
    return group


def _add_arrays(arrays, group, size):
    for name in _names(group, "weight_names"):
        arrays.append(_array(_member(group, name), name, size))
        if len(arrays) > MOST_ARRAYS:
            raise _Refused("it lists more arrays than it holds")


def _array(dataset, name, size):
    """The Array that a dataset is, if it is stored as Keras stores it: plainly, in one piece of the file."""
    stored = getattr(dataset, "id", None)
    if not isinstance(stored, h5py.h5d.DatasetID):
        raise _Refused(f"not stored as Keras stores it: {_shorten(name)} is not an array")
    plist = stored.get_create_plist()
    if plist.get_layout() == h5py.h5d.CHUNKED or plist.get_nfilters():
        raise _Refused(
            "its arrays are compressed or in chunks, which Keras never does; h5repack -f NONE -l CONTI "
            "OLD NEW makes plain ones of them"
        )
    # Before anything else is asked: HDF5 would open other files to tell the shape of a virtual dataset.
    if plist.get_layout() != h5py.h5d.CONTIGUOUS or plist.get_external_count():
        raise _Refused("its arrays are not stored as Keras stores them")
    kind, shape, offset = stored.get_type(), dataset.shape, stored.get_offset()
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or shape is None or offset is None:
        raise _Refused("its arrays are not stored as Keras stores them")
    # Numbers that numpy, too, has: of a float with its bits elsewhere HDF5 would make one that it has.
    if stored.dtype.kind not in "fiu" or kind.get_size() > 8 or h5py.h5t.py_create(stored.dtype) != kind:
        raise _Refused("its arrays are not stored as Keras stores them")
    array = Array(tuple(map(int, shape)), stored.dtype.str, int(offset))
    if array.nbytes != stored.get_storage_size() or array.offset + array.nbytes > size:
        raise _Refused("its arrays are not whole")
    return array


def _names(group, key):
    """The names in an attribute, which Keras splits into key0, key1, ... where it grows long."""
    names, chunk = [], 0
    if key in group.attrs:
        names = _name_list(group, key)
    elif f"{key}0" not in group.attrs:
        raise _Refused(f"not a Keras model: it has no {key}")
    while f"{key}{chunk}" in group.attrs and len(names) <= MOST_NAMES:
        names += _name_list(group, f"{key}{chunk}")
        chunk += 1
    if len(names) > MOST_NAMES:
        raise _Refused(f"it lists more than {MOST_NAMES} names, no model of Keras does")
    return names


def _name_list(group, key):
    attribute = group.attrs.get_id(key)
    if attribute.shape == (0,):
        return []
    if (
        len(attribute.shape) != 1
        or attribute.shape[0] > MOST_NAMES
        or attribute.get_storage_size() > MOST_TEXT
        or not h5py.check_string_dtype(attribute.dtype)
    ):
        raise _Refused(f"its {key} is not a list of names")
    return [value.decode() if isinstance(value, bytes) else str(value) for value in group.attrs[key]]


def _text(file, name):
    """The text of an attribute, None if there is none. Raises _Refused if it is too long or not text."""
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    value = None
    if (
        attribute.shape == ()
        and attribute.get_storage_size() <= MOST_TEXT
        and h5py.check_string_dtype(attribute.dtype)
    ):
        value = file.attrs[name]
    if not isinstance(value, (str, bytes)) or len(value) > MOST_TEXT:
        raise _Refused(f"its {name} is not text of at most {MOST_TEXT} bytes")
    return value.decode() if isinstance(value, bytes) else value


def _seq_length(file):
    """The sequence length that a Keras 2 file notes for its input, None if it notes none. Plain JSON, no
    code."""
    try:
        layers = json.loads(_text(file, "model_config"))["config"]
        layers = layers["layers"] if isinstance(layers, dict) else layers
        for layer in layers:
            shape = layer["config"].get("batch_input_shape") or layer["config"].get("batch_shape")
            if shape and shape[1]:
                return int(shape[1])
    except (_Refused, KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        pass
    return None
