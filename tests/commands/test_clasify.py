"""clasify.py as a user runs it: the files that it writes and what it says of the windows."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import opentimelineio
import pytest
from conftest import (
    CLASSES,
    HEIGHT,
    LENGTH,
    ROOT,
    WIDTH,
    assert_one_line_error,
    classify,
    count_frames,
    run,
    variable_rate,
)
from helpers import ffmpeg

from clasify import ClassifyOptions, clasify
from extractor import Extractor
from vidclass.colors import color
from vidclass.dataset.labels import read_labels
from vidclass.recording.exporters import WRITERS
from vidclass.recording.overlay import captions_layer
from vidclass.recording.results import is_formula, warn_of_rate
from vidclass.recording.windows import WindowSpec, classify_windows
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.probe import probe
from vidclass.video.reader import FrameReader


def test_clasify_needs_only_the_checkpoint_and_the_video(project, match):
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    result = run(match, "clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4")
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(match)) == ["lstm-features.hdf5", "result.avi", "result.csv", "video.mp4"]
    assert count_frames(match / "result.avi") == count_frames(match / "video.mp4") == 109
    info, original = probe(match / "result.avi"), probe(match / "video.mp4")
    assert info.fps == original.fps == 25 and (info.width, info.height) == (128, 96)
    windows = re.findall(r"^(\S+) - (\S+)  (\w+): ([\d.]+)  (\w+): ([\d.]+)$", result.stdout, re.M)
    assert [(start, end) for start, end, *_ in windows] == [
        ("0:00:00.000", "0:00:01.000"),
        ("0:00:01.000", "0:00:02.000"),
        ("0:00:02.000", "0:00:03.000"),
        ("0:00:03.000", "0:00:04.000"),
        ("0:00:04.000", "0:00:04.360"),
    ]
    names = [name for _, _, name, *_ in windows]
    assert names[:2] == ["Grey", "Grey"] and names[3:] == ["Colour", "Colour"]  # the third has some of both
    assert all(float(best) >= float(other) for *_, best, _, other in windows)
    assert "109 of 109 frames" in result.stderr  # the bar, as lines


def test_the_checkpoint_knows_the_numbers(project, match):
    checkpoint = shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    options = ("--no-video", "--quiet")
    with_them = run(
        match, "clasify.py", *options, LENGTH, "--output", "a.avi", CLASSES, checkpoint, "video.mp4"
    )
    without = run(match, "clasify.py", *options, checkpoint, "--output", "b.avi", "video.mp4")
    assert with_them.returncode == without.returncode == 0, without.stderr
    assert (match / "a.csv").read_bytes() == (match / "b.csv").read_bytes()
    found = clasify(
        None, None, checkpoint, match / "video.mp4", ClassifyOptions(output=match / "c.avi", quiet=True)
    )
    assert found.classes == ["Colour", "Grey"]


@pytest.mark.parametrize(
    "words, mentions",
    [
        (["x.hdf5"], "the following arguments are required: video"),
        (["75"], "the following arguments are required: "),
        (["75", "2"], "the following arguments are required: checkpoint, video"),
        (["75", "2", "x.hdf5"], "the following arguments are required: video"),
        (["75", "x.hdf5", "a.mp4"], "the following arguments are required: "),
        (["75", "x", "x.hdf5", "a.mp4"], "argument classes: 'x' is not an integer"),
        (["x", "2", "x.hdf5", "a.mp4"], "argument seq_length: 'x' is not an integer"),
        (["-1", "2", "x.hdf5", "a.mp4"], "argument seq_length: -1 is below 2"),
    ],
)
def test_arguments_that_are_missing(tmp_path, words, mentions):
    result = run(tmp_path, "clasify.py", *words)
    assert result.returncode == 2 and mentions in result.stderr, result.stderr


def test_the_text_is_in_the_upper_left_corner_and_nowhere_else(project, match):
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    assert (
        run(
            match, "clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4", "--output", "x.avi"
        ).returncode
        == 0
    )
    for frame, original in zip(FrameReader(match / "x.avi"), FrameReader(match / "video.mp4")):
        difference = np.abs(frame.astype(int) - original).max(2)
        assert difference[:30, :60].max() > 60
        assert np.median(difference[40:]) < 12 and np.median(difference[:, 110:]) < 12


class Recorder:
    """A network that keeps the sequences it is asked about."""

    def __init__(self):
        self.seen = []

    def predict(self, sequences):
        self.seen.append(sequences[0])
        return np.array([[0.5, 0.5]])


def test_the_same_frame_gives_the_same_features_in_training_and_at_work(project):
    """Only JPEG lies between them. With red and blue exchanged the similarity falls below 0.99."""
    network = Extractor((HEIGHT, WIDTH, 3), "random")
    for class_name in ("Grey", "Colour"):
        saved = np.load(
            project
            / f"data/sequences/80x96-random/test/{class_name}/{class_name}_test_0-{LENGTH}-features.npy"
        )
        recorder = Recorder()
        reader = FrameReader(project / f"data/test/{class_name}/{class_name}_test_0.mp4")
        spec = WindowSpec(LENGTH, Fraction(25), Fraction(25))
        list(classify_windows(reader, network, recorder, spec, quiet=True))
        captured = recorder.seen
        assert len(captured) == 1 and captured[0].shape == saved.shape
        cosine = (
            (captured[0] * saved).sum(1) / np.linalg.norm(captured[0], axis=1) / np.linalg.norm(saved, axis=1)
        )
        assert cosine.min() > 0.99


def test_contradictions_state_both_values(project, match):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    assert_one_line_error(
        run(match, "clasify.py", 75, 2, checkpoint, "video.mp4"), 2, "sequences of 8 frames, not 75"
    )
    assert_one_line_error(run(match, "clasify.py", LENGTH, 3, checkpoint, "video.mp4"), 2, "2 classes, not 3")
    assert_one_line_error(
        run(match, "clasify.py", LENGTH, 2, checkpoint, "video.mp4", "--weights", "imagenet"),
        2,
        "random",
        "not imagenet",
    )
    assert sorted(os.listdir(match)) == ["video.mp4"]


def test_clasify_bad_files(project, match):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    (match / "text.mp4").write_text("no video")
    for arguments, mentions in (
        ((checkpoint, "none.mp4"), "none.mp4: no such video"),
        ((checkpoint, "text.mp4"), "text.mp4: no video"),
        (("none.hdf5", "video.mp4"), "none.hdf5: no such checkpoint"),
        (("text.mp4", "video.mp4"), "not an HDF5"),
        (
            (checkpoint, "video.mp4", "--output", "text.mp4/a/result.avi"),
            "text.mp4/a/result.avi: can't be written",
        ),
    ):
        assert_one_line_error(run(match, "clasify.py", LENGTH, CLASSES, *arguments), 1, mentions)
    assert_one_line_error(
        run(match, "clasify.py", LENGTH, CLASSES, checkpoint, "video.mp4", "--output", "video.mp4"),
        2,
        "is the video itself",
    )
    assert sorted(os.listdir(match)) == ["text.mp4", "video.mp4"] and count_frames(match / "video.mp4") == 109


def test_a_video_that_stops_in_the_middle(project, match):
    ffmpeg("-i video.mp4 -c copy video.mkv", cwd=match)
    whole = (match / "video.mkv").read_bytes()
    (match / "video.mkv").write_bytes(whole[: len(whole) // 2])
    result = classify(project, match, "video.mkv")
    frames = count_frames(match / "video.mkv")
    assert result.returncode == 1 and 0 < frames < 109
    assert (
        f"video.mkv: damaged: {frames} of about" in result.stderr
        and count_frames(match / "result.avi") == frames
    )


def stopped(project, match):
    """clasify.py, to which Ctrl-C comes after the first window."""

    def print_and_stop(*args, **keywords):
        print(*args, **keywords)
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidclass.recording.steps.print", print_and_stop)
        return classify(project, match, "video.mp4")


def stopped_process(project, match):
    """The same in a process of its own."""
    process = subprocess.Popen(
        [
            sys.executable,
            os.path.join(ROOT, "clasify.py"),
            str(LENGTH),
            "2",
            project / "data/checkpoints/lstm-features.hdf5",
            "video.mp4",
        ],
        cwd=match,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout.readline()  # the first window
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.mark.parametrize("stop", [stopped, pytest.param(stopped_process, marks=pytest.mark.slow)])
def test_a_stopped_clasify_leaves_nothing_half_written(project, match, stop):
    (match / "result.avi").write_bytes(b"an earlier result")
    assert_one_line_error(stop(project, match), 130, "stopped by Ctrl-C")
    assert sorted(os.listdir(match)) == ["result.avi", "video.mp4"]
    assert (match / "result.avi").read_bytes() == b"an earlier result"


def test_a_checkpoint_of_the_article_takes_its_classes_from_the_data_file(match, keras_2_checkpoint):
    shutil.copy(keras_2_checkpoint[0], match)
    assert_one_line_error(
        run(match, "clasify.py", 6, 2, "lstm-features.095-0.090.hdf5", "video.mp4"),
        1,
        "data/data_file.csv is missing",
    )
    for arguments in (["video.mp4"], ["video.mp4", "--output-dir", "x"]):
        assert_one_line_error(
            run(match, "clasify.py", "lstm-features.095-0.090.hdf5", *arguments),
            2,
            "give the sequence length and the number of classes",
        )
    (match / "data").mkdir()
    (match / "data/data_file.csv").write_text(
        "train,Football,Football_train_1,75\ntrain,Commercial,Commercial_train_1,75\n"
    )
    result = run(
        match, "clasify.py", 6, 2, "lstm-features.095-0.090.hdf5", "video.mp4", "--weights", "random"
    )
    assert result.returncode == 0, result.stderr
    windows = re.findall(r"^\S+ - \S+  (\w+): [\d.]+  (\w+): [\d.]+$", result.stdout, re.M)
    assert len(windows) == 19 and {frozenset(window) for window in windows} == {
        frozenset(("Football", "Commercial"))
    }
    assert count_frames(match / "result.avi") == 109


@pytest.fixture
def loud(match):
    """video.mp4 with a tone."""
    ffmpeg("-i video.mp4 -f lavfi -i sine=440:duration=4.36 -c:v copy -c:a aac loud.mp4", cwd=match)
    return match


def streams(path):
    said = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    return re.findall(r"Stream #.*?: (Video|Audio): (\w+)", said)


def segments(path):
    with open(path, newline="") as file:
        return [(float(row["start"]), float(row["end"]), row["class"]) for row in csv.DictReader(file)]


def test_everything_that_can_be_written(project, loud):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    result = run(
        loud,
        "clasify.py",
        LENGTH,
        CLASSES,
        checkpoint,
        "loud.mp4",
        "--hop",
        0.2,
        "--smooth",
        "--export",
        ",".join(WRITERS),
        "--skip",
        "Colour",
        "--keep",
        "Grey",
        "--exact",
        "--report",
        "--output",
        "out.avi",
    )
    assert result.returncode == 0, result.stderr
    assert sorted(set(os.listdir(loud)) - {"loud.mp4", "video.mp4"}) == sorted(
        ["out.avi", "out-kept.mp4", "out.html", "out.png", *(f"out.{name}" for name in WRITERS)]
    )
    (grey, colour) = segments(loud / "out.csv")
    assert grey[2] == "Grey" and colour[2] == "Colour" and grey[0] == 0 and colour[1] == pytest.approx(4.36)
    assert (
        grey[1] == colour[0] == pytest.approx(2.4, abs=0.25)
    )  # to about a sampled frame, of which there are 8 a second
    assert (
        streams(loud / "out.avi") == [("Video", "mpeg4"), ("Audio", "mp3")]
        and count_frames(loud / "out.avi") == 109
    )
    assert streams(loud / "out-kept.mp4") == [("Video", "h264"), ("Audio", "aac")]
    assert count_frames(loud / "out-kept.mp4") == round(grey[1] * 25)
    assert read_labels(loud / "out.edl", "Colour")[0][:2] == pytest.approx(colour[:2])
    assert "2 segments: out.avi, out.csv, out.json" in result.stdout and "Colour 0:00:0" in result.stdout
    printed = re.findall(r"^(\S+) - (\S+)  \w+: ", result.stdout, re.M)
    assert printed[1] == ("0:00:00.200", "0:00:01.200") and printed[-1][1] == "0:00:04.360"


def mark_column(strip):
    """Where the mark of a strip (rows, width, 3) is: the middle of three white columns between two black ones
    on each side."""
    light = np.pad(strip.mean((0, 2)), 2, mode="edge")
    white = np.convolve(light, [1 / 3, 1 / 3, 1 / 3], "valid")[1:-1]  # of the three around each column
    black = (light[:-4] + light[4:]) / 2  # of those two beside it
    return int(np.argmax(white - black))


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--quiet", "--smooth", "--hop", "0.25")])
def test_the_strip_shows_the_class_over_time_and_the_position(project, match, options):
    """Frame by frame: in the picture as ffmpeg decodes it, the mark stands at the frame's share of
    the width."""
    result = classify(project, match, "video.mp4", *options)
    assert result.returncode == 0, result.stderr
    raw = subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-i",
            match / "result.avi",
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            "-",
        ],
        capture_output=True,
        check=True,
    ).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 96, 128, 3)
    assert len(frames) == 109
    cut = segments(match / "result.csv")[0][1] / 4.36 * 128
    assert 50 < cut < 80
    for number, frame in enumerate(frames):
        position = int(number / 109 * 128)
        assert abs(mark_column(frame[-4:]) - position) <= 1, number
        for place, expected in ((10, color(1)), (120, color(0))):  # Grey, then Colour
            if abs(place - position) > 12:
                assert np.abs(frame[-2, place].astype(int) - expected).max() < 60, (
                    number,
                    place,
                    frame[-2, place],
                )


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_smoothed_the_corner_the_strip_and_the_table_agree(project, match, monkeypatch, options):
    drawn, draw = [], captions_layer

    def record(captions, height, width, squares):
        drawn.append((captions, squares))
        return draw(captions, height, width, squares)

    monkeypatch.setattr("vidclass.recording.result_video.captions_layer", record)
    result = classify(project, match, "video.mp4", "--smooth", "--hop", "0.2", *options)
    assert result.returncode == 0, result.stderr
    with open(match / "result.csv", newline="") as file:
        rows = [(float(row["end"]), row["class"], float(row["probability"])) for row in csv.DictReader(file)]
    [(captions, squares)] = drawn
    assert squares is not bool(options) and len(captions) == len(rows) == 2
    for (end_frame, lines, numbers), (end, name, probability) in zip(captions, rows):
        assert end_frame == pytest.approx(end * 25, abs=0.5)
        said = [line.rsplit(": ", 1) for line in lines]
        assert said[0][0] == name and float(said[0][1]) == pytest.approx(probability, abs=0.0051)
        assert float(said[1][1]) == pytest.approx(1 - probability, abs=0.0051)
        assert numbers[0] == ["Colour", "Grey"].index(name)


@pytest.mark.parametrize("name", ["result.mp4", "result.mkv", "Result.MOV"])
def test_the_extension_chooses_the_container(project, loud, name):
    result = classify(project, loud, "loud.mp4", "--output", name, "--export", "xml")
    assert result.returncode == 0, result.stderr
    said = subprocess.run(
        [find_ffmpeg(), "-hide_banner", "-i", loud / name], capture_output=True, text=True
    ).stderr
    assert ("matroska" if name.endswith("mkv") else "mov,mp4") in said.split("from")[0]
    assert streams(loud / name) == [("Video", "h264"), ("Audio", "aac")] and count_frames(loud / name) == 109
    assert probe(loud / name).fps == 25
    made = opentimelineio.adapters.read_from_string((loud / f"{name[:-4]}.xml").read_text(), "fcp_xml")
    assert [len(made.video_tracks()), len(made.audio_tracks())] == [1, 1]  # mono


def test_plain_is_the_articles_look_alone(project, loud):
    result = classify(project, loud, "loud.mp4", "--plain", "--no-audio", "--export", "json")
    assert result.returncode == 0 and not (loud / "result.csv").exists() and (loud / "result.json").exists()
    assert streams(loud / "result.avi") == [("Video", "mpeg4")] and count_frames(loud / "result.avi") == 109
    for frame, original in zip(FrameReader(loud / "result.avi"), FrameReader(loud / "loud.mp4")):
        assert np.median(np.abs(frame[-4:].astype(int) - original[-4:])) < 12


def test_no_video(project, match):
    result = classify(project, match, "video.mp4", "--no-video", "--output", "x.avi")
    assert result.returncode == 0 and sorted(os.listdir(match)) == ["video.mp4", "x.csv"]


@pytest.mark.parametrize("options", [(), ("--no-video",)])
def test_the_folder_of_the_results_is_made(project, match, options):
    result = classify(project, match, "video.mp4", *options, "--output", "new/er/x.avi")
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(match / "new/er")) == [*([] if options else ["x.avi"]), "x.csv"]


def test_results_of_an_earlier_run_are_said_to_be_so_and_kept(project, match):
    """A result.csv that was corrected by hand is not lost, nor taken for what belongs to result.json."""
    arguments = (
        "clasify.py",
        LENGTH,
        CLASSES,
        project / "data/checkpoints/lstm-features.hdf5",
        "video.mp4",
        "--no-video",
    )
    assert "before this run" not in run(match, *arguments).stderr
    (match / "result.csv").write_text("0,4,Grey\n")
    (match / "result-kept.mkv").write_text("x")
    result = run(match, *arguments, "--export", "json", "--quiet")
    assert (
        result.returncode == 0
        and result.stderr == "result.csv, result-kept.mkv: from before this run, left as they are\n"
    )
    assert (match / "result.csv").read_text() == "0,4,Grey\n"
    # The video that is classified is none of them.
    result = run(match, *arguments, "--output", "video.avi")
    assert result.returncode == 0 and "before this run" not in result.stderr


def test_one_segment_is_no_segments(project, match):
    ffmpeg("-i video.mp4 -frames:v 1 one.mkv", cwd=match)
    result = classify(project, match, "one.mkv", "--no-video")
    assert result.returncode == 0 and "\n1 frame, 1 segment: result.csv\n" in result.stdout


def test_what_a_spreadsheet_takes_for_a_formula():
    assert all(map(is_formula, ("=1+1", "+a", "-a", "@SUM(A1)", "\t=1", "-1+2")))
    assert not any(map(is_formula, ("-1", "+2.5", "-1e3", "a=b", "Football", "")))


def test_only_what_is_heard_is_warned_of(capsys):
    """Half a frame at 50 per second is 0.01 s."""
    times = np.arange(101) / 50
    warn_of_rate("a.mp4", "result.avi", Fraction(50), times)
    times[40:60] += 0.03
    warn_of_rate("a.mp4", "result.avi", Fraction(50), times)
    assert capsys.readouterr().err == ""
    times[40:60] += 0.04
    warn_of_rate("a.mp4", "result.avi", Fraction(50), times)
    assert "up to 0.07 s off" in capsys.readouterr().err


def test_options_that_contradict_each_other(project, match):
    arguments = ("clasify.py", LENGTH, CLASSES, project / "data/checkpoints/lstm-features.hdf5", "video.mp4")
    for options, mentions in (
        (("--hop", 1.5), "--hop 1.5 would leave gaps: a window is 1 s"),
        (("--export", "edl"), "--skip"),
        (("--keep", "Red"), "--keep: no class is called Red; there are Colour, Grey"),
        (("--skip", "Grey,Red"), "--skip: no class is called Red"),
        (("--skip", "Grey"), "add --export edl"),
        (("--keep", "Grey,Colour"), "--keep names all classes"),
        (
            ("--output", "result.csv"),
            "--output result.csv: no video is written as '.csv'; end the name in .avi, .mp4, .m4v, .mov, "
            ".mkv",
        ),
        (("--output", "result.webm"), "'.webm'"),
        (("--output", "result"), "has no extension"),
        (("--output", ""), "has no extension"),
    ):
        assert_one_line_error(run(match, *arguments, *options), 2, mentions)
    for options in (
        ("--export", "doc"),
        ("--hop", "0"),
        ("--min-duration", "x"),
        ("--exact",),
        ("--export", ""),
    ):
        assert run(match, *arguments, *options).returncode == 2
    assert os.listdir(match) == ["video.mp4"]


@pytest.mark.parametrize("options", [(), ("--hop", 0.5), ("--smooth", "--min-duration", 1.5)])
def test_windows_last_as_long_as_clips_where_the_rate_varies(project, match, options):
    """Of the first class, grey, every fifth frame is there."""
    few = "-i video.mp4 -vf select='gte(t,2.38)+not(mod(n,5))'"
    ffmpeg(few, *variable_rate(), "vfr.mkv", cwd=match)
    result = classify(project, match, "vfr.mkv", "--export", "csv,json", *options)
    assert result.returncode == 0, result.stderr
    assert f"{count_frames(match / 'vfr.mkv')} frames, 2 segments" in result.stdout
    starts = [window["start"] for window in json.loads((match / "result.json").read_text())["windows"]]
    hop = 0.5 if options[:1] == ("--hop",) else 1.0
    assert starts[: int(3 / hop)] == pytest.approx(np.arange(0, 3, hop), abs=0.045)  # the last may overlap
    assert [row[2] for row in segments(match / "result.csv")] == ["Grey", "Colour"]
    assert segments(match / "result.csv")[-1][1] == pytest.approx(4.36, abs=0.1)
    assert count_frames(match / "result.avi") == count_frames(match / "vfr.mkv")


def test_the_last_frame_is_shown_for_some_windows(project, match):
    """It is in result.avi once."""
    drops = ("-vf", "select='lt(t,1)+not(mod(n,9))'", *variable_rate())
    ffmpeg("-i video.mp4", *drops, "-c:v libx264 -bf 0", "x.mp4", cwd=match)
    count = count_frames(match / "x.mp4")
    longer = f"setts=duration='if(eq(N,{count - 1}),5/TB,DURATION)'"
    ffmpeg("-i x.mp4 -c copy -bsf:v", longer, "y.mp4", cwd=match)
    result = classify(project, match, "y.mp4")
    assert result.returncode == 0, result.stderr
    assert 9 < segments(match / "result.csv")[-1][1] < 9.5
    assert count_frames(match / "result.avi") == count_frames(match / "y.mp4") == count


def test_a_variable_rate_is_told(project, match):
    ffmpeg(
        "-i video.mp4 -vf select='not(between(t,1,2))+not(mod(n,5))'", *variable_rate(), "vfr.mkv", cwd=match
    )
    result = classify(project, match, "vfr.mkv", "--smooth")
    assert (
        result.returncode == 0
        and "vfr.mkv: its frame rate varies; result.avi shows all frames at the average" in result.stderr
    )
    assert segments(match / "result.csv")[-1][1] == pytest.approx(4.36, abs=0.1)
    assert segments(match / "result.csv")[0][1] == pytest.approx(2.4, abs=0.3)
