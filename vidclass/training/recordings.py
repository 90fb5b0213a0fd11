"""What a report says of the recordings that the clips come from: how well each of them is classified, and
whether the test is on recordings that were trained on."""

import collections
from collections.abc import Iterable
from typing import Any

import numpy as np

from vidclass.console import printable
from vidclass.dataset.data_file import Clip
from vidclass.dataset.groups import Origin, find_origins
from vidclass.training.metadata import printable_name

SHOWN, NAMED = 15, 3  # recordings in a table, and in a line


def compare_recordings(
    data_dir: str, clips: list[Clip], right: np.ndarray, training_clips: Iterable[Clip]
) -> dict[str, Any]:
    """What a report says of the recordings of evaluated clips, of those whose recording is known.

    right: which clips are classified right, bool (n,). training_clips: that may have taught the network.

    Result: {"recordings": a list of {"name", "clips", "accuracy"}, the worst first; empty unless there are
    two or more, "shared_recordings": {"clips": how many evaluated clips come from recordings that training
    clips come from, too, "recordings": their names}; None if there are none}. Groups of UCF101 count as
    recordings within their class. Raises ValueError, naming the line, if clips.csv is damaged.
    """
    training_clips = list(training_clips)
    origins = find_origins(data_dir, [*clips, *training_clips])
    answers: dict[str, list[bool]] = {}  # {recording: whether each of its clips is right}
    for clip, is_right in zip(clips, right):
        if clip in origins:
            answers.setdefault(_name(clip, origins[clip]), []).append(bool(is_right))
    ordered = sorted((sum(found) / len(found), -len(found), name) for name, found in answers.items())
    rows = [{"name": name, "clips": -less, "accuracy": accuracy} for accuracy, less, name in ordered]
    learned = {_name(clip, origins[clip]) for clip in training_clips if clip in origins}
    shared = sorted(name for name in answers if name in learned)
    return {
        "recordings": rows if len(rows) > 1 else [],
        "shared_recordings": {"clips": sum(len(answers[name]) for name in shared), "recordings": shared}
        if shared
        else None,
    }


def _name(clip: Clip, origin: Origin) -> str:
    """A recording's name. Of UCF101, the g03 of two classes have nothing to do with each other."""
    is_group = origin.stretch == origin.recording
    return f"{printable_name(clip.class_name)} {origin.recording}" if is_group else origin.recording


def recording_rows(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rows of a table of recordings, the worst first: name, clips, accuracy; SHOWN of them at most."""
    recordings = report.get("recordings") or []
    rows = [(row["name"], str(row["clips"]), f"{row['accuracy']:.3f}") for row in recordings[:SHOWN]]
    if len(recordings) > SHOWN:
        rows.append((f"and {len(recordings) - SHOWN} more", "", ""))
    return rows


def recording_table(report: dict[str, Any]) -> list[str]:
    """The accuracy on each recording, as the lines of a table; no lines unless there are two or more."""
    rows = [(printable(name), clips, accuracy) for name, clips, accuracy in recording_rows(report)]
    if not rows:
        return []
    rows.insert(0, ("Recordings, the worst first", "clips", "accuracy"))
    width = max(len(name) for name, *_ in rows)
    return [f"{name:{width}}  {clips:>5}  {accuracy:>8}".rstrip() for name, clips, accuracy in rows]


def describe_folds(data_dir: str, folds: list[list[Clip]]) -> list[str]:
    """A line that says how many clips of a cross-validation come from a recording of which other folds have
    clips, too; no line if none do. folds: the clips that validate in each. Raises what find_origins does."""
    origins = find_origins(data_dir, [clip for clips in folds for clip in clips])
    names = [[_name(clip, origins[clip]) for clip in clips if clip in origins] for clips in folds]
    in_folds = collections.Counter(name for fold in names for name in set(fold))
    shared = sum(in_folds[name] > 1 for fold in names for name in fold)
    if not shared:
        return []
    return [
        f"{shared} of the {sum(map(len, folds))} clips come from recordings that are in several folds: the "
        f"accuracy on new recordings may be lower"
    ]


def describe_shared(report: dict[str, Any]) -> list[str]:
    """A line that says that clips of the test come from recordings that were trained on; no line if none
    do."""
    shared = report.get("shared_recordings")
    if not shared:
        return []
    names = ", ".join(shared["recordings"][:NAMED])
    if len(shared["recordings"]) > NAMED:
        names += f" and {len(shared['recordings']) - NAMED} more"
    come = "comes from a recording" if shared["clips"] == 1 else "come from recordings"
    return [
        f"{shared['clips']} of the {report['clips']} {report['split']} clips {come} that training clips come "
        f"from too ({names}): the accuracy on new recordings may be lower"
    ]
