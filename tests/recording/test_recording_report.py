"""The page about a recording: what a browser makes of it, and what it must not contain."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from fractions import Fraction
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from models import ResearchModel
from vidclass.recording import html_report, timeline_figure
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.results import ResultFiles
from vidclass.recording.segments import Segment, Timeline, Window, find_segments
from vidclass.training.figures import write_report
from vidclass.training.metadata import Metadata
from vidclass.training.metrics import Predictions

HOSTILE = '<script>document.title="hacked"</script>&"\' $x$'


def result_files(video, folder):
    return ResultFiles(video, ClassifyOptions(output=str(folder / "result.avi")))


def made(path, classes, rows, fps=25):
    """A Timeline of windows of a second with these probabilities."""
    windows = [Window(i, i + 1.0, fps * i, fps * i + fps, list(row)) for i, row in enumerate(rows)]
    return Timeline(str(path), Fraction(fps), (120, 160), classes, windows, find_segments(classes, windows))


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "data/checkpoints/lstm-features.hdf5"
    path.parent.mkdir(parents=True)
    ResearchModel(2, seq_length=4).save(
        path, Metadata(["Grey", HOSTILE.replace("/", "")], 4, [80, 96, 3], 1.0, "random", "random", epoch=12)
    )
    return path


class Page(HTMLParser):
    """The elements of a page, the addresses that it refers to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attributes if name in ("src", "href", "data", "action", "xlink:href")
        ]

    def handle_data(self, data):
        self.text += data


def test_the_page(make_clip, checkpoint, tmp_path):
    clip = make_clip(f"{HOSTILE.replace('/', '')}.mp4", seconds=6)
    timeline = made(clip, ["Grey", HOSTILE], [(0.9, 0.1)] * 4 + [(0.2, 0.8)] * 2)
    html_report.write(result_files(timeline.video, tmp_path), timeline, str(checkpoint))
    text = (tmp_path / "result.html").read_text()
    page = Page(text)
    assert (
        "script" not in page.tags
        and "link" not in page.tags
        and "hacked" in page.text
        and "@import" not in text
    )
    assert all(address.startswith(("#s", "data:image/jpeg;base64,")) for address in page.addresses)
    assert (
        page.text.count(HOSTILE.replace("/", "")) >= 1
        and "0:00:04.000" in page.text
        and "12 epochs" in page.text
    )
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
        for address in page.addresses
        if address.startswith("data:")
    ]
    assert [picture.shape for picture in pictures] == [(120, 160, 3)] * 2
    # The pictures are those of the segments' middles.
    capture = cv2.VideoCapture(str(clip))
    frames = [capture.read()[1] for _ in range(150)]
    for picture, middle in zip(pictures, (50, 125)):
        distances = [np.abs(picture.astype(int) - frame).mean() for frame in frames]
        assert abs(int(np.argmin(distances)) - middle) <= 1
    assert cv2.imread(str(tmp_path / "result.png")).shape[1] == 1100


def test_the_accuracy_is_that_of_the_report(checkpoint, tmp_path):
    assert dict(html_report.model_figures(str(checkpoint)))["trained for"] == "12 epochs"
    assert "accuracy" not in dict(html_report.model_figures(str(checkpoint)))
    write_report(
        str(tmp_path / "data/reports"),
        str(checkpoint),
        "test",
        Predictions(
            [0, 1, 1, 1],
            np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0, 1]]),
            ["Grey", HOSTILE],
            list("abcd"),
        ),
    )
    figures = dict(html_report.model_figures(str(checkpoint)))
    assert (
        figures["accuracy"].startswith("Test accuracy: 0.750 (3 of 4 clips")
        and figures[f"recall of {HOSTILE}"] == "0.667"
    )
    later = os.stat(tmp_path / "data/reports/lstm-features-test.json").st_mtime + 10
    os.utime(checkpoint, (later, later))  # another training since
    assert "accuracy" not in dict(html_report.model_figures(str(checkpoint)))
    for damaged in ("", "[]", '{"accuracy": 1}', json.dumps({"accuracy_interval_95": 3})):
        (tmp_path / "data/reports/lstm-features-test.json").write_text(damaged)
        os.utime(tmp_path / "data/reports/lstm-features-test.json", (later + 10, later + 10))
        assert "accuracy" not in dict(html_report.model_figures(str(checkpoint)))


def test_curves_of_a_long_recording_are_means():
    random = np.random.default_rng(0)
    share = random.random(20000)
    timeline = made("x.mp4", ["a", "b"], np.stack([share, 1 - share], 1))
    edges, values = timeline_figure.curves(timeline)
    assert len(values) == timeline_figure.COLUMNS and len(edges) == len(values) + 1
    assert edges[0] == 0 and edges[-1] == 20000 and (np.diff(edges) > 0).all()
    np.testing.assert_allclose((values[:, 0] * np.diff(edges)).sum(), share.sum())
    edges, values = timeline_figure.curves(made("x.mp4", ["a", "b"], [(0.3, 0.7), (0.6, 0.4)]))
    assert edges.tolist() == [0, 1, 2] and values.tolist() == [[0.3, 0.7], [0.6, 0.4]]


@pytest.mark.parametrize("classes, length", [(2, 8), (20, 60)])
def test_the_picture_has_room_for_all_names(classes, length, tmp_path):
    names = [f"{number} {'W' * length}$x$" for number in range(classes)]
    rows = np.random.default_rng(0).dirichlet(np.ones(classes) / 4, 60)
    timeline_figure.draw(tmp_path / "x.png", made("$a$.mp4", names, rows))
    picture = cv2.imread(str(tmp_path / "x.png"))
    edge = np.concatenate(
        [picture[:2].ravel(), picture[-2:].ravel(), picture[:, :2].ravel(), picture[:, -2:].ravel()]
    )
    assert (edge == 255).all()  # nothing is cut off


def test_a_recording_of_thousands_of_segments_gets_pictures_of_the_longest(monkeypatch):
    lengths = np.random.default_rng(0).permutation(3000) + 1.0
    ends = np.cumsum(lengths)
    segments = [
        Segment(float(end - length), float(end), "ab"[i % 2], 0.9)
        for i, (end, length) in enumerate(zip(ends, lengths))
    ]
    timeline = made("x.mp4", ["a", "b"], [(0.9, 0.1)])._replace(segments=segments)
    running, most, asked = [], [], []

    def picture(path, at, limits):
        running.append(at)
        most.append(len(running))
        asked.append(at)
        time.sleep(0.001)
        running.remove(at)
        return b"jpeg"

    monkeypatch.setattr("vidclass.recording.html_report._picture", picture)
    pictures = html_report.thumbnails(timeline)
    assert len(pictures) == 3000 and max(most) <= os.cpu_count() and len(asked) == html_report.PICTURES
    assert [number for number, found in enumerate(pictures) if found] == np.flatnonzero(
        lengths > 3000 - html_report.PICTURES
    ).tolist()
    page = html_report.to_html(timeline, [], pictures)
    assert page.count("<img") == html_report.PICTURES and "With pictures of the 200 longest." in page
    assert "3000 segments</p>" in page and "With pictures" not in html_report.to_html(
        timeline._replace(segments=segments[:1]), [], pictures[:1]
    )
    assert "1 segment</p>" in html_report.to_html(timeline._replace(segments=segments[:1]), [], pictures[:1])


def test_a_picture_that_takes_too_long_is_left_out(make_clip, monkeypatch):
    clip = make_clip("a.mp4")
    assert cv2.imdecode(np.frombuffer(html_report._picture(str(clip), 0.5), np.uint8), 1).shape == (
        120,
        160,
        3,
    )
    monkeypatch.setattr("vidclass.recording.html_report.PATIENCE", 0.001)
    assert html_report._picture(str(clip), 0.5) is None


def test_pictures_of_any_shape_are_small(make_clip):
    clip = make_clip("a.mkv", size="16x1600")
    assert cv2.imdecode(np.frombuffer(html_report._picture(str(clip), 0.5), np.uint8), 1).shape == (
        640,
        160,
        3,
    )


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
@pytest.mark.parametrize("width", [390, 1000])
def test_a_browser_shows_it_without_a_network(make_clip, checkpoint, tmp_path, width):
    """On a phone and on a desk: nothing is wider than the screen, nothing is loaded, nothing is run."""
    clip = make_clip("a.mp4", seconds=6)
    timeline = made(clip, ["Grey", HOSTILE], [(0.9, 0.1)] * 4 + [(0.2, 0.8)] * 2)
    html_report.write(result_files(timeline.video, tmp_path), timeline, str(checkpoint))
    # A frame of that width: Chromium's own window is never narrower than 500 pixels.
    (
        tmp_path / "frame.html"
    ).write_text(f"""<iframe src="result.html" width="{width}" height="900"></iframe><script>
        onload = () => {{ const page = document.querySelector("iframe").contentDocument;
            document.title = [page.documentElement.scrollWidth, page.querySelectorAll("path").length,
                [...page.images].every(image => image.naturalWidth == 160), page.title].join("|"); }}
            </script>""")
    said = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path}/profile",
            "--virtual-time-budget=3000",
            "--dump-dom",
            f"file://{tmp_path}/frame.html",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    scroll_width, lines, pictures, title = re.search("<title>(.*?)</title>", said)[1].split("|")
    assert int(scroll_width) <= width and lines == "2" and pictures == "true" and title == "a.mp4"
