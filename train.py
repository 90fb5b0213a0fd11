"""Trains the LSTM on the clips' feature sequences and says how well it does on the test clips.

Reads data/data_file.csv and data/sequences/, and extracts the sequences that are missing. Writes a checkpoint
at each improvement, data/checkpoints/lstm-features.<epoch>-<val_loss>.hdf5, with the best so far in
lstm-features.hdf5, TensorBoard and CSV logs to data/logs/, and the evaluation to data/reports/. Stops after
five epochs without improvement. The test split is never used to choose a model.

    python train.py 75 2 720 1280
"""

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Any

from extract_features import ExtractionJob, extract_features
from vidclass import cli, locking
from vidclass.console import count, print
from vidclass.errors import INT8, PRECISIONS, UsageError, check_choice, check_count
from vidclass.keras_loading import import_keras
from vidclass.training.metadata import LIMITS, MODELS

DEVICES = ("one", "all")
LARGEST_SEED = 2**32 - 1  # NumPy's


@dataclass(frozen=True)
class TrainOptions:
    """The options of train. Raises UsageError for values that make no sense."""

    data_dir: str = "data"
    weights: str = "imagenet"  # InceptionV3's: imagenet, random, or the path of a Keras weights file
    precision: str = "auto"  # in which InceptionV3 computes, one of errors.PRECISIONS
    sequences_url: str | None = None  # where sequences are kept, too, see sequence_store.UrlStore
    model: str = "lstm"  # one of MODELS
    units: int | None = None  # width of the recurrent layer; None: the model's default
    validation_split: float = 0.2  # share of the training clips held out to tell when to stop
    # What is held out, see DataSet.split_train_validation. None: whole recordings or stretches, or as the
    # checkpoint to resume did. True: whole groups by name. False: single clips.
    group: bool | None = None
    folds: int = 1  # networks, each validated on another part of the training clips, whose mean is taken
    epochs: int = 1000  # at most
    batch_size: int = 16  # clips per training step
    seed: int = 0  # of the validation split, the first weights and the order of the clips
    devices: str = "one"  # "all": each batch is shared among all GPUs, see devices.all_devices
    resume: str | None = None  # a checkpoint to go on from
    baseline: bool = True  # the report compares with logistic regression on the same features
    quiet: bool = False  # no progress bars

    def __post_init__(self):
        check_choice("--precision", self.precision, PRECISIONS)
        check_choice("--model", self.model, tuple(MODELS))
        check_choice("--devices", self.devices, DEVICES)
        check_count("--units", self.units)
        check_count("--epochs", self.epochs)
        check_count("--batch-size", self.batch_size)
        check_count("--seed", self.seed, least=0)
        if self.group is not None and not isinstance(self.group, bool):
            raise UsageError(f"group={self.group!r}: expected None, True or False")
        if self.resume is not None and not isinstance(self.resume, (str, os.PathLike)):
            raise UsageError(f"resume={self.resume!r}: expected the name of a checkpoint")
        check_count("--folds", self.folds)
        least, most = LIMITS["units"]
        for is_valid, problem in (
            (self.units is None or least <= self.units <= most, f"--units is not {least} to {most}"),
            (0 < self.validation_split < 1, "--validation-split is not between 0 and 1"),
            (self.seed <= LARGEST_SEED, f"--seed is not 0 to {LARGEST_SEED}"),
            (self.folds <= LIMITS["members"][1], f"--folds is not 1 to {LIMITS['members'][1]}"),
            (
                self.folds == 1 or self.resume is None,
                "--resume goes on from one network, --folds trains several: leave one of them out",
            ),
        ):
            if not is_valid:
                raise UsageError(problem)

    def extraction_job(self) -> ExtractionJob:
        """The extraction of missing features; data_dir gets them in any case: training reads them there."""
        return ExtractionJob(
            data_dir=self.data_dir,
            weights=self.weights,
            precision=self.precision,
            sequences_url=self.sequences_url,
            keep=True,
            quiet=self.quiet,
        )


@dataclass(frozen=True)
class TrainResult:
    """What train did."""

    checkpoint: str  # path of the best
    # loss, accuracy, val_loss, val_accuracy of each epoch of this run, of the last fold if there are several
    history: dict[str, list]
    report: dict[str, Any] | None  # on the test clips, see metrics.compute_metrics; None without any
    failed: int  # clips left out because their frames could not be read
    # On the training clips, each classified by the network of the fold that it validates; None without folds.
    cross_validation: dict[str, Any] | None = None

    @property
    def test_accuracy(self) -> float | None:
        """The share of the test clips that are classified right; None without any."""
        return self.report["accuracy"] if self.report else None


@locking.one_run_at_a_time()
def train(
    seq_length: int,
    class_limit: int | None,
    image_shape: tuple[int, int, int],
    options: TrainOptions = TrainOptions(),
) -> TrainResult:
    """Extracts missing features, trains, and evaluates the best checkpoint on the test split.

    image_shape: (height, width, 3) at which InceptionV3 sees the frames. Raises what DataSet and Extractor
    raise, UsageError if the checkpoint to resume was trained otherwise, ValueError if it has no training
    state, RuntimeError if the validation loss is NaN in every epoch.
    """
    from data import DataSet
    from vidclass.features.identity import features_id, weights_id
    from vidclass.features.int8_ranges import read_ranges
    from vidclass.features.sequence_store import fetch_sequences
    from vidclass.training import preparation

    # Prepare. Before the hours of extraction all is refused for which they would be in vain.
    arguments, inception_id = (seq_length, class_limit, image_shape), weights_id(options.weights)
    plan = preparation.plan_training(DataSet(*arguments, options.data_dir), options, inception_id)
    failed = extract_features(*arguments, options.extraction_job()).failed
    dataset = DataSet(*arguments, options.data_dir)  # decoding may have corrected numbers of frames
    identity = features_id(inception_id, options.precision)
    store = fetch_sequences(dataset, identity, options.sequences_url, options.quiet)
    ranges = read_ranges(store) if options.precision == INT8 else None
    plan = preparation.complete_plan(plan, dataset, ranges)

    import_keras(and_tensorflow=True)  # in which Keras writes TensorBoard's logs
    from vidclass.training import evaluation

    # Fit and calibrate.
    fit = _train_folds if options.folds > 1 else _train_once
    network, checkpoint, history, cross_validation = fit(store, plan, options)

    # Evaluate.
    report, test_clips = None, plan.folds[0].test
    if test_clips:
        asked = (store, test_clips, options.baseline, options.quiet)
        report = evaluation.report_on(network, evaluation.Evaluation(checkpoint, "test", *asked))
    else:
        print("No test clips: nothing tells how well this model does on clips it has not seen")
    return TrainResult(checkpoint, history, report, failed, cross_validation)


def _train_once(store, plan, options):
    """(the best network, its checkpoint, the history, None) of a training with one validation split."""
    from models import ResearchModel
    from vidclass.training import evaluation, loop

    sequences, fitted = _fit(store, plan.folds[0], plan, options)
    if fitted.best_path:
        checkpoint = os.path.join(options.data_dir, "checkpoints", loop.BEST)
        print(f"Best checkpoint: {checkpoint}, the same as {os.path.basename(fitted.best_path)}")
    else:
        checkpoint = plan.resume or ""
        print(f"Best checkpoint: {checkpoint}: no improvement on it")
    network = ResearchModel.load(checkpoint, optimizer=options.model != "article")
    evaluation.calibrate(network, sequences.validation, fitted, checkpoint)
    return network, checkpoint, fitted.history, None


def _train_folds(store, plan, options):
    """(the mean of the networks of all folds, its checkpoint, the last fold's history, the report of the
    cross-validation)."""
    from models import ResearchModel
    from vidclass.training import evaluation, loop
    from vidclass.training.recordings import describe_folds

    members, validation = [], []
    for fold, splits in enumerate(plan.folds, 1):
        sizes = f"{count(len(splits.train), 'clip')} to train on, {len(splits.validation)} to validate on"
        print(f"Fold {fold} of {len(plan.folds)}: {sizes}")
        sequences, fitted = _fit(store, splits, plan, options, fold)
        members.append(ResearchModel.load(fitted.best_path))
        validation.append(sequences.validation)
    network, probabilities = evaluation.combine_folds(members, validation)
    checkpoint = os.path.join(options.data_dir, "checkpoints", loop.BEST)
    network.save(checkpoint, plan.metadata)
    print(f"Best checkpoint: {checkpoint}, the mean of the best of each fold")
    print("Cross-validation: each training clip, classified by the network that did not learn from it")
    folds = [sequences.clips for sequences in validation]
    for line in describe_folds(options.data_dir, folds):
        print(line, file=sys.stderr)
    clips = [clip for fold in folds for clip in fold]
    asked = evaluation.Evaluation(checkpoint, "cross-validation", store, clips, quiet=options.quiet)
    return network, checkpoint, fitted.history, evaluation.report_probabilities(probabilities, asked)


def _fit(store, splits, plan, options, fold=0):
    """(ClipSequences of the splits, loop.Fit) of one training. Draws its curves."""
    from keras.utils import set_random_seed

    from models import ResearchModel
    from vidclass.training import batches, devices, figures, loop, summary

    set_random_seed(options.seed)
    sequences = type(splits)(*(batches.ClipSequences(store, clips) for clips in splits))
    with devices.share_among(options.devices) as number:
        if plan.resume:
            network = ResearchModel.load(plan.resume, optimizer=True)
        else:
            dataset = store.dataset
            network = ResearchModel(
                len(dataset.classes), options.model, dataset.seq_length, units=options.units
            )
            network.set_normalization(batches.feature_statistics(sequences.train))
            summary.fit_summary(network, sequences.train)
        fitted = loop.fit(network, sequences, plan.metadata, options, number, fold)
    name = f"training-fold-{fold}" if fold else "training"
    path = os.path.join(options.data_dir, "reports", f"{name}.png")
    title = f"Training of {fitted.best_path or plan.resume}"
    figures.draw_curves(path, fitted, title, len(network.parts))
    return sequences, fitted


def make_parser() -> argparse.ArgumentParser:
    """The ArgumentParser of this command; its results fill TrainOptions."""
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    add, defaults = parser.add_argument, TrainOptions()
    add(
        "--model",
        choices=tuple(MODELS),
        default=defaults.model,
        help=f"{', '.join(name for name in MODELS if name != 'article')}: small networks for small datasets; "
        "article: the article's LSTM 2048 (default: %(default)s)",
    )
    add(
        "--units",
        type=cli.at_least(*LIMITS["units"]),
        help=f"width of the recurrent layer "
        f"(default: {', '.join(f'{name} {units}' for name, units in MODELS.items())})",
    )
    _add_validation_options(parser, defaults)
    at_least_one = cli.at_least(1)
    add("--epochs", type=at_least_one, default=defaults.epochs, help="at most (default: %(default)s)")
    add(
        "--batch-size",
        type=at_least_one,
        default=defaults.batch_size,
        help="clips per training step (default: %(default)s)",
    )
    seed_help = "of the validation split, the network's first weights and the order of the clips"
    add("--seed", type=cli.at_least(0, LARGEST_SEED), default=0, help=f"{seed_help} (default: %(default)s)")
    devices_help = "all: share each batch among all GPUs (default: %(default)s)"
    add("--devices", choices=DEVICES, default=defaults.devices, help=devices_help)
    add(
        "--resume",
        nargs="?",
        const="lstm-features.hdf5",
        metavar="CHECKPOINT",
        help="go on from a checkpoint (default: lstm-features.hdf5, the best so far)",
    )
    cli.add_sequences_option(parser, "take them from there, what it lacks is extracted and saved there, too")
    cli.add_baseline_option(parser)
    return parser


def _add_validation_options(parser, defaults):
    add = parser.add_argument
    add(
        "--validation-split",
        type=cli.fraction,
        default=defaults.validation_split,
        metavar="SHARE",
        help="share of the training clips held out to tell when to stop (default: %(default)s)",
    )
    add(
        "--group",
        action=argparse.BooleanOptionalAction,
        help="hold out whole groups of clips by name alone: v_Punch_g03_c01 is of group g03, match2_17 of "
        "match2_; --no-group: single clips (default: whole recordings or stretches, where clips.csv or "
        "names like v_Punch_g03_c01 tell them)",
    )
    add(
        "--folds",
        type=cli.at_least(*LIMITS["members"]),
        default=defaults.folds,
        metavar="K",
        help="train K networks, each validated on another part of the training clips, and take their mean "
        "(default: %(default)s)",
    )


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = make_parser().parse_args(argv)

    def work():
        options = TrainOptions(
            data_dir=args.data_dir,
            weights=args.weights,
            precision=args.precision,
            sequences_url=args.sequences,
            model=args.model,
            units=args.units,
            validation_split=args.validation_split,
            group=args.group,
            folds=args.folds,
            epochs=args.epochs,
            batch_size=args.batch_size,
            seed=args.seed,
            devices=args.devices,
            resume=args.resume,
            baseline=args.baseline,
            quiet=args.quiet,
        )
        result = train(args.seq_length, args.classes, (args.height, args.width, 3), options)
        return 1 if result.failed else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
