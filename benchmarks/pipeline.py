"""The whole job: the article's pipeline beside ours, on the same clips, for the same number of epochs.

The article's is written here as it describes it: one call of predict per frame on stock InceptionV3, a
generator that picks clips at random, Keras's LSTM, frames of the video read and written by OpenCV. Ours is
extract_features, train and clasify, with the article's network (equal work) and with the default one. The
frames must be extracted already.

    python benchmarks/pipeline.py 40 2 299 299 recording.mp4 --data-dir data --epochs 3
"""

import contextlib
import io
import os
import shutil
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from clasify import ClassifyOptions, clasify  # noqa: E402
from data import DataSet  # noqa: E402
from extract_features import ExtractionJob, extract_features  # noqa: E402
from train import TrainOptions, train  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.features.inception import load_network  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402

BATCH_SIZE = 32  # the article's


class Article:
    """The article's pipeline, with the same InceptionV3 weights as ours."""

    def __init__(self, dataset, weights, epochs, folder):
        self.dataset, self.epochs, self.folder = dataset, epochs, folder
        self.network = load_network(weights)
        self.rows = dataset.split_train_test()[0]

    def frame_features(self, image):
        import cv2
        from keras.applications.inception_v3 import preprocess_input

        height, width, _ = self.dataset.image_shape
        image = cv2.resize(image, (width, height)).astype(np.float32)
        return self.network.predict(preprocess_input(image[None]), verbose=0)[0]

    def features(self):
        import cv2

        for number, row in enumerate(self.dataset.data):
            paths = self.dataset.get_frames_for_sample(row)
            chosen = paths[:: len(paths) // self.dataset.seq_length][: self.dataset.seq_length]
            np.save(
                os.path.join(self.folder, f"{number}.npy"),
                [self.frame_features(cv2.imread(path)) for path in chosen],
            )

    def generator(self):
        random = np.random.default_rng(0)
        numbers = [self.dataset.data.index(row) for row in self.rows]
        while True:
            chosen = random.choice(numbers, BATCH_SIZE)
            yield (
                np.stack([np.load(os.path.join(self.folder, f"{number}.npy")) for number in chosen]),
                np.stack(
                    [
                        self.dataset.get_class_one_hot(self.dataset.data[number].class_name)
                        for number in chosen
                    ]
                ),
            )

    def train(self):
        import keras

        self.model = keras.Sequential(
            [
                keras.layers.Input((self.dataset.seq_length, 2048)),
                keras.layers.LSTM(2048, dropout=0.5),
                keras.layers.Dense(512, activation="relu"),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(len(self.dataset.classes), activation="softmax"),
            ]
        )
        self.model.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy", metrics=["accuracy"])
        self.model.fit(
            self.generator(), steps_per_epoch=-(-len(self.rows) // BATCH_SIZE), epochs=self.epochs, verbose=0
        )

    def classify(self, path):
        import cv2

        reader = cv2.VideoCapture(path)
        size = (int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        writer = cv2.VideoWriter(
            os.path.join(self.folder, "result.avi"), cv2.VideoWriter_fourcc(*"XVID"), 15, size
        )
        frames, sequence = [], []
        while True:
            there, frame = reader.read()
            if not there:
                break
            frames.append(frame)
            sequence.append(self.frame_features(frame))
            if len(sequence) == self.dataset.seq_length:
                prediction = self.model.predict(np.stack(sequence)[None], verbose=0)[0]
                for frame in frames:
                    for line, (name, value) in enumerate(zip(self.dataset.classes, prediction)):
                        cv2.putText(
                            frame,
                            f"{name}: {value:.2f}",
                            (20, 40 + 20 * line),
                            cv2.FONT_HERSHEY_SIMPLEX,
                            0.5,
                            (255, 255, 255),
                        )
                    writer.write(frame)
                frames, sequence = [], []
        writer.release()


def timed(work):
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - start


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument("video", help="to classify")
    parser.add_argument(
        "--epochs", type=cli.at_least(1), default=3, help="at most 5: no early stopping before (default: 3)"
    )
    args = parser.parse_args()
    import_keras()
    shape, numbers = (args.height, args.width, 3), (args.seq_length, args.classes)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("train", "test"):
            os.symlink(os.path.abspath(os.path.join(args.data_dir, name)), os.path.join(folder, name))
        shutil.copy(os.path.join(args.data_dir, "data_file.csv"), folder)
        dataset = DataSet(*numbers, shape, folder)
        article = Article(dataset, args.weights, args.epochs, folder)
        seconds["article"] = [
            timed(article.features),
            timed(article.train),
            timed(lambda: article.classify(args.video)),
        ]
        job = ExtractionJob(folder, args.weights, quiet=True)
        features = timed(lambda: extract_features(*numbers, shape, job))
        for model in ("article", "lstm"):
            options = TrainOptions(
                folder, args.weights, model=model, epochs=args.epochs, batch_size=BATCH_SIZE, quiet=True
            )
            result = os.path.join(folder, "result.avi")
            shown = ClassifyOptions(folder, args.weights, output=result, quiet=True)
            training = timed(lambda options=options: train(*numbers, shape, options))
            classification = timed(
                lambda shown=shown: clasify(*numbers, "lstm-features.hdf5", args.video, shown)
            )
            seconds[f"ours --model {model}"] = [features, training, classification]
    print(
        f"{len(dataset.data)} clips, {args.seq_length} frames of {args.height}x{args.width}, "
        f"{args.epochs} epochs; seconds"
    )
    print("                       features   training   classification")
    for name, (a, b, c) in seconds.items():
        print(f"{name:20} {a:10.1f} {b:10.1f} {c:16.1f}")
    for name, times in list(seconds.items())[1:]:
        ratios = [slow / fast for slow, fast in zip(seconds["article"], times)]
        print(f"article / {name:20}" + " ".join(f"{r:5.1f} x   " for r in ratios))


if __name__ == "__main__":
    sys.exit(cli.run(main))
