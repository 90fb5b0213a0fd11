"""Data folders, checkpoints and results that earlier commits wrote go on working.

tests/golden/7bdb35d/ was made with that commit's own code: a recording of 8 s cut by cut_clips.py, then
extract_files.py, extract_features.py, train.py --units 2 and clasify.py, all with 4 2 75 75 and random
weights. The frames' images are left out.
"""

import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from conftest import ROOT, run

from models import ResearchModel
from vidclass.training.checkpoint import Checkpoint

GOLDEN = os.path.join(ROOT, "tests", "golden", "7bdb35d")
CUT_FROM = "/tmp/e/recording.mp4"  # where the recording lay then; clips.csv says so


@pytest.fixture
def earlier(tmp_path):
    """A copy of the folder. Git keeps no times: each clip gets the one that its note holds."""
    folder = tmp_path / "earlier"
    shutil.copytree(GOLDEN, folder)
    for note in sorted((folder / "data").rglob("*-frames.json")):
        noted = json.loads(note.read_text())
        os.utime(note.parent / noted["clip"], ns=(noted["mtime_ns"], noted["mtime_ns"]))
    clips_csv = folder / "data/clips.csv"
    clips_csv.write_text(clips_csv.read_text().replace(CUT_FROM, str(folder / "recording.mp4")))
    return folder


def run_well(folder, script, *arguments):
    """What a script prints that ends well in a folder."""
    result = run(folder, script, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def state(folder, pattern):
    """{path: (time of the last change, content)} of the files of a pattern."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.rglob(pattern))}


def test_evaluate_gives_the_same_report(earlier):
    run_well(earlier, "evaluate.py", 4, 2, "lstm-features.hdf5")
    before = json.loads((earlier / "lstm-features-test.json").read_text())
    now = json.loads((earlier / "data/reports/lstm-features-test.json").read_text())
    for measure in ("clips", "accuracy", "confusion_matrix", "balanced_accuracy"):
        assert now[measure] == before[measure]
    assert now["log_loss"] == pytest.approx(before["log_loss"], abs=1e-4)


def test_clasify_gives_the_same_probabilities(earlier):
    for name in ("result.csv", "result.json"):
        (earlier / name).rename(earlier / f"earlier-{name}")
    arguments = (
        "clasify.py",
        4,
        2,
        "lstm-features.hdf5",
        "recording.mp4",
        "--no-video",
        "--export",
        "csv,json",
        "--precision",  # the earlier version's
        "float32",
    )
    run_well(earlier, *arguments)
    before, now = (
        json.loads((earlier / name).read_text()) for name in ("earlier-result.json", "result.json")
    )
    assert now["classes"] == before["classes"] and len(now["windows"]) == len(before["windows"]) == 8
    for was, found in zip(before["windows"], now["windows"], strict=True):
        assert (found["start"], found["end"]) == (was["start"], was["end"])
        for class_name, probability in was["probabilities"].items():
            assert found["probabilities"][class_name] == pytest.approx(probability, abs=1e-3)
    before, now = (
        list(csv.DictReader((earlier / name).open(newline="")))
        for name in ("earlier-result.csv", "result.csv")
    )
    assert [(row["start"], row["end"], row["class"]) for row in now] == [
        (row["start"], row["end"], row["class"]) for row in before
    ]


def test_train_takes_the_sequences_that_are_there(earlier):
    """They could not be made again: the frames' images are not there."""
    before = state(earlier, "*.npy")
    assert len(before) == 8
    arguments = 4, 2, 75, 75, "--weights", "random", "--units", 2, "--epochs", 2
    result = run(earlier, "train.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert "4 clips to train on, 2 to validate on, 2 to test on" in result.stdout
    assert "Test accuracy" in result.stdout
    warning = "The training clips of Colour, Grey come from one stretch or one group each"
    assert result.stderr.count(warning) == 1
    assert state(earlier, "*.npy") == before


def test_a_training_goes_on(earlier):
    arguments = 4, 2, 75, 75, "--weights", "random", "--units", 2, "--epochs", 9
    printed = run_well(earlier, "train.py", *arguments, "--resume")
    assert "Epoch 8/9" in printed and "Epoch 7/9" not in printed
    with Checkpoint(earlier / "data/checkpoints/lstm-features.hdf5") as file:
        assert file.metadata.training["group"] is False  # as it was then, whatever is the default now


def test_cutting_the_recording_again_keeps_the_clips(earlier):
    before = state(earlier, "*.mp4"), state(earlier, "*-frames.json")
    assert len(before[0]) == 9
    printed = run_well(earlier, "cut_clips.py", "recording.mp4", "labels.csv", "--seconds", 1)
    assert "0 clips cut, 8 were there already, 0 failed" in printed
    assert (state(earlier, "*.mp4"), state(earlier, "*-frames.json")) == before


def test_corrected_labels_replace_clips(earlier):
    """Of a clip that goes, the sequence and the row of data_file.csv go, too."""
    labels = pathlib.Path(earlier / "labels.csv")
    labels.write_text(labels.read_text().replace("0,3,Grey", "0,2,Grey"))
    printed = run_well(earlier, "cut_clips.py", "recording.mp4", "labels.csv", "--seconds", 1)
    assert "train/Grey: 1 clip, Grey_train_3" in printed
    assert not list(earlier.rglob("Grey_train_3*"))
    assert "Grey_train_3" not in (earlier / "data/data_file.csv").read_text()


def test_a_result_is_taken_as_labels(earlier):
    printed = run_well(
        earlier,
        "cut_clips.py",
        "recording.mp4",
        "result.csv",
        "--seconds",
        1,
        "--dry-run",
        "--data-dir",
        "new",
    )
    assert "Colour: 3 clips to train on, 1 to test on" in printed


@pytest.mark.parametrize("name", ["lstm", "folds"])
def test_networks_of_commit_f5a42bc(name):
    """tests/golden/f5a42bc/ holds what that commit's ResearchModel.save wrote and .predict gave, trained for
    30 epochs on the 8 sequences below: a network whose summary learned with the others, and a mean of two."""
    x = np.random.default_rng(0).random((8, 5, 16)).astype(np.float32)
    path = os.path.join(ROOT, "tests", "golden", "f5a42bc", name)
    network = ResearchModel.load(f"{path}.hdf5", optimizer=name == "lstm")
    np.testing.assert_allclose(network.predict(x), np.load(f"{path}.npy"), atol=1e-5)
    if name == "lstm":  # a training goes on from it
        before = network.predict_branches(x)
        network.trainer.fit(x, np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]], verbose=0)
        assert (np.abs(network.predict_branches(x) - before).max((1, 2)) > 1e-3).all()
