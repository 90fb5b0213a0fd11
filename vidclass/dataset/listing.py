"""Lists clips in data_file.csv without splitting them into frames."""

import contextlib
import sys

from vidclass import parallel
from vidclass.console import error_text, print
from vidclass.dataset.clips import MAX_FRAMES, find_clips, split_rows
from vidclass.dataset.data_file import Clip, read_data_file, write_data_file
from vidclass.dataset.frames_note import is_unsplit, origin, read_frames_note, valid_note, write_note
from vidclass.features.sequence_store import forget_sequences
from vidclass.progress import progress
from vidclass.video.probe import count_frames, probe


def list_unsplit(data_dir, quiet=False):
    """Lists all clips in data_file.csv without splitting them: with the frames that their headers tell.
    Reading their features corrects them (sequences.load_video). Returns the number of clips and folders that
    can't be read, named on stderr.

    Raises FileNotFoundError if there are none.
    """
    found = find_clips(data_dir)
    problems = found.problems

    def look(item):
        clip, path = item
        note = valid_note(data_dir, clip, path)
        if note is None:
            made_from, info = origin(data_dir, clip, path), probe(path)
            # A header can tell any number; the clip's own is found out when it is decoded.
            frames = min(info.frames or count_frames(path), MAX_FRAMES)
            forget_sequences(data_dir, clip)
            write_note(data_dir, clip, made_from, frames, info.fps, split=False)
            return Clip(*clip, frames)
        return Clip(*clip, note["frames"])

    rows = {row[:3]: row for row in split_rows(data_dir)}
    with contextlib.closing(parallel.each(look, found.clips)) as looked:
        for (_, path), future in progress(
            looked, total=len(found.clips), unit="clip", desc="Listing clips", quiet=quiet or not found.clips
        ):
            try:
                row = future.result()
                rows[row[:3]] = row
            except (ValueError, FileNotFoundError) as error:  # damaged, or deleted meanwhile
                problems[path] = f"{path}: left out, {error_text(error).removeprefix(f'{path}: ')}"
    for problem in sorted([*problems.values(), *found.left_out, *found.unreadable]):
        print(problem, file=sys.stderr)
    write_data_file(data_dir, rows.values())
    return len(problems) + len(found.unreadable)


def relist(data_dir):
    """Writes data_file.csv again if clips that were not split have other numbers of frames than it says."""
    rows = read_data_file(data_dir)
    notes = [read_frames_note(data_dir, row) for row in rows]
    counted = [
        row._replace(frames=note["frames"]) if is_unsplit(note) else row for row, note in zip(rows, notes)
    ]
    if counted != rows:
        write_data_file(data_dir, counted)
