"""The baseline of a report: logistic regression on summaries of the same features.

The average over time knows what is in a clip, but not when: a network that is no better has not used time.
"""

import sys
import warnings
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vidclass.console import print
from vidclass.features.identity import FEATURES_LENGTH
from vidclass.progress import progress
from vidclass.training.batches import ClipSequences
from vidclass.training.summary import choose_clips

# Of summarize's numbers, how many logistic regression sees, for each key of metrics.BASELINES.
SUMMARIES = {"average": FEATURES_LENGTH, "average_deviation_step": 3 * FEATURES_LENGTH}


def summarize(sequence: np.ndarray) -> np.ndarray:
    """Statistics of a clip, the same for the clip played backwards: the average of each feature over time,
    its standard deviation, and the mean absolute step |x_t - x_(t-1)|.

    sequence: (seq_length, features). Result: float32 (3 * features,). The steps of one frame are 0.
    """
    steps = np.abs(np.diff(sequence, axis=0)).mean(0) if len(sequence) > 1 else np.zeros_like(sequence[0])
    return np.concatenate([sequence.mean(0), sequence.std(0), steps]).astype(np.float32)


def compare_with_baseline(
    training: ClipSequences, evaluated: ClipSequences, predicted: np.ndarray, quiet: bool = False
) -> dict[str, Any]:
    """Trains logistic regression on each of SUMMARIES of the training clips, standardised, with balanced
    class weights as the network's loss has, and applies it to the evaluated clips.

    training: of two classes or more. predicted: the class that the network gives each evaluated clip, int
    (n,). quiet: no progress bars.

    Result: {"training_clips": how many it learned from, and for each key of SUMMARIES {"accuracy",
    "balanced_accuracy", "p_value"}}. p_value: of McNemar's exact test, how probable it is that two
    classifiers that are equally good differ on these clips by as much as this one and the network do. Raises
    ValueError, naming the file, if a sequence is missing or damaged.
    """
    chosen = choose_clips(training.targets.argmax(1))
    if len(chosen) < len(training):
        print(
            f"The baseline learns from {len(chosen)} of the {len(training)} training clips", file=sys.stderr
        )
    shown = progress(chosen, unit="clip", desc="Baseline", quiet=quiet)
    summaries = np.empty((len(chosen), 3 * FEATURES_LENGTH), np.float32)
    for place, number in enumerate(shown):
        summaries[place] = summarize(training.load([number])[0])
    classifiers = {}
    for key, size in SUMMARIES.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is near enough by then
            classifiers[key] = model.fit(summaries[:, :size], training.targets[chosen].argmax(1))
    del summaries

    answers: dict[str, list[int]] = {key: [] for key in SUMMARIES}
    for number in range(len(evaluated)):
        summary = summarize(evaluated.load([number])[0])[None]
        for key, size in SUMMARIES.items():
            answers[key].append(int(classifiers[key].predict(summary[:, :size])[0]))
    truth = evaluated.targets.argmax(1)
    scores = {key: _score(truth, np.array(given), predicted) for key, given in answers.items()}
    return {"training_clips": len(chosen), **scores}


def _score(truth, answers, predicted):
    right, network_right = answers == truth, predicted == truth
    only_here, only_there = int((right & ~network_right).sum()), int((network_right & ~right).sum())
    recall = recall_score(truth, answers, labels=np.unique(truth), average="macro", zero_division=0)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(recall),
        "p_value": float(binomtest(only_here, only_here + only_there).pvalue)
        if only_here + only_there
        else 1.0,
    }
