"""Which recipe learns best? Test accuracy, epochs and time of train.py's networks, over several seeds and
splits.

Each run is train.py's own function with another --seed: another validation split, other first weights. With
--regroup the clips of both splits are thrown together, and for each seed a third of the groups that clip
names tell (see groups.group_of) become the test split. Where all classes have the same groups (UCF101, the
datasets of motion.py) the test groups are the same in all of them: clips of one origin stay on one side.

Beside the networks: scikit-learn's logistic regression on standardised statistics of the features, on all
training clips: their mean over time, and mean, standard deviation and mean absolute step |x_t - x_(t-1)|. And
on the mean without the clips that the networks hold out to validate. Below the table: by how much each
network is ahead of the better of the two regressions on all training clips, a mean over the seeds, each
compared on its own split, and its standard error. The splits overlap, so the true error is somewhat larger.

    python benchmarks/recipe.py 40 3 299 299 --data-dir data --weights WEIGHTS --regroup --recipes lstm gru
"""

import contextlib
import dataclasses
import io
import os
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from scores import Score, as_json, print_table  # noqa: E402

from data import DataSet  # noqa: E402
from extract_features import ExtractionJob, extract_features  # noqa: E402
from train import TrainOptions, train  # noqa: E402
from vidclass import atomic, cli  # noqa: E402
from vidclass.dataset.data_file import write_data_file  # noqa: E402
from vidclass.dataset.groups import group_of  # noqa: E402
from vidclass.errors import UsageError  # noqa: E402
from vidclass.features.identity import features_id, weights_id  # noqa: E402
from vidclass.features.sequence_store import RANGES, FolderStore  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402

RECIPES = {
    "lstm": {},
    "bilstm": {"model": "bilstm"},
    "gru": {"model": "gru"},
    "article": {"model": "article", "batch_size": 32},
    "lstm-256": {"units": 256},
    "lstm-singly": {"group": False},
    "lstm-folds": {"folds": 4},
}
REGRESSIONS = {  # name: whether on the mean alone, the share of the training clips that it does without
    "regression, mean": (True, 0),
    "regression, mean + deviation + step": (False, 0),
    "regression, mean, without validation": (True, 0.2),
}


def split_by_group(rows, seed):
    """The rows with a third of each class's groups in the test split, the others in the training split: the
    same groups in all classes if all have the same. Clips of a class with one group are drawn singly."""
    random = np.random.default_rng(seed)
    names = sorted({row.class_name for row in rows})
    groups_of = {
        name: sorted({group_of(row.name) for row in rows if row.class_name == name}) for name in names
    }
    first = groups_of[names[0]]
    have_same = len(first) > 1 and all(groups == first for groups in groups_of.values())
    tested_in_all = draw_third(random, first) if have_same else None
    result = []
    for name in names:
        clips = [row for row in rows if row.class_name == name]
        groups = groups_of[name] if len(groups_of[name]) > 1 else sorted(row.name for row in clips)
        tested = draw_third(random, groups) if tested_in_all is None else tested_in_all
        result += [
            row._replace(split="test" if {group_of(row.name), row.name} & tested else "train")
            for row in clips
        ]
    return result


def draw_third(random, names):
    """A third of some names at random, one at least: a set."""
    return set(random.permutation(names)[: max(1, round(len(names) / 3))])


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
        ranges = stores[0].load_file(RANGES)
        if ranges is not None:
            stores[1].save_file(RANGES, ranges)
        yield links


def regression(dataset, train_rows, identity, only_mean=True):
    """The Score of logistic regression on standardised statistics of the features on the test clips: their
    mean over time, and their standard deviation and mean absolute step unless only_mean."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    store = FolderStore(dataset, identity)

    def arrays(rows):
        return (
            np.stack([statistics(store.load(row), only_mean) for row in rows]),
            np.array([dataset.classes.index(row.class_name) for row in rows]),
        )

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(*arrays(train_rows))
    features, truth = arrays(dataset.split_train_test()[1])
    predicted = model.predict(features)
    return Score(accuracy_score(truth, predicted), balanced_accuracy_score(truth, predicted))


def statistics(sequence, only_mean):
    """What the report's baseline sees of a sequence (steps, features): (features,) or (3 * features,)."""
    from vidclass.training.baseline import summarize

    return summarize(sequence)[: sequence.shape[1] if only_mean else None]


def run(links, weights, precision, recipe, seed):
    """The Score of a recipe."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = time.perf_counter()
        options = TrainOptions(
            links.data_dir, weights, precision, seed=seed, quiet=True, baseline=False, **RECIPES[recipe]
        )
        result = train(links.seq_length, links.class_limit, links.image_shape, options)
        seconds = time.perf_counter() - start
    report = result.report
    return Score(
        report["accuracy"],
        report["balanced_accuracy"],
        report["expected_calibration_error"],
        len(result.history["loss"]),
        seconds,
    )


def measure(args, dataset, identity):
    """{row: a Score for each seed} of the regressions and the recipes."""
    import keras

    results = {}
    for seed in range(args.seeds):
        rows = split_by_group(dataset.data, seed) if args.regroup else dataset.data
        with arranged(dataset, rows, identity) as links:
            for name, (only_mean, share) in REGRESSIONS.items():
                used = links.split_train_validation(share, seed)[0] if share else links.split_train_test()[0]
                results.setdefault(name, []).append(regression(links, used, identity, only_mean))
            for recipe in args.recipes:
                score = run(links, args.weights, args.precision, recipe, seed)
                results.setdefault(recipe, []).append(score)
                keras.backend.clear_session()
                values = dataclasses.astuple(score)
                print(seed, recipe, *(f"{value:.3f}" for value in values), file=sys.stderr)
    return results


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument("--seeds", type=cli.at_least(1), default=10, help="default: %(default)s")
    parser.add_argument("--regroup", action="store_true", help="another test split for each seed")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["lstm"])
    parser.add_argument("--json", metavar="PATH", help="write all numbers to this file")
    args = parser.parse_args()
    if args.json and not os.path.isdir(folder := os.path.dirname(os.path.abspath(args.json))):
        raise UsageError(f"--json {args.json}: the folder {folder} does not exist; make it first")
    import_keras()

    shape = (args.height, args.width, 3)
    job = ExtractionJob(args.data_dir, args.weights, args.precision, quiet=args.quiet)
    extract_features(args.seq_length, args.classes, shape, job)
    dataset = DataSet(args.seq_length, args.classes, shape, args.data_dir)
    dataset.data.sort(key=lambda row: row.class_name)  # as split_by_group does
    results = measure(args, dataset, features_id(weights_id(args.weights), args.precision))
    print(
        f"{len(dataset.data)} clips of {', '.join(dataset.classes)}, {args.seeds} seeds"
        f"{', each with another test split' if args.regroup else ''}: mean and standard deviation"
    )
    print_table(results)
    if args.json:
        about = {"clips": len(dataset.data), "classes": dataset.classes, "arguments": vars(args)}
        atomic.write_text(args.json, as_json(results, about))


if __name__ == "__main__":
    sys.exit(cli.run(main))
