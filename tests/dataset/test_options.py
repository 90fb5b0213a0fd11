"""Options from a notebook are checked as those of a command line are."""

import dataclasses

import pytest

from cut_clips import CutOptions
from cut_clips import make_parser as make_cut_parser
from extract_files import SplitOptions, SplitResult
from vidclass.errors import UsageError


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"seconds": 0}, "--seconds 0 is not above 0"),
        ({"seconds": float("nan")}, "--seconds nan is not above 0"),
        ({"test_split": 1}, "--test-split 1 is not between 0 and 1"),
        ({"test_split": -0.1}, "--test-split -0.1"),
        ({"seed": -1}, "--seed -1 is below 0"),
    ],
)
def test_options_of_cutting_that_make_no_sense(values, reason):
    with pytest.raises(UsageError, match=reason):
        CutOptions(**values)


def test_options_of_splitting_that_make_no_sense():
    with pytest.raises(UsageError, match="--workers 0 is below 1"):
        SplitOptions(workers=0)


def test_a_command_line_has_the_defaults_of_a_notebook():
    args, options = make_cut_parser().parse_args(["a.mp4", "labels.csv"]), CutOptions()
    fields = {field.name for field in dataclasses.fields(CutOptions)} - {"limits"}
    assert {name: getattr(args, name) for name in fields} == {name: getattr(options, name) for name in fields}
    assert args.max_pixels == options.limits.max_pixels


def test_exit_codes_of_splitting():
    assert SplitResult(split=3, kept=2, failed=0, listed=5).exit_code == 0
    assert SplitResult(split=3, kept=2, failed=1, listed=5).exit_code == 1
    assert SplitResult(split=3, kept=2, failed=0, listed=5, unreadable=1).exit_code == 1
