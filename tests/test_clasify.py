"""clasify.py as a user runs it: the files that it writes and what it says of the windows."""
import os
import re
import shutil
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
from conftest import CLASSES, HEIGHT, LENGTH, ROOT, WIDTH, assert_one_line_error, count_frames, run

import extractor
import video
import windows


def test_clasify_needs_only_the_checkpoint_and_the_video(project, match):
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    result = run(match, "clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4")
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(match)) == ["lstm-features.hdf5", "result.avi", "result.csv", "video.mp4"]
    assert count_frames(match / "result.avi") == count_frames(match / "video.mp4") == 109
    info, original = video.probe(match / "result.avi"), video.probe(match / "video.mp4")
    assert info.fps == original.fps == 25 and (info.width, info.height) == (128, 96)
    windows = re.findall(r"^(\S+) - (\S+)  (\w+): ([\d.]+)  (\w+): ([\d.]+)$", result.stdout, re.M)
    assert [(start, end) for start, end, *_ in windows] == [
        ("0:00:00.000", "0:00:01.000"), ("0:00:01.000", "0:00:02.000"), ("0:00:02.000", "0:00:03.000"),
        ("0:00:03.000", "0:00:04.000"), ("0:00:04.000", "0:00:04.360")]
    names = [name for _, _, name, *_ in windows]
    assert names[:2] == ["Grey", "Grey"] and names[3:] == ["Colour", "Colour"]  # the third has some of both
    assert all(float(best) >= float(other) for *_, best, _, other in windows)
    assert "109/109" in result.stderr  # the bar


def test_the_text_is_in_the_upper_left_corner_and_nowhere_else(project, match):
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    assert run(match, "clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4", "--output", "x.avi").returncode == 0
    for frame, original in zip(video.FrameReader(match / "x.avi"), video.FrameReader(match / "video.mp4")):
        difference = np.abs(frame.astype(int) - original).max(2)
        assert difference[:30, :60].max() > 60
        assert np.median(difference[40:]) < 12 and np.median(difference[:, 110:]) < 12


def test_the_same_frame_gives_the_same_features_in_training_and_at_work(project):
    """Only JPEG lies between them. With red and blue exchanged the similarity falls below 0.99."""
    network = extractor.Extractor((HEIGHT, WIDTH, 3), "random")
    for class_name in ("Grey", "Colour"):
        saved = np.load(project / f"data/sequences/80x96-random/test/{class_name}/{class_name}_test_0-{LENGTH}-features.npy")
        captured = []

        class Recorder:
            def predict(self, sequences):
                captured.append(sequences[0])
                return np.array([[0.5, 0.5]])
        reader = video.FrameReader(project / f"data/test/{class_name}/{class_name}_test_0.mp4")
        list(windows.classify_windows(reader, network, Recorder(), LENGTH, Fraction(25), ["a", "b"], quiet=True))
        assert len(captured) == 1 and captured[0].shape == saved.shape
        cosine = (captured[0] * saved).sum(1) / np.linalg.norm(captured[0], axis=1) / np.linalg.norm(saved, axis=1)
        assert cosine.min() > 0.99


def test_contradictions_state_both_values(project, match):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    assert_one_line_error(run(match, "clasify.py", 75, 2, checkpoint, "video.mp4"), 2, "sequences of 8 frames, not 75")
    assert_one_line_error(run(match, "clasify.py", LENGTH, 3, checkpoint, "video.mp4"), 2, "2 classes, not 3")
    assert_one_line_error(run(match, "clasify.py", LENGTH, 2, checkpoint, "video.mp4", "--weights", "imagenet"), 2, "random",
                          "not imagenet")
    assert sorted(os.listdir(match)) == ["video.mp4"]


def test_clasify_bad_files(project, match):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    (match / "text.mp4").write_text("no video")
    for arguments, mentions in (
            ((checkpoint, "none.mp4"), "none.mp4: no such video"), ((checkpoint, "text.mp4"), "text.mp4: no video"),
            (("none.hdf5", "video.mp4"), "none.hdf5: no such checkpoint"), (("text.mp4", "video.mp4"), "not an HDF5"),
            ((checkpoint, "video.mp4", "--output", "no/result.avi"), "no/result.avi: can't be written")):
        assert_one_line_error(run(match, "clasify.py", LENGTH, CLASSES, *arguments), 1, mentions)
    assert_one_line_error(run(match, "clasify.py", LENGTH, CLASSES, checkpoint, "video.mp4", "--output", "video.mp4"), 2,
                          "is the video itself")
    assert sorted(os.listdir(match)) == ["text.mp4", "video.mp4"] and count_frames(match / "video.mp4") == 109


def test_a_video_that_stops_in_the_middle(project, match):
    subprocess.run([video.find_ffmpeg(), "-v", "error", "-i", "video.mp4", "-c", "copy", "video.mkv"], cwd=match, check=True)
    whole = (match / "video.mkv").read_bytes()
    (match / "video.mkv").write_bytes(whole[:len(whole) // 2])
    result = run(match, "clasify.py", LENGTH, CLASSES, project / "data/checkpoints/lstm-features.hdf5", "video.mkv")
    frames = count_frames(match / "video.mkv")
    assert result.returncode == 1 and 0 < frames < 109
    assert f"video.mkv: damaged: {frames} of about" in result.stderr and count_frames(match / "result.avi") == frames


def test_a_stopped_clasify_leaves_nothing_half_written(project, match):
    (match / "result.avi").write_bytes(b"an earlier result")
    process = subprocess.Popen([sys.executable, os.path.join(ROOT, "clasify.py"), str(LENGTH), "2", project /
                                "data/checkpoints/lstm-features.hdf5", "video.mp4"], cwd=match, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout.readline()  # the first window
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode == 130 and "Traceback" not in errors and "error: stopped by Ctrl-C" in errors
    assert sorted(os.listdir(match)) == ["result.avi", "video.mp4"]
    assert (match / "result.avi").read_bytes() == b"an earlier result"


def test_a_checkpoint_of_the_article_takes_its_classes_from_the_data_file(match, keras_2_checkpoint):
    shutil.copy(keras_2_checkpoint[0], match)
    assert_one_line_error(run(match, "clasify.py", 6, 2, "lstm-features.095-0.090.hdf5", "video.mp4"), 1,
                          "data/data_file.csv is missing")
    (match / "data").mkdir()
    (match / "data/data_file.csv").write_text("train,Football,Football_train_1,75\ntrain,Commercial,Commercial_train_1,75\n")
    result = run(match, "clasify.py", 6, 2, "lstm-features.095-0.090.hdf5", "video.mp4", "--weights", "random")
    assert result.returncode == 0, result.stderr
    windows = re.findall(r"^\S+ - \S+  (\w+): [\d.]+  (\w+): [\d.]+$", result.stdout, re.M)
    assert len(windows) == 19 and {frozenset(window) for window in windows} == {frozenset(("Football", "Commercial"))}
    assert count_frames(match / "result.avi") == 109
