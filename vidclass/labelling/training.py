"""What a recording's labels give to train on, and the commands that do it."""

import functools
import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vidclass.dataset import recording_labels
from vidclass.dataset.cut_plan import Recording
from vidclass.dataset.cut_report import missing_splits
from vidclass.dataset.cut_steps import plan_recording
from vidclass.dataset.data_file import SPLITS
from vidclass.dataset.options import CutOptions
from vidclass.dataset.sequence_files import SEQUENCES
from vidclass.errors import INT8
from vidclass.features.weights_file import find_weights
from vidclass.training.checkpoint import Checkpoint, find_checkpoint

UNKNOWN = "WEIGHTS"  # where the weights' file isn't found


@dataclass(frozen=True)
class Features:
    """What the commands say of a dataset's sequences."""

    seq_length: int = 40
    height: int = 299
    width: int = 299
    weights: str = "imagenet"
    precision: str | None = None  # INT8, or the default

    @property
    def options(self) -> list[str]:
        weights = [] if self.weights == "imagenet" else ["--weights", self.weights]
        return [*weights, *(["--precision", self.precision] if self.precision else [])]


def training_facts(
    source: Recording, labels_file: str, options: CutOptions, features: Features = Features()
) -> dict[str, Any]:
    """What cut_clips.py would cut, class by class, what is too short or missing, and the commands to copy;
    "problem": why nothing can be cut, or None. Reads the dataset's folder and writes nothing."""
    classes, notes, problem = [], [], None
    try:
        frames = recording_labels.frames_of_clip(source, options.seconds)
        stretches = recording_labels.labelled_stretches(source, labels_file, options)
        plan = plan_recording(source, stretches, frames, labels_file, options)
    except FileNotFoundError:
        problem = f"{labels_file} is not there yet: it is saved after the first change"
    except (OSError, ValueError) as error:
        problem = str(error)
    else:
        for name in sorted({cut.class_name for cut in plan.cuts}):
            own = [cut for cut in plan.cuts if cut.class_name == name]
            counts = {split: sum(cut.split == split for cut in own) for split in SPLITS}
            stretch_count = len({cut.label_start for cut in own})
            classes.append({"name": name, "stretches": stretch_count, **counts})
            notes += missing_splits(name, plan, options.data_dir)
        notes += plan.too_short
    names = {*dataset_classes(options.data_dir), *(item["name"] for item in classes)}
    lines = [] if problem else commands(source.path, labels_file, options, max(len(names), 2), features)
    return {"classes": classes, "notes": notes, "problem": problem, "commands": lines}


def commands(
    recording: str, labels_file: str, options: CutOptions, classes: int, features: Features
) -> list[str]:
    """The commands from labels to a trained network."""
    data_dir = [] if options.data_dir == "data" else ["--data-dir", options.data_dir]
    seconds = f"{float(Fraction(options.seconds)):g}"
    size = [str(number) for number in (features.seq_length, classes, features.height, features.width)]
    lines = [
        ["cut_clips.py", recording, labels_file, "--seconds", seconds],
        ["extract_files.py", "mp4"],
        ["extract_features.py", *size, *features.options],
        ["train.py", *size, *features.options],
    ]
    return [shlex.join(["python", *line, *data_dir]) for line in lines]


def find_features(data_dir: str, checkpoint: str | None, weights: str | None) -> Features:
    """The Features of a checkpoint, else those that most sequences of a dataset have, else today's. weights:
    those that the user named for the checkpoint."""
    if checkpoint:
        with Checkpoint(find_checkpoint(checkpoint, data_dir)) as opened:
            metadata = opened.metadata
        if metadata:
            named = weights or _weights(metadata.weights, metadata.weights_path)
            height, width = metadata.image_shape[:2]
            return Features(metadata.seq_length, height, width, named, INT8 if metadata.ranges else None)
    found = Counter(_sequences(os.path.join(data_dir, SEQUENCES)))
    if not found:
        return Features()
    (height, width, identity, seq_length), _ = found.most_common(1)[0]
    precision = INT8 if identity.endswith(f"-{INT8}") else None
    return Features(seq_length, height, width, _weights(identity.removesuffix(f"-{INT8}")), precision)


@functools.lru_cache  # it reads whole files
def _weights(identity, path=None):
    if identity in ("imagenet", "random"):
        return identity
    return find_weights(identity, path) or UNKNOWN


def _sequences(root):
    """(height, width, identity, sequence length) of each sequence in a folder."""
    for variant in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})-(.+)", variant)
        if not size:
            continue
        for _, _, files in os.walk(os.path.join(root, variant)):
            for file in files:
                if found := re.search(r"-(\d{1,6})-features\.npy$", file):
                    yield int(size[1]), int(size[2]), size[3], int(found[1])


def dataset_classes(data_dir: str) -> list[str]:
    """The classes that have a folder in the dataset, sorted."""
    folder = os.path.join(data_dir, "train")
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
