"""Notes beside clips: what is written, and what is read of notes that others wrote."""

import json
import os
from fractions import Fraction

import pytest

from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import (
    FramesNote,
    frames_note_path,
    origin,
    read_frames_note,
    valid_note,
    write_note,
)
from vidclass.dataset.outcome import Outcome

CLIP = ("train", "A", "a")


@pytest.fixture
def video(tmp_path):
    """A file that stands for a clip, in a dataset's folder."""
    path = tmp_path / "train/A/a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"video")
    os.utime(path, ns=(10**18, 10**18))
    return path


def test_what_is_written_comes_back(tmp_path, video):
    write_note(tmp_path, CLIP, origin(tmp_path, CLIP, video), 30, Fraction(30000, 1001))
    note = valid_note(tmp_path, CLIP, video)
    assert note == FramesNote("a.mp4", 5, 10**18, frames=30, fps="30000/1001", seconds=1.001)


def test_the_file_is_the_one_that_earlier_versions_wrote(tmp_path, video):
    source = origin(tmp_path, CLIP, video)
    path = frames_note_path(tmp_path, CLIP)
    beginning = f'{{"clip": "a.mp4", "size": 5, "mtime_ns": {10**18}, '
    for split, end in ((True, "}"), (False, ', "split": false}')):
        write_note(tmp_path, CLIP, source, 25, Fraction(25), split)
        with open(path) as file:
            assert file.read() == f'{beginning}"frames": 25, "fps": "25", "seconds": 1.0{end}'
    assert read_frames_note(tmp_path, CLIP).split is False


def test_a_file_that_took_the_place_of_another_is_noted(tmp_path, video):
    write_note(tmp_path, CLIP, origin(tmp_path, CLIP, video), 25, Fraction(25))
    video.write_bytes(b"another video")
    assert valid_note(tmp_path, CLIP, video) is None
    source = origin(tmp_path, CLIP, video)
    assert abs(source.replaced - os.stat(video).st_mtime) < 60
    write_note(tmp_path, CLIP, source, 25, Fraction(25))
    assert origin(tmp_path, CLIP, video) == source  # the same file again: it keeps the time


@pytest.mark.parametrize(
    "content",
    [
        {"frames": 25, "seconds": 1},
        {"frames": 25, "seconds": 1, "size": "x", "mtime_ns": [1], "fps": 25, "replaced": "now", "clip": 3},
        {"frames": 25, "seconds": 1, "size": 1.5, "mtime_ns": None, "replaced": True, "clip": "../a.mp4"},
    ],
)
def test_values_of_the_wrong_type_are_none(tmp_path, video, content):
    with open(frames_note_path(tmp_path, CLIP), "w") as file:
        json.dump(content, file)
    assert read_frames_note(tmp_path, CLIP) == FramesNote(None, None, None, frames=25, seconds=1.0)
    assert valid_note(tmp_path, CLIP, video) is None


@pytest.mark.parametrize("name", ["a", "caf\udcff", 'a "b"\n'])
def test_outcomes_travel_as_json(name):
    outcome = Outcome(Clip("train", "A", name, 3), failed=True, problem="no video", is_fatal=True)
    assert Outcome.from_list(json.loads(json.dumps(outcome.as_list()))) == outcome
