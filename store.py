"""Where feature sequences are kept: the dataset's folder, or a place that a URL names (s3://, gs://, file://, ...)."""
import io
import os

import numpy as np

from data import FEATURES_LENGTH


class FolderStore:
    """The dataset's own folder. dataset: a DataSet. identity: of the features, see inception.features_id."""

    def __init__(self, dataset, identity):
        self._dataset, self._identity = dataset, identity

    def has(self, row):
        """Whether a Clip's features are there, whole."""
        return self._dataset.has_sequence(row, self._identity)

    def missing(self, rows):
        """Those of these Clips whose features are not there."""
        return [row for row in rows if not self.has(row)]

    def save(self, row, features):
        """Saves a Clip's features, (seq_length, 2048): whole or not at all."""
        self._dataset.save_sequence(row, self._identity, features)


class UrlStore:
    """A file system of pyarrow or fsspec; the same files as under data/sequences/, below the URL.

    Raises RuntimeError if pyarrow, or what fsspec needs for such URLs, is not installed, ValueError if the URL can't be used.
    """

    def __init__(self, dataset, identity, url):
        self._dataset, self._identity, self._url = dataset, identity, url
        self._files, self._root = _open(url)
        self._size = len(_npy(np.empty((dataset.seq_length, FEATURES_LENGTH))))

    def has(self, row):
        """Whether a Clip's features are there, by their size."""
        return self._files.get_file_info(self._path(row)).size == self._size

    def missing(self, rows):
        """Those of these Clips whose features are not there."""
        from pyarrow.fs import FileSelector
        sizes = {info.path: info.size for info in self._files.get_file_info(
            FileSelector(self._root, recursive=True, allow_not_found=True))}
        return [row for row in rows if sizes.get(self._path(row)) != self._size]

    def save(self, row, features):
        """Saves a Clip's features, (seq_length, 2048): whole or not at all. Raises OSError, naming the URL."""
        path = self._path(row)
        # Object stores show a file when it is complete. Elsewhere a half-written one is short, which `has` sees.
        try:
            self._files.create_dir(os.path.dirname(path), recursive=True)
            with self._files.open_output_stream(path) as stream:
                stream.write(_npy(features))
        except OSError as error:
            raise OSError(f"{self._url}: {path} can't be written ({error})") from None

    def _path(self, row):
        own = os.path.join(self._dataset.data_dir, "sequences")
        return f"{self._root}/{os.path.relpath(self._dataset.get_sequence_path(row, self._identity), own)}"


def open_store(dataset, identity, url=None):
    """The FolderStore of a dataset, or the UrlStore of a URL."""
    return UrlStore(dataset, identity, url) if url else FolderStore(dataset, identity)


def _npy(features):
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
            raise ValueError(f"{url}: no URL that sequences can be written to ({error})") from None
        except ImportError as missing:
            raise RuntimeError(f"{url}: {missing}") from None
        if "://" not in url:
            raise ValueError(f"{url}: no URL; give s3://bucket/folder or the like, file:///folder for a folder") from None
        found = fs.PyFileSystem(fs.FSSpecHandler(found))
    return found, root.rstrip("/")
