"""What is drawn on frames."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from vidclass.recording.overlay import Caption, caption, draw_caption
from vidclass.recording.segments import Window


def draw_lines(frame, lines):
    """Draws lines into the corner of an RGB frame, as ffmpeg's overlay filter does."""
    picture = draw_caption(Caption(0, lines, range(len(lines))), *frame.shape[:2], squares=False)
    box = frame[: picture.shape[0], : picture.shape[1]]
    opaque = picture[..., 3:] / 255
    box[:] = np.round(box * (1 - opaque) + picture[..., :3] * opaque)


@pytest.mark.parametrize("size", [(32, 24), (64, 48), (176, 144), (320, 240), (1280, 720), (240, 1920)])
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("names", [["Football", "Commercial"], ["W" * 200, "Näme 足球"], ["c"] * 20])
def test_text_is_legible_on_any_background_at_any_size(size, level, names):
    frame = np.full((size[1], size[0], 3), level, np.uint8)
    draw_lines(frame, [f"{name}: 0.97" for name in names][:5])
    changed = np.argwhere(np.any(frame != level, axis=2)) if level else np.argwhere(frame.max(2) > 0)
    assert len(changed) and changed.min(0)[0] <= 0.15 * size[1] and changed.min(0)[1] <= 0.25 * size[0]
    box = frame[: changed.max(0)[0] + 1, : changed.max(0)[1] + 1]
    assert box.max() >= 170 and box.min() <= 90  # white letters, thin ones at 6 pixels, on dark ground
    assert frame[-1, -1].tolist() == [level] * 3


def test_probabilities_stay_when_names_are_cut():
    frame = np.zeros((48, 64, 3), np.uint8)
    draw_lines(frame, ["Commercials_and_everything_else: 0.97"])
    other = np.zeros((48, 64, 3), np.uint8)
    draw_lines(other, ["Commercials_and_everything_else: 0.12"])
    assert (frame != other).any() and frame[:, -1].max() == 0  # drawn, and not over the edge


def test_a_caption_names_the_likeliest_classes_first_or_the_one_that_is_to_be():
    window = Window(0, 1, 0, 25, [0.1, 0.05, 0.4, 0.15, 0.1, 0.2])
    assert caption(list("abcdef"), window) == (
        25,
        ["c: 0.40", "f: 0.20", "d: 0.15", "a: 0.10", "e: 0.10"],
        [2, 5, 3, 0, 4],
    )
    assert caption(list("abcdef"), window, first=1).lines == [
        "b: 0.05",
        "c: 0.40",
        "f: 0.20",
        "d: 0.15",
        "a: 0.10",
    ]


@pytest.mark.parametrize("name", ["Fu\udcdfball", "\ud800", "\udfff" * 200, "a\nb\0c", "W" * 20000])
def test_names_that_are_no_text_are_drawn(name):
    """cv2.getTextSize crashes on half a surrogate pair: in another process, as it would end this one."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from vidclass.recording import overlay\n"
        "caption = overlay.Caption(9, [ascii_name + ': 0.97'], [0])\n"
        "print(overlay.draw_caption(caption, 96, 128, True)[..., 1].max())"
    ).replace("ascii_name", ascii(name) if len(name) < 9999 else "'W' * 20000")
    done = subprocess.run([sys.executable, "-c", script, ROOT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and int(done.stdout) > 150, done
