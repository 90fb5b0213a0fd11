"""What became of a clip that was split into frames, decoded or cut."""

from dataclasses import dataclass

from vidclass.dataset.data_file import Clip


@dataclass(frozen=True)
class Outcome:
    """What became of a clip. A problem without a failure is something that is missing of it."""

    clip: Clip
    failed: bool = False
    problem: str | None = None  # why it failed, or what of it is missing
    is_fatal: bool = False  # nothing after it can succeed either: a full disk
