"""Training on all GPUs of a machine: each takes a part of every batch, and all have the same weights."""

import contextlib
from collections.abc import Iterator

from keras import backend, distribution


def share_among(devices: str) -> contextlib.AbstractContextManager[int]:
    """A `with` block in which a network is built, compiled and trained on "one" device or on "all". Yields
    their number, by which batches must be divisible. Raises what all_devices raises."""
    return all_devices() if devices == "all" else contextlib.nullcontext(1)


@contextlib.contextmanager
def all_devices() -> Iterator[int]:
    """A `with` block in which a network is built, compiled and trained on all GPUs; where there is
    none, on all that the backend calls devices. Yields their number, by which batches must be divisible.

    Raises RuntimeError for a backend that Keras trains on one device only.
    """
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(found) == 1:
            yield 1
            return
        with tf.distribute.MirroredStrategy([device.name for device in found]).scope():
            yield len(found)
    elif backend.backend() == "jax":
        found = distribution.list_devices()
        with distribution.DataParallel(devices=found).scope():
            yield len(found)
    else:
        raise RuntimeError(
            f"Keras trains on one device with the backend {backend.backend()}; set KERAS_BACKEND to "
            f"tensorflow or jax for --devices all"
        )
