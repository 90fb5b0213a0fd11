"""Frames and the times that label files give for them: what is labelled is cut, to the frame."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import variable_rate
from helpers import ffmpeg
from labelling import numbered
from test_exact_cuts import H264, KINDS, numbers

from vidclass.dataset.cut_plan import find_stretches
from vidclass.dataset.labels import Label
from vidclass.dataset.recording_labels import check_end, check_start, open_recording
from vidclass.labelling.frame_table import FrameTable, read_frame_table
from vidclass.video.cutting import ClipCutter
from vidclass.video.times import find_times

CHOSEN = ("b.mp4", "a.mkv", "h264.ts", "mpeg2.ts", "mpeg2.mpg", "mpeg4.avi", "h264.avi", "h264.flv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    numbered(folder / "master.mkv", "-c:v ffv1 -pix_fmt yuv420p -c:a pcm_s16le")
    for name in CHOSEN:
        ffmpeg("-i", folder / "master.mkv", *KINDS[name][0], folder / name)
    ffmpeg("-ss 3.3 -i", folder / "b.mp4", "-c copy", folder / "edited.mp4")
    numbered(folder / "29.97.mp4", *H264, "-g", "250", "-bf", "3", "-c:a aac", rate="30000/1001")
    chosen = "-vf select='lt(mod(n,50),25)+not(mod(n,5))'"
    ffmpeg("-i", folder / "b.mp4", chosen, *variable_rate(), *H264, "-c:a aac", folder / "varies.mp4")
    for path in folder.iterdir():  # 96 pixels high, of which numbers() reads the upper half
        if path.name != "master.mkv":
            continue
    return folder


def shown(path):
    """The numbers that a video's frames show."""
    half = path.with_name("half.mkv")
    ffmpeg(
        "-i",
        path,
        "-map 0:V:0 -vf crop=iw:48:0:0",
        *variable_rate(),
        "-enc_time_base 1:90000 -c:v ffv1",
        half,
    )
    return numbers(half)


def cut(path, table, first, end, folder):
    """The numbers that a clip shows which is cut from the label of the frames from `first` to `end`."""
    source = open_recording(str(path))
    label = Label(float(table.mark(first)), float(table.mark(end)), "A", 1)
    (label,) = check_end(check_start([label], "labels", source), "labels", source)
    (stretch,) = find_stretches([label], source.fps)
    start = Fraction(str(float(stretch.first / source.fps)))
    ClipCutter(path, source.fps).cut(start, stretch.stop - stretch.first, folder / "clip.mp4")
    return shown(folder / "clip.mp4")


@pytest.mark.parametrize("name", [*CHOSEN, "edited.mp4", "29.97.mp4"])
def test_labels_are_cut_to_the_frame(folder, tmp_path, name):
    path = folder / name
    table, numbered_as = read_frame_table(open_recording(str(path))), shown(path)
    assert table.is_regular and table.frames == len(numbered_as)
    assert table.has_hidden == (name == "edited.mp4")
    for first, end in ((0, 7), (101, 112), (table.frames - 9, table.frames)):
        assert cut(path, table, first, end, tmp_path) == numbered_as[first:end]


def test_labels_of_a_rate_that_varies(folder, tmp_path):
    """cut_clips.py makes the rate constant: no frame of the neighbours may get into a clip."""
    path = folder / "varies.mp4"
    table, numbered_as = read_frame_table(open_recording(str(path))), shown(path)
    assert not table.is_regular and table.frames == len(numbered_as)
    assert np.abs(table.times[:-1] - find_times(path)).max() < 0.001
    for first, end in ((0, 7), (1, 8), (26, 40), (60, 75), (table.frames - 9, table.frames)):
        found = cut(path, table, first, end, tmp_path)
        assert found and set(found) <= set(numbered_as[first:end])


@pytest.mark.parametrize("fps", ["25", "30000/1001", "24000/1001", "50", "60000/1001"])
def test_a_mark_leads_back_to_its_frame(fps):
    rate = Fraction(fps)
    times = 0.011 + np.arange(5001) / float(rate)
    places = np.floor(times * float(rate) + 0.5).astype(np.int64)
    table = FrameTable(rate, times, places * (10**6 * rate.denominator) // rate.numerator, True, False)
    for number in (0, 1, 2, 777, 4999, 5000):
        assert table.nearest(float(table.mark(number))) == number
        assert table.nearest(round(float(table.mark(number)), 3)) == number  # as result.csv has it
    assert table.nearest(1e9) == 5000 and table.nearest(-5) == 0
