"""The dataset: data_file.csv, classes, splits, and where each clip's frames and feature sequence lie.

Layout below `data_dir`, after the article:

    train/Football/Football_train_1.mp4         a clip, its split and class given by the folders
    train/Football/Football_train_1-0001.jpg    its frames
    train/Football/Football_train_1-frames.json which file the frames were made from, and its length in seconds
    data_file.csv                               train|test, class, clip name, number of frames; no header
    sequences/<size>-<weights>/train/Football/Football_train_1-75-features.npy
"""
import collections
import contextlib
import hashlib
import io
import json
import math
import os
import re
import shlex
import statistics
from typing import NamedTuple

import numpy as np

import files
from console import print
from names import CLIP_NAME_BYTES, check_name, name_or_none  # noqa: F401

SPLITS = ("train", "test")
CLIPS_FILE = "clips.csv"  # where cut_clips.py notes what it cut from which recording
FEATURES_LENGTH = 2048  # of InceptionV3's avg_pool
_NOTE_CHARACTERS = 100_000  # of a note at most; ours have some hundred


class Clip(NamedTuple):
    """A row of data_file.csv."""
    split: str
    class_name: str
    name: str  # file name without extension
    frames: int


class DataSet:
    """The clips that data_file.csv lists.

    seq_length: frames of a sequence. class_limit: use the first so many classes in alphabetical order (None: all).
    image_shape: (height, width, 3) of the frames that InceptionV3 sees. data_dir: the dataset's folder.

    .data: list of Clip, of the classes in use and at least seq_length frames long. .classes: their names, sorted.
    .too_short: the Clips left out for their length. .listed: both, in the order of the file. .left_out_classes: the classes
    beyond class_limit.

    Raises FileNotFoundError without a data_file.csv, ValueError if a row, the classes or the lengths don't fit.
    """

    def __init__(self, seq_length=40, class_limit=None, image_shape=(299, 299, 3), data_dir="data"):
        self.seq_length = seq_length
        self.sequence_header = npy_header((seq_length, FEATURES_LENGTH))
        self.sequence_bytes = len(self.sequence_header) + 4 * seq_length * FEATURES_LENGTH  # of the file of one
        self.class_limit = class_limit
        self.image_shape = tuple(image_shape)
        self.data_dir = os.fspath(data_dir)
        rows = read_data_file(self.data_dir)
        if not rows:
            raise ValueError(f"{data_file(self.data_dir)} lists no clips; run {command(self.data_dir, 'extract_files.py mp4')}")
        self.classes, self.left_out_classes = choose_classes(rows, class_limit, self.data_dir)
        rows = [row for row in rows if row.class_name in self.classes]
        untrained = sorted({row.class_name for row in rows} - {row.class_name for row in rows if row.split == "train"})
        if untrained:
            raise ValueError(f"no training clips of class {', '.join(untrained)}, only test clips: add some to "
                             f"{os.path.join(self.data_dir, 'train', untrained[0])} and run "
                             f"{command(self.data_dir, 'extract_files.py')} again")
        self.listed = rows
        self.data = [row for row in rows if row.frames >= seq_length]
        self.too_short = [row for row in rows if row.frames < seq_length]
        for name in self.classes:
            if not any(row.class_name == name and row.split == "train" for row in self.data):
                longest = max(row.frames for row in rows if row.class_name == name and row.split == "train")
                raise ValueError(f"class {name} has no training clip of at least {seq_length} frames (the longest has "
                                 f"{longest}): use a sequence length of at most {longest}, or longer clips")

    def split_train_test(self):
        """(training clips, test clips), two lists of Clip."""
        return tuple([row for row in self.data if row.split == split] for split in SPLITS)

    def split_train_validation(self, validation_split=0.2, seed=0, group=False):
        """(clips to train on, clips to validate on): the training split divided within each class, at random.

        Of each class at least one clip lands on either side. group: clips of one group (see group_of) land on the same
        side, in classes whose names tell more than one. Raises ValueError if a class has fewer than two clips.
        """
        random = np.random.default_rng(seed)
        for problem in self.too_few_clips():
            raise ValueError(problem)
        train, validation = [], []
        singly = self.ungrouped_classes() if group else self.classes
        for name in self.classes:
            clips = [row for row in self.data if row.split == "train" and row.class_name == name]
            parts = [[clip] for clip in clips] if name in singly else list(_grouped(clips).values())
            held_out = take_share([parts[i] for i in random.permutation(len(parts))], validation_split * len(clips))
            validation += held_out
            held_out = set(held_out)
            train += [clip for clip in clips if clip not in held_out]
        return train, validation

    def too_few_clips(self):
        """Lines on the classes that have too few clips to train with."""
        counts = collections.Counter(row.class_name for row in self.data if row.split == "train")
        return [f"class {name} has {counts[name]} usable training clips of at least {self.seq_length} frames; two are needed, "
                f"one to learn from and one to validate on: add some to {os.path.join(self.data_dir, 'train', name)}"
                for name in self.classes if counts[name] < 2]

    def ungrouped_classes(self):
        """The classes whose training clips' names put all of them into one group, or each into one of its own."""
        groups = {name: _grouped([row for row in self.data if row.split == "train" and row.class_name == name])
                  for name in self.classes}
        return [name for name, parts in groups.items() if len(parts) == 1 or all(len(p) == 1 for p in parts.values())]

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
        """Where a clip's features lie. weights: the identity of InceptionV3's weights (inception.features_id)."""
        split, class_name, name, _ = row
        height, width = self.image_shape[:2]
        return os.path.join(self.data_dir, "sequences", f"{height}x{width}-{weights}", split, class_name,
                            f"{name}-{self.seq_length}-features.npy")

    def load_sequence(self, row, weights):
        """A clip's features, float32 (seq_length, 2048), or None if there is no such file or it is damaged."""
        try:
            # A map reads the header alone until the values are used.
            sequence = np.load(self.get_sequence_path(row, weights), mmap_mode="r", allow_pickle=False)
        except Exception:  # numpy interprets a header as Python, and raises whatever stumbles over a damaged one
            return None
        fits = sequence.shape == (self.seq_length, FEATURES_LENGTH) and sequence.dtype == np.float32
        return sequence if fits else None

    def has_sequence(self, row, weights):
        """Whether a clip's features are there, by the size of their file: they were looked at when they were written."""
        try:
            size = os.stat(self.get_sequence_path(row, weights)).st_size
        except OSError:
            return False
        return size == self.sequence_bytes or self.load_sequence(row, weights) is not None

    def missing_sequences(self, rows, weights):
        """Those of some clips whose features are not there, see has_sequence. Each folder is read once: a million files take
        seconds."""
        folders, missing = {}, []
        for row in rows:
            folder, name = os.path.split(self.get_sequence_path(row, weights))
            if folder not in folders:
                folders[folder] = _sizes(folder)
            size = folders[folder].get(name)
            if size != self.sequence_bytes and (size is None or not self.has_sequence(row, weights)):
                missing.append(row)
        return missing

    def read_sequence(self, row, weights, into):
        """Reads a clip's features into an array, contiguous float32 (seq_length, 2048). False if they are missing or
        damaged. Three times as fast as load_sequence, which takes most of its time to interpret the file's header."""
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
        with files.written_whole(path) as partial, open(partial, "wb") as file:
            np.save(file, np.asarray(features, np.float32), allow_pickle=False)

    def get_clip_seconds(self):
        """The time that a training clip spans in seconds (the median), or None if extract_files.py noted none."""
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


def _sizes(folder):
    """{name: size} of the files in a folder; none where there is no such folder."""
    sizes = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    sizes[entry.name] = entry.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        pass
    return sizes


def npy_header(shape):
    """What np.save writes before the values of a float32 array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def group_of(name):
    """What a clip's name says of its origin: the number of the group in a name of UCF101's kind (v_Punch_g03_c01: g03),
    else what comes before its last number (match2_17: match2_), or the whole name if it has no number.
    """
    ucf = re.search(r"(?:^|_)(g\d+)_", name)
    return ucf[1] if ucf else re.sub(r"\d+\D*$", "", name)


def _grouped(clips):
    """Clips by their group, a dict of lists."""
    groups = {}
    for clip in clips:
        groups.setdefault(group_of(clip.name), []).append(clip)
    return groups


def take_share(parts, wanted):
    """Clips of some of these lists, as nearly `wanted` in number as whole lists allow, going from first to last; of one
    list at least, and not of all."""
    taken = []
    for part in parts[:-1]:
        if abs(len(taken) + len(part) - wanted) < abs(len(taken) - wanted):
            taken += part
    return taken or min(parts, key=len)


def class_lines(classes, probabilities, nb_to_return=5):
    """The likeliest classes, best first, as a list of lines "Football: 0.97"."""
    probabilities = np.ravel(probabilities)
    if len(probabilities) != len(classes):
        raise ValueError(f"{len(probabilities)} probabilities for {len(classes)} classes")
    best = np.argsort(-probabilities, kind="stable")[:nb_to_return]
    return [f"{classes[i]}: {probabilities[i]:.2f}" for i in best]


def spread(count, size):
    """`size` frame numbers spread evenly over `count` frames, first and last included; int (size,), from 0.

    For count == size they are all frames, the article's 75 of 75. Fewer frames than `size` are repeated.
    """
    return np.arange(size) * (count - 1) // max(size - 1, 1)


def data_file(data_dir):
    """The path of data_file.csv."""
    return os.path.join(data_dir, "data_file.csv")


def command(data_dir, text):
    """How a script is called for a dataset, for messages: "python extract_files.py mp4", and where its folder is not the usual
    one which."""
    data_dir = os.fspath(data_dir)
    return f"python {text}" + (f" --data-dir {shlex.quote(data_dir)}" if data_dir != "data" else "")


def no_folder(data_dir):
    """What to say where a dataset's folder is not there: "there is no folder x; ...", else nothing."""
    if os.path.isdir(data_dir):
        return ""
    kind = "is no folder" if os.path.exists(data_dir) else "does not exist"
    return f"the folder of the dataset, {os.fspath(data_dir)}, {kind}; give another --data-dir"


def read_data_file(data_dir):
    """The rows of data_file.csv as a list of Clip. Raises FileNotFoundError, or ValueError with the bad row."""
    import pandas
    path = data_file(data_dir)
    if not os.path.exists(path):
        lost = no_folder(data_dir)
        raise FileNotFoundError(f"{path} is missing: {f'{lost}; else ' if lost else ''}"
                                f"{command(data_dir, 'extract_files.py mp4')} makes it from the clips in "
                                f"{os.path.join(data_dir, 'train')} and {os.path.join(data_dir, 'test')}")
    try:
        # As text, and nothing taken for a missing value: "NA" and "null" are possible names. As objects: with pyarrow
        # installed pandas would otherwise refuse names that are no valid text.
        table = pandas.read_csv(path, header=None, dtype=object, keep_default_na=False, na_filter=False,
                                encoding_errors="surrogateescape")
    except pandas.errors.EmptyDataError:
        return []
    except pandas.errors.ParserError as error:
        raise ValueError(f"{path} is no table of four columns ({error}); mend or delete it and run "
                         f"extract_files.py again") from None
    rows = []
    for number, row in enumerate(table.itertuples(index=False), 1):
        if len(row) != 4 or row[0] not in SPLITS or not re.fullmatch("[0-9]{1,9}", str(row[3])):
            raise ValueError(f"{path}, row {number}: expected train or test, class, clip name, number of frames, "
                             f"found {', '.join(map(str, row))}")
        for name in row[1:3]:
            try:
                check_name(name)
            except ValueError as error:
                raise ValueError(f"{path}, row {number}: {name!r} can't be the name of a class or clip: {error}") from None
        rows.append(Clip(*row[:3], int(row[3])))
    return rows


def choose_classes(rows, class_limit, data_dir):
    """(the first class_limit classes of the rows in alphabetical order, the others). Raises ValueError if fewer."""
    known = sorted({row.class_name for row in rows})
    if class_limit is not None and class_limit > len(known):
        raise ValueError(f"{class_limit} classes asked for, but {data_file(data_dir)} has {len(known)}: "
                         f"{', '.join(known)}")
    limit = len(known) if class_limit is None else class_limit
    return known[:limit], known[limit:]


def write_data_file(data_dir, rows):
    """Writes data_file.csv, sorted, whole or not at all."""
    files.write_text(data_file(data_dir), files.csv_text(sorted(Clip(*row) for row in rows)))


def frame_path(data_dir, split, class_name, name, number):
    """The path of a clip's frame; `number` counts from 1."""
    return os.path.join(data_dir, split, class_name, f"{name}-{number:04d}.jpg")


def frames_note_path(data_dir, row):
    """The path of the note that extract_files.py leaves when all frames of a clip are in place."""
    return os.path.join(data_dir, row[0], row[1], f"{row[2]}-frames.json")


def read_frames_note(data_dir, row):
    """The note on a clip's frames: a dict with clip (its file, None if the note doesn't tell a name), size, mtime_ns, frames,
    fps, seconds; None without a valid one."""
    try:
        with open(frames_note_path(data_dir, row), encoding="utf-8") as file:
            note = json.loads(file.read(_NOTE_CHARACTERS))
        seconds, frames = float(note["seconds"]), int(note["frames"])
        if not 0 < seconds < math.inf or frames < 1:
            return None
        return {**note, "clip": name_or_none(note.get("clip")), "seconds": seconds, "frames": frames}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def find_shared_clips(data_dir, rows):
    """Clips whose video files are the same, byte for byte, in both splits: a list of (training Clip, test Clip).

    Only files of one size are read. Clips whose video is gone are not compared.
    """
    files = {}  # size: [(Clip, path)]
    for row in rows:
        note = read_frames_note(data_dir, row)
        path = note and note["clip"] and os.path.join(data_dir, row.split, row.class_name, note["clip"])
        if path and os.path.isfile(path):
            files.setdefault(os.path.getsize(path), []).append((row, path))
    shared = []
    for same_size in files.values():
        if len({row.split for row, _ in same_size}) == 2:
            trained = {}
            for row, path in sorted(same_size, reverse=True):  # "train" comes after "test"
                digest = hashlib.sha256()
                with open(path, "rb") as file:
                    while chunk := file.read(1 << 20):
                        digest.update(chunk)
                digest = digest.digest()
                if row.split == "train":
                    trained[digest] = row
                elif digest in trained:
                    shared.append((trained[digest], row))
    return sorted(shared)


def forget_sequences(data_dir, *rows):
    """Deletes the feature sequences of clips whose frames are about to change, of every size and weights."""
    names = {}
    for row in rows:
        names.setdefault((row[0], row[1]), set()).add(row[2])
    root = os.path.join(data_dir, "sequences")
    for variant in os.listdir(root) if os.path.isdir(root) else []:
        for (split, class_name), clips in names.items():
            folder = os.path.join(root, variant, split, class_name)
            for file in os.listdir(folder) if os.path.isdir(folder) else []:
                found = re.fullmatch(r"(.*)-\d+-features\.npy", file, re.DOTALL)
                if found and found[1] in clips:
                    os.remove(os.path.join(folder, file))
