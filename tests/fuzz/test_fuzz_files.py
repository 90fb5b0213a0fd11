"""Files that people edit, programs damage and strangers send: read right, or refused by a line that names
them."""

import io
import json
import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import KINDS, apply, json_mutated, mutated

from data import DataSet
from models import ResearchModel
from vidclass.dataset import clips_csv
from vidclass.dataset.data_file import SPLITS, read_data_file, write_data_file
from vidclass.dataset.frames_note import read_frames_note
from vidclass.dataset.labels import read_labels
from vidclass.features.sequence_store import FolderStore
from vidclass.training import keras_file
from vidclass.training.checkpoint import Checkpoint
from vidclass.training.metadata import Metadata, parse_metadata

CSV = (
    b'test,Commercial,Commercial_test_1,75\ntrain,"a, b",x_1,80\ntrain,Football,Football_train_1,75\n'
    b"train,Football,F_2,100\n"
)
LABELS = {
    "csv": b'start,end,class\n0:00:00,0:25:10.5,Football\n1510.5,1620,Commercial\n1620,1700,"a, b"\n',
    "edl": b"# comskip\n12.5\t44.0\t0\n100 130.25 3\n140 150 1\n",
    "srt": b"1\n00:00:00,000 --> 00:01:00,000\nFootball: 0.97\n\n"
    b"2\n00:01:00,000 --> 00:01:30,000\nCommercial\n",
    "vtt": b"WEBVTT\n\n00:00.000 --> 01:00.000\n<v Bob>A &amp; B: 0.97\n\n"
    b"01:00.000 --> 01:30.000 align:left\n<c.x>Commercial</c>\n",
    "tsv": "label\tfrom\tto\nFootball\t0\t25:10,5\n#\t1\t2\nCommercial\t1510,5\t\n".encode("utf-16"),
    "scenes.csv": b"Timecode List:,00:00:03.333\n"
    b"Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Timecode,Tag\n"
    b'1,1,00:00:00.000,0.000,00:00:03.333,A\n2,101,00:00:03.333,3.333,00:00:16.000,"B ""b"""\n',
    "txt": b"FILE PROCESSING COMPLETE  53999 FRAMES AT  2997\n-------------------\n1\t3001\n20001\t25001\n",
    "cmx.edl": b"TITLE: x\nFCM: NON-DROP FRAME\n"
    b"001  AX  V  C  00:00:00:00 00:00:05:00 01:00:00:00 01:00:05:00\n",
}
CLIPS = (
    b"test,A,A_test_1,/x.mp4,10.0,10.0,75\n"
    b"train,A,A_train_1,/x.mp4,0.0,0.0,75,9.5,100-0123456789abcdef0123456789abcdef\n"
)
NOTE = {"clip": "x.mp4", "size": 1000, "mtime_ns": 10**18, "frames": 75, "fps": "25", "seconds": 3.0}
METADATA = {
    "class_names": ["A", "B"],
    "seq_length": 4,
    "image_shape": [80, 96, 3],
    "clip_seconds": 3.0,
    "weights": "random",
    "weights_name": "random",
    "model": "lstm",
    "units": 8,
    "dense": 0,
    "features_length": 16,
    "temperature": 1.0,
    "ranges": [2.5] * 59,
    "epoch": 3,
    "val_loss": 0.5,
    "training": {"validation_split": 0.2, "seed": 0, "batch_size": 16, "group": False, "clips": "abc"},
}


def check_data_file(folder, content):
    (folder / "data_file.csv").write_bytes(content)
    try:
        dataset = DataSet(75, None, data_dir=folder)
    except ValueError as error:
        assert "data_file.csv" in str(error) or "class" in str(error)
    else:
        assert all(
            row.split in SPLITS and row.frames >= 75 and row.class_name in dataset.classes
            for row in dataset.data
        )
        write_data_file(folder, dataset.data)  # what was read can be written, and read again
        assert read_data_file(folder) == sorted(dataset.data)


def check_labels(folder, content, extension="csv"):
    path = folder / f"labels.{extension}"
    path.write_bytes(content)
    try:
        found = read_labels(path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert found and all(0 <= label.start < label.end and label.class_name for label in found)
        assert all(label.end < math.inf for label in found[:-1])  # without an end only the last one can be
        assert not any(
            label.class_name.startswith(".") or set(label.class_name) & set("/\0\n") for label in found
        )
        assert all(a.end <= b.start + 0.0005 for a, b in zip(found, found[1:]))


def check_clips_file(folder, content):
    (folder / "clips.csv").write_bytes(content)
    try:
        found = clips_csv.read_cuts(folder)
    except ValueError as error:
        assert "clips.csv" in str(error)
    else:
        for cut in found:
            assert os.path.dirname(os.path.normpath(clips_csv.clip_path(folder, cut))) == str(
                folder / cut.split / cut.class_name
            )
        clips_csv.write_cuts(folder, found)
        assert clips_csv.read_cuts(folder) == sorted(found)


def check_sequence(folder, content):
    """Two ways to read a .npy file, one opinion."""
    write_data_file(folder, [("train", "A", "x", 75)])
    dataset = DataSet(2, None, data_dir=folder)
    row = dataset.data[0]
    store = FolderStore(dataset, "random")
    path = store.path(row)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    loaded, into = store.load(row), np.empty((2, 2048), np.float32)
    assert loaded is None or loaded.shape == (2, 2048) and loaded.dtype == np.float32
    assert store.read(row, into) is (loaded is not None)
    # By its size alone; what has the right size and is none is found out when it is read.
    assert store.has(row) or loaded is None
    assert store.missing([row]) == ([] if store.has(row) else [row])
    if loaded is not None:
        np.testing.assert_array_equal(loaded, into)


def check_note(folder, content):
    (folder / "train/A").mkdir(parents=True, exist_ok=True)
    (folder / "train/A/x-frames.json").write_bytes(content)
    note = read_frames_note(folder, ("train", "A", "x"))
    assert note is None or note.frames > 0 and 0 < note.seconds < math.inf
    assert (
        note is None or note.clip is None or os.path.basename(note.clip) == note.clip not in ("", ".", "..")
    )


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


SEQUENCE = npy(np.linspace(0, 1, 2 * 2048, dtype=np.float32).reshape(2, 2048))


@given(mutated(CSV))
@settings(deadline=None, max_examples=200)
def test_data_file(tmp_path_factory, content):
    check_data_file(tmp_path_factory.getbasetemp(), content)


@pytest.mark.parametrize("extension", sorted(set(LABELS) - {"cmx.edl"}))
def test_whole_labels(tmp_path, extension):
    """What is damaged below is understood when it is whole."""
    (tmp_path / f"x.{extension}").write_bytes(LABELS[extension])
    assert len(read_labels(tmp_path / f"x.{extension}")) >= 2


@given(
    st.sampled_from(sorted(LABELS)).flatmap(
        lambda extension: st.tuples(mutated(LABELS[extension]), st.just(extension))
    )
)
@settings(deadline=None, max_examples=600)
def test_labels(tmp_path_factory, labels):
    check_labels(tmp_path_factory.getbasetemp(), *labels)


@given(mutated(CLIPS))
@settings(deadline=None, max_examples=300)
def test_clips_file(tmp_path_factory, content):
    check_clips_file(tmp_path_factory.getbasetemp(), content)


@given(
    mutated(SEQUENCE[:128], npy(np.array([[print]], object))), st.sampled_from([4096 * 4, 4096 * 4 - 2, 0])
)
@settings(deadline=None, max_examples=300)
def test_sequences(tmp_path_factory, header, size):
    """Of a sequence the header is what can be damaged in many ways."""
    check_sequence(tmp_path_factory.getbasetemp(), header + SEQUENCE[128 : 128 + size])


@given(st.one_of(json_mutated(NOTE).map(str.encode), mutated(json.dumps(NOTE).encode())))
@settings(deadline=None, max_examples=300)
def test_notes_on_frames(tmp_path_factory, content):
    check_note(tmp_path_factory.getbasetemp(), content)


@pytest.fixture(scope="module")
def whole_checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "whole.hdf5"
    ResearchModel(2, seq_length=4, features_length=16, units=8).save(path, Metadata(**METADATA))
    return path


@given(
    st.one_of(
        json_mutated(METADATA),
        mutated(json.dumps(METADATA).encode()).map(lambda content: content.decode(errors="replace")),
    )
)
@settings(deadline=None, max_examples=600)
def test_metadata_of_checkpoints(text):
    try:
        metadata = parse_metadata(text, "x.hdf5")
    except ValueError as error:
        assert "x.hdf5: its metadata is damaged" in str(error)
    else:
        assert (
            metadata.seq_length > 0
            and math.prod(metadata.image_shape) < 3e7
            and 0.001 <= metadata.clip_seconds <= 86400
        )
        names = metadata.class_names
        assert len(set(names)) == len(names) >= 2 and all(
            name.encode() and name.isprintable() for name in names
        )


def read_mutated(whole_checkpoint, name, count):
    """Damages a checkpoint in so many ways, always the same ones, and loads it; each is loaded or refused."""
    with open(whole_checkpoint, "rb") as file:
        whole = file.read()
    model = ResearchModel(2, seq_length=4, features_length=16, units=8)
    for number in range(count):
        r = random.Random(number)
        edits = [
            (r.choice(KINDS), r.random(), r.randint(1, 64), r.randbytes(r.randint(0, 16)))
            for _ in range(r.randint(1, 4))
        ]
        with open(name, "wb") as file:
            file.write(apply(whole, edits))
        print(number, flush=True)
        try:
            with Checkpoint(name) as file:
                file.load_weights_into(model.model)
        except ValueError as error:
            assert str(name) in str(error), error


def test_damaged_checkpoints(tmp_path, whole_checkpoint, monkeypatch):
    monkeypatch.setattr(keras_file, "SECONDS", 5)
    read_mutated(whole_checkpoint, tmp_path / "changed.hdf5", 15)


READ_MUTATED = """
import sys
from test_fuzz_files import keras_file, read_mutated
keras_file.SECONDS = 5
read_mutated(sys.argv[1], "changed.hdf5", 2000)
"""


@pytest.mark.slow
def test_many_damaged_checkpoints(tmp_path, whole_checkpoint):
    """In a process of its own: the library that reads HDF5 is written in C, a crash of it is seen here."""
    result = subprocess.run(
        [sys.executable, "-c", READ_MUTATED, whole_checkpoint],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/tests:{ROOT}/tests/fuzz", "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=2060,
    )
    assert result.returncode == 0, (result.stdout.split()[-1:], result.stderr[-2000:])
