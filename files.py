"""Files that appear under their name when they are complete, or not at all."""
import contextlib
import os


@contextlib.contextmanager
def written_whole(path, extension=""):
    """A `with` block that writes a file under the temporary name it is given; when it ends well, the file takes the name
    `path`, in place of what has it. extension: of the temporary name, for what goes by it.
    """
    path = os.fspath(path)
    partial = f"{path}.{os.getpid()}.tmp{extension}"
    try:
        yield partial
        os.replace(partial, path)
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
