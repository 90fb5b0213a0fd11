"""What is fitted on validation clips after a training: how much each branch of the network counts, and the
temperature that calibrates its probabilities: of the windows at 0.9, nine in ten are right."""

import numpy as np
from scipy.optimize import minimize_scalar

# Standard deviation of the logarithm of the temperature before anything is known: a dozen validation clips
# that are all right would call for certainty, this holds them back.
TEMPERATURE_PRIOR = 0.5
LEAST = 0.05  # of what can be told of a class, that each branch is taken to tell at least


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature at which a network's probabilities are most likely right (Guo et al., "On Calibration
    of Modern Neural Networks", 2017), with a log-normal prior around 1. targets: one-hot (n, classes)."""

    def cost(logarithm):
        likelihood = (apply_temperature(probabilities, np.exp(logarithm)) * targets).sum(1)
        return -np.log(np.maximum(likelihood, 1e-12)).sum() + 0.5 * (logarithm / TEMPERATURE_PRIOR) ** 2

    return float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x))


def weigh(targets: np.ndarray, branches: np.ndarray) -> np.ndarray:
    """How much each branch of a network counts, (branches,), 1 in all: in proportion to what it tells of the
    validation clips' classes beyond chance, log(classes) less its cross-entropy, all classes counting alike.
    LEAST is added to each: where all tell next to nothing, chance would decide which one counts.

    targets: one-hot (n, classes). branches: probabilities (branches, n, classes).
    """
    likelihood = np.maximum((branches * targets).sum(2), 1e-7)  # (branches, n)
    cross_entropy = -(np.log(likelihood) * class_weights(targets)).mean(1)
    told = LEAST + np.maximum(1 - cross_entropy / np.log(targets.shape[1]), 0)
    return told / told.sum()


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Weights of the clips that give each class the same share of the loss, float32 (n,), 1 on average.
    targets: one-hot (n, classes)."""
    counts = targets.sum(0)
    return (targets @ (len(targets) / np.count_nonzero(counts) / np.maximum(counts, 1))).astype(np.float32)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) as a softmax would give them of the same logits divided by a temperature;
    float64."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-30)) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
