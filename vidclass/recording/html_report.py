"""The report on a recording: result.html, one file that opens anywhere, beside result.png."""

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from html import escape

from vidclass import atomic, platform
from vidclass.colors import color
from vidclass.console import count
from vidclass.recording.html_style import STYLE
from vidclass.recording.results import ResultFiles
from vidclass.recording.segments import Timeline
from vidclass.recording.timeline_figure import curves, draw
from vidclass.text import clock, one_line
from vidclass.training.checkpoint import Checkpoint
from vidclass.training.metrics import headline
from vidclass.video.images import still_image
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits

THUMBNAIL = 160  # pixels, width
HIGHEST = 640  # pixels, of a picture that is higher than wide
PICTURES = 200  # at most: of the longest segments. Each takes an ffmpeg, a fraction of a second and some 5 kB
PATIENCE = 60  # seconds for a picture


def write(files: ResultFiles, timeline: Timeline, saved_model: str) -> None:
    """Writes result.html and result.png on a timeline that a checkpoint gave. Raises OSError, naming the
    file."""
    pictures = thumbnails(timeline, files.options.limits)
    atomic.write_text(files.name("html"), to_html(timeline, model_figures(saved_model), pictures))
    draw(files.name("png"), timeline)


def to_html(timeline: Timeline, figures: list[tuple], pictures: list[bytes | None]) -> str:
    """The page. figures: (name, value) pairs about the model. pictures: a JPEG for each segment, or None."""
    colors = [f"rgb{color(number)}" for number in range(len(timeline.classes))]
    chips = {
        name: f'<span class="chip" style="background:{tint}"></span>{escape(one_line(name))}'
        for name, tint in zip(timeline.classes, colors)
    }
    rows = [
        _row(number, segment, chips[segment.class_name], picture)
        for number, (segment, picture) in enumerate(zip(timeline.segments, pictures), 1)
    ]
    model = "".join(
        f'<tr><th>{escape(one_line(str(name)))}</th><td class="wide">{escape(one_line(str(value)))}</td></tr>'
        for name, value in figures
    )
    note = ""
    if len(timeline.segments) > PICTURES:
        note = f'<p class="note">With pictures of the {PICTURES} longest.</p>\n'
    start, end = timeline.segments[0].start, timeline.segments[-1].end
    quarters = (start + (end - start) * part / 4 for part in range(5))
    times = "".join(f"<span>{clock(time).split('.')[0]}</span>" for time in quarters)
    title = escape(one_line(os.path.basename(timeline.video)))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p>{clock(end - start)}, {count(len(timeline.segments), "segment")}</p>
<ul class="legend">{_legend(timeline, chips)}</ul>
<h2>Probability of each class</h2>
<p class="scale"><span>1</span></p>{_curves(timeline, colors)}<p class="scale"><span>0</span></p>
{_strip(timeline, colors)}<p class="scale">{times}</p>
<h2>Segments</h2>
{note}<table><tr><th></th><th>class, start, end, length</th><th>mean probability</th></tr>
{chr(10).join(rows)}
</table>
<h2>The model</h2>
<table>{model}</table>
</body></html>
"""


def _legend(timeline, chips):
    """How long each class lasts in all, as items of a list."""
    seconds = dict.fromkeys(timeline.classes, 0.0)
    for segment in timeline.segments:
        seconds[segment.class_name] += segment.end - segment.start
    total = sum(seconds.values()) or 1
    shares = ((chips[name], time, 100 * time / total) for name, time in seconds.items())
    return "".join(f"<li>{chip}: {clock(time)} ({share:.1f} %)</li>" for chip, time, share in shares)


def _row(number, segment, chip, picture):
    """A segment's row in the table."""
    image = ""
    if picture:
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
    return (
        f'<tr id="s{number}"><td>{image}</td><td class="wide">{chip}<br><span class="note">'
        f"{clock(segment.start)} &ndash; {clock(segment.end)}, {segment.end - segment.start:.1f} s"
        f"</span></td><td>{segment.probability:.2f}</td></tr>"
    )


def _curves(timeline, colors):
    """The probabilities over time as SVG: a step line for each class, y from 1 down to 0."""
    start, end = timeline.segments[0].start, timeline.segments[-1].end
    edges, values = curves(timeline)
    x = (edges - start) / max(end - start, 1e-9) * 1000
    lines = []
    for tint, line in zip(colors, values.T):
        path = f"M{x[0]:.1f} {100 - 100 * line[0]:.1f}" + "".join(
            f"V{100 - 100 * value:.1f}H{right:.1f}" for value, right in zip(line, x[1:])
        )
        style = f'fill="none" stroke="{tint}" stroke-width="1.5" vector-effect="non-scaling-stroke"'
        lines.append(f'<path d="{path}" {style}/>')
    box = 'viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"'
    return f'<svg class="curves" {box}>{"".join(lines)}</svg>'


def _strip(timeline, colors):
    """The segments side by side as SVG, each a link to its row in the table."""
    start, end = timeline.segments[0].start, timeline.segments[-1].end
    scale = 1000 / max(end - start, 1e-9)
    parts = []
    for number, segment in enumerate(timeline.segments, 1):
        title = escape(f"{one_line(segment.class_name)}, {clock(segment.start)} to {clock(segment.end)}")
        parts.append(
            f'<a href="#s{number}"><rect x="{(segment.start - start) * scale:.2f}" y="0" height="1" '
            f'width="{max((segment.end - segment.start) * scale, 0.5):.2f}" '
            f'fill="{colors[timeline.classes.index(segment.class_name)]}"><title>{title}</title></rect></a>'
        )
    return f'<svg class="strip" viewBox="0 0 1000 1" preserveAspectRatio="none">{"".join(parts)}</svg>'


def thumbnails(timeline: Timeline, limits: VideoLimits = DEFAULT_LIMITS) -> list[bytes | None]:
    """A JPEG from the middle of each of the PICTURES longest segments, None for the others and where none can
    be had."""
    segments = timeline.segments
    by_length = sorted(range(len(segments)), key=lambda number: segments[number].start - segments[number].end)
    longest = set(by_length[:PICTURES])
    pool = ThreadPoolExecutor(platform.cpu_count())
    try:
        middles = {number: (segments[number].start + segments[number].end) / 2 for number in longest}
        pictures = {
            number: pool.submit(_picture, timeline.video, middle, limits)
            for number, middle in middles.items()
        }
        return [pictures[number].result() if number in pictures else None for number in range(len(segments))]
    finally:
        pool.shutdown(cancel_futures=True)


def _picture(path, time, limits=DEFAULT_LIMITS):
    """A JPEG of a recording's frame at a time in seconds, or None."""
    scale = f"scale={THUMBNAIL}:'min(max(trunc({THUMBNAIL}/dar/2)*2,2),{HIGHEST})',setsar=1"
    return still_image(path, time, scale, limits, PATIENCE)


def model_figures(saved_model: str) -> list[tuple]:
    """What is known of a checkpoint as (name, value) pairs; its accuracy from the report that train.py or
    evaluate.py wrote after it."""
    with Checkpoint(saved_model) as file:
        metadata = file.metadata
    found: list[tuple] = [("checkpoint", saved_model)]
    if metadata is None:
        return found
    height, width = metadata.image_shape[:2]
    found += [
        ("network", f"{metadata.model}, {metadata.units} units"),
        ("classes", ", ".join(metadata.class_names)),
        ("a window", f"{metadata.clip_seconds:g} s, {metadata.seq_length} frames of {height}x{width}"),
        ("InceptionV3 weights", metadata.weights_name),
        ("trained for", f"{metadata.epoch} epochs"),
    ]
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(saved_model))), "reports")
    path = os.path.join(folder, f"{os.path.splitext(os.path.basename(saved_model))[0]}-test.json")
    try:
        if os.path.getmtime(path) >= os.path.getmtime(saved_model):
            with open(path, encoding="utf-8") as file:
                result = json.load(file)
            found += [
                ("accuracy", headline(result)),
                ("calibration error", f"{result['expected_calibration_error']:.3f}"),
                *(
                    (f"recall of {row['name']}", f"{row['recall']:.3f}")
                    for row in result["classes"]
                    if row["recall"] is not None
                ),
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # there is none, or it is no report of ours
    return found
