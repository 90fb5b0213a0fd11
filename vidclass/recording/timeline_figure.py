"""Draws result.png: the probability of each class over time, and the segments. With matplotlib."""

import os

import numpy as np
from matplotlib.ticker import FuncFormatter

from vidclass.colors import color
from vidclass.recording.segments import Timeline
from vidclass.text import clock
from vidclass.training.figures import draw_text, new_figure, shorten

COLUMNS = 1500  # of the curves at most: what a screen can show


def draw(path: str, timeline: Timeline) -> None:
    """Draws the timeline: the probability of each class over time, and the segments; a PNG."""
    names = [shorten(name) for name in timeline.classes]
    columns = max(1, min(len(names), int(84 / (max(map(len, names)) + 4))))  # of the legend
    legend = 0.2 + 0.2 * -(-len(names) // columns)  # inches
    height = 3.4 + legend
    figure, save = new_figure(10, height)
    title = shorten(os.path.basename(timeline.video), 80)
    draw_text(figure, 0.06, 1 - 0.1 / height, title, fontsize=12, fontweight="bold", va="top")
    upper = figure.add_axes((0.06, 1.1 / height, 0.89, 1.9 / height))
    lower = figure.add_axes((0.06, 0.5 / height, 0.89, 0.45 / height), sharex=upper)
    edges, values = curves(timeline)
    lines = [
        upper.stairs(line, edges, baseline=None, linewidth=1.5, color=np.array(color(number)) / 255)
        for number, line in enumerate(values.T)
    ]
    for segment in timeline.segments:
        tint = np.array(color(timeline.classes.index(segment.class_name))) / 255
        lower.axvspan(segment.start, segment.end, color=tint, linewidth=0)
    upper.set(xlim=(edges[0], edges[-1]), ylim=(-0.03, 1.03), ylabel="probability")
    upper.tick_params(labelbottom=False)
    upper.grid(alpha=0.3)
    lower.set(yticks=[])
    lower.xaxis.set_major_formatter(FuncFormatter(lambda x, _: clock(max(x, 0)).split(".")[0]))
    at = (0.05, 1 - 0.32 / height)
    style = {"ncol": columns, "frameon": False, "fontsize": 9}
    box = figure.legend(lines, names, loc="upper left", bbox_to_anchor=at, **style)
    for text in box.get_texts():
        text.set_parse_math(False)
    save(path)


def curves(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """(edges in seconds (n + 1,), probabilities (n, classes)): those of the windows, or means of several
    where there are more than COLUMNS."""
    windows = timeline.windows
    probabilities = np.array([window.probabilities for window in windows])
    starts = np.array([window.start for window in windows])
    weights = np.maximum([window.end - window.start for window in windows], 1e-9)
    first = np.unique(np.linspace(0, len(windows), min(len(windows), COLUMNS), endpoint=False).astype(int))
    sums = np.add.reduceat(probabilities * weights[:, None], first)
    values = sums / np.add.reduceat(weights, first)[:, None]
    return np.append(starts[first], windows[-1].end), values
