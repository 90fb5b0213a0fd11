"""Which recipe learns best? Test accuracy, epochs and time of train.py's networks, over several seeds and
splits.

Each run is train.py's own function with another --seed: another validation split, other first weights. With
--regroup the clips of both splits are thrown together, and for each seed a third of the groups that clip
names tell (see groups.group_of) become the test split. Beside the networks: scikit-learn's logistic
regression on the features averaged over time and standardised, on all training clips, and without those that
the networks hold out to validate. Features are extracted first.

    python benchmarks/recipe.py 40 3 299 299 --data-dir data --weights WEIGHTS --regroup --recipes lstm gru
"""

import contextlib
import io
import os
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from data import DataSet  # noqa: E402
from extract_features import ExtractionJob, extract_features  # noqa: E402
from train import TrainOptions, train  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.dataset.data_file import write_data_file  # noqa: E402
from vidclass.dataset.groups import group_of  # noqa: E402
from vidclass.features.identity import weights_id  # noqa: E402
from vidclass.features.sequence_store import FolderStore  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training import loop  # noqa: E402

RECIPES = {
    "lstm": {},
    "bilstm": {"model": "bilstm"},
    "gru": {"model": "gru"},
    "article": {"model": "article", "batch_size": 32},
    "lstm-256": {"units": 256},
    "lstm-group": {"group": True},
    "lstm-plain": {},  # without augmentation
}


def split_by_group(rows, seed):
    """The rows with a third of each class's groups in the test split, the others in the training split."""
    random = np.random.default_rng(seed)
    result = []
    for name in sorted({row.class_name for row in rows}):
        clips = [row for row in rows if row.class_name == name]
        groups = sorted({group_of(row.name) for row in clips})
        if len(groups) == 1:
            groups = sorted(row.name for row in clips)
        tested = set(random.permutation(groups)[: max(1, round(len(groups) / 3))])
        result += [
            row._replace(split="test" if {group_of(row.name), row.name} & tested else "train")
            for row in clips
        ]
    return result


@contextlib.contextmanager
def arranged(dataset, rows, identity):
    """A data folder with these rows, whose clips may be in other splits than in the dataset, and links to the
    sequences."""
    with tempfile.TemporaryDirectory() as folder:
        write_data_file(folder, rows)
        links = DataSet(dataset.seq_length, dataset.class_limit, dataset.image_shape, folder)
        stores = [FolderStore(one, identity) for one in (dataset, links)]
        for row, original in zip(rows, dataset.data):
            source, target = stores[0].path(original), stores[1].path(row)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(os.path.abspath(source), target)
        yield links


def regression(dataset, train_rows, identity):
    """The test accuracy of logistic regression on time-averaged, standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    store = FolderStore(dataset, identity)

    def arrays(rows):
        return (
            np.stack([store.load(row).mean(0) for row in rows]),
            np.array([dataset.classes.index(row.class_name) for row in rows]),
        )

    test_rows = dataset.split_train_test()[1]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(*arrays(train_rows))
    return model.score(*arrays(test_rows))


def run(links, weights, recipe, seed):
    """(test accuracy, calibration error, epochs, seconds) of a recipe."""
    augment = loop.augment
    if recipe == "lstm-plain":
        loop.augment = None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            options = TrainOptions(links.data_dir, weights, seed=seed, quiet=True, **RECIPES[recipe])
            result = train(links.seq_length, links.class_limit, links.image_shape, options)
            seconds = time.perf_counter() - start
    finally:
        loop.augment = augment
    error = result.report["expected_calibration_error"]
    return result.test_accuracy, error, len(result.history["loss"]), seconds


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument("--seeds", type=cli.at_least(1), default=5)
    parser.add_argument("--regroup", action="store_true")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["lstm"])
    args = parser.parse_args()
    import_keras()
    import keras

    shape = (args.height, args.width, 3)
    job = ExtractionJob(args.data_dir, args.weights, quiet=args.quiet)
    extract_features(args.seq_length, args.classes, shape, job)
    dataset = DataSet(args.seq_length, args.classes, shape, args.data_dir)
    identity = weights_id(args.weights)
    dataset.data.sort(key=lambda row: row.class_name)  # as split_by_group does
    results = {}
    for seed in range(args.seeds):
        rows = split_by_group(dataset.data, seed) if args.regroup else dataset.data
        with arranged(dataset, rows, identity) as links:
            for name, share in (
                ("regression, all training clips", None),
                ("regression, without validation clips", 0.2),
            ):
                used = links.split_train_validation(share, seed)[0] if share else links.split_train_test()[0]
                results.setdefault(name, []).append(
                    (regression(links, used, identity), np.nan, np.nan, np.nan)
                )
            for recipe in args.recipes:
                results.setdefault(recipe, []).append(run(links, args.weights, recipe, seed))
                keras.backend.clear_session()
                print(seed, recipe, *(f"{value:.3f}" for value in results[recipe][-1]), file=sys.stderr)
    print(
        f"{len(dataset.data)} clips of {', '.join(dataset.classes)}, {args.seeds} seeds"
        f"{', each with another test split' if args.regroup else ''}: mean and standard deviation"
    )
    print(f"{'':38}test accuracy     calibration error  epochs  seconds")
    for name, values in results.items():
        accuracy, calibration, epochs, seconds = np.mean(values, 0)
        line = f"{name:38}{accuracy:.3f} +- {np.std(values, 0)[0]:.3f}"
        print(line if np.isnan(epochs) else f"{line}    {calibration:17.3f} {epochs:7.0f} {seconds:8.1f}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
