"""lstm.py against stock Keras."""

import subprocess
import sys

import numpy as np
import pytest

from vidclass.training.fast_lstm import LSTM

LENGTH, STEPS = 7, 9


def layers(units=5, **options):
    """Stock Keras's LSTM and ours with the same random weights, built."""
    import keras

    random = np.random.default_rng(0)
    weights = [
        random.normal(0, 0.5, shape) for shape in ((LENGTH, 4 * units), (units, 4 * units), (4 * units,))
    ]
    pair = keras.layers.LSTM(units, seed=3, **options), LSTM(units, seed=3, **options)
    for layer in pair:
        layer.build((None, STEPS, LENGTH))
        layer.set_weights(weights[: len(layer.weights)])
    return pair


@pytest.fixture
def inputs():
    return np.random.default_rng(1).normal(0, 1, (4, STEPS, LENGTH)).astype(np.float32)


def run(layer, inputs, training=False, **options):
    """(outputs, gradients of inputs and weights) of a layer, for a loss that every output and state has a
    part in."""
    import tensorflow as tf

    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(layer(inputs, training=training, **options))
        loss = sum(tf.reduce_sum(tf.sin(number + 3.0 * output)) for number, output in enumerate(outputs))
    return outputs, tape.gradient(loss, [inputs, *(weight.value for weight in layer.trainable_weights)])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"return_state": True, "return_sequences": True},
        {"go_backwards": True},
        {"go_backwards": True, "return_sequences": True},
        {"use_bias": False},
        {"dropout": 0.5},
        {"units": 1},
        {"units": 64},
        # What the stock layer does for us:
        {"recurrent_dropout": 0.3},
        {"unroll": True},
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"implementation": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_are_those_of_stock_keras(inputs, options, training):
    (stock, ours) = layers(**options)
    (expected, expected_gradients), (found, gradients) = (
        run(layer, inputs, training) for layer in (stock, ours)
    )
    assert max(np.abs(output).max() for output in expected) > 0.1
    assert max(np.abs(gradient).max() for gradient in expected_gradients) > 0.1
    for a, b in zip(found + gradients, expected + expected_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4)


def test_the_fast_way_is_taken(inputs, monkeypatch):
    """The networks of models.py must not fall back to the stock layer unnoticed."""
    import keras

    _, ours = layers(dropout=0.5)
    expected = run(ours, inputs)[0]

    def stock(*args, **kwargs):
        raise AssertionError("the stock layer was called")

    monkeypatch.setattr(keras.layers.LSTM, "inner_loop", stock)
    np.testing.assert_array_equal(run(ours, inputs)[0], expected)
    run(ours, inputs, training=True)


def test_the_dropout_mask_is_the_same_over_time_and_another_in_each_step(inputs):
    """With a kernel of ones, what a step adds to the gates shows which inputs it saw."""
    _, ours = layers(units=1, dropout=0.5, return_sequences=True, use_bias=False)
    ours.set_weights([np.full((LENGTH, 4), 1e-3), np.zeros((1, 4))])
    ones = np.ones_like(inputs)
    carries = []
    for _ in range(8):
        outputs = np.asarray(ours(ones, training=True))[..., 0]
        # Constant inputs to a network without recurrence: the carry is a sum of equal terms, growing by the
        # same factor.
        _, ours_free = layers(units=1, return_sequences=True, use_bias=False)
        ours_free.set_weights(ours.get_weights())
        kept = np.arange(LENGTH + 1)
        candidates = np.stack([np.asarray(ours_free(ones[:1] * 2 * k / LENGTH))[0, :, 0] for k in kept])
        distances = np.abs(outputs[:, None] - candidates[None]).max(2)
        assert (
            distances.min(1).max() < 1e-6
        )  # every sequence is that of one mask, kept from first step to last
        carries.append(tuple(distances.argmin(1)))
    assert len(set(carries)) > 1


def test_initial_state_and_stateful(inputs):
    state = [np.random.default_rng(2).normal(0, 1, (4, 5)).astype(np.float32) for _ in range(2)]
    stock, ours = layers(return_state=True)
    for a, b in zip(ours(inputs, initial_state=state), stock(inputs, initial_state=state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    import keras

    outputs = []
    for kind in (keras.layers.LSTM, LSTM):
        layer = kind(5, stateful=True)
        model = keras.Sequential([keras.layers.Input((STEPS, LENGTH), batch_size=4), layer])
        layer.set_weights(stock.get_weights())
        outputs.append([model.predict_on_batch(inputs) for _ in range(3)])
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5)
    assert np.abs(outputs[0][2] - outputs[0][0]).max() > 1e-3


def test_masked_sequences(inputs):
    stock, ours = layers(return_sequences=True)
    mask = np.arange(STEPS)[None] < np.array([[3], [9], [1], [5]])
    np.testing.assert_allclose(ours(inputs, mask=mask), stock(inputs, mask=mask), atol=1e-5)


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_takes_the_same_path(inputs, jit):
    """Ten steps of Adam, last batches of other sizes included, on a network like the article's."""
    import keras

    targets = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    weights, losses = [], []
    for kind in (keras.layers.LSTM, LSTM):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.layers.Input((STEPS, LENGTH)),
                kind(16, dropout=0.5),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("adam", "categorical_crossentropy", jit_compile=jit)
        history = model.fit(inputs, targets, batch_size=3, epochs=5, shuffle=False, verbose=0)
        weights.append(model.get_weights())
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[0][-1] != losses[0][0]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)


READ = """
import sys, numpy as np, keras
for name in sys.argv[1:]:
    model = keras.models.load_model(name)
    assert type(model.layers[0]) is keras.layers.LSTM, type(model.layers[0])
    np.save(f"{name}.npy", model(np.load("inputs.npy")))
assert not any(name.startswith("vidclass") for name in sys.modules)
"""


def test_a_saved_model_is_plain_keras(inputs, tmp_path):
    """In both of Keras's formats: read where fast_lstm.py can't be imported, its layer is keras.layers.LSTM,
    in name too."""
    import keras

    model = keras.Sequential([keras.layers.Input((STEPS, LENGTH)), LSTM(5), keras.layers.Dense(2)])
    assert model.layers[0].name.split("_")[0] == "lstm"
    assert [weight.path.split("/")[-2:] for weight in model.layers[0].weights] == [
        ["lstm_cell", "kernel"],
        ["lstm_cell", "recurrent_kernel"],
        ["lstm_cell", "bias"],
    ]
    names = ["x.keras", "x.hdf5"]
    for name in names:
        model.save(tmp_path / name)
    np.save(tmp_path / "inputs.npy", inputs)
    subprocess.run(
        [sys.executable, "-c", READ, *names], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    for name in names:
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), model(inputs), atol=1e-6)
