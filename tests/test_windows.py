"""Windows of a video: which frames they have, and where exactly a class gives way to another."""
from fractions import Fraction

import numpy as np
import pytest
from conftest import Frames

import data
from windows import classify_windows


class Numbers:
    """A stand-in for the extractor: a frame's feature is its number modulo 251."""
    image_shape = (8, 8, 3)

    def stream(self, tagged):
        return ((tag, image[0, 0, :1].astype(np.float32)) for tag, image in tagged)


class Sequences:
    def __init__(self):
        self.seen = []

    def predict(self, sequences):
        self.seen.append(sequences[0, :, 0].astype(int).tolist())
        return np.array([[0.25, 0.75]])


@pytest.mark.parametrize("count, fps, seconds, length", [
    (200, 25, 3, 75), (150, 25, 3, 75), (1, 25, 3, 75), (76, 25, 3, 75), (250, "30000/1001", 1, 10), (100, 10, 3, 75),
    (247, 50, "2.5025", 40), (30, "3/2", "1/2", 4)])
def test_windows_cover_every_frame_and_sample_it_like_a_clip(count, fps, seconds, length):
    network, length_of_window = Sequences(), Fraction(seconds) * Fraction(fps)
    found = list(classify_windows(Frames(count, fps), Numbers(), network, length, length_of_window, ["a", "b"], True))
    assert found[0].first_frame == 0 and found[-1].end_frame == count
    assert all(before.end_frame == after.first_frame for before, after in zip(found, found[1:]))
    for number, (window, seen) in enumerate(zip(found, network.seen)):
        frames = window.end_frame - window.first_frame
        assert window.first_frame == max(number, round(number * length_of_window))
        if number < len(found) - 1:
            assert abs(frames - length_of_window) < 1
        if number < len(found) - 1 or frames == round(length_of_window) or frames <= length:
            expected = [(window.first_frame + int(i)) % 251 for i in data.spread(frames, length)]
            if number < len(found) - 1 or length >= round(length_of_window):
                assert seen == expected
        assert len(seen) == length and seen[0] == window.first_frame % 251
        assert window.end == pytest.approx(window.end_frame / float(Fraction(fps)))
