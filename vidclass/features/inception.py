"""InceptionV3 up to its average pooling layer, `avg_pool`: its weights, and the network made fast.

The network is that of keras.applications (Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision", 2016) with each batch normalisation folded into the convolution before it, which gives the same
features faster.
"""

import functools
import os
import socket
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np
from keras import backend, layers, ops, tree
from keras.applications import InceptionV3

from vidclass.features import weights_file
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
    """What compile_network makes of load_network's: made once in a process for the same arguments, and loaded
    once for all sizes. identity: weights_id(weights), so that a file that has changed is loaded again."""
    return compile_network(loaded_network(weights, identity), image_shape, precision)


@functools.lru_cache(maxsize=2)
def loaded_network(weights: str, identity: str) -> keras.Model:
    """What load_network gives, once in a process. identity: see shared_network."""
    return load_network(weights)


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
        raise RuntimeError(
            f"InceptionV3's ImageNet weights can't be downloaded ({error}). Either fetch {FILE_URL} on "
            f"another machine and give --weights PATH or name its folder in the environment variable "
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

    def compute(layer, inputs):
        if isinstance(layer, layers.BatchNormalization):
            mean, variance = ops.moments(inputs[0], (0, 1, 2))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        return layer(inputs if isinstance(layer.input, list) else inputs[0])

    run_layers(model, ops.convert_to_tensor(_synthetic_images(random, 16, RANDOM_SIZE)), compute)
    return model


def run_layers(model: keras.Model, images: Any, compute: Callable[[keras.Layer, list], Any]) -> Any:
    """The output of a network whose layers are computed one by one, by compute(layer, inputs).

    images: a tensor. What no later layer needs is forgotten: for 16 images, 2 GB less than the model's own
    call would hold.
    """
    sources = layer_sources(model)
    last_use = {source: name for name, names in sources.items() for source in names}
    outputs = {model.layers[0].name: images}
    for layer in model.layers[1:]:
        outputs[layer.name] = compute(layer, [outputs[source] for source in sources[layer.name]])
        for source in sources[layer.name]:
            if last_use[source] == layer.name:
                outputs.pop(source)
    return outputs[model.layers[-1].name]


def layer_sources(model: keras.Model) -> dict[str, list[str]]:
    """{name of a layer: names of the layers whose outputs it takes}, without the input layer."""
    return {
        layer.name: [tensor._keras_history.operation.name for tensor in tree.flatten(layer.input)]
        for layer in model.layers[1:]
    }


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
    model: keras.Model, image_shape: tuple[int, int, int], precision: str = "float32"
) -> Callable[[np.ndarray], np.ndarray]:
    """Stock InceptionV3 as a function from uint8 images (n, *image_shape) to float32 (n, 2048), that threads
    may share.

    A batch normalisation without scale computes (x - mean) / sqrt(variance + epsilon) + beta, which is linear
    in x: its factor goes into the kernel of the convolution before it, the rest into a bias of that
    convolution.
    """
    folded = {
        name: [ops.cast(ops.convert_to_tensor(array.astype(np.float32)), precision) for array in arrays]
        for name, arrays in fold(model).items()
    }

    def compute(layer, inputs):
        x = inputs[0]
        if isinstance(layer, layers.Conv2D):
            kernel, bias = folded[layer.name]
            return ops.conv(x, kernel, layer.strides, layer.padding) + bias
        if isinstance(layer, layers.BatchNormalization):
            return x
        if isinstance(layer, layers.Activation):
            return ops.relu(x)
        if isinstance(layer, layers.MaxPooling2D):
            return ops.max_pool(x, layer.pool_size, layer.strides, layer.padding)
        if isinstance(layer, layers.AveragePooling2D):
            return ops.average_pool(x, layer.pool_size, layer.strides, layer.padding)
        if isinstance(layer, layers.Concatenate):
            return ops.concatenate(inputs, -1)
        # avg_pool: too many numbers to be added up in 16 bits
        return ops.mean(ops.cast(x, "float32"), (1, 2))

    return _on_backend(lambda images: run_layers(model, ops.cast(images, precision), compute), image_shape)


def fold(model: keras.Model) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name of a convolution: its kernel and bias} that do what it and the batch normalisation after it do.

    The input's scaling to -1..1 goes the same way into the first convolution, which has no padding.
    """
    folded: dict[str, tuple] = {}
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            convolution = layer.input._keras_history.operation
            kernel, beta, mean, variance = (
                ops.convert_to_numpy(weight).astype(np.float64)
                for weight in (convolution.kernel, layer.beta, layer.moving_mean, layer.moving_variance)
            )
            factor = 1 / np.sqrt(variance + layer.epsilon)
            kernel, bias = kernel * factor, beta - mean * factor
            if not folded:
                kernel, bias = kernel / 127.5, bias - kernel.sum((0, 1, 2))
            folded[convolution.name] = kernel, bias
    return folded


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
