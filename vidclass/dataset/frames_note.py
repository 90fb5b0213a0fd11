"""Notes beside clips: which file the frames were made from, how many there are, how long the clip is."""

import json
import math
import os
import time

from vidclass import atomic
from vidclass.names import name_or_none

_NOTE_CHARACTERS = 100_000  # of a note at most; ours have some hundred


def frame_path(data_dir, split, class_name, name, number):
    """The path of a clip's frame; `number` counts from 1."""
    return os.path.join(data_dir, split, class_name, f"{name}-{number:04d}.jpg")


def frames_note_path(data_dir, row):
    """The path of the note that extract_files.py leaves when all frames of a clip are in place."""
    return os.path.join(data_dir, row[0], row[1], f"{row[2]}-frames.json")


def read_frames_note(data_dir, row):
    """The note on a clip's frames: a dict with clip (its file, None if the note doesn't tell a name), size,
    mtime_ns, frames, fps, seconds; None without a valid one."""
    try:
        with open(frames_note_path(data_dir, row), encoding="utf-8") as file:
            note = json.loads(file.read(_NOTE_CHARACTERS))
        seconds, frames = float(note["seconds"]), int(note["frames"])
        if not 0 < seconds < math.inf or frames < 1:
            return None
        return {**note, "clip": name_or_none(note.get("clip")), "seconds": seconds, "frames": frames}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def identity(path):
    """What tells a clip from another that took its place."""
    status = os.stat(path)
    return {"clip": os.path.basename(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def origin(data_dir, clip, path):
    """What a note says of the file that it is on: its identity and, if it has taken the place of another
    file, when."""
    made_from, before = identity(path), read_frames_note(data_dir, clip)
    if before is None:
        return made_from
    replaced = before.get("replaced") if _is_of(before, made_from) else time.time()
    return {**made_from, "replaced": replaced} if replaced else made_from


def _is_of(note, made_from):
    return all(note.get(key) == value for key, value in made_from.items())


def valid_note(data_dir, clip, path):
    """The note on a clip (data.read_frames_note) if it was made from just this file, else None."""
    note = read_frames_note(data_dir, clip)
    return note if note is not None and _is_of(note, identity(path)) else None


def write_note(data_dir, clip, made_from, frames, fps, split=True):
    """Notes the frames of a clip, and the length in seconds that follows from them. made_from: its origin
    when they were counted. split: whether they lie beside it as images."""
    note = {**made_from, "frames": frames, "fps": str(fps), "seconds": float(frames / fps)}
    atomic.write_text(
        frames_note_path(data_dir, clip), json.dumps(note if split else {**note, "split": False})
    )


def is_unsplit(note):
    """Whether a note, or None, is on a clip that was listed without being split into frames."""
    return note is not None and note.get("split") is False


def path_of(data_dir, row):
    """The file of a clip of which there is a note. Raises ValueError if there is none."""
    note = read_frames_note(data_dir, row)
    if not note or not note["clip"]:
        raise ValueError("nothing says which file it is; run extract_features.py --from-video")
    return os.path.join(data_dir, row[0], row[1], note["clip"])
