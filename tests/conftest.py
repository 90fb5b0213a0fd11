"""Shared fixtures. Real clips and weights come from ../shared, where that folder is; tests that need them
skip elsewhere."""

import contextlib
import functools
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from helpers import ffmpeg
from hypothesis import settings

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
sys.path.insert(0, ROOT)

from extractor import Extractor  # noqa: E402
from vidclass.features import inception  # noqa: E402
from vidclass.video.ffmpeg import find_ffmpeg, passthrough  # noqa: E402
from vidclass.video.probe import VideoInfo  # noqa: E402

# A busy machine is slow, which says nothing of the code. The same examples each time: what a change breaks is
# told from what was broken before. make test-slow looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile("same")

# What the rendered project is trained with.
LENGTH, CLASSES, HEIGHT, WIDTH = 8, 2, 80, 96
EPOCHS = 12
ARTICLE_ARGUMENTS = (LENGTH, CLASSES, HEIGHT, WIDTH)


@pytest.fixture(scope="session")
def shared_clips():
    return _shared("clips")


@pytest.fixture(scope="session")
def shared_weights():
    return _shared("weights", "inception_v3_notop.weights.h5")


def _shared(*parts):
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture(scope="session")
def random_extractor():
    return Extractor((96, 128, 3), "random")


@pytest.fixture
def photos():
    """Smooth coloured images, uint8 RGB (5, 96, 128, 3)."""
    import cv2

    random = np.random.default_rng(7)
    return np.stack([cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (128, 96)) for _ in range(5)])


@pytest.fixture(autouse=True)
def each_test_begins_in_the_same_folder():
    """Where one has gone, another would find its data."""
    before = os.getcwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session", autouse=True)
def random_weights_are_made_once():
    """They take ten seconds, and a process keeps the networks of few files."""
    with pytest.MonkeyPatch.context() as patch:
        load = inception.load_network
        random = functools.cache(functools.partial(load, "random"))
        patch.setattr(
            inception, "load_network", lambda weights: random() if weights == "random" else load(weights)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Where networks in 8-bit integers are cached, also by the scripts that tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def keras_2_checkpoint(tmp_path_factory):
    """A whole model of the article's layers, narrower: see write_keras_2."""
    return write_keras_2(tmp_path_factory.mktemp("keras_2"), units=16, dense=8)


def write_keras_2(folder, units, dense):
    """Trains a model as the article's repository does, with Keras 2 (tf_keras), and saves it whole. Returns
    (path, input, its probabilities)."""
    keras = pytest.importorskip("tf_keras")
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.LSTM(units, return_sequences=False, input_shape=(6, 2048), dropout=0.5),
            layers.Dense(dense, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        loss="categorical_crossentropy",
        optimizer=keras.optimizers.Adam(learning_rate=1e-5),
        metrics=["accuracy", "top_k_categorical_accuracy"],
    )
    x = np.random.default_rng(0).random((4, 6, 2048)).astype(np.float32)
    model.fit(x, np.eye(2)[[0, 1, 0, 1]], verbose=0)
    path = folder / "lstm-features.095-0.090.hdf5"
    model.save(path)
    return path, x, model.predict(x, verbose=0)


@pytest.fixture
def make_clip(tmp_path):
    """make_clip(path, seconds=1, fps=25, size="160x120", source="testsrc2", extra=()): renders a clip with
    ffmpeg."""

    def make(path, seconds=1, fps="25", size="160x120", source="testsrc2", extra=("-pix_fmt", "yuv420p")):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        separator = ":" if "=" in source else "="
        rendered = f"{source}{separator}size={size}:rate={fps}:duration={seconds}"
        ffmpeg("-f lavfi", "-i", rendered, *extra, f"file:{path}")
        return path

    return make


@pytest.fixture
def run_script(tmp_path):
    """run_script("train.py", *args): runs a script as a user would, in tmp_path; a finished
    subprocess.CompletedProcess."""
    return functools.partial(run_as_user, tmp_path)


def run_as_user(folder, script, *args, env=None):
    """Runs a script in `folder`, in a process of its own. Returns the finished CompletedProcess."""
    return subprocess.run(
        [sys.executable, os.path.join(ROOT, script), *map(str, args)],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, **(env or {})},
    )


def run(folder, script, *arguments):
    """What a script prints and returns when it is called in `folder`; in this process, which has TensorFlow
    loaded."""
    main = importlib.import_module(script.removesuffix(".py")).main
    stdout, stderr = io.StringIO(), io.StringIO()
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            returncode = main([str(argument) for argument in arguments])
    except SystemExit as usage_error:
        returncode = usage_error.code
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(script, returncode, stdout.getvalue(), stderr.getvalue())


def classify(project, folder, video, *options):
    """What clasify.py prints and returns of a video in `folder`, with the project's network."""
    checkpoint = project / "data/checkpoints/lstm-features.hdf5"
    return run(folder, "clasify.py", LENGTH, CLASSES, checkpoint, video, *options)


def variable_rate():
    """ffmpeg's arguments for an output whose frames keep their times, at whatever rate."""
    return passthrough()[0], "vfr"


def count_frames(path):
    """The number of frames that ffmpeg decodes from a video, an authority that none of our code touches."""
    output = ("-map", "0:v:0", "-f", "null", *passthrough(), "-progress", "-", "-")
    command = [find_ffmpeg(), "-v", "error", "-i", path, *output]
    report = subprocess.run(command, capture_output=True, text=True).stdout
    return int(re.findall(r"frame=\s*(\d+)", report)[-1])


def assert_one_line_error(result, code, *mentions):
    """The script failed with `code` and one line on stderr that mentions what it should, and no traceback."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    for mention in mentions:
        assert str(mention) in lines[0]


def render(path, class_name, seed, seconds=1, fps=25):
    """A clip of class Grey (moving grey stripes) or Colour (moving colours), different for each seed."""
    source = {
        "Grey": f"geq=lum='128+100*sin((X*{seed + 1}+Y)/20+N/5)':cb=128:cr=128",
        "Colour": f"geq=r='255*mod(X+{seed * 40}+9*N,200)/200':g='60+{seed * 9}':b='255*mod(Y+5*N,150)/150'",
    }
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rendered = f"color=black:size=128x96:rate={fps}:duration={seconds},format=yuv444p,{source[class_name]}"
    ffmpeg("-f lavfi", "-i", rendered, "-pix_fmt yuv420p", path)


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A folder in which a user has put clips and run extract_files.py and train.py (in this process); with
    what train.py printed."""
    folder = tmp_path_factory.mktemp("project")
    for class_name in ("Grey", "Colour"):
        for number in range(6):
            render(folder / f"data/train/{class_name}/{class_name}_train_{number}.mp4", class_name, number)
        for number in range(2):
            render(folder / f"data/test/{class_name}/{class_name}_test_{number}.mp4", class_name, 7 + number)
    for script, arguments in (
        ("extract_files.py", ["mp4"]),
        # In float32, which is the same on every machine.
        ("train.py", [*ARTICLE_ARGUMENTS, *"--weights random --precision float32 --epochs".split(), EPOCHS]),
    ):
        result = run(folder, script, *arguments)
        assert result.returncode == 0, result.stderr
    (folder / "train.log").write_text(result.stdout)
    return folder


@pytest.fixture
def copy(project, tmp_path):
    """A copy of the project that a test may spoil."""
    shutil.copytree(project, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="session")
def rendered_match(tmp_path_factory):
    """See match."""
    folder = tmp_path_factory.mktemp("match")
    for name, seconds in (("Grey", 2.4), ("Colour", 1.96)):
        render(folder / "parts" / f"{name}.mp4", name, 3, seconds)
    (folder / "list.txt").write_text("file parts/Grey.mp4\nfile parts/Colour.mp4\n")
    ffmpeg("-f concat -i list.txt -vf fps=25", "video.mp4", cwd=folder)
    return folder / "video.mp4"


@pytest.fixture
def match(rendered_match, tmp_path):
    """A folder with nothing but a video: 2.4 s of Grey, then 1.96 s of Colour, 109 frames."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(rendered_match, folder)
    return folder


def read_sequences(folder):
    """{relative path: features} of all sequences below a folder."""
    return {str(path.relative_to(folder)): np.load(path) for path in sorted(folder.rglob("*.npy"))}


def assert_same_features(found, expected, cosine):
    assert sorted(found) == sorted(expected) and expected
    for name, features in found.items():
        own, other = features.ravel(), expected[name].ravel()
        assert own @ other > cosine * np.linalg.norm(own) * np.linalg.norm(other), name


class Frames:
    """A stand-in for a long video: numbered frames at some rate."""

    places = None

    def __init__(self, count, fps):
        self.count = count
        self.info = VideoInfo(8, 8, Fraction(fps), count, Fraction(1))

    def __iter__(self):
        return (np.full((8, 8, 3), number % 251, np.uint8) for number in range(self.count))

    def select(self, numbers, end):
        return enumerate(self)

    @property
    def times(self):
        return np.arange(self.count) / float(self.info.fps)
