"""How well a model does: metrics of its predictions.

Metrics are scikit-learn's, the interval is SciPy's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn import metrics

from vidclass.console import count as counted
from vidclass.console import printable

BINS = 10  # of the reliability diagram
MISTAKES = 15  # named in a report
# What logistic regression sees of a clip, see baseline.py: {key in the report: name}.
BASELINES = {"average": "average over time", "average_deviation_step": "average, deviation and step"}


@dataclass(frozen=True)
class Predictions:
    """What a classifier predicts for clips whose classes are known."""

    truth: Sequence[int] | np.ndarray  # the true class of each clip, (n,)
    probabilities: Sequence | np.ndarray  # (n, classes)
    classes: list[str]
    names: list[str]  # of the clips


def compute_metrics(predictions: Predictions) -> dict[str, Any]:
    """The metrics of a classifier's predictions, as a dict that JSON can hold.

    Numbers that can't be told, such as the recall of a class without clips, are None. Raises ValueError
    without clips.
    """
    truth, probabilities = np.asarray(predictions.truth), np.asarray(predictions.probabilities, np.float64)
    classes, names = predictions.classes, predictions.names
    predicted, count = probabilities.argmax(1), len(truth)
    if not count:
        raise ValueError("no clips to evaluate")
    labels = np.arange(len(classes))
    right = int((predicted == truth).sum())
    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    bins = reliability(truth, probabilities)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:MISTAKES]
    return {
        "clips": count,
        "accuracy": right / count,
        "accuracy_interval_95": [interval.low, interval.high],
        "commonest_class_share": float(support.max() / count),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "classes": [
            {"name": name, "clips": int(n), "precision": _number(p), "recall": _number(r), "f1": _number(f)}
            for name, n, p, r, f in zip(classes, support, precision, recall, f1)
        ],
        "confusion_matrix": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "log_loss": float(metrics.log_loss(truth, probabilities, labels=labels)),
        "expected_calibration_error": sum(b["clips"] * abs(b["confidence"] - b["accuracy"]) for b in bins)
        / count,
        "calibration": bins,
        "mistakes": [
            {
                "clip": names[i],
                "class": classes[truth[i]],
                "predicted": classes[predicted[i]],
                "probability": float(probabilities[i, predicted[i]]),
            }
            for i in worst
        ],
    }


def reliability(truth: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """How often predictions of a confidence are right, in BINS bins of equal width (Guo et al., "On
    Calibration of Modern Neural Networks", 2017): a list of dicts, for each bin that has any, with confidence
    and accuracy (means) and clips.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
            "clips": int((bins == b).sum()),
        }
        for b in np.unique(bins)
    ]


def _number(value):
    return None if np.isnan(value) else float(value)


def table(report: dict[str, Any]) -> list[str]:
    """The metrics of each class, as the lines of a table."""
    names = [printable(row["name"]) for row in report["classes"]]
    width = max(map(len, names))
    lines = [f"{'':{width}}  clips  precision  recall     F1"]
    for name, row in zip(names, report["classes"]):
        precision, recall, f1 = (
            "-" if row[key] is None else f"{row[key]:.3f}" for key in ("precision", "recall", "f1")
        )
        lines.append(f"{name:{width}}  {row['clips']:5d}  {precision:>9}  {recall:>6}  {f1:>5}")
    lines.append(
        f"Balanced accuracy {report['balanced_accuracy']:.3f}. Calibration error "
        f"{report['expected_calibration_error']:.3f}: by so much the probability of the predicted class "
        f"differs from how often it is right"
    )
    return lines


def headline(report: dict[str, Any]) -> str:
    """The accuracy in a line, with its interval and the accuracy of the simplest guess."""
    low, high = report["accuracy_interval_95"]
    return (
        f"{report['split'].capitalize()} accuracy: {report['accuracy']:.3f} "
        f"({round(report['accuracy'] * report['clips'])} of {report['clips']} clips; 95 % interval {low:.3f} "
        f"to {high:.3f}; always answering the commonest class would give "
        f"{report['commonest_class_share']:.3f})"
    )


def describe_untested(report: dict[str, Any]) -> list[str]:
    """A line on classes of which no clip was evaluated."""
    untested = [printable(row["name"]) for row in report["classes"] if not row["clips"]]
    if not untested:
        return []
    return [f"No {report['split']} clips of {', '.join(untested)}: the accuracy tells nothing of that"]


def describe_baseline(report: dict[str, Any]) -> list[str]:
    """What a report says of the baseline, as lines: its accuracies, and whether the network does worse. No
    lines without a baseline."""
    baseline = report.get("baseline")
    if not baseline:
        return []
    shown = ", ".join(f"{baseline[key]['accuracy']:.3f} ({name})" for key, name in BASELINES.items())
    learned = counted(baseline["training_clips"], "training clip")
    lines = [f"Logistic regression on the same features of {learned}: {shown}"]
    best = max((baseline[key] for key in BASELINES), key=lambda scores: scores["accuracy"])
    if best["accuracy"] > report["accuracy"]:
        clips = counted(report["clips"], "clip")
        chance = f"; with {clips} that may be chance" if best["p_value"] > 0.05 else ""
        lines.append(
            f"The network does worse than logistic regression: {report['accuracy']:.3f} against "
            f"{best['accuracy']:.3f}{chance}"
        )
    return lines
