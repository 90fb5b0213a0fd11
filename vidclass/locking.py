"""A dataset's folder, in which one run writes at a time."""

import contextlib
import errno
import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vidclass import atomic, locks
from vidclass.console import print

LOCK = ".lock"  # in a dataset's folder, of the run that writes there
Function = TypeVar("Function", bound=Callable)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# .folders: {(device, inode): whether the lock is shared} of those that this thread has locked.
_held = threading.local()


@contextlib.contextmanager
def locked(data_dir: str | os.PathLike, shared: bool = False) -> Iterator[None]:
    """A `with` block that writes into a dataset's folder. Raises RuntimeError if another run is in one with
    it, in another process or another thread, unless both are `shared`; inside of it, the same thread may
    enter it again. Removes what killed runs left unfinished."""
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
            atomic.remove_stale_temporaries(place)
        for place, _, _ in os.walk(os.path.join(data_dir, "sequences")):
            atomic.remove_stale_temporaries(place)
        yield
    finally:
        del folders[folder]
        if held:
            locks.release(*held)


def _lock_folder(data_dir, shared):
    """What locks.release needs to release the lock of a folder; None where the file system has no locks, of
    which the user is warned once."""
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
        raise RuntimeError(
            f"{data_dir}: another run is writing there; wait until it has ended, or give another --data-dir"
        ) from None
    except locks.Unsupported as error:
        _warn_of_no_locks(os.path.abspath(data_dir), error.strerror)
        return None


@functools.cache  # once
def _warn_of_no_locks(data_dir, reason):
    print(
        f"{data_dir}: its file system has no locks ({reason}); make sure that only one run at a time writes "
        f"there",
        file=sys.stderr,
    )


def one_run_at_a_time(
    shared: Callable[[Any], bool] = lambda options: False,
    unless: Callable[[Any], bool] = lambda options: False,
) -> Callable[[Function], Function]:
    """Decorates a function that writes into the folder `data_dir` of its argument `options`: it is called
    while that is `locked`. shared, unless: of the options, whether others that share may run beside it,
    whether it writes nothing this time."""

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*arguments, **keywords):
            bound = signature.bind(*arguments, **keywords)
            bound.apply_defaults()
            options = bound.arguments["options"]
            if type(options) is not type(signature.parameters["options"].default):
                expected = type(signature.parameters["options"].default).__name__
                raise TypeError(f"{function.__name__}: options must be {expected}, not {options!r}")
            with contextlib.nullcontext() if unless(options) else locked(options.data_dir, shared(options)):
                return function(*arguments, **keywords)

        return call

    return decorate
