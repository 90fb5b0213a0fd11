"""What is drawn on the frames of result.avi: the classes with their probabilities, and a strip of the classes
over time."""

import functools
from typing import NamedTuple

import cv2
import numpy as np

from vidclass.recording.segments import Timeline, Window
from vidclass.text import one_line

WEIGHT = 600  # of the letters; 400 is regular, thin strokes drown in the noise of a small XVID frame
# Of the classes, RGB: Okabe and Ito's, told apart by the colour-blind too ("Color Universal Design", 2008).
COLORS = [
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
]
SHOWN = 5  # classes in the corner at most
LONGEST_LINE = 256  # characters: more than a frame has room for, and measuring them takes long


class Caption(NamedTuple):
    """What the corner says of the frames up to `end_frame`: `lines`, best class first, and the numbers of
    their classes."""

    end_frame: int  # the first one after them
    lines: list  # of str: "Football: 0.97"
    numbers: list  # of int


def color(number: int) -> tuple[int, ...]:
    """The colour of a class by its number: RGB. Beyond the seventh they are darker ones of the same hues,
    then repeat."""
    shade = (1, 0.6, 0.35)[number // len(COLORS) % 3]
    return tuple(round(shade * value) for value in COLORS[number % len(COLORS)])


def caption(classes: list[str], window: Window, first: int | None = None) -> Caption:
    """The Caption of a Window: its classes, likeliest first. first: the number of a class that comes before
    them all."""
    probabilities = window.probabilities
    ranked = sorted(range(len(classes)), key=lambda number: (number != first, -probabilities[number]))
    best = ranked[:SHOWN]
    lines = [f"{classes[number]}: {probabilities[number]:.2f}" for number in best]
    return Caption(window.end_frame, lines, best)


def draw_lines(frame: np.ndarray, lines: list[str], colors: list | None = None) -> None:
    """Draws lines of text into the upper left corner of an RGB frame, white on a darkened ground. colors: of
    a square before each line, if any."""
    height, width = frame.shape[:2]
    shown, size, margin, step, box_width = lay_out(tuple(lines), width, height)
    indent = size + margin if colors else 0
    box = frame[: len(shown) * step + 2 * margin, : box_width + indent]
    box[:] = box // 3
    for number, line in enumerate(shown):
        top = margin + number * step
        if colors:
            frame[top + size // 5 : top + size, margin : margin + size - size // 5] = colors[number]
        cv2.putText(
            frame, line, (margin + indent, top + size), (255, 255, 255), cv2.FontFace("sans"), size, WEIGHT
        )


@functools.lru_cache(maxsize=1)  # the frames of a window all have the same
def lay_out(lines: tuple[str, ...], width: int, height: int) -> tuple[list[str], int, int, int, int]:
    """How lines of text go on a frame: (lines, letter size, margin, line step, box width), all but the lines
    in pixels.

    The text's height is a 24th of the frame's, less where it would not fit; lines that don't fit even at 6
    pixels are shortened before their last word, the probability, and those below the frame's edge are left
    out. What is no text (half of a surrogate pair, as names of files that are not UTF-8 have) is replaced:
    OpenCV crashes on it.
    """
    font = cv2.FontFace("sans")
    texts = [_shorten_line(one_line(line)) for line in lines]
    size = max(12, height // 24)

    def text_width(text, size):
        x, _, w, _ = cv2.getTextSize((width, height), text, (0, 0), font, size, WEIGHT)
        return x + w

    while size > 6 and (
        max(text_width(line, size) for line in texts) > 0.9 * width or len(texts) * 1.3 * size > 0.9 * height
    ):
        size -= 1
    margin, step = max(2, size // 3), round(1.3 * size)
    shown = []
    for line in texts[: max(1, (height - margin) // step)]:
        name, probability = line.rsplit(" ", 1)
        while len(name) > 1 and text_width(line, size) > width - 2 * margin:
            name = name[:-1]
            line = f"{name}… {probability}"
        shown.append(line)
    return shown, size, margin, step, max(text_width(line, size) for line in shown) + 2 * margin


def _shorten_line(line, longest=LONGEST_LINE):
    if len(line) <= longest:
        return line
    name, probability = line.rsplit(" ", 1)
    return f"{name[: longest - len(probability) - 2]}… {probability}"


class Strip:
    """The classes over time along the bottom edge of a frame, with a mark at the current position.

    timeline: its last segment ends with the recording. times: of all frames, in seconds.
    """

    def __init__(self, timeline: Timeline, times: np.ndarray) -> None:
        self._timeline, self._times = timeline, times
        self._start = timeline.segments[0].start
        self._seconds = max(timeline.segments[-1].end - self._start, 1e-9)
        self._image = None

    def draw(self, frame: np.ndarray, number: int) -> None:
        """Draws it on an RGB frame. number: of the frame, from 0."""
        time = self._times[min(number, len(self._times) - 1)]
        height, width = frame.shape[:2]
        if self._image is None:
            self._image = self._render(width)
        strip = frame[-max(4, height // 40) :]
        strip[:] = self._image
        at, half = self._column(time, width), max(1, width // 640)
        strip[:, max(at - 2 * half, 0) : at + 2 * half + 1] = 0
        strip[:, max(at - half, 0) : at + half + 1] = 255

    def _render(self, width):
        image = np.zeros((width, 3), np.uint8)
        for segment in self._timeline.segments:  # one that is narrower than a column shows all the same
            first, last = self._column(segment.start, width), self._column(segment.end, width)
            image[first : max(last, first + 1)] = color(self._timeline.classes.index(segment.class_name))
        return image

    def _column(self, time, width):
        return min(int((time - self._start) / self._seconds * width), width - 1)
