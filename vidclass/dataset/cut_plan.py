"""Which clips a recording is cut into, and which of them are test clips."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from vidclass.dataset.clips_csv import Cut
from vidclass.dataset.data_file import SPLITS
from vidclass.dataset.labels import Label

ROUNDED = Fraction(1, 2000)  # seconds by which a time in milliseconds may be off
Earlier = tuple[str, float, float]  # (split, start, end in seconds) of a stretch that was cut before


@dataclass(frozen=True)
class Recording:
    """A recording to be cut."""

    path: str  # as the user gave it
    fps: Fraction  # frames per second
    seconds: float  # its length
    fingerprint: str  # see clips_csv.fingerprint
    start: float = 0.0  # when its first picture is shown, in seconds from its beginning


class Stretch(NamedTuple):
    """What is to be cut: a label, or those of one class that touch."""

    class_name: str
    start: float  # seconds
    end: float
    line: int  # of the labels
    first: int  # the first frame that begins in it
    stop: int  # the first one behind it: the one next to its end

    def starts(self, frames: int) -> range:
        """The first frames of its clips of so many frames."""
        return range(self.first, self.stop - frames + 1, frames)


def merge_touching(labels: Iterable[Label]) -> list[Label]:
    """The labels, in their order; those of one class that touch become one."""
    merged: list[Label] = []
    for label in labels:
        if merged and merged[-1].class_name == label.class_name and label.start - merged[-1].end < 0.001:
            merged[-1] = merged[-1]._replace(end=label.end)
        else:
            merged.append(label)
    return merged


def find_stretches(labels: Iterable[Label], fps: Fraction) -> list[Stretch]:
    """The Stretches of labels, in their order."""

    def first_frame(seconds):
        """The first frame at or after a time, which may be rounded to a millisecond."""
        return math.ceil((Fraction(f"{seconds:.6f}") - ROUNDED) * fps)

    def last_stop(seconds):
        """The frame next to a time, before which a stretch must end: the frame before that one is shown from
        half a frame before its time on, where ffmpeg makes a rate constant, and files of ours may round a
        time up to the next millisecond."""
        return math.floor(Fraction(f"{seconds:.6f}") * fps + Fraction(1, 2))

    return [
        Stretch(
            label.class_name,
            label.start,
            label.end,
            label.line,
            first_frame(label.start),
            last_stop(label.end),
        )
        for label in merge_touching(labels)
    ]


def earlier_stretches(earlier: Iterable[Cut], fps: Fraction) -> list[Earlier]:
    """The stretches that Cuts of the recording lie in."""
    ends: dict[tuple[str, str, float], float] = {}
    for cut in earlier:
        key = cut.split, cut.class_name, float(cut.label_start)
        end = float(cut.label_end) if cut.label_end else float(cut.start) + cut.frames / float(fps)
        ends[key] = max(ends.get(key, 0.0), end)
    return [(split, start, end) for (split, _, start), end in ends.items()]


def kept_split(stretch: Stretch, before: Iterable[Earlier]) -> str | None:
    """The split that most of a stretch's footage is in, None if it is in neither."""
    shared = dict.fromkeys(SPLITS, 0.0)
    for split, start, end in before:
        shared[split] += max(0.0, min(end, stretch.end) - max(start, stretch.start))
    # Rounded: a tie is one, whatever floats make of it.
    rounded = {split: round(seconds, 3) for split, seconds in shared.items()}
    return max(rounded, key=lambda split: rounded[split]) if any(rounded.values()) else None


def choose_splits(
    stretches: Sequence[Stretch], frames: int, before: Sequence[Earlier], test_split: float, seed: int
) -> list[str]:
    """The split of each Stretch; all are long enough for a clip of so many frames.

    Footage that was cut before keeps its split: a stretch takes that of most of it, so that a correction
    doesn't put neighbours into different splits. before: of earlier_stretches. The other stretches are drawn,
    class by class, until test_split of the class's clips are test clips.
    """
    random = np.random.default_rng(seed)
    splits = [kept_split(stretch, before) for stretch in stretches]
    for class_name in sorted({stretch.class_name for stretch in stretches}):
        own = [i for i, stretch in enumerate(stretches) if stretch.class_name == class_name]
        sizes = {i: len(stretches[i].starts(frames)) for i in own}
        drawn = [own[place] for place in random.permutation(len(own)) if splits[own[place]] is None]
        kept = {splits[i] for i in own}
        one_stays = "train" not in kept and test_split < 1
        wanted = test_split * sum(sizes.values()) - sum(sizes[i] for i in own if splits[i] == "test")
        tested: list[int] = []
        for i in drawn[:-1] if one_stays else drawn:
            count = sum(sizes[j] for j in tested)
            if abs(count + sizes[i] - wanted) < abs(count - wanted):
                tested.append(i)
        if not tested and "test" not in kept and len(drawn) > int(one_stays) and test_split:
            tested = [min(drawn, key=lambda i: sizes[i])]
        for i in drawn:
            splits[i] = "test" if i in tested else "train"
    return [split or "train" for split in splits]


class Numbers:
    """Names new clips so that no other file has the name, listed in clips.csv or not. known: the rows of
    clips.csv."""

    def __init__(self, data_dir: str, known: Iterable[Cut]):
        self._data_dir = data_dir
        self._last: dict[tuple[str, str], int] = {}  # {(split, class): the highest number that is taken}
        for cut in known:
            key, number = (cut.split, cut.class_name), int(cut.name.rpartition("_")[2])
            self._last[key] = max(number, self._last.get(key, 0))
        self._looked: set[tuple[str, str]] = set()  # whose folders have been read

    def name(self, split: str, class_name: str) -> str:
        """The next name of a split and class: Football_train_1."""
        key, beginning = (split, class_name), f"{class_name}_{split}_"
        if key not in self._looked:
            self._looked.add(key)
            folder = os.path.join(self._data_dir, split, class_name)
            for file in os.listdir(folder) if os.path.isdir(folder) else ():
                if found := re.match(re.escape(beginning) + "([0-9]{1,9})", file):
                    self._last[key] = max(int(found[1]), self._last.get(key, 0))
        self._last[key] = self._last.get(key, 0) + 1
        return f"{beginning}{self._last[key]}"


def plan_cuts(
    stretches: Sequence[Stretch],
    splits: Sequence[str],
    frames: int,
    source: Recording,
    earlier: Sequence[Cut],
    numbers: Numbers,
) -> list[Cut]:
    """The Cuts of a Recording, clips of so many frames: those that are among the earlier ones under the names
    that they have."""
    names = {
        (cut.split, cut.class_name, round(float(cut.start) * source.fps), cut.frames): cut.name
        for cut in earlier
    }
    cuts = []
    for stretch, split in zip(stretches, splits):
        for first in stretch.starts(frames):
            known = names.get((split, stretch.class_name, first, frames))
            cut = Cut(
                split,
                stretch.class_name,
                known or numbers.name(split, stretch.class_name),
                recording=os.path.abspath(source.path),
                label_start=str(stretch.start),
                start=str(float(first / source.fps)),
                frames=frames,
                label_end=str(stretch.end),
                fingerprint=source.fingerprint,
            )
            cuts.append(cut)
    return cuts
