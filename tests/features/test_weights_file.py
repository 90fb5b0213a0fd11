"""Finding the weights file again: at a path that a stranger chose nothing is opened but a plain file of a
possible size, and nothing is told but whether it is the one that is looked for."""

import hashlib
import os
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest
from conftest import CLASSES, LENGTH, assert_one_line_error, run

from vidclass.errors import UsageError
from vidclass.features import identity, inception, weights_file
from vidclass.features.identity import weights_id
from vidclass.features.weights_file import FOLDER, find_weights
from vidclass.training.checkpoint import Checkpoint, rewrite_metadata


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.weights.h5"
    path.write_bytes(b"weights" * 10**6)
    return path


def test_the_file_is_found_by_its_content(file, tmp_path, monkeypatch):
    expected = weights_id(file)
    assert find_weights(expected, str(file)) == str(file)
    assert find_weights(expected, None) is None and find_weights("0" * 12, str(file)) is None
    (tmp_path / "folder").mkdir()
    moved = file.rename(tmp_path / "folder/x.h5")
    (tmp_path / "folder/a.h5").write_bytes(b"others")
    (tmp_path / "folder/inner").mkdir()
    assert find_weights(expected, str(file)) is None
    monkeypatch.setenv(FOLDER, str(tmp_path / "folder"))
    assert find_weights(expected, str(file)) == str(moved)
    monkeypatch.setenv(FOLDER, str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=f"{FOLDER}: .*nowhere can't be read"):
        find_weights(expected)


def pipe(path):
    os.mkfifo(path)


def link_to_a_pipe(path):
    os.mkfifo(f"{path}-pipe")
    os.symlink(f"{path}-pipe", path)


def link_to_zeros(path):
    os.symlink("/dev/zero", path)


def link_to_itself(path):
    os.symlink(path, path)


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def huge(path):
    with open(path, "wb") as file:
        file.truncate(weights_file.MOST_BYTES + 1)


def folder(path):
    os.mkdir(path)


def empty(path):
    open(path, "wb").close()


@pytest.mark.parametrize(
    "make", [pipe, link_to_a_pipe, link_to_zeros, link_to_itself, unix_socket, huge, folder, empty]
)
def test_what_is_no_weights_file_is_not_read(tmp_path, monkeypatch, make):
    """It would hang, or read without end."""
    monkeypatch.chdir(tmp_path)
    make("x")
    monkeypatch.setattr(weights_file, "content_id", lambda chunks: pytest.fail("it is read"))
    assert find_weights("0" * 12, str(tmp_path / "x")) is None


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/proc/self/mem", "/proc/kmsg", "/nowhere", "/x" * 5000, "/a\0b"]
)
def test_paths_of_the_system(monkeypatch, path):
    monkeypatch.setattr(weights_file, "content_id", lambda chunks: pytest.fail("it is read"))
    assert find_weights("0" * 12, path) is None


def test_a_file_that_grows_is_read_to_the_size_it_had(file):
    with open(file, "rb") as stream:
        assert b"".join(weights_file._chunks(stream, 10)) == (b"weights" * 2)[:10]


@pytest.fixture
def with_weights(project, match, shared_weights):
    """A folder with a video, a file with weights, and a checkpoint that says it was trained with them."""
    checkpoint = match / "lstm-features.hdf5"
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", checkpoint)
    shutil.copy(shared_weights, match / "w.weights.h5")
    with Checkpoint(checkpoint) as file:
        metadata = replace(
            file.metadata,
            weights=weights_id(match / "w.weights.h5"),
            weights_name="w.weights.h5",
            weights_path=str(match / "w.weights.h5"),
        )
    rewrite_metadata(checkpoint, metadata)
    return match


def test_weights_need_not_be_given_again(with_weights, monkeypatch):
    classify = ("clasify.py", LENGTH, CLASSES, "lstm-features.hdf5", "video.mp4", "--no-video")
    given = run(with_weights, *classify, "--weights", "w.weights.h5", "--output", "a.avi")
    assert given.returncode == 0, given.stderr
    assert run(with_weights, *classify, "--output", "b.avi").returncode == 0
    (with_weights / "elsewhere").mkdir()
    (with_weights / "w.weights.h5").rename(with_weights / "elsewhere/v.weights.h5")
    mentions = (with_weights / "w.weights.h5", "not to be found", "--weights", FOLDER)
    assert_one_line_error(run(with_weights, *classify), 2, *mentions)
    (with_weights / "w.weights.h5").write_bytes(b"others")  # the same is said as of none
    assert_one_line_error(run(with_weights, *classify), 2, *mentions)
    monkeypatch.setenv(FOLDER, str(with_weights / "elsewhere"))
    assert run(with_weights, *classify, "--output", "c.avi").returncode == 0
    a, b, c = ((with_weights / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b == c


def test_a_training_notes_where_its_weights_were(copy, shared_weights):
    shutil.copy(shared_weights, copy / "w.weights.h5")
    size = (LENGTH, CLASSES, 80, 96)
    result = run(
        copy, "train.py", *size, "--weights", "w.weights.h5", "--epochs", "1", "--no-baseline", "--quiet"
    )
    assert result.returncode == 0, result.stderr
    with Checkpoint(copy / "data/checkpoints/lstm-features.hdf5") as file:
        assert file.metadata.weights_path == str(copy / "w.weights.h5")


@pytest.mark.slow
def test_keras_own_file_in_the_folder_needs_no_download(tmp_path, shared_weights, monkeypatch):
    shutil.copy(shared_weights, tmp_path / "w.weights.h5")
    digest = hashlib.md5((tmp_path / "w.weights.h5").read_bytes()).hexdigest()
    monkeypatch.setattr(identity, "IMAGENET_FILES", (digest,))
    monkeypatch.setattr(inception, "_download", lambda: pytest.fail("a download"))
    monkeypatch.setenv(FOLDER, str(tmp_path))
    expected = inception.load_network(shared_weights).get_weights()
    found = inception.load_network("imagenet").get_weights()
    assert all(map(np.array_equal, found, expected))
