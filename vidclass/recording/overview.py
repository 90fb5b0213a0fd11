"""Many recordings at a glance: the table that clasify.py prints, and index.html beside the results."""

import contextlib
import os
import time
from collections.abc import Iterator
from html import escape
from urllib.parse import quote

from vidclass import atomic, locks
from vidclass.console import count, printable
from vidclass.recording.html_style import STYLE
from vidclass.recording.overlay import color
from vidclass.recording.summaries import Summary, all_summaries
from vidclass.text import clock, one_line

INDEX = "index.html"
COLUMNS = 5  # classes that the printed table shows, those that last longest in all
PATIENCE = 10  # seconds until another run has written its page


def table(summaries: list[Summary]) -> list[str]:
    """The lines of a table: recording, minutes of each class, segments, the least sure of them. Recordings
    were classified by one checkpoint."""
    if not summaries:
        return []
    classes = summaries[0].classes
    totals = [sum(summary.seconds[number] for summary in summaries) for number in range(len(classes))]
    shown = sorted(sorted(range(len(classes)), key=lambda number: -totals[number])[:COLUMNS])
    heads = [f"{classes[number]}, min" for number in shown]
    rest = [number for number in range(len(classes)) if number not in shown]
    rows = [["recording", *heads, *(["others, min"] if rest else []), "segments", "least sure"]]
    for summary in summaries:
        minutes = [f"{summary.seconds[number] / 60:.1f}" for number in shown]
        if rest:
            minutes.append(f"{sum(summary.seconds[number] for number in rest) / 60:.1f}")
        name = os.path.basename(summary.recording["path"])
        rows.append([name, *minutes, str(summary.segments), _least_sure(summary)])
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row, widths):
    """The cells of a row, the numbers to the right."""
    last = len(row) - 1
    return [
        cell.ljust(width) if place in (0, last) else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths))
    ]


def _least_sure(summary):
    start, end, class_name, probability = summary.least_sure
    return f"{probability:.2f} {class_name} {clock(start)} - {clock(end)}"


def write_index(folder: str) -> None:
    """Writes index.html on all results in a folder. Runs that share it write one after the other, so that the
    last page has all. Raises OSError, naming the file."""
    path = os.path.join(folder, INDEX)
    with _alone(f"{path}.lock"):
        atomic.write_text(path, to_html(all_summaries(folder)))


@contextlib.contextmanager
def _alone(lock: str) -> Iterator[None]:
    """A `with` block under a lock for which others are waited for, for a while."""
    held, until = None, time.monotonic() + PATIENCE
    while held is None and time.monotonic() < until:
        try:
            held = locks.take(lock)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            break  # none can be had there
    try:
        yield
    finally:
        if held is not None:
            locks.release(held, lock)


def to_html(summaries: list[Summary]) -> str:
    """The page: plain, without scripts, everything in it escaped."""
    rows = "\n".join(map(_row, summaries))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Recordings</title><style>{STYLE}</style></head><body>
<h1>{count(len(summaries), "recording")}</h1>
<table><tr><th>recording, files</th><th>minutes of each class</th><th>segments, the least sure</th></tr>
{rows}
</table>
</body></html>
"""


def _row(summary):
    """A recording's row in the table."""
    name = escape(one_line(os.path.basename(summary.recording["path"])))
    pages = [file for file in summary.files if file.endswith(".html")]
    title = f'<a href="{_href(pages[0])}">{name}</a>' if pages else name
    files = ", ".join(
        f'<a href="{_href(file)}">{escape(one_line(_kind(file)))}</a>'
        for file in summary.files
        if file not in pages
    )
    minutes = "<br>".join(
        f'<span class="chip" style="background:rgb{color(number)}"></span>{escape(one_line(class_name))}: '
        f"{seconds / 60:.1f}"
        for number, (class_name, seconds) in enumerate(zip(summary.classes, summary.seconds))
        if seconds
    )
    note = f'<br><span class="note">{escape(one_line(summary.loss))}</span>' if summary.loss else ""
    start, end, class_name, probability = summary.least_sure
    return (
        f'<tr><td class="name">{title}{note}<br><span class="note">{files}</span></td>'
        f'<td class="whole">{minutes}</td>'
        f"<td>{summary.segments}<br>{probability:.2f} {escape(one_line(class_name))}<br>"
        f'<span class="note">{_seconds(start)} &ndash; {_seconds(end)}</span></td></tr>'
    )


def _seconds(time):
    """A time without milliseconds."""
    return clock(int(time)).split(".")[0]


def _kind(file):
    """What a link to one of a recording's files says: csv, avi, kept copy."""
    stem, extension = os.path.splitext(file)
    return "kept copy" if stem.endswith("-kept") else extension[1:] or file


def _href(name):
    """The address of a file in the page's folder, whatever its name is: no scheme, no path."""
    return "./" + quote(name, safe="", errors="surrogateescape")
