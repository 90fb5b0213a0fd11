"""What every script's command line shares: options, argument types, and errors turned into one line and an
exit code.

Exit codes: 0 done, 1 a failure, 2 wrong usage; stopped by Ctrl-C 130, by SIGTERM 143, by SIGHUP (a closed
terminal) 129.
"""

import argparse
import contextlib
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from vidclass import platform
from vidclass.console import error_text, print, printable, unexpected_text
from vidclass.errors import PRECISIONS, UsageError
from vidclass.keras_loading import import_keras as import_keras  # as commands call it
from vidclass.video.limits import MAX_PIXELS

STOPPING: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", **platform.HANGUP}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        super().error(printable(message))  # it may name files that a shell found

    def parse_known_args(self, args=None, namespace=None):
        """Takes a second `--` for a file of that name; argparse of Python 3.11 makes a list of it."""
        words = list(sys.argv[1:] if args is None else args)
        place = words.index("--") + 1 if "--" in words else len(words)
        words[place:] = ["./--" if word == "--" else word for word in words[place:]]
        return super().parse_known_args(words, namespace)


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """An ArgumentParser that shows the script's docstring, with the options that all scripts have."""
    parser = _Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data", help="folder of the dataset (default: data)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, only results and errors")
    parser.add_argument(
        "--debug", action="store_true", help="show where in the code an error arose: its traceback"
    )
    return parser


def add_weights_option(parser: argparse.ArgumentParser, default: str | None = "imagenet") -> None:
    """Adds --weights. default: None where a checkpoint gives them."""
    parser.add_argument(
        "--weights",
        default=default,
        metavar="imagenet|random|PATH",
        help=f"InceptionV3's weights: Keras's ImageNet download, seeded random ones to try the pipeline, "
        f"or a Keras weights file (default: {default or 'those of the checkpoint'})",
    )


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Adds --precision."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="in which InceptionV3 computes; auto: bfloat16 on GPUs and on processors that have it, where it "
        "is faster, else float32, and for a checkpoint trained on int8, that; int8: 8-bit integers, the "
        "fastest on processors with VNNI (default: %(default)s)",
    )


def add_limit_option(parser: argparse.ArgumentParser) -> None:
    """Adds --max-pixels, for VideoLimits."""
    parser.add_argument(
        "--max-pixels",
        type=at_least(1),
        default=MAX_PIXELS,
        metavar="PIXELS",
        help=f"refuse videos with larger frames (default: {MAX_PIXELS}, twice 8K)",
    )


def add_sequences_option(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds --sequences. text: what is done there."""
    parser.add_argument(
        "--sequences", metavar="URL", help=f"{text}: s3://bucket/folder, gs://, file:///, ..."
    )


def add_baseline_option(parser: argparse.ArgumentParser) -> None:
    """Adds --no-baseline."""
    parser.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="don't compare the network with logistic regression on the same features",
    )


def add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Adds --ray and --workers."""
    parser.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="work on a Ray cluster: ray://head:10001, auto; without an address on this machine alone. All "
        "machines must see the data folder under the same path",
    )
    parser.add_argument(
        "--workers", type=at_least(1), help="with --ray: at most so many (default: as many as fit)"
    )


def add_dry_run_option(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds --dry-run. text: what is printed."""
    parser.add_argument("--dry-run", action="store_true", help=f"print {text}, and write nothing")


def add_cpus_option(parser: argparse.ArgumentParser) -> None:
    """Adds --cpus."""
    parser.add_argument("--cpus", type=at_least(1), help="with --ray: processors of each worker")


def add_shard_option(parser: argparse.ArgumentParser, things: str) -> None:
    """Adds --shard. things: of which it takes a part."""
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help=f"only the I-th of N equal parts of the {things}: one for each job of a batch scheduler, 1/8 to "
        f"8/8",
    )


def add_article_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Adds the article's positional arguments, of: seq_length, classes, height, width."""
    known = {
        "seq_length": (at_least(2), "frames that the LSTM sees of a clip"),
        "classes": (at_least(2), "number of classes, the first in alphabetical order"),
        "height": (at_least(75), "height in pixels at which InceptionV3 sees a frame"),
        "width": (at_least(75), "width in pixels"),
    }
    for name in names:
        kind, text = known[name]
        parser.add_argument(name, type=kind, help=text)


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what a script that uses a checkpoint takes: seq_length, classes, checkpoint, --weights,
    --precision."""
    add_weights_option(parser, default=None)
    add_precision_option(parser)
    add_article_arguments(parser, "seq_length", "classes")
    parser.add_argument("checkpoint", help="a checkpoint of train.py: lstm-features.hdf5")


def at_least(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: an integer not below `minimum` and, if given, not above `maximum`."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:  # also of thousands of digits
            raise argparse.ArgumentTypeError(f"'{text:.40}' is not an integer") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{text:.40} is below {minimum}")
        if maximum is not None and value > maximum:
            raise argparse.ArgumentTypeError(f"{text:.40} is above {maximum}")
        return value

    return integer


def fraction(text: str) -> float:
    """An argparse type: a number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text:.40}' is not a number") from None
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seconds(text: str) -> Fraction:
    """An argparse type: a time of at least a millisecond in seconds, as an exact fraction: 2.5, 1001/30."""
    try:
        # Of 1e99999999 Fraction would write out all digits, for hours.
        if not re.fullmatch(r"\d{1,9}(\.\d{0,9}|/\d{1,9})?|\.\d{1,9}", text, re.ASCII):
            raise ValueError
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"'{text:.40}' is not a number of seconds; give one like 3, 2.5 or 1001/30, with at most 9 "
            f"digits on either side"
        ) from None
    if value < Fraction(1, 1000):
        raise argparse.ArgumentTypeError(f"{text} is less than 0.001 seconds")
    return value


def names(known: Iterable[str] | None = None) -> Callable[[str], tuple[str, ...]]:
    """An argparse type: names between commas, of the known ones if given; a tuple without repetitions."""

    def split(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        unknown = [name for name in found if known is not None and name not in known]
        if unknown or not found:
            given = f"{', '.join(unknown)} in '{text}'" if unknown else f"'{text}'"
            expected = f"one or more of {', '.join(known)}" if known is not None else "names between commas"
            raise argparse.ArgumentTypeError(f"{given}: expected {expected}")
        return found

    return split


def shard(text: str) -> tuple[int, int]:
    """An argparse type: "2/8" is (2, 8)."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"'{text}': expected I/N, 1/4 to 4/4 for four parts")
    return int(found[1]), int(found[2])


def run(work: Callable[[], int | None], debug: bool = False) -> int:
    """Calls work() and returns the exit code: its own (None is 0), or the code of what it raised, said in one
    line. debug: its traceback, too."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid text
    with stoppable() as stopped:
        try:
            return work() or 0
        except BaseException as error:
            if debug:
                print_traceback(error)
            # A library may turn an interruption into an error of its own (an import cut short, an
            # ImportError).
            if stopped or isinstance(error, KeyboardInterrupt):
                signum = stopped[0] if stopped else signal.SIGINT
                return fail(f"stopped by {STOPPING[signum]}; what is complete is kept", 128 + signum)
            if isinstance(error, UsageError):
                return fail(error, 2)
            if isinstance(error, (OSError, ValueError, RuntimeError)):
                return fail(error_text(error), 1)
            if isinstance(error, Exception):
                return fail(f"{unexpected_text(error)}; --debug tells more", 1)
            raise


@contextlib.contextmanager
def stoppable() -> Iterator[list[int]]:
    """A `with` block that the signals of STOPPING end with a KeyboardInterrupt, so that whatever is in hand
    is tidied up. Yields a list of those that came."""
    stopped = []

    def on_signal(signum, frame):
        stopped.append(signum)
        # A terminal that is closed sends several: they must not interrupt the tidying up. A second Ctrl-C
        # may.
        if len(stopped) == 1 or signum == signal.SIGINT:
            raise KeyboardInterrupt(signum)

    before = {}
    try:
        for signum in STOPPING:
            # nohup means what it says. A shell's `&` ignores Ctrl-C, too, which a person may still send.
            if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
                before[signum] = signal.signal(signum, on_signal)
    except ValueError:  # not in the main thread, as in some notebooks: signals are theirs
        pass
    try:
        yield stopped
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def print_traceback(error: BaseException) -> None:
    """Prints an exception's traceback on stderr, with what it arose from, even where a message hides that."""
    link: BaseException | None = error
    while link is not None:
        link.__suppress_context__ = link.__cause__ is not None
        link = link.__cause__ or link.__context__
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            print(line, file=sys.stderr)


def fail(message: object, code: int) -> int:
    """Prints one line on stderr and returns `code`."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"error: {str(message).strip()}", file=sys.stderr)
    return code
