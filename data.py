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
from vidclass.dataset.groups import find_origins, group_clips, group_of, take_share
from vidclass.dataset.validation import describe_groups, divide, group_by_origin, single_clip, single_groups
from vidclass.text import class_lines


class DataSet:
    """The clips that data_file.csv lists.

    seq_length: frames of a sequence. class_limit: use the first so many classes in alphabetical order (None:
    all). image_shape: (height, width, 3) of the frames that InceptionV3 sees. data_dir: the dataset's folder.
    rows: its clips (None: those of its data_file.csv).

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
        rows: list[Clip] | None = None,
    ):
        self.seq_length = seq_length
        self.class_limit = class_limit
        self.image_shape = tuple(image_shape)
        self.data_dir = os.fspath(data_dir)
        rows = read_data_file(self.data_dir) if rows is None else sorted(rows)
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
        self, validation_split: float = 0.2, seed: int = 0, group: bool | None = None
    ) -> tuple[list[Clip], list[Clip]]:
        """(clips to train on, clips to validate on): the training split divided within each class, at random.

        validation_split: the share to validate on; of each class at least one clip lands on either side.
        group: None holds out whole recordings or stretches where clips.csv or UCF101's names tell them, see
        validation.group_by_origin, for all classes together; where nothing tells any, single clips. True:
        whole groups by name (see group_of), in classes whose names tell more than one. False: single clips.
        Raises ValueError if a class has fewer than two clips, or clips.csv is damaged.
        """
        clips = self._check_trainable()
        origins = find_origins(self.data_dir, clips) if group is None else {}
        if origins:
            shares = (validation_split, 1 - validation_split)
            part = divide(clips, group_by_origin(self._by_class(), origins), shares, seed)
            return [clip for clip in clips if part[clip]], [clip for clip in clips if not part[clip]]
        random = np.random.default_rng(seed)
        train: list[Clip] = []
        validation: list[Clip] = []
        singly = self.ungrouped_classes(group=True) if group else self.classes
        for name, clips in self._by_class().items():
            parts = [[clip] for clip in clips] if name in singly else list(group_clips(clips).values())
            shuffled = [parts[i] for i in random.permutation(len(parts))]
            held_out = set(share := take_share(shuffled, validation_split * len(clips)))
            validation += share
            train += [clip for clip in clips if clip not in held_out]
        return train, validation

    def split_folds(
        self, folds: int, seed: int = 0, group: bool | None = None
    ) -> list[tuple[list[Clip], list[Clip]]]:
        """(clips to train on, clips to validate on) of each fold: every training clip validates in one fold.

        group: what stays whole, as in split_train_validation. In every fold each class has a clip to train
        on, and one to validate on. A class with fewer groups than folds has each in a fold of its own, and no
        clip to validate on in the others; with one group only it is divided by single clips. Raises
        ValueError if a class has fewer clips than there are folds, or fewer than two, if folds is below 2,
        or if clips.csv is damaged.
        """
        clips, classes = self._check_trainable(), self._by_class()
        name = min(classes, key=lambda name: len(classes[name]))
        if not 2 <= folds <= len(classes[name]):
            raise ValueError(
                f"{folds} folds are not possible: class {name} has {len(classes[name])} usable training "
                f"clips; give 2 to {len(classes[name])} folds, or add clips to "
                f"{os.path.join(self.data_dir, 'train', name)}"
            )
        if group is None:
            groups = group_by_origin(classes, find_origins(self.data_dir, clips))
        else:
            singly = self.ungrouped_classes(group=True) if group else self.classes
            names = {clip: (group_of(clip.name), "") for clip in clips}
            groups = {c: single_clip(c) if c.class_name in singly else names[c] for c in clips}
        part = divide(clips, groups, [1 / folds] * folds, seed)
        return [
            ([clip for clip in clips if part[clip] != fold], [clip for clip in clips if part[clip] == fold])
            for fold in range(folds)
        ]

    def _by_class(self) -> dict[str, list[Clip]]:
        """{class: its training clips}, in the order of .classes."""
        classes: dict[str, list[Clip]] = {name: [] for name in self.classes}
        for row in self.data:
            if row.split == "train":
                classes[row.class_name].append(row)
        return classes

    def _check_trainable(self) -> list[Clip]:
        """The training clips, class by class. Raises ValueError if a class has fewer than two."""
        for problem in self.too_few_clips():
            raise ValueError(problem)
        return [clip for clips in self._by_class().values() for clip in clips]

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

    def ungrouped_classes(self, group: bool | None = None) -> list[str]:
        """The classes that split_train_validation splits by single clips though it was told to keep groups
        whole. group None: those whose clips are of one stretch, or of one group of UCF101's. True: those
        whose clips' names tell no groups: all are in one, or each is in its own."""
        classes = self._by_class()
        if group is None:
            return single_groups(classes, find_origins(self.data_dir, self.split_train_test()[0]))
        if not group:
            return []
        sizes = {name: [len(part) for part in group_clips(clips).values()] for name, clips in classes.items()}
        return [name for name, parts in sizes.items() if len(parts) == 1 or max(parts) == 1]

    def validation_groups(self) -> str:
        """What split_train_validation holds out where it is not told: "whole recordings", "whole stretches",
        or "single clips"; of different classes different ones, joined by "or"."""
        return describe_groups(self._by_class(), find_origins(self.data_dir, self.split_train_test()[0]))

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
