"""The dataset: data_file.csv, classes, splits, and where each clip's frames and feature sequence lie.

Layout below `data_dir`, after the article:

    train/Football/Football_train_1.mp4         a clip, its split and class given by the folders
    train/Football/Football_train_1-0001.jpg    its frames
    train/Football/Football_train_1-frames.json which file the frames were made from, and its length in seconds
    data_file.csv                               train|test, class, clip name, number of frames; no header
    sequences/<size>-<weights>/train/Football/Football_train_1-75-features.npy
"""

import collections
import os
import statistics

import numpy as np

from vidclass import atomic
from vidclass.console import print
from vidclass.dataset.data_file import SPLITS, choose_classes, command, data_file, read_data_file
from vidclass.dataset.frames_note import frame_path, read_frames_note
from vidclass.dataset.groups import group_clips, take_share
from vidclass.features.identity import FEATURES_LENGTH
from vidclass.features.sequence_store import _file_sizes, npy_header
from vidclass.text import class_lines


class DataSet:
    """The clips that data_file.csv lists.

    seq_length: frames of a sequence. class_limit: use the first so many classes in alphabetical order (None:
    all). image_shape: (height, width, 3) of the frames that InceptionV3 sees. data_dir: the dataset's folder.

    .data: list of Clip, of the classes in use and at least seq_length frames long. .classes: their names,
    sorted. .too_short: the Clips left out for their length. .listed: both, in the order of the file.
    .left_out_classes: the classes beyond class_limit.

    Raises FileNotFoundError without a data_file.csv, ValueError if a row, the classes or the lengths don't
    fit.
    """

    def __init__(self, seq_length=40, class_limit=None, image_shape=(299, 299, 3), data_dir="data"):
        self.seq_length = seq_length
        self.sequence_header = npy_header((seq_length, FEATURES_LENGTH))
        self.sequence_bytes = (
            len(self.sequence_header) + 4 * seq_length * FEATURES_LENGTH
        )  # of the file of one
        self.class_limit = class_limit
        self.image_shape = tuple(image_shape)
        self.data_dir = os.fspath(data_dir)
        rows = read_data_file(self.data_dir)
        if not rows:
            raise ValueError(
                f"{data_file(self.data_dir)} lists no clips; run {command(self.data_dir, 'extract_files.py mp4')}"
            )
        self.classes, self.left_out_classes = choose_classes(rows, class_limit, self.data_dir)
        rows = [row for row in rows if row.class_name in self.classes]
        untrained = sorted(
            {row.class_name for row in rows} - {row.class_name for row in rows if row.split == "train"}
        )
        if untrained:
            raise ValueError(
                f"no training clips of class {', '.join(untrained)}, only test clips: add some to "
                f"{os.path.join(self.data_dir, 'train', untrained[0])} and run "
                f"{command(self.data_dir, 'extract_files.py')} again"
            )
        self.listed = rows
        self.data = [row for row in rows if row.frames >= seq_length]
        self.too_short = [row for row in rows if row.frames < seq_length]
        for name in self.classes:
            if not any(row.class_name == name and row.split == "train" for row in self.data):
                longest = max(row.frames for row in rows if row.class_name == name and row.split == "train")
                raise ValueError(
                    f"class {name} has no training clip of at least {seq_length} frames (the longest has "
                    f"{longest}): use a sequence length of at most {longest}, or longer clips"
                )

    def split_train_test(self):
        """(training clips, test clips), two lists of Clip."""
        return tuple([row for row in self.data if row.split == split] for split in SPLITS)

    def split_train_validation(self, validation_split=0.2, seed=0, group=False):
        """(clips to train on, clips to validate on): the training split divided within each class, at random.

        Of each class at least one clip lands on either side. group: clips of one group (see group_of) land on
        the same side, in classes whose names tell more than one. Raises ValueError if a class has fewer than
        two clips.
        """
        random = np.random.default_rng(seed)
        for problem in self.too_few_clips():
            raise ValueError(problem)
        train, validation = [], []
        singly = self.ungrouped_classes() if group else self.classes
        for name in self.classes:
            clips = [row for row in self.data if row.split == "train" and row.class_name == name]
            parts = [[clip] for clip in clips] if name in singly else list(group_clips(clips).values())
            held_out = take_share(
                [parts[i] for i in random.permutation(len(parts))], validation_split * len(clips)
            )
            validation += held_out
            held_out = set(held_out)
            train += [clip for clip in clips if clip not in held_out]
        return train, validation

    def too_few_clips(self):
        """Lines on the classes that have too few clips to train with."""
        counts = collections.Counter(row.class_name for row in self.data if row.split == "train")
        return [
            f"class {name} has {counts[name]} usable training clips of at least {self.seq_length} frames; two are needed, "
            f"one to learn from and one to validate on: add some to {os.path.join(self.data_dir, 'train', name)}"
            for name in self.classes
            if counts[name] < 2
        ]

    def ungrouped_classes(self):
        """The classes whose training clips' names put all of them into one group, or each into one of its
        own."""
        groups = {
            name: group_clips([row for row in self.data if row.split == "train" and row.class_name == name])
            for name in self.classes
        }
        return [
            name
            for name, parts in groups.items()
            if len(parts) == 1 or all(len(p) == 1 for p in parts.values())
        ]

    def get_frames_for_sample(self, row):
        """Paths of all frames of a clip, in order. row: a Clip, or any sequence of the CSV's four columns."""
        split, class_name, name, frames = row
        return [frame_path(self.data_dir, split, class_name, name, i + 1) for i in range(int(frames))]

    def get_class_one_hot(self, name):
        """float32 (len(classes),), 1 at the class's place. Raises ValueError for an unknown class."""
        one_hot = np.zeros(len(self.classes), np.float32)
        one_hot[self.classes.index(name)] = 1
        return one_hot

    def get_sequence_path(self, row, weights):
        """Where a clip's features lie. weights: the identity of InceptionV3's weights
        (inception.features_id)."""
        split, class_name, name, _ = row
        height, width = self.image_shape[:2]
        return os.path.join(
            self.data_dir,
            "sequences",
            f"{height}x{width}-{weights}",
            split,
            class_name,
            f"{name}-{self.seq_length}-features.npy",
        )

    def load_sequence(self, row, weights):
        """A clip's features, float32 (seq_length, 2048), or None if there is no such file or it is damaged."""
        try:
            # A map reads the header alone until the values are used.
            sequence = np.load(self.get_sequence_path(row, weights), mmap_mode="r", allow_pickle=False)
        except (
            Exception
        ):  # numpy interprets a header as Python, and raises whatever stumbles over a damaged one
            return None
        fits = sequence.shape == (self.seq_length, FEATURES_LENGTH) and sequence.dtype == np.float32
        return sequence if fits else None

    def has_sequence(self, row, weights):
        """Whether a clip's features are there, by the size of their file: they were looked at when they were
        written."""
        try:
            size = os.stat(self.get_sequence_path(row, weights)).st_size
        except OSError:
            return False
        return size == self.sequence_bytes or self.load_sequence(row, weights) is not None

    def missing_sequences(self, rows, weights):
        """Those of some clips whose features are not there, see has_sequence. Each folder is read once: a
        million files take seconds."""
        folders, missing = {}, []
        for row in rows:
            folder, name = os.path.split(self.get_sequence_path(row, weights))
            if folder not in folders:
                folders[folder] = _file_sizes(folder)
            size = folders[folder].get(name)
            if size != self.sequence_bytes and (size is None or not self.has_sequence(row, weights)):
                missing.append(row)
        return missing

    def read_sequence(self, row, weights, into):
        """Reads a clip's features into an array, contiguous float32 (seq_length, 2048). False if they are
        missing or damaged. Three times as fast as load_sequence, which takes most of its time to interpret
        the file's header."""
        try:
            with open(self.get_sequence_path(row, weights), "rb", buffering=0) as file:
                if file.read(len(self.sequence_header)) == self.sequence_header:
                    return file.readinto(into.reshape(-1).view(np.uint8)) == into.nbytes
        except OSError:
            return False
        sequence = self.load_sequence(row, weights)  # written by another program
        if sequence is not None:
            into[:] = sequence
        return sequence is not None

    def save_sequence(self, row, weights, features):
        """Saves a clip's features, (seq_length, 2048), as float32: whole or not at all."""
        path = self.get_sequence_path(row, weights)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with atomic.atomic_write(path) as partial, open(partial, "wb") as file:
            np.save(file, np.asarray(features, np.float32), allow_pickle=False)

    def get_clip_seconds(self):
        """The time that a training clip spans in seconds (the median), or None if extract_files.py noted
        none."""
        notes = [read_frames_note(self.data_dir, row) for row in self.data if row.split == "train"]
        seconds = [note["seconds"] for note in notes if note]
        return statistics.median(seconds) if seconds else None

    def print_class_from_prediction(self, predictions, nb_to_return=5):
        """Prints and returns the likeliest classes, best first, as lines "Football: 0.97".

        predictions: probabilities in the order of .classes, (len(classes),) or (1, len(classes)).
        """
        lines = class_lines(self.classes, predictions, nb_to_return)
        print(*lines, sep="\n")
        return lines
