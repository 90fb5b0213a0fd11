"""What is printed for people: text in which no name of a file or a class can hide anything from them, or do
anything to their terminal.
"""

import builtins
import os
import re
import sys
import traceback
from typing import TextIO

# Control characters, line separators, and those that change the direction of what follows.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """A text with what can't be seen, or would be obeyed, escaped as Python writes it: \\x1b, \\n."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def print(
    *values: object, sep: str = " ", end: str = "\n", file: TextIO | None = None, flush: bool = False
) -> None:
    """The builtin print, with each value made printable, and above a progress bar if there is one. A line
    each: what is to be several lines is given as several values, with sep="\\n"."""
    file = file or sys.stdout
    text = sep.join(map(printable, values))
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)  # not loaded by what needs no bar
    if tqdm is None:
        builtins.print(text, end=end, file=file, flush=flush)
    else:
        with tqdm.external_write_mode(file=file):
            builtins.print(text, end=end, file=file, flush=flush)


def count(number: int, noun: str) -> str:
    """A number of things: 1 clip, 2 clips, 3 stretches."""
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('ch') else 's'}"


def error_text(error: BaseException) -> str:
    """'data/x.npy: No space left on device' rather than "[Errno 28] No space left on device:
    'data/x.npy'"."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def unexpected_text(error: BaseException) -> str:
    """What is said of an error that nobody thought of: its kind, and where it came up."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return f"unexpected {type(error).__name__} at {where}: {' '.join(str(error).split())}"
