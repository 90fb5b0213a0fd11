"""Any command line ends with help, a result or one line of error, and the code that belongs to it."""

import os

import pytest
from conftest import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCRIPTS = {
    "extract_files.py": ["mp4", ".MP4", "--max-frames", "--max-pixels", "--dry-run"],
    "extract_features.py": [
        "75",
        "2",
        "--weights",
        "random",
        "imagenet",
        "--precision",
        "float16",
        "--dry-run",
    ],
    "train.py": [
        "75",
        "2",
        "--weights",
        "random",
        "--model",
        "gru",
        "--units",
        "--group",
        "--no-group",
        "--epochs",
        "--seed",
        "--resume",
        "--batch-size",
        "--validation-split",
        "0.2",
    ],
    "clasify.py": [
        "75",
        "2",
        "lstm-features.hdf5",
        "a.mp4",
        "--hop",
        "--smooth",
        "--min-duration",
        "--fast",
        "--export",
        "csv,edl",
        "--skip",
        "A",
        "--keep",
        "--exact",
        "--no-video",
        "--plain",
        "--report",
        "--output",
        "out.avi",
        "--output-dir",
        "results",
        "--shard",
        "1/2",
        "--weights",
        "random",
    ],
    "evaluate.py": ["75", "2", "lstm-features.hdf5", "--split", "validation", "--size", "100"],
    "cut_clips.py": [
        "a.mp4",
        "labels.csv",
        "--seconds",
        "3",
        "--test-split",
        "0.2",
        "--edl-class",
        "--rest",
        "A",
        "--redraw",
        "--dry-run",
    ],
}
ANY = [
    "--data-dir",
    "data",
    "nowhere",
    "--quiet",
    "--help",
    "--",
    "-1",
    "0",
    "1",
    "1e9",
    "nan",
    "1/0",
    "",
    " ",
    "\0",
    "a\nb",
    "\udcff",
    "%s",
    "*",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_command_lines(tmp_path, script):
    folder = tmp_path / "project"
    (folder / "data/train/A").mkdir(parents=True)
    (folder / "data/train/A/a.mp4").write_bytes(b"no video")
    (folder / "a.mp4").write_bytes(b"no video")
    (folder / "labels.csv").write_text("0,3,A\n")
    (folder / "lstm-features.hdf5").write_bytes(b"no checkpoint")
    before = sorted(os.listdir(folder))

    words = (
        st.sampled_from(SCRIPTS[script])
        | st.sampled_from(ANY)
        | st.integers(-2, 10**12).map(str)
        | st.text(max_size=6)
    )

    @given(st.lists(words, max_size=9))
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    def check(words):
        result = run(folder, script, *words)
        assert result.returncode in (0, 1, 2), result
        assert "Traceback" not in result.stderr and "unexpected" not in result.stderr, result
        if result.returncode and "left out" not in result.stderr:
            assert result.stderr.count("error: ") == 1, result
        assert sorted(os.listdir(folder)) == before

    check()
