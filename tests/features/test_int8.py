"""InceptionV3 in 8-bit integers: against float32, its ranges against stock Keras, its cache on disk, and the
whole job with it."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, ROOT, assert_one_line_error, classify, read_sequences, run

from extractor import Extractor
from vidclass.dataset.data_file import read_data_file, write_data_file
from vidclass.features import int8, network_cache
from vidclass.features.folded import fold
from vidclass.features.identity import are_ranges
from vidclass.features.inception import load_network
from vidclass.features.int8_calibration import frame_count
from vidclass.recording.int8_calibration import int8_ranges
from vidclass.recording.trained import Trained
from vidclass.video.images import resize
from vidclass.video.reader import FrameReader

SHAPE = (96, 128, 3)
OPTIONS = ("--weights", "random", "--precision", "int8", "--quiet")


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def ranges():
    random = np.random.default_rng(8)
    images = [resize(random.integers(0, 256, (6, 8, 3), np.uint8), SHAPE) for _ in range(8)]
    return int8.measure_ranges("random", SHAPE, images)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The folder of a cache that is empty, for a process that has made no network yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    int8.shared_network.cache_clear()
    yield tmp_path / "cache/vidclass"
    int8.shared_network.cache_clear()


@pytest.mark.slow
def test_features_of_real_frames(shared_clips, shared_weights):
    """Of clips that the ranges were not measured on, too."""
    shape, frames = (299, 299, 3), {}
    for split in ("train", "test"):
        paths = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(os.path.join(shared_clips, split))
            for name in names
        )
        images = (image for path in paths[::9] for image in list(FrameReader(path))[::30])
        frames[split] = np.stack([resize(image, shape) for image in images])
    ranges = int8.measure_ranges(shared_weights, shape, frames["train"])
    found = Extractor(shape, shared_weights, "int8", ranges).extract_batch(frames["test"])
    assert found.dtype == np.float32
    agreement = cosines(found, Extractor(shape, shared_weights).extract_batch(frames["test"]))
    assert agreement.mean() >= 0.997 and agreement.min() >= 0.985


def test_ranges_are_those_of_the_activations_of_stock_keras(photos):
    """And tensors that are concatenated or pooled share the range of the largest."""
    import keras

    photos = np.stack([resize(photo, (299, 299, 3)) for photo in photos])
    ranges = int8.measure_ranges("random", (299, 299, 3), photos)
    stock = load_network("random")
    numbers = int8.range_numbers(fold(stock))
    assert len(numbers) == 94 + 15 + 4 + 9 and set(numbers.values()) == set(range(len(ranges)))
    outputs = keras.Model(stock.input, [stock.get_layer(name).output for name in numbers])
    images = keras.applications.inception_v3.preprocess_input(photos.astype(np.float32))
    largest = np.zeros((len(ranges), len(images)))
    for number, output in zip(numbers.values(), outputs(images)):
        assert np.min(output) >= 0
        largest[number] = np.maximum(largest[number], np.max(output, axis=(1, 2, 3)))
    np.testing.assert_allclose(ranges, np.quantile(largest, 0.9, axis=1), rtol=1e-4)
    for layer in stock.layers:
        if isinstance(layer, keras.layers.Concatenate | keras.layers.MaxPooling2D):
            sources = [tensor._keras_history.operation.name for tensor in keras.tree.flatten(layer.input)]
            assert {numbers[name] for name in sources} == {numbers[layer.name]}


def test_each_image_is_alone(photos, ranges, random_extractor):
    """Whatever goes through the network beside it, and from however many threads."""
    extractor = Extractor(SHAPE, "random", "int8", ranges, threads=3)
    expected = np.stack([extractor.extract_image(image) for image in photos])
    np.testing.assert_array_equal(extractor.extract_batch(photos), expected)
    found = dict(extractor.stream((number % 5, photos[number % 5]) for number in range(40)))
    np.testing.assert_array_equal(np.stack([found[number] for number in range(5)]), expected)
    assert cosines(expected, random_extractor.extract_batch(photos)).min() >= 0.985
    assert extractor.extract_batch(photos[:0]).shape == (0, 2048)


def test_pictures_that_are_nothing_like_those_that_were_measured(ranges):
    black = np.zeros((1, *SHAPE), np.uint8)
    for images in (black, black + 255):
        assert np.isfinite(Extractor(SHAPE, "random", "int8", ranges).extract_batch(images)).all()
    assert are_ranges(int8.measure_ranges("random", SHAPE, black))


def test_without_ranges_or_with_those_of_another_network(ranges):
    with pytest.raises(ValueError, match="needs the ranges"):
        Extractor(SHAPE, "random", "int8")
    with pytest.raises(ValueError, match="58 ranges of activations, InceptionV3 has 59"):
        Extractor(SHAPE, "random", "int8", ranges[:-1])
    with pytest.raises(ValueError, match="no frames"):
        int8.measure_ranges("random", SHAPE, [])


def test_a_network_is_converted_once(empty_cache, photos, ranges, monkeypatch):
    expected = Extractor(SHAPE, "random", "int8", ranges).extract_batch(photos)
    (path,) = empty_cache.glob("*.tflite")
    content = path.read_bytes()
    assert empty_cache.stat().st_mode & 0o077 == 0
    converted = []
    monkeypatch.setattr(int8, "_convert", lambda *arguments: converted.append(arguments) or content[32:])
    for damaged in (content[:-1], b"", content[:1000] + b"\xff" + content[1001:]):
        path.write_bytes(damaged)
        int8.shared_network.cache_clear()
        np.testing.assert_array_equal(
            Extractor(SHAPE, "random", "int8", ranges).extract_batch(photos), expected
        )
        assert path.read_bytes() == content
    assert len(converted) == 3
    int8.shared_network.cache_clear()
    np.testing.assert_array_equal(Extractor(SHAPE, "random", "int8", ranges).extract_batch(photos), expected)
    assert len(converted) == 3


def test_another_network_is_not_taken_from_the_cache():
    name = network_cache.name(".tflite", "2.21", "random", SHAPE, (1.0, 2.0))
    others = [
        ("2.22", "random", SHAPE, (1.0, 2.0)),
        ("2.21", "imagenet", SHAPE, (1.0, 2.0)),
        ("2.21", "random", (128, 96, 3), (1.0, 2.0)),
        ("2.21", "random", SHAPE, (1.0, 2.5)),
    ]
    assert name not in {network_cache.name(".tflite", *other) for other in others}
    assert name == network_cache.name(".tflite", "2.21", "random", SHAPE, (1.0, 2.0))


def test_the_cache_keeps_those_that_were_used_last(empty_cache):
    most = network_cache.MOST[".npz"]
    names = [f"network{number}.npz" for number in range(most + 2)]
    network_cache.save("another.tflite", b"another")
    for age, name in enumerate(names):
        network_cache.save(name, name.encode())
        os.utime(empty_cache / name, (age, age))
        if age == most - 1:
            assert network_cache.load(names[0]) == b"network0.npz"  # it is used
    assert network_cache.load(names[0]) == b"network0.npz" and network_cache.load(names[-1]) is not None
    assert network_cache.load(names[1]) is None and len(list(empty_cache.glob("*.npz"))) == most
    assert network_cache.load("another.tflite") == b"another"


def test_where_nothing_can_be_cached(empty_cache):
    empty_cache.parent.write_text("a file, not a folder")
    network_cache.save("name.npz", b"content")
    assert network_cache.load("name.npz") is None


def test_what_is_no_plain_file_is_not_read_from_the_cache(empty_cache):
    empty_cache.mkdir(parents=True)
    os.mkfifo(empty_cache / "pipe.npz")
    (empty_cache / "device.npz").symlink_to("/dev/zero")
    with open(empty_cache / "large.npz", "wb") as file:
        file.truncate(2**40)
    for name in ("pipe.npz", "device.npz", "large.npz"):
        assert network_cache.load(name) is None


def test_memory_bounds_the_threads(monkeypatch):
    monkeypatch.setattr(int8.memory, "memory_limit", lambda: 2**32)
    monkeypatch.setattr(int8.platform, "cpu_count", lambda: 64)
    assert int8.thread_count(299 * 299) == 64 and int8.thread_count(299 * 299, 4) == 4
    assert 1 <= int8.thread_count(2160 * 3840) < 4


@pytest.mark.parametrize("shape, frames", [((75, 75, 3), 200), ((299, 299, 3), 200), ((2160, 3840, 3), 32)])
def test_how_many_frames_are_measured(shape, frames):
    assert frame_count(shape) == frames


def test_the_whole_job(copy, match, tmp_path):
    """Features, training, evaluation, classification, and more of each: the ranges stay what they were."""
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, *OPTIONS)
    assert result.returncode == 0 and "16 sequences extracted" in result.stdout
    (folder,) = (copy / "data/sequences").glob("*-int8")
    ranges = json.loads((folder / "int8-ranges.json").read_text())["ranges"]
    sequences = read_sequences(folder)
    floats = read_sequences(copy / "data/sequences" / folder.name.removesuffix("-int8"))
    assert len(sequences) == len(floats) == 16
    for name, sequence in sequences.items():
        assert not np.array_equal(sequence, floats[name])
        assert cosines(sequence, floats[name]).min() > 0.95  # of random weights and tiny pictures

    next(folder.rglob("*.npy")).unlink()
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, *OPTIONS, "--epochs", 5)
    assert result.returncode == 0 and "1 sequence extracted" in result.stdout
    assert json.loads((folder / "int8-ranges.json").read_text())["ranges"] == ranges
    for name, sequence in read_sequences(folder).items():
        np.testing.assert_array_equal(sequence, sequences[name])
    checkpoint = copy / "data/checkpoints/lstm-features.hdf5"
    with h5py.File(checkpoint) as file:
        metadata = next(json.loads(v) for v in file.attrs.values() if isinstance(v, str) and "ranges" in v)
        assert metadata["ranges"] == ranges

    result = run(copy, "evaluate.py", *ARTICLE_ARGUMENTS[:2], checkpoint, "--quiet")
    assert result.returncode == 0 and "Test accuracy" in result.stdout
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--resume")
    assert_one_line_error(result, 2, "was trained with --precision int8, not float32")

    (folder / "int8-ranges.json").unlink()
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, *OPTIONS)
    assert_one_line_error(result, 1, "int8-ranges.json: missing; delete the folder")
    (folder / "int8-ranges.json").write_text(json.dumps({"ranges": [1e300] * 59}))
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, *OPTIONS)
    assert_one_line_error(result, 1, "int8-ranges.json: damaged")

    seen = []
    original = Extractor.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Extractor,
            "__init__",
            lambda self, *arguments: seen.append(arguments[2:4]) or original(self, *arguments),
        )
        for options in ((), ("--precision", "float32")):
            result = classify(copy, tmp_path, match / "video.mp4", "--no-video", "--quiet", *options)
            assert result.returncode == 0
    assert seen == [("int8", ranges), ("float32", None)]


@pytest.mark.slow
def test_a_recording_gives_the_ranges_that_a_checkpoint_lacks(project, match, tmp_path):
    asked = classify(project, tmp_path, match / "video.mp4", "--no-video", "--quiet", "--precision", "int8")
    assert asked.returncode == 0 and "measuring them on frames of" in asked.stderr
    reader = FrameReader(match / "video.mp4")
    trained = Trained(8, ["A", "B"], SHAPE, 1.0, "random", "int8")
    ranges = int8_ranges(trained, reader)
    everything = int8.measure_ranges(
        "random", SHAPE, (resize(frame, SHAPE) for frame in FrameReader(match / "video.mp4"))
    )
    assert np.all(np.array(ranges) <= np.array(everything) * 1.5)
    assert np.all(np.array(ranges) >= np.array(everything) * 0.3)


def test_a_live_source_needs_a_checkpoint_that_has_them(project, tmp_path):
    result = classify(project, tmp_path, "rtsp://127.0.0.1:1/", "--stream", "--precision", "int8")
    assert_one_line_error(result, 2, "has no ranges for --precision int8")


@pytest.mark.slow
@pytest.mark.parametrize("least, largest", [(100.0, 1e6), (1e-3, 10.0), (1e-3, 1e-3), (1e6, 1e6)])
def test_all_ranges_that_are_accepted_can_be_computed_with(least, largest):
    for order in ((least, largest), (largest, least)):
        ranges = [order[number % 2] for number in range(59)]
        assert are_ranges(ranges)
        grey = np.full((1, *SHAPE), 120, np.uint8)
        assert np.isfinite(Extractor(SHAPE, "random", "int8", ranges).extract_batch(grey)).all()


@pytest.mark.parametrize(
    "ranges", [[1e-320] * 59, [1e300] * 59, [1e-3, 100.0] * 29 + [1.0], [1.0] * 58, "x", None]
)
def test_ranges_that_are_not(ranges):
    assert not are_ranges(ranges)


@pytest.mark.slow
def test_clips_that_are_shorter_than_its_share_of_frames(copy):
    """200 frames of 4 clips are 50 of each, and these have 25."""
    keep = {"Grey_train_0", "Colour_train_0", "Grey_test_0", "Colour_test_0"}
    rows = [row for row in read_data_file(copy / "data") if row.name in keep]
    write_data_file(copy / "data", rows)
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, *OPTIONS)
    assert result.returncode == 0 and "4 sequences extracted" in result.stdout, result.stderr


def test_where_no_clip_can_be_read(copy):
    for image in (copy / "data").rglob("*.jpg"):
        image.write_bytes(b"no image")
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, *OPTIONS)
    assert_one_line_error(result, 1, "Colour_test_0", "delete its Colour_test_0-frames.json")


def test_who_has_no_home_has_no_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert network_cache.folder() is None and network_cache.load("x.npz") is None
    network_cache.save("x.npz", b"content")
    assert not os.path.exists("~")


CONVERT = r"""
import re
from vidclass.keras_loading import import_keras
import_keras()
import numpy as np
from vidclass.features import int8
from vidclass.features.identity import weights_id
from vidclass.features.inception import folded_network

def memory(name):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(name + r":\s+(\d+)", file.read())[1])

folded_network("random", weights_id("random"))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak counts from here
random, before = np.random.default_rng(0), memory("VmRSS")
images = (random.integers(0, 256, (299, 299, 3), np.uint8) for _ in range(16))
ranges = int8.measure_ranges("random", (299, 299, 3), images)
int8.shared_network("random", weights_id("random"), (299, 299, 3), tuple(ranges), 2)
print(memory("VmHWM") - before)
"""


@pytest.mark.slow
def test_measuring_and_converting_hold_few_copies_of_the_kernels(tmp_path):
    """They are 87 MB. As constants of TensorFlow's graphs they took 2 GB."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": ROOT}
    found = subprocess.run([sys.executable, "-c", CONVERT], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 12 * 87e6
