"""Splits the dataset's clips into frames with ffmpeg and lists them in data_file.csv.

Reads data/train/<Class>/*.mp4 and data/test/<Class>/*.mp4. Writes <clip>-0001.jpg, <clip>-0002.jpg, ... and
<clip>-frames.json beside each clip, and data/data_file.csv with the number of frames of each. Clips that are done
already are left alone; a clip that was replaced is done again, and its features are forgotten.

    python extract_files.py mp4
"""
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import cli
import data
import files
import video

MAX_FRAMES = 100_000  # of a clip: more than an hour
VIDEO_EXTENSIONS = ("mp4", "avi", "mkv", "mov", "webm", "mpg", "mpeg", "ts", "m4v", "wmv", "flv", "mts", "m2ts", "3gp")


def extract_files(extension, data_dir="data", quiet=False, max_frames=MAX_FRAMES):
    """Splits all clips with an extension ("mp4", ".MP4") into frames. Returns the number of clips that failed, of which
    those with more than max_frames frames are some.

    Raises FileNotFoundError if there is no such clip, or no ffmpeg.
    """
    from tqdm import tqdm
    clips = find_clips(data_dir, extension)
    video.find_ffmpeg()
    rows = {row[:3]: row for row in known_rows(data_dir)}
    paths = {}  # clip: the files of that name, "a.mp4" and "a.MP4"
    for clip, path in clips:
        paths.setdefault(clip, []).append(path)
    listings = {}  # folder: names of the files in it
    work, problems = [], []
    failed = split = 0
    for clip, path in clips:
        twin = find_twin(data_dir, clip, path, paths[clip])
        if twin:
            failed += 1
            problems.append(f"{path}: left out, {twin} beside it would have frames of the same names; rename one")
            continue
        folder = os.path.dirname(path)
        if folder not in listings:
            listings[folder] = set(os.listdir(folder))
        note = valid_note(data_dir, clip, path, listings[folder])
        if note:
            rows[clip] = data.Clip(*clip, note["frames"])
        else:
            work.append((clip, path))

    extraction = Extraction(data_dir, max_frames)
    bar = tqdm(total=len(work), unit="clip", desc="Splitting clips", disable=quiet or not work)
    try:
        with bar, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            futures = {pool.submit(extraction.extract, clip, path): path for clip, path in work}
            try:
                for future in as_completed(futures):
                    bar.update()
                    try:
                        loss = future.result()
                    except ValueError as error:
                        failed += 1
                        path = futures[future]
                        problems.append(f"{path}: left out, {str(error).removeprefix(f'{path}: ')}")
                        continue
                    split += 1
                    if loss:
                        problems.append(f"{futures[future]}: {loss}; kept what there is")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                extraction.stop()
                raise
    finally:
        # Also when the run is stopped, what is complete can be used.
        for clip, _ in work:
            rows.pop(clip, None)
        rows.update(extraction.rows)
        if rows or os.path.exists(data.data_file(data_dir)):
            data.write_data_file(data_dir, rows.values())
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    print(f"{len(clips)} clips: {split} split into frames, {len(clips) - split - failed} done before, {failed} failed. "
          f"{data.data_file(data_dir)} lists {len(rows)} clips.")
    return failed


def find_clips(data_dir, extension):
    """All clips with an extension: a sorted list of ((split, class, name), path). Raises FileNotFoundError if none."""
    wanted = extension.lower().lstrip(".")
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
                if ending == wanted:
                    clips.append(((split, class_name, name), path))
                elif ending in VIDEO_EXTENSIONS:
                    others[ending] = others.get(ending, 0) + 1
    if not clips:
        folders = os.path.join(data_dir, "train", "<Class>")
        found = ", ".join(f"{count} .{ending}" for ending, count in sorted(others.items())) or "no videos at all"
        raise FileNotFoundError(f"no .{wanted} clips in {folders} (found there and in test: {found})")
    return clips


def find_twin(data_dir, clip, path, paths):
    """The path of another clip with the same name but for its extension, or None. paths: those of this run."""
    for other_path in paths:
        if other_path != path:
            return other_path
    note = data.read_frames_note(data_dir, clip)
    other_path = os.path.join(os.path.dirname(path), str(note.get("clip"))) if note else path
    return other_path if other_path != path and os.path.isfile(other_path) else None


def known_rows(data_dir):
    """The rows of an earlier data_file.csv whose frames are still there."""
    try:
        rows = data.read_data_file(data_dir)
    except FileNotFoundError:
        return []
    return [row for row in rows if row.frames and os.path.exists(data.frame_path(data_dir, *row))]


def valid_note(data_dir, clip, path, names):
    """The note on the clip's frames if they were made from just this file and all are among `names`, else None."""
    note = data.read_frames_note(data_dir, clip)
    if note is None or identity(path) != {key: note.get(key) for key in ("clip", "size", "mtime_ns")}:
        return None
    return note if all(f"{clip[2]}-{i:04d}.jpg" in names for i in range(1, note["frames"] + 1)) else None


def identity(path):
    """What tells a clip from another that took its place."""
    status = os.stat(path)
    return {"clip": os.path.basename(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


class Extraction:
    """Splits clips into frames in several threads, and can be stopped. .rows: {clip: Clip} of those that are done."""

    def __init__(self, data_dir, max_frames):
        self.data_dir, self.max_frames = data_dir, max_frames
        self.rows = {}
        self._lock = threading.Lock()
        self._running = set()
        self._stopped = False

    def extract(self, clip, path):
        """Splits one clip. Returns None or a line on what of it could not be decoded. Raises ValueError, OSError.

        Frames are made in a hidden folder and moved when all are there; the note that declares them complete is
        removed before and written after, so that a kill at any moment leaves a clip that is done again.
        """
        split, class_name, name = clip
        folder = os.path.dirname(path)
        staging = files.partial_name(os.path.join(folder, f"{name}-frames"))
        made_from = identity(path)
        os.mkdir(staging)
        try:
            frames, info, loss = video.split_into_frames(path, staging, self._register, self.max_frames)
            if self._stopped:
                raise ValueError("stopped")
            note_path = data.frames_note_path(self.data_dir, clip)
            if os.path.exists(note_path):
                os.remove(note_path)
            data.forget_sequences(self.data_dir, clip)
            for i in range(1, frames + 1):
                os.replace(os.path.join(staging, f"{i:04d}.jpg"), self._frame(clip, i))
            surplus = frames
            while os.path.exists(self._frame(clip, surplus + 1)):
                surplus += 1
            for i in range(surplus, frames, -1):
                os.remove(self._frame(clip, i))
            note = {**made_from, "frames": frames, "fps": str(info.fps), "seconds": float(frames / info.fps)}
            files.write_text(note_path, json.dumps(note))
            self.rows[clip] = data.Clip(*clip, frames)
            return loss
        finally:
            files.remove_folder(staging)

    def stop(self):
        """Ends the running ffmpeg processes."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _frame(self, clip, number):
        return data.frame_path(self.data_dir, *clip, number)

    def _register(self, process):
        with self._lock:
            self._running.add(process)
            if self._stopped:
                process.kill()


def main(argv=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("extension", help="the clips' extension: mp4, .MP4, avi, ...")
    parser.add_argument("--max-frames", type=cli.at_least(1), default=MAX_FRAMES,
                        help=f"refuse clips with more: they would fill the disk (default: {MAX_FRAMES})")
    cli.add_limit_option(parser)
    args = parser.parse_args(argv)

    def work():
        with files.locked(args.data_dir):
            return 1 if extract_files(args.extension, args.data_dir, args.quiet, args.max_frames) else 0
    return cli.run(work)


if __name__ == "__main__":
    sys.exit(main())
