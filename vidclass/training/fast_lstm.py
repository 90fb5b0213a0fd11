"""Keras's LSTM layer, made fast on CPUs: the same weights, outputs and gradients, the same layer in a
checkpoint."""

import functools
from typing import Any, NamedTuple

import keras
from keras import ops


class LSTM(keras.layers.LSTM):
    """keras.layers.LSTM (Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997) with its work arranged
    otherwise.

    On TensorFlow and a CPU, stock Keras multiplies the inputs by the kernel step by step, and automatic
    differentiation adds up the recurrent kernel's gradient step by step, 64 MB each time with 2048 units.
    Here the inputs of all steps are multiplied at once, only the recurrence runs step by step, and its
    gradient is written out. Elsewhere (a GPU, another backend), and with masks and the options that models.py
    doesn't use, the stock layer does the work.
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        if mask is not None or not self._is_plain() or sequences.shape[1] is None:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        import tensorflow as tf

        if training and self.dropout:
            sequences = sequences * ops.expand_dims(self.cell.get_dropout_mask(sequences[:, 0, :]), 1)
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
        _, steps, length = sequences.shape
        projected = ops.matmul(
            ops.reshape(sequences, (-1, length)), self.cell.kernel
        )  # (batch * steps, 4 * units)
        if self.use_bias:
            projected = projected + self.cell.bias
        outputs, carry = _tensorflow_recurrence()(
            ops.reshape(projected, (-1, steps, 4 * self.units)),
            tf.convert_to_tensor(self.cell.recurrent_kernel.value),
            *initial_state,
        )
        return outputs[:, -1], outputs, [outputs[:, -1], carry]

    def _is_plain(self):
        if keras.backend.backend() != "tensorflow" or self.unroll or self.recurrent_dropout:
            return False
        import tensorflow as tf

        return (
            self.cell.implementation == 2
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and not tf.config.list_physical_devices("GPU")
        )


# In a checkpoint it is Keras's own layer: keras.models.load_model opens it without this file.
LSTM.__module__ = "keras.layers"


@functools.cache
def _tensorflow_recurrence():
    """The steps of an LSTM whose inputs are projected already, as a TensorFlow function with a gradient of
    its own."""
    import tensorflow as tf

    @tf.custom_gradient
    def recurrence(projected, kernel, hidden, carry):
        """projected: (batch, steps, 4 * units), gates in Keras's order i, f, c, o; kernel: (units, 4 *
        units); hidden, carry: the states before the first step, (batch, units).

        Returns the hidden states (batch, steps, units) and the last carry (batch, units).
        """
        trace = _run_forward(projected, kernel, hidden, tf.transpose(carry))

        def gradient(d_outputs, d_last_carry):
            return _run_backward(trace, kernel, hidden, d_outputs, d_last_carry)

        return (trace.outputs, tf.transpose(trace.carries[-1])), gradient

    return recurrence


class _Trace(NamedTuple):
    """What the walk over the steps leaves for the walk back. Time is the first axis and the batch the last:
    the product of a large kernel with a narrow batch takes half the time of its transpose."""

    first_carry: Any  # (units, batch)
    gates: Any  # i, f, c, o after their activations: (steps, 4 * units, batch)
    carries: Any  # (steps, units, batch)
    outputs: Any  # (batch, steps, units)


def _time_steps(values):
    """A TensorArray of a tensor's first axis."""
    import tensorflow as tf

    return tf.TensorArray(values.dtype, values.shape[0]).unstack(values)


def _run_forward(projected, kernel, hidden, first_carry):
    import tensorflow as tf

    steps, transposed = projected.shape[1], tf.transpose(kernel)
    inputs = _time_steps(tf.transpose(projected, (1, 2, 0)))  # (4 * units, batch) each

    def forward(step, h, c, gates, carries, outputs):
        i, f, g, o = tf.split(inputs.read(step) + tf.matmul(transposed, h), 4, axis=0)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        gates = gates.write(step, tf.concat([i, f, g, o], 0))
        return step + 1, h, c, gates, carries.write(step, c), outputs.write(step, h)

    empty = [tf.TensorArray(projected.dtype, steps) for _ in range(3)]
    *_, gates, carries, outputs = tf.while_loop(
        lambda step, *_: step < steps,
        forward,
        (0, tf.transpose(hidden), first_carry, *empty),
        maximum_iterations=steps,
    )
    return _Trace(first_carry, gates.stack(), carries.stack(), tf.transpose(outputs.stack(), (2, 0, 1)))


def _run_backward(trace, kernel, hidden, d_outputs, d_last_carry):
    """The gradients of recurrence's arguments. What doesn't depend on the walk back over the steps is
    computed for all steps before it, the gradient of the kernel in one product after it."""
    import tensorflow as tf

    steps, units = trace.carries.shape[0], kernel.shape[0]
    i, f, g, o = tf.split(trace.gates, 4, axis=1)
    before = tf.concat([trace.first_carry[None], trace.carries[:-1]], 0)
    tanh = tf.tanh(trace.carries)
    # From the gradients of the carry (for i, f, g) and of the output (for o) to those of the sums in the
    # gates.
    slopes = tf.concat([g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), tanh * o * (1 - o)], 1)
    slopes, to_carry, forget = map(_time_steps, (slopes, o * (1 - tanh * tanh), f))
    d_outputs = _time_steps(tf.transpose(d_outputs, (1, 2, 0)))

    def backward(step, dh, dc, d_sums):
        dh = dh + d_outputs.read(step)
        dc = dc + dh * to_carry.read(step)
        d_sum = tf.concat([dc, dc, dc, dh], 0) * slopes.read(step)  # (4 * units, batch)
        return step - 1, tf.matmul(kernel, d_sum), dc * forget.read(step), d_sums.write(step, d_sum)

    empty = tf.TensorArray(trace.carries.dtype, steps)
    _, dh, dc, d_sums = tf.while_loop(
        lambda step, *_: step >= 0,
        backward,
        (steps - 1, tf.zeros_like(trace.first_carry), tf.transpose(d_last_carry), empty),
        maximum_iterations=steps,
    )
    d_projected = tf.transpose(d_sums.stack(), (2, 0, 1))
    seen = tf.concat([hidden[:, None], trace.outputs[:, :-1]], 1)  # the hidden state before each step
    d_kernel = tf.matmul(
        tf.reshape(seen, (-1, units)), tf.reshape(d_projected, (-1, 4 * units)), transpose_a=True
    )
    return d_projected, d_kernel, tf.transpose(dh), tf.transpose(dc)
