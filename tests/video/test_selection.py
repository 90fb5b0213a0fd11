"""Chosen frames of a video, against the same frames of the whole video; numbers read from the pictures."""

import os
import threading

import cv2
import numpy as np
import pytest
from conftest import variable_rate
from helpers import counter, ffmpeg, read_counter
from hypothesis import given
from hypothesis import strategies as st

from vidclass.video import selection
from vidclass.video.reader import FrameReader


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("h264.mp4", ("-c:v", "libx264", "-bf", "3")),
        ("h264.ts", ("-c:v", "libx264", "-bf", "2")),
        ("mpeg2.mpg", ("-c:v", "mpeg2video", "-q:v", "3")),
        ("xvid.avi", ("-c:v", "mpeg4", "-q:v", "3")),
    ],
)
def test_the_frames_are_those_that_are_asked_for(tmp_path, name, arguments):
    path = counter(tmp_path / name, arguments=arguments)
    whole = FrameReader(path)
    frames = list(whole)
    numbers = [0, 1, 7, 100, 101, 155, 298]
    reader = FrameReader(path)
    found = dict(reader.select(numbers, 300))
    assert len(found) < 30
    for number in numbers:
        assert read_counter(found[number]) == number
        np.testing.assert_array_equal(found[number], frames[number])
    assert all(read_counter(frame) == number for number, frame in found.items())
    assert reader.loss is None
    np.testing.assert_array_equal(reader.times, whole.times)


def test_frames_that_nobody_knew_of_are_read(tmp_path):
    reader = FrameReader(counter(tmp_path / "long.mp4"))
    found = list(reader.select(range(0, 1000, 10), 50))
    assert [number for number, _ in found] == [0, 10, 20, 30, 40, *range(50, 300)]
    assert all(read_counter(frame) == number for number, frame in found)
    assert [number for number, _ in reader.select([3], 0)] == list(range(300))


def test_a_video_that_ends_earlier(tmp_path):
    reader = FrameReader(counter(tmp_path / "short.mp4", frames=120))
    numbers = [number for number, _ in reader.select([5, 100, 500, 700], 1000)]
    assert {5, 100} < set(numbers) and len(numbers) < 10 and max(numbers) < 120
    assert len(reader.times) == 120


def test_a_size_that_changes_does_not_begin_the_count_anew(tmp_path):
    for number, size in enumerate([(96, 160), (48, 80), (96, 160)]):
        counter(tmp_path / f"{number}.ts", frames=100, size=size, arguments=("-c:v", "libx264"))
    path = tmp_path / "changes.ts"
    path.write_bytes(b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(3)))
    frames = list(FrameReader(path))
    found = dict(FrameReader(path).select(range(0, 300, 9), 300))
    assert len(frames) == 300 and len(found) == 34
    for number, frame in found.items():
        assert frame.shape == frames[0].shape and read_counter(frame) == number % 100
        np.testing.assert_allclose(frame.astype(int), frames[number].astype(int), atol=2)


def test_what_is_rotated_is_read_whole(tmp_path):
    """ffmpeg's rotation can't bear a size that changes: its filters are made anew there, and count anew."""
    upright = counter(tmp_path / "upright.mp4")
    rotated = tmp_path / "rotated.mp4"
    ffmpeg("-display_rotation 90 -i", upright, "-c copy", rotated)
    frames, reader = list(FrameReader(rotated)), FrameReader(rotated)
    assert reader.info.rotation % 360 in (90, 270) and frames[0].shape == (160, 96, 3)
    found = dict(reader.select([5, 50], 300))
    assert len(found) == 300
    np.testing.assert_array_equal(found[50], frames[50])


def test_a_rotation_that_begins_in_mid_file_keeps_the_count(tmp_path):
    """Those frames stay as they are: safe, and what nothing but hostile files has."""
    upright = counter(tmp_path / "upright.ts", arguments=("-c:v", "libx264"))
    rotate = "-bsf:v h264_metadata=display_orientation=insert:rotate=90"
    ffmpeg("-i", upright, "-c copy", rotate, tmp_path / "rotated.ts")
    path = tmp_path / "both.ts"
    path.write_bytes(upright.read_bytes() + (tmp_path / "rotated.ts").read_bytes())
    found = dict(FrameReader(path).select([5, 290, 305, 590], 600))
    assert all(read_counter(frame) == number % 300 for number, frame in found.items())
    assert {frame.shape for frame in found.values()} == {(96, 160, 3)}


def test_a_variable_rate(tmp_path):
    drops = ("-vf", "select='not(between(n,3,4)+eq(n,9)+between(n,140,180))'", *variable_rate())
    path = counter(tmp_path / "variable.mp4", arguments=drops)
    whole = FrameReader(path)
    frames = list(whole)
    reader = FrameReader(path)
    for number, frame in reader.select(range(0, len(frames), 7), len(frames)):
        np.testing.assert_array_equal(frame, frames[number])
    np.testing.assert_array_equal(reader.times, whole.times)


@given(st.sets(st.integers(0, 5000)), st.integers(0, 5000))
def test_all_numbers_come_out_in_their_place(numbers, end):
    chosen = selection.select(sorted(numbers), end)
    if chosen is None:
        return
    assert {number for number in numbers if number < end} <= set(chosen.numbers)
    assert list(chosen.numbers) == sorted(set(chosen.numbers)) and max(chosen.numbers) < end == chosen.end
    gaps = np.diff([-1, *chosen.numbers, end])
    assert gaps.max() <= selection.LONGEST_GAP
    assert [chosen.number(place) for place in (0, len(chosen.numbers), len(chosen.numbers) + 3)] == [
        chosen.numbers[0],
        end,
        end + 3,
    ]


def test_very_many_numbers_have_an_end(monkeypatch):
    monkeypatch.setattr(selection, "MOST_SELECTED", 20)
    chosen = selection.select(range(0, 10**12, 10), 10**9)
    assert len(chosen.numbers) == 20 and chosen.end == 200
    monkeypatch.undo()
    assert selection.select(range(10**12), 10**9) is None  # known after the first thousand
    assert len(selection.select(range(0, 10**12, 10), 10**9).numbers) == selection.MOST_SELECTED


def test_ffmpeg_finds_each_of_many_numbers(tmp_path):
    """In a search by halves through thousands."""
    path = ffmpeg_counts(tmp_path)
    numbers = sorted(np.random.default_rng(0).choice(12_000, 4_000, replace=False).tolist())
    reader = FrameReader(path)
    found = [number for number, _ in reader.select(numbers, 12_000)]
    assert found == numbers and len(reader.times) == 12_000


def ffmpeg_counts(folder):
    path = folder / "many.avi"
    ffmpeg("-f lavfi -i color=gray:size=16x16:rate=25 -frames:v 12000 -c:v mjpeg -q:v 31", path)
    assert os.path.getsize(path) and cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 12_000
    return path


def test_what_is_begun_ahead_is_what_is_asked_for(tmp_path):
    """Also if nobody asks, and after that."""
    path = counter(tmp_path / "counter.mp4", arguments=("-c:v", "libx264", "-crf", "12"))
    reader, wanted = FrameReader(path), [3, 40, 41, 290]
    with reader.begin(wanted, 300):
        found = {number: read_counter(frame) for number, frame in reader.select(wanted, 300)}
    assert found.keys() >= set(wanted) and all(number == shown for number, shown in found.items())
    assert len(reader.times) == 300 and reader.loss is None
    before = threading.active_count()
    with reader.begin(range(300), 300):
        assert threading.active_count() > before
    assert threading.active_count() == before
    assert [number for number, _ in reader.select(range(5), 5)][:5] == [0, 1, 2, 3, 4]


def test_what_fails_ahead_fails_where_it_is_asked_for(tmp_path):
    path = counter(tmp_path / "counter.mp4", frames=50, arguments=("-c:v", "libx264"))
    reader = FrameReader(path)
    path.write_bytes(b"no video any more")
    with reader.begin([0], 50), pytest.raises(ValueError, match="counter.mp4"):
        list(reader.select([0], 50))
