"""The parts of which the networks are made, and their training: branches that see different things of a
sequence. Each gives class probabilities of its own, and learns by itself; the network is their weighted mean.

Stock layers of Keras only, so that keras.models.load_model opens a checkpoint.
"""

from typing import Any

from keras import Model, initializers, layers, losses, ops, regularizers

from vidclass.training.fast_lstm import LSTM

# Names of the layers that standardise, see ResearchModel.set_normalization.
FRAMES, STEPS, SUMMARY = "frames", "steps", "summary"
LOGISTIC = "logistic_regression"  # name of the layer that summary.fit_summary fits
WEIGHTS = "weights"  # name of the layer with the weights of the branches
# Of version 2's summary, which learned by gradients as the others do.
WEIGHT_DECAY = 1e-3


def first_network(sequence: Any, nb_classes: int, model: str, units: int) -> Any:
    """The probabilities of the network of earlier checkpoints: content's, with another layer that
    standardises."""
    return _content(layers.Normalization()(sequence), nb_classes, model, units)


def content(sequence: Any, nb_classes: int, model: str, units: int) -> Any:
    """Probabilities (n, nb_classes) by what the frames of a sequence (n, seq_length, features_length) show.
    model: "lstm", "bilstm" or "gru"."""
    return _content(_standardised(FRAMES)(sequence), nb_classes, model, units)


def _content(frames, nb_classes, model, units):
    # Features are dropped from all frames of a clip: noise from frame to frame would drown what changes.
    frames = layers.SpatialDropout1D(0.5)(frames)
    # Few clips and 2048 features: a narrow projection overfits less than a wide recurrent layer. What a frame
    # shows and how it differs from the clip's mean are projected apart: what stays the same drowns the rest.
    deviation = layers.Subtract()([frames, layers.GlobalAveragePooling1D(keepdims=True)(frames)])
    projected = layers.Concatenate()([layers.Dense(units)(frames), layers.Dense(units)(deviation)])
    return _recurrent(projected, nb_classes, model, units)


def change(sequence: Any, nb_classes: int, model: str, units: int) -> Any:
    """Probabilities by how much each feature changes from frame to frame, see content. Of at least two
    frames."""
    steps = layers.SpatialDropout1D(0.5)(_standardised(STEPS)(_absolute_steps(sequence)))
    return _recurrent(layers.Dense(units)(steps), nb_classes, model, units)


def summary(sequence: Any, nb_classes: int, is_fitted: bool = True) -> Any:
    """Probabilities by three averages of each feature over time: its mean, its mean absolute deviation from
    that, and its mean absolute step from frame to frame. Of at least two frames.

    Pooling of statistics as in Snyder et al., "X-vectors: Robust DNN embeddings for speaker recognition"
    (2018), by a linear classifier, which needs the fewest clips. is_fitted: it doesn't learn with the other
    branches, see summary.fit_summary; False: version 2's, which does.
    """
    mean = layers.GlobalAveragePooling1D(keepdims=True)(sequence)
    averages = [_absolute_difference(sequence, mean), _absolute_steps(sequence)]
    pooled = [layers.Flatten()(mean), *(layers.GlobalAveragePooling1D()(values) for values in averages)]
    statistics = _standardised(SUMMARY)(layers.Concatenate()(pooled))
    return layers.Dense(
        nb_classes,
        activation="softmax",
        kernel_initializer="zeros",
        kernel_regularizer=None if is_fitted else regularizers.L2(WEIGHT_DECAY),
        trainable=not is_fitted,
        name=LOGISTIC,
    )(statistics if is_fitted else layers.Dropout(0.5)(statistics))


def weighted_mean(probabilities: list, nb_classes: int) -> Any:
    """The mean of networks' probabilities (n, nb_classes), weighted by a layer WEIGHTS, equally at first."""
    columns = [layers.Reshape((nb_classes, 1))(one) for one in probabilities]
    equal = initializers.Constant(1 / len(columns))
    weights = layers.Dense(
        1, use_bias=False, kernel_initializer=equal, trainable=False, name=WEIGHTS
    )  # see calibration.weigh
    return layers.Reshape((nb_classes,))(weights(layers.Concatenate()(columns)))


def _recurrent(projected, nb_classes, model, units):
    """Probabilities by a recurrent layer's reading of (n, steps, numbers)."""
    layer = (layers.GRU if model == "gru" else LSTM)(units, return_sequences=True, return_state=True)
    if model == "bilstm":
        layer = layers.Bidirectional(layer)
    outputs, *states = layer(projected)
    hidden = states if model == "gru" else states[::2]  # of each direction; an LSTM's carry follows it
    # The mean over time weighs all frames alike; the hidden state at the end depends on their order.
    read = layers.Concatenate()([layers.GlobalAveragePooling1D()(outputs), *hidden])
    return layers.Dense(nb_classes, activation="softmax")(layers.Dropout(0.5)(read))


def _standardised(name):
    """A layer that standardises by ResearchModel.set_normalization's statistics.

    Frozen, a BatchNormalization does so in training, too. keras.layers.Normalization would have to be told
    after its weights are loaded, which load_model forgets in a branch.
    """
    return layers.BatchNormalization(epsilon=1e-12, center=False, scale=False, trainable=False, name=name)


def _absolute_steps(sequence):
    """|x_t - x_(t-1)|, (n, seq_length - 1, features_length)."""
    return _absolute_difference(layers.Cropping1D((1, 0))(sequence), layers.Cropping1D((0, 1))(sequence))


def _absolute_difference(one, other):
    # keras.ops.abs would be a layer that load_model doesn't find in an HDF5 file.
    return layers.Maximum()([layers.Subtract()([one, other]), layers.Subtract()([other, one])])


class BranchTraining(Model):
    """What is trained: the same layers as a network that is the mean of branches, with an output of each.

    The training loss is the mean of the branches' cross-entropies, so that each learns by itself: trained by
    the loss of their mean, the one that learns fastest keeps the others from learning, and the mean is no
    better than that one. The validation loss and the accuracies are those of the plain mean.
    """

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """See keras.Model.compute_loss; y_pred: the branches' probabilities."""
        cross_entropy = losses.CategoricalCrossentropy()
        if not training:
            return cross_entropy(y, _mean(y_pred), sample_weight)
        branches = [cross_entropy(y, probabilities, sample_weight) for probabilities in y_pred]
        # Keras's way of sharing the weight decay among devices, each of which computes it.
        decay = [self._aggregate_additional_loss(loss) for loss in self.losses]
        return (sum(branches) + sum(decay)) / len(branches)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """See keras.Model.compute_metrics."""
        return super().compute_metrics(x, y, _mean(y_pred), sample_weight)


def _mean(branches):
    return ops.mean(ops.stack(branches), axis=0)
