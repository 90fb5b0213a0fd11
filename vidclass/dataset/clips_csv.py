"""data/clips.csv: which clips cut_clips.py cut, and of which recording.

A row is split, class, clip, recording, start of its label, its own start, frames, end of its label,
fingerprint of the recording. Times are in seconds. Earlier versions wrote the first seven.
"""

import contextlib
import csv
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vidclass import atomic
from vidclass.dataset.data_file import SPLITS, read_data_file, write_data_file
from vidclass.dataset.frames_note import frame_path, frames_note_path, read_frames_note
from vidclass.dataset.sequence_files import forget_sequences
from vidclass.names import check_name

CLIPS_FILE = "clips.csv"  # where cut_clips.py notes what it cut from which recording
LONGEST = 10**9  # seconds of a recording
PIECES, PIECE_BYTES = 64, 2**16  # of a fingerprint


class Cut(NamedTuple):
    """A clip that was cut, or is to be: a row of clips.csv."""

    split: str
    class_name: str
    name: str
    recording: str  # absolute path
    label_start: str  # of the labelled stretch that it lies in, in seconds
    start: str  # its own
    frames: int
    label_end: str = ""
    fingerprint: str = ""  # of the recording


def clip_path(data_dir: str, cut: Cut) -> str:
    """Where a clip lies."""
    return os.path.join(data_dir, cut.split, cut.class_name, f"{cut.name}.mp4")


def fingerprint(path: str | os.PathLike, size: int | None = None) -> str:
    """What a recording is known by, whatever its name: "<size>-<digest>". size: of its beginning, in bytes,
    that counts.

    The digest is SHA-256 of 64 pieces of 64 kB, spread evenly from the first byte to the last: 20 GB would
    take a minute to read. Up to 4 MB all of it counts. Files of one size that differ only between the pieces
    are taken for one recording; a file that is encoded, put into another container or tagged anew is another.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size if size is None else size
        if size <= PIECES * PIECE_BYTES:
            digest.update(file.read(size))
        else:
            for number in range(PIECES):
                file.seek(number * (size - PIECE_BYTES) // (PIECES - 1))
                digest.update(file.read(PIECE_BYTES))
    return f"{size}-{digest.hexdigest()[:32]}"


def find_recording(cuts: Iterable[Cut], path: str | os.PathLike, mark: str) -> tuple[list[Cut], list[Cut]]:
    """(those of these Cuts that are of a recording, those of another file that had its name). mark: the
    recording's fingerprint.

    A recording that has grown since is the same. Rows without a fingerprint are known by their path.
    """
    real, size = os.path.realpath(path), int(mark.partition("-")[0])
    grown: dict[str, bool] = {}  # {fingerprint: whether the recording begins with what has it}

    def has_grown(old):
        if old not in grown:
            old_size = int(old.partition("-")[0])
            grown[old] = old_size < size and fingerprint(path, old_size) == old
        return grown[old]

    same: list[Cut] = []
    namesakes: list[Cut] = []
    for cut in cuts:
        same_path = os.path.realpath(cut.recording) == real
        if cut.fingerprint == mark or same_path and (not cut.fingerprint or has_grown(cut.fingerprint)):
            same.append(cut)
        elif (
            same_path
            or not cut.fingerprint
            and not os.path.exists(cut.recording)
            and os.path.basename(cut.recording) == os.path.basename(path)
        ):
            namesakes.append(cut)
    return same, namesakes


def read_cuts(data_dir: str) -> list[Cut]:
    """The rows of clips.csv, a list of Cut. Raises ValueError, naming the line, if one is damaged."""
    path = os.path.join(data_dir, CLIPS_FILE)
    if not os.path.exists(path):
        return []
    cuts = []
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            for row in reader:
                if row:
                    cuts.append(_check(row))
        except (ValueError, TypeError, csv.Error) as error:
            found = "" if isinstance(error, csv.Error) else f", {','.join(row):.200}"
            raise ValueError(
                f"{path}: a row that cut_clips.py did not write{found} (line {reader.line_num}: {error}); "
                f"mend or delete the file"
            ) from None
    return cuts


def _check(row):
    """The Cut of a row. Raises ValueError or TypeError if it can't be one: its names must be names, not
    paths."""
    if not 7 <= len(row) <= len(Cut._fields):
        raise ValueError(f"{len(row)} columns")
    cut = Cut(*row)
    check_name(cut.class_name)
    check_name(cut.name)
    if cut.split not in SPLITS or not re.fullmatch(r".*_[0-9]{1,9}", cut.name, re.DOTALL):
        raise ValueError("not a split, or not a clip with a number")
    frames = row[6]  # still text
    if not re.fullmatch("[0-9]{1,9}", frames) or int(frames) < 1:
        raise ValueError("not a number of frames")
    for time in (cut.label_start, cut.start, cut.label_end or "0"):
        # Of 1e-99999999 a Fraction, which times become, would write out all digits.
        if not re.fullmatch(r"\d{1,10}(\.\d{0,40})?(e-\d\d?)?", time, re.ASCII) or float(time) > LONGEST:
            raise ValueError(f"{time!r:.40} is not a time of 0 to {LONGEST} s")
    if not re.fullmatch("([0-9]{1,18}-[0-9a-f]{32})?", cut.fingerprint):
        raise ValueError("not a fingerprint")
    if "\0" in cut.recording:
        raise ValueError("not the path of a recording")
    return cut._replace(frames=int(frames))


def write_cuts(data_dir: str, cuts: Iterable[Cut]) -> None:
    """Writes clips.csv, sorted, whole or not at all."""
    atomic.write_text(os.path.join(data_dir, CLIPS_FILE), atomic.csv_text(sorted(cuts)))


def remove_cuts(data_dir: str, cuts: Sequence[Cut]) -> None:
    """Deletes clips and all that was made of them: rows of data_file.csv, features, notes, frames, at last
    the files.

    What another file of the same name, beside it, was made into is left. Killed on its way, it can be called
    again.
    """
    notes = {cut: read_frames_note(data_dir, cut) for cut in cuts}
    own = [cut for cut, note in notes.items() if note is None or note.clip == f"{cut.name}.mp4"]
    _unlist(data_dir, {cut[:3] for cut in own})
    forget_sequences(data_dir, *own)
    for cut in own:
        with contextlib.suppress(FileNotFoundError):
            os.remove(frames_note_path(data_dir, cut))
        count = 0
        while os.path.exists(frame_path(data_dir, *cut[:3], count + 1)):
            count += 1
        for number in range(count, 0, -1):  # from the last: what a kill leaves begins with the first
            os.remove(frame_path(data_dir, *cut[:3], number))
    for cut in cuts:
        with contextlib.suppress(FileNotFoundError):
            os.remove(clip_path(data_dir, cut))
    for folder in {os.path.dirname(clip_path(data_dir, cut)) for cut in cuts}:
        with contextlib.suppress(OSError):  # there is something else in it
            os.rmdir(folder)


def _unlist(data_dir, clips):
    """Takes clips, (split, class, name), off data_file.csv."""
    try:
        rows = read_data_file(data_dir)
    except FileNotFoundError:
        return
    kept = [row for row in rows if row[:3] not in clips]
    if len(kept) < len(rows):
        write_data_file(data_dir, kept)
