"""The error that commands turn into exit code 2, and checks of options that raise it."""

import math
from typing import Any

INT8 = "int8"
# In which InceptionV3 may compute; auto: the fastest of the first two, or what a checkpoint was trained on.
PRECISIONS = ("auto", "float32", "bfloat16", "float16", INT8)


class UsageError(ValueError):
    """Arguments contradict each other or the files that they name."""


def check_choice(option: str, value: object, choices: tuple[str, ...]) -> None:
    """Raises UsageError unless an option has one of these values."""
    if value not in choices:
        raise UsageError(f"{option} {value}: expected one of {', '.join(choices)}")


def check_names(option: str, value: Any) -> None:
    """Raises UsageError unless an option's value is a collection of names; text alone is none."""
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{option} {value!r}: expected a tuple of names")


def check_seconds(option: str, value: Any) -> None:
    """Raises UsageError unless a time in seconds, or None, is a number above 0."""
    if value is None:
        return
    if isinstance(value, (str, bytes)) or math.isinf(value):
        raise UsageError(f"{option} {value}: expected a number of seconds")
    if not value > 0:
        raise UsageError(f"{option} {float(value):g} is not above 0")


def check_count(option: str, value: Any, least: int = 1) -> None:
    """Raises UsageError unless a value, or None, is an integer and not too small."""
    if value is None:
        return
    if not isinstance(value, int):
        raise UsageError(f"{option} {value}: expected an integer")
    if value < least:
        raise UsageError(f"{option} {value} is below {least}")


def check_shard(value: Any) -> None:
    """Raises UsageError unless a value, or None, is (i, n) with 1 <= i <= n."""
    if value is not None and not 1 <= value[0] <= value[1]:
        raise UsageError(f"--shard {value}: expected (i, n) with 1 <= i <= n")
