"""extract_features.py beyond the frames beside the clips: from videos, in shards, to other places."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from conftest import (
    ARTICLE_ARGUMENTS,
    LENGTH,
    assert_one_line_error,
    assert_same_features,
    count_frames,
    read_sequences,
    render,
    run,
)
from hypothesis import given
from hypothesis import strategies as st

from data import DataSet
from extract_features import choose_shard
from vidclass.dataset.data_file import SPLITS, Clip, read_data_file
from vidclass.dataset.listing import list_unsplit
from vidclass.features.extraction import ClipLoader
from vidclass.features.sampling import evenly_spaced_indices
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.images import resize
from vidclass.video.limits import VideoLimits
from vidclass.video.probe import probe as video_probe
from vidclass.video.reader import FrameReader

ARGUMENTS = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
EXACT = (*ARGUMENTS, "--precision", "float32")  # as the project's own features are


@pytest.fixture
def unsplit(project, tmp_path):
    """A folder with the project's clips and nothing that was made of them."""
    shutil.copytree(
        project / "data",
        tmp_path / "unsplit/data",
        ignore=shutil.ignore_patterns(
            "*.jpg", "*.json", "*.csv", "sequences", "checkpoints", "logs", "reports"
        ),
    )
    return tmp_path / "unsplit"


def test_from_video_gives_the_features_of_the_frames(project, unsplit):
    """No image is written, data_file.csv is the same, and train.py needs no frames either."""
    result = run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video")
    assert result.returncode == 0 and "16 sequences extracted" in result.stdout
    assert not list(unsplit.rglob("*.jpg"))
    assert (unsplit / "data/data_file.csv").read_text() == (project / "data/data_file.csv").read_text()
    assert_same_features(
        read_sequences(unsplit / "data/sequences"), read_sequences(project / "data/sequences"), 0.99
    )
    assert "All 16 sequences" in run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video").stdout
    # At another size the clips are decoded again, though no one says so.
    height, width = ARTICLE_ARGUMENTS[2:]
    result = run(
        unsplit,
        "train.py",
        *ARTICLE_ARGUMENTS[:2],
        height + 8,
        width,
        "--weights",
        "random",
        "--quiet",
        "--epochs",
        1,
    )
    assert result.returncode == 0 and "16 sequences extracted" in result.stdout
    assert not list(unsplit.rglob("*.jpg"))
    # And with frames the features that were not made of them are forgotten.
    assert run(unsplit, "extract_files.py", "mp4", "--quiet").returncode == 0
    assert len(list(unsplit.rglob("*.jpg"))) == 16 * 25 and not list(unsplit.rglob("*.npy"))


def test_headers_that_miscount_are_corrected(unsplit):
    """A variable rate, a clip cut short, one whose header counts no frames: data_file.csv tells what ffmpeg
    decodes."""
    folder = unsplit / "data/train/Grey"
    whole = folder / "Grey_train_0.mp4"
    ffmpeg = [find_ffmpeg(), "-v", "error", "-y", "-i", whole]
    subprocess.run([*ffmpeg, "-c", "copy", folder / "counted.mkv"], check=True)
    subprocess.run([*ffmpeg, "-c:v", "mpeg4", "-q:v", "2", "-g", "5", folder / "whole.avi"], check=True)
    content = (folder / "whole.avi").read_bytes()
    for name, frames in (("cut", 15), ("few", 5)):  # all frames are of one size, more or less
        (folder / f"{name}.avi").write_bytes(
            content[: content.index(b"movi") + (len(content) - content.index(b"movi")) * frames // 25]
        )
    result = run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video")
    rows = {row.name: row.frames for row in read_data_file(unsplit / "data")}
    for path in folder.glob("*.*"):
        if path.suffix in (".mp4", ".mkv", ".avi"):
            assert rows[path.stem] == count_frames(path)
    assert rows["cut"] >= LENGTH > rows["few"]
    assert "train/Grey/cut: damaged: " in result.stderr and "kept what there is" in result.stderr
    assert (
        result.returncode == 1
        and f"few: left out, {rows['few']} frames are fewer than the sequence length" in result.stderr
    )
    again = run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video")
    assert (
        again.returncode == 0 and "All 19 sequences are there already" in again.stdout
    )  # few is known to be too short now


def test_from_video_names_what_it_cannot_read(unsplit):
    (unsplit / "data/train/Grey/text.mp4").write_text("no video")
    shutil.copy(unsplit / "data/train/Grey/Grey_train_0.mp4", unsplit / "data/train/Grey/Grey_train_1.mov")
    result = run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video")
    assert (
        result.returncode == 1 and "15 sequences extracted, 0 were there already, 0 failed" in result.stdout
    )
    assert "text.mp4: left out, no video that can be read" in result.stderr
    assert result.stderr.count("beside it would have frames of the same names") == 2
    # A note that names a file elsewhere is not followed.
    note = unsplit / "data/train/Grey/Grey_train_0-frames.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "clip": "../../../../secret.mp4"}))
    shutil.rmtree(unsplit / "data/sequences")
    result = run(unsplit, "extract_features.py", *ARGUMENTS)
    assert result.returncode == 1 and "Grey_train_0: left out, nothing says which file it is" in result.stderr


def test_headers_that_tell_of_a_billion_frames_and_clips_without_end(unsplit, monkeypatch):
    monkeypatch.setattr("extract_features.VideoLimits", lambda **given: VideoLimits(**given, max_frames=30))
    monkeypatch.setattr(
        "vidclass.dataset.listing.probe", lambda *given: video_probe(*given)._replace(frames=10**12)
    )
    render(unsplit / "data/train/Grey/long.mp4", "Grey", 1, seconds=2)
    result = run(unsplit, "extract_features.py", *ARGUMENTS, "--from-video")
    assert result.returncode == 1 and "16 sequences extracted" in result.stdout
    assert "train/Grey/long: left out, it has more than 30 frames; cut clips from it" in result.stderr
    assert {row.frames for row in read_data_file(unsplit / "data") if row.name != "long"} == {25}


ROWS = st.lists(
    st.builds(Clip, st.sampled_from(SPLITS), st.sampled_from("AB"), st.text(max_size=3), st.integers(1, 500)),
    unique_by=lambda row: row[:3],
    max_size=40,
)


@given(ROWS, st.integers(1, 9), st.randoms())
def test_shards_are_fair(rows, count, random):
    shuffled = random.sample(rows, len(rows))
    shards = [choose_shard(rows, number, count) for number in range(1, count + 1)]
    assert sorted(sum(shards, [])) == sorted(rows)
    assert [sorted(shard) for shard in shards] == [
        sorted(choose_shard(shuffled, number, count)) for number in range(1, count + 1)
    ]
    lengths = [len(shard) for shard in shards]
    assert max(lengths) - min(lengths) <= 1
    # What a run corrects, the numbers of frames, changes nothing.
    corrected = [row._replace(frames=random.randint(0, 500)) for row in shuffled]
    assert [
        [row[:3] for row in choose_shard(corrected, number, count)] for number in range(1, count + 1)
    ] == [[row[:3] for row in shuffled if row in shard] for shard in shards]


def test_shards_together_do_all(copy):
    expected = read_sequences(copy / "data/sequences")
    shutil.rmtree(copy / "data/sequences")
    for number, count in ((1, 6), (2, 5), (3, 5)):
        result = run(copy, "extract_features.py", *EXACT, "--shard", f"{number}/3")
        assert result.returncode == 0 and f"{count} sequences extracted" in result.stdout
    assert_same_features(read_sequences(copy / "data/sequences"), expected, 0.999999)
    for wrong in ("0/3", "4/3", "1", "1/0", "a/b"):
        result = run(copy, "extract_features.py", *ARGUMENTS, "--shard", wrong)
        assert result.returncode == 2 and "1/4" in result.stderr


def test_shards_run_at_the_same_time_but_not_beside_other_runs(copy):
    import fcntl

    descriptor = os.open(copy / "data/.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # as a shard holds it
    assert run(copy, "extract_features.py", *ARGUMENTS, "--shard", "1/2").returncode == 0
    assert_one_line_error(
        run(copy, "extract_features.py", *ARGUMENTS), 1, "data: another run is writing there"
    )
    os.close(descriptor)


def test_clips_that_are_not_listed_are_told(copy):
    """As after labels were corrected and cut again: nobody trains on the old list without knowing."""
    arguments = (*ARTICLE_ARGUMENTS, "--weights", "random", "--precision", "float32", "--quiet")
    assert "does not list" not in run(copy, "extract_features.py", *arguments).stderr
    for name in ("Grey_train_0", "Grey_train_1"):
        shutil.copy(copy / f"data/train/Grey/{name}.mp4", copy / f"data/train/Grey/new_{name}.mp4")
    for script in ("extract_features.py", "train.py"):
        options = ("--epochs", 1) if script == "train.py" else ()
        result = run(copy, script, *arguments, *options)
        said = "data/data_file.csv does not list 2 clips of 18, as data/train/Grey/new_Grey_train_0.mp4: "
        assert result.returncode == 0
        assert result.stderr.count(f"{said}python extract_files.py mp4 adds those") == 1


def test_sequences_in_another_place(copy, tmp_path):
    """A file:// URL stands for all that pyarrow opens; half-written ones are made again."""
    pytest.importorskip("pyarrow")
    expected = read_sequences(copy / "data/sequences")
    shutil.rmtree(copy / "data/sequences")
    url = f"file://{tmp_path}/else where"
    assert run(copy, "extract_features.py", *EXACT, "--sequences", url.replace(" ", "%20")).returncode == 0
    assert_same_features(read_sequences(tmp_path / "else where"), expected, 0.999999)
    assert not (copy / "data/sequences").exists()
    one = next((tmp_path / "else where").rglob("*.npy"))
    one.write_bytes(one.read_bytes()[:1000])
    result = run(copy, "extract_features.py", *EXACT, "--sequences", url.replace(" ", "%20"))
    assert "1 sequence extracted, 15 were there already" in result.stdout
    assert_same_features(read_sequences(tmp_path / "else where"), expected, 0.999999)
    for wrong in ("nowhere://x/y", "plain/folder", "s3"):
        assert_one_line_error(run(copy, "extract_features.py", *ARGUMENTS, "--sequences", wrong), 1, wrong)


@pytest.mark.parametrize("told", [100, 60, 130, 999_999_999])
@pytest.mark.parametrize("extension", ["mp4", "mpg"])
def test_only_sampled_frames_are_read_and_they_are_the_same(tmp_path, make_clip, told, extension):
    """Against reading all of them, whatever number data_file.csv tells."""
    path = make_clip(f"data/train/A/a.{extension}", 4)
    list_unsplit(tmp_path / "data", quiet=True)
    dataset = DataSet(8, 1, (80, 96, 3), tmp_path / "data")
    clip, images, loss = ClipLoader(dataset).load_video(dataset.data[0]._replace(frames=told))
    frames = list(FrameReader(path))
    assert clip.frames == len(frames) == 100 and loss is None
    expected = [resize(frames[number], (80, 96, 3)) for number in evenly_spaced_indices(100, 8)]
    np.testing.assert_array_equal(np.stack(images), np.stack(expected))


def test_a_clip_of_many_frames_does_not_fill_memory(tmp_path, make_clip):
    """Only sampled frames are kept, at the network's size: 100 frames of 2.8 MB are decoded here."""
    import tracemalloc

    make_clip("data/train/A/long.mp4", 4, size="1280x720")
    make_clip("data/train/B/short.mp4", 1)
    list_unsplit(tmp_path / "data", quiet=True)
    dataset = DataSet(8, 2, (80, 96, 3), tmp_path / "data")
    tracemalloc.start()
    row, images, _ = ClipLoader(dataset).load_video(dataset.data[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row.name == "long" and len(images) == 8 and 2.8e6 < peak < 30e6
