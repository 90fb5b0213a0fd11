"""What a checkpoint says of its training that classification must do in the same way."""

from dataclasses import dataclass
from fractions import Fraction

from vidclass.dataset.data_file import choose_classes, read_data_file
from vidclass.errors import INT8, UsageError
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
    seq_length: int,
    class_limit: int,
    options: ClassifyOptions,
    info: VideoInfo | None = None,
) -> Trained:
    """How a checkpoint was trained, from its metadata.

    info: of the video. A checkpoint of the article's repository has no metadata: then the classes come from
    data_file.csv, frames keep the video's size, and a window is seq_length consecutive frames, as in the
    article's clasify.py; for a live source, without info, that won't do.

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
        classes, _ = choose_classes(read_data_file(options.data_dir), class_limit, options.data_dir)
        shape = info.height, info.width, 3
        return Trained(seq_length, classes, shape, None, weights or "imagenet", options.precision)
    if weights is None and metadata.weights in ("imagenet", "random"):
        weights = metadata.weights
    elif weights is None or weights_id(weights) != metadata.weights:
        raise UsageError(
            f"{saved_model} was trained on features of the InceptionV3 weights {metadata.weights_name} "
            f"({metadata.weights}){f', not {weights}' if weights else ''}; give them with --weights"
        )
    height, width, channels = metadata.image_shape
    shape = height, width, channels
    precision = INT8 if metadata.ranges and options.precision == "auto" else options.precision
    if precision == INT8 and not metadata.ranges and info is None:
        raise UsageError(
            f"{saved_model} has no ranges for --precision int8; --stream needs a checkpoint of train.py "
            f"--precision int8"
        )
    return Trained(
        seq_length,
        metadata.class_names,
        shape,
        metadata.clip_seconds,
        weights,
        precision,
        metadata.ranges if precision == INT8 else None,
    )
