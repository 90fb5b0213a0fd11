"""What is drawn on the frames of result.avi: the classes with their probabilities, and a strip of the classes
over time."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from vidclass.colors import color
from vidclass.recording.segments import Timeline, Window
from vidclass.text import one_line
from vidclass.video.drawing import Layer, Mark

WEIGHT = 600  # of the letters; 400 is regular, thin strokes drown in the noise of a small XVID frame
SHOWN = 5  # classes in the corner at most
LONGEST_LINE = 256  # characters: more than a frame has room for, and measuring them takes long


class Caption(NamedTuple):
    """What the corner says of the frames up to `end_frame`: `lines`, best class first, and the numbers of
    their classes."""

    end_frame: int  # the first one after them
    lines: list  # of str: "Football: 0.97"
    numbers: list  # of int


def caption(classes: list[str], window: Window, first: int | None = None) -> Caption:
    """The Caption of a Window: its classes, likeliest first. first: the number of a class that comes before
    them all."""
    probabilities = window.probabilities
    ranked = sorted(range(len(classes)), key=lambda number: (number != first, -probabilities[number]))
    best = ranked[:SHOWN]
    lines = [f"{classes[number]}: {probabilities[number]:.2f}" for number in best]
    return Caption(window.end_frame, lines, best)


def captions_layer(captions: Sequence[Caption], height: int, width: int, squares: bool) -> Layer:
    """The Layer of Captions on frames of some size. squares: whether each line has one of its class's
    colour."""
    sizes = [box_size(caption, height, width, squares) for caption in captions]
    box = tuple(max(sides) + max(sides) % 2 for sides in zip(*sizes))  # two rows share a colour
    firsts = [0, *(caption.end_frame for caption in captions)]

    def pictures():
        for first, caption, size in zip(firsts, captions, sizes):
            picture = np.zeros((*box, 4), np.uint8)
            picture[: size[0], : size[1]] = draw_caption(caption, height, width, squares)
            yield first, picture

    return Layer(pictures())


def draw_caption(caption: Caption, height: int, width: int, squares: bool) -> np.ndarray:
    """What a Caption looks like in the upper left corner of a frame of some size: white letters on a ground
    that darkens the frame to a third. uint8 RGBA."""
    shown, size, margin, step, _ = lay_out(tuple(caption.lines), width, height)
    box_height, box_width = box_size(caption, height, width, squares)
    indent = size + margin if squares else 0
    letters = np.zeros((box_height, box_width, 3), np.uint8)
    for number, line in enumerate(shown):
        place = margin + indent, margin + number * step + size
        cv2.putText(letters, line, place, (255, 255, 255), cv2.FontFace("sans"), size, WEIGHT)
    white = letters[..., :1] / 255  # share of a pixel that is letter
    opaque = 1 - (1 - white) / 3
    picture = np.concatenate([white / opaque, white / opaque, white / opaque, opaque], axis=2) * 255
    if squares:
        for number, name in enumerate(caption.numbers[: len(shown)]):
            top = margin + number * step
            square = picture[top + size // 5 : top + size, margin : margin + size - size // 5]
            square[:] = *color(name), 255
    return picture.round().astype(np.uint8)


def box_size(caption: Caption, height: int, width: int, squares: bool) -> tuple[int, int]:
    """(height, width) of a Caption's darkened ground on a frame of some size."""
    shown, size, margin, step, box_width = lay_out(tuple(caption.lines), width, height)
    indent = size + margin if squares else 0
    return min(len(shown) * step + 2 * margin, height), min(box_width + indent, width)


@functools.lru_cache(maxsize=1024)
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

    timeline: its last segment ends with the recording. times: of all frames, in seconds. height, width: of
    the frames.
    """

    def __init__(self, timeline: Timeline, times: np.ndarray, height: int, width: int) -> None:
        self._timeline, self._times, self._width = timeline, times, width
        self._start = timeline.segments[0].start
        self._seconds = max(timeline.segments[-1].end - self._start, 1e-9)
        self._height = min(max(4, height // 40), height)
        self._top = height - self._height

    def layer(self) -> Layer:
        """The strip without the mark."""
        row = np.full((self._width, 4), (0, 0, 0, 255), np.uint8)
        for segment in self._timeline.segments:  # one that is narrower than a column shows all the same
            first, last = self._column(segment.start), self._column(segment.end)
            number = self._timeline.classes.index(segment.class_name)
            row[first : max(last, first + 1), :3] = color(number)
        above = self._top % 2  # rows that are not drawn, but give their colour to the two that share it
        picture = np.repeat(row[None], above + self._height, axis=0)
        picture[:above, :, 3] = 0
        return Layer([(0, picture)], self._top - above)

    def mark(self) -> Mark:
        """The mark at the place of each frame's time."""
        columns = [self._column(time) for time in self._times.tolist()]
        changes = [n for n, column in enumerate(columns) if not n or column != columns[n - 1]]
        moves = [(number, columns[number]) for number in changes]
        return Mark(moves, self._top, self._height, max(1, self._width // 640))

    def _column(self, time):
        return min(int((time - self._start) / self._seconds * self._width), self._width - 1)
