"""Feature sequences on disk: one .npy a clip, float32 (seq_length, 2048), in the dataset's folder or at a
place that a URL names (s3://, gs://, file://, ...)."""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from vidclass import atomic, parallel
from vidclass.console import error_text
from vidclass.dataset.data_file import Clip
from vidclass.dataset.frames_note import read_frames_note
from vidclass.dataset.sequence_files import SEQUENCES, sequence_path
from vidclass.features.identity import FEATURES_LENGTH
from vidclass.progress import progress

RANGES = "int8-ranges.json"  # a file beside the sequences, see int8_ranges.py
MOST_BYTES = 2**20  # of such a file
THREADS = 16  # that copy sequences from or to a URL at once: they wait for answers most of the time


class FolderStore:
    """The sequences in a dataset's own folder.

    dataset: a DataSet. identity: of the features, see identity.features_id; they are never mixed up with
    those of another identity or image size.

    .dataset. .variant: the name of their folder. .shape: of a sequence, (seq_length, 2048). .file_bytes: the
    size of its file.
    """

    def __init__(self, dataset: Any, identity: str):
        height, width = dataset.image_shape[:2]
        self.dataset = dataset
        self.shape = (dataset.seq_length, FEATURES_LENGTH)
        self.variant = f"{height}x{width}-{identity}"
        self._header = _npy_header(self.shape)
        self.file_bytes = len(self._header) + 4 * dataset.seq_length * FEATURES_LENGTH

    def adopt_earlier(self) -> None:
        """Takes over the sequences that an earlier version kept apart by their number format, if there are
        none of this identity yet."""
        folder = os.path.join(self.dataset.data_dir, SEQUENCES, self.variant)
        for number_format in ("bfloat16", "float16"):
            earlier = f"{folder}-{number_format}"
            if os.path.isdir(earlier) and not os.path.exists(folder):
                os.rename(earlier, folder)

    def relative_path(self, clip: Sequence) -> str:
        """Where a clip's sequence lies, below the folder of all sequences."""
        return sequence_path(self.variant, clip, self.shape[0])

    def path(self, clip: Sequence) -> str:
        """Where a clip's sequence lies."""
        return os.path.join(self.dataset.data_dir, SEQUENCES, self.relative_path(clip))

    def has(self, clip: Sequence) -> bool:
        """Whether a clip's sequence is there, by the size of its file: what is in it was looked at when it
        was written."""
        try:
            size = os.stat(self.path(clip)).st_size
        except OSError:
            return False
        return size == self.file_bytes or self.load(clip) is not None

    def missing(self, clips: Iterable[Clip]) -> list[Clip]:
        """The clips whose sequences are not there. Each folder is read once: a million files take seconds."""
        sizes: dict[str, dict[str, int]] = {}
        found = []
        for clip in clips:
            folder, name = os.path.split(self.path(clip))
            if folder not in sizes:
                sizes[folder] = _file_sizes(folder)
            size = sizes[folder].get(name)
            if size != self.file_bytes and (size is None or not self.has(clip)):
                found.append(clip)
        return found

    def load(self, clip: Sequence) -> np.ndarray | None:
        """A clip's sequence, None if there is no such file or it is damaged."""
        try:
            # A map reads the header alone until the values are used.
            sequence = np.load(self.path(clip), mmap_mode="r", allow_pickle=False)
        except Exception:  # NumPy interprets a header as Python, and raises whatever a damaged one leads to
            return None
        return sequence if sequence.shape == self.shape and sequence.dtype == np.float32 else None

    def read(self, clip: Sequence, into: np.ndarray) -> bool:
        """Reads a clip's sequence into an array, contiguous float32 (seq_length, 2048). False if it is
        missing or damaged.

        Three times as fast as `load`, which takes most of its time to interpret the file's header.
        """
        try:
            with open(self.path(clip), "rb", buffering=0) as file:
                if file.read(len(self._header)) == self._header:
                    bytes_read = file.readinto(into.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
                    return bytes_read == into.nbytes
        except OSError:
            return False
        sequence = self.load(clip)  # written by another program
        if sequence is not None:
            into[:] = sequence
        return sequence is not None

    def save(self, clip: Sequence, features: np.ndarray) -> None:
        """Saves a clip's sequence as float32: whole or not at all."""
        path = self.path(clip)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with atomic.atomic_write(path) as partial, open(partial, "wb") as file:
            file.write(_npy_bytes(features))

    def name_of(self, name: str) -> str:
        """Where a file beside the sequences lies."""
        return os.path.join(self.dataset.data_dir, SEQUENCES, self.variant, name)

    def load_file(self, name: str) -> bytes | None:
        """A file beside the sequences, None if it isn't there. Raises OSError if it can't be read."""
        try:
            with open(self.name_of(name), "rb") as file:
                return file.read(MOST_BYTES)
        except FileNotFoundError:
            return None

    def save_file(self, name: str, content: bytes) -> None:
        """Saves a file beside the sequences: whole or not at all."""
        os.makedirs(os.path.dirname(self.name_of(name)), exist_ok=True)
        with atomic.atomic_write(self.name_of(name)) as partial, open(partial, "wb") as file:
            file.write(content)

    def decode(self, content: bytes) -> np.ndarray | None:
        """The sequence in a file's content, None if it is damaged or has values that are NaN or infinite."""
        if len(content) != self.file_bytes or not content.startswith(self._header):
            return None
        values = np.frombuffer(content, np.float32, offset=len(self._header)).reshape(self.shape)
        return values if np.isfinite(values).all() else None


class UrlStore:
    """The sequences at a URL: the same files as in the dataset's folder, which is its cache.

    dataset, identity: see FolderStore. keep: save sequences in the dataset's folder, too. Raises RuntimeError
    if pyarrow, or what fsspec needs for such URLs, is not installed, ValueError if the URL can't be used,
    OSError, naming it, if it can't be reached.
    """

    def __init__(self, dataset: Any, identity: str, url: str, keep: bool = False):
        self._url, self._keep = url, keep
        self._files, self._root = _open(url)
        self.folder = FolderStore(dataset, identity)
        self.shape, self.file_bytes = self.folder.shape, self.folder.file_bytes

    def has(self, clip: Sequence) -> bool:
        """Whether a clip's sequence is there, by its size."""
        with self._reaching(self._path(clip)):
            return self._is_valid(clip, self._files.get_file_info(self._path(clip)))

    def missing(self, clips: Iterable[Clip]) -> list[Clip]:
        """The clips whose sequences are not there."""
        from pyarrow.fs import FileSelector

        paths = {clip: self._path(clip) for clip in clips}
        found: dict[str, Any] = {}
        with self._reaching("it"):
            # One folder, of this size and these weights.
            for folder in {path.rsplit("/", 3)[0] for path in paths.values()}:
                selector = FileSelector(folder, recursive=True, allow_not_found=True)
                with contextlib.suppress(FileNotFoundError):
                    found.update((info.path, info) for info in self._files.get_file_info(selector))
        return [
            clip for clip, path in paths.items() if path not in found or not self._is_valid(clip, found[path])
        ]

    def save(self, clip: Sequence, features: np.ndarray) -> None:
        """Saves a clip's sequence: whole or not at all. Raises OSError, naming the URL."""
        self._write(self._path(clip), _npy_bytes(features))
        if self._keep:
            self.folder.save(clip, features)

    def name_of(self, name: str) -> str:
        """Where a file beside the sequences lies."""
        return f"{self._url}: {self._root}/{self.folder.variant}/{name}"

    def load_file(self, name: str) -> bytes | None:
        """A file beside the sequences, None if it isn't there. Raises OSError, naming the URL."""
        path = f"{self._root}/{self.folder.variant}/{name}"
        with self._reaching(path):
            if not self._files.get_file_info(path).is_file:
                return None
            with self._files.open_input_stream(path) as stream:
                return stream.read(MOST_BYTES)

    def save_file(self, name: str, content: bytes) -> None:
        """Saves a file beside the sequences. Raises OSError, naming the URL."""
        self._write(f"{self._root}/{self.folder.variant}/{name}", content)
        if self._keep:
            self.folder.save_file(name, content)

    def upload(self, clips: Iterable[Clip], quiet: bool = False) -> list[Clip]:
        """Copies the sequences of these clips that are in the dataset's folder. Returns the other clips."""
        clips = list(clips)
        missing = self.folder.missing(clips)
        lacking = set(missing)
        _copy_all(self._copy_there, [c for c in clips if c not in lacking], f"Copying to {self._url}", quiet)
        return missing

    def download(self, clips: Iterable[Clip], quiet: bool = False) -> None:
        """Copies the sequences of these clips that the dataset's folder lacks and the URL has, each whole or
        not at all. Raises OSError or ValueError, naming the URL, if one can't be had or is damaged."""
        lacking = self.folder.missing(clips)
        absent = set(self.missing(lacking))
        there = [clip for clip in lacking if clip not in absent]
        _copy_all(self._copy_here, there, f"Copying from {self._url}", quiet)

    def _copy_there(self, clip):
        features = np.empty(self.folder.shape, np.float32)
        if not self.folder.read(clip, features) or not np.isfinite(features).all():
            raise ValueError(f"{self.folder.path(clip)}: damaged; delete it and run again")
        self._write(self._path(clip), _npy_bytes(features))

    def _copy_here(self, clip):
        path = self._path(clip)
        with self._reaching(path), self._files.open_input_stream(path) as stream:
            content = stream.read(self.folder.file_bytes + 1)
        sequence = self.folder.decode(content)
        if sequence is None:
            raise ValueError(f"{self._url}: {path} is damaged; delete it there and run again")
        self.folder.save(clip, sequence)

    def _write(self, path, content):
        # Object stores show a file when it is complete. Elsewhere a half-written one is short, which `has`
        # sees.
        with self._reaching(path, "written"):
            self._files.create_dir(os.path.dirname(path), recursive=True)
            with self._files.open_output_stream(path) as stream:
                stream.write(content)

    def _is_valid(self, clip, info):
        """Whether a pyarrow FileInfo is that of a whole sequence, and not of a clip that another has replaced
        since."""
        if info.size != self.folder.file_bytes:
            return False
        note = read_frames_note(self.folder.dataset.data_dir, clip)
        if info.mtime_ns is None or note is None or note.replaced is None:
            return True
        return info.mtime_ns >= note.replaced // 1 * 1e9  # some file systems count whole seconds

    def _path(self, clip):
        path = self.folder.relative_path(clip)
        # Places that a URL names take text only: a byte that is not text becomes \\udcff, and stays apart
        # from a name with that.
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


def open_store(
    dataset: Any, identity: str, url: str | None = None, keep: bool = False
) -> FolderStore | UrlStore:
    """The FolderStore of a dataset, or the UrlStore of a URL."""
    return UrlStore(dataset, identity, url, keep) if url else FolderStore(dataset, identity)


def fetch_sequences(dataset: Any, identity: str, url: str | None = None, quiet: bool = False) -> FolderStore:
    """The FolderStore of a dataset, after copying what it lacks from the URL. dataset.data become the clips
    that have sequences."""
    store = FolderStore(dataset, identity)
    if url:
        there = UrlStore(dataset, identity, url)
        there.download(dataset.data, quiet)
        if (ranges := there.load_file(RANGES)) is not None:
            store.save_file(RANGES, ranges)
    missing = set(store.missing(dataset.data))
    dataset.data = [clip for clip in dataset.data if clip not in missing]
    return store


def _file_sizes(folder):
    """{name: size} of the files in a folder; {} if there is no such folder."""
    sizes = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    sizes[entry.name] = entry.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        pass
    return sizes


def _npy_header(shape):
    """What np.save writes before the values of a float32 array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def _npy_bytes(features):
    file = io.BytesIO()
    np.save(file, np.asarray(features, np.float32), allow_pickle=False)
    return file.getvalue()


def _copy_all(copy: Callable[[Clip], None], clips: list[Clip], text: str, quiet: bool) -> None:
    with contextlib.closing(parallel.each(copy, clips, THREADS)) as copied:
        for _, future in progress(copied, total=len(clips), unit="clip", desc=text, quiet=quiet or not clips):
            future.result()


def _open(url):
    """(pyarrow file system, path in it without a slash at its end)."""
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError:
        raise RuntimeError("--sequences needs pyarrow: pip install -r requirements-ray.txt") from None
    try:
        found, root = fs.FileSystem.from_uri(url)
    except ArrowInvalid as error:  # a scheme that pyarrow doesn't know itself
        found, root = _open_with_fsspec(url, error)
        found = fs.PyFileSystem(fs.FSSpecHandler(found))
    except OSError as error:
        raise OSError(f"{url}: can't be reached ({error})") from None
    return found, root.rstrip("/")


def _open_with_fsspec(url, problem):
    """(fsspec file system, path in it). problem: why pyarrow doesn't take the URL."""
    import fsspec

    try:
        found = fsspec.core.url_to_fs(url)
    except ValueError:
        raise ValueError(f"{url}: not a URL that sequences can be kept at ({problem})") from None
    except ImportError as error:
        raise RuntimeError(f"{url}: {error}") from None
    except Exception as error:
        raise OSError(f"{url}: can't be reached ({error})") from None
    if "://" not in url:
        raise ValueError(
            f"{url}: not a URL; give s3://bucket/folder or the like, file:///folder for a folder"
        ) from None
    return found
