"""Options of the commands that make the dataset: cut_clips.py and extract_files.py."""

from dataclasses import dataclass
from fractions import Fraction

from vidclass.errors import UsageError, check_choice, check_count, check_seconds
from vidclass.names import SPLITS
from vidclass.video.limits import VideoLimits


@dataclass(frozen=True)
class CutOptions:
    """Options of cut_clips(). Raises UsageError for values that make no sense."""

    seconds: float | Fraction = Fraction(3)  # length of a clip
    data_dir: str = "data"  # the dataset's folder
    test_split: float = 0.2  # share of each class's clips for the test split, by whole stretches
    split: str | None = None  # of all clips, "train" or "test"; None: some are for the test split
    seed: int = 0  # of the choice of those stretches
    edl_class: str = "Commercial"  # class of the stretches that an EDL or comskip marks
    rest: str | None = None  # class of all that has no label; None: it isn't cut
    redraw: bool = False  # draw the splits anew, also of footage that was cut before
    dry_run: bool = False  # print the plan, cut and remove nothing
    limits: VideoLimits = VideoLimits()
    quiet: bool = False  # no progress bars

    def __post_init__(self) -> None:
        check_seconds("--seconds", self.seconds)
        if not 0 <= self.test_split < 1:
            raise UsageError(f"--test-split {self.test_split:g} is not between 0 and 1")
        if self.split is not None:
            check_choice("--split", self.split, SPLITS)
        check_count("--seed", self.seed, least=0)


@dataclass(frozen=True)
class SplitOptions:
    """Options of extract_files(). Raises UsageError for values that make no sense."""

    data_dir: str = "data"  # the dataset's folder
    # Address of a Ray cluster to work on, see ray_cluster.connected; None: this machine.
    ray: str | None = None
    workers: int | None = None  # of the cluster's processes at most; None: as many as fit
    dry_run: bool = False  # print how many frames it would be, and the disk they need; write nothing
    limits: VideoLimits = VideoLimits()
    quiet: bool = False  # no progress bars

    def __post_init__(self) -> None:
        check_count("--workers", self.workers)
