"""Frames in, the features of InceptionV3's avg_pool layer out: batches, streams of frames, image files."""

import collections
import itertools
import os
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from keras import backend

from vidclass import memory, parallel
from vidclass.errors import INT8
from vidclass.features import int8
from vidclass.features.identity import FEATURES_LENGTH, weights_id
from vidclass.features.inception import shared_network
from vidclass.features.precision import has_gpu, resolve
from vidclass.video.images import read_image, resize

# Batches that go through the network at once: while one waits at the end of a layer for its slowest thread,
# the other works. Measured on 2 cores at 299x299: 1.05 to 1.15 times as fast as one, and 1.2 times at
# 720x1280.
STREAMS = 2
BATCH_PIXELS = 8 * 299 * 299  # of the images in a batch; larger batches aren't faster on a CPU
GPU_BATCH_PIXELS = 64 * 299 * 299  # a guess, no GPU was at hand
BYTES_PER_PIXEL = 200  # of an image while it goes through the network, measured
MIN_SIZE = 75  # pixels; InceptionV3 halves the image five times


class Extractor:
    """Turns frames into the features of InceptionV3's avg_pool layer.

    image_shape: (height, width, 3) at which the network sees a frame; at least 75 pixels each way.
    weights: "imagenet" (Keras's download), "random" (seeded, to try the pipeline), or a Keras weights file of
    InceptionV3, with or without its top. precision: "float32", "bfloat16", "float16" or "int8", in which the
    network computes, or "auto", see precision.resolve; the features are float32 in any case. ranges: for
    int8, of the network's activations, see int8.measure_ranges. threads: for int8, how many processors it
    uses at most (None: all).

    .image_shape. .precision: what it computes in. .batch_size: images per batch. .weights_id: see the
    function of this name. Extractors of the same arguments share the network.

    Raises FileNotFoundError if there is no such file, ValueError if it doesn't fit InceptionV3, the size is
    too small, or int8 has no ranges, RuntimeError if the ImageNet weights can't be downloaded.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (299, 299, 3),
        weights: str = "imagenet",
        precision: str = "float32",
        ranges: Sequence[float] | None = None,
        threads: int | None = None,
    ):
        height, width, channels = image_shape
        if min(height, width) < MIN_SIZE or channels != 3:
            raise ValueError(
                f"InceptionV3 sees RGB images of at least {MIN_SIZE}x{MIN_SIZE}, not "
                f"{height}x{width} with {channels} channels"
            )
        self.image_shape = (height, width, channels)
        self.weights_id = weights_id(weights)
        self.batch_size = _batch_size(height * width)
        self.precision = resolve(precision)
        self._streams = STREAMS
        arguments = os.fspath(weights), self.weights_id, self.image_shape
        if self.precision == INT8:
            if ranges is None:
                raise ValueError("--precision int8 needs the ranges of the activations")
            self._streams = int8.thread_count(height * width, threads)
            self._network = int8.shared_network(*arguments, tuple(ranges), self._streams)
        else:
            self._network = shared_network(*arguments, self.precision)

    def extract(self, image_path: str | os.PathLike) -> np.ndarray:
        """The features of an image file, float32 (2048,). Raises OSError, ValueError if unreadable."""
        return self.extract_image(read_image(image_path))

    def extract_image(self, rgb: np.ndarray) -> np.ndarray:
        """The features of a uint8 RGB image of any size, which is resized; float32 (2048,)."""
        return self.extract_batch(resize(rgb, self.image_shape)[None])[0]

    def extract_batch(self, images: np.ndarray) -> np.ndarray:
        """The features of uint8 RGB images (n, height, width, 3), as float32 (n, 2048)."""
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images of shape {images.shape[1:]}, the extractor was made for {self.image_shape}"
            )
        size = min(self.batch_size, -(-len(images) // self._streams)) or 1
        with ThreadPoolExecutor(self._streams) as pool:
            parts = pool.map(self._network, (images[i : i + size] for i in range(0, len(images), size)))
            return np.concatenate([np.zeros((0, FEATURES_LENGTH), np.float32), *parts])

    def stream(self, tagged_images: Iterable[tuple]) -> Generator[tuple[Any, np.ndarray], None, None]:
        """Features of any number of images, computed batch by batch while the next ones are being made ready.

        tagged_images: iterable of (tag, uint8 RGB image of image_shape); a thread of its own runs it.
        Yields (tag, float32 (2048,)) in the same order.
        """
        images = parallel.RunAhead(tagged_images, self._streams * self.batch_size)
        # (tags, future features) of the batches in the network, one of them waiting
        pending: collections.deque = collections.deque()
        with ThreadPoolExecutor(self._streams) as pool:
            try:
                while True:
                    batch = list(itertools.islice(images, self.batch_size))
                    if batch:
                        tags, pixels = zip(*batch)
                        pending.append((tags, pool.submit(self._network, np.stack(pixels))))
                    elif not pending:
                        return
                    if len(pending) > self._streams or not batch:
                        tags, features = pending.popleft()
                        yield from zip(tags, features.result())
            finally:
                images.close()
                pool.shutdown(cancel_futures=True)


def limit_threads(count: int) -> None:
    """Lets the network use so many threads. To be called before this process computes anything."""
    cv2.setNumThreads(1)  # images are loaded in threads of their own
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    elif backend.backend() == "torch":
        import torch

        torch.set_num_threads(count)


def _batch_size(pixels):
    """How many images of so many pixels go through the network together, given the memory that this process
    may use."""
    most = memory.memory_limit() // 8 // (STREAMS * BYTES_PER_PIXEL * pixels)
    return max(1, min(most, round((GPU_BATCH_PIXELS if has_gpu() else BATCH_PIXELS) / pixels)))
