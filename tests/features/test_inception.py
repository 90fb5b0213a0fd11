"""inception.py against stock keras.applications."""

import os
import re

import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run

from extractor import Extractor
from vidclass.features import inception
from vidclass.features.folded import fold
from vidclass.features.identity import weights_id
from vidclass.features.inception import compile_network
from vidclass.video.reader import FrameReader


def stock_features(stock, images):
    """What a stock network says of images. Not by predict, for which XLA compiles it."""
    import keras

    return np.asarray(
        stock(keras.applications.inception_v3.preprocess_input(images.astype(np.float32)), training=False)
    )


@pytest.fixture(scope="module")
def stock_of_shared_weights(shared_weights):
    import keras

    return keras.applications.InceptionV3(include_top=False, weights=shared_weights, pooling="avg")


@pytest.fixture(scope="module")
def stock():
    """Stock InceptionV3 with some weights; tests may give it others."""
    import keras

    return keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")


@pytest.mark.parametrize("shape", [(299, 299, 3), (120, 180, 3)])
def test_features_are_those_of_stock_keras(shared_weights, stock_of_shared_weights, shape):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    expected = stock_features(stock_of_shared_weights, images)
    found = Extractor(shape, shared_weights).extract_batch(images)
    assert found.shape == (2, 2048) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_folding_is_exact_for_any_statistics(stock, photos):
    """Stock InceptionV3 with arbitrary beta, mean and variance in every batch normalisation."""
    import keras

    random = np.random.default_rng(1)
    for layer in stock.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.beta.shape[0]
            layer.set_weights(
                [random.normal(0, 0.3, n), random.normal(0, 0.2, n), random.uniform(0.05, 0.5, n)]
            )
    expected = stock_features(stock, photos)
    found = compile_network(fold(stock), photos.shape[1:])(photos)
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize("precision, error", [("bfloat16", 0.05), ("float16", 0.01)])
def test_shorter_numbers_give_nearly_the_same_features(random_extractor, photos, precision, error):
    """bfloat16 keeps 8 bits, float16 11. Features of all are float32 in type, and count as the same."""
    exact = random_extractor.extract_batch(photos)
    found = Extractor((96, 128, 3), "random", precision).extract_batch(photos)
    assert found.dtype == np.float32
    difference = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 1e-5 < difference.max() < error
    assert cosines(found, exact).min() > 0.999


def cosines(one, other):
    """The cosine of each row of one with that of the other."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
    return (one * other).sum(1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_real_weights_give_the_same_features_in_all_formats(shared_weights, shared_clips, precision):
    """So that a checkpoint trained on one machine works on the next."""
    folder = os.path.join(shared_clips, "test", "YoYo")
    names = sorted(os.listdir(folder))[::4]
    frames = np.stack([next(iter(FrameReader(os.path.join(folder, name)))) for name in names])[:, :150, :200]
    exact = Extractor((150, 200, 3), shared_weights).extract_batch(frames)
    found = Extractor((150, 200, 3), shared_weights, precision).extract_batch(frames)
    assert len(names) > 2 and cosines(found, exact).min() > 0.999


@pytest.mark.slow
def test_a_network_is_built_once(tmp_path, monkeypatch, photos, random_extractor):
    """Then it is taken from the disk, unless the file there is damaged."""
    expected = random_extractor.extract_batch(photos)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loaded, load = [], inception.load_network
    monkeypatch.setattr(inception, "load_network", lambda weights: loaded.append(weights) or load(weights))
    for is_damaged, count in ((False, 1), (False, 1), (True, 2), (False, 2)):
        for path in (tmp_path / "vidclass").glob("*") if is_damaged else ():
            path.write_bytes(path.read_bytes()[:-1])
        inception.folded_network.cache_clear()
        network = inception.folded_network("random", "random")
        np.testing.assert_array_equal(compile_network(network, photos.shape[1:])(photos), expected)
        assert len(loaded) == count and network.layers == fold(load("random")).layers
    inception.folded_network.cache_clear()


def test_extractors_of_the_same_arguments_share_the_network():
    first = Extractor((96, 128, 3), "random")
    assert Extractor((96, 128, 3), "random")._network is first._network
    assert Extractor((80, 96, 3), "random")._network is not first._network


def test_random_weights_carry_signal(random_extractor, photos):
    features = random_extractor.extract_batch(photos)
    assert np.isfinite(features).all() and 0.05 < features.mean() < 20
    assert (features.std(0) > 0.01 * features.mean()).mean() > 0.75  # most features tell images apart
    again = random_extractor.extract_batch(photos[:1])
    np.testing.assert_allclose(again[0], features[0], rtol=1e-3, atol=1e-3)


def test_random_weights_are_the_same_in_every_process(random_extractor, photos):
    """The golden file holds the features that another process computed, the same way."""
    found = random_extractor.extract_batch(photos)
    expected = np.load(os.path.join(ROOT, "tests", "golden", "features-of-random-weights.npy"))
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "classes, name",
    [(None, "notop.h5")]
    + [
        pytest.param(classes, name, marks=pytest.mark.slow)
        for classes, name in ((7, "top.weights.h5"), (1000, "top.h5"), (None, "notop.weights.h5"))
    ],
)
def test_any_keras_weights_file_of_inception_v3(stock, photos, tmp_path, classes, name):
    """Both of Keras's formats, with and without a classifier, of ImageNet's or another number of classes."""
    import keras

    if classes:
        stock = keras.applications.InceptionV3(weights=None, input_shape=(96, 128, 3), classes=classes)
    path = str(tmp_path / name)
    stock.save_weights(path if name.endswith(".weights.h5") else str(tmp_path / "x.weights.h5"))
    if not name.endswith(".weights.h5"):
        import h5py
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, stock)
    pooled = keras.Model(stock.input, stock.get_layer("avg_pool").output) if classes else stock
    expected = stock_features(pooled, photos)
    found = Extractor((96, 128, 3), path).extract_batch(photos)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * max(expected.max(), 1e-6))


def test_weights_that_do_not_fit(tmp_path):
    import keras

    other = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "text.weights.h5").write_text("no weights")
    for name in ("other.weights.h5", "text.weights.h5"):
        with pytest.raises(ValueError, match=f"{name}: doesn't hold weights of Keras's InceptionV3"):
            Extractor((75, 75, 3), str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match="imagnet: no such weights file; give imagenet, random or"):
        Extractor((75, 75, 3), "imagnet")
    with pytest.raises(ValueError, match="75x75, not 74x200"):
        Extractor((74, 200, 3), "random")


def test_weights_are_told_apart_by_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (weights_id(str(tmp_path / name)) for name in "abc")
    assert a == c != b and re.fullmatch("[0-9a-f]{12}", a)
    assert weights_id("imagenet") == "imagenet" and weights_id("random") == "random"


def test_imagenet_weights_that_cannot_be_had(tmp_path, monkeypatch):
    """Behind a proxy that refuses every connection, with an empty cache."""
    (tmp_path / "data/train/A").mkdir(parents=True)
    (tmp_path / "data/data_file.csv").write_text("train,A,a,2\ntrain,B,b,2\n")
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # which knows the proxy of before
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # KERAS_HOME as it was loaded
    result = run(tmp_path, "extract_features.py", 2, 2, 75, 75)
    assert_one_line_error(
        result, 1, "ImageNet weights can't be downloaded", "--weights PATH", "--weights random"
    )
