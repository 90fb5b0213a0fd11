"""Says how well a checkpoint does on the clips of a split.

Reads the checkpoint, data/data_file.csv and the feature sequences in data/sequences/. Prints a short table
and writes the whole report to data/reports/: <checkpoint>-<split>.json and .png.

    python evaluate.py 75 2 lstm-features.hdf5
    python evaluate.py 75 2 lstm-features.hdf5 --split validation
"""

import os
import sys
from dataclasses import dataclass
from typing import Any

from vidclass import cli, locking
from vidclass.console import print
from vidclass.errors import UsageError, check_choice
from vidclass.keras_loading import import_keras

SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of evaluate. Raises UsageError for values that make no sense."""

    data_dir: str = "data"
    # One of SPLITS; "validation": the training clips that were held out to tell when to stop.
    split: str = "test"
    weights: str | None = None  # InceptionV3's, for a checkpoint that doesn't say; None: imagenet
    image_shape: tuple[int, int, int] | None = None  # height, width, 3, for a checkpoint that doesn't say
    precision: str = "auto"  # of the features: those of the checkpoint, or int8, or any float format
    sequences_url: str | None = None  # where sequences are that data_dir lacks, see sequence_store.UrlStore
    baseline: bool = True  # compare with logistic regression on the same features
    quiet: bool = False  # no progress bars

    def __post_init__(self):
        check_choice("--split", self.split, SPLITS)


@dataclass(frozen=True)
class EvaluateResult:
    """What evaluate found out."""

    checkpoint: str  # its path
    split: str
    report: dict[str, Any]  # see metrics.compute_metrics; data/reports has it as JSON

    @property
    def accuracy(self) -> float:
        """The share of the clips that are classified right."""
        return self.report["accuracy"]


@locking.one_run_at_a_time(unless=lambda options: not options.sequences_url)
def evaluate(
    seq_length: int,
    class_limit: int,
    saved_model: str | os.PathLike,
    options: EvaluateOptions = EvaluateOptions(),
) -> EvaluateResult:
    """Evaluates a checkpoint on the clips of a split, writes the report and prints its table.

    seq_length, class_limit: those of the checkpoint `saved_model`. Raises UsageError if the arguments
    contradict the checkpoint or don't suffice, FileNotFoundError, ValueError or OSError, naming the file, for
    what can't be read.
    """
    from data import DataSet
    from vidclass.features.identity import features_id, weights_id
    from vidclass.features.sequence_store import FolderStore, UrlStore
    from vidclass.training.checkpoint import Checkpoint, find_checkpoint

    saved_model = find_checkpoint(saved_model, options.data_dir)
    with Checkpoint(saved_model) as file:
        file.check_arguments(seq_length, class_limit)
        metadata = file.metadata
    image_shape = options.image_shape
    if metadata:
        height, width, channels = metadata.image_shape
        image_shape = (height, width, channels)
    if image_shape is None:
        raise UsageError(
            f"{saved_model} doesn't say at which size it saw the frames; give --size HEIGHT WIDTH"
        )
    dataset = DataSet(seq_length, class_limit, image_shape, options.data_dir)
    _check_classes(dataset, metadata, saved_model)
    clips = choose_clips(dataset, options.split, metadata, saved_model)
    inception_id = metadata.weights if metadata else weights_id(options.weights or "imagenet")
    precision = metadata.precision(options.precision) if metadata else options.precision
    identity = features_id(inception_id, precision)
    store = FolderStore(dataset, identity)
    if options.sequences_url:
        UrlStore(dataset, identity, options.sequences_url).download(clips, options.quiet)
    _check_sequences(store, clips)

    import_keras()
    from models import ResearchModel
    from vidclass.training.evaluation import Evaluation, report_on

    asked = Evaluation(saved_model, options.split, store, clips, options.baseline, options.quiet)
    report = report_on(ResearchModel.load(saved_model), asked)
    return EvaluateResult(saved_model, options.split, report)


def _check_classes(dataset, metadata, saved_model):
    """Raises UsageError if the dataset has other classes than the checkpoint."""
    from vidclass.training.metadata import printable_name

    found = [printable_name(name) for name in dataset.classes]
    if metadata and metadata.class_names != found:
        raise UsageError(
            f"{saved_model} was trained on the classes {', '.join(metadata.class_names)}, but the first "
            f"{dataset.class_limit} of {os.path.join(dataset.data_dir, 'data_file.csv')} are "
            f"{', '.join(found)}"
        )


def choose_clips(dataset: Any, split: str, metadata: Any, saved_model: str) -> list:
    """The clips of a split. dataset: a DataSet. metadata: the checkpoint's, or None. Raises UsageError if
    there are none, or nothing tells which they are."""
    from vidclass.training.preparation import clips_id

    train_clips, test_clips = dataset.split_train_test()
    training = metadata and metadata.training
    if split == "test":
        clips = test_clips
    elif training and training.get("folds") and split == "validation":
        raise UsageError(
            f"{saved_model} was trained with --folds: each training clip has taught some of its networks and "
            f"validated another; see {os.path.join(dataset.data_dir, 'reports')}, *-cross-validation.png"
        )
    elif training and not training.get("folds"):
        parts = dataset.split_train_validation(
            training["validation_split"], training["seed"], training["group"]
        )
        clips = parts[split == "validation"]
        if training.get("clips") not in (None, clips_id(parts[0])):
            print(
                f"{saved_model} was trained on other clips than {dataset.data_dir} has now: it may have "
                f"learned from some of these {split} clips",
                file=sys.stderr,
            )
    elif split == "train":
        clips = train_clips
    else:
        raise UsageError(f"{saved_model} doesn't say which clips validated it; give --split test or train")
    if not clips:
        raise UsageError(f"there are no {split} clips of {', '.join(dataset.classes)} in {dataset.data_dir}")
    return clips


def _check_sequences(store, clips):
    """Raises FileNotFoundError, with the cure, if features of some clips are missing."""
    from vidclass.dataset.data_file import command

    missing = store.missing(clips)
    if missing:
        dataset, (height, width, _) = store.dataset, store.dataset.image_shape
        arguments = f"{dataset.seq_length} {dataset.class_limit} {height} {width}"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{store.path(missing[0])}{more}: no such feature sequence; make them with "
            f"{command(dataset.data_dir, f'extract_features.py {arguments}')} and the --weights of "
            f"the training"
        )


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = cli.make_parser(__doc__)
    cli.add_checkpoint_arguments(parser)
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="test",
        help="validation: the training clips that were held out (default: test)",
    )
    parser.add_argument(
        "--size",
        type=cli.at_least(75),
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the frames, for a checkpoint that doesn't say, one of the article's repository",
    )
    cli.add_sequences_option(parser, "copy those that are missing from there")
    cli.add_baseline_option(parser)
    args = parser.parse_args(argv)

    def work():
        options = EvaluateOptions(
            data_dir=args.data_dir,
            split=args.split,
            weights=args.weights,
            image_shape=(*args.size, 3) if args.size else None,
            precision=args.precision,
            sequences_url=args.sequences,
            baseline=args.baseline,
            quiet=args.quiet,
        )
        evaluate(args.seq_length, args.classes, args.checkpoint, options)

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
