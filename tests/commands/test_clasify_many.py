"""clasify.py with many recordings: one folder, one table, and what is complete is not done again."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
from conftest import CLASSES, LENGTH, ROOT, assert_one_line_error, run
from helpers import ffmpeg

import models
from vidclass.features import inception
from vidclass.recording import many as many_steps
from vidclass.recording import steps
from vidclass.recording.summaries import ENDING


@pytest.fixture
def recordings(project, match):
    """A folder with a checkpoint and recordings: two of one name, a damaged one, and one that is none."""
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match)
    (match / "other").mkdir()
    shutil.copy(match / "video.mp4", match / "other/video.mp4")
    shutil.copy(match / "video.mp4", match / "<b>\n1.mp4")
    (match / "text.mp4").write_text("no video")
    return match


FILES = ("video.mp4", "other/video.mp4", "<b>\n1.mp4")


def many(folder, *arguments):
    return run(folder, "clasify.py", "lstm-features.hdf5", *arguments, "--output-dir", "results")


def names(folder):
    return sorted(name for name in os.listdir(folder / "results"))


def times(folder):
    return {
        path.name: path.stat().st_mtime_ns
        for path in (folder / "results").iterdir()
        if path.name != "index.html"
    }


def test_many_recordings_with_one_network(recordings, monkeypatch):
    loaded = []
    load = models.ResearchModel.load
    monkeypatch.setattr(
        models.ResearchModel, "load", lambda *arguments: loaded.append(arguments) or load(*arguments)
    )
    inception.shared_network.cache_clear()
    result = many(recordings, *FILES, "text.mp4")
    assert result.returncode == 1, result.stderr
    assert "text.mp4: no video that can be read" in result.stderr
    assert len(loaded) == 1 and inception.shared_network.cache_info().misses == 1
    stems = {name.removesuffix(ENDING) for name in names(recordings) if name.endswith(ENDING)}
    assert names(recordings) == sorted(
        ["index.html", *(f"{stem}{end}" for stem in stems for end in (".avi", ".csv", ENDING))]
    )
    plain, *hashed = sorted(stems)
    assert plain == "<b>\n1" and len(hashed) == 2 and all(len(stem) == len("video-012345") for stem in hashed)
    # One bar for all, whose total counts the recordings that can be read.
    assert "327 of 327 frames" in result.stderr and result.stderr.count("in all") == 1
    assert "0:00:00.000 - 0:00:01.000  Grey" not in result.stdout
    *_, head, first, second, third, last = result.stdout.splitlines()
    assert head.split() == ["recording", "Colour,", "min", "Grey,", "min", "segments", "least", "sure"]
    assert first.startswith("video.mp4 ") and third.startswith("<b>\\n1.mp4 ")
    assert last == (
        "4 recordings: 3 classified, 0 complete before, 1 left out. results/index.html lists what is "
        "complete."
    )
    single = run(recordings, "clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4")
    assert single.returncode == 0
    for name in names(recordings):
        if name.endswith(".csv"):
            assert (recordings / "results" / name).read_bytes() == (recordings / "result.csv").read_bytes()
    page = (recordings / "results/index.html").read_text()
    assert "3 recordings" in page and "<b>" not in page and "&lt;b&gt; 1.mp4" in page
    assert '<a href="./%3Cb%3E%0A1.avi">' in page and "<script" not in page


def test_names_do_not_depend_on_the_order(recordings):
    many(recordings, *FILES, "--no-video", "--quiet")
    before = times(recordings)
    result = many(recordings, *reversed(FILES), "video.mp4", "./video.mp4", "--no-video", "--quiet")
    assert result.returncode == 0 and "0 classified, 3 complete before, 0 left out" in result.stdout
    for name in FILES:  # nor on what else is given
        assert "0 classified, 1 complete before" in many(recordings, name, "--no-video", "--quiet").stdout
    assert times(recordings) == before


def test_what_is_complete_is_not_done_again(recordings, monkeypatch):
    def again(*options):
        before = times(recordings)
        result = many(recordings, "video.mp4", "<b>\n1.mp4", "--no-video", *options)
        assert result.returncode == 0, result.stderr
        after = times(recordings)
        return {name.split(".")[0] for name in after if after[name] != before.get(name)}

    many(recordings, "video.mp4", "<b>\n1.mp4", "--no-video")
    both = {"video", "<b>\n1"}
    with monkeypatch.context() as patch:
        patch.setattr(models, "ResearchModel", None)  # nothing is loaded
        assert again() == set()
        (recordings / "results/video.csv").write_text("corrected by hand")
        assert again() == set()
    assert again("--smooth") == both and again("--smooth") == set()
    (recordings / "results/video.csv").unlink()
    assert again("--smooth") == {"video"}
    os.utime(recordings / "video.mp4", ns=(1, 1))  # another recording, for all that is known
    assert again("--smooth") == {"video"}
    checkpoint = recordings / "lstm-features.hdf5"
    with open(checkpoint, "ab") as file:
        file.write(b"\0")
    assert again("--smooth") == both


def test_a_run_that_is_stopped_keeps_what_is_complete(recordings, monkeypatch):
    """And where it was stopped, nothing of before is taken for complete."""
    many(recordings, *FILES[1:], "--no-video")
    monkeypatch.setattr("vidclass.recording.steps.segment", stop_at_second())
    result = many(recordings, *FILES[1:], "--no-video", "--smooth")
    assert result.returncode == 130 and "what is complete is kept" in result.stderr
    assert "1 recording<" in (recordings / "results/index.html").read_text()
    monkeypatch.undo()
    result = many(recordings, *FILES[1:], "--no-video", "--smooth")
    assert "1 classified, 1 complete before, 0 left out" in result.stdout
    # The results of the first run were overwritten.
    result = many(recordings, *FILES[1:], "--no-video")
    assert "2 classified, 0 complete before" in result.stdout


def stop_at_second():

    calls, segment = [], steps.segment

    def segment_or_stop(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return segment(*arguments)

    return segment_or_stop


@pytest.mark.slow
def test_killed_at_any_moment(recordings):
    """Started again, it ends with the same files."""
    words = ["lstm-features.hdf5", *FILES, "--smooth", "--report", "--quiet", "--output-dir"]
    script = [sys.executable, os.path.join(ROOT, "clasify.py"), *words]
    start = time.time()
    subprocess.run([*script, "undisturbed"], cwd=recordings, check=True, capture_output=True)
    seconds, moments = time.time() - start, random.Random(0)
    for _ in range(8):
        process = subprocess.Popen([*script, "killed"], cwd=recordings, stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 1) * seconds)
        process.kill()
        process.wait()
    result = subprocess.run([*script, "killed"], cwd=recordings, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    killed, undisturbed = (
        {path.name: path.read_bytes() for path in (recordings / name).iterdir()}
        for name in ("killed", "undisturbed")
    )
    assert killed == undisturbed and len(killed) == 3 * 5 + 1


def test_a_recording_that_options_do_not_fit(recordings):
    """A raw stream can't be copied in parts: the others can."""
    ffmpeg("-i", recordings / "video.mp4", "-c:v copy -bsf:v h264_mp4toannexb", recordings / "raw.h264")
    result = many(recordings, "raw.h264", "video.mp4", "--no-video", "--keep", "Colour")
    assert result.returncode == 1 and "raw.h264: --keep of a .h264 needs --exact" in result.stderr
    assert "2 recordings: 1 classified, 0 complete before, 1 left out" in result.stdout


def test_a_full_disk_ends_it(recordings, monkeypatch):
    def write(*arguments):
        raise OSError("results/video.csv: can't be written (No space left on device)")

    monkeypatch.setattr("vidclass.recording.results.ResultFiles.write", write)
    result = many(recordings, "video.mp4", "<b>\n1.mp4", "--no-video", "--quiet")
    assert_one_line_error(result, 1, "No space left on device")
    assert names(recordings) == ["index.html"]


def test_a_checkpoint_that_changes_meanwhile(recordings, monkeypatch):
    load = models.ResearchModel.load

    def load_and_change(path):
        model = load(path)
        with open(path, "ab") as file:
            file.write(b"\0")
        return model

    monkeypatch.setattr(models.ResearchModel, "load", load_and_change)
    assert_one_line_error(many(recordings, "video.mp4"), 1, "lstm-features.hdf5: has just changed")


def test_two_runs_share_the_folder(recordings, monkeypatch):
    """What another has in hand is left to it."""

    others, segment = [], steps.segment

    def meanwhile(*arguments):
        if not others:
            others.append(None)
            others.append(many(recordings, *FILES, "--no-video"))
        return segment(*arguments)

    monkeypatch.setattr("vidclass.recording.steps.segment", meanwhile)
    result = many(recordings, *FILES, "--no-video")
    assert "another run has it in hand" in others[1].stdout and others[1].returncode == 0
    assert "2 classified, 0 complete before, 1 left out" in others[1].stdout
    assert result.returncode == 0 and "3 recordings<" in (recordings / "results/index.html").read_text()
    assert not [name for name in names(recordings) if name.startswith(".")]


def test_shards_have_each_recording_once(recordings):
    done = []
    for number in (2, 1, 3):
        result = many(recordings, *FILES, "--no-video", "--shard", f"{number}/3")
        assert result.returncode == 0 and "1 recording: 1 classified" in result.stdout
        done.append({name for name in names(recordings) if name.endswith(ENDING)})
    assert [len(found) for found in done] == [1, 2, 3]
    assert "3 recordings<" in (recordings / "results/index.html").read_text()
    assert "3 complete before" in many(recordings, *FILES, "--no-video").stdout


def test_keep_of_what_one_recording_does_not_have(recordings, project):
    """It is said, and the recording is complete without the copy."""
    grey = project / "data/test/Grey/Grey_test_0.mp4"
    options = ("--no-video", "--keep", "Colour", "--exact")
    result = many(recordings, "video.mp4", grey, *options)
    assert result.returncode == 0 and "nothing in it is Colour" in result.stderr
    assert "video-kept.mp4" in names(recordings) and "Grey_test_0-kept.mp4" not in names(recordings)
    assert "2 complete before" in many(recordings, "video.mp4", grey, *options).stdout


def test_what_could_not_be_decoded_is_told_each_time(recordings):
    ffmpeg("-i", recordings / "video.mp4", "-c copy", recordings / "whole.ts")
    whole = bytearray((recordings / "whole.ts").read_bytes())
    for place in range(len(whole) // 3, len(whole) // 2, 188):
        whole[place + 4 : place + 188] = bytes(184)
    (recordings / "cut.ts").write_bytes(whole)
    for _ in range(2):
        result = many(recordings, "cut.ts", "--no-video")
        assert result.returncode == 1 and "what was decoded is classified" in result.stderr
    assert "0 classified, 1 complete before" in result.stdout


def test_reports_are_linked(recordings):
    result = many(recordings, "video.mp4", "--report", "--no-video")
    assert result.returncode == 0, result.stderr
    page = (recordings / "results/index.html").read_text()
    assert '<a href="./video.html">video.mp4</a>' in page
    summary = json.loads((recordings / f"results/video{ENDING}").read_text())
    assert summary["files"] == ["video.csv", "video.html", "video.png"] and summary["frames"] == 109


@pytest.mark.parametrize(
    "arguments, mentions",
    [
        (["a.mp4", "b.mp4"], "2 videos: name a folder for their results with --output-dir"),
        (["a.mp4", "--output-dir", "x", "--output", "y.avi"], "leave one of them out"),
        (["0", "1", "--stream"], "--stream takes one live source"),
        (["0", "--stream", "--output-dir", "x"], "--output-dir: not with --stream"),
        (["a.mp4", "--shard", "1/2"], "--shard: for many videos; add --output-dir"),
        (["a.mp4", "--ray", "--workers", "2"], "--ray, --workers: for many videos; add --output-dir"),
        (["rtsp://a", "--output-dir", "x"], "add --stream"),
        (["video.mp4", "--output-dir", "."], "--output-dir . is the folder of video.mp4"),
        (["video.mp4", "--output-dir", "x", "--keep", "Cat"], "no class is called Cat"),
    ],
)
def test_what_does_not_go_together(recordings, arguments, mentions):
    result = run(recordings, "clasify.py", "lstm-features.hdf5", *arguments)
    assert result.returncode == 2 and mentions in result.stderr
    assert not (recordings / "x").exists()


def test_ray_without_ray(recordings, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert_one_line_error(many(recordings, "video.mp4", "--ray"), 1, "pip install -r requirements-ray.txt")


def test_results_of_another_recording_are_not_overwritten(recordings):
    """Of one name, in a run of its own; those of a recording that has moved are."""
    quick = ("--no-video", "--quiet")
    assert many(recordings, "video.mp4", *quick).returncode == 0
    before = (recordings / "results/video.summary.json").read_bytes()
    for _ in range(2):
        assert many(recordings, "other/video.mp4", *quick).returncode == 0
        assert (recordings / "results/video.summary.json").read_bytes() == before
        assert len(list((recordings / "results").glob("video-??????.csv"))) == 1
    assert "2 recordings" in (recordings / "results/index.html").read_text()
    (recordings / "video.mp4").rename(recordings / "text.mp4")
    os.makedirs(recordings / "moved")
    (recordings / "text.mp4").rename(recordings / "moved/video.mp4")
    assert many(recordings, "moved/video.mp4", *quick).returncode == 0
    assert "moved" in (recordings / "results/video.summary.json").read_text()
    # Together they keep their names, and one whose place can't be looked at keeps its results.
    result = many(recordings, "moved/video.mp4", "other/video.mp4", *quick)
    assert "0 classified, 2 complete before" in result.stdout
    (recordings / "moved").rename(recordings / "away")
    before = (recordings / "results/video.summary.json").read_bytes()
    os.utime(recordings / "other/video.mp4")
    assert "1 classified" in many(recordings, "other/video.mp4", *quick).stdout
    assert (recordings / "results/video.summary.json").read_bytes() == before


def test_a_name_that_another_run_takes_meanwhile(recordings, monkeypatch):
    work = many_steps.classify_here

    def late(plan, *others):  # after this run's plan is made
        with monkeypatch.context() as patch:
            patch.setattr(many_steps, "classify_here", work)
            assert many(recordings, "other/video.mp4", "--no-video", "--quiet").returncode == 0
        return work(plan, *others)

    monkeypatch.setattr(many_steps, "classify_here", late)
    result = many(recordings, "video.mp4", "--no-video", "--quiet")
    assert result.returncode == 1 and "results of another recording have just got its name" in result.stderr
    assert "elsewhere/other/video.mp4" in (recordings / "results/video.summary.json").read_text()


def test_one_that_fails_in_whatever_way_does_not_end_the_others(recordings, monkeypatch):
    make_job = steps.make_job

    def fail(reader, files, *others):
        if reader.path == "video.mp4":
            raise KeyError("nobody thought of it")
        if "other" in reader.path:
            with open(reader.path, "ab") as file:
                file.write(b"x")
        return make_job(reader, files, *others)

    monkeypatch.setattr(steps, "make_job", fail)
    os.makedirs(recordings / "results")
    shutil.copy(recordings / "other/video.mp4", recordings / "linked.mp4")
    (recordings / "results/.linked.lock").symlink_to(recordings / "text.mp4")
    result = many(recordings, *FILES, "linked.mp4", "--no-video", "--quiet")
    assert result.returncode == 1 and "1 classified, 0 complete before, 3 left out" in result.stdout
    assert "video.mp4: unexpected KeyError at test_clasify_many.py:" in result.stderr
    assert "other/video.mp4: has changed while it was classified; run again" in result.stderr
    assert ".linked.lock: Too many levels of symbolic links" in result.stderr
    assert (recordings / "text.mp4").read_text() == "no video"


def test_names_that_begin_with_a_dash(recordings):
    shutil.copy(recordings / "video.mp4", recordings / "-dash.mp4")
    arguments = ("--output-dir", "results", "--no-video", "--quiet", "--", "lstm-features.hdf5", "-dash.mp4")
    result = run(recordings, "clasify.py", *arguments)
    assert result.returncode == 0 and "1 classified" in result.stdout, result.stderr
