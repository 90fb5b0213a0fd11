"""Child processes that die with this one, however it dies: kill -9 and power to the out-of-memory killer
included.

All of them are in the process group of a guard, a shell that waits for the end of a pipe of which only this
process holds the other side, and then kills its group. A child enters the group before it becomes another
program, so there is no moment at which it could be missed. (PR_SET_PDEATHSIG would end it with the thread
that started it; pools end theirs.) Ctrl-C in a terminal reaches none of them: we end them ourselves, and know
that we did. Where a system has no process groups, children are ended when this process exits in good order.
"""

import atexit
import contextlib
import subprocess
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from vidclass import platform

GUARD = "trap '' HUP INT QUIT TERM; read -r line; kill -9 0"
_lock = threading.Lock()
_guard: subprocess.Popen | None = None
_children: weakref.WeakSet[subprocess.Popen] = weakref.WeakSet()


def popen(command: list[str], **options: Any) -> subprocess.Popen:
    """A subprocess.Popen that dies with this process."""
    child = _start(subprocess.Popen, command, options)
    _children.add(child)
    return child


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A `with` block with a process started by popen, which has ended when it ends: by itself, or killed if
    an exception leaves the block."""
    child = popen(command, **options)
    try:
        yield child
        child.wait()
    finally:
        child.kill()
        if child.stdout:
            child.stdout.close()
        child.wait()


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess:
    """subprocess.run, of a process that dies with this one."""
    return _start(subprocess.run, command, options)


def kill_all() -> None:
    """Kills what popen has started and what still runs: for whoever waits for threads after an
    interruption."""
    for child in list(_children):
        child.kill()


def _start(start, command, options):
    if not platform.has_process_groups():
        return start(command, **options)
    while True:
        guard = _running_guard()
        try:
            return start(command, **platform.in_process_group(guard.pid), **options)
        except PermissionError:
            if guard.poll() is None:
                raise


def _running_guard():
    global _guard
    with _lock:
        if _guard is None or _guard.poll() is not None:
            _guard = subprocess.Popen(
                [platform.SHELL, "-c", GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **platform.in_process_group(0),
            )
        return _guard


@atexit.register
def _dismiss():
    """Ends the guard, and with it whoever is left."""
    global _guard
    guard, _guard = _guard, None
    if guard is None:
        kill_all()
    else:
        guard.stdin.close()  # type: ignore[union-attr]
        guard.wait()


def _forget():
    """In a fork of this process, which is not its children's parent, and whose copy of the pipe would keep it
    open."""
    global _guard, _lock
    guard, _guard, _lock = _guard, None, threading.Lock()
    _children.clear()
    if guard is not None:
        guard.stdin.close()  # type: ignore[union-attr]
        guard.returncode = 0  # not its to wait for


platform.after_fork_in_child(_forget)
