"""Which clips a recording is cut into: pure functions, against brute force over frames."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.dataset.cut_plan import (
    Numbers,
    Recording,
    choose_splits,
    earlier_stretches,
    find_stretches,
    merge_touching,
    plan_cuts,
)
from vidclass.dataset.labels import Label

FPS = Fraction(10)
SOURCE = Recording("match.mp4", FPS, 200.0, "1000-" + "0" * 32)


@st.composite
def labels(draw):
    """Labels of a recording of 200 s, with gaps."""
    edges = draw(st.lists(st.integers(0, 2000), min_size=2, max_size=14, unique=True).map(sorted))
    names = st.sampled_from([None, "A", "B", "C"])
    found = [
        Label(start / 10, end / 10, name, line)
        for line, (start, end) in enumerate(zip(edges, edges[1:]), 1)
        if (name := draw(names))
    ]
    return found or [Label(0.0, 200.0, "A", 1)]


def cut(given, frames, earlier=(), seed=0, share=0.3):
    stretches = [stretch for stretch in find_stretches(given, FPS) if stretch.starts(frames)]
    splits = choose_splits(stretches, frames, earlier_stretches(earlier, FPS), share, seed)
    return (
        stretches,
        splits,
        plan_cuts(stretches, splits, frames, SOURCE, earlier, Numbers("nowhere", earlier)),
    )


def footage(cut):
    first = round(float(cut.start) * 10)
    return range(first, first + cut.frames)


@settings(deadline=None, max_examples=60)
@given(labels(), labels(), st.sampled_from([10, 7]), st.integers(0, 5))
def test_correcting_labels(first, second, frames, seed):
    old_stretches, old_splits, old = cut(first, 10, seed=seed)
    stretches, splits, new = cut(second, frames, old, seed + 1)
    class_of = {}
    for clip in new:  # each frame is in one clip at most, and of its label's class
        for frame in footage(clip):
            assert frame not in class_of
            class_of[frame] = clip.class_name
        assert any(
            stretch.first <= footage(clip)[0] and footage(clip)[-1] < stretch.stop
            for stretch in stretches
            if stretch.class_name == clip.class_name
        )
    before = np.zeros(
        2000
    )  # of each frame: 1 if a stretch of the test split had it, -1 if one of the training split
    for stretch, split in zip(old_stretches, old_splits):
        before[stretch.first : stretch.stop] = 1 if split == "test" else -1
    for stretch, split in zip(stretches, splits):
        balance = before[stretch.first : stretch.stop]
        if balance.any():
            assert split == ("test" if balance.sum() > 0 else "train")
        assert {clip.split for clip in new if clip.label_start == str(stretch.start)} == {split}
    names = [clip[:3] for clip in new]
    assert len(set(names)) == len(names)
    for clip in new:  # what was cut already keeps its name, and no other clip gets it
        same = [other for other in old if (footage(other), other[:2]) == (footage(clip), clip[:2])]
        assert (
            [other.name for other in same] == [clip.name]
            if same
            else clip[:3] not in {other[:3] for other in old}
        )
    # Killed when clips.csv lists both: the next run plans the same.
    gone = [clip for clip in old if clip[:3] not in set(names)]
    assert cut(second, frames, [*new, *gone], seed + 1)[2] == new


@settings(deadline=None)
@given(labels(), st.integers(0, 5))
def test_a_first_cut(given, seed):
    """Of each class with two stretches some clips are on either side, as near to the share as whole stretches
    allow."""
    stretches, splits, cuts = cut(given, 10, seed=seed)
    for name in {stretch.class_name for stretch in stretches}:
        own = [split for stretch, split in zip(stretches, splits) if stretch.class_name == name]
        assert set(own) == {"train", "test"} if len(own) > 1 else own == ["train"]
    assert cut(given, 10, cuts, seed + 1)[2] == cuts


def test_what_is_new_in_a_recording_fills_up_the_share():
    """Ten stretches were cut, two of them for the test; ten more are labelled."""
    first = [Label(10.0 * i, 10.0 * i + 5, "A", i) for i in range(10)]
    _, splits, old = cut(first, 10, share=0.2)
    assert splits.count("test") == 2
    stretches, splits, _ = cut(
        first + [label._replace(start=label.start + 100, end=label.end + 100) for label in first],
        10,
        old,
        share=0.2,
    )
    assert splits.count("test") == 4 and splits[:10].count("test") == 2


def test_a_class_that_was_in_one_split_gets_the_other_when_it_can():
    """Label(0, 9) was all there was; what is labelled now elsewhere is for the test. And the other way
    round."""
    old = cut([Label(0.0, 9.0, "A", 1)], 10)[2]
    now = [Label(0.0, 9.0, "A", 1), Label(20.0, 50.0, "A", 2)]
    assert cut(now, 10, old)[1] == ["train", "test"]
    assert cut(now, 10, [clip._replace(split="test") for clip in old])[1] == ["test", "train"]


def test_earlier_rows_without_the_ends_of_labels():
    old = [
        clip._replace(label_end="", fingerprint="")
        for clip in cut([Label(0.0, 9.5, "A", 1), Label(20.0, 30.0, "A", 1)], 10)[2]
    ]
    assert sorted(part[1:] for part in earlier_stretches(old, FPS)) == [(0.0, 9.0), (20.0, 30.0)]


def test_touching_labels_of_a_class_are_one_stretch():
    merged = merge_touching(
        [Label(0, 5, "A", 1), Label(5, 8, "A", 2), Label(8, 9, "B", 3), Label(9.5, 10, "B", 4)]
    )
    assert [label[:3] for label in merged] == [(0, 8, "A"), (8, 9, "B"), (9.5, 10, "B")]


def test_numbers_of_files_that_are_not_listed_are_left_free(tmp_path):
    (tmp_path / "train/A").mkdir(parents=True)
    for name in ("A_train_7.mkv", "A_train_9-0001.jpg", "A_train_x.mp4", "B_train_50.mp4"):
        (tmp_path / "train/A" / name).touch()
    numbers = Numbers(tmp_path, [])
    assert [numbers.name("train", "A"), numbers.name("train", "A"), numbers.name("test", "A")] == [
        "A_train_10",
        "A_train_11",
        "A_test_1",
    ]


def test_all_or_nothing_for_the_test_split():
    """Of one recording all clips are to test on, or none: also where a class has one stretch."""
    given = [Label(10.0 * n, 10.0 * n + 9, "AB"[n % 2], n + 1) for n in range(3)]
    for share, split in ((0, "train"), (1, "test")):
        _, splits, clips = cut(given, 10, share=share)
        assert set(splits) == {split} and {clip.split for clip in clips} == {split} and len(clips) == 27


def test_a_label_that_is_rounded_to_milliseconds_begins_with_its_frame():
    """Frame 752 at 29.97 frames a second, at 25.091733 s, which is written as 25.092 (and 753 at 25.125)."""
    fps = Fraction(30000, 1001)
    for number in range(3000):
        start = round(float(number / fps), 3)
        (stretch,) = find_stretches([Label(start, start + 5, "A", 1)], fps)
        assert stretch.first == number
    (stretch,) = find_stretches([Label(25.0923, 30.0, "A", 1)], fps)
    assert stretch.first == 753
