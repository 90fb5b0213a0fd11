"""Clips in, feature sequences out: loads the frames of many clips ahead of InceptionV3, and saves each clip's
features."""

import collections
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from vidclass.console import error_text
from vidclass.dataset.clips import MAX_FRAMES, check_clip_name
from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import frame_path, is_unsplit, origin, path_of, read_frames_note, write_note
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.video.images import read_image, resize
from vidclass.video.reader import FrameReader

LOADED_BYTES = (
    256 * 2**20
)  # of the frames of clips that wait for the network; one clip waits however large it is


class Outcome(NamedTuple):
    """What became of a clip."""

    clip: Clip
    failed: bool
    problem: str | None  # why it failed, or what of it is missing


def extract(extractor, dataset, rows, save, from_video=False, on_frame=lambda: None, loaders=None):
    """Extracts the sequences of clips, in order, and yields an Outcome of each, those that failed last.

    extractor: an Extractor. dataset: a DataSet. rows: its Clips. save(row, features): keeps float32
    (seq_length, 2048). from_video: decode the clips, not the frames beside them; clips that were never split
    are decoded in any case. on_frame: called for each frame that the network has seen. loaders: clips that
    are loaded at once (None: one a processor).
    """
    outcomes, losses, features = (
        [],
        {},
        {},
    )  # features: of each clip in the network, those of its frames so far

    def frames():
        """Yields (clip, frame) of all clips, so that a batch may hold the end of one clip and the beginning
        of the next."""
        for row, load in _ahead(
            lambda row: _load(dataset, row, from_video), rows, loaders or _loaders(dataset)
        ):
            try:
                row, images, losses[row] = load.result()
            except (OSError, ValueError) as error:
                outcomes.append(Outcome(row, True, error_text(error)))
                continue
            while images:  # each is forgotten when the network has it
                yield row, images.popleft()

    for row, feature in extractor.stream(frames()):
        on_frame()
        features.setdefault(row, []).append(feature)
        if len(features[row]) == dataset.seq_length:
            sequence = np.stack(features.pop(row))
            if np.isfinite(sequence).all():
                save(row, sequence)
                yield Outcome(row, False, losses.pop(row))
            else:
                outcomes.append(
                    Outcome(
                        row,
                        True,
                        "its features are not all numbers; try another --precision or other --weights",
                    )
                )
    yield from outcomes


def _ahead(work, items, count):
    """Yields (item, future of work(item)), with so many of them under way."""
    items, waiting = iter(items), collections.deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            while True:
                while len(waiting) < count and (item := next(items, None)) is not None:
                    waiting.append((item, pool.submit(work, item)))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            pool.shutdown(cancel_futures=True)


def _loaders(dataset):
    clip_bytes = dataset.seq_length * int(np.prod(dataset.image_shape))
    return max(1, min(len(os.sched_getaffinity(0)), LOADED_BYTES // clip_bytes))


def _load(dataset, row, from_video):
    """(Clip, its sampled frames at the network's size as a deque, None or what of it could not be decoded)."""
    check_clip_name(row.name)
    note = None if from_video else read_frames_note(dataset.data_dir, row)
    return load_video(dataset, row) if from_video or is_unsplit(note) else load_frames(dataset, row)


def load_frames(dataset, row):
    """The frames of a clip that extract_files.py made. Raises OSError or ValueError if one can't be read."""
    # Not all of the frames that data_file.csv tells of: it can tell any number.
    chosen = [
        frame_path(dataset.data_dir, *row[:3], number + 1)
        for number in evenly_spaced_indices(row.frames, dataset.seq_length).tolist()
    ]
    try:
        return row, collections.deque(resize(read_image(path), dataset.image_shape) for path in chosen), None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{error_text(error)}; delete its {row.name}-frames.json and run extract_files.py again"
        ) from None


def load_video(dataset, row):
    """The frames of a clip, decoded. What its header said of their number is corrected, in the Clip and in
    the note on it.

    Raises OSError or ValueError if it can't be decoded, not twice alike, or has fewer frames than a sequence.
    """
    path = path_of(dataset.data_dir, row)
    made_from, reader = origin(dataset.data_dir, row, path), FrameReader(path)
    expected = row.frames
    for _ in range(2):  # the second time with the number of frames that the first one found
        wanted, images, count = (
            set(evenly_spaced_indices(expected, dataset.seq_length).tolist()),
            collections.deque(),
            0,
        )
        for frame in reader:
            if count in wanted:
                images.append(resize(frame, dataset.image_shape))
            count += 1
            if count > MAX_FRAMES:
                raise ValueError(f"it has more than {MAX_FRAMES} frames; cut clips from it (cut_clips.py)")
        if count == expected or count < dataset.seq_length:
            break
        expected, before = count, expected
    else:
        raise ValueError(
            f"it is damaged so that it differs each time it is decoded ({before} frames, then {count}); convert "
            f"it anew or delete it"
        )
    note = read_frames_note(dataset.data_dir, row)
    if is_unsplit(note) and note["frames"] != count:
        write_note(dataset.data_dir, row, made_from, count, reader.info.fps, split=False)
    if count < dataset.seq_length:
        raise ValueError(f"{count} frames are fewer than the sequence length {dataset.seq_length}")
    return row._replace(frames=count), images, reader.loss and f"{reader.loss}; kept what there is"
