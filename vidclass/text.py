"""Text for people and for files: times, names on one line, classes with their probabilities."""

import numpy as np


def clock(seconds: float, separator: str = ".", hour_digits: int = 1) -> str:
    """Seconds as 1:02:03.456."""
    hours, rest = divmod(milliseconds(seconds), 3600000)
    return f"{hours:0{hour_digits}d}:{rest // 60000:02d}:{rest // 1000 % 60:02d}{separator}{rest % 1000:03d}"


def size_text(size: float) -> str:
    """A number of bytes: 12.3 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 999.95 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def milliseconds(seconds: float) -> int:
    """Seconds as a whole number of milliseconds."""
    return round(seconds * 1000)


def one_line(text: str) -> str:
    """Text without what would end a line or is no character in XML."""
    return "".join(_spaced(c) for c in text)


def _spaced(c):
    if c in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029" or ord(c) < 32:
        return " "
    return "\ufffd" if "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff" else c


def class_lines(
    classes: list[str], probabilities: np.ndarray | list[float], nb_to_return: int = 5
) -> list[str]:
    """The likeliest classes, best first, as a list of lines "Football: 0.97"."""
    probabilities = np.ravel(probabilities)
    if len(probabilities) != len(classes):
        raise ValueError(f"{len(probabilities)} probabilities for {len(classes)} classes")
    best = np.argsort(-probabilities, kind="stable")[:nb_to_return]
    return [f"{classes[i]}: {probabilities[i]:.2f}" for i in best]
