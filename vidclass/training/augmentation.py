"""Clips shown a little differently in each epoch."""

import numpy as np

SHORTEST = 0.5  # share of a clip that augmentation leaves at least


def augment(random: np.random.Generator, clips: int, steps: int) -> np.ndarray:
    """Clips that begin later, end earlier and run unevenly: of each a stretch of at least half its length, at
    random, spread over the sequence again, each step a little early or late. Order is kept.

    clips, steps: their number, and that of a sequence's steps. Returns which steps to show of each clip, int
    (clips, steps).
    """
    length = random.uniform(SHORTEST, 1, (clips, 1))
    start = random.uniform(0, 1 - length)
    position = (np.arange(steps) + random.uniform(0, 1, (clips, steps))) / steps
    return np.minimum(((start + length * position) * steps).astype(int), steps - 1)
