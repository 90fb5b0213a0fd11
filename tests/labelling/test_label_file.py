"""Labels read and saved."""

import json
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.dataset.cut_plan import Recording
from vidclass.dataset.labels import read_labels
from vidclass.errors import UsageError
from vidclass.labelling.frame_table import FrameTable
from vidclass.labelling.label_file import (
    Segment,
    check_segments,
    keep_backup,
    keep_others,
    lost_text,
    open_labels,
    to_csv,
)
from vidclass.labelling.options import LabelOptions
from vidclass.labelling.results import as_probability, read_result
from vidclass.labelling.watched import Watched

FPS = Fraction(30000, 1001)
FRAMES = 3000
TABLE = FrameTable(
    FPS, np.arange(FRAMES + 1) / float(FPS), np.arange(FRAMES + 1) * 1001 * 10**6 // 30000, True, False
)


def source_in(folder):
    return Recording(str(folder / "match.mp4"), FPS, FRAMES / float(FPS), "1-0")


NAMES = st.sampled_from(
    [None, "Football", "Ad, paid", 'The "big" one', "# 1", "0:25", "Über", "=1+1", "12.5"]
)


@st.composite
def segmentations(draw):
    firsts = sorted(draw(st.sets(st.integers(1, FRAMES - 1), max_size=12)) | {0})
    probabilities = st.none() | st.integers(0, 10000).map(lambda n: n / 10000)
    rows = [[first, draw(NAMES), draw(probabilities)] for first in firsts]
    return [[first, name, None if name is None else probability] for first, name, probability in rows]


@given(segmentations())
def test_what_is_saved_is_read_again(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("labels")
    segments = check_segments(rows, FRAMES)
    (folder / "labels.csv").write_text(to_csv(segments, TABLE), encoding="utf-8")
    found = open_labels(source_in(folder), TABLE, None)
    assert found.segments == segments
    named = [segment.class_name for segment in segments if segment.class_name is not None]
    if named:
        assert [label.class_name for label in read_labels(folder / "labels.csv")] == named


def result(**changes):
    content = {
        "classes": ["Ad", "Football"],
        "segments": [
            {"start": 0, "end": 3, "class": "Ad", "probability": 0.9},
            {"start": 3, "end": 10.01, "class": "Football", "probability": 0.6},
        ],
        "windows": [
            {"start": 0, "end": 3, "probabilities": {"Ad": 0.9, "Football": 0.1}},
            {"start": 3, "end": 10.01, "probabilities": {"Ad": 0.4, "Football": 0.6}},
        ],
    }
    content.update(changes)
    return content


def test_a_result_is_opened_with_its_probabilities(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(result()))
    found = open_labels(source_in(tmp_path), TABLE, str(tmp_path / "result.json"))
    assert found.path == str(tmp_path / "result.csv")
    assert found.segments == [Segment(0, "Ad", 0.9), Segment(90, "Football", 0.6), Segment(300, None)]
    assert found.windows.probabilities == [[0.9, 0.1], [0.4, 0.6]]


def test_a_corrected_csv_comes_before_the_json_beside_it(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(result()))
    (tmp_path / "result.csv").write_text("start,end,class,probability\n0,2,Ad,0.75\n2,4,Football,x\n")
    for name in ("result.json", "result.csv"):
        found = open_labels(source_in(tmp_path), TABLE, str(tmp_path / name))
        assert found.segments == [Segment(0, "Ad", 0.75), Segment(60, "Football"), Segment(120, None)]
        assert found.windows.classes == ["Ad", "Football"]


def test_an_edl_is_opened_and_a_csv_is_saved(tmp_path):
    (tmp_path / "match.edl").write_text("1.0 2.0 0\n")
    found = open_labels(source_in(tmp_path), TABLE, str(tmp_path / "match.edl"))
    assert found.path == str(tmp_path / "match.csv")
    assert [name for _, name, _ in found.segments] == [None, "Commercial", None]


def test_labels_of_a_longer_recording_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("0,500,A\n")
    with pytest.raises(ValueError, match="labels.csv, line 1: ends at 500.000 s, but .*match.mp4 is 100.100"):
        open_labels(source_in(tmp_path), TABLE, None)


@pytest.mark.parametrize(
    "content",
    [
        [],
        result(classes=[]),
        result(classes=["A", "A"]),
        result(classes=["../up", "A"]),
        result(classes=[1]),
        result(segments=[{"start": 3, "end": 1, "class": "Ad"}]),
        result(segments=[{"start": float("nan"), "end": 1, "class": "Ad"}]),
        result(segments=[{"start": 0, "end": 1e400, "class": "Ad"}]),
        result(segments=[{"start": 0, "end": 5, "class": "Ad"}, {"start": 4, "end": 6, "class": "Ad"}]),
        result(segments=[{"start": 0, "end": 5, "class": "/etc"}]),
        result(segments=5),
        result(segments=[{"start": 0, "end": 5, "class": "A\x0bB"}]),
        result(segments=[{"start": 0, "end": 5, "class": "A "}]),
        result(
            segments=[
                {"start": 0, "end": 5, "class": "Ad"},
                {"start": 0, "end": 5, "class": "Ad", "probability": 1},
            ]
        ),
        result(windows=[{"start": 0, "end": 1, "probabilities": {"Ad": 10**400, "Football": 0}}]),
        result(windows=[{"start": 0, "end": 1, "probabilities": {"Ad": 2, "Football": 0}}]),
        result(windows=[{"start": 0, "end": 1, "probabilities": {"Ad": 1}}]),
        result(windows=[{"start": 0, "end": 1, "probabilities": "Ad"}]),
        result(windows=[{"start": True, "end": 2, "probabilities": {"Ad": 1, "Football": 0}}]),
    ],
)
def test_a_strangers_result_is_checked(tmp_path, content):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="r.json: .*expected a result.json of clasify.py"):
        read_result(tmp_path / "r.json")


def test_what_is_no_json_is_refused(tmp_path):
    for content in (b"[" * 200_000, b"\xff\xfe", b""):
        (tmp_path / "r.json").write_bytes(content)
        with pytest.raises(ValueError, match="r.json: not JSON"):
            read_result(tmp_path / "r.json")


def test_the_backup_is_a_copy(tmp_path):
    path = tmp_path / "labels.csv"
    keep_backup(str(path))
    assert not list(tmp_path.iterdir())
    path.write_text("0,1,A\n")
    keep_backup(str(path))
    assert (tmp_path / "labels.csv.bak").read_text() == "0,1,A\n" and path.exists()


def test_copies_of_what_others_wrote_have_names_of_their_own(tmp_path):
    path = tmp_path / "labels.csv"
    assert keep_others(str(path)) is None
    for content in ("one", "two", "three"):
        path.write_text(content)
        keep_others(str(path))
    copies = tmp_path.glob("labels.csv.bak-*")
    assert sorted(copy.read_text() for copy in copies) == ["one", "three", "two"]


def test_a_change_by_another_program_is_noticed(tmp_path):
    path = tmp_path / "labels.csv"
    watched = Watched(str(path))
    assert not watched.is_other()
    path.write_text("0,1,A\n")
    assert watched.is_other()
    watched.note()
    os.utime(path, (1, 1))  # the same again, as a program that copies files writes it
    assert not watched.is_other()
    path.write_text("0,1,B\n")  # as long as before
    assert watched.is_other()
    path.unlink()
    assert not watched.is_other()  # nothing can be lost


def test_a_class_that_could_not_be_saved_is_not_opened(tmp_path):
    (tmp_path / "labels.csv").write_text("0,1,A\n1,2,A\x1b[31mB\n")
    with pytest.raises(ValueError, match="labels.csv, line 2: .*can't be a class"):
        open_labels(source_in(tmp_path), TABLE, None)
    for name in ("a\tb", "a\x1bb"):
        with pytest.raises(UsageError, match="--classes: .*can't be a class"):
            LabelOptions(classes=(name,))


def test_a_probability_with_many_digits_is_none():
    assert (
        as_probability(10**400) is None and as_probability(float("nan")) is None and as_probability(1) == 1.0
    )


def test_what_is_no_plain_file_is_refused(tmp_path):
    for name in ("labels.csv", "labels.json"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}: not a plain file"):
            open_labels(source_in(tmp_path), TABLE, None)
        (tmp_path / name).unlink()


def test_another_programs_json_is_left_alone_unless_it_is_named(tmp_path):
    (tmp_path / "labels.json").write_text("{}")
    assert open_labels(source_in(tmp_path), TABLE, None).segments == [Segment(0, None)]
    with pytest.raises(ValueError, match="expected a result.json"):
        open_labels(source_in(tmp_path), TABLE, str(tmp_path / "labels.json"))


def test_a_results_segment_beyond_the_end_has_no_line(tmp_path):
    segments = [{"start": 0, "end": 500, "class": "Ad"}]
    (tmp_path / "r.json").write_text(json.dumps(result(segments=segments)))
    with pytest.raises(ValueError, match="r.json: ends at 500.000 s"):
        open_labels(source_in(tmp_path), TABLE, str(tmp_path / "r.json"))


def test_labels_that_are_too_short_are_counted(tmp_path):
    (tmp_path / "labels.csv").write_text("0,1,A\n1,1.001,B\n1.001,1.002,A\n2,3,B\n")
    labels = open_labels(source_in(tmp_path), TABLE, None)
    assert labels.lost == 2 and lost_text(2).startswith("2 labels shorter than half a frame are left out")
