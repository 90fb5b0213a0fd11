"""What does each --precision gain, and what does it cost? Frames per second of InceptionV3 beside float32's,
and how close its features are.

The frames are some of each video in a folder, read at the network's size. int8's ranges are measured on every
third of them, at most 200, as extract_features.py would. The precisions take turns. Printed: frames per
second, how many times as fast as float32 (the median over the rounds), and the cosine of the features to
float32's, mean and least.

    python benchmarks/precision.py 299 299 CLIPS --weights WEIGHTS
"""

import os
import statistics
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.errors import INT8, PRECISIONS  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.video.images import resize  # noqa: E402
from vidclass.video.reader import FrameReader  # noqa: E402


def read_frames(folder, shape, count):
    """Frames of all videos below a folder, about so many: uint8 (n, *shape)."""
    paths = sorted(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    frames, per_video = [], -(-count // max(1, len(paths)))
    for path in paths:
        try:
            reader = FrameReader(path)
        except ValueError:
            continue  # no video
        numbers = np.linspace(0, reader.info.frames - 1, per_video).astype(int).tolist()
        frames += [
            resize(image, shape)
            for number, image in reader.select(numbers, reader.info.frames)
            if number in numbers
        ]
    return np.stack(frames)


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    parser.add_argument("height", type=cli.at_least(75))
    parser.add_argument("width", type=cli.at_least(75))
    parser.add_argument("clips", help="folder with videos")
    parser.add_argument("--frames", type=cli.at_least(8), default=500, help="default: %(default)s")
    parser.add_argument("--timed", type=cli.at_least(8), default=64, help="frames of a turn (default: 64)")
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS[1:], default=["float32", "bfloat16", INT8]
    )
    args = parser.parse_args()
    import_keras()
    from extractor import Extractor
    from vidclass.features.int8 import measure_ranges

    shape = (args.height, args.width, 3)
    frames = read_frames(args.clips, shape, args.frames)
    ranges = measure_ranges(args.weights, shape, frames[::3][:200]) if INT8 in args.precisions else None
    extractors = {
        name: Extractor(shape, args.weights, name, ranges)
        for name in dict.fromkeys(["float32", *args.precisions])
    }
    turns = {
        name: lambda extractor=extractor: extractor.extract_batch(frames[: args.timed])
        for name, extractor in extractors.items()
    }
    seconds = take_turns(turns, args.rounds)
    expected = extractors["float32"].extract_batch(frames)
    print(f"{len(frames)} frames of {args.height}x{args.width}")
    for name, extractor in extractors.items():
        rate = args.timed / statistics.median(seconds[name])
        found = cosines(extractor.extract_batch(frames), expected)
        print(
            f"{name:9} {rate:6.1f} frames/s, {ratio(seconds['float32'], seconds[name]):.2f} times float32, "
            f"cosine {found.mean():.5f} mean, {found.min():.5f} least"
        )


if __name__ == "__main__":
    sys.exit(cli.run(main))
