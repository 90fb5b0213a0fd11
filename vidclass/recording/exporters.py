"""Segments as text: CSV, JSON, EDL, SRT, WebVTT, chapters, XML.

Every format is a function from a Timeline to text; WRITERS lists them by name. Times are seconds from the
recording's start.
"""

import html
import json
import math
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from vidclass import atomic
from vidclass.text import clock, milliseconds, one_line

# Channels of sound in result.xml at most: every clip names all that belong to it.
CHANNELS = 8


def to_csv(timeline):
    """start, end, class, probability; times in seconds. Classes are named as they are, as cut_clips.py reads
    them back: also with what a spreadsheet takes for a formula."""
    return atomic.csv_text(
        [
            ("start", "end", "class", "probability"),
            *(
                (f"{start:.3f}", f"{end:.3f}", _storable(name), f"{probability:.4f}")
                for start, end, name, probability in timeline.segments
            ),
        ]
    )


def _storable(name):
    """A name without what UTF-8 can't hold: surrogates but those that stand for bytes of a file name."""
    return "".join("\ufffd" if "\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" else c for c in name)


def to_json(timeline):
    """The segments, and every window with all its probabilities."""
    return (
        json.dumps(
            {
                "video": timeline.video,
                "fps": float(timeline.fps),
                "height": timeline.size[0],
                "width": timeline.size[1],
                "classes": timeline.classes,
                "segments": [
                    {
                        "start": round(start, 3),
                        "end": round(end, 3),
                        "class": name,
                        "probability": round(probability, 4),
                    }
                    for start, end, name, probability in timeline.segments
                ],
                "windows": [
                    {
                        "start": round(window.start, 3),
                        "end": round(window.end, 3),
                        "probabilities": dict(
                            zip(timeline.classes, (round(p, 4) for p in window.probabilities))
                        ),
                    }
                    for window in timeline.windows
                ],
            },
            indent=1,
        )
        + "\n"
    )


def to_edl(timeline):
    """An edit decision list as MPlayer, Kodi and comskip's users know it: the stretches to skip, as "start
    end 0"."""
    stretches = []
    for start, end, name, _ in timeline.segments:
        if name in timeline.skipped and stretches and stretches[-1][1] == start:
            stretches[-1][1] = end
        elif name in timeline.skipped:
            stretches.append([start, end])
    return "".join(f"{start:.3f}\t{end:.3f}\t0\n" for start, end in stretches)


def to_srt(timeline):
    """SubRip subtitles: the class and its probability."""
    return "\n".join(
        f"{number}\n{clock(start, ',', 2)} --> {clock(end, ',', 2)}\n{one_line(name)}: {probability:.2f}\n"
        for number, (start, end, name, probability) in enumerate(timeline.segments, 1)
    )


def to_vtt(timeline):
    """WebVTT subtitles: the class and its probability."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(start, '.', 2)} --> {clock(end, '.', 2)}\n{html.escape(one_line(name), quote=False)}: {probability:.2f}\n"
        for start, end, name, probability in timeline.segments
    )


def to_chapters(timeline):
    """ffmpeg's metadata format with a chapter for each segment: ffmpeg -i VIDEO -i result.chapters
    -map_metadata 1 -map_chapters 1 -codec copy OUT adds them to the recording."""
    return ";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={milliseconds(start)}\nEND={milliseconds(end)}\n"
        f"title={''.join(f'{chr(92)}{c}' if c in f'=;#{chr(92)}' else c for c in one_line(name))}\n"
        for start, end, name, _ in timeline.segments
    )


def to_xml(timeline):
    """Final Cut Pro's interchange format (xmeml 5), which Premiere, Resolve and others import: a sequence
    with a clip for each segment, the classes as their names; of its sound one for each channel, linked with
    it."""
    rate = math.ceil(timeline.fps)  # whole; 30000/1001 is 30 with ntsc
    timing = (
        f"<rate><timebase>{rate}</timebase><ntsc>{'TRUE' if rate != timeline.fps else 'FALSE'}</ntsc></rate>"
    )
    total = round(timeline.segments[-1].end * timeline.fps) if timeline.segments else 0
    height, width = timeline.size
    name = escape(one_line(timeline.video.rsplit("/", 1)[-1]))
    characteristics = f"<samplecharacteristics><width>{width}</width><height>{height}</height>{timing}</samplecharacteristics>"
    sampling, channels = timeline.sound or (0, 0)
    tracks = range(min(channels, CHANNELS) + 1)  # the picture's, then the channels'
    sound = (
        f"<samplecharacteristics><depth>16</depth><samplerate>{sampling}</samplerate></samplecharacteristics>"
    )
    media = (
        f"<media><video>{characteristics}</video>"
        + (f"<audio>{sound}<channelcount>{channels}</channelcount></audio>" if channels else "")
        + "</media>"
    )
    whole_file = (
        f'<file id="file-1"><name>{name}</name><pathurl>{escape(_file_url(timeline.video))}</pathurl>{timing}'
        f"<duration>{total}</duration>{media}</file>"
    )
    items = [[] for _ in tracks]
    for number, segment in enumerate(timeline.segments, 1):
        first, last = round(segment.start * timeline.fps), round(segment.end * timeline.fps)
        links = "".join(_link(number, track) for track in tracks) if channels else ""
        for track in tracks:
            file = '<file id="file-1"/>' if number > 1 or track else whole_file
            channel = (
                f"<sourcetrack><mediatype>audio</mediatype><trackindex>{track}</trackindex></sourcetrack>"
                if track
                else ""
            )
            items[track].append(
                f'<clipitem id="{_clip_id(number, track)}"><name>{escape(one_line(segment.class_name))}</name>{timing}'
                f"<duration>{total}</duration><start>{first}</start><end>{last}</end><in>{first}</in><out>{last}</out>"
                f"{file}{channel}{links}</clipitem>"
            )
    pictures, *heard = ("<track>\n" + "\n".join(track) + "\n</track>" for track in items)
    audio = (
        (
            f"\n<audio><numOutputChannels>{len(heard)}</numOutputChannels><format>{sound}</format>"
            + "".join(heard)
            + "</audio>"
        )
        if heard
        else ""
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n<xmeml version="5">\n'
        f'<sequence id="sequence-1"><name>{name}</name><duration>{total}</duration>{timing}\n'
        f"<media><video><format>{characteristics}</format>{pictures}</video>{audio}</media></sequence>\n</xmeml>\n"
    )


def _clip_id(number, track):
    return f"clip-{number}-{track}" if track else f"clip-{number}"


def _link(number, track):
    kind = (
        f"<mediatype>audio</mediatype><trackindex>{track}</trackindex>"
        if track
        else ("<mediatype>video</mediatype><trackindex>1</trackindex>")
    )
    return (
        f"<link><linkclipref>{_clip_id(number, track)}</linkclipref>{kind}<clipindex>{number}</clipindex>"
        f"{'<groupindex>1</groupindex>' if track else ''}</link>"
    )


WRITERS = {
    "csv": to_csv,
    "json": to_json,
    "edl": to_edl,
    "srt": to_srt,
    "vtt": to_vtt,
    "chapters": to_chapters,
    "xml": to_xml,
}


def _file_url(path):
    return "file://localhost" + quote(str(Path(path).absolute()), errors="surrogateescape")
