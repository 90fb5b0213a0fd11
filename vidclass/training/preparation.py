"""What is decided and checked before a training: its splits, its metadata, the checkpoint to go on from."""

import hashlib
import os
import sys
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from vidclass.console import count, print
from vidclass.dataset.data_file import Clip, command
from vidclass.dataset.groups import find_shared_clips
from vidclass.errors import INT8, UsageError
from vidclass.training.checkpoint import Checkpoint, find_checkpoint
from vidclass.training.metadata import (
    LONGEST_NAME,
    LONGEST_PATH,
    MODELS,
    Metadata,
    check_writable,
    printable_name,
)

ASSUMED_FPS = 25  # the article's, where the length of the clips in seconds was not noted
GROUPING = {
    None: "recordings or stretches (neither --group nor --no-group)",
    True: "--group",
    False: "--no-group",
}
FLOATS = "float32, bfloat16 or float16"
SHOWN = 3  # clips in both splits that are named
SHOWN_CLASSES = 10


class Splits(NamedTuple):
    """The clips of a training, or what is made of them: lists of Clip, ClipSequences."""

    train: Any
    validation: Any  # held out of the training split
    test: Any


@dataclass(frozen=True)
class Plan:
    """What a training will do."""

    metadata: Metadata  # of its checkpoints
    folds: list[Splits]  # of lists of Clip; one without --folds
    resume: str | None  # path of the checkpoint that it goes on from
    resumed_clips: str | None = None  # what identifies the clips that this was trained on


def plan_training(dataset: Any, options: Any, inception_id: str) -> Plan:
    """The Plan of a training, as far as it is known before the features are extracted. Prints how large the
    splits are, and warnings.

    dataset: a DataSet. options: train.TrainOptions. inception_id: of InceptionV3's weights. Raises
    UsageError if the checkpoint to resume was trained otherwise, ValueError if it has no training state,
    if a class has too few clips, or if no checkpoint with these metadata could be read again.
    """
    metadata = Metadata(
        class_names=[printable_name(name) for name in dataset.classes],
        seq_length=dataset.seq_length,
        image_shape=list(dataset.image_shape),
        clip_seconds=dataset.get_clip_seconds() or 1,  # a placeholder: the extraction may note another
        weights=inception_id,
        weights_name=os.path.basename(options.weights)[:LONGEST_NAME],
        weights_path=_weights_path(options.weights),
        model=options.model,
        units=options.units or MODELS[options.model],
        training={
            "validation_split": options.validation_split,
            "seed": options.seed,
            "batch_size": options.batch_size,
            "group": options.group,
            **({"folds": options.folds} if options.folds > 1 else {}),
        },
    )
    check_writable(metadata)
    resume, before = None, {}
    if options.resume:
        resume = find_checkpoint(options.resume, options.data_dir)
        before = _check_resumable(resume, metadata, options.precision)
        training = {**(metadata.training or {}), "group": before["group"]}
        metadata = replace(metadata, training=training)
    folds = _choose_folds(dataset, metadata.training)
    _print_sizes(folds)
    if len(folds) == 1:
        print(_describe_validation(dataset, folds[0], (metadata.training or {})["group"]))
    _warn_of_splits(dataset, folds[0], metadata.training)
    return Plan(metadata, folds, resume, before.get("clips"))


def _weights_path(weights):
    """The absolute path of a file with InceptionV3's weights, which clasify.py tries; None for the others."""
    if weights in ("imagenet", "random"):
        return None
    path = os.path.abspath(weights)
    return path if len(os.fsencode(path)) <= LONGEST_PATH else None


def complete_plan(plan: Plan, dataset: Any, ranges: list[float] | None = None) -> Plan:
    """The Plan with what is known after the extraction: which clips have features, and how long they last.
    dataset: a DataSet whose .data are these clips. ranges: with which their features in 8-bit integers were
    computed."""
    folds = _choose_folds(dataset, plan.metadata.training)
    if folds != plan.folds:
        _print_sizes(folds)
    train_clips = folds[0].train
    clips = clips_id(train_clips)
    metadata = replace(
        plan.metadata,
        clip_seconds=_clip_seconds(dataset, train_clips),
        ranges=ranges,
        training={**(plan.metadata.training or {}), "clips": clips},
    )
    check_writable(metadata)
    if plan.resume and plan.resumed_clips != clips:
        print(
            f"{plan.resume} was trained on other clips: it may have learned from some that validate it now",
            file=sys.stderr,
        )
    return replace(plan, metadata=metadata, folds=folds)


def clips_id(train_clips: list[Clip]) -> str:
    """A short name for the clips that a network was trained on."""
    return hashlib.sha256(repr(sorted(train_clips)).encode(errors="replace")).hexdigest()[:12]


def _check_resumable(path, wanted, precision):
    """Raises UsageError unless a checkpoint was trained as Metadata and a precision say, ValueError if no
    training can go on from it. Returns what it says of its training. Where `wanted` don't say which groups
    are held out, the checkpoint does."""
    with Checkpoint(path) as file:
        found = file.metadata
        if found and found.training and found.training.get("folds"):
            raise ValueError(f"{path}: was trained with --folds: cannot resume; train again")
        if found is None or found.training is None or found.val_loss is None:
            raise ValueError(f"{path}: has no training state: cannot resume; give a checkpoint of train.py")
        options = [(f"--{key.replace('_', '-')}", key) for key in wanted.training if key != "group"]
        group, wanted_group = found.training["group"], wanted.training["group"]
        for what, before, now in (
            ("classes", found.class_names, wanted.class_names),
            ("sequence length", found.seq_length, wanted.seq_length),
            ("frame size", found.image_shape[:2], wanted.image_shape[:2]),
            ("--weights", found.weights, wanted.weights),
            ("--precision", INT8 if found.ranges else FLOATS, INT8 if precision == INT8 else FLOATS),
            ("--model", found.model, wanted.model),
            ("--units", found.units, wanted.units),
            *((option, found.training.get(key), wanted.training[key]) for option, key in options),
            ("validation by", GROUPING[group], GROUPING[group if wanted_group is None else wanted_group]),
        ):
            if before != now:
                raise UsageError(
                    f"{path} was trained with {what} {before}, not {now}; give the same to go on from it"
                )
        file.check_optimizer()
        return found.training


def _choose_folds(dataset, training):
    """The Splits of each fold; of one, where there are no folds."""
    seed, group, folds = training["seed"], training["group"], training.get("folds", 1)
    if folds > 1:
        parts = dataset.split_folds(folds, seed, group)
    else:
        parts = [dataset.split_train_validation(training["validation_split"], seed, group)]
    test = dataset.split_train_test()[1]
    return [Splits(train, validation, test) for train, validation in parts]


def _print_sizes(folds):
    train, validation, test = map(len, folds[0])
    if len(folds) > 1:
        in_folds = f"in {len(folds)} folds, of which each validates once"
        print(f"{count(train + validation, 'clip')} to train on {in_folds}, {test} to test on")
    else:
        print(f"{count(train, 'clip')} to train on, {validation} to validate on, {test} to test on")


def _describe_validation(dataset, splits, group):
    """What validates, as a line: by what the clips were chosen, and how many of each class."""
    by = dataset.validation_groups() if group is None else "whole groups by name" if group else "single clips"
    counts = {name: [0, 0] for name in dataset.classes}
    for number, clips in enumerate((splits.train, splits.validation)):
        for clip in clips:
            counts[clip.class_name][number] += 1
    shown = [f"{name} {held} of {used + held}" for name, (used, held) in list(counts.items())[:SHOWN_CLASSES]]
    more = f" and {len(counts) - SHOWN_CLASSES} more classes" if len(counts) > SHOWN_CLASSES else ""
    return f"Validation: {by}: {', '.join(shown)}{more}"


def _warn_of_splits(dataset, splits, training):
    """Prints why the accuracy on these splits may mean less than it seems to."""
    ungrouped = dataset.ungrouped_classes(training["group"])
    if ungrouped and training["group"]:
        print(
            f"--group: the clip names of {', '.join(ungrouped)} tell no groups; their validation clips are "
            f"chosen singly",
            file=sys.stderr,
        )
    elif ungrouped:
        print(
            f"The training clips of {', '.join(ungrouped)} come from one stretch or one group each; their "
            f"validation clips are chosen singly, and the validation accuracy may be too high: add clips of "
            f"other recordings",
            file=sys.stderr,
        )
    shared = find_shared_clips(dataset.data_dir, dataset.data)
    for train_clip, test_clip in shared[:SHOWN]:
        print(
            f"The same video is in both splits: {'/'.join(train_clip[:3])} and {'/'.join(test_clip[:3])}",
            file=sys.stderr,
        )
    if shared:
        print(
            f"In all {len(shared)} of the {len(splits.test)} test clips: the test accuracy will be too high; "
            f"delete them from {os.path.join(dataset.data_dir, 'test')} and run "
            f"{command(dataset.data_dir, 'extract_files.py')} again",
            file=sys.stderr,
        )


def _clip_seconds(dataset, train_clips):
    """The time that a training clip spans in seconds, the median."""
    seconds = dataset.get_clip_seconds()
    if seconds is None:
        frames = sorted(clip.frames for clip in train_clips)[len(train_clips) // 2]
        seconds = frames / ASSUMED_FPS
        print(
            f"No note tells how long the clips last: {frames} frames are taken for {seconds:.2f} s, at "
            f"{ASSUMED_FPS} frames per second",
            file=sys.stderr,
        )
    return seconds
