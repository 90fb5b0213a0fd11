"""Splits the dataset's clips into frames with ffmpeg and lists them in data_file.csv.

Reads data/train/<Class>/*.mp4 and data/test/<Class>/*.mp4. Writes <clip>-0001.jpg, <clip>-0002.jpg, ... and
<clip>-frames.json beside each clip, and data/data_file.csv with the number of frames of each. Clips that are
done already are left alone; a clip that was replaced is done again, and its features are forgotten.

    python extract_files.py mp4
"""

import contextlib
import functools
import os
import sys
import threading

from vidclass import atomic, cli, locking, parallel
from vidclass.console import count, error_text, print
from vidclass.dataset.clips import find_clips, split_rows
from vidclass.dataset.data_file import Clip, data_file, write_data_file
from vidclass.dataset.frames_note import (
    frame_path,
    frames_note_path,
    is_unsplit,
    origin,
    valid_note,
    write_note,
)
from vidclass.features import ray_cluster
from vidclass.dataset.sequence_files import forget_sequences
from vidclass.names import alike_classes
from vidclass.progress import progress
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.images import split_into_frames
from vidclass.video.limits import MAX_FRAMES, MAX_PIXELS


@locking.one_run_at_a_time()
def extract_files(extension, data_dir="data", quiet=False, max_frames=MAX_FRAMES, ray=None, workers=None):
    """Splits all clips with an extension ("mp4", ".MP4") into frames. Returns the number of clips that
    failed, of which those with more than max_frames frames are some. ray: the address of a Ray cluster to
    work on, see cluster.connected; workers: so many processes of it at most.

    Raises FileNotFoundError if there is no such clip, or no ffmpeg.
    """
    found = find_clips(data_dir, extension)
    find_ffmpeg()
    problems = found.problems
    failed = unusable = len(problems)
    total = len(found.clips) + unusable
    done = find_split(data_dir, found.clips)
    work = [(clip, path) for clip, path in found.clips if clip not in done]
    rows = {row[:3]: row for row in split_rows(data_dir)}
    for clip, _ in work:
        rows.pop(clip, None)
    rows.update(done)

    try:
        with contextlib.ExitStack() as stack:
            if ray and work:
                stack.enter_context(ray_cluster.connected(ray))
            bar = stack.enter_context(
                progress(total=len(work), unit="clip", desc="Splitting clips", quiet=quiet or not work)
            )
            outcomes = stack.enter_context(
                contextlib.closing(
                    split_on_cluster(work, data_dir, max_frames, workers)
                    if ray and work
                    else split_here(work, data_dir, max_frames)
                )
            )
            for path, is_failure, problem in outcomes:
                bar.update()
                failed += is_failure
                if problem:
                    problems[path] = f"{path}: {'left out, ' if is_failure else ''}{problem}"
    finally:
        # Also when the run is stopped, what is complete can be used.
        rows.update(find_split(data_dir, work))
        if rows or os.path.exists(data_file(data_dir)):
            write_data_file(data_dir, rows.values())
    left_out = [*found.left_out, *found.unreadable]
    for problem in sorted([*problems.values(), *left_out]):
        print(problem, file=sys.stderr)
    for line in alike_classes(data_dir, {class_name for _, class_name, _ in rows}):
        print(line, file=sys.stderr)
    split = len(work) + unusable - failed
    print(
        f"{count(total, 'clip')}: {split} split into frames, {total - split - failed} done before, {failed} failed. "
        f"{data_file(data_dir)} lists {count(len(rows), 'clip')}."
        + (f" Besides {len(left_out)} left out that are no clips, named above." if left_out else "")
    )
    return failed + len(found.unreadable)


def split_here(work, data_dir, max_frames):
    """Splits clips, a list of ((split, class, name), path), in threads. Yields (path, whether it failed, a
    problem or None) as they are done."""
    extraction = Extraction(data_dir, max_frames)
    with contextlib.closing(parallel.each(lambda item: extraction.split(*item), work)) as outcomes:
        try:
            for _, future in outcomes:
                yield future.result()
        except BaseException:
            extraction.stop()
            raise


def split_on_cluster(work, data_dir, max_frames, workers):
    """The same on the connected Ray cluster, whose processes take a clip at a time."""
    absolute = [(clip, os.path.abspath(path)) for clip, path in work]
    named = {long: path for (_, long), (_, path) in zip(absolute, work)}
    arguments = {
        "work": absolute,
        "data_dir": os.path.abspath(data_dir),
        "max_frames": max_frames,
        "max_pixels": MAX_PIXELS,
    }
    pool = ray_cluster.Workers(workers, cpus=1, calls=1)
    for path, is_failure, problem in ray_cluster.run(Splitter, arguments, len(work), 1, pool):
        if is_failure is None:
            raise OSError(problem)
        yield named[path], is_failure, problem


class Splitter:
    """A process of a cluster that splits clips, given by their numbers in `work`."""

    def __init__(self, work, data_dir, max_frames, max_pixels, threads):
        self._work, self._extraction = work, Extraction(data_dir, max_frames)

    def __call__(self, numbers):
        try:
            return [
                self._extraction.split(tuple(clip), path)
                for clip, path in (self._work[number] for number in numbers)
            ]
        except OSError as error:  # a full disk: for all of them
            return [(self._work[numbers[0]][1], None, error_text(error))]


def find_split(data_dir, found):
    """{clip: Clip} of those of clips, a list of ((split, class, name), path), whose frames were made from
    just this file and are all there."""
    listing = functools.cache(lambda folder: set(os.listdir(folder)) if os.path.isdir(folder) else set())
    rows = {}
    for clip, path in found:
        note = valid_note(data_dir, clip, path)
        if (
            note
            and not is_unsplit(note)
            and all(
                f"{clip[2]}-{i:04d}.jpg" in listing(os.path.dirname(path)) for i in range(1, note.frames + 1)
            )
        ):
            rows[clip] = Clip(*clip, note.frames)
    return rows


class Extraction:
    """Splits clips into frames in several threads, and can be stopped."""

    def __init__(self, data_dir, max_frames):
        self.data_dir, self.max_frames = data_dir, max_frames
        self._lock = threading.Lock()
        self._running = set()
        self._stopped = False

    def split(self, clip, path):
        """Splits one clip. Returns (path, whether it failed, None or why, or what of it could not be
        decoded). Raises OSError if the frames can't be written.

        Frames are made in a hidden folder and moved when all are there; the note that declares them complete
        is removed before and written after, so that a kill at any moment leaves a clip that is done again.
        """
        made_from = origin(self.data_dir, clip, path)
        staging = atomic.temporary_path(os.path.join(os.path.dirname(path), f"{clip[2]}-frames"))
        try:
            os.mkdir(staging)
            with self._watching() as register:
                frames, info, loss = split_into_frames(path, staging, register, self.max_frames)
            if self._stopped:
                raise ValueError("stopped")
            note_path = frames_note_path(self.data_dir, clip)
            if os.path.exists(note_path):
                os.remove(note_path)
            forget_sequences(self.data_dir, clip)
            for i in range(1, frames + 1):
                os.replace(os.path.join(staging, f"{i:04d}.jpg"), self._frame(clip, i))
            surplus = frames
            while os.path.exists(self._frame(clip, surplus + 1)):
                surplus += 1
            for i in range(surplus, frames, -1):
                os.remove(self._frame(clip, i))
            write_note(self.data_dir, clip, made_from, frames, info.fps)
            return path, False, loss and f"{loss}; kept what there is"
        except ValueError as error:
            return path, True, str(error).removeprefix(f"{path}: ")
        finally:
            atomic.discard(staging)

    def stop(self):
        """Ends the running ffmpeg processes."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _frame(self, clip, number):
        return frame_path(self.data_dir, *clip, number)

    @contextlib.contextmanager
    def _watching(self):
        """A `with` block that gives a function to tell processes to: stop() ends them, as long as the block
        lasts."""
        started = []

        def register(process):
            with self._lock:
                started.append(process)
                self._running.add(process)
                if self._stopped:
                    process.kill()

        try:
            yield register
        finally:
            with self._lock:
                self._running.difference_update(started)


def main(argv=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("extension", help="the clips' extension: mp4, .MP4, avi, ...")
    parser.add_argument(
        "--max-frames",
        type=cli.at_least(1),
        default=MAX_FRAMES,
        help=f"refuse clips with more: they would fill the disk (default: {MAX_FRAMES})",
    )
    cli.add_limit_option(parser)
    cli.add_ray_options(parser)
    args = parser.parse_args(argv)

    def work():
        return (
            1
            if extract_files(
                args.extension, args.data_dir, args.quiet, args.max_frames, args.ray, args.workers
            )
            else 0
        )

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
