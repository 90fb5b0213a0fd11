"""Segments as text: CSV, JSON, EDL, SRT, WebVTT, chapters, XML.

Every format is a function from a Timeline to text; WRITERS lists them by name. Times are seconds from the
recording's start.
"""

import html
import json
from collections.abc import Callable

from vidclass import atomic
from vidclass.recording.segments import Timeline, stretches_of
from vidclass.recording.xmeml import to_xml
from vidclass.text import clock, milliseconds, one_line


def to_csv(timeline: Timeline) -> str:
    """start, end, class, probability; times in seconds. Classes are named as they are, as cut_clips.py reads
    them back: also with what a spreadsheet takes for a formula."""
    rows = [("start", "end", "class", "probability")]
    for start, end, name, probability in timeline.segments:
        rows.append((f"{start:.3f}", f"{end:.3f}", _storable(name), f"{probability:.4f}"))
    return atomic.csv_text(rows)


def _storable(name):
    """A name without what UTF-8 can't hold: surrogates but those that stand for bytes of a file name."""
    return "".join("\ufffd" if "\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" else c for c in name)


def to_json(timeline: Timeline) -> str:
    """The segments, and every window with all its probabilities, and whether the network has looked at it."""
    segments = [
        {"start": round(start, 3), "end": round(end, 3), "class": name, "probability": round(probability, 4)}
        for start, end, name, probability in timeline.segments
    ]
    windows = [
        {
            "start": round(window.start, 3),
            "end": round(window.end, 3),
            "looked_at": window.looked_at,
            "probabilities": dict(zip(timeline.classes, (round(p, 4) for p in window.probabilities))),
        }
        for window in timeline.windows
    ]
    height, width = timeline.size
    content = {"video": timeline.video, "fps": float(timeline.fps), "height": height, "width": width}
    content.update(classes=timeline.classes, segments=segments, windows=windows)
    return json.dumps(content, indent=1) + "\n"


def to_edl(timeline: Timeline) -> str:
    """An edit decision list as MPlayer, Kodi and comskip's users know it: the stretches to skip, as "start
    end 0"."""
    stretches = stretches_of(timeline.segments, timeline.skipped)
    return "".join(f"{start:.3f}\t{end:.3f}\t0\n" for start, end in stretches)


def to_srt(timeline: Timeline) -> str:
    """SubRip subtitles: the class and its probability."""
    return "\n".join(
        f"{number}\n{clock(start, ',', 2)} --> {clock(end, ',', 2)}\n{one_line(name)}: {probability:.2f}\n"
        for number, (start, end, name, probability) in enumerate(timeline.segments, 1)
    )


def to_vtt(timeline: Timeline) -> str:
    """WebVTT subtitles: the class and its probability."""
    cues = []
    for start, end, name, probability in timeline.segments:
        text = html.escape(one_line(name), quote=False)
        cues.append(f"\n{clock(start, '.', 2)} --> {clock(end, '.', 2)}\n{text}: {probability:.2f}\n")
    return "WEBVTT\n" + "".join(cues)


def to_chapters(timeline: Timeline) -> str:
    """ffmpeg's metadata format with a chapter for each segment: ffmpeg -i VIDEO -i result.chapters
    -map_metadata 1 -map_chapters 1 -codec copy OUT adds them to the recording."""
    return ";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={milliseconds(start)}\nEND={milliseconds(end)}\n"
        f"title={''.join(f'{chr(92)}{c}' if c in f'=;#{chr(92)}' else c for c in one_line(name))}\n"
        for start, end, name, _ in timeline.segments
    )


WRITERS: dict[str, Callable[[Timeline], str]] = {
    "csv": to_csv,
    "json": to_json,
    "edl": to_edl,
    "srt": to_srt,
    "vtt": to_vtt,
    "chapters": to_chapters,
    "xml": to_xml,
}
