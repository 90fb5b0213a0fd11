"""Calibrated probabilities, by temperature scaling: of the windows at 0.9, nine in ten are right."""

import numpy as np
from scipy.optimize import minimize_scalar

# Standard deviation of the logarithm of the temperature before anything is known: a dozen validation clips
# that are all right would call for certainty, this holds them back.
TEMPERATURE_PRIOR = 0.5


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature at which a network's probabilities are most likely right (Guo et al., "On Calibration
    of Modern Neural Networks", 2017), with a log-normal prior around 1. targets: one-hot (n, classes)."""

    def cost(logarithm):
        likelihood = (apply_temperature(probabilities, np.exp(logarithm)) * targets).sum(1)
        return -np.log(np.maximum(likelihood, 1e-12)).sum() + 0.5 * (logarithm / TEMPERATURE_PRIOR) ** 2

    return float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) as a softmax would give them of the same logits divided by a temperature;
    float64."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-30)) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
