"""Checks an MP4 or QuickTime file's header (ISO/IEC 14496-12) before a player reads it.

A player makes an entry in memory for each frame of each edit (8.6.6), and for each sample, before it decodes
a frame. A file of 4 MB whose edit list repeats its thousand frames 300,000 times takes 2 GB, one of 16 kB
that announces 80 million samples of one size 3 GB: so both are counted first.
"""

import os
import struct

MOST_EDITS = 100  # of a file; cameras and editors write one to three a track
MOST_BOXES = 1_000_000  # a recording in fragments has some for each second
LARGEST_HEADER = 2**28  # bytes; a day at 60 frames a second needs half of it
EDIT_BYTES = 12  # at least


def check_header(path: str | os.PathLike) -> None:
    """Raises ValueError, without naming the file, if its edit lists have more than MOST_EDITS entries or it
    announces more bytes of samples than it has. Other files than MP4 and QuickTime pass.

    Players find these boxes in many places, some where no one would put them: so all but the samples is
    searched for them.
    """
    edits, size = 0, os.path.getsize(path)
    with open(path, "rb") as file:
        for at, end in _headers(file, size):
            file.seek(at)
            content = file.read(end - at)
            if b"cmov" in content:
                raise ValueError("its header is compressed; copy it with ffmpeg -i FILE -c copy NEW.mp4")
            edits += sum(_edits(content, place) for place in _places(content, b"elst"))
            if edits > MOST_EDITS:
                raise ValueError(
                    f"its edit lists have {edits} entries, more than {MOST_EDITS}; encode it anew with ffmpeg"
                )
            for place in _places(content, b"stsz"):
                sample_size, samples = struct.unpack(">II", content[place + 8 : place + 16].ljust(8, b"\0"))
                if sample_size * samples > 2 * size:  # twice: one that was cut short may still be read
                    raise ValueError(
                        f"its header announces {samples} samples of {sample_size} bytes, more than it holds"
                    )


def _headers(file, size):
    """Yields (begin, end) of each box that may be a header: all on top but the samples."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:  # a 64-bit length follows
            length = struct.unpack(">Q", head[8:])[0]
        end = size if length == 0 else min(at + length, size)
        is_small = end - at <= LARGEST_HEADER
        if not is_small and kind in (b"moov", b"hoov", b"moof"):
            raise ValueError(f"its header has {(end - at) >> 20} MB, more than {LARGEST_HEADER >> 20}")
        # In other containers hardly anything looks like a box.
        if is_small and kind.isalnum() and kind != b"mdat":
            yield at, end
        at = max(end, at + 8)


def _places(content, kind):
    """Where a type of box stands in some bytes."""
    at = content.find(kind)
    while at >= 0:
        yield at
        at = content.find(kind, at + 4)


def _edits(content, place):
    """How many edits there are, at most, in a box whose type is at this place."""
    length = int.from_bytes(content[max(0, place - 4) : place], "big")
    told = int.from_bytes(content[place + 8 : place + 12], "big")
    return min(told, max(0, length - 16) // EDIT_BYTES)
