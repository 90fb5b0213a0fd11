"""A recording's labels, as they fit to its pictures: which stretches of it clips can be cut from."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from vidclass.console import count
from vidclass.dataset import clips_csv
from vidclass.dataset.cut_plan import Recording, Stretch, find_stretches
from vidclass.dataset.labels import Label, check_class, fill_gaps, read_labels
from vidclass.dataset.options import CutOptions
from vidclass.video.cutting import first_picture
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits
from vidclass.video.probe import count_frames, probe, read_packets
from vidclass.video.resampling import LEAST_RATE, find_resampling

LATE = 1.5  # frames that a picture may begin late: MPEG-TS may have packets of half a frame
END_SLACK = 0.5  # seconds that a label may end after the recording


def open_recording(path: str, limits: VideoLimits = DEFAULT_LIMITS) -> Recording:
    """The Recording in a file. Raises OSError or ValueError, naming it, if there is none."""
    info = probe(path, limits)
    start = float(first_picture(path, info.fps, limits))
    is_late = start * info.fps > LATE
    # Of pictures that are shown for seconds, a clip would be less than one: cutting repeats them.
    found = find_resampling(path, info, limits) if is_late or info.fps < LEAST_RATE else None
    if found:
        end = frame_time(_nearest_frame(found.first, found.fps) + found.frames, found.fps)
        return Recording(path, found.fps, end, clips_csv.fingerprint(path), found.first)
    frames = info.frames or count_frames(path, limits)
    if is_late and info.frames:
        # Some headers tell how long sound and picture are together.
        frames = min(frames, read_packets(path, limits=limits)[0] or frames)
    # In whole frames, as cutting.ClipCutter counts them.
    end = _nearest_frame(start, info.fps) + frames
    return Recording(path, info.fps, frame_time(end, info.fps), clips_csv.fingerprint(path), start)


def _nearest_frame(seconds, fps):
    return math.floor(Fraction(seconds) * fps + Fraction(1, 2))


def frame_time(number: int, fps: Fraction) -> float:
    """When a frame begins, in seconds, rounded down: the next one must not be the first at or after it."""
    return math.floor(10**6 * number / Fraction(fps)) / 10**6


def frames_of_clip(source: Recording, seconds: float | Fraction) -> int:
    """The length of a clip in frames. Raises ValueError if it is less than one."""
    frames = round(Fraction(seconds) * source.fps)
    if frames < 1:
        raise ValueError(f"--seconds {float(seconds):g} is less than a frame of {source.path}")
    return frames


def labelled_stretches(source: Recording, labels_file: str, options: CutOptions) -> list[Stretch]:
    """The stretches of a recording that a file labels, and with options.rest those that it does not. Raises
    OSError or ValueError, naming the file and the line, if the labels can't be used."""
    labels = check_start(read_labels(labels_file, options.edl_class), labels_file, source)
    labels = check_end(labels, labels_file, source)
    if options.rest:
        check_class(options.rest)
        labels = [
            label._replace(start=picture_start(label, source))
            for label in fill_gaps(labels, source.seconds, options.rest)
            if label.end > picture_start(label, source)
        ]
    return find_stretches(labels, source.fps)


def picture_start(label: Label, source: Recording) -> float:
    """When a label starts, or the recording's picture, if that is later than cutting.ClipCutter makes up
    for."""
    if label.start >= source.start - LATE / float(source.fps):
        return label.start
    return frame_time(_nearest_frame(source.start, source.fps), source.fps)


def check_start(labels: Sequence[Label], labels_file: str, source: Recording) -> list[Label]:
    """The labels, one that starts before the recording's picture starting with it. Raises ValueError if one
    ends before."""
    for label in labels:
        if label.end <= picture_start(label, source):
            raise ValueError(
                f"{labels_file}, line {label.line}: ends at {label.end:.3f} s, but the picture "
                f"of {source.path} begins at {source.start:.3f} s; leave the label out"
            )
    return [label._replace(start=picture_start(label, source)) for label in labels]


def check_end(labels: Sequence[Label], labels_file: str, source: Recording) -> list[Label]:
    """The labels, the last one ending with the recording if it is within END_SLACK of it. Raises ValueError
    if one lies beyond."""
    for label in labels:
        has_end = not math.isinf(label.end)
        if label.start >= source.seconds or has_end and label.end > source.seconds + END_SLACK:
            edge = f"ends at {label.end:.3f}" if has_end else f"starts at {label.start:.3f}"
            raise ValueError(
                f"{labels_file}, line {label.line}: {edge} s, but {source.path} is "
                f"{source.seconds:.3f} s long: labels of another recording?"
            )
    return [label._replace(end=min(label.end, source.seconds)) for label in labels]


def check_lengths(
    stretches: Sequence[Stretch],
    frames: int,
    source: Recording,
    labels_file: str,
    has_others: Callable[[str], bool],
) -> list[str]:
    """Lines for the user on labels that are shorter than a clip of so many frames.

    has_others: called with a class, tells whether the dataset has training clips of it that are not of this
    recording. Raises ValueError if there would be no clip at all, or none of a class that has no others.
    """
    seconds = frames / float(source.fps)
    long_enough = [stretch for stretch in stretches if stretch.starts(frames)]
    if not long_enough:
        raise ValueError(
            f"{labels_file}: no label is as long as a clip of {count(frames, 'frame')}, "
            f"{seconds:.3f} s: give fewer --seconds"
        )
    short = [stretch for stretch in stretches if not stretch.starts(frames)]
    without = sorted({stretch.class_name for stretch in short} - {s.class_name for s in long_enough})
    for class_name in without:
        lengths = [stretch.end - stretch.start for stretch in short if stretch.class_name == class_name]
        if not has_others(class_name):
            raise ValueError(
                f"{labels_file}: class {class_name} would get no clip, its longest label has "
                f"{max(lengths):.3f} s and a clip {seconds:.3f} s: give fewer --seconds, or "
                f"leave its {count(len(lengths), 'label')} out"
            )
    lines = [
        f"{labels_file}, line {stretch.line}: left out, {stretch.class_name} lasts "
        f"{stretch.end - stretch.start:.3f} s there, a clip {seconds:.3f} s"
        for stretch in short
    ]
    return lines + [f"{labels_file}: no clip of class {class_name}" for class_name in without]
