"""Classifies each window of a video, writes the video with the classes on it, and what is when as a table.

Reads a checkpoint of train.py and a video. Writes result.avi: all frames of the video, with the classes and
their probabilities in the upper left corner and a strip of the classes over time at the bottom; and
result.csv: start, end, class and probability of each segment, other formats with --export. A window is as
long as the clips that the network was trained on. --output result.mp4, .mov or .mkv writes H.264.

    python clasify.py 75 2 lstm-features.hdf5 video.mp4
"""

import contextlib
import os
import sys
from fractions import Fraction
from typing import NamedTuple

from extractor import Extractor
from models import ResearchModel
from vidclass import cli, parallel
from vidclass.console import print
from vidclass.dataset.data_file import choose_classes, read_data_file
from vidclass.features.identity import weights_id
from vidclass.keras_loading import import_keras
from vidclass.recording import live
from vidclass.recording.cuts import FeatureCache, find_cuts
from vidclass.recording.exporters import WRITERS
from vidclass.recording.kept_copy import kept_name
from vidclass.recording.overlay import Strip, caption, write_result
from vidclass.recording.results import Results, check_video_extension, summarize, warn_of_others, warn_of_rate
from vidclass.recording.segments import Timeline, average_windows, find_segments, make_segments, over_segments
from vidclass.recording.windows import classify_windows, set_times
from vidclass.training.checkpoint import Checkpoint, find_checkpoint
from vidclass.video import encoders
from vidclass.video.limits import VideoLimits
from vidclass.video.probe import audio_format
from vidclass.video.reader import FrameReader
from vidclass.video.times import steady_rate
from vidclass.video.writer import VideoWriter

# Options that say what is written of a recording: a live source has no file.
FILE_OPTIONS = (
    "output",
    "smooth",
    "min_duration",
    "export",
    "skip",
    "keep",
    "exact",
    "no_video",
    "no_audio",
    "plain",
    "report",
)
# Extensions of videos that --keep can't copy parts of: a GIF's frames, and streams without times.
UNCOPIED = (".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".obu", ".vc1", ".y4m", ".m1v", ".m2v")


class Classification(NamedTuple):
    """What clasify returns."""

    classes: list  # of str
    windows: list  # of Window
    loss: str | None  # what of the video could not be decoded, if anything
    segments: list  # of Segment


def clasify(
    seq_length,
    class_limit,
    saved_model,
    video_file,
    data_dir="data",
    weights=None,
    output="result.avi",
    quiet=False,
    precision="float32",
    hop=None,
    smooth=False,
    min_duration=None,
    export=("csv",),
    skip=(),
    keep=(),
    exact=False,
    write_video=True,
    audio=True,
    plain=False,
    report=False,
):
    """Classifies a video. Writes `output`, see video.VideoWriter, and beside it, under the same name, what is
    asked for.

    The corner of each frame says what the network says of its window. With `smooth` it says what result.csv
    does: the class of the segment and its mean probability there; below it the other classes with theirs.

    seq_length, class_limit: those of the checkpoint `saved_model`. weights: InceptionV3's, needed only if the
    checkpoint was trained with a weights file. data_dir: where data_file.csv gives the classes of a
    checkpoint that has none. precision: see Extractor. hop: seconds from one window's start to the next's
    (None: a window). smooth, min_duration (seconds; implies smooth; None: a window): see
    timeline.find_segments. export: names of timeline.WRITERS. skip: classes that an EDL skips. keep: classes
    of a copy of the recording that has nothing else; exact: encode it anew, cut to the frame. write_video,
    audio, plain: whether to write `output`, with the video's sound, without the strip. report: write
    result.html and result.png.

    Returns a Classification. Raises cli.UsageError if the arguments contradict the checkpoint or each other,
    and FileNotFoundError, ValueError or OSError, naming the file, for a checkpoint or video that can't be
    read or a result that can't be written.
    """
    if write_video:
        check_video_extension(output)
    check_kept(video_file, keep, exact)
    reader = FrameReader(video_file)
    results = Results(output, export, write_video, report, keep and kept_name(output, video_file, exact))
    results.check(video_file)
    saved_model = find_checkpoint(saved_model, data_dir)
    classes, image_shape, clip_seconds, weights = settings(
        saved_model, seq_length, class_limit, data_dir, weights, reader.info
    )
    check_names(classes, export, skip, keep)
    # Frames per window, as a fraction: at 29.97 frames per second windows of 3 s are 90 or 89 frames long.
    window_length = Fraction(clip_seconds) * reader.info.fps if clip_seconds else Fraction(seq_length)
    window_seconds = float(window_length / reader.info.fps)
    hop_length = Fraction(hop) * reader.info.fps if hop else window_length
    if hop_length > window_length:
        raise cli.UsageError(f"--hop {float(hop):g} would leave gaps: a window is {window_seconds:g} s")
    smooth = smooth or min_duration is not None
    results.make_folder()
    with contextlib.ExitStack() as stack:
        if write_video:  # opened before the long work: tells at once if it can't be written
            writer = stack.enter_context(
                VideoWriter(output, reader.info.fps, reader.info.pixel_aspect, video_file if audio else None)
            )
        import_keras()
        model = ResearchModel.load(saved_model)
        store = None
        if smooth:
            store = stack.enter_context(
                contextlib.closing(FeatureCache(os.path.dirname(os.path.abspath(output))))
            )
        windows = average_windows(
            classify_windows(
                reader,
                Extractor(image_shape, weights, precision),
                model,
                seq_length,
                window_length,
                classes,
                quiet,
                hop_length,
                store,
            )
        )
        # The video is decoded once more to write it, so that no frame waits in memory for its window's end.
        # Windows may.
        written = write_video and plain and not smooth
        if written:
            classified, windows = stack.enter_context(contextlib.closing(parallel.run_ahead(windows))), []

            def captions_of_classified():
                for window in classified:
                    windows.append(window)
                    yield caption(classes, window)

            write_result(reader, writer, captions_of_classified(), output, quiet)
        windows, times = set_times(list(windows), reader)
        if smooth:
            segments = find_segments(
                classes,
                windows,
                window_seconds,
                window_seconds if min_duration is None else float(min_duration),
            )
            names, frames = (
                [segment.class_name for segment in segments],
                {w.start: w.first_frame for w in windows},
            )
            cuts = find_cuts(
                [classes.index(name) for name in names],
                [frames[segment.start] for segment in segments[1:]],
                store,
                model,
                seq_length,
            )
            segments = make_segments(classes, windows, names, [float(times[cut]) for cut in cuts])
        else:
            segments = find_segments(classes, windows)
        timeline = Timeline(
            os.fspath(video_file),
            reader.info.fps,
            (reader.info.height, reader.info.width),
            classes,
            windows,
            segments,
            tuple(skip),
            audio_format(video_file) if "xml" in export else None,
        )
        if write_video and not written:
            writer.rate = steady_rate(reader.info.fps, times)
            captions = (
                (
                    caption(classes, window, classes.index(segment.class_name))
                    for window, segment in zip(over_segments(windows, segments, times), segments)
                )
                if smooth
                else (caption(classes, window) for window in windows)
            )
            write_result(reader, writer, captions, output, quiet, None if plain else Strip(timeline), times)
        if write_video:
            warn_of_rate(video_file, output, writer.rate, times)
    results.write(timeline, keep, exact, saved_model, quiet)
    summarize(timeline, results)
    warn_of_others(timeline, results)
    if reader.loss:
        print(f"{video_file}: {reader.loss}; what was decoded is classified", file=sys.stderr)
    return Classification(classes, windows, reader.loss, timeline.segments)


def settings(saved_model, seq_length, class_limit, data_dir, weights, info=None):
    """(classes, image_shape, seconds of a window, InceptionV3 weights), from the checkpoint's metadata.

    info: VideoInfo. A checkpoint of the article's repository has no metadata: then classes come from
    data_file.csv, frames keep the video's size, and a window is seq_length consecutive frames (its seconds
    are None), as in the article's clasify.py; for a live source, without info, that won't do.
    """
    with Checkpoint(saved_model) as file:
        metadata = file.metadata
        cli.check_checkpoint(file, seq_length, class_limit)
    if metadata is None and info is None:
        raise cli.UsageError(
            f"{saved_model} doesn't say how long a window is; --stream needs a checkpoint of train.py"
        )
    if metadata is None:
        classes, _ = choose_classes(read_data_file(data_dir), class_limit, data_dir)
        return classes, (info.height, info.width, 3), None, weights or "imagenet"
    if weights is None and metadata.weights in ("imagenet", "random"):
        weights = metadata.weights
    elif weights is None or weights_id(weights) != metadata.weights:
        raise cli.UsageError(
            f"{saved_model} was trained on features of the InceptionV3 weights {metadata.weights_name} "
            f"({metadata.weights}){f', not {weights}' if weights else ''}; give them with --weights"
        )
    return metadata.class_names, tuple(metadata.image_shape), metadata.clip_seconds, weights


def check_kept(video_file, keep, exact):
    """Raises UsageError if a copy is wanted of what can't be copied in parts."""
    extension = os.path.splitext(video_file)[1].lower()
    if keep and not exact and extension in UNCOPIED:
        raise cli.UsageError(f"{video_file}: --keep of a {extension} needs --exact")


def is_live(source):
    """Whether this is the address of a live source, or the number of a camera, and no file."""
    if "://" in source:
        return source.partition("://")[0].lower() in live.PROTOCOLS and not os.path.exists(source)
    return source.isascii() and source.isdigit() and not os.path.exists(source)


def check_names(classes, export, skip, keep):
    """Raises UsageError unless the classes that options name are among the checkpoint's."""
    for option, names in (("--skip", skip), ("--keep", keep)):
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise cli.UsageError(
                f"{option}: no class is called {', '.join(unknown)}; there are {', '.join(classes)}"
            )
    if "edl" in export and not skip:
        raise cli.UsageError("--export edl lists what a player skips: name those classes with --skip")
    if keep and set(keep) == set(classes):
        raise cli.UsageError("--keep names all classes: that is the recording itself")


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_checkpoint_arguments(parser)
    parser.add_argument(
        "video", help="the video to classify; with --stream an address (rtsp://...) or a camera's number"
    )
    parser.add_argument(
        "--output",
        help=f"file to write, its name ending in {', '.join(encoders.CONTAINERS)}; what goes beside "
        f"it has its name, too (default: result.avi)",
    )
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
        help="with --smooth, which it implies: the least that a class lasts (default: a window)",
    )
    parser.add_argument(
        "--export",
        type=cli.names(WRITERS),
        metavar="FORMATS",
        help=f"files to write beside result.avi, of {','.join(WRITERS)} (default: csv)",
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
    parser.add_argument(
        "--stream",
        action="store_true",
        help="a live source: print each window as a line of JSON, write no file",
    )
    cli.add_limit_option(parser)
    args = parser.parse_args(argv)
    if args.stream:
        refused = [
            f"--{name.replace('_', '-')}"
            for name in FILE_OPTIONS
            if getattr(args, name) != parser.get_default(name)
        ]
        if refused:
            parser.error(
                f"{', '.join(refused)}: not with --stream, which writes no file and prints each window as it ends"
            )
    elif is_live(args.video):
        parser.error(f"{args.video} is an address (or a camera): add --stream")
    if args.exact and not args.keep:
        parser.error("--exact is for --keep")

    def work():
        if args.stream:
            saved_model = find_checkpoint(args.checkpoint, args.data_dir)
            classes, image_shape, clip_seconds, weights = settings(
                saved_model, args.seq_length, args.classes, args.data_dir, args.weights
            )
            windows = live.LiveWindows(args.seq_length, clip_seconds, args.hop)
            limits = VideoLimits(max_pixels=args.max_pixels)
            source = live.Source(args.video, windows.rate, image_shape, args.quiet, limits)
            import_keras()
            model, extractor = ResearchModel.load(saved_model), Extractor(image_shape, weights, args.precision)
            return live.stream(source, windows, model, extractor, classes)
        result = clasify(
            args.seq_length,
            args.classes,
            args.checkpoint,
            args.video,
            args.data_dir,
            args.weights,
            "result.avi" if args.output is None else args.output,
            args.quiet,
            args.precision,
            args.hop,
            args.smooth,
            args.min_duration,
            args.export or ("csv",),
            args.skip,
            args.keep,
            args.exact,
            not args.no_video,
            not args.no_audio,
            args.plain,
            args.report,
        )
        return 1 if result.loss else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
