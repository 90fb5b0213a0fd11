"""extract_files.py as a user runs it: real clips, real ffmpeg, kills, replaced and broken files."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import pytest
from conftest import ROOT, assert_one_line_error, count_frames
from helpers import ffmpeg

from extract_files import SplitOptions, extract_files

QUIET = SplitOptions(quiet=True)


def rows(folder):
    with open(folder / "data" / "data_file.csv", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def jpegs(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.jpg")}


@pytest.fixture
def football(make_clip, tmp_path):
    """Clips whose names contain each other's, of different lengths, in a data folder."""
    for number, seconds in ((1, 1), (10, 2), (11, 0.4)):
        make_clip(f"data/train/Football/Football_train_{number}.mp4", seconds)
    make_clip("data/test/Football/Football_test_1.mp4", 1)
    return tmp_path / "data" / "train" / "Football"


@pytest.mark.parametrize("extension", ["mp4", ".mp4", "MP4", ".Mp4"])
def test_frames_and_csv(football, tmp_path, run_script, extension):
    os.rename(football / "Football_train_11.mp4", football / "Football_train_11.MP4")
    result = run_script("extract_files.py", extension)
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path) == [
        ("test", "Football", "Football_test_1", "25"),
        ("train", "Football", "Football_train_1", "25"),
        ("train", "Football", "Football_train_10", "50"),
        ("train", "Football", "Football_train_11", "10"),
    ]
    assert set(jpegs(football)) == {
        f"Football_train_{clip}-{number:04d}.jpg"
        for clip, count in ((1, 25), (10, 50), (11, 10))
        for number in range(1, count + 1)
    }
    assert cv2.imread(str(football / "Football_train_1-0025.jpg")).shape == (120, 160, 3)
    assert "4 clips: 4 split" in result.stdout and "100 %" in result.stderr


def test_a_second_run_redoes_nothing_that_is_complete(football, tmp_path):
    os.chdir(tmp_path)
    assert extract_files("mp4", QUIET).failed == 0
    before, table = jpegs(football), rows(tmp_path)
    victim = "Football_train_10-0007.jpg"
    (football / victim).unlink()
    os.remove(tmp_path / "data" / "data_file.csv")
    assert extract_files("mp4", QUIET).failed == 0
    after = jpegs(football)
    assert set(after) == set(before) and rows(tmp_path) == table
    changed = {name for name in before if before[name] != after[name]}
    assert victim in changed and all(name.startswith("Football_train_10-") for name in changed)


def test_a_replaced_clip_is_extracted_again_and_its_features_forgotten(football, tmp_path, make_clip):
    os.chdir(tmp_path)
    extract_files("mp4", QUIET)
    stale = tmp_path / "data/sequences/299x299-random/train/Football/Football_train_10-5-features.npy"
    other = stale.with_name("Football_train_1-5-features.npy")
    stale.parent.mkdir(parents=True)
    for path in (stale, other):
        path.write_bytes(b"")
    make_clip("data/train/Football/Football_train_10.mp4", 1, source="color=red")
    extract_files("mp4", QUIET)
    assert ("train", "Football", "Football_train_10", "25") in rows(tmp_path)
    frames = [name for name in jpegs(football) if name.startswith("Football_train_10-")]
    assert len(frames) == 25  # those of the longer clip before are gone
    blue, green, red = cv2.imread(str(football / frames[0])).mean((0, 1))
    assert red > 200 and blue < 50
    assert not stale.exists() and other.exists()


def test_another_extension_adds_to_the_csv(football, tmp_path, make_clip):
    os.chdir(tmp_path)
    extract_files("mp4", QUIET)
    make_clip("data/train/Commercial/spot.avi", 1, "30", "200x100")
    extract_files("avi", QUIET)
    assert len(rows(tmp_path)) == 5 and ("train", "Commercial", "spot", "30") in rows(tmp_path)


def test_rows_of_deleted_clips_go_and_rows_of_kept_frames_stay(football, tmp_path):
    os.chdir(tmp_path)
    extract_files("mp4", QUIET)
    for path in football.glob("Football_train_11*"):
        path.unlink()
    (football / "Football_train_10.mp4").unlink()
    extract_files("mp4", QUIET)
    assert [row[2] for row in rows(tmp_path)] == ["Football_test_1", "Football_train_1", "Football_train_10"]


def test_two_clips_of_one_name(football, tmp_path, make_clip, capsys):
    os.chdir(tmp_path)
    extract_files("mp4", QUIET)
    make_clip("data/train/Football/Football_train_1.avi", 2)
    assert extract_files("avi", QUIET).failed == 1
    assert "Football_train_1.mp4 beside it" in capsys.readouterr().err
    assert ("train", "Football", "Football_train_1", "25") in rows(tmp_path)


def test_bad_clips_are_named_and_the_rest_goes_on(football, tmp_path, run_script):
    (football / "text.mp4").write_text("not a video")
    (football / "empty.mp4").touch()
    good = (football / "Football_train_10.mp4").read_bytes()
    (football / "headless.mp4").write_bytes(good[: len(good) // 2])  # its index is at the end
    ffmpeg("-f lavfi -i sine=duration=1", football / "sound.mp4")
    result = run_script("extract_files.py", "mp4")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    for name in ("text", "empty", "headless", "sound"):
        assert sum(f"{name}.mp4: left out" in line for line in result.stderr.splitlines()) == 1
    assert "8 clips: 4 split into frames, 0 done before, 4 failed" in result.stdout
    assert len(rows(tmp_path)) == 4


def test_a_clip_replaced_by_a_broken_one_loses_its_row(football, tmp_path):
    os.chdir(tmp_path)
    extract_files("mp4", QUIET)
    (football / "Football_train_1.mp4").write_text("broken")
    assert extract_files("mp4", QUIET).failed == 1
    assert "Football_train_1" not in [row[2] for row in rows(tmp_path)]


def test_no_clips_says_what_was_found(football, run_script):
    assert_one_line_error(run_script("extract_files.py", "mkv"), 1, "no .mkv clips", "4 .mp4")


def test_no_data_folder(run_script):
    assert_one_line_error(
        run_script("extract_files.py", "mp4"), 1, "no .mp4 clips in data/train", "no videos at all"
    )


def test_no_ffmpeg_anywhere(football, tmp_path, run_script):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "imageio_ffmpeg.py").write_text("raise ImportError")
    result = run_script(
        "extract_files.py", "mp4", env={"PATH": "/nowhere", "PYTHONPATH": str(tmp_path / "hidden")}
    )
    assert_one_line_error(result, 1, "no ffmpeg found", "imageio-ffmpeg")


@pytest.mark.parametrize(
    "killer, code", [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_stopped_run_goes_on_where_it_was(make_clip, tmp_path, killer, code):
    original = make_clip("data/train/A/clip_0.mp4", 3, size="480x360")
    for number in range(1, 12):
        shutil.copy(original, original.with_name(f"clip_{number}.mp4"))
    command = [sys.executable, os.path.join(ROOT, "extract_files.py"), "mp4", "--quiet"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list(original.parent.glob("*-frames.json")):
        time.sleep(0.01)
    process.send_signal(killer)
    errors = process.communicate()[1]
    assert process.returncode == code and "Traceback" not in errors
    notes = {path: path.stat().st_mtime_ns for path in original.parent.glob("*-frames.json")}
    assert 0 < len(notes) < 12, "the run was over before it could be stopped"
    if killer == signal.SIGINT:
        assert len(rows(tmp_path)) == len(notes)  # what is complete can be used at once
        assert not list(original.parent.glob(".*tmp"))
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"{12 - len(notes)} split into frames, {len(notes)} done before" in result.stdout
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in notes.items())
    assert {row[3] for row in rows(tmp_path)} == {str(count_frames(original))} and len(rows(tmp_path)) == 12
    assert len(list(original.parent.glob("*.jpg"))) == 12 * count_frames(original)
    assert not list(original.parent.glob(".*tmp"))


def test_any_class_and_clip_name(make_clip, tmp_path):
    os.chdir(tmp_path)
    for name in ("100%d", "[a]*?", "naïve 足球", "it's", "NA", "null"):
        make_clip(f"data/train/{name}/{name}, {name}.mp4", 0.2)
    assert extract_files("mp4", QUIET).failed == 0
    assert sorted(rows(tmp_path)) == sorted(
        ("train", name, f"{name}, {name}", "5")
        for name in ("100%d", "[a]*?", "naïve 足球", "it's", "NA", "null")
    )
    assert (tmp_path / "data/train/100%d/100%d, 100%d-0005.jpg").exists()


@pytest.mark.parametrize("before", ["", "import cv2; "])
def test_opencv_says_nothing_of_a_bad_clip(tmp_path, before):
    """Whichever module loads it first."""
    (tmp_path / "data/train/A").mkdir(parents=True)
    (tmp_path / "data/train/A/empty.mp4").touch()
    path = "import sys; sys.path.insert(0, sys.argv[1])"
    script = f"{path}; {before}import extract_files; extract_files.main(['mp4'])"
    result = subprocess.run(
        [sys.executable, "-c", script, ROOT], cwd=tmp_path, capture_output=True, text=True
    )
    assert "empty.mp4: left out" in result.stderr and "WARN" not in result.stderr
