"""What label.py may be told."""

from dataclasses import dataclass
from typing import Any

from vidclass.dataset.labels import check_class
from vidclass.errors import UsageError, check_count, check_names
from vidclass.text import one_line
from vidclass.video.limits import VideoLimits


@dataclass(frozen=True)
class LabelOptions:
    """Options of label(). Raises UsageError for values that make no sense."""

    classes: tuple[str, ...] = ()  # in the order of their keys; those of the label file follow
    checkpoint: str | None = None  # to classify the recording with first
    weights: str | None = None  # InceptionV3's, for the checkpoint; None: those that it was trained with
    port: int = 0  # 0: any that is free
    browser: bool = True  # open the page there
    data_dir: str = "data"  # the dataset's folder, whose classes are offered
    limits: VideoLimits = VideoLimits()
    quiet: bool = False  # print errors and the address only

    def __post_init__(self) -> None:
        check_names("--classes", self.classes)
        for name in self.classes:
            try:
                check_typed(name)
            except ValueError as error:
                raise UsageError(f"--classes: {error}") from None
        check_count("--port", self.port, least=0)
        if self.port > 65535:
            raise UsageError(f"--port {self.port}: ports end at 65535")


def check_typed(name: Any) -> None:
    """Raises ValueError unless a person may have typed this as a class."""
    if not isinstance(name, str):
        raise ValueError("a class is text")
    check_class(name)
    if name != name.strip() or one_line(name) != name:
        raise ValueError(f"{name[:50]!r} can't be a class: it has blanks at its ends, or more than text")
