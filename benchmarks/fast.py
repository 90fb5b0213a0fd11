"""What does clasify.py miss when it looks only where it is needed? --fast and --min-duration against looking
everywhere, with the same network and the same least duration.

Renders a broadcast to train on and others to test on, as timeline.py does. Each is classified twice for each
setting. Printed: the share of the sampled frames that went through InceptionV3, the frame accuracy of both,
how many broadcasts have the same classes in the same order, the largest distance between two cuts of the
same, and how many cuts there are. Numbers of frames do not depend on the machine.

--long: matches of 60 to 180 s and breaks of 20 to 90 s, as on television, not 20 to 70 and 8 to 40.

    python benchmarks/fast.py --seeds 3
    python benchmarks/fast.py --seeds 3 --long
    python benchmarks/fast.py --seeds 3 --long --shots
"""

import dataclasses
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]
import timeline  # noqa: E402

from extractor import Extractor  # noqa: E402
from models import ResearchModel  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.recording import coarse_to_fine, steps  # noqa: E402
from vidclass.recording.options import ClassifyOptions  # noqa: E402
from vidclass.recording.segments import Smoothing  # noqa: E402

HOPS = {"side by side": None, "--hop 0.6": timeline.WINDOW / 5}
SMOOTHINGS = {
    "--min-duration 8": Smoothing(8.0),
    "--fast": Smoothing(fast=True),
    "--min-duration 20": Smoothing(20.0),
}


class Remembering:
    """An Extractor that computes each frame of a recording once, and counts those it is asked for."""

    def __init__(self, extractor):
        self._extractor, self.image_shape = extractor, extractor.image_shape
        self.known, self.count = {}, 0

    def stream(self, tagged):
        """Yields (tag, features)."""
        tagged = list(tagged)
        self.count += len(tagged)
        new = ((tag, image) for tag, image in tagged if tag not in self.known)
        self.known.update(self._extractor.stream(new))
        return ((tag, self.known[tag]) for tag, _ in tagged)


def classify(job, extractor, model):
    """(segments as (start, end, class), how many frames the network saw)."""
    before = extractor.count
    with job.feature_cache() as cache:
        windows, times = steps.classify(job, extractor, model, cache)
        found = steps.segment(job, windows, times, model, cache).segments
    return [segment[:3] for segment in found], extractor.count - before


def compare(folder, recording, truth, args, extractors):
    """Yields ((hop, smoothing, sure), row) of a recording. row: frames that the network saw, of how many;
    frames that are right, when it looked everywhere, frames; the distances of their cuts, None if they have
    other segments; how many cuts there are."""
    for hop, seconds in HOPS.items():
        known = {}
        for name, smoothing in SMOOTHINGS.items():
            options = ClassifyOptions(
                data_dir=os.path.join(folder, "data"),
                output=os.path.join(folder, "result.avi"),
                weights=args.weights if os.path.exists(args.weights) else None,
                hop=seconds,
                smoothing=smoothing,
                video=False,
                quiet=True,
            )
            job = steps.open_job(args.seq_length, 2, "lstm-features.hdf5", recording, options)
            extractor, model = Remembering(extractors[0]), extractors[1]
            extractor.known = known
            everywhere = dataclasses.replace(job, spec=dataclasses.replace(job.spec, stride=1))
            all_segments, frames = classify(everywhere, extractor, model)
            all_right = timeline.compare(truth, all_segments, timeline.FPS)[0]
            for coarse_to_fine.SURE in args.sure:
                segments, seen = classify(job, extractor, model)
                right, total, *_ = timeline.compare(truth, segments, timeline.FPS)
                same = [s[2] for s in segments] == [s[2] for s in all_segments]
                moved = [abs(a[1] - b[1]) for a, b in zip(segments, all_segments)][:-1] if same else None
                row = seen, frames, right, all_right, total, moved, len(all_segments) - 1
                yield (hop, name, coarse_to_fine.SURE), row


def print_table(results):
    print(f"{'':38}frames seen  times fewer  accuracy  everywhere  same segments  cuts  moved at most")
    for (hop, name, sure), rows in results.items():
        seen, frames, right, all_right, total, moved, cuts = zip(*rows)
        same = [row for row in moved if row is not None]
        farthest = max((distance for row in same for distance in row), default=0)
        print(
            f"{hop + ', ' + name:30}{sure:8g}{sum(seen) / sum(frames):11.3f}  "
            f"{sum(frames) / sum(seen):11.2f}  {sum(right) / sum(total):8.4f}  "
            f"{sum(all_right) / sum(total):10.4f}  {len(same):6} of {len(moved)}    "
            f"{sum(cuts):4}  {farthest:9.2f} s"
        )


def long_stretches(random, count, fps):
    """(class, seconds), as timeline.stretches: matches of 60 to 180 s, breaks of 20 to 90 s."""
    return [
        ("Commercial", int(random.integers(20 * fps, 90 * fps)) / fps)
        if number % 2
        else ("Football", int(random.integers(60 * fps, 180 * fps)) / fps)
        for number in range(count)
    ]


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default="random")
    parser.add_argument("--seeds", type=cli.at_least(1), default=3, help="broadcasts to test on")
    parser.add_argument("--stretches", type=cli.at_least(2), default=8, help="of each")
    parser.add_argument("--train-seed", type=cli.at_least(0), default=0, help="--seed of train.py")
    parser.add_argument("--shots", action="store_true", help="close-ups, replays, scenes of 1 to 2 s")
    parser.add_argument("--long", action="store_true", help="stretches as long as on television")
    parser.add_argument("--seq-length", type=cli.at_least(2), default=15)
    parser.add_argument(
        "--sure", type=float, nargs="+", default=[coarse_to_fine.SURE], help="least probabilities to try"
    )
    args = parser.parse_args()
    args.cues, args.stretches_train = False, None
    if args.long:
        timeline.stretches = long_stretches
    with tempfile.TemporaryDirectory() as folder:
        truths = timeline.render_broadcasts(args, folder)
        print(timeline.train(args, folder, truths[0], args.weights), flush=True)
        extractor = Extractor((*timeline.SHAPE, 3), args.weights)
        model = ResearchModel.load(os.path.join(folder, "data", "checkpoints", "lstm-features.hdf5"))
        results = {}
        for number, truth in enumerate(truths[1:], 1):
            recording = os.path.join(folder, f"{number}.mp4")
            for setting, row in compare(folder, recording, truth, args, (extractor, model)):
                results.setdefault(setting, []).append(row)
        seconds = sum(truth[-1][1] for truth in truths[1:])
        print(f"{args.seeds} broadcasts, {seconds / 60:.1f} minutes; the last number is SURE")
        print_table(results)


if __name__ == "__main__":
    sys.exit(cli.run(main))
