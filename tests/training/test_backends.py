"""Keras's other backends do the same as TensorFlow: features, training, checkpoints, classification."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, CLASSES, LENGTH, ROOT, run

from data import DataSet
from models import ResearchModel
from vidclass.features.inception import load_network
from vidclass.features.sequence_store import FolderStore

# One process does all, so that what compiles slowly is compiled once.
WHOLE_JOB = """
import sys
import numpy as np
from vidclass.keras_loading import import_keras
import_keras(and_tensorflow=True)
import keras
import clasify, extract_features, train
from data import DataSet
from models import ResearchModel
from vidclass.features import inception
from vidclass.features.sequence_store import FolderStore
arguments, other, video, results, random_weights = sys.argv[1:5], *sys.argv[5:]
load_network = inception.load_network
inception.load_network = lambda weights: load_network(random_weights)
exact = ("--precision", "float32", "--quiet")  # on every machine
assert extract_features.main([*arguments, "--weights", "random", *exact]) == 0
assert train.main([*arguments, "--weights", "random", *exact, "--epochs", "3"]) == 0
assert train.main([*arguments, "--weights", "random", *exact, "--epochs", "5", "--resume"]) == 0
options = ("--no-video", "--export", "json", *exact)
for name, checkpoint in (("own", "lstm-features.hdf5"), ("other", other)):
    assert clasify.main([*arguments[:2], checkpoint, video, *options, "--output", f"{name}.avi"]) == 0
dataset = DataSet(int(arguments[0]), int(arguments[1]), (int(arguments[2]), int(arguments[3]), 3))
store = FolderStore(dataset, "random")
clips = np.stack([store.load(row) for row in dataset.data])
own = ResearchModel.load("data/checkpoints/lstm-features.hdf5").predict(clips)
other = ResearchModel.load(other).predict(clips)
np.savez(results, own=own, other=other, backend=keras.backend.backend())
"""


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """The random weights as a file: to calibrate them takes jax 20 s."""
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    load_network("random").save_weights(path)
    return path


def probabilities(path):
    return np.array(
        [list(window["probabilities"].values()) for window in json.loads(path.read_text())["windows"]]
    )


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("jax", marks=pytest.mark.slow),
        pytest.param("torch", marks=pytest.mark.slow),
        pytest.param("tensorflow", marks=pytest.mark.slow),
    ],
)
def test_a_backend_does_the_whole_job(project, match, random_weights, backend):
    pytest.importorskip(backend)
    shutil.copytree(
        project / "data",
        match / "data",
        ignore=shutil.ignore_patterns("sequences", "checkpoints", "logs", "reports"),
    )
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            WHOLE_JOB,
            *map(str, ARTICLE_ARGUMENTS),
            checkpoint,
            "video.mp4",
            "results.npz",
            random_weights,
        ],
        cwd=match,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr and "oneDNN" not in result.stderr

    features = sorted((match / "data/sequences").rglob("*.npy"))
    assert len(features) == 16
    for path in features:
        expected = np.load(project / path.relative_to(match))
        np.testing.assert_allclose(np.load(path), expected, atol=1e-3 * expected.max(), rtol=0)

    dataset = DataSet(LENGTH, CLASSES, (*ARTICLE_ARGUMENTS[2:], 3), project / "data")
    store = FolderStore(dataset, "random")
    clips = np.stack([store.load(row) for row in dataset.data])
    with np.load(match / "results.npz") as found:
        assert found["backend"] == backend
        # What one backend trained, this process, on TensorFlow, understands, and the other way round.
        own = ResearchModel.load(match / "data/checkpoints/lstm-features.hdf5")
        np.testing.assert_allclose(own.predict(clips), found["own"], atol=1e-3)
        np.testing.assert_allclose(ResearchModel.load(checkpoint).predict(clips), found["other"], atol=1e-3)
    for name, path in (("own", match / "data/checkpoints/lstm-features.hdf5"), ("other", checkpoint)):
        before = probabilities(match / f"{name}.json")
        assert (
            run(
                match,
                "clasify.py",
                LENGTH,
                CLASSES,
                path,
                "video.mp4",
                "--no-video",
                "--export",
                "json",
                "--precision",
                "float32",
                "--quiet",
            ).returncode
            == 0
        )
        np.testing.assert_allclose(probabilities(match / "result.json"), before, atol=1e-3)
    # And a training goes on from it.
    assert (
        run(
            match, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--epochs", 6, "--resume"
        ).returncode
        == 0
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_random_weights_are_the_same(tmp_path, random_weights, backend):
    pytest.importorskip(backend)
    make = (
        "import sys; from vidclass.features.inception import load_network; "
        "load_network('random').save_weights(sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", make, tmp_path / "own.weights.h5"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": ROOT},
        check=True,
        capture_output=True,
    )
    for own, expected in zip(
        load_network(tmp_path / "own.weights.h5").weights, load_network(random_weights).weights
    ):
        np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-3)
