"""Shared fixtures. Real clips and weights come from ../shared, where that folder is; tests that need them skip elsewhere."""
import functools
import os
import re
import subprocess
import sys

import numpy as np
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
sys.path.insert(0, ROOT)

import video  # noqa: E402


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
    from extractor import Extractor
    return Extractor((96, 128, 3), "random")


@pytest.fixture
def photos():
    """Smooth coloured images, uint8 RGB (5, 96, 128, 3)."""
    import cv2
    random = np.random.default_rng(7)
    return np.stack([cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (128, 96)) for _ in range(5)])


KERAS_2 = """
import sys, numpy as np, tf_keras
from tf_keras.layers import LSTM, Dense, Dropout
model = tf_keras.Sequential([
    LSTM(2048, return_sequences=False, input_shape=(6, 2048), dropout=0.5),
    Dense(512, activation='relu'), Dropout(0.5), Dense(2, activation='softmax')])
model.compile(loss='categorical_crossentropy', optimizer=tf_keras.optimizers.Adam(learning_rate=1e-5),
              metrics=['accuracy', 'top_k_categorical_accuracy'])
x = np.random.default_rng(0).random((4, 6, 2048)).astype(np.float32)
model.fit(x, np.eye(2)[[0, 1, 0, 1]], verbose=0)
model.save(sys.argv[1])
np.savez(sys.argv[2], x=x, probabilities=model.predict(x, verbose=0))
"""


@pytest.fixture(scope="session")
def keras_2_checkpoint(tmp_path_factory):
    """A whole model as the article's repository writes it, with Keras 2 (tf_keras): (path, input, its probabilities)."""
    pytest.importorskip("tf_keras")
    folder = tmp_path_factory.mktemp("keras_2")
    path, arrays = folder / "lstm-features.095-0.090.hdf5", folder / "arrays.npz"
    subprocess.run([sys.executable, "-c", KERAS_2, path, arrays], check=True, capture_output=True)
    with np.load(arrays) as file:
        return path, file["x"], file["probabilities"]


@pytest.fixture
def make_clip(tmp_path):
    """make_clip(path, seconds=1, fps=25, size="160x120", source="testsrc2", extra=()): renders a clip with ffmpeg."""
    def make(path, seconds=1, fps="25", size="160x120", source="testsrc2", extra=("-pix_fmt", "yuv420p")):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        separator = ":" if "=" in source else "="
        subprocess.run([video.find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i",
                        f"{source}{separator}size={size}:rate={fps}:duration={seconds}", *extra, f"file:{path}"],
                       check=True)
        return path
    return make


@pytest.fixture
def run_script(tmp_path):
    """run_script("train.py", *args): runs a script as a user would, in tmp_path; a finished subprocess.CompletedProcess."""
    return functools.partial(run_as_user, tmp_path)


def run_as_user(folder, script, *args, env=None):
    """Runs a script in a process of its own, in `folder`. Returns the finished subprocess.CompletedProcess."""
    return subprocess.run([sys.executable, os.path.join(ROOT, script), *map(str, args)], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **(env or {})})


def count_frames(path):
    """The number of frames that ffmpeg decodes from a video, an authority that none of our code touches."""
    report = subprocess.run([video.find_ffmpeg(), "-v", "error", "-i", path, "-map", "0:v:0", "-f", "null",
                             *video.passthrough(), "-progress", "-", "-"], capture_output=True, text=True).stdout
    return int(re.findall(r"frame=\s*(\d+)", report)[-1])


def assert_one_line_error(result, code, *mentions):
    """The script failed with `code` and one line on stderr that mentions what it should, and no traceback."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    for mention in mentions:
        assert str(mention) in lines[0]
