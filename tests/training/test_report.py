"""Metrics against numbers counted by hand and scikit-learn's, and its pages."""

import json

import cv2
import numpy as np
import pytest
from sklearn import metrics

from vidclass.training.figures import draw_curves, write_report
from vidclass.training.loop import Fit
from vidclass.training.metrics import MISTAKES, Predictions, compute_metrics

CLASSES = ["Commercial", "Football", "News"]
TRUTH = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
PROBABILITIES = [
    [0.9, 0.1, 0],
    [0.8, 0.2, 0],
    [0.2, 0.75, 0.05],
    [0.6, 0.3, 0.1],
    [0.1, 0.85, 0.05],
    [0, 0.95, 0.05],
    [0.35, 0.45, 0.2],
    [0.1, 0.1, 0.8],
    [0, 1, 0],
    [0.3, 0.7, 0],
]
NAMES = [f"clip_{number}" for number in range(10)]


@pytest.fixture
def evaluation():
    return compute_metrics(Predictions(TRUTH, PROBABILITIES, CLASSES, NAMES))


def test_metrics_counted_by_hand(evaluation):
    """Of 4 Commercials 3 are found, of 6 Footballs 5; one Football is taken for News, one Commercial for
    Football."""
    assert (
        evaluation["clips"] == 10
        and evaluation["accuracy"] == 0.8
        and evaluation["commonest_class_share"] == 0.6
    )
    assert evaluation["confusion_matrix"] == [[3, 1, 0], [0, 5, 1], [0, 0, 0]]
    assert evaluation["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    commercial, football, news = evaluation["classes"]
    assert commercial == {
        "name": "Commercial",
        "clips": 4,
        "precision": 1,
        "recall": 0.75,
        "f1": pytest.approx(6 / 7),
    }
    assert football["precision"] == pytest.approx(5 / 6) and football["recall"] == pytest.approx(5 / 6)
    assert news["clips"] == 0 and news["recall"] is None and news["precision"] == 0
    assert [(m["clip"], m["class"], m["predicted"]) for m in evaluation["mistakes"]] == [
        ("clip_7", "Football", "News"),
        ("clip_2", "Commercial", "Football"),
    ]
    # Wilson's formula, z = 1.96: (0.8 + z²/20 ± z·sqrt(0.016 + z²/400)) / (1 + z²/10).
    assert evaluation["accuracy_interval_95"] == pytest.approx([0.4901625, 0.9433178], abs=1e-5)


def test_metrics_of_scikit_learn():
    random = np.random.default_rng(0)
    truth, probabilities = random.integers(0, 4, 200), random.dirichlet([0.5] * 4, 200)
    found = compute_metrics(Predictions(truth, probabilities, list("abcd"), [""] * 200))
    predicted = probabilities.argmax(1)
    assert found["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert np.mean([row["f1"] for row in found["classes"]]) == pytest.approx(
        metrics.f1_score(truth, predicted, average="macro")
    )
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities))
    assert len(found["mistakes"]) == MISTAKES
    assert sum(row["clips"] for row in found["calibration"]) == 200


def test_expected_calibration_error():
    """100 clips at 0.75 of which half are right, 100 at 0.95 of which 90 are right: (0.25 + 0.05) / 2."""
    probabilities = np.repeat([[0.75, 0.25], [0.95, 0.05]], 100, axis=0)
    truth = np.repeat([0, 1, 0, 1], [50, 50, 90, 10])
    found = compute_metrics(Predictions(truth, probabilities, ["a", "b"], [""] * 200))
    assert found["expected_calibration_error"] == pytest.approx(0.15)
    certain = Predictions([0] * 10, np.repeat([[1.0, 0.0]], 10, axis=0), ["a", "b"], [""] * 10)
    assert compute_metrics(certain)["expected_calibration_error"] == 0


def test_no_clips():
    with pytest.raises(ValueError, match="no clips to evaluate"):
        compute_metrics(Predictions([], np.zeros((0, 2)), ["a", "b"], []))


def test_what_is_printed_and_written(tmp_path, capsys):
    folder = tmp_path / "data" / "reports"
    predictions = Predictions(TRUTH, PROBABILITIES, CLASSES, NAMES)
    returned = write_report(str(folder), "data/checkpoints/lstm-features.hdf5", "test", predictions)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed[1:4]] == [
        ["Commercial", "4", "1.000", "0.750", "0.857"],
        ["Football", "6", "0.833", "0.833", "0.833"],
        ["News", "0", "0.000", "-", "0.000"],
    ]
    assert printed[-1] == (
        "Test accuracy: 0.800 (8 of 10 clips; 95 % interval 0.490 to 0.943; always answering the commonest "
        "class would give 0.600)"
    )
    with open(folder / "lstm-features-test.json", encoding="utf-8") as file:
        assert json.load(file) == returned
    assert sorted(path.name for path in folder.iterdir()) == [
        "lstm-features-test.json",
        "lstm-features-test.png",
    ]


@pytest.mark.parametrize(
    "classes, mistakes", [(2, 0), (2, 5), (20, 60), pytest.param(60, 100, marks=pytest.mark.slow)]
)
def test_the_page_grows_with_the_classes_and_no_text_is_cut_off(tmp_path, classes, mistakes):
    """Names of many letters, with what would be a formula to matplotlib and with bytes that are no text. All
    four edges of the page stay white."""
    names = [
        f"$Class_{number}$ \\frac{'{'} of a rather long name \udcff {number}" for number in range(classes)
    ]
    truth = np.arange(5 * classes) % classes
    probabilities = np.full((5 * classes, classes), 0.1 / (classes - 1))
    probabilities[
        np.arange(5 * classes), np.where(np.arange(5 * classes) < mistakes, (truth + 1) % classes, truth)
    ] = 0.9
    predictions = Predictions(truth, probabilities, names, [names[0] * 3] * (5 * classes))
    scores = {"accuracy": 1.0, "balanced_accuracy": 1.0, "p_value": 0.5}
    recordings = ["W" * 60 + f"$x$ {number}" for number in range(classes)]
    comparison = {
        "baseline": {"training_clips": 9, "average": scores, "average_deviation_step": scores},
        "recordings": [{"name": name, "clips": 5, "accuracy": 1.0} for name in recordings],
        "shared_recordings": {"clips": 5, "recordings": recordings},
    }
    write_report(str(tmp_path), "lstm.hdf5", "validation", predictions, comparison)
    page = cv2.imread(str(tmp_path / "lstm-validation.png"))
    assert page is not None and page.std() > 5
    for edge in (page[:8], page[-8:], page[:, :8], page[:, -8:]):
        assert (edge == 255).all()


def test_curves(tmp_path):
    history = {"loss": [1, 0.5], "val_loss": [1, 0.7], "accuracy": [0.5, 0.9], "val_accuracy": [0.5, 0.6]}
    draw_curves(str(tmp_path / "reports" / "training.png"), Fit(history, 1, None, 2), "Training of $x")
    assert cv2.imread(str(tmp_path / "reports" / "training.png")).std() > 5
