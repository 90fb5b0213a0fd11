"""cut_clips.py on a recording that was cut before: what goes, what stays, and what a kill leaves."""

import csv
import os
import shutil

import pytest
from conftest import assert_one_line_error, run
from helpers import ffmpeg

from cut_clips import CutOptions, cut_clips
from vidclass import atomic
from vidclass.dataset import clips_csv
from vidclass.dataset.data_file import read_data_file, write_data_file
from vidclass.dataset.recording_labels import open_recording

LABELS = "0,4,Football\n4,7,Commercial\n7,10,Football\n10,14,Commercial\n14,16,Football\n"
# The first break was one only in its last second, the second is longer, and the last stretch is left out.
CORRECTED = "0,6,Football\n6,7,Commercial\n7,9.5,Football\n9.5,14,Commercial\n"


@pytest.fixture(scope="session")
def match_recording(tmp_path_factory):
    """16 s at 25 frames per second."""
    path = tmp_path_factory.mktemp("match") / "match.mp4"
    ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=25:duration=16 -pix_fmt yuv420p", path)
    return path


@pytest.fixture
def quick(monkeypatch):
    """Clips are files that say what they should show: encoding takes no time."""

    class Cutter:
        def __init__(self, recording, fps, limits):
            self.recording = recording

        def cut(self, start, frames, path):
            with atomic.atomic_write(path) as partial, open(partial, "w") as file:
                file.write(f"{os.path.getsize(self.recording)} {float(start):.3f} {frames}")

    monkeypatch.setattr("vidclass.dataset.cut_steps.ClipCutter", Cutter)


def cut(folder, recording, *options, labels=LABELS, seconds=1):
    (folder / "labels.csv").write_text(labels)
    return run(folder, "cut_clips.py", recording, "labels.csv", "--seconds", seconds, *options)


def rows(folder):
    with open(folder / "data/clips.csv", newline="") as file:
        return sorted(csv.reader(file))


def everything(folder):
    """{path: content} of the data folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "data").rglob("*"))
        if path.is_file()
    }


def footage(folder):
    """{frame: (class, split)} of what clips.csv says, each clip of which is there; fails if a frame is in two
    clips."""
    found = {}
    for split, class_name, clip, _, _, start, frames, *_ in rows(folder):
        assert (folder / "data" / split / class_name / f"{clip}.mp4").is_file()
        for frame in range(round(float(start) * 25), round(float(start) * 25) + int(frames)):
            assert (
                found.setdefault(frame, (class_name, split)) == (class_name, split)
                and frame not in list(found)[:-1]
            )
    return found


def test_corrected_labels_replace_clips(match_recording, tmp_path):
    """With real clips, frames and features: nothing is left of those that go, and those that stay aren't
    touched."""
    assert cut(tmp_path, match_recording, "--test-split", 0.4).returncode == 0
    assert run(tmp_path, "extract_files.py", "mp4", "--quiet").returncode == 0
    for split, class_name, name, _ in read_data_file(tmp_path / "data"):
        for length in (8, 40):
            path = (
                tmp_path
                / "data/sequences/96x96-random"
                / split
                / class_name
                / f"{name}-{length}-features.npy"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"features")
    before, was = {row[2]: row for row in rows(tmp_path)}, everything(tmp_path)
    times = {name: os.stat(tmp_path / name).st_mtime_ns for name in was}
    old_splits = {round(float(row[5])): row[0] for row in before.values()}

    result = cut(tmp_path, match_recording, "--dry-run", labels=CORRECTED)
    assert result.returncode == 0 and "would be removed" in result.stdout and everything(tmp_path) == was
    result = cut(tmp_path, match_recording, labels=CORRECTED)
    assert result.returncode == 0, result.stderr
    after = {row[2]: row for row in rows(tmp_path)}
    gone = [row for name, row in before.items() if name not in after]
    # By hand: the seconds from 0 to 4 and from 6 to 9 are as they were; from 9.5 on, which is between two
    # frames, the clips lie half a second earlier.
    assert sorted(float(row[5]) for row in before.values() if row[2] in after) == [0, 1, 2, 3, 6, 7, 8]
    assert sorted(float(row[5]) for row in after.values()) == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9.52,
        10.52,
        11.52,
        12.52,
    ]
    now = everything(tmp_path)
    for _, _, name, *_ in gone:
        assert not [path for path in now if f"{name}-" in path or f"{name}." in path]
    for name in was:  # all that belongs to other clips is the same file
        if name.endswith((".mp4", ".jpg", ".json", ".npy")) and not any(
            f"/{row[2]}-" in name or f"/{row[2]}." in name for row in gone
        ):
            assert now[name] == was[name] and os.stat(tmp_path / name).st_mtime_ns == times[name]
    listed = {row[2] for row in read_data_file(tmp_path / "data")}
    assert listed == set(before) & set(after)
    footage(tmp_path)
    for row in after.values():
        if (
            float(row[5]) <= 8 and row[2] in before or float(row[5]) in (4, 5)
        ):  # most of 0 to 6 was Football's first stretch
            assert row[0] == old_splits[int(float(row[5])) if row[2] in before else 0]
    # They are named, by split and class.
    for split, class_name in {tuple(row[:2]) for row in gone}:
        count = sum(row[:2] == [split, class_name] for row in gone)
        assert f"  {split}/{class_name}: {count} clip" in result.stdout
    assert f"{len(gone)} clips of it no longer fit" in result.stdout
    named = result.stdout.partition("features:\n")[2]
    assert (
        named.startswith("  t") and "\\n" not in result.stdout
    )  # a split and class a line, none of them escaped


def test_other_seconds_replace_all(match_recording, tmp_path, quick):
    assert cut(tmp_path, match_recording).returncode == 0
    first = footage(tmp_path)
    result = cut(tmp_path, match_recording, seconds=2)
    assert (
        "16 clips of it no longer fit" in result.stdout
        and "7 clips cut, 0 were there already" in result.stdout
    )
    assert all(first[frame] == place for frame, place in footage(tmp_path).items())
    assert len(list((tmp_path / "data").rglob("*.mp4"))) == 7


def test_a_class_that_was_mistyped_leaves_no_folder(match_recording, tmp_path, quick):
    assert cut(tmp_path, match_recording, labels=LABELS.replace("Football", "Footbal")).returncode == 0
    result = cut(tmp_path, match_recording)
    assert result.returncode == 0 and sorted(os.listdir(tmp_path / "data/train")) == [
        "Commercial",
        "Football",
    ]
    assert "  train/Footbal: 7 clips, Footbal_train_1 to 7" in result.stdout


def test_a_recording_is_known_by_its_content(match_recording, tmp_path, quick):
    """Whatever its path: given relatively, by a link, moved, renamed; and a copy of it is no other
    recording."""
    shutil.copy(match_recording, tmp_path / "a.mp4")
    assert "16 clips cut" in cut(tmp_path, "a.mp4").stdout
    before = everything(tmp_path)
    for path in (tmp_path / "a.mp4", "./a.mp4"):
        assert "0 clips cut, 16 were there already" in cut(tmp_path, path).stdout
        assert everything(tmp_path) == before
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    assert "0 clips cut, 16 were there already" in cut(tmp_path, "link.mp4").stdout
    shutil.copy(tmp_path / "a.mp4", tmp_path / "copy.mp4")
    assert "0 clips cut, 16 were there already" in cut(tmp_path, "copy.mp4").stdout
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "a.mp4", tmp_path / "elsewhere/b.mp4")
    assert "0 clips cut, 16 were there already" in cut(tmp_path, "elsewhere/b.mp4").stdout
    assert {row[3] for row in rows(tmp_path)} == {str(tmp_path / "elsewhere/b.mp4")}


def test_another_file_of_the_name_is_another_recording(match_recording, tmp_path, quick):
    """Its clips are added; those of the first, whose recording may be gone, stay and are named."""
    shutil.copy(match_recording, tmp_path / "a.mp4")
    assert cut(tmp_path, "a.mp4").returncode == 0
    ffmpeg("-f lavfi -i testsrc=size=64x48:rate=25:duration=16 -pix_fmt yuv420p", tmp_path / "a.mp4")
    result = cut(tmp_path, "a.mp4")
    assert result.returncode == 0 and len(rows(tmp_path)) == 32 and "removed" not in result.stdout
    assert (
        "clips.csv: 16 clips of another file named a.mp4 stay; if it showed the same, delete:"
        in result.stderr
    )
    assert "  train/Commercial: " in result.stderr


def test_a_recording_that_grew_is_the_same(tmp_path, quick):
    """A transport stream that is still being written."""
    whole = tmp_path / "whole.ts"
    ffmpeg("-f lavfi -i testsrc2=size=640x480:rate=25:duration=16 -c:v mpeg2video -q:v 2", whole)
    content = whole.read_bytes()
    assert len(content) > 5 * 2**20  # not hashed as a whole
    (tmp_path / "a.ts").write_bytes(content[: len(content) * 3 // 4])
    assert cut(tmp_path, "a.ts", labels="0,4,Football\n4,7,Commercial\n").returncode == 0
    (tmp_path / "a.ts").write_bytes(content)
    result = cut(tmp_path, "a.ts", labels="0,4,Football\n4,7,Commercial\n7,10,Football\n")
    assert "3 clips cut, 7 were there already" in result.stdout and "stay" not in result.stderr
    assert len({row[8] for row in rows(tmp_path)}) == 1


def test_fingerprints(tmp_path):
    """A change at the beginning, in the middle, at the end, or of the length makes another recording."""
    content = os.urandom(6 * 2**20)
    path = tmp_path / "x"

    def of(content):
        path.write_bytes(content)
        return clips_csv.fingerprint(path)

    first = of(content)
    assert first == of(content) and first.startswith(f"{len(content)}-")
    changed = [b"x" + content[1:], content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"x"]
    changed += [
        content[:at] + bytes(100_000) + content[at + 100_000 :]
        for at in range(0, len(content) - 100_000, 500_000)
    ]
    assert len({first, *map(of, changed)}) == len(changed) + 1
    path.write_bytes(content + b"more")
    assert clips_csv.fingerprint(path, len(content)) == first
    assert of(b"") != of(b"x")


def test_rows_of_earlier_versions(match_recording, tmp_path, quick):
    """Seven columns: a recording is known by its path, and gets its fingerprint. Moved meanwhile, it can't be
    known for sure."""
    shutil.copy(match_recording, tmp_path / "a.mp4")
    assert cut(tmp_path, "a.mp4").returncode == 0
    new = rows(tmp_path)
    (tmp_path / "data/clips.csv").write_text("".join(",".join(row[:7]) + "\n" for row in new))
    assert "0 clips cut, 16 were there already" in cut(tmp_path, "a.mp4").stdout and rows(tmp_path) == new
    (tmp_path / "data/clips.csv").write_text("".join(",".join(row[:7]) + "\n" for row in new))
    result = cut(tmp_path, "a.mp4", labels=CORRECTED)
    assert "9 clips of it no longer fit" in result.stdout and footage(tmp_path)
    (tmp_path / "data/clips.csv").write_text("".join(",".join(row[:7]) + "\n" for row in rows(tmp_path)))
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "a.mp4", tmp_path / "elsewhere/a.mp4")
    assert (
        "13 clips of another file named a.mp4 stay"
        in cut(tmp_path, "elsewhere/a.mp4", labels=CORRECTED).stderr
    )


def test_files_that_are_not_listed_are_not_touched(match_recording, tmp_path, quick):
    """Clips that the user added, and one beside ours that differs in the extension, whose frames are
    there."""
    assert cut(tmp_path, match_recording).returncode == 0
    folder = tmp_path / "data/train/Commercial"
    own = [row for row in rows(tmp_path) if row[:2] == ["train", "Commercial"]]
    for name in ("Commercial_train_50.mp4", "mine.mp4", f"{own[0][2]}.avi", f"{own[0][2]}-0001.jpg"):
        (folder / name).write_text(name)
    (folder / f"{own[0][2]}-frames.json").write_text(
        f'{{"clip": "{own[0][2]}.avi", "frames": 1, "seconds": 1.0}}'
    )
    write_data_file(
        tmp_path / "data", [("train", "Commercial", own[0][2], 1), ("train", "Commercial", own[1][2], 25)]
    )
    result = cut(tmp_path, match_recording, seconds=2)
    assert result.returncode == 0
    assert {"Commercial_train_50.mp4", "mine.mp4", f"{own[0][2]}.avi", f"{own[0][2]}-0001.jpg"} <= set(
        os.listdir(folder)
    )
    assert read_data_file(tmp_path / "data") == [("train", "Commercial", own[0][2], 1)]
    assert not (folder / f"{own[0][2]}.mp4").exists()
    new = [row[2] for row in rows(tmp_path) if row[:2] == ["train", "Commercial"]]
    assert new and all(int(name.rpartition("_")[2]) > 50 for name in new)


def test_splits_can_be_drawn_anew(match_recording, tmp_path, quick):
    """Cut with one coarse label a class, all is for training; --redraw takes test clips from what is labelled
    finely now."""
    result = cut(tmp_path, match_recording, labels="0,8,Football\n8,16,Commercial\n")
    assert (
        "Football: no clips to test on; label more stretches" in result.stderr
        and "--redraw" not in result.stderr
    )
    fine = "0,4,Football\n5,8,Football\n8,12,Commercial\n13,16,Commercial\n"
    result = cut(tmp_path, match_recording, labels=fine)
    assert "--redraw the splits" in result.stderr and {row[0] for row in rows(tmp_path)} == {"train"}
    assert cut(tmp_path, match_recording, "--redraw", labels=fine).returncode == 0
    assert {tuple(row[:2]) for row in rows(tmp_path)} == {
        (s, c) for s in ("train", "test") for c in ("Football", "Commercial")
    }
    footage(tmp_path)


class Killed(BaseException):
    """As a kill would: nothing catches it."""


@pytest.mark.parametrize(
    "labels, seconds", [(CORRECTED, 1), (LABELS, 2), (LABELS.replace("Commercial", "Ad"), 1)]
)
@pytest.mark.parametrize("stride", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step(match_recording, tmp_path, quick, monkeypatch, labels, seconds, stride):
    """Stopped before each change of a file while it replaces clips, and run again, it ends as if
    undisturbed."""
    source = open_recording(match_recording)
    monkeypatch.setattr("vidclass.dataset.recording_labels.open_recording", lambda path, limits: source)
    start = tmp_path / "start"
    start.mkdir()
    assert cut(start, match_recording, "--test-split", 0.4).returncode == 0
    for split, class_name, name, *_ in rows(start):
        folder = start / "data" / split / class_name
        for number in (1, 2):
            (folder / f"{name}-{number:04d}.jpg").write_text("frame")
        (folder / f"{name}-frames.json").write_text(f'{{"clip": "{name}.mp4", "frames": 2, "seconds": 1.0}}')
        sequences = start / "data/sequences/x" / split / class_name
        sequences.mkdir(parents=True, exist_ok=True)
        (sequences / f"{name}-2-features.npy").write_text("features")
    write_data_file(start / "data", [(*row[:3], 2) for row in rows(start)])
    (start / "labels.csv").write_text(labels)

    def again(folder):
        monkeypatch.chdir(folder)
        return cut_clips(
            match_recording, "labels.csv", CutOptions(seconds=seconds, seed=3, quiet=True)
        ).failed

    shutil.copytree(start, tmp_path / "undisturbed")
    assert again(tmp_path / "undisturbed") == 0
    expected = everything(tmp_path / "undisturbed")
    assert expected != everything(start) and footage(tmp_path / "undisturbed")

    originals, left = {name: getattr(os, name) for name in ("remove", "replace", "rmdir")}, [0]

    def stopping(change):
        def change_or_stop(*arguments):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return change(*arguments)

        return change_or_stop

    for steps in range(0, 1000, stride):
        folder = tmp_path / str(steps)
        shutil.copytree(start, folder)
        left[0] = steps
        for name, change in originals.items():
            monkeypatch.setattr(os, name, stopping(change))
        try:
            again(folder)
            finished = True
        except Killed:
            finished = False
        for name, change in originals.items():
            monkeypatch.setattr(os, name, change)
        if finished:
            break
        assert again(folder) == 0
        for leftover in list(folder.rglob(".*.tmp*")):  # of this process, which was not killed
            leftover.unlink()
        assert everything(folder) == expected, steps
        shutil.rmtree(folder)
    assert steps > 30


@pytest.mark.parametrize(
    "row",
    [
        "train,A,../../../outside/evil_1,/x.mp4,0.0,0.0,25",
        "train,A,/tmp/evil_1,/x.mp4,0.0,0.0,25",
        "../x,A,A_train_1,/x.mp4,0.0,0.0,25",
        "train,../..,A_train_1,/x.mp4,0.0,0.0,25",
        "train,,A_train_1,/x.mp4,0.0,0.0,25",
        "train,.git,A_train_1,/x.mp4,0.0,0.0,25",
        "train,A,A_train_1,/x.mp4,0.0,0.0,0",
        "train,A,A_train_1,/x.mp4,0.0,nan,25",
        "train,A,A_train_1,/x.mp4,0.0,1e999,25",
        "train,A,A_train_1,/x.mp4,0.0,1e308,25",
        "train,A,A_train_1,/x.mp4,0.0,1000000000.5,25",
        "train,A,A_train_1,/x.mp4,-1.0,0.0,25",
        "train,A,A_train_1,/x.mp4,0.0,1e-99999999,25",
        "train,A,A_train_1,/x.mp4,0.0,0.0,25,1e308",
        "train,A,A_train_x,/x.mp4,0.0,0.0,25",
        "train,A,A_train_\u0661,/x.mp4,0.0,0.0,25",
        "train,A,A_train_1,/x.mp4,0.0,0.0,25,5,abc",
        "train,A,A_train_1,/x.mp4,0.0,0.0,25,5,,x",
        "train,A,A_train_1,/x.mp4,0.0,0.0",
    ],
)
def test_names_in_clips_csv_are_names(match_recording, tmp_path, quick, row):
    """Checked where the file is read: nothing outside of the data folder is written or removed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "evil_1.mp4").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/clips.csv").write_text(row.replace("/x.mp4", str(match_recording)) + "\n")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert_one_line_error(
        cut(tmp_path, match_recording),
        1,
        "data/clips.csv: a row that cut_clips.py did not write, ",
        "(line 1: ",
    )
    assert sorted(str(path) for path in tmp_path.rglob("*") if path.name != "labels.csv") == before
