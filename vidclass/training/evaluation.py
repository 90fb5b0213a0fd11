"""After a training: its best checkpoint is calibrated on the validation clips and evaluated on the test
clips."""

import os
import sys
from dataclasses import replace
from typing import Any

from vidclass.console import print
from vidclass.training.batches import ClipSequences, predict
from vidclass.training.calibration import fit_temperature
from vidclass.training.checkpoint import link_checkpoint, rewrite_metadata
from vidclass.training.figures import write_report
from vidclass.training.loop import Fit
from vidclass.training.metrics import Predictions


def calibrate(research_model: Any, validation: ClipSequences, fitted: Fit, checkpoint: str) -> None:
    """Fits the temperature of a ResearchModel to the validation clips, and notes it in its checkpoint, unless
    the training that it is of has not improved it. Warns if all these clips are classified alike.

    checkpoint: the path of BEST, the same as that of fitted.best_path.
    """
    if fitted.best_path:
        research_model.temperature = 1.0  # the checkpoint's, if any, is that of an earlier epoch
    validation_probabilities = predict(research_model, validation)
    if fitted.best_path:
        temperature = fit_temperature(validation.targets, validation_probabilities)
        research_model.temperature = temperature
        rewrite_metadata(fitted.best_path, replace(research_model.metadata, temperature=temperature))
        link_checkpoint(fitted.best_path, checkpoint)
    predicted = set(validation_probabilities.argmax(1).tolist())
    if len(predicted) == 1:
        print(
            f"All validation clips are classified as {research_model.metadata.class_names[predicted.pop()]}: "
            f"the network has not learned to tell the classes apart. More clips help, or other --weights, a "
            f"larger frame size, another --seed",
            file=sys.stderr,
        )


def report_on(
    research_model: Any,
    checkpoint: str | os.PathLike,
    split: str,
    sequences: ClipSequences,
    classes: list[str],
    folder: str,
) -> dict[str, Any]:
    """Evaluates a checkpoint, loaded as a ResearchModel, on the clips of a split. classes: their printable
    names. Result: see figures.write_report."""
    predictions = Predictions(
        truth=sequences.targets.argmax(1),
        probabilities=predict(research_model, sequences),
        classes=classes,
        names=[clip.name for clip in sequences.clips],
    )
    return write_report(folder, checkpoint, split, predictions)
