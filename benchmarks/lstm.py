"""How long does a training step with an LSTM take? lstm.py beside stock Keras, with and without XLA, and
torch.nn.LSTM.

A step is forward, backward and Adam on sequences (batch, 75, 2048); torch's is forward and backward alone.

    python benchmarks/lstm.py --rounds 5
"""

import os
import statistics
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from vidclass import cli  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training.fast_lstm import LSTM  # noqa: E402

LENGTH = 2048  # features of a frame


def keras_step(layer, units, inputs, targets, jit):
    """A function that makes one training step with a layer class, from the same first weights."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input(inputs.shape[1:]),
            layer(units, dropout=0.5),
            keras.layers.Dense(targets.shape[1], activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy", jit_compile=jit)
    return lambda: model.train_on_batch(inputs, targets)


def torch_step(units, inputs, targets):
    import torch

    lstm, dense = torch.nn.LSTM(LENGTH, units, batch_first=True), torch.nn.Linear(units, targets.shape[1])
    inputs, targets = torch.from_numpy(inputs), torch.from_numpy(targets)

    def step():
        lstm.zero_grad()
        dense.zero_grad()
        torch.nn.functional.cross_entropy(dense(lstm(inputs)[0][:, -1]), targets).backward()

    return step


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--units", type=cli.at_least(1), nargs="+", default=[2048, 256, 64])
    parser.add_argument("--batch-size", type=cli.at_least(1), default=32)
    parser.add_argument("--seq-length", type=cli.at_least(2), default=75)
    parser.add_argument("--rounds", type=cli.at_least(1), default=5)
    args = parser.parse_args()
    import_keras()
    import keras

    random = np.random.default_rng(0)
    inputs = random.random((args.batch_size, args.seq_length, LENGTH), np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(args.batch_size) % 2]
    print("units   step by             seconds   speed, stock = 1")
    for units in args.units:
        steps = {
            f"{name}{', XLA' if jit else ''}": keras_step(layer, units, inputs, targets, jit)
            for jit in (False, True)
            for name, layer in (("stock Keras", keras.layers.LSTM), ("lstm.py", LSTM))
        }
        try:
            steps["torch.nn.LSTM"] = torch_step(units, inputs, targets)
        except ImportError:
            print("(torch is not installed: benchmarks/requirements.txt)", file=sys.stderr)
        seconds = take_turns(steps, args.rounds)
        for name, times in seconds.items():
            stock = seconds["stock Keras, XLA" if "XLA" in name else "stock Keras"]
            print(
                f"{units:5}   {name:18} {statistics.median(times):8.3f}   {ratio(stock, times):6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(cli.run(main))
