"""Lists clips in data_file.csv without splitting them into frames."""

import contextlib
import os
import sys
from typing import NamedTuple

from vidclass import parallel
from vidclass.console import error_text, print
from vidclass.dataset.clips import find_clips, split_rows
from vidclass.dataset.data_file import Clip, read_data_file, write_data_file
from vidclass.dataset.frames_note import origin, read_frames_note, valid_note, write_note
from vidclass.dataset.sequence_files import forget_sequences
from vidclass.progress import progress
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.probe import count_frames, probe


class Listed(NamedTuple):
    """The clips of a dataset."""

    rows: list[Clip]
    files: dict[tuple[str, str, str], str]  # paths of the clips, by (split, class, name)
    failed: int  # clips and folders that can't be read, named on stderr


def list_unsplit(
    data_dir: str | os.PathLike, limits: VideoLimits = DEFAULT_LIMITS, quiet: bool = False
) -> int:
    """Lists all clips in data_file.csv with the numbers of frames that their headers tell.

    Extracting their features corrects the numbers, see features/extraction.py. Returns the number of clips
    and folders that can't be read, named on stderr. Raises FileNotFoundError if there are no clips.
    """
    listed = find_rows(data_dir, limits, quiet, write_notes=True)
    write_data_file(data_dir, listed.rows)
    return listed.failed


def find_rows(
    data_dir: str | os.PathLike,
    limits: VideoLimits = DEFAULT_LIMITS,
    quiet: bool = False,
    write_notes: bool = False,
) -> Listed:
    """What list_unsplit lists. write_notes: on clips that have none."""
    found = find_clips(data_dir)
    problems = found.problems
    rows = {row[:3]: row for row in split_rows(data_dir)}
    with contextlib.closing(
        parallel.each(lambda item: _list_clip(data_dir, item[0], item[1], limits, write_notes), found.clips)
    ) as listed:
        for (_, path), future in progress(
            listed, total=len(found.clips), unit="clip", desc="Listing clips", quiet=quiet or not found.clips
        ):
            try:
                row = future.result()
                rows[row[:3]] = row
            except (ValueError, FileNotFoundError) as error:  # damaged, or deleted meanwhile
                problems[path] = f"{path}: left out, {error_text(error).removeprefix(f'{path}: ')}"
    for problem in sorted([*problems.values(), *found.left_out, *found.unreadable]):
        print(problem, file=sys.stderr)
    return Listed(list(rows.values()), dict(found.clips), len(problems) + len(found.unreadable))


def _list_clip(
    data_dir: str | os.PathLike, clip: tuple[str, str, str], path: str, limits: VideoLimits, write_notes: bool
) -> Clip:
    """The row of a clip, of which a note is written if it has none."""
    note = valid_note(data_dir, clip, path)
    if note is not None:
        return Clip(*clip, note.frames)
    source, info = origin(data_dir, clip, path), probe(path, limits)
    # A header can tell any number; the clip's own is found out when it is decoded.
    frames = min(info.frames or count_frames(path, limits), limits.max_frames)
    if write_notes:
        forget_sequences(data_dir, clip)
        write_note(data_dir, clip, source, frames, info.fps, split=False)
    return Clip(*clip, frames)


def relist(data_dir: str | os.PathLike) -> None:
    """Writes data_file.csv again if clips that were not split have other numbers of frames than it says."""
    rows = read_data_file(data_dir)
    counted = []
    for row in rows:
        note = read_frames_note(data_dir, row)
        counted.append(row._replace(frames=note.frames) if note is not None and not note.split else row)
    if counted != rows:
        write_data_file(data_dir, counted)
