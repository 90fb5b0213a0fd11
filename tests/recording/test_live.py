"""Live sources: a real stream between two ffmpegs, and what happens when the network is too slow for it."""

import json
import os
import socket
import subprocess
import threading
import time
import types
from datetime import datetime
from pathlib import Path

import pytest
from conftest import CLASSES, LENGTH, assert_one_line_error, run

from vidclass.errors import UsageError
from vidclass.recording import live, live_source
from vidclass.video.ffmpeg import find_ffmpeg
from vidclass.video.limits import MAX_PIXELS, VideoLimits
from vidclass.video.reader import read_ppm


@pytest.fixture
def broadcast(match):
    """An address at which video.mp4 (2.4 s of Grey, then 1.96 s of Colour) is sent in its own time, twice
    over."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-re",
            "-stream_loop",
            "1",
            "-i",
            match / "video.mp4",
            "-c:v",
            "mpeg2video",
            "-q:v",
            "2",
            "-f",
            "mpegts",
            f"{address}?listen=1",
        ],
        stdin=subprocess.DEVNULL,
    )
    yield address
    process.kill()
    process.wait()


def test_windows_come_as_json_lines_while_the_source_lasts(project, broadcast, tmp_path):
    (tmp_path / "here").mkdir()
    result = run(
        tmp_path / "here",
        "clasify.py",
        LENGTH,
        CLASSES,
        project / "data/checkpoints/lstm-features.hdf5",
        broadcast,
        "--stream",
        "--hop",
        "0.25",
    )
    assert result.returncode == 0 and os.listdir(tmp_path / "here") == [], result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) >= 20
    # As they came, not at the end; ffmpeg looks at up to five seconds before it gives the first frame.
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in lines]
    assert times == sorted(times) and times[-1] - times[0] > 0.5 and time.time() - times[-1] < 5
    for line in lines:
        assert line["end"] - line["start"] == pytest.approx(1.0, abs=0.01)
        assert line["probability"] == max(line["probabilities"].values()) and line["class"] in (
            "Grey",
            "Colour",
        )
    first = [line for line in lines if line["end"] <= 2.2]
    assert {line["class"] for line in first} <= {"Grey"}
    assert {line["class"] for line in lines} == {"Grey", "Colour"}


class Camera:
    """Gives numbers instead of frames, each after a while."""

    def __init__(self, count, pause):
        self.count, self.pause, self.closed = count, pause, False

    def __iter__(self):
        for number in range(self.count):
            time.sleep(self.pause)
            if self.closed:
                return
            yield number

    def close(self):
        self.closed = True


def test_groups_of_a_source_that_is_slow_enough_are_all_there():
    groups = list(live.take_groups(Camera(103, 0.001), 5, 20))
    assert [first for first, *_ in groups] == list(range(0, 105, 5))
    assert all(frames == list(range(first, first + 5)) for first, frames, _ in groups[:-1])
    assert groups[-1][1] == [100, 101, 102]  # the source ended in it


def test_a_source_that_is_too_fast_loses_whole_windows():
    """What is taken comes in stretches of at least a window, and waits no longer than a few windows."""
    taken, late = [], []
    for _, frames, arrived in live.take_groups(Camera(1500, 0.001), 5, 20):
        time.sleep(0.02)  # four times too slow, or more
        taken += frames
        late.append(time.time() - arrived)
    assert taken == sorted(set(taken)) and len(taken) < 1000
    stretches = [[taken[0]]]
    for number in taken[1:]:
        if number == stretches[-1][-1] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    assert len(stretches) > 2 and all(len(stretch) >= 20 for stretch in stretches[:-1])
    assert max(late) < 3


def test_an_early_end_stops_the_source():
    camera = Camera(10**6, 0.001)
    groups = live.take_groups(camera, 5, 20)
    next(groups)
    groups.close()
    assert camera.closed


def test_errors_of_a_source_come_through():
    class Broken(Camera):
        def __iter__(self):
            yield from range(7)
            raise OSError("camera: broke off")

    groups = live.take_groups(Broken(0, 0), 5, 20)
    assert next(groups)[1] == [0, 1, 2, 3, 4] and next(groups)[1] == [5, 6]
    with pytest.raises(OSError, match="broke off"):
        next(groups)


def test_sources_that_cannot_be_opened(project, tmp_path):
    arguments = ("clasify.py", LENGTH, CLASSES, project / "data/checkpoints/lstm-features.hdf5")
    assert_one_line_error(
        run(tmp_path, *arguments, "tcp://127.0.0.1:9", "--stream"),
        1,
        "tcp://127.0.0.1:9: not opened",
        "refused",
    )
    assert_one_line_error(run(tmp_path, *arguments, "77", "--stream"), 1, "77: not opened", "No such file")
    for source in ("video.mp4", "file:///etc/passwd", "concat:a|b", "/dev/video0", "-i", "ftp://x/y"):
        assert_one_line_error(
            run(tmp_path, *arguments, "--stream", "--", source), 2, f"--stream {source}: expected"
        )
    assert_one_line_error(
        run(tmp_path, *arguments, "77", "--stream", "--hop", 5), 2, "--hop 5 would leave gaps"
    )
    # Never asked for, never opened.
    result = run(tmp_path, *arguments, "tcp://127.0.0.1:9")
    assert (
        result.returncode == 2
        and "error: tcp://127.0.0.1:9 is an address (or a camera): add --stream" in result.stderr
    )


def test_a_live_playlist_opens_no_file(tmp_path):
    """An address can't make ffmpeg read a local file: its protocols don't hold `file`."""
    assert all("file" not in protocols.split(",") for protocols in live_source.PROTOCOLS.values())


@pytest.mark.parametrize("source", ["", "x", "http:/x", "0x1", "١"])
def test_what_is_no_source(source):
    with pytest.raises(UsageError, match="expected the number of a camera"):
        live_source.Source(source, 5, (10, 10, 3))


def test_options_for_files_are_refused(project, tmp_path):
    arguments = (
        "clasify.py",
        LENGTH,
        CLASSES,
        project / "data/checkpoints/lstm-features.hdf5",
        "tcp://127.0.0.1:9",
        "--stream",
    )
    for options in (
        ("--smooth",),
        ("--min-duration", 2),
        ("--fast",),
        ("--export", "csv"),
        ("--skip", "Grey"),
        ("--keep", "Grey"),
        ("--exact",),
        ("--report",),
        ("--output", "result.avi"),
        ("--no-video",),
        ("--no-audio",),
        ("--plain",),
    ):
        result = run(tmp_path, *arguments, *options)
        assert result.returncode == 2 and f"error: {options[0]}: not with --stream" in result.stderr
    result = run(tmp_path, *arguments, "--smooth", "--hop", 1, "--report", "--max-pixels", MAX_PIXELS)
    assert result.returncode == 2 and "error: --smooth, --report: not with --stream" in result.stderr


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for_udp_port(port, opened):
    """Until a process of this machine receives there, or none does, as Linux says."""
    end = time.monotonic() + 60
    while (f":{port:04X} " in Path("/proc/net/udp").read_text()) != opened and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, expected", [((), [1, 2, 3, 4, 4.36]), (("--hop", "0.5"), [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.36])]
)
def test_a_udp_sender_that_ends(project, match, tmp_path, monkeypatch, options, expected):
    """It can't say so: what it has sent is classified, to the last picture, and the run ends well."""
    monkeypatch.setattr("vidclass.recording.live_source.ENDED", 2)
    port = free_port(socket.SOCK_DGRAM)
    address = f"udp://127.0.0.1:{port}"
    command = [find_ffmpeg(), "-v", "error", "-re", "-i", match / "video.mp4", "-c:v", "mpeg2video"]
    command += ["-q:v", "2", "-f", "mpegts", f"{address}?pkt_size=1316"]

    def send():
        """When the receiver has waited in vain for once, so that the network has been compiled."""
        for opened in (True, False, True):
            wait_for_udp_port(port, opened)
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)

    sender = threading.Thread(target=send)
    sender.start()
    with open(tmp_path / "said", "w", buffering=1) as said:
        monkeypatch.setattr(live_source.sys, "stderr", said)
        result = run_with_stderr(
            said,
            match,
            "clasify.py",
            LENGTH,
            CLASSES,
            project / "data/checkpoints/lstm-features.hdf5",
            address,
            "--stream",
            "--precision",
            "float32",  # nothing is said of it
            *options,
        )
    sender.join()
    said = (tmp_path / "said").read_text()
    assert result.returncode == 0, said
    assert said.splitlines() == [
        f"{address}: waiting for pictures, 30 s at most",
        f"{address}: nothing more has come for 2 s, taken for its end",
    ]
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["end"] for line in lines] == pytest.approx(expected, abs=0.13)  # 8 frames a second
    assert lines[0]["class"] == "Grey" and lines[-1]["class"] == "Colour"
    if not options:
        assert lines[-1]["start"] == pytest.approx(4)


def run_with_stderr(stderr, *arguments):
    """conftest.run, but what is said on stderr goes to a file at once."""
    import contextlib

    original = contextlib.redirect_stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contextlib, "redirect_stderr", lambda _: original(stderr))
        return run(*arguments)


def test_a_udp_sender_that_never_begins(monkeypatch):
    monkeypatch.setattr("vidclass.recording.live_source.ENDED", 0.5)
    monkeypatch.setattr("vidclass.recording.live_source.SILENCE", 1.5)
    address = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with pytest.raises(OSError, match=f"{address}: no picture for 1.5 s"):
        list(live_source.Source(address, 8, (80, 96, 3), quiet=True))
    with pytest.raises(OSError, match="not opened"):  # at once, not after 1.5 s
        list(live_source.Source("udp://256.0.0.1:9", 8, (80, 96, 3), quiet=True))


@pytest.fixture
def sent():
    """sent(size, frames=3): an address at which so many PNGs are sent by TCP."""
    processes = []

    def send(size, frames=3):
        address = f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        processes.append(
            subprocess.Popen(
                [
                    find_ffmpeg(),
                    "-v",
                    "error",
                    "-f",
                    "lavfi",
                    "-i",
                    f"testsrc2=size={size}:rate=8",
                    "-frames:v",
                    str(frames),
                    "-c:v",
                    "mpeg2video" if size == "1920x1080" else "ffv1",
                    "-f",
                    "mpegts" if size == "1920x1080" else "matroska",
                    f"{address}?listen=1",
                ],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        time.sleep(1)
        return address

    yield send
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "size, limit, fits",
    [
        ("1920x1080", 1920 * 1080, True),
        ("1920x1080", 1920 * 1080 - 1, False),
        ("640x480", 1000, False),
        ("64x48", 64 * 48, True),
    ],
)
def test_larger_frames_than_allowed_are_refused(sent, size, limit, fits):
    """To the pixel: a decoder's own size of 1080 lines is 1088."""
    source = live_source.Source(sent(size), 8, (80, 96, 3), quiet=True, limits=VideoLimits(max_pixels=limit))
    if fits:
        assert [frame.shape for frame in source] == [(80, 96, 3)] * 3
    else:
        with pytest.raises(
            OSError, match=f"its frames have more than {limit} pixels; larger ones need --max-pixels"
        ):
            list(source)


def test_huge_frames_are_shrunk_before_they_wait(sent, monkeypatch):
    seen, read = [], read_ppm

    def watched(stream):
        frame = read(stream)
        seen.append(frame.shape if frame is not None else None)
        return frame

    monkeypatch.setattr("vidclass.recording.live_source.read_ppm", watched)
    assert len(list(live_source.Source(sent("6000x1000", 2), 8, (80, 96, 3), quiet=True))) == 2
    assert seen == [(1000, 3840, 3)] * 2 + [None]


def test_what_waits_is_bounded_in_bytes(monkeypatch):
    """A window of 75 frames of 1080 lines is 467 MB: one waits, not five."""
    asked = []

    def take(source, group, seq_length, waiting):
        asked.append(waiting)
        yield from ()

    monkeypatch.setattr("vidclass.recording.live.take_groups", take)
    extractor = types.SimpleNamespace(extract_batch=lambda images: None)
    for shape in ((1080, 1920, 3), (720, 1280, 3), (80, 96, 3)):
        source = live_source.Source("tcp://127.0.0.1:9", 25, shape)
        live.stream(source, live.LiveWindows(75, 3.0), None, extractor, ["a", "b"])
    assert asked == [1, 2, 5]
