"""The networks that classify a sequence of features."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from keras import Model, Sequential, backend, layers, optimizers

from vidclass.features.identity import FEATURES_LENGTH
from vidclass.training import branches
from vidclass.training.batches import FeatureStatistics
from vidclass.training.calibration import apply_temperature
from vidclass.training.checkpoint import Checkpoint, write_checkpoint
from vidclass.training.fast_lstm import LSTM
from vidclass.training.metadata import MODELS, Metadata, branch_count, newest_network

ARTICLE_DENSE = 512  # width of the hidden layer after the article's LSTM
ARGUMENTS = ("nb_classes", "model", "seq_length", "features_length", "units")  # of __init__, in a checkpoint


class ResearchModel:
    """A network from sequences (n, seq_length, features_length) to class probabilities (n, nb_classes),
    compiled.

    model: "lstm", "bilstm", "gru", or "article" for the article's own network. saved_model: a checkpoint, its
    path or opened, whose weights to take. units: width of the recurrent layer (None: see MODELS). seq_length
    None: sequences of any length (the article's network).

    .model: the keras.Model. .trainer: the keras.Model to fit, of the same layers and optimizer; .model itself
    where that learns as a whole. .metadata: Metadata of the checkpoint it was loaded from, or None.
    .temperature: see predict. .members: networks of which it is the mean, see mean_of. .parts: the networks,
    and their branches, of which .model is the mean.
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
        self.metadata: Metadata | None = None
        self._path: str | os.PathLike | None = None
        self.temperature = 1.0
        with contextlib.ExitStack() as stack:
            file = saved_model
            if file is not None and not isinstance(file, Checkpoint):
                file = stack.enter_context(Checkpoint(file))
            found = file.arguments if file else {}
            self.dense = (found.get("dense") or ARTICLE_DENSE) if model == "article" else 0
            self.network = found.get("network", newest_network(model))
            self.members = found.get("members", 1)
            self.model, self.trainer = self._build(is_replaced=file is not None)
            if file:
                self._take(file)

    @classmethod
    def mean_of(cls, members: "Sequence[ResearchModel]") -> "ResearchModel":
        """A network whose probabilities are the mean of those of some networks of one kind, of which each has
        one member itself."""
        first = members[0]
        mean = cls.__new__(cls)
        mean.__dict__.update(first.__dict__, members=len(members), metadata=None, temperature=1.0, _path=None)
        mean.model, mean.trainer = mean._build(is_replaced=True)
        parts = [part for one in members for part in one.parts]
        for place, part in zip(mean.parts, parts, strict=True):
            place.set_weights(part.get_weights())
        mean.set_branch_weights(np.concatenate([one.branch_weights for one in members]) / len(members))
        return mean

    @classmethod
    def load(cls, path: str | os.PathLike, optimizer: bool = False) -> "ResearchModel":
        """A checkpoint, ours or one of the article's repository (whose .metadata is None).

        optimizer: take the optimizer's state too, to go on training. Raises OSError if it can't be read,
        ValueError, naming the file, if it is not a checkpoint, of another model, or gives no probabilities.
        """
        with Checkpoint(path) as file:
            model = cls(**{name: file.arguments[name] for name in ARGUMENTS}, saved_model=file)
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

    def predict_branches(self, sequences: np.ndarray) -> np.ndarray:
        """Probabilities of each branch of the network, float32 (branches, n, nb_classes); one branch where
        it learns as a whole."""
        return np.stack(self.trainer.predict_on_batch(sequences)).reshape(-1, len(sequences), self.nb_classes)

    @property
    def branch_weights(self) -> np.ndarray:
        """How much each branch counts, float32 (branches,)."""
        if len(self.parts) == 1:
            return np.ones(1, np.float32)
        return self.model.get_layer(branches.WEIGHTS).get_weights()[0][:, 0]

    def set_branch_weights(self, weights: np.ndarray) -> None:
        """Sets how much each branch counts, (branches,), 1 in all."""
        if len(self.parts) > 1:
            self.model.get_layer(branches.WEIGHTS).set_weights([np.reshape(weights, (-1, 1))])

    @property
    def fitted_layers(self) -> tuple[layers.Layer, layers.Layer] | None:
        """The layers of the branch that summary.fit_summary fits: what standardises batches.summarize's
        numbers, and the softmax; None in a network that has no such branch."""
        if self.network < 3 or len(self.parts) == 1:
            return None
        return self.parts[-1].get_layer(branches.SUMMARY), self.parts[-1].get_layer(branches.LOGISTIC)

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
                network=self.network,
                members=self.members,
                features_length=self.features_length,
                temperature=self.temperature,
            ),
        )

    def set_normalization(self, statistics: FeatureStatistics) -> None:
        """Tells a network that standardises its features their statistics. The article's network doesn't.

        InceptionV3's features differ in scale by a factor of 25 between one set of weights and another.
        """
        for part in self.parts:
            for layer in part.layers:
                if isinstance(layer, layers.BatchNormalization):
                    mean, variance = getattr(statistics, layer.name)
                    # A feature that hardly ever varies would be blown up to noise.
                    floor = 0.01 * np.median(variance[variance > 0]) if np.any(variance > 0) else 1.0
                    layer.set_weights([mean, np.maximum(variance, floor)])

    def _build(self, is_replaced):
        """(the network, what is trained of it). is_replaced: its first weights don't matter."""
        sequence = layers.Input((self.seq_length, self.features_length))
        rate: Any = 1e-3
        if self.name == "article":
            self.parts = [self._build_article(is_replaced) for _ in range(self.members)]
            # The article's.
            rate = optimizers.schedules.InverseTimeDecay(1e-5, decay_steps=1, decay_rate=1e-6)
        else:
            self.parts = [branch for _ in range(self.members) for branch in self._build_branches()]
        optimizer = optimizers.Adam(rate)
        if len(self.parts) == 1:
            return (_compile(self.parts[0], optimizer),) * 2
        probabilities = [part(sequence) for part in self.parts]
        model = _compile(Model(sequence, branches.weighted_mean(probabilities, self.nb_classes)), optimizer)
        return model, _compile(branches.BranchTraining(sequence, probabilities), optimizer)

    def _build_branches(self):
        """Models of the branches of one member."""
        sequence = layers.Input((self.seq_length, self.features_length))
        recurrent = sequence, self.nb_classes, self.name, self.units
        if self.network == 1:
            probabilities = [branches.first_network(*recurrent)]
        elif branch_count(self.network, self.seq_length) == 1:
            probabilities = [branches.content(*recurrent)]
        else:
            summary = branches.summary(sequence, self.nb_classes, is_fitted=self.network > 2)
            probabilities = [branches.content(*recurrent), branches.change(*recurrent), summary]
        return [Model(sequence, one) for one in probabilities]

    def _build_article(self, is_replaced):
        return Sequential(
            [
                layers.Input((self.seq_length, self.features_length)),
                # Orthogonal weights of 2048 units take seconds to find.
                LSTM(self.units, dropout=0.5, recurrent_initializer="zeros" if is_replaced else "orthogonal"),
                layers.Dense(self.dense, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(self.nb_classes, activation="softmax"),
            ]
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
