"""Files that appear under their name when they are complete, or not at all, and folders that one run writes at a time."""
import contextlib
import csv
import fcntl
import hashlib
import io
import os
import re
import shutil
import socket
import time

ABANDONED = 24 * 3600  # seconds without a change after which another machine's unfinished file is nobody's


def partial_name(path, extension=""):
    """The name that a file, or a folder, has until it is complete: hidden, telling the machine and the process, as sweep
    needs to know. extension: of that name, for what goes by it."""
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(folder, f".{name}.{_machine()}-{os.getpid()}.tmp{extension}")


def _machine():
    # Short, whatever the machine is called: file systems end names after 255 bytes.
    return hashlib.sha256(socket.gethostname().encode(errors="replace")).hexdigest()[:6]


@contextlib.contextmanager
def written_whole(path, extension=""):
    """A `with` block that writes a file under the name it is given (see partial_name); when it ends well, the file takes
    the name `path`, in place of what has it. An OSError on the way names that."""
    partial = partial_name(path, extension)
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())  # else a power cut could leave the name without its content
        os.replace(partial, path)
    except OSError as error:
        if error.errno and error.filename in (None, partial):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


def write_text(path, text):
    """Writes a text file as UTF-8. Raises OSError, naming the file."""
    try:
        with written_whole(path) as partial, open(partial, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    except OSError as error:
        raise OSError(f"{path}: can't be written ({error.strerror})") from None


def error_text(error):
    """'data/x.npy: No space left on device' rather than "[Errno 28] No space left on device: 'data/x.npy'"."""
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


def sweep(folder, prefix=""):
    """Removes what runs that were killed left unfinished in a folder; prefix: of the files that they would have become."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        found = re.fullmatch(r"\.(.+)\.(\w+)-(\d+)\.tmp(\.\w+)?", name, re.DOTALL)
        path = os.path.join(folder, name)
        if found and found[1].startswith(prefix) and _is_left(path, found[2], int(found[3])):
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


def _is_left(path, machine, pid):
    """Whether the run that writes a file is gone. Of other machines' runs nothing is known but that they would go on
    writing."""
    if machine != _machine():
        with contextlib.suppress(FileNotFoundError):
            return os.path.getmtime(path) < time.time() - ABANDONED
        return False
    return not _runs(pid)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@contextlib.contextmanager
def locked(data_dir, shared=False):
    """A `with` block that writes into a dataset's folder. Raises RuntimeError if another process is in one with it, unless
    both are `shared`; sweeps up after those that were killed."""
    if not os.path.isdir(data_dir):
        yield  # whoever makes it, or needs it, says so
        return
    descriptor = os.open(data_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"{data_dir}: another run is writing there; wait until it has ended, or give another "
                               f"--data-dir") from None
        except OSError:
            pass  # a file system without locks
        for folder in (data_dir, *(os.path.join(data_dir, name) for name in ("checkpoints", "reports"))):
            sweep(folder)
        for folder, _, _ in os.walk(os.path.join(data_dir, "sequences")):
            sweep(folder)
        yield
    finally:
        os.close(descriptor)
