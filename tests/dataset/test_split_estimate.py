"""extract_files.py --dry-run: what splitting would make, without making it."""

import shutil

import pytest
from conftest import run

from vidclass.dataset import split_estimate
from vidclass.dataset.clips import find_clips
from vidclass.text import size_text
from vidclass.video.limits import VideoLimits


def state(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def unsplit(copy):
    """The project, none of its clips split."""
    for path in [*copy.rglob("*.jpg"), *copy.rglob("*-frames.json"), copy / "data/data_file.csv"]:
        path.unlink()
    return copy


def test_frames_and_disk_are_what_splitting_makes(unsplit, make_clip):
    large = make_clip("large.mp4", 0.6, size="320x240")
    shutil.copy(large, unsplit / "data/train/Grey/large.mp4")
    (unsplit / "data/train/Grey/text.mp4").write_text("no video")
    before = state(unsplit)
    result = run(unsplit, "extract_files.py", "mp4", "--dry-run")
    assert result.returncode == 1 and "text.mp4: left out, no video that can be read" in result.stderr
    first, second = result.stdout.splitlines()
    assert first == "17 clips to split into 415 frames, 0 done before, 1 failed"
    assert " of disk needed, " in second and " a frame, measured on " in second
    assert state(unsplit) == before
    expected = split_estimate.estimate_split(
        find_clips(unsplit / "data", "mp4").clips, VideoLimits(), quiet=True
    )
    assert run(unsplit, "extract_files.py", "mp4").returncode == 1
    sizes = [path.stat().st_size for path in unsplit.rglob("*.jpg")]
    assert len(sizes) == expected.frames == 415
    # Each class has clips of its own size; some frames of each clip are looked at.
    assert expected.bytes == pytest.approx(sum(sizes), rel=0.25)
    assert "0 clips to split into 0 frames, 17 done before, 1 failed" in (
        run(unsplit, "extract_files.py", "mp4", "--dry-run").stdout
    )


def test_more_frames_than_are_allowed(unsplit):
    result = run(unsplit, "extract_files.py", "mp4", "--dry-run", "--max-frames", "10")
    assert "it has 25 frames, more than 10" in result.stderr and "0 clips to split" in result.stdout


def test_disk_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(
        split_estimate.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 8, 10**9)
    )
    assert split_estimate.disk_text(10**8, tmp_path) == "100.0 MB of disk needed, 1.0 GB free"
    assert split_estimate.disk_text(3 * 10**9, tmp_path).endswith("1.0 GB free: 2.0 GB too little")


@pytest.mark.parametrize(
    "size, text",
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1.2e13, "12,000.0 GB")],
)
def test_sizes(size, text):
    assert size_text(size) == text
