"""The whole job on real clips with real InceptionV3 weights, where ../shared has them; and the demo."""

import csv
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, count_frames
from conftest import run as run_here

from extractor import Extractor
from vidclass.video.images import read_image, resize, split_into_frames
from vidclass.video.probe import probe
from vidclass.video.reader import FrameReader


def run(folder, script, *arguments):
    result = run_here(folder, script, *arguments)
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.slow
def test_real_clips_of_mixed_sizes_rates_and_containers(shared_clips, shared_weights, tmp_path):
    """Four training and two test clips of Punch (avi, 320x240, 25 fps) and Street (mp4, many sizes and
    rates)."""
    for split, count in (("train", 4), ("test", 2)):
        for class_name in ("Punch", "Street"):
            folder = tmp_path / "data" / split / class_name
            folder.mkdir(parents=True)
            clips = sorted(os.listdir(os.path.join(shared_clips, split, class_name)))
            for clip in clips[:: len(clips) // count][:count]:
                shutil.copy(os.path.join(shared_clips, split, class_name, clip), folder)
    run(tmp_path, "extract_files.py", "avi")
    run(tmp_path, "extract_files.py", "mp4")
    with open(tmp_path / "data/data_file.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 12
    for split, class_name, name, frames in rows:
        (clip,) = (path for path in (tmp_path / "data" / split / class_name).glob(f"{name}.*"))
        assert int(frames) == count_frames(clip)

    trained = run(tmp_path, "train.py", 10, 2, 120, 160, "--weights", shared_weights)
    assert float(re.search(r"Test accuracy: ([\d.]+)", trained.stdout)[1]) >= 0.5
    clip = next((tmp_path / "data/test/Street").glob("*.mp4"))
    result = run(tmp_path, "clasify.py", 10, 2, "lstm-features.hdf5", clip, "--weights", shared_weights)
    assert count_frames(tmp_path / "result.avi") == count_frames(clip)
    assert re.search(r"^0:00:00.000 - \S+  (Punch|Street): ", result.stdout, re.M)
    assert probe(tmp_path / "result.avi").fps == probe(clip).fps


def test_features_at_work_agree_with_those_of_training(shared_clips, shared_weights, tmp_path):
    """What FrameReader gives clasify.py against the JPEGs that extract_features.py reads: cosine > 0.99 per
    frame."""
    extractor = Extractor((120, 160, 3), shared_weights)
    for clip in ("Punch/v_Punch_g01_c01.avi", "Street/nofi030.mp4", "YoYo/v_YoYo_g01_c06.avi"):
        path = os.path.join(shared_clips, "test", clip)
        frames = tmp_path / clip.replace("/", "-")
        frames.mkdir()
        split_into_frames(path, frames)
        direct = list(FrameReader(path))[::24]
        jpegs = [read_image(path) for path in sorted(frames.glob("*.jpg"))[::24]]
        a, b = (
            extractor.extract_batch(np.stack([resize(image, extractor.image_shape) for image in images]))
            for images in (direct, jpegs)
        )
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.99


@pytest.mark.slow
def test_the_demo(tmp_path):
    """A copy of the project, with random weights: accuracy, windows, and the user's own data left alone."""
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(ROOT, name), tmp_path / name)
    offline = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    result = subprocess.run(
        ["sh", "data/demo/demo.sh", sys.executable],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env={**os.environ, **offline},
    )
    assert result.returncode == 0, result.stderr
    assert "ImageNet weights can't be downloaded" in result.stdout and "--weights random" in result.stdout
    *_, named, accuracy = result.stdout.strip().splitlines()
    assert (
        named.endswith("data/demo/result.html")
        and float(re.search(r"Test accuracy: ([\d.]+)", accuracy)[1]) >= 0.9
    )
    assert (
        count_frames(tmp_path / "data/demo/result.avi")
        == count_frames(tmp_path / "data/demo/Football.mp4")
        == 4600
    )
    with open(tmp_path / "data/demo/labels.csv", newline="") as file:
        stretches = [(float(start), float(end), name) for start, end, name in list(csv.reader(file))[1:]]
    stretches += [(140, 165, "Football"), (165, 184, "Commercial")]  # of which nothing was learned
    with open(tmp_path / "data/demo/result.csv", newline="") as file:
        segments = [(float(row["start"]), float(row["end"]), row["class"]) for row in csv.DictReader(file)]
    assert [name for *_, name in segments] == [name for *_, name in stretches]
    assert max(abs(found[0] - true[0]) for found, true in zip(segments, stretches)) < 0.8
    inside = right = 0
    for start, end, name in re.findall(r"^0:(\S+) - 0:(\S+)  (\w+): ", result.stdout, re.M):
        start, end = (60 * float(time.split(":")[0]) + float(time.split(":")[1]) for time in (start, end))
        for first, last, truth in stretches:
            if first <= start and end <= last:
                inside, right = inside + 1, right + (name == truth)
    assert inside >= 50 and right / inside >= 0.9
    assert sorted(os.listdir(tmp_path / "data")) == ["demo", "test", "train"]
    assert os.listdir(tmp_path / "data/train") == os.listdir(tmp_path / "data/test") == [".gitkeep"]
    assert not (tmp_path / "result.avi").exists()
