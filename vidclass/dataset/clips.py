"""The clips that lie in the dataset's folders."""

import contextlib
import os
import re
from typing import NamedTuple

from vidclass import atomic, names
from vidclass.console import count
from vidclass.dataset.data_file import SPLITS, Clip, command, missing_folder_message, read_data_file
from vidclass.dataset.frames_note import frame_path, read_frames_note
from vidclass.names import CLIP_NAME_BYTES

OURS = re.compile(r"-(\d{4,}\.jpg|frames\.json)\Z")  # how the names of frames and of the notes on them end
# Of the containers that vidclass.video.ffmpeg.FORMATS opens. Other clips are split with extract_files.py,
# which takes any extension.
EXTENSIONS = frozenset(
    "mp4 m4v mov qt 3gp 3g2 f4v avi divx mkv mk3d webm mpg mpeg mpe m1v m2v vob ts mts m2ts m2t trp wmv asf "
    "flv ogv ogm mxf gxf dv nut ivf obu h264 264 h265 265 hevc vc1 y4m gif wtv rm rmvb".split()
)


class Found(NamedTuple):
    """What lies in the folders of the classes."""

    clips: list[tuple[tuple[str, str, str], str]]  # ((split, class, name), path), sorted
    problems: dict[str, str]  # path of a clip that can't be used: a line that says why
    left_out: list[str]  # lines on what is not a clip, but may have been meant to be one
    unreadable: list[str]  # lines on folders that can't be read


def find_clips(data_dir: str | os.PathLike, extension: str | None = None) -> Found:
    """All clips with an extension ("mp4", ".MP4"), or with any of EXTENSIONS (None). Raises FileNotFoundError
    if there are none."""
    wanted = frozenset([extension.lower().lstrip(".")]) if extension else EXTENSIONS
    found = Found([], {}, [], [])
    others: dict[str, list[str]] = {}  # extension: paths of files that are not wanted
    for split in SPLITS:
        root = os.path.join(data_dir, split)
        for class_name, folder in _entries(root, found, others, wanted, of_split=True):
            with contextlib.suppress(PermissionError):  # of which _entries tells
                atomic.remove_stale_temporaries(folder)
            for file, path in _entries(folder, found, others, wanted):
                clip = (split, class_name, os.path.splitext(file)[0])
                try:
                    check_clip_name(clip[2])
                    found.clips.append((clip, path))
                except ValueError as error:
                    found.problems[path] = f"{path}: left out, {error}"
    found.problems.update(
        (path, same_stem_message(path, other)) for path, other in find_same_stem_clips(data_dir, found.clips)
    )
    unknown = {ending: paths for ending, paths in others.items() if ending not in EXTENSIONS}
    if unknown and not extension:
        found.left_out.append(_unknown_text(data_dir, unknown))
    if not found.clips and not found.problems:
        raise FileNotFoundError(_nothing_text(data_dir, extension, found, others))
    return found._replace(clips=[item for item in found.clips if item[1] not in found.problems])


def unlisted_text(data_dir: str | os.PathLike) -> str | None:
    """A line on clips that data_file.csv doesn't list, as after another cutting; None if it lists all."""
    try:
        clips = find_clips(data_dir).clips
    except FileNotFoundError:  # frames without the clips do
        return None
    rows = {row[:3] for row in read_data_file(data_dir)}
    unlisted = [path for clip, path in clips if clip not in rows]
    if not unlisted:
        return None
    split = command(data_dir, f"extract_files.py {os.path.splitext(unlisted[0])[1][1:]}")
    return (
        f"{os.path.join(data_dir, 'data_file.csv')} does not list {count(len(unlisted), 'clip')} of "
        f"{len(clips)}, as {unlisted[0]}: {split} adds those that can be read"
    )


def _entries(folder, found, others, wanted, of_split=False):
    """[(name, path)] of the class folders in a split's folder, or else of the wanted clips in a class's
    folder. What is neither and not ours goes to `found` and, by its extension, to `others`."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(
                (
                    entry
                    for entry in listed
                    if not entry.name.startswith(".") and (of_split or not OURS.search(entry.name))
                ),
                key=lambda entry: entry.name,
            )
    except FileNotFoundError:
        return []
    except OSError as error:
        found.unreadable.append(f"{folder}: left out, it can't be read ({error.strerror})")
        return []
    taken = []
    for entry in entries:
        path = os.path.join(folder, entry.name)
        ending = os.path.splitext(entry.name)[1].lower().lstrip(".")
        if _is_kind(entry, os.path.isdir):
            if of_split:
                taken.append((entry.name, path))
            else:
                found.left_out.append(f"{path}: left out, a folder inside of a class's folder")
        elif not _is_kind(entry, os.path.isfile):
            what = (
                "a link that leads nowhere"
                if entry.is_symlink()
                else "a pipe, a socket or a device, not a file"
            )
            found.left_out.append(f"{path}: left out, {what}")
        elif of_split:
            if ending in wanted | EXTENSIONS:
                found.left_out.append(
                    f"{path}: left out, it does not lie in a class's folder; move it into "
                    f"{os.path.join(folder, '<Class>')}"
                )
        elif ending in wanted:
            taken.append((entry.name, path))
        else:
            others.setdefault(ending, []).append(path)
    return taken


def _is_kind(entry, test):
    """os.path.isfile or isdir of an os.DirEntry: of a million frames the folder tells it."""
    if entry.is_symlink():
        return test(entry.path)
    return (
        entry.is_file(follow_symlinks=False)
        if test is os.path.isfile
        else entry.is_dir(follow_symlinks=False)
    )


def _counted(others):
    return ", ".join(
        f"{len(paths)} {f'.{ending}' if ending else 'without extension'}"
        for ending, paths in sorted(others.items())
    )


def _unknown_text(data_dir, unknown):
    ending = next(iter(unknown))
    cure = command(data_dir, f"extract_files.py {ending}") if ending else "give them one"
    return (
        f"{unknown[ending][0]}: left out with all whose extension is not known to be a video's "
        f"({_counted(unknown)}); if they are videos: {cure}"
    )


def _nothing_text(data_dir, extension, found, others):
    dotted = f".{extension.lower().lstrip('.')} " if extension else ""
    videos = {ending: paths for ending, paths in others.items() if ending in EXTENSIONS}
    reasons = [missing_folder_message(data_dir), *found.unreadable, *found.left_out]
    reasons = [reason for reason in reasons if reason]
    more = f" and {len(reasons) - 1} more like it" if len(reasons) > 1 else ""
    return (
        f"no {dotted}clips in {os.path.join(data_dir, 'train', '<Class>')} (found there and in test: "
        f"{_counted(videos) or 'no videos at all'})" + (f"; {reasons[0]}{more}" if reasons else "")
    )


def check_clip_name(name: str) -> None:
    """Raises ValueError, with the reason, if the files that are made of a clip of this name can't have their
    names."""
    try:
        names.check_name(name, CLIP_NAME_BYTES)
    except ValueError as error:
        raise ValueError(f"its name can't be used: without extension {error}") from None


def find_same_stem_clips(data_dir: str | os.PathLike, clips: list) -> list[tuple[str, str]]:
    """Clips whose names differ in the extension only, so that their frames would have the same names: a list
    of (path, path of the other). clips: of Found."""
    paths: dict[tuple, list[str]] = {}  # clip: the files of that name, "a.mp4" and "a.MP4"
    for clip, path in clips:
        paths.setdefault(clip, []).append(path)
    found = []
    for clip, path in clips:
        others = [other for other in paths[clip] if other != path]
        note = read_frames_note(data_dir, clip)
        if note and not others:  # the frames that are there may be of a file with another extension
            noted = os.path.join(os.path.dirname(path), note.clip or "")
            others = [noted] if noted != path and os.path.isfile(noted) else []
        if others:
            found.append((path, others[0]))
    return found


def same_stem_message(path: str, other: str) -> str:
    """A line on a pair of find_same_stem_clips."""
    return f"{path}: left out, {other} beside it would have frames of the same names; rename one"


def split_rows(data_dir: str | os.PathLike) -> list[Clip]:
    """The rows of an earlier data_file.csv whose frames are still there."""
    try:
        rows = read_data_file(data_dir)
    except FileNotFoundError:
        return []
    return [row for row in rows if row.frames and os.path.exists(frame_path(data_dir, *row))]
