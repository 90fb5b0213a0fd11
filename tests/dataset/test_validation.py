"""Which clips validate by default, and in folds: whole recordings or stretches, for all classes together."""

import collections
import itertools
import re
import tempfile

import pytest
from conftest import run
from helpers import ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from data import DataSet
from vidclass.dataset.data_file import write_data_file
from vidclass.dataset.groups import find_origins
from vidclass.training.preparation import Splits, _describe_validation

# Clips of one class: (recording, stretch) of each, None for a clip that nothing is known of.
CLIPS = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(0, 2))), min_size=3, max_size=14
)
DATASETS = st.lists(CLIPS, min_size=2, max_size=3)


def make(folder, classes, seq_length=75):
    """(DataSet, {clip's name: (recording, stretch) or None}) of classes as DATASETS has them."""
    rows, cuts, origins = [], [], {}
    for letter, clips in zip("ABC", classes):
        for number, origin in enumerate(clips):
            name = f"{letter}_train_{number}"
            rows.append(("train", letter, name, 75))
            origins[name] = origin
            if origin:
                cuts.append(f"train,{letter},{name},/v/r{origin[0]}.mp4,{10 * origin[1]}.0,0,75\n")
    write_data_file(folder, rows)
    with open(f"{folder}/clips.csv", "w") as file:
        file.writelines(cuts)
    return DataSet(seq_length, data_dir=folder), origins


def units_of(dataset, origins):
    """{class: {what stays whole: its clips' names}}, as docs/reference.md has it."""
    units = {}
    for name in dataset.classes:
        own = {row.name: origins[row.name] for row in dataset.data if row.class_name == name}
        known = [origin for origin in own.values() if origin]
        level = 1 if len({recording for recording, _ in known}) >= 3 else 2
        most = max(map(known.count, known), default=0)
        single = most > max(1, len(own) / 2) and len(known) - most < 0.1 * len(own)
        units[name] = collections.defaultdict(set)
        for clip, origin in own.items():
            units[name][clip if single or not origin else origin[:level]].add(clip)
    return units


def together_possible(units):
    """Whether sides can be found for all that stays whole so that each class has clips on both: tries all."""
    keys = sorted({key for own in units.values() for key in own}, key=str)
    free = [key for key in keys if not isinstance(key, str)]
    both = [own for own in units.values() if sum(isinstance(key, str) for key in own) < 2]
    return any(
        all(
            len({sides[free.index(key)] for key in own if not isinstance(key, str)})
            + any(isinstance(key, str) for key in own)
            >= 2
            for own in both
        )
        for sides in itertools.product((0, 1), repeat=len(free))
    )


@settings(max_examples=60, deadline=None)
@given(DATASETS, st.floats(0.1, 0.6), st.integers(0, 5))
def test_by_default_groups_stay_whole(classes, share, seed):
    with tempfile.TemporaryDirectory() as folder:
        dataset, origins = make(folder, classes)
        train, validation = dataset.split_train_validation(share, seed)
        assert sorted(train + validation) == sorted(dataset.data)
        assert (train, validation) == dataset.split_train_validation(share, seed)
        held_out = {row.name for row in validation}
        units = units_of(dataset, origins)
        sides = collections.defaultdict(set)  # of what stays whole
        for own in units.values():
            assert 0 < len(held_out & set().union(*own.values())) < len(set().union(*own.values()))
            for key, names in own.items():
                assert names <= held_out or not names & held_out
                sides[key].add(names <= held_out)
        if together_possible(units):
            assert all(len(side) == 1 for side in sides.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=8), st.floats(0.1, 0.6), st.integers(0, 5))
def test_the_share_is_as_near_as_a_group_brings_it(sizes, share, seed):
    """Of a class that shares no recordings."""
    clips = [(0 if len(sizes) < 3 else i, i) for i, size in enumerate(sizes) for _ in range(size)]
    with tempfile.TemporaryDirectory() as folder:
        dataset, origins = make(folder, [clips, [None, None]])
        held_out = {row.name for row in dataset.split_train_validation(share, seed)[1]}
        counts = [(len(names), names <= held_out) for names in units_of(dataset, origins)["A"].values()]
        wanted = share * len(clips)
        count = sum(size for size, is_out in counts if is_out)
        for size, is_out in counts:
            other = count - size if is_out else count + size
            assert other in (0, len(clips)) or abs(other - wanted) >= abs(count - wanted) - 1e-6


def test_classes_validate_on_the_same_recordings(tmp_path):
    """Else the look of a recording would tell the class."""
    clips = [(recording, stretch) for recording in range(5) for stretch in (0, 1, 2)]
    dataset, origins = make(tmp_path, [clips, clips, [*clips, clips[0]]])
    chosen = set()
    for seed in range(8):
        validation = dataset.split_train_validation(0.2, seed)[1]
        (found,) = {origins[row.name][0] for row in validation}
        assert len(validation) == 9 + (found == 0)
        chosen.add(found)
    assert len(chosen) > 1


def test_classes_validate_on_stretches_of_the_same_recording(tmp_path):
    """Where they have two: a quarter of the stretches, all of one recording, whatever the class."""
    classes = [[(recording, 2 * i + own) for recording in (0, 1) for i in range(6)] for own in (0, 1)]
    dataset, origins = make(tmp_path, classes)
    for seed in range(8):
        validation = dataset.split_train_validation(0.25, seed)[1]
        assert collections.Counter(row.class_name for row in validation) == {"A": 3, "B": 3}
        assert len({origins[row.name][0] for row in validation}) == 1


def test_classes_that_cannot_have_it_together_have_it_alone(tmp_path):
    """Each class has two stretches of one recording; each stretch is of two classes: no two sides fit."""
    stretches = [(0, 0), (0, 1), (0, 2)]
    classes = [[stretch for stretch in stretches if stretch != left] * 2 for left in stretches]
    dataset, origins = make(tmp_path, classes)
    assert not together_possible(units_of(dataset, origins))
    validation = dataset.split_train_validation()[1]
    assert collections.Counter(row.class_name for row in validation) == {"A": 2, "B": 2, "C": 2}
    assert all(
        len({origins[row.name] for row in validation if row.class_name == name}) == 1 for name in "ABC"
    )


def test_ucf101s_groups_validate_whole(tmp_path):
    write_data_file(
        tmp_path,
        [
            ("train", name, f"v_{name}_g{group:02d}_c{number:02d}", 50)
            for name in ("Punch", "YoYo")
            for group in range(1, 11)
            for number in range(1, 5)
        ],
    )
    train, validation = DataSet(data_dir=tmp_path).split_train_validation()
    groups = [{row.name.split("_")[2] for row in rows} for rows in (train, validation)]
    assert len(groups[0]) == 8 and len(groups[1]) == 2 and not groups[0] & groups[1]
    assert len(validation) == 16


def test_without_origins_the_split_is_that_of_single_clips(tmp_path):
    dataset, _ = make(tmp_path, [[None] * 12, [None] * 7])
    assert dataset.split_train_validation(0.3, 4) == dataset.split_train_validation(0.3, 4, group=False)
    assert dataset.ungrouped_classes() == []


def test_classes_of_one_stretch_are_split_singly_and_named(tmp_path):
    """Not the one with two stretches, nor the one whose origin nothing tells."""
    dataset, origins = make(tmp_path, [[(0, 0)] * 10, [(0, 1)] * 5 + [(0, 2)] * 5, [None] * 10])
    validation = dataset.split_train_validation()[1]
    assert collections.Counter(row.class_name for row in validation) == {"A": 2, "B": 5, "C": 2}
    assert dataset.ungrouped_classes() == ["A"]
    assert dataset.ungrouped_classes(group=False) == []
    dataset, _ = make(tmp_path, [[(0, 0)] * 4 + [None] * 6, [(0, 0)] * 6 + [None] * 4])
    assert dataset.ungrouped_classes() == ["B"]


def test_a_class_with_next_to_nothing_of_another_stretch_is_split_singly(tmp_path):
    """Else it would have one clip to validate on, of 21."""
    dataset, _ = make(tmp_path, [[(0, 0)] * 20 + [(0, 1)], [(1, 0)] * 10 + [(1, 1)] * 11])
    assert dataset.ungrouped_classes() == ["A"]
    validation = dataset.split_train_validation()[1]
    assert collections.Counter(row.class_name for row in validation)["A"] == 4
    dataset, _ = make(tmp_path, [[(0, 0)] * 18 + [(0, 1)] * 3, [(1, 0)] * 10 + [(1, 1)] * 11])
    assert dataset.ungrouped_classes() == []


def test_what_validates_is_named(tmp_path):
    classes = [[(0, 0)] * 5 + [(1, 0)] * 5 + [(2, 0)] * 5, [(0, 1)] * 5 + [(0, 2)] * 5, [None] * 5]
    dataset, _ = make(tmp_path, classes)
    assert dataset.validation_groups() == "whole recordings or whole stretches or single clips"
    dataset, _ = make(tmp_path, classes[1:2] * 2)
    assert dataset.validation_groups() == "whole stretches"
    dataset, _ = make(tmp_path, classes[2:] * 2)
    assert dataset.validation_groups() == "single clips"


@pytest.mark.parametrize("content", ["\ufeff{}", "\n\n{}\n\n", "\ufeff\n{}"])
def test_what_editors_add_to_clips_csv(tmp_path, content):
    dataset, _ = make(tmp_path, [[(0, 0)] * 5 + [(0, 1)] * 5, [None] * 5])
    before = dataset.validation_groups()
    (tmp_path / "clips.csv").write_text(content.format((tmp_path / "clips.csv").read_text()))
    assert dataset.validation_groups() == before == "whole stretches or single clips"


def test_very_many_recordings_of_one_name(tmp_path):
    rows = [("train", "A", f"A_train_{number}", 75) for number in range(4000)]
    write_data_file(tmp_path, rows)
    with open(tmp_path / "clips.csv", "w") as file:
        file.writelines(f"train,A,{name},/v/{n}/r.mp4,0,0,75\n" for n, (_, _, name, _) in enumerate(rows))
    dataset = DataSet(75, data_dir=tmp_path)
    origins = find_origins(str(tmp_path), dataset.data)
    assert len({origin.recording for origin in origins.values()}) == 4000
    assert {"r.mp4", "r.mp4 (2)", "r.mp4 (4000)"} <= {origin.recording for origin in origins.values()}


@settings(max_examples=60, deadline=None)
@given(DATASETS, st.integers(2, 5), st.sampled_from([None, False, True]), st.integers(0, 5))
def test_folds(classes, folds, group, seed):
    with tempfile.TemporaryDirectory() as folder:
        dataset, origins = make(folder, classes)
        if min(map(len, classes)) < folds:
            with pytest.raises(ValueError, match=f"{folds} folds are not possible: class .* give 2 to"):
                dataset.split_folds(folds, seed, group)
            return
        parts = dataset.split_folds(folds, seed, group)
        assert len(parts) == folds and parts == dataset.split_folds(folds, seed, group)
        validated = [row for _, validation in parts for row in validation]
        assert sorted(validated) == sorted(dataset.data)
        units = units_of(dataset, origins)
        for train, validation in parts:
            assert sorted(train + validation) == sorted(dataset.data)
            assert {row.class_name for row in train} == set(dataset.classes)
            held_out = {row.name for row in validation}
            if group is None:
                for names in itertools.chain(*(own.values() for own in units.values())):
                    assert names <= held_out or not names & held_out
        for name, own in units.items():
            number = len(own) if group is None else folds  # names like A_train_1 tell no groups
            validating = [{row.class_name for row in validation} >= {name} for _, validation in parts]
            assert sum(validating) == min(number, folds)
            if group is not None:
                counts = [sum(row.class_name == name for row in validation) for _, validation in parts]
                assert max(counts) - min(counts) <= 1


def test_folds_by_name(tmp_path):
    names = [f"match{match}_{number}" for match in range(1, 7) for number in range(3)]
    write_data_file(tmp_path, [("train", letter, name, 50) for letter in "AB" for name in names])
    dataset = DataSet(data_dir=tmp_path)
    for _, validation in dataset.split_folds(3, group=True):
        assert len(validation) == 12 and len({row.name.split("_")[0] for row in validation}) == 2


@pytest.mark.parametrize("folds, count", [(1, 5), (0, 5), (6, 5), (2, 1)])
def test_folds_that_are_not_possible(tmp_path, folds, count):
    dataset, _ = make(tmp_path, [[None] * 9, [None] * count])
    cure = "add some to" if count == 1 else "give 2 to 5 folds, or add clips to"
    with pytest.raises(ValueError, match=f"class B has {count} usable training clips?.*{cure} .*train/B"):
        dataset.split_folds(folds)


def test_a_recording_that_was_cut(tmp_path):
    """From cut_clips.py to the split: clips of a stretch are on one side."""
    ffmpeg(
        "-f lavfi -i", "testsrc=size=64x48:rate=25:duration=24", "-pix_fmt yuv420p", tmp_path / "match.mp4"
    )
    labels = [(start, "Football" if start % 8 else "Commercial") for start in range(0, 24, 4)]
    (tmp_path / "labels.csv").write_text("".join(f"{start},{start + 4},{name}\n" for start, name in labels))
    cut = run(tmp_path, "cut_clips.py", "match.mp4", "labels.csv", "--seconds", 1, "--test-split", 0.2)
    assert cut.returncode == 0, cut.stderr
    listed = run(tmp_path, "extract_files.py", "mp4", "--quiet")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split(",") for line in (tmp_path / "data/clips.csv").read_text().splitlines()]
    stretch = {row[2]: float(row[4]) for row in rows}
    dataset = DataSet(25, data_dir=tmp_path / "data")
    for seed in range(4):
        train, validation = dataset.split_train_validation(seed=seed)
        assert {stretch[row.name] for row in train}.isdisjoint(stretch[row.name] for row in validation)
        assert (
            {row.class_name for row in train}
            == {row.class_name for row in validation}
            == set(dataset.classes)
        )
    singly = dataset.split_train_validation(group=False)
    assert not {stretch[row.name] for row in singly[0]}.isdisjoint(stretch[row.name] for row in singly[1])


@pytest.mark.parametrize("group, named", [(False, "single clips"), (True, "whole groups by name")])
def test_who_names_what_validates_needs_no_clips_csv(tmp_path, group, named):
    dataset, _ = make(tmp_path, [[None] * 10, [None] * 5])
    (tmp_path / "clips.csv").write_text("damaged\n")
    splits = Splits(*dataset.split_train_validation(0.2, 0, group), [])
    line = _describe_validation(dataset, splits, group)
    assert re.fullmatch(rf"Validation: {named}: A \d+ of 10, B \d+ of 5", line)
