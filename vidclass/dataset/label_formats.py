"""The formats of label files: from a file's bytes to rows of start, end and class, still as text.

Read: CSV with any of three delimiters, MPlayer's and Kodi's EDL, comskip's .txt, SRT, WebVTT. What other
programs write and doesn't say what is when is refused by its name, with what to do instead.
"""

import codecs
import os
import re

from vidclass.dataset.label_lists import parse_comskip, parse_cues, parse_edl
from vidclass.dataset.label_rows import Row
from vidclass.dataset.label_tables import parse_table

MAX_BYTES = 2**24  # of a file: half a million labels
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


def read_rows(path: str | os.PathLike, skipped_class: str) -> list[Row]:
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
            return list(parse_comskip(text, skipped_class))
        if extension == ".edl":
            return list(parse_edl(text, skipped_class))
        return list(parse_cues(text) if extension in (".srt", ".vtt") else parse_table(text))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}{error}") from None


def decode(content: bytes) -> str:
    """The text in a file's bytes, UTF-8 unless a byte order mark says otherwise. Raises ValueError, ": ..."
    or ", line N: ...", if they are not text."""
    if len(content) > MAX_BYTES:
        raise ValueError(f": longer than {MAX_BYTES >> 20} MB; that is not a file of labels")
    for signature, reason in BINARY:
        if content.startswith(signature):
            raise ValueError(f": {reason}")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8") or b"\0" in content:
            raise ValueError(": not text; save it as CSV") from None
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f", line {line}: not in UTF-8; save the file as UTF-8 (Excel: 'CSV UTF-8')"
        ) from None
    if "\0" in text:
        raise ValueError(": not text; save it as CSV")
    return text
