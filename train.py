"""Trains the LSTM on the clips' feature sequences and says how well it does on the test clips.

Reads data/data_file.csv and data/sequences/, and extracts the sequences that are missing. Writes a checkpoint at each
improvement, data/checkpoints/lstm-features.<epoch>-<val_loss>.hdf5, with the best so far in lstm-features.hdf5, and
TensorBoard and CSV logs to data/logs/. Stops after five epochs without improvement.

    python train.py 75 2 720 1280
"""
import os
import shutil
import sys
import time

import cli

PATIENCE = 5  # epochs without improvement
# Of the validation loss, to count as an improvement. On clips that are easy to tell apart it would go on falling by
# ever smaller amounts for a thousand epochs, each with its checkpoint.
MIN_DELTA = 0.001
EPOCHS = 1000  # at most
BATCH_SIZE = 16
ASSUMED_FPS = 25  # the article's, where the length of the clips in seconds was not noted


def train(seq_length, class_limit, image_shape, data_dir="data", weights="imagenet", model="lstm",
          validation_split=0.2, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=0, quiet=False, precision="float32"):
    """Extracts missing features, trains, and evaluates the best checkpoint on the test split.

    Returns a dict: checkpoint (path of the best), history (of keras.Model.fit), test_accuracy (None without test clips),
    failed (clips left out because their frames could not be read). Raises what DataSet and Extractor raise.
    """
    from data import DataSet
    from extract_features import extract_features
    from inception import features_id, weights_id
    from models import Metadata, ResearchModel

    failed = extract_features(seq_length, class_limit, image_shape, data_dir, weights, quiet, precision)
    dataset = DataSet(seq_length, class_limit, image_shape, data_dir)
    inception_id = weights_id(weights)
    identity = features_id(inception_id, precision)
    dataset.data = [row for row in dataset.data if dataset.load_sequence(row, identity) is not None]
    train_rows, validation_rows = dataset.split_train_validation(validation_split, seed)
    test_rows = dataset.split_train_test()[1]
    print(f"{len(train_rows)} clips to train on, {len(validation_rows)} to validate on, {len(test_rows)} to test on")

    cli.import_keras()
    import keras
    keras.utils.set_random_seed(seed)
    research_model = ResearchModel(len(dataset.classes), model, seq_length)
    research_model.set_normalization(*feature_statistics(dataset, train_rows, identity))
    metadata = Metadata(class_names=dataset.classes, seq_length=seq_length, image_shape=list(image_shape),
                        clip_seconds=clip_seconds(dataset, train_rows), weights=inception_id,
                        weights_name=os.path.basename(weights))
    checkpoint = checkpoint_callback(research_model, metadata, os.path.join(data_dir, "checkpoints"))
    logs = os.path.join(data_dir, "logs")
    os.makedirs(logs, exist_ok=True)
    run = f"{model}-{time.strftime('%Y%m%d-%H%M%S')}"
    history = research_model.model.fit(
        batches(dataset, train_rows, identity, batch_size, seed),
        validation_data=batches(dataset, validation_rows, identity, batch_size),
        epochs=epochs,
        shuffle=False,  # batches() does
        verbose=0 if quiet else 1 if sys.stdout.isatty() else 2,
        callbacks=[
            checkpoint,
            keras.callbacks.EarlyStopping(patience=PATIENCE, min_delta=MIN_DELTA),
            keras.callbacks.TensorBoard(os.path.join(logs, run)),
            keras.callbacks.CSVLogger(os.path.join(logs, f"{run}.csv")),
        ]).history
    if checkpoint.best_path is None:
        raise RuntimeError("the validation loss was never a number: no checkpoint was written")
    print(f"Best checkpoint: {checkpoint.path}, the same as {os.path.basename(checkpoint.best_path)}")
    accuracy = test_accuracy(ResearchModel.load(checkpoint.path).model, dataset, test_rows, identity, batch_size)
    return {"checkpoint": checkpoint.path, "history": history, "test_accuracy": accuracy, "failed": failed}


def batches(dataset, rows, identity, batch_size, seed=None):
    """A keras.utils.PyDataset of (sequences (n, seq_length, 2048), one-hot classes (n, classes)), read from disk as
    needed. seed: shuffle before each epoch; None: keep the order of the rows.
    """
    import keras
    import numpy as np

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            # Threads read ahead. With one worker tf.data would do it, and end an epoch seconds late: its tuner sleeps.
            super().__init__(workers=2, max_queue_size=4)
            self._random = None if seed is None else np.random.default_rng(seed)
            self._order = np.arange(len(rows))
            self.on_epoch_end()

        def __len__(self):
            return -(-len(rows) // batch_size)

        def __getitem__(self, index):
            chosen = [rows[i] for i in self._order[index * batch_size:(index + 1) * batch_size]]
            return (np.stack([dataset.load_sequence(row, identity) for row in chosen]),
                    np.stack([dataset.get_class_one_hot(row.class_name) for row in chosen]))

        def on_epoch_end(self):
            if self._random is not None:
                self._random.shuffle(self._order)

    return Batches()


def feature_statistics(dataset, rows, identity):
    """Mean and variance of each feature over all frames of the clips: two float32 (2048,)."""
    import numpy as np
    total = squares = 0
    for row in rows:
        sequence = np.asarray(dataset.load_sequence(row, identity), np.float64)
        total = total + sequence.sum(0)
        squares = squares + (sequence ** 2).sum(0)
    frames = len(rows) * dataset.seq_length
    mean = total / frames
    return mean.astype(np.float32), np.maximum(squares / frames - mean ** 2, 0).astype(np.float32)


def clip_seconds(dataset, rows):
    """The time that a training clip spans in seconds, the median."""
    seconds = dataset.get_clip_seconds()
    if seconds is None:
        frames = sorted(row.frames for row in rows)[len(rows) // 2]
        seconds = frames / ASSUMED_FPS
        print(f"No note tells how long the clips last: {frames} frames are taken for {seconds:.2f} s, at "
              f"{ASSUMED_FPS} frames per second", file=sys.stderr)
    return seconds


def checkpoint_callback(research_model, metadata, folder):
    """A Keras callback that saves the model whenever val_loss improves by MIN_DELTA.

    keras.callbacks.ModelCheckpoint, which would do, refuses names that end in .hdf5.
    .path: the best so far. .best_path: the numbered file that is the same, None before the first improvement.
    """
    import keras

    class Checkpoint(keras.callbacks.Callback):
        path = os.path.join(folder, "lstm-features.hdf5")
        best_path = None
        _best = float("inf")

        def on_epoch_end(self, epoch, logs=None):
            val_loss = logs["val_loss"]
            if not val_loss < self._best - MIN_DELTA:
                return
            self._best = val_loss
            if self.best_path is None:
                set_aside(folder)
            self.best_path = os.path.join(folder, f"lstm-features.{epoch + 1:03d}-{val_loss:.3f}.hdf5")
            research_model.save(self.best_path, metadata)
            partial = f"{self.path}.{os.getpid()}.tmp"
            shutil.copyfile(self.best_path, partial)
            os.replace(partial, self.path)

    return Checkpoint()


def set_aside(folder):
    """Moves an earlier run's checkpoints to a folder of their own: the last one left is the best of this run."""
    os.makedirs(folder, exist_ok=True)
    earlier = [file for file in os.listdir(folder) if file.startswith("lstm-features.") and file.endswith(".hdf5")]
    if not earlier:
        return
    newest = max(os.path.getmtime(os.path.join(folder, file)) for file in earlier)
    aside = os.path.join(folder, time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(newest)))
    os.makedirs(aside, exist_ok=True)
    for file in earlier:
        os.replace(os.path.join(folder, file), os.path.join(aside, file))
    print(f"The checkpoints of an earlier run are now in {aside}")


def test_accuracy(model, dataset, rows, identity, batch_size):
    """Prints and returns the share of the test clips that the model classifies rightly; None without test clips."""
    import numpy as np
    if not rows:
        print("No test clips: nothing tells how well this model does on clips it has not seen")
        return None
    predicted = model.predict(batches(dataset, rows, identity, batch_size), verbose=0).argmax(1)
    truth = np.array([dataset.classes.index(row.class_name) for row in rows])
    right = int((predicted == truth).sum())
    commonest = np.bincount(truth).max()
    print(f"Test accuracy: {right / len(rows):.3f} ({right} of {len(rows)} clips; always answering the commonest class "
          f"would give {commonest / len(rows):.3f})")
    return right / len(rows)


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument("--model", choices=("lstm", "article"), default="lstm",
                        help="lstm: a small network for small datasets; article: the article's LSTM 2048 (default: lstm)")
    parser.add_argument("--validation-split", type=cli.fraction, default=0.2, metavar="SHARE",
                        help="share of the training clips held out to tell when to stop (default: 0.2)")
    parser.add_argument("--epochs", type=cli.at_least(1), default=EPOCHS, help=f"at most (default: {EPOCHS})")
    parser.add_argument("--batch-size", type=cli.at_least(1), default=BATCH_SIZE,
                        help=f"clips per training step (default: {BATCH_SIZE})")
    parser.add_argument("--seed", type=cli.at_least(0), default=0,
                        help="of the validation split and the network's first weights (default: 0)")
    args = parser.parse_args(argv)

    def work():
        result = train(args.seq_length, args.classes, (args.height, args.width, 3), args.data_dir,
                       args.weights, args.model, args.validation_split, args.epochs, args.batch_size, args.seed,
                       args.quiet, args.precision)
        return 1 if result["failed"] else 0
    return cli.run(work)


if __name__ == "__main__":
    sys.exit(main())
