"""How soon does clasify.py show the first window? Beside what Python takes to import TensorFlow and Keras.

Both start as processes of their own, by turns. A network that has learned nothing classifies a rendered
recording of 1280x720 in windows of 3 s, of which it sees 15 frames of 299x299. Printed: seconds until the
first window's line, for each --precision, and by how much that is more than the import.

    python benchmarks/start.py --weights WEIGHTS --rounds 5
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from result_video import render  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.errors import INT8  # noqa: E402
from vidclass.features.identity import weights_id  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training.metadata import Metadata  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEQ_LENGTH, WINDOW, SIZE = 15, 3.0, 299  # frames, seconds, pixels
IMPORT = "import tensorflow, keras"


def write_checkpoint(path, weights, precision):
    """Saves a network as train.py does, for int8 with the ranges of noise."""
    import_keras()
    from models import ResearchModel
    from vidclass.features.int8 import measure_ranges

    noise = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)

    metadata = Metadata(
        class_names=["Commercial", "Football"],
        seq_length=SEQ_LENGTH,
        image_shape=[SIZE, SIZE, 3],
        clip_seconds=WINDOW,
        weights=weights_id(weights),
        weights_name=os.path.basename(weights),
        ranges=measure_ranges(weights, (SIZE, SIZE, 3), noise) if precision == INT8 else None,
    )
    ResearchModel(2, "lstm", SEQ_LENGTH).save(path, metadata)


def time_import(folder):
    """Seconds that the import takes, with Python's own start."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def time_first_window(folder, weights, precision):
    """Seconds from the start of clasify.py to its first line."""
    arguments = [SEQ_LENGTH, 2, f"{precision}.hdf5", "recording.mp4", "--no-video", "--precision", precision]
    command = [sys.executable, os.path.join(ROOT, "clasify.py"), *map(str, arguments), "--weights", weights]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        process.kill()
    if not line:
        raise RuntimeError(f"{' '.join(command)} printed nothing")
    return seconds


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    parser.add_argument("--rounds", type=cli.at_least(1), default=5)
    parser.add_argument("--precisions", nargs="+", default=["auto", "float32", "int8"])
    args = parser.parse_args()
    weights = os.path.abspath(args.weights) if os.path.exists(args.weights) else args.weights
    with tempfile.TemporaryDirectory() as folder:
        render(os.path.join(folder, "recording.mp4"))
        for precision in args.precisions:
            write_checkpoint(os.path.join(folder, f"{precision}.hdf5"), weights, precision)
            time_first_window(folder, weights, precision)  # the first run makes what is cached
        time_import(folder)
        imports, firsts = [], {precision: [] for precision in args.precisions}
        for _ in range(args.rounds):
            imports.append(time_import(folder))
            for precision, seconds in firsts.items():
                seconds.append(time_first_window(folder, weights, precision))
    print(f"{IMPORT}: {statistics.median(imports):.1f} s, medians of {args.rounds}")
    for precision, seconds in firsts.items():
        more = statistics.median(first - before for first, before in zip(seconds, imports))
        print(f"first window, {precision}: {statistics.median(seconds):.1f} s, {more:+.1f} s")


if __name__ == "__main__":
    sys.exit(cli.run(main))
