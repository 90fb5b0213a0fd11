"""The steps of cut_clips.py after the labels are read: what is to be cut and what goes, and doing it."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction

from vidclass import atomic, parallel, platform
from vidclass.dataset import clips_csv
from vidclass.dataset.clips import EXTENSIONS
from vidclass.dataset.clips_csv import Cut, clip_path
from vidclass.dataset.cut_plan import Numbers, Recording, Stretch, choose_splits, earlier_stretches, plan_cuts
from vidclass.dataset.data_file import Clip
from vidclass.dataset.options import CutOptions
from vidclass.dataset.outcome import Outcome
from vidclass.dataset.recording_labels import check_lengths
from vidclass.progress import progress
from vidclass.video.cutting import ClipCutter


@dataclass(frozen=True)
class CutPlan:
    """What becomes of a recording's clips."""

    source: Recording
    cuts: list[Cut]  # all clips of the recording
    new: list[Cut]  # those of them that are to be cut
    earlier: list[Cut]  # of the recording in clips.csv
    gone: list[Cut]  # those of them that no longer fit
    others: list[Cut]  # of other recordings in clips.csv
    namesakes: list[Cut]  # those of them that are of another file with this one's name
    too_short: list[str]  # lines for the user on labels that get no clip


def plan_recording(
    source: Recording, stretches: Sequence[Stretch], frames: int, labels_file: str, options: CutOptions
) -> CutPlan:
    """Plans clips of so many frames from labelled stretches, knowing what was cut before. Raises ValueError,
    naming the file, if clips.csv is damaged or a class would get no clip at all."""
    data_dir = options.data_dir
    known = clips_csv.read_cuts(data_dir)
    earlier, namesakes = clips_csv.find_recording(known, source.path, source.fingerprint)
    listed_before = set(earlier)
    too_short = check_lengths(
        stretches, frames, source, labels_file, lambda name: has_others(data_dir, "train", name, earlier)
    )
    stretches = [stretch for stretch in stretches if stretch.starts(frames)]
    before = [] if options.redraw or options.split else earlier_stretches(earlier, source.fps)
    share = float(options.split == "test") if options.split else options.test_split
    splits = choose_splits(stretches, frames, before, share, options.seed)
    cuts = plan_cuts(stretches, splits, frames, source, earlier, Numbers(data_dir, known))
    planned = {cut[:3] for cut in cuts}
    return CutPlan(
        source,
        cuts,
        new=[cut for cut in cuts if not os.path.exists(clip_path(data_dir, cut))],
        earlier=earlier,
        gone=[cut for cut in earlier if cut[:3] not in planned],
        others=[cut for cut in known if cut not in listed_before],
        namesakes=namesakes,
        too_short=too_short,
    )


def has_others(data_dir: str, split: str, class_name: str, own: Sequence[Cut]) -> bool:
    """Whether there are clips of a split and class other than these."""
    folder = os.path.join(data_dir, split, class_name)
    names = (os.path.splitext(file) for file in (os.listdir(folder) if os.path.isdir(folder) else ()))
    own_names = {cut.name for cut in own if (cut.split, cut.class_name) == (split, class_name)}
    return any(
        ending[1:].lower() in EXTENSIONS and not name.startswith(".") and name not in own_names
        for name, ending in names
    )


def replace_earlier(plan: CutPlan, data_dir: str) -> None:
    """Notes the plan in clips.csv, and removes the clips that no longer fit with all that was made of
    them."""
    # Before anything else, and with the clips that go: a run that was killed is taken up by the next one.
    clips_csv.write_cuts(data_dir, [*plan.others, *plan.cuts, *plan.gone])
    if plan.gone:
        clips_csv.remove_cuts(data_dir, plan.gone)
        clips_csv.write_cuts(data_dir, [*plan.others, *plan.cuts])


def cut_new(plan: CutPlan, options: CutOptions) -> list[Outcome]:
    """Cuts the new clips of a plan. Returns an Outcome of each. Raises OSError if a clip can't be written."""
    if not plan.new:
        return []
    for folder in {os.path.dirname(clip_path(options.data_dir, cut)) for cut in plan.new}:
        os.makedirs(folder, exist_ok=True)
        atomic.remove_stale_temporaries(folder)
    cutter = ClipCutter(plan.source.path, plan.source.fps, options.limits)
    outcomes = []
    with (
        progress(total=len(plan.new), unit="clip", desc="Cutting", quiet=options.quiet) as bar,
        ThreadPoolExecutor(platform.cpu_count()) as pool,
    ):
        futures = {
            pool.submit(cutter.cut, Fraction(cut.start), cut.frames, clip_path(options.data_dir, cut)): cut
            for cut in plan.new
        }
        try:
            for future in as_completed(futures):
                bar.update()
                outcomes.append(_outcome(future, futures[future]))
        except BaseException:
            cutter.stop()
            parallel.stop(pool, futures)
            raise
    return outcomes


def _outcome(future: Future, cut: Cut) -> Outcome:
    """What became of a clip. Raises what is not its fault alone: a full disk, Ctrl-C."""
    clip = Clip(cut.split, cut.class_name, cut.name, cut.frames)
    try:
        future.result()
    except ValueError as error:
        return Outcome(clip, True, str(error))
    return Outcome(clip)
