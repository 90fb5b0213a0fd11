"""After a training: its best checkpoint is calibrated on the validation clips and evaluated on the test
clips."""

import os
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vidclass.console import print
from vidclass.dataset.data_file import Clip
from vidclass.training.baseline import compare_with_baseline
from vidclass.training.batches import ClipSequences, predict
from vidclass.training.calibration import fit_temperature
from vidclass.training.checkpoint import link_checkpoint, rewrite_metadata
from vidclass.training.figures import write_report
from vidclass.training.loop import Fit
from vidclass.training.metadata import printable_name
from vidclass.training.metrics import Predictions
from vidclass.training.recordings import compare_recordings, describe_shared


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


@dataclass(frozen=True)
class Evaluation:
    """What a report says of: a checkpoint, on the clips of a split."""

    checkpoint: str | os.PathLike
    split: str  # test, validation or train
    store: Any  # FolderStore of the sequences
    clips: list[Clip]  # of the split
    baseline: bool = True  # compare with logistic regression on the training clips
    quiet: bool = False  # no progress bars

    def training_clips(self) -> list[Clip]:
        """The training clips that are not evaluated: with them a baseline starts even. None on split
        train."""
        evaluated = set(self.clips)
        train_clips = self.store.dataset.split_train_test()[0] if self.split != "train" else []
        return [clip for clip in train_clips if clip not in evaluated]


def report_on(research_model: Any, evaluation: Evaluation) -> dict[str, Any]:
    """Evaluates a checkpoint, loaded as a ResearchModel, on the clips of a split. The report goes to
    data_dir/reports. Result: see figures.write_report. Raises ValueError, naming the file, if a sequence is
    damaged."""
    store, sequences = evaluation.store, ClipSequences(evaluation.store, evaluation.clips)
    predictions = Predictions(
        truth=sequences.targets.argmax(1),
        probabilities=predict(research_model, sequences),
        classes=[printable_name(name) for name in store.dataset.classes],
        names=[clip.name for clip in sequences.clips],
    )
    predicted = np.asarray(predictions.probabilities).argmax(1)
    right, tested = predicted == predictions.truth, evaluation.split == "test"
    learned = evaluation.training_clips() if tested else []
    comparison = {
        "baseline": _compare(evaluation, sequences, predicted),
        **compare_recordings(store.dataset.data_dir, evaluation.clips, right, learned),
    }
    folder = os.path.join(store.dataset.data_dir, "reports")
    report = write_report(folder, evaluation.checkpoint, evaluation.split, predictions, comparison)
    for line in describe_shared(report):
        print(line, file=sys.stderr)
    return report


def _compare(evaluation, sequences, predicted):
    """See baseline.compare_with_baseline; None if it is not wanted or training clips are not there."""
    clips, classes = evaluation.training_clips(), evaluation.store.dataset.classes
    if not evaluation.baseline or not clips or len(classes) < 2:
        return None
    missing = set(evaluation.store.missing(clips))
    there = [clip for clip in clips if clip not in missing]
    lacking = f"{len(missing)} of the {len(clips)} training clips have no feature sequence"
    if {clip.class_name for clip in there} != set(classes):
        print(
            f"No logistic regression to compare with: {lacking}. extract_features.py makes them; "
            f"--no-baseline leaves the comparison out",
            file=sys.stderr,
        )
        return None
    if missing:
        print(f"Logistic regression learns from fewer clips than the network: {lacking}", file=sys.stderr)
    training = ClipSequences(evaluation.store, there)
    return compare_with_baseline(training, sequences, predicted, evaluation.quiet)
