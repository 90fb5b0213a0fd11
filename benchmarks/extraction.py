"""How many frames a second does InceptionV3 take, beside other ways to run it and the processor's limit?

All contenders take turns on the same frames, in one process. The limit is the rate at which a matrix product,
measured in the same turns, would do the 11.4 GFLOP of a frame of 299x299; larger frames need as many times
more as they have pixels. timm's rows need torch and timm (benchmarks/requirements.txt).

    python benchmarks/extraction.py 299 299 --video recording.mp4 --weights imagenet
"""

import itertools
import os
import statistics
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from extractor import Extractor  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.features.inception import load_network  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.video.images import resize  # noqa: E402
from vidclass.video.reader import FrameReader  # noqa: E402

GFLOP = 11.4  # of a frame of 299x299, two a multiply-add
MATRIX = 2048
PRODUCTS = 10


def read_frames(path, count, image_shape):
    """The first frames of a video at the network's size, uint8 (count, height, width, 3); from the start
    again at its end."""
    frames = [resize(frame, image_shape) for frame in itertools.islice(FrameReader(path), count)]
    return np.stack([frames[i % len(frames)] for i in range(count)])


def stock_contenders(frames, weights):
    """Stock keras.applications: the article's way, one frame a call of predict, and whole batches."""
    from keras.applications.inception_v3 import InceptionV3, preprocess_input

    weighted = load_network(weights)
    stock = InceptionV3(include_top=False, weights=None, pooling="avg", input_shape=frames.shape[1:])
    stock.set_weights(weighted.get_weights())

    def one_by_one():
        return np.concatenate(
            [stock.predict(preprocess_input(frame[None].astype(np.float32)), verbose=0) for frame in frames]
        )

    def batch():
        return stock.predict_on_batch(preprocess_input(frames.astype(np.float32)))

    return {"article: predict, one frame": one_by_one, "stock predict_on_batch": batch}


def timm_contender(frames):
    import torch

    try:
        import timm
    except (ImportError, RuntimeError):
        # torchvision, which timm imports, may be built for another torch. InceptionV3 needs none of its
        # operators.
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "timm")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import timm
    network = timm.create_model("inception_v3", num_classes=0).eval().to(memory_format=torch.channels_last)

    def batch():
        with torch.inference_mode():
            images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
            return network(images.contiguous(memory_format=torch.channels_last)).numpy()

    return {"timm, torch channels_last": batch}


def matrix_product():
    """A function that does PRODUCTS products of square matrices, in TensorFlow."""
    import tensorflow as tf

    a, b = (tf.random.uniform((MATRIX, MATRIX)) for _ in range(2))

    @tf.function
    def product(a, b):
        return tf.matmul(a, b)

    def work():
        for _ in range(PRODUCTS):
            result = product(a, b)
        result.numpy()

    return work


def main():
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser, default="random")
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "height", "width")
    parser.add_argument("--video", required=True, help="whose frames to take")
    parser.add_argument(
        "--frames", type=cli.at_least(1), help="a turn (default: as many as 32 of 299x299 have pixels)"
    )
    parser.add_argument("--rounds", type=cli.at_least(1), default=7)
    args = parser.parse_args()
    image_shape, pixels = (args.height, args.width, 3), args.height * args.width / 299**2
    count = args.frames or max(4, round(32 / pixels))
    frames = read_frames(args.video, count, image_shape)
    import_keras()
    extractor = Extractor(image_shape, args.weights, args.precision)
    contenders = {
        **stock_contenders(frames, args.weights),
        "Extractor.extract_batch": lambda: extractor.extract_batch(frames),
    }
    expected, found = contenders["stock predict_on_batch"](), contenders["Extractor.extract_batch"]()
    print(
        f"{count} frames of {args.height}x{args.width}, {args.weights} weights; largest difference "
        f"between stock and "
        f"ours: {np.abs(found - expected).max() / expected.max():.1g} of the largest feature"
    )
    try:
        contenders.update(timm_contender(frames))
    except ImportError as error:
        print(f"(without timm: {error})", file=sys.stderr)
    contenders["limit"] = matrix_product()
    seconds = take_turns(contenders, args.rounds)
    # The time that the matrix products' rate would need for the frames.
    operations = count * GFLOP * pixels
    seconds["limit"] = [took * operations / (PRODUCTS * 2 * MATRIX**3 / 1e9) for took in seconds["limit"]]
    ours = seconds["Extractor.extract_batch"]
    print("                             frames/s   ours is   of the limit")
    for name, times in seconds.items():
        print(
            f"{name:28} {count / statistics.median(times):8.2f}   {ratio(times, ours):6.2f} x"
            f"   {100 * ratio(seconds['limit'], times):8.0f} %"
        )
    print(f"(matrix product: {operations / statistics.median(seconds['limit']):.0f} GFLOP/s)")


if __name__ == "__main__":
    sys.exit(cli.run(main))
