"""Many recordings: what results are called, and the summaries by which they are known to be complete. Anyone
may have written these."""

import json
import os
from dataclasses import replace

import pytest

from vidclass.recording.overview import table, to_html
from vidclass.recording.result_names import result_names
from vidclass.recording.segments import Segment
from vidclass.recording.summaries import ENDING, Summary, all_summaries, read_summary, write_summary

GOOD = Summary(
    recording={"path": "/r/match.mp4", "size": 5, "mtime_ns": 7},
    made_with={"checkpoint": "abc"},
    classes=["Football", "Commercial"],
    seconds=[1890.0, 360.0],
    frames=56250,
    segments=10,
    least_sure=Segment(63.0, 66.0, "Commercial", 0.53),
    files=["match.avi", "match.csv"],
    loss=None,
)


@pytest.fixture
def folder(tmp_path):
    for name in GOOD.files:
        (tmp_path / name).touch()
    return tmp_path


def test_a_summary_comes_back(folder):
    path = str(folder / f"match{ENDING}")
    write_summary(path, GOOD)
    assert read_summary(path) == GOOD and all_summaries(str(folder)) == [GOOD]
    (folder / "match.csv").unlink()
    assert read_summary(path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ["../match.avi"]},
        {"files": ["/etc/hostname"]},
        {"files": ["."]},
        {"files": "match.avi"},
        {"files": [0]},
        {"recording": {"path": 7}},
        {"recording": []},
        {"classes": ["Football"]},
        {"classes": [], "seconds": []},
        {"seconds": [1.0, float("nan")]},
        {"seconds": [1.0, 1e300]},
        {"seconds": ["1", "2"]},
        {"segments": "10"},
        {"segments": True},
        {"frames": -1},
        {"frames": 10**400},
        {"least_sure": []},
        {"least_sure": [1, 2, ["x"], 0.5]},
        {"least_sure": [1, 2, "x", float("inf")]},
        {"loss": ["x"]},
        {"more": 1},
    ],
)
def test_what_is_no_summary_is_none(folder, changes):
    path = folder / f"match{ENDING}"
    write_summary(path, GOOD)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert read_summary(str(path)) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 10**5, b"\xff", b" " * 2**21 + b"{}", b"{}"])
def test_damaged_summaries(folder, content):
    (folder / f"x{ENDING}").write_bytes(content)
    assert all_summaries(str(folder)) == []


def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / f"x{ENDING}")
    assert all_summaries(str(folder)) == []


def test_nothing_in_the_page_is_obeyed():
    evil = '"><script>alert(1)</script>\n'
    summary = replace(
        GOOD,
        recording={"path": f"/r/{evil}"},
        classes=[evil, "b"],
        files=["javascript:alert(1)", f"{evil.replace('/', '')}.html", "caf\udcff.csv"],
        least_sure=Segment(0, 1, evil, 0.5),
        loss=evil,
    )
    page = to_html([summary])
    assert "<script" not in page and 'href="javascript' not in page and '"">' not in page
    assert 'href="./javascript%3Aalert%281%29"' in page and 'href="./caf%FF.csv"' in page
    page.encode()


def test_the_table():
    other = replace(GOOD, recording={"path": "/r/\x1b[2J.mp4"}, seconds=[6.0, 0.0], segments=1)
    sure = "0.53 Commercial 0:01:03.000 - 0:01:06.000"
    assert table([GOOD, other]) == [
        "recording    Football, min  Commercial, min  segments  least sure",
        f"match.mp4             31.5              6.0        10  {sure}",
        f"\\x1b[2J.mp4            0.1              0.0         1  {sure}",
    ]
    assert table([]) == []


def test_the_table_of_many_classes():
    classes = [f"c{number}" for number in range(9)]
    summary = replace(GOOD, classes=classes, seconds=[60.0 * number for number in range(9)])
    head, row = table([summary])
    assert head.split("  ")[0] == "recording" and "c3, min" not in head and "c4, min  c5, min" in head
    assert row.split()[1:7] == ["4.0", "5.0", "6.0", "7.0", "8.0", "6.0"]


def test_names_of_results():
    paths = [
        "/a/match.mp4",
        "/b/Match.mkv",
        "/a/other.mp4",
        "/a/index.mp4",
        "/a/x-kept.mp4",
        "/a/x.summary.avi",
    ]
    names = result_names([*paths, "/a/.mp4", "/a/" + "é" * 120 + ".mp4"])
    assert names["/a/other.mp4"] == "other" and names == result_names(reversed(list(names)))
    for path in set(paths) - {"/a/other.mp4"}:
        stem = os.path.splitext(os.path.basename(path))[0]
        assert len(names[path]) == len(stem) + 7 and names[path].startswith(f"{stem}-")
    assert len(set(names.values())) == len(names)
    assert all(len(os.fsencode(f".{name}.summary.json.012345-01234567.tmp")) < 256 for name in names.values())
    assert not any(name.startswith(".") for name in names.values())
