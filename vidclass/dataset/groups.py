"""Which clips belong together: by their recording, by name, and the same video in both splits."""

import collections
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from vidclass.console import printable
from vidclass.dataset.clips_csv import Cut, read_cuts
from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import read_frames_note
from vidclass.digests import file_digest

LONGEST_NAME = 60  # letters of a recording's name
UCF_NAME = re.compile(r"(?:^|_)(g\d+)_c\d+(?:_|$)")  # v_Punch_g03_c01


class Origin(NamedTuple):
    """Where a clip comes from. Names for people, each of one thing only within a dataset."""

    recording: str  # its file's name, "match.mp4", or the group in a name of UCF101's kind, "g03"
    stretch: str  # the labelled stretch of it, "match.mp4 from 12.5 s"; of UCF101's kind the group again


def find_origins(data_dir: str | os.PathLike, clips: Iterable[Clip]) -> dict[Clip, Origin]:
    """The Origin of the clips that have one: those that clips.csv lists, and those with a name of UCF101's
    kind. Raises ValueError, naming the line, if clips.csv is damaged."""
    cuts = read_cuts(os.fspath(data_dir))
    names = _name_recordings(cuts)
    listed = {cut[:3]: Origin(name, _stretch(name, cut)) for cut, name in zip(cuts, names)}
    origins = {}
    for clip in clips:
        found = UCF_NAME.search(clip.name)
        if clip[:3] in listed:
            origins[clip] = listed[clip[:3]]
        elif found:
            origins[clip] = Origin(found[1], found[1])
    return origins


def _stretch(recording: str, cut: Cut) -> str:
    return f"{recording} from {float(cut.label_start)} s"


def _name_recordings(cuts: list[Cut]) -> list[str]:
    """The name of each Cut's recording: its file's, with a number where two recordings would have one name.

    A recording is known by its fingerprint, whatever its path. Rows of earlier versions lack it: they are
    known by their path, as clips_csv.find_recording takes them.
    """
    real = {path: os.path.realpath(path) for path in {cut.recording for cut in cuts}}
    marks = {real[cut.recording]: cut.fingerprint for cut in cuts if cut.fingerprint}
    names: dict[str, str] = {}  # {what a recording is known by: its name}
    taken: set[str] = set()
    counts: collections.Counter[str] = collections.Counter()  # {a name: the last number it was given}
    named = []
    for cut in cuts:
        path = real[cut.recording]
        key = cut.fingerprint or marks.get(path, path)
        if key not in names:
            text = os.path.basename(cut.recording).encode("utf-8", "surrogateescape")
            name = unique = printable(text.decode("utf-8", "backslashreplace"))[:LONGEST_NAME]
            counts[name] = max(counts[name], 1)
            while unique in taken:
                counts[name] += 1
                unique = f"{name} ({counts[name]})"
            taken.add(unique)
            names[key] = unique
        named.append(names[key])
    return named


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
                digest = file_digest(path)
                if row.split == "train":
                    trained[digest] = row
                elif digest in trained:
                    shared.append((trained[digest], row))
    return sorted(shared)
