"""What only Linux, or only Unix, has: file locks, processor affinity, /proc, control groups, resource limits,
hard links, process groups, and colons in file names. Each has a fallback, so that nothing else in the suite
asks which system it runs on.

The suite is developed and tested on Linux. tests/test_platform.py runs it with each of these taken away.
"""

import contextlib
import errno
import functools
import importlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any


def _module(name):
    """A module of the standard library, None where the system has none: on Windows."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, resource = _module("fcntl"), _module("resource")
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # for os.open: a symbolic link is an error
# Characters that no file name can have.
FORBIDDEN_IN_NAMES = frozenset("\0/" if os.name == "posix" else '\0/\\<>:"|?*')
UNLIMITED = 2**62  # cgroup v1 shows a little less than 2**63 where there is no limit
GROUP_FILES = (
    "sys/fs/cgroup/{}/memory.max",  # version 2, alone
    "sys/fs/cgroup/unified/{}/memory.max",  # version 2 beside version 1
    "sys/fs/cgroup/memory/{}/memory.limit_in_bytes",  # version 1
)
SHELL = "/bin/sh"


def cpu_count() -> int:
    """Processors that this process may use; where the system can't tell, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags(root: str | os.PathLike = "/") -> frozenset[str]:
    """What the processor can do, as /proc/cpuinfo below `root` names it; nothing where the system can't
    tell."""
    found: set[str] = set()
    for line in _read(root, "proc/cpuinfo").splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86's and ARM's name
            found.update(flags.split())
    return frozenset(found)


# Locks


def lock_file(descriptor: int, shared: bool = False) -> None:
    """Locks an open file with flock, without waiting. Raises BlockingIOError if someone else holds the lock,
    OSError if the file system, or the system, has no such locks."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no flock")
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def unlock_file(descriptor: int) -> None:
    """Gives back the lock on an open file. Raises OSError as lock_file does."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no flock")
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def open_folder(path: str | os.PathLike) -> int:
    """A descriptor of a folder, to lock it. Raises OSError, ENOSYS where folders can't be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        raise OSError(errno.ENOSYS, "this system can't open folders", os.fspath(path))
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


# Files


def hard_link(source: str, target: str) -> None:
    """Gives a file a second name, which must be free; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except (OSError, AttributeError):
        shutil.copyfile(source, target)


def flush_to_disk(path: str) -> None:
    """Returns when a file's content is on the disk. Windows wants the file open for writing."""
    with open(path, "rb" if os.name == "posix" else "rb+") as file:
        os.fsync(file.fileno())


def descriptor_path(descriptor: int) -> str | None:
    """A name in ASCII by which this process can open a file that it has open; None where there is none."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        path = f"{folder}/{descriptor}"
        if os.path.exists(path):
            return path
    return None


def kernel_id() -> bytes:
    """What tells the running kernel from others: containers on one machine share it. Elsewhere than on Linux
    the host's name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read()
    except OSError:
        return socket.gethostname().encode(errors="replace")


# Memory


def physical_memory() -> int | None:
    """The machine's memory in bytes, None where the system can't tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def address_space_limit() -> int | None:
    """RLIMIT_AS of this process in bytes, None if there is no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def group_memory_limits(root: str | os.PathLike = "/") -> Iterator[int]:
    """The memory limits, in bytes, of this process's control groups and all above them. root: of the file
    system in which to look for them."""
    for line in _read(root, "proc/self/cgroup").splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        # A container often sees its own group as the root, while the path is as the machine sees it: some of
        # these folders need not exist.
        parts = [part for part in path.split("/") if part]
        for length in range(len(parts), -1, -1):
            for file in GROUP_FILES:
                text = _read(root, file.format("/".join(parts[:length]))).strip()
                if text.isdecimal() and int(text) < UNLIMITED:  # else "max", or no such file
                    yield int(text)


def _read(root: str | os.PathLike, name: str) -> str:
    try:
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# Limits of this process


def confine(seconds: int, spare_bytes: int) -> None:
    """Limits this process: seconds of processor time, bytes of memory beyond what it has now, no file to
    write, no core dump. What a system can't limit stays as it is."""
    if resource is None:
        return
    limits = [(resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)]
    pages = _read("/", "proc/self/statm").split()
    if pages:
        limits.append((resource.RLIMIT_AS, int(pages[0]) * resource.getpagesize() + spare_bytes))
    for kind, limit in limits:
        known = [value for value in resource.getrlimit(kind) if value != resource.RLIM_INFINITY]
        resource.setrlimit(kind, (min([limit, *known]),) * 2)


def limit_open_files(count: int) -> None:
    """Lets this process open no file whose descriptor would be `count` or higher."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


# Signals and positions in files

# What a terminal sends that is closed: {number: name}, nothing on Windows.
HANGUP: dict[int, str] = {signal.SIGHUP: "SIGHUP"} if hasattr(signal, "SIGHUP") else {}


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Up to so many bytes of an open file from a place on. Where there is no pread, the file's position
    moves, and threads must not share it."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


# Child processes


def has_process_groups() -> bool:
    """Whether children can be put into a process group, and a shell can kill all of that."""
    return hasattr(os, "setpgid") and os.path.exists(SHELL)


def in_process_group(number: int) -> dict[str, Any]:
    """Options of subprocess.Popen that put a child into a process group; 0: one of its own."""
    if sys.version_info >= (3, 11):
        return {"process_group": number}
    # A system call alone: no Python code runs after the fork.
    return {"preexec_fn": functools.partial(os.setpgid, 0, number)}


def after_fork_in_child(function: Callable[[], None]) -> None:
    """Calls a function in each fork of this process; a system without forks never does."""
    with contextlib.suppress(AttributeError):
        os.register_at_fork(after_in_child=function)
