"""Where feature sequences are kept: the dataset's folder, or a place that a URL names (s3://, gs://, file://,
...)."""

import contextlib
import io
import os
import re

import numpy as np

from vidclass import parallel
from vidclass.console import error_text
from vidclass.dataset.frames_note import read_frames_note
from vidclass.features.identity import FEATURES_LENGTH
from vidclass.progress import progress


def _file_sizes(folder):
    """{name: size} of the files in a folder; none where there is no such folder."""
    sizes = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    sizes[entry.name] = entry.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        pass
    return sizes


def npy_header(shape):
    """What np.save writes before the values of a float32 array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def forget_sequences(data_dir, *rows):
    """Deletes the feature sequences of clips whose frames are about to change, of every size and weights."""
    names = {}
    for row in rows:
        names.setdefault((row[0], row[1]), set()).add(row[2])
    root = os.path.join(data_dir, "sequences")
    for variant in os.listdir(root) if os.path.isdir(root) else []:
        for (split, class_name), clips in names.items():
            folder = os.path.join(root, variant, split, class_name)
            for file in os.listdir(folder) if os.path.isdir(folder) else []:
                found = re.fullmatch(r"(.*)-\d+-features\.npy", file, re.DOTALL)
                if found and found[1] in clips:
                    os.remove(os.path.join(folder, file))


LATEST = 2**40  # seconds since 1970, far beyond what time.time() tells
THREADS = 16  # that copy sequences from or to a URL at once: they wait for answers most of the time


class FolderStore:
    """The dataset's own folder. dataset: a DataSet. identity: of the features, see inception.features_id."""

    def __init__(self, dataset, identity):
        self._dataset, self._identity = dataset, identity

    def has(self, row):
        """Whether a Clip's features are there."""
        return self._dataset.has_sequence(row, self._identity)

    def missing(self, rows):
        """Those of these Clips whose features are not there."""
        return self._dataset.missing_sequences(rows, self._identity)

    def save(self, row, features):
        """Saves a Clip's features, (seq_length, 2048): whole or not at all."""
        self._dataset.save_sequence(row, self._identity, features)


class UrlStore:
    """A file system of pyarrow or fsspec; the same files as under data/sequences/, below the URL. The
    dataset's folder is its cache.

    keep: save sequences in the dataset's folder, too. Raises RuntimeError if pyarrow, or what fsspec needs
    for such URLs, is not installed, ValueError if the URL can't be used, OSError, naming it, if it can't be
    reached.
    """

    def __init__(self, dataset, identity, url, keep=False):
        self._dataset, self._identity, self._url, self._keep = dataset, identity, url, keep
        self._files, self._root = _open(url)
        self._cache = FolderStore(dataset, identity)

    def has(self, row):
        """Whether a Clip's features are there, by their size."""
        with self._reaching(self._path(row)):
            return self._is_valid(row, self._files.get_file_info(self._path(row)))

    def missing(self, rows):
        """Those of these Clips whose features are not there."""
        from pyarrow.fs import FileSelector

        folders = {self._path(row).rsplit("/", 3)[0] for row in rows}  # one, of this size and these weights
        found = {}
        with self._reaching("it"):
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):
                    found.update(
                        (info.path, info)
                        for info in self._files.get_file_info(
                            FileSelector(folder, recursive=True, allow_not_found=True)
                        )
                    )
        return [
            row
            for row in rows
            if self._path(row) not in found or not self._is_valid(row, found[self._path(row)])
        ]

    def save(self, row, features):
        """Saves a Clip's features, (seq_length, 2048): whole or not at all. Raises OSError, naming the URL."""
        self._write(row, _npy_bytes(features))
        if self._keep:
            self._cache.save(row, features)

    def upload(self, rows, quiet=False):
        """Copies the sequences of these Clips that are in the dataset's folder. Returns the Clips of the
        others."""
        missing = set(self._cache.missing(rows))

        def copy(row):
            features = np.empty((self._dataset.seq_length, FEATURES_LENGTH), np.float32)
            if (
                not self._dataset.read_sequence(row, self._identity, features)
                or not np.isfinite(features).all()
            ):
                raise ValueError(
                    f"{self._dataset.get_sequence_path(row, self._identity)}: damaged; delete it and run again"
                )
            self._write(row, _npy_bytes(features))

        _copy_all(copy, [row for row in rows if row not in missing], f"Copying to {self._url}", quiet)
        return [row for row in rows if row in missing]

    def download(self, rows, quiet=False):
        """Copies the sequences of these Clips that the dataset's folder lacks and the URL has into the
        folder, each whole or not at all. Raises OSError or ValueError, naming the URL, if one can't be had or
        is damaged."""
        lacking = self._cache.missing(rows)
        absent = set(self.missing(lacking))
        _copy_all(
            self._read, [row for row in lacking if row not in absent], f"Copying from {self._url}", quiet
        )

    def _read(self, row):
        path, header = self._path(row), self._dataset.sequence_header
        with self._reaching(path), self._files.open_input_stream(path) as stream:
            content = stream.read(self._dataset.sequence_bytes + 1)
        values = np.frombuffer(content[len(header) :], np.uint8)
        if (
            not content.startswith(header)
            or len(content) != self._dataset.sequence_bytes
            or not np.isfinite(values.view(np.float32)).all()
        ):
            raise ValueError(f"{self._url}: {path} is damaged; delete it there and run again")
        self._cache.save(row, values.view(np.float32).reshape(-1, FEATURES_LENGTH))

    def _write(self, row, content):
        path = self._path(row)
        # Object stores show a file when it is complete. Elsewhere a half-written one is short, which `has`
        # sees.
        with self._reaching(path, "written"):
            self._files.create_dir(os.path.dirname(path), recursive=True)
            with self._files.open_output_stream(path) as stream:
                stream.write(content)

    def _is_valid(self, row, info):
        """Whether a pyarrow FileInfo is that of a whole sequence, and not of a clip that another has replaced
        since."""
        if info.size != self._dataset.sequence_bytes or info.mtime_ns is None:
            return info.size == self._dataset.sequence_bytes
        note = read_frames_note(self._dataset.data_dir, row) or {}
        replaced = note.get("replaced")
        if type(replaced) not in (int, float) or not 0 <= replaced < LATEST:  # nothing that we noted
            return True
        return info.mtime_ns >= replaced // 1 * 1e9  # some count whole seconds

    def _path(self, row):
        own = os.path.join(self._dataset.data_dir, "sequences")
        path = os.path.relpath(self._dataset.get_sequence_path(row, self._identity), own)
        # Places that a URL names take text only: a byte that is none becomes \\udcff, and stays apart from a
        # name with that.
        if re.search(r"[\ud800-\udfff]|\\ud", path):
            path = path.replace("\\", "\\\\").encode(errors="backslashreplace").decode()
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _reaching(self, path, what="read"):
        """A `with` block whose errors, of whatever kind a file system has them, become an OSError that names
        the URL."""
        try:
            yield
        except FileNotFoundError as error:
            raise OSError(f"{self._url}: {path} is not there ({error})") from None
        except Exception as error:
            raise OSError(f"{self._url}: {path} can't be {what} ({error_text(error)})") from None


def open_store(dataset, identity, url=None, keep=False):
    """The FolderStore of a dataset, or the UrlStore of a URL."""
    return UrlStore(dataset, identity, url, keep) if url else FolderStore(dataset, identity)


def _copy_all(copy, rows, text, quiet):
    with contextlib.closing(parallel.each(copy, rows, THREADS)) as copied:
        for _, future in progress(copied, total=len(rows), unit="clip", desc=text, quiet=quiet or not rows):
            future.result()


def _npy_bytes(features):
    file = io.BytesIO()
    np.save(file, np.asarray(features, np.float32), allow_pickle=False)
    return file.getvalue()


def _open(url):
    """(pyarrow file system, path in it without a slash at its end)."""
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError:
        raise RuntimeError("--sequences needs pyarrow: pip install -r requirements-ray.txt") from None
    try:
        found, root = fs.FileSystem.from_uri(url)
    except ArrowInvalid as error:  # none of pyarrow's own schemes
        import fsspec

        try:
            found, root = fsspec.core.url_to_fs(url)
        except ValueError:
            raise ValueError(f"{url}: no URL that sequences can be kept at ({error})") from None
        except ImportError as missing:
            raise RuntimeError(f"{url}: {missing}") from None
        except Exception as failure:
            raise OSError(f"{url}: can't be reached ({failure})") from None
        if "://" not in url:
            raise ValueError(
                f"{url}: no URL; give s3://bucket/folder or the like, file:///folder for a folder"
            ) from None
        found = fs.PyFileSystem(fs.FSSpecHandler(found))
    except OSError as error:
        raise OSError(f"{url}: can't be reached ({error})") from None
    return found, root.rstrip("/")
