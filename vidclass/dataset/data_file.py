"""data_file.csv: the list of clips, in the format of the article's repository."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas

from vidclass import atomic, names
from vidclass.names import check_name

SPLITS = names.SPLITS


class Clip(NamedTuple):
    """A row of data_file.csv."""

    split: str
    class_name: str
    name: str  # file name without extension
    frames: int


def data_file(data_dir: str | os.PathLike) -> str:
    """The path of data_file.csv."""
    return os.path.join(data_dir, "data_file.csv")


def command(data_dir: str | os.PathLike, text: str) -> str:
    """How a script is called for a dataset, for messages: "python extract_files.py mp4", with --data-dir
    where that is not the default."""
    data_dir = os.fspath(data_dir)
    return f"python {text}" + (f" --data-dir {shlex.quote(data_dir)}" if data_dir != "data" else "")


def missing_folder_message(data_dir: str | os.PathLike) -> str:
    """What to say if a dataset's folder is not there; "" if it is."""
    if os.path.isdir(data_dir):
        return ""
    kind = "is not a folder" if os.path.exists(data_dir) else "does not exist"
    return (
        f"the folder of the dataset, {os.fspath(data_dir)}, {kind}; give another --data-dir, or put clips "
        f"into {os.path.join(data_dir, 'train', '<Class>')}"
    )


def read_data_file(data_dir: str | os.PathLike) -> list[Clip]:
    """The rows of data_file.csv. Raises FileNotFoundError, or ValueError with the bad row."""
    path = data_file(data_dir)
    if not os.path.exists(path):
        lost = missing_folder_message(data_dir)
        raise FileNotFoundError(
            f"{path} is missing: {f'{lost}. Then ' if lost else ''}"
            f"{command(data_dir, 'extract_files.py mp4')} makes it from the clips in "
            f"{os.path.join(data_dir, 'train')} and {os.path.join(data_dir, 'test')}"
        )
    try:
        # As text, and nothing taken for a missing value: "NA" and "null" are possible names. As objects: with
        # pyarrow installed pandas would otherwise refuse names that are no valid text.
        table = pandas.read_csv(
            path,
            header=None,
            dtype=object,
            keep_default_na=False,
            na_filter=False,
            encoding_errors="surrogateescape",
        )
    except pandas.errors.EmptyDataError:
        return []
    except pandas.errors.ParserError as error:
        raise ValueError(
            f"{path} is not a table of four columns ({error}); mend or delete it and run extract_files.py "
            f"again"
        ) from None
    rows = []
    for number, row in enumerate(table.itertuples(index=False), 1):
        if len(row) != 4 or row[0] not in SPLITS or not re.fullmatch("[0-9]{1,9}", str(row[3])):
            raise ValueError(
                f"{path}, row {number}: expected train or test, class, clip name, number of frames, "
                f"found {', '.join(map(str, row))}"
            )
        for name in row[1:3]:
            try:
                check_name(name)
            except ValueError as error:
                raise ValueError(
                    f"{path}, row {number}: {name!r} can't be the name of a class or clip: {error}"
                ) from None
        rows.append(Clip(row[0], row[1], row[2], int(row[3])))
    return rows


def choose_classes(
    rows: Iterable[Clip], class_limit: int | None, data_dir: str | os.PathLike
) -> tuple[list[str], list[str]]:
    """(the first class_limit classes of the rows in alphabetical order, the others). Raises ValueError if
    there are fewer."""
    known = sorted({row.class_name for row in rows})
    if class_limit is not None and class_limit > len(known):
        raise ValueError(
            f"{class_limit} classes asked for, but {data_file(data_dir)} has {len(known)}: "
            f"{', '.join(known)}; "
            f"if others have clips with another extension, run extract_files.py for it, too"
        )
    limit = len(known) if class_limit is None else class_limit
    return known[:limit], known[limit:]


def write_data_file(data_dir: str | os.PathLike, rows: Iterable[Sequence]) -> None:
    """Writes data_file.csv, sorted, whole or not at all."""
    atomic.write_text(data_file(data_dir), atomic.csv_text(sorted(Clip(*row) for row in rows)))
