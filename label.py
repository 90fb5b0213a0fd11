"""Says what is when in a recording: a page in the browser to label it, or to correct what clasify.py found.

Opens a page at http://127.0.0.1 that plays the recording: press 1 when the first class begins, 2 when the
second does, ? for all keys. What is labelled is saved after each change, in labels.csv beside the recording
or in the file that is named: cut_clips.py takes it. A result.csv or result.json is opened to be corrected.
Ctrl-C ends it.

    python label.py Football.mp4 --classes Football,Commercial
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass

from vidclass import cli
from vidclass.console import count, print
from vidclass.errors import UsageError
from vidclass.labelling.options import LabelOptions
from vidclass.video.limits import VideoLimits


@dataclass(frozen=True)
class LabelResult:
    """What label() leaves behind."""

    path: str  # of the label file
    segments: int  # that have a class
    changes: int  # that were saved


def label(
    recording: str, labels_file: str | None = None, options: LabelOptions = LabelOptions()
) -> LabelResult:
    """Serves the labelling page of a recording until Ctrl-C, and saves each change.

    labels_file: to open, and to save to; None: labels.csv beside the recording. Raises OSError, ValueError or
    RuntimeError, naming the file, if the recording or the labels can't be used, or another label.py has them
    open; UsageError if options contradict each other.
    """
    from vidclass.labelling import label_file, server, session  # late: OpenCV and pandas are slow

    path, found, _ = label_file.label_paths(recording, labels_file)
    if found and labels_file is None and label_file.has_neighbours(recording):
        own = f"{os.path.splitext(recording)[0]}.csv"
        print(
            f"Opening {found}, which is there already. If it is of another recording, end this, and name a "
            f"file of its own: label.py {recording} {own}",
            file=sys.stderr,
        )
    with session.only_session(path), tempfile.TemporaryDirectory() as folder:
        if options.checkpoint:
            classify_first(recording, path, options)
        listening = server.listen(options.port)
        token = secrets.token_urlsafe(24)
        address = f"http://{server.HOST}:{listening.getsockname()[1]}/?token={token}"
        with session.opened(recording, labels_file, folder, options) as opened:
            if lost := opened.labels.lost:
                print(f"{path}: {label_file.lost_text(lost)}", file=sys.stderr)
            with server.Server(opened, token, listening) as running:
                print(f"Label {recording} at {address}", flush=True)
                print(f"Saved in {path} after each change. Ctrl-C ends it.", flush=True)
                if options.browser:
                    webbrowser.open(address)
                try:
                    running.wait()
                except KeyboardInterrupt as stop:
                    if stop.args not in ((), (signal.SIGINT,)):  # Ctrl-C is how it ends
                        raise
            named = sum(segment.class_name is not None for segment in opened.segments)
            return LabelResult(path, named, opened.version)


def classify_first(recording: str, path: str, options: LabelOptions) -> None:
    """Classifies a recording with a checkpoint: writes the CSV at `path`, and a .json beside it with the
    probabilities. Raises UsageError if there are labels already, and errors as clasify() does."""
    from clasify import ClassifyOptions, Smoothing, clasify
    from vidclass.training.checkpoint import Checkpoint, find_checkpoint

    if os.path.exists(path):
        raise UsageError(f"{path} is there already: leave --checkpoint out to open it, or name another file")
    assert options.checkpoint
    saved_model = find_checkpoint(options.checkpoint, options.data_dir)
    with Checkpoint(saved_model) as checkpoint:
        metadata = checkpoint.metadata
    if metadata is None:
        raise UsageError(f"{saved_model} doesn't say its classes: run clasify.py, and open its result here")
    clasify(
        metadata.seq_length,
        len(metadata.class_names),
        saved_model,
        recording,
        ClassifyOptions(
            data_dir=options.data_dir,
            weights=options.weights,
            smoothing=Smoothing(),
            output=f"{os.path.splitext(path)[0]}.avi",
            export=("csv", "json"),
            video=False,
            limits=options.limits,
            quiet=options.quiet,
        ),
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.make_parser(__doc__)
    parser.add_argument("recording", help="the video to label")
    parser.add_argument(
        "labels",
        nargs="?",
        help="its labels, to be opened and saved: .csv, or a result.json of clasify.py, or what cut_clips.py "
        "reads (default: labels.csv beside the recording)",
    )
    parser.add_argument(
        "--classes",
        type=cli.names(),
        default=(),
        metavar="CLASSES",
        help="classes in the order of their keys: Football,Commercial (default: those of the labels, else of "
        "the dataset)",
    )
    parser.add_argument(
        "--checkpoint", metavar="CHECKPOINT", help="classify the recording with it first, and open the result"
    )
    cli.add_weights_option(parser, default=None)
    parser.add_argument(
        "--port", type=cli.at_least(0, 65535), default=0, help="of the page (default: one that is free)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="don't open the page in the browser, print its address only"
    )
    cli.add_limit_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = make_parser().parse_args(argv)

    def work():
        options = LabelOptions(
            classes=args.classes,
            checkpoint=args.checkpoint,
            weights=args.weights,
            port=args.port,
            browser=not args.no_browser,
            data_dir=args.data_dir,
            limits=VideoLimits(max_pixels=args.max_pixels),
            quiet=args.quiet,
        )
        result = label(args.recording, args.labels, options)
        print(
            f"Ended. {result.path}: {count(result.segments, 'labelled segment')}, "
            f"{count(result.changes, 'change')} saved"
        )

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
