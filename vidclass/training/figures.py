"""Figures about a model: the page of an evaluation, and the curves of its training. Drawn with matplotlib."""

import json
import os
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from vidclass import atomic
from vidclass.console import print
from vidclass.text import one_line
from vidclass.training.metrics import Predictions, compute_metrics, describe_baseline, headline, table
from vidclass.training.recordings import describe_shared, recording_rows, recording_table

LONGEST_SHOWN = 28  # letters of a class or clip name in a figure


def write_report(
    folder: str,
    checkpoint: str | os.PathLike,
    split: str,
    predictions: Predictions,
    comparison: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates a checkpoint's predictions for the clips of a split: writes <checkpoint>-<split>.json and
    .png to a folder, and prints the short table.

    comparison: what else the report has, see evaluation.report_on. Returns what is in the JSON:
    compute_metrics', with checkpoint, split and the comparison.
    """
    report = {"checkpoint": os.fspath(checkpoint), "split": split, **compute_metrics(predictions)}
    report |= comparison or {}
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{os.path.splitext(os.path.basename(checkpoint))[0]}-{split}")
    write_metrics(f"{path}.json", report)
    draw_evaluation(f"{path}.png", report)
    print(*table(report), *recording_table(report), *describe_baseline(report), sep="\n")
    print(f"The whole report: {path}.png, {path}.json")
    print(headline(report))
    return report


def write_metrics(path: str, report: dict[str, Any]) -> None:
    """Writes a report as JSON, whole or not at all."""
    atomic.write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def draw_evaluation(path: str, report: dict[str, Any]) -> None:
    """Draws the page of an evaluation: confusion matrix, reliability diagram, classes, mistakes; a PNG."""
    names = [shorten(row["name"]) for row in report["classes"]]
    count = len(names)
    side = max(3.2, 0.36 * count)  # inches, of the confusion matrix
    left = 0.6 + 0.085 * max(map(len, names))  # for the names beside it
    rows_height = 0.6 + 0.24 * max(count, 1 + len(report["mistakes"]))
    notes = _wrapped([*describe_baseline(report), *describe_shared(report)], left + side + 6.5)
    recordings = [(shorten(name), *more) for name, *more in recording_rows(report)]
    below = 0.6 + 0.24 * (1 + len(recordings)) if recordings else 0.0
    top = 1.35 + 0.2 * len(notes)
    figure, save = new_figure(left + side + 6.5, top + left + side + rows_height + below + 0.25)
    width, height = figure.get_size_inches()

    def place(x, y, w, h):
        """Axes at so many inches from the left and the top."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    title = f"{report['checkpoint']} on the {report['split']} clips"
    x = 0.3 / width
    draw_text(figure, x, 1 - 0.3 / height, title, fontsize=13, fontweight="bold", va="top")
    draw_text(figure, x, 1 - 0.65 / height, headline(report), fontsize=9, va="top")
    for number, line in enumerate(notes):
        draw_text(figure, x, 1 - (0.85 + 0.2 * number) / height, line, fontsize=9, va="top")
    _draw_confusion(place(left, top, side, side), np.array(report["confusion_matrix"]), names)
    _draw_reliability(place(left + side + 1.2, top, 3.4, 3.2), report)
    y = top + side + left + 0.1
    axes = place(0.3, y, 0.5 * width - 0.5, rows_height)
    class_header = ("", "clips", "precision", "recall", "F1")
    _draw_table(axes, "Classes", class_header, _class_rows(report, names), rows_height)
    axes = place(0.5 * width, y, 0.5 * width - 0.3, rows_height)
    header = ("clip", "is", "taken for", "probability")
    _draw_table(axes, "Mistakes, the surest first", header, _mistake_rows(report), rows_height)
    if recordings:
        axes = place(0.3, y + rows_height, 0.5 * width - 0.5, below)
        titles = ("recording", "clips", "accuracy")
        _draw_table(axes, "Recordings, the worst first", titles, recordings, below)
    save(path)


def _wrapped(lines, width):
    """Lines in a font of 9 points, broken to fit on a page of so many inches."""
    canvas = FigureCanvasAgg(Figure(dpi=100))
    measure, font = canvas.get_renderer().get_text_width_height_descent, FontProperties(size=9)
    wrapped = []
    for line in lines:
        letters = 200
        while any(
            measure(part, font, False)[0] > (width - 0.6) * 100 for part in textwrap.wrap(line, letters)
        ):
            letters -= 5
        wrapped += textwrap.wrap(line, letters)
    return wrapped


def _class_rows(report, names):
    keys = ("precision", "recall", "f1")
    return [
        (name, str(row["clips"]), *("-" if row[key] is None else f"{row[key]:.3f}" for key in keys))
        for name, row in zip(names, report["classes"])
    ]


def _mistake_rows(report):
    rows = [
        (*(shorten(row[key]) for key in ("clip", "class", "predicted")), f"{row['probability']:.2f}")
        for row in report["mistakes"]
    ]
    return rows or [("none", "", "", "")]


def draw_curves(path: str, fitted: Any, title: str, branches: int = 1) -> None:
    """Draws loss and accuracy over the epochs, if there were any. fitted: loop.Fit; its best epoch is
    marked. branches: of the network; of several, the losses of training and validation are not the same."""
    history, best_epoch = fitted.history, fitted.best_epoch
    if not history:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figure, save = new_figure(9, 3.8)
    draw_text(figure, 0.02, 0.97, title, fontsize=12, fontweight="bold", va="top")
    epochs = fitted.first_epoch + np.arange(len(history["loss"]))
    for position, (key, label) in enumerate((("loss", "loss"), ("accuracy", "accuracy"))):
        axes = figure.add_axes((0.08 + 0.49 * position, 0.15, 0.4, 0.68))
        marker = "o" if len(epochs) < 30 else None
        training = "training (mean of the branches' losses)" if key == "loss" and branches > 1 else "training"
        axes.plot(epochs, history[key], label=training, marker=marker, markersize=3)
        axes.plot(epochs, history[f"val_{key}"], label="validation", marker=marker, markersize=3)
        if best_epoch:
            axes.axvline(best_epoch, color="gray", linestyle=":", label="best checkpoint")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(path)


def new_figure(width: float, height: float) -> tuple[Figure, Callable[[str], None]]:
    """A matplotlib figure of so many inches, and a function that writes it as a PNG, whole or not at all."""
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)

    def save(path):
        with atomic.atomic_write(path) as partial, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a letter of a name that the font doesn't have
            figure.savefig(partial, format="png")

    return figure, save


def shorten(name: str, longest: int = LONGEST_SHOWN) -> str:
    """A name that a figure has room for."""
    name = one_line(name)
    return name if len(name) <= longest else f"{name[: longest - 9]}…{name[-8:]}"


def draw_text(owner: Any, x: float, y: float, text: str, **style: Any) -> Any:
    """Text on a figure or axes; a $ in a name does not begin a formula."""
    return owner.text(x, y, text, parse_math=False, **style)


def _draw_confusion(axes, matrix, names):
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    small = 8 if len(names) <= 40 else 5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=small)
    axes.set_yticks(range(len(names)), names, fontsize=small)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    if len(names) <= 40:
        for row, column in np.argwhere(matrix):
            axes.text(
                column,
                row,
                matrix[row, column],
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    axes.set_title("Confusion: true class by row, predicted by column", fontsize=9, loc="left")


def _draw_reliability(axes, report):
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    bins = report["calibration"]
    axes.scatter(
        [b["confidence"] for b in bins],
        [b["accuracy"] for b in bins],
        [20 + 180 * b["clips"] / report["clips"] for b in bins],
        alpha=0.7,
    )
    axes.set(
        xlim=(0, 1.03),
        ylim=(-0.03, 1.03),
        xlabel="probability of the predicted class",
        ylabel="share that is right",
    )
    axes.set_title(
        f"Calibration: expected error {report['expected_calibration_error']:.3f}", fontsize=9, loc="left"
    )
    axes.grid(alpha=0.3)


def _draw_table(axes, title, header, rows, height):
    """Rows of text, one every 0.24 inches; the first column left, the last ones as wide as a number."""
    axes.set(xlim=(0, 1), ylim=(height, 0))
    axes.axis("off")
    draw_text(axes, 0, 0.12, title, fontsize=10, fontweight="bold", va="center")
    widths = [max(len(row[column]) for row in (header, *rows)) + 2 for column in range(len(header))]
    edges = np.cumsum([0, *widths]) / max(sum(widths), 60)
    for number, row in enumerate((header, *rows)):
        for x, cell in zip(edges, row):
            draw_text(
                axes,
                x,
                0.36 + 0.24 * number,
                cell,
                fontsize=8,
                va="center",
                color="gray" if number == 0 else "black",
            )
