"""Command lines: help, wrong usage, errors in one line, Ctrl-C."""

import argparse
import os
import re
import subprocess
import sys
from fractions import Fraction

import pytest
from conftest import ROOT, assert_one_line_error, run

from vidclass import cli
from vidclass.errors import UsageError

SCRIPTS = ["extract_files.py", "extract_features.py", "train.py", "clasify.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_usage_errors_need_no_tensorflow(script):
    for arguments, code in ((["--help"], 0), (["--no-such-option"], 2), ([], 2)):
        result = subprocess.run(
            [sys.executable, "-X", "importtime", os.path.join(ROOT, script), *arguments],
            capture_output=True,
            text=True,
        )
        assert result.returncode == code and "Traceback" not in result.stderr
        assert not any(name in result.stderr for name in ("| tensorflow", "| keras", "| pandas"))
        if code == 0:
            assert (
                "usage:" in result.stdout
                and f"python {script}" in result.stdout
                and "--data-dir" in result.stdout
            )


@pytest.mark.parametrize(
    "arguments",
    [
        ["75", "2", "720"],
        ["75", "two", "720", "1280"],
        ["75", "1", "720", "1280"],
        ["0", "2", "720", "1280"],
        ["75", "2", "74", "1280"],
    ],
)
def test_wrong_usage(run_script, arguments):
    result = run_script("train.py", *arguments)
    assert result.returncode == 2 and "train.py: error:" in result.stderr


@pytest.mark.parametrize("arguments", [("75", "2", "--", "--"), ("--", "75", "2", "--")])
def test_a_file_whose_name_is_two_dashes(tmp_path, arguments):
    assert_one_line_error(run(tmp_path, "evaluate.py", *arguments), 1, "./--")


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("2.5", Fraction(5, 2)),
        (".5", Fraction(1, 2)),
        ("1001/30", Fraction(1001, 30)),
        ("0.001", Fraction(1, 1000)),
        ("999999999.999999999", None),
    ],
)
def test_seconds(text, value):
    assert cli.seconds(text) == (Fraction(text) if value is None else value)


@pytest.mark.parametrize(
    "text",
    [
        "1e99999999",
        "1e-99999999",
        "1e3",
        "0",
        "0.0009",
        "1/2000",
        "1/0",
        "1000000000",
        "-1",
        "",
        ".",
        "x",
        "nan",
        "1_0",
        "٣",
        "1." + "0" * 10,
        "9" * 5000,
        "1/" + "9" * 5000,
    ],
)
def test_what_is_no_number_of_seconds(text):
    """At once, also where Fraction would write out a hundred million digits."""
    with pytest.raises(argparse.ArgumentTypeError) as error:
        cli.seconds(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 4000, "-" + "9" * 4000, "-1", "11", "x"])
def test_whole_numbers_out_of_range(text):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        cli.at_least(1, 10)(text)
    assert len(str(error.value)) < 80
    assert cli.at_least(1, 10)("10") == 10


@pytest.mark.parametrize("options", [("--seed", 2**32), ("--units", 65537), ("--units", "9" * 5000)])
def test_numbers_that_a_training_would_end_at(tmp_path, options):
    result = run(tmp_path, "train.py", 75, 2, 720, 1280, *options)
    assert (
        result.returncode == 2 and len(result.stderr.splitlines()[-1]) < 150 and options[0] in result.stderr
    )


@pytest.mark.parametrize("source", ["rtsp://host/1", "HTTPS://host/x.m3u8", "udp://@:1234", "0"])
def test_a_live_source_needs_stream(tmp_path, source):
    result = run(tmp_path, "clasify.py", 75, 2, "x.hdf5", source)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        f"error: {source} is an address (or a camera): add --stream"
    )
    # A file may have such a name.
    if source == "0":
        (tmp_path / source).write_text("no video")
        assert "--stream" not in run(tmp_path, "clasify.py", 75, 2, "x.hdf5", source).stderr


@pytest.mark.parametrize("extension", [".gif", ".GIF", ".h264", ".hevc", ".y4m"])
def test_what_cannot_be_copied_in_parts_needs_exact(tmp_path, extension):
    arguments = "clasify.py", 75, 2, "x.hdf5", f"a{extension}", "--keep", "A"
    assert_one_line_error(
        run(tmp_path, *arguments), 2, f"a{extension}: --keep of a {extension.lower()} needs --exact"
    )
    assert "needs" not in run(tmp_path, *arguments, "--exact").stderr


def test_a_result_without_an_extension(tmp_path):
    assert_one_line_error(
        run(tmp_path, "clasify.py", 75, 2, "x.hdf5", "a.mp4", "--output", "x"),
        2,
        "--output x: the name has no extension; end the name in .avi, ",
    )


@pytest.mark.parametrize(
    "error, code, text",
    [
        (
            FileNotFoundError(2, "No such file or directory", "a.npy"),
            1,
            "error: a.npy: No such file or directory",
        ),
        (ValueError("two\nlines"), 1, "error: two\\nlines"),
        (UsageError("40, not 75"), 2, "error: 40, not 75"),
        (KeyboardInterrupt(), 130, "error: stopped by Ctrl-C"),
        (KeyError("x"), 1, "error: unexpected KeyError at test_cli.py:"),
    ],
)
def test_errors_become_one_line_and_a_code(capsys, error, code, text):
    def work():
        raise error

    assert cli.run(work) == code
    printed = capsys.readouterr().err
    assert printed.startswith(text) and printed.count("\n") == 1


def test_a_good_end_is_0_and_a_failure_its_code():
    assert cli.run(lambda: None) == 0 and cli.run(lambda: 1) == 1


KERAS = """
import sys
sys.path.insert(0, sys.argv[1])
from vidclass import cli
cli.import_keras()
assert "sklearn" not in sys.modules and "keras" in sys.modules
import keras
first = keras.wrappers.SKLearnClassifier
from keras.wrappers import SKLearnClassifier
assert first is SKLearnClassifier
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.model_selection import cross_val_score

def make(X, y):
    model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.1))
    return model

assert issubclass(SKLearnClassifier, ClassifierMixin) and not hasattr(keras, "nothing")
x = np.random.default_rng(0).normal(size=(80, 2)).astype("float32")
print(cross_val_score(SKLearnClassifier(make, fit_kwargs={"verbose": 0}), x, (x[:, 0] > 0).astype(int), cv=2))
"""


@pytest.mark.slow
def test_keras_is_loaded_without_scikit_learn_and_its_wrappers_with_it():
    """In one process: a notebook may use both."""
    result = subprocess.run([sys.executable, "-c", KERAS, ROOT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\[[01]\.\d* +[01]\.\d* *\]", result.stdout)


def test_who_asks_where_scikit_learn_is_gets_an_answer():
    """torch does while Keras loads it, and an error would end that."""
    code = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
from vidclass.keras_loading import _without_sklearn
with _without_sklearn():
    assert importlib.util.find_spec("sklearn").origin is None
    try:
        import sklearn
    except ModuleNotFoundError:
        print("refused")
import sklearn
print(sklearn.__name__)
"""
    result = subprocess.run([sys.executable, "-c", code, ROOT], capture_output=True, text=True)
    assert result.stdout.split() == ["refused", "sklearn"], result.stderr


def fails():
    try:
        raise KeyError("the cause")
    except KeyError:
        raise ValueError("data/x.npy: damaged") from None


@pytest.mark.parametrize("debug", [False, True])
def test_debug_shows_the_traceback_before_the_line(capsys, debug):
    """And what lies behind an error, which a message for people hides."""
    assert cli.run(fails, debug) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "error: data/x.npy: damaged"
    assert (len(lines) > 1) == debug
    if debug:
        assert lines.count("Traceback (most recent call last):") == 2 and any(
            "in fails" in line for line in lines
        )
        assert any("KeyError: 'the cause'" in line for line in lines)


@pytest.mark.parametrize(
    "script, arguments, code",
    [
        ("extract_files.py", ["mp4"], 1),
        ("extract_features.py", [8, 2, 75, 75], 1),
        ("train.py", [8, 2, 75, 75], 1),
        ("evaluate.py", [8, 2, "x.hdf5"], 1),
        ("clasify.py", [8, 2, "x.hdf5", "x.mp4"], 1),
        ("cut_clips.py", ["x.mp4", "x.csv"], 1),
    ],
)
def test_all_scripts_can_show_a_traceback(tmp_path, script, arguments, code):
    plain = run(tmp_path, script, *arguments)
    debug = run(tmp_path, script, *arguments, "--debug")
    assert plain.returncode == debug.returncode == code and "Traceback" not in plain.stderr
    assert plain.stderr.splitlines()[-1] == debug.stderr.splitlines()[-1] and debug.stderr.startswith(
        "Traceback"
    )


LOGGED = """
import sys
sys.path.insert(0, sys.argv[1])
from vidclass.keras_loading import import_keras
import_keras(and_tensorflow=True)
import tensorflow
tensorflow.get_logger().warning("hello")
"""


@pytest.mark.slow
def test_what_was_imported_quietly_can_still_log():
    """TensorFlow's logger keeps the stream that was sys.stderr while it was imported."""
    result = subprocess.run([sys.executable, "-c", LOGGED, ROOT], capture_output=True, text=True)
    assert result.returncode == 0 and "Logging error" not in result.stderr and "hello" in result.stderr
