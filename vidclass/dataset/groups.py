"""Which clips belong together: groups by name, and the same video in both splits."""

import hashlib
import os
import re
from collections.abc import Iterable

from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import read_frames_note


def group_of(name: str) -> str:
    """What a clip's name says of its origin: the number of the group in a name of UCF101's kind
    (v_Punch_g03_c01: g03), else what comes before its last number (match2_17: match2_), or the whole name if
    it has no number.
    """
    ucf = re.search(r"(?:^|_)(g\d+)_", name)
    return ucf[1] if ucf else re.sub(r"\d+\D*$", "", name)


def group_clips(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Clips by their group, see group_of."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(group_of(clip.name), []).append(clip)
    return groups


def take_share(parts: list[list[Clip]], wanted: float) -> list[Clip]:
    """Clips of some of these lists, as nearly `wanted` in number as whole lists allow, going from first to
    last; of one list at least, and not of all."""
    taken: list[Clip] = []
    for part in parts[:-1]:
        if abs(len(taken) + len(part) - wanted) < abs(len(taken) - wanted):
            taken += part
    return taken or min(parts, key=len)


def find_shared_clips(data_dir: str | os.PathLike, rows: Iterable[Clip]) -> list[tuple[Clip, Clip]]:
    """Pairs of a training clip and a test clip whose video files are the same, byte for byte.

    Only files of one size are read. Clips whose video is gone are not compared.
    """
    files: dict[int, list] = {}  # size: [(Clip, path)]
    for row in rows:
        note = read_frames_note(data_dir, row)
        path = note and note.clip and os.path.join(data_dir, row.split, row.class_name, note.clip)
        if path and os.path.isfile(path):
            files.setdefault(os.path.getsize(path), []).append((row, path))
    shared = []
    for same_size in files.values():
        if len({row.split for row, _ in same_size}) == 2:
            trained = {}
            for row, path in sorted(same_size, reverse=True):  # "train" comes after "test"
                digest = _digest(path)
                if row.split == "train":
                    trained[digest] = row
                elif digest in trained:
                    shared.append((trained[digest], row))
    return sorted(shared)


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()
