"""Which frames of a clip make its sequence."""

import numpy as np


def evenly_spaced_indices(count: int, size: int) -> np.ndarray:
    """`size` frame numbers spread evenly over `count` frames, first and last included; int (size,), from 0.

    For count == size they are all frames, the article's 75 of 75. Fewer frames than `size` are repeated.
    """
    return np.arange(size) * (count - 1) // max(size - 1, 1)
