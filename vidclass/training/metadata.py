"""The metadata of a checkpoint: what is stored beside its weights, and which values are accepted from a file
that anyone may have made.
"""

import json
import math
import os
import re
import unicodedata
from dataclasses import asdict, dataclass

from vidclass.errors import INT8
from vidclass.features.identity import are_ranges

MODELS = {
    "lstm": 64,
    "bilstm": 64,
    "gru": 64,
    "article": 2048,
}  # name: units of its recurrent layer by default
# Limits of what is accepted from a file that anyone may have made. What train.py writes lies far within them.
LIMITS: dict[str, tuple] = {
    "seq_length": (1, 65536),
    "units": (1, 65536),
    "features_length": (1, 65536),
    "dense": (0, 65536),
    "network": (1, 3),
    "members": (1, 20),
    "epoch": (0, 10**9),
    "temperature": (1e-3, 1e3),
    "clip_seconds": (1e-3, 86400.0),  # a millisecond to a day
}
MOST_FEATURES = 2**24  # numbers in a sequence: 64 MB, 8192 frames of 2048 features
# Of a frame for InceptionV3, which takes 200 bytes for each in each of two batches: 4K video's, 3.4 GB.
MOST_PIXELS = 2**23
MOST_CLASSES = 4096
LONGEST_NAME = 255  # bytes, as file systems have it: classes are folders
LONGEST_PATH = 4095  # bytes, as Linux has it
RENAME = "give the class's folders another name, and run extract_files.py again"
CURES = {
    "seq_length": "give a shorter sequence",
    "units": "give other --units",
    "clip_seconds": "cut the clips to another length, cut_clips.py --seconds",
}
REVERSALS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass
class Metadata:
    """What clasify.py and a training that goes on need to know of a checkpoint beside its weights."""

    class_names: list[str]  # in the order of the network's outputs
    seq_length: int  # frames per sequence
    image_shape: list[int]  # height, width, 3: the size at which InceptionV3 saw the frames
    clip_seconds: float  # the time that a training clip spanned
    weights: str  # identity of InceptionV3's weights
    weights_name: str  # how the user named them, for messages
    model: str = "lstm"
    units: int = 64
    dense: int = 0  # width of the article network's hidden layer, 0 for others
    network: int = 1  # version of the network's architecture, see newest_network
    members: int = 1  # networks of which it is the mean, one for each fold
    features_length: int = 2048  # numbers of a frame
    temperature: float = 1.0  # by which the logits are divided to get calibrated probabilities
    weights_path: str | None = None  # where their file was, absolute; None: there was none, or nobody knows
    # Of InceptionV3's activations, if the features are those of 8-bit integers, see int8.measure_ranges.
    ranges: list[float] | None = None
    epoch: int = 0  # after which it was saved, counted from 1
    val_loss: float | None = None  # of that epoch
    training: dict | None = None  # options of train.py that decide which clips it trains on, and how

    def precision(self, asked: str) -> str:
        """In which InceptionV3 computes what this checkpoint works on: what --precision asks for; by default
        int8 if it was trained on that."""
        return INT8 if self.ranges and asked == "auto" else asked


def newest_network(model: str) -> int:
    """The version of a network's architecture that is trained today: 3, branches that see different things of
    a sequence, see branches.py. Checkpoints of earlier versions: 1 sees the frames alone, in 2 the summary
    learns by gradients. The article's network has no other."""
    return 1 if model == "article" else 3


def branch_count(network: int, seq_length: int | None) -> int:
    """The number of branches of a version of the architecture; one frame alone has no steps to see."""
    return 1 if network == 1 or seq_length == 1 else 3


def parse_metadata(text: str, path: str | os.PathLike) -> Metadata:
    """The Metadata in a checkpoint's attribute, names made printable. Raises ValueError, naming the file, if
    they are damaged or beyond LIMITS."""
    try:
        metadata = _read(text)
    except Unsound as error:
        raise ValueError(f"{path}: its metadata is damaged ({error})") from None
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
        raise ValueError(f"{path}: its metadata is damaged") from None
    metadata.class_names = [printable_name(name) for name in metadata.class_names]
    metadata.weights_name = printable_name(metadata.weights_name)
    return metadata


class Unsound(ValueError):
    """What is wrong in metadata. cure: what to do about it before they are written."""

    def __init__(self, text: str, cure: str = ""):
        super().__init__(text)
        self.cure = cure


def check_writable(metadata: Metadata) -> None:
    """Raises ValueError, with the cure, if a checkpoint with these Metadata would be refused when it is
    read."""
    try:
        _read(json.dumps(asdict(metadata)))
    except Unsound as error:
        cure = f"; {error.cure}" if error.cure else ""
        raise ValueError(f"no checkpoint could be read again: {error}{cure}") from None


def _read(text):
    """The Metadata in a JSON text. Raises Unsound, or what else damaged JSON leads to."""
    metadata = Metadata(**json.loads(text))
    _check(metadata)
    return metadata


def _check(metadata):
    """Raises Unsound unless metadata from a file is of the right types and within reason. May raise
    TypeError."""
    for name, (least, most) in LIMITS.items():
        value = getattr(metadata, name)
        kinds = (int, float) if name in ("clip_seconds", "temperature") else (int,)
        if type(value) not in kinds or not least <= value <= most:
            raise Unsound(f"{name} is not between {least} and {most}", CURES.get(name, ""))
    if metadata.seq_length * metadata.features_length > MOST_FEATURES:
        most = MOST_FEATURES // metadata.features_length
        raise Unsound(
            f"a sequence has more than {MOST_FEATURES} numbers",
            f"give a shorter sequence, of at most {most} frames",
        )
    if metadata.network > newest_network(metadata.model):
        raise Unsound("network")
    if metadata.members > 1 and metadata.network == 1 and metadata.model != "article":
        raise Unsound("members")
    _check_names(metadata.class_names)
    _check_image_shape(metadata.image_shape)
    if metadata.model not in MODELS or not re.fullmatch("[0-9A-Za-z_-]{1,64}", metadata.weights):
        raise Unsound("model or weights")
    if type(metadata.weights_name) is not str or len(metadata.weights_name) > LONGEST_NAME:
        raise Unsound("weights_name")
    _check_path(metadata.weights_path)
    if metadata.val_loss is not None and not math.isfinite(metadata.val_loss):
        raise Unsound("val_loss")
    if metadata.ranges is not None and not are_ranges(metadata.ranges):
        raise Unsound("ranges")
    if metadata.training is not None:
        _check_training(**metadata.training)


def _check_names(names):
    """Raises Unsound unless they are a list of different names that a folder could have, as train.py's
    classes do."""
    if type(names) is not list or not 2 <= len(names) <= MOST_CLASSES:
        raise Unsound(f"class_names are not 2 to {MOST_CLASSES} names", "give fewer classes")
    for name in names:
        try:
            length = len(name.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise Unsound("a class name is not text") from None
        if not 0 < length <= LONGEST_NAME or "/" in name or "\0" in name:
            raise Unsound(f"a class name that no folder can have, of {length} bytes", RENAME)
    if len(set(map(printable_name, names))) < len(names):
        raise Unsound("two classes of one name", RENAME)


def _check_path(path):
    """Raises Unsound unless it is None or can be an absolute path: what is there is looked at with
    weights_file.find_weights only."""
    if path is None:
        return
    try:
        length = len(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise Unsound("weights_path is not text") from None
    if length > LONGEST_PATH or "\0" in path or not os.path.isabs(path):
        raise Unsound("weights_path is no absolute path")


def _check_training(validation_split, seed, batch_size, group, **others):
    if not (
        type(validation_split) is float
        and 0 < validation_split < 1
        and type(seed) is int
        and seed >= 0
        and type(batch_size) is int
        and (group is None or type(group) is bool)
        and all(value is None or type(value) in (bool, int, float, str) for value in others.values())
    ):
        raise Unsound("training")


def _check_image_shape(image_shape):
    """Raises Unsound unless frames of this (height, width, 3) can go through InceptionV3 in reasonable
    memory."""
    height, width, channels = image_shape
    if not (all(type(number) is int and number > 0 for number in image_shape) and channels == 3):
        raise Unsound("image_shape is not height, width, 3")
    if height * width > MOST_PIXELS:
        raise Unsound(
            f"frames of {height}x{width} pixels; at most {MOST_PIXELS} are possible",
            "give a smaller height and width",
        )


def printable_name(name: str) -> str:
    """A name without what would act on a terminal or is not text: control characters, line ends, reversals of
    the writing direction and bytes that are not UTF-8, each as its escape in Python (\\x1b)."""
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in REVERSALS
        else letter
        for letter in name
    )
