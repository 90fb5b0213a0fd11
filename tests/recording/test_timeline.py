"""Windows to segments, against brute force; segments to files, against golden files and other programs'
readers."""

import itertools
import json
import os
import subprocess
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import opentimelineio
import pytest
import srt
import webvtt
from conftest import ROOT
from helpers import ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass import atomic
from vidclass.dataset.labels import read_labels
from vidclass.recording.exporters import WRITERS, to_chapters, to_edl, to_json, to_srt, to_vtt, to_xml
from vidclass.recording.segments import (
    TRANSITION_LOG_ODDS,
    Segment,
    Smoothing,
    Timeline,
    Window,
    average_windows,
    find_segments,
    make_segments,
    over_segments,
    viterbi_min_duration,
)
from vidclass.text import clock
from vidclass.video.ffmpeg import find_ffmpeg

GOLDEN = os.path.join(ROOT, "tests", "golden")
HOSTILE = "A & B; <b>=#\\ [x]\n5"  # a class name with what formats take for their own


def windows(rows, fps=25):
    """Windows from (first frame, end frame, probability of the first of two classes)."""
    return [Window(first / fps, end / fps, first, end, [p, 1 - p]) for first, end, p in rows]


def example():
    """A recording at 29.97 frames per second with three classes, one of a hostile name."""
    classes, fps = ["Commercial", "Football", HOSTILE], Fraction(30000, 1001)
    probabilities = [[0.1, 0.9, 0], [0.2, 0.7, 0.1], [0.96, 0.04, 0], [0.8, 0.1, 0.1], [0, 0.25, 0.75]]
    cells = [
        Window(float(90 * i / fps), float((90 * i + 90) / fps), 90 * i, 90 * i + 90, p)
        for i, p in enumerate(probabilities)
    ]
    return Timeline(
        "recordings/Cup & final.mp4",
        fps,
        (720, 1280),
        classes,
        cells,
        find_segments(classes, cells),
        ("Commercial", HOSTILE),
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 12), st.floats(0, 1)), min_size=1, max_size=12))
def test_each_frame_has_the_mean_of_its_windows(steps):
    rows, first, end = [], 0, 0
    for hop, length, probability in steps:
        first = min(first + hop, end) if rows else 0  # no gaps, as clasify.py makes none
        end = max(first + length, end + 1)
        rows.append((first, end, probability))
    cells = list(average_windows(windows(rows)))
    assert [cell.first_frame for cell in cells] == [0, *(cell.end_frame for cell in cells[:-1])]
    assert cells[-1].end_frame == end
    for cell in cells:
        assert (cell.start, cell.end) == (cell.first_frame / 25, cell.end_frame / 25)
        for frame in range(cell.first_frame, cell.end_frame):
            expected = np.mean([p for first, last, p in rows if first <= frame < last])
            np.testing.assert_allclose(cell.probabilities, [expected, 1 - expected], atol=1e-12)


def test_windows_that_do_not_overlap_are_left_as_they_are():
    given_windows = windows([(0, 75, 0.2), (75, 150, 0.9), (150, 163, 0.5)])
    assert list(average_windows(given_windows)) == given_windows


def runs(choice, durations):
    """(class, seconds) of the stretches of one class."""
    return [
        (name, sum(d for _, d in part))
        for name, part in itertools.groupby(zip(choice, durations), lambda pair: pair[0])
    ]


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 3), st.data())
def test_smoothing_finds_the_best_of_all_sequences(count, data):
    steps = data.draw(st.integers(1, 6))
    probabilities = np.array(
        data.draw(
            st.lists(
                st.lists(st.floats(0.02, 1), min_size=count, max_size=count), min_size=steps, max_size=steps
            )
        )
    )
    durations = np.array(data.draw(st.lists(st.sampled_from([0.5, 1, 2]), min_size=steps, max_size=steps)))
    least = data.draw(st.sampled_from([0, 1, 2.5, 100]))
    scores = 3 * np.log(probabilities)

    def score(choice):
        stretches = runs(choice, durations)
        if any(seconds < least for _, seconds in stretches[1:-1]):
            return -np.inf
        return sum(scores[i, name] for i, name in enumerate(choice)) + TRANSITION_LOG_ODDS * (
            len(stretches) - 1
        )

    chosen = viterbi_min_duration(scores, durations, least).tolist()
    assert score(chosen) == pytest.approx(max(map(score, itertools.product(range(count), repeat=steps))))


def test_smoothing_removes_flicker_and_keeps_what_lasts():
    rows = [
        (25 * i, 25 * i + 25, p)
        for i, p in enumerate([0.9] * 8 + [0.3] + [0.9] * 8 + [0.05] * 6 + [0.6] + [0.05] * 6)
    ]
    plain = find_segments(["a", "b"], windows(rows))
    assert [s.class_name for s in plain] == ["a", "b", "a", "b", "a", "b"]
    smooth = find_segments(["a", "b"], windows(rows), window_seconds=1.0, smoothing=Smoothing(3))
    assert [(s.start, s.end, s.class_name) for s in smooth] == [(0, 17, "a"), (17, 30, "b")]
    assert smooth[0].probability == pytest.approx((16 * 0.9 + 0.3) / 17)
    # What lasts too short goes even if it is sure, but at the ends, where the recording cuts it.
    rows = [
        (25 * i, 25 * i + 25, p)
        for i, p in enumerate([0.01] * 2 + [0.99] * 8 + [0.01] * 2 + [0.99] * 8 + [0.01] * 2)
    ]
    assert [s.class_name for s in find_segments(["a", "b"], windows(rows), 1.0, Smoothing(3))] == [
        "b",
        "a",
        "b",
    ]
    assert [s.class_name for s in find_segments(["a", "b"], windows(rows), 1.0, Smoothing(2))] == [
        "b",
        "a",
        "b",
        "a",
        "b",
    ]


def test_a_moved_cut_changes_the_probabilities():
    cells = windows([(0, 50, 1.0), (50, 100, 0.5), (100, 150, 0.0)])
    moved = make_segments(["a", "b"], cells, ["a", "b"], [3.0])
    assert [(s.start, s.end) for s in moved] == [(0, 3), (3, 6)]
    assert [s.probability for s in moved] == pytest.approx([(2 * 1 + 1 * 0.5) / 3, (1 * 0.5 + 2 * 1) / 3])


@pytest.mark.parametrize("name", WRITERS)
def test_golden_files(name):
    """Written once, looked at, and read by other programs below."""
    with open(os.path.join(GOLDEN, f"result.{name}"), encoding="utf-8", newline="") as file:
        expected = file.read().replace(
            "file://localhost/work/recordings", f"file://localhost{os.getcwd()}/recordings"
        )
    assert WRITERS[name](example()) == expected


def test_segments_of_the_example():
    assert [(round(s.start, 3), round(s.end, 3), s.class_name) for s in example().segments] == [
        (0, 6.006, "Football"),
        (6.006, 12.012, "Commercial"),
        (12.012, 15.015, HOSTILE),
    ]


def test_subtitles_are_read_by_others(tmp_path):
    expected = [
        (0, 6.006, "Football: 0.80"),
        (6.006, 12.012, "Commercial: 0.88"),
        (12.012, 15.015, HOSTILE.replace("\n", " ") + ": 0.75"),
    ]
    cues = list(srt.parse(to_srt(example())))
    assert [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in cues] == expected
    (tmp_path / "x.vtt").write_text(to_vtt(example()))
    captions = list(webvtt.read(tmp_path / "x.vtt"))
    assert [(c.start_in_seconds, c.end_in_seconds) for c in captions] == [
        (int(a), int(b)) for a, b, _ in expected
    ]
    assert [c.start for c in captions] == ["00:00:00.000", "00:00:06.006", "00:00:12.012"]
    assert [c.text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">") for c in captions] == [
        text for *_, text in expected
    ]


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_ffmpeg_reads_the_subtitles(name, tmp_path):
    path = tmp_path / f"x.{name}"
    path.write_text(WRITERS[name](example()))
    result = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", path, "-f", "srt", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    cues = list(srt.parse(result.stdout))
    assert [round(cue.end.total_seconds(), 3) for cue in cues] == [6.006, 12.012, 15.015]
    assert cues[1].content == "Commercial: 0.88" and result.stderr == ""


def test_ffmpeg_takes_the_chapters(make_clip, tmp_path):
    """They come back from a file that ffmpeg made with them."""
    clip = make_clip("a.mp4", seconds=15)
    (tmp_path / "x.chapters").write_text(to_chapters(example()))
    ffmpeg(
        "-i",
        clip,
        "-f ffmetadata -i",
        tmp_path / "x.chapters",
        "-map_metadata 1 -map_chapters 1 -codec copy",
        tmp_path / "b.mkv",
    )
    back = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", tmp_path / "b.mkv", "-f", "ffmetadata", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    chapters = [
        dict(line.split("=", 1) for line in part.splitlines() if "=" in line.replace("\\=", ""))
        for part in back.split("[CHAPTER]")[1:]
    ]
    scale = [Fraction(chapter["TIMEBASE"]) for chapter in chapters]
    assert [round(float(int(c["START"]) * s), 3) for c, s in zip(chapters, scale)] == [0, 6.006, 12.012]
    assert [c["title"] for c in chapters] == ["Football", "Commercial", "A & B\\; <b>\\=\\#\\\\ [x] 5"]


def test_the_golden_file_of_a_recording_with_sound():
    with open(os.path.join(GOLDEN, "result-sound.xml"), encoding="utf-8") as file:
        expected = file.read().replace(
            "file://localhost/work/recordings", f"file://localhost{os.getcwd()}/recordings"
        )
    assert to_xml(example()._replace(sound=(48000, 2))) == expected


@pytest.mark.parametrize("channels", [1, 2, 6, 64])
def test_an_editor_hears_the_sound(channels):
    """A track for each channel, each clip of it linked with the picture of its segment."""
    text = to_xml(example()._replace(sound=(44100, channels)))
    heard, result = min(channels, 8), opentimelineio.adapters.read_from_string(text, "fcp_xml")
    assert len(result.audio_tracks()) == heard and len(result.video_tracks()) == 1
    (pictures,) = result.video_tracks()
    for track in result.audio_tracks():
        assert [(clip.name, clip.source_range) for clip in track] == [
            (clip.name, clip.source_range) for clip in pictures
        ]
        assert all(
            clip.media_reference.target_url == pictures[0].media_reference.target_url for clip in track
        )
    items = {item.get("id"): item for item in ElementTree.fromstring(text).iter("clipitem")}
    assert len(items) == 3 * (heard + 1)
    for number in (1, 2, 3):
        linked = [link.text for link in items[f"clip-{number}"].iter("linkclipref")]
        assert linked == [f"clip-{number}", *(f"clip-{number}-{channel}" for channel in range(1, heard + 1))]
        for name in linked:
            assert [link.text for link in items[name].iter("linkclipref")] == linked
    assert ElementTree.fromstring(text).find(".//audio/channelcount").text == str(channels)


def test_segments_have_the_means_of_all_classes():
    cells = windows([(0, 50, 1.0), (50, 100, 0.5), (100, 150, 0.0)])
    segments = make_segments(["a", "b"], cells, ["a", "b"], [3.0])
    first, second = over_segments(cells, segments, np.arange(151) / 25)
    assert first[:4] == (0, 3, 0, 75) and second[:4] == (3, 6, 75, 150)
    assert first.probabilities == pytest.approx([2.5 / 3, 0.5 / 3]) and second.probabilities == pytest.approx(
        [0.5 / 3, 2.5 / 3]
    )


@pytest.mark.parametrize(
    "name, expected", [("Fu\udcdfball", b"Fu\xdfball"), ("a\ud800b", "a\ufffdb".encode())]
)
def test_names_that_are_no_text_can_be_written(name, expected, tmp_path):
    made = example()._replace(
        classes=[name, "b", "c"], segments=[Segment(0, 6.006, name, 0.8)], skipped=(name,)
    )
    for extension, write in WRITERS.items():
        atomic.write_text(tmp_path / f"x.{extension}", write(made))
    assert expected in (tmp_path / "x.csv").read_bytes()


def test_an_editor_reads_the_xml():
    """OpenTimelineIO's Final Cut adapter: three clips at the right frames."""
    result = opentimelineio.adapters.read_from_string(to_xml(example()), "fcp_xml")
    (track,) = result.video_tracks()
    assert [clip.name for clip in track] == ["Football", "Commercial", HOSTILE.replace("\n", " ")]
    assert [clip.source_range.start_time.value for clip in track] == [0, 180, 360]
    assert [clip.source_range.duration.value for clip in track] == [180, 180, 90]
    assert track[0].media_reference.target_url.endswith("/recordings/Cup%20%26%20final.mp4")
    assert track[0].source_range.duration.rate == pytest.approx(30000 / 1001, rel=1e-3)


@pytest.mark.parametrize("fps", ["25/2", "114/10", "2990/100", "24000/1001", "1/4", "50"])
def test_an_editor_places_cuts_at_their_time_at_any_rate(fps):
    """The format knows whole rates and 1000/1001 of them: frames are counted at the one that it says."""
    segments = [Segment(0, 1800.0, "Football", 0.9), Segment(1800.0, 3600.0, "Commercial", 0.9)]
    made = example()._replace(fps=Fraction(fps), segments=segments)
    (track,) = opentimelineio.adapters.read_from_string(to_xml(made), "fcp_xml").video_tracks()
    for clip, start in zip(track, (0, 1800), strict=True):
        rate = clip.source_range.duration.rate
        assert clip.source_range.start_time.value / rate == pytest.approx(start, abs=1 / rate, rel=1e-4)
        assert clip.source_range.duration.value / rate == pytest.approx(1800, abs=1 / rate, rel=1e-4)


def test_what_is_written_can_be_read_as_labels(tmp_path):
    """A corrected result becomes training data."""
    plain = example()._replace(
        segments=[Segment(0, 6.006, "Foot, ball", 0.8), Segment(6.006, 3723.5, "Commercial", 0.875)]
    )
    for name in ("csv", "srt", "vtt"):
        path = tmp_path / f"result.{name}"
        path.write_text(WRITERS[name](plain))
        assert [label[:3] for label in read_labels(path)] == [
            (0, 6.006, "Foot, ball"),
            (6.006, 3723.5, "Commercial"),
        ]
    (tmp_path / "result.edl").write_text(to_edl(plain))
    assert [label[:3] for label in read_labels(tmp_path / "result.edl", "Ad")] == [(6.006, 3723.5, "Ad")]


def test_json_has_every_window():
    result = json.loads(to_json(example()))
    assert len(result["windows"]) == 5 and result["windows"][4]["probabilities"][HOSTILE] == 0.75
    assert result["segments"][1] == {
        "start": 6.006,
        "end": 12.012,
        "class": "Commercial",
        "probability": 0.88,
    }


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=20).filter(lambda name: name.strip()), st.floats(0.01, 1e5))
def test_any_class_name_can_be_written(name, end):
    made = Timeline(
        "x.mp4",
        Fraction(25),
        (10, 10),
        [name, "b"],
        windows([(0, 25, 0.9)]),
        [Segment(0, end, name, 0.9)],
        (name,),
    )
    assert json.loads(to_json(made))["segments"][0]["class"] == name
    assert len(list(srt.parse(to_srt(made)))) == 1
    for write in WRITERS.values():
        write(made).encode(errors="surrogateescape")
    clips = opentimelineio.adapters.read_from_string(to_xml(made), "fcp_xml").video_tracks()[0]
    assert len(clips) == 1


@pytest.mark.parametrize(
    "seconds, expected", [(0, "0:00:00.000"), (59.9996, "0:01:00.000"), (3723.4567, "1:02:03.457")]
)
def test_clock(seconds, expected):
    assert clock(seconds) == expected
