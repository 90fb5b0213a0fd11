"""The benchmarks measure what they say: their splits, regressions, comparisons, and broadcasts."""

import json
import math
import os
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT

from data import DataSet
from vidclass.dataset.data_file import Clip, write_data_file
from vidclass.errors import UsageError
from vidclass.features.sequence_store import FolderStore

sys.path += [os.path.join(ROOT, "benchmarks"), os.path.join(ROOT, "data", "demo")]
import prepare  # noqa: E402
import recipe  # noqa: E402
import scores  # noqa: E402
import shots  # noqa: E402
import spots  # noqa: E402

MEAN, ALL = scores.RIVALS


def drawn(rows, seed):
    return [(row.class_name, row.name) for row in recipe.split_by_group(rows, seed) if row.split == "test"]


@pytest.mark.parametrize("seed", range(10))
def test_a_clip_and_its_twin_in_another_class_land_on_one_side(seed):
    names = [f"v_Punch_g{group:02d}_c{clip:02d}" for group in range(1, 10) for clip in (1, 2)]
    rows = [Clip("train", class_name, name, 50) for class_name in ("Fast", "Slow") for name in names]
    found = drawn(rows, seed)
    assert [name for class_name, name in found if class_name == "Fast"] == [
        name for class_name, name in found if class_name == "Slow"
    ]
    assert len(found) == 2 * 2 * 3  # a third of nine groups, two clips of each, two classes


def test_where_classes_have_their_own_groups_each_draws_its_own():
    """As the first version of this benchmark drew them: its numbers remain comparable."""
    rows = [Clip("train", "Punch", f"v_Punch_g{number:02d}_c01", 50) for number in range(1, 7)]
    rows += [Clip("train", "Street", f"nofi{number:03d}", 50) for number in range(1, 7)]
    assert drawn(rows, 0) == [
        ("Punch", "v_Punch_g03_c01"),
        ("Punch", "v_Punch_g04_c01"),
        ("Street", "nofi005"),
        ("Street", "nofi006"),
    ]


def test_the_statistics_of_a_sequence():
    sequence = np.array([[0, 1], [3, 1], [3, 5], [2, 5]], np.float32)
    assert recipe.statistics(sequence, only_mean=True).tolist() == [2, 3]
    deviation = [math.sqrt(1.5), 2]
    assert recipe.statistics(sequence, only_mean=False) == pytest.approx([2, 3, *deviation, 4 / 3, 4 / 3])


def test_regression_on_the_step_sees_a_change_that_the_mean_does_not(tmp_path):
    """Sequences of one mean and one deviation: half of the steps up, then half down, or up and down in turn.
    Of the test clips three in four are of one class, so balanced accuracy differs from accuracy."""
    classes = {"Calm": np.repeat((1, -1), 4), "Quick": np.tile((1, -1), 4)}
    rows = [
        Clip(split, class_name, f"{class_name}{split}{number}", 50)
        for class_name in classes
        for split, count in (("test", 9 if class_name == "Calm" else 3), ("train", 12))
        for number in range(count)
    ]
    write_data_file(tmp_path, rows)
    dataset = DataSet(8, 2, (75, 75, 3), tmp_path)
    store, random = FolderStore(dataset, "random"), np.random.default_rng(0)
    for row in rows:
        os.makedirs(os.path.dirname(store.path(row)), exist_ok=True)
        level = random.uniform(1, 9, 2048)
        sequence = level + classes[row.class_name][:, None] * random.uniform(0.5, 1)
        np.save(store.path(row), sequence.astype(np.float32))
    train_rows = dataset.split_train_test()[0]
    blind = recipe.regression(dataset, train_rows, "random", only_mean=True)
    seeing = recipe.regression(dataset, train_rows, "random", only_mean=False)
    assert blind.balanced_accuracy < 0.85 and seeing.balanced_accuracy == seeing.accuracy == 1
    assert 0 < blind.accuracy != pytest.approx(blind.balanced_accuracy)


def results():
    """Three seeds: the regression on all statistics is ahead in accuracy, that on the mean in balanced
    accuracy; the one without validation clips, ahead in both, is none to compare with."""
    return {
        MEAN: [scores.Score(0.5, 0.8), scores.Score(0.6, 0.8), scores.Score(0.7, 0.8)],
        ALL: [scores.Score(0.6, 0.7), scores.Score(0.7, 0.7), scores.Score(0.8, 0.7)],
        "regression, mean, without validation": [scores.Score(1, 1)] * 3,
        "lstm": [scores.Score(a, 0.9, 0.1, 20, 5.5) for a in (0.9, 0.8, 0.7)],
    }


def test_networks_are_compared_seed_by_seed_with_the_better_regression():
    compared = scores.compare(results())
    assert list(compared) == ["lstm"]
    accuracy, balanced = compared["lstm"]["accuracy"], compared["lstm"]["balanced_accuracy"]
    assert (accuracy["regression"], balanced["regression"]) == (ALL, MEAN)
    # Ahead by 0.3, 0.1 and -0.1: a standard deviation of 0.2 over three seeds.
    assert accuracy["mean"] == pytest.approx(0.1)
    assert accuracy["standard_error"] == pytest.approx(0.2 / math.sqrt(3))
    assert balanced["mean"] == pytest.approx(0.1)
    assert balanced["standard_error"] == pytest.approx(0)


def test_the_table_has_both_accuracies_and_the_differences(capsys):
    scores.print_table(results())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("lstm  ")] == [
        "lstm 0.800 +- 0.082 0.900 +- 0.000 0.100 20 5.5".split()
    ]
    assert f"lstm: accuracy +0.100 +- 0.115 (standard error) against {ALL}" in lines
    assert f"lstm: balanced accuracy +0.100 +- 0.000 (standard error) against {MEAN}" in lines


@pytest.mark.parametrize("seeds", [1, 3])
def test_json_has_all_numbers_and_no_nan(seeds):
    def refuse(constant):
        raise AssertionError(constant)

    given = {name: rows[:seeds] for name, rows in results().items()}
    found = json.loads(scores.as_json(given, {"clips": 61}), parse_constant=refuse)
    assert found["clips"] == 61
    assert [score["accuracy"] for score in found["rows"]["lstm"]] == [0.9, 0.8, 0.7][:seeds]
    assert found["rows"][MEAN][0]["epochs"] is None
    error = found["against_the_better_regression"]["lstm"]["accuracy"]["standard_error"]
    assert (error is None) == (seeds == 1)


def test_a_file_for_json_that_cannot_be_written_is_refused_first(tmp_path, monkeypatch):
    path = tmp_path / "none" / "numbers.json"
    words = ["recipe.py", "40", "2", "299", "299", "--weights", "random", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(UsageError, match=f"--json {path}: the folder .* does not exist; make it"):
        recipe.main()


def cuts(scene, seconds):
    """Frames at which a scene's picture, seen from far, changes at once: by a mean of 10 grey levels."""
    frames = [scene.frame() for _ in range(seconds * prepare.FPS)]
    assert all(frame.shape == (prepare.HEIGHT, prepare.WIDTH, 3) for frame in frames)
    # Coarse, so that neither the noise of the crowd nor what flies past counts.
    coarse = np.array([cv2.resize(frame, (4, 3), interpolation=cv2.INTER_AREA) for frame in frames], np.int16)
    return [n + 1 for n in np.flatnonzero(np.abs(np.diff(coarse, axis=0)).mean((1, 2, 3)) > 10)]


@pytest.mark.parametrize("seed", range(3))
def test_shots_cut_inside_the_match(seed):
    """Not all cuts are seen: from grass to grass the picture changes little, and a wipe takes its time."""
    assert cuts(prepare.Match(np.random.default_rng(seed)), 20) == []
    assert len(cuts(shots.Match(np.random.default_rng(seed)), 60)) >= 3


@pytest.mark.parametrize("seed", range(2))
def test_a_match_has_a_wide_shot_close_ups_and_replays(seed):
    match, lengths = shots.Match(np.random.default_rng(seed)), {}
    for _ in range(120 * prepare.FPS):
        match.frame()
        # Each close-up and replay is an object of its own; the wide shot, None, comes back.
        number = len(lengths) - 1
        if number < 0 or lengths[number][0] is not match.shot:
            number += 1
            lengths[number] = [match.shot, 0]
        lengths[number][1] += 1 / prepare.FPS
    bounds = {shots.Replay: (3, 6), type(None): (4, 15)}
    whole = list(lengths.values())[:-1]  # the last is not over yet
    for shot, seconds in whole:
        least, most = bounds.get(type(shot), (1.5, 4))
        assert least - 0.05 <= seconds <= most + 0.05, (type(shot), seconds)
    kinds = {type(shot) for shot, _ in whole}
    assert {shots.Replay, type(None)} < kinds


@pytest.mark.parametrize("seed", range(3))
def test_scenes_of_a_break_last_1_to_2_seconds(seed):
    scenes = np.diff([0, *cuts(spots.Break(np.random.default_rng(seed)), 40)]) / prepare.FPS
    assert scenes.min() >= 1 and scenes.max() <= 2
    shorter = np.diff([0, *cuts(prepare.Break(np.random.default_rng(seed)), 20)]) / prepare.FPS
    assert np.median(shorter) < 1


@pytest.mark.parametrize("seed", range(5))
def test_each_break_has_a_calm_scene(seed):
    """In 8 s, as long as the shortest break, nearly a second in which pixels change by 2 grey levels a frame
    at most."""
    scene = spots.Break(np.random.default_rng(seed))
    frames = [scene.frame().astype(np.int16) for _ in range(8 * prepare.FPS)]
    calm = np.array([np.abs(new - old).mean() for old, new in zip(frames, frames[1:])]) < 2
    assert np.convolve(calm, np.ones(prepare.FPS - 1), "valid").max() == prepare.FPS - 1
