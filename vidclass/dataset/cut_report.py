"""What cut_clips.py tells its user: the plan, what goes, and what is probably a mistake."""

import contextlib
import os
import sys
from collections.abc import Sequence

from vidclass.console import count, print
from vidclass.dataset import clips_csv
from vidclass.dataset.clips_csv import Cut
from vidclass.dataset.cut_steps import CutPlan, has_others
from vidclass.dataset.data_file import SPLITS
from vidclass.dataset.options import CutOptions
from vidclass.names import alike_classes

MOST_LINES = 20  # of one kind of warning


def print_plan(plan: CutPlan, options: CutOptions) -> None:
    """Prints how many clips each class gets, which go, and which labels are too short."""
    for class_name in sorted({cut.class_name for cut in plan.cuts}):
        print_class(class_name, plan, options.data_dir)
    frames = plan.cuts[0].frames
    print(
        f"{count(len(plan.cuts), 'clip')} of {count(frames, 'frame')}, "
        f"{frames / float(plan.source.fps):.3f} s; {len(plan.new)} to be cut"
    )
    if plan.gone:
        print_gone(plan, options.dry_run)
    if plan.namesakes:
        print_namesakes(plan, options.data_dir)
    print_some(plan.too_short)


def print_class(class_name: str, plan: CutPlan, data_dir: str) -> None:
    """Prints how many clips a class gets, and what to do about a split that has none."""
    own = [cut for cut in plan.cuts if cut.class_name == class_name]
    counts = {split: sum(cut.split == split for cut in own) for split in SPLITS}
    stretches = len({cut.label_start for cut in own})
    print(
        f"{class_name}: {count(counts['train'], 'clip')} to train on, {counts['test']} to test on, "
        f"of {count(stretches, 'stretch')}"
    )
    for line in missing_splits(class_name, plan, data_dir):
        print(line, file=sys.stderr)


def missing_splits(class_name: str, plan: CutPlan, data_dir: str) -> list[str]:
    """What to do about each split that has no clip of a class."""
    own = [cut for cut in plan.cuts if cut.class_name == class_name]
    stretches = len({cut.label_start for cut in own})
    cures = {"test": "label more stretches, or give a greater --test-split", "train": "label more stretches"}
    lines = []
    for split, cure in cures.items():
        has_own = any(cut.split == split for cut in own)
        if not has_own and not has_others(data_dir, split, class_name, [*plan.earlier, *plan.cuts]):
            again = ", or --redraw the splits" if stretches > 1 and plan.earlier else ""
            lines.append(
                f"{class_name}: no clips to {split} on; {cure}{again}, or put clips of another "
                f"recording into {os.path.join(data_dir, split, class_name)}"
            )
    return lines


def print_gone(plan: CutPlan, dry_run: bool) -> None:
    """Names the clips of an earlier cutting that go."""
    one = len(plan.gone) == 1
    removed = "would be" if dry_run else "is" if one else "are"
    print(
        f"{plan.source.path} was cut before; {count(len(plan.gone), 'clip')} of it no longer "
        f"{'fits' if one else 'fit'} the labels and --seconds and {removed} removed, with frames and "
        f"features:"
    )
    print(*listed(plan.gone), sep="\n")


def print_namesakes(plan: CutPlan, data_dir: str) -> None:
    """Names the clips of another file with the recording's name, which stay."""
    print(
        f"{os.path.join(data_dir, clips_csv.CLIPS_FILE)}: {count(len(plan.namesakes), 'clip')} of another "
        f"file named {os.path.basename(plan.source.path)} {'stays' if len(plan.namesakes) == 1 else 'stay'}; "
        f"if it showed the same, delete:",
        file=sys.stderr,
    )
    print(*listed(plan.namesakes), sep="\n", file=sys.stderr)


def listed(cuts: Sequence[Cut]) -> list[str]:
    """Lines that name clips, a split and class each: "  train/Ad: 3 clips, Ad_train_1 to 2, Ad_train_7"."""
    lines = []
    for split, class_name in sorted({(cut.split, cut.class_name) for cut in cuts}):
        names = [cut.name for cut in cuts if (cut.split, cut.class_name) == (split, class_name)]
        parts = (name.rpartition("_") for name in names)
        numbers = sorted((int(number), beginning) for beginning, _, number in parts)
        runs: list[list[tuple[int, str]]] = []  # [first, last] of names that follow each other
        for number, beginning in numbers:
            if runs and runs[-1][1] == (number - 1, beginning):
                runs[-1][1] = number, beginning
            else:
                runs.append([(number, beginning)] * 2)
        texts = (
            f"{beginning}_{first}" + (f" to {last}" if last > first else "")
            for (first, beginning), (last, _) in runs
        )
        lines.append(f"  {split}/{class_name}: {count(len(names), 'clip')}, {', '.join(texts)}")
    return lines


def warn_of_alike(classes: set[str], data_dir: str) -> None:
    """Prints which classes of labels and of the dataset are probably one."""
    folder = os.path.join(data_dir, "train")
    with contextlib.suppress(OSError):
        classes = classes | {
            entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")
        }
    print_some(alike_classes(data_dir, classes))


def print_some(lines: Sequence[str]) -> None:
    """Prints warnings; of very many only the first."""
    for line in lines[:MOST_LINES]:
        print(line, file=sys.stderr)
    if len(lines) > MOST_LINES:
        print(f"... and {len(lines) - MOST_LINES} more of this kind", file=sys.stderr)
