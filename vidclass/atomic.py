"""Files that appear under their name when they are complete, or not at all."""

import contextlib
import csv
import functools
import hashlib
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from typing import Literal

from vidclass import locks, platform
from vidclass.names import NAME_BYTES

ABANDONED = 24 * 3600  # seconds without a change after which another machine's unfinished file is nobody's
# Of what this process is writing: {temporary path: (descriptor of its lock, the lock's file)}.
_partials: dict[str, tuple[int, str]] = {}


def temporary_path(path: str | os.PathLike, extension: str = "") -> str:
    """The name that a file, or a folder, has until it is complete: hidden, telling the machine, and different
    each time. extension: of that name, for what goes by it. A lock beside it tells that someone is writing
    it, until `discard` is called for it or this process dies. Raises OSError, naming `path`, if nothing can
    be written there.
    """
    folder, name = os.path.split(os.fspath(path))
    end = f".{_machine()}-{secrets.token_hex(4)}.tmp{extension}"
    room = NAME_BYTES - len(f".{end}.lock")
    if len(os.fsencode(name)) > room:
        name = os.fsencode(name)[:room].decode(errors="ignore")
    partial = os.path.join(folder, f".{name}{end}")
    lock = f"{partial}.lock"
    try:
        _partials[partial] = locks.take(lock), lock
    except locks.Unsupported:
        pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    return partial


def discard(partial: str) -> None:
    """Removes what has a temporary_path, if it is still there, and releases its lock."""
    _remove(partial)
    if partial in _partials:
        locks.release(*_partials.pop(partial))


@contextlib.contextmanager
def temporary(path: str | os.PathLike, extension: str = "") -> Iterator[str]:
    """A `with` block that writes a file or a folder under the name it is given (see temporary_path), and
    moves or copies it from there itself; what is still there at its end is removed."""
    name = temporary_path(path, extension)
    try:
        yield name
    finally:
        discard(name)


@functools.cache
def _machine():
    # The kernel that holds the locks: containers on one machine share it, machines of one host name do not.
    return hashlib.sha256(platform.kernel_id()).hexdigest()[:6]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, extension: str = "") -> Iterator[str]:
    """A `with` block that writes a file under the name it is given (see temporary_path); when it ends well,
    the file takes the name `path`, in place of what has it. An OSError on the way names that."""
    with temporary(path, extension) as name:
        try:
            yield name
            move_into_place(name, path)
        except OSError as error:
            if error.errno and error.filename in (None, name):
                raise OSError(error.errno, error.strerror, os.fspath(path)) from None
            raise


def move_into_place(name: str, path: str | os.PathLike) -> None:
    """Gives a complete file that was written under a temporary name its own name, in place of what has it."""
    platform.flush_to_disk(name)  # else a power cut could leave the name without its content
    os.replace(name, path)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file as UTF-8. Raises OSError, naming the file."""
    try:
        with (
            atomic_write(path) as name,
            open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            file.write(text)
    except OSError as error:
        raise OSError(f"{path}: can't be written ({error.strerror})") from None


def csv_text(rows: Iterable[Iterable]) -> str:
    """Rows as CSV."""
    text, cells = io.StringIO(), [[str(cell) for cell in row] for row in rows]
    # The csv module leaves a lone carriage return without quotes, and readers take it for the end of a line.
    quoting: Literal[0, 1] = (
        csv.QUOTE_ALL if any("\r" in cell for row in cells for cell in row) else csv.QUOTE_MINIMAL
    )
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(cells)
    return text.getvalue()


def remove_stale_temporaries(folder: str | os.PathLike, stems: Iterable[str] | None = None) -> None:
    """Removes what killed runs left unfinished in a folder. stems: names, without extension, of the files
    that it would have become (None: any)."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        name = name.removesuffix(".lock")
        found = re.fullmatch(r"\.(.+)\.(\w+)-\w+\.tmp(\.[^.]*)?", name, re.DOTALL)
        if found and (stems is None or os.path.splitext(found[1])[0] in stems):
            _remove_if_stale(os.path.join(folder, name), found[2])


def _remove_if_stale(partial, machine):
    """Removes a partial file unless someone writes it: its lock tells, where the kernel that keeps it is
    ours. Another machine's lock may be hidden from us by the file system: so its file must have lain there
    for long, too."""
    lock, old = f"{partial}.lock", _age(partial) > ABANDONED
    if machine != _machine() and not old:
        return
    try:
        held = locks.take(lock)
    except locks.Unsupported:
        if old:
            _remove(partial)
    except OSError:
        pass  # it is being written, or nothing can be removed there
    else:
        _remove(partial)
        locks.release(held, lock)


def _age(partial):
    """Seconds since a partial file, or the lock that is left of it, has changed."""
    for path in (partial, f"{partial}.lock"):
        with contextlib.suppress(FileNotFoundError):
            return time.time() - os.lstat(path).st_mtime
    return 0


def _remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        remove_folder(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def remove_folder(folder: str) -> None:
    """Removes a folder, even while an ffmpeg that outlived a killed run still writes into it."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
