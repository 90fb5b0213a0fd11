"""label.py: what is refused before the page opens, and a recording that is classified first."""

import json

import pytest
from conftest import assert_one_line_error, run

import label
from vidclass.dataset.labels import read_labels
from vidclass.errors import UsageError
from vidclass.labelling.options import LabelOptions


def test_a_recording_that_is_classified_first(project, match):
    """labels.csv and labels.json are written; labels that are there already are not touched."""
    checkpoint = str(project / "data/checkpoints/lstm-features.hdf5")
    path = str(match / "labels.csv")
    options = LabelOptions(checkpoint=checkpoint, browser=False, quiet=True)
    label.classify_first(str(match / "video.mp4"), path, options)
    assert {found.class_name for found in read_labels(path)} <= {"Colour", "Grey"}
    assert json.loads((match / "labels.json").read_text())["windows"]
    (match / "labels.csv").write_text("0,1,A\n")
    with pytest.raises(UsageError, match="labels.csv is there already: leave --checkpoint out"):
        label.classify_first(str(match / "video.mp4"), path, options)
    assert (match / "labels.csv").read_text() == "0,1,A\n"


@pytest.mark.parametrize(
    ("arguments", "code", "mentions"),
    [
        (["nothing.mp4"], 1, ["nothing.mp4: no such video file"]),
        (["match.mp4", "nothing.json"], 1, ["nothing.json: no such file"]),
        (["match.mp4", "other.csv"], 1, ["other.csv, line 1"]),
        (["match.mp4", "--classes", "../A"], 2, ["--classes: '../A' can't be a class"]),
        (["match.mp4", "--checkpoint", "nothing.hdf5"], 1, ["nothing.hdf5"]),
    ],
)
def test_what_is_refused(tmp_path, make_clip, arguments, code, mentions):
    make_clip("match.mp4")
    (tmp_path / "other.csv").write_text("0,x1,A\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_one_line_error(run(tmp_path, "label.py", *arguments, "--no-browser"), code, *mentions)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 70000}, {"classes": "AB"}, {"classes": ("",)}])
def test_options_that_make_no_sense(options):
    with pytest.raises(UsageError):
        LabelOptions(**options)
