"""extract_features.py --dry-run: how long it would take, measured, and nothing written."""

import re
import shutil

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, run

from vidclass.features import extraction_rate
from vidclass.text import size_text

ARGUMENTS = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")


def state(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(extraction_rate, "SECONDS", 0.0)
    monkeypatch.setattr(extraction_rate, "LEAST_BATCHES", 1)
    monkeypatch.setattr(extraction_rate, "WARM_UP_BATCHES", 1)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--from-video",),
        ("--shard", "1/2"),
        pytest.param(("--precision", "int8"), marks=pytest.mark.slow),
    ],
)
def test_it_says_what_is_left_and_writes_nothing(copy, options):
    shutil.rmtree(copy / "data/sequences")
    if "--from-video" in options:
        for path in [*copy.rglob("*.jpg"), *copy.rglob("*-frames.json"), copy / "data/data_file.csv"]:
            path.unlink()
    before = state(copy)
    result = run(copy, "extract_features.py", *ARGUMENTS, *options, "--dry-run")
    assert result.returncode == 0, result.stderr
    clips = 8 if "--shard" in options else 16
    _, first, second, third = result.stdout.splitlines()
    size = size_text(clips * (128 + 8 * 2048 * 4))
    assert first == f"{clips} sequences to extract, of {clips * 8} frames: {size}; 0 sequences there already"
    assert re.fullmatch(r"[\d.]+ frames/s, measured on \d+: 0:\d\d:\d\d in all", second)
    assert " of disk needed, " in third
    assert state(copy) == before


def test_nothing_is_left(copy):
    result = run(copy, "extract_features.py", *ARGUMENTS, "--dry-run")
    assert result.stdout.splitlines()[1:] == [
        "0 sequences to extract, of 0 frames: 0 bytes; 16 sequences there already"
    ]


class Loader:
    """Clips of an image each, which is their number; some can't be read."""

    def __init__(self, bad):
        self.bad = bad

    def ahead(self, clips):
        for clip in clips:
            self.clip = clip
            yield clip, self

    def result(self):
        if self.clip in self.bad:
            raise ValueError("damaged")
        return self

    @property
    def images(self):
        return [np.full(1, self.clip)]


def test_clips_from_all_over_the_list_again_and_again():
    images = extraction_rate.sample_images(Loader({3, 4}), range(10))
    found = [int(next(images)[0]) for _ in range(16)]
    assert sorted(found[:8]) == [0, 1, 2, 5, 6, 7, 8, 9] and found[8:] == found[:8]
    assert min(abs(a - b) for a, b in zip(found, found[1:])) > 1


def test_none_can_be_read():
    assert list(extraction_rate.sample_images(Loader(set(range(10))), range(10))) == []
