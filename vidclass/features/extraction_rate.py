"""How long extracting features would take: the network's rate, measured on some batches of the dataset."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import is_unsplit, noted_file, read_frames_note
from vidclass.features.extraction import ClipLoader, LoadedClip
from vidclass.video.reader import FrameReader

SECONDS = 5.0  # for which the rate is measured at least
LEAST_BATCHES = 4  # in that time
WARM_UP_BATCHES = 4  # before it: the first ones wait for the network's memory, and for the first clips


class Rate(NamedTuple):
    """What was measured."""

    frames: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.frames / self.seconds


@dataclass(frozen=True)
class LookingLoader(ClipLoader):
    """A ClipLoader that writes nothing: what it finds out of a clip, it forgets."""

    files: Mapping[tuple, str] = field(default_factory=dict)  # of clips that no note tells of

    def load(self, clip: Clip) -> LoadedClip:
        """Loads a clip. Raises OSError or ValueError if it can't be read."""
        data_dir, key = self.dataset.data_dir, (clip.split, clip.class_name, clip.name)
        if not self.from_video and not is_unsplit(read_frames_note(data_dir, clip)):
            return self.load_frames(clip)
        path = self.files.get(key) or noted_file(data_dir, clip)
        images, count = self.decode(FrameReader(path, self.limits), clip.frames)
        return LoadedClip(clip._replace(frames=count), images, None)


def measure_rate(extractor: Any, loader: ClipLoader, clips: Sequence[Clip]) -> Rate:
    """The rate at which frames of clips, which are read again and again, go through an Extractor. Raises
    ValueError if none of the clips can be read."""
    batch = extractor.batch_size
    images = ((None, image) for image in sample_images(loader, clips))
    with contextlib.closing(extractor.stream(images)) as stream:
        began = 0.0
        for number, _ in enumerate(stream, 1):
            if number == WARM_UP_BATCHES * batch:
                began = time.monotonic()
            measured, seconds = number - WARM_UP_BATCHES * batch, time.monotonic() - began
            # At the end of a batch: its frames come all at once.
            if measured >= LEAST_BATCHES * batch and measured % batch == 0 and seconds >= SECONDS:
                return Rate(measured, seconds)
    raise ValueError("none of the clips can be read")


def sample_images(loader: ClipLoader, clips: Sequence[Clip]) -> Iterator[np.ndarray]:
    """Yields the frames of clips, spread evenly over them so that a few are as good as all, without end; ends
    when none can be read."""
    failed = 0
    for _, loading in loader.ahead(itertools.cycle(_scattered(clips))):
        try:
            images = loading.result().images
        except (OSError, ValueError):  # the extraction tells of it
            failed += 1
            if failed == len(clips):
                return
            continue
        failed = 0
        yield from images


def _scattered(clips):
    """Clips in an order in which the first few are from all over the list: of several classes and sizes."""
    step = max(1, round(len(clips) * 0.382))  # the golden section
    while np.gcd(step, len(clips)) != 1:
        step += 1
    return [clips[number * step % len(clips)] for number in range(len(clips))]
