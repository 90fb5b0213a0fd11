"""Segments as XML for video editors: Final Cut Pro 7's interchange format, xmeml 5.

Premiere, Resolve and others import it: a sequence with a clip for each segment, the classes as their names.
Of the recording's sound there is one clip for each channel, linked with the picture's.
"""

import html
import math
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

from vidclass.recording.segments import Segment, Timeline
from vidclass.text import one_line

NTSC = Fraction(1000, 1001)
CHANNELS = 8  # of sound at most: every clip names all that belong to it


def to_xml(timeline: Timeline) -> str:
    """The timeline as xmeml."""
    rate = _declared_rate(timeline.fps)
    timing = f"<rate><timebase>{math.ceil(rate)}</timebase><ntsc>{str(rate % 1 > 0).upper()}</ntsc></rate>"
    total = round(timeline.segments[-1].end * rate) if timeline.segments else 0
    height, width = timeline.size
    picture = f"<width>{width}</width><height>{height}</height>{timing}"
    picture = f"<samplecharacteristics>{picture}</samplecharacteristics>"
    sampling, channels = timeline.sound or (0, 0)
    sound = f"<depth>16</depth><samplerate>{sampling}</samplerate>"
    sound = f"<samplecharacteristics>{sound}</samplecharacteristics>"
    audio = f"<audio>{sound}<channelcount>{channels}</channelcount></audio>" if channels else ""
    name = html.escape(one_line(timeline.video.rsplit("/", 1)[-1]), quote=False)
    url = html.escape(_file_url(timeline.video), quote=False)
    whole_file = (
        f'<file id="file-1"><name>{name}</name><pathurl>{url}</pathurl>{timing}'
        f"<duration>{total}</duration><media><video>{picture}</video>{audio}</media></file>"
    )
    tracks = range(min(channels, CHANNELS) + 1)  # the picture's, then the channels'
    items: list[list[str]] = [[] for _ in tracks]
    for number, segment in enumerate(timeline.segments, 1):
        links = "".join(_link(number, track) for track in tracks) if channels else ""
        for track in tracks:
            file = '<file id="file-1"/>' if number > 1 or track else whole_file
            label = html.escape(one_line(segment.class_name), quote=False)
            items[track].append(
                f'<clipitem id="{_clip_id(number, track)}"><name>{label}</name>{timing}'
                f"<duration>{total}</duration>{_span(segment, rate)}{file}{_source(track)}{links}"
                f"</clipitem>"
            )
    pictures, *heard = ("<track>\n" + "\n".join(track) + "\n</track>" for track in items)
    outputs = f"<numOutputChannels>{len(heard)}</numOutputChannels><format>{sound}</format>"
    heard_tracks = f"\n<audio>{outputs}{''.join(heard)}</audio>" if heard else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n<xmeml version="5">\n'
        f'<sequence id="sequence-1"><name>{name}</name><duration>{total}</duration>{timing}\n'
        f"<media><video><format>{picture}</format>{pictures}</video>{heard_tracks}</media></sequence>\n"
        "</xmeml>\n"
    )


def _declared_rate(fps):
    """The nearest frame rate that xmeml knows: a whole number, or with ntsc 1000/1001 of one."""
    whole = {max(1, math.floor(fps)), math.ceil(fps)}
    return min((Fraction(n) * part for n in whole for part in (1, NTSC)), key=lambda rate: abs(rate - fps))


def _span(segment: Segment, rate: Fraction) -> str:
    """Where a segment lies in the sequence, and in the recording, in frames of a rate."""
    first, last = round(segment.start * rate), round(segment.end * rate)
    return f"<start>{first}</start><end>{last}</end><in>{first}</in><out>{last}</out>"


def _source(track):
    """Of which channel a clip is; nothing for the picture."""
    if not track:
        return ""
    return f"<sourcetrack><mediatype>audio</mediatype><trackindex>{track}</trackindex></sourcetrack>"


def _clip_id(number, track):
    return f"clip-{number}-{track}" if track else f"clip-{number}"


def _link(number, track):
    kind, index, group = ("audio", track, "<groupindex>1</groupindex>") if track else ("video", 1, "")
    return (
        f"<link><linkclipref>{_clip_id(number, track)}</linkclipref><mediatype>{kind}</mediatype>"
        f"<trackindex>{index}</trackindex><clipindex>{number}</clipindex>{group}</link>"
    )


def _file_url(path):
    return "file://localhost" + quote(str(Path(path).absolute()), errors="surrogateescape")
