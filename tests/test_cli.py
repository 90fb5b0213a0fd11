"""Command lines: help, wrong usage, errors in one line, Ctrl-C."""
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, run

import cli

SCRIPTS = ["extract_files.py", "extract_features.py", "train.py", "clasify.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_usage_errors_need_no_tensorflow(script):
    for arguments, code in ((["--help"], 0), (["--no-such-option"], 2), ([], 2)):
        result = subprocess.run([sys.executable, "-X", "importtime", os.path.join(ROOT, script), *arguments],
                                capture_output=True, text=True)
        assert result.returncode == code and "Traceback" not in result.stderr
        assert not any(name in result.stderr for name in ("| tensorflow", "| keras", "| pandas"))
        if code == 0:
            assert "usage:" in result.stdout and f"python {script}" in result.stdout and "--data-dir" in result.stdout


@pytest.mark.parametrize("arguments", [["75", "2", "720"], ["75", "two", "720", "1280"], ["75", "1", "720", "1280"],
                                       ["0", "2", "720", "1280"], ["75", "2", "74", "1280"]])
def test_wrong_usage(run_script, arguments):
    result = run_script("train.py", *arguments)
    assert result.returncode == 2 and "train.py: error:" in result.stderr


@pytest.mark.parametrize("error, code, text", [
    (FileNotFoundError(2, "No such file or directory", "a.npy"), 1, "error: a.npy: No such file or directory"),
    (ValueError("two\nlines"), 1, "error: two\\nlines"),
    (cli.UsageError("40, not 75"), 2, "error: 40, not 75"),
    (KeyboardInterrupt(), 130, "error: stopped by Ctrl-C"),
    (KeyError("x"), 1, "error: unexpected KeyError at test_cli.py:"),
])
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
import cli
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


def test_keras_is_loaded_without_scikit_learn_and_its_wrappers_with_it():
    """In one process: a notebook may use both."""
    result = subprocess.run([sys.executable, "-c", KERAS, ROOT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\[[01]\.\d* +[01]\.\d*\]", result.stdout)


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
        assert lines.count("Traceback (most recent call last):") == 2 and any("in fails" in line for line in lines)
        assert any("KeyError: 'the cause'" in line for line in lines)


@pytest.mark.parametrize("script, arguments, code", [
    ("extract_files.py", ["mp4"], 1), ("extract_features.py", [8, 2, 75, 75], 1), ("train.py", [8, 2, 75, 75], 1),
    ("evaluate.py", [8, 2, "x.hdf5"], 1), ("clasify.py", [8, 2, "x.hdf5", "x.mp4"], 1), ("cut_clips.py", ["x.mp4", "x.csv"], 1)])
def test_all_scripts_can_show_a_traceback(tmp_path, script, arguments, code):
    plain = run(tmp_path, script, *arguments)
    debug = run(tmp_path, script, *arguments, "--debug")
    assert plain.returncode == debug.returncode == code and "Traceback" not in plain.stderr
    assert plain.stderr.splitlines()[-1] == debug.stderr.splitlines()[-1] and debug.stderr.startswith("Traceback")
