"""Clips and copies of recordings in containers with and without an index, frame by frame: each frame shows
its number in binary."""

import subprocess
from fractions import Fraction

import numpy as np
import pytest
from conftest import variable_rate
from helpers import ffmpeg, write_copy

from vidclass.recording import html_report
from vidclass.recording.kept_copy import keep
from vidclass.recording.segments import Segment, Timeline
from vidclass.video.cutting import ClipCutter, first_picture
from vidclass.video.ffmpeg import find_ffmpeg, passthrough
from vidclass.video.reader import FrameReader
from vidclass.video.times import find_times

SECONDS, BITS = 26, 10
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "15", "-bf", "2", "-c:a", "mp2")
# name: (how it is encoded, frames that its picture may be late: sound begins before, or its order of frames
# is guessed)
KINDS = {
    "b.mp4": ((*H264, "-g", "250", "-bf", "3"), 0),
    "open.mp4": ((*H264, "-g", "50", "-bf", "3", "-x264-params", "open-gop=1:b-pyramid=normal"), 0),
    "a.mkv": ((*H264, "-g", "100", "-bf", "3"), 1),
    "h264.ts": ((*H264, "-g", "250", "-bf", "3"), 1),
    "open.ts": ((*H264, "-g", "50", "-bf", "3", "-x264-params", "open-gop=1"), 1),
    "refresh.ts": ((*H264, "-x264-params", "intra-refresh=1:keyint=60:bframes=0"), 1),
    "hevc.ts": (
        (
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-crf",
            "14",
            "-x265-params",
            "log-level=none:keyint=90",
            "-pix_fmt",
            "yuv420p",
        ),
        1,
    ),
    "mpeg2.ts": (MPEG2, 0),
    "mpeg4.ts": (("-c:v", "mpeg4", "-q:v", "2", "-g", "100", "-bf", "2", "-c:a", "mp2"), 0),
    "mpeg2.mpg": (MPEG2, 0),
    "mpeg4.avi": (("-c:v", "mpeg4", "-q:v", "2", "-g", "100", "-bf", "2", "-c:a", "mp3"), 1),
    "mjpeg.avi": (("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"), 0),
    "h264.mpg": ((*H264, "-g", "100", "-c:a", "mp2", "-f", "vob"), 0),
    "h264.avi": ((*H264, "-g", "100", "-bf", "0", "-c:a", "mp3"), 1),
    "h264.flv": ((*H264, "-g", "100", "-bf", "3", "-c:a", "aac"), 1),
    "flv1.flv": (("-c:v", "flv", "-q:v", "2", "-g", "60", "-c:a", "mp3"), 1),
}


@pytest.fixture(scope="session")
def master(tmp_path_factory):
    path = tmp_path_factory.mktemp("numbered") / "master.mkv"
    ffmpeg(
        "-f lavfi -i",
        f"color=black:size={16 * BITS}x48:rate=25:duration={SECONDS},format=gray,"
        "geq=lum='16+219*mod(floor(N/pow(2,floor(X/16))),2)'",
        "-f lavfi -i",
        f"sine=duration={SECONDS}",
        "-c:v ffv1 -pix_fmt yuv420p -c:a pcm_s16le",
        path,
    )
    return path


@pytest.fixture(scope="session")
def recording(master):
    """recording(name): the recording of that kind."""

    def make(name):
        path = master.with_name(name)
        if not path.exists():
            ffmpeg("-i", master, *KINDS[name][0], path)
        return path

    return make


def numbers(path):
    """The numbers that a video's frames show."""
    raw = subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-i",
            path,
            "-map",
            "0:V:0",
            *passthrough(),
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ],
        capture_output=True,
    ).stdout
    bits = np.frombuffer(raw, np.uint8).reshape(-1, 48, BITS, 16)[:, 16:32, :, 4:12].mean((1, 3)) > 125
    return (bits * (1 << np.arange(BITS))).sum(1).tolist()


@pytest.mark.parametrize("name", KINDS)
def test_frames_of_a_constant_rate_have_its_times(recording, name):
    """Also where the file has no times of most frames (MPEG-PS), or wrong ones (H.264 in AVI)."""
    reader = FrameReader(recording(name))
    assert sum(1 for _ in reader) == 25 * SECONDS
    assert np.allclose(np.diff(reader.times), 0.04)
    assert 0 <= reader.times[0] < 0.041


def assert_cut(path, start, late, tmp_path):
    """A clip of 10 frames, that begins with the frame number `start`, or up to `late` before."""
    ClipCutter(path, Fraction(25)).cut(Fraction(start, 25), 10, tmp_path / "clip.mp4")
    found = numbers(tmp_path / "clip.mp4")
    assert start - late <= found[0] <= start
    assert found == list(range(found[0], found[0] + 10))


@pytest.mark.parametrize("name", KINDS)
def test_clips_are_exact(recording, tmp_path, name):
    path = recording(name)
    assert numbers(path) == list(range(25 * SECONDS))
    for start in (10, 301, 555):
        assert_cut(path, start, KINDS[name][1], tmp_path)


def test_clips_of_a_recording_with_an_edit_list(recording, tmp_path):
    """A copy from 3.32 s on: the frames since the key frame are in it, and an edit list hides them."""
    path = tmp_path / "edited.mp4"
    ffmpeg("-ss 3.3 -i", recording("b.mp4"), "-c copy", path)
    assert numbers(path) == list(range(83, 25 * SECONDS))
    for start in (0, 222, 400):
        ClipCutter(path, Fraction(25)).cut(Fraction(start, 25), 10, tmp_path / "clip.mp4")
        assert numbers(tmp_path / "clip.mp4") == list(range(83 + start, 93 + start))


def test_clips_of_a_piece_of_a_transport_stream(recording, tmp_path):
    """Its times begin at 12 s, its picture with the next key frame."""
    packets = recording("open.ts").read_bytes()
    path = tmp_path / "piece.ts"
    path.write_bytes(packets[len(packets) // 188 // 2 * 188 :])
    there = numbers(path)
    origin = find_times(path, most=1)[0]
    for start in (there[0] + 20, there[-1] - 40):
        at = Fraction(start - there[0], 25) + Fraction(round(origin * 1000), 1000)
        ClipCutter(path, Fraction(25)).cut(at, 10, tmp_path / "clip.mp4")
        assert numbers(tmp_path / "clip.mp4") == list(range(start, start + 10))


@pytest.fixture(scope="session")
def late(tmp_path_factory):
    """A transport stream as a broadcast gives it: its sound begins 0.8 s before its picture. Frames 75 to 99
    are white, and there is a tone as long as they are shown. The same packets in Matroska."""
    path = tmp_path_factory.mktemp("late") / "late.ts"
    ffmpeg(
        "-f lavfi -i",
        "color=black:size=64x48:rate=25:duration=8,geq=lum='if(between(N,75,99),235,16)':cb=128:cr=128",
        "-f lavfi -i",
        "aevalsrc='between(t,3.8,4.8)*sin(2*PI*1000*t)':sample_rate=48000:duration=8.8",
        "-filter_complex [0:v]setpts=PTS+0.8/TB[v] -map [v] -map 1:a",
        *H264,
        "-g 25 -bf 0 -c:a mp2",
        path,
    )
    ffmpeg("-i", path, "-c copy", path.with_suffix(".mkv"))
    return path


def from_nut(content, output):
    """What ffmpeg makes of a NUT file's content. output: its options."""
    return ffmpeg("-f nut -i -", output, "-", input=content, capture_output=True).stdout


def white_and_tone(path):
    """(when a video is white, when a tone is heard), each as (start, end) in seconds of a player."""
    raw = ffmpeg(
        "-i",
        path,
        "-map 0:v -map 0:a? -c:a copy -vf fps=100:start_time=0,format=gray,scale=1:1 -f nut -c:v rawvideo -",
        capture_output=True,
    ).stdout
    gray = from_nut(raw, "-map 0:v -f rawvideo")
    white = np.flatnonzero(np.frombuffer(gray, np.uint8) > 128) / 100
    sound = ffmpeg(
        "-i",
        path,
        "-map 0:v -map 0:a -c:v copy",
        "-af aresample=async=1:first_pts=0 -ac 1 -ar 8000 -c:a pcm_s16le -f nut -",
        capture_output=True,
    ).stdout
    pcm = from_nut(sound, "-map 0:a -f s16le")
    tone = np.flatnonzero(np.abs(np.frombuffer(pcm, np.int16).astype(int)) > 2000) / 8000
    return (white[0], white[-1]), (tone[0], tone[-1])


def test_times_count_from_the_beginning_of_the_sound(late):
    """As players count, and as the same packets in another container say."""
    times = []
    for path in (late, late.with_suffix(".mkv")):
        reader = FrameReader(path)
        assert sum(1 for _ in reader) == 200
        times.append(reader.times)
    assert 0.78 < times[0][0] < 0.86 and np.abs(times[0] - times[1]).max() < 0.002
    assert abs(first_picture(late, Fraction(25)) - times[0][0]) < 0.001


@pytest.mark.parametrize("name", ["result.mp4", "result.avi", "result.mkv"])
def test_the_result_of_such_a_recording_is_in_step(late, tmp_path, name):
    write_copy(tmp_path / name, late)
    white, tone = white_and_tone(tmp_path / name)
    assert abs(white[0] - 3) < 0.05 and np.abs(np.subtract(white, tone)).max() < 0.08


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_of_such_a_recording_has_its_segments(late, tmp_path, exact):
    start = float(first_picture(late, Fraction(25)))
    edges = [start, start + 2, start + 6, start + 8]
    segments = [Segment(*edges[:2], "A", 1), Segment(*edges[1:3], "B", 1), Segment(*edges[2:], "A", 1)]
    kept = tmp_path / "kept.mkv"
    keep(
        Timeline(str(late), Fraction(25), (48, 64), ["A", "B"], [], segments), ["B"], kept, exact, quiet=True
    )
    white, tone = white_and_tone(kept)
    assert np.abs(np.subtract(white, tone)).max() < 0.08
    if exact:  # frames 50 to 149
        raw = subprocess.run(
            [
                find_ffmpeg(),
                "-v",
                "error",
                "-i",
                kept,
                *passthrough(),
                "-vf",
                "format=gray,scale=1:1",
                "-f",
                "rawvideo",
                "-",
            ],
            capture_output=True,
        ).stdout
        assert (
            np.flatnonzero(np.frombuffer(raw, np.uint8) > 128).tolist() == list(range(25, 50))
            and len(raw) == 100
        )


def test_a_clip_of_such_a_recording_is_where_its_label_is(late, tmp_path):
    """The label is of what a player shows at 3.82 to 4.82 s."""
    start = round((first_picture(late, Fraction(25)) + 3) * 1000)
    ClipCutter(late, Fraction(25)).cut(Fraction(start, 1000), 25, tmp_path / "clip.mp4")
    raw = subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-i",
            tmp_path / "clip.mp4",
            *passthrough(),
            "-vf",
            "format=gray,scale=1:1",
            "-f",
            "rawvideo",
            "-",
        ],
        capture_output=True,
    ).stdout
    assert len(raw) == 25 and np.frombuffer(raw, np.uint8).min() > 128


def test_a_rate_that_varies_from_the_beginning_on(recording, tmp_path):
    """Every other second only every fifth frame is there; the first is shown at once."""
    path = tmp_path / "varies.mkv"
    ffmpeg(
        "-i",
        recording("b.mp4"),
        "-an -vf select='lt(mod(n,50),25)+not(mod(n,5))'",
        *variable_rate(),
        *H264,
        path,
    )
    ClipCutter(path, Fraction(25)).cut(Fraction(0), 10, tmp_path / "clip.mp4")
    assert numbers(tmp_path / "clip.mp4") == list(range(10))


def test_where_there_is_no_picture_no_clip_is_cut(recording, tmp_path):
    path = tmp_path / "late.mkv"
    ffmpeg("-i", recording("b.mp4"), "-itsoffset 3 -i", recording("b.mp4"), "-map 1:v -map 0:a -c copy", path)
    cutter = ClipCutter(path, Fraction(25))
    with pytest.raises(ValueError, match="late.mkv: its picture begins at 3.0"):
        cutter.cut(Fraction(1), 10, tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match=r"late.mkv: at 28.9\d* s it has \d+ frames"):
        cutter.cut(Fraction("28.9"), 10, tmp_path / "clip.mp4")
    assert not (tmp_path / "clip.mp4").exists()


def test_what_cannot_be_copied_is_said_with_the_cure(recording, tmp_path):
    path = recording("h264.mpg")
    timeline = Timeline(
        str(path), Fraction(25), (48, 160), ["A", "B"], [], [Segment(0, 3, "A", 1), Segment(3, 26, "B", 1)]
    )
    with pytest.raises(
        OSError,
        match=r"kept.mpg: not written, what is in .*h264.mpg can't be copied as it is .*; add --exact",
    ):
        keep(timeline, ["A"], tmp_path / "kept.mpg", quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in KINDS if name != "h264.mpg"])
def test_a_copy_begins_at_the_key_frame_before(recording, tmp_path, capsys, name):
    """All frames of the two stretches are there, from a key frame on that is not further away than it must
    be."""
    path = recording(name)
    kept = tmp_path / f"kept{path.suffix}"
    segments = [
        Segment(0, 3.4, "A", 1),
        Segment(3.4, 8, "B", 1),
        Segment(8, 17, "A", 1),
        Segment(17, 19.4, "B", 1),
        Segment(19.4, SECONDS, "A", 1),
    ]
    keep(Timeline(str(path), Fraction(25), (48, 160), ["A", "B"], [], segments), ["B"], kept, quiet=True)
    found, late = numbers(kept), KINDS[name][1]
    wanted = {*range(85, 200 - late), *range(425, 485 - late)}
    said = capsys.readouterr().err
    if (
        name.startswith("open") or name == "hevc.ts"
    ):  # splicing loses frames at such a seam, but none that are wanted
        assert "at 1 of its 1 seam the recording has an open group of pictures" in said
    elif name in ("b.mp4", "h264.ts", "a.mkv", "mjpeg.avi", "flv1.flv"):
        assert not said
    assert wanted <= set(found)
    distance = {
        "b.mp4": 250,
        "h264.ts": 250,
        "mpeg2.ts": 15,
        "mpeg2.mpg": 15,
        "refresh.ts": 250,
        "mjpeg.avi": 1,
    }.get(name, 100)  # of key frames, at most
    assert all(number > 85 - distance for number in found[:100])
    distance *= 2 if said else 1
    assert (
        sum(200 < number <= 425 - distance for number in found) <= 4
    )  # a few that were stored before the end


@pytest.mark.parametrize("name", ["b.mp4", "h264.ts", "mpeg2.mpg", "h264.flv"])
def test_a_segments_picture_in_the_report_is_its_own(recording, name):
    import cv2

    jpeg = html_report._picture(recording(name), 13.21)
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    bits = (
        image[image.shape[0] // 3 : 2 * image.shape[0] // 3].reshape(-1, BITS, 16)[:, :, 5:11].mean((0, 2))
        > 125
    )
    assert (bits * (1 << np.arange(BITS))).sum() in (330, 331)
