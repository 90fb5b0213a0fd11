"""Files that appear under their name when they are complete, or not at all, and folders that one run writes
at a time."""
import contextlib
import csv
import errno
import functools
import hashlib
import inspect
import io
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time

import locks
from console import print

ABANDONED = 24 * 3600  # seconds without a change after which another machine's unfinished file is nobody's
LONGEST_NAME = 255  # bytes, on nearly every file system
LOCK = ".lock"  # in a dataset's folder, of the run that writes there
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

_partials = {}  # name: (descriptor of its lock, file of the lock) of what this process is writing
# .folders: {(device, inode): whether the lock is shared} of those that this thread has locked.
_held = threading.local()


def partial_name(path, extension=""):
    """The name that a file, or a folder, has until it is complete: hidden, telling the machine, and different
    each time. extension: of that name, for what goes by it. A lock beside it tells that someone is writing
    it, until `discard` is called for it or this process dies. Raises OSError, naming `path`, if nothing can
    be written there.
    """
    folder, name = os.path.split(os.fspath(path))
    end = f".{_machine()}-{secrets.token_hex(4)}.tmp{extension}"
    room = LONGEST_NAME - len(f".{end}.lock")
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


def discard(partial):
    """Removes what has a partial_name, if it is still there, and lets go of its lock."""
    _remove(partial)
    if partial in _partials:
        locks.release(*_partials.pop(partial))


@contextlib.contextmanager
def partial(path, extension=""):
    """A `with` block that writes a file or a folder under the name it is given (see partial_name), and moves
    or copies it from there itself; what is still there at its end is removed."""
    name = partial_name(path, extension)
    try:
        yield name
    finally:
        discard(name)


@functools.cache
def _machine():
    # The kernel that holds the locks: containers on one machine share it, machines of one host name do not.
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            kernel = file.read()
    except OSError:
        kernel = socket.gethostname().encode(errors="replace")
    return hashlib.sha256(kernel).hexdigest()[:6]


@contextlib.contextmanager
def written_whole(path, extension=""):
    """A `with` block that writes a file under the name it is given (see partial_name); when it ends well, the
    file takes the name `path`, in place of what has it. An OSError on the way names that."""
    with partial(path, extension) as name:
        try:
            yield name
            with open(name, "rb") as file:
                os.fsync(file.fileno())  # else a power cut could leave the name without its content
            os.replace(name, path)
        except OSError as error:
            if error.errno and error.filename in (None, name):
                raise OSError(error.errno, error.strerror, os.fspath(path)) from None
            raise


def write_text(path, text):
    """Writes a text file as UTF-8. Raises OSError, naming the file."""
    try:
        with written_whole(path) as name, \
                open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    except OSError as error:
        raise OSError(f"{path}: can't be written ({error.strerror})") from None


def error_text(error):
    """'data/x.npy: No space left on device' rather than "[Errno 28] No space left on device:
    'data/x.npy'"."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def csv_text(rows):
    """Rows as CSV."""
    text, rows = io.StringIO(), [[str(cell) for cell in row] for row in rows]
    # The csv module leaves a lone carriage return without quotes, and readers take it for the end of a line.
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue()


def sweep(folder, stems=None):
    """Removes what runs that were killed left unfinished in a folder. stems: names without extension of the
    files that it would have become (None: any)."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        name = name.removesuffix(".lock")
        found = re.fullmatch(r"\.(.+)\.(\w+)-\w+\.tmp(\.[^.]*)?", name, re.DOTALL)
        if found and (stems is None or os.path.splitext(found[1])[0] in stems):
            _sweep_one(os.path.join(folder, name), found[2])


def _sweep_one(partial, machine):
    """Removes a partial file unless someone writes it: its lock tells, where the kernel that keeps it is
    ours. Another machine's may be one that this file system keeps from us: so its file must have lain there
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


def remove_folder(folder):
    """Removes a folder, even while an ffmpeg that outlived a killed run still writes into it."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return


@contextlib.contextmanager
def locked(data_dir, shared=False):
    """A `with` block that writes into a dataset's folder. Raises RuntimeError if another run is in one with
    it, in another process or another thread, unless both are `shared`; inside of it, the same thread may
    enter it again. Sweeps up after runs that were killed."""
    if not os.path.isdir(data_dir):
        yield  # whoever needs it says so
        return
    status = os.stat(data_dir)
    folder, folders = (status.st_dev, status.st_ino), vars(_held).setdefault("folders", {})
    if folder in folders and (shared or not folders[folder]):
        yield
        return
    held = _lock_folder(data_dir, shared)
    folders[folder] = shared
    try:
        for place in (data_dir, *(os.path.join(data_dir, name) for name in ("checkpoints", "reports"))):
            sweep(place)
        for place, _, _ in os.walk(os.path.join(data_dir, "sequences")):
            sweep(place)
        yield
    finally:
        del folders[folder]
        if held:
            locks.release(*held)


def _lock_folder(data_dir, shared):
    """What locks.release wants of the lock of a folder, None where the file system knows no locks, which is
    said once."""
    path = os.path.join(data_dir, LOCK)
    try:
        try:
            return locks.take(path, shared), path
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            # Where nothing can be written but what lies elsewhere, behind links, the folder itself must do.
            return locks.take_folder(data_dir, shared), None
    except BlockingIOError:
        raise RuntimeError(f"{data_dir}: another run is writing there; wait until it has ended, or give "
                           f"another --data-dir") from None
    except locks.Unsupported as error:
        _warn_of_no_locks(os.path.abspath(data_dir), error.strerror)
        return None


@functools.cache  # once
def _warn_of_no_locks(data_dir, reason):
    print(f"{data_dir}: its file system knows no locks ({reason}); see to it that only one run at a time "
          f"writes there", file=sys.stderr)


def one_run_at_a_time(shared=lambda given: False, unless=lambda given: False, make=False):
    """Decorates a function that writes into the folder which its argument data_dir names: it is called while
    that is `locked`. shared, unless: of its arguments by name, whether others that share may run beside it,
    whether it writes nothing this time. make: the folder, if there is none; it is removed again if it stays
    empty."""
    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*arguments, **options):
            bound = signature.bind(*arguments, **options)
            bound.apply_defaults()
            given = bound.arguments
            if unless(given):
                return function(*arguments, **options)
            with contextlib.ExitStack() as stack:
                if make and not os.path.isdir(given["data_dir"]):
                    os.makedirs(given["data_dir"], exist_ok=True)
                    stack.callback(_remove_if_empty, given["data_dir"])
                stack.enter_context(locked(given["data_dir"], shared(given)))
                return function(*arguments, **options)
        return call
    return decorate


def _remove_if_empty(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
