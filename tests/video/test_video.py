"""video.py against ffmpeg, OpenCV and clips whose content is known because it was rendered."""

import os
import subprocess
from fractions import Fraction

import cv2
import numpy as np
import pytest
from conftest import count_frames, variable_rate
from helpers import ffmpeg, render_frames, write_copy
from hypothesis import given
from hypothesis import strategies as st

from vidclass.recording.windows import set_times
from vidclass.video.drawing import Drawing
from vidclass.video.ffmpeg import find_ffmpeg, passthrough
from vidclass.video.images import split_into_frames
from vidclass.video.probe import as_frame_rate, probe
from vidclass.video.reader import FrameReader
from vidclass.video.writer import VideoWriter


@pytest.mark.parametrize(
    "name, fps, rate, seconds",
    [
        ("a.mp4", "25", Fraction(25), 2),
        ("b.mp4", "30000/1001", Fraction(30000, 1001), 2),
        ("c.mkv", "24000/1001", Fraction(24000, 1001), 1),
        ("d.avi", "10", Fraction(10), 2),
        ("e.webm", "60", Fraction(60), 1),
        ("f.mov", "50", Fraction(50), 1),
        ("g.ts", "25", Fraction(25), 1),
    ],
)
def test_reads_every_frame_at_the_clips_rate(make_clip, name, fps, rate, seconds):
    clip = make_clip(name, seconds, fps, "162x90")
    reader = FrameReader(clip)
    frames = list(reader)
    assert len(frames) == count_frames(clip) == round(rate * seconds)
    assert reader.info.fps == rate
    assert (reader.info.width, reader.info.height) == (162, 90)
    assert {frame.shape for frame in frames} == {(90, 162, 3)} and reader.loss is None


def test_frames_are_rgb(make_clip):
    clip = make_clip("red.mp4", source="color=red")
    red, green, blue = next(iter(FrameReader(clip))).mean((0, 1))
    assert red > 240 and green < 20 and blue < 20


def test_reads_what_opencv_reads(make_clip):
    clip = make_clip("a.mp4")
    capture = cv2.VideoCapture(str(clip))
    for frame in FrameReader(clip):
        ok, bgr = capture.read()
        assert ok and np.abs(frame.astype(int) - bgr[..., ::-1]).mean() < 2
    assert not capture.read()[0]


@pytest.mark.parametrize("colorspace", ["bt709", "smpte170m"])
def test_a_frame_looks_the_same_as_jpeg_and_from_the_video(make_clip, tmp_path, colorspace):
    """HD video has another colour matrix than JPEG. Mixed up, greens and reds are off by 20 levels."""
    matrix = {"bt709": "bt709", "smpte170m": "bt601"}[colorspace]
    clip = make_clip(
        "hd.mp4",
        source="smptebars",
        size="640x360",
        extra=(
            "-vf",
            f"scale=out_color_matrix={matrix}",
            "-colorspace",
            colorspace,
            "-color_primaries",
            colorspace,
            "-color_trc",
            colorspace,
            "-pix_fmt",
            "yuv420p",
        ),
    )
    frames = tmp_path / "frames"
    frames.mkdir()
    count, info, loss = split_into_frames(clip, frames)
    assert count == 25 and loss is None
    for number, frame in enumerate(FrameReader(clip), 1):
        jpeg = cv2.imread(str(frames / f"{number:04d}.jpg"))[..., ::-1].astype(int)
        assert np.abs(jpeg - frame).mean() < 2
    assert (
        np.abs(frame[100, 20].astype(int) - (191, 191, 191)).max() < 8
    )  # smptebars' first bar is 75 % white
    assert np.abs(frame[100, 600].astype(int) - (0, 0, 191)).max() < 12  # and the last is blue


def test_variable_frame_rate_keeps_each_frame_once(make_clip, tmp_path):
    clip = make_clip(
        "vfr.mp4",
        2,
        extra=("-vf", "select='not(mod(n,3))+lt(n,20)'", "-fps_mode", "vfr", "-pix_fmt", "yuv420p")
        if passthrough()[0] == "-fps_mode"
        else ("-vf", "select='not(mod(n,3))+lt(n,20)'", *variable_rate(), "-pix_fmt", "yuv420p"),
    )
    expected = sum(n % 3 == 0 or n < 20 for n in range(50))
    (tmp_path / "frames").mkdir()
    assert split_into_frames(clip, tmp_path / "frames")[0] == expected
    reader = FrameReader(clip)
    assert sum(1 for _ in reader) == expected
    assert float(expected / reader.info.fps) == pytest.approx(2, abs=0.25)  # the average rate


def test_rotation_is_applied_alike(make_clip, tmp_path):
    flat = make_clip("flat.mp4", size="160x96")
    clip = tmp_path / "phone.mp4"
    # The way of recent versions of ffmpeg, and that of older ones.
    for before, after in ((("-display_rotation", "90"), ()), ((), ("-metadata:s:v", "rotate=90"))):
        subprocess.run(
            [find_ffmpeg(), "-v", "error", "-y", *before, "-i", flat, "-c", "copy", *after, clip],
            stderr=subprocess.DEVNULL,
        )
        if clip.exists():
            break
    (tmp_path / "frames").mkdir()
    _, info, _ = split_into_frames(clip, tmp_path / "frames")
    frame = next(iter(FrameReader(clip)))
    assert frame.shape == cv2.imread(str(tmp_path / "frames" / "0001.jpg")).shape == (160, 96, 3)
    assert (info.width, info.height) == (96, 160)


@pytest.mark.parametrize(
    "name", ["50 % off %04d.mp4", "-dash.mp4", "a'b\"c.mp4", "Fußball 足球.mp4", "a:b.mp4"]
)
def test_odd_names(make_clip, tmp_path, name):
    clip = make_clip(name)
    folder = tmp_path / "100%d"
    folder.mkdir()
    assert split_into_frames(clip, folder)[0] == 25
    assert len(list(FrameReader(clip))) == 25


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_a_video_cut_short_gives_its_frames_and_says_what_is_lost(make_clip, tmp_path, suffix):
    whole = make_clip(
        f"whole.{suffix}",
        4,
        extra=("-pix_fmt", "yuv420p", *(["-movflags", "faststart"] if suffix == "mp4" else [])),
    ).read_bytes()
    clip = tmp_path / f"cut.{suffix}"
    clip.write_bytes(whole[: len(whole) * 6 // 10])
    reader = FrameReader(clip)
    frames = sum(1 for _ in reader)
    assert 20 < frames < 99
    assert f"damaged: {frames} of about 100" in reader.loss
    (tmp_path / "frames").mkdir()
    count, _, loss = split_into_frames(clip, tmp_path / "frames")
    assert count == frames and "damaged" in loss


@pytest.mark.parametrize("is_resampled", [False, True])
def test_the_last_frame_does_not_outlast_the_video(tmp_path, is_resampled):
    """In MP4 with B-frames a packet's duration is that to the next one in the order of decoding: seconds,
    where frames come rarely."""
    path = tmp_path / "a.mp4"
    rendered = "testsrc2=size=64x48:rate=25:duration=38"
    # The last of 257 frames is decoded before three others.
    coding = ("-c:v libx264 -bf 3 -b_strategy 0", path)
    ffmpeg("-f lavfi -i", rendered, "-vf select='lt(n,250)+not(mod(n,100))'", *variable_rate(), *coding)
    reader = FrameReader(path)
    if is_resampled:
        reader.resample()
    list(reader)
    _, times = set_times([], reader)
    assert 36 < times[-1] < 38.1


def test_sound_that_outlasts_the_picture_is_no_damage(make_clip):
    clip = make_clip("long.mkv", 2, extra=("-f", "lavfi", "-i", "sine=duration=6", "-pix_fmt", "yuv420p"))
    reader = FrameReader(clip)
    assert sum(1 for _ in reader) == 50 and reader.loss is None


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 99])
def test_no_video(tmp_path, content):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    with pytest.raises(ValueError, match="clip.mp4"):
        FrameReader(clip)


def test_sound_only_with_a_cover_picture_is_no_video(make_clip, tmp_path):
    cover = make_clip("cover.png", 0.04, extra=("-frames:v", "1"))
    song = tmp_path / "song.mp4"
    ffmpeg(
        "-f lavfi -i sine=duration=1 -i", cover, "-map 0 -map 1 -c:v copy -disposition:v:0 attached_pic", song
    )
    with pytest.raises(ValueError, match="song.mp4|no video stream"):
        list(FrameReader(song))


def test_missing_video():
    with pytest.raises(FileNotFoundError, match="nowhere.mp4"):
        probe("nowhere.mp4")


@given(st.integers(1, 1001), st.integers(1, 65535))
def test_frame_rates_survive_floating_point_and_suit_mpeg4(denominator, numerator):
    rate = Fraction(numerator, denominator)
    found = as_frame_rate(float(rate))
    assert found.numerator <= 65535 and found > 0
    assert abs(found - rate) <= rate / 1000 or abs(found - rate) < Fraction(1, 1000)
    if rate < 65:
        assert found == rate or rate.numerator > 65535


@pytest.mark.parametrize("size", [(64, 48), (161, 97), (33, 35)])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(120000, 1001), Fraction(7, 2)])
def test_writes_xvid_that_opencv_reads(tmp_path, size, fps):
    path = tmp_path / "result.avi"
    fps = as_frame_rate(float(fps))
    frames = [np.full((size[1], size[0], 3), (200, 10 * i, 30), np.uint8) for i in range(12)]
    write_copy(path, render_frames(tmp_path / "source.mkv", frames, fps), fps)
    (tmp_path / "source.mkv").unlink()
    capture = cv2.VideoCapture(str(path))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == size
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(
        float(fps), rel=0.002
    )  # OpenCV rounds 119.88 to 120
    assert path.read_bytes()[:512].count(b"XVID") == 2  # in the stream header and in the format
    for frame in frames:
        ok, bgr = capture.read()
        assert ok and np.abs(bgr[..., ::-1].astype(int) - frame).mean() < 6
    assert not capture.read()[0]
    assert os.listdir(tmp_path) == ["result.avi"]


def test_writes_the_shape_of_pixels(tmp_path):
    source, path = tmp_path / "source.mkv", tmp_path / "dvd.avi"
    ffmpeg("-f lavfi -i color=size=720x576:duration=0.2,setsar=16/11 -c:v ffv1", source)
    write_copy(path, source)
    assert probe(path).pixel_aspect == Fraction(16, 11)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_failed_result_leaves_nothing_behind(tmp_path, make_clip, monkeypatch, stopped):
    old, reader = tmp_path / "result.avi", FrameReader(make_clip("a.mp4"))
    old.write_bytes(b"an earlier result")

    def stop(process):
        yield 1, 0.04
        raise KeyboardInterrupt

    with VideoWriter(old, reader) as writer:
        if stopped:
            monkeypatch.setattr("vidclass.video.ffmpeg.Ffmpeg.progress", stop)
            with pytest.raises(KeyboardInterrupt):
                writer.write(Fraction(25), Drawing(), quiet=True)
    assert old.read_bytes() == b"an earlier result"
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "result.avi"]


@pytest.mark.parametrize("name", ["missing/result.avi", "folder.avi"])
def test_an_output_that_cannot_be_written(tmp_path, name, make_clip):
    reader = FrameReader(make_clip("a.mp4"))
    (tmp_path / "folder.avi").mkdir()
    with pytest.raises(OSError, match=f"{name}: can't be written"):
        VideoWriter(tmp_path / name, reader)


def test_ffmpeg_of_imageio_is_used_without_one_on_path(monkeypatch):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_ffmpeg.__wrapped__() == imageio_ffmpeg.get_ffmpeg_exe()
