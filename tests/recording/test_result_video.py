"""result.avi frame by frame: each has what was found of it, and looks as OpenCV would draw it."""

import os
import re
from fractions import Fraction

import cv2
import numpy as np
import pytest
from conftest import count_frames, variable_rate
from helpers import ffmpeg

from vidclass.colors import color
from vidclass.recording import result_video
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.overlay import WEIGHT, Strip, caption, lay_out
from vidclass.recording.segments import Timeline, Window, find_segments
from vidclass.recording.windows import set_times
from vidclass.video.drawing import Drawing
from vidclass.video.probe import audio_format
from vidclass.video.reader import FrameReader
from vidclass.video.writer import VideoWriter

CLASSES = ["Football", "Commercial", "Näme 足球"]


def write(source, path, lengths=(7,), **options):
    """Writes the result of a video whose windows have these numbers of frames, in turn, and the classes in
    turn. Returns (Timeline, times of all frames and of the end)."""
    reader, windows, start = FrameReader(source), [], 0
    frames = sum(1 for _ in reader)
    while start < frames:
        number = len(windows)
        end = min(start + lengths[number % len(lengths)], frames)
        probabilities = np.full(3, 0.05)
        probabilities[[number % 3, (number + 1) % 3]] = 0.6 + number % 7 / 100, 0.2
        windows.append(Window(0, 0, start, end, probabilities.tolist()))
        start = end
    windows, times = set_times(windows, reader)
    size = reader.info.height, reader.info.width
    segments = find_segments(CLASSES, windows)
    timeline = Timeline(str(source), reader.info.fps, size, CLASSES, windows, segments)
    options = ClassifyOptions(output=path, quiet=True, **options)
    with VideoWriter(path, reader) as writer:
        result_video.write(timeline, times, writer, options)
    return timeline, times


def draw(frame, window, timeline, times, number):
    """The reference: draws on an RGB frame what result.avi shows of it."""
    said = caption(CLASSES, window)
    height, width = frame.shape[:2]
    shown, size, margin, step, box_width = lay_out(tuple(said.lines), width, height)
    box = frame[: len(shown) * step + 2 * margin, : box_width + size + margin]
    box[:] = box // 3
    for line, text in enumerate(shown):
        top = margin + line * step
        frame[top + size // 5 : top + size, margin : margin + size - size // 5] = color(said.numbers[line])
        place = margin + size + margin, top + size
        cv2.putText(frame, text, place, (255, 255, 255), cv2.FontFace("sans"), size, WEIGHT)
    strip, half = frame[-max(4, height // 40) :], max(1, width // 640)
    for segment in timeline.segments:
        first, last = (column(time, times, width) for time in (segment.start, segment.end))
        strip[:, first : max(last, first + 1)] = color(CLASSES.index(segment.class_name))
    at = column(times[number], times, width)
    strip[:, max(at - 2 * half, 0) : at + 2 * half + 1] = 0
    strip[:, max(at - half, 0) : at + half + 1] = 255


def column(time, times, width):
    return min(int((time - times[0]) / (times[-1] - times[0]) * width), width - 1)


def check(source, path, timeline, times):
    """Each frame of the result is that of the video, with its own window's words and its own mark."""
    windows = [window for window in timeline.windows for _ in range(window.first_frame, window.end_frame)]
    originals, results = FrameReader(source), FrameReader(path)
    count = 0
    for number, (original, result) in enumerate(zip(originals, results, strict=True)):
        height, width = result.shape[:2]  # H.264 has even sizes only
        added = height - original.shape[0], width - original.shape[1]
        expected = np.pad(original, ((0, added[0]), (0, added[1]), (0, 0)), "edge")
        draw(expected, windows[number], timeline, times, number)
        off = np.abs(result.astype(int) - expected)
        assert off.mean() < 6 and off[-max(4, height // 40) :].mean() < 12, (number, off.mean())
        at = column(times[number], times, width)
        assert result[-max(4, height // 40) + 1 :, at].mean() > 170, (number, at)  # white, unlike the classes
        _, size, margin, _, _ = lay_out(tuple(caption(CLASSES, windows[number]).lines), width, height)
        square = result[margin + size // 5 + 2 : margin + size - 2, margin + 2 : margin + size // 2]
        distances = [np.abs(square.mean((0, 1)) - color(name)).sum() for name in range(3)]
        assert np.argmin(distances) == np.argmax(windows[number].probabilities), number
        count += 1
    assert count == len(times) - 1


SOURCES = {
    "25": ("testsrc2=size=320x240:rate=25:duration=3", ()),
    "29.97": ("testsrc2=size=320x240:rate=30000/1001:duration=3", ()),
    "3.5": ("testsrc2=size=320x240:rate=7/2:duration=9", ()),
    "varies": ("testsrc2=size=320x240:rate=25:duration=4", "-vf select='lt(t,1)+gt(t,3)+not(mod(n,6))'"),
    "odd": ("testsrc2=size=400x300:rate=25:duration=2", "-vf format=gbrp,crop=321:243 -c:v ffv1"),
    "bt709": (
        "testsrc2=size=320x240:rate=25:duration=2",
        "-vf scale=out_color_matrix=bt709 -colorspace bt709",
    ),
    "full range": ("testsrc2=size=320x240:rate=25:duration=2", "-pix_fmt yuvj444p -c:v mjpeg -q:v 2"),
    "10 bits": ("testsrc2=size=320x240:rate=25:duration=2", "-pix_fmt yuv420p10le -c:v ffv1"),
}


@pytest.mark.parametrize("extension", ["avi", "mp4"])
@pytest.mark.parametrize("name", SOURCES)
def test_each_frame_has_its_words_and_its_mark(tmp_path, name, extension):
    """The words change on the frame on which the window does, be it one frame long."""
    source, path = tmp_path / "source.mkv", tmp_path / f"result.{extension}"
    rendered, options = SOURCES[name]
    ffmpeg("-f lavfi -i", rendered, *([options] if options else []), *variable_rate(), source)
    timeline, times = write(source, path, lengths=(1, 2, 3, 11))
    assert count_frames(path) == len(times) - 1
    check(source, path, timeline, times)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_frames_keep_their_times_where_the_rate_varies(tmp_path, extension):
    """A still of two seconds, and pictures that come a bit late, as phones record them."""
    source, path = tmp_path / "source.mkv", tmp_path / f"result.{extension}"
    late = "setpts='PTS+mod(N*7,5)*0.004/TB'"
    kept = f"select='lt(t,1)+gt(t,3)+eq(n,40)',{late},settb=1/1000"
    rendered = "testsrc2=size=320x240:rate=25:duration=4"
    ffmpeg("-f lavfi -i", rendered, f"-vf {kept}", *variable_rate(), "-enc_time_base 1:1000", source)
    timeline, times = write(source, path, lengths=(1, 2, 3, 11))
    check(source, path, timeline, times)
    expected, found = shown(source), shown(path)
    assert len(expected) == count_frames(path) >= 50 and np.diff(expected).max() > 1
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=0.0011)


def shown(path):
    """When OpenCV's reader shows the frames of a video, in seconds."""
    capture, times = cv2.VideoCapture(str(path)), []
    while capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return np.array(times)


@pytest.mark.parametrize("extension", ["avi", "mkv"])
def test_a_video_that_is_turned(tmp_path, make_clip, extension):
    source, path = make_clip("a.mp4", size="320x180"), tmp_path / f"result.{extension}"
    content = bytearray(source.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2
    turned = [0, 1 << 16, 0, -1 << 16, 0, 0, 180 << 16, 0, 1 << 30]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in turned)
    source.write_bytes(content)
    timeline, times = write(source, path, lengths=(3,))
    assert timeline.size == (320, 180)
    check(source, path, timeline, times)


@pytest.mark.parametrize("extension", ["avi", "mp4"])
def test_words_strip_and_mark_stay_when_frames_change_their_size(tmp_path, extension):
    """ffmpeg builds its filters anew then: they must go on where they were."""
    for name, size in (("a", "320x240"), ("b", "176x144")):
        rendered = f"testsrc2=size={size}:rate=25:duration=1"
        ffmpeg("-f lavfi -i", rendered, "-pix_fmt yuv420p -c:v libx264 -bf 0 -f mpegts", tmp_path / name)
    parts = [(tmp_path / name).read_bytes() for name in "abab"]
    source, path = tmp_path / "source.ts", tmp_path / f"result.{extension}"
    source.write_bytes(b"".join(parts))
    timeline, times = write(source, path, lengths=(1, 2, 3, 11))
    assert count_frames(path) == len(times) - 1 == 100
    check(source, path, timeline, times)


def test_more_frames_than_were_classified_get_the_last_words(tmp_path, make_clip):
    """A damaged video may yield more of them the second time."""
    source, path = make_clip("a.mp4", seconds=2, size="320x240"), tmp_path / "result.avi"
    reader = FrameReader(source)
    list(reader)
    timeline, times = write(source, tmp_path / "whole.avi", lengths=(10,))
    fewer = timeline._replace(windows=timeline.windows[:3])
    with VideoWriter(path, reader) as writer:
        result_video.write(fewer, times[:31], writer, ClassifyOptions(output=path, quiet=True))
    assert count_frames(path) == 50
    *_, last = FrameReader(path)
    _, size, margin, _, _ = lay_out(tuple(caption(CLASSES, fewer.windows[-1]).lines), 320, 240)
    assert np.abs(last[margin + size // 2, margin + size // 3].astype(int) - color(2)).max() < 40


def test_the_same_words_are_one_picture(tmp_path, make_clip, monkeypatch):
    """Two classes say few different things, however long the video is."""
    seen = []
    run = VideoWriter._run

    def look(writer, arguments, folder, frames, quiet):
        seen.extend(sorted(os.listdir(folder)))
        run(writer, arguments, folder, frames, quiet)

    monkeypatch.setattr(VideoWriter, "_run", look)
    write(make_clip("a.mp4", seconds=4), tmp_path / "result.avi", lengths=(1,))
    assert len([name for name in seen if re.fullmatch(r"layer0-\d+\.png", name)]) == 21


def test_the_mark_is_where_the_time_is():
    times = np.array([0, 0.1, 0.2, 0.9, 1.0, 4.0])
    segments = find_segments(["a"], [Window(0.0, 4.0, 0, 5, [1.0])])
    strip = Strip(Timeline("x", Fraction(25), (45, 40), ["a"], [], segments), times, 45, 40)
    mark, layer = strip.mark(), strip.layer()
    assert mark.columns == [(0, 0), (1, 1), (2, 2), (3, 9), (4, 10), (5, 39)]
    assert (mark.top, mark.height, mark.half) == (41, 4, 1)
    [(first, picture)] = layer.pictures
    assert layer.top == 40 and first == 0 and picture[:, 0, 3].tolist() == [0, 255, 255, 255, 255]


def test_damage_is_no_failure_to_write(tmp_path, make_clip):
    source, path = make_clip("a.mp4", seconds=4, size="320x240"), tmp_path / "result.mp4"
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat") + 4000
    for place in range(start, start + 40000, 150):
        content[place] ^= 0xFF
    source.write_bytes(content)
    reader = FrameReader(source)
    frames = sum(1 for _ in reader)
    write(source, path)
    assert frames > 50 and abs(count_frames(path) - frames) <= 2


def test_a_video_of_which_nothing_can_be_decoded(tmp_path, make_clip):
    source = make_clip("a.mp4")
    reader = FrameReader(source)
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat") + 4
    content[start : start + 20000] = bytes(20000)
    source.write_bytes(content)
    refused = pytest.raises(ValueError, match="a.mp4: no frame can be decoded")
    with VideoWriter(tmp_path / "result.avi", reader) as writer, refused:
        writer.write(Fraction(25), Drawing(), quiet=True)
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("extension", ["avi", "mp4", "mkv"])
def test_a_sound_that_outlasts_the_picture_is_whole(tmp_path, extension):
    source, path = tmp_path / "source.mkv", tmp_path / f"result.{extension}"
    inputs = "-f lavfi -i testsrc2=size=320x240:duration=1 -f lavfi -i sine=440:duration=6"
    ffmpeg(inputs, "-c:v mpeg4 -c:a aac", source)
    write(source, path)
    raw = tmp_path / "sound.raw"
    ffmpeg("-i", path, "-map 0:a -ac 1 -ar 8000 -f s16le", raw)
    assert raw.stat().st_size / 2 / 8000 == pytest.approx(6, abs=0.15)


def test_a_sound_that_cannot_be_decoded_is_left_out(tmp_path, capsys):
    source, path = tmp_path / "source.mkv", tmp_path / "result.avi"
    inputs = "-f lavfi -i testsrc2=size=320x240:duration=1 -f lavfi -i sine=440:duration=1"
    ffmpeg(inputs, "-c:v mpeg4 -c:a vorbis -strict -2 -ac 2", source)
    content = source.read_bytes()
    at = content.index(b"\x05vorbis") + 7  # the setup header, with the codebooks
    source.write_bytes(content[:at] + bytes(40) + content[at + 40 :])
    write(source, path)
    assert count_frames(path) == 25 and audio_format(path) is None
    assert "source.mkv: its sound can't be decoded; " in capsys.readouterr().err
