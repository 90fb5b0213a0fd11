"""Checkpoints that attack their reader: refused in one line that names them, in little memory, with no other
file opened."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import h5py
import pytest
from conftest import ROOT
from hostile_checkpoints import AT_LOAD, ATTACKS, HARMLESS, ON_METADATA, make

from models import ResearchModel
from vidclass.console import printable
from vidclass.errors import UsageError
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.trained import read_trained
from vidclass.training import hdf5_process
from vidclass.training.checkpoint import METADATA, Checkpoint
from vidclass.training.metadata import Metadata, parse_metadata

IN_THE_FILE = [name for name in ATTACKS if name not in ON_METADATA]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.hdf5"
    ResearchModel(2, "gru", seq_length=4, features_length=16, units=8).save(
        path,
        Metadata(
            ["A", "B"], 4, [80, 96, 3], 3.0, "random", "random", features_length=16, epoch=3, val_loss=0.5
        ),
    )
    return path


# What the process that may die does, and its peak. (The ru_maxrss of a child would be its parent's.)
LOOK = (
    "import re, sys\n"
    "status = open('/proc/self/status')\n"  # before no file may be opened
    "from vidclass.training import hdf5_process\n"
    "hdf5_process.SECONDS = 2\n"
    "hdf5_process.main(*sys.argv[1:])\n"
    "print(re.search(r'VmHWM:\\s*(\\d+) kB', status.read())[1])\n"
)


def look(path):
    """(what the process that reads first says, its peak in bytes)."""
    lines = subprocess.run(
        [sys.executable, "-c", LOOK, path, METADATA],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT, "OPENBLAS_NUM_THREADS": "1"},
    ).stdout.splitlines()
    return (json.loads(lines[0]), int(lines[1]) * 1024) if lines else ({"error": "died"}, 0)


@pytest.fixture(scope="module")
def usual_peak(whole):
    answer, peak = look(whole)
    assert len(answer["weights"]) == 25
    return peak


@pytest.mark.parametrize("name", IN_THE_FILE)
def test_the_process_that_reads_first(tmp_path, whole, usual_peak, name):
    make(name, whole, tmp_path / "x.hdf5")
    answer, peak = look(tmp_path / "x.hdf5")
    assert ("error" in answer) == (name not in HARMLESS | AT_LOAD), answer
    assert len(json.dumps(answer)) < 20_000 and peak < usual_peak + hdf5_process.MEMORY


@pytest.mark.parametrize("name", sorted(ON_METADATA))
def test_metadata(tmp_path, whole, name):
    make(name, whole, tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5") as file:
        text = file.attrs[METADATA]
    if name in HARMLESS:
        assert all(
            letter.isprintable()
            for class_name in parse_metadata(text, "x.hdf5").class_names
            for letter in class_name
        )
    elif name not in ("wide_network", "wide_article", "other_features"):  # whose arrays are not in the file
        with pytest.raises(ValueError, match="x.hdf5: its metadata is damaged"):
            parse_metadata(text, "x.hdf5")


OPEN = """
import re, sys
from vidclass.training import checkpoint, keras_file
keras_file.SECONDS = 2
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
checkpoint.Checkpoint(sys.argv[1])
before = peak()
for path in sys.argv[2:]:
    try:
        checkpoint.Checkpoint(path)
        print("read", path)
    except ValueError as error:
        assert path in str(error) and len(str(error)) < 2000 and str(error).isprintable(), error
print(peak() - before)
"""


def test_the_process_that_opens_them(tmp_path, whole):
    """It needs no memory worth the mention for files that take gigabytes, and says in a line why they are
    refused."""
    names = [
        "deflated_twice",
        "names_that_share_a_heap_object",
        "metadata_of_megabytes",
        "ten_thousand_classes",
        "wide_network",
        "wide_article",
        "deep_json",
        "virtual_array",
        "heap_without_end",
        "array_larger_than_the_file",
    ]
    paths = []
    for name in names:
        paths.append(tmp_path / f"{name}.hdf5")
        make(name, whole, paths[-1])
    result = subprocess.run(
        [sys.executable, "-c", OPEN, whole, *paths],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert result.returncode == 0, result.stderr
    *read, grown = result.stdout.splitlines()
    assert read == [] and int(grown) < 2**25, result.stdout


def test_no_other_file_is_opened(tmp_path, whole):
    """Whoever opened the other one, a fifo, would wait there for ever."""
    fifo = tmp_path / "other.hdf5"
    os.mkfifo(fifo)
    make("external_link", whole, tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink(str(fifo), "model_weights")
    answer, _ = look(tmp_path / "x.hdf5")
    assert answer == {"error": "no Keras model is in it"}


def test_what_hdf5_never_gets_through(tmp_path, whole, monkeypatch):
    make("heap_without_end", whole, tmp_path / "endless.hdf5")
    monkeypatch.setattr("vidclass.training.keras_file.SECONDS", 3)
    with pytest.raises(ValueError, match="endless.hdf5: a damaged checkpoint, HDF5 can't get through it"):
        Checkpoint(tmp_path / "endless.hdf5")


def test_weights_that_overflow(tmp_path, whole):
    make("weights_that_overflow", whole, tmp_path / "x.hdf5")
    with pytest.raises(ValueError, match="x.hdf5: its probabilities are not all numbers"):
        ResearchModel.load(tmp_path / "x.hdf5")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/\x1b[2J\r\n\u202ex", "a pipe", "a huge file"])
def test_weights_where_a_stranger_says(tmp_path, whole, path):
    """Whatever is there: the same line, without a wait. The pipe would wait for ever."""
    os.mkfifo(tmp_path / "a pipe")
    with open(tmp_path / "a huge file", "wb") as file:
        file.truncate(2**40)
    with Checkpoint(whole) as file:
        place = path if path.startswith("/") else str(tmp_path / path)
        metadata = replace(file.metadata, weights="0" * 12, weights_path=place, features_length=2048)
    ResearchModel(2, "gru", seq_length=4, units=8).save(tmp_path / "x.hdf5", metadata)
    with pytest.raises(UsageError) as error:
        read_trained(str(tmp_path / "x.hdf5"), None, None, ClassifyOptions())
    assert str(error.value) == (
        f"{tmp_path}/x.hdf5 was trained on features of the InceptionV3 weights random (000000000000), which "
        f"are not to be found at {printable(place)}; give them with --weights, or name their folder in the "
        f"environment variable VIDCLASS_WEIGHTS"
    )
