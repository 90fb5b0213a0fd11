"""cut_clips.py as a user runs it, on recordings whose frames show their number."""

import csv
import os
import shutil
import subprocess
from fractions import Fraction

import pytest
from conftest import assert_one_line_error, count_frames, run, variable_rate
from helpers import ffmpeg

from vidclass import locks
from vidclass.dataset.labels import Label
from vidclass.dataset.recording_labels import check_start, frame_time, open_recording
from vidclass.video.ffmpeg import passthrough
from vidclass.video.probe import probe

LABELS = (
    "start,end,class\n0,4.1,Football\n4.1,7,Commercial\n7,10.5,Football\n10.5,14,Commercial\n14,16,Football\n"
)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """16 s at 25 and 29.97 frames per second, and at a rate that varies. The luminance of frame n is 16 + 2
    (n mod 100)."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, rate, extra in (
        ("25.mp4", "25", ()),
        ("29.97.mp4", "30000/1001", ()),
        # Of the second five seconds only every third frame is there.
        ("vfr.mkv", "30", ("-vf", "select='not(between(t,5,10))+not(mod(n,3))'", *variable_rate())),
    ):
        ffmpeg(
            "-f lavfi -i",
            f"color=black:size=64x48:rate={rate}:duration=16,format=yuv444p,geq=lum='16+2*mod(N,100)':cb=128:cr=128",
            *extra,
            "-g 30 -pix_fmt yuv420p",
            folder / name,
        )
    return folder


def shown(path):
    """The numbers that a video's frames show, modulo 100; gray is of full range."""
    pipe = ffmpeg(
        "-i",
        path,
        *passthrough(),
        "-vf format=gray,crop=1:1:32:24 -pix_fmt gray -f rawvideo -",
        capture_output=True,
    ).stdout
    return [round(value * 219 / 255 / 2) for value in pipe]


def clips(folder):
    return sorted(str(path.relative_to(folder / "data")) for path in folder.rglob("data/t*/**/*.mp4"))


def cut(folder, recording, *options, labels=LABELS):
    (folder / "labels.csv").write_text(labels)
    return run(folder, "cut_clips.py", recording, "labels.csv", *options)


@pytest.mark.parametrize("name, frames", [("25.mp4", 25), ("29.97.mp4", 30)])
def test_clips_have_the_frames_of_their_label(recordings, tmp_path, name, frames):
    result = cut(tmp_path, recordings / name, "--seconds", 1, "--test-split", 0.3)
    assert result.returncode == 0, result.stderr
    rate = probe(recordings / name).fps
    with open(tmp_path / "data/clips.csv", newline="") as file:
        rows = {row[2]: row for row in csv.reader(file)}
    assert clips(tmp_path) == sorted(
        f"{split}/{class_name}/{clip}.mp4" for split, class_name, clip, *_ in rows.values()
    )
    assert len(rows) >= 12
    expected = {"Football": [(0, 4.1), (7, 10.5), (14, 16)], "Commercial": [(4.1, 7), (10.5, 14)]}
    for split, class_name, clip, recording, stretch, start, count, *_ in rows.values():
        path = tmp_path / "data" / split / class_name / f"{clip}.mp4"
        assert recording == str(recordings / name) and int(count) == frames == count_frames(path)
        if shutil.which("ffprobe"):
            counted = subprocess.run(
                [
                    "ffprobe",
                    "-v",
                    "error",
                    "-count_frames",
                    "-show_entries",
                    "stream=nb_read_frames,codec_type",
                    "-of",
                    "csv=p=0",
                    path,
                ],
                capture_output=True,
                text=True,
            ).stdout
            assert counted.strip() == f"video,{frames}"  # and no sound
        first = round(float(start) * float(rate))
        assert shown(path) == [number % 100 for number in range(first, first + frames)]
        ((begin, end),) = [label for label in expected[class_name] if label[0] == float(stretch)]
        assert begin * float(rate) <= first and first + frames - 1 < end * float(
            rate
        )  # frames that begin within it
        assert abs(float(probe(path).fps - rate)) < 1e-3


def test_all_clips_of_a_recording_for_one_split(recordings, tmp_path):
    """To test on another recording than that of the training clips; also one that was cut before."""
    assert cut(tmp_path, recordings / "25.mp4", "--seconds", 1).returncode == 0
    assert {clip.split("/")[0] for clip in clips(tmp_path)} == {"train", "test"}
    for split in ("test", "train"):
        assert cut(tmp_path, recordings / "25.mp4", "--seconds", 1, "--split", split).returncode == 0
        assert {clip.split("/")[0] for clip in clips(tmp_path)} == {split} and len(clips(tmp_path)) >= 12
    assert cut(tmp_path, recordings / "29.97.mp4", "--seconds", 1, "--split", "test").returncode == 0
    assert {clip.split("/")[0] for clip in clips(tmp_path)} == {"train", "test"}


def test_clips_of_a_variable_rate_have_equally_many_frames(recordings, tmp_path):
    result = cut(tmp_path, recordings / "vfr.mkv", "--seconds", 1)
    assert result.returncode == 0, result.stderr
    assert (
        len(clips(tmp_path)) >= 12
        and len({count_frames(tmp_path / "data" / path) for path in clips(tmp_path)}) == 1
    )
    # The clips' times are right: the recording's frame at 8 s has number 240.
    with open(tmp_path / "data/clips.csv", newline="") as file:
        for split, class_name, clip, _, _, start, *_ in csv.reader(file):
            first = shown(tmp_path / "data" / split / class_name / f"{clip}.mp4")[0]
            assert min((first - 30 * float(start)) % 100, (30 * float(start) - first) % 100) <= 3


def test_stretches_stay_whole(recordings, tmp_path):
    """Several seeds: no stretch is in both splits, each class has some in both, and the share is near."""
    chosen = set()
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        result = cut(folder, recordings / "25.mp4", "--seconds", 0.5, "--test-split", 0.4, "--seed", seed)
        with open(folder / "data/clips.csv", newline="") as file:
            rows = list(csv.reader(file))
        stretches = {(row[1], row[4]): set() for row in rows}
        for row in rows:
            stretches[row[1], row[4]].add(row[0])
        assert all(len(splits) == 1 for splits in stretches.values())
        assert all(
            {split for key, splits in stretches.items() if key[0] == name for split in splits}
            == {"train", "test"}
            for name in ("Football", "Commercial")
        )
        chosen.add(frozenset(key for key, splits in stretches.items() if splits == {"test"}))
        assert "to be cut" in result.stdout
    assert len(chosen) > 1


def test_a_dry_run_writes_nothing(recordings, tmp_path):
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, "--dry-run")
    assert result.returncode == 0 and os.listdir(tmp_path) == ["labels.csv"]
    assert "Commercial: " in result.stdout and "clips of 25 frames, 1.000 s; " in result.stdout


def test_nothing_is_cut_twice_and_more_recordings_go_on(recordings, tmp_path):
    assert cut(tmp_path, recordings / "25.mp4", "--seconds", 1).returncode == 0
    before = {path: os.stat(tmp_path / "data" / path).st_mtime_ns for path in clips(tmp_path)}
    gone = sorted(before)[0]
    (tmp_path / "data" / gone).unlink()
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, "--seed", 9)
    assert f"1 clip cut, {len(before) - 1} were there already, 0 failed" in result.stdout
    assert all(
        os.stat(tmp_path / "data" / path).st_mtime_ns == time for path, time in before.items() if path != gone
    )
    assert cut(tmp_path, recordings / "vfr.mkv", "--seconds", 1).returncode == 0
    assert len(clips(tmp_path)) == 2 * len(before)
    names = [os.path.basename(path) for path in clips(tmp_path)]
    assert len(set(names)) == len(names)


def test_the_rest_has_a_class(recordings, tmp_path):
    (tmp_path / "x.edl").write_text("4 8 0\n12 15 0\n")
    result = run(
        tmp_path,
        "cut_clips.py",
        recordings / "25.mp4",
        "x.edl",
        "--seconds",
        1,
        "--edl-class",
        "Ad",
        "--rest",
        "Match",
    )
    assert result.returncode == 0 and "Ad: " in result.stdout and "of 2 stretches" in result.stdout
    assert (
        sum("Ad" in path for path in clips(tmp_path)) == 7
        and sum("Match" in path for path in clips(tmp_path)) == 9
    )


def test_labels_that_are_too_short_are_named(recordings, tmp_path):
    """A class of which nothing would be left stops it, unless the dataset has clips of it from elsewhere."""
    result = cut(
        tmp_path, recordings / "25.mp4", "--seconds", 1, labels="0,4,A\n4,4.5,B\n5,7,B\n7,7.96,A\n8,10.9,B\n"
    )
    assert result.returncode == 0
    short = [line for line in result.stderr.splitlines() if "left out" in line]
    assert short == [
        "labels.csv, line 2: left out, B lasts 0.500 s there, a clip 1.000 s",
        "labels.csv, line 4: left out, A lasts 0.960 s there, a clip 1.000 s",
    ]
    assert len(clips(tmp_path)) == 8
    before = clips(tmp_path)
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, labels="0,4,A\n5,5.5,B\n6,6.9,B\n")
    assert_one_line_error(
        result,
        1,
        "labels.csv: class B would get no clip, its longest label has 0.900 s and a clip 1.000 s: give fewer "
        "--seconds, or leave its 2 labels out",
    )
    assert clips(tmp_path) == before and result.stdout == ""
    (tmp_path / "data/train/B/mine.MP4").write_text("a clip of another recording")
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, labels="0,4,A\n5,5.5,B\n")
    assert result.returncode == 0 and "labels.csv: no clip of class B" in result.stderr
    assert os.listdir(tmp_path / "data/train/B") == ["mine.MP4"]


def test_many_short_labels_are_counted(recordings, tmp_path):
    labels = "".join(f"{i / 2},{i / 2 + 0.3},A\n" for i in range(25)) + "14,16,A\n"
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, "--dry-run", labels=labels)
    assert result.stderr.count("left out") == 20 and "... and 5 more of this kind" in result.stderr


def test_empty_starts_and_ends_are_the_recordings(recordings, tmp_path):
    """As LosslessCut writes them."""
    result = cut(
        tmp_path, recordings / "25.mp4", "--seconds", 2, labels=",5,Football\n5,9,Commercial\n9,,Football\n"
    )
    assert result.returncode == 0, result.stderr
    with open(tmp_path / "data/clips.csv", newline="") as file:
        starts = sorted(float(row[5]) for row in csv.reader(file))
    assert starts == [0, 2, 5, 7, 9, 11, 13]


def test_numbers_and_words_agree(recordings, tmp_path):
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, labels="0,1,A\n1,4,B\n6,8,B\n")
    assert "A: 1 clip to train on, 0 to test on, of 1 stretch\n" in result.stdout
    assert (
        "of 2 stretches\n" in result.stdout and "6 clips of 25 frames, 1.000 s; 6 to be cut" in result.stdout
    )
    (tmp_path / "data/train/A/A_train_1.mp4").unlink()
    result = cut(tmp_path, recordings / "25.mp4", "--seconds", 1, labels="0,1,A\n1,4,B\n6,8,B\n")
    assert "1 clip cut, 5 were there already, 0 failed" in result.stdout


def test_a_class_that_can_be_no_folder(recordings, tmp_path):
    for options in (("--rest", "../x"), ("--rest", "."), ("--rest", "a/b")):
        assert_one_line_error(cut(tmp_path, recordings / "25.mp4", *options), 1, "can't be a class")
    assert os.listdir(tmp_path) == ["labels.csv"]


def test_one_run_at_a_time(recordings, tmp_path):
    """Nothing is planned while another run writes; a dry run only looks."""
    (tmp_path / "data").mkdir()
    held = locks.take(tmp_path / "data/.lock")  # as another process does
    try:
        (tmp_path / "data/clips.csv").write_text("not ours")  # isn't read
        assert_one_line_error(
            cut(tmp_path, recordings / "25.mp4", "--seconds", 1), 1, "another run is writing there"
        )
        (tmp_path / "data/clips.csv").unlink()
        assert cut(tmp_path, recordings / "25.mp4", "--seconds", 1, "--dry-run").returncode == 0
    finally:
        locks.release(held, tmp_path / "data/.lock")


@pytest.mark.parametrize(
    "labels, mentions",
    [
        ("0,5,A\n4,8,B\n", "labels.csv, line 2: overlaps line 1"),
        ("0,5,A\n5,18,B\n", "line 2: ends at 18.000 s, but"),
        ("0,5,A\n5,x,B\n", "line 2: 'x' is not a time"),
        ("0,0.5,A\n", "no label is as long as a clip of 25 frames"),
        ("0,4,A\n5,5.5,B\n", "class B would get no clip, its longest label has 0.500 s and a clip 1.000 s"),
        ("0,4,A\n17,,B\n", "line 2: starts at 17.000 s, but"),
        (",18,A\n", "line 1: ends at 18.000 s, but"),
        ("O,18,A\n", "line 1: 'O' is not a time"),
    ],
)
def test_bad_labels(recordings, tmp_path, labels, mentions):
    assert_one_line_error(cut(tmp_path, recordings / "25.mp4", "--seconds", 1, labels=labels), 1, mentions)
    assert os.listdir(tmp_path) == ["labels.csv"]


def test_bad_files_and_usage(recordings, tmp_path):
    assert_one_line_error(cut(tmp_path, "none.mp4"), 1, "none.mp4: no such video file")
    assert_one_line_error(
        run(tmp_path, "cut_clips.py", recordings / "25.mp4", "none.csv"), 1, "none.csv: No such file"
    )
    assert (
        run(tmp_path, "cut_clips.py", recordings / "25.mp4", "labels.csv", "--seconds", "0").returncode == 2
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/clips.csv").write_text("train,A\n")
    assert_one_line_error(
        cut(tmp_path, recordings / "25.mp4"), 1, "clips.csv: a row that cut_clips.py did not write, train,A"
    )


def test_a_recording_that_ends_early_is_named(recordings, tmp_path):
    """Its header counts frames that are not there."""
    ffmpeg("-i", recordings / "25.mp4", "-c copy -movflags +faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "short.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    result = cut(tmp_path, "short.mp4", "--seconds", 1)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    failed = [line for line in result.stderr.splitlines() if "short.mp4: at " in line]
    assert failed and f"{len(failed)} failed" in result.stdout
    assert all(count_frames(tmp_path / "data" / path) == 25 for path in clips(tmp_path)) and clips(tmp_path)


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_classes_that_look_alike_are_named(recordings, tmp_path, options):
    """Among the labels, and between them and the dataset."""
    (tmp_path / "data/train/advert").mkdir(parents=True)
    result = cut(
        tmp_path, recordings / "25.mp4", "--seconds", 1, *options, labels="0,2,Match\n2,4,match\n4,6,Advert\n"
    )
    assert result.returncode == 0, result.stderr
    assert "Classes 'Match' and 'match' are taken for 2" in result.stderr
    assert (
        "Classes 'Advert' and 'advert' are taken for 2" in result.stderr
        and result.stderr.count("look alike") == 2
    )


@pytest.fixture
def late(recordings, monkeypatch):
    """A recording of 16 s whose picture begins at 2.01 s, a quarter of a frame after frame 50."""
    monkeypatch.setattr("vidclass.dataset.recording_labels.first_picture", lambda path, fps, limits: 2.01)
    return recordings / "25.mp4"


def test_labels_of_a_picture_that_begins_late(late, tmp_path):
    """What is before the picture has no clips, what is near its end has."""
    source = open_recording(late)
    assert (source.start, source.seconds) == (2.01, 18.0)
    result = cut(tmp_path, late, "--seconds", 2, "--dry-run", labels="0,5.9,A\n5.9,13,B\n14,18,A\n")
    assert result.returncode == 0 and "6 clips of 50 frames" in result.stdout, result.stderr
    result = cut(tmp_path, late, "--seconds", 2, "--dry-run", "--rest", "C", labels="0.5,7,A\n7,14,B\n")
    assert (
        result.returncode == 0 and "C: 2 clips to train on" in result.stdout and "A: 2 clips" in result.stdout
    ), result.stderr
    assert_one_line_error(
        cut(tmp_path, late, labels="0,1.9,A\n5,9,B\n"),
        1,
        "labels.csv, line 1: ends at 1.900 s, but the picture of ",
        "begins at 2.010 s; leave the label out",
    )
    assert_one_line_error(
        cut(tmp_path, late, labels="5,18.6,A\n"), 1, "labels.csv, line 1: ends at 18.600 s, but"
    )


@pytest.mark.parametrize("start, shown_from", [(0.0, 2.0), (1.96, 1.96), (1.94, 2.0), (2.5, 2.5)])
def test_a_label_starts_with_the_picture_if_it_is_much_later(late, start, shown_from):
    (label,) = check_start([Label(start, 9.0, "A", 1)], "labels.csv", open_recording(late))
    assert label.start == shown_from


@pytest.mark.parametrize(
    "fps, frames", [(Fraction(30000, 1001), 100), (Fraction(25), 33), (Fraction(24000, 1001), 4567)]
)
def test_a_recording_ends_after_its_last_frame(fps, frames):
    """Times are rounded to microseconds: not to one in which another frame would begin."""
    assert -(-Fraction(f"{frame_time(frames, fps):.6f}") * fps // 1) == frames


def test_a_recording_whose_sound_begins_first(recordings, tmp_path):
    """As cutting.py finds it: the plan has no clip that can't be cut."""
    ffmpeg(
        "-itsoffset 2 -i",
        recordings / "25.mp4",
        "-f lavfi -i sine=duration=18 -map 0:v -map 1:a -c:v copy -c:a aac",
        tmp_path / "late.mkv",
    )
    result = cut(tmp_path, "late.mkv", "--seconds", 1, labels="0,4,A\n4,9,B\n14,18,A\n")
    assert result.returncode == 0 and "11 clips cut, 0 were there already, 0 failed" in result.stdout, (
        result.stdout,
        result.stderr,
    )


@pytest.mark.parametrize("name", ["late.mkv", "late.ts"])
def test_sound_before_and_behind_the_picture(recordings, tmp_path, name):
    """Their headers tell only how long both are together."""
    ffmpeg(
        "-itsoffset 1.96 -i",
        recordings / "25.mp4",
        "-f lavfi -i sine=duration=21 -map 0:v -map 1:a -c:v copy -c:a aac",
        tmp_path / name,
    )
    assert open_recording(tmp_path / name).seconds == pytest.approx(17.96, abs=0.1)


@pytest.mark.slow
def test_frames_larger_than_the_default_limit(tmp_path):
    """The limit that was given counts for the finished clips, too."""
    ffmpeg(
        "-f lavfi -i testsrc2=s=8400x8000:r=2:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 1",
        tmp_path / "large.mp4",
    )
    (tmp_path / "labels.csv").write_text("0,1,A\n")
    arguments = ("large.mp4", "labels.csv", "--seconds", 0.5, "--quiet")
    assert_one_line_error(run(tmp_path, "cut_clips.py", *arguments), 1, "large.mp4", "--max-pixels")
    result = run(tmp_path, "cut_clips.py", *arguments, "--max-pixels", 8400 * 8000)
    assert result.returncode == 0 and "2 clips cut" in result.stdout, result.stderr
