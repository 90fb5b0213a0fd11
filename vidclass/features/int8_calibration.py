"""Measuring the ranges of InceptionV3's activations, once for a dataset, on some of its frames."""

import copy
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vidclass.console import error_text, print
from vidclass.features import int8
from vidclass.features.extraction import ClipLoader
from vidclass.features.int8_ranges import load_ranges, save_ranges
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.features.sequence_store import FolderStore, UrlStore

CLIPS = 50  # of a dataset whose frames are looked at
FRAMES = 200  # of 299x299; fewer of larger ones, which hold more
LEAST_FRAMES = 32


def frame_count(image_shape: tuple[int, int, int]) -> int:
    """On how many frames of a size the ranges are measured."""
    return max(LEAST_FRAMES, min(FRAMES, FRAMES * 299 * 299 // (image_shape[0] * image_shape[1])))


def dataset_ranges(store: FolderStore | UrlStore, loader: ClipLoader, weights: str) -> list[float]:
    """The ranges that a dataset's sequences are computed with: those kept in their store, else those of some
    200 frames of 50 clips, spread evenly over the dataset, which the store keeps from now on.

    loader: of the dataset's clips. weights: see Extractor. Raises ValueError if the file is damaged, or no
    clip can be read.
    """
    ranges = load_ranges(store)
    if ranges is None:
        image_shape = loader.dataset.image_shape
        print(
            f"Measuring the ranges for --precision int8 on {frame_count(image_shape)} frames", file=sys.stderr
        )
        ranges = int8.measure_ranges(weights, image_shape, _images(loader))
        save_ranges(store, ranges)
    return ranges


def _images(loader: ClipLoader) -> Iterator[np.ndarray]:
    """Yields frames of a dataset, uint8 RGB at the network's size. Raises ValueError, naming a clip, if none
    can be read."""
    dataset = loader.dataset
    clips = sorted(dataset.data)
    count = min(CLIPS, len(clips))
    some = copy.copy(dataset)
    # Shorter clips than a sequence are none.
    some.seq_length = min(dataset.seq_length, -(-frame_count(dataset.image_shape) // count))
    few = replace(loader, dataset=some)
    chosen = [clips[number] for number in evenly_spaced_indices(len(clips), count).tolist()]
    problem, found = "", False
    for clip, loading in few.ahead(chosen):
        try:
            yield from loading.result().images
            found = True
        except (OSError, ValueError) as error:  # the extraction tells of each
            problem = problem or f"{'/'.join(clip[:3])}: {error_text(error)}"
    if not found:
        raise ValueError(problem)
