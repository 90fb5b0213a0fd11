"""Classifies each window of a video, writes the video with the classes on it, and what is when as a table.

Reads a checkpoint of train.py and a video. Writes result.avi: all frames of the video, with the classes and
their probabilities in the upper left corner and a strip of the classes over time at the bottom; and
result.csv: start, end, class and probability of each segment, other formats with --export. A window is as
long as the clips that the network was trained on. --output result.mp4, .mov or .mkv writes H.264.

    python clasify.py 75 2 lstm-features.hdf5 video.mp4
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from vidclass import cli
from vidclass.recording.exporters import WRITERS
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.segments import Segment, Smoothing, Window
from vidclass.video.encoders import CONTAINERS
from vidclass.video.limits import VideoLimits

# Options that say what is written of a recording: a live source has no file.
FILE_OPTIONS = "output smooth min_duration fast export skip keep exact no_video no_audio plain report".split()


@dataclass(frozen=True)
class Classification:
    """What clasify() found out about a video."""

    classes: list[str]
    windows: list[Window]  # which do not overlap
    segments: list[Segment]
    loss: str | None  # what of the video could not be decoded, if anything


def clasify(
    seq_length: int,
    class_limit: int,
    saved_model: str,
    video_file: str,
    options: ClassifyOptions = ClassifyOptions(),
) -> Classification:
    """Classifies a video. Writes result.avi and, beside it, under the same name, what is asked for.

    The corner of each frame says what the network says of its window. With smoothing it says what result.csv
    says: the class of the segment with its mean probability, below it the other classes with theirs.

    seq_length, class_limit: those of the checkpoint `saved_model`. Raises UsageError if the arguments
    contradict the checkpoint, and FileNotFoundError, ValueError or OSError, naming the file, for a checkpoint
    or video that can't be read or a result that can't be written.
    """
    from vidclass.recording import steps  # late: OpenCV and pandas take half a second

    job = steps.open_job(seq_length, class_limit, saved_model, video_file, options)
    # Opened before the long work: it tells at once if it can't be written.
    with job.writer() as writer, job.feature_cache() as cache, job.begin_reading():
        cli.import_keras()  # late: it takes seconds, and all that can be refused has been
        from extractor import Extractor
        from models import ResearchModel
        from vidclass.recording.int8_calibration import int8_ranges

        model = ResearchModel.load(job.saved_model)
        trained = job.trained
        ranges = int8_ranges(trained, job.reader)
        extractor = Extractor(trained.image_shape, trained.weights, trained.precision, ranges)
        windows, times = steps.classify(job, extractor, model, cache)
        timeline = steps.segment(job, windows, times, model, cache)
        if writer:
            steps.write_video(job, timeline, times, writer)
    job.files.write(timeline)
    if options.report:
        from vidclass.recording import html_report  # late: matplotlib and scikit-learn take seconds

        html_report.write(job.files, timeline, job.saved_model)
    job.files.write_kept(timeline)
    steps.summarize(job, timeline)
    return Classification(timeline.classes, windows, timeline.segments, job.reader.loss)


def stream(
    seq_length: int,
    class_limit: int,
    saved_model: str,
    source: str,
    options: ClassifyOptions = ClassifyOptions(),
) -> None:
    """Classifies a live source, an address or a camera's number, and prints a line of JSON for each window:
    see live.stream. Arguments and errors: see clasify()."""
    from vidclass.recording import live, live_source
    from vidclass.recording.trained import read_trained
    from vidclass.training.checkpoint import find_checkpoint

    saved_model = find_checkpoint(saved_model, options.data_dir)
    trained = read_trained(saved_model, seq_length, class_limit, options)
    assert trained.clip_seconds  # read_trained refuses others
    windows = live.LiveWindows(seq_length, trained.clip_seconds, options.hop)
    opened = live_source.Source(source, windows.rate, trained.image_shape, options.quiet, options.limits)
    cli.import_keras()  # late: it takes seconds, and all that can be refused has been
    from extractor import Extractor
    from models import ResearchModel

    extractor = Extractor(trained.image_shape, trained.weights, trained.precision, trained.ranges)
    live.stream(opened, windows, ResearchModel.load(saved_model), extractor, trained.classes)


def is_live(source: str) -> bool:
    """Whether this is the address of a live source, or the number of a camera, and no file."""
    from vidclass.recording.live_source import PROTOCOLS

    if os.path.exists(source):
        return False
    if "://" in source:
        return source.partition("://")[0].lower() in PROTOCOLS
    return source.isascii() and source.isdigit()


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.make_parser(__doc__)
    cli.add_checkpoint_arguments(parser)
    parser.add_argument(
        "video", help="the video to classify; with --stream an address (rtsp://...) or a camera's number"
    )
    add_timeline_options(parser)
    add_result_options(parser)
    parser.add_argument(
        "--stream",
        action="store_true",
        help="a live source: print each window as a line of JSON, write no file",
    )
    cli.add_limit_option(parser)
    return parser


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is written."""
    parser.add_argument(
        "--output",
        help=f"file to write, its name ending in {', '.join(CONTAINERS)}; what goes beside it has its name, "
        f"too (default: result.avi)",
    )
    parser.add_argument(
        "--export",
        type=cli.names(WRITERS),
        metavar="FORMATS",
        help=f"files to write beside result.avi: one or more of {','.join(WRITERS)} (default: csv)",
    )
    parser.add_argument(
        "--skip",
        type=cli.names(),
        default=(),
        metavar="CLASSES",
        help="classes that the EDL tells a player to skip: Commercial,Trailer",
    )
    parser.add_argument(
        "--keep",
        type=cli.names(),
        default=(),
        metavar="CLASSES",
        help="write a copy of the recording with nothing but these classes",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="with --keep: cut to the frame and encode anew (default: copy, cut at key frames)",
    )
    parser.add_argument("--no-video", action="store_true", help="don't write result.avi")
    parser.add_argument("--no-audio", action="store_true", help="result.avi without sound")
    parser.add_argument("--plain", action="store_true", help="result.avi without the strip, as the article's")
    parser.add_argument(
        "--report", action="store_true", help="write result.html and result.png: the classes over time"
    )


def add_timeline_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how windows become segments."""
    parser.add_argument(
        "--hop",
        type=cli.seconds,
        metavar="SECONDS",
        help="from the start of one window to the next (default: a window, as in the article)",
    )
    parser.add_argument(
        "--smooth", action="store_true", help="no flicker: the likeliest sequence of classes over all windows"
    )
    parser.add_argument(
        "--min-duration",
        type=cli.seconds,
        metavar="SECONDS",
        help="with --smooth, which it implies: the least that a class lasts (default: a window). The "
        "network then looks at some windows only where nothing changes",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="--smooth with a --min-duration of four windows: the network sees less than half of the frames",
    )


def make_options(args: argparse.Namespace) -> ClassifyOptions:
    """The options that a command line gives."""
    smooth = args.smooth or args.fast or args.min_duration is not None
    return ClassifyOptions(
        data_dir=args.data_dir,
        weights=args.weights,
        precision=args.precision,
        hop=args.hop,
        smoothing=Smoothing(args.min_duration, args.fast) if smooth else None,
        output="result.avi" if args.output is None else args.output,
        export=args.export or ("csv",),
        skip=args.skip,
        keep=args.keep,
        exact=args.exact,
        video=not args.no_video,
        audio=not args.no_audio,
        strip=not args.plain,
        report=args.report,
        limits=VideoLimits(max_pixels=args.max_pixels),
        quiet=args.quiet,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.stream:
        refused = [
            f"--{name.replace('_', '-')}"
            for name in FILE_OPTIONS
            if getattr(args, name) != parser.get_default(name)
        ]
        if refused:
            parser.error(
                f"{', '.join(refused)}: not with --stream, which writes no file and prints each window as it "
                f"ends"
            )
    elif is_live(args.video):
        parser.error(f"{args.video} is an address (or a camera): add --stream")

    def work():
        arguments = args.seq_length, args.classes, args.checkpoint, args.video, make_options(args)
        if args.stream:
            return stream(*arguments)
        return 1 if clasify(*arguments).loss else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
