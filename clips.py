"""The clips in the dataset's folders, and the notes that say what was made of them."""
import json
import os
import sys

import data
import files
import video
from console import print

MAX_FRAMES = 100_000  # of a clip: more than an hour
EXTENSIONS = ("mp4", "avi", "mkv", "mov", "webm", "mpg", "mpeg", "ts", "m4v", "wmv", "flv", "mts", "m2ts", "3gp")


def find(data_dir, extension=None):
    """All clips with an extension ("mp4", ".MP4"), or with any of EXTENSIONS (None): a sorted list of
    ((split, class, name), path). Raises FileNotFoundError if there are none."""
    wanted = (extension.lower().lstrip("."),) if extension else EXTENSIONS
    clips, others = [], {}
    for split in data.SPLITS:
        root = os.path.join(data_dir, split)
        for class_name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
            folder = os.path.join(root, class_name)
            if class_name.startswith(".") or not os.path.isdir(folder):
                continue
            files.sweep(folder)
            for file in sorted(os.listdir(folder)):
                name, ending = os.path.splitext(file)
                ending = ending.lower().lstrip(".")
                path = os.path.join(folder, file)
                if os.path.isdir(path) and not file.startswith("."):
                    print(f"{path}: left out, a folder inside of a class's folder", file=sys.stderr)
                if file.startswith(".") or not os.path.isfile(path):
                    continue
                if ending in wanted:
                    clips.append(((split, class_name, name), path))
                elif ending in EXTENSIONS:
                    others[ending] = others.get(ending, 0) + 1
    if not clips:
        folders = os.path.join(data_dir, "train", "<Class>")
        found = ", ".join(f"{count} .{ending}" for ending, count in sorted(others.items())) or "no videos at all"
        raise FileNotFoundError(f"no {f'.{wanted[0]} ' if extension else ''}clips in {folders} (found there and in test: "
                                f"{found})")
    return clips


def find_twins(data_dir, clips):
    """Clips that can't be told apart by their name without extension: a list of (path, path of the other). clips: of find."""
    paths = {}  # clip: the files of that name, "a.mp4" and "a.MP4"
    for clip, path in clips:
        paths.setdefault(clip, []).append(path)
    twins = []
    for clip, path in clips:
        others = [other for other in paths[clip] if other != path]
        note = data.read_frames_note(data_dir, clip)
        if note and not others:  # the frames that are there may be of a file with another extension
            noted = os.path.join(os.path.dirname(path), str(note.get("clip")))
            others = [noted] if noted != path and os.path.isfile(noted) else []
        if others:
            twins.append((path, others[0]))
    return twins


def twin_text(path, twin):
    """A line on a clip of find_twins."""
    return f"{path}: left out, {twin} beside it would have frames of the same names; rename one"


def identity(path):
    """What tells a clip from another that took its place."""
    status = os.stat(path)
    return {"clip": os.path.basename(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def valid_note(data_dir, clip, path):
    """The note on a clip (data.read_frames_note) if it was made from just this file, else None."""
    note = data.read_frames_note(data_dir, clip)
    valid = note is not None and identity(path) == {key: note.get(key) for key in ("clip", "size", "mtime_ns")}
    return note if valid else None


def write_note(data_dir, clip, made_from, frames, fps, split=True):
    """Notes the frames of a clip, and the length in seconds that follows from them. made_from: its identity when they were
    counted. split: whether they lie beside it as images."""
    note = {**made_from, "frames": frames, "fps": str(fps), "seconds": float(frames / fps)}
    files.write_text(data.frames_note_path(data_dir, clip), json.dumps(note if split else {**note, "split": False}))


def is_unsplit(note):
    """Whether a note, or None, is on a clip that was listed without being split into frames."""
    return note is not None and note.get("split") is False


def path_of(data_dir, row):
    """The file of a clip of which there is a note. Raises ValueError if there is none."""
    note = data.read_frames_note(data_dir, row)
    name = str(note.get("clip")) if note else ""
    if not name or os.path.basename(name) != name:
        raise ValueError("nothing says which file it is; run extract_features.py --from-video")
    return os.path.join(data_dir, row[0], row[1], name)


def split_rows(data_dir):
    """The rows of an earlier data_file.csv whose frames are still there."""
    try:
        rows = data.read_data_file(data_dir)
    except FileNotFoundError:
        return []
    return [row for row in rows if row.frames and os.path.exists(data.frame_path(data_dir, *row))]


def list_unsplit(data_dir, quiet=False):
    """Lists all clips in data_file.csv without splitting them: with the frames that their headers tell. Reading their
    features corrects them (sequences.load_video). Returns the number of clips that can't be read, named on stderr.

    Raises FileNotFoundError if there are none.
    """
    from concurrent.futures import ThreadPoolExecutor
    from bars import progress
    found = find(data_dir)
    problems = {path: twin_text(path, twin) for path, twin in find_twins(data_dir, found)}

    def look(item):
        clip, path = item
        note = valid_note(data_dir, clip, path)
        if note is None:
            made_from, info = identity(path), video.probe(path)
            # A header can tell any number; the clip's own is found out when it is decoded.
            frames = min(info.frames or video.count_frames(path), MAX_FRAMES)
            data.forget_sequences(data_dir, clip)
            write_note(data_dir, clip, made_from, frames, info.fps, split=False)
            return data.Clip(*clip, frames)
        return data.Clip(*clip, note["frames"])

    rows = {row[:3]: row for row in split_rows(data_dir)}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        futures = [(path, pool.submit(look, (clip, path))) for clip, path in found if path not in problems]
        for path, future in progress(futures, unit="clip", desc="Listing clips", quiet=quiet or not futures):
            try:
                row = future.result()
                rows[row[:3]] = row
            except ValueError as error:
                problems[path] = f"{path}: left out, {str(error).removeprefix(f'{path}: ')}"
    for problem in sorted(problems.values()):
        print(problem, file=sys.stderr)
    data.write_data_file(data_dir, rows.values())
    return len(problems)


def relist(data_dir):
    """Writes data_file.csv again if clips that were not split have other numbers of frames than it says."""
    rows = data.read_data_file(data_dir)
    notes = [data.read_frames_note(data_dir, row) for row in rows]
    counted = [row._replace(frames=note["frames"]) if is_unsplit(note) else row
               for row, note in zip(rows, notes)]
    if counted != rows:
        data.write_data_file(data_dir, counted)
