"""What lies where in a Keras model's HDF5 file, whoever wrote it.

HDF5's library, in C, can be made to crash, to loop for ever, and to take memory without end (1.14.6). So
another process, hdf5_process.py, opens the file with it, and tells at which places of the file the arrays
are. This one reads only those bytes, which Keras stores plainly.
"""

import functools
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from io import BufferedReader

import numpy as np

from vidclass import platform, processes
from vidclass.training.metadata import printable_name

SECONDS = 60  # that the other process may take; it needs half a second
PIECE = 2**24  # bytes that are looked at together
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the other process runs. Nothing is imported from the working directory, which may be a stranger's.
START = (
    "import sys; sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]; "
    "from vidclass.training.hdf5_process import main; main(*sys.argv[1:])"
)


@dataclass(frozen=True)
class Array:
    """An array of numbers in a file."""

    shape: tuple[int, ...]
    dtype: str  # NumPy's name of the type: "<f4"
    offset: int  # bytes before it in the file

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return math.prod(self.shape) * int(self.dtype[2:])

    def read(self, file: BufferedReader) -> np.ndarray:
        """The array's values, from the open file. Raises ValueError if the file ends before they do."""
        array = np.empty(self.shape, self.dtype)
        file.seek(self.offset)
        if file.readinto(array.reshape(-1).view(np.uint8)) != self.nbytes:  # type: ignore[arg-type]
            raise ValueError("it has become shorter")
        return array

    def is_finite(self, descriptor: int) -> bool:
        """Whether no value is NaN or infinite. descriptor: of the open file."""
        if self.dtype[1] != "f":
            return True
        pieces = (
            platform.read_at(descriptor, min(PIECE, self.nbytes - at), self.offset + at)
            for at in range(0, self.nbytes, PIECE)
        )
        return all(np.isfinite(np.frombuffer(piece, self.dtype)).all() for piece in pieces)


@dataclass(frozen=True)
class Content:
    """What a Keras model's file holds."""

    text: str | None  # of the attribute that was asked for, None if there is none
    seq_length: int | None  # of the network's input as Keras 2 notes it, None if it doesn't
    weights: tuple[Array, ...]  # in Keras's order
    optimizer: tuple[Array, ...]


def read(path: str | os.PathLike, attribute: str) -> Content:
    """Where the arrays of a Keras model's file are. attribute: name of one with text.

    Raises ValueError, naming the file, if it is not a Keras model, is not stored as Keras stores it, or has
    a weight that is NaN or infinite; OSError if it can't be opened.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
    return _read(
        os.fspath(path), attribute, os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns
    )


@functools.lru_cache(maxsize=32)  # the other arguments tell whether the file is still the same
def _read(path, attribute, *_identity):
    # One thread: no need for more, and the others' stacks would count. No code from plugins.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    command = [sys.executable, "-c", START, ROOT, os.path.abspath(path), attribute]
    try:
        answer = json.loads(
            processes.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, env=environment
            ).stdout
        )
    except (subprocess.TimeoutExpired, ValueError):
        raise ValueError(f"{path}: a damaged checkpoint, HDF5 can't get through it") from None
    if "error" in answer:
        raise ValueError(f"{path}: {printable_name(answer['error'])}")
    weights, optimizer = (
        tuple(Array(tuple(shape), dtype, offset) for shape, dtype, offset in answer[part])
        for part in ("weights", "optimizer")
    )
    return Content(answer["text"], answer["seq_length"], weights, optimizer)
