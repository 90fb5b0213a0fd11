"""clips.py: which files in the dataset's folders are clips, and what is said of the others."""

import os
import shutil
import socket
import subprocess

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, assert_one_line_error, count_frames, run
from helpers import ffmpeg

from data import DataSet
from vidclass.dataset.clips import find_clips
from vidclass.dataset.data_file import read_data_file, write_data_file
from vidclass.dataset.listing import list_unsplit
from vidclass.dataset.splitting import ClipSplitter
from vidclass.features.extraction import ClipLoader
from vidclass.features.sequence_store import FolderStore
from vidclass.names import CLIP_NAME_BYTES
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.limits import VideoLimits
from vidclass.video.reader import FrameReader


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A video of ten frames."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.mp4"
    ffmpeg("-f lavfi -i testsrc2=size=96x80:rate=25:duration=0.4 -pix_fmt yuv420p", path)
    return path


@pytest.fixture
def folder(tiny, tmp_path):
    """A dataset of two classes with two clips each."""
    for class_name in "AB":
        for number in range(2):
            path = tmp_path / f"data/train/{class_name}/{class_name}_{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny, path)
    return tmp_path


def listed(folder):
    return sorted(row.name for row in read_data_file(folder / "data"))


@pytest.mark.parametrize(
    "extension, extra",
    [
        ("gif", ()),
        ("GIF", ()),
        ("avi", ()),
        ("mkv", ()),
        ("mov", ()),
        ("webm", ("-c:v", "libvpx")),
        ("mpg", ()),
        ("vob", ()),
        ("ts", ()),
        ("m2ts", ()),
        ("flv", ()),
        ("wmv", ()),
        ("3gp", ("-c:v", "libx264")),
        ("ogv", ()),
        ("mxf", ("-c:v", "mpeg2video")),
        ("nut", ()),
        ("y4m", ()),
        ("m2v", ()),
        ("h264", ()),
        ("hevc", ("-c:v", "libx265", "-x265-params", "log-level=none")),
    ],
)
def test_both_ways_of_extraction_take_the_same_clips(tmp_path, tiny, extension, extra):
    """What extract_files.py takes when it is told the extension, --from-video finds by itself, with as many
    frames."""
    path = tmp_path / f"data/train/A/a.{extension}"
    path.parent.mkdir(parents=True)
    made = subprocess.run([find_ffmpeg(), "-v", "error", "-i", tiny, *extra, path], capture_output=True)
    if made.returncode:
        pytest.skip("this ffmpeg does not write it")
    assert list_unsplit(tmp_path / "data", quiet=True) == 0
    assert listed(tmp_path) == ["a"]
    dataset = DataSet(4, 1, (80, 96, 3), tmp_path / "data")
    row, images, _ = ClipLoader(dataset).load(dataset.data[0])
    assert row.frames == count_frames(path) and len(images) == 4
    assert run(tmp_path, "extract_files.py", extension).returncode == 0
    assert len(list(path.parent.glob("*.jpg"))) == row.frames


def test_files_that_from_video_does_not_know_are_named(folder, tiny):
    shutil.copy(tiny, folder / "data/train/A/odd.foo")
    (folder / "data/train/A/notes.txt").touch()
    (folder / "data/train/B/README").touch()
    result = run(
        folder, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--from-video", "--quiet"
    )
    (line,) = [line for line in result.stderr.splitlines() if "extension" in line]
    assert "1 .foo, 1 .txt" in line and "1 without extension" in line and "left out" in line
    assert result.returncode == 0 and "4 sequences extracted" in result.stdout
    assert run(folder, "extract_files.py", "foo").returncode == 0  # the cure
    result = run(
        folder, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--from-video", "--quiet"
    )
    assert "1 sequence extracted, 4 were there already" in result.stdout


def test_a_name_that_is_too_long_is_left_out_and_no_other(folder, tiny):
    """230 bytes, with which the note would have more than the 255 that a file system takes, and one byte more
    than fit."""
    fits, long, longer = "x" * CLIP_NAME_BYTES, "y" * (CLIP_NAME_BYTES + 1), "é" * 115
    for name in (fits, long, longer):
        shutil.copy(tiny, folder / f"data/train/A/{name}.mp4")
    for script, arguments, done in (
        (
            "extract_features.py",
            (*ARTICLE_ARGUMENTS, "--weights", "random", "--from-video"),
            "5 sequences extracted",
        ),
        ("extract_files.py", ("mp4",), "7 clips: 5 split into frames, 0 done before, 2 failed"),
    ):
        result = run(folder, script, *arguments, "--quiet")
        assert result.returncode == 1 and done in result.stdout
        for name in (long, longer):
            (line,) = [line for line in result.stderr.splitlines() if f"{name}.mp4" in line]
            assert "left out, its name can't be used: without extension it is " in line
            assert (
                f" is {len(name.encode())} bytes long; rename it, to at most {CLIP_NAME_BYTES} bytes" in line
            )
        assert listed(folder) == sorted(["A_0", "A_1", "B_0", "B_1", fits])
    # A list that another program wrote.
    with open(folder / "data/data_file.csv", "a") as file:
        file.write(f"train,A,{long},10\n")
    result = run(folder, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert result.returncode == 1 and "5 sequences extracted, 0 were there already, 1 failed" in result.stdout
    assert f"rename it, to at most {CLIP_NAME_BYTES} bytes" in result.stderr


def test_the_longest_name_that_is_allowed_has_room_for_all_that_is_added(tmp_path):
    """As long as a process of seven digits and a sequence of a million frames make it."""
    name = "x" * CLIP_NAME_BYTES
    write_data_file(tmp_path, [("train", "A", name, 1_000_000)])
    dataset = DataSet(1_000_000, 1, data_dir=tmp_path)
    path = FolderStore(dataset, "random").path(dataset.data[0])
    assert len(os.path.basename(path)) + len(".") + len(".abcdef-4194304.tmp") <= 255


def test_what_may_have_been_meant_to_be_a_clip_is_named(folder, tiny):
    train = folder / "data/train"
    shutil.copy(tiny, train / "direct.mp4")
    shutil.copy(tiny, train / "direct.mov")
    (train / "notes.txt").touch()
    (train / "A/dangling.mp4").symlink_to("nowhere.mp4")
    (train / "A/loop.mp4").symlink_to("loop.mp4")
    (train / "Gone").symlink_to("/nowhere/at/all")
    (train / "A/inner").mkdir()
    os.mkfifo(train / "A/pipe.mp4")
    with socket.socket(socket.AF_UNIX) as connection:
        before = os.getcwd()
        os.chdir(train / "B")  # the names of sockets are short
        connection.bind("socket.mp4")
        os.chdir(before)
    (train / "B/linked.mp4").symlink_to(tiny)
    shutil.copytree(
        train / "A", folder / "elsewhere", ignore=lambda *_: ["dangling.mp4", "loop.mp4", "inner", "pipe.mp4"]
    )
    (train / "Linked").symlink_to(folder / "elsewhere")  # a class in a folder elsewhere
    expected = {
        "direct.mp4": "it does not lie in a class's folder",
        "direct.mov": "it does not lie in a class's folder",
        "A/dangling.mp4": "a link that leads nowhere",
        "A/loop.mp4": "a link that leads nowhere",
        "Gone": "a link that leads nowhere",
        "A/inner": "a folder inside of a class's",
        "A/pipe.mp4": "a pipe, a socket or a device",
        "B/socket.mp4": "a pipe, a socket or a device",
    }
    three = (*ARTICLE_ARGUMENTS[:1], 3, *ARTICLE_ARGUMENTS[2:], "--weights", "random", "--from-video")
    for script, arguments in (("extract_features.py", three), ("extract_files.py", ("mp4",))):
        result = run(folder, script, *arguments, "--quiet")
        assert result.returncode == 0, result.stderr
        for name, reason in expected.items():
            (line,) = [
                line for line in result.stderr.splitlines() if line.startswith(f"data/train/{name}: left out")
            ]
            assert reason in line
        assert result.stderr.count("left out") == len(expected)
    assert (
        f"7 clips: 7 split into frames, 0 done before, 0 failed. data/data_file.csv lists 7 clips. Besides "
        f"{len(expected)} left out that are no clips, named above." in result.stdout
    )


def test_folders_that_cannot_be_read_are_named_and_the_rest_goes_on(folder, monkeypatch):
    """As no user but root meets them."""
    scandir, listdir = os.scandir, os.listdir

    def refuse(function):
        def read(path="."):
            if str(path).endswith("train/B"):
                raise PermissionError(13, "Permission denied", path)
            return function(path)

        return read

    monkeypatch.setattr(os, "scandir", refuse(scandir))
    monkeypatch.setattr(os, "listdir", refuse(listdir))
    result = run(folder, "extract_files.py", "mp4")
    assert (
        result.returncode == 1
        and "2 clips: 2 split into frames" in result.stdout
        and listed(folder) == ["A_0", "A_1"]
    )
    assert "data/train/B: left out, it can't be read (Permission denied)" in result.stderr


def test_classes_that_are_probably_one_are_named(folder, tiny):
    shutil.copytree(folder / "data/train/A", folder / "data/train/a")
    shutil.copytree(folder / "data/train/B", folder / "data/test/b")
    result = run(folder, "extract_files.py", "mp4", "--quiet")
    assert result.returncode == 0
    assert (
        "Classes 'A' and 'a' are taken for 2" in result.stderr
        and "Classes 'B' and 'b' are taken for 2" in result.stderr
    )
    result = run(folder, "extract_features.py", 4, 3, 80, 96, "--weights", "random", "--quiet")  # A, B, a
    assert (
        result.returncode == 0
        and "Classes 'A' and 'a' are taken for 2" in result.stderr
        and "'b'" not in result.stderr
    )


def test_no_clips_at_all_and_where_they_may_be(tmp_path, tiny):
    result = run(tmp_path, "extract_files.py", "mp4", "--data-dir", "elsewhere")
    assert_one_line_error(
        result, 1, "no .mp4 clips in elsewhere/train", "elsewhere, does not exist; give another --data-dir"
    )
    assert not os.path.exists(tmp_path / "elsewhere")
    (tmp_path / "data/train").mkdir(parents=True)
    shutil.copy(tiny, tmp_path / "data/train/a.mp4")
    assert_one_line_error(
        run(tmp_path, "extract_files.py", "mp4"),
        1,
        "no .mp4 clips",
        "data/train/a.mp4: left out, it does not lie in a class",
    )


def test_a_clip_whose_frames_differ_each_time_is_left_out(folder, monkeypatch):
    """As damaged ones may: it is decoded twice, not for ever."""
    counts, decoded = {"A_0": [12, 11, 13], "A_1": [12, 12]}, []

    class Reader(FrameReader):
        def select(self, numbers, end):
            name = os.path.basename(self.path).removesuffix(".mp4")
            decoded.append(name)
            frames = list(self)
            frames = (frames * 2)[: counts[name].pop(0) if name in counts else len(frames)]
            yield from enumerate(frames)
            self.times = np.arange(len(frames)) / 25

    monkeypatch.setattr("vidclass.features.extraction.FrameReader", Reader)
    result = run(
        folder, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--from-video", "--quiet"
    )
    assert result.returncode == 1 and "3 sequences extracted, 0 were there already, 1 failed" in result.stdout
    assert (
        "train/A/A_0: left out, it is damaged so that it differs each time it is decoded (12 frames, then 11)"
        in result.stderr
    )
    assert sorted(decoded) == ["A_0", "A_0", "A_1", "A_1", "B_0", "B_1"]
    assert {row.name: row.frames for row in read_data_file(folder / "data")} == {
        "A_0": 10,
        "A_1": 12,
        "B_0": 10,
        "B_1": 10,
    }


def test_a_list_that_tells_of_a_billion_frames_takes_no_memory(folder):
    import tracemalloc

    assert run(folder, "extract_files.py", "mp4", "--quiet").returncode == 0
    with open(folder / "data/data_file.csv") as file:
        table = file.read().replace("A_0,10", "A_0,999999999")
    (folder / "data/data_file.csv").write_text(table)
    dataset = DataSet(4, 2, (80, 96, 3), folder / "data")
    tracemalloc.start()
    with pytest.raises(ValueError, match="A_0-249999999.jpg|A_0-333333333.jpg"):
        ClipLoader(dataset).load(dataset.data[0])
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_clips_that_are_done_leave_nothing_in_memory(folder, monkeypatch):
    """No process, no future for each of those that are done, or that wait."""
    splitter = ClipSplitter(folder / "data", VideoLimits())
    for clip, path in find_clips(folder / "data", "mp4").clips:
        assert not splitter.split(clip, path).failed
    assert not splitter._running
