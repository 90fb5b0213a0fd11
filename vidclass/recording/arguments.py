"""The command line of clasify.py: what its arguments mean, and which of them go together."""

import argparse
import os
from collections.abc import Sequence

from vidclass import cli
from vidclass.recording.exporters import WRITERS
from vidclass.recording.options import PROTOCOLS, ClassifyOptions
from vidclass.recording.segments import Smoothing
from vidclass.video.encoders import CONTAINERS
from vidclass.video.limits import VideoLimits

MANY_OPTIONS = "shard ray workers cpus".split()  # for many recordings only
# Options that say what is written of a recording: a live source has no file.
FILE_OPTIONS = "output smooth min_duration fast export skip keep exact no_video no_audio plain report".split()
FILE_OPTIONS += ["output_dir", *MANY_OPTIONS]


def is_live(source: str) -> bool:
    """Whether this is the address of a live source, or the number of a camera, and no file."""
    if os.path.exists(source):
        return False
    if "://" in source:
        return source.partition("://")[0].lower() in PROTOCOLS
    return source.isascii() and source.isdigit()


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


def after_dashes(argv: Sequence[str]) -> list[str]:
    """A command line without `--`: what comes after it is no option, whatever it begins with. argparse's
    intermixed arguments don't know it."""
    words = list(argv)
    if "--" not in words or "--stream" in words:  # an address is no file
        return words
    place = words.index("--")
    return words[:place] + [f"./{word}" if word.startswith("-") else word for word in words[place + 1 :]]


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
