"""Feature sequences in the dataset's folder: where they lie, what is read back, which are missing."""

import os

import numpy as np

from data import DataSet
from vidclass.dataset.data_file import Clip, write_data_file
from vidclass.dataset.sequence_files import forget_sequences
from vidclass.features.sequence_store import FolderStore


def make_store(folder):
    """The FolderStore of a dataset of eleven training clips of 75 frames."""
    write_data_file(
        folder, [("train", "Football", f"Football_train_{number}", 75) for number in range(1, 12)]
    )
    return FolderStore(DataSet(75, data_dir=folder), "random")


def test_sequences_are_never_mixed_up(tmp_path):
    sizes = [(720, 1280, 3), (1280, 720, 3), (299, 299, 3)]
    rows = [("train", "Football", "a", 80), ("test", "Football", "a", 80), ("train", "Commercial", "a", 80)]
    write_data_file(tmp_path, rows)
    paths = [
        FolderStore(DataSet(length, None, size, tmp_path), weights).path(row)
        for length in (40, 75)
        for size in sizes
        for row in rows
        for weights in ("imagenet", "random", "0123456789ab")
    ]
    assert len(set(paths)) == len(paths) == 2 * 3 * 3 * 3
    assert all(path.endswith(("a-75-features.npy", "a-40-features.npy")) for path in paths)


def test_sequences_of_an_earlier_version_are_taken_over(tmp_path):
    """It kept those of other number formats apart; where there are float32's, they stay where they are."""
    store = make_store(tmp_path)
    clip, values = store.dataset.data[0], np.ones((75, 2048), np.float32)
    apart = FolderStore(store.dataset, "random-bfloat16")
    apart.save(clip, values)
    store.adopt_earlier()
    np.testing.assert_array_equal(store.load(clip), values)
    apart.save(clip, 2 * values)
    store.adopt_earlier()
    np.testing.assert_array_equal(store.load(clip), values)
    np.testing.assert_array_equal(apart.load(clip), 2 * values)


def test_saved_sequences_come_back_and_damaged_ones_do_not(tmp_path):
    store = make_store(tmp_path)
    row = store.dataset.data[0]
    into = np.empty((75, 2048), np.float32)

    def missing():
        return store.load(row) is None and not store.read(row, into)

    assert missing()
    features = np.random.default_rng(0).random((75, 2048))
    store.save(row, features)
    path = store.path(row)
    np.testing.assert_array_equal(store.load(row), features.astype(np.float32))
    assert store.read(row, into)
    np.testing.assert_array_equal(into, features.astype(np.float32))
    whole = open(path, "rb").read()
    for other in (np.zeros((74, 2048), np.float32), np.zeros((75, 2048)), np.zeros((2048, 75), np.float32)):
        np.save(path, other)
        assert missing()
    for content in (b"", whole[:50], whole[:-1], b"no array"):
        open(path, "wb").write(content)
        assert missing()


def test_sequences_that_another_program_wrote(tmp_path):
    store = make_store(tmp_path)
    row = store.dataset.data[0]
    path, into = store.path(row), np.empty((75, 2048), np.float32)
    features = np.random.default_rng(0).random((75, 2048)).astype(np.float32)
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.asfortranarray(features), version=(2, 0))
    assert store.read(row, into)
    np.testing.assert_array_equal(into, features)
    np.testing.assert_array_equal(store.load(row), features)


def test_replaced_frames_forget_their_features_only(tmp_path):
    store = make_store(tmp_path)
    first, tenth = (Clip("train", "Football", f"Football_train_{i}", 75) for i in (1, 10))
    for row in (first, tenth):
        store.save(row, np.zeros((75, 2048)))
    forget_sequences(tmp_path, first)
    assert store.load(first) is None and store.load(tenth) is not None


def test_which_sequences_are_there_is_told_without_opening_them(tmp_path, monkeypatch):
    """By their sizes, a folder at a time."""
    store = make_store(tmp_path)
    clips = store.dataset.data
    for row in clips[:6]:
        store.save(row, np.zeros((75, 2048)))
    short, empty, gone = (store.path(row) for row in clips[:3])
    os.truncate(short, os.path.getsize(short) - 1)
    os.truncate(empty, 0)
    os.remove(gone)
    os.symlink("nowhere", gone)
    opened = []
    monkeypatch.setattr(FolderStore, "load", lambda self, row: opened.append(row))
    assert store.missing(clips) == [*clips[:3], *clips[6:]]
    assert opened == clips[:2]  # those of another size, which another program may have written
