"""Classifies each window of a video, writes the video with the classes on it, and what is when as a table.

Reads a checkpoint of train.py and a video. Writes result.avi: all frames of the video, with the classes and
their probabilities in the upper left corner and a strip of the classes over time at the bottom; and
result.csv: start, end, class and probability of each segment, other formats with --export. A window is as
long as the clips that the network was trained on. --output result.mp4, .mov or .mkv writes H.264.

Several videos go into one folder: --output-dir.

    python clasify.py 75 2 lstm-features.hdf5 video.mp4
    python clasify.py lstm-features.hdf5 video.mp4
    python clasify.py lstm-features.hdf5 *.mp4 --output-dir results
"""

import argparse
import contextlib
import io
import itertools
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vidclass import cli
from vidclass.recording.exporters import WRITERS
from vidclass.recording.options import ClassifyOptions, ManyOptions
from vidclass.recording.segments import Segment, Smoothing, Window
from vidclass.video.encoders import CONTAINERS
from vidclass.video.limits import VideoLimits

MANY_OPTIONS = "shard ray workers cpus".split()  # for many recordings only
# Options that say what is written of a recording: a live source has no file.
FILE_OPTIONS = "output smooth min_duration fast export skip keep exact no_video no_audio plain report".split()
FILE_OPTIONS += ["output_dir", *MANY_OPTIONS]


@dataclass(frozen=True)
class Classification:
    """What clasify() found out about a video."""

    classes: list[str]
    windows: list[Window]  # which do not overlap
    segments: list[Segment]
    loss: str | None  # what of the video could not be decoded, if anything


def clasify(
    seq_length: int | None,
    class_limit: int | None,
    saved_model: str,
    video_file: str,
    options: ClassifyOptions = ClassifyOptions(),
) -> Classification:
    """Classifies a video. Writes result.avi and, beside it, under the same name, what is asked for.

    The corner of each frame says what the network says of its window. With smoothing it says what result.csv
    says: the class of the segment with its mean probability, below it the other classes with theirs.

    seq_length, class_limit: those of the checkpoint `saved_model`; None: it tells them. Raises UsageError if
    the arguments contradict the checkpoint, and FileNotFoundError, ValueError or OSError, naming the file,
    for a checkpoint or video that can't be read or a result that can't be written.
    """
    from vidclass.recording import steps  # late: OpenCV and pandas take half a second

    job = steps.open_job(seq_length, class_limit, saved_model, video_file, options)
    windows, timeline = classify_job(job)
    job.files.write_kept(timeline)
    steps.summarize(job, timeline)
    return Classification(timeline.classes, windows, timeline.segments, job.reader.loss)


def classify_job(job: Any, model: Any = None, threads: int | None = None) -> tuple[list[Window], Any]:
    """(windows, Timeline) of a steps.ClassificationJob; writes all but the copy of --keep.

    model: the ResearchModel, if it is loaded already. threads: see Extractor.
    """
    from vidclass.recording import steps

    options = job.options
    # Opened before the long work: it tells at once if it can't be written.
    with job.writer() as writer, job.feature_cache() as cache, job.begin_reading():
        cli.import_keras()  # late: it takes seconds, and all that can be refused has been
        from extractor import Extractor
        from models import ResearchModel
        from vidclass.recording.int8_calibration import int8_ranges

        model = model or ResearchModel.load(job.saved_model)
        trained = job.trained
        ranges = int8_ranges(trained, job.reader)
        extractor = Extractor(trained.image_shape, trained.weights, trained.precision, ranges, threads)
        windows, times = steps.classify(job, extractor, model, cache)
        timeline = steps.segment(job, windows, times, model, cache)
        if writer:
            steps.write_video(job, timeline, times, writer)
    job.files.write(timeline)
    if options.report:
        from vidclass.recording import html_report  # late: matplotlib and scikit-learn take seconds

        html_report.write(job.files, timeline, job.saved_model)
    return windows, timeline


@dataclass(frozen=True)
class ManyResult:
    """What clasify_many() has done."""

    summaries: list[Any]  # of the recordings whose results are complete, see summaries.Summary
    problems: list[str]  # lines on the others, and on what of a recording could not be decoded


def clasify_many(
    seq_length: int | None,
    class_limit: int | None,
    saved_model: str,
    video_files: Iterable[str | os.PathLike],
    options: ManyOptions,
) -> ManyResult:
    """Classifies recordings into the folder options.output_dir, results named after each of them, and writes
    index.html there.

    A recording that can't be read is named and left out. What is complete is not done again: the same
    recording, checkpoint and options. Arguments and errors: see clasify().
    """
    from vidclass.recording import many, many_plan  # late: OpenCV and pandas take half a second

    plan = many_plan.make_plan(seq_length, class_limit, saved_model, video_files, options)
    frames, told = many.measure(plan)
    outcomes = (many_on_cluster if options.ray else many_here)(plan, frames)
    with contextlib.closing(outcomes):
        found = many.report(plan, itertools.chain(told, outcomes))
    summaries = many.print_result(plan, frames, found)
    return ManyResult(summaries, [outcome.problem for outcome in found if outcome.problem])


def many_here(plan: Any, frames: dict[str, int]) -> Generator[Any, None, None]:
    """Classifies recordings, {path: frames}, in this process. Yields many.Found of each."""
    if not frames:
        return
    cli.import_keras()
    from models import ResearchModel
    from vidclass.recording import many

    model = ResearchModel.load(plan.saved_model)
    plan.check_checkpoint()
    yield from many.classify_here(plan, frames, lambda job: classify_job(job, model)[1])


def many_on_cluster(plan: Any, frames: dict[str, int]) -> Generator[Any, None, None]:
    """The same on a Ray cluster."""
    from vidclass.features import ray_cluster
    from vidclass.recording import many

    options, paths = plan.options, list(frames)
    if not paths:
        return
    workers = ray_cluster.Workers(options.workers, options.cpus, calls=1)
    with ray_cluster.connected(options.ray), many.open_bar(plan, frames, wait=False) as bar:
        for values in ray_cluster.run(Worker, {"plan": plan, "paths": paths}, len(paths), 1, workers):
            found = many.Found(*values)
            bar.update(frames[found.path])
            yield found


class Worker:
    """What holds the network on a machine of a cluster: called with numbers of recordings, it classifies
    them."""

    def __init__(self, plan, paths, threads):
        cli.import_keras()
        from extractor import limit_threads

        limit_threads(threads)
        from models import ResearchModel

        self._plan, self._paths, self._threads = plan, paths, threads
        self._model = ResearchModel.load(plan.saved_model)
        plan.check_checkpoint()

    def __call__(self, numbers):
        from vidclass.recording import many

        found = []
        for number in numbers:
            path = self._paths[number]
            with contextlib.redirect_stderr(io.StringIO()) as notes:
                try:
                    outcome = many.classify_one(self._plan, path, self._work)
                except OSError as error:  # a full disk, which others may have no part in
                    outcome = many.Found(path, f"{path}: {error}")
            found.append(list(outcome._replace(notes=notes.getvalue().splitlines())))
        return found

    def _work(self, job):
        return classify_job(job, self._model, self._threads)[1]


def stream(
    seq_length: int | None,
    class_limit: int | None,
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
    windows = live.LiveWindows(trained.seq_length, trained.clip_seconds, options.hop)
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
    """The command line. Its positional arguments are sorted out by read_positionals."""
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default=None)
    cli.add_precision_option(parser)
    parser.add_argument("seq_length", nargs="?", help="frames that the LSTM sees of a clip")
    parser.add_argument("classes", nargs="?", help="number of classes; a checkpoint of train.py knows both")
    parser.add_argument("checkpoint", help="a checkpoint of train.py: lstm-features.hdf5")
    parser.add_argument(
        "video",
        nargs="+",
        help="the video to classify, several with --output-dir; with --stream an address (rtsp://...) or a "
        "camera's number",
    )
    add_timeline_options(parser)
    add_result_options(parser)
    add_many_options(parser)
    parser.add_argument(
        "--stream",
        action="store_true",
        help="a live source: print each window as a line of JSON, write no file",
    )
    cli.add_limit_option(parser)
    return parser


def read_positionals(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Sorts out the positional arguments, with or without the two numbers before the checkpoint. Ends with an
    error that names what is missing."""
    words = [
        word for word in (args.seq_length, args.classes, args.checkpoint, *args.video) if word is not None
    ]
    args.seq_length = args.classes = None
    if _is_number(words[0]) or len(words) > 3 and _is_number(words[1]) and not os.path.exists(words[0]):
        if len(words) < 4:
            names = ("classes", "checkpoint", "video")[len(words) - 1 :]
            parser.error(f"the following arguments are required: {', '.join(names)}")
        for name in ("seq_length", "classes"):
            try:
                setattr(args, name, cli.at_least(2)(words.pop(0)))
            except argparse.ArgumentTypeError as error:
                parser.error(f"argument {name}: {error}")
    args.checkpoint, *args.video = words


def _is_number(word):
    return word.strip().lstrip("+-").isdigit()


def add_many_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for many recordings."""
    parser.add_argument(
        "--output-dir",
        metavar="FOLDER",
        help="write the results of each video there, named after it, and index.html; what is complete is not "
        "done again",
    )
    cli.add_shard_option(parser, "videos")
    cli.add_ray_options(parser)
    cli.add_cpus_option(parser)


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


def check_together(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends with an error, and the cure, if options contradict each other or the videos."""

    def given(names):
        found = (name for name in names if getattr(args, name) != parser.get_default(name))
        return ", ".join(f"--{name.replace('_', '-')}" for name in found)

    if args.stream:
        if refused := given(FILE_OPTIONS):
            parser.error(
                f"{refused}: not with --stream, which writes no file and prints each window as it ends"
            )
        if len(args.video) > 1:
            parser.error("--stream takes one live source: start clasify.py once for each")
        return
    for video in args.video:
        if is_live(video):
            parser.error(f"{video} is an address (or a camera): add --stream")
    if args.output_dir is None:
        if len(args.video) > 1:
            parser.error(f"{len(args.video)} videos: name a folder for their results with --output-dir")
        if refused := given(MANY_OPTIONS):
            parser.error(f"{refused}: for many videos; add --output-dir")
    elif args.output is not None:
        parser.error(
            "--output names the results of one video, --output-dir the folder for many: leave one of them out"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_intermixed_args(argv)
    read_positionals(parser, args)
    check_together(parser, args)

    def work():
        options = make_options(args)
        numbers = args.seq_length, args.classes
        if args.stream:
            return stream(*numbers, args.checkpoint, args.video[0], options)
        if args.output_dir is None:
            return 1 if clasify(*numbers, args.checkpoint, args.video[0], options).loss else 0
        many = ManyOptions(args.output_dir, options, args.shard, args.ray, args.workers, args.cpus)
        return 1 if clasify_many(*numbers, args.checkpoint, args.video, many).problems else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
