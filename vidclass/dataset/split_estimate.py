"""What splitting clips into frames would make: how many frames, and how much disk they need."""

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from vidclass import parallel
from vidclass.console import error_text
from vidclass.dataset.splitting import ClipFile
from vidclass.progress import progress
from vidclass.text import size_text
from vidclass.video.images import jpeg_sizes
from vidclass.video.limits import VideoLimits
from vidclass.video.probe import VideoInfo, count_frames, probe

SAMPLED_CLIPS = 16  # of which some frames are made, to see how large they are
SAMPLED_FRAMES = 5  # of each


@dataclass(frozen=True)
class SplitEstimate:
    """What splitting clips would make."""

    frames: int
    frame_bytes: float  # of a JPEG, the mean
    measured: int  # frames by which that is known
    problems: dict[str, str]  # path of a clip that can't be split: a line that says why

    @property
    def bytes(self) -> int:
        """Of all frames."""
        return round(self.frames * self.frame_bytes)


def estimate_split(work: Sequence[ClipFile], limits: VideoLimits, quiet: bool = False) -> SplitEstimate:
    """The SplitEstimate of clips, by their headers and by a few frames that are made in memory only."""
    infos: dict[str, VideoInfo] = {}
    problems: dict[str, str] = {}
    paths = [path for _, path in work]
    with (
        contextlib.closing(parallel.each(lambda path: _probe(path, limits), paths)) as probed,
        progress(total=len(paths), unit="clip", desc="Looking at clips", quiet=quiet or not paths) as bar,
    ):
        for path, future in probed:
            bar.update()
            try:
                infos[path] = future.result()
            except (OSError, ValueError) as error:
                problems[path] = f"{path}: left out, {error_text(error).removeprefix(f'{path}: ')}"
    # By the pixel: clips of one dataset may be of several sizes.
    pixels, sizes = 0, []
    for path in sorted(infos)[:: -(-len(infos) // SAMPLED_CLIPS) or 1]:
        found = jpeg_sizes(path, SAMPLED_FRAMES, limits)
        sizes += found
        pixels += len(found) * infos[path].width * infos[path].height
    frames = sum(info.frames for info in infos.values())
    all_pixels = sum(info.frames * info.width * info.height for info in infos.values())
    mean = sum(sizes) / pixels * all_pixels / frames if pixels and frames else 0.0
    return SplitEstimate(frames, mean, len(sizes), problems)


def _probe(path, limits):
    info = probe(path, limits)
    frames = info.frames or count_frames(path, limits)
    if frames > limits.max_frames:
        raise ValueError(f"it has {frames} frames, more than {limits.max_frames}")
    return info._replace(frames=frames)


def disk_text(needed: int, folder: str | os.PathLike) -> str:
    """How much disk is needed, and how much is free where a folder is."""
    free = shutil.disk_usage(folder).free
    short = f": {size_text(needed - free)} too little" if needed > free else ""
    return f"{size_text(needed)} of disk needed, {size_text(free)} free{short}"
