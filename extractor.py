"""InceptionV3 up to its average pooling layer, `avg_pool`: an RGB frame in, 2048 features out.

The network is that of keras.applications (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
2016) with each batch normalisation folded into the convolution before it, which gives the same features faster.
"""
import hashlib
import itertools
import os
import queue
import socket
import threading

import numpy as np

FEATURES_LENGTH = 2048
RANDOM_SIZE = 299  # pixels of the images that the random weights are calibrated on
MIN_SIZE = 75  # pixels; InceptionV3 halves the image five times
# md5 of the files that Keras itself downloads, with and without the top (keras/src/applications/inception_v3.py).
IMAGENET_FILES = ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")
FILE_URL = ("https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5")


class Extractor:
    """Turns frames into the features of InceptionV3's avg_pool layer.

    image_shape: (height, width, 3) at which the network sees a frame; at least 75 pixels each way.
    weights: "imagenet" (Keras's download), "random" (seeded, to try the pipeline), or a Keras weights file of
    InceptionV3, with or without its top.

    .image_shape, .batch_size: images per batch, .weights_id: see the function weights_id.

    Raises FileNotFoundError if there is no such file, ValueError if it doesn't fit InceptionV3 or the size is too
    small, RuntimeError if the ImageNet weights can't be downloaded.
    """

    def __init__(self, image_shape=(299, 299, 3), weights="imagenet"):
        height, width, channels = image_shape
        if min(height, width) < MIN_SIZE or channels != 3:
            raise ValueError(f"InceptionV3 sees RGB images of at least {MIN_SIZE}x{MIN_SIZE}, not "
                             f"{height}x{width} with {channels} channels")
        self.image_shape = (height, width, channels)
        self.weights_id = weights_id(weights)
        # 16 images of 299x299 keep two cores busy; larger ones need no company, and their activations need memory.
        self.batch_size = max(1, round(16 * 299 * 299 / (height * width)))
        self._model = fold_batch_normalization(_load(weights), self.image_shape)

    def extract(self, image_path):
        """The features of an image file, float32 (2048,). Raises OSError or ValueError if it can't be read."""
        return self.extract_image(read_image(image_path))

    def extract_image(self, rgb):
        """The features of a uint8 RGB image of any size, which is resized; float32 (2048,)."""
        return self.extract_batch(resize(rgb, self.image_shape)[None])[0]

    def extract_batch(self, images):
        """The features of uint8 RGB images (n, height, width, 3), as float32 (n, 2048)."""
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"images of shape {images.shape[1:]}, the extractor was made for {self.image_shape}")
        return np.asarray(self._model.predict_on_batch(images.astype(np.float32)))

    def stream(self, tagged_images):
        """Features of any number of images, computed batch by batch while the next ones are being made ready.

        tagged_images: iterable of (tag, uint8 RGB image of image_shape); a thread of its own runs it.
        Yields (tag, float32 (2048,)) in the same order.
        """
        images = _run_ahead(tagged_images, 2 * self.batch_size)
        while batch := list(itertools.islice(images, self.batch_size)):
            stack = np.stack([image for _, image in batch])
            if len(batch) < self.batch_size:  # a last, smaller batch would compile the network once more
                stack = np.concatenate([stack, np.zeros((self.batch_size - len(batch), *self.image_shape), np.uint8)])
            for (tag, _), features in zip(batch, self.extract_batch(stack)):
                yield tag, features


def _run_ahead(iterable, length):
    """Yields the iterable's items, up to `length` of which a thread makes ahead. Its exceptions come through."""
    items = queue.Queue(length)
    stopped = threading.Event()

    def put(item):
        while not stopped.is_set():
            try:
                return items.put(item, timeout=0.1)
            except queue.Full:
                pass

    def produce():
        try:
            for item in iterable:
                put((item, None))
                if stopped.is_set():
                    break
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


def read_image(path):
    """An image file as a uint8 RGB array (height, width, 3). Raises OSError, or ValueError if it is no image."""
    import cv2
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise ValueError(f"{path}: not a readable image")
    return image


def resize(rgb, image_shape):
    """A uint8 RGB image at the height and width of image_shape; averaging when it shrinks, bilinear when it grows."""
    import cv2
    height, width = image_shape[:2]
    if rgb.shape[:2] == (height, width):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height * width
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def weights_id(weights):
    """A short name for InceptionV3's weights that features of other weights never share.

    "imagenet" (also for a file that is Keras's own), "random", or the beginning of the file's SHA-256.
    Raises FileNotFoundError if there is no such file.
    """
    if weights in ("imagenet", "random"):
        return weights
    if not os.path.isfile(weights):
        raise FileNotFoundError(f"{weights}: no such weights file; give imagenet, random or the path of a Keras "
                                f"InceptionV3 weights file")
    with open(weights, "rb") as file:
        content = file.read()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() in IMAGENET_FILES:
        return "imagenet"
    return hashlib.sha256(content).hexdigest()[:12]


def _load(weights):
    """Stock InceptionV3 with its weights, from images in -1..1 to the output of avg_pool."""
    import keras
    from keras.applications import InceptionV3

    if weights == "random":
        # The images that calibrate have one size, so that the weights are the same at whatever size they are used.
        return _randomize(InceptionV3(include_top=False, weights=None, pooling="avg",
                                      input_shape=(RANDOM_SIZE, RANDOM_SIZE, 3)))
    if weights == "imagenet":
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(30)  # seconds; a network that swallows packets would hang the download for ever
        try:
            return InceptionV3(include_top=False, weights="imagenet", pooling="avg")
        except Exception as error:
            raise RuntimeError(
                f"InceptionV3's ImageNet weights can't be downloaded ({error}). Either fetch {FILE_URL} on another "
                f"machine and give --weights PATH, or try the pipeline with --weights random") from None
        finally:
            socket.setdefaulttimeout(timeout)
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


def _classes_of_top(path):
    """The number of classes of the classifier in a weights file of InceptionV3, None if it has none."""
    import h5py
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

    Kernels are of the size of He et al., "Delving Deep into Rectifiers" (2015). A part of each is the same all over the
    kernel: smooth ones, like trained ones, look at shapes and colours, where independent numbers would mostly see the
    noise of a JPEG. The statistics are those of one batch of synthetic images, taken layer by layer in a single pass, so
    that no layer's output fades or grows.
    """
    import keras
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            shape = layer.kernel.shape
            kernel = 0.7 * random.normal(0, 1, shape) + 0.3 * random.normal(0, 1, (1, 1, *shape[2:]))
            kernel *= np.sqrt(2 / np.prod(shape[:3])) / kernel.std()
            layer.set_weights([kernel.astype(np.float32)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving statistics become those of the batch
    model(_synthetic_images(random, 16, RANDOM_SIZE), training=True)
    return model


def _synthetic_images(random, count, size):
    """Images whose amplitude falls with spatial frequency as 1/f, as photographs' does (Field, "Relations between the
    statistics of natural images and the response properties of cortical cells", 1987), of varied brightness and
    contrast and muted colour; float32 (count, size, size, 3) in -1..1.
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


def fold_batch_normalization(model, image_shape):
    """The same network, for images in 0..255 of image_shape, with its batch normalisations folded into the convolutions.

    A batch normalisation without scale computes (x - mean) / sqrt(variance + epsilon) + beta, which is linear in x: its
    factor goes into the kernel of the convolution before it, the rest into that convolution's bias. The input's scaling
    to -1..1 goes the same way into the first convolution, which has no padding.
    """
    import keras
    config = model.get_config()
    normalization_of = {}  # name of the convolution: its batch normalisation
    for layer in config["layers"]:
        if layer["class_name"] == "BatchNormalization":
            normalization = model.get_layer(layer["config"]["name"])
            convolution = normalization.input._keras_history.operation
            normalization_of[convolution.name] = normalization
            layer["class_name"] = "Activation"
            layer["config"] = {"name": normalization.name, "activation": "linear"}
            for node in layer["inbound_nodes"]:
                node["kwargs"].pop("mask", None)
        elif layer["class_name"] == "Conv2D":
            layer["config"]["use_bias"] = True
        elif layer["class_name"] == "InputLayer":
            layer["config"]["batch_shape"] = (None, *image_shape)
    folded = model.__class__.from_config(config)
    first = True
    for layer in folded.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        (kernel,) = (np.asarray(w, np.float64) for w in model.get_layer(layer.name).get_weights())
        normalization = normalization_of[layer.name]
        variance, mean = (np.asarray(w, np.float64) for w in (normalization.moving_variance, normalization.moving_mean))
        factor = 1 / np.sqrt(variance + normalization.epsilon)
        kernel, bias = kernel * factor, np.asarray(normalization.beta, np.float64) - mean * factor
        if first:
            kernel, bias = kernel / 127.5, bias - kernel.sum((0, 1, 2))
            first = False
        layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return folded
