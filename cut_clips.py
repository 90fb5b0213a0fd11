"""Cuts the labelled stretches of a recording into training and test clips of equal length.

Reads a recording and its labels: rows of start, end, class (seconds or HH:MM:SS.mmm) in a CSV, our
result.csv, an EDL, comskip's .txt, SRT or WebVTT. Writes data/train/<Class>/<Class>_train_1.mp4, ...,
data/test/<Class>/<Class>_test_1.mp4, ..., and notes in data/clips.csv where each comes from. A clip lies
inside one label; all clips of one label are of the same split.

Cutting a recording again, with corrected labels or another --seconds, replaces its clips: those that are
still right are left alone, the others are named and removed with all that was made of them. A recording is
known by its content, so it may be moved or renamed.

    python cut_clips.py Football.mp4 labels.csv --seconds 3
"""

import contextlib
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from fractions import Fraction

from vidclass import atomic, cli, locking, processes
from vidclass.console import count, print
from vidclass.dataset import clips_csv
from vidclass.dataset.clips import EXTENSIONS
from vidclass.dataset.cut_plan import (
    Numbers,
    Recording,
    choose_splits,
    earlier_stretches,
    find_stretches,
    plan,
)
from vidclass.dataset.data_file import SPLITS
from vidclass.dataset.labels import check_class, fill_gaps, read_labels
from vidclass.names import alike_classes
from vidclass.progress import progress
from vidclass.video.cutting import ClipCutter, first_picture
from vidclass.video.probe import count_frames, probe, read_packets

MOST_LINES = 20  # of one kind of warning


def cut_clips(
    recording,
    labels_file,
    seconds,
    data_dir="data",
    test_split=0.2,
    seed=0,
    edl_class="Commercial",
    rest=None,
    dry_run=False,
    quiet=False,
    redraw=False,
):
    """Cuts clips, in place of those that were cut of the recording before. Returns the number of those that
    failed.

    seconds: length of a clip. test_split: share of each class's clips that go to the test split, by whole
    stretches. seed: which stretches. edl_class: of what an EDL skips. rest: class of all that has no label.
    dry_run: print the plan only. redraw: draw the splits anew, also of footage that was cut before.
    Raises OSError or ValueError, naming the file and the line, if the recording or the labels can't be used,
    or if a class would get no clip at all.
    """
    source = open_recording(recording)
    frames = round(Fraction(seconds) * source.fps)
    if frames < 1:
        raise ValueError(f"--seconds {float(seconds):g} is less than a frame of {recording}")
    labels = check_start(read_labels(labels_file, edl_class), labels_file, source)
    labels = check_end(labels, labels_file, source)
    if rest:
        check_class(rest)
        labels = [
            label._replace(start=picture_start(label, source))
            for label in fill_gaps(labels, source.seconds, rest)
            if label.end > picture_start(label, source)
        ]
    warn_of_alike({label.class_name for label in labels}, data_dir)
    stretches = find_stretches(labels, source.fps)
    if not os.path.isdir(data_dir):  # before it is made
        check_lengths(stretches, frames, source, labels_file, lambda class_name: False)
    if not dry_run:
        os.makedirs(data_dir, exist_ok=True)
    with contextlib.nullcontext() if dry_run else locking.locked(data_dir):
        known = clips_csv.read(data_dir)
        earlier, namesakes = clips_csv.find_recording(known, recording, source.fingerprint)
        listed_before = set(earlier)
        others = [cut for cut in known if cut not in listed_before]
        too_short = check_lengths(
            stretches,
            frames,
            source,
            labels_file,
            lambda class_name: has_others(data_dir, "train", class_name, earlier),
        )
        stretches = [stretch for stretch in stretches if stretch.starts(frames)]
        before = [] if redraw else earlier_stretches(earlier, source.fps)
        splits = choose_splits(stretches, frames, before, test_split, seed)
        cuts = plan(stretches, splits, frames, source, earlier, Numbers(data_dir, known))
        planned = {cut[:3] for cut in cuts}
        gone = [cut for cut in earlier if cut[:3] not in planned]
        new = [cut for cut in cuts if not os.path.exists(clips_csv.clip_path(data_dir, cut))]
        describe_plan(cuts, new, data_dir, earlier, source)
        describe_earlier(gone, namesakes, recording, data_dir, dry_run)
        print_some(too_short)
        if dry_run:
            return 0
        # Before anything else, and with the clips that go: a run that was killed is taken up by the next one.
        clips_csv.write(data_dir, [*others, *cuts, *gone])
        if gone:
            clips_csv.remove(data_dir, gone)
            clips_csv.write(data_dir, [*others, *cuts])
        problems = cut_new(source, new, data_dir, quiet)
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    print(
        f"{count(len(new) - len(problems), 'clip')} cut, {len(cuts) - len(new)} "
        f"{'was' if len(cuts) - len(new) == 1 else 'were'} there already, {len(problems)} failed"
    )
    return len(problems)


def open_recording(path):
    """The Recording in a file. Raises OSError or ValueError, naming it, if there is none."""
    info = probe(path)
    frames = info.frames or count_frames(path)
    start = float(first_picture(path, info.fps))
    if start * info.fps > 1.5 and info.frames:
        # Some headers tell how long sound and picture are together. MPEG-TS may have packets of half a frame.
        frames = min(frames, read_packets(path)[0] or frames)
    # In whole frames, as cutting.ClipCutter counts them.
    end = math.floor(Fraction(start) * info.fps + Fraction(1, 2)) + frames
    return Recording(path, info.fps, frame_time(end, info.fps), clips_csv.fingerprint(path), start)


def frame_time(number, fps):
    """When a frame begins, in seconds, rounded down: the next one must not be the first at or after it."""
    return math.floor(10**6 * number / Fraction(fps)) / 10**6


def cut_new(source, new, data_dir, quiet):
    """Cuts those clips. Returns what was wrong with those that failed, a list of lines."""
    problems = []
    with (
        progress(total=len(new), unit="clip", desc="Cutting", quiet=quiet or not new) as bar,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        for folder in {os.path.dirname(clips_csv.clip_path(data_dir, cut)) for cut in new}:
            os.makedirs(folder, exist_ok=True)
            atomic.remove_stale_temporaries(folder)
        cutter = ClipCutter(source.path, source.fps) if new else None
        futures = [
            pool.submit(cutter.cut, Fraction(cut.start), cut.frames, clips_csv.clip_path(data_dir, cut))
            for cut in new
        ]
        try:
            for future in as_completed(futures):
                bar.update()
                try:
                    future.result()
                except ValueError as error:
                    problems.append(str(error))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if cutter:
                cutter.stop()
            while not all(future.done() for future in futures):  # one may just start its next ffmpeg
                processes.kill_all()
                time.sleep(0.05)
            raise
    return problems


def picture_start(label, source):
    """When a label starts, or the recording's picture, if that is later than cutting.ClipCutter makes up
    for."""
    if label.start >= source.start - 1.5 / float(source.fps):
        return label.start
    return frame_time(math.floor(Fraction(source.start) * source.fps + Fraction(1, 2)), source.fps)


def check_start(labels, labels_file, source):
    """The labels, one that starts before the recording's picture starting with it. Raises ValueError if one
    ends before."""
    for label in labels:
        if label.end <= picture_start(label, source):
            raise ValueError(
                f"{labels_file}, line {label.line}: ends at {label.end:.3f} s, but the picture "
                f"of {source.path} begins at {source.start:.3f} s; leave the label out"
            )
    return [label._replace(start=picture_start(label, source)) for label in labels]


def warn_of_alike(classes, data_dir):
    """Prints which classes of labels and of the dataset are probably one."""
    folder = os.path.join(data_dir, "train")
    with contextlib.suppress(OSError):
        classes = classes | {
            entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")
        }
    print_some(alike_classes(data_dir, classes))


def check_end(labels, labels_file, source):
    """The labels, the last one ending with the recording if it is within half a second of it. Raises
    ValueError if one lies beyond."""
    for label in labels:
        if label.start >= source.seconds or label.end > source.seconds + 0.5 and not math.isinf(label.end):
            edge = f"starts at {label.start:.3f}" if math.isinf(label.end) else f"ends at {label.end:.3f}"
            raise ValueError(
                f"{labels_file}, line {label.line}: {edge} s, but {source.path} is "
                f"{source.seconds:.3f} s long"
            )
    return [label._replace(end=min(label.end, source.seconds)) for label in labels]


def check_lengths(stretches, frames, source, labels_file, has_others):
    """Lines on labels that are shorter than a clip. Raises ValueError if a class would get no clip and
    has_others(class_name), whether the dataset has some that are not of this recording, says no."""
    seconds = frames / float(source.fps)
    if not any(stretch.starts(frames) for stretch in stretches):
        raise ValueError(
            f"{labels_file}: no label is as long as a clip of {count(frames, 'frame')}, "
            f"{seconds:.3f} s: give fewer --seconds"
        )
    served = {stretch.class_name for stretch in stretches if stretch.starts(frames)}
    without = sorted({stretch.class_name for stretch in stretches} - served)
    for class_name in without:
        lengths = [stretch.end - stretch.start for stretch in stretches if stretch.class_name == class_name]
        if not has_others(class_name):
            raise ValueError(
                f"{labels_file}: class {class_name} would get no clip, its longest label has "
                f"{max(lengths):.3f} s and a clip {seconds:.3f} s: give fewer --seconds, or "
                f"leave its {count(len(lengths), 'label')} out"
            )
    lines = [
        f"{labels_file}, line {stretch.line}: left out, {stretch.class_name} lasts "
        f"{stretch.end - stretch.start:.3f} s there, a clip {seconds:.3f} s"
        for stretch in stretches
        if not stretch.starts(frames)
    ]
    return lines + [f"{labels_file}: no clip of class {class_name}" for class_name in without]


def has_others(data_dir, split, class_name, own):
    """Whether there are clips of a split and class other than these."""
    folder = os.path.join(data_dir, split, class_name)
    names = (os.path.splitext(file) for file in (os.listdir(folder) if os.path.isdir(folder) else ()))
    own = {cut.name for cut in own if (cut.split, cut.class_name) == (split, class_name)}
    return any(
        ending[1:].lower() in EXTENSIONS and not name.startswith(".") and name not in own
        for name, ending in names
    )


def describe_plan(cuts, new, data_dir, earlier, source):
    """Prints how many clips each class gets. earlier: Cuts of the recording that clips.csv lists."""
    for class_name in sorted({cut.class_name for cut in cuts}):
        own = [cut for cut in cuts if cut.class_name == class_name]
        counts = {split: sum(cut.split == split for cut in own) for split in SPLITS}
        stretches = len({cut.label_start for cut in own})
        print(
            f"{class_name}: {count(counts['train'], 'clip')} to train on, {counts['test']} to test on, "
            f"of {count(stretches, 'stretch')}"
        )
        for split, cure in (
            ("test", "label more stretches, or give a greater --test-split"),
            ("train", "label more stretches"),
        ):
            if not counts[split] and not has_others(data_dir, split, class_name, [*earlier, *cuts]):
                again = ", or --redraw the splits" if stretches > 1 and earlier else ""
                print(
                    f"{class_name}: no clips to {split} on; {cure}{again}, or put clips of another "
                    f"recording into {os.path.join(data_dir, split, class_name)}",
                    file=sys.stderr,
                )
    frames = cuts[0].frames
    print(
        f"{count(len(cuts), 'clip')} of {count(frames, 'frame')}, {frames / float(source.fps):.3f} s; "
        f"{len(new)} to be cut"
    )


def describe_earlier(gone, namesakes, recording, data_dir, dry_run):
    """Says which clips of an earlier cutting go, and that those of another file stay."""
    if gone:
        print(
            f"{recording} was cut before; {count(len(gone), 'clip')} of it no longer "
            f"{'fits' if len(gone) == 1 else 'fit'} the labels and --seconds and "
            f"{'would be' if dry_run else 'is' if len(gone) == 1 else 'are'} removed, with frames and "
            f"features:"
        )
        print(*listed(gone), sep="\n")
    if namesakes:
        print(
            f"{os.path.join(data_dir, clips_csv.CLIPS_FILE)}: {count(len(namesakes), 'clip')} of another file "
            f"named {os.path.basename(recording)} {'stays' if len(namesakes) == 1 else 'stay'}; if it "
            f"showed the same, delete:",
            file=sys.stderr,
        )
        print(*listed(namesakes), sep="\n", file=sys.stderr)


def listed(cuts):
    """Lines that name clips, a split and class each."""
    lines = []
    for split, class_name in sorted({cut[:2] for cut in cuts}):
        names = [cut.name for cut in cuts if cut[:2] == (split, class_name)]
        parts = (name.rpartition("_") for name in names)
        numbers = sorted((int(number), beginning) for beginning, _, number in parts)
        runs = []  # [first, last] of names that follow each other
        for number, beginning in numbers:
            if runs and runs[-1][1] == (number - 1, beginning):
                runs[-1][1] = number, beginning
            else:
                runs.append([(number, beginning)] * 2)
        texts = (
            f"{beginning}_{first}" + (f" to {last}" if last > first else "")
            for (first, beginning), (last, _) in runs
        )
        lines.append(f"  {split}/{class_name}: {count(len(names), 'clip')}, {', '.join(texts)}")
    return lines


def print_some(lines):
    """Prints warnings, of very many only the first."""
    for line in lines[:MOST_LINES]:
        print(line, file=sys.stderr)
    if len(lines) > MOST_LINES:
        print(f"... and {len(lines) - MOST_LINES} more of this kind", file=sys.stderr)


def main(argv=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("recording", help="the video to cut")
    parser.add_argument("labels", help="its labels: .csv, .edl, .srt, .vtt, or comskip's .txt")
    parser.add_argument(
        "--seconds", type=cli.seconds, default=Fraction(3), help="length of a clip (default: 3)"
    )
    parser.add_argument(
        "--test-split",
        type=cli.fraction,
        default=0.2,
        metavar="SHARE",
        help="share of each class's clips for the test split, by whole labels (default: 0.2)",
    )
    parser.add_argument(
        "--seed", type=cli.at_least(0), default=0, help="of the choice of test labels (default: 0)"
    )
    parser.add_argument(
        "--edl-class",
        default="Commercial",
        metavar="CLASS",
        help="class of the stretches that an EDL or comskip marks (default: Commercial)",
    )
    parser.add_argument(
        "--rest", metavar="CLASS", help="class of all that has no label (default: it isn't cut)"
    )
    parser.add_argument(
        "--redraw",
        action="store_true",
        help="draw the test labels anew where the recording was cut before (default: footage "
        "keeps its split)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan, cut and remove nothing")
    cli.add_limit_option(parser)
    args = parser.parse_args(argv)

    def work():
        failed = cut_clips(
            args.recording,
            args.labels,
            args.seconds,
            args.data_dir,
            args.test_split,
            args.seed,
            args.edl_class,
            args.rest,
            args.dry_run,
            args.quiet,
            args.redraw,
        )
        return 1 if failed else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
