"""Classifies many recordings into one folder: one network, one bar, one table.

What is complete is not done again, as a summary beside the results tells. Runs may share the folder: each
takes what no other has in hand.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from vidclass import locks
from vidclass.console import count, error_text, print, unexpected_text
from vidclass.progress import SharedBar, progress
from vidclass.recording import overview, results, steps
from vidclass.recording.many_plan import Plan
from vidclass.recording.segments import Timeline, stretches_of
from vidclass.recording.summaries import Summary, recording_identity, summarize, write_summary
from vidclass.video.probe import probe
from vidclass.video.reader import FrameReader

WRITING = 0.2  # share of the time for a recording that writing its result.avi takes, about
Work = Callable[[steps.ClassificationJob], Timeline]


class Found(NamedTuple):
    """What has become of a recording."""

    path: str
    problem: str | None = None  # why it is left out, or what of it is missing
    in_hand: bool = False  # of another run
    notes: Sequence[str] = ()  # what a worker of a cluster has printed


def measure(plan: Plan) -> tuple[dict[str, int], list[Found]]:
    """({recording that is to be classified: frames, as its header says}, those of which something is to be
    told at once: they can't be read, or could not be decoded whole when they were classified before)."""
    frames, problems = {}, []
    for path in plan.names:
        if summary := plan.summary(path):
            if summary.loss:
                problems.append(Found(path, _loss_text(path, summary)))
            continue
        try:
            frames[path] = probe(path, plan.options.each.limits).frames
        except (OSError, ValueError) as error:
            problems.append(Found(path, error_text(error)))
    return frames, problems


def classify_here(plan: Plan, frames: dict[str, int], work: Work) -> Iterator[Found]:
    """Classifies recordings in this process. Yields what has become of each. frames: see measure. work: makes
    the timeline of a job, and all results but the copy of --keep."""
    shares = (1 - WRITING, WRITING) if plan.options.each.video else (1,)
    with open_bar(plan, frames) as bar:
        shared = SharedBar(bar)
        for path, number in frames.items():
            shared.begin(f"Classifying {os.path.basename(path)}", number, shares)
            found = classify_one(plan, path, work, shared)
            summary = plan.summary(path)
            shared.end(summary.frames if summary else None)
            yield found


def open_bar(plan: Plan, frames: dict[str, int], wait: bool = True) -> Any:
    """The bar for recordings. wait: see progress."""
    quiet = plan.options.each.quiet or not frames
    total = sum(frames.values())
    # On a terminal the rate is the mean of all so far: that of the last seconds goes up and down.
    return progress(total=total, unit="frame", desc="Classifying", quiet=quiet, wait=wait, smoothing=0)


def classify_one(plan: Plan, path: str, work: Work, bar: SharedBar | None = None) -> Found:
    """Classifies a recording, unless another run has it in hand or has done so meanwhile. One that can't be
    read is no error. Raises OSError if the disk is full."""
    try:
        with _in_hand(os.path.join(plan.options.output_dir, f".{plan.names[path]}.lock")) as ours:
            if not ours:
                return Found(path, in_hand=True)
            plan.check_name(path)
            summary = plan.summary(path) or _classify(plan, path, work, bar)
            if summary.recording != recording_identity(path):
                raise ValueError(f"{path}: has changed while it was classified; run again")
    except Exception as error:
        # A disk that is full, a checkpoint that has changed: the others would fare the same.
        if "No space left" in str(error) or isinstance(error, RuntimeError):
            raise
        text = error_text(error) if isinstance(error, (OSError, ValueError)) else unexpected_text(error)
        return Found(path, text if path in text else f"{path}: {text}")
    return Found(path, _loss_text(path, summary))


def _loss_text(path, summary):
    return f"{path}: {summary.loss}; what was decoded is classified" if summary.loss else None


@contextlib.contextmanager
def _in_hand(lock: str) -> Iterator[bool]:
    """A `with` block that has a recording in hand; gives whether no other run has."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.held(lock))
        except BlockingIOError:
            yield False
            return
        yield True  # where there are no locks, too: the results are whole all the same


def _classify(plan: Plan, path: str, work: Work, bar: SharedBar | None) -> Summary:
    """Classifies a recording and writes its results, the summary last."""
    identity = recording_identity(path)
    files, reader = plan.files(path), FrameReader(path, plan.options.each.limits)
    files.prepare()
    with contextlib.suppress(FileNotFoundError):
        os.remove(plan.summary_path(path))  # of results that are about to change
    job = steps.make_job(reader, files, plan.saved_model, plan.trained.at_size(reader.info))
    timeline = work(replace(job, bar=bar))
    paths = files.paths()
    if files.kept and not stretches_of(timeline.segments, files.options.keep):
        print(
            f"{path}: nothing in it is {' or '.join(files.options.keep)}, --keep writes no copy",
            file=sys.stderr,
        )
        paths.remove(files.kept)
    else:
        files.write_kept(timeline)
    results.warn_of_others(timeline, files)
    summary = summarize(timeline, identity, plan.made_with, paths, reader.loss)
    write_summary(plan.summary_path(path), summary)
    return summary


def report(plan: Plan, outcomes: Iterable[Found]) -> list[Found]:
    """Says what becomes of each recording, as it is known. Returns all outcomes. In any case, also when the
    run is stopped, index.html is written."""
    seen = []
    try:
        for found in outcomes:
            seen.append(found)
            for line in [*found.notes, *([found.problem] if found.problem else [])]:
                print(line, file=sys.stderr)
            summary = plan.summary(found.path)
            if found.in_hand:
                print(f"{found.path}: another run has it in hand")
            elif summary and not plan.options.each.quiet:
                files = ", ".join(os.path.join(plan.options.output_dir, name) for name in summary.files)
                print(f"{found.path}: {count(summary.segments, 'segment')}: {files}", flush=True)
    finally:
        overview.write_index(plan.options.output_dir)
    return seen


def print_result(plan: Plan, frames: dict[str, int], found: list[Found]) -> list[Summary]:
    """Prints the table of all recordings whose results are complete. Returns their summaries. frames: see
    measure. found: what has become of those."""
    complete = {path: summary for path in plan.names if (summary := plan.summary(path))}
    summaries, in_hand = list(complete.values()), {outcome.path for outcome in found if outcome.in_hand}
    done = len(complete.keys() & frames.keys() - in_hand)
    for line in overview.table(summaries):
        print(line)
    index = os.path.join(plan.options.output_dir, overview.INDEX)
    before = len(summaries) - done
    print(
        f"{count(len(plan.names), 'recording')}: {done} classified, {before} complete before, "
        f"{len(plan.names) - len(summaries)} left out. {index} lists what is complete."
    )
    return summaries
