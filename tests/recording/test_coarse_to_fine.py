"""Looking from coarse to fine: what is left out, what is looked at, and that the result is the same."""

import errno
import json
import os
import shutil
from fractions import Fraction

import numpy as np
import pytest
from conftest import Frames, assert_one_line_error, classify, render
from helpers import ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.recording import coarse_to_fine
from vidclass.recording.coarse_to_fine import FrameStore, classify_coarse_to_fine, coarse_spec, next_windows
from vidclass.recording.cuts import FeatureCache, find_cuts
from vidclass.recording.segments import Smoothing, average_windows, find_segments
from vidclass.recording.windows import WindowSchedule, WindowSpec, classify_windows

FPS = 25
SHAPE = (8, 8, 3)


class Recording(Frames):
    """A video in which class 1 takes turns with class 0: a frame of class 1 is light. cuts: frames."""

    path = "video.mp4"

    def __init__(self, count, cuts):
        super().__init__(count, FPS)
        self.truth = np.searchsorted(cuts, np.arange(count), "right") % 2

    def __iter__(self):
        return (np.full(SHAPE, 255 * value, np.uint8) for value in self.truth)


class Counting:
    """A stand-in for the extractor: a frame's feature is its brightness. .seen: numbers of the frames."""

    image_shape = SHAPE

    def __init__(self):
        self.seen = []

    def stream(self, tagged):
        for tag, image in tagged:
            self.seen.append(tag)
            yield tag, np.array([image[0, 0, 0] > 0, 0.5], np.float32)


class Shares:
    """A stand-in for a network: the probability of class 1 is the share of light frames, 0.02 to 0.98."""

    def predict(self, sequences):
        share = 0.02 + 0.96 * sequences[..., 0].mean(1)
        return np.stack([1 - share, share], 1)


def segments(recording, spec, smoothing, folder, classifier):
    """(segments as (class, frame of its end), numbers of the frames that the network saw, windows)."""
    extractor, cache = Counting(), FeatureCache(str(folder))
    found = classifier(recording, extractor, Shares(), spec, cache, quiet=True)
    windows = list(average_windows(found))
    chosen = find_segments(["a", "b"], windows, float(spec.length / FPS), smoothing)
    names = [int(segment.class_name == "b") for segment in chosen]
    cuts = [round(segment.start * FPS) for segment in chosen[1:]]
    cuts = find_cuts(names, cuts, cache, Shares(), spec.seq_length)
    cache.close()
    return list(zip(names, [*cuts, windows[-1].end_frame])), extractor.seen, windows


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(4 * 30, 20 * 30), min_size=1, max_size=6),
    ends=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    hop=st.sampled_from([Fraction(30), Fraction(6), Fraction(10), Fraction("7.5")]),
    seq_length=st.sampled_from([5, 15, 30]),
)
def test_segments_are_those_of_looking_everywhere(tmp_path_factory, lengths, ends, hop, seq_length):
    """Stretches of at least four windows, the first and the last of any length."""
    cuts = np.cumsum([ends[0], *lengths]).tolist()
    recording = Recording(cuts[-1] + ends[1], cuts)
    folder, smoothing = tmp_path_factory.getbasetemp(), Smoothing(fast=True)
    spec = WindowSpec(seq_length, Fraction(30), hop)
    coarse = coarse_spec(spec, 4 * spec.length, SHAPE)
    assert coarse.stride == 90 // hop
    everywhere, all_frames, _ = segments(recording, spec, smoothing, folder, classify_windows)
    found, seen, windows = segments(recording, coarse, smoothing, folder, classify_coarse_to_fine)
    assert found == everywhere
    assert len(seen) == len(set(seen)) and set(seen) <= set(all_frames)  # each at most once: no dearer
    assert windows[0].first_frame == 0 and windows[-1].end_frame == recording.count
    assert all(a.end_frame == b.first_frame for a, b in zip(windows, windows[1:]))


def test_long_stretches_cost_a_fraction_of_the_frames(tmp_path):
    recording = Recording(60 * 300, [60 * 100])
    spec = WindowSpec(15, Fraction(75), Fraction(75))
    coarse = coarse_spec(spec, 20 * FPS, SHAPE)
    assert coarse.stride == 5  # 15 s from one window to the next, and 3 s for a whole one
    everywhere, all_frames, _ = segments(recording, spec, Smoothing(20.0), tmp_path, classify_windows)
    found, seen, windows = segments(recording, coarse, Smoothing(20.0), tmp_path, classify_coarse_to_fine)
    assert found == everywhere == [(0, 6000), (1, 18000)]
    assert len(seen) < len(all_frames) / 4
    looked_at = [window.first_frame for window in windows if window.looked_at]
    assert len(looked_at) * 15 == len(seen)
    # Everywhere around the cut, and each fifth window elsewhere.
    assert {5850, 5925, 6000, 6075} <= set(looked_at) and looked_at[:3] == [0, 375, 750]


@pytest.mark.parametrize("hop", [75, 15])
def test_what_changes_all_the_time_is_looked_at_whole(tmp_path, hop):
    recording = Recording(3000, list(range(80, 3000, 80)))
    spec = coarse_spec(WindowSpec(15, Fraction(75), Fraction(hop)), 300, SHAPE)
    _, all_frames, everywhere = segments(recording, spec, Smoothing(), tmp_path, classify_windows)
    _, seen, found = segments(recording, spec, Smoothing(), tmp_path, classify_coarse_to_fine)
    assert sorted(seen) == all_frames and len(found) == len(everywhere)


def test_a_network_that_is_never_sure_looks_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(coarse_to_fine, "SURE", 0.99)  # Shares gives 0.98 at most
    recording = Recording(3010, [])
    spec = coarse_spec(WindowSpec(15, Fraction(75), Fraction(75)), 300, SHAPE)
    _, all_frames, everywhere = segments(recording, spec, Smoothing(), tmp_path, classify_windows)
    _, seen, found = segments(recording, spec, Smoothing(), tmp_path, classify_coarse_to_fine)
    assert sorted(seen) == all_frames and found == everywhere and all(w.looked_at for w in found)


@pytest.mark.parametrize("count", [1, 2, 29, 30, 31, 60, 89, 100, 121, 599])
@pytest.mark.parametrize("told", [None, 40, 10_000])
@pytest.mark.parametrize("hop", [30, 7])
def test_videos_of_any_length_whatever_their_header_tells(tmp_path, count, told, hop):
    recording = Recording(count, [count // 2])
    recording.info = recording.info._replace(frames=count if told is None else told)
    spec = coarse_spec(WindowSpec(15, Fraction(30), Fraction(hop)), 120, SHAPE)
    _, all_frames, everywhere = segments(recording, spec, Smoothing(fast=True), tmp_path, classify_windows)
    _, seen, found = segments(recording, spec, Smoothing(fast=True), tmp_path, classify_coarse_to_fine)
    assert set(seen) <= set(all_frames)
    assert [window[:4] for window in found] == [window[:4] for window in everywhere]
    looked_at = [(a, b) for a, b in zip(found, everywhere) if a.looked_at]
    assert looked_at and looked_at[0][0].first_frame == 0 and looked_at[-1][0].end_frame == count


def test_the_stride_is_as_long_as_the_shortest_stretch_allows():
    side_by_side = WindowSpec(15, Fraction(75), Fraction(75))
    for seconds, stride in ((3, 1), (6, 1), (8.9, 1), (9, 2), (12, 3), (20, 5), (600, 199)):
        assert coarse_spec(side_by_side, seconds * FPS, SHAPE).stride == stride
    # A duration that is no whole number of frames, as of a clip of 3.003 s.
    length = Fraction(3.003) * Fraction(30000, 1001)
    assert coarse_spec(WindowSpec(15, length, length), float(4 * length), SHAPE).stride == 3


def test_the_store_is_limited():
    """The article's frames, 75 of 720x1280 in 3 s, and a class that lasts ten minutes."""
    article = WindowSpec(75, Fraction(75), Fraction(75))
    shape = 720, 1280, 3
    assert coarse_spec(article, 300, shape).stride == 3
    stride = coarse_spec(article, 600 * FPS, shape).stride
    assert stride >= 3 and 4 * stride * 75 * np.prod(shape) <= coarse_to_fine.STORE_BYTES


@settings(max_examples=100)
@given(st.dictionaries(st.integers(0, 40), st.sampled_from([0.05, 0.4, 0.6, 0.95]), min_size=2))
def test_what_is_looked_at_next_is_new_and_between(seen):
    schedule = WindowSchedule(WindowSpec(5, Fraction(10), Fraction(10)))
    known = {number: [1 - value, value] for number, value in seen.items()}
    wanted = next_windows(known, schedule)
    assert not wanted & known.keys()
    assert all(min(seen) - 2 <= number <= max(seen) + 2 for number in wanted)
    numbers = sorted(seen)
    for left, right in zip(numbers, numbers[1:]):
        sure = seen[left] == seen[right] in (0.05, 0.95)
        assert right - left == 1 or sure or (left + right) // 2 in wanted


def test_a_cut_where_nothing_was_looked_at_stays():
    cache = FeatureCache("/tmp")
    for frame in range(400):
        if 100 <= frame < 300:
            cache.leave_out()
        else:
            cache.append(frame, np.array([frame >= 100, 0.5], np.float32))
    assert cache.runs == [100]
    assert find_cuts([0, 1], [200], cache, Shares(), 20) == [200]
    # Beside it, what lies beyond is not taken for its neighbour.
    assert find_cuts([0, 1, 0], [90, 310], cache, Shares(), 20)[1] > 300
    cache.close()


def test_the_store_gives_back_what_it_got_and_uses_its_room_again(tmp_path):
    store, images = FrameStore(str(tmp_path), SHAPE), np.random.default_rng(0).integers(0, 256, (50, *SHAPE))
    for number in range(50):
        store.add(number, images[number].astype(np.uint8))
        if number >= 5:
            np.testing.assert_array_equal(store.read(number - 5), images[number - 5])
            store.drop(number - 5)
    assert store._file.seek(0, 2) == 6 * 192 and not list(tmp_path.iterdir())
    store.close()


@pytest.fixture
def long_match(tmp_path):
    """A folder with a video of 12 s of Grey and 10 s of Colour."""
    folder = tmp_path / "elsewhere"
    for name, seconds in (("Grey", 12), ("Colour", 10)):
        render(folder / "parts" / f"{name}.mp4", name, 3, seconds)
    (folder / "list.txt").write_text("file parts/Grey.mp4\nfile parts/Colour.mp4\n")
    ffmpeg("-f concat -i list.txt -vf fps=25", "video.mp4", cwd=folder)
    shutil.rmtree(folder / "parts")
    return folder


@pytest.mark.parametrize("hop, chosen", [((), "--fast"), (("--hop", "0.25"), "--min-duration=4")])
def test_the_command(project, long_match, hop, chosen):
    options = "--no-video", "--export", "csv,json", *hop
    assert classify(project, long_match, "video.mp4", *options, "--smooth").returncode == 0
    everywhere = json.loads((long_match / "result.json").read_text())
    assert all(window["looked_at"] for window in everywhere["windows"])
    result = classify(project, long_match, "video.mp4", *options, chosen)
    assert result.returncode == 0 and "550 of 550 frames" in result.stderr
    found = json.loads((long_match / "result.json").read_text())
    assert len(found["windows"]) == len(everywhere["windows"])
    assert [s["class"] for s in found["segments"]] == ["Grey", "Colour"]
    assert [s["start"] for s in found["segments"]] == [s["start"] for s in everywhere["segments"]]
    looked_at = [window for window in found["windows"] if window["looked_at"]]
    assert 0 < len(looked_at) < len(found["windows"])
    printed = [line for line in result.stdout.splitlines() if " - 0:" in line]
    # With --hop the table has shorter windows than those that are printed, which overlap.
    assert len(printed) == len(looked_at) if not hop else len(printed) < len(everywhere["windows"]) / 2


def test_a_damaged_video(project, long_match):
    ffmpeg("-i video.mp4 -c copy video.mkv", cwd=long_match)
    whole = (long_match / "video.mkv").read_bytes()
    (long_match / "video.mkv").write_bytes(whole[: 3 * len(whole) // 4])
    result = classify(project, long_match, "video.mkv", "--no-video", "--fast")
    assert result.returncode == 1 and "video.mkv: damaged:" in result.stderr
    assert "Grey" in (long_match / "result.csv").read_text()
    assert sorted(path.name for path in long_match.iterdir()) == [
        "list.txt",
        "result.csv",
        "video.mkv",
        "video.mp4",
    ]


def test_a_full_disk_is_named(project, long_match, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vidclass.recording.coarse_to_fine.os.pwrite", full)
    result = classify(project, long_match, "video.mp4", "--fast")
    assert_one_line_error(result, 1, "No space left", long_match)
    assert sorted(path.name for path in long_match.iterdir()) == ["list.txt", "video.mp4"]


def test_contradictions(project, match):
    result = classify(project, match, "video.mp4", "--fast", "--min-duration", "2")
    assert result.returncode == 2 and "--fast sets --min-duration" in result.stderr
