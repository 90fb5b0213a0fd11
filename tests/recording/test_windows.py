"""Windows of a video: which frames they have, and where exactly a class gives way to another."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Frames, variable_rate
from helpers import ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.features.sampling import evenly_spaced_indices
from vidclass.recording import steps
from vidclass.recording.cuts import FeatureCache, find_cuts
from vidclass.recording.options import ClassifyOptions
from vidclass.recording.segments import Segment, Window, average_windows, snap_cuts
from vidclass.recording.windows import WindowSchedule, WindowSpec, classify_windows, set_times
from vidclass.video.reader import FrameReader


@settings(deadline=None)
@given(
    frames=st.integers(1, 400),
    seq_length=st.integers(1, 20),
    length=st.fractions(Fraction(1, 2), 60, max_denominator=1001),
    share=st.fractions(Fraction(1, 20), 1, max_denominator=20),
)
def test_the_schedule_reaches_every_frame_of_a_video(frames, seq_length, length, share):
    """Against counting: whole windows, then the last one, leave no frame out and sample only their own."""
    schedule = WindowSchedule(WindowSpec(seq_length, length, max(length * share, Fraction(1))))
    schedule = WindowSchedule(WindowSpec(seq_length, length, min(schedule.spec.hop, length)))
    covered, number = set(), 0
    while schedule.end(number) <= frames:
        start, end = schedule.start(number), schedule.end(number)
        assert start < end and abs(end - start - length) <= 1 or length < 1
        samples = schedule.samples(number)
        assert len(samples) == seq_length and samples == sorted(samples)
        # On the grid, a sample is taken for an earlier frame by less than a step, rounded up.
        assert start - schedule.grid - 1 < samples[0] == schedule.first_sample(number) and samples[-1] < end
        assert schedule.is_complete(number, frames, samples[-1])
        assert not schedule.is_complete(number, end - 1, samples[-1])
        assert not schedule.is_complete(number, frames, samples[-1] - 1)
        assert samples[0] >= schedule.first_needed(number)
        assert schedule.first_sample(number) <= schedule.first_sample(number + 1)
        covered.update(range(start, end))
        number += 1
    last = schedule.last_window(number, frames)
    if last is not None:
        covered.update(range(last, frames))
    assert covered == set(range(frames))


class Numbers:
    """A stand-in for the extractor: a frame's feature is its number modulo 251."""

    image_shape = (8, 8, 3)

    def stream(self, tagged):
        return ((tag, image[0, 0, :1].astype(np.float32)) for tag, image in tagged)


def side_by_side(seq_length, length):
    """Windows of so many frames that do not overlap."""
    return WindowSpec(seq_length, Fraction(length), Fraction(length))


class Timed(Frames):
    """Frames with times."""

    path = "video.mp4"


class Sequences:
    def __init__(self):
        self.seen = []

    def predict(self, sequences):
        self.seen.append(sequences[0, :, 0].astype(int).tolist())
        return np.array([[0.25, 0.75]])


@pytest.mark.parametrize(
    "count, fps, seconds, length",
    [
        (200, 25, 3, 75),
        (150, 25, 3, 75),
        (1, 25, 3, 75),
        (76, 25, 3, 75),
        (250, "30000/1001", 1, 10),
        (100, 10, 3, 75),
        (247, 50, "2.5025", 40),
        (30, "3/2", "1/2", 4),
    ],
)
def test_windows_cover_every_frame_and_sample_it_like_a_clip(count, fps, seconds, length):
    network, length_of_window = Sequences(), Fraction(seconds) * Fraction(fps)
    found = list(
        classify_windows(
            Frames(count, fps), Numbers(), network, side_by_side(length, length_of_window), quiet=True
        )
    )
    assert found[0].first_frame == 0 and found[-1].end_frame == count
    assert all(before.end_frame == after.first_frame for before, after in zip(found, found[1:]))
    for number, (window, seen) in enumerate(zip(found, network.seen)):
        frames = window.end_frame - window.first_frame
        assert window.first_frame == max(number, round(number * length_of_window))
        if number < len(found) - 1:
            assert abs(frames - length_of_window) < 1
        if number < len(found) - 1 or frames == round(length_of_window) or frames <= length:
            expected = [(window.first_frame + int(i)) % 251 for i in evenly_spaced_indices(frames, length)]
            if number < len(found) - 1 or length >= round(length_of_window):
                assert seen == expected
        assert len(seen) == length and seen[0] == window.first_frame % 251
        assert window.end == pytest.approx(window.end_frame / float(Fraction(fps)))


@pytest.mark.parametrize(
    "count, fps, seconds, hop, length",
    [
        (400, 25, 3, "0.6", 75),
        (401, 25, 3, "0.6", 15),
        (90, 25, 3, 1, 10),
        (1000, "30000/1001", 2, "0.5", 12),
        (50, 25, 3, 1, 75),
        (76, 25, 3, 1, 75),
    ],
)
def test_overlapping_windows_share_their_frames(count, fps, seconds, hop, length):
    seen, network = [], Sequences()

    class Counting(Numbers):
        def stream(self, tagged):
            for tag, feature in super().stream(tagged):
                seen.append(tag)
                yield tag, feature

    fps = Fraction(fps)
    window, step = Fraction(seconds) * fps, Fraction(hop) * fps
    found = list(
        classify_windows(
            Frames(count, fps), Counting(), network, WindowSpec(length, window, step), quiet=True
        )
    )
    assert seen == sorted(set(seen))  # each frame once
    assert len(seen) <= count / max(float(window / length), 1) + length + 2
    assert found[0].first_frame == 0 and found[-1].end_frame == count
    for number, (before, after) in enumerate(zip(found, found[1:])):
        assert before.first_frame == round(number * step) and before.end_frame > after.first_frame
    assert all(abs(w.end_frame - w.first_frame - window) <= 1 for w in found) or count < window
    grid = max(float(window / length), 1)
    for w, frames in zip(found, network.seen):
        expected = w.first_frame + evenly_spaced_indices(w.end_frame - w.first_frame, length)
        # Modulo 251, and to the next frame of the grid.
        off = (np.array(frames) - expected + 125) % 251 - 125
        assert np.abs(off).max() <= grid + 1
    # The result is that of non-overlapping cells up to the end.
    cells = list(average_windows(found))
    assert cells[0].first_frame == 0 and cells[-1].end_frame == count


class Shares:
    """A stand-in for a network: the class is that of the frames' sign, its probability their share."""

    def predict(self, sequences):
        share = (sequences[..., 0] > 0).mean(1)
        return np.stack([1 - share, share], 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 40), st.integers(1, 4), st.lists(st.integers(0, 60), min_size=1, max_size=4), st.data())
def test_cuts_are_found_to_the_sampled_frame(length, grid, extra, data):
    """Whatever window-wide error the windows' cuts have. extra: sampled frames of a stretch beyond two
    windows."""
    stretches = [2 * length + more for more in (*extra, 0)]
    truth = np.cumsum(stretches)[:-1]  # places in the store
    store = FeatureCache("/tmp")
    for place in range(sum(stretches)):
        sign = 1 if np.searchsorted(truth, place, "right") % 2 else -1
        store.append(place * grid, np.array([sign, 0.5], np.float32))
    coarse = [int(cut + data.draw(st.integers(-length + 1, length - 1))) * grid for cut in truth]
    found = find_cuts([i % 2 for i in range(len(stretches))], coarse, store, Shares(), length)
    # A cut between the last frame seen of one class and the first of the other.
    assert [-(-frame // grid) for frame in found] == truth.tolist()
    store.close()


def test_the_feature_store_gives_back_what_it_got():
    store = FeatureCache("/tmp")
    features = np.random.default_rng(0).random((20, 2048)).astype(np.float32)
    for number, feature in enumerate(features):
        store.append(3 * number, feature)
    assert store.frames == list(range(0, 60, 3))
    np.testing.assert_allclose(store.read(4, 9), features[4:9], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(store.read(0, 20), features, rtol=1e-3, atol=1e-6)
    store.close()


def test_times_are_the_videos(make_clip, tmp_path):
    """A video whose rate varies: of the second second only every fifth frame is there."""
    path = tmp_path / "vfr.mkv"
    ffmpeg(
        "-i",
        make_clip("a.mp4", seconds=3),
        "-vf select='not(between(t,1,2))+not(mod(n,5))'",
        *variable_rate(),
        path,
    )
    reader = FrameReader(path)
    frames = len(list(reader))
    found, times = set_times([Window(0, 1, 0, 25, [1, 0]), Window(1, 2, 25, frames, [1, 0])], reader)
    assert found[0].start == 0 and found[0].end == pytest.approx(1.0, abs=1e-3)
    assert len(times) == frames + 1 and times[frames - 1] == pytest.approx(2.96, abs=1e-3)


@pytest.mark.parametrize(
    "seq_length, fps, seconds, hop, frames",
    [(2, 24, "6/5", "24/25", 222), (3, "30000/1001", "2/5", "8/25", 102), (2, 24, "4/5", "18/25", 193)],
)
def test_a_sample_before_its_windows_start_is_not_missed(seq_length, fps, seconds, hop, frames):
    """On a grid of a fractional step, which no window before has sampled there."""
    rate = Fraction(fps)
    spec = WindowSpec(seq_length, Fraction(seconds) * rate, Fraction(hop) * rate)
    found = list(classify_windows(Frames(frames, rate), Numbers(), Sequences(), spec, quiet=True))
    assert found[-1].end_frame == frames


@pytest.mark.parametrize(
    "edges, times, expected",
    [
        ([0, 10.3, 39.8, 50], [0, 10, 30, 40, 50], [0, 10, 40, 50]),
        ([0, 14.9, 50], [0, 10, 30, 40], [0, 14.9, 50]),  # too far
        ([0, 1.04, 1.1, 2], [0, 1, 1.04, 1.08, 1.12], [0, 1.04, 1.08, 2]),
        ([0, 4, 5, 9], [0, 4.4, 20], [0, 4.4, 5, 9]),  # none gets lost
        ([3, 9], [], [3, 9]),
    ],
)
def test_cuts_are_where_a_frame_begins(edges, times, expected):
    segments = [Segment(start, end, "A", 1.0) for start, end in zip(edges, edges[1:])]
    found = snap_cuts(segments, np.array(times), 2)
    assert [segment.start for segment in found] + [found[-1].end] == expected
    assert all(before.end == after.start for before, after in zip(found, found[1:]))


@pytest.mark.parametrize("quiet", [False, True])
def test_windows_are_printed_unless_it_is_to_be_quiet(capsys, quiet):
    recording = SimpleNamespace(
        reader=Timed(100, 25),
        options=ClassifyOptions(quiet=quiet),
        trained=SimpleNamespace(classes=["a", "\x1b[1mb"]),
        spec=side_by_side(5, 25),
        is_written_as_classified=False,
        bar=None,
    )
    steps.classify(recording, Numbers(), Sequences(), None)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == (0 if quiet else 4) and "\x1b" not in out + err
    assert quiet or out.splitlines()[0] == "0:00:00.000 - 0:00:01.000  \\x1b[1mb: 0.75  a: 0.25"
    assert bool(err) != quiet
