"""Does the LSTM learn? Its test accuracy over several seeds beside scikit-learn's logistic regression on the same clips.

The regression sees each clip's features averaged over time and standardised. It is fitted once on all training clips, and
once per seed on the clips that train.py is left with when the validation clips are held out.

    python benchmarks/baseline.py 40 3 240 320 --data-dir data --seeds 5
"""
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import cli  # noqa: E402
import train  # noqa: E402
from data import DataSet  # noqa: E402
from extract_features import extract_features  # noqa: E402
from inception import weights_id  # noqa: E402


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument("--seeds", type=cli.at_least(1), default=5)
    parser.add_argument("--model", default="lstm")
    args = parser.parse_args()
    weights, image_shape = args.weights, (args.height, args.width, 3)
    extract_features(args.seq_length, args.classes, image_shape, args.data_dir, weights)
    dataset = DataSet(args.seq_length, args.classes, image_shape, args.data_dir)
    identity = weights_id(weights)

    def arrays(rows):
        return (np.stack([dataset.load_sequence(row, identity).mean(0) for row in rows]),
                np.array([dataset.classes.index(row.class_name) for row in rows]))

    def regression(rows):
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(*arrays(rows)).score(*test)

    train_rows, test_rows = dataset.split_train_test()
    test = arrays(test_rows)
    print(f"{len(train_rows)} training clips, {len(test_rows)} test clips of {', '.join(dataset.classes)}")
    print(f"logistic regression, all training clips       {regression(train_rows):.3f}")
    part = [regression(dataset.split_train_validation(0.2, seed)[0]) for seed in range(args.seeds)]
    print(f"logistic regression, without validation clips {np.mean(part):.3f} +- {np.std(part):.3f}")

    accuracies, epochs, seconds = [], [], []
    for seed in range(args.seeds):
        # Its checkpoints and logs go to a folder of their own; frames and sequences are the data folder's.
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            for name in ("train", "test", "sequences"):
                os.symlink(os.path.abspath(os.path.join(args.data_dir, name)), os.path.join(folder, name))
            shutil.copy(os.path.join(args.data_dir, "data_file.csv"), folder)
            start = time.perf_counter()
            result = train.train(args.seq_length, args.classes, image_shape, folder, weights, args.model, seed=seed,
                                 quiet=True)
            seconds.append(time.perf_counter() - start)
        accuracies.append(result["test_accuracy"])
        epochs.append(len(result["history"]["loss"]))
    print(f"train.py --model {args.model}, {args.seeds} seeds".ljust(46)
          + f"{np.mean(accuracies):.3f} +- {np.std(accuracies):.3f}  ({np.mean(epochs):.0f} epochs, "
          f"{np.mean(seconds):.0f} s)")


if __name__ == "__main__":
    sys.exit(cli.run(main))
