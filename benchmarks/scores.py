"""The scores of models over several seeds: what recipe.py prints and writes. Networks stand beside
regressions, whose rows begin with REGRESSION."""

import dataclasses
import json
import math

import numpy as np

REGRESSION = "regression, "
RIVALS = "regression, mean", "regression, mean + deviation + step"  # that the networks are compared with


@dataclasses.dataclass(frozen=True)
class Score:
    """How one model did on the test clips of one seed. What only networks have is NaN for the regressions."""

    accuracy: float
    balanced_accuracy: float
    calibration_error: float = math.nan
    epochs: float = math.nan
    seconds: float = math.nan


def compare(results):
    """By how much the networks are ahead of the better regression: {recipe: {metric: a dict of regression,
    mean and standard_error}}. results: {row: a Score for each seed}, paired. Better is what has the higher
    mean; standard_error is NaN with one seed."""
    compared = {}
    for recipe in (name for name in results if not name.startswith(REGRESSION)):
        for metric in ("accuracy", "balanced_accuracy"):
            values = {name: np.array([getattr(score, metric) for score in results[name]]) for name in results}
            rival = max(RIVALS, key=lambda name: values[name].mean())
            ahead = values[recipe] - values[rival]
            error = ahead.std(ddof=1) / math.sqrt(len(ahead)) if len(ahead) > 1 else math.nan
            compared.setdefault(recipe, {})[metric] = {
                "regression": rival,
                "mean": float(ahead.mean()),
                "standard_error": float(error),
            }
    return compared


def print_table(results):
    """Prints a line for each row of results, {row: a Score for each seed}, and what compare says of them."""
    print(f"{'':38}test accuracy    balanced         calibration error  epochs  seconds")
    for name, scores in results.items():
        values = np.array([dataclasses.astuple(score) for score in scores])
        means, deviations = values.mean(0), values.std(0)
        line = f"{name:38}" + "   ".join(f"{means[i]:.3f} +- {deviations[i]:.3f}" for i in range(2))
        calibration, epochs, seconds = means[2:]
        print(line if np.isnan(epochs) else f"{line}   {calibration:17.3f} {epochs:7.0f} {seconds:8.1f}")
    for recipe, metrics in compare(results).items():
        for metric, one in metrics.items():
            print(
                f"{recipe}: {metric.replace('_', ' ')} {one['mean']:+.3f} +- {one['standard_error']:.3f} "
                f"(standard error) against {one['regression']}"
            )


def as_json(results, about):
    """All numbers as text: about, a dict, with the rows and what compare says of them. NaN is null."""

    def known(numbers):
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in numbers.items()
        }

    rows = {name: [known(dataclasses.asdict(score)) for score in scores] for name, scores in results.items()}
    compared = {
        recipe: {metric: known(one) for metric, one in metrics.items()}
        for recipe, metrics in compare(results).items()
    }
    return json.dumps({**about, "rows": rows, "against_the_better_regression": compared}, indent=1) + "\n"
