"""Live sources: a real stream between two ffmpegs, and what happens when the network is too slow for it."""
import json
import os
import socket
import subprocess
import time
from datetime import datetime

import pytest
from conftest import CLASSES, LENGTH, assert_one_line_error, run

import cli
import live
import video


@pytest.fixture
def broadcast(match):
    """An address at which video.mp4 (2.4 s of Grey, then 1.96 s of Colour) is sent in its own time, twice over."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen([video.find_ffmpeg(), "-v", "error", "-re", "-stream_loop", "1", "-i", match / "video.mp4", "-c:v",
                                "mpeg2video", "-q:v", "2", "-f", "mpegts", f"{address}?listen=1"], stdin=subprocess.DEVNULL)
    yield address
    process.kill()
    process.wait()


def test_windows_come_as_json_lines_while_the_source_lasts(project, broadcast, tmp_path):
    (tmp_path / "here").mkdir()
    result = run(tmp_path / "here", "clasify.py", LENGTH, CLASSES, project / "data/checkpoints/lstm-features.hdf5", broadcast,
                 "--stream", "--hop", "0.25")
    assert result.returncode == 0 and os.listdir(tmp_path / "here") == [], result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) >= 20
    # As they came, not at the end; ffmpeg looks at up to five seconds before it gives the first frame.
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in lines]
    assert times == sorted(times) and times[-1] - times[0] > 1 and time.time() - times[-1] < 5
    for line in lines:
        assert line["end"] - line["start"] == pytest.approx(1.0, abs=0.01)
        assert line["probability"] == max(line["probabilities"].values()) and line["class"] in ("Grey", "Colour")
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
    assert [first for first, *_ in groups] == list(range(0, 100, 5))
    assert all(frames == list(range(first, first + 5)) for first, frames, _ in groups)


def test_a_source_that_is_too_fast_loses_whole_windows():
    """What is taken comes in stretches of at least a window, and waits no longer than a few windows."""
    taken, late = [], []
    for first, frames, arrived in live.take_groups(Camera(1500, 0.001), 5, 20):
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
    assert next(groups)[1] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="broke off"):
        next(groups)


def test_sources_that_cannot_be_opened(project, tmp_path):
    arguments = ("clasify.py", LENGTH, CLASSES, project / "data/checkpoints/lstm-features.hdf5")
    assert_one_line_error(run(tmp_path, *arguments, "tcp://127.0.0.1:9", "--stream"), 1, "tcp://127.0.0.1:9: not opened",
                          "refused")
    assert_one_line_error(run(tmp_path, *arguments, "77", "--stream"), 1, "77: not opened", "No such file")
    for source in ("video.mp4", "file:///etc/passwd", "concat:a|b", "/dev/video0", "-i", "ftp://x/y"):
        assert_one_line_error(run(tmp_path, *arguments, "--stream", "--", source), 2, f"--stream {source}: expected")
    assert_one_line_error(run(tmp_path, *arguments, "77", "--stream", "--hop", 5), 2, "--hop 5 would leave gaps")
    # Never asked for, never opened.
    assert_one_line_error(run(tmp_path, *arguments, "tcp://127.0.0.1:9"), 1, "tcp://127.0.0.1:9: no such video file")


def test_a_live_playlist_opens_no_file(tmp_path):
    """An address can't make ffmpeg read a local file: its protocols don't hold `file`."""
    assert all("file" not in protocols.split(",") for protocols in live.PROTOCOLS.values())


@pytest.mark.parametrize("source", ["", "x", "http:/x", "0x1", "١"])
def test_what_is_no_source(source):
    with pytest.raises(cli.UsageError, match="expected the number of a camera"):
        live.Source(source, 5, (10, 10, 3))
