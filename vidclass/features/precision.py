"""The number format in which InceptionV3 computes, and which one is the fastest on this machine."""

import functools
import sys
import time

import numpy as np
from keras import backend, ops

from vidclass import platform
from vidclass.console import print

# Of processors that multiply bfloat16 numbers themselves, as /proc/cpuinfo names it: x86 with AVX-512 or AMX,
# and ARM. Others convert each number first.
NATIVE = {"avx512_bf16", "amx_bf16", "bf16"}
LEAST_GAIN = 1.2  # of bfloat16 over float32 in speed; for less it is not worth its rounding
ROUNDS = 3


def resolve(precision: str) -> str:
    """The number format that --precision asks for: itself, or what is the fastest here for "auto"."""
    return _fastest() if precision == "auto" else precision


@functools.cache
def _fastest():
    """bfloat16 where the hardware has it and it is clearly faster than float32, which is said once; else
    float32."""
    if not (NATIVE & platform.cpu_flags() or has_gpu()):
        return "float32"
    gain = measure_gain()
    if gain < LEAST_GAIN:
        return "float32"
    print(
        f"InceptionV3 computes in bfloat16, {gain:.1f} times as fast as float32 here; features differ little "
        f"(--precision float32 has exact ones)",
        file=sys.stderr,
    )
    return "bfloat16"


def has_gpu() -> bool:
    """Whether Keras's backend computes on a GPU."""
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import torch

    return torch.cuda.is_available()


def measure_gain() -> float:
    """How many times as fast as float32 bfloat16 is, in a convolution like InceptionV3's: half a second."""
    random = np.random.default_rng(0)
    images, kernel = random.random((8, 35, 35, 288)), random.random((3, 3, 288, 192))
    arguments = {
        precision: [
            ops.cast(ops.convert_to_tensor(one.astype(np.float32)), precision) for one in (images, kernel)
        ]
        for precision in ("float32", "bfloat16")
    }
    seconds: dict[str, list[float]] = {precision: [] for precision in arguments}
    for _ in range(1 + ROUNDS):
        for precision, (x, weights) in arguments.items():
            start = time.perf_counter()
            ops.convert_to_numpy(ops.conv(x, weights, padding="same")[:, 0, 0])  # waits for the result
            seconds[precision].append(time.perf_counter() - start)
    # The first round makes the kernels ready.
    return min(seconds["float32"][1:]) / min(seconds["bfloat16"][1:])
