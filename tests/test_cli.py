"""Command lines: help, wrong usage, errors in one line, Ctrl-C."""
import os
import subprocess
import sys

import pytest
from conftest import ROOT

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
