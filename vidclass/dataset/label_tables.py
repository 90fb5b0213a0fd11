"""Labels in tables: CSV with commas, semicolons or tabs, as people and spreadsheets write it."""

import csv
import io
import re
from collections.abc import Iterator

from vidclass.dataset.label_rows import TIME, Row

# As a table's columns are called, best first; "Start Time (seconds)" and "start_time" are "start", too.
COLUMNS = {
    "start": ("start", "in", "from", "begin"),
    "end": ("end", "out", "to", "stop"),
    "class": ("class", "label", "tag", "name", "category"),
}


def parse_table(text: str) -> Iterator[Row]:
    """The Rows of a table. Its first row may name the columns; lines that begin with # are comments.

    Raises ValueError, ", line N: ...", if a row is not understood.
    """
    lines = ["\n" if line.lstrip().startswith("#") else line for line in io.StringIO(text, newline="")]
    delimiter = _find_delimiter(lines)
    table = list(_read_table(lines, delimiter))
    whole = table
    columns, table = _find_columns(whole)
    named = len(whole[-len(table) - 1][1]) if len(table) < len(whole) else 0  # columns that have names
    for line, row in table:
        if delimiter == "," and named <= 3:  # nothing tells what a fourth column is
            _check_commas(line, row)
        if len(row) <= max(columns):
            raise ValueError(f", line {line}: expected start, end, class, found {delimiter.join(row)!r:.80}")
        yield Row(line, *(row[column] for column in columns))


def _check_commas(line, row):
    """Raises ValueError if a row of more columns than are known has, where the class should be, what may
    follow a decimal comma."""
    cells = [cell.strip() for cell in row]
    if (
        len(cells) > 3
        and TIME.fullmatch(cells[2])
        and any(cell and not TIME.fullmatch(cell) for cell in cells[3:])
    ):
        raise ValueError(
            f", line {line}: expected start, end, class, found {','.join(row)!r:.80}; where "
            f"times have decimal commas, put semicolons or tabs between the columns"
        )


def _read_table(lines, delimiter):
    """(line, cells) of each row that is not blank."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f", line {reader.line_num}: {error}") from None


def _find_delimiter(lines):
    """The delimiter that makes rows with two times and a class of most lines, else the one there is most of.

    csv.Sniffer takes the letter that is equally often in each line, which of times is ':' or '0'.
    """
    sample = [line for line in lines if line.strip()][:100]

    def score(delimiter):
        rows = [next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []) for line in sample]
        times = (
            sum(not cell.strip() or bool(TIME.fullmatch(cell.strip())) for cell in row)
            for row in rows
            if len(row) >= 3
        )
        fit = sum(count >= 2 for count in times)
        return fit, sum(line.count(delimiter) for line in sample)

    try:
        return max("\t;,", key=score)
    except csv.Error:  # a field without an end, say, which is named when the table is read
        return ","


def _find_columns(table):
    """(columns of start, end and class, the rows below the header). Raises ValueError if the header makes no
    sense of them."""
    names = [[_column_name(cell) for cell in row] for _, row in table[:2]]
    scenes = next((i for i, row in enumerate(names) if row and row[0] == "scene number"), None)
    header = scenes or 0  # PySceneDetect puts a line with the times of all cuts first
    if not table or scenes is None and not _is_header(table[0][1], names[0]):
        return (0, 1, 2), table
    line, titles = table[header][0], names[header]
    found = {
        column: next((titles.index(title) for title in known if title in titles), None)
        for column, known in COLUMNS.items()
    }
    if scenes is not None and found["class"] is None:
        raise ValueError(
            ": PySceneDetect's list of scenes, which doesn't say of what class they are; add a "
            "column 'class' to it"
        )
    columns = tuple(found.values())
    if None in columns:
        if any(column not in (None, place) for place, column in enumerate(columns)):
            missing = " and ".join(column for column in found if found[column] is None)
            raise ValueError(
                f", line {line}: no column is called {missing}; name three of them start, end and class"
            )
        columns = (0, 1, 2)  # in words of another language
    return columns, table[header + 1 :]


def _is_header(row, names):
    """Whether a first row names columns: none of its cells is a time, or was meant to be one ("O:25")."""
    if any(re.match(r"[OoIl:.,\s-]*\d", cell) for cell in row):
        return False
    known = sum(any(name in names for name in column) for column in COLUMNS.values())
    return known >= 2 or all(cell.strip() for cell in row[:2])


def _column_name(cell):
    words = re.sub(r"\([^()]*\)", " ", cell.lower())
    return " ".join(
        word
        for word in re.findall(r"[^\W\d_]+", words)
        if word not in ("time", "timecode", "s", "sec", "secs", "second", "seconds", "point")
    )
