"""Turns each clip's frames into a sequence of InceptionV3 features.

Reads data/data_file.csv and the frames that extract_files.py made. Writes one .npy per clip under data/sequences/:
(seq_length, 2048) float32, of frames spread evenly over the clip. Sequences that are there already are kept.

    python extract_features.py 75 2 720 1280
"""
import sys
from concurrent.futures import ThreadPoolExecutor

import cli
import files


def extract_features(seq_length, class_limit, image_shape, data_dir="data", weights="imagenet", quiet=False,
                     precision="float32"):
    """Saves the feature sequences that are missing.

    image_shape: (height, width, 3) at which InceptionV3 sees the frames. precision: see Extractor.
    Returns the number of clips that failed, which are named on stderr. Raises what DataSet and Extractor raise.
    """
    import numpy as np
    from tqdm import tqdm
    from data import DataSet, spread

    dataset = DataSet(seq_length, class_limit, image_shape, data_dir)
    describe(dataset)
    from inception import features_id, weights_id
    identity = features_id(weights_id(weights), precision)
    missing = [row for row in dataset.data if not dataset.has_sequence(row, identity)]
    if not missing:
        print(f"All {len(dataset.data)} sequences are there already.")
        return 0
    cli.import_keras()
    from extractor import Extractor, read_image, resize
    extractor = Extractor(image_shape, weights, precision)
    failures = {}

    def load(path):
        return resize(read_image(path), image_shape)

    def frames():
        """Yields (clip, frame): all sampled frames of all clips, so that a batch may hold the end of one clip and the
        beginning of the next. A clip with an unreadable frame ends there."""
        with ThreadPoolExecutor(2) as pool:
            for row in missing:
                paths = dataset.get_frames_for_sample(row)
                loaded = [pool.submit(load, paths[i]) for i in spread(len(paths), seq_length)]
                try:
                    for image in loaded:
                        yield row, image.result()
                except (OSError, ValueError) as error:
                    failures[row] = error

    features = {}  # clip: features of its frames so far
    with tqdm(total=len(missing) * seq_length, unit="frame", desc="Extracting features", disable=quiet) as bar:
        for row, feature in extractor.stream(frames()):
            bar.update()
            features.setdefault(row, []).append(feature)
            if len(features[row]) == seq_length:
                sequence = np.stack(features.pop(row))
                if np.isfinite(sequence).all():
                    dataset.save_sequence(row, identity, sequence)
                else:
                    failures[row] = "its features are not all numbers; try another --precision or other --weights"
    for row, error in failures.items():
        cure = "" if isinstance(error, str) else f"; delete its {row.name}-frames.json and run extract_files.py again"
        print(f"{row.split}/{row.class_name}/{row.name}: left out, {cli.error_text(error)}{cure}", file=sys.stderr)
    print(f"{len(missing) - len(failures)} sequences extracted, {len(dataset.data) - len(missing)} were there already, "
          f"{len(failures)} failed.")
    return len(failures)


def describe(dataset):
    """Prints the classes in use, and what is left out of the dataset and why."""
    left_out = f" (left out by the limit: {', '.join(dataset.left_out_classes)})" if dataset.left_out_classes else ""
    print(f"Classes: {', '.join(dataset.classes)}{left_out}")
    for row in dataset.too_short:
        print(f"{row.split}/{row.class_name}/{row.name}: left out, {row.frames} frames are fewer than the sequence "
              f"length {dataset.seq_length}", file=sys.stderr)
    if dataset.too_short:
        print(f"{len(dataset.too_short)} clips are too short and left out.", file=sys.stderr)


def main(argv=None):
    parser = cli.make_parser(__doc__)
    cli.add_weights_option(parser)
    cli.add_precision_option(parser)
    cli.add_article_arguments(parser, "seq_length", "classes", "height", "width")
    args = parser.parse_args(argv)

    def work():
        with files.locked(args.data_dir):
            return 1 if extract_features(args.seq_length, args.classes, (args.height, args.width, 3), args.data_dir,
                                         args.weights, args.quiet, args.precision) else 0
    return cli.run(work)


if __name__ == "__main__":
    sys.exit(main())
