"""What the package expects of the article's classes, which it gets as arguments."""

from collections.abc import Generator, Iterable
from typing import Any, Protocol

import numpy as np


class FeatureExtractor(Protocol):
    """An Extractor."""

    image_shape: tuple[int, int, int]  # height, width, 3 of the frames

    def stream(self, tagged_images: Iterable[tuple]) -> Generator[tuple[Any, np.ndarray], None, None]:
        """Yields (tag, features float32 (2048,)) of each (tag, uint8 RGB image), in order."""

    def extract_batch(self, images: np.ndarray) -> np.ndarray:
        """The features, float32 (n, 2048), of uint8 RGB images (n, height, width, 3)."""


class SequenceClassifier(Protocol):
    """A ResearchModel."""

    def predict(self, sequences: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of sequences (n, seq_length, features)."""
