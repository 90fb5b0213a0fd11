"""Advisory locks on files of their own: held until they are released, or until the process dies, however it
dies.

They are made with flock, which also keeps two threads of one process apart. NFS makes it a lock of the
server's, for which the file must be open for writing.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from vidclass import platform

UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EINVAL}


class Unsupported(OSError):
    """The file system, or the system, has no locks."""


def take(path: str, shared: bool = False) -> int:
    """Locks a file, which is made if there is none. Returns what `release` wants. Raises BlockingIOError if
    someone else holds the lock (both may if both are `shared`), Unsupported, or OSError, naming the file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | platform.NO_FOLLOW, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a plain file, delete it", path)
            _flock(descriptor, shared, path)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, Unsupported):
                with contextlib.suppress(OSError):
                    os.remove(path)  # nobody can hold it
            if isinstance(error, OSError) and error.errno == errno.ESTALE:
                continue
            raise
        os.close(descriptor)  # its holder removed it between our opening and locking it


def take_folder(path: str, shared: bool = False) -> int:
    """Locks a folder itself, for one in which no file can be made. As `take`."""
    try:
        descriptor = platform.open_folder(path)
    except OSError as error:
        raise _named(error, path) from None
    try:
        _flock(descriptor, shared, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int, path: str | None = None) -> None:
    """Gives back a lock; path: of its file, which is removed unless others hold the lock, too."""
    try:
        if path:
            with contextlib.suppress(OSError):
                platform.lock_file(descriptor)
                if _is_at(descriptor, path):
                    os.remove(path)
        with contextlib.suppress(OSError):
            platform.unlock_file(descriptor)  # at once: a child that is starting may have a copy
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """A `with` block that holds the lock of a file, as `take` takes it. Raises BlockingIOError if another has
    it, OSError, naming the file; where there are no locks, nothing keeps others out."""
    try:
        descriptor = take(path)
    except Unsupported:
        yield
        return
    try:
        yield
    finally:
        release(descriptor, path)


def _flock(descriptor, shared, path):
    try:
        platform.lock_file(descriptor, shared)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _named(error, path) from None


def _named(error, path):
    """The error with the file that it is about; Unsupported where there are no locks."""
    kind = Unsupported if error.errno in UNSUPPORTED else OSError
    return kind(error.errno, error.strerror, path)


def _is_at(descriptor, path):
    """Whether an open file is the one that has a name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
