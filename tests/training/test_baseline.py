"""The baseline of a report: against scikit-learn on arrays made here, and what the report says of it."""

import json
import re

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, CLASSES, LENGTH, assert_one_line_error, run
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from data import DataSet
from vidclass.features.sequence_store import FolderStore
from vidclass.training import baseline, summary
from vidclass.training.baseline import compare_with_baseline
from vidclass.training.batches import ClipSequences
from vidclass.training.evaluation import Evaluation, report_on
from vidclass.training.metrics import describe_baseline

STEPS = 6
EVALUATE = ("evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5")
LINE = "Logistic regression on the same features of "


def make_dataset(folder, clips):
    """A dataset of clips {(split, class, name): float32 (STEPS, 2048)}. Returns its FolderStore."""
    rows = [",".join((*clip, str(STEPS))) + "\n" for clip in sorted(clips)]
    (folder / "data_file.csv").write_text("".join(rows))
    store = FolderStore(DataSet(STEPS, None, (80, 96, 3), folder), "random")
    for row in store.dataset.data:
        store.save(row, clips[row[:3]])
    return store


def compare(store, predicted=None):
    """What compare_with_baseline says of the test clips; predicted: None, the first class for each."""
    train, test = (ClipSequences(store, clips) for clips in store.dataset.split_train_test())
    if predicted is None:
        predicted = np.zeros(len(test), int)
    return compare_with_baseline(train, test, predicted, quiet=True)


def noisy_clips(random):
    """Clips of three classes, of which a has the most. Classes differ in the mean of some features, in how
    much others move and in how they drift, all of it hard to see."""
    clips = {}
    for split, counts in (("train", (30, 12, 6)), ("test", (20, 15, 25))):
        for number, (name, count) in enumerate(zip("abc", counts)):
            for index in range(count):
                sequence = random.standard_normal((STEPS, 2048))
                sequence[:, :40] += 0.2 * number
                sequence[:, 40:200] *= 1 + 0.15 * number
                sequence[:, 200:300] += 0.3 * number * np.arange(STEPS)[:, None]
                clips[split, name, f"{name}_{index}"] = sequence.astype(np.float32)
    return clips


def by_hand(clips, parts):
    """(accuracy, balanced accuracy, answers, truth) of scikit-learn's logistic regression on some of the
    mean, the deviation and the mean step; written here with loops."""

    def summary(sequence):
        sequence = sequence.astype(np.float64)
        mean = sum(sequence) / STEPS
        deviation = (sum((frame - mean) ** 2 for frame in sequence) / STEPS) ** 0.5
        step = sum(abs(sequence[t] - sequence[t - 1]) for t in range(1, STEPS)) / (STEPS - 1)
        return np.concatenate([mean, deviation, step][:parts])

    x, y = {}, {}
    for split in ("train", "test"):
        chosen = sorted(clip for clip in clips if clip[0] == split)
        x[split] = np.stack([summary(clips[clip]) for clip in chosen])
        y[split] = np.array(["abc".index(clip[1]) for clip in chosen])
    scaler = StandardScaler().fit(x["train"])
    model = LogisticRegression(max_iter=2000, class_weight="balanced")
    model.fit(scaler.transform(x["train"]), y["train"])
    answers, truth = model.predict(scaler.transform(x["test"])), y["test"]
    return np.mean(answers == truth), balanced_accuracy_score(truth, answers), answers, truth


def test_the_accuracies_are_scikit_learns(tmp_path):
    clips = noisy_clips(np.random.default_rng(3))
    found = compare(make_dataset(tmp_path, clips))
    assert found["training_clips"] == 48
    expected = {key: by_hand(clips, parts) for key, parts in (("average", 1), ("average_deviation_step", 3))}
    for key, (accuracy, balanced, *_) in expected.items():
        assert 0.3 < accuracy < 0.95  # neither chance nor all right: another recipe would differ
        assert found[key]["accuracy"] == pytest.approx(accuracy, abs=1.01 / 60)  # float32: one clip
        assert found[key]["balanced_accuracy"] == pytest.approx(balanced, abs=0.03)
    assert expected["average"][0] != expected["average_deviation_step"][0]


def test_order_tells_what_no_average_does(tmp_path):
    """The classes are the same frames forwards and backwards: half of the clips is right, whatever it
    learns."""
    random, clips = np.random.default_rng(0), {}
    for split, count in (("train", 20), ("test", 10)):
        for index in range(count):
            sequence = random.random((STEPS, 2048)).astype(np.float32)
            clips[split, "Forwards", f"f_{index}"] = sequence
            clips[split, "Backwards", f"b_{index}"] = sequence[::-1]
    found = compare(make_dataset(tmp_path, clips))
    # Sums in another order may differ in their last digit, and a clip at the border with them.
    assert found["average"]["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert found["average_deviation_step"]["accuracy"] == pytest.approx(0.5, abs=0.1)
    line, *more = describe_baseline({"baseline": found, "accuracy": 1.0, "clips": 20})
    assert re.match(LINE + r"\d+ training clips: 0\.", line) and not more


def test_the_p_value_is_mcnemars(tmp_path):
    """The baseline is right on all 12 clips, the network on 3: nine differ, all in one direction."""
    clips = {}
    for split in ("train", "test"):
        for number, name in enumerate("ab"):
            for index in range(6):
                clips[split, name, f"{name}_{index}"] = np.full((STEPS, 2048), number, np.float32)
    truth = np.repeat([0, 1], 6)
    predicted = np.where(np.arange(12) < 3, truth, 1 - truth)
    found = compare(make_dataset(tmp_path, clips), predicted)["average"]
    assert found == {"accuracy": 1, "balanced_accuracy": 1, "p_value": pytest.approx(2 / 2**9)}


def test_a_network_that_does_worse_is_named():
    def lines(accuracy, p_value):
        scores = [
            {"accuracy": value, "balanced_accuracy": value, "p_value": p_value} for value in (0.75, 0.9)
        ]
        found = dict(zip(("average", "average_deviation_step"), scores), training_clips=5)
        return describe_baseline({"baseline": found, "accuracy": accuracy, "clips": 40})

    both = LINE + "5 training clips: 0.750 (average over time), 0.900 (average, deviation and step)"
    assert lines(0.9, 0.01) == [both]
    assert lines(0.8, 0.01) == [both, "The network does worse than logistic regression: 0.800 against 0.900"]
    assert lines(0.8, 0.3)[1].endswith("0.800 against 0.900; with 40 clips that may be chance")
    assert describe_baseline({"accuracy": 0.9, "clips": 40}) == []


def test_of_very_many_clips_some_are_chosen_of_each_class(tmp_path, monkeypatch, capsys):
    store = make_dataset(tmp_path, noisy_clips(np.random.default_rng(3)))
    monkeypatch.setattr(summary, "MOST_CLIPS", 16)
    found = compare(store)
    assert found["training_clips"] == 10 + 4 + 2  # a third of 30, 12 and 6
    assert "The baseline learns from 16 of the 48 training clips" in capsys.readouterr().err


def test_one_frame_has_no_steps():
    frame = np.arange(3, dtype=np.float32)[None]
    assert baseline.summarize(frame).tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 0]


class Oracle:
    """A stand-in for a ResearchModel: certain of a class by the sign of the first feature's drift."""

    def predict(self, sequences):
        rises = sequences[:, -1, 0] > sequences[:, 0, 0]
        return np.stack([~rises, rises], 1).astype(np.float64)


def test_a_report_has_the_baseline_beside_a_network_that_uses_time(tmp_path, capsys):
    random, clips = np.random.default_rng(0), {}
    for split in ("train", "test"):
        for index in range(10):
            sequence = np.sort(random.random((STEPS, 2048)), axis=0).astype(np.float32)
            clips[split, "Rises", f"r_{index}"] = sequence
            clips[split, "Falls", f"f_{index}"] = sequence[::-1]
    store = make_dataset(tmp_path, clips)
    test_clips = store.dataset.split_train_test()[1]
    report = report_on(Oracle(), Evaluation("x.hdf5", "test", store, test_clips, quiet=True))
    assert report["accuracy"] == 1 and report["baseline"]["average"]["accuracy"] <= 0.65
    assert LINE in capsys.readouterr().out
    plain = report_on(Oracle(), Evaluation("x.hdf5", "test", store, test_clips, baseline=False, quiet=True))
    assert plain["baseline"] is None and LINE not in capsys.readouterr().out


def evaluate(folder, *options):
    """(what evaluate.py prints, its report) for a split of a project."""
    result = run(folder, *EVALUATE, *options)
    assert result.returncode == 0, result.stderr
    split = options[options.index("--split") + 1] if "--split" in options else "test"
    return result, json.loads((folder / f"data/reports/lstm-features-{split}.json").read_text())


def test_which_clips_the_baseline_learns_from(copy):
    """All twelve training clips for the test split, the ten that do not validate for the validation split."""
    assert LINE in (copy / "train.log").read_text()
    trained = json.loads((copy / "data/reports/lstm-features-test.json").read_text())["baseline"]
    result, report = evaluate(copy)
    assert report["baseline"] == trained and trained["training_clips"] == 12 and LINE in result.stdout
    assert evaluate(copy, "--split", "validation")[1]["baseline"]["training_clips"] == 10
    result, report = evaluate(copy, "--split", "train")
    assert report["baseline"] is None and LINE not in result.stdout
    result, report = evaluate(copy, "--no-baseline")
    assert report["baseline"] is None and LINE not in result.stdout


def test_training_without_a_baseline(copy):
    arguments = (*ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 1, "--no-baseline")
    result = run(copy, "train.py", *arguments)
    assert result.returncode == 0 and "Test accuracy" in result.stdout and LINE not in result.stdout


def test_training_clips_without_sequences(copy):
    sequences = copy / f"data/sequences/80x96-random/train/Grey/Grey_train_3-{LENGTH}-features.npy"
    sequences.unlink()
    result, report = evaluate(copy)
    assert report["baseline"]["training_clips"] == 11
    assert "1 of the 12 training clips have no feature sequence" in result.stderr
    for path in sequences.parent.iterdir():
        path.unlink()
    result, report = evaluate(copy)
    assert report["baseline"] is None and "Test accuracy" in result.stdout
    (line,) = result.stderr.splitlines()
    assert "6 of the 12 training clips have no feature sequence" in line and "extract_features.py" in line


def test_a_damaged_training_sequence_is_named(copy):
    path = copy / f"data/sequences/80x96-random/train/Grey/Grey_train_3-{LENGTH}-features.npy"
    path.write_bytes(b"\0" * path.stat().st_size)
    assert_one_line_error(run(copy, *EVALUATE), 1, path.name, "damaged", "delete it")
    assert run(copy, *EVALUATE, "--no-baseline").returncode == 0
