"""A video whose frame rate varies, at a constant one: against what is shown at each moment, counted here, and
against the clips that cut_clips.py cuts."""

import csv
from fractions import Fraction

import numpy as np
import pytest
from conftest import run, variable_rate
from helpers import counter, counter_pictures, ffmpeg, read_counter

from vidclass.dataset.recording_labels import open_recording
from vidclass.video.cutting import ClipCutter
from vidclass.video.ffmpeg import filter_file
from vidclass.video.reader import FrameReader
from vidclass.video.times import find_times

RATE = 25  # of the pictures that all are made of
KEPT = {
    "screen.mkv": [*range(20), 21, 22, 60, 61, *range(140, 200), *range(200, 300, 7), 299],
    "phone.mp4": [number for number in range(300) if number % 5 or not 90 < number < 210],
    "late.ts": [*range(200), *range(203, 300, 9)],
}


def varying(path, kept):
    """Writes a video of some of 300 pictures, each at its own time."""
    edges = [n for n in range(301) if (n in kept) != (n - 1 in kept)]
    chosen = "+".join(f"between(n,{first},{end - 1})" for first, end in zip(edges[::2], edges[1::2]))
    options = ("-vf", f"select='{chosen}'", *variable_rate(), "-enc_time_base", "1:90000", "-c:v", "libx264")
    return counter(path, arguments=options)


def shown_at(kept, seconds):
    """The pictures that may be what is shown at a time: it is rounded here and there."""
    times = np.array(kept) / RATE
    return {
        kept[max(0, int(np.searchsorted(times, seconds + off, "right")) - 1)] for off in (-0.021, 0, 0.021)
    }


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("are_chosen", [False, True])
def test_each_moment_has_the_frame_that_is_shown_then(tmp_path, name, are_chosen):
    reader = FrameReader(varying(tmp_path / name, KEPT[name]))
    reader.resample()
    rate, count = reader.info.fps, reader.info.frames
    assert count == pytest.approx(KEPT[name][-1] / RATE * rate, abs=2)
    wanted = range(0, 10 * count, 5) if are_chosen else range(10 * count)
    found = {
        number: read_counter(frame) for number, frame in reader.select(wanted, count) if number in wanted
    }
    assert set(found) == {number for number in wanted if number < len(reader.times)} and reader.loss is None
    assert count - 1 <= len(reader.times) <= count + 10  # the last one, too, is shown for long
    np.testing.assert_allclose(reader.times, reader.times[0] + np.arange(len(reader.times)) / float(rate))
    for number, picture in found.items():
        assert picture in shown_at(KEPT[name], float(number / rate + Fraction(1, 2) / rate)), number
    # Of the video's own frames it says where they begin.
    assert len(reader.places) == len(KEPT[name])
    off = reader.places / float(rate) - np.array(KEPT[name]) / RATE
    assert np.abs(off).max() <= 0.5 / float(rate) + 0.002


@pytest.mark.parametrize("seed", range(12))
def test_as_many_frames_come_as_are_counted(tmp_path, seed):
    """Of recordings of a screen: a frame where something changes, or bursts; the last one for whatever time.
    And each when it is shown, by the times in the file."""
    random = np.random.default_rng(seed)
    steps = [
        random.exponential(1, 300) + 0.02,
        np.where(random.random(300) < 0.8, 0.04, 4.0),
        np.array([7.0] * 7 + [0.04]),
    ][seed % 3]
    times = np.cumsum(steps)[: int(np.searchsorted(np.cumsum(steps), 40)) + 2] - steps[0]
    path = tmp_path / ("a.mp4", "a.mkv", "a.ts")[seed // 3 % 3]
    write_at(path, times)
    shown = find_times(path)
    assert shown - shown[0] == pytest.approx(times, abs=0.0015)
    reader = FrameReader(path)
    reader.resample()
    rate = float(reader.info.fps)
    found = dict(reader.select(range(10**6), reader.info.frames))
    assert list(found) == list(range(len(reader.times))) and rate >= 10
    assert reader.times[0] == pytest.approx(shown[0], abs=0.002)
    assert reader.times[-1] > shown[-1] - 1 / rate and reader.own_times == pytest.approx(shown)
    for number, place in enumerate(reader.places.tolist()):
        if place != [*reader.places, -1][number + 1]:  # one that is shown
            assert read_counter(found[place]) == number
            assert abs(reader.times[place] - shown[number]) < 0.51 / rate or place == len(found) - 1


@pytest.mark.parametrize("kind", ["ts", "mp4"])
def test_a_recording_lasts_as_long_as_its_times_say(tmp_path, kind):
    """Whose picture begins late, and comes more rarely than its header says."""
    path = tmp_path / f"late.{kind}"
    write_at(tmp_path / "plain.mkv", [*np.arange(20) / 25, *range(1, 40)])
    late = ("-itsoffset", "2", "-i", tmp_path / "plain.mkv", "-map 0:a -map 1:v -c:v copy -c:a aac")
    ffmpeg("-f lavfi -i", "sine=duration=41", *late, path)
    found = open_recording(path)
    assert found.start == pytest.approx(2, abs=0.1) and found.seconds == pytest.approx(41, abs=1.1)


def test_clips_of_pictures_that_are_shown_for_seconds(tmp_path):
    """The recording has fewer frames per second than a clip needs to have one."""
    times = [0, 7, 12, 21, 27, 35, 37, 47, 51, 63]
    write_at(tmp_path / "slides.mp4", times)
    (tmp_path / "labels.csv").write_text("start,end,class\n0,21,A\n21,37,B\n37,51,A\n51,63,B\n")
    result = run(tmp_path, "cut_clips.py", "slides.mp4", "labels.csv", "--seconds", 3)
    assert result.returncode == 0 and " 0 failed" in result.stdout, result.stderr
    with open(tmp_path / "data/clips.csv", newline="") as file:
        clips = list(csv.reader(file))
    assert len(clips) == 7 + 5 + 4 + 4
    for split, class_name, name, _, _, start, *_ in clips:
        frames = [
            read_counter(frame) for frame in FrameReader(tmp_path / f"data/{split}/{class_name}/{name}.mp4")
        ]
        assert len(frames) == 30
        for number, picture in enumerate(frames):
            seconds = float(start) + number / 10
            assert picture in {
                int(np.searchsorted(times, seconds + off, "right")) - 1 for off in (-0.06, 0.06)
            }


def write_at(path, times):
    """Writes a video whose picture n is shown from times[n] on, in seconds."""
    rawvideo = "-f rawvideo -pix_fmt gray -video_size 160x96 -framerate 25"
    script = path.with_suffix(".filter")
    moves = [f"eq(N,{number})*{time:.4f}" for number, time in enumerate(times)]
    while len(moves) > 1:  # ffmpeg's parser has a limited depth
        moves = [f"({'+'.join(moves[at : at + 8])})" for at in range(0, len(moves), 8)]
    script.write_text(f"settb=1/90000,setpts='{moves[0]}/TB'")
    encoding = ("-c:v libx264 -bf 0 -enc_time_base 1:90000", *variable_rate(), "-video_track_timescale 90000")
    ffmpeg(
        rawvideo,
        "-i -",
        *filter_file(script),
        *(encoding[:-1] if path.suffix != ".mp4" else encoding),
        path,
        input=counter_pictures(len(times)),
    )


@pytest.mark.parametrize("name", KEPT)
def test_the_frames_are_those_of_a_clip_from_there(tmp_path, name):
    path = varying(tmp_path / name, KEPT[name])
    reader = FrameReader(path)
    reader.resample()
    frames = dict(reader.select(range(1000), 1000))
    first = round(3 * reader.info.fps)
    cutter = ClipCutter(path, reader.info.fps)
    cutter.cut(Fraction(reader.times[0]) + first / reader.info.fps, 40, tmp_path / "clip.mp4")
    pictures = [read_counter(frame) for frame in FrameReader(tmp_path / "clip.mp4")]
    assert pictures == [read_counter(frames[first + number]) for number in range(40)]
    for number, picture in enumerate(pictures, first):
        assert picture in shown_at(KEPT[name], float((number + Fraction(1, 2)) / reader.info.fps))


@pytest.mark.parametrize("are_chosen", [False, True])
def test_a_size_that_changes(tmp_path, are_chosen):
    """ffmpeg would begin its filters, and their time, anew."""
    parts = []
    for name, size, fps, start in (("a.ts", (96, 160), 25, 0), ("b.ts", (48, 80), 5, 4)):
        at = ("-bf", "0", "-output_ts_offset", str(start), "-muxdelay", "0")
        parts.append(counter(tmp_path / name, 20 * fps // 5, fps, size, arguments=at).read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    reader = FrameReader(path)
    reader.resample()
    rate = reader.info.fps
    found = dict(reader.select(range(0, 1000, 5 if are_chosen else 1), 1000))
    assert len(reader.places) in (119, 120) and len(reader.times) == pytest.approx(float(8 * rate), abs=10)
    for number, frame in found.items():
        seconds = float(number / rate)
        shown = read_counter(frame)
        expected = seconds * 25 if seconds < 4 else (seconds - 4) * 5
        assert abs(shown - min(expected, 99)) <= 2 or 3.9 < seconds < 4.3 or seconds > 7.8, number


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.mpg"])
def test_a_constant_rate_is_left_alone(tmp_path, name):
    reader = FrameReader(counter(tmp_path / name, fps=Fraction(30000, 1001)))
    reader.resample()
    assert [read_counter(frame) for frame in reader] == list(range(300)) and reader.places is None


def test_a_frame_is_not_repeated_for_a_year(tmp_path):
    """No file of this size holds as many frames."""
    source = counter(tmp_path / "source.mp4", frames=20)
    path = tmp_path / "year.mkv"
    late = f"setpts='if(lt(N,19),N,{365 * 86400 * RATE})/({RATE}*TB)'"
    ffmpeg("-i", source, "-vf", late, *variable_rate(), path)
    reader = FrameReader(path)
    reader.resample()
    assert reader.info.fps == RATE and reader.info.frames > 10**6  # as its header says
    assert len(list(reader)) == 20 and reader.places is None
