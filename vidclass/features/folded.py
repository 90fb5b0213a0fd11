"""InceptionV3 as what it computes: its layers, and its kernels with batch normalisation folded into them.

It is cached on this machine's disk: Keras takes seconds to build the network and to load its weights.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import Model, layers, ops, tree

CONVOLUTION, ACTIVATION, CONCATENATION = "Conv2D", "Activation", "Concatenate"
MAX_POOLING, AVERAGE_POOLING = "MaxPooling2D", "AveragePooling2D"


class Layer(NamedTuple):
    """A layer of InceptionV3."""

    name: str
    kind: str  # the name of Keras's class: one of those above, or GlobalAveragePooling2D
    sources: tuple[str, ...]  # names of the layers whose outputs it takes, "" for the images
    size: tuple[int, ...] = ()  # of what is pooled: rows, columns
    strides: tuple[int, ...] = ()
    padding: str = ""  # "same" or "valid"


@dataclass(frozen=True)
class FoldedNetwork:
    """InceptionV3 from images, 0..255, to the output of avg_pool. A batch normalisation is in the kernel and
    the bias of the convolution before it; so is the scaling of the images to -1..1 that stock InceptionV3
    wants."""

    layers: Sequence[Layer]  # in an order in which they can be computed, avg_pool last
    kernels: Mapping[str, tuple[np.ndarray, np.ndarray]]  # {layer: (kernel, bias)}, float32

    def run(self, images: Any, compute: Callable[[Layer, list], Any]) -> Any:
        """The output of the network whose layers are computed one by one, by compute(layer, inputs). images:
        a tensor."""
        by_name = {layer.name: layer for layer in self.layers}
        sources = {name: layer.sources for name, layer in by_name.items()}
        return run_layers(sources, images, lambda name, inputs: compute(by_name[name], inputs))

    def to_bytes(self) -> bytes:
        """The network as a file, for from_bytes."""
        file = io.BytesIO()
        arrays = {
            f"{part} {name}": array for name, pair in self.kernels.items() for part, array in enumerate(pair)
        }
        text = np.frombuffer(json.dumps(self.layers).encode(), np.uint8)
        np.savez(file, layers=text, **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "FoldedNetwork":
        """What to_bytes has written."""
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            rows = json.loads(file["layers"].tobytes())
            # Jax wants tuples, of which JSON makes lists.
            found = [Layer._make(tuple(v) if isinstance(v, list) else v for v in row) for row in rows]
            names = [layer.name for layer in found if layer.kind == CONVOLUTION]
            return cls(found, {name: (file[f"0 {name}"], file[f"1 {name}"]) for name in names})


def fold(model: Model) -> FoldedNetwork:
    """The FoldedNetwork of stock InceptionV3, which computes the same.

    A batch normalisation without scale computes (x - mean) / sqrt(variance + epsilon) + beta, which is linear
    in x: its factor goes into the kernel of the convolution before it, the rest into a bias of that
    convolution.
    """
    kernels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    places = {model.layers[0].name: ""}  # {layer: the one that gives its output}
    found, all_sources = [], layer_sources(model)
    for layer in model.layers[1:]:
        sources = [places[source] for source in all_sources[layer.name]]
        if isinstance(layer, layers.BatchNormalization):
            places[layer.name] = sources[0]
            kernels[sources[0]] = _fold(model.get_layer(sources[0]), layer, is_first=not kernels)
            continue
        places[layer.name] = layer.name
        found.append(
            Layer(
                layer.name,
                type(layer).__name__,
                tuple(sources),
                tuple(getattr(layer, "pool_size", ())),
                tuple(getattr(layer, "strides", ())),
                getattr(layer, "padding", ""),
            )
        )
    return FoldedNetwork(found, kernels)


def _fold(convolution, normalization, is_first):
    """(kernel, bias) that do what a convolution and the batch normalisation after it do. is_first: of the
    network, which has no padding: the scaling of the images goes into it, too."""
    kernel, beta, mean, variance = (
        ops.convert_to_numpy(weight).astype(np.float64)
        for weight in (
            convolution.kernel,
            normalization.beta,
            normalization.moving_mean,
            normalization.moving_variance,
        )
    )
    factor = 1 / np.sqrt(variance + normalization.epsilon)
    kernel, bias = kernel * factor, beta - mean * factor
    if is_first:
        kernel, bias = kernel / 127.5, bias - kernel.sum((0, 1, 2))
    return kernel.astype(np.float32), bias.astype(np.float32)


def layer_sources(model: Model) -> dict[str, list[str]]:
    """{name of a layer: names of the layers whose outputs it takes}, without the input layer."""
    return {
        layer.name: [tensor._keras_history.operation.name for tensor in tree.flatten(layer.input)]
        for layer in model.layers[1:]
    }


def run_layers(sources: Mapping[str, Sequence[str]], images: Any, compute: Callable[[str, list], Any]) -> Any:
    """The output of a network whose layers are computed one by one, by compute(name, inputs).

    sources: {name of a layer: names of those whose outputs it takes}, in an order in which they can be
    computed; those of the first are the images, a tensor. What no later layer needs is forgotten: for 16
    images, 2 GB less than the model's own call would hold.
    """
    last_use = {source: name for name, names in sources.items() for source in names}
    outputs = dict.fromkeys(next(iter(sources.values())), images)
    for name, names in sources.items():
        outputs[name] = compute(name, [outputs[source] for source in names])
        for source in names:
            if last_use[source] == name:
                outputs.pop(source)
    return outputs[name]
