"""Options that a notebook gives: the same checks as the command line's, and a line that names the option."""

from pathlib import Path

import pytest

from clasify import ClassifyOptions, ManyOptions, Smoothing
from extract_features import ExtractionJob
from extract_files import extract_files
from train import TrainOptions
from vidclass.errors import UsageError
from vidclass.recording.results import ResultFiles


@pytest.mark.parametrize(
    "make, option",
    [
        (lambda: ClassifyOptions(export="csv"), "--export"),
        (lambda: ClassifyOptions(keep="Football"), "--keep"),
        (lambda: ClassifyOptions(hop=float("nan")), "--hop"),
        (lambda: ClassifyOptions(hop="1"), "--hop"),
        (lambda: ClassifyOptions(hop=-1), "--hop"),
        (lambda: ClassifyOptions(smoothing=True), "smoothing"),
        (lambda: ClassifyOptions(precision="int4"), "--precision"),
        (lambda: ManyOptions("x", ClassifyOptions(output="y.avi")), "--output"),
        (lambda: ManyOptions("x", shard=(3, 2)), "--shard"),
        (lambda: ManyOptions("x", workers=0), "--workers"),
        (lambda: ManyOptions("x", Smoothing()), "each="),
        (lambda: Smoothing(-3), "--min-duration"),
        (lambda: Smoothing(float("inf")), "--min-duration"),
        (lambda: Smoothing(3, fast=True), "--fast"),
        (lambda: ExtractionJob(precision="int4"), "--precision"),
        (lambda: ExtractionJob(workers=0), "--workers"),
        (lambda: TrainOptions(precision="x"), "--precision"),
        (lambda: TrainOptions(epochs=2.5), "--epochs"),
        (lambda: TrainOptions(epochs="3"), "--epochs"),
        (lambda: TrainOptions(resume=True), "resume"),
        (lambda: TrainOptions(model="conv"), "--model"),
        (lambda: TrainOptions(group="g03"), "group='g03'"),
        (lambda: TrainOptions(group=1), "group=1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make, option):
    with pytest.raises(UsageError, match=option):
        make()


def test_options_of_another_command_are_refused():
    for wrong in ("data", None, ExtractionJob()):
        with pytest.raises(TypeError, match="extract_files: options must be SplitOptions"):
            extract_files("mp4", wrong)


def test_an_output_may_be_a_path(tmp_path):
    (tmp_path / "x.avi").touch()
    files = ResultFiles("rec.mp4", ClassifyOptions(output=tmp_path / "x.avi"))
    assert isinstance(ClassifyOptions(output=Path("x.avi")).output, str) and files.others() == []
