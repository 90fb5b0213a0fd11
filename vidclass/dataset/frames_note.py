"""Notes beside clips: which file the frames were made from, how many there are, how long the clip is."""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

from vidclass import atomic
from vidclass.names import name_or_none

LONGEST_NOTE = 100_000  # characters; ours have some hundred
LATEST = 2**40  # seconds since 1970, far beyond what time.time() tells


@dataclass(frozen=True)
class SourceFile:
    """The video file that a note is on: what tells it from another that took its place."""

    clip: str | None  # its name; None if the note tells none
    size: int | None  # bytes
    mtime_ns: int | None  # when it was last changed, nanoseconds since 1970
    replaced: float | None = None  # when it took the place of another file, seconds since 1970; None: never

    def is_same(self, other: "SourceFile") -> bool:
        """Whether two are the same file, unchanged."""
        return (self.clip, self.size, self.mtime_ns) == (other.clip, other.size, other.mtime_ns)


@dataclass(frozen=True, kw_only=True)
class FramesNote(SourceFile):
    """What a note says of a clip. Optional values are None where the file tells something else."""

    frames: int
    fps: str | None = None  # frames per second, a fraction: "30000/1001"
    seconds: float  # the time that the frames span
    split: bool = True  # whether the frames lie beside the clip as images


def frame_path(data_dir: str | os.PathLike, split: str, class_name: str, name: str, number: int) -> str:
    """The path of a clip's frame; `number` counts from 1."""
    return os.path.join(data_dir, split, class_name, f"{name}-{number:04d}.jpg")


def frames_note_path(data_dir: str | os.PathLike, clip: Sequence) -> str:
    """The path of the note on a clip, (split, class, name, ...)."""
    return os.path.join(data_dir, clip[0], clip[1], f"{clip[2]}-frames.json")


def read_frames_note(data_dir: str | os.PathLike, clip: Sequence) -> FramesNote | None:
    """The note on a clip's frames, None without a valid one."""
    try:
        with open(frames_note_path(data_dir, clip), encoding="utf-8") as file:
            note = json.loads(file.read(LONGEST_NOTE))
        seconds, frames = float(note["seconds"]), int(note["frames"])
        if not 0 < seconds < math.inf or frames < 1:
            return None
        size, mtime_ns, fps, replaced = (note.get(key) for key in ("size", "mtime_ns", "fps", "replaced"))
        return FramesNote(
            clip=name_or_none(note.get("clip")),
            size=size if type(size) is int else None,
            mtime_ns=mtime_ns if type(mtime_ns) is int else None,
            replaced=replaced if type(replaced) in (int, float) and 0 <= replaced < LATEST else None,
            frames=frames,
            fps=fps if type(fps) is str else None,
            seconds=seconds,
            split=note.get("split") is not False,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def valid_note(data_dir: str | os.PathLike, clip: Sequence, path: str | os.PathLike) -> FramesNote | None:
    """The note on a clip if it was made from just this file, else None."""
    note = read_frames_note(data_dir, clip)
    return note if note is not None and note.is_same(_source_file(path)) else None


def origin(data_dir: str | os.PathLike, clip: Sequence, path: str | os.PathLike) -> SourceFile:
    """The file that a clip's frames are about to be made from; noted is, too, when it took the place of
    another."""
    source, before = _source_file(path), read_frames_note(data_dir, clip)
    if before is None:
        return source
    replaced = before.replaced if before.is_same(source) else time.time()
    return SourceFile(source.clip, source.size, source.mtime_ns, replaced)


def write_note(
    data_dir: str | os.PathLike,
    clip: Sequence,
    source: SourceFile,
    frames: int,
    fps: Fraction,
    split: bool = True,
) -> None:
    """Notes how many frames a clip has, and the length in seconds that follows from them.

    source: its origin when they were counted. split: whether they lie beside it as images.
    """
    note = {key: value for key, value in asdict(source).items() if key != "replaced" or value}
    note |= {"frames": frames, "fps": str(fps), "seconds": float(frames / fps)}
    atomic.write_text(
        frames_note_path(data_dir, clip), json.dumps(note if split else {**note, "split": False})
    )


def is_unsplit(note: FramesNote | None) -> bool:
    """Whether a note is on a clip that was listed without being split into frames."""
    return note is not None and not note.split


def noted_file(data_dir: str | os.PathLike, clip: Sequence) -> str:
    """The path of the video file of a clip, as its note tells. Raises ValueError if it tells none."""
    note = read_frames_note(data_dir, clip)
    if note is None or note.clip is None:
        raise ValueError("nothing says which file it is; run extract_features.py --from-video")
    return os.path.join(data_dir, clip[0], clip[1], note.clip)


def _source_file(path):
    status = os.stat(path)
    return SourceFile(os.path.basename(path), status.st_size, status.st_mtime_ns)
