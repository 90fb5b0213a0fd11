"""Trains the LSTM on the clips' feature sequences and says how well it does on the test clips.

Reads data/data_file.csv and data/sequences/, and extracts the sequences that are missing. Writes a checkpoint
at each improvement, data/checkpoints/lstm-features.<epoch>-<val_loss>.hdf5, with the best so far in
lstm-features.hdf5, TensorBoard and CSV logs to data/logs/, and the evaluation to data/reports/. Stops after
five epochs without improvement.

    python train.py 75 2 720 1280
"""

import contextlib
import hashlib
import os
import sys
from dataclasses import replace

from data import DataSet
from extract_features import extract_features
from models import ResearchModel
from vidclass import cli, console, locking
from vidclass.console import print
from vidclass.dataset.data_file import command
from vidclass.dataset.groups import find_shared_clips
from vidclass.features.identity import features_id, weights_id
from vidclass.features.sequence_store import UrlStore
from vidclass.keras_loading import import_keras
from vidclass.training.augmentation import augment
from vidclass.training.batches import ClipSequences, batches, feature_statistics, predict
from vidclass.training.calibration import fit_temperature
from vidclass.training.checkpoint import Checkpoint, find_checkpoint, hard_link, rewrite_metadata
from vidclass.training.devices import all_devices
from vidclass.training.figures import draw_curves, write_report
from vidclass.training.loop import BEST, fit
from vidclass.training.metadata import LIMITS, LONGEST_NAME, UNITS, Metadata, check_writable, printable_name

EPOCHS = 1000  # at most
BATCH_SIZE = 16
ASSUMED_FPS = 25  # the article's, where the length of the clips in seconds was not noted


@locking.one_run_at_a_time()
def train(
    seq_length,
    class_limit,
    image_shape,
    data_dir="data",
    weights="imagenet",
    model="lstm",
    validation_split=0.2,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    seed=0,
    quiet=False,
    precision="float32",
    units=None,
    group=False,
    resume=None,
    devices="one",
    sequences_url=None,
):
    """Extracts missing features, trains, and evaluates the best checkpoint on the test split.

    units: width of the recurrent layer (None: the model's default). group: see
    DataSet.split_train_validation. resume: a checkpoint to go on from. devices: "all" trains on all GPUs, see
    devices.all_devices. sequences_url: where sequences are kept, see store.UrlStore: what is there is copied
    to data_dir, what it lacks is extracted and saved in both.

    Returns a dict: checkpoint (path of the best), history (of keras.Model.fit), test_accuracy and report (see
    report.evaluate; None without test clips), failed (clips left out because their frames could not be read).
    Raises what DataSet and Extractor raise, and cli.UsageError if `resume` was trained otherwise.
    """

    inception_id, dataset = weights_id(weights), DataSet(seq_length, class_limit, image_shape, data_dir)
    metadata = Metadata(
        class_names=[printable_name(name) for name in dataset.classes],
        seq_length=seq_length,
        image_shape=list(image_shape),
        clip_seconds=dataset.get_clip_seconds() or 1,  # a placeholder: the extraction may note another
        weights=inception_id,
        weights_name=os.path.basename(weights)[:LONGEST_NAME],
        model=model,
        units=units or UNITS[model],
        training={
            "validation_split": validation_split,
            "seed": seed,
            "batch_size": batch_size,
            "group": group,
        },
    )
    check_writable(metadata)
    if resume:
        resume = find_checkpoint(resume, data_dir)
        with Checkpoint(resume) as file:
            check_resumed(resume, file.metadata, metadata)
            file.check_optimizer()

    # Before the hours of extraction, whatever they would be in vain for.
    planned = choose_splits(dataset, validation_split, seed, group)
    print_sizes(planned)
    warn_of_splits(dataset, planned[2], group)

    failed = extract_features(
        seq_length,
        class_limit,
        image_shape,
        data_dir,
        weights,
        quiet,
        precision,
        sequences_url=sequences_url,
        keep=True,
    )
    dataset = DataSet(seq_length, class_limit, image_shape, data_dir)
    identity = features_id(inception_id, precision)
    if sequences_url:
        UrlStore(dataset, identity, sequences_url).download(dataset.data, quiet)
    missing = set(dataset.missing_sequences(dataset.data, identity))
    dataset.data = [row for row in dataset.data if row not in missing]
    splits = choose_splits(dataset, validation_split, seed, group)
    if splits != planned:
        print_sizes(splits)
    metadata.clip_seconds = clip_seconds(dataset, splits[0])
    check_writable(metadata)
    metadata.training["clips"] = hashlib.sha256(repr(sorted(splits[0])).encode(errors="replace")).hexdigest()[
        :12
    ]

    import_keras(and_tensorflow=True)  # in which Keras writes TensorBoard's logs
    import keras

    keras.utils.set_random_seed(seed)
    clips, validation, test = (ClipSequences(dataset, rows, identity) for rows in splits)
    start = 0
    with all_devices() if devices == "all" else contextlib.nullcontext(1) as count:
        if resume:
            research_model = ResearchModel.load(resume, optimizer=True)
            start = research_model.metadata.epoch
            if research_model.metadata.training.get("clips") != metadata.training["clips"]:
                print(
                    f"{resume} was trained on other clips: it may have learned from some that validate it now",
                    file=sys.stderr,
                )
        else:
            research_model = ResearchModel(len(dataset.classes), model, seq_length, units=units)
            research_model.set_normalization(*feature_statistics(clips))
        if count > 1:
            print(f"Training on {count} devices, {-(-batch_size // count)} clips of a batch on each")
        history, best, epoch = fit(
            research_model,
            batches(clips, batch_size, seed, None if model == "article" else augment, count),
            batches(validation, batch_size, multiple=count),
            metadata,
            data_dir,
            epochs,
            verbose=0 if quiet else 1 if sys.stdout.isatty() else 2,
        )
    if best is None and not resume:
        raise RuntimeError("the validation loss was never a number: no checkpoint was written")
    path = os.path.join(data_dir, "checkpoints", BEST) if best else resume
    print(
        f"Best checkpoint: {path}"
        + (f", the same as {os.path.basename(best)}" if best else ": no improvement on it")
    )
    research_model = ResearchModel.load(path)
    if best:
        research_model.temperature = 1.0  # the one in the checkpoint, if any, is of an earlier epoch
    said = predict(research_model, validation)
    if best:
        calibrate(research_model, validation.targets, said, best, path)
    report = evaluate(research_model, path, said, test, os.path.join(data_dir, "reports"))
    if history:
        draw_curves(
            os.path.join(data_dir, "reports", "training.png"),
            history,
            epoch,
            f"Training of {path}",
            start + 1,
        )
    return {
        "checkpoint": path,
        "history": history,
        "test_accuracy": report and report["accuracy"],
        "report": report,
        "failed": failed,
    }


def check_resumed(path, found, wanted):
    """Raises cli.UsageError unless a checkpoint's Metadata allow a training to go on as wanted, ValueError if
    it was not made by train.py."""
    if found is None or found.training is None or found.val_loss is None:
        raise ValueError(
            f"{path}: holds no account of its training to go on from; give a checkpoint of train.py"
        )
    for what, before, now in (
        ("classes", found.class_names, wanted.class_names),
        ("sequence length", found.seq_length, wanted.seq_length),
        ("frame size", found.image_shape[:2], wanted.image_shape[:2]),
        ("--weights", found.weights, wanted.weights),
        ("--model", found.model, wanted.model),
        ("--units", found.units, wanted.units),
        *(
            (f"--{key.replace('_', '-')}", found.training.get(key), value)
            for key, value in wanted.training.items()
        ),
    ):
        if before != now:
            raise cli.UsageError(
                f"{path} was trained with {what} {before}, not {now}; give the same to go on from it"
            )


def choose_splits(dataset, validation_split, seed, group):
    """(clips to train on, to validate on, to test on). Raises ValueError if a class has too few to train
    with."""
    return (*dataset.split_train_validation(validation_split, seed, group), dataset.split_train_test()[1])


def print_sizes(splits):
    """Prints how many clips each has of choose_splits."""
    train_rows, validation_rows, test_rows = splits
    print(
        f"{console.count(len(train_rows), 'clip')} to train on, {len(validation_rows)} to validate on, {len(test_rows)} to test on"
    )


def warn_of_splits(dataset, test_rows, group):
    """Prints what makes the splits less telling than they look."""
    if group and dataset.ungrouped_classes():
        print(
            f"--group: the clip names of {', '.join(dataset.ungrouped_classes())} tell no groups; their validation clips "
            f"are chosen singly",
            file=sys.stderr,
        )
    shared = find_shared_clips(dataset.data_dir, dataset.data)
    for train_row, test_row in shared[:3]:
        print(
            f"The same video is in both splits: {'/'.join(train_row[:3])} and {'/'.join(test_row[:3])}",
            file=sys.stderr,
        )
    if shared:
        print(
            f"In all {len(shared)} of the {len(test_rows)} test clips: the test accuracy will flatter; delete them from "
            f"{os.path.join(dataset.data_dir, 'test')} and run {command(dataset.data_dir, 'extract_files.py')} again",
            file=sys.stderr,
        )


def clip_seconds(dataset, rows):
    """The time that a training clip spans in seconds, the median."""
    seconds = dataset.get_clip_seconds()
    if seconds is None:
        frames = sorted(row.frames for row in rows)[len(rows) // 2]
        seconds = frames / ASSUMED_FPS
        print(
            f"No note tells how long the clips last: {frames} frames are taken for {seconds:.2f} s, at "
            f"{ASSUMED_FPS} frames per second",
            file=sys.stderr,
        )
    return seconds


def calibrate(research_model, targets, said, best, path):
    """Fits the model's temperature to what the network said of the validation clips, probabilities (n,
    classes), and notes it in the checkpoint, which has two names."""
    research_model.temperature = fit_temperature(targets, said)
    rewrite_metadata(best, replace(research_model.metadata, temperature=research_model.temperature))
    hard_link(best, path)


def evaluate(research_model, path, said, test, folder):
    """Writes the report on a checkpoint to a folder and prints its table. said: of the validation clips, as
    for calibrate. Returns report.evaluate's dict of the test clips, None if there are none."""
    classes = research_model.metadata.class_names
    predicted = said.argmax(1)
    if len(set(predicted)) == 1:
        print(
            f"All validation clips are classified as {classes[predicted[0]]}: the network has not learned to tell the "
            f"classes apart. More clips help, or other --weights, a larger frame size, another --seed",
            file=sys.stderr,
        )
    if not len(test):
        print("No test clips: nothing tells how well this model does on clips it has not seen")
        return None
    return write_report(
        folder,
        path,
        "test",
        test.targets.argmax(1),
        predict(research_model, test),
        classes,
        [row.name for row in test.rows],
    )


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument(
        "--model",
        choices=("lstm", "bilstm", "gru", "article"),
        default="lstm",
        help="lstm, bilstm, gru: small networks for small datasets; article: the article's LSTM 2048 "
        "(default: lstm)",
    )
    parser.add_argument(
        "--units",
        type=cli.at_least(*LIMITS["units"]),
        help="width of the recurrent layer (default: 64, the article's 2048)",
    )
    parser.add_argument(
        "--validation-split",
        type=cli.fraction,
        default=0.2,
        metavar="SHARE",
        help="share of the training clips held out to tell when to stop (default: 0.2)",
    )
    parser.add_argument(
        "--group",
        action="store_true",
        help="hold out whole groups of clips, which their names tell: v_Punch_g03_c01 is of group g03, "
        "match2_17 of match2_",
    )
    parser.add_argument("--epochs", type=cli.at_least(1), default=EPOCHS, help=f"at most (default: {EPOCHS})")
    parser.add_argument(
        "--batch-size",
        type=cli.at_least(1),
        default=BATCH_SIZE,
        help=f"clips per training step (default: {BATCH_SIZE})",
    )
    parser.add_argument(
        "--seed",
        type=cli.at_least(0, 2**32 - 1),
        default=0,  # NumPy's
        help="of the validation split, the network's first weights and the order of the clips (default: 0)",
    )
    parser.add_argument(
        "--devices",
        choices=("one", "all"),
        default="one",
        help="all: share each batch among all GPUs (default: one)",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="lstm-features.hdf5",
        metavar="CHECKPOINT",
        help="go on from a checkpoint (default: lstm-features.hdf5, the best so far)",
    )
    cli.add_sequences_option(parser, "take them from there, what it lacks is extracted and saved there, too")
    args = parser.parse_args(argv)

    def work():
        result = train(
            args.seq_length,
            args.classes,
            (args.height, args.width, 3),
            args.data_dir,
            args.weights,
            args.model,
            args.validation_split,
            args.epochs,
            args.batch_size,
            args.seed,
            args.quiet,
            args.precision,
            args.units,
            args.group,
            args.resume,
            args.devices,
            args.sequences,
        )
        return 1 if result["failed"] else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
