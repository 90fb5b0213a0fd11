"""Clips in, feature sequences out: loads the frames of many clips ahead of InceptionV3, and saves each clip's
features."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vidclass import platform
from vidclass.console import error_text
from vidclass.dataset.clips import check_clip_name
from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import (
    frame_path,
    is_unsplit,
    noted_file,
    origin,
    read_frames_note,
    write_note,
)
from vidclass.dataset.outcome import Outcome
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.video.images import read_image, resize
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.reader import FrameReader

# Bytes of the frames of clips that wait for the network; one clip waits however large it is.
LOADED_BYTES = 256 * 2**20


class LoadedClip(NamedTuple):
    """A clip in memory."""

    clip: Clip  # with the number of frames that decoding it has found
    images: collections.deque  # its sampled frames: uint8 RGB (height, width, 3), at the network's size
    loss: str | None  # what of it could not be decoded


@dataclass(frozen=True)
class ClipLoader:
    """Loads the frames of clips that make their sequences."""

    dataset: Any  # the DataSet
    from_video: bool = False  # decode the clips, not the frames beside them; unsplit clips are always decoded
    limits: VideoLimits = DEFAULT_LIMITS
    threads: int | None = None  # clips that are loaded at once; None: one a processor, as memory allows

    def ahead(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, "Future[LoadedClip]"]]:
        """Yields clips in order, while the next ones are being loaded."""
        waiting: collections.deque = collections.deque()
        rest, count = iter(clips), self.threads or self._default_threads()
        with ThreadPoolExecutor(count) as pool:
            try:
                while True:
                    while len(waiting) < count and (clip := next(rest, None)) is not None:
                        waiting.append((clip, pool.submit(self.load, clip)))
                    if not waiting:
                        return
                    yield waiting.popleft()
            finally:
                pool.shutdown(cancel_futures=True)

    def load(self, clip: Clip) -> LoadedClip:
        """Loads a clip. Raises OSError or ValueError, with the reason, if it can't be read."""
        check_clip_name(clip.name)
        if self.from_video or is_unsplit(read_frames_note(self.dataset.data_dir, clip)):
            return self.load_video(clip)
        return self.load_frames(clip)

    def load_frames(self, clip: Clip) -> LoadedClip:
        """Loads the frames that extract_files.py made of a clip. Raises ValueError if one can't be read."""
        # Not all of the frames that data_file.csv tells of: it can tell any number.
        numbers = evenly_spaced_indices(clip.frames, self.dataset.seq_length).tolist()
        paths = [frame_path(self.dataset.data_dir, *clip[:3], number + 1) for number in numbers]
        try:
            images = collections.deque(resize(read_image(path), self.dataset.image_shape) for path in paths)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{error_text(error)}; delete its {clip.name}-frames.json and run extract_files.py again"
            ) from None
        return LoadedClip(clip, images, None)

    def load_video(self, clip: Clip) -> LoadedClip:
        """Decodes a clip. The number of frames that its header tells is corrected in the Clip and in the
        note.

        Raises OSError or ValueError if it can't be decoded, gives another number of frames each time, or has
        fewer than a sequence.
        """
        data_dir, seq_length = self.dataset.data_dir, self.dataset.seq_length
        path = noted_file(data_dir, clip)
        source, reader = origin(data_dir, clip, path), FrameReader(path, self.limits)
        images, count = self.decode(reader, clip.frames)
        if count != clip.frames and count >= seq_length:  # other frames make the sequence
            images, again = self.decode(reader, count)
            if again != count:
                raise ValueError(
                    f"it is damaged so that it differs each time it is decoded ({count} frames, then "
                    f"{again}); convert it anew or delete it"
                )
        note = read_frames_note(data_dir, clip)
        if note is not None and not note.split and note.frames != count:
            write_note(data_dir, clip, source, count, reader.info.fps, split=False)
        if count < seq_length:
            raise ValueError(f"{count} frames are fewer than the sequence length {seq_length}")
        loss = f"{reader.loss}; kept what there is" if reader.loss else None
        return LoadedClip(clip._replace(frames=count), images, loss)

    def decode(self, reader: FrameReader, expected: int) -> tuple[collections.deque, int]:
        """(the frames that make the sequence of a clip of `expected` frames, how many frames it has). Raises
        ValueError if these are too many."""
        most = self.limits.max_frames
        expected = min(expected, most)  # data_file.csv can tell any number
        wanted = set(evenly_spaced_indices(expected, self.dataset.seq_length).tolist())
        images: collections.deque = collections.deque()
        too_many = ValueError(f"it has more than {most} frames; cut clips from it (cut_clips.py)")
        for number, frame in reader.select(sorted(wanted), expected):
            if number >= most:
                raise too_many
            if number in wanted:
                images.append(resize(frame, self.dataset.image_shape))
        if len(reader.times) > most:
            raise too_many
        return images, len(reader.times)

    def _default_threads(self):
        clip_bytes = self.dataset.seq_length * int(np.prod(self.dataset.image_shape))
        return max(1, min(platform.cpu_count(), LOADED_BYTES // clip_bytes))


def extract(
    extractor: Any,
    loader: ClipLoader,
    clips: Iterable[Clip],
    save: Callable[[Clip, np.ndarray], None],
    on_frame: Callable[[], object] = lambda: None,
) -> Iterator[Outcome]:
    """Extracts the sequences of clips, in order, and yields an Outcome of each, those that failed last.

    extractor: an Extractor. save(clip, features): keeps float32 (seq_length, 2048). on_frame: called for each
    frame that the network has seen.
    """
    failures: list[Outcome] = []
    losses: dict[Clip, str | None] = {}
    features: dict[Clip, list] = {}  # of each clip in the network, those of its frames so far

    def frames():
        """Yields (clip, frame) of all clips, so that a batch may hold the end of one clip and the beginning
        of the next."""
        for clip, loading in loader.ahead(clips):
            try:
                clip, images, losses[clip] = loading.result()
            except (OSError, ValueError) as error:
                failures.append(Outcome(clip, failed=True, problem=error_text(error)))
                continue
            while images:  # each is forgotten when the network has it
                yield clip, images.popleft()

    for clip, feature in extractor.stream(frames()):
        on_frame()
        features.setdefault(clip, []).append(feature)
        if len(features[clip]) == loader.dataset.seq_length:
            sequence = np.stack(features.pop(clip))
            if np.isfinite(sequence).all():
                save(clip, sequence)
                yield Outcome(clip, problem=losses.pop(clip))
            else:
                problem = "its features are not all numbers; try another --precision or other --weights"
                failures.append(Outcome(clip, failed=True, problem=problem))
    yield from failures
