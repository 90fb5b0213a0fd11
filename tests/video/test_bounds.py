"""Videos that never end, by mistake or on purpose: what is decoded is bounded, in frames and in time."""

import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, assert_one_line_error, run
from helpers import ffmpeg

from vidclass.video.ffmpeg import passthrough
from vidclass.video.limits import frame_limit
from vidclass.video.mp4_header import check_header
from vidclass.video.probe import count_frames, probe
from vidclass.video.reader import FrameReader
from vidclass.video.watchdog import Watchdog


def repeat(path, times, ms):
    """Gives an MP4 with one track an edit list that shows its first `ms` milliseconds so many times."""
    data = bytearray(path.read_bytes())

    def find(at, end, names):
        """Places and sizes of boxes that lie in each other."""
        while at < end:
            size, name = struct.unpack(">I4s", data[at : at + 8])
            if name == names[0]:
                return [(at, size), *(find(at + 8, at + size, names[1:]) if names[1:] else [])]
            at += size
        raise AssertionError(names)

    (moov, moov_size), (trak, trak_size), (edts, edts_size) = find(0, len(data), [b"moov", b"trak", b"edts"])
    entries = struct.pack(">IIHH", ms, 0, 1, 0) * times
    new = struct.pack(">I4sI4sII", 24 + len(entries), b"edts", 16 + len(entries), b"elst", 0, times) + entries
    data[edts : edts + edts_size] = new
    struct.pack_into(">I", data, moov, moov_size + len(new) - edts_size)
    struct.pack_into(">I", data, trak, trak_size + len(new) - edts_size)
    path.write_bytes(data)


@pytest.fixture
def repeating(make_clip):
    """repeating(path, times): a clip of 1000 small frames, 1000 a second, that its edit list repeats."""

    def make(path, times):
        clip = make_clip(
            path,
            fps="1000",
            size="64x48",
            extra=("-c:v", "libx264", "-bf", "0", "-crf", "50", "-pix_fmt", "yuv420p"),
        )
        repeat(clip, times, 1000)
        return clip

    return make


def test_an_edit_list_without_end_is_refused_before_it_takes_memory(repeating):
    clip = repeating("a.mp4", 30_000)
    for look in (probe, FrameReader):
        with pytest.raises(ValueError, match=r"a.mp4: its edit lists have 30000 entries"):
            look(clip)


def test_frames_that_an_edit_list_repeats_are_counted_up_to_what_the_file_can_hold(repeating, tmp_path):
    clip = repeating("data/train/A/a.mp4", 90)
    most = frame_limit(clip)
    assert 1000 < most < 90_000
    with pytest.raises(ValueError, match=f"more than {most} frames come out of"):
        probe(clip)  # 1000 frames a second: it must decode to know the rate
    os.makedirs(tmp_path / "data/train/B")
    result = run(tmp_path, "extract_files.py", "mp4", "--quiet")
    assert result.returncode == 1 and f"more than {most} frames come out of" in result.stderr
    assert os.listdir(clip.parent) == ["a.mp4"]


def test_a_reader_stops_at_that_limit_too(make_clip):
    clip = make_clip(
        "a.mp4",
        fps="25",
        seconds=40,
        size="64x48",
        extra=("-c:v", "libx264", "-bf", "0", "-crf", "50", "-pix_fmt", "yuv420p"),
    )
    repeat(clip, 90, 40_000)
    with pytest.raises(ValueError, match="a.mp4: more than .* an edit list repeats them"):
        for _ in FrameReader(clip):
            pass
    with pytest.raises(ValueError, match="a.mp4: more than .* an edit list repeats them"):
        count_frames(clip)


def test_honest_edit_lists_and_fragments_are_read(make_clip, tmp_path):
    clip = make_clip("a.mp4", seconds=4)
    edited, fragments = tmp_path / "edited.mp4", tmp_path / "fragments.mp4"
    for options, path in ((("-ss", "1.3"), edited), (("-movflags", "frag_keyframe+empty_moov"), fragments)):
        place = 0 if path == edited else 4
        command = ["-i", clip, "-c", "copy"]
        command[place:place] = options
        ffmpeg(*command, path)
        assert len(list(FrameReader(path))) == count_frames(path) == (67 if path == edited else 100)


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


EDITS = box(b"elst", struct.pack(">II", 0, 500) + struct.pack(">IIHH", 1000, 0, 1, 0) * 500)
SIZES = box(b"stsz", struct.pack(">III", 0, 16, 80_000_000))


@pytest.mark.parametrize(
    "content, said",
    [
        (box(b"ftyp", b"isom") + box(b"moov", box(b"trak", box(b"edts", EDITS))), "500 entries"),
        (
            box(b"ftyp", b"isom")
            + box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", EDITS))))),
            "500 entries",
        ),
        (box(b"ftyp", b"isom") + box(b"moov", box(b"udta", box(b"edts", EDITS))), "500 entries"),
        (box(b"junk", b"12345678") + box(b"moov", EDITS), "500 entries"),
        (box(b"ftyp", b"isom") + box(b"free", box(b"mvhd", b"") + EDITS), "500 entries"),
        (struct.pack(">I4sQ", 1, b"moov", 16 + len(EDITS)) + EDITS, "500 entries"),
        (struct.pack(">I4s", 0, b"moov") + EDITS, "500 entries"),
        (box(b"moov", box(b"elst", struct.pack(">II", 0, 60) + bytes(720))) * 2, "120 entries"),
        (box(b"ftyp", b"isom") + box(b"moov", SIZES), "80000000 samples of 16 bytes"),
        (b"\0\0\0\x18moov\0\0\0\x10cmov\0\0\0\x08dcom", "header is compressed"),
    ],
)
def test_headers_that_would_take_memory(tmp_path, content, said):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.mp4: .*{said}"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0\x08ftyp" + b"\0\0\0\x08moov" * 100,
        b"\0\0\0\0ftyp",
        b"\0\0\0\1moov" + b"\xff" * 8,
        b"\0\0\0\1ftyp",
        b"\0\0\x10\0moov\0\0\0\x01trak",
        box(b"ftyp", b"isom") + struct.pack(">I4s", 1 << 31, b"mdat") + EDITS,
        box(b"moov", b"elst"),
        box(b"moov", b"stsz"),
        b"YUV4MPEG2 W64 H48 F25:1" + bytes(10_000),
    ],
)
def test_headers_that_tell_of_nothing(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    check_header(tmp_path / "a.mp4")


def test_an_ffmpeg_that_is_stuck_is_ended(make_clip, tmp_path, monkeypatch):
    """In place of ffmpeg there is a program that says nothing, as one would that waits for a dead network
    share."""
    clip = make_clip("data/train/A/a.mp4")
    info = probe(clip)
    passthrough()  # asked once
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(stuck.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("vidclass.video.ffmpeg.find_ffmpeg", lambda: str(stuck))
    for module in ("vidclass.video.reader", "vidclass.video.images"):
        monkeypatch.setattr(f"{module}.probe", lambda path, limits: info)
    monkeypatch.setattr("vidclass.video.watchdog.STALL", 0.4)
    for work in (lambda: list(FrameReader(clip)), lambda: count_frames(clip)):
        with pytest.raises(ValueError, match="a.mp4: ffmpeg made no progress with it for 0.4 s"):
            work()
    assert_one_line_error(
        run(tmp_path, "cut_clips.py", clip, write(tmp_path / "labels.csv", "0,1,A\n"), "--seconds", "0.4"),
        1,
        "a.mp4: ffmpeg made no progress",
    )
    result = run(tmp_path, "extract_files.py", "mp4", "--quiet")
    assert result.returncode == 1 and "a.mp4: left out, ffmpeg made no progress" in result.stderr


def test_a_reader_that_waits_for_its_user_is_not_stuck(make_clip, monkeypatch):
    import time

    monkeypatch.setattr("vidclass.video.watchdog.STALL", 0.4)
    frames = iter(FrameReader(make_clip("a.mp4", seconds=3, size="640x480")))
    next(frames)
    time.sleep(1.2)
    assert len(list(frames)) == 74


SUSPENDED = """
import time
from vidclass.video.watchdog import Watchdog

class Process:
    def kill(self):
        print("killed", flush=True)

with Watchdog(Process(), 2):
    print("waits", flush=True)
    before = time.monotonic()
    while time.monotonic() - before < 1.2:  # longer by the time that it was suspended
        time.sleep(0.01)
    time.sleep(0.6)
print("ended", flush=True)
"""


def test_time_in_which_the_job_was_suspended_does_not_count():
    """As Ctrl-Z does it: ffmpeg can't have gone on either."""
    command = [sys.executable, "-c", SUSPENDED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "waits\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "ended\n"


def test_a_watchdog_kills_once_and_needs_one_thread():
    class Process:
        killed = 0

        def kill(self):
            self.killed += 1
            bitten.set()

    bitten, before, process = threading.Event(), threading.active_count(), Process()
    with Watchdog(process, 30) as fed:
        for _ in range(500):
            fed.start()
        assert threading.active_count() == before + 1
    assert not fed.barked and not process.killed and threading.active_count() == before
    with Watchdog(process, 0.05) as hungry:
        assert bitten.wait(30)
    assert hungry.barked and process.killed == 1


def write(path, text):
    path.write_text(text)
    return path
