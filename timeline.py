"""Windows of a video to segments of one class each, and segments to files: CSV, JSON, EDL, SRT, WebVTT, chapters, XML.

Every format is a function from a Timeline to text; WRITERS lists them by name. Times are seconds from the recording's start.
"""
import html
import json
import math
from fractions import Fraction
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np

import files

# Least probability that a window can give a class: a network that is wrong is often sure of it.
FLOOR = 0.01
# Logarithm of the odds that one window's class differs from the one before. Cuts between kinds of video are rare.
SWITCH = -4.0
# Channels of sound in result.xml at most: every clip names all that belong to it.
CHANNELS = 8


class Window(NamedTuple):
    """A stretch of the video and the probabilities of the classes in it."""
    start: float  # seconds
    end: float
    first_frame: int
    end_frame: int  # the first one after the window
    probabilities: list  # of float, in the order of the classes


class Segment(NamedTuple):
    """A stretch of one class."""
    start: float  # seconds
    end: float
    class_name: str
    probability: float  # of that class, the mean over the segment's time


class Timeline(NamedTuple):
    """What is known of a recording."""
    video: str  # its path
    fps: Fraction
    size: tuple  # (height, width)
    classes: list  # of str
    windows: list  # of Window, which do not overlap: see average
    segments: list  # of Segment
    skipped: tuple = ()  # classes that a player is to skip
    sound: tuple | None = None  # (sampling rate in Hz, channels); None without


def average(windows):
    """Yields Windows that don't overlap, each with the mean of the probabilities of the windows that cover it.

    windows: iterable of Windows in order of their start and of their end. What no later window can change is given out
    at once.
    """
    covering, at, at_frame = [], 0.0, 0  # windows that reach beyond `at`

    def cells(until, until_frame):
        nonlocal at, at_frame
        while at_frame < until_frame and covering:
            first = covering[0]
            end, end_frame = min((first.end_frame, first.end), (until_frame, until))[::-1]
            yield Window(at, end, at_frame, end_frame,
                         np.mean([window.probabilities for window in covering], axis=0).tolist())
            at, at_frame = end, end_frame
            while covering and covering[0].end_frame <= at_frame:
                covering.pop(0)

    for window in windows:
        yield from cells(window.start, window.first_frame)
        if not covering:
            at, at_frame = window.start, window.first_frame
        covering.append(window)
    if covering:
        yield from cells(covering[-1].end, covering[-1].end_frame)


def find_segments(classes, windows, window_seconds=None, min_duration=0.0):
    """Segments of one class each, from Windows that don't overlap.

    window_seconds: how long the windows were that the network saw; None: take each window's likeliest class. Otherwise
    the likeliest sequence of classes is found (Viterbi, "Error bounds for convolutional codes", 1967), in which a change
    costs SWITCH and every class lasts at least min_duration, in seconds, except at the recording's two ends.
    """
    if not windows:
        return []
    probabilities = np.array([window.probabilities for window in windows])
    if window_seconds is None:
        chosen = probabilities.argmax(1)
    else:
        durations = np.array([window.end - window.start for window in windows])
        # What several windows share of the evidence counts once.
        scores = np.log(np.maximum(probabilities, FLOOR)) * np.minimum(durations / window_seconds, 1)[:, None]
        chosen = _smooth(scores, durations, min_duration)
    firsts = np.flatnonzero(np.append(True, chosen[1:] != chosen[:-1]))
    return make_segments(classes, windows, [classes[number] for number in chosen[firsts]],
                         [windows[number].start for number in firsts[1:]])


def make_segments(classes, windows, names, cuts):
    """Segments of classes that follow each other: names, n of str; cuts: the n - 1 times between them, in seconds. Their
    probabilities are those of the windows that they cover."""
    edges = [windows[0].start, *cuts, windows[-1].end]
    return [Segment(start, end, name, float(mean[classes.index(name)]))
            for name, start, end, mean in zip(names, edges, edges[1:], _means(windows, edges))]


def over_segments(windows, segments, times):
    """A Window for each Segment: its frames, and the mean probability of each class over its time. times: of all frames and
    of the end, in seconds, rising (frames + 1,)."""
    edges = [segments[0].start, *(segment.end for segment in segments)]
    frames = [0, *np.searchsorted(times, edges[1:-1]).tolist(), len(times) - 1]
    return [Window(start, end, first, last, mean.tolist())
            for start, end, first, last, mean in zip(edges, edges[1:], frames, frames[1:], _means(windows, edges))]


def _means(windows, edges):
    """Yields the mean probabilities of the windows, (classes,), over the time from each edge to the next."""
    probabilities = np.array([window.probabilities for window in windows])
    starts, ends = (np.array([window[field] for window in windows]) for field in (0, 1))
    for start, end in zip(edges, edges[1:]):
        shares = np.maximum(np.minimum(ends, end) - np.maximum(starts, start), 1e-12)
        yield np.average(probabilities, axis=0, weights=shares)


def _smooth(scores, durations, min_duration):
    """The best class of each step: scores (steps, classes) and SWITCH for each change add up to the most, and no class
    lasts less than min_duration but at the ends. durations: (steps,)."""
    steps, count = scores.shape
    total = np.vstack([np.zeros(count), np.cumsum(scores, axis=0)])  # of the steps before
    ends = np.cumsum(durations)
    best = np.full((steps + 1, count), -np.inf)  # after so many steps, the last of a class that has lasted long enough
    begun = np.full((steps + 1, count), -1)  # where it began, if at this step it became long enough; -1: it did before
    opened = np.zeros((steps, count))  # the best before a class begins at a step
    before = np.zeros((steps, count), int)  # the class that it follows
    waiting = 0  # first beginning that isn't long enough yet
    for step in range(steps):
        if step:
            others = np.where(np.eye(count, dtype=bool), -np.inf, best[step])  # row: class that begins
            before[step] = others.argmax(1)
            opened[step] = others.max(1) + SWITCH
            best[step + 1] = best[step] + scores[step]
        while waiting <= step and (waiting == 0 or step == steps - 1
                                   or ends[step] - ends[waiting - 1] >= min_duration - 1e-6):
            found = opened[waiting] + total[step + 1] - total[waiting]
            better = found > best[step + 1]
            best[step + 1][better], begun[step + 1][better] = found[better], waiting
            waiting += 1
    chosen = np.empty(steps, int)
    step, name = steps, int(best[steps].argmax())
    while step:
        start = begun[step, name]
        if start < 0:
            chosen[step - 1] = name
            step -= 1
        else:
            chosen[start:step] = name
            step, name = start, before[start, name]
    return chosen


def clock(seconds, separator=".", hour_digits=1):
    """Seconds as 1:02:03.456."""
    milliseconds = _milliseconds(seconds)
    hours, rest = divmod(milliseconds, 3600000)
    return f"{hours:0{hour_digits}d}:{rest // 60000:02d}:{rest // 1000 % 60:02d}{separator}{rest % 1000:03d}"


def to_csv(timeline):
    """start, end, class, probability; times in seconds. Classes are named as they are, as cut_clips.py reads them back: also
    with what a spreadsheet takes for a formula."""
    return files.csv_text([("start", "end", "class", "probability"), *(
        (f"{start:.3f}", f"{end:.3f}", _storable(name), f"{probability:.4f}")
        for start, end, name, probability in timeline.segments)])


def _storable(name):
    """A name without what UTF-8 can't hold: surrogates but those that stand for bytes of a file name."""
    return "".join("\ufffd" if "\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" else c for c in name)


def to_json(timeline):
    """The segments, and every window with all its probabilities."""
    return json.dumps({
        "video": timeline.video, "fps": float(timeline.fps), "height": timeline.size[0], "width": timeline.size[1],
        "classes": timeline.classes,
        "segments": [{"start": round(start, 3), "end": round(end, 3), "class": name, "probability": round(probability, 4)}
                     for start, end, name, probability in timeline.segments],
        "windows": [{"start": round(window.start, 3), "end": round(window.end, 3),
                     "probabilities": dict(zip(timeline.classes, (round(p, 4) for p in window.probabilities)))}
                    for window in timeline.windows]}, indent=1) + "\n"


def to_edl(timeline):
    """An edit decision list as MPlayer, Kodi and comskip's users know it: the stretches to skip, as "start end 0"."""
    stretches = []
    for start, end, name, _ in timeline.segments:
        if name in timeline.skipped and stretches and stretches[-1][1] == start:
            stretches[-1][1] = end
        elif name in timeline.skipped:
            stretches.append([start, end])
    return "".join(f"{start:.3f}\t{end:.3f}\t0\n" for start, end in stretches)


def to_srt(timeline):
    """SubRip subtitles: the class and its probability."""
    return "\n".join(f"{number}\n{clock(start, ',', 2)} --> {clock(end, ',', 2)}\n{one_line(name)}: {probability:.2f}\n"
                     for number, (start, end, name, probability) in enumerate(timeline.segments, 1))


def to_vtt(timeline):
    """WebVTT subtitles: the class and its probability."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(start, '.', 2)} --> {clock(end, '.', 2)}\n{html.escape(one_line(name), quote=False)}: {probability:.2f}\n"
        for start, end, name, probability in timeline.segments)


def to_chapters(timeline):
    """ffmpeg's metadata format with a chapter for each segment: ffmpeg -i VIDEO -i result.chapters -map_metadata 1
    -map_chapters 1 -codec copy OUT adds them to the recording."""
    return ";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={_milliseconds(start)}\nEND={_milliseconds(end)}\n"
        f"title={''.join(f'{chr(92)}{c}' if c in f'=;#{chr(92)}' else c for c in one_line(name))}\n"
        for start, end, name, _ in timeline.segments)


def to_xml(timeline):
    """Final Cut Pro's interchange format (xmeml 5), which Premiere, Resolve and others import: a sequence with a clip for
    each segment, the classes as their names; of its sound one for each channel, linked with it."""
    rate = math.ceil(timeline.fps)  # whole; 30000/1001 is 30 with ntsc
    timing = f"<rate><timebase>{rate}</timebase><ntsc>{'TRUE' if rate != timeline.fps else 'FALSE'}</ntsc></rate>"
    total = round(timeline.segments[-1].end * timeline.fps) if timeline.segments else 0
    height, width = timeline.size
    name = escape(one_line(timeline.video.rsplit("/", 1)[-1]))
    characteristics = f"<samplecharacteristics><width>{width}</width><height>{height}</height>{timing}</samplecharacteristics>"
    sampling, channels = timeline.sound or (0, 0)
    tracks = range(min(channels, CHANNELS) + 1)  # the picture's, then the channels'
    sound = f"<samplecharacteristics><depth>16</depth><samplerate>{sampling}</samplerate></samplecharacteristics>"
    media = f"<media><video>{characteristics}</video>" + (
        f"<audio>{sound}<channelcount>{channels}</channelcount></audio>" if channels else "") + "</media>"
    whole_file = (f'<file id="file-1"><name>{name}</name><pathurl>{escape(_file_url(timeline.video))}</pathurl>{timing}'
                  f"<duration>{total}</duration>{media}</file>")
    items = [[] for _ in tracks]
    for number, segment in enumerate(timeline.segments, 1):
        first, last = round(segment.start * timeline.fps), round(segment.end * timeline.fps)
        links = "".join(_link(number, track) for track in tracks) if channels else ""
        for track in tracks:
            file = '<file id="file-1"/>' if number > 1 or track else whole_file
            channel = f"<sourcetrack><mediatype>audio</mediatype><trackindex>{track}</trackindex></sourcetrack>" if track else ""
            items[track].append(
                f'<clipitem id="{_clip_id(number, track)}"><name>{escape(one_line(segment.class_name))}</name>{timing}'
                f"<duration>{total}</duration><start>{first}</start><end>{last}</end><in>{first}</in><out>{last}</out>"
                f"{file}{channel}{links}</clipitem>")
    pictures, *heard = ("<track>\n" + "\n".join(track) + "\n</track>" for track in items)
    audio = (f"\n<audio><numOutputChannels>{len(heard)}</numOutputChannels><format>{sound}</format>"
             + "".join(heard) + "</audio>") if heard else ""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n<xmeml version="5">\n'
            f'<sequence id="sequence-1"><name>{name}</name><duration>{total}</duration>{timing}\n'
            f"<media><video><format>{characteristics}</format>{pictures}</video>{audio}</media></sequence>\n</xmeml>\n")


def _clip_id(number, track):
    return f"clip-{number}-{track}" if track else f"clip-{number}"


def _link(number, track):
    kind = f"<mediatype>audio</mediatype><trackindex>{track}</trackindex>" if track else (
        "<mediatype>video</mediatype><trackindex>1</trackindex>")
    return (f"<link><linkclipref>{_clip_id(number, track)}</linkclipref>{kind}<clipindex>{number}</clipindex>"
            f"{'<groupindex>1</groupindex>' if track else ''}</link>")


WRITERS = {"csv": to_csv, "json": to_json, "edl": to_edl, "srt": to_srt, "vtt": to_vtt, "chapters": to_chapters,
           "xml": to_xml}


def _milliseconds(seconds):
    return round(seconds * 1000)


def one_line(text):
    """Text without what would end a line or is no character in XML."""
    return "".join(" " if c in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029" or ord(c) < 32 else
                   "\ufffd" if "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff" else c for c in text)


def _file_url(path):
    from pathlib import Path
    from urllib.parse import quote
    return "file://localhost" + quote(str(Path(path).absolute()), errors="surrogateescape")
