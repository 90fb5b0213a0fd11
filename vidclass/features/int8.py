"""InceptionV3 in 8-bit integers: the ranges of its activations, and the network as TFLite with XNNPACK runs
it.

The scheme is that of Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (2018): activations of one range a tensor, kernels of one range an output
channel. The network is built from the weights and the ranges alone, with fake quantisation where each tensor
gets its range; TFLite's converter turns that into integer kernels.
"""

import functools
import itertools
import logging
import queue
import warnings
from collections.abc import Callable, Iterable

import numpy as np

from vidclass import memory, platform
from vidclass.console import error_text
from vidclass.features import folded, network_cache
from vidclass.features.folded import FoldedNetwork
from vidclass.features.identity import LARGEST_RATIO, LEAST_RANGE, RANGES_LENGTH, weights_id
from vidclass.features.inception import folded_network
from vidclass.keras_loading import import_keras, muted

LEAST_KERNEL = 1e-6  # range of an output channel whose kernel is 0
QUANTILE = 0.9  # of the images' largest values
BATCH_PIXELS = 8 * 299 * 299  # of the images whose activations are measured at once
BYTES_PER_PIXEL = 80  # of an image while it goes through an interpreter, measured


def measure_ranges(
    weights: str, image_shape: tuple[int, int, int], images: Iterable[np.ndarray]
) -> list[float]:
    """The ranges of InceptionV3's activations: the largest value, of all tensors that share one, that nine of
    ten of these images stay below. All activations are at least 0; what is beyond its range is taken for its
    end. Up to the largest value of all images, steps would be coarser for the sake of a few.

    weights: see Extractor. images: uint8 RGB of image_shape. Raises ValueError if there are none.
    """
    tf = _tensorflow()
    network = folded_network(weights, weights_id(weights))
    numbers = range_numbers(network)
    # As tensors they are arguments of the graph; arrays would be constants of it, copied several times.
    kernels = {name: [tf.constant(array) for array in pair] for name, pair in network.kernels.items()}

    def measure(batch):
        found: dict[int, list] = {}

        def note(name, tensor):
            found.setdefault(numbers[name], []).append(tf.reduce_max(tensor, (1, 2, 3)))
            return tensor

        _forward(network, kernels, tf.cast(batch, tf.float32), note)
        return tf.stack([tf.reduce_max(tf.stack(found[number]), 0) for number in sorted(found)], 1)

    signature = [tf.TensorSpec((None, *image_shape), tf.uint8)]
    compiled = tf.function(measure, autograph=False, input_signature=signature).get_concrete_function()
    size = max(1, BATCH_PIXELS // (image_shape[0] * image_shape[1]))
    largest = [compiled(tf.constant(batch)).numpy() for batch in _batches(images, size)]
    if not largest:
        raise ValueError("no frames to measure the ranges of --precision int8 on")
    ranges = np.quantile(np.concatenate(largest), QUANTILE, axis=0)
    least = max(LEAST_RANGE, ranges.max() / LARGEST_RATIO)  # of activations that are 0 all over
    # Six digits: the file and the checkpoint show them.
    return [float(f"{max(least, value):.6g}") for value in ranges.tolist()]


def _batches(images, size):
    rest = iter(images)
    while batch := list(itertools.islice(rest, size)):
        yield np.stack(batch)


@functools.lru_cache(maxsize=4)
def shared_network(
    weights: str, identity: str, image_shape: tuple[int, int, int], ranges: tuple[float, ...], threads: int
) -> Callable[[np.ndarray], np.ndarray]:
    """InceptionV3 in 8-bit integers as a function from uint8 images (n, *image_shape) to float32 (n, 2048),
    that up to `threads` threads may share. Made once in a process for the same arguments, and converted once
    on a machine: it is cached, see network_cache.

    weights, identity: see inception.shared_network. ranges: see measure_ranges. Raises ValueError if they are
    not as many as the network needs.
    """
    if len(ranges) != RANGES_LENGTH:
        raise ValueError(f"{len(ranges)} ranges of activations, InceptionV3 has {RANGES_LENGTH}")
    tf = _tensorflow()
    name = network_cache.name(".tflite", tf.__version__, identity, image_shape, ranges)
    content = network_cache.load(name)
    if content is None:
        content = _convert(folded_network(weights, identity), image_shape, ranges)
        network_cache.save(name, content)
    idle: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(threads):
        idle.put(_interpreter(content))

    def compute(images):
        features = []
        interpreter = idle.get()
        try:
            source, target = (
                details[0]["index"]
                for details in (interpreter.get_input_details(), interpreter.get_output_details())
            )
            for number in range(len(images)):
                interpreter.set_tensor(source, images[number : number + 1])
                interpreter.invoke()
                features.append(interpreter.get_tensor(target)[0])
        finally:
            idle.put(interpreter)
        return np.stack(features)

    return compute


def thread_count(pixels: int, most: int | None = None) -> int:
    """How many images of so many pixels go through the network at once, one thread each: one a processor, at
    most `most`, as memory allows."""
    allowed = memory.memory_limit() // 8 // (BYTES_PER_PIXEL * pixels)
    return max(1, min(most or platform.cpu_count(), allowed))


def range_numbers(network: FoldedNetwork) -> dict[str, int]:
    """{name of a layer: number of the range that its output has}, numbered from 0 in the order of the layers.

    What is concatenated and what is pooled shares the range of the result: integers of another range would
    have to be converted.
    """
    shared: dict[str, str] = {}

    def representative(name):
        while name in shared:
            name = shared[name]
        return name

    ranged = []
    for layer in network.layers:
        if layer.kind in (folded.CONCATENATION, folded.MAX_POOLING, folded.AVERAGE_POOLING):
            for source in layer.sources:
                if (found := representative(source)) != representative(layer.name):
                    shared[found] = representative(layer.name)
        elif layer.kind != folded.ACTIVATION:
            continue
        ranged.append(layer.name)
    order = list(dict.fromkeys(map(representative, ranged)))
    return {name: order.index(representative(name)) for name in ranged}


def _forward(network, kernels, images, quantize):
    """The output of avg_pool for images 0..255, float32. kernels: {layer name: (kernel, bias)}.
    quantize(layer name, tensor): what takes the place of the activations."""
    tf = _tensorflow()

    def compute(layer, inputs):
        x, padding = inputs[0], layer.padding.upper()
        if layer.kind == folded.CONVOLUTION:
            kernel, bias = kernels[layer.name]
            return tf.nn.conv2d(x, kernel, layer.strides, padding) + bias
        if layer.kind == folded.ACTIVATION:
            return quantize(layer.name, tf.nn.relu(x))
        if layer.kind == folded.MAX_POOLING:
            return quantize(layer.name, tf.nn.max_pool2d(x, layer.size, layer.strides, padding))
        if layer.kind == folded.AVERAGE_POOLING:
            return quantize(layer.name, tf.nn.avg_pool2d(x, layer.size, layer.strides, padding))
        if layer.kind == folded.CONCATENATION:
            return quantize(layer.name, tf.concat(inputs, -1))
        return tf.reduce_mean(x, (1, 2))  # avg_pool, whose result stays float32

    return network.run(images, compute)


def _convert(network, image_shape, ranges):
    """The network as TFLite's flatbuffer, from one uint8 image to its features. Takes
    seconds."""
    tf = _tensorflow()
    numbers, arrays = range_numbers(network), network.kernels
    # As variables they reach the converter once; arrays would be constants of the graph, copied often.
    variables = tf.Module()
    variables.pairs = {name: [tf.Variable(array) for array in pair] for name, pair in arrays.items()}
    ends = {
        name: np.maximum(np.abs(kernel).max((0, 1, 2)), LEAST_KERNEL) for name, (kernel, _) in arrays.items()
    }

    def quantize(name, tensor):
        return tf.quantization.fake_quant_with_min_max_args(tensor, 0.0, ranges[numbers[name]], 8)

    def forward(images):
        per_channel = tf.quantization.fake_quant_with_min_max_vars_per_channel
        kernels = {
            name: (per_channel(kernel, -ends[name], ends[name], 8, True), bias)
            for name, (kernel, bias) in variables.pairs.items()
        }
        pixels = tf.quantization.fake_quant_with_min_max_args(images, 0.0, 255.0, 8)
        return _forward(network, kernels, pixels, quantize)

    signature = [tf.TensorSpec((1, *image_shape), tf.float32)]
    function = tf.function(forward, autograph=False, input_signature=signature).get_concrete_function()
    # TensorFlow greets, and the converter counts what it has done.
    with warnings.catch_warnings(), muted(), _silent(logging.getLogger("absl")):
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], variables)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = tf.uint8
        return converter.convert()


class _silent:
    """A `with` block in which a logger tells of nothing below an error."""

    def __init__(self, logger):
        self._logger, self._level = logger, logger.level

    def __enter__(self):
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *error):
        self._logger.setLevel(self._level)


def _interpreter(content):
    """What runs the network in one thread."""
    tf = _tensorflow()
    try:
        # It greets on stderr, and warns that it is going to move to a package of its own.
        with warnings.catch_warnings(), muted():
            warnings.simplefilter("ignore")
            interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except Exception as error:
        raise RuntimeError(
            f"TFLite can't run InceptionV3 in 8 bits ({error_text(error)[:80]}); give another --precision"
        ) from None
    return interpreter


def _tensorflow():
    """TensorFlow, also where it is not Keras's backend."""
    import_keras(and_tensorflow=True)
    import tensorflow

    return tensorflow
