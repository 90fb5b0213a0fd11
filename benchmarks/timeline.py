"""How exact is the timeline? clasify.py on rendered broadcasts with known cuts, and comskip where it is
installed.

Renders a broadcast to train on and others to test on, match and commercial breaks in turn
(data/demo/prepare.py draws them), and does the whole job as a user would: cut_clips.py, extract_files.py,
train.py, clasify.py. Frame accuracy: share of the frames whose class is right. Boundary error: from each true
cut to the nearest found one. F1: of segments that overlap a true one of their class by an intersection over
union of at least 0.5. Speed: seconds of video by seconds of the whole command.

--cues: black frames and silence at both ends of each commercial and between the spots of a break, as comskip
looks for them. Without it the broadcasts have none of comskip's cues.

--shots: close-ups and replays inside of the match, and scenes of 1 to 2 s in the breaks (shots.py, spots.py
draw them). The network is trained on a broadcast of the same kind. Several values of --train-seed tell how
much of a result is the training's luck.

    python benchmarks/timeline.py --seeds 3
    python benchmarks/timeline.py --seeds 3 --cues
    python benchmarks/timeline.py --seeds 3 --shots --train-seed 1
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "data", "demo")]
import prepare  # noqa: E402
import shots  # noqa: E402
import spots  # noqa: E402
from prepare import FPS  # noqa: E402

from vidclass import cli  # noqa: E402

WINDOW = 3  # seconds
SHAPE = 150, 266  # height and width at which InceptionV3 sees the frames
SHOTS = {"Football": shots.Match, "Commercial": spots.Break}
SPOT = 6, 12  # seconds, the shortest and the longest
CUE = 0.4  # seconds of black and silence; the true cut is in its middle
SETTINGS = {
    "hop = window": (),
    "hop = window, --smooth": ("--smooth",),
    "hop = window / 5": ("--hop", WINDOW / 5),
    "hop = window / 5, --smooth": ("--hop", WINDOW / 5, "--smooth"),
}
# The breaks are shorter than on television, 8 s at least, and the matches, too, 20 s at least.
COMSKIP = """output_edl=1
output_default=0
min_commercialbreak=5
min_commercial_size=2
min_show_segment_length=20
"""


def stretches(random, count, fps):
    """(class, seconds): matches of 20 to 70 s, breaks of 8 to 40 s, whole frames."""
    return [
        ("Football", int(random.integers(20 * fps, 70 * fps)) / fps)
        if number % 2 == 0
        else ("Commercial", int(random.integers(8 * fps, 40 * fps)) / fps)
        for number in range(count)
    ]


def cue_times(labels, random):
    """Where black and silence belong, in seconds: at both ends of each break, and between its spots."""
    times = []
    for start, end, class_name in labels:
        while class_name == "Commercial" and end - start > CUE:
            times.append(start)
            start += random.uniform(*SPOT)
            if end - start < SPOT[0]:  # the rest is too short for a spot of its own
                start = end
                times.append(end)
    return times


def add_cues(ffmpeg, path, times):
    """Blackens and silences a recording for CUE seconds around each of some times."""
    cue = "+".join(f"between(t,{time - CUE / 2:.3f},{time + CUE / 2:.3f})" for time in times)
    without = f"{path}.mp4"
    os.rename(path, without)
    filters = "-vf", f"drawbox=color=black:t=fill:enable='{cue}'", "-af", f"volume=0:enable='{cue}'"
    codecs = "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"
    subprocess.run([ffmpeg, "-v", "error", "-i", without, *filters, *codecs, path], check=True)
    os.remove(without)


def run(folder, script, *arguments):
    """Runs a script in a folder. Returns (seconds, stdout). Raises RuntimeError if it fails."""
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, os.path.join(ROOT, script), *map(str, arguments), "--quiet"],
        cwd=folder,
        text=True,
        capture_output=True,
    )
    if result.returncode:
        raise RuntimeError(f"{script}: {result.stderr[-300:]}")
    return time.perf_counter() - start, result.stdout


def read_segments(path):
    """(start, end, class) of each row of result.csv."""
    with open(path, newline="") as file:
        return [(float(row["start"]), float(row["end"]), row["class"]) for row in csv.DictReader(file)]


def comskip(folder, recording, length):
    """(seconds, segments) of comskip, whose EDL names the commercials."""
    with open(os.path.join(folder, "comskip.ini"), "w") as file:
        file.write(COMSKIP)
    out = os.path.join(folder, "comskip")
    os.makedirs(out, exist_ok=True)
    start = time.perf_counter()
    subprocess.run(
        ["comskip", f"--ini={folder}/comskip.ini", f"--output={out}", recording], capture_output=True
    )
    seconds = time.perf_counter() - start
    path = os.path.join(out, os.path.splitext(os.path.basename(recording))[0] + ".edl")
    segments, at = [], 0.0
    lines = open(path).read().split("\n") if os.path.exists(path) else []
    for begin, end, _ in (map(float, line.split()) for line in lines if line.strip()):
        segments += [(at, begin, "Football")] * (begin > at) + [(begin, min(end, length), "Commercial")]
        at = end
    return seconds, segments + [(at, length, "Football")] * (at < length)


def compare(truth, found, fps):
    """(frames that are right, frames, boundary errors in seconds, (segments matched, true, found))."""
    times = (np.arange(round(truth[-1][1] * fps)) + 0.5) / fps

    def classes(segments):
        places = np.searchsorted([end for _, end, _ in segments], times, "right").clip(0, len(segments) - 1)
        return np.array([name for *_, name in segments])[places]

    cuts = np.array([end for _, end, _ in found[:-1]]) if len(found) > 1 else np.array([np.inf])
    errors = [min(np.abs(cuts - end).min(), truth[-1][1]) for _, end, _ in truth[:-1]]
    matched = sum(
        any(
            name == other and 2 * (min(end, last) - max(start, first)) >= max(end, last) - min(start, first)
            for first, last, other in found
        )
        for start, end, name in truth
    )
    return (
        int((classes(truth) == classes(found)).sum()),
        len(times),
        errors,
        (matched, len(truth), len(found)),
    )


def render_broadcasts(args, folder):
    """Renders the broadcast to train on, 0.mp4, and those to test on, 1.mp4 and on. Returns their labels: for
    each a list of (start, end, class)."""
    truths = []
    for seed in range(args.seeds + 1):
        random = np.random.default_rng(1000 + seed)
        path = os.path.join(folder, f"{seed}.mp4")
        count = args.stretches if seed else args.stretches_train or args.stretches
        scenes = SHOTS if args.shots else prepare.SCENES
        truths.append(prepare.render(path, stretches(random, count, FPS), random, scenes))
        if args.cues:
            add_cues(prepare.find_ffmpeg(), path, cue_times(truths[-1], random))
    return truths


def train(args, folder, labels, weights):
    """Trains on the broadcast 0.mp4 with its labels. Returns the line that train.py says last."""
    prepare.write_labels(os.path.join(folder, "labels.csv"), labels)
    run(folder, "cut_clips.py", "0.mp4", "labels.csv", "--seconds", WINDOW)
    run(folder, "extract_files.py", "mp4")
    options = "--weights", weights, "--seed", args.train_seed
    return run(folder, "train.py", args.seq_length, 2, *SHAPE, *options)[1].splitlines()[-1]


def test(args, folder, truths, weights):
    """{setting: a row for each broadcast}: what compare returns, seconds that the command took, and seconds
    of video."""
    results = {}
    weights = () if weights in ("random", "imagenet") else ("--weights", weights)
    for seed, truth in enumerate(truths[1:], 1):
        recording, duration = os.path.join(folder, f"{seed}.mp4"), truth[-1][1]
        for name, options in SETTINGS.items():
            arguments = args.seq_length, 2, "lstm-features.hdf5", recording, *options, *weights
            seconds, _ = run(folder, "clasify.py", *arguments)
            found = read_segments(os.path.join(folder, "result.csv"))
            results.setdefault(name, []).append((*compare(truth, found, FPS), seconds, duration))
        if shutil.which("comskip"):
            seconds, found = comskip(folder, recording, duration)
            results.setdefault("comskip", []).append((*compare(truth, found, FPS), seconds, duration))
    return results


def print_table(truths, results):
    total = sum(labels[-1][1] for labels in truths[1:])
    print(
        f"{len(truths) - 1} broadcasts, {total / 60:.1f} minutes, "
        f"{sum(len(labels) - 1 for labels in truths[1:])} cuts; trained on "
        f"another of {truths[0][-1][1] / 60:.1f} minutes"
    )
    print(f"{'':28}frame accuracy  boundary error, median  95 %  segment F1  speed")
    for name, rows in results.items():
        right, frames, errors, segments, seconds, durations = zip(*rows)
        errors = np.concatenate(errors)
        matched, true, found = np.sum(segments, axis=0)
        print(
            f"{name:28}{sum(right) / sum(frames):14.4f}  {np.median(errors):20.2f} s  "
            f"{np.percentile(errors, 95):4.2f} s "
            f"{2 * matched / (true + found):10.3f}  {sum(durations) / sum(seconds):4.1f}x"
        )


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default="random")
    parser.add_argument("--seeds", type=cli.at_least(1), default=3, help="broadcasts to test on")
    parser.add_argument("--stretches", type=cli.at_least(2), default=8, help="of each")
    parser.add_argument(
        "--stretches-train", type=cli.at_least(2), help="of that to train on (default: as --stretches)"
    )
    parser.add_argument("--train-seed", type=cli.at_least(0), default=0, help="--seed of train.py")
    parser.add_argument("--cues", action="store_true", help="black frames and silence between spots")
    parser.add_argument("--shots", action="store_true", help="close-ups, replays, scenes of 1 to 2 s")
    parser.add_argument("--seq-length", type=cli.at_least(2), default=15)
    args = parser.parse_args()
    weights = os.path.abspath(args.weights) if os.path.exists(args.weights) else args.weights
    with tempfile.TemporaryDirectory() as folder:
        truths = render_broadcasts(args, folder)
        print(train(args, folder, truths[0], weights), flush=True)
        print_table(truths, test(args, folder, truths, weights))


if __name__ == "__main__":
    sys.exit(cli.run(main))
