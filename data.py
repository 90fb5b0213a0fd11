"""The dataset: data_file.csv, classes, splits, and where each clip's frames lie.

Layout below `data_dir`, after the article:

    train/Football/Football_train_1.mp4         a clip, its split and class given by the folders
    train/Football/Football_train_1-0001.jpg    its frames
    train/Football/Football_train_1-frames.json which file they were made from, and its length in seconds
    data_file.csv                               train|test, class, clip name, number of frames; no header
    sequences/<size>-<weights>/train/Football/Football_train_1-75-features.npy
"""

import collections
import os
import statistics
from collections.abc import Sequence

import numpy as np

from vidclass.console import print
from vidclass.dataset.data_file import SPLITS, Clip, choose_classes, command, data_file, read_data_file
from vidclass.dataset.frames_note import frame_path, read_frames_note
from vidclass.dataset.groups import group_clips, take_share
from vidclass.text import class_lines


class DataSet:
    """The clips that data_file.csv lists.

    seq_length: frames of a sequence. class_limit: use the first so many classes in alphabetical order (None:
    all). image_shape: (height, width, 3) of the frames that InceptionV3 sees. data_dir: the dataset's folder.

    .data: the clips of the classes in use that are at least seq_length frames long. .classes: their names,
    sorted. .too_short: the clips left out for their length. .listed: both, in the order of the file.
    .left_out_classes: the classes beyond class_limit. The sequences of the clips: see
    vidclass.features.sequence_store.FolderStore.

    Raises FileNotFoundError without a data_file.csv, ValueError if a row, the classes or the lengths don't
    fit.
    """

    def __init__(
        self,
        seq_length: int = 40,
        class_limit: int | None = None,
        image_shape: tuple[int, int, int] = (299, 299, 3),
        data_dir: str | os.PathLike = "data",
    ):
        self.seq_length = seq_length
        self.class_limit = class_limit
        self.image_shape = tuple(image_shape)
        self.data_dir = os.fspath(data_dir)
        rows = read_data_file(self.data_dir)
        if not rows:
            raise ValueError(
                f"{data_file(self.data_dir)} lists no clips; run "
                f"{command(self.data_dir, 'extract_files.py mp4')}"
            )
        self.classes, self.left_out_classes = choose_classes(rows, class_limit, self.data_dir)
        self.listed = [row for row in rows if row.class_name in self.classes]
        self.data = [row for row in self.listed if row.frames >= seq_length]
        self.too_short = [row for row in self.listed if row.frames < seq_length]
        self._check_training_clips()

    def _check_training_clips(self):
        """Raises ValueError if a class has no training clip, or none that is long enough."""
        longest: dict[str, int] = {}  # frames of the longest training clip of a class
        for row in self.listed:
            if row.split == "train":
                longest[row.class_name] = max(row.frames, longest.get(row.class_name, 0))
        untrained = [name for name in self.classes if name not in longest]
        if untrained:
            raise ValueError(
                f"no training clips of class {', '.join(untrained)}, only test clips: add some to "
                f"{os.path.join(self.data_dir, 'train', untrained[0])} and run "
                f"{command(self.data_dir, 'extract_files.py')} again"
            )
        for name in self.classes:
            if longest[name] < self.seq_length:
                raise ValueError(
                    f"class {name} has no training clip of at least {self.seq_length} frames (the longest "
                    f"has {longest[name]}): use a sequence length of at most {longest[name]}, or longer clips"
                )

    def split_train_test(self) -> tuple[list[Clip], list[Clip]]:
        """(training clips, test clips)."""
        train, test = ([row for row in self.data if row.split == split] for split in SPLITS)
        return train, test

    def split_train_validation(
        self, validation_split: float = 0.2, seed: int = 0, group: bool = False
    ) -> tuple[list[Clip], list[Clip]]:
        """(clips to train on, clips to validate on): the training split divided within each class, at random.

        validation_split: the share to validate on; of each class at least one clip lands on either side.
        group: clips of one group (see group_of) land on the same side, in classes whose names tell more than
        one. Raises ValueError if a class has fewer than two clips.
        """
        random = np.random.default_rng(seed)
        for problem in self.too_few_clips():
            raise ValueError(problem)
        train: list[Clip] = []
        validation: list[Clip] = []
        singly = self.ungrouped_classes() if group else self.classes
        for name in self.classes:
            clips = [row for row in self.data if row.split == "train" and row.class_name == name]
            parts = [[clip] for clip in clips] if name in singly else list(group_clips(clips).values())
            shuffled = [parts[i] for i in random.permutation(len(parts))]
            held_out = set(share := take_share(shuffled, validation_split * len(clips)))
            validation += share
            train += [clip for clip in clips if clip not in held_out]
        return train, validation

    def too_few_clips(self) -> list[str]:
        """Messages about the classes that have too few clips to train with."""
        counts = collections.Counter(row.class_name for row in self.data if row.split == "train")
        return [
            f"class {name} has {counts[name]} usable training clips of at least {self.seq_length} frames; "
            f"two are needed, one to learn from and one to validate on: add some to "
            f"{os.path.join(self.data_dir, 'train', name)}"
            for name in self.classes
            if counts[name] < 2
        ]

    def ungrouped_classes(self) -> list[str]:
        """The classes whose training clips' names tell no groups: all are in one, or each is in its own."""
        groups = {
            name: group_clips([row for row in self.data if row.split == "train" and row.class_name == name])
            for name in self.classes
        }
        return [
            name
            for name, parts in groups.items()
            if len(parts) == 1 or all(len(p) == 1 for p in parts.values())
        ]

    def get_frames_for_sample(self, row: Sequence) -> list[str]:
        """Paths of all frames of a clip, in order. row: a Clip, or any sequence of the CSV's four columns."""
        split, class_name, name, frames = row
        return [frame_path(self.data_dir, split, class_name, name, i + 1) for i in range(int(frames))]

    def get_class_one_hot(self, name: str) -> np.ndarray:
        """float32 (len(classes),), 1 at the class's place. Raises ValueError for an unknown class."""
        one_hot = np.zeros(len(self.classes), np.float32)
        one_hot[self.classes.index(name)] = 1
        return one_hot

    def get_clip_seconds(self) -> float | None:
        """The time that a training clip spans in seconds, the median; None if no note tells it."""
        notes = [read_frames_note(self.data_dir, row) for row in self.data if row.split == "train"]
        seconds = [note.seconds for note in notes if note]
        return statistics.median(seconds) if seconds else None

    def print_class_from_prediction(self, predictions: np.ndarray, nb_to_return: int = 5) -> list[str]:
        """Prints and returns the likeliest classes, best first, as lines "Football: 0.97".

        predictions: probabilities in the order of .classes, (len(classes),) or (1, len(classes)).
        """
        lines = class_lines(self.classes, predictions, nb_to_return)
        print(*lines, sep="\n")
        return lines
