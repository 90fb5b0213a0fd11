"""Figures and tables about a model, for people: metrics of its predictions, their page, and the curves of its training.

Metrics are scikit-learn's, the interval SciPy's, the pages matplotlib's.
"""
import json
import os

import numpy as np

import files
from console import print, printable

BINS = 10  # of the reliability diagram
MISTAKES = 15  # named in a report
LONGEST_NAME = 28  # letters of a class or clip name in a figure


def evaluate(truth, probabilities, classes, names):
    """The metrics of a classifier's predictions, as a dict that JSON can hold.

    truth: the true class of each clip, ints (n,). probabilities: (n, len(classes)). names: of the clips, n of str.
    Numbers that can't be told, such as the recall of a class without clips, are None.
    """
    from scipy.stats import binomtest
    from sklearn import metrics
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    predicted, count = probabilities.argmax(1), len(truth)
    if not count:
        raise ValueError("no clips to evaluate")
    labels = np.arange(len(classes))
    right = int((predicted == truth).sum())
    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, labels=labels,
                                                                             zero_division=np.nan)
    bins = reliability(truth, probabilities)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:MISTAKES]
    return {
        "clips": count,
        "accuracy": right / count,
        "accuracy_interval_95": [interval.low, interval.high],
        "commonest_class_share": float(support.max() / count),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "classes": [{"name": name, "clips": int(n), "precision": _number(p), "recall": _number(r), "f1": _number(f)}
                    for name, n, p, r, f in zip(classes, support, precision, recall, f1)],
        "confusion_matrix": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "log_loss": float(metrics.log_loss(truth, probabilities, labels=labels)),
        "expected_calibration_error": sum(b["clips"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / count,
        "calibration": bins,
        "mistakes": [{"clip": names[i], "class": classes[truth[i]], "predicted": classes[predicted[i]],
                      "probability": float(probabilities[i, predicted[i]])} for i in worst],
    }


def reliability(truth, probabilities):
    """How often predictions of a confidence are right, in BINS bins of equal width (Guo et al., "On Calibration of Modern
    Neural Networks", 2017): a list of dicts, for each bin that has any, with confidence and accuracy (means) and clips.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [{"confidence": float(confidence[bins == b].mean()), "accuracy": float(right[bins == b].mean()),
             "clips": int((bins == b).sum())} for b in np.unique(bins)]


def _number(value):
    return None if np.isnan(value) else float(value)


def write(folder, checkpoint, split, truth, probabilities, classes, names):
    """Evaluates a checkpoint's predictions for a split, writes <checkpoint>-<split>.json and .png to a folder, and prints
    the short table. Other arguments and result: see evaluate."""
    report = {"checkpoint": checkpoint, "split": split, **evaluate(truth, probabilities, classes, names)}
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{os.path.splitext(os.path.basename(checkpoint))[0]}-{split}")
    write_json(f"{path}.json", report)
    draw_report(f"{path}.png", report)
    print(*table(report), sep="\n")
    print(f"The whole report: {path}.png, {path}.json")
    print(headline(report))
    return report


def table(report):
    """The metrics of each class, as the lines of a table."""
    names = [printable(row["name"]) for row in report["classes"]]
    width = max(map(len, names))
    lines = [f"{'':{width}}  clips  precision  recall     F1"]
    for name, row in zip(names, report["classes"]):
        precision, recall, f1 = ("-" if row[key] is None else f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        lines.append(f"{name:{width}}  {row['clips']:5d}  {precision:>9}  {recall:>6}  {f1:>5}")
    lines.append(f"Balanced accuracy {report['balanced_accuracy']:.3f}. Calibration error "
                 f"{report['expected_calibration_error']:.3f}: by so much the probability of the predicted class differs "
                 f"from how often it is right")
    return lines


def headline(report):
    """The accuracy, with what it is worth, in a line."""
    low, high = report["accuracy_interval_95"]
    return (f"{report['split'].capitalize()} accuracy: {report['accuracy']:.3f} "
            f"({round(report['accuracy'] * report['clips'])} of {report['clips']} clips; 95 % interval {low:.3f} to "
            f"{high:.3f}; always answering the commonest class would give {report['commonest_class_share']:.3f})")


def write_json(path, report):
    """Writes a report as JSON, whole or not at all."""
    files.write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def draw_report(path, report):
    """Draws the page of an evaluation: confusion matrix, reliability diagram, classes, mistakes; a PNG."""
    names = [shorten(row["name"]) for row in report["classes"]]
    count = len(names)
    side = max(3.2, 0.36 * count)  # inches, of the confusion matrix
    left = 0.6 + 0.085 * max(map(len, names))  # for the names beside it
    rows_height = 0.6 + 0.24 * max(count, 1 + len(report["mistakes"]))
    figure, save = new_figure(left + side + 6.5, left + side + rows_height + 1.6)
    width, height = figure.get_size_inches()

    def place(x, y, w, h):
        """Axes at so many inches from the left and the top."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    draw_text(figure, 0.3 / width, 1 - 0.3 / height, f"{report['checkpoint']} on the {report['split']} clips", fontsize=13,
          fontweight="bold", va="top")
    draw_text(figure, 0.3 / width, 1 - 0.65 / height, headline(report), fontsize=9, va="top")
    top = 1.35
    _draw_confusion(place(left, top, side, side), np.array(report["confusion_matrix"]), names)
    _draw_reliability(place(left + side + 1.2, top, 3.4, 3.2), report)
    y = top + side + left + 0.1
    _draw_table(place(0.3, y, 0.5 * width - 0.5, rows_height), "Classes", ("", "clips", "precision", "recall", "F1"),
                [(name, str(row["clips"]), *("-" if row[key] is None else f"{row[key]:.3f}"
                                             for key in ("precision", "recall", "f1")))
                 for name, row in zip(names, report["classes"])], rows_height)
    _draw_table(place(0.5 * width, y, 0.5 * width - 0.3, rows_height), "Mistakes, the surest first",
                ("clip", "is", "taken for", "probability"),
                [(shorten(row["clip"]), shorten(row["class"]), shorten(row["predicted"]), f"{row['probability']:.2f}")
                 for row in report["mistakes"]] or [("none", "", "", "")], rows_height)
    save(path)


def draw_curves(path, history, best_epoch, title, first_epoch=1):
    """Draws loss and accuracy over the epochs. history: keras's History.history, from first_epoch on. best_epoch: is
    marked; 0: none."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figure, save = new_figure(9, 3.8)
    draw_text(figure, 0.02, 0.97, title, fontsize=12, fontweight="bold", va="top")
    epochs = first_epoch + np.arange(len(history["loss"]))
    for position, (key, label) in enumerate((("loss", "loss"), ("accuracy", "accuracy"))):
        axes = figure.add_axes((0.08 + 0.49 * position, 0.15, 0.4, 0.68))
        marker = "o" if len(epochs) < 30 else None
        axes.plot(epochs, history[key], label="training", marker=marker, markersize=3)
        axes.plot(epochs, history[f"val_{key}"], label="validation", marker=marker, markersize=3)
        if best_epoch:
            axes.axvline(best_epoch, color="gray", linestyle=":", label="best checkpoint")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(path)


def new_figure(width, height):
    """A matplotlib figure of so many inches, and a function that writes it as a PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)

    def save(path):
        with files.written_whole(path) as partial:
            figure.savefig(partial, format="png")
    return figure, save


def shorten(name, longest=LONGEST_NAME):
    """A name that a figure has room for."""
    name = name.encode(errors="replace").decode()  # what a file name holds that is no text
    return name if len(name) <= longest else f"{name[:longest - 9]}…{name[-8:]}"


def draw_text(owner, x, y, text, **style):
    """Text on a figure or axes; a $ in a name is no formula."""
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
            axes.text(column, row, matrix[row, column], ha="center", va="center", fontsize=8,
                      color="white" if shares[row, column] > 0.5 else "black")
    axes.set_title("Confusion: true class by row, predicted by column", fontsize=9, loc="left")


def _draw_reliability(axes, report):
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    bins = report["calibration"]
    axes.scatter([b["confidence"] for b in bins], [b["accuracy"] for b in bins],
                 [20 + 180 * b["clips"] / report["clips"] for b in bins], alpha=0.7)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), xlabel="probability of the predicted class", ylabel="share that is right")
    axes.set_title(f"Calibration: expected error {report['expected_calibration_error']:.3f}", fontsize=9, loc="left")
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
            draw_text(axes, x, 0.36 + 0.24 * number, cell, fontsize=8, va="center", color="gray" if number == 0 else "black")
