"""Training shared by two devices, for which two virtual processors stand in, does the same as on one."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, CLASSES, HEIGHT, LENGTH, ROOT, WIDTH, assert_one_line_error, run

from data import DataSet
from train import TrainOptions, train
from vidclass.features.sequence_store import FolderStore
from vidclass.training.batches import Batches, ClipSequences

TRAIN = """
import json, sys
from vidclass.keras_loading import import_keras
import_keras(and_tensorflow=True)
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    two = 2 * [tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
length, classes, height, width, without_dropout = map(int, sys.argv[1:6])
if without_dropout:
    for name in ("Dropout", "SpatialDropout1D"):
        setattr(keras.layers, name, lambda rate, layer=getattr(keras.layers, name): layer(0.0))
from train import TrainOptions, train
options = TrainOptions(weights="random", epochs=2, batch_size=4, units=8, quiet=True, devices=sys.argv[6])
result = train(length, classes, (height, width, 3), options)
json.dump(result.history, open("history.json", "w"))
"""


def history(folder, backend, devices, without_dropout=1):
    result = subprocess.run(
        [sys.executable, "-c", TRAIN, *map(str, ARTICLE_ARGUMENTS), str(without_dropout), devices],
        cwd=folder,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": ROOT,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert ("Training on 2 devices, 2 clips of a batch on each" in result.stdout) is (devices == "all")
    return json.loads((folder / "history.json").read_text())


def agree(found, expected):
    assert len(found["loss"]) == 2
    for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5)


@pytest.mark.slow
def test_two_devices_do_what_one_does(copy, monkeypatch):
    """TensorFlow, where each device drops other features; so without. 10 clips to train on: 4, 4 and 2."""
    import keras

    for name in ("Dropout", "SpatialDropout1D"):
        layer = getattr(keras.layers, name)
        monkeypatch.setattr(keras.layers, name, lambda rate, layer=layer: layer(0.0))
    monkeypatch.chdir(copy)
    shutil.rmtree(copy / "data/checkpoints")
    options = TrainOptions(weights="random", epochs=2, batch_size=4, units=8, quiet=True)
    expected = train(LENGTH, CLASSES, (HEIGHT, WIDTH, 3), options).history
    shutil.rmtree(copy / "data/checkpoints")
    agree(history(copy, "tensorflow", "all"), expected)


@pytest.mark.slow
def test_two_devices_of_jax_do_what_one_does(copy):
    """Dropout included."""
    pytest.importorskip("jax")
    expected = history(copy, "jax", "one", 0)
    agree(history(copy, "jax", "all", 0), expected)


def test_a_batch_is_filled_up_without_a_say(copy):
    """The loss of a batch that three devices share is that of its clips."""
    import keras

    dataset = DataSet(LENGTH, CLASSES, (HEIGHT, WIDTH, 3), copy / "data")
    clips = ClipSequences(FolderStore(dataset, "random"), dataset.data[:10])
    whole, filled = Batches(clips, 10)[0], Batches(clips, 10, multiple=3)[0]
    assert (
        len(whole[0]) == 10 and [len(part) for part in filled] == [12, 12, 12] and (filled[2][10:] == 0).all()
    )
    predicted = np.random.default_rng(0).dirichlet([1, 1], 12).astype(np.float32)
    loss = keras.losses.CategoricalCrossentropy()
    np.testing.assert_allclose(
        loss(filled[1], predicted, filled[2]), loss(whole[1], predicted[:10], whole[2]), rtol=1e-6
    )


@pytest.mark.slow
def test_all_of_one_device(copy):
    result = run(
        copy,
        "train.py",
        *ARTICLE_ARGUMENTS,
        "--weights",
        "random",
        "--quiet",
        "--epochs",
        1,
        "--devices",
        "all",
    )
    assert result.returncode == 0 and "devices" not in result.stdout


def test_a_backend_of_one_device(copy, monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert_one_line_error(
        run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--devices", "all"),
        1,
        "Keras trains on one device with the backend torch",
    )
