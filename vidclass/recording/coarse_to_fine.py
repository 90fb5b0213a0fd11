"""Looks at a recording from coarse to fine: at all of it only where its class may change.

Every class lasts for a least duration. So windows are first placed so far apart that every stretch of that
duration holds a whole one. Between two that agree and are sure, nothing more is looked at; elsewhere the
stretch between them is halved, until windows are as close as they would be without this.
"""

import bisect
import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from vidclass.interfaces import FeatureExtractor, SequenceClassifier
from vidclass.parallel import RunAhead
from vidclass.progress import SharedBar, progress
from vidclass.recording.cuts import FeatureCache
from vidclass.recording.segments import Window
from vidclass.recording.windows import SampledFrames, WindowSchedule, WindowSpec
from vidclass.video.reader import FrameReader

# Least probability of its likeliest class with which a window is sure of it: see docs/benchmarks.md.
SURE = 0.9
# Windows before and behind a change of class that find_cuts reads to find the very frame.
AROUND_A_CUT = 2
STORE_BYTES = 3 * 2**30  # of the frames that wait for being looked at, on disk
ENOUGH_FRAMES = 64  # that go through the network before it is decided where to look next


def coarse_spec(
    spec: WindowSpec, min_duration: Fraction | float, image_shape: tuple[int, int, int]
) -> WindowSpec:
    """A WindowSpec with the stride at which every stretch of min_duration holds a whole window.

    min_duration: in frames of the video, as spec.length. image_shape: of the frames that the network sees;
    the larger, the fewer may wait. A stride of 1, nothing left out, where the duration is too short.
    """
    # Half a frame for what rounding takes.
    stride = (Fraction(min_duration) + Fraction(1, 2) - spec.length) // spec.hop
    return replace(spec, stride=int(max(1, min(stride, _frames_at_once(spec, image_shape) // spec.hop))))


def _frames_at_once(spec, image_shape):
    """How many frames of the video may be read before it is decided where to look. As many may be decoded
    ahead, and twice as many be kept of what is before them."""
    sampled = min(spec.seq_length / spec.length, Fraction(1))  # share of the frames
    return Fraction(STORE_BYTES, 4 * int(np.prod(image_shape))) / sampled


class FrameStore:
    """Frames of one shape in a file without a name in `folder`, by number. Threads may share it. Frames come
    in rising order. Raises OSError, naming the folder, if there is no room."""

    def __init__(self, folder: str, image_shape: tuple[int, int, int]) -> None:
        self._folder, self._shape, self._size = folder, image_shape, int(np.prod(image_shape))
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        self._places: dict[int, int] = {}  # of the frames in the file, in frames
        self._free: list[int] = []
        self._count = 0  # places

    def add(self, frame: int, image: np.ndarray) -> None:
        """Adds a frame, uint8 RGB."""
        if not self._free:
            self._free.append(self._count)
            self._count += 1
        place = self._free.pop()
        data, done = image.tobytes(), 0
        try:
            while done < self._size:
                done += os.pwrite(self._file.fileno(), data[done:], place * self._size + done)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._folder) from None
        self._places[frame] = place

    def read(self, frame: int) -> np.ndarray:
        """A frame, uint8 RGB."""
        data = os.pread(self._file.fileno(), self._size, self._places[frame] * self._size)
        return np.frombuffer(data, np.uint8).reshape(self._shape)

    def drop(self, frame: int) -> None:
        """Forgets a frame: another may take its place."""
        self._free.append(self._places.pop(frame))

    def close(self) -> None:
        """Gives the disk's room back."""
        self._file.close()


def next_windows(seen: Mapping[int, list[float]], schedule: WindowSchedule) -> set[int]:
    """The numbers of the windows to look at next; none when nothing is left to be found out.

    seen: the probabilities of the classes in the windows that were looked at, by number.
    """
    wanted: set[int] = set()
    numbers = sorted(seen)
    for left, right in zip(numbers, numbers[1:]):
        likeliest = [int(np.argmax(seen[number])) for number in (left, right)]
        agree = likeliest[0] == likeliest[1]
        if right - left > 1:
            if not agree or min(max(seen[left]), max(seen[right])) < SURE:
                wanted.add((left + right) // 2)
        elif not agree:
            wanted.update(_around(left, right, schedule))
    return wanted - seen.keys()


def _around(left, right, schedule):
    """The windows that find_cuts may read for a cut between two."""
    spec = schedule.spec
    middle = Fraction(schedule.start(left) + schedule.end(right), 2)
    reach = AROUND_A_CUT * spec.length
    first = max(0, -(-(middle - reach - 1) // spec.hop))
    return range(int(first), int((middle + reach + 1 - spec.length) // spec.hop) + 1)


class Search:
    """Which windows of a recording were looked at, and what is known of it so far.

    add_frame() tells of the frames as they are read, end() of the end. look() and settle() look at windows
    and yield the frames that the network has seen; take() gives windows out. cache: gets the features of what
    was given out.
    """

    def __init__(
        self,
        schedule: WindowSchedule,
        extractor: FeatureExtractor,
        model: SequenceClassifier,
        cache: FeatureCache,
        store: FrameStore,
    ) -> None:
        self.schedule, self._extractor, self._model = schedule, extractor, model
        self._cache, self._store = cache, store
        self.complete = 0  # windows of which all frames were read
        self.taken = 0  # windows that were given out
        self._frames: list[int] = []  # sampled ones of the windows that were not, rising
        self._features: dict[int, np.ndarray] = {}  # of those of them that the network has seen
        self._seen: dict[int, list[float]] = {}  # probabilities, by number of the window
        self._last: tuple[int, int, int] | None = None  # number, start and end of a last, shorter window

    def add_frame(self, frame: int, frames_read: int) -> None:
        """A sampled frame has come. frames_read: how many frames the video has at least."""
        self._frames.append(frame)
        while self.schedule.is_complete(self.complete, frames_read, frame):
            self.complete += 1

    def end(self, frames: int) -> None:
        """The video has so many frames."""
        while self.schedule.is_complete(self.complete, frames, frames):
            self.complete += 1
        start = self.schedule.last_window(self.complete, frames)
        if start is not None:
            self._last = self.complete, start, frames
            self.complete += 1

    def span(self, number: int) -> tuple[int, int]:
        """The first frame of a window, and the first one after it."""
        if self._last and number == self._last[0]:
            return self._last[1:]
        return self.schedule.start(number), self.schedule.end(number)

    def _samples(self, number):
        if self._last and number == self._last[0]:
            return self.schedule.last_samples(self._frames, self._last[1])
        return self.schedule.samples(number)

    def look(self, numbers: Iterable[int]) -> Iterator[int]:
        """Looks at windows, and at those between them all of whose frames the network has then seen."""
        samples = {number: self._samples(number) for number in numbers}
        wanted = {frame for frames in samples.values() for frame in frames} - self._features.keys()
        images = ((frame, self._store.read(frame)) for frame in sorted(wanted))
        with contextlib.closing(self._extractor.stream(images)) as stream:
            for frame, feature in stream:
                self._features[frame] = feature
                yield frame
        for number in {*samples, *self._overlapping(samples)} - self._seen.keys():
            frames = self._samples(number)
            if all(frame in self._features for frame in frames):
                sequence = np.stack([self._features[frame] for frame in frames])
                self._seen[number] = self._model.predict(sequence[None])[0].tolist()

    def _overlapping(self, numbers):
        """Complete windows that share frames with some windows."""
        spec = self.schedule.spec
        reach = -int(-spec.length // spec.hop) - 1
        for number in numbers:
            yield from range(max(self.taken, number - reach), min(self.complete, number + reach + 1))

    def settle(self) -> Iterator[int]:
        """Looks at windows until it is known what is between those that were looked at."""
        while numbers := [
            number
            for number in next_windows(self._seen, self.schedule)
            if self.taken <= number < self.complete
        ]:
            yield from self.look(numbers)

    def take(self, end: int, fps: Fraction) -> Iterator[Window]:
        """Yields the windows before window `end`, of which one at least was looked at from there on. Between
        two that were looked at, probabilities are interpolated."""
        numbers = sorted(self._seen)
        for number in range(self.taken, end):
            (first, last), place = self.span(number), bisect.bisect(numbers, number)
            left, right = numbers[place - 1], numbers[min(place, len(numbers) - 1)]
            share = (number - left) / max(right - left, 1)
            mean = (1 - share) * np.array(self._seen[left]) + share * np.array(self._seen[right])
            looked_at = number in self._seen
            yield Window(float(first / fps), float(last / fps), first, last, mean.tolist(), looked_at)
        self.taken = max(self.taken, end)
        for number in numbers[: max(0, bisect.bisect(numbers, end - 1) - 1)]:
            del self._seen[number]  # one before `end` is kept, to interpolate from
        needed = self.schedule.first_needed(end) if end < self.complete else self._frames[-1] + 1
        self._forget(bisect.bisect_left(self._frames, needed))

    def _forget(self, count):
        """Hands the features of the first frames to the cache."""
        for frame in self._frames[:count]:
            self._store.drop(frame)
            if frame in self._features:
                self._cache.append(frame, self._features.pop(frame))
            else:
                self._cache.leave_out()
        del self._frames[:count]


def classify_coarse_to_fine(
    reader: FrameReader,
    extractor: FeatureExtractor,
    model: SequenceClassifier,
    spec: WindowSpec,
    cache: FeatureCache,
    quiet: bool | SharedBar = False,
) -> Iterator[Window]:
    """Yields what classify_windows yields, but looks at windows only where it is needed: the others have
    interpolated probabilities. spec: see coarse_spec. cache: gets the features of what was looked at.
    quiet: see classify_windows.

    The video is decoded once. Frames that may still be needed wait on disk, in the cache's folder.
    """
    fps, schedule = reader.info.fps, WindowSchedule(spec)
    sampled = SampledFrames(reader, schedule, extractor.image_shape)
    most = int(_frames_at_once(spec, extractor.image_shape) // (spec.stride * spec.hop))
    group = max(1, min(-(-ENOUGH_FRAMES // spec.seq_length), most))
    ahead = int(group * spec.stride * spec.hop / schedule.grid) + 1  # sampled frames
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            progress(
                total=reader.info.frames or None, unit="frame", desc="Classifying", quiet=quiet, wait=True
            )
        )
        store = stack.enter_context(contextlib.closing(FrameStore(cache.folder, extractor.image_shape)))
        search = Search(schedule, extractor, model, cache, store)

        def look(numbers):
            for frame in search.look(numbers):
                bar.update(max(frame + 1, bar.n) - bar.n)
            for _ in search.settle():
                pass

        due: list[int] = []  # windows that are looked at in any case
        next_due = 0
        for frame in stack.enter_context(contextlib.closing(RunAhead(_stored(sampled, store), ahead))):
            search.add_frame(frame, sampled.frames_read)
            while next_due < search.complete:
                due.append(next_due)
                next_due += spec.stride
            if len(due) >= group:
                look(due)
                yield from search.take(_settled(due[-1], schedule), fps)
                due = []
        search.end(sampled.frames_read)
        look({*due, *range(next_due, search.complete, spec.stride), search.complete - 1})
        yield from search.take(search.complete, fps)
        bar.total = sampled.frames_read
        bar.update(sampled.frames_read - bar.n)


def _settled(number, schedule):
    """The first window that may still be looked at when window `number` is the last that was."""
    spec = schedule.spec
    return max(0, number - int(-(-AROUND_A_CUT * spec.length // spec.hop)) - 1)


def _stored(sampled, store):
    """Yields the numbers of the frames as they are stored."""
    for frame, image in sampled:
        store.add(frame, image)
        yield frame
