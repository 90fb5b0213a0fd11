"""What clasify.py may be told beside the article's arguments."""

import os
from dataclasses import dataclass
from fractions import Fraction

from vidclass.errors import (
    PRECISIONS,
    UsageError,
    check_choice,
    check_count,
    check_names,
    check_seconds,
    check_shard,
)
from vidclass.recording.exporters import WRITERS
from vidclass.recording.segments import Smoothing
from vidclass.video import encoders
from vidclass.video.limits import VideoLimits

# What ffmpeg may open for an address: never a file, whatever a playlist says.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,tls,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtp": "rtp,udp",
    "srt": "srt,udp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp,crypto",
}


@dataclass(frozen=True)
class ClassifyOptions:
    """Options of clasify(). Raises UsageError if they contradict each other."""

    data_dir: str = "data"  # where data_file.csv gives the classes of a checkpoint that has none
    weights: str | None = None  # InceptionV3's; None: those that the checkpoint was trained with
    precision: str = "auto"  # in which InceptionV3 computes, see Extractor
    hop: float | Fraction | None = None  # seconds from one window's start to the next's; None: a window
    smoothing: Smoothing | None = None  # None: each window is of its likeliest class
    output: str = "result.avi"  # what goes beside it has its name, too
    export: tuple[str, ...] = ("csv",)  # names of exporters.WRITERS
    skip: tuple[str, ...] = ()  # classes that an EDL tells a player to skip
    keep: tuple[str, ...] = ()  # classes of a copy of the recording that has nothing else
    exact: bool = False  # encode that copy anew, cut to the frame
    video: bool = True  # write `output`
    audio: bool = True  # with the video's sound
    strip: bool = True  # with a strip of the classes over time
    report: bool = False  # write result.html and result.png
    limits: VideoLimits = VideoLimits()
    quiet: bool = False  # print results only

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", os.fspath(self.output))  # a notebook may give a Path
        check_choice("--precision", self.precision, PRECISIONS)
        for option, names in (("--export", self.export), ("--skip", self.skip), ("--keep", self.keep)):
            check_names(option, names)
        check_seconds("--hop", self.hop)
        if self.smoothing is not None and not isinstance(self.smoothing, Smoothing):
            raise UsageError(f"smoothing={self.smoothing!r}: expected Smoothing() or None")
        unknown = [name for name in self.export if name not in WRITERS]
        if unknown:
            raise UsageError(f"--export {','.join(unknown)}: expected one or more of {', '.join(WRITERS)}")
        if self.video:
            try:
                encoders.container(self.output)
            except ValueError as error:
                raise UsageError(f"--output {error}") from None
        if "edl" in self.export and not self.skip:
            raise UsageError("--export edl lists what a player skips: name those classes with --skip")
        if self.exact and not self.keep:
            raise UsageError("--exact is for --keep")

    def check_classes(self, classes: list[str]) -> None:
        """Raises UsageError unless the classes that options name are among the checkpoint's, and of use."""
        for option, names in (("--skip", self.skip), ("--keep", self.keep)):
            unknown = sorted(set(names) - set(classes))
            if unknown:
                raise UsageError(
                    f"{option}: no class is called {', '.join(unknown)}; there are {', '.join(classes)}"
                )
        if self.skip and "edl" not in self.export:
            raise UsageError("--skip names what a player skips by the EDL: add --export edl")
        if self.keep and set(self.keep) == set(classes):
            raise UsageError("--keep names all classes: that is the recording itself")


@dataclass(frozen=True)
class ManyOptions:
    """Options of clasify_many(). Raises UsageError for values that make no sense."""

    output_dir: str  # folder of the results
    # Of each recording; their `output` is what comes of `output_dir` and the recording's name.
    each: ClassifyOptions = ClassifyOptions()
    shard: tuple[int, int] | None = None  # (i, n): only the i-th of n parts of the recordings, from 1
    ray: str | None = None  # address of a Ray cluster to work on, see ray_cluster.connected
    workers: int | None = None  # on the cluster, at most; None: as many as fit
    cpus: int | None = None  # processors of each worker; None: see ray_cluster.resources

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_dir", os.fspath(self.output_dir))
        if not isinstance(self.each, ClassifyOptions):
            raise UsageError(f"each={self.each!r}: expected ClassifyOptions()")
        if self.each.output != ClassifyOptions.output:
            raise UsageError(
                "--output names the results of one video, --output-dir the folder for many: leave one of "
                "them out"
            )
        check_count("--workers", self.workers)
        check_count("--cpus", self.cpus)
        check_shard(self.shard)
