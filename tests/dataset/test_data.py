"""data.py: the CSV, classes, splits, and where things lie."""

import csv
import itertools
import json
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataSet
from vidclass.dataset.data_file import Clip, read_data_file, write_data_file
from vidclass.dataset.frames_note import frames_note_path, read_frames_note
from vidclass.dataset.groups import find_shared_clips, group_of
from vidclass.features.sampling import evenly_spaced_indices

ROWS = (
    [Clip("train", "Football", f"Football_train_{i}", 75) for i in range(1, 12)]
    + [Clip("train", "Commercial", f"Commercial_train_{i}", 80) for i in range(1, 6)]
    + [Clip("test", "Football", "Football_test_1", 75), Clip("test", "Commercial", "Commercial_test_1", 90)]
)


def dataset(tmp_path, rows=ROWS, seq_length=75, class_limit=2, **kwargs):
    write_data_file(tmp_path, rows)
    return DataSet(seq_length, class_limit, data_dir=tmp_path, **kwargs)


def test_the_csv_is_the_articles(tmp_path):
    write_data_file(tmp_path, ROWS)
    with open(tmp_path / "data_file.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == sorted(rows) and ["train", "Football", "Football_train_10", "75"] in rows
    assert {len(row) for row in rows} == {4} and len(rows) == len(ROWS)


def test_reads_a_file_of_the_articles_repository(tmp_path):
    (tmp_path / "data_file.csv").write_text(
        "train,Football,Football_train_1,75\r\ntest,Football,Football_test_1,75\r\n"
    )
    assert DataSet(75, 1, data_dir=tmp_path).data == [
        ("train", "Football", "Football_train_1", 75),
        ("test", "Football", "Football_test_1", 75),
    ]


NAMES = st.text(
    st.characters(blacklist_characters="/\0\r", blacklist_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: not name.startswith("."))


@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "test"]), NAMES, NAMES, st.integers(0, 10**9 - 1)),
        min_size=1,
        unique_by=lambda row: row[:3],
    )
)
def test_any_name_survives_the_csv(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp()
    write_data_file(folder, rows)
    assert read_data_file(folder) == sorted(rows)


@given(
    st.one_of(
        st.binary(max_size=200), st.text(st.sampled_from('train,est"\n15\r\0 é'), max_size=80).map(str.encode)
    )
)
def test_any_file_is_read_or_refused_by_name(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "data_file.csv").write_bytes(content)
    try:
        rows = read_data_file(folder)
    except ValueError as error:
        assert "data_file.csv" in str(error)
    else:
        assert all(row.split in ("train", "test") and row.frames >= 0 for row in rows)


def test_no_data_file_names_the_cure(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_file.csv is missing: python extract_files.py"):
        DataSet(data_dir=tmp_path)


def test_classes_are_the_first_in_the_alphabet(tmp_path):
    rows = ROWS + [Clip("train", "Weather", "Weather_train_1", 75)]
    found = dataset(tmp_path, rows)
    assert found.classes == ["Commercial", "Football"] and found.left_out_classes == ["Weather"]
    assert {row.class_name for row in found.data} == {"Commercial", "Football"}
    assert dataset(tmp_path, rows, class_limit=None).classes == ["Commercial", "Football", "Weather"]
    with pytest.raises(ValueError, match="4 classes asked for, but .* has 3: Commercial, Football, Weather"):
        dataset(tmp_path, rows, class_limit=4)


def test_a_class_that_only_test_has(tmp_path):
    with pytest.raises(ValueError, match="no training clips of class Weather"):
        dataset(tmp_path, ROWS + [Clip("test", "Weather", "Weather_test_1", 75)], class_limit=3)


def test_clips_that_are_too_short_are_left_out(tmp_path):
    short = Clip("train", "Football", "short", 74)
    found = dataset(tmp_path, ROWS + [short])
    assert found.too_short == [short] and short not in found.data
    with pytest.raises(
        ValueError, match="class Football has no training clip of at least 76 frames .*at most 75"
    ):
        dataset(tmp_path, seq_length=76)


def test_splits(tmp_path):
    train, test = dataset(tmp_path).split_train_test()
    assert len(train) == 16 and len(test) == 2 and {row.split for row in train} == {"train"}


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 10))
def test_validation_is_stratified_and_seeded(tmp_path_factory, share, seed):
    found = dataset(tmp_path_factory.getbasetemp())
    train, validation = found.split_train_validation(share, seed)
    assert sorted(train + validation) == sorted(found.split_train_test()[0])
    for name, count in (("Football", 11), ("Commercial", 5)):
        held_out = sum(row.class_name == name for row in validation)
        assert 1 <= held_out < count and abs(held_out - share * count) <= 1
    assert found.split_train_validation(share, seed) == (train, validation)


def test_validation_needs_two_clips_of_each_class(tmp_path):
    rows = [row for row in ROWS if row.name in ("Football_train_1", "Football_train_2", "Commercial_train_1")]
    with pytest.raises(ValueError, match="class Commercial has 1 usable training clip"):
        dataset(tmp_path, rows).split_train_validation()


def test_a_clip_has_its_own_frames_only(tmp_path):
    frames = dataset(tmp_path).get_frames_for_sample(["train", "Football", "Football_train_1", "3"])
    folder = tmp_path / "train" / "Football"
    assert frames == [str(folder / f"Football_train_1-000{i}.jpg") for i in (1, 2, 3)]


def test_more_than_9999_frames_stay_in_order(tmp_path):
    frames = dataset(tmp_path).get_frames_for_sample(Clip("train", "Football", "long", 10001))
    assert frames[9998].endswith("long-9999.jpg") and frames[10000].endswith("long-10001.jpg")


def test_one_hot_and_printing(tmp_path, capsys):
    found = dataset(tmp_path)
    assert found.get_class_one_hot("Football").tolist() == [0, 1]
    with pytest.raises(ValueError):
        found.get_class_one_hot("Weather")
    lines = found.print_class_from_prediction(np.array([[0.031, 0.969]]))
    assert lines == ["Football: 0.97", "Commercial: 0.03"]
    assert capsys.readouterr().out.splitlines() == lines
    assert found.print_class_from_prediction([0.6, 0.4], nb_to_return=1) == ["Commercial: 0.60"]


def test_clip_seconds_is_the_median_of_the_training_clips(tmp_path):
    found = dataset(tmp_path)
    assert found.get_clip_seconds() is None
    train, test = found.split_train_test()
    for row, seconds in [*zip(train, (9, 2.5, 3)), (test[0], 1000)]:
        path = tmp_path / row.split / row.class_name
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{row.name}-frames.json").write_text(json.dumps({"frames": 75, "seconds": seconds}))
    assert found.get_clip_seconds() == 3


@given(count=st.integers(1, 5000), size=st.integers(1, 200))
def test_frames_are_spread_evenly_from_first_to_last(count, size):
    chosen = evenly_spaced_indices(count, size)
    assert len(chosen) == size and chosen[0] == 0 and chosen.min() >= 0 and chosen.max() < count
    if size > 1:
        steps = np.diff(chosen)
        assert chosen[-1] == count - 1 and steps.max() - steps.min() <= 1
    if count == size:
        assert chosen.tolist() == list(range(count))


@pytest.mark.parametrize(
    "name, group",
    [
        ("v_Punch_g03_c01", "g03"),
        ("v_Punch_g12_c1", "g12"),
        ("g7_x", "g7"),
        ("match2_17", "match2_"),
        ("nofi030", "nofi"),
        ("007", ""),
        ("Football_train_1", "Football_train_"),
        ("no number", "no number"),
        ("cam3-take", "cam"),
        ("bag12_3", "bag12_"),
    ],
)
def test_groups_that_names_tell(name, group):
    assert group_of(name) == group


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.floats(0.05, 0.95), st.integers(0, 99))
def test_groups_stay_on_one_side(sizes, share, seed):
    with tempfile.TemporaryDirectory() as folder:
        names = [
            f"v_g{group:02d}_c{number}" for group, size in enumerate(sizes) for number in range(size)
        ] + ["v_g99_c1"]
        write_data_file(
            folder,
            [("train", "a", name, 50) for name in names]
            + [("train", "b", f"clip_{number}", 50) for number in range(10)],
        )
        dataset = DataSet(data_dir=folder)
        train, validation = dataset.split_train_validation(share, seed, group=True)
        assert sorted([*train, *validation]) == sorted(dataset.data)
        groups = [
            {group_of(row.name) for row in rows if row.class_name == "a"} for rows in (train, validation)
        ]
        held_out = sum(row.class_name == "b" for row in validation)
        assert 1 <= held_out <= 9 and abs(held_out - 10 * share) <= 1  # one group: split singly
        if "a" not in dataset.ungrouped_classes(group=True):
            assert not groups[0] & groups[1] and all(groups)
            # As near to the wanted share as one more or one fewer of its groups could bring it.
            count = sum(row.class_name == "a" for row in validation)
            assert abs(count - share * len(names)) <= max(*sizes, 1)
        assert (train, validation) == dataset.split_train_validation(share, seed, group=True)


@pytest.mark.parametrize(
    "group, expected",
    [
        (False, "A g01_c2 g02_c1 g03_c2 g00_c1 B g01_c2 g03_c2 g02_c1 g01_c1 C train_2 train_4"),
        (True, "A g00_c1 g00_c2 g00_c3 B g03_c1 g03_c2 g03_c3 C train_5 train_0"),
    ],
)
def test_the_split_is_that_of_earlier_checkpoints(tmp_path, group, expected):
    """What commit e70ba5c held out, whatever clips.csv says."""
    names = [f"v_x_g{number:02d}_c{i}" for number in range(4) for i in (1, 2, 3)]
    rows = [("train", letter, name, 50) for letter in "AB" for name in names]
    write_data_file(tmp_path, rows + [("train", "C", f"C_train_{i}", 50) for i in range(6)])
    (tmp_path / "clips.csv").write_text("train,C,C_train_2,/v/match.mp4,0,0,50\n")
    validation = DataSet(data_dir=tmp_path).split_train_validation(0.3, 7, group)[1]
    held_out = [
        f"{letter} {' '.join(row.name.removeprefix('v_x_').removeprefix('C_') for row in part)}"
        for letter, part in itertools.groupby(validation, lambda row: row.class_name)
    ]
    assert " ".join(held_out) == expected


def test_classes_whose_names_tell_no_groups(tmp_path):
    write_data_file(
        tmp_path,
        [
            ("train", name, clip, 50)
            for name, clips in (
                ("one", ["x_1", "x_2"]),
                ("single", ["ab", "cd"]),
                ("two", ["x_1", "y_1", "y_2"]),
            )
            for clip in clips
        ],
    )
    assert DataSet(data_dir=tmp_path).ungrouped_classes(group=True) == ["one", "single"]


def test_clips_in_both_splits(tmp_path):
    """Found by content, whatever their names and classes; not by size or name alone; those without a video
    are left out."""
    contents = {
        ("train", "A", "x"): b"same",
        ("train", "A", "y"): b"1234",
        ("train", "B", "gone"): None,
        ("test", "B", "z"): b"same",
        ("test", "A", "y"): b"4321",
        ("test", "A", "long"): b"same and more",
        ("test", "A", "gone"): None,
    }
    rows = []
    for (split, name, clip), content in contents.items():
        (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
        rows.append(Clip(split, name, clip, 3))
        if content:
            (tmp_path / split / name / f"{clip}.mp4").write_bytes(content)
        with open(frames_note_path(tmp_path, rows[-1]), "w") as file:
            json.dump({"clip": f"{clip}.mp4", "frames": 3, "seconds": 1.0}, file)
    assert find_shared_clips(tmp_path, rows) == [(rows[0], rows[3])]
    assert find_shared_clips(tmp_path, rows[:3]) == []


@pytest.mark.parametrize(
    "row",
    [
        "train,A,../../../outside/evil_1,75",
        "train,../../x,a,75",
        "test,A,/etc/passwd,75",
        "train,..,a,75",
        "train,A,.hidden,75",
        "train,,a,75",
        "train,A,,75",
        "train,A," + "x" * 256 + ",75",
    ],
)
def test_rows_whose_names_are_paths_are_refused(tmp_path, row):
    (tmp_path / "data_file.csv").write_text(f"train,A,fine,75\n{row}\n")
    with pytest.raises(ValueError, match="data_file.csv, row 2: .* can't be the name of a class or clip"):
        read_data_file(tmp_path)


def note(folder, row, **content):
    path = folder / row.split / row.class_name / f"{row.name}-frames.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"clip": f"{row.name}.mp4", "frames": 3, "seconds": 1.0, **content}))


@pytest.mark.parametrize("clip", ["../B/b.mp4", "/etc/passwd", "..", "", None, 5, ["a.mp4"], ".x.mp4"])
def test_notes_that_name_a_path_name_nothing(tmp_path, clip):
    """Nothing outside is opened to compare clips: with a path to another clip's video the two would be the
    same."""
    row, other = Clip("train", "A", "a", 3), Clip("test", "B", "b", 3)
    note(tmp_path, row, clip=clip)
    note(tmp_path, other)
    (tmp_path / "test/B/b.mp4").write_bytes(b"video")
    (tmp_path / "train/B").mkdir()
    (tmp_path / "train/B/b.mp4").write_bytes(b"video")
    assert read_frames_note(tmp_path, row).clip is None
    assert find_shared_clips(tmp_path, [row, other]) == []


@pytest.mark.parametrize(
    "content",
    [
        '{"frames": 1e999, "seconds": 1}',
        '{"frames": 3, "seconds": Infinity}',
        "[" * 50000,
        '{"frames": 3, "seconds": 1, "clip": "a.mp4"}' + " " * 200000 + "x",
        "[]",
        "3",
    ],
)
def test_notes_that_are_none(tmp_path, content):
    row = Clip("train", "A", "a", 3)
    note(tmp_path, row)
    (tmp_path / "train/A/a-frames.json").write_text(content)
    found = read_frames_note(tmp_path, row)
    assert found is None or found.frames == 3  # of the one that is too long only its beginning is read


def test_hints_name_the_folder_that_was_given(tmp_path, monkeypatch):
    folder = tmp_path / "my clips"
    with pytest.raises(FileNotFoundError, match="my clips, does not exist; give another --data-dir"):
        DataSet(data_dir=folder)
    folder.touch()
    with pytest.raises(FileNotFoundError, match="my clips, is not a folder; give another --data-dir"):
        DataSet(data_dir=folder)
    folder.unlink()
    folder.mkdir()
    cure = f"python extract_files.py mp4 --data-dir '{folder}'"
    with pytest.raises(FileNotFoundError, match=cure):
        DataSet(data_dir=folder)
    (folder / "data_file.csv").touch()
    with pytest.raises(ValueError, match=cure):
        DataSet(data_dir=folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(FileNotFoundError, match="python extract_files.py mp4 makes"):
        DataSet()
