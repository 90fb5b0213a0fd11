"""What does reading the sequences cost an epoch of training, in time and memory? On made-up sequences on
disk.

An epoch over the .npy files is compared with one of as many steps over a single batch that is in memory
already.

    python benchmarks/sequences.py --clips 10000 --seq-length 75
"""

import os
import resource
import statistics
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from rounds import ratio, take_turns  # noqa: E402

from data import DataSet  # noqa: E402
from models import ResearchModel  # noqa: E402
from train import TrainOptions  # noqa: E402
from vidclass import cli  # noqa: E402
from vidclass.dataset.data_file import write_data_file  # noqa: E402
from vidclass.features.sequence_store import FolderStore  # noqa: E402
from vidclass.keras_loading import import_keras  # noqa: E402
from vidclass.training.batches import Batches, ClipSequences, feature_statistics  # noqa: E402


def make_up(folder, clips, seq_length):
    """Writes data_file.csv and a sequence for each clip: noise around a mean of its class. Returns the
    FolderStore."""
    rows = [("train", "AB"[number % 2], f"clip_{number}", seq_length) for number in range(clips)]
    write_data_file(folder, rows)
    store = FolderStore(DataSet(seq_length, 2, data_dir=folder), "random")
    random = np.random.default_rng(0)
    means = random.random((2, 2048), np.float32)
    noise = random.random((seq_length, 2048), np.float32)
    for number, row in enumerate(store.dataset.data):
        store.save(row, means[number % 2] + np.roll(noise, number, axis=1))
    return store


def main():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--clips", type=cli.at_least(32), default=2000)
    parser.add_argument("--seq-length", type=cli.at_least(2), default=75)
    parser.add_argument("--models", nargs="+", default=["lstm"])
    parser.add_argument("--rounds", type=cli.at_least(1), default=3)
    args = parser.parse_args()
    import_keras()
    import keras

    with tempfile.TemporaryDirectory() as folder:
        store = make_up(folder, args.clips, args.seq_length)
        clips, batch_size = store.dataset.data, TrainOptions().batch_size
        files = Batches(ClipSequences(store, clips), batch_size, seed=0)
        first = files[0]

        class Memory(keras.utils.PyDataset):
            def __len__(self):
                return len(files)

            def __getitem__(self, index):
                return first

        memory = Memory(workers=2, max_queue_size=4)
        print(
            f"{args.clips} clips of ({args.seq_length}, 2048): "
            f"{args.clips * args.seq_length * 8192 / 1e9:.1f} GB on disk"
        )
        print("model     ms a step, memory    ms a step, files    share of the files")
        for model in args.models:
            research_model = ResearchModel(2, model, args.seq_length)
            research_model.set_normalization(feature_statistics(ClipSequences(store, clips[:200])))
            seconds = take_turns(
                {
                    name: lambda source=source, research_model=research_model: research_model.trainer.fit(
                        source, epochs=1, verbose=0
                    )
                    for name, source in (("memory", memory), ("files", files))
                },
                args.rounds,
            )
            in_memory, on_disk = (
                1000 * statistics.median(seconds[name]) / len(files) for name in ("memory", "files")
            )
            share = 1 - 1 / ratio(seconds["files"], seconds["memory"])
            print(f"{model:9} {in_memory:17.1f} {on_disk:19.1f} {100 * share:19.0f} %", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB")


if __name__ == "__main__":
    sys.exit(cli.run(main))
