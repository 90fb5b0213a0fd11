"""What ffmpeg draws on the frames of a video: pictures, one after another, and a mark that moves.

Nothing here depends on what ffmpeg's filters have seen: each frame finds its picture and its mark by its
number. ffmpeg builds its filters anew when a video changes its size, and they begin with the middle of it.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

PICTURE_RATE = 25  # pictures per second, as ffmpeg reads image files


@dataclass(frozen=True)
class Layer:
    """Pictures that are shown one after another at the left edge of the frames.

    pictures: (number of the first frame that has it, uint8 RGBA (height, width, 4)), all of one size, the
    first one from frame 0 on. top: of them on the frame, in pixels, even: colours are stored for two rows.
    """

    pictures: Iterable[tuple[int, np.ndarray]]
    top: int = 0


@dataclass(frozen=True)
class Mark:
    """A white line with a black edge that moves along a frame.

    columns: (number of the first frame for which it is there, column of its middle), from frame 0 on. top,
    height: in pixels. half: columns beside the middle that are white, and as many beside these are black.
    """

    columns: Sequence[tuple[int, int]]
    top: int
    height: int
    half: int


@dataclass(frozen=True)
class Drawing:
    """What is drawn on the frames of a video: layers, the upper ones last, and above them a mark."""

    layers: Sequence[Layer] = ()
    mark: Mark | None = None

    def write(self, folder: str, rate: Fraction, colors: str) -> tuple[str, str]:
        """Writes the files that ffmpeg needs to draw it into a folder, in which it is to work. Returns
        (filter chains to begin with, what follows the video's own filters), for frame n at n / rate seconds.

        colors: options of the scale filter that give the pictures the colours of the video's.
        """
        sources, chain = "", ""
        for number, layer in enumerate(self.layers):
            _write_pictures(layer.pictures, folder, f"layer{number}")
            sources += f"movie=layer{number}.ffconcat:f=concat,{_at_frames(rate)},"
            sources += f"scale={colors},format=yuva420p[layer{number}];"
            chain += f"[frames{number}];[frames{number}][layer{number}]overlay=0:{layer.top}"
        if self.mark:
            _write_mark(self.mark, os.path.join(folder, "mark.cmd"), rate)
            chain += ",sendcmd=f=mark.cmd"
            for name, half in (("black", 2 * self.mark.half), ("white", self.mark.half)):
                place = f"y={self.mark.top}:w={2 * half + 1}:h={self.mark.height}"
                chain += f",drawbox@{name}=x={self.mark.columns[0][1] - half}:{place}:color={name}:t=fill"
        return sources, chain


def _at_frames(rate):
    """Filters that move picture n of PICTURE_RATE per second to n / rate seconds."""
    exact = f"settb=1/{PICTURE_RATE * rate.numerator}"  # in which both are whole numbers
    moved = f"setpts=round(PTS*{PICTURE_RATE * rate.denominator}/{rate.numerator})"
    return f"{exact},{moved},settb={rate.denominator}/{rate.numerator}"


def _write_pictures(pictures, folder, name):
    """Writes pictures, each once, and a list for ffmpeg's concat demuxer that says when each is shown."""
    files: dict[bytes, str] = {}
    shown: list[tuple[int, str]] = []  # (first frame, file)
    for first, picture in pictures:
        digest = hashlib.sha256(picture).digest()
        if digest not in files:
            files[digest] = f"{name}-{len(files)}.png"
            _write_png(picture, os.path.join(folder, files[digest]))
        if shown and shown[-1][0] == first:  # the one before had no frame
            shown.pop()
        if not shown or shown[-1][1] != files[digest]:
            shown.append((first, files[digest]))
    with open(os.path.join(folder, f"{name}.ffconcat"), "w") as listing:
        listing.write("ffconcat version 1.0\n")
        for (first, file), (end, _) in itertools.pairwise([*shown, (shown[-1][0] + 1, "")]):
            listing.write(f"file {file}\nduration {(end - first) / PICTURE_RATE:.2f}\n")


def _write_png(picture, path):
    _, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))
    with open(path, "wb") as file:  # unlike cv2.imwrite, it says why it can't
        file.write(content.tobytes())


def _write_mark(mark, path, rate):
    """Writes where the mark is as commands to the boxes that it is made of."""
    with open(path, "w") as file:
        for first, column in mark.columns:
            # Half a frame early: times are rounded.
            seconds = float(max(first - Fraction(1, 2), 0) / rate)
            black, white = column - 2 * mark.half, column - mark.half
            file.write(f"{seconds:.6f} drawbox@black x {black}, drawbox@white x {white};\n")
