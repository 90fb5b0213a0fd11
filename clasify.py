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
from vidclass.recording import arguments
from vidclass.recording.options import ClassifyOptions, ManyOptions
from vidclass.recording.segments import Segment, Window
from vidclass.recording.segments import Smoothing as Smoothing  # of ClassifyOptions


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
    arguments.add_timeline_options(parser)
    arguments.add_result_options(parser)
    arguments.add_many_options(parser)
    parser.add_argument(
        "--stream",
        action="store_true",
        help="a live source: print each window as a line of JSON, write no file",
    )
    cli.add_limit_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_intermixed_args(arguments.after_dashes(sys.argv[1:] if argv is None else argv))
    arguments.read_positionals(parser, args)
    arguments.check_together(parser, args)

    def work():
        options = arguments.make_options(args)
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
