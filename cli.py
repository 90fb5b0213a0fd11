"""What every script's command line shares: options, argument types, and errors turned into one line and an exit code.

Exit codes: 0 done, 1 a failure, 2 wrong usage, 130 stopped by Ctrl-C.
"""
import argparse
import contextlib
import os
import signal
import sys
from fractions import Fraction

import files

# TensorFlow greets on stderr with notices about CPUs and missing GPUs; an error of ours must not drown in them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


class UsageError(ValueError):
    """The command line contradicts itself or the files it names: exit code 2."""


def make_parser(doc):
    """An ArgumentParser that shows the script's docstring, with the options that all scripts have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data", help="folder of the dataset (default: data)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, only results and errors")
    return parser


def add_weights_option(parser, default="imagenet"):
    """Adds --weights. default: None where a checkpoint gives them."""
    parser.add_argument("--weights", default=default, metavar="imagenet|random|PATH",
                        help=f"InceptionV3's weights: Keras's ImageNet download, seeded random ones to try the pipeline, "
                             f"or a Keras weights file (default: {default or 'those of the checkpoint'})")


def add_precision_option(parser):
    """Adds --precision."""
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32",
                        help="in which InceptionV3 computes; the shorter ones are for GPUs, and bfloat16 for processors "
                             "with AMX (default: float32)")


def add_limit_option(parser):
    """Adds --max-pixels."""
    import video

    def set_limit(text):
        video.MAX_PIXELS = at_least(1)(text)
        return video.MAX_PIXELS

    parser.add_argument("--max-pixels", type=set_limit, metavar="PIXELS",
                        help=f"refuse videos with larger frames (default: {video.MAX_PIXELS}, twice 8K)")


def add_ray_options(parser):
    """Adds --ray, --workers, --cpus."""
    parser.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                        help="work on a Ray cluster: ray://head:10001, auto; without an address on this machine alone. All its "
                             "machines must see the data folder under the same path")
    parser.add_argument("--workers", type=at_least(1), help="with --ray: at most so many (default: as many as fit)")
    parser.add_argument("--cpus", type=at_least(1), help="with --ray: processors of each worker")


def add_article_arguments(parser, *names):
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


def add_checkpoint_arguments(parser):
    """Adds what a script that uses a checkpoint takes: seq_length, classes, checkpoint, --weights, --precision."""
    add_weights_option(parser, default=None)
    add_precision_option(parser)
    add_article_arguments(parser, "seq_length", "classes")
    parser.add_argument("checkpoint", help="a checkpoint of train.py: lstm-features.hdf5")


def check_checkpoint(file, seq_length, classes):
    """Raises UsageError unless a checkpoint.Checkpoint was trained on sequences of this length, of InceptionV3's features, and
    so many classes."""
    from data import FEATURES_LENGTH
    for what, given, trained in (("sequences of {} frames", seq_length, file.arguments["seq_length"]),
                                 ("{} classes", classes, file.arguments["nb_classes"])):
        if trained is not None and given != trained:
            raise UsageError(f"{file.path} was trained on {what.format(trained)}, not {given}")
    if file.arguments["features_length"] != FEATURES_LENGTH:
        raise UsageError(f"{file.path} was trained on {file.arguments['features_length']} features of a frame; InceptionV3 "
                         f"gives {FEATURES_LENGTH}")


def at_least(minimum):
    """An argparse type: a whole number not below `minimum`."""
    def whole_number(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is below {minimum}")
        return value
    return whole_number


def fraction(text):
    """An argparse type: a number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seconds(text):
    """An argparse type: a time above 0 in seconds, as an exact fraction."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from None
    if not 0 < value < 10**9:
        raise argparse.ArgumentTypeError(f"{text} is not a time above 0")
    return value


def names(known=None):
    """An argparse type: names between commas, of the known ones if given; a tuple without repetitions."""
    def split(text):
        found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        unknown = [name for name in found if known is not None and name not in known]
        if unknown or not found:
            raise argparse.ArgumentTypeError(f"'{text}': {', '.join(unknown) or 'nothing'} is none of {', '.join(known)}"
                                             if known is not None else "no name")
        return found
    return split


def run(work):
    """Calls work() and returns the exit code: its own (None is 0), or the code of what it raised, said in one line."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid text
    interrupted = False

    def on_sigint(signum, frame):
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGINT, on_sigint)
    except ValueError:  # not in the main thread, as in some notebooks: Ctrl-C is theirs
        previous = None
    try:
        return work() or 0
    except BaseException as error:
        # A library may turn Ctrl-C into an error of its own (an import cut short becomes an ImportError).
        if interrupted or isinstance(error, KeyboardInterrupt):
            return fail("stopped by Ctrl-C; what is complete is kept", 130)
        if isinstance(error, UsageError):
            return fail(error, 2)
        if isinstance(error, (OSError, ValueError, RuntimeError)):
            return fail(files.error_text(error), 1)
        if isinstance(error, Exception):
            place = error.__traceback__
            while place.tb_next:
                place = place.tb_next
            where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}"
            return fail(f"unexpected {type(error).__name__} at {where}: {error}", 1)
        raise
    finally:
        if previous is not None:
            signal.signal(signal.SIGINT, previous)


def fail(message, code):
    """Prints one line on stderr and returns `code`."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    return code


def import_keras(and_tensorflow=False):
    """Imports keras without the notices that TensorFlow's C++ writes straight to stderr, past any log level.

    And without scikit-learn, which takes Keras's wrappers for it a second to import and no script needs those.
    and_tensorflow: also where it is not the backend, for what needs it all the same.
    """
    if "keras" in sys.modules and (not and_tensorflow or "tensorflow" in sys.modules):
        return
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None
    try:
        with muted():
            import keras  # noqa: F401
            if and_tensorflow:
                import tensorflow  # noqa: F401
    finally:
        if hidden:
            del sys.modules["sklearn"]


@contextlib.contextmanager
def muted():
    """A `with` block in which what libraries in C++ write straight to the process's stderr goes nowhere. What Python writes to
    sys.stderr does not."""
    sys.stderr.flush()
    python, stderr = sys.stderr, os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        if python is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(stderr), "w", buffering=1, errors="backslashreplace")
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        if sys.stderr is not python:
            sys.stderr.close()
            sys.stderr = python
        os.close(stderr)
        os.close(null)
