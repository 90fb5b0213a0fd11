"""Says how well a checkpoint does on the clips of a split.

Reads the checkpoint, data/data_file.csv and the feature sequences in data/sequences/. Prints a short table
and writes the whole report to data/reports/: <checkpoint>-<split>.json and .png.

    python evaluate.py 75 2 lstm-features.hdf5
    python evaluate.py 75 2 lstm-features.hdf5 --split validation
"""

import os
import sys

from data import DataSet
from models import ResearchModel
from vidclass import cli, locking
from vidclass.dataset.data_file import command
from vidclass.features.identity import features_id, weights_id
from vidclass.features.sequence_store import UrlStore
from vidclass.keras_loading import import_keras
from vidclass.training.batches import ClipSequences, predict
from vidclass.training.checkpoint import Checkpoint, find_checkpoint
from vidclass.training.figures import write_report
from vidclass.training.metadata import printable_name

SPLITS = ("test", "validation", "train")


@locking.one_run_at_a_time(unless=lambda given: not given.sequences_url)
def evaluate(
    seq_length,
    class_limit,
    saved_model,
    data_dir="data",
    split="test",
    weights=None,
    image_shape=None,
    precision="float32",
    sequences_url=None,
    quiet=False,
):
    """Evaluates a checkpoint, writes the report and prints its table.

    seq_length, class_limit: those of the checkpoint `saved_model`. split: "test", "train", or "validation",
    the training clips that were held out to tell when to stop. weights, image_shape: InceptionV3's weights
    and (height, width, 3) of the sequences, for a checkpoint that doesn't say. precision: of the sequences.
    sequences_url: where the sequences are that data_dir lacks, see store.UrlStore; they are copied.

    Returns report.evaluate's dict. Raises cli.UsageError if the arguments contradict the checkpoint or don't
    suffice, FileNotFoundError, ValueError or OSError, naming the file, for what can't be read.
    """
    saved_model = find_checkpoint(saved_model, data_dir)
    with Checkpoint(saved_model) as file:
        cli.check_checkpoint(file, seq_length, class_limit)
        metadata = file.metadata
    if metadata is None and image_shape is None:
        raise cli.UsageError(
            f"{saved_model} doesn't say at which size it saw the frames; give --size HEIGHT WIDTH"
        )
    image_shape = tuple(metadata.image_shape) if metadata else image_shape
    identity = metadata.weights if metadata else weights_id(weights or "imagenet")

    dataset = DataSet(seq_length, class_limit, image_shape, data_dir)
    dataset_classes = [printable_name(name) for name in dataset.classes]
    classes = metadata.class_names if metadata else dataset_classes
    if classes != dataset_classes:
        raise cli.UsageError(
            f"{saved_model} was trained on the classes {', '.join(classes)}, but the first {class_limit} of "
            f"{os.path.join(data_dir, 'data_file.csv')} are {', '.join(dataset_classes)}"
        )
    rows = choose_clips(dataset, split, metadata, saved_model)
    identity = features_id(identity, precision)
    if sequences_url:
        UrlStore(dataset, identity, sequences_url).download(rows, quiet)
    missing = dataset.missing_sequences(rows, identity)
    if missing:
        height, width = image_shape[:2]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{dataset.get_sequence_path(missing[0], identity)}{more}: no such feature sequence; "
            f"make them with {command(data_dir, f'extract_features.py {seq_length} {class_limit} {height} {width}')} and the "
            f"--weights and --precision of the training"
        )

    import_keras()
    clips = ClipSequences(dataset, rows, identity)
    return write_report(
        os.path.join(data_dir, "reports"),
        saved_model,
        split,
        clips.targets.argmax(1),
        predict(ResearchModel.load(saved_model), clips),
        classes,
        [row.name for row in rows],
    )


def choose_clips(dataset, split, metadata, saved_model):
    """The Clips of a split. Raises cli.UsageError if it is empty or nothing tells which clips it has."""
    train_rows, test_rows = dataset.split_train_test()
    training = metadata and metadata.training
    if split == "test":
        rows = test_rows
    elif training:
        halves = dataset.split_train_validation(
            training["validation_split"], training["seed"], training["group"]
        )
        rows = halves[split == "validation"]
    elif split == "train":
        rows = train_rows
    else:
        raise cli.UsageError(
            f"{saved_model} doesn't say which clips validated it; only --split test and train can be told"
        )
    if not rows:
        raise cli.UsageError(
            f"there are no {split} clips of {', '.join(dataset.classes)} in {dataset.data_dir}"
        )
    return rows


def main(argv=None):
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
    args = parser.parse_args(argv)
    return cli.run(
        lambda: (
            evaluate(
                args.seq_length,
                args.classes,
                args.checkpoint,
                args.data_dir,
                args.split,
                args.weights,
                args.size and (*args.size, 3),
                args.precision,
                args.sequences,
                args.quiet,
            )
            and 0
        ),
        args.debug,
    )


if __name__ == "__main__":
    sys.exit(main())
