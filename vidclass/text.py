"""Text for people and for files: times, names on one line, classes with their probabilities."""

import numpy as np


def clock(seconds, separator=".", hour_digits=1):
    """Seconds as 1:02:03.456."""
    hours, rest = divmod(milliseconds(seconds), 3600000)
    return f"{hours:0{hour_digits}d}:{rest // 60000:02d}:{rest // 1000 % 60:02d}{separator}{rest % 1000:03d}"


def milliseconds(seconds):
    """Seconds as a whole number of milliseconds."""
    return round(seconds * 1000)


def one_line(text):
    """Text without what would end a line or is no character in XML."""
    return "".join(
        " "
        if c in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029" or ord(c) < 32
        else "\ufffd"
        if "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff"
        else c
        for c in text
    )


def class_lines(classes, probabilities, nb_to_return=5):
    """The likeliest classes, best first, as a list of lines "Football: 0.97"."""
    probabilities = np.ravel(probabilities)
    if len(probabilities) != len(classes):
        raise ValueError(f"{len(probabilities)} probabilities for {len(classes)} classes")
    best = np.argsort(-probabilities, kind="stable")[:nb_to_return]
    return [f"{classes[i]}: {probabilities[i]:.2f}" for i in best]
