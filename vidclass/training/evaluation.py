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
from vidclass.training.batches import ClipSequences, predict, predict_branches
from vidclass.training.calibration import apply_temperature, fit_temperature, weigh
from vidclass.training.checkpoint import link_checkpoint, rewrite_metadata
from vidclass.training.figures import write_report
from vidclass.training.loop import Fit
from vidclass.training.metadata import printable_name
from vidclass.training.metrics import Predictions, describe_untested
from vidclass.training.recordings import compare_recordings, describe_shared


def calibrate(research_model: Any, validation: ClipSequences, fitted: Fit, checkpoint: str) -> None:
    """Fits the weights of a ResearchModel's branches and its temperature to the validation clips, and writes
    them to its checkpoint, unless the training that it is of has not improved it. Warns if all these clips
    are classified alike.

    research_model: loaded with its optimizer if it has several branches. checkpoint: the path of BEST, the
    same as that of fitted.best_path.
    """
    if fitted.best_path:
        branches = predict_branches(research_model, validation)
        research_model.set_branch_weights(weigh(validation.targets, branches))
        probabilities = np.tensordot(research_model.branch_weights, branches, 1)
        research_model.temperature = fit_temperature(validation.targets, probabilities)
        if len(branches) > 1:
            research_model.save(fitted.best_path, research_model.metadata)
        else:  # nothing else has changed
            metadata = replace(research_model.metadata, temperature=research_model.temperature)
            rewrite_metadata(fitted.best_path, metadata)
        link_checkpoint(fitted.best_path, checkpoint)
    else:
        probabilities = predict(research_model, validation)
    _warn_if_alike(probabilities, research_model.metadata.class_names)  # at any temperature


def combine_folds(members: list, validation: list[ClipSequences]) -> tuple[Any, np.ndarray]:
    """(the mean of the ResearchModels of all folds, calibrated, the calibrated probabilities of the clips
    that validated each (n, classes), fold by fold). Each clip's are those of the network that did not learn
    from it; to them the weights of the branches and the temperature are fitted."""
    branches = np.concatenate([predict_branches(*fold) for fold in zip(members, validation)], axis=1)
    targets = np.concatenate([fold.targets for fold in validation])
    weights = weigh(targets, branches)
    network = type(members[0]).mean_of(members)
    network.set_branch_weights(np.tile(weights, len(members)) / len(members))
    probabilities = np.tensordot(weights, branches, 1)
    network.temperature = fit_temperature(targets, probabilities)
    probabilities = apply_temperature(probabilities, network.temperature)
    _warn_if_alike(probabilities, members[0].metadata.class_names)
    return network, probabilities


def _warn_if_alike(probabilities, classes):
    predicted = set(probabilities.argmax(1).tolist())
    if len(predicted) == 1:
        print(
            f"All validation clips are classified as {classes[predicted.pop()]}: "
            f"the network has not learned to tell the classes apart. More clips help, or other --weights, a "
            f"larger frame size, another --seed",
            file=sys.stderr,
        )


@dataclass(frozen=True)
class Evaluation:
    """What a report says of: a checkpoint, on the clips of a split."""

    checkpoint: str | os.PathLike
    split: str  # test, validation, train or cross-validation
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
    """Evaluates a checkpoint, loaded as a ResearchModel, on the clips of a split. Result: see
    figures.write_report. Raises ValueError, naming the file, if a sequence is damaged."""
    return report_probabilities(
        predict(research_model, ClipSequences(evaluation.store, evaluation.clips)), evaluation
    )


def report_probabilities(probabilities: np.ndarray, evaluation: Evaluation) -> dict[str, Any]:
    """Evaluates predicted probabilities (n, classes) of the clips. The report goes to data_dir/reports; see
    report_on."""
    store, sequences = evaluation.store, ClipSequences(evaluation.store, evaluation.clips)
    predictions = Predictions(
        truth=sequences.targets.argmax(1),
        probabilities=probabilities,
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
    for line in [*describe_untested(report), *describe_shared(report)]:
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
