"""Turns each clip's frames into a sequence of InceptionV3 features.

Reads data/data_file.csv and the frames that extract_files.py made; with --from-video the clips themselves.
Writes one .npy per clip under data/sequences/: (seq_length, 2048) float32, of frames spread evenly over the
clip. Sequences that are there already are kept.

    python extract_features.py 75 2 720 1280
"""

import itertools
import os
import sys
from dataclasses import dataclass, replace
from typing import Any

from vidclass import cli, console, locking
from vidclass.console import print
from vidclass.errors import INT8, PRECISIONS, check_choice, check_count, check_shard
from vidclass.keras_loading import import_keras
from vidclass.names import alike_classes
from vidclass.progress import progress
from vidclass.text import clock, size_text
from vidclass.video.limits import DEFAULT_LIMITS, VideoLimits

CALL_FRAMES = 256  # of the clips that a worker of a cluster gets in one go


@dataclass(frozen=True)
class ExtractionJob:
    """The options of extract_features; workers of a cluster get them, too. Raises UsageError for values that
    make no sense."""

    data_dir: str = "data"
    weights: str = "imagenet"  # InceptionV3's: imagenet, random, or the path of a Keras weights file
    precision: str = "auto"  # in which InceptionV3 computes, one of errors.PRECISIONS
    from_video: bool = False  # list and decode the clips themselves, which need not be split into frames
    shard: tuple[int, int] | None = None  # (i, n): only the i-th of n parts of the clips, from 1
    ray: str | None = None  # address of a Ray cluster to work on, see ray_cluster.connected
    workers: int | None = None  # on the cluster, at most; None: as many as fit
    cpus: int | None = None  # processors of each worker; None: see ray_cluster.resources
    sequences_url: str | None = None  # where to save the sequences; None: in data_dir
    keep: bool = False  # with sequences_url: save them in data_dir, too
    dry_run: bool = False  # print how long it would take, and the disk that it needs; write nothing
    limits: VideoLimits = DEFAULT_LIMITS  # of the clips that are decoded
    quiet: bool = False  # no progress bars

    def __post_init__(self):
        check_choice("--precision", self.precision, PRECISIONS)
        check_count("--workers", self.workers)
        check_count("--cpus", self.cpus)
        check_shard(self.shard)


@dataclass(frozen=True)
class ExtractionResult:
    """What extract_features did."""

    extracted: int  # sequences
    present: int  # sequences that were there already
    failed: int  # clips, and folders with from_video, that could not be used; they are named on stderr


@locking.one_run_at_a_time(
    shared=lambda options: options.shard is not None, unless=lambda options: options.dry_run
)
def extract_features(
    seq_length: int,
    class_limit: int | None,
    image_shape: tuple[int, int, int],
    options: ExtractionJob = ExtractionJob(),
) -> ExtractionResult:
    """Saves the feature sequences that are missing.

    image_shape: (height, width, 3) at which InceptionV3 sees the frames. Sequences that data_dir has are
    copied to sequences_url. Raises what DataSet and Extractor raise.
    """
    from data import DataSet
    from vidclass.dataset.clips import unlisted_text
    from vidclass.dataset.listing import list_unsplit, relist
    from vidclass.features.sequence_store import FolderStore, UrlStore

    if options.dry_run:
        return estimate_extraction(seq_length, class_limit, image_shape, options)
    unlisted = list_unsplit(options.data_dir, options.limits, options.quiet) if options.from_video else 0
    data_dir = os.path.abspath(options.data_dir) if options.ray else options.data_dir
    dataset = DataSet(seq_length, class_limit, image_shape, data_dir)
    if not options.from_video and (unlisted_clips := unlisted_text(options.data_dir)):
        print(unlisted_clips, file=sys.stderr)
    clips, identity, store = _choose(dataset, options)
    FolderStore(dataset, identity).adopt_earlier()
    missing = store.missing(clips)
    if isinstance(store, UrlStore):
        missing = store.upload(missing, options.quiet)
    if not missing:
        print(f"All {len(clips)} sequences are there already.")
        return ExtractionResult(0, len(clips), unlisted)
    print(_to_do(missing, store))
    outcomes = (extract_on_cluster if options.ray else extract_here)(dataset, identity, missing, options)
    for outcome in outcomes:
        if outcome.problem:
            print(outcome.line(), file=sys.stderr)
    failed = sum(outcome.failed for outcome in outcomes)
    extracted, present = len(missing) - failed, len(clips) - len(missing)
    print(
        f"{console.count(extracted, 'sequence')} extracted, {present} {'was' if present == 1 else 'were'} "
        f"there already, {failed} failed."
    )
    if options.from_video:
        relist(options.data_dir)
    return ExtractionResult(extracted, present, unlisted + failed)


def estimate_extraction(
    seq_length: int, class_limit: int | None, image_shape: tuple[int, int, int], options: ExtractionJob
) -> ExtractionResult:
    """Prints what extract_features would do and how long that would take here, by what the network does in
    some seconds. Writes nothing."""
    from data import DataSet
    from vidclass.dataset.listing import Listed, find_rows
    from vidclass.dataset.split_estimate import disk_text

    listed = Listed([], {}, 0)
    if options.from_video:
        listed = find_rows(options.data_dir, options.limits, options.quiet)
    dataset = DataSet(seq_length, class_limit, image_shape, options.data_dir, listed.rows or None)
    clips, identity, store = _choose(dataset, options)
    missing = store.missing(clips)
    print(f"{_to_do(missing, store)}; {console.count(len(clips) - len(missing), 'sequence')} there already")
    if missing:
        import_keras()
        from extractor import Extractor
        from vidclass.features import extraction_rate, int8, int8_calibration, int8_ranges

        loader = extraction_rate.LookingLoader(
            dataset, options.from_video, options.limits, files=listed.files
        )
        ranges = int8_ranges.load_ranges(store) if options.precision == INT8 else None
        if options.precision == INT8 and ranges is None:
            number = int8_calibration.frame_count(image_shape)
            images = itertools.islice(extraction_rate.sample_images(loader, missing), number)
            ranges = int8.measure_ranges(options.weights, image_shape, images)
        extractor = Extractor(image_shape, options.weights, options.precision, ranges)
        rate = extraction_rate.measure_rate(extractor, loader, missing)
        left = clock(len(missing) * seq_length / rate.per_second).split(".")[0]
        print(f"{rate.per_second:.1f} frames/s, measured on {rate.frames}: {left} in all")
        if not options.sequences_url or options.keep:
            print(disk_text(len(missing) * store.file_bytes, options.data_dir))
    return ExtractionResult(0, len(clips) - len(missing), listed.failed)


def _choose(dataset, options):
    """(clips of this run, identity of their features, store of their sequences). Prints what is left out."""
    from vidclass.features.identity import features_id, weights_id
    from vidclass.features.sequence_store import open_store

    _describe(dataset)
    clips = dataset.data
    if options.shard is not None:
        part = set(choose_shard(dataset.listed, *options.shard))
        clips = [clip for clip in clips if clip in part]
    identity = features_id(weights_id(options.weights), options.precision)
    return clips, identity, open_store(dataset, identity, options.sequences_url, options.keep)


def _to_do(missing, store):
    """What there is to do, as a line."""
    frames = len(missing) * store.shape[0]
    size = size_text(len(missing) * store.file_bytes)
    return (
        f"{console.count(len(missing), 'sequence')} to extract, of {console.count(frames, 'frame')}: {size}"
    )


def _describe(dataset):
    """Prints the classes in use, and what is left out of the dataset and why."""
    left_out = ", ".join(dataset.left_out_classes)
    print(
        f"Classes: {', '.join(dataset.classes)}{f' (left out by the limit: {left_out})' if left_out else ''}"
    )
    for clip in dataset.too_short:
        print(
            f"{'/'.join(clip[:3])}: left out, {clip.frames} frames are fewer than the sequence length "
            f"{dataset.seq_length}",
            file=sys.stderr,
        )
    if dataset.too_short:
        print(f"Too short and left out: {console.count(len(dataset.too_short), 'clip')}.", file=sys.stderr)
    for line in (*alike_classes(dataset.data_dir, dataset.classes), *dataset.too_few_clips()):
        print(line, file=sys.stderr)


def choose_shard(clips: list, number: int, count: int) -> list:
    """The clips of one of `count` parts, numbered from 1: equally many give or take one.

    Their split, class and name alone decide, of all clips that are listed: what a run finds out about one,
    that its header lied, say, changes nothing for the others. Neighbours by name, which are mostly of one
    length, go to different parts.
    """
    places = {name: place for place, name in enumerate(sorted({clip[:3] for clip in clips}))}
    return [clip for clip in clips if places[clip[:3]] % count == number - 1]


def extract_here(dataset: Any, identity: str, clips: list, job: ExtractionJob) -> list:
    """Extracts the sequences of clips in this process. Returns their Outcomes."""
    import_keras()
    from extractor import Extractor
    from vidclass.features.extraction import ClipLoader, extract
    from vidclass.features.sequence_store import open_store

    loader = ClipLoader(dataset, job.from_video, job.limits)
    ranges = find_ranges(dataset, identity, job)
    extractor = Extractor(dataset.image_shape, job.weights, job.precision, ranges)
    save = open_store(dataset, identity, job.sequences_url, job.keep).save
    with _frames_bar(dataset, clips, job) as bar:
        return list(extract(extractor, loader, clips, save, bar.update))


def find_ranges(dataset: Any, identity: str, job: ExtractionJob) -> list[float] | None:
    """The ranges of the network's activations for --precision int8, measured if need be; None for others."""
    if job.precision != INT8:
        return None
    import_keras()
    from vidclass.features.extraction import ClipLoader
    from vidclass.features.int8_calibration import dataset_ranges
    from vidclass.features.sequence_store import open_store

    store = open_store(dataset, identity, job.sequences_url, job.keep)
    return dataset_ranges(store, ClipLoader(dataset, job.from_video, job.limits), job.weights)


def extract_on_cluster(dataset: Any, identity: str, clips: list, job: ExtractionJob) -> list:
    """Extracts the sequences of clips on a Ray cluster. Returns their Outcomes."""
    from vidclass.dataset.outcome import Outcome
    from vidclass.features import ray_cluster

    if job.weights not in ("imagenet", "random"):
        job = replace(job, weights=os.path.abspath(job.weights))
    ranges = find_ranges(dataset, identity, job)  # once: each worker would measure a little other ones
    arguments = {"dataset": dataset, "identity": identity, "clips": clips, "job": job, "ranges": ranges}
    per_call = max(1, CALL_FRAMES // dataset.seq_length)
    workers = ray_cluster.Workers(job.workers, job.cpus)
    outcomes = []
    with ray_cluster.connected(job.ray or ray_cluster.HERE), _frames_bar(dataset, clips, job) as bar:
        for result in ray_cluster.run(Worker, arguments, len(clips), per_call, workers):
            outcomes.append(Outcome.from_list(result))
            bar.update(dataset.seq_length)
    return outcomes


def _frames_bar(dataset, clips, job):
    total = len(clips) * dataset.seq_length
    return progress(total=total, unit="frame", desc="Extracting features", quiet=job.quiet, wait=True)


class Worker:
    """What holds an Extractor on a machine of a cluster: called with numbers of clips, it extracts their
    sequences."""

    def __init__(self, dataset, identity, clips, job, ranges, threads):
        import_keras()
        from extractor import Extractor, limit_threads
        from vidclass.features import extraction
        from vidclass.features.sequence_store import open_store

        limit_threads(threads)
        self._clips, self._extract = clips, extraction.extract
        self._store = open_store(dataset, identity, job.sequences_url, job.keep)
        self._loader = extraction.ClipLoader(dataset, job.from_video, job.limits, threads)
        self._extractor = Extractor(dataset.image_shape, job.weights, job.precision, ranges, threads)

    def __call__(self, numbers):
        from vidclass.dataset.outcome import Outcome

        clips = [self._clips[number] for number in numbers]
        # Not those that a worker saved before it died: its calls are done again.
        missing = [clip for clip in clips if not self._store.has(clip)]
        outcomes = [Outcome(clip) for clip in clips if clip not in missing]
        outcomes += self._extract(self._extractor, self._loader, missing, self._store.save)
        return [outcome.as_list() for outcome in outcomes]


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument(
        "--from-video",
        action="store_true",
        help="decode the clips themselves; extract_files.py and its images are not needed",
    )
    cli.add_shard_option(parser, "clips")
    cli.add_sequences_option(parser, "save them there instead")
    cli.add_limit_option(parser)
    cli.add_ray_options(parser)
    cli.add_cpus_option(parser)
    cli.add_dry_run_option(parser, "how long it would take here, measured, and the disk that it needs")
    args = parser.parse_args(argv)

    def work():
        job = ExtractionJob(
            data_dir=args.data_dir,
            weights=args.weights,
            precision=args.precision,
            from_video=args.from_video,
            shard=args.shard,
            ray=args.ray,
            workers=args.workers,
            cpus=args.cpus,
            dry_run=args.dry_run,
            sequences_url=args.sequences,
            limits=VideoLimits(max_pixels=args.max_pixels),
            quiet=args.quiet,
        )
        result = extract_features(args.seq_length, args.classes, (args.height, args.width, 3), job)
        return 1 if result.failed else 0

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
