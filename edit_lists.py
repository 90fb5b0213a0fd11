"""Edit lists of MP4 and QuickTime files (ISO/IEC 14496-12, 8.6.6), which say what of a track is shown, in which order.

Whoever follows one makes an entry in memory for each frame of each edit. A file of 4 MB that repeats its thousand frames
300,000 times takes 2 GB of it, before the first frame is decoded: so edits are counted first.
"""
import os
import struct

MOST_EDITS = 100  # of a file; cameras and editors write one to three a track
MOST_BOXES = 1_000_000  # a recording in fragments has some for each second
DEEPEST = 10  # as deep as ffmpeg looks
TYPES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # of a file's first box
CONTAINERS = (b"moov", b"trak", b"edts")  # boxes that are looked into


def check_edits(path):
    """Raises ValueError, without naming the file, if its edit lists have more than MOST_EDITS entries or can't be counted.
    Other files than MP4 and QuickTime have none."""
    edits = boxes = 0
    with open(path, "rb") as file:
        if file.read(8)[4:] not in TYPES:
            return
        for kind, start in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            boxes += 1
            if kind == b"elst":
                file.seek(start + 4)
                edits += int.from_bytes(file.read(4), "big")
            if kind == b"cmov" or boxes > MOST_BOXES:
                raise ValueError("its header is compressed or endless; copy it with ffmpeg -i FILE -c copy NEW.mp4")
            if edits > MOST_EDITS:
                raise ValueError(f"its edit lists have {edits} entries, more than {MOST_EDITS}; encode it anew with ffmpeg")


def _boxes(file, at, end, depth=0):
    """Yields (type, where its content starts) of each box from `at` to before `end`, and of those in CONTAINERS."""
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        start = at + 8
        if size == 1 and len(head) == 16:  # a 64-bit size follows
            size, start = struct.unpack(">Q", head[8:])[0], at + 16
        after = end if size == 0 else at + size
        if after < start:
            return  # no box: the rest is damaged
        yield kind, start
        if kind in CONTAINERS and depth < DEEPEST:
            yield from _boxes(file, start, min(after, end), depth + 1)
        at = after
