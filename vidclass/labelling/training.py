"""What a recording's labels give to train on, and the commands that do it."""

import os
import shlex
from fractions import Fraction
from typing import Any

from vidclass.dataset import recording_labels
from vidclass.dataset.cut_plan import Recording
from vidclass.dataset.cut_steps import plan_recording
from vidclass.dataset.data_file import SPLITS
from vidclass.dataset.options import CutOptions


def training_facts(source: Recording, labels_file: str, options: CutOptions) -> dict[str, Any]:
    """What cut_clips.py would cut, class by class, what is too short, and the commands to copy; "problem":
    why nothing can be cut, or None. Reads the dataset's folder and writes nothing."""
    classes, too_short, problem = [], [], None
    try:
        frames = recording_labels.frames_of_clip(source, options.seconds)
        stretches = recording_labels.labelled_stretches(source, labels_file, options)
        plan = plan_recording(source, stretches, frames, labels_file, options)
    except (OSError, ValueError) as error:
        problem = str(error)
    else:
        too_short = plan.too_short
        for name in sorted({cut.class_name for cut in plan.cuts}):
            own = [cut for cut in plan.cuts if cut.class_name == name]
            counts = {split: sum(cut.split == split for cut in own) for split in SPLITS}
            stretch_count = len({cut.label_start for cut in own})
            classes.append({"name": name, "stretches": stretch_count, **counts})
    lines = commands(source.path, labels_file, options, max(len(classes), 2))
    return {"classes": classes, "too_short": too_short, "problem": problem, "commands": lines}


def commands(recording: str, labels_file: str, options: CutOptions, classes: int) -> list[str]:
    """The commands from labels to a trained network."""
    data_dir = [] if options.data_dir == "data" else ["--data-dir", options.data_dir]
    seconds = f"{float(Fraction(options.seconds)):g}"
    size = ["40", str(classes), "299", "299"]
    lines = [
        ["cut_clips.py", recording, labels_file, "--seconds", seconds],
        ["extract_files.py", "mp4"],
        ["extract_features.py", *size],
        ["train.py", *size],
    ]
    return [shlex.join(["python", *line, *data_dir]) for line in lines]


def dataset_classes(data_dir: str) -> list[str]:
    """The classes that have a folder in the dataset, sorted."""
    folder = os.path.join(data_dir, "train")
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
