"""The windows of a video, and what the network says of each.

A window lasts as long as a training clip did, and is sampled in the same way: see docs/how-it-works.md.
"""

import bisect
import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidclass.features.sampling import evenly_spaced_indices
from vidclass.interfaces import FeatureExtractor, SequenceClassifier
from vidclass.progress import SharedBar, progress
from vidclass.recording.cuts import FeatureCache
from vidclass.recording.segments import Window
from vidclass.video.images import resize
from vidclass.video.probe import last_duration
from vidclass.video.reader import FrameReader
from vidclass.video.times import has_constant_rate


@dataclass(frozen=True)
class WindowSpec:
    """How a video is divided into windows. Lengths are frames of the video, as fractions: at 29.97 frames a
    second, windows of 3 s are 90 or 89 frames long."""

    seq_length: int  # frames of a window that the network sees
    length: Fraction  # of a window
    hop: Fraction  # from the start of one window to the start of the next; at most `length`
    stride: int = 1  # each so many-th window is looked at in any case; 1: all. See coarse_to_fine.py

    @property
    def is_overlapping(self) -> bool:
        return self.hop < self.length


class WindowSchedule:
    """Where windows begin and end, and which frames of a video they sample. Windows are numbered from 0.

    .grid: frames from one that a window samples to the next, at least 1, a Fraction. Windows that overlap
    sample on one grid, so that they share frames: a frame is taken for its neighbour by at most a step.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self.grid = max(spec.length / spec.seq_length, Fraction(1))

    def start(self, number: int) -> int:
        """The first frame of a window."""
        return max(number, round(number * self.spec.hop))

    def end(self, number: int) -> int:
        """The first frame after a window."""
        return max(self.start(number) + 1, round(number * self.spec.hop + self.spec.length))

    def samples(self, number: int) -> list[int]:
        """The frames of a window that the network sees, rising: seq_length of them, some perhaps twice."""
        start = self.start(number)
        frames = start + evenly_spaced_indices(self.end(number) - start, self.spec.seq_length)
        return [self._on_grid(frame) for frame in frames.tolist()]

    def all_samples(self) -> Iterator[int]:
        """The frames that any window samples, rising, without end."""
        ahead: set[int] = set()
        for number in itertools.count():
            ahead.update(self.samples(number))
            first = self.first_sample(number + 1)
            yield from sorted(frame for frame in ahead if frame < first)
            ahead = {frame for frame in ahead if frame >= first}

    def first_sample(self, number: int) -> int:
        """The first frame of a window that the network sees: on the grid, it may be before the window's
        start."""
        return self._on_grid(self.start(number))

    def _on_grid(self, frame: int) -> int:
        return int(frame // self.grid * self.grid) if self.spec.is_overlapping else frame

    def is_complete(self, number: int, frames: int, sampled: int) -> bool:
        """Whether a window can be classified when so many frames of the video were read and `sampled` is the
        last one whose features are known. On the grid, a window's last sample may be before its end, and the
        video may end between the two."""
        return self.end(number) <= frames and sampled >= self.samples(number)[-1]

    def first_needed(self, number: int) -> int:
        """The first frame that may still be needed when window `number` is the next to be classified."""
        # Where windows overlap, the last one may begin anywhere between the window before this one and this.
        return self.first_sample(number - self.spec.is_overlapping)

    def last_window(self, number: int, frames: int) -> int | None:
        """Where the last window of a video of so many frames starts, after `number` whole ones; None if the
        whole ones reach the end. Where windows overlap, it is as long as the others."""
        if number and self.end(number - 1) >= frames:
            return None
        return max(0, frames - round(self.spec.length)) if self.spec.is_overlapping else self.start(number)

    def last_samples(self, frames: list[int], start: int) -> list[int]:
        """The frames of the last window that the network sees. frames: sampled ones, rising, as far as the
        video's end. It has fewer than others: they are spread over the sequence as those of a short clip."""
        there = frames[bisect.bisect_left(frames, start) :]
        return [there[place] for place in evenly_spaced_indices(len(there), self.spec.seq_length)]


class SampledFrames:
    """Iterates over (number, frame) of the frames that windows sample, resized for the network.

    .frames_read: how many frames of the video are known so far to be there; all of them at the end.
    """

    def __init__(self, reader: FrameReader, schedule: WindowSchedule, image_shape: tuple) -> None:
        self._reader, self._schedule, self._image_shape = reader, schedule, image_shape
        self.frames_read = 0

    def __iter__(self) -> Iterator[tuple]:
        wanted = self._schedule.all_samples()
        due = next(wanted)
        # What the header says of the number of frames may be wrong: all that come later are read.
        for index, frame in self._reader.select(self._schedule.all_samples(), self._reader.info.frames):
            self.frames_read = index + 1
            if index == due:
                due = next(wanted)
                yield index, resize(frame, self._image_shape)
        self.frames_read = len(self._reader.times)


def classify_windows(
    reader: FrameReader,
    extractor: FeatureExtractor,
    model: SequenceClassifier,
    spec: WindowSpec,
    cache: FeatureCache | None = None,
    quiet: bool | SharedBar = False,
) -> Iterator[Window]:
    """Yields the Windows of a video, each as soon as it is classified. The last one ends with the video.

    reader: a FrameReader. extractor: an Extractor. model: a ResearchModel. cache: gets the features. quiet:
    no progress bar, or the one of which this is a part. Each frame goes through InceptionV3 once, however
    many windows sample it.
    """
    fps, schedule = reader.info.fps, WindowSchedule(spec)
    sampled = SampledFrames(reader, schedule, extractor.image_shape)
    features: dict[int, np.ndarray] = {}  # of the frames that windows to come need, by number
    number = 0

    def classify(start, end, sequence):
        probabilities = model.predict(np.stack(sequence)[None])[0].tolist()
        return Window(float(start / fps), float(end / fps), start, end, probabilities)

    def classify_next():
        sequence = [features[frame] for frame in schedule.samples(number)]
        return classify(schedule.start(number), schedule.end(number), sequence)

    total = reader.info.frames or None
    with progress(total=total, unit="frame", desc="Classifying", quiet=quiet, wait=True) as bar:
        with contextlib.closing(extractor.stream(iter(sampled))) as stream:
            for index, feature in stream:
                features[index] = feature
                if cache:
                    cache.append(index, feature)
                bar.update(index + 1 - bar.n)
                while schedule.is_complete(number, sampled.frames_read, index):
                    yield classify_next()
                    number += 1
                    needed = schedule.first_needed(number)
                    features = {frame: value for frame, value in features.items() if frame >= needed}
        frames = sampled.frames_read
        while schedule.is_complete(number, frames, frames):
            yield classify_next()
            number += 1
        start = schedule.last_window(number, frames)
        if start is not None:
            sequence = [features[frame] for frame in schedule.last_samples(sorted(features), start)]
            yield classify(start, frames, sequence)
        bar.total = frames
        bar.update(frames - bar.n)


def set_times(windows: list[Window], reader: FrameReader) -> tuple[list[Window], np.ndarray]:
    """The windows with the times at which a player shows their frames; those times of all frames and of the
    end, in seconds, float64 (frames + 1,).

    A video's first frame need not be shown at 0, nor the others at a constant rate, and the last one lasts as
    long as its header says. reader: a FrameReader that has been read to the end.
    """
    rate, shown = float(reader.info.fps), reader.times
    last = 1 / rate
    if reader.places is not None:
        own = reader.own_times[-1]
        end = own + (last_duration(reader.path, own, reader.limits) or last)
        last = min(max(end - shown[-1], 0.001), 1.5 * last)
    elif not has_constant_rate(shown, reader.info.fps):
        last = last_duration(reader.path, shown[-1], reader.limits) or last
    times = np.append(shown, shown[-1] + last)
    return [
        window._replace(start=float(times[window.first_frame]), end=float(times[window.end_frame]))
        for window in windows
    ], times


def own_frames(windows: list[Window], places: np.ndarray) -> list[Window]:
    """Windows with the numbers that their frames have in the video itself. places: see FrameReader."""
    edges = np.searchsorted(places, [(window.first_frame, window.end_frame) for window in windows]).tolist()
    return [
        window._replace(first_frame=first, end_frame=end)
        for window, (first, end) in zip(windows, edges, strict=True)
    ]
