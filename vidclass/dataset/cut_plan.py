"""Which clips a recording is cut into, and which of them are test clips."""

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from vidclass.dataset import clips_csv
from vidclass.dataset.data_file import SPLITS


@dataclass(frozen=True)
class Recording:
    """A recording to be cut."""

    path: str  # as the user gave it
    fps: Fraction
    seconds: float
    fingerprint: str  # see clip_sources
    start: float = 0.0  # when its first picture is shown, in seconds from its beginning


class Stretch(NamedTuple):
    """What is to be cut: a label, or those of one class that touch."""

    class_name: str
    start: float  # seconds
    end: float
    line: int  # of the labels
    first: int  # the first frame that begins in it
    stop: int  # the first one behind it

    def starts(self, frames):
        """The first frames of its clips of so many frames."""
        return range(self.first, self.stop - frames + 1, frames)


def merge(labels):
    """Labels of one class that touch become one."""
    merged = []
    for label in labels:
        if merged and merged[-1].class_name == label.class_name and label.start - merged[-1].end < 0.001:
            merged[-1] = merged[-1]._replace(end=label.end)
        else:
            merged.append(label)
    return merged


def find_stretches(labels, fps):
    """The Stretches of labels, in their order."""
    # A label begins with the first frame at or after its start.
    return [
        Stretch(
            label.class_name,
            label.start,
            label.end,
            label.line,
            *(int(-(-Fraction(f"{time:.6f}") * fps // 1)) for time in (label.start, label.end)),
        )
        for label in merge(labels)
    ]


def earlier_stretches(earlier, fps):
    """(split, start, end in seconds) of the stretches that Cuts of the recording lie in."""
    ends = {}
    for cut in earlier:
        key = cut.split, cut.class_name, float(cut.label_start)
        end = float(cut.label_end) if cut.label_end else float(cut.start) + cut.frames / float(fps)
        ends[key] = max(ends.get(key, 0.0), end)
    return [(split, start, end) for (split, _, start), end in ends.items()]


def kept_split(stretch, before):
    """The split that most of a stretch's footage is in, None if it is in neither. before: of
    earlier_stretches."""
    shared = dict.fromkeys(SPLITS, 0.0)
    for split, start, end in before:
        shared[split] += max(0.0, min(end, stretch.end) - max(start, stretch.start))
    shared = {
        split: round(seconds, 3) for split, seconds in shared.items()
    }  # a tie is one, whatever floats make of it
    return max(shared, key=shared.get) if any(shared.values()) else None


def choose_splits(stretches, frames, before, test_split, seed):
    """The split of each Stretch; all are long enough for a clip.

    Footage that was cut before keeps its split: a stretch takes that of most of it, so that a correction
    doesn't put neighbours into different splits. before: of earlier_stretches. The other stretches are drawn,
    class by class.
    """
    random = np.random.default_rng(seed)
    splits = [kept_split(stretch, before) for stretch in stretches]
    for class_name in sorted({stretch.class_name for stretch in stretches}):
        own = [i for i, stretch in enumerate(stretches) if stretch.class_name == class_name]
        sizes = {i: len(stretches[i].starts(frames)) for i in own}
        drawn = [own[place] for place in random.permutation(len(own)) if splits[own[place]] is None]
        kept = {splits[i] for i in own}
        one_stays = "train" not in kept
        wanted = test_split * sum(sizes.values()) - sum(sizes[i] for i in own if splits[i] == "test")
        tested = []
        for i in drawn[:-1] if one_stays else drawn:
            count = sum(sizes[j] for j in tested)
            if abs(count + sizes[i] - wanted) < abs(count - wanted):
                tested.append(i)
        if not tested and "test" not in kept and len(drawn) > one_stays and test_split:
            tested = [min(drawn, key=sizes.get)]
        for i in drawn:
            splits[i] = "test" if i in tested else "train"
    return splits


class Numbers:
    """Names new clips so that no other file has the name, listed in clips.csv or not. known: the rows of
    clips.csv."""

    def __init__(self, data_dir, known):
        self._data_dir, self._last = data_dir, {}
        for cut in known:
            key, number = cut[:2], int(cut.name.rpartition("_")[2])
            self._last[key] = max(number, self._last.get(key, 0))
        self._looked = set()

    def name(self, split, class_name):
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


def plan(stretches, splits, frames, source, earlier, numbers):
    """The Cuts of a Recording: those that are among the earlier ones under the names that they have."""
    names = {
        (cut.split, cut.class_name, round(float(cut.start) * source.fps), cut.frames): cut.name
        for cut in earlier
    }
    cuts = []
    for stretch, split in zip(stretches, splits):
        for first in stretch.starts(frames):
            name = names.get((split, stretch.class_name, first, frames)) or numbers.name(
                split, stretch.class_name
            )
            cuts.append(
                clips_csv.Cut(
                    split,
                    stretch.class_name,
                    name,
                    os.path.abspath(source.path),
                    str(stretch.start),
                    str(float(first / source.fps)),
                    frames,
                    str(stretch.end),
                    source.fingerprint,
                )
            )
    return cuts
