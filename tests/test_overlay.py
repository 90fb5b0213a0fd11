"""What is drawn on frames."""
import numpy as np
import pytest
from conftest import Frames

import overlay
from timeline import Window


@pytest.mark.parametrize("size", [(32, 24), (64, 48), (176, 144), (320, 240), (1280, 720), (240, 1920)])
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("names", [["Football", "Commercial"], ["W" * 200, "Näme 足球"], ["c"] * 20])
def test_text_is_legible_on_any_background_at_any_size(size, level, names):
    frame = np.full((size[1], size[0], 3), level, np.uint8)
    overlay.draw_lines(frame, [f"{name}: 0.97" for name in names][:5])
    changed = np.argwhere(np.any(frame != level, axis=2)) if level else np.argwhere(frame.max(2) > 0)
    assert len(changed) and changed.min(0)[0] <= 0.15 * size[1] and changed.min(0)[1] <= 0.25 * size[0]
    box = frame[:changed.max(0)[0] + 1, :changed.max(0)[1] + 1]
    assert box.max() >= 170 and box.min() <= 90  # white letters, thin ones at 6 pixels, on dark ground
    assert frame[-1, -1].tolist() == [level] * 3


def test_probabilities_stay_when_names_are_cut():
    frame = np.zeros((48, 64, 3), np.uint8)
    overlay.draw_lines(frame, ["Commercials_and_everything_else: 0.97"])
    other = np.zeros((48, 64, 3), np.uint8)
    overlay.draw_lines(other, ["Commercials_and_everything_else: 0.12"])
    assert (frame != other).any() and frame[:, -1].max() == 0  # drawn, and not over the edge


def test_frames_are_written_as_soon_as_their_window_is_classified():
    """The writer doesn't wait for the end of the video, and gets every frame once, in order."""
    written, seen = [], []

    class Large(Frames):
        def __iter__(self):
            return (np.full((64, 200, 3), number, np.uint8) for number in range(self.count))

    class Writer:
        def write(self, frame):
            written.append(int(frame[-1, -1, 0]))

    def windows():
        for number in range(4):
            seen.append(len(written))
            yield Window(number, number + 1, 25 * number, min(25 * number + 25, 90), [0.75, 0.25])

    # 90 frames were classified. A damaged video may yield more of them when it is decoded once more.
    result = overlay.write_result(Large(93, 25), Writer(), windows(), ["a", "b"], "x.avi", quiet=True)
    assert written == list(range(93)) and seen == [0, 25, 50, 75] and len(result) == 4
