"""How result.avi, .mp4, .mov and .mkv are encoded: ffmpeg's arguments by the file's extension."""

import functools
import os
import re

from vidclass.video.ffmpeg import ask

# Extension: ffmpeg's name of the container.
CONTAINERS = {".avi": "avi", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# What players open: 4:2:0, and colours that are tagged. Without the tags a player guesses from the size.
BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
YUV = ("-pix_fmt", "yuv420p", *BT709, "-color_range", "tv")
AVI_CODING = ("-c:v", "mpeg4", "-vtag", "XVID", "-q:v", "3", "-c:a", "libmp3lame", "-b:a", "192k")
LAME_DELAY = 576 + 529  # of its encoder and of every decoder of MP3
AAC = ("-c:a", "aac", "-b:a", "192k")
# Options of the scale filter. An AVI has no tags: players of that time take it for BT.601.
AVI_COLORS = "out_color_matrix=bt601:out_range=tv"
COLORS = "out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bicubic"


def container(path: str | os.PathLike) -> str:
    """ffmpeg's name of the container that a file's extension asks for. Raises ValueError, naming the file,
    for others."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in CONTAINERS:
        why = f"no video is written as '{extension}'" if extension else "the name has no extension"
        raise ValueError(f"{path}: {why}; end the name in {', '.join(CONTAINERS)}")
    return CONTAINERS[extension]


def encoded_size(path: str | os.PathLike, height: int, width: int) -> tuple[int, int]:
    """(height, width) of a video that is made of frames of some size: odd ones get one more row or column
    where 4:2:0 has none that are odd, in H.264."""
    if container(path) == "avi":
        return height, width
    return height + height % 2, width + width % 2


def arguments(path: str | os.PathLike, ffmpeg: str, bits: int) -> tuple[str, list[str]]:
    """ffmpeg's arguments for an output: (options of the scale filter that converts the colours, list).
    ffmpeg: the program. bits: per second, for encoders that can't be given a quality."""
    name = container(path)
    # The sound's encoder starts before 0, and pictures are stored before they are shown: all would be shown
    # later.
    in_place = () if name in ("mp4", "mov") else ("-avoid_negative_ts", "disabled")
    if name == "avi":
        return AVI_COLORS, [*AVI_CODING, *in_place, "-f", name]
    encoder = {
        "libx264": ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18"),
        "libopenh264": ("-c:v", "libopenh264", "-b:v", str(bits)),
        "mpeg4": ("-c:v", "mpeg4", "-q:v", "3"),
    }[best_encoder(ffmpeg)]
    return COLORS, [*encoder, *YUV, *AAC, *(in_place or ("-movflags", "+faststart")), "-f", name]


def delay(path: str | os.PathLike) -> int:
    """Samples of silence with which the sound's encoder begins and that the container doesn't tell players to
    leave out: LAME's, in an AVI."""
    return LAME_DELAY if container(path) == "avi" else 0


@functools.cache
def best_encoder(ffmpeg: str) -> str:
    """The best video encoder for MP4 that an ffmpeg has. Those that need a certain graphics card are listed
    without it, too."""
    known = set(re.findall(r"^ V\S* (\S+)", ask(ffmpeg, "-encoders"), re.M))
    return next((name for name in ("libx264", "libopenh264") if name in known), "mpeg4")
