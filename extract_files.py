"""Splits the dataset's clips into frames with ffmpeg and lists them in data_file.csv.

Reads data/train/<Class>/*.mp4 and data/test/<Class>/*.mp4. Writes <clip>-0001.jpg, <clip>-0002.jpg, ... and
<clip>-frames.json beside each clip, and data/data_file.csv with the number of frames of each. Clips that are
done already are left alone; a clip that was replaced is done again, and its features are forgotten.

    python extract_files.py mp4
"""

import contextlib
import os
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from vidclass import cli, locking
from vidclass.console import count, print
from vidclass.dataset.options import SplitOptions
from vidclass.names import alike_classes
from vidclass.progress import progress
from vidclass.text import size_text
from vidclass.video.limits import MAX_FRAMES, VideoLimits


@dataclass(frozen=True)
class SplitResult:
    """What extract_files() did."""

    split: int  # clips that were split into frames
    kept: int  # that were done before
    failed: int
    listed: int  # in data_file.csv
    unreadable: int = 0  # folders that can't be read

    @property
    def exit_code(self) -> int:
        return 1 if self.failed or self.unreadable else 0


@locking.one_run_at_a_time(unless=lambda options: options.dry_run)
def extract_files(extension: str, options: SplitOptions = SplitOptions()) -> SplitResult:
    """Splits all clips with an extension ("mp4", ".MP4") into frames, and lists those that have frames in
    data_file.csv. Clips that can't be split are named on stderr.

    Raises FileNotFoundError if there is no such clip, or no ffmpeg; OSError if the disk is full.
    """
    from vidclass.dataset import clips, data_file, splitting  # late: OpenCV and pandas take half a second
    from vidclass.video.ffmpeg import find_ffmpeg

    data_dir = options.data_dir
    found = clips.find_clips(data_dir, extension)
    find_ffmpeg()
    done = splitting.find_split(data_dir, found.clips)
    work = [(clip, path) for clip, path in found.clips if clip not in done]
    if options.dry_run:
        return print_estimate(work, len(done), found, options)
    rows = {row[:3]: row for row in clips.split_rows(data_dir)}
    for clip, _ in work:
        rows.pop(clip, None)
    rows.update(done)
    problems, failed = dict(found.problems), len(found.problems)
    try:
        with contextlib.closing(split_all(work, options)) as outcomes:
            for path, outcome in outcomes:
                failed += outcome.failed
                if outcome.problem:
                    problems[path] = outcome.line(path)
    finally:
        # Also when the run is stopped, what is complete can be used.
        rows.update(splitting.find_split(data_dir, work))
        if rows or os.path.exists(data_file.data_file(data_dir)):
            data_file.write_data_file(data_dir, rows.values())
    others = [*found.left_out, *found.unreadable]
    print_problems([*problems.values(), *others], data_dir, {class_name for _, class_name, _ in rows})
    split = len(work) + len(found.problems) - failed
    result = SplitResult(split, len(done), failed, len(rows), len(found.unreadable))
    print_result(result, data_file.data_file(data_dir), len(others))
    return result


def print_estimate(work: Sequence, done: int, found: Any, options: SplitOptions) -> SplitResult:
    """Prints what splitting clips, ((split, class, name), path), would make. done: clips that were split
    before. found: clips.Found."""
    from vidclass.dataset import split_estimate

    expected = split_estimate.estimate_split(work, options.limits, options.quiet)
    problems = {**found.problems, **expected.problems}
    print_problems([*problems.values(), *found.left_out, *found.unreadable], options.data_dir, set())
    clips = len(work) - len(expected.problems)
    print(
        f"{count(clips, 'clip')} to split into {count(expected.frames, 'frame')}, "
        f"{done} done before, {len(problems)} failed"
    )
    disk = split_estimate.disk_text(expected.bytes, options.data_dir)
    if expected.measured:
        disk += f" ({size_text(expected.frame_bytes)} a frame, measured on {expected.measured})"
    print(disk)
    return SplitResult(0, done, len(problems), done, len(found.unreadable))


def split_all(work: Sequence, options: SplitOptions) -> Generator[tuple, None, None]:
    """Splits clips, ((split, class, name), path), here or on a cluster, below a progress bar. Yields (path,
    Outcome) as they are done. Raises OSError if frames can't be written."""
    from vidclass.dataset import splitting
    from vidclass.features import ray_cluster

    address = options.ray if work else None
    paths = dict(work)
    quiet = options.quiet or not work
    with (
        ray_cluster.connected(address) if address else contextlib.nullcontext(),
        progress(total=len(work), unit="clip", desc="Splitting clips", quiet=quiet) as bar,
        contextlib.closing(
            split_on_cluster(work, options)
            if address
            else splitting.split_here(work, options.data_dir, options.limits)
        ) as outcomes,
    ):
        for outcome in outcomes:
            bar.update()
            yield paths[outcome.clip[:3]], outcome


def split_on_cluster(work: Sequence, options: SplitOptions) -> Generator:
    """Splits clips on the connected Ray cluster, whose processes take a clip at a time. Yields Outcomes."""
    from vidclass.dataset.outcome import Outcome
    from vidclass.dataset.splitting import SplitWorker
    from vidclass.features import ray_cluster

    arguments = {
        "clips": [(clip, os.path.abspath(path)) for clip, path in work],
        "data_dir": os.path.abspath(options.data_dir),
        "limits": options.limits,
    }
    workers = ray_cluster.Workers(options.workers, cpus=1, calls=1)
    for values in ray_cluster.run(SplitWorker, arguments, len(work), 1, workers):
        outcome = Outcome.from_list(values)
        if outcome.is_fatal:
            raise OSError(outcome.problem)
        yield outcome


def print_problems(lines: list[str], data_dir: str, classes: set[str]) -> None:
    """Names what was left out, and classes that are probably one, on stderr."""
    for line in [*sorted(lines), *alike_classes(data_dir, classes)]:
        print(line, file=sys.stderr)


def print_result(result: SplitResult, table: str, others: int) -> None:
    """Prints the summary. table: the path of data_file.csv. others: files that are not clips."""
    total = result.split + result.kept + result.failed
    print(
        f"{count(total, 'clip')}: {result.split} split into frames, {result.kept} done before, "
        f"{result.failed} failed. {table} lists {count(result.listed, 'clip')}."
        + (f" Besides {others} left out that are no clips, named above." if others else "")
    )


def main(argv: Sequence[str] | None = None) -> int:
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
    cli.add_dry_run_option(parser, "how many frames it would be, and the disk that they need")
    args = parser.parse_args(argv)

    def work():
        limits = VideoLimits(args.max_pixels, args.max_frames)
        options = SplitOptions(args.data_dir, args.ray, args.workers, args.dry_run, limits, args.quiet)
        return extract_files(args.extension, options).exit_code

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
