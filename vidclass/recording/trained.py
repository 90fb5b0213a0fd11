"""What a checkpoint says of its training that classification must do in the same way."""

from dataclasses import dataclass, replace
from fractions import Fraction

from vidclass.console import printable
from vidclass.dataset.data_file import choose_classes, read_data_file
from vidclass.errors import INT8, UsageError
from vidclass.features import weights_file
from vidclass.features.identity import weights_id
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.windows import WindowSpec
from vidclass.training.checkpoint import Checkpoint
from vidclass.video.probe import VideoInfo


@dataclass(frozen=True)
class Trained:
    """How a checkpoint was trained."""

    seq_length: int  # frames of a sequence
    classes: list[str]  # in the order of the network's outputs
    image_shape: tuple[int, int, int]  # height, width, 3 of the frames for InceptionV3
    clip_seconds: float | None  # that a clip, and so a window, lasts; None: seq_length consecutive frames
    weights: str  # InceptionV3's: imagenet, random, or a file
    precision: str  # in which InceptionV3 computes, see Extractor
    ranges: list[float] | None = None  # of its activations, for int8; None: to be measured on the recording

    def at_size(self, info: VideoInfo) -> "Trained":
        """The same for another video than it was read for: without metadata, frames keep the video's size."""
        return self if self.clip_seconds else replace(self, image_shape=(info.height, info.width, 3))

    def window_spec(self, fps: Fraction, hop: float | Fraction | None = None) -> WindowSpec:
        """The windows of a video. hop: seconds from one to the next (None: a window). Raises UsageError if
        that would leave gaps."""
        length = Fraction(self.clip_seconds) * fps if self.clip_seconds else Fraction(self.seq_length)
        spec = WindowSpec(self.seq_length, length, Fraction(hop) * fps if hop else length)
        if spec.hop > spec.length:
            seconds = float(spec.length / fps)
            raise UsageError(f"--hop {float(hop or 0):g} would leave gaps: a window is {seconds:g} s")
        return spec


def read_trained(
    saved_model: str,
    seq_length: int | None,
    class_limit: int | None,
    options: ClassifyOptions,
    info: VideoInfo | None = None,
) -> Trained:
    """How a checkpoint was trained, from its metadata.

    seq_length, class_limit: None: the metadata tell them. info: of the video. A checkpoint of the article's
    repository has no metadata: then the classes come from data_file.csv, frames keep the video's size, and a
    window is seq_length consecutive frames, as in the article's clasify.py; for a live source, without info,
    that won't do.

    Raises UsageError if the arguments contradict the checkpoint.
    """
    with Checkpoint(saved_model) as file:
        metadata = file.metadata
        file.check_arguments(seq_length, class_limit)
    weights = options.weights
    if metadata is None:
        if info is None:
            raise UsageError(
                f"{saved_model} doesn't say how long a window is; --stream needs a checkpoint of train.py"
            )
        if seq_length is None or class_limit is None:
            raise UsageError(
                f"{saved_model} doesn't say how it was trained, it is not one of train.py: give the sequence "
                f"length and the number of classes before it, python clasify.py 75 2 {saved_model} VIDEO"
            )
        classes, _ = choose_classes(read_data_file(options.data_dir), class_limit, options.data_dir)
        shape = info.height, info.width, 3
        return Trained(seq_length, classes, shape, None, weights or "imagenet", options.precision)
    if weights is None:
        weights = _find_weights(metadata, saved_model)
    elif weights_id(weights) != metadata.weights:
        raise UsageError(
            f"{saved_model} was trained on features of the InceptionV3 weights {metadata.weights_name} "
            f"({metadata.weights}), not {weights}; give them with --weights"
        )
    height, width, channels = metadata.image_shape
    shape = height, width, channels
    precision = metadata.precision(options.precision)
    if precision == INT8 and not metadata.ranges and info is None:
        raise UsageError(
            f"{saved_model} has no ranges for --precision int8; --stream needs a checkpoint of train.py "
            f"--precision int8"
        )
    return Trained(
        metadata.seq_length,
        metadata.class_names,
        shape,
        metadata.clip_seconds,
        weights,
        precision,
        metadata.ranges if precision == INT8 else None,
    )


def _find_weights(metadata, saved_model):
    """InceptionV3's weights of a checkpoint, where nobody gives them: imagenet, random, or a file's path."""
    identity = metadata.weights
    if identity == "random":
        return identity
    path = weights_file.find_weights(identity, metadata.weights_path)
    if path is None and identity == "imagenet":
        return identity
    if path is None:
        was = f" at {printable(metadata.weights_path)}" if metadata.weights_path else ""
        raise UsageError(
            f"{saved_model} was trained on features of the InceptionV3 weights {metadata.weights_name} "
            f"({identity}), which are not to be found{was}; give them with --weights, or name their folder "
            f"in the environment variable {weights_file.FOLDER}"
        )
    return path
