"""Copies of a recording without some classes, and sound beside pictures: told by flashes and tones."""

import re
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from conftest import count_frames
from helpers import ffmpeg, write_copy

from vidclass.recording.kept_copy import keep, kept_name
from vidclass.recording.segments import Segment, Timeline
from vidclass.video.ffmpeg import find_ffmpeg, passthrough
from vidclass.video.reader import FrameReader
from vidclass.video.writer import VideoWriter


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """20 s, key frames every second. Each 2 s have their own luminance (40, 60, ...) and tone (300, 500, ...
    Hz)."""
    path = tmp_path_factory.mktemp("recording") / "match.mp4"
    ffmpeg(
        "-f lavfi -i",
        "color=black:size=64x48:rate=25:duration=20,format=yuv444p,geq=lum='40+20*floor(N/50)':cb=128:cr=128",
        "-f lavfi -i",
        "aevalsrc='0.5*sin(2*PI*(300+200*floor(t/2))*t)':sample_rate=16000:duration=20",
        "-g 25 -pix_fmt yuv420p -c:a aac -shortest",
        path,
    )
    return path


def parts_seen(path, played=False):
    """Of each frame the number of the 2 s of the recording that it shows. played: of each 0.04 s, as a player
    shows them."""
    timing = (
        ("-vf", "format=gray,crop=1:1:32:24,fps=25:start_time=0")
        if played
        else (*passthrough(), "-vf", "format=gray,crop=1:1:32:24")
    )
    pipe = ffmpeg("-i", path, *timing, "-f rawvideo -", capture_output=True).stdout
    return [round((value * 219 / 255 + 16 - 40) / 20) for value in pipe]


def parts_heard(path, step=0.04):
    """The same of each 0.04 s of the sound, by its strongest frequency."""
    raw = ffmpeg(
        "-i", path, "-af aresample=16000:async=1:first_pts=0 -ac 1 -f f32le -", capture_output=True
    ).stdout
    samples = np.frombuffer(raw, np.float32)
    size = round(16000 * step)
    pieces = samples[: len(samples) // size * size].reshape(-1, size) * np.hanning(size)
    peaks = np.abs(np.fft.rfft(pieces, 8192)).argmax(1) * 16000 / 8192
    return np.round((peaks - 300) / 200).astype(int).tolist()


def made_of(recording, *stretches):
    segments = [Segment(start, end, name, 0.9) for start, end, name in stretches]
    return Timeline(str(recording), Fraction(25), (48, 64), ["A", "B"], [], segments)


def agree(heard, seen, slack=3, end=3):
    """Whether sound and picture change together, up to so many frames around each cut, and end together, up
    to `end`."""
    seen, heard = np.array(seen), np.array(heard[: len(seen)])
    assert abs(len(heard) - len(seen)) <= end
    wrong = np.flatnonzero(heard != seen[: len(heard)])
    cuts = np.append(np.flatnonzero(np.diff(seen)) + 1, [0, len(seen)])
    return all(np.abs(cuts - at).min() <= slack for at in wrong)


STRETCHES = [(0, 3.4, "A"), (3.4, 7.2, "B"), (7.2, 12.6, "A"), (12.6, 17.0, "B"), (17.0, 20.0, "A")]


def test_an_exact_copy_has_the_frames_of_its_segments(recording, tmp_path):
    path = tmp_path / "kept.mp4"
    keep(made_of(recording, *STRETCHES), ["B"], path, exact=True, quiet=True)
    expected = [number // 50 for start, end in ((85, 180), (315, 425)) for number in range(start, end)]
    assert parts_seen(path) == expected
    assert agree(parts_heard(path), expected)


@pytest.mark.parametrize("name", ["kept.mp4", "kept.mkv"])
def test_a_copy_begins_at_key_frames(recording, tmp_path, name):
    """Nothing encoded anew: each stretch has all its frames, and up to a second more before it."""
    path = tmp_path / name
    keep(made_of(recording, *STRETCHES), ["B"], path, quiet=True)
    seen = parts_seen(path)
    expected = [number // 50 for start, end in ((75, 180), (300, 425)) for number in range(start, end)]
    # Packets are stored in the order of decoding: up to two frames that are shown after a stretch's end come
    # along.
    extra = (len(seen) - len(expected)) / 2
    assert (
        extra in (0, 1, 2)
        and seen[:105] == expected[:105]
        and seen[105 + int(extra) :][:125] == expected[105:]
    )
    # ... and without sound: with ffmpeg 9 the last of them ends 0.28 s after the sound, with 5.1 0.2 s.
    assert agree(parts_heard(path), parts_seen(path, played=True), slack=5, end=8)
    codec = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    assert "h264" in codec and "aac" in codec
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_what_no_key_frame_parts_stays_in_the_copy_once(recording, tmp_path, capsys):
    """Two key frames, at 0 and 10 s: a stretch that would begin in the one before is joined to it."""
    source, path = tmp_path / "rare.mp4", tmp_path / "kept.mp4"
    ffmpeg("-i", recording, "-c:v libx264 -bf 0 -g 250 -sc_threshold 0 -c:a copy", source)
    stretches = [(0, 2, "A"), (2, 4, "B"), (4, 6, "A"), (6, 12, "B"), (12, 14, "A"), (14, 20, "B")]
    keep(made_of(source, *stretches), ["A"], path, quiet=True)
    assert parts_seen(path) == [number // 50 for number in (*range(150), *range(250, 350))]
    assert agree(parts_heard(path), parts_seen(path, played=True), slack=5, end=8)
    said = capsys.readouterr().err
    assert said.startswith(f"{path}: 1 cut left out, the recording has no key frame there")


@pytest.mark.parametrize("name", ["a.mpg", "a.ts"])
def test_an_open_group_of_pictures_of_mpeg_2(recording, tmp_path, capsys, name):
    """Its first pictures need those before it: the part begins one group earlier, no picture is garbled."""
    source, path = tmp_path / name, tmp_path / f"kept{name[1:]}"
    coding = "-c:v mpeg2video -bf 2 -g 25 -sc_threshold 1000000000 -q:v 2 -c:a mp2 -ar 48000"
    ffmpeg("-i", recording, coding, source)
    keep(made_of(source, (0, 3.4, "A"), (3.4, 9.2, "B"), (9.2, 20, "A")), ["A"], path, quiet=True)
    assert "at 1 of its 1 seam the recording has an open group of pictures" in capsys.readouterr().err
    seen = parts_seen(path)
    # Of what is before the key frame, and all of what was asked for: nothing between them.
    assert set(seen) == {0, 1, 3, 4, 5, 6, 7, 8, 9} and seen == sorted(seen)


def test_an_exact_copy_where_frames_come_at_times_of_their_own(recording, tmp_path):
    """A picture now and then, and 25 a second: half of an average frame would be the next one's time."""
    source, path = tmp_path / "varies.mp4", tmp_path / "kept.mp4"
    ffmpeg("-i", recording, "-vf select='lt(t,6)+not(mod(n,50))'", *passthrough(), "-c:a copy", source)
    varies = made_of(source, (0, 2, "A"), (2, 4, "B"), (4, 6, "A"), (6, 10, "B"), (10, 20, "A"))
    keep(varies._replace(fps=Fraction(8), is_regular=False), ["A"], path, exact=True, quiet=True)
    assert parts_seen(path) == [0] * 50 + [2] * 50 + [5, 6, 7, 8, 9]


def test_an_exact_copy_has_the_sound_of_its_segments_at_low_rates(recording, tmp_path):
    source, path, raw = tmp_path / "slow.mp4", tmp_path / "kept.mkv", tmp_path / "raw"
    ffmpeg("-i", recording, "-r 1 -c:a copy", source)
    slow = made_of(source, (0, 4, "A"), (4, 8, "B"), (8, 20, "A"))._replace(fps=Fraction(1))
    keep(slow, ["A"], path, exact=True, quiet=True)
    ffmpeg("-i", path, "-map 0:a -ac 1 -ar 8000 -f s16le", raw)
    assert raw.stat().st_size / 16000 == pytest.approx(16, abs=0.1) and count_frames(path) == 16


def test_nothing_to_keep(recording, tmp_path):
    with pytest.raises(ValueError, match="kept.mp4: not written, nothing in .*match.mp4 is B"):
        keep(made_of(recording, (0, 20, "A")), ["B"], tmp_path / "kept.mp4")
    assert not list(tmp_path.iterdir())


def test_names_of_copies():
    assert kept_name("out/result.avi", "a/match.MP4", False) == "out/result-kept.mp4"
    assert kept_name("result.avi", "match.webm", True) == "result-kept.mkv"
    assert kept_name("result.avi", "match.mov", True) == "result-kept.mov"


@pytest.mark.parametrize("delay", [0, 0.5])
def test_the_result_keeps_the_sound(recording, tmp_path, delay):
    """In step, also where the picture begins later than the sound."""
    source = tmp_path / "source.mkv"
    ffmpeg(
        "-itsoffset", str(delay), "-i", recording, "-i", recording, "-map 0:v -map 1:a -c copy -t 6", source
    )
    write_copy(tmp_path / "result.avi", source)
    assert count_frames(tmp_path / "result.avi") == count_frames(source) >= 130
    heard, seen = parts_heard(tmp_path / "result.avi"), parts_seen(tmp_path / "result.avi")
    lag = int(delay * 25)  # the sound of a moment is heard with the picture that was shown with it
    changes = [np.flatnonzero(np.diff(np.array(row)) > 0) for row in (seen, heard[: len(seen)])]
    for change in changes[0][:2]:
        assert np.abs(changes[1] - (change - lag)).min() <= 3


@pytest.mark.parametrize("name, most", [("result.avi", 0.012), ("result.mp4", 0.012)])
def test_sound_and_picture_begin_together_to_the_millisecond(tmp_path, name, most):
    """An AVI tells no player of the silence with which an MP3 begins."""
    source, raw = tmp_path / "source.mkv", tmp_path / "raw"
    sound = "-f lavfi -i aevalsrc='gte(t,1)*lt(t,2)*sin(2*PI*1000*t)':sample_rate=48000:duration=3"
    ffmpeg("-f lavfi -i testsrc2=size=64x48:duration=3", sound, "-c:v ffv1 -c:a pcm_s16le", source)
    write_copy(tmp_path / name, source)
    ffmpeg("-i", tmp_path / name, "-map 0:a -ac 1 -ar 48000 -f s16le", raw)
    loud = np.flatnonzero(np.abs(np.fromfile(raw, np.int16).astype(int)) > 3000)
    assert loud[0] / 48000 == pytest.approx(1, abs=most) and loud[-1] / 48000 == pytest.approx(2, abs=most)


def test_the_sound_of_an_avi_whose_first_frame_has_a_wrong_time(tmp_path):
    """Most of its frames tell when the picture begins, as the tables do."""
    source, result = tmp_path / "source.avi", tmp_path / "result.mkv"
    inputs = "-f lavfi -i testsrc2=size=64x48:rate=10:duration=3 -f lavfi -i sine=duration=3"
    ffmpeg(inputs, "-c:v mpeg4 -bf 1 -c:a pcm_s16le", source)
    reader = FrameReader(source)
    list(reader)
    assert reader.times[0] == pytest.approx(0.1)  # its own time is 0
    with VideoWriter(result, reader) as writer:
        assert writer._start() == reader.times[0]


def test_a_video_without_sound_gives_a_result_without(make_clip, tmp_path):
    clip = make_clip("a.mp4")
    write_copy(tmp_path / "result.avi", clip)
    said = subprocess.run(
        [find_ffmpeg(), "-hide_banner", "-i", tmp_path / "result.avi"], capture_output=True, text=True
    ).stderr
    assert (
        re.search("Video: mpeg4 .*XVID", said)
        and "Audio" not in said
        and count_frames(tmp_path / "result.avi") == 25
    )
