"""Does the network wait for frames, and does memory stay flat? extract_features.py and clasify.py on short
and long input.

Videos are rendered, a checkpoint is made up. Of each window of --window seconds --seq-length frames go
through the network. A script's rate is that of the frames which the long input has more than the short one,
in the time that it takes longer: start-up is not counted. The network alone, extract_batch on frames in
memory, takes turns with the scripts.

    python benchmarks/scripts.py 299 299
    python benchmarks/scripts.py 720 1280 --seconds 60 600 --seq-length 4 --window 10 --rounds 1
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from extractor import Extractor  # noqa: E402
from models import ResearchModel  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training.metadata import Metadata  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg  # noqa: E402

FPS = 25


def render(path, seconds, height, width):
    subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=size={width}x{height}:rate={FPS}:duration={seconds}",
            "-pix_fmt",
            "yuv420p",
            path,
        ],
        check=True,
    )


def run(folder, script, *arguments):
    """Runs a script in a folder. Returns (seconds, peak memory in GB). Raises RuntimeError if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, script), *map(str, arguments), "--quiet"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{script} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1e6


def prepare(folder, seconds, args):
    """A folder with video.mp4, a dataset of clips of one window each, and a checkpoint."""
    os.makedirs(os.path.join(folder, "data", "train"))
    render(os.path.join(folder, "video.mp4"), seconds, args.height, args.width)
    for number in range(max(2, round(seconds / args.window))):
        name = "AB"[number % 2]
        os.makedirs(os.path.join(folder, "data", "train", name), exist_ok=True)
        clip = os.path.join(folder, "data", "train", name, f"clip_{number}.mp4")
        render(clip, min(args.window, args.seq_length / FPS + 1), args.height, args.width)
    run(folder, "extract_files.py", "mp4")
    metadata = Metadata(
        ["A", "B"], args.seq_length, [args.height, args.width, 3], args.window, "random", "random"
    )
    ResearchModel(2, seq_length=args.seq_length).save(os.path.join(folder, "model.hdf5"), metadata)


def main():
    parser = cli.make_parser(__doc__)
    cli.add_article_arguments(parser, "height", "width")
    parser.add_argument(
        "--seconds", type=cli.at_least(1), nargs=2, default=[6, 24], metavar=("SHORT", "LONG")
    )
    parser.add_argument("--seq-length", type=cli.at_least(2), default=75)
    parser.add_argument("--window", type=cli.at_least(1), default=3, help="seconds (default: 3)")
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    args = parser.parse_args()
    import_keras()
    image_shape = (args.height, args.width, 3)
    extractor = Extractor(image_shape, "random")
    count = max(4, round(64 * 299 * 299 / (args.height * args.width)))
    frames = np.random.default_rng(0).integers(0, 256, (count, *image_shape), np.uint8)
    extractor.extract_batch(frames)
    scripts = {
        "extract_features.py": (args.seq_length, 2, args.height, args.width, "--weights", "random"),
        "clasify.py": (args.seq_length, 2, "model.hdf5", "video.mp4"),
    }
    alone, rates, memory = [], {name: [] for name in scripts}, {}
    more = (args.seconds[1] - args.seconds[0]) / args.window * args.seq_length  # frames through the network
    with tempfile.TemporaryDirectory() as folder:
        lengths = [os.path.join(folder, length) for length in ("short", "long")]
        for length, seconds in zip(lengths, args.seconds):
            prepare(length, seconds, args)
        for _ in range(args.rounds):
            for name, arguments in scripts.items():
                start = time.perf_counter()
                extractor.extract_batch(frames)
                alone.append(count / (time.perf_counter() - start))
                took = []
                for length in lengths:
                    if name == "extract_features.py":
                        shutil.rmtree(os.path.join(length, "data", "sequences"), ignore_errors=True)
                    seconds, peak = run(length, name, *arguments)
                    took.append(seconds)
                    memory.setdefault(name, []).append(peak)
                rates[name].append(more / (took[1] - took[0]))
    print(
        f"{args.height}x{args.width}, {args.seq_length} frames of {args.window} s, {args.seconds[0]} s and "
        f"{args.seconds[1]} s of video"
    )
    print(f"{'network alone':20} {statistics.median(alone):6.2f} frames/s")
    for name in scripts:
        share = statistics.median(
            rate / (a + b) * 2 for rate, a, b in zip(rates[name], alone[::2], alone[1::2])
        )
        print(
            f"{name:20} {statistics.median(rates[name]):6.2f} frames/s, {100 * share:.0f} % of the "
            f"network's; peak memory "
            f"{max(memory[name][::2]):.2f} GB short, {max(memory[name][1::2]):.2f} GB long"
        )


if __name__ == "__main__":
    sys.exit(cli.run(main))
