"""The formats of label files: from a file's bytes to rows of start, end and class, still as text.

Read: CSV with any of three delimiters, MPlayer's and Kodi's EDL, comskip's .txt, SRT, WebVTT. What other
programs write and doesn't say what is when is refused by its name, with what to do instead.
"""

import codecs
import csv
import html
import io
import os
import re
from fractions import Fraction
from typing import NamedTuple

MAX_BYTES = 2**24  # of a file: half a million labels
EDL_ACTIONS = {"0": "cut", "1": "mute", "2": "scene marker", "3": "commercial break"}
SKIPPED = ("0", "3")  # those that leave a stretch out
# As a table's columns are called, best first; "Start Time (seconds)" and "start_time" are "start", too.
COLUMNS = {
    "start": ("start", "in", "from", "begin"),
    "end": ("end", "out", "to", "stop"),
    "class": ("class", "label", "tag", "name", "category"),
}
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY = (
    (b"PK\x03\x04", "a spreadsheet (.xlsx, .ods) or another ZIP archive; open it and save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file; open it and save it as CSV"),
)
WRITE_ROWS = "write rows of start, end, class instead"
REFUSED = (  # how a file begins, but for blanks, and what it is
    (
        r'\{\s*"?(version|mediaFileName|cutSegments)\b',
        "a project of LosslessCut; export its segments as CSV there",
    ),
    (r"# mpv EDL v\d", f"an EDL of mpv, which lists the parts of a new video; {WRITE_ROWS}"),
    (
        r"(TITLE|FCM):|\d{3,6}[ \t]+\S+[ \t]+\S+[ \t]+(C|D|K|W\d+)\b.*\d\d:\d\d:\d\d[:;]\d\d",
        f"a CMX 3600 EDL, whose pieces of an edit have no classes and count frames of an unknown rate; "
        f"{WRITE_ROWS}",
    ),
    (r";FFMETADATA", f"chapters for ffmpeg; {WRITE_ROWS}"),
    (r"[{\[]\s*[\"{\[}\]]", "JSON; of clasify.py's results give the .csv"),
    (r"<(\?xml|!|html|table|xmeml|fcpxml|cutlist)", f"XML or HTML; {WRITE_ROWS}"),
)
_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,9}(?:[.,]\d{0,20})?)", re.ASCII)
_TAGS = re.compile(r"</?(?:[biucsv]|font|lang|ruby|rt|\d[\d:.]*)(?:[.\s][^<>]*)?>|\{\\[^{}]*\}", re.I)
_ARROW = re.compile(r"(.*?)-->\s*(\S*)")


class Row(NamedTuple):
    """A label as a file has it."""

    line: int  # of the file, from 1
    start: str  # a time, or empty
    end: str
    class_name: str


def read_rows(path, skipped_class):
    """The Rows of a label file, in its order. skipped_class: of what an EDL or comskip marks.

    Raises OSError if it can't be read, ValueError, naming file and line, if its format is not understood.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        text = decode(content)
        start = text.lstrip()
        for pattern, reason in REFUSED:
            if re.match(pattern, start):
                raise ValueError(f": {reason}")
        extension = os.path.splitext(path)[1].lower()
        if re.match(r"FILE PROCESSING COMPLETE", start):
            return list(_parse_comskip(text, skipped_class))
        if extension == ".edl":
            return list(_parse_edl(text, skipped_class))
        return list(_parse_cues(text) if extension in (".srt", ".vtt") else _parse_csv(text))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}{error}") from None


def decode(content):
    """The text in a file's bytes, UTF-8 unless a byte order mark says otherwise. Raises ValueError, ": ..."
    or ", line N: ...", if they are no text."""
    if len(content) > MAX_BYTES:
        raise ValueError(f": longer than {MAX_BYTES >> 20} MB; that is no file of labels")
    for signature, reason in BINARY:
        if content.startswith(signature):
            raise ValueError(f": {reason}")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8") or b"\0" in content:
            raise ValueError(": no text; save it as CSV") from None
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f", line {line}: not in UTF-8; save the file as UTF-8 (Excel: 'CSV UTF-8')"
        ) from None
    if "\0" in text:
        raise ValueError(": no text; save it as CSV")
    return text


def parse_time(text):
    """Seconds from "83.5", "1:23.5" or "0:01:23,500". Raises ValueError."""
    text = text.strip()
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r:.80} is no time; expected seconds or HH:MM:SS.mmm")
    hours, minutes, seconds = found.groups()
    seconds = float(seconds.replace(",", "."))
    if minutes and seconds >= 60 or hours and int(minutes) >= 60:
        raise ValueError(f"{text!r:.80} is no time: a minute has 60 seconds, an hour 60 minutes")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def _parse_csv(text):
    """The Rows of a table. Its first row may name the columns; lines that begin with # are comments."""
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
        and _TIME.fullmatch(cells[2])
        and any(cell and not _TIME.fullmatch(cell) for cell in cells[3:])
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
            sum(not cell.strip() or bool(_TIME.fullmatch(cell.strip())) for cell in row)
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
    line, names = table[header][0], names[header]
    found = {
        column: next((names.index(name) for name in known if name in names), None)
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


def _parse_edl(text, class_name):
    """The Rows of what an edit decision list leaves out."""
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or line.startswith("#"):
            continue
        if len(parts) < 3 or parts[2] not in EDL_ACTIONS:
            known = ", ".join(f"{action} ({meaning})" for action, meaning in EDL_ACTIONS.items())
            raise ValueError(
                f", line {number}: expected start, end and one of the actions {known}, found "
                f"{line.strip()!r:.80}"
            )
        if parts[2] in SKIPPED:
            yield Row(number, parts[0], parts[1], class_name)


def _parse_comskip(text, class_name):
    """The Rows of the commercials in comskip's .txt: first and last frame of each, counted from 1, and above
    them the frame rate, times 100, cut to a whole number."""
    fps = None
    for number, line in enumerate(text.splitlines(), 1):
        header = r"\s*FILE PROCESSING COMPLETE(?:\s+\d+\s+FRAMES AT\s+(\d{1,6})\s*$)?"
        if found := re.match(header, line, re.ASCII):
            if not int(found[1] or 0):
                raise ValueError(
                    f", line {number}: comskip's list, but without its frame rate; give its .edl"
                )
            # 2397 and 2997 are those of NTSC: 24000/1001, 30000/1001.
            exact = Fraction(int(found[1]), 100)
            ntsc = Fraction(-(-exact.numerator // exact.denominator) * 1000, 1001)
            fps = ntsc if int(ntsc * 100) == int(found[1]) else exact
        elif found := re.fullmatch(r"\s*(\d{1,9})\s+(\d{1,9})(\s.*)?", line, re.ASCII):
            start, end = (f"{float(max(int(frame) - 1, 0) / fps):.6f}" for frame in found.groups()[:2])
            yield Row(number, start, end, class_name)
        elif line.strip(" \t-"):
            raise ValueError(
                f", line {number}: expected the first and last frame of a commercial, found "
                f"{line.strip()!r:.80}"
            )


def _parse_cues(text):
    """The Rows of SRT's or WebVTT's cues: their text without tags, and without the probability that we
    add."""
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines) if "-->" in line]
    for number, following in zip(at, [*at[1:], len(lines)]):
        start, end = _ARROW.match(lines[number]).groups()
        cue = []
        for line in lines[number + 1 : following]:
            if not line.strip():
                break
            cue.append(line.strip())
        else:  # no blank line before the next cue, only its number
            if following < len(lines) and cue and cue[-1].isdigit():
                cue.pop()
        name = _TAGS.sub("", " ".join(cue))
        name = re.sub(r"&#?\w{1,31};", lambda entity: html.unescape(entity[0]), name)
        yield Row(number + 1, start, end, re.sub(r": [01]\.\d\d$", "", name.strip()))
