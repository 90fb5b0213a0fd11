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

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vidclass import cli, locking
from vidclass.console import count, print
from vidclass.dataset.options import CutOptions
from vidclass.names import SPLITS
from vidclass.video.limits import VideoLimits


@dataclass(frozen=True)
class CutResult:
    """Numbers of clips of a recording after cut_clips()."""

    cut: int = 0  # cut now
    kept: int = 0  # that were there already
    removed: int = 0  # of an earlier cutting, that no longer fitted
    failed: int = 0


def cut_clips(recording: str, labels_file: str, options: CutOptions = CutOptions()) -> CutResult:
    """Cuts clips of a recording, in place of those that were cut of it before, and prints what it does.

    Raises OSError or ValueError, naming the file and the line, if the recording or the labels can't be used,
    or if a class would get no clip at all.
    """
    from vidclass.dataset import cut_report, cut_steps, recording_labels  # late: OpenCV and pandas are slow

    data_dir = options.data_dir
    source = recording_labels.open_recording(recording, options.limits)
    frames = recording_labels.frames_of_clip(source, options.seconds)
    stretches = recording_labels.labelled_stretches(source, labels_file, options)
    cut_report.warn_of_alike({stretch.class_name for stretch in stretches}, data_dir)
    if not os.path.isdir(data_dir):  # before it is made
        recording_labels.check_lengths(stretches, frames, source, labels_file, lambda class_name: False)
    if not options.dry_run:
        os.makedirs(data_dir, exist_ok=True)
    with contextlib.nullcontext() if options.dry_run else locking.locked(data_dir):
        plan = cut_steps.plan_recording(source, stretches, frames, labels_file, options)
        cut_report.print_plan(plan, options)
        kept = len(plan.cuts) - len(plan.new)
        if options.dry_run:
            return CutResult(kept=kept)
        cut_steps.replace_earlier(plan, data_dir)
        outcomes = cut_steps.cut_new(plan, options)
    problems = sorted(outcome.problem for outcome in outcomes if outcome.problem)
    for problem in problems:
        print(problem, file=sys.stderr)
    result = CutResult(len(outcomes) - len(problems), kept, len(plan.gone), len(problems))
    print(
        f"{count(result.cut, 'clip')} cut, {kept} {'was' if kept == 1 else 'were'} there already, "
        f"{result.failed} failed"
    )
    return result


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
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
        "--split",
        choices=SPLITS,
        help="all clips are for this split, to test on recordings that no training clip comes from",
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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = make_parser().parse_args(argv)

    def work():
        options = CutOptions(
            seconds=args.seconds,
            data_dir=args.data_dir,
            test_split=args.test_split,
            split=args.split,
            seed=args.seed,
            edl_class=args.edl_class,
            rest=args.rest,
            redraw=args.redraw,
            dry_run=args.dry_run,
            limits=VideoLimits(max_pixels=args.max_pixels),
            quiet=args.quiet,
        )
        return 1 if cut_clips(args.recording, args.labels, options).failed else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
