"""What only Linux has, taken away piece by piece: the suite goes on working."""

import errno
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from vidclass import atomic, locking, locks, memory, names, parallel, platform, processes
from vidclass.video import probe as probe_module
from vidclass.video.probe import probe


def python(code, *arguments, **options):
    """A finished Python process that runs some code with the suite on its path."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        **options,
    )


def test_processors_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert platform.cpu_count() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert platform.cpu_count() == 1
    assert sorted(item for item, _ in parallel.each(abs, [1, 2, 3])) == [1, 2, 3]


def test_locks_without_fcntl(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(platform, "fcntl", None)
    with pytest.raises(locks.Unsupported):
        locks.take(str(tmp_path / "x.lock"))
    assert os.listdir(tmp_path) == []
    locking._warn_of_no_locks.cache_clear()
    with locking.locked(tmp_path), locking.locked(tmp_path):
        atomic.write_text(tmp_path / "a.txt", "whole")
    assert os.listdir(tmp_path) == ["a.txt"]
    assert capsys.readouterr().err.count("this system has no flock") == 1


def test_folders_that_cannot_be_opened_are_not_locked(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_DIRECTORY")
    with pytest.raises(locks.Unsupported):
        locks.take_folder(str(tmp_path))


def test_a_machine_without_proc_is_known_by_its_name(monkeypatch):
    def refuse(path, *arguments, **options):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    monkeypatch.setattr("builtins.open", refuse)
    assert platform.kernel_id() == socket.gethostname().encode()
    assert list(platform.group_memory_limits()) == []


@pytest.mark.parametrize("error", [AttributeError, OSError(errno.EPERM, "not permitted")])
def test_a_copy_in_place_of_a_hard_link(tmp_path, monkeypatch, error):
    def refuse(source, target):
        raise error

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("content")
    platform.hard_link(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text() == "content"
    assert not os.path.samefile(tmp_path / "a", tmp_path / "b")


def test_a_hard_link_where_there_are_some(tmp_path):
    (tmp_path / "a").write_text("content")
    platform.hard_link(str(tmp_path / "a"), str(tmp_path / "b"))
    assert os.path.samefile(tmp_path / "a", tmp_path / "b")


def test_memory_that_no_one_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "resource", None)
    assert platform.address_space_limit() is None
    assert memory.memory_limit(tmp_path) == platform.physical_memory()
    monkeypatch.delattr(os, "sysconf")
    assert platform.physical_memory() is None
    assert memory.memory_limit(tmp_path) == memory.UNKNOWN


def test_a_process_that_cannot_be_confined_works_all_the_same(monkeypatch):
    monkeypatch.setattr(platform, "resource", None)
    platform.confine(1, 1)
    platform.limit_open_files(0)
    assert python("print(1)").stdout == "1\n"


def test_a_confined_process_cannot_write_nor_open_files():
    code = (
        "from vidclass import platform\n"
        "platform.confine(60, 2**27)\n"
        "platform.limit_open_files(3)\n"
        "for work in (lambda: bytearray(2**28), lambda: open('/dev/null')):\n"
        "    try: work()\n"
        "    except (MemoryError, OSError) as error: print(type(error).__name__)\n"
    )
    assert python(code).stdout.split() == ["MemoryError", "OSError"]


def test_a_name_that_is_not_text_where_descriptors_have_no_names(make_clip, tmp_path, monkeypatch):
    clip = make_clip("a.mp4")
    strange = os.path.join(tmp_path, os.fsdecode(b"\xff.mp4"))
    os.rename(clip, strange)
    assert probe(strange).width == 160
    monkeypatch.setattr(probe_module.platform, "descriptor_path", lambda descriptor: None)
    with pytest.raises(ValueError, match="its name must be text; rename it"):
        probe(strange)


def test_names_with_characters_that_windows_has_not(monkeypatch):
    names.check_name("Ad: 1")
    monkeypatch.setattr(platform, "FORBIDDEN_IN_NAMES", frozenset('\0/\\<>:"|?*'))
    with pytest.raises(ValueError, match="on this system names have no : in them"):
        names.check_name("Ad: 1")


def test_children_without_process_groups(monkeypatch):
    monkeypatch.delattr(os, "setpgid")
    assert not platform.has_process_groups()
    assert processes.run(["true"]).returncode == 0
    child = processes.popen(["sleep", "98765"])
    processes.kill_all()
    assert child.wait(5) != 0


def test_children_without_process_groups_end_with_an_ordinary_end():
    code = (
        "import os, sys\n"
        "del os.setpgid\n"
        "from vidclass import processes\n"
        "child = processes.popen(['sleep', '98765'], stdout=-3, stderr=-3)\n"
        "print(child.pid)\n"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr
    deadline = time.monotonic() + 5
    while is_running(int(result.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(number):
    """Whether there is a process of this number, other than one that no one has waited for."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


WITHOUT_ALL = """
import os, sys
import cv2, pandas, tqdm  # they, too, use what is there
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in "sched_getaffinity link setpgid register_at_fork O_NOFOLLOW O_DIRECTORY sysconf".split():
    delattr(os, name)
import extract_files, cut_clips
code = extract_files.main(["mp4", "--quiet"])
sys.exit(code or cut_clips.main(["match.mp4", "labels.csv", "--seconds", "0.4"]))
"""


def test_commands_without_all_of_it(make_clip, tmp_path):
    """As on a system that is not Linux: clips are split, a recording is cut."""
    make_clip("data/train/A/a.mp4", 0.4)
    make_clip("match.mp4", 2)
    (tmp_path / "labels.csv").write_text("0,1,A\n1,2,B\n")
    result = python(WITHOUT_ALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 clip: 1 split into frames" in result.stdout and "4 clips cut" in result.stdout
    assert len(list(tmp_path.glob("data/train/A/a-*.jpg"))) == 10
    assert not list((tmp_path / "data").rglob(".*"))


ELSEWHERE = re.compile(
    r"^\s*(import|from) (fcntl|resource)\b|sched_getaffinity|\"/(proc|dev/fd)/"
    r"|os\.(link|sysconf|setpgid|register_at_fork|O_NOFOLLOW|O_DIRECTORY)\b",
    re.M,
)
PROGRAMS = re.compile(r"^\s*(import|from) subprocess\b", re.M)


def sources():
    """{path: text} of the commands, the article's classes and the package."""
    files = [*Path(ROOT).glob("*.py"), *Path(ROOT, "vidclass").rglob("*.py")]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_no_other_module_uses_what_only_linux_has():
    found = {path for path, text in sources().items() if ELSEWHERE.search(text)}
    assert found == {"vidclass/platform.py"}


def test_only_the_runner_starts_ffmpeg():
    """The video and recording rooms start no process but by way of video/ffmpeg.py."""
    rooms = ("vidclass/video/", "vidclass/recording/")
    found = {path for path, text in sources().items() if path.startswith(rooms) and PROGRAMS.search(text)}
    assert found == {"vidclass/video/ffmpeg.py"}
