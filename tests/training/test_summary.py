"""The branch that is fitted at once, against scikit-learn's own probabilities on summaries computed here."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models import ResearchModel
from vidclass.training.batches import feature_statistics
from vidclass.training.summary import choose_clips, fit_logistic, fit_summary

STEPS, SIZE = 5, 2048


class Clips:
    """A stand-in for ClipSequences: sequences in memory."""

    def __init__(self, sequences, classes, nb_classes):
        self._sequences, self.targets = sequences, np.eye(nb_classes, dtype=np.float32)[classes]

    def __len__(self):
        return len(self._sequences)

    def load(self, numbers):
        return self._sequences[list(numbers)]


def made(classes, nb_classes, seed=0):
    """Clips whose classes differ in how much the first features move, and in nothing else."""
    random = np.random.default_rng(seed)
    sequences = random.random((len(classes), STEPS, SIZE)).astype(np.float32)
    sequences[..., :50] *= 1 + np.array(classes)[:, None, None]
    return Clips(sequences, classes, nb_classes)


def fitted(clips, **options):
    network = ResearchModel(clips.targets.shape[1], seq_length=STEPS, units=4, **options)
    network.set_normalization(feature_statistics(clips))
    fit_summary(network, clips)
    return network


@pytest.mark.parametrize("nb_classes", [2, 3])
def test_it_gives_what_scikit_learn_gives(nb_classes):
    classes = [*range(nb_classes)] * 8 + [0] * 9
    clips = made(classes, nb_classes)
    x = clips.load(range(len(clips)))
    summaries = np.concatenate(
        [x.mean(1), np.abs(x - x.mean(1)[:, None]).mean(1), np.abs(np.diff(x, axis=1)).mean(1)], axis=1
    ).astype(np.float64)
    variance = summaries.var(0)
    variance = np.maximum(variance, 0.01 * np.median(variance))
    standardised = (summaries - summaries.mean(0)) / np.sqrt(variance)
    model = LogisticRegression(C=0.1, max_iter=10_000, tol=1e-8, class_weight="balanced")
    expected = model.fit(standardised, classes).predict_proba(standardised)
    found = fitted(clips).predict_branches(x)[2]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert (found.argmax(1) == classes).all()


def test_training_leaves_it_alone(tmp_path):
    clips = made([0, 1] * 6, 2)
    network = fitted(clips)
    x = clips.load(range(12))
    before = network.predict_branches(x)
    network.trainer.fit(x, clips.targets, epochs=1, verbose=0)
    after = network.predict_branches(x)
    np.testing.assert_array_equal(after[2], before[2])
    assert (np.abs(after[:2] - before[:2]).max((1, 2)) > 0).all()


def test_a_class_without_clips_is_never_found():
    kernel, bias = fit_logistic(np.random.default_rng(0).random((8, 3)), np.array([0, 2] * 4), 4)
    logits = np.random.default_rng(1).random((5, 3)) @ kernel + bias
    assert set(logits.argmax(1)) <= {0, 2} and (logits.max(1) - logits[:, [1, 3]].max(1) > 10).all()


def test_networks_without_one_stay_as_they_are():
    clips = made([0, 1] * 4, 2)
    for options in ({"model": "article", "units": 4}, {"seq_length": 1}):
        network = ResearchModel(2, **{"seq_length": STEPS, **options})
        before = network.model.get_weights()
        fit_summary(network, clips)
        for one, other in zip(before, network.model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_of_many_clips_each_class_keeps_its_share(monkeypatch):
    monkeypatch.setattr("vidclass.training.summary.MOST_CLIPS", 12)
    classes = np.repeat([0, 1, 2], [90, 29, 1])
    chosen = choose_clips(classes)
    assert np.bincount(classes[chosen]).tolist() == [9, 2, 1] and len(set(chosen)) == len(chosen)
    np.testing.assert_array_equal(choose_clips(classes[:12]), range(12))
