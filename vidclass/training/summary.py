"""The branch of a network that is fitted at once: logistic regression on averages over time.

Its loss is convex. Few clips suffice to find its minimum, and no seed decides how good it is.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from vidclass.training.batches import ClipSequences, summarize

# That are learned from: 250 MB of summaries. Of more, a random choice.
MOST_CLIPS = 10_000
INVERSE_REGULARIZATION = 0.1  # scikit-learn's C: 6144 numbers tell few clips apart in many ways


def fit_summary(research_model: Any, training: ClipSequences) -> None:
    """Fits the summary branch of a ResearchModel, whose statistics are set, to the training clips: L2-
    regularised logistic regression, all classes counting alike. Does nothing for a network without one.

    Raises ValueError, naming the file, if a sequence is missing or damaged.
    """
    if research_model.fitted_layers is None:
        return
    standardise, softmax = research_model.fitted_layers
    classes = training.targets.argmax(1)
    chosen = choose_clips(classes)
    summaries = np.stack([summarize(training.load([number])[0]) for number in chosen])
    standardised = np.asarray(standardise(summaries))
    softmax.set_weights(fit_logistic(standardised, classes[chosen], research_model.nb_classes))


def fit_logistic(x: np.ndarray, classes: np.ndarray, nb_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(kernel (n, nb_classes), bias (nb_classes,)) of the softmax that tells the classes of x (clips, n)
    apart. classes: int (clips,), of two classes or more; the others get next to no probability."""
    model = LogisticRegression(C=INVERSE_REGULARIZATION, max_iter=1000, class_weight="balanced")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is near enough by then
        model.fit(x, classes)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the logits' difference only
        coefficients, intercepts = [np.concatenate([-one, one]) / 2 for one in (coefficients, intercepts)]
    kernel, bias = np.zeros((x.shape[1], nb_classes), np.float32), np.full(nb_classes, -20, np.float32)
    kernel[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return kernel, bias


def choose_clips(classes: np.ndarray) -> np.ndarray:
    """Numbers of at most MOST_CLIPS clips, of each class the same share; at least one. classes: int (n,)."""
    if len(classes) <= MOST_CLIPS:
        return np.arange(len(classes))
    random, share = np.random.default_rng(0), MOST_CLIPS / len(classes)
    chosen = []
    for one in np.unique(classes):
        numbers = np.flatnonzero(classes == one)
        chosen.append(random.choice(numbers, max(1, int(share * len(numbers))), replace=False))
    return np.sort(np.concatenate(chosen))
