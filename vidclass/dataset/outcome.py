"""What became of a clip that was split into frames, decoded or cut."""

from dataclasses import astuple, dataclass

from vidclass.dataset.data_file import Clip


@dataclass(frozen=True)
class Outcome:
    """What became of a clip. A problem without a failure is something that is missing of it."""

    clip: Clip
    failed: bool = False
    problem: str | None = None  # why it failed, or what of it is missing
    is_fatal: bool = False  # nothing after it can succeed either: a full disk

    def as_list(self) -> list:
        """What JSON can hold of it, on its way from a cluster's worker; from_list reads it."""
        return list(astuple(self))

    @classmethod
    def from_list(cls, values: list) -> "Outcome":
        """The Outcome that as_list was called for."""
        clip, *others = values
        return cls(Clip(*clip), *others)

    def line(self, name: str | None = None) -> str:
        """The problem, as a line for people that names the clip, or its file if that is given."""
        return f"{name or '/'.join(self.clip[:3])}: {'left out, ' if self.failed else ''}{self.problem}"
