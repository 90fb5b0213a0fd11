"""Made-up sequences: batches, weights, calibration, and that a network uses time."""

import os

import numpy as np
import pytest
from conftest import ROOT  # noqa: F401  (puts the scripts on the path)

from data import DataSet
from models import ResearchModel
from vidclass.dataset.data_file import Clip, write_data_file
from vidclass.features.sequence_store import FolderStore
from vidclass.training.batches import Batches, ClipSequences, feature_statistics, predict
from vidclass.training.calibration import apply_temperature, class_weights, fit_temperature, weigh
from vidclass.training.loop import set_aside

STEPS = 12


@pytest.fixture
def make_clips(tmp_path):
    """make_clips(sequences, class names): ClipSequences of clips that have these sequences on disk."""

    def make(sequences, names):
        rows = [("train", name, f"clip_{number:03d}", STEPS) for number, name in enumerate(names)]
        write_data_file(tmp_path, rows)
        store = FolderStore(DataSet(sequences.shape[1], data_dir=tmp_path), "random")
        rows = [Clip(*row) for row in rows]
        for row, sequence in zip(rows, sequences):
            store.save(row, sequence)
        return ClipSequences(store, rows)

    return make


@pytest.fixture
def numbered(make_clips):
    """Ten clips, seven of class a; all features of clip n at step t are 100 n + t."""
    sequences = (100 * np.arange(10)[:, None, None] + np.arange(STEPS)[:, None] + np.zeros(2048)).astype(
        np.float32
    )
    return make_clips(sequences, ["a"] * 7 + ["b"] * 3)


def test_batches_hold_every_clip_once_in_another_order_each_epoch(numbered):
    batches = Batches(numbered, 4, seed=3)
    orders = []
    for epoch in range(3):
        batches.epoch = epoch
        parts = [batches[index] for index in range(len(batches))]
        assert [len(part[0]) for part in parts] == [4, 4, 2]
        sequences, targets, weights = (np.concatenate(part) for part in zip(*parts))
        orders.append((sequences[:, 0, 0] // 100).astype(int).tolist())
        assert sorted(orders[-1]) == list(range(10))
        assert targets.argmax(1).tolist() == [int(number >= 7) for number in orders[-1]]
        assert weights[targets.argmax(1) == 0].sum() == pytest.approx(weights[targets.argmax(1) == 1].sum())
        assert weights.sum() == pytest.approx(10)
    assert orders[0] != orders[1] != orders[2]
    batches.epoch = 0
    np.testing.assert_array_equal(
        batches[1][0][:, 0, 0] // 100, orders[0][4:8]
    )  # the same again, in any order of asking
    in_order = Batches(numbered, 4)
    assert np.concatenate([in_order[i][0] for i in range(3)])[:, 0, 0].tolist() == list(range(0, 1000, 100))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_named(make_clips, value):
    """Numbers of some thousands are valid, as no feature is."""
    sequences = np.full((3, STEPS, 2048), 1e4, np.float32)
    sequences[1, 5, 7] = value
    clips = make_clips(sequences, ["a", "b", "a"])
    assert clips.load([0, 2]).max() == np.float32(1e4)
    with pytest.raises(
        ValueError, match="clip_001-12-features.npy: holds values that are NaN or infinite; delete it"
    ):
        clips.load([0, 1])
    with pytest.raises(ValueError, match="clip_001-12-features.npy"):
        feature_statistics(clips)


def test_weights_of_missing_classes():
    np.testing.assert_allclose(class_weights(np.eye(3)[[0, 0, 0, 2]]), [2 / 3] * 3 + [2])
    np.testing.assert_allclose(class_weights(np.eye(2)[[0, 1]]), [1, 1])


def test_a_sequence_that_vanishes_is_named(numbered):
    os.remove(numbered._store.path(numbered.clips[3]))
    with pytest.raises(ValueError, match=numbered.clips[3].name):
        numbered.load([2, 3])


def test_feature_statistics(numbered):
    statistics = feature_statistics(numbered)
    values = 100 * np.arange(10)[:, None] + np.arange(STEPS)
    mean, variance = statistics.frames
    np.testing.assert_allclose(mean, values.mean(), rtol=1e-6)
    np.testing.assert_allclose(variance, values.var(), rtol=1e-5)
    np.testing.assert_allclose(statistics.steps, [np.ones(2048), np.zeros(2048)])
    clips, deviation = values.mean(1), np.abs(values - values.mean(1, keepdims=True)).mean()
    mean, variance = (array.reshape(3, 2048) for array in statistics.summary)
    np.testing.assert_allclose(mean, np.repeat([[clips.mean()], [deviation], [1]], 2048, 1), rtol=1e-6)
    np.testing.assert_allclose(variance, np.repeat([[clips.var()], [0], [0]], 2048, 1), rtol=1e-5, atol=1e-9)


def test_a_branch_counts_by_what_it_tells_beyond_chance():
    """Those that tell 2/3 and 1/3 of a bit, one that guesses, and one that is mostly wrong."""
    targets = np.eye(2)[[0, 1, 0, 1]]
    knows = targets * 0.5 ** (1 / 3) + (1 - targets) * (1 - 0.5 ** (1 / 3))
    guesses, is_wrong = np.full((4, 2), 0.5), 1 - knows
    np.testing.assert_allclose(
        weigh(targets, np.stack([knows, guesses, is_wrong])),
        np.array([2 / 3 + 0.05, 0.05, 0.05]) / (2 / 3 + 0.15),
        rtol=1e-5,
    )
    less = targets * 0.5 ** (2 / 3) + (1 - targets) * (1 - 0.5 ** (2 / 3))
    np.testing.assert_allclose(
        weigh(targets, np.stack([knows, less])), np.array([2 / 3 + 0.05, 1 / 3 + 0.05]) / 1.1, rtol=1e-5
    )
    np.testing.assert_allclose(weigh(targets, np.stack([is_wrong, is_wrong])), [0.5, 0.5])


def test_all_classes_count_alike_when_branches_are_weighed():
    """Of nine clips of one class and one of another, a branch that knows just the one is worth as much as one
    that knows just the nine."""
    targets = np.eye(2)[[0] * 9 + [1]]
    nine = np.tile([0.8, 0.2], (10, 1))
    np.testing.assert_allclose(weigh(targets, np.stack([nine, nine[:, ::-1]])), [0.5, 0.5])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true_temperature):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (4000, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([random.choice(3, p=row) for row in apply_temperature(probabilities, true_temperature)])
    assert fit_temperature(np.eye(3)[truth], probabilities) == pytest.approx(true_temperature, rel=0.1)


def test_few_clips_say_little_about_the_temperature():
    """Ten clips, all right at 0.9, would be likeliest at temperature 0, and all wrong at infinity."""
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert 0.4 < fit_temperature(np.tile([1, 0], (10, 1)), probabilities) < 1
    assert 1 < fit_temperature(np.tile([0, 1], (10, 1)), probabilities) < 8
    assert fit_temperature(np.tile([1, 0], (2, 1)), np.tile([1.0, 0.0], (2, 1))) == pytest.approx(1, abs=0.05)


def test_predictions_are_calibrated_and_in_order(numbered):
    model = ResearchModel(2, seq_length=STEPS, units=4)
    model.set_normalization(feature_statistics(numbered))
    plain = predict(model, numbered, batch_size=4)
    np.testing.assert_allclose(plain, model.model.predict(numbered.load(range(10)), verbose=0), rtol=1e-4)
    model.temperature = 2.0
    empty = ClipSequences(numbered._store, [])
    np.testing.assert_allclose(predict(model, numbered), apply_temperature(plain, 2.0), rtol=1e-4)
    assert predict(model, empty).shape == (0, 2)


def test_set_aside(tmp_path):
    names = [
        "lstm-features.hdf5",
        "lstm-features.001-0.700.hdf5",
        "lstm-features.004-0.500.hdf5",
        "lstm-features.old.hdf5",
        "other.hdf5",
    ]
    for name in names:
        (tmp_path / name).touch()
    set_aside(tmp_path, 3)  # a training that goes on from epoch 3
    assert sorted(path.name for path in tmp_path.glob("*.hdf5")) == sorted(set(names) - {names[2]})
    set_aside(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.hdf5")) == ["lstm-features.old.hdf5", "other.hdf5"]
    assert sorted(path.name for path in tmp_path.glob("earlier-*/*")) == sorted(names[:3])
