"""What does Ray cost, and what do more workers gain? extract_features.py with --ray beside the plain one, and
one worker beside two.

Clips are rendered. A run's rate is that of the sequences which the many clips have more than the few, in the
time that it takes longer: start-up is not counted. Plain runs and Ray's take turns, all with the same
processors; one worker and two have one processor each. What decoding needs (--from-video) is timed alone:
what one processor feeds to a network that is fast enough.

    python benchmarks/scale.py 299 299 --clips 8 40
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from scripts import ROOT, render, run  # noqa: E402

from vidclass import cli  # noqa: E402


def prepare(folder, clips, args):
    """A dataset of copies of one clip, split into frames."""
    os.makedirs(folder)
    render(os.path.join(folder, "clip.mp4"), 3, args.video[0], args.video[1])
    for number in range(clips):
        name = "AB"[number % 2]
        os.makedirs(os.path.join(folder, "data", "train", name), exist_ok=True)
        shutil.copy(
            os.path.join(folder, "clip.mp4"),
            os.path.join(folder, "data", "train", name, f"clip_{number}.mp4"),
        )
    run(folder, "extract_files.py", "mp4")


def seconds(folder, args, *options):
    """How long extract_features.py takes for all sequences of a folder."""
    shutil.rmtree(os.path.join(folder, "data", "sequences"), ignore_errors=True)
    took, _ = run(
        folder,
        "extract_features.py",
        args.seq_length,
        2,
        args.height,
        args.width,
        "--weights",
        "random",
        *options,
    )
    return took


def decoding(folder, args):
    """Frames per second that one processor decodes, converts and resizes."""
    code = (
        "import os, sys, time\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from vidclass.video.images import resize\nfrom vidclass.video.reader import FrameReader\n"
        "reader = FrameReader(sys.argv[1])\n"
        "shape = (int(sys.argv[2]), int(sys.argv[3]), 3)\nsum(resize(frame, shape) is None for frame "
        "in reader)\n"
        "start = time.perf_counter()\ncount = sum(resize(frame, shape) is not None for _ in range(3) "
        "for frame in reader)\n"
        "print(count / (time.perf_counter() - start))"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", code, os.path.join(folder, "clip.mp4"), str(args.height), str(args.width)],
            env={**os.environ, "PYTHONPATH": ROOT},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )


def main():
    parser = cli.make_parser(__doc__)
    cli.add_article_arguments(parser, "height", "width")
    parser.add_argument("--clips", type=cli.at_least(2), nargs=2, default=[8, 40], metavar=("FEW", "MANY"))
    parser.add_argument("--seq-length", type=cli.at_least(2), default=20)
    parser.add_argument(
        "--video",
        type=cli.at_least(16),
        nargs=2,
        default=[720, 1280],
        metavar=("HEIGHT", "WIDTH"),
        help="of the clips (default: 720 1280)",
    )
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    args = parser.parse_args()
    contenders = {
        "plain": (),
        "--ray": ("--ray",),
        "1 worker, 1 processor": ("--ray", "--workers", 1, "--cpus", 1),
        "2 workers, 1 processor each": ("--ray", "--workers", 2, "--cpus", 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        folders = [os.path.join(folder, str(clips)) for clips in args.clips]
        for path, clips in zip(folders, args.clips):
            prepare(path, clips, args)
        rates = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name, options in contenders.items():
                few, many = (seconds(path, args, *options) for path in folders)
                rates[name].append((args.clips[1] - args.clips[0]) / (many - few))
        decoded = decoding(folders[0], args)

    def times(a, b):
        return statistics.median(x / y for x, y in zip(rates[a], rates[b]))

    print(f"{args.height}x{args.width}, {args.seq_length} frames of each clip, {args.rounds} rounds")
    for name, found in rates.items():
        print(
            f"{name:30}{statistics.median(found):6.2f} clips/s, "
            f"{args.seq_length * statistics.median(found):7.1f} frames/s"
        )
    print(
        f"--ray / plain {times('--ray', 'plain'):.2f}, 2 workers / 1 "
        f"{times('2 workers, 1 processor each', '1 worker, 1 processor'):.2f}"
    )
    print(f"decoding {args.video[0]}x{args.video[1]} and resizing: {decoded:.0f} frames/s by one processor")


if __name__ == "__main__":
    sys.exit(cli.run(main))
