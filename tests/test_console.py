"""What reaches a terminal or a log: names that can do nothing there, and how far the work is."""

import ast
import fcntl
import glob
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest
from conftest import ROOT, run

from vidclass.console import print, printable
from vidclass.progress import _Bar, _Lines, progress

HOSTILE = [
    "a\x1b[31mb",
    "a\nerror: b",
    "a\rb",
    "a\x9b31mb",
    "a\x07b",
    "a\u202egnp.exe",
    "a\u2028b",
    "a\x1b]0;title\x07b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_printed_escaped(capsys, name):
    print(f"{name}.mp4: left out", 3)
    printed = capsys.readouterr().out
    assert (
        printed.count("\n") == 1 and printed[:-1].isprintable() and printed[:-1].endswith(".mp4: left out 3")
    )
    assert ast.literal_eval(f"'{printed[:-1]}'") == f"{name}.mp4: left out 3"  # nothing of it is lost


@pytest.mark.parametrize("name", ["naïve 足球", "שלום", "👨‍👩‍👧 é", 'it\'s \\ "so"', "\udcff"])
def test_ordinary_names_stay_as_they_are(name):
    assert printable(name) == name


def test_several_lines_are_several_values(capsys):
    print("a", "b\nc", sep="\n")
    assert capsys.readouterr().out == "a\nb\\nc\n"


@pytest.mark.parametrize("name", HOSTILE[:4])
def test_scripts_print_names_escaped(tmp_path, make_clip, name):
    """In results, warnings and errors: of classes, of clips, of folders, of what a shell found."""
    for class_name in ("A", name):
        make_clip(f"data/train/{class_name}/{name}.mp4", 0.2)
    (tmp_path / "data/train/A/broken.mp4").write_text("x")
    (tmp_path / "data/train/A" / f"{name} broken.mp4").write_text("x")
    (tmp_path / "data/train/A" / f"{name} folder").mkdir()
    make_clip("match.mp4", 1)
    (tmp_path / "labels.csv").write_text(f'0,1,"{name}"\n', newline="")
    printed = []
    for script, arguments in (
        ("extract_files.py", ["mp4"]),
        ("extract_features.py", [6, 2, 75, 75, "--weights", "random"]),
        ("extract_files.py", ["mp4", name]),
        ("extract_files.py", ["mp4", "--data-dir", name]),
        ("cut_clips.py", ["match.mp4", "labels.csv", "--seconds", "0.2"]),
        ("cut_clips.py", [f"{name}.mp4", "labels.csv"]),
        ("clasify.py", [6, 2, f"{name}.hdf5", "match.mp4"]),
    ):
        result = run(tmp_path, script, *arguments)
        printed.append(result.stdout + result.stderr)
        assert "\x1b" not in printed[-1] and "\r" not in printed[-1] and "\x9b" not in printed[-1]
        assert not re.search("^error: b", printed[-1], re.M)
    escaped = name.encode("unicode_escape").decode("ascii")
    assert sum(escaped in text for text in printed) >= 6


def test_everything_is_printed_by_way_of_console():
    """No module prints, or shows a bar, in another way."""
    package = glob.glob(os.path.join(ROOT, "vidclass", "**", "*.py"), recursive=True)
    for path in [*glob.glob(os.path.join(ROOT, "*.py")), *package]:
        module = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        imported = {
            (node.module, name.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert module == "vidclass/console.py" or ("vidclass.console", "print") in imported, (
                    f"{path}:{node.lineno}"
                )
            if (
                isinstance(node, ast.Attribute)
                and node.attr == "write"
                and isinstance(node.value, ast.Attribute)
            ):
                assert node.value.attr not in ("stdout", "stderr"), f"{path}:{node.lineno}"
        assert module == "vidclass/progress.py" or ("tqdm", "tqdm") not in imported, path


class Clock:
    """A time that passes only as it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for kind in (_Bar, _Lines):
            monkeypatch.setattr(kind, "__init__", self._clocked(kind.__init__))

    def _clocked(self, init):
        def start(bar, *arguments, **options):
            bar._time = lambda: self.now
            init(bar, *arguments, **options)
            if not bar.disable:
                bar._time = lambda: self.now
                bar.start_t = bar.last_print_t = self.now
                if isinstance(bar, _Lines):
                    bar._shown_at = self.now

        return start


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_log_gets_a_line_after_each_tenth(clock, capsys):
    with progress(total=1000, unit="clip", desc="Cutting", quiet=False) as bar:
        for _ in range(1000):
            clock.now += 0.01
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[3] == "Cutting: 40 %, 400 of 1000 clips, 100.0 clips/s, 00:06 left"
    assert lines[-1] == "Cutting: 100 %, 1000 of 1000 clips, 100.0 clips/s, 00:10 in all"


@pytest.mark.parametrize("total", [None, 10**6])
def test_a_log_gets_a_line_after_30_seconds(clock, capsys, total):
    """Also of work of which the size is not known, and that ends early."""
    with progress(total=total, unit="frame", desc="Classifying", quiet=False) as bar:
        for _ in range(95):
            clock.now += 1
            bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "60 " in lines[0] and "2.0 frames/s" in lines[0] and "190 " in lines[-1]


def test_a_total_that_was_too_high_still_ends_with_100_percent(clock, capsys):
    """99 % were shown when the last frame came, and then it was known to be the last."""
    with progress(total=2501, unit="frame", desc="Classifying", quiet=False) as bar:
        clock.now += 31
        bar.update(2500)
        bar.total = bar.n
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("Classifying: 99 %, 2500 of 2501 frames")
    assert lines[1] == "Classifying: 100 %, 2500 of 2500 frames, 80.6 frames/s, 00:31 in all"


def test_a_bar_over_things(clock, capsys):
    assert list(progress(iter("abc"), total=3, unit="clip", desc="a\x1b[1m", quiet=False)) == list("abc")
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"a\\x1b[1m: {percent} %" for percent in (33, 66, 100)
    ]


def test_quiet_shows_nothing(capsys):
    with progress(total=10, unit="clip", desc="Cutting", quiet=True) as bar:
        bar.update(10)
    assert capsys.readouterr() == ("", "")


def test_a_clock_that_waits_for_the_first_batch(clock, capsys):
    """A minute for the network to start, then batches of 8 frames, 4 frames a second, each in one go."""
    with progress(total=80, unit="frame", desc="Extracting", quiet=False, wait=True) as bar:
        clock.now += 60
        for _ in range(10):
            for _ in range(8):
                clock.now += 0.001
                bar.update()
            clock.now += 2 - 0.008
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Extracting: 1 %, 1 of 80 frames", "Extracting: 10 %, 8 of 80 frames"]
    assert (
        lines[2:4]
        == [
            "Extracting: 20 %, 16 of 80 frames, 4.0 frames/s, 00:16 left",
            "Extracting: 30 %, 24 of 80 frames, 4.0 frames/s, 00:14 left",
        ]
        and len(lines) == 11
    )


def test_another_modules_way_to_start_the_clock(clock, capsys):
    """As a tqdm bar's: unpause, and what is done set to count from there."""
    with progress(total=100, unit="frame", desc="Classifying", quiet=False) as bar:
        clock.now += 60
        bar.unpause()
        bar.n = bar.initial = bar.last_print_n = 20
        bar.refresh()
        clock.now += 10
        bar.update(20)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Classifying: 20 %, 20 of 100 frames",
        "Classifying: 40 %, 40 of 100 frames, 2.0 frames/s, 00:30 left",
    ]


ON_A_TERMINAL = """
import sys
sys.path.insert(0, sys.argv[1])
import time
from vidclass.console import print
from vidclass.progress import progress
with progress(total=20, unit="clip", desc="Cutting", quiet=False) as bar:
    for number in range(20):
        time.sleep(0.02)
        bar.update()
        if number == 10:
            print("a line")
"""


def test_a_terminal_gets_a_bar_with_its_rate_and_what_is_left():
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", ON_A_TERMINAL, ROOT], stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # its end
        pass
    os.close(master)
    assert process.wait() == 0
    text = shown.decode()
    assert "\rCutting:" in text and "clip/s]" in text and re.search(r"20/20 \[\d\d:\d\d<\d\d:\d\d", text)
    assert re.search(r"\ra line\r\n", text)


def test_lines_and_bars_of_many_threads(capsys):
    with progress(total=400, unit="clip", desc="Cutting", quiet=False) as bar:

        def work():
            for number in range(100):
                bar.update()
                print(f"line {number}")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 400 and all(re.fullmatch(r"line \d+", line) for line in out.splitlines())
    assert 1 <= len(err.splitlines()) <= 11


def test_print_takes_what_print_takes():
    file = io.StringIO()
    print("a", 1, sep="-", end=";", file=file, flush=True)
    print(file=file)
    assert file.getvalue() == "a-1;\n"
