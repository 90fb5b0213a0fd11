"""How fast is a GPU? Features and LSTM training by precision, batch size and backend, beside the card's
matrix products.

Run it once with each of KERAS_BACKEND=tensorflow, jax and torch. float32 is computed twice: exactly, and with
TF32, which NVIDIA's cards since Ampere have. A frame takes 11.4 GFLOP at 299x299; the share is of the rate at
which a matrix product of the same precision runs on this card. Without a GPU the processor is measured.

    KERAS_BACKEND=jax python benchmarks/gpu.py --sizes 299x299 720x1280 --batch-sizes 16 64 256
"""

import os
import statistics
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from extractor import STREAMS  # noqa: E402
from models import ResearchModel  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.features.folded import fold  # noqa: E402
from vidclass.features.inception import compile_network, load_network  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402

FLOP = 11.4e9  # of a frame at 299x299


def set_tf32(backend, allowed):
    """Whether float32 products may be rounded to TF32."""
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")
    else:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def rate(work, wait, count, seconds):
    """Calls per second of work(), which may return before it has ended, as wait(result) does not."""
    wait(work())
    rates = []
    while len(rates) < 3 or sum(1 / r for r in rates) * count < seconds:
        start = time.perf_counter()
        results = [work() for _ in range(count)]
        wait(results[-1])
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def product_rate(precision, size, seconds):
    """FLOP/s of matrix products, the card's practical peak."""
    from keras import backend, ops

    a, b = (
        ops.cast(ops.convert_to_tensor(np.random.default_rng(i).random((size, size), np.float32)), precision)
        for i in (0, 1)
    )
    multiply = ops.matmul
    if backend.backend() == "jax":
        import jax

        multiply = jax.jit(ops.matmul)
    elif backend.backend() == "tensorflow":
        import tensorflow as tf

        multiply = tf.function(ops.matmul)
    # Reading back one value for the device and copies next to nothing.
    return (
        rate(
            lambda: multiply(a, b),
            lambda c: float(ops.convert_to_numpy(ops.cast(c[0, 0], "float32"))),
            8,
            seconds,
        )
        * 2
        * size**3
    )


def frame_rate(model, image_shape, precision, batch_size, seconds):
    """Frames per second, copies to the card and back included, with as many batches at once as Extractor
    runs."""
    from concurrent.futures import ThreadPoolExecutor

    network = compile_network(fold(model), image_shape, precision)
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *image_shape), np.uint8)
    network(images)
    with ThreadPoolExecutor(STREAMS) as pool:
        return (
            rate(lambda: pool.submit(network, images), lambda future: future.result(), 4, seconds)
            * batch_size
        )


def step_rate(units, batch_size, seq_length, seconds):
    """Training steps per second of train.py's network with so many units, "article" for the article's."""
    model = ResearchModel(
        2,
        "article" if units == "article" else "lstm",
        seq_length,
        units=None if units == "article" else int(units),
    ).model
    random = np.random.default_rng(0)
    inputs, targets = (
        random.random((batch_size, seq_length, 2048), np.float32),
        np.eye(2)[np.arange(batch_size) % 2],
    )
    return rate(lambda: model.train_on_batch(inputs, targets), lambda loss: None, 3, seconds)


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--sizes", nargs="+", default=["299x299", "720x1280"])
    parser.add_argument("--batch-sizes", type=cli.at_least(1), nargs="+", default=[16, 64, 256])
    parser.add_argument("--precisions", nargs="+", default=["float32", "tf32", "bfloat16", "float16"])
    parser.add_argument("--units", nargs="+", default=["64", "256", "article"])
    parser.add_argument("--seq-length", type=cli.at_least(2), default=75)
    parser.add_argument(
        "--matrix", type=cli.at_least(16), default=8192, help="rows of the matrix product (default: 8192)"
    )
    parser.add_argument("--seconds", type=cli.at_least(1), default=3, help="per measurement (default: 3)")
    args = parser.parse_args()
    import_keras()
    from keras import backend

    name = backend.backend()
    model = load_network("random")
    print(f"{name}: precision, size, batch: frames/s, share of the matrix product's rate")
    for precision in args.precisions:
        computed = "float32" if precision == "tf32" else precision
        set_tf32(name, precision == "tf32")
        peak = product_rate(computed, args.matrix, args.seconds)
        print(f"{precision}: {peak / 1e12:.2f} TFLOP/s in products of {args.matrix} rows")
        for size in args.sizes:
            height, width = map(int, size.split("x"))
            for batch_size in args.batch_sizes:
                try:
                    frames = frame_rate(model, (height, width, 3), computed, batch_size, args.seconds)
                except Exception as error:  # out of memory has a type of its own in each backend
                    print(f"{precision:9}{size:>9}{batch_size:5}  failed: {str(error).splitlines()[0][:80]}")
                    continue
                share = frames * FLOP * height * width / 299**2 / peak
                print(f"{precision:9}{size:>9}{batch_size:5}{frames:10.1f} {100 * share:6.0f} %", flush=True)
    set_tf32(name, True)
    for units in args.units:
        print(
            f"training, {units} units, batch 32, {args.seq_length} frames: "
            f"{step_rate(units, 32, args.seq_length, args.seconds):.2f} steps/s",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(cli.run(main))
