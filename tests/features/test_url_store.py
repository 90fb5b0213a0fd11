"""Sequences at a place that a URL names, of which the dataset's folder is the cache."""

import os
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import (
    ARTICLE_ARGUMENTS,
    CLASSES,
    LENGTH,
    assert_one_line_error,
    assert_same_features,
    read_sequences,
    render,
    run,
)

from data import DataSet
from vidclass.dataset.data_file import Clip, write_data_file
from vidclass.features.sequence_store import UrlStore

pytest.importorskip("pyarrow")
ARGUMENTS = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
EVALUATE = ("evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5", "--quiet")


@pytest.fixture(params=["file", pytest.param("memory", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """(a URL, a function that gives the content of all sequences there, one that writes one)."""
    if request.param == "file":
        root = tmp_path / "shared place"
        return (
            f"file://{str(root).replace(' ', '%20')}",
            lambda: {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.npy")},
            lambda name, content: (root / name).write_bytes(content),
        )
    fsspec = pytest.importorskip("fsspec")
    files, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    return (
        f"memory:/{root}",
        lambda: {name.removeprefix(f"{root}/"): files.cat(name) for name in files.find(root)},
        lambda name, content: files.pipe(f"{root}/{name}", content),
    )


def test_train_and_evaluate_read_what_extract_features_wrote(copy, place):
    """Without a sequence in the dataset's folder: those of the place are copied, none is extracted again."""
    url, content, _ = place
    expected = {
        name: (copy / "data/sequences" / name).read_bytes()
        for name in read_sequences(copy / "data/sequences")
    }
    assert run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url).returncode == 0
    assert content() == expected  # those of the folder were copied
    shutil.rmtree(copy / "data/sequences")
    shutil.rmtree(copy / "data/train")  # nothing could be extracted
    result = run(copy, "train.py", *ARGUMENTS, "--epochs", 1, "--sequences", url)
    assert result.returncode == 0, result.stderr
    assert "All 16 sequences are there already" in result.stdout and "Test accuracy" in result.stdout
    assert {
        name: (copy / "data/sequences" / name).read_bytes()
        for name in read_sequences(copy / "data/sequences")
    } == expected
    shutil.rmtree(copy / "data/sequences")
    result = run(copy, *EVALUATE, "--sequences", url)
    assert result.returncode == 0 and "of 4 clips" in result.stdout
    assert len(list((copy / "data").rglob("*.npy"))) == 4 and not list((copy / "data").rglob(".*.tmp"))
    assert run(copy, *EVALUATE).returncode == 0  # they are in the folder now


@pytest.mark.slow
@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_train_extracts_what_the_place_lacks_and_saves_it_in_both(copy, place):
    url, content, write = place
    expected = read_sequences(copy / "data/sequences")
    exact = (*ARGUMENTS, "--precision", "float32", "--sequences", url)  # as the project's own features are
    run(copy, "extract_features.py", *exact)
    names = sorted(content())
    write(names[0], content()[names[0]][:1000])  # half-written
    shutil.rmtree(copy / "data/sequences")
    result = run(copy, "train.py", *exact, "--epochs", 1)
    assert result.returncode == 0 and "1 sequence extracted, 15 were there already" in result.stdout, (
        result.stderr
    )
    assert_same_features(read_sequences(copy / "data/sequences"), expected, 0.999999)
    assert len(content()[names[0]]) == len(content()[names[1]])


def test_a_damaged_sequence_at_the_place_is_named(copy, place):
    url, content, write = place
    run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url)
    name, whole = sorted(content().items())[0]
    shutil.rmtree(copy / "data/sequences")
    for damaged in (b"x" + whole[1:], whole[:-4] + np.float32("nan").tobytes()):
        write(name, damaged)
        result = run(copy, *EVALUATE, "--sequences", url)
        assert_one_line_error(result, 1, os.path.basename(name), "is damaged; delete it there and run again")
        assert not (copy / "data/sequences" / name).exists()


def test_evaluate_names_what_is_in_neither(copy, place):
    shutil.rmtree(copy / "data/sequences")
    assert_one_line_error(
        run(copy, *EVALUATE, "--sequences", place[0]),
        1,
        "and 3 more: no such feature sequence",
        "python extract_features.py 8 2 80 96",
    )


def test_a_clip_that_was_replaced_is_not_taken_from_the_place(copy, tmp_path):
    """Its sequence there is of the clip before."""
    url = f"file://{tmp_path}/place"
    run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url)
    (before,) = (tmp_path / "place").rglob("Grey_train_0*.npy")
    old = before.read_bytes()
    for path in (tmp_path / "place").rglob("*.npy"):
        os.utime(path, (time.time() - 100,) * 2)
    clip = copy / "data/train/Grey/Grey_train_0.mp4"
    clip.unlink()
    render(clip, "Colour", 77)
    assert run(copy, "extract_files.py", "mp4", "--quiet").returncode == 0
    assert (
        "1 sequence extracted, 15 were there already"
        in run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url).stdout
    )
    assert before.read_bytes() != old
    assert "All 16 sequences" in run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url).stdout
    # Also where it is only listed, not split.
    os.utime(before, (time.time() - 100,) * 2)
    clip.unlink()
    render(clip, "Colour", 5)
    result = run(copy, "extract_features.py", *ARGUMENTS, "--sequences", url, "--from-video")
    assert "1 sequence extracted, 15 were there already" in result.stdout


@pytest.mark.parametrize("script", ["extract_features.py", "train.py", "evaluate.py"])
def test_places_that_cannot_be_reached_are_named_before_anything_is_done(copy, script):
    shutil.rmtree(copy / "data/sequences")
    (copy / "file").touch()
    unreachable = (
        "s3://bucket/x?endpoint_override=127.0.0.1:1&scheme=http&access_key=a&secret_key=b&region=x"
        "&connect_timeout=1&request_timeout=1",
        "nowhere://x/y",
        f"file://{copy}/file/x",
    )
    for url in unreachable:
        arguments = EVALUATE[1:] if script == "evaluate.py" else ARGUMENTS
        result = run(copy, script, *arguments, "--sequences", url)
        if script == "evaluate.py" and url.startswith("file"):
            assert_one_line_error(result, 1, "no such feature sequence")  # nothing is there
        else:
            assert_one_line_error(result, 1, url)
    assert not list(copy.rglob("*.npy"))


def test_names_that_are_no_text_and_what_looks_like_them(tmp_path):
    """Three clips whose files at the URL must not be one."""
    names = ["caf\udce9", "caf\\udce9", "caf\\\\udce9", "plain\\x", "a b%20", "new\nline"]
    (tmp_path / "data").mkdir()
    write_data_file(tmp_path / "data", [("train", "A\udcff", name, 10) for name in names])
    dataset = DataSet(2, 1, (80, 96, 3), tmp_path / "data")
    place = UrlStore(dataset, "random", f"file://{tmp_path}/place")
    for number, row in enumerate(dataset.data):
        place.save(row, np.full((2, 2048), number))
    assert place.missing(dataset.data) == [] and all(map(place.has, dataset.data))
    place.download(dataset.data, quiet=True)
    for number, row in enumerate(dataset.data):
        assert place.folder.load(row)[0, 0] == number


def test_without_pyarrow(copy, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_one_line_error(
        run(copy, *EVALUATE, "--sequences", "s3://x/y"), 1, "--sequences needs pyarrow: pip install"
    )


@pytest.mark.parametrize(
    "replaced, valid",
    [
        ("1e999", True),
        ("1" + "0" * 400, True),
        ('"x"', True),
        ("[1]", True),
        ("true", True),
        ("NaN", True),
        ("-1", True),
        ("null", True),
        ("1000", True),
        ("2000", False),
        ("1000.9", True),
    ],
)
def test_a_note_that_tells_no_time_tells_nothing(tmp_path, replaced, valid):
    """The sequence is of second 1000."""
    row = Clip("train", "A", "a", 10)
    (tmp_path / "train/A").mkdir(parents=True)
    (tmp_path / "train/A/a-frames.json").write_text(f'{{"seconds": 1, "frames": 10, "replaced": {replaced}}}')
    dataset = SimpleNamespace(data_dir=tmp_path, seq_length=2, image_shape=(80, 96, 3))
    place = UrlStore(dataset, "random", f"file://{tmp_path}/place")
    info = SimpleNamespace(size=place.folder.file_bytes, mtime_ns=1000 * 10**9)
    assert place._is_valid(row, info) is valid
