"""InceptionV3 up to its average pooling layer, `avg_pool`: its weights, and the network made fast.

The network is that of keras.applications (Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision", 2016) with each batch normalisation folded into the convolution before it, which gives the same
features faster: see folded.py.
"""

import functools
import os
import socket
from collections.abc import Callable

import h5py
import keras
import numpy as np
from keras import backend, layers, ops
from keras.applications import InceptionV3

from vidclass.features import folded, network_cache, weights_file
from vidclass.features.folded import FoldedNetwork, fold, layer_sources, run_layers
from vidclass.features.identity import FEATURES_LENGTH

RANDOM_SIZE = 299  # pixels of the images that the random weights are calibrated on
# Seconds without an answer: a network that swallows packets would hang the download for ever.
DOWNLOAD_TIMEOUT = 30
FILE_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
)


@functools.lru_cache(maxsize=4)
def shared_network(
    weights: str, identity: str, image_shape: tuple[int, int, int], precision: str
) -> Callable[[np.ndarray], np.ndarray]:
    """What compile_network makes of folded_network's: made once in a process for the same arguments, and
    loaded once for all sizes. identity: weights_id(weights), so that a file that has changed is loaded
    again."""
    return compile_network(folded_network(weights, identity), image_shape, precision)


@functools.lru_cache(maxsize=2)
def folded_network(weights: str, identity: str) -> FoldedNetwork:
    """What load_network gives, folded. Loaded once in a process, and built once on a machine, see
    network_cache. identity: see shared_network."""
    name = network_cache.name(".npz", keras.__version__, identity)
    content = network_cache.load(name)
    if content is not None:
        return FoldedNetwork.from_bytes(content)
    network = fold(load_network(weights))
    network_cache.save(name, network.to_bytes())
    return network


def load_network(weights: str | os.PathLike) -> keras.Model:
    """Stock InceptionV3 with its weights, from images in -1..1 to the output of avg_pool.

    Raises RuntimeError if the ImageNet weights can't be downloaded, ValueError if a file doesn't fit.
    """
    if weights == "random":
        # The images that calibrate have one size, so that the weights are the same at whatever size they are
        # used.
        shape = (RANDOM_SIZE, RANDOM_SIZE, 3)
        return _randomize(InceptionV3(include_top=False, weights=None, pooling="avg", input_shape=shape))
    if weights == "imagenet":
        path = weights_file.find_weights("imagenet")
        return load_network(path) if path else _download()
    try:
        classes = _classes_of_top(weights)
        if classes is None:
            model = InceptionV3(include_top=False, weights=None, pooling="avg")
            model.load_weights(weights)
            return model
        model = InceptionV3(weights=None, classes=classes)
        model.load_weights(weights)
        return keras.Model(model.input, model.get_layer("avg_pool").output)
    except Exception as error:
        raise ValueError(f"{weights}: doesn't hold weights of Keras's InceptionV3 ({error})") from None


def _download():
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        return InceptionV3(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:
        folder = os.environ.get(weights_file.FOLDER)
        tried = (
            f"no file in {weights_file.FOLDER}, {folder}, is Keras's own: give others with --weights PATH; "
            if folder
            else ""
        )
        raise RuntimeError(
            f"InceptionV3's ImageNet weights can't be downloaded ({tried}{error}). Either fetch {FILE_URL} "
            f"on another machine and give --weights PATH or name its folder in the environment variable "
            f"{weights_file.FOLDER}, or try the pipeline with --weights random"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _classes_of_top(path):
    """The number of classes of the classifier in a weights file of InceptionV3, None if it has none."""
    widths = []

    def visit(name, item):
        # Keras 3 keeps the optimizer's copies apart; the classifier is the only matrix of 2048 rows.
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.shape[0] == FEATURES_LENGTH:
            widths.append(item.shape[1])

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return widths[0] if widths else None


def _randomize(model):
    """Gives InceptionV3 seeded random kernels, and batch normalisation the statistics that they need.

    Kernels are of the size of He et al., "Delving Deep into Rectifiers" (2015). A part of each is the same
    all over the kernel: smooth ones, like trained ones, look at shapes and colours, where independent numbers
    would mostly see the noise of a JPEG. The statistics are those of one batch of synthetic images, taken
    layer by layer in a single pass, so that no layer's output fades or grows.
    """
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            shape = layer.kernel.shape
            kernel = 0.7 * random.normal(0, 1, shape) + 0.3 * random.normal(0, 1, (1, 1, *shape[2:]))
            kernel *= np.sqrt(2 / np.prod(shape[:3])) / kernel.std()
            layer.set_weights([kernel.astype(np.float32)])

    def compute(name, inputs):
        layer = model.get_layer(name)
        if isinstance(layer, layers.BatchNormalization):
            mean, variance = ops.moments(inputs[0], (0, 1, 2))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        return layer(inputs if isinstance(layer.input, list) else inputs[0])

    images = ops.convert_to_tensor(_synthetic_images(random, 16, RANDOM_SIZE))
    run_layers(layer_sources(model), images, compute)
    return model


def _synthetic_images(random, count, size):
    """Images whose amplitude falls with spatial frequency as 1/f, as photographs' does (Field, "Relations
    between the statistics of natural images and the response properties of cortical cells", 1987), of varied
    brightness and contrast and muted colour; float32 (count, size, size, 3) in -1..1.
    """
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1 / size

    def noise(channels):
        white = random.normal(0, 1, (count, size, size, channels))
        pink = np.fft.ifft2(np.fft.fft2(white, axes=(1, 2)) / frequency[..., None], axes=(1, 2)).real
        return pink / pink.std((1, 2), keepdims=True)

    images = 0.8 * noise(1) + 0.2 * noise(3)
    images -= images.mean((1, 2, 3), keepdims=True)
    images *= random.uniform(0.12, 0.6, (count, 1, 1, 1)) / images.std((1, 2, 3), keepdims=True)
    images += random.uniform(-0.5, 0.5, (count, 1, 1, 1))
    return np.clip(images, -1, 1).astype(np.float32)


def compile_network(
    network: FoldedNetwork, image_shape: tuple[int, int, int], precision: str = "float32"
) -> Callable[[np.ndarray], np.ndarray]:
    """InceptionV3 as a function from uint8 images (n, *image_shape) to float32 (n, 2048), that threads may
    share. precision: "float32", "bfloat16" or "float16"."""
    kernels = {
        name: [ops.cast(ops.convert_to_tensor(array), precision) for array in pair]
        for name, pair in network.kernels.items()
    }

    def compute(layer, inputs):
        x = inputs[0]
        if layer.kind == folded.CONVOLUTION:
            kernel, bias = kernels[layer.name]
            return ops.conv(x, kernel, layer.strides, layer.padding) + bias
        if layer.kind == folded.ACTIVATION:
            return ops.relu(x)
        if layer.kind == folded.MAX_POOLING:
            return ops.max_pool(x, layer.size, layer.strides, layer.padding)
        if layer.kind == folded.AVERAGE_POOLING:
            return ops.average_pool(x, layer.size, layer.strides, layer.padding)
        if layer.kind == folded.CONCATENATION:
            return ops.concatenate(inputs, -1)
        # avg_pool: too many numbers to be added up in 16 bits
        return ops.mean(ops.cast(x, "float32"), (1, 2))

    return _on_backend(lambda images: network.run(ops.cast(images, precision), compute), image_shape)


def _on_backend(forward, image_shape):
    """A function of tensors as a function of arrays, compiled as Keras's backend does it best."""
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        # Without XLA, which Keras's predict would choose: on CPUs its convolutions are slower than oneDNN's.
        signature = [tf.TensorSpec((None, *image_shape), tf.uint8)]
        forward = tf.function(forward, autograph=False, input_signature=signature).get_concrete_function()
    elif backend.backend() == "jax":
        import jax

        return _of_few_sizes(jax.jit(forward))
    else:
        import torch

        forward = torch.inference_mode()(forward)
    return lambda images: ops.convert_to_numpy(forward(ops.convert_to_tensor(images)))


def _of_few_sizes(network):
    """A jax function of images for any number of them. Jax compiles for each number anew, which takes many
    seconds: so only for 1, 2, 3, 4, 6, 8, 12, ..., and batches are filled up."""

    def compute(images):
        power = 1 << (len(images) - 1).bit_length()
        size = power * 3 // 4 if len(images) <= power * 3 // 4 else power
        filled = np.concatenate([images, np.zeros((size - len(images), *images.shape[1:]), images.dtype)])
        return np.array(network(filled)[: len(images)])

    return compute
