"""Videos in each container that can be written: what ffmpeg reads back of them, and whether sound and picture
stay in step."""

import os
import re
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from conftest import count_frames
from helpers import ffmpeg, render_frames, write_copy
from test_cutting import agree, parts_heard, parts_seen, recording  # noqa: F401

from vidclass.recording.windows import set_times
from vidclass.video import encoders
from vidclass.video.drawing import Drawing
from vidclass.video.ffmpeg import find_ffmpeg, passthrough
from vidclass.video.probe import audio_format, probe
from vidclass.video.reader import FrameReader
from vidclass.video.times import steady_rate
from vidclass.video.writer import VideoWriter

CODECS = {"avi": "mpeg4", "mp4": "h264", "m4v": "h264", "mov": "h264", "mkv": "h264", "MP4": "h264"}


def decoded(path):
    """(frames as ffmpeg decodes them, uint8 RGB, what it says of the file)."""
    said = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    width, height = map(int, re.search(r"Video: .*?, (\d+)x(\d+)", said).groups())
    raw = ffmpeg("-i", path, *passthrough(), "-pix_fmt rgb24 -f rawvideo -", capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3), said


def length(path):
    """Seconds that a player takes for it: frames of 1/1000 s."""
    said = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", path, "-vf", "fps=1000", "-f", "null", "-progress", "-", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return int(re.findall(r"frame=\s*(\d+)", said)[-1]) / 1000


@pytest.mark.parametrize("extension", CODECS)
@pytest.mark.parametrize("size, fps", [((64, 48), "25"), ((161, 97), "30000/1001"), ((33, 36), "7/2")])
def test_each_container_has_every_frame_at_its_size_and_rate(tmp_path, extension, size, fps):
    path, fps = tmp_path / f"result.{extension}", Fraction(fps)
    given = [np.full((size[1], size[0], 3), (200, 15 * i, 30), np.uint8) for i in range(14)]
    write_copy(path, render_frames(tmp_path / "source.mkv", given, fps), fps)
    (tmp_path / "source.mkv").unlink()
    frames, said = decoded(path)
    height, width = size[1], size[0]
    if CODECS[extension] == "h264":  # has even sizes only
        height, width = height + height % 2, width + width % 2
        assert "yuv420p(tv, bt709" in said
    assert frames.shape == (14, height, width, 3) and f"Video: {CODECS[extension]}" in said
    for frame, original in zip(frames, given):
        off = np.abs(frame.astype(int) - original[0, 0])
        assert off.mean() < 6
        if CODECS[extension] == "h264":
            assert off.max() < 12  # to the edge: what is added is no black line
    assert probe(path).fps == pytest.approx(fps, rel=0.002) and length(path) == pytest.approx(
        14 / fps, abs=0.003
    )
    assert os.listdir(tmp_path) == [path.name]
    if extension in ("mp4", "mov", "m4v"):
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")  # a browser shows it before it has all of it


@pytest.mark.parametrize("extension", ["avi", "mp4", "mov", "mkv"])
@pytest.mark.parametrize("delay", [0, 0.5])
def test_the_sound_stays_in_step(recording, tmp_path, extension, delay):  # noqa: F811
    """Of a recording with a sampling rate of 16 kHz; also where the picture begins later than the sound."""
    source, path = tmp_path / "source.mkv", tmp_path / f"result.{extension}"
    ffmpeg(
        "-itsoffset", str(delay), "-i", recording, "-i", recording, "-map 0:v -map 1:a -c copy -t 6", source
    )
    write_copy(path, source)
    assert count_frames(path) == count_frames(source) >= 130
    heard, seen = parts_heard(path), parts_seen(path, played=True)
    # Not only near some change: one where there is one, none elsewhere.
    later = np.roll(np.array(seen), -round(delay * 25))[: len(seen) - round(delay * 25)]
    assert agree(heard[: len(later)], later, slack=3, end=5)


@pytest.mark.parametrize("encoder", ["libopenh264", "mpeg4"])
def test_an_ffmpeg_without_x264_writes_all_the_same(tmp_path, monkeypatch, encoder):
    if (
        encoder
        not in subprocess.run(
            [find_ffmpeg(), "-hide_banner", "-encoders"], capture_output=True, text=True
        ).stdout
    ):
        pytest.skip(f"this ffmpeg has no {encoder}")
    monkeypatch.setattr("vidclass.video.encoders.best_encoder", lambda ffmpeg: encoder)
    given = [np.full((97, 161, 3), 10 * level, np.uint8) for level in range(20)]
    write_copy(tmp_path / "result.mp4", render_frames(tmp_path / "source.mkv", given, 25))
    frames, said = decoded(tmp_path / "result.mp4")
    assert (
        frames.shape == (20, 98, 162, 3)
        and f"Video: {'h264' if encoder == 'libopenh264' else encoder}" in said
    )


def test_the_encoder_is_one_that_the_ffmpeg_has(tmp_path):
    for listed, expected in (
        (" V....D libx264  x\n V....D libopenh264 x\n", "libx264"),
        (" V....D libopenh264  x\n", "libopenh264"),
        (" V....D h264_nvenc  x\n A..... libx264 no video\n", "mpeg4"),
    ):
        program = tmp_path / f"ffmpeg-{expected}"
        program.write_text(f"#!/bin/sh\ncat <<END\n{listed}END\n")
        program.chmod(0o755)
        assert encoders.best_encoder(str(program)) == expected


@pytest.mark.parametrize("name", ["x", "x.webm", "x.txt", ".mp4", "x.mp4.part", "x.avi "])
def test_other_names_are_refused(name, tmp_path, make_clip):
    reader = FrameReader(make_clip("a.mp4"))
    with pytest.raises(ValueError, match="end the name in .avi, .mp4, .m4v, .mov, .mkv"):
        VideoWriter(tmp_path / name, reader)
    assert os.listdir(tmp_path) == ["a.mp4"]


GIFS = {
    "15": ("testsrc2=size=64x48:rate=15:duration=2", ()),
    "30": ("testsrc2=size=64x48:rate=30:duration=2", ()),
    "12": ("testsrc2=size=64x48:rate=12:duration=2", ()),
    "50": ("testsrc2=size=64x48:rate=50:duration=2", ()),
    "long last frame": ("testsrc2=size=64x48:rate=10:duration=2", ("-final_delay", "70")),
    "one that varies": (
        "testsrc2=size=64x48:rate=10:duration=2",
        ("-vf", "select='not(between(n,3,4)+eq(n,9)+between(n,14,18))'", passthrough()[0], "vfr"),
    ),
}


def delays(path):
    """Seconds that each frame of a GIF lasts, by its graphic control extensions (GIF89a, 23)."""
    return [
        int.from_bytes(found, "little") / 100
        for found in re.findall(rb"\x21\xf9\x04.(..).\x00", path.read_bytes(), re.DOTALL)
    ]


@pytest.mark.parametrize("name", GIFS)
def test_a_gif_is_as_long_as_its_frames_say(tmp_path, name):
    source, options = GIFS[name]
    gif, path = tmp_path / "a.gif", tmp_path / "result.avi"
    ffmpeg("-f lavfi -i", source, *options, gif)
    reader, expected = FrameReader(gif), delays(gif)
    write_copy(path, gif)
    assert sum(1 for _ in reader) == len(expected)
    assert reader.info.frames == count_frames(path) == len(expected) and sum(expected) >= 1.99
    assert float(reader.info.fps) == pytest.approx(len(expected) / sum(expected), rel=1e-4)
    assert length(path) == pytest.approx(sum(expected), abs=0.01)
    _, times = set_times([], reader)
    assert np.abs(np.diff(times) - expected).max() < 0.0101 and times[-1] == pytest.approx(
        sum(expected), abs=0.001
    )


def test_a_video_whose_header_has_another_rate_lasts_as_long_as_its_frames(make_clip, tmp_path):
    """Frames at 25 per second, then 5."""
    path = tmp_path / "vfr.mkv"
    ffmpeg(
        "-i",
        make_clip("a.mp4", seconds=4),
        "-vf select='lt(t,1)+not(mod(n,5))'",
        passthrough()[0],
        "vfr",
        path,
    )
    reader = FrameReader(path)
    frames = len(list(reader))
    _, times = set_times([], reader)
    rate = steady_rate(reader.info.fps, times)
    assert (
        frames == 40
        and float(frames / rate) == pytest.approx(times[-1] - times[0], abs=0.02)
        and 3.7 < frames / rate < 4.1
    )
    assert steady_rate(Fraction(30000, 1001), np.arange(101) * 1001 / 30000) == Fraction(30000, 1001)
    assert steady_rate(Fraction(25), np.array([0, 1e9])) == Fraction(1, 1000)
    assert steady_rate(Fraction(25), np.zeros(9)) == 25


def test_frames_at_times_of_their_own(make_clip, tmp_path):
    """Those at one time come a millisecond apart, and those of which nothing is known at the rate."""
    path = tmp_path / "result.mkv"
    times = np.array([0, 0.5, 0.5, 0.5, 3.0, 3.0101])
    with VideoWriter(path, FrameReader(make_clip("a.mp4", fps=10))) as writer:
        assert writer.can_keep(times)
        writer.write(Fraction(10), Drawing(), None, True, times)
    expected = [0, 0.5, 0.501, 0.502, 3.0, 3.01, 3.11, 3.21, 3.31, 3.41]
    times_of = ("-map 0:v -c copy -f framecrc", "-")
    lines = ffmpeg("-i", path, *times_of, capture_output=True, text=True).stdout.splitlines()
    stamps = sorted(int(line.split(",")[2]) for line in lines if not line.startswith("#"))
    assert stamps == [round(1000 * time) for time in expected]


def test_what_can_not_have_times_of_its_own(make_clip, tmp_path):
    reader = FrameReader(make_clip("a.mp4"))
    for name, frames, can in (("a.avi", 2, False), ("a.mp4", 10**5, True), ("a.mp4", 10**6, False)):
        with VideoWriter(tmp_path / name, reader) as writer:
            assert writer.can_keep(np.arange(frames)) is can


@pytest.mark.parametrize("layout, channels", [("mono", 1), ("stereo", 2), ("5.1", 6)])
def test_the_sound_of_a_file(tmp_path, layout, channels):
    path = tmp_path / "a.mkv"
    ffmpeg(
        "-f lavfi -i color=size=64x48:duration=1 -f lavfi -i",
        f"anullsrc=channel_layout={layout}:sample_rate=32000:duration=1",
        "-c:a pcm_s16le",
        path,
    )
    assert audio_format(path) == (32000, channels)


def test_a_file_without_sound(make_clip):
    assert audio_format(make_clip("a.mp4")) is None
