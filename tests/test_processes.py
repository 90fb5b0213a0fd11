"""Runs that are ended: what they started ends with them, what they were writing is removed, and the exit code
says why."""

import ast
import glob
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from vidclass import cli, processes
from vidclass.video.ffmpeg import find_ffmpeg


def running(mark):
    """Processes whose command line has this text: {number: command line}."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                line = file.read()
            with open(os.path.join(os.path.dirname(path), "stat"), "rb") as file:
                zombie = file.read().rpartition(b")")[2].split()[0] == b"Z"
        except OSError:
            continue
        if os.fsencode(mark) in line and not zombie:
            found[int(path.split("/")[2])] = line
    return found


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def slow_ffmpeg(tmp_path, monkeypatch):
    """An ffmpeg on PATH that reads its input no faster than it would be shown."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/ffmpeg"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *-version*) exec {find_ffmpeg()} "$@";; esac\n'
        f'exec {find_ffmpeg()} -re "$@"\n'
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture
def started(tmp_path, make_clip, slow_ffmpeg):
    """started(script): a script in the middle of its work, with ffmpegs that would go on for a minute."""
    recording = make_clip("match.mp4", 60, fps="100", size="64x48")  # a hundred frames are looked at first
    folder = tmp_path / "data/train/A"
    folder.mkdir(parents=True)
    for number in range(4):
        shutil.copy(recording, folder / f"clip_{number}.mp4")
    (tmp_path / "labels.csv").write_text("0,60,A\n")
    arguments = {"extract_files.py": ["mp4"], "cut_clips.py": ["match.mp4", "labels.csv", "--seconds", "30"]}
    left = []

    def start(script, before=(), **options):
        process = subprocess.Popen(
            [*before, sys.executable, os.path.join(ROOT, script), *arguments[script]],
            cwd=tmp_path,
            env=slow_ffmpeg,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
        )
        left.append(process)
        # Both have as many as there are processors.
        wait_until(lambda: len(ffmpegs(tmp_path)) >= min(2, len(os.sched_getaffinity(0))))
        return process

    yield start
    for process in left:
        process.kill()
        process.wait()


def ffmpegs(folder):
    """Of a run in this folder: their command lines name no folder, but they work there."""
    return [number for number in running("\0-re\0") if _cwd(number).startswith(str(folder))]


def _cwd(number):
    try:
        return os.readlink(f"/proc/{number}/cwd")
    except OSError:
        return ""


@pytest.mark.parametrize("script", ["extract_files.py", "cut_clips.py"])
def test_children_die_with_a_killed_script(started, tmp_path, script):
    process = started(script)
    assert ffmpegs(tmp_path)
    process.kill()
    process.communicate()  # comes to an end: no one else holds its output
    wait_until(lambda: not ffmpegs(tmp_path), 5)


@pytest.mark.parametrize("script", ["extract_files.py", "cut_clips.py"])
@pytest.mark.parametrize(
    "signum, code, name",
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_signals_end_a_script_as_ctrl_c_does(started, tmp_path, script, signum, code, name):
    process = started(script)
    start = time.monotonic()
    process.send_signal(signum)
    if signum == signal.SIGHUP:
        process.send_signal(signum)  # shell and kernel both send it
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == code
    lines = [line for line in errors.splitlines() if line.startswith("error:")]
    assert lines == [f"error: stopped by {name}; what is complete is kept"] and "Traceback" not in errors
    assert not ffmpegs(tmp_path) and not list((tmp_path / "data").rglob(".*"))
    assert time.monotonic() - start < 25  # of the 30 s or more that the work would still take


def test_nohup_is_respected(started, tmp_path):
    process = started("extract_files.py", before=["nohup"])
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None and ffmpegs(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_closed_terminal_ends_a_script(started, tmp_path):
    """All that it prints then fails."""
    master, slave = pty.openpty()
    process = started(
        "extract_files.py",
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=lambda: (os.setsid(), _control(slave)),
    )
    os.close(slave)
    os.close(master)
    process.wait(30)
    assert process.returncode == 129 and not ffmpegs(tmp_path) and not list((tmp_path / "data").rglob(".*"))


def _control(terminal):
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


KILLED = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from vidclass import processes
thread = threading.Thread(target=lambda: processes.popen(["sleep", sys.argv[2]]))
thread.start()
thread.join()  # children outlive the thread that started them
if sys.argv[3] == "guard":
    os.kill(processes._guard.pid, signal.SIGKILL)
    processes._guard.wait()
    processes.popen(["sleep", sys.argv[2]])
if sys.argv[3] == "fork" and not os.fork():
    sys.stdin.read()
    os._exit(0)
if sys.argv[3] == "exit":
    sys.exit()
print("started", flush=True)
sys.stdin.read()
"""


def start_killed(how):
    """A process with a child, and the text by which to know that."""
    mark = f"98765.{os.getpid()}{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, ROOT, mark, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == ("" if how == "exit" else "started\n")
    return process, f"sleep\0{mark}"


@pytest.mark.parametrize("how", ["thread", "guard", "fork"])
def test_children_die_with_their_process(how):
    """Not before, though the thread that started them is gone; also those that come after a guard that was
    killed; also where the process has forked."""
    process, mark = start_killed(how)
    time.sleep(0.1)
    assert running(mark)
    process.kill()
    process.wait()
    if how == "guard":  # one of the two was of the guard that is dead
        wait_until(lambda: len(running(mark)) == 1, 5)
        for number in running(mark):
            os.kill(number, signal.SIGKILL)
    wait_until(lambda: not running(mark), 5)
    process.stdin.close()
    process.stdout.close()


def test_an_ordinary_end_leaves_none_either():
    process, mark = start_killed("exit")
    process.communicate()
    assert process.returncode == 0
    wait_until(lambda: not running(mark), 5)


def test_children_are_out_of_reach_of_ctrl_c_and_hold_nothing_open(tmp_path):
    with open(tmp_path / "x", "w") as file:
        os.set_inheritable(file.fileno(), True)
        child = processes.popen(["sleep", "98765"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            assert os.getpgid(child.pid) != os.getpgid(0) and os.getpgid(child.pid) == processes._guard.pid
            for number in (child.pid, processes._guard.pid):
                assert not any(os.readlink(path) == file.name for path in glob.glob(f"/proc/{number}/fd/*"))
        finally:
            processes.kill_all()
            assert child.wait(5) == -signal.SIGKILL


def test_run_is_subprocess_run():
    result = processes.run(
        ["sh", "-c", "cat; echo no >&2; exit 3"], input="x", capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (3, "x", "no\n")
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run(["sleep", "98765"], timeout=0.1)
    with pytest.raises(FileNotFoundError):
        processes.popen(["/nowhere"])
    with pytest.raises(PermissionError):
        processes.popen([ROOT])


def test_many_threads_start_children():
    codes = []
    threads = [
        threading.Thread(target=lambda: codes.append(processes.run(["true"]).returncode)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 16


def test_no_module_starts_a_process_in_another_way():
    modules = glob.glob(os.path.join(ROOT, "vidclass", "**", "*.py"), recursive=True)
    for path in [*glob.glob(os.path.join(ROOT, "*.py")), *modules]:
        if os.path.basename(path) == "processes.py":
            continue
        with open(path, encoding="utf-8") as file:
            for node in ast.walk(ast.parse(file.read())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    assert (node.value.id, node.attr) not in {
                        ("os", "system"),
                        ("os", "popen"),
                        *(
                            ("subprocess", name)
                            for name in ("Popen", "run", "call", "check_call", "check_output")
                        ),
                    }, f"{path}:{node.lineno}"


def test_signals_are_as_before_after_a_run():
    before = [signal.getsignal(signum) for signum in cli.STOPPING]
    with pytest.MonkeyPatch.context() as patch, open(os.devnull, "w") as null:
        patch.setattr(sys, "stderr", null)
        assert cli.run(lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(5)) == 143
    assert [signal.getsignal(signum) for signum in cli.STOPPING] == before
