"""What a report says of the recordings that its clips come from."""

import json

import numpy as np
import pytest
from conftest import CLASSES, LENGTH, run
from helpers import ffmpeg

from data import DataSet
from vidclass.dataset.data_file import Clip
from vidclass.features.sequence_store import FolderStore
from vidclass.training.evaluation import Evaluation, report_on
from vidclass.training.recordings import compare_recordings, describe_folds, describe_shared, recording_table

MARK = "5-" + "a" * 32  # a fingerprint
MAY_BE_LOWER = "the accuracy on new recordings may be lower"


class FirstFeature:
    """A stand-in for a ResearchModel: the first feature is the number of the class that it predicts."""

    def predict(self, sequences):
        return np.eye(2)[sequences[:, 0, 0].astype(int)]


def cut_and_extract(folder, *recordings):
    """What a user has who cuts clips of 0.4 s from these recordings. In place of InceptionV3's features, the
    first is the clip's class, but for the test clips of "bad.mp4", where it is another."""
    (folder / "labels.csv").write_text("0,3,Football\n3,6,News\n6,9,Football\n9,12,News\n")
    for number, name in enumerate(recordings):
        ffmpeg("-f lavfi -i", f"testsrc2=size=64x48:rate=25:duration={12 + number}", folder / name)
        result = run(folder, "cut_clips.py", name, "labels.csv", "--seconds", 0.4, "--quiet")
        assert result.returncode == 0, result.stderr
    assert run(folder, "extract_files.py", "mp4", "--quiet").returncode == 0
    store = FolderStore(DataSet(5, 2, (80, 96, 3), folder / "data"), "random")
    bad = {
        line.split(",")[2]
        for line in (folder / "data/clips.csv").read_text().splitlines()
        if line.startswith("test") and "bad.mp4" in line
    }
    for clip in store.dataset.data:
        number = store.dataset.classes.index(clip.class_name)
        features = np.random.default_rng(0).random((5, 2048)) + number
        features[:, 0] = 1 - number if clip.name in bad else number
        store.save(clip, features)
    return store


def test_clips_that_cut_clips_cut_are_counted_by_recording(tmp_path, capsys):
    """Each recording has test clips of its own stretches, and training clips of others."""
    store = cut_and_extract(tmp_path, "good.mp4", "bad.mp4")
    test_clips = store.dataset.split_train_test()[1]
    report = report_on(FirstFeature(), Evaluation("x.hdf5", "test", store, test_clips, quiet=True))
    worst, best = report["recordings"]
    assert (worst["name"], worst["accuracy"]) == ("bad.mp4", 0)
    assert (best["name"], best["accuracy"]) == ("good.mp4", 1)
    assert worst["clips"] + best["clips"] == len(test_clips) and worst["clips"] == best["clips"] > 1
    shared = {"clips": len(test_clips), "recordings": ["bad.mp4", "good.mp4"]}
    assert report["shared_recordings"] == shared
    with open(tmp_path / "data/reports/x-test.json", encoding="utf-8") as file:
        assert json.load(file) == report
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"{len(test_clips)} of the {len(test_clips)} test clips come from recordings that training clips "
        f"come from too (bad.mp4, good.mp4): {MAY_BE_LOWER}"
    ]
    lines = [line.split() for line in printed.out.splitlines()]
    at = lines.index(["Recordings,", "the", "worst", "first", "clips", "accuracy"])
    assert lines[at + 1][::2] == ["bad.mp4", "0.000"] and lines[at + 2][::2] == ["good.mp4", "1.000"]


@pytest.mark.slow
def test_of_one_recording_there_is_no_table(tmp_path, capsys):
    """But the line says that all clips are from it. Validation says nothing: it is from the training
    split."""
    store = cut_and_extract(tmp_path, "match.mp4")
    train_clips, test_clips = store.dataset.split_train_test()
    report = report_on(FirstFeature(), Evaluation("x.hdf5", "test", store, test_clips, quiet=True))
    assert report["recordings"] == [] and report["shared_recordings"]["recordings"] == ["match.mp4"]
    printed = capsys.readouterr()
    assert "(match.mp4)" in printed.err and "Recordings" not in printed.out
    report_on(FirstFeature(), Evaluation("x.hdf5", "validation", store, train_clips[::3], quiet=True))
    assert MAY_BE_LOWER not in capsys.readouterr().err


def test_clips_without_a_known_recording(copy):
    """Clips like the article's: nothing is said. Then clips.csv says it of some."""

    def evaluate():
        result = run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5", "--no-baseline")
        assert result.returncode == 0, result.stderr
        return result, json.loads((copy / "data/reports/lstm-features-test.json").read_text())

    result, report = evaluate()
    assert report["recordings"] == [] and report["shared_recordings"] is None
    assert "ecording" not in result.stdout + result.stderr
    rows = [
        f"{split},Grey,Grey_{split}_{number},/v/{name},0,0,25,9,{MARK[:-1]}{digit}\n"
        for split, number, name, digit in (
            ("train", 1, "first.mp4", 1),
            ("test", 0, "first.mp4", 1),
            ("test", 1, "second.mp4", 2),
        )
    ]
    (copy / "data/clips.csv").write_text("".join(rows))
    result, report = evaluate()
    assert {row["name"]: row["clips"] for row in report["recordings"]} == {"first.mp4": 1, "second.mp4": 1}
    assert report["shared_recordings"] == {"clips": 1, "recordings": ["first.mp4"]}
    line = "1 of the 4 test clips comes from a recording that training clips come from too (first.mp4): "
    assert line + MAY_BE_LOWER in result.stderr
    assert "first.mp4" in result.stdout and "second.mp4" in result.stdout


def test_groups_of_ucf101_belong_to_their_class(tmp_path):
    train = [Clip("train", "Punch", "v_Punch_g03_c01", 9), Clip("train", "YoYo", "v_YoYo_g04_c01", 9)]
    test = [
        Clip("test", "Punch", "v_Punch_g03_c02", 9),  # as one that was trained on
        Clip("test", "Punch", "v_Punch_g04_c01", 9),  # of YoYo g04 was trained on, which is another
        Clip("test", "YoYo", "v_YoYo_g03_c01", 9),
        Clip("test", "YoYo", "v_YoYo_g03_c02", 9),
    ]
    found = compare_recordings(str(tmp_path), test, np.array([True, False, True, False]), train)
    assert found["recordings"] == [
        {"name": "Punch g04", "clips": 1, "accuracy": 0},
        {"name": "YoYo g03", "clips": 2, "accuracy": 0.5},
        {"name": "Punch g03", "clips": 1, "accuracy": 1},
    ]
    assert found["shared_recordings"] == {"clips": 1, "recordings": ["Punch g03"]}
    assert compare_recordings(str(tmp_path), test[1:], np.ones(3), train)["shared_recordings"] is None


@pytest.mark.parametrize("count, shown, more", [(15, 15, None), (40, 15, "and 25 more")])
def test_a_table_shows_the_worst_fifteen(count, shown, more):
    rows = [{"name": f"{n}.mp4", "clips": 4, "accuracy": n / 100} for n in range(count)]
    names = [line.split("  ")[0] for line in recording_table({"recordings": rows})[1:]]
    assert names == [f"{n}.mp4" for n in range(shown)] + ([more] if more else [])


def test_folds_that_share_recordings(tmp_path):
    g3, g4 = (
        [Clip("train", "Punch", f"v_Punch_{group}_c{number:02d}", 9) for number in range(3)]
        for group in ("g03", "g04")
    )
    assert describe_folds(str(tmp_path), [g3, g4]) == []
    (line,) = describe_folds(str(tmp_path), [g3[:2], [*g3[2:], *g4]])
    assert line == f"3 of the 6 clips come from recordings that are in several folds: {MAY_BE_LOWER}"


def test_a_line_names_three_recordings():
    shared = {"clips": 9, "recordings": list("abcde")}
    (line,) = describe_shared({"shared_recordings": shared, "clips": 10, "split": "test"})
    assert "9 of the 10 test clips" in line and "(a, b, c and 2 more)" in line
