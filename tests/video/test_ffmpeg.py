"""The one runner of ffmpeg: how it ends, what it tells of a failure, what it may open."""

import time

import pytest
from helpers import write_copy

from vidclass.video.ffmpeg import (
    FORMATS,
    Ffmpeg,
    ask,
    capture,
    find_ffmpeg,
    input_arguments,
    run_to_end,
    video_arguments,
    write_with_ffmpeg,
)
from vidclass.video.limits import VideoLimits

ENDLESS = ("-re", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-f", "rawvideo", "pipe:1")


def test_it_has_ended_when_the_block_ends(make_clip):
    with Ffmpeg([*video_arguments(make_clip("a.mp4")), "-f", "null", "-"]) as process:
        assert process.stdout.read() == b""
    assert process.returncode == 0 and not process.failed and not process.stalled
    assert process.messages == b""


def test_an_exception_kills_it():
    with pytest.raises(KeyError), Ffmpeg(ENDLESS) as process:
        raise KeyError
    assert process.returncode < 0 and process.failed and process.stdout.closed


def test_another_thread_may_kill_it():
    with Ffmpeg(ENDLESS) as process:
        process.kill()
        process.stdout.read()
    assert process.returncode < 0 and not process.stalled


def test_one_that_takes_too_long_is_killed_and_named():
    begun = time.monotonic()
    with Ffmpeg(ENDLESS, patience=0.2) as process:
        process.stdout.read()
    assert time.monotonic() - begun < 30
    assert process.stalled == "ffmpeg made no progress with it for 0.2 s and was ended"
    with pytest.raises(ValueError, match="a.mp4: ffmpeg made no progress"):
        process.check_stall("a.mp4")
    assert capture(ENDLESS, patience=0.2) == b""


def test_its_messages_say_what_is_wrong(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("not a video")
    with Ffmpeg([*video_arguments(path), "-f", "null", "-"]) as process:
        pass
    assert process.failed
    reason = process.reason(path)
    assert reason and str(path) not in reason and "@ 0x" not in reason


def test_progress_counts_frames_and_seconds(make_clip):
    clip = make_clip("a.mp4", seconds=2)
    frames, seconds = run_to_end([*video_arguments(clip), "-f", "null", "-"], clip)
    assert frames == 50 and seconds == pytest.approx(2, abs=0.1)


def test_an_input_is_a_file_of_a_known_container_within_limits():
    arguments = input_arguments("a%d|b.mp4", VideoLimits(max_pixels=100))
    pairs = dict(zip(arguments[::2], arguments[1::2]))
    assert pairs == {
        "-protocol_whitelist": "file,pipe",
        "-format_whitelist": FORMATS,
        "-max_pixels": "200",
        "-i": "file:a%d|b.mp4",
    }


def test_an_output_whose_check_fails_does_not_appear(make_clip, tmp_path):
    clip, seen = make_clip("in/a.mp4"), []

    def check(partial):
        seen.append(partial)
        raise ValueError("not what was wanted")

    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="not what was wanted"):
        write_with_ffmpeg([*video_arguments(clip), "-c", "copy"], tmp_path / "out/b.mp4", check)
    assert seen and list((tmp_path / "out").iterdir()) == []


def test_a_program_is_asked(tmp_path):
    assert "ffmpeg version" in ask(find_ffmpeg(), "-version")


def test_a_written_video_is_on_the_disk_before_it_has_its_name(tmp_path, make_clip, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        "vidclass.platform.os.fsync", lambda descriptor: flushed.append((tmp_path / "a.avi").exists())
    )
    write_copy(tmp_path / "a.avi", make_clip("clip.mp4"))
    assert flushed == [False] and (tmp_path / "a.avi").exists()


@pytest.mark.parametrize("limits", [{"max_pixels": 0}, {"max_frames": 0}, {"max_pixels": -1}])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(ValueError, match="limits below 1"):
        VideoLimits(**limits)
