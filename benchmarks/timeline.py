"""How exact is the timeline? clasify.py on rendered broadcasts with known cuts, and comskip where it is
installed.

Renders a broadcast to train on and others to test on, match and commercial breaks in turn
(data/demo/prepare.py draws them), and does the whole job as a user would: cut_clips.py, extract_files.py,
train.py, clasify.py. Frame accuracy: share of the frames whose class is right. Boundary error: from each true
cut to the nearest found one. F1: of segments that overlap a true one of their class by an intersection over
union of at least 0.5. Speed: seconds of video by seconds of the whole command.

--cues: black frames and silence at both ends of each commercial and between the spots of a break, as comskip
looks for them. Without it the broadcasts have none of comskip's cues.

    python benchmarks/timeline.py --seeds 3
    python benchmarks/timeline.py --seeds 3 --cues
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
from vidclass import cli  # noqa: E402

WINDOW = 3  # seconds
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


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default="random")
    parser.add_argument("--seeds", type=cli.at_least(1), default=3, help="broadcasts to test on")
    parser.add_argument("--stretches", type=cli.at_least(2), default=8, help="of each")
    parser.add_argument("--cues", action="store_true", help="black frames and silence between spots")
    parser.add_argument("--seq-length", type=cli.at_least(2), default=15)
    args = parser.parse_args()
    import prepare

    length, shape, fps = args.seq_length, (150, 266), prepare.FPS
    weights = os.path.abspath(args.weights) if os.path.exists(args.weights) else args.weights
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        truths = []
        for seed in range(args.seeds + 1):
            random = np.random.default_rng(1000 + seed)
            path = os.path.join(folder, f"{seed}.mp4")
            truths.append(prepare.render(path, stretches(random, args.stretches, fps), random))
            if args.cues:
                add_cues(prepare.find_ffmpeg(), path, cue_times(truths[-1], random))
        prepare.write_labels(os.path.join(folder, "labels.csv"), truths[0])
        run(folder, "cut_clips.py", "0.mp4", "labels.csv", "--seconds", WINDOW)
        run(folder, "extract_files.py", "mp4")
        print(run(folder, "train.py", length, 2, *shape, "--weights", weights)[1].splitlines()[-1])
        weights = () if weights in ("random", "imagenet") else ("--weights", weights)
        for seed in range(1, args.seeds + 1):
            recording, duration = os.path.join(folder, f"{seed}.mp4"), truths[seed][-1][1]
            for name, options in SETTINGS.items():
                seconds, _ = run(
                    folder, "clasify.py", length, 2, "lstm-features.hdf5", recording, *options, *weights
                )
                found = read_segments(os.path.join(folder, "result.csv"))
                results.setdefault(name, []).append((*compare(truths[seed], found, fps), seconds, duration))
            if shutil.which("comskip"):
                seconds, found = comskip(folder, recording, duration)
                results.setdefault("comskip", []).append(
                    (*compare(truths[seed], found, fps), seconds, duration)
                )
    total = sum(labels[-1][1] for labels in truths[1:])
    print(
        f"{args.seeds} broadcasts, {total / 60:.1f} minutes, "
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


if __name__ == "__main__":
    sys.exit(cli.run(main))
