"""What is when, read from files that people and other programs write."""
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels import fill_gaps, parse_time, read_labels


def read(tmp_path, name, text, **options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return [(label.start, label.end, label.class_name) for label in read_labels(tmp_path / name, **options)]


@pytest.mark.parametrize("text, seconds", [
    ("0", 0), ("83.5", 83.5), ("1:23.5", 83.5), ("0:01:23.5", 83.5), ("00:01:23,500", 83.5), (" 12:00:00.001 ", 43200.001),
    ("90:00", 5400), ("100:00:00", 360000), ("7.", 7), ("117.24000000000001", 117.24)])
def test_times(text, seconds):
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "-1", "1:60", "0:60:00", "1:2:3:4", "1e3", "nan", "inf", "1,2,3", "١", "0x10",
                                  "00:00:10:05", "99999999999"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="is no time"):
        parse_time(text)


@settings(deadline=None)
@given(st.integers(0, 360_000_000))
def test_clock_and_parse_time_are_inverse(milliseconds):
    from timeline import clock
    assert round(parse_time(clock(milliseconds / 1000)) * 1000) == milliseconds


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_time_or_an_error(text):
    try:
        assert 0 <= parse_time(text) < math.inf
    except ValueError as error:
        assert "no time" in str(error)


@settings(deadline=None, max_examples=200)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(
    ["0", "1.5", "0:02", "3", "-->", ",", ";", "\t", "\n", "\r\n", "A", "start", "class", '"', " ", "\0", "/", "WEBVTT"]),
    max_size=40).map("".join)), extension=st.sampled_from(["csv", "srt", "vtt", "edl"]))
def test_any_file_gives_labels_or_an_error_that_names_it(tmp_path_factory, text, extension):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{extension}"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    try:
        labels = read_labels(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
        return
    assert labels and all(label.start < label.end and label.class_name for label in labels)
    assert all(before.end <= after.start + 0.001 for before, after in zip(labels, labels[1:]))


EXPECTED = [(0, 25, "Football"), (25, 44.5, "Commercial")]


@pytest.mark.parametrize("text", [
    "0,25,Football\n25,44.5,Commercial\n",
    "start,end,class\n0:00:25,0:00:44.500,Commercial\n0,0:25,Football\n",
    "start,end,class,probability\n0.000,25.000,Football,0.9\n25.000,44.500,Commercial,0.8\n",
    "class;start;end\nFootball;0;25\n\nCommercial;25;44,5\n",
    "\ufeff0\t25\tFootball\r\n25\t44.5\tCommercial\r\n",
    '"0","25","Football"\n"25","44.5"," Commercial "'])
def test_csv(tmp_path, text):
    assert read(tmp_path, "x.csv", text) == EXPECTED
    assert read(tmp_path, "labels", text) == EXPECTED


def test_edl(tmp_path):
    text = "# comskip\n5.00\t10.50\t0\n20 30 3\n40.0 50.0 1\n60 61 2\n"
    assert read(tmp_path, "x.edl", text, edl_class="Ad") == [(5, 10.5, "Ad"), (20, 30, "Ad")]


def test_subtitles(tmp_path):
    srt = "1\n00:00:00,000 --> 00:00:25,000\nFootball: 0.95\n\n2\n00:00:25,000 --> 00:00:44,500\nCommercial\n"
    assert read(tmp_path, "x.srt", srt) == EXPECTED
    vtt = "WEBVTT\n\n00:00.000 --> 00:25.000 align:start\nFootball: 0.95\n\n00:25.000 --> 00:44.500\nCom&amp;mercial\n"
    assert read(tmp_path, "x.vtt", vtt) == [EXPECTED[0], (25, 44.5, "Com&mercial")]


@pytest.mark.parametrize("name, text, mentions", [
    ("x.csv", "0,25,Football\n20,30,Commercial\n", "line 2: overlaps line 1, which ends at 25.000 s"),
    ("x.csv", "0,25,Football\n25,x,Commercial\n", "line 2: 'x' is no time"),
    ("x.csv", "start,end,class\n9,8,A\n", "line 2: it ends at 8 and starts at 9"),
    ("x.csv", "0,25\n", "line 1: expected start, end, class, found '0,25'"),
    ("x.csv", "0,25,\n", "line 1: the class is missing"), ("x.csv", "0,25,../x\n", "can't be a class"),
    ("x.csv", "", "no labels in it"), ("x.csv", "start,end,class\n", "no labels in it"),
    ("x.edl", "0 25 9\n", "line 1: expected start, end and one of the actions 0 (cut)"),
    ("x.srt", "1\n00:00:00,000 --> 00:00:61,000\nA\n", "line 2: '00:00:61,000' is no time")])
def test_errors_name_the_line(tmp_path, name, text, mentions):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as error:
        read_labels(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and mentions in str(error.value)


def test_gaps_are_filled(tmp_path):
    (tmp_path / "x.edl").write_text("5 10 0\n20 30 0\n")
    labels = read_labels(tmp_path / "x.edl", "Ad")
    assert [label[:3] for label in fill_gaps(labels, 40, "Match")] == [
        (0, 5, "Match"), (5, 10, "Ad"), (10, 20, "Match"), (20, 30, "Ad"), (30, 40, "Match")]
    assert [label[:3] for label in fill_gaps(labels, 30, "Match")][-1] == (20, 30, "Ad")
