"""Kill -9 at any moment, a full disk, folders that can't be written: run again, the result is that of an
undisturbed run."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from conftest import (
    ARTICLE_ARGUMENTS,
    CLASSES,
    LENGTH,
    ROOT,
    assert_one_line_error,
    render,
    run,
    variable_rate,
)

from vidclass.video.drawing import Drawing
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.reader import FrameReader
from vidclass.video.writer import VideoWriter


def contents(folder, volatile=("logs", "earlier-")):
    """What a run leaves: the digest of each file by its path, but for logs and what tells times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not any(part in name for part in volatile):
            content = path.read_bytes()
            if name.endswith("-frames.json"):
                content = json.dumps({**json.loads(content), "mtime_ns": 0}).encode()
            if name.endswith(".hdf5"):
                content = weights(path)
            content = content.replace(str(folder).encode(), b"")  # clips.csv names its recordings
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def weights(path):
    """The numbers of a checkpoint; HDF5 notes times beside them."""
    import h5py

    arrays = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays.append((name, item[()].tobytes())) if isinstance(item, h5py.Dataset) else None
            )
        )
        return repr((sorted(arrays), file.attrs["video_classification"])).encode()


def scripts(project, kills):
    """Script: (its arguments, what of the project it needs, roughly how long it runs when nothing is done, in
    seconds)."""
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    return {
        "cut_clips.py": (["match.mp4", "labels.csv", "--seconds", "0.2" if kills > 2 else "0.6"], [], 3),
        "extract_files.py": (["mp4"], ["train", "test"], 2),
        "extract_features.py": (
            [*ARTICLE_ARGUMENTS, "--weights", "random"],
            ["train", "test", "data_file.csv"],
            14,
        ),
        "train.py": (
            [*ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 10],
            ["train", "test", "data_file.csv", "sequences"],
            16,
        ),
        "clasify.py": (
            [
                LENGTH,
                CLASSES,
                checkpoint,
                "match.mp4",
                "--smooth",
                "--export",
                "csv,json,edl",
                "--skip",
                "Colour",
                "--keep",
                "Grey",
            ],
            [],
            14,
        ),
    }


def prepare(folder, project, script, needs, arguments):
    (folder / "data").mkdir(parents=True)
    for name in needs:
        (shutil.copytree if (project / "data" / name).is_dir() else shutil.copy)(
            project / "data" / name, folder / "data" / name
        )
    if script == "extract_files.py":
        for path in (folder / "data").rglob("*"):
            if path.suffix in (".jpg", ".json"):
                path.unlink()
    if script in ("cut_clips.py", "clasify.py"):
        render(folder / "match.mp4", "Grey", 3, 12 if script == "cut_clips.py" else 4)
        (folder / "labels.csv").write_text("0,3,Grey\n3,5.5,Colour\n5.5,9,Grey\n9,12,Colour\n")
    if script == "cut_clips.py":  # most of what was cut before is replaced
        (folder / "before.csv").write_text("0,3.3,Grey\n3.3,5.5,Colour\n5.5,9,Colour\n9.1,11,Grey\n")
        before = [argument.replace("labels", "before") for argument in arguments]
        assert run(folder, script, *before, "--quiet").returncode == 0


def command(script, arguments):
    return [sys.executable, os.path.join(ROOT, script), *map(str, arguments), "--quiet"]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "script", ["cut_clips.py", "extract_files.py", "extract_features.py", "train.py", "clasify.py"]
)
def test_killed_at_any_moment(project, tmp_path, script, kills):
    arguments, needs, seconds = scripts(project, kills)[script]
    if kills == 2 and seconds > 5:
        pytest.skip("takes minutes: make test-slow")
    prepare(tmp_path / "undisturbed", project, script, needs, arguments)
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "killed")
    start = time.time()
    subprocess.run(command(script, arguments), cwd=tmp_path / "undisturbed", check=True, capture_output=True)
    seconds = time.time() - start
    moments = random.Random(script)
    for _ in range(kills):
        process = subprocess.Popen(
            command(script, arguments),
            cwd=tmp_path / "killed",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.1, 1) * seconds)
        process.kill()
        process.wait()
        if script == "train.py":  # a killed training starts anew; its checkpoints are whole and set aside
            for path in (tmp_path / "killed/data").rglob("lstm-features*.hdf5"):
                weights(path)
    result = subprocess.run(
        command(script, arguments), cwd=tmp_path / "killed", capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    assert not list((tmp_path / "killed").rglob(".*"))


@pytest.fixture
def small_disk(tmp_path):
    """disk(megabytes): a folder on a disk of its own."""
    mounted = []

    def disk(megabytes):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if (
            os.geteuid()
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True
            ).returncode
        ):
            pytest.skip("no file system can be mounted here")
        mounted.append(folder)
        return folder

    yield disk
    for folder in mounted:
        subprocess.run(["umount", "-l", folder])


def test_a_full_disk(project, match, small_disk):
    """One line that says so; what is complete stays, nothing half-written; with room again it goes on."""
    disk = small_disk(1)
    shutil.copytree(
        project / "data/train", disk / "data/train", ignore=shutil.ignore_patterns("*.jpg", "*.json")
    )
    result = run(disk, "extract_files.py", "mp4", "--quiet")
    assert_one_line_error(result, 1)
    assert "the disk is full" in result.stderr or "No space left on device" in result.stderr
    assert not list(disk.rglob(".*"))
    complete = {path.name.removesuffix("-frames.json") for path in disk.rglob("*-frames.json")}
    for name in complete:
        assert len(list(disk.rglob(f"{name}-*.jpg"))) == 25
    subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
    result = run(disk, "extract_files.py", "mp4", "--quiet")
    assert result.returncode == 0 and f"{len(complete)} done before, 0 failed" in result.stdout

    disk = small_disk(1)
    (disk / "result.avi").write_bytes(b"an earlier result")
    (disk / "filler").write_bytes(bytes(1_036_000))
    result = run(
        disk,
        "clasify.py",
        LENGTH,
        CLASSES,
        project / "data/checkpoints/lstm-features.hdf5",
        match / "video.mp4",
        "--quiet",
    )
    assert_one_line_error(result, 1, "result.avi: can't be written", "No space left on device")
    assert (disk / "result.avi").read_bytes() == b"an earlier result" and sorted(os.listdir(disk)) == [
        "filler",
        "result.avi",
    ]


@pytest.mark.parametrize("name", ["result.avi", "result.mp4"])
def test_a_full_disk_is_told_from_a_damaged_video(tmp_path, make_clip, small_disk, name):
    source, disk = make_clip("a.mp4", seconds=4, size="320x240"), small_disk(1)
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat") + 4000
    content[start : start + 40000 : 150] = bytes(len(content[start : start + 40000 : 150]))
    source.write_bytes(content)
    (disk / "filler").write_bytes(bytes(950_000))
    reader = FrameReader(source)
    list(reader)
    assert reader.loss or sum(1 for _ in reader) > 50
    full = pytest.raises(OSError, match=f"{name}: can't be written .*No space left on device")
    with VideoWriter(disk / name, reader) as writer, full:
        writer.write(Fraction(25), Drawing(), quiet=True)
    assert os.listdir(disk) == ["filler"]


def test_features_and_checkpoints_on_a_full_disk(copy, small_disk):
    disk = small_disk(1)
    shutil.rmtree(copy / "data/sequences")
    (disk / "sequences").mkdir()
    (copy / "data/sequences").symlink_to(disk / "sequences")
    (disk / "filler").write_bytes(bytes(700_000))
    arguments = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert_one_line_error(
        run(copy, "extract_features.py", *arguments), 1, "features.npy", "No space left on device"
    )
    done = list(disk.rglob("*.npy"))
    assert 1 <= len(done) <= 5 and all(path.stat().st_size == 128 + LENGTH * 2048 * 4 for path in done)
    assert not list(disk.rglob(".*"))
    (disk / "filler").unlink()
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert result.returncode == 1 or f"{16 - len(done)} sequences extracted" in result.stdout


def test_a_folder_that_cannot_be_written(project, match, small_disk):
    """A read-only disk: even root can't write there."""
    disk = small_disk(100)
    shutil.copytree(project / "data", disk / "data")
    shutil.copy(match / "video.mp4", disk)
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    (match / "labels.csv").write_text("0,4,Grey\n")
    before = contents(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for script, arguments, name in (
        ("clasify.py", (LENGTH, CLASSES, checkpoint, "video.mp4"), "result.avi"),
        ("clasify.py", (LENGTH, CLASSES, checkpoint, "video.mp4", "--no-video"), "result.csv"),
        ("extract_files.py", ("mp4",), "data_file.csv"),
        ("extract_features.py", (LENGTH, CLASSES, 96, 96, "--weights", "random"), "sequences"),
        ("train.py", (*ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 1), "data"),
        ("evaluate.py", (LENGTH, CLASSES, checkpoint), "reports"),
        ("cut_clips.py", ("video.mp4", match / "labels.csv", "--seconds", "1"), "data"),
    ):
        result = run(disk, script, *arguments, "--quiet")
        assert_one_line_error(result, 1, name, "Read-only file system")
    assert contents(disk) == before


def test_a_folder_that_is_not_there_or_vanishes(project, match, copy):
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    (match / "file").write_text("")
    assert_one_line_error(
        run(match, "clasify.py", LENGTH, CLASSES, checkpoint, "video.mp4", "--output", "file/x.avi"),
        1,
        "file/x.avi: can't be written (File exists)",
    )
    assert_one_line_error(
        run(
            match,
            "clasify.py",
            LENGTH,
            CLASSES,
            checkpoint,
            "video.mp4",
            "--no-video",
            "--output",
            "file/a/x.avi",
        ),
        1,
        "file/a/x.csv: can't be written (Not a directory)",
    )
    shutil.rmtree(copy / "data/train/Grey")
    shutil.rmtree(copy / "data/sequences")
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.count("left out, data/train/Grey/") == 6


def damaged(folder, source):
    """Writes clips that are damaged, or odd, in all ways; returns {name: whether it must be split all the
    same}."""
    ffmpeg = [find_ffmpeg(), "-v", "error", "-y"]

    def make(name, *arguments, source="testsrc2=size=64x48:rate=25:duration=1"):
        subprocess.run([*ffmpeg, "-f", "lavfi", "-i", source, *arguments, folder / name], check=True)

    whole = source.read_bytes()
    for name, content in (
        ("truncated", whole[: len(whole) // 2]),
        ("header", b"\0" * 64 + whole[64:]),
        ("empty", b""),
        ("text", b"this is text\n" * 50),
        ("zeros", bytes(5000)),
    ):
        (folder / f"{name}.mp4").write_bytes(content)
    make("sound.mp4", source="sine=duration=1")
    shutil.copy(source, folder / "extension.avi.mp4")  # has a dot in its name
    subprocess.run(
        [
            *ffmpeg,
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=64x48:rate=25:duration=1",
            "-f",
            "matroska",
            folder / "really_mkv.mp4",
        ],
        check=True,
    )
    make("one_frame.mp4", "-frames:v", "1", "-pix_fmt", "yuv420p")
    make("odd.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p", source="testsrc2=size=63x47:rate=25:duration=1")
    make("ten_bit.mp4", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=error")
    make("interlaced.mp4", "-vf", "interlace", "-flags", "+ildct+ilme", "-c:v", "mpeg2video")
    subprocess.run(
        [
            *ffmpeg,
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=64x48:rate=25:duration=1,format=yuva420p",
            "-c:v",
            "libvpx-vp9",
            "-f",
            "matroska",
            folder / "alpha.mp4",
        ],
        check=True,
    )
    subprocess.run(
        [
            *ffmpeg,
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=64x48:rate=25:duration=1",
            "-vf",
            "select='not(mod(n,3))+lt(n,9)'",
            *variable_rate(),
            "-f",
            "matroska",
            folder / "variable.mp4",
        ],
        check=True,
    )
    subprocess.run(
        [*ffmpeg, "-display_rotation", "90", "-i", source, "-c", "copy", folder / "rotated.mp4"],
        capture_output=True,
    )
    parts = []
    for size in ("64x48", "96x64"):
        parts.append(folder / f"{size}.ts.part")
        subprocess.run(
            [
                *ffmpeg,
                "-f",
                "lavfi",
                "-i",
                f"testsrc2=size={size}:rate=25:duration=0.5",
                "-c:v",
                "mpeg2video",
                "-f",
                "mpegts",
                parts[-1],
            ],
            check=True,
        )
    (folder / "changing.mp4").write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    refused = {"truncated", "header", "empty", "text", "zeros", "sound"}
    return {path.stem: path.stem not in refused for path in folder.glob("*.mp4")}


@pytest.mark.parametrize("good", [10, pytest.param(950, marks=pytest.mark.slow)])
def test_damaged_and_odd_clips_among_good_ones(tmp_path, good):
    """Every good clip is extracted, every bad one named once with its reason."""
    folder = tmp_path / "data/train/A"
    folder.mkdir(parents=True)
    render(tmp_path / "good.mp4", "Grey", 1)
    expected = damaged(folder, tmp_path / "good.mp4")
    for number in range(good):
        shutil.copy(tmp_path / "good.mp4", folder / f"good_{number}.mp4")
        expected[f"good_{number}"] = True
    result = run(tmp_path, "extract_files.py", "mp4", "--quiet")
    bad = [name for name, fine in expected.items() if not fine]
    assert (
        result.returncode == 1
        and f"{len(expected) - len(bad)} split into frames, 0 done before, {len(bad)} failed" in result.stdout
    )
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert sorted(lines) == sorted(
        line for name in bad for line in lines if f"/{name}.mp4: left out, " in line
    )
    assert len(lines) == len(bad) and all(len(line.rsplit("left out, ", 1)[1]) > 10 for line in lines)
    for name, fine in expected.items():
        assert (folder / f"{name}-0001.jpg").exists() is fine, name
    assert len(list(folder.glob("changing-*.jpg"))) >= 24 and len(list(folder.glob("one_frame-*.jpg"))) == 1
    import cv2

    if (folder / "rotated-0001.jpg").exists():  # upright, as clasify.py sees it
        assert (
            cv2.imread(str(folder / "rotated-0001.jpg")).shape[:2]
            == next(iter(FrameReader(folder / "rotated.mp4"))).shape[:2]
        )
