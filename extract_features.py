"""Turns each clip's frames into a sequence of InceptionV3 features.

Reads data/data_file.csv and the frames that extract_files.py made; with --from-video the clips themselves.
Writes one .npy per clip under data/sequences/: (seq_length, 2048) float32, of frames spread evenly over the
clip. Sequences that are there already are kept.

    python extract_features.py 75 2 720 1280
"""

import argparse
import os
import re
import sys

from data import DataSet
from extractor import Extractor, limit_threads
from vidclass import cli, console, locking
from vidclass.console import print
from vidclass.dataset.data_file import Clip
from vidclass.dataset.listing import list_unsplit, relist
from vidclass.features import extraction, ray_cluster
from vidclass.features.identity import features_id, weights_id
from vidclass.features.sequence_store import open_store
from vidclass.keras_loading import import_keras
from vidclass.names import alike_classes
from vidclass.progress import progress
from vidclass.video.limits import MAX_PIXELS

CALL_FRAMES = 256  # of the clips that a worker of a cluster gets in one go


@locking.one_run_at_a_time(shared=lambda given: given.shard is not None)
def extract_features(
    seq_length,
    class_limit,
    image_shape,
    data_dir="data",
    weights="imagenet",
    quiet=False,
    precision="float32",
    from_video=False,
    shard=None,
    ray=None,
    workers=None,
    cpus=None,
    sequences_url=None,
    keep=False,
):
    """Saves the feature sequences that are missing.

    image_shape: (height, width, 3) at which InceptionV3 sees the frames. precision: see Extractor.
    from_video: list and decode the clips themselves, which need not be split into frames. shard: (i, n), only
    the i-th of n parts, from 1. ray: the address of a Ray cluster to work on, see cluster.connected; workers,
    cpus: see cluster.resources. sequences_url: where to save the sequences, see store.UrlStore (None: in
    data_dir); those that are in data_dir are copied there. keep: save them in data_dir, too.

    Returns the number of clips that failed, which are named on stderr. Raises what DataSet and Extractor
    raise.
    """

    failed = 0
    if from_video:
        failed = list_unsplit(data_dir, quiet)
    dataset = DataSet(seq_length, class_limit, image_shape, os.path.abspath(data_dir) if ray else data_dir)
    describe_dataset(dataset)
    rows = dataset.data
    if shard is not None:
        part = set(choose_shard(dataset.listed, *shard))
        rows = [row for row in rows if row in part]
    where = (dataset, features_id(weights_id(weights), precision), sequences_url, keep)
    target = open_store(*where)
    missing = target.missing(rows)
    if sequences_url:
        missing = target.upload(missing, quiet)
    if not missing:
        print(f"All {len(rows)} sequences are there already.")
        return failed
    if ray:
        outcomes = extract_on_cluster(
            where, missing, weights, precision, from_video, quiet, ray, workers, cpus
        )
    else:
        outcomes = extract_here(where, missing, weights, precision, from_video, quiet)
    failures = 0
    for row, is_failure, problem in outcomes:
        failures += is_failure
        if problem:
            print(
                f"{row.split}/{row.class_name}/{row.name}: {'left out, ' if is_failure else ''}{problem}",
                file=sys.stderr,
            )
    there = len(rows) - len(missing)
    print(
        f"{console.count(len(missing) - failures, 'sequence')} extracted, {there} {'was' if there == 1 else 'were'} there already, "
        f"{failures} failed."
    )
    if from_video:
        relist(data_dir)
    return failed + failures


def describe_dataset(dataset):
    """Prints the classes in use, and what is left out of the dataset and why."""
    left_out = (
        f" (left out by the limit: {', '.join(dataset.left_out_classes)})" if dataset.left_out_classes else ""
    )
    print(f"Classes: {', '.join(dataset.classes)}{left_out}")
    for row in dataset.too_short:
        print(
            f"{row.split}/{row.class_name}/{row.name}: left out, {row.frames} frames are fewer than the sequence "
            f"length {dataset.seq_length}",
            file=sys.stderr,
        )
    if dataset.too_short:
        print(f"Too short and left out: {console.count(len(dataset.too_short), 'clip')}.", file=sys.stderr)
    for line in (*alike_classes(dataset.data_dir, dataset.classes), *dataset.too_few_clips()):
        print(line, file=sys.stderr)


def choose_shard(rows, number, count):
    """The clips of one of `count` parts, numbered from 1: equally many give or take one.

    Their split, class and name alone decide, of all clips that are listed: what a run finds out about one,
    that its header lied, say, changes nothing for the others. Neighbours by name, which are of one length
    mostly, go to different parts.
    """
    places = {name: place for place, name in enumerate(sorted({row[:3] for row in rows}))}
    return [row for row in rows if places[row[:3]] % count == number - 1]


def extract_here(where, rows, weights, precision, from_video, quiet):
    """Extracts sequences in this process. where: arguments of store.open_store. Returns their Outcomes, see
    sequences.extract."""
    import_keras()
    dataset, *_ = where
    extractor = Extractor(dataset.image_shape, weights, precision)
    with progress(
        total=len(rows) * dataset.seq_length, unit="frame", desc="Extracting features", quiet=quiet, wait=True
    ) as bar:
        return list(
            extraction.extract(extractor, dataset, rows, open_store(*where).save, from_video, bar.update)
        )


def extract_on_cluster(where, rows, weights, precision, from_video, quiet, address, workers, cpus):
    """Extracts sequences on a Ray cluster. Returns their Outcomes."""
    seq_length, outcomes = where[0].seq_length, []
    arguments = {
        "where": where,
        "rows": rows,
        "precision": precision,
        "from_video": from_video,
        "max_pixels": MAX_PIXELS,
        "weights": weights if weights in ("imagenet", "random") else os.path.abspath(weights),
    }
    with (
        ray_cluster.connected(address),
        progress(
            total=len(rows) * seq_length, unit="frame", desc="Extracting features", quiet=quiet, wait=True
        ) as bar,
    ):
        for row, is_failure, problem in ray_cluster.run(
            Worker, arguments, len(rows), max(1, CALL_FRAMES // seq_length), workers, cpus
        ):
            outcomes.append(extraction.Outcome(Clip(*row), is_failure, problem))
            bar.update(seq_length)
    return outcomes


class Worker:
    """What holds an Extractor on a machine of a cluster: called with numbers of rows, it extracts their
    sequences."""

    def __init__(self, where, rows, weights, precision, from_video, max_pixels, threads):
        import_keras()
        limit_threads(threads)
        self._dataset, self._store = where[0], open_store(*where)
        self._rows, self._from_video, self._threads = rows, from_video, threads
        self._extractor = Extractor(self._dataset.image_shape, weights, precision)

    def __call__(self, numbers):
        rows = [self._rows[number] for number in numbers]
        # Not those that a worker saved before it died: its calls are done again.
        missing = [row for row in rows if not self._store.has(row)]
        return [
            *(extraction.Outcome(row, False, None) for row in rows if row not in missing),
            *extraction.extract(
                self._extractor,
                self._dataset,
                missing,
                self._store.save,
                self._from_video,
                loaders=self._threads,
            ),
        ]


def shard(text):
    """An argparse type: "2/8" is (2, 8)."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"'{text}' is none of 1/4, 2/4, 3/4, 4/4, say")
    return int(found[1]), int(found[2])


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    parser.add_argument(
        "--from-video",
        action="store_true",
        help="decode the clips themselves; extract_files.py and its images are not needed",
    )
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="only the I-th of N equal parts of the clips: one for each job of a batch scheduler, 1/8 to 8/8",
    )
    cli.add_sequences_option(parser, "save them there instead")
    cli.add_limit_option(parser)
    cli.add_ray_options(parser)
    args = parser.parse_args(argv)

    def work():
        return (
            1
            if extract_features(
                args.seq_length,
                args.classes,
                (args.height, args.width, 3),
                args.data_dir,
                args.weights,
                args.quiet,
                args.precision,
                args.from_video,
                args.shard,
                args.ray,
                args.workers,
                args.cpus,
                args.sequences,
            )
            else 0
        )

    return cli.run(work, args.debug)


if __name__ == "__main__":
    sys.exit(main())
