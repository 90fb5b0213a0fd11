"""Cuts the labelled stretches of a recording into training and test clips of equal length.

Reads a recording and its labels: rows of start, end, class (seconds or HH:MM:SS.mmm) in a CSV, our result.csv, an EDL, SRT
or WebVTT. Writes data/train/<Class>/<Class>_train_1.mp4, ..., data/test/<Class>/<Class>_test_1.mp4, ..., and notes in
data/clips.csv where each comes from. A clip lies inside one label; all clips of one label are of the same split. Clips that
were cut before are left alone.

    python cut_clips.py Football.mp4 labels.csv --seconds 3
"""
import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from fractions import Fraction
from typing import NamedTuple

import numpy as np

import cli
import cutting
import data
import files
import labels as label_files
import processes
import video
from console import print


class Cut(NamedTuple):
    """A clip to be cut: a row of clips.csv."""
    split: str
    class_name: str
    name: str
    recording: str  # absolute path
    stretch: str  # start of the labelled stretch that it lies in, in seconds
    start: str  # its own
    frames: int


@files.one_run_at_a_time(unless=lambda given: given["dry_run"], make=True)
def cut_clips(recording, labels_file, seconds, data_dir="data", test_split=0.2, seed=0, edl_class="Commercial", rest=None,
              dry_run=False, quiet=False):
    """Cuts clips. Returns the number of those that failed.

    seconds: length of a clip. test_split: share of each class's clips that go to the test split, by whole stretches. seed:
    which stretches. edl_class: of what an EDL skips. rest: class of all that has no label. dry_run: print the plan only.
    Raises OSError or ValueError, naming the file and the line, if the recording or the labels can't be used.
    """
    from bars import progress
    info = video.probe(recording)
    frames = round(Fraction(seconds) * info.fps)
    if frames < 1:
        raise ValueError(f"--seconds {float(seconds):g} is less than a frame of {recording}")
    labels = check_end(label_files.read_labels(labels_file, edl_class), labels_file, recording, info)
    if rest:
        labels = label_files.fill_gaps(labels, info.frames / float(info.fps), rest)
    known = read_cuts(data_dir)
    cuts = plan(merge(labels), frames, info.fps, os.path.abspath(recording), test_split, seed, known)
    new = [cut for cut in cuts if not os.path.exists(clip_path(data_dir, cut))]
    describe(cuts, new, frames, info.fps)
    if dry_run:
        return 0
    problems = []
    with progress(total=len(new), unit="clip", desc="Cutting", quiet=quiet or not new) as bar, \
            ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        write_cuts(data_dir, {*known, *cuts})  # before the clips: a number is given once, however the run ends
        for folder in {os.path.dirname(clip_path(data_dir, cut)) for cut in new}:
            os.makedirs(folder, exist_ok=True)
            files.sweep(folder)
        cutter = cutting.ClipCutter(recording, info.fps) if new else None
        futures = [pool.submit(cutter.cut, Fraction(cut.start), frames, clip_path(data_dir, cut)) for cut in new]
        try:
            for future in as_completed(futures):
                bar.update()
                try:
                    future.result()
                except ValueError as error:
                    problems.append(str(error))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.kill_all()
            raise
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    print(f"{len(new) - len(problems)} clips cut, {len(cuts) - len(new)} were there already, {len(problems)} failed")
    return len(problems)


def check_end(labels, labels_file, recording, info):
    """The labels, the last one ending with the recording if it is within half a second of it. Raises ValueError if one
    lies beyond."""
    length = info.frames / float(info.fps)
    if not length:
        return labels
    for label in labels:
        if label.end > length + 0.5 or label.start >= length:
            raise ValueError(f"{labels_file}, line {label.line}: ends at {label.end:.3f} s, but {recording} is {length:.3f} s "
                             f"long")
    return [label._replace(end=min(label.end, length)) for label in labels]


def merge(labels):
    """Labels of one class that touch become one."""
    merged = []
    for label in labels:
        if merged and merged[-1].class_name == label.class_name and label.start - merged[-1].end < 0.001:
            merged[-1] = merged[-1]._replace(end=label.end)
        else:
            merged.append(label)
    return merged


def plan(labels, frames, fps, recording, test_split, seed, known):
    """The Cuts of a recording, those that are `known` from clips.csv under the names they have there."""
    random = np.random.default_rng(seed)
    names = {(cut.recording, cut.class_name, cut.start, cut.frames): cut for cut in known}
    splits = {(cut.recording, cut.class_name, cut.stretch): cut.split for cut in known}
    last = {}  # number of the last clip of a split and class
    for cut in known:
        number = int(cut.name.rpartition("_")[2])
        last[cut.split, cut.class_name] = max(number, last.get((cut.split, cut.class_name), 0))
    cuts = []
    for class_name in sorted({label.class_name for label in labels}):
        stretches = []
        for label in labels:
            if label.class_name == class_name:
                # Frame numbers: a label begins with the first frame at or after its start.
                first, end = (-(-Fraction(f"{time:.6f}") * fps // 1) for time in (label.start, label.end))
                starts = [str(float(Fraction(start) / fps)) for start in range(int(first), int(end) - frames + 1, frames)]
                if starts:
                    stretches.append((str(label.start), starts))
        wanted = test_split * sum(len(starts) for _, starts in stretches)
        order = random.permutation(len(stretches))
        taken = data.take_share([[stretches[i]] * len(stretches[i][1]) for i in order], wanted) if len(stretches) > 1 else ()
        tested = {stretch for stretch, _ in taken} if test_split else set()
        for stretch, starts in stretches:
            split = splits.get((recording, class_name, stretch), "test" if stretch in tested else "train")
            for start in starts:
                cut = names.get((recording, class_name, start, frames))
                if cut is None:
                    number = last[split, class_name] = last.get((split, class_name), 0) + 1
                    cut = Cut(split, class_name, f"{class_name}_{split}_{number}", recording, stretch, start, frames)
                cuts.append(cut)
    return cuts


def describe(cuts, new, frames, fps):
    """Prints how many clips each class gets."""
    if not cuts:
        raise ValueError(f"no label is as long as a clip of {frames} frames, {frames / float(fps):.3f} s: give fewer --seconds")
    for class_name in sorted({cut.class_name for cut in cuts}):
        counts = {split: sum(cut.class_name == class_name and cut.split == split for cut in cuts) for split in data.SPLITS}
        stretches = len({cut.stretch for cut in cuts if cut.class_name == class_name})
        print(f"{class_name}: {counts['train']} training clips, {counts['test']} test clips, of {stretches} stretches")
        if not counts["test"]:
            print(f"{class_name}: no test clips, all of it is one stretch or --test-split is too small; label more stretches, "
                  f"or put clips of another recording into data/test", file=sys.stderr)
    print(f"{len(cuts)} clips of {frames} frames, {frames / float(fps):.3f} s; {len(new)} to be cut")


def clip_path(data_dir, cut):
    """Where a clip lies."""
    return os.path.join(data_dir, cut.split, cut.class_name, f"{cut.name}.mp4")


def read_cuts(data_dir):
    """The rows of clips.csv, a list of Cut. Raises ValueError, naming the line, if one is damaged."""
    path = os.path.join(data_dir, data.CLIPS_FILE)
    if not os.path.exists(path):
        return []
    cuts = []
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.reader(file):
            try:
                cuts.append(Cut(*row[:6], int(row[6])))
                int(cuts[-1].name.rpartition("_")[2])
            except (ValueError, TypeError, IndexError):
                raise ValueError(f"{path}: a row that is none of ours, {','.join(row)}; mend or delete the file") from None
    return cuts


def write_cuts(data_dir, cuts):
    """Writes clips.csv, sorted, whole or not at all."""
    files.write_text(os.path.join(data_dir, data.CLIPS_FILE), files.csv_text(sorted(cuts)))


def main(argv=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("recording", help="the video to cut")
    parser.add_argument("labels", help="its labels: .csv, .edl, .srt, .vtt")
    parser.add_argument("--seconds", type=cli.seconds, default=Fraction(3), help="length of a clip (default: 3)")
    parser.add_argument("--test-split", type=cli.fraction, default=0.2, metavar="SHARE",
                        help="share of each class's clips for the test split, by whole labels (default: 0.2)")
    parser.add_argument("--seed", type=cli.at_least(0), default=0, help="of the choice of test labels (default: 0)")
    parser.add_argument("--edl-class", default="Commercial", metavar="CLASS",
                        help="class of the stretches that an EDL skips (default: Commercial)")
    parser.add_argument("--rest", metavar="CLASS", help="class of all that has no label (default: it isn't cut)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, cut nothing")
    cli.add_limit_option(parser)
    args = parser.parse_args(argv)

    def work():
        failed = cut_clips(args.recording, args.labels, args.seconds, args.data_dir, args.test_split, args.seed, args.edl_class,
                           args.rest, args.dry_run, args.quiet)
        return 1 if failed else 0
    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
