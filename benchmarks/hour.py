"""How long does an hour of video take? clasify.py of this version and of an earlier commit take turns on one
recording, with and without result.avi, this version also with other --precision and with --fast.

Renders a broadcast with known cuts, 1280x720 at 25 frames per second, and a smaller one to train on. The
earlier commit, in a git worktree of its own, trains the network (one that both can read); for int8 this
version trains one. Windows last 3 s and have 15 frames of 299x299. Both run in this Python environment.
Printed for each: wall time, how many minutes an hour would take, the largest memory of its Python process,
and the share of frames whose class is right. Below: how many times as fast this version is, the median over
the rounds.

    python benchmarks/hour.py --weights WEIGHTS
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "data", "demo")]
import prepare  # noqa: E402
from timeline import compare, read_segments, stretches  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.errors import INT8  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg  # noqa: E402

SEQ_LENGTH, WINDOW, SIZE = 15, 3, 299  # frames, seconds, pixels
SETTINGS = {"with result.avi": (), "--no-video": ("--no-video",)}
COMMIT = "7bdb35d"
OPTIONS = {  # of this version
    "float32": ("--precision", "float32"),
    "auto": (),
    "int8": ("--precision", INT8),
    "auto --fast": ("--fast",),
    "int8 --fast": ("--precision", INT8, "--fast"),
}


@contextlib.contextmanager
def worktree(commit):
    """The path of a checkout of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "earlier")
        git = ["git", "-C", ROOT, "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", path, commit], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", path], check=True)


def run(code, folder, script, *arguments):
    """Runs a script of some code in a folder. Returns (seconds, the largest memory in bytes). Raises
    RuntimeError if it fails."""
    command = [sys.executable, os.path.join(code, script), *map(str, arguments), "--quiet"]
    start = time.perf_counter()
    with open(os.path.join(folder, "log"), "w+") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{script}: {log.read()[-300:]}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def render(folder, minutes):
    """Renders small.mp4, with labels.csv, and recording.mp4. Returns what is when in the latter: a list of
    (start, end, class)."""
    small, random = os.path.join(folder, "small.mp4"), np.random.default_rng(0)
    labels = prepare.render(small, stretches(random, 6, prepare.FPS), random)
    prepare.write_labels(os.path.join(folder, "labels.csv"), labels)
    random, plan = np.random.default_rng(1), []
    while sum(seconds for _, seconds in plan) < 60 * minutes:
        plan += stretches(random, 2, prepare.FPS)
    rendered = os.path.join(folder, "rendered.mp4")
    truth = prepare.render(rendered, plan, random)
    scale = [
        "-vf",
        "scale=1280:720:flags=bicubic,noise=alls=4:allf=t",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
    ]
    target = os.path.join(folder, "recording.mp4")
    command = [find_ffmpeg(), "-v", "error", "-nostdin", "-i", rendered, *scale, "-c:a", "copy", target]
    subprocess.run(command, check=True)
    return truth


def measure(versions, folder, truth, args):
    """{(version, setting): (seconds, memory, share of the frames that are right) of each round}. versions:
    {name: (folder of the code, options)}."""
    results = {}
    for number in range(args.rounds):
        for setting, options in SETTINGS.items():
            for name, (code, own) in versions.items():
                data = "data8" if INT8 in own else "data"
                checkpoint = os.path.join(data, "checkpoints", "lstm-features.hdf5")
                arguments = [SEQ_LENGTH, 2, checkpoint, "recording.mp4", *options, *own]
                seconds, memory = run(code, folder, "clasify.py", *arguments, *weights_option(args))
                right, frames, *_ = compare(
                    truth, read_segments(os.path.join(folder, "result.csv")), prepare.FPS
                )
                results.setdefault((name, setting), []).append((seconds, memory, right / frames))
                print(number, name, setting, f"{seconds:.1f} s", file=sys.stderr, flush=True)
    return results


def weights_option(args):
    """The option for what a checkpoint doesn't name."""
    return () if args.weights in ("random", "imagenet") else ("--weights", os.path.abspath(args.weights))


def print_table(results, duration):
    print(f"{duration / 60:.1f} minutes of 1280x720; medians")
    for (name, setting), rounds in results.items():
        seconds, memory, right = (statistics.median(values) for values in zip(*rounds))
        print(
            f"{name:12} {setting:16} {seconds:7.1f} s, an hour: {60 * seconds / duration:5.1f} minutes, "
            f"{memory / 1e9:.2f} GB, frames right: {right:.4f}"
        )
    for setting in SETTINGS:
        for name in dict.fromkeys(name for name, _ in results if name != "earlier"):
            rounds = zip(results["earlier", setting], results[name, setting])
            gain = statistics.median(earlier[0] / now[0] for earlier, now in rounds)
            print(f"{setting}: {name} is {gain:.2f} times as fast as the earlier version")


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default="random")
    parser.add_argument("--minutes", type=cli.at_least(1), default=10, help="of the recording (default: 10)")
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    parser.add_argument("--versions", nargs="+", choices=OPTIONS, default=list(OPTIONS), help="of this code")
    parser.add_argument("--commit", default=COMMIT, help="the earlier version (default: %(default)s)")
    args = parser.parse_args()
    with worktree(args.commit) as earlier, tempfile.TemporaryDirectory() as folder:
        truth = render(folder, args.minutes)
        run(earlier, folder, "cut_clips.py", "small.mp4", "labels.csv", "--seconds", WINDOW)
        run(earlier, folder, "extract_files.py", "mp4")
        weights = os.path.abspath(args.weights) if weights_option(args) else args.weights
        shutil.copytree(os.path.join(folder, "data"), os.path.join(folder, "data8"))
        training = [SEQ_LENGTH, 2, SIZE, SIZE, "--weights", weights]
        run(earlier, folder, "train.py", *training)
        if any(INT8 in OPTIONS[name] for name in args.versions):
            run(ROOT, folder, "train.py", *training, "--data-dir", "data8", "--precision", INT8)
        versions = {"earlier": (earlier, ()), **{name: (ROOT, OPTIONS[name]) for name in args.versions}}
        results = measure(versions, folder, truth, args)
        print_table(results, truth[-1][1])


if __name__ == "__main__":
    sys.exit(cli.run(main))
