"""The networks that classify a sequence of features."""

import os
from dataclasses import replace

import numpy as np
from keras import Model, Sequential, backend, layers, optimizers

from vidclass.features.identity import FEATURES_LENGTH
from vidclass.training.calibration import apply_temperature
from vidclass.training.checkpoint import Checkpoint, write_checkpoint
from vidclass.training.fast_lstm import LSTM
from vidclass.training.metadata import MODELS, Metadata

ARTICLE_DENSE = 512  # width of the hidden layer after the article's LSTM


class ResearchModel:
    """A network from sequences (n, seq_length, features_length) to class probabilities (n, nb_classes),
    compiled.

    model: "lstm", "bilstm", "gru", or "article" for the article's own network. saved_model: a checkpoint, its
    path or opened, whose weights to take. units: width of the recurrent layer (None: see MODELS). seq_length
    None: sequences of any length (the article's network).

    .model: the keras.Model. .metadata: Metadata of the checkpoint it was loaded from, or None. .temperature:
    see predict.
    """

    def __init__(
        self,
        nb_classes: int,
        model: str = "lstm",
        seq_length: int | None = 40,
        saved_model: str | os.PathLike | Checkpoint | None = None,
        features_length: int = FEATURES_LENGTH,
        units: int | None = None,
    ):
        if model not in MODELS:
            raise ValueError(f"no model is called {model}; expected one of {', '.join(MODELS)}")
        self.name = model
        self.nb_classes = nb_classes
        self.seq_length = seq_length
        self.features_length = features_length
        self.units = units or MODELS[model]
        self.dense = ARTICLE_DENSE if model == "article" else 0
        if model == "article" and isinstance(saved_model, Checkpoint):
            self.dense = saved_model.arguments["dense"] or ARTICLE_DENSE
        self.metadata: Metadata | None = None
        self._path: str | os.PathLike | None = None
        self.temperature = 1.0
        self.model = self._build_article(bool(saved_model)) if model == "article" else self._build()
        if isinstance(saved_model, Checkpoint):
            self._take(saved_model)
        elif saved_model:
            with Checkpoint(saved_model) as file:
                self._take(file)

    @classmethod
    def load(cls, path: str | os.PathLike, optimizer: bool = False) -> "ResearchModel":
        """A checkpoint, ours or one of the article's repository (whose .metadata is None).

        optimizer: take the optimizer's state too, to go on training. Raises OSError if it can't be read,
        ValueError, naming the file, if it is not a checkpoint, of another model, or gives no probabilities.
        """
        with Checkpoint(path) as file:
            arguments = {name: value for name, value in file.arguments.items() if name != "dense"}
            model = cls(**arguments, saved_model=file)
            if optimizer:
                file.load_optimizer_into(model.model)
        # Weights can be finite and too large all the same. A trial, before hours of work go into the
        # features.
        model.predict(np.full((1, model.seq_length or 2, model.features_length), 0.5, np.float32))
        return model

    def _take(self, file):
        self.metadata, self._path = file.metadata, file.path
        self.temperature = file.metadata.temperature if file.metadata else 1.0
        file.load_weights_into(self.model)

    def predict(self, sequences: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 (n, nb_classes), of sequences (n, seq_length, features_length):
        those of the network at its temperature. Raises ValueError, naming the checkpoint, if they are NaN.
        """
        probabilities = np.asarray(self.model.predict_on_batch(sequences))
        if not np.isfinite(probabilities).all():
            raise ValueError(
                f"{self._path or 'the network'}: its probabilities are not all numbers (NaN), its weights "
                f"are too large; take another checkpoint"
            )
        return apply_temperature(probabilities, self.temperature)

    def save(self, path: str | os.PathLike, metadata: Metadata) -> None:
        """Writes the checkpoint, whole or not at all. What metadata say of the network is filled in."""
        write_checkpoint(
            path,
            self.model,
            replace(
                metadata,
                model=self.name,
                units=self.units,
                dense=self.dense,
                features_length=self.features_length,
                temperature=self.temperature,
            ),
        )

    def set_normalization(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Tells a network that standardises its features their statistics, each (features_length,). The
        article's network doesn't.

        InceptionV3's features differ in scale by a factor of 25 between one set of weights and another.
        """
        for layer in self.model.layers:
            if isinstance(layer, layers.Normalization):
                # A feature that hardly ever varies would be blown up to noise.
                floor = 0.01 * np.median(variance[variance > 0]) if np.any(variance > 0) else 1.0
                layer.set_weights([mean, np.maximum(variance, floor), np.array(0)])
                layer.finalize_state()

    def _build(self):
        sequence = layers.Input((self.seq_length, self.features_length))
        frames = layers.Normalization()(sequence)  # see set_normalization
        # Features are dropped from all frames of a clip: noise from frame to frame would drown what changes.
        frames = layers.SpatialDropout1D(0.5)(frames)
        # Few clips and 2048 features: a narrow projection overfits less than a wide recurrent layer.
        # What a frame shows and how it differs from the clip's mean are projected apart: what stays the same
        # drowns the rest, too.
        change = layers.Subtract()([frames, layers.GlobalAveragePooling1D(keepdims=True)(frames)])
        frames = layers.Concatenate()([layers.Dense(self.units)(frames), layers.Dense(self.units)(change)])
        recurrent = (layers.GRU if self.name == "gru" else LSTM)(
            self.units, return_sequences=True, return_state=True
        )
        if self.name == "bilstm":
            recurrent = layers.Bidirectional(recurrent)
        outputs, *states = recurrent(frames)
        # Of each direction; an LSTM's carry follows it.
        hidden = states if self.name == "gru" else states[::2]
        # The mean over time weighs all frames alike; the hidden state at the end depends on their order.
        summary = layers.Concatenate()([layers.GlobalAveragePooling1D()(outputs), *hidden])
        summary = layers.Dropout(0.5)(summary)
        model = Model(sequence, layers.Dense(self.nb_classes, activation="softmax")(summary))
        return _compile(model, optimizers.Adam(1e-3))

    def _build_article(self, replaced):
        """replaced: the first weights don't matter; orthogonal ones of 2048 units take seconds to find."""
        model = Sequential(
            [
                layers.Input((self.seq_length, self.features_length)),
                LSTM(self.units, dropout=0.5, recurrent_initializer="zeros" if replaced else "orthogonal"),
                layers.Dense(self.dense, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(self.nb_classes, activation="softmax"),
            ]
        )
        return _compile(
            model,
            optimizers.Adam(optimizers.schedules.InverseTimeDecay(1e-5, decay_steps=1, decay_rate=1e-6)),
        )


def _compile(model, optimizer):
    # XLA takes seconds to compile for each batch size, and TensorFlow's LSTM runs no faster with it
    # (benchmarks/lstm.py). Jax would run step by step without.
    model.compile(
        optimizer=optimizer,
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.backend() == "jax",
    )
    return model
