"""Splits clips into frames: images beside each clip, and a note that declares them complete."""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from vidclass import atomic, parallel
from vidclass.console import error_text
from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import (
    frame_path,
    frames_note_path,
    is_unsplit,
    origin,
    valid_note,
    write_note,
)
from vidclass.dataset.outcome import Outcome
from vidclass.dataset.sequence_files import forget_sequences
from vidclass.video.ffmpeg import Ffmpeg
from vidclass.video.images import split_into_frames
from vidclass.video.limits import VideoLimits

ClipFile = tuple[tuple[str, str, str], str]  # ((split, class, name), path)


def find_split(data_dir: str, clips: Iterable[ClipFile]) -> dict[tuple, Clip]:
    """Those of some clips whose frames were made from just this file and are all there: {(split, class,
    name): Clip}."""
    listing = functools.cache(lambda folder: set(os.listdir(folder)) if os.path.isdir(folder) else set())
    rows = {}
    for clip, path in clips:
        note = valid_note(data_dir, clip, path)
        if not note or is_unsplit(note):
            continue
        frames, there = note.frames, listing(os.path.dirname(path))
        if all(f"{clip[2]}-{number:04d}.jpg" in there for number in range(1, frames + 1)):
            rows[clip] = Clip(*clip, frames)
    return rows


def split_here(
    clips: Sequence[ClipFile], data_dir: str, limits: VideoLimits
) -> Generator[Outcome, None, None]:
    """Splits clips in threads. Yields an Outcome of each, as they are done. Raises OSError if frames can't be
    written."""
    splitter = ClipSplitter(data_dir, limits)
    with contextlib.closing(parallel.each(lambda item: splitter.split(*item), clips)) as outcomes:
        try:
            for _, future in outcomes:
                yield future.result()
        except BaseException:
            splitter.stop()
            raise


class SplitWorker:
    """A process of a cluster that splits clips, which are given by their numbers in `clips`. threads: that
    the cluster gives it; each clip needs one."""

    def __init__(self, clips: Sequence[ClipFile], data_dir: str, limits: VideoLimits, threads: int):
        self._clips, self._splitter = clips, ClipSplitter(data_dir, limits)

    def __call__(self, numbers: Sequence[int]) -> list:
        """Outcome.as_list of each; of the clip on which the disk was full, that alone."""
        outcomes = []
        for number in numbers:
            clip, path = self._clips[number]
            try:
                outcomes.append(self._splitter.split((clip[0], clip[1], clip[2]), path))
            except OSError as error:
                return [Outcome(Clip(*clip, 0), True, error_text(error), is_fatal=True).as_list()]
        return [outcome.as_list() for outcome in outcomes]


class ClipSplitter:
    """Splits clips into frames, in several threads, and can be stopped."""

    def __init__(self, data_dir: str, limits: VideoLimits):
        self.data_dir, self.limits = data_dir, limits
        self._lock = threading.Lock()
        self._running: set[Ffmpeg] = set()
        self._stopped = False

    def split(self, clip: tuple[str, str, str], path: str) -> Outcome:
        """Splits one clip, (split, class, name). Raises OSError if the frames can't be written.

        Frames are made in a hidden folder and moved when all are there; the note that declares them complete
        is removed before and written after, so that a kill at any moment leaves a clip that is done again.
        """
        source = origin(self.data_dir, clip, path)
        staging = atomic.temporary_path(os.path.join(os.path.dirname(path), f"{clip[2]}-frames"))
        try:
            os.mkdir(staging)
            with self._watching() as register:
                frames, info, loss = split_into_frames(path, staging, self.limits, register)
            if self._stopped:
                raise ValueError("stopped")
            with contextlib.suppress(FileNotFoundError):
                os.remove(frames_note_path(self.data_dir, clip))
            forget_sequences(self.data_dir, clip)
            self._move(staging, clip, frames)
            write_note(self.data_dir, clip, source, frames, info.fps)
            return Outcome(Clip(*clip, frames), problem=loss and f"{loss}; kept what there is")
        except ValueError as error:
            return Outcome(Clip(*clip, 0), True, str(error).removeprefix(f"{path}: "))
        finally:
            atomic.discard(staging)

    def _move(self, staging, clip, frames):
        """Puts the frames of a clip in place of those that it has, and removes what it has more."""
        for number in range(1, frames + 1):
            os.replace(os.path.join(staging, f"{number:04d}.jpg"), self._frame(clip, number))
        surplus = frames
        while os.path.exists(self._frame(clip, surplus + 1)):
            surplus += 1
        for number in range(surplus, frames, -1):
            os.remove(self._frame(clip, number))

    def stop(self) -> None:
        """Ends the running ffmpeg processes."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _frame(self, clip, number):
        split, class_name, name = clip
        return frame_path(self.data_dir, split, class_name, name, number)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Callable[[Ffmpeg], None]]:
        """A `with` block that gives a function to tell processes to: stop() ends them, as long as the block
        lasts."""
        started = []

        def register(process):
            with self._lock:
                started.append(process)
                self._running.add(process)
                if self._stopped:
                    process.kill()

        try:
            yield register
        finally:
            with self._lock:
                self._running.difference_update(started)
