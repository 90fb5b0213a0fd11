"""What a checkpoint says of itself: what is refused when it is read is refused before it is trained."""

import json
from dataclasses import asdict, replace

import pytest

from extract_features import ExtractionResult
from train import TrainOptions, train
from vidclass.dataset.data_file import Clip, write_data_file
from vidclass.features.sequence_store import FolderStore
from vidclass.training.metadata import Metadata, check_writable, parse_metadata

GOOD = Metadata(
    class_names=["A", "B"],
    seq_length=75,
    image_shape=[720, 1280, 3],
    clip_seconds=3.0,
    weights="random",
    weights_name="random",
    training={"validation_split": 0.2, "seed": 0, "batch_size": 16, "group": False},
)


def test_what_is_usual_can_be_written():
    check_writable(GOOD)
    check_writable(replace(GOOD, seq_length=8192, units=65536, clip_seconds=1))
    check_writable(replace(GOOD, weights_path="/home/\udcff/w.h5"))
    for group in (None, True, False):
        check_writable(replace(GOOD, training={**GOOD.training, "group": group}))


@pytest.mark.parametrize(
    "changes, cure",
    [
        (
            {"seq_length": 9000},
            "a sequence has more than 16777216 numbers; give a shorter sequence, of at most 8192 frames",
        ),
        ({"seq_length": 70000}, "give a shorter sequence"),
        ({"units": 70000}, "give other --units"),
        ({"clip_seconds": 100000}, "cut the clips to another length"),
        ({"clip_seconds": 0}, "cut the clips to another length"),
        ({"clip_seconds": float("nan")}, "cut the clips"),
        ({"weights_name": "x" * 300}, "weights_name"),
        ({"weights_path": "weights.h5"}, "weights_path"),
        ({"model": "x"}, "model"),
        ({"image_shape": [4000, 4000, 3]}, "give a smaller height and width"),
        ({"class_names": ["x" * 300, "B"]}, "another name"),
        ({"class_names": [str(number) for number in range(5000)]}, "give fewer classes"),
        ({"training": {**GOOD.training, "seed": -1}}, "training"),
        ({"training": {**GOOD.training, "group": "g03"}}, "training"),
    ],
)
def test_what_could_not_be_read_is_not_written(changes, cure):
    metadata = replace(GOOD, **changes)
    with pytest.raises(ValueError, match="damaged"):
        parse_metadata(json.dumps(asdict(metadata)), "x.hdf5")
    with pytest.raises(ValueError) as error:
        check_writable(metadata)
    assert cure in str(error.value) and str(error.value).startswith("no checkpoint could be read again: ")


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """A dataset of long clips, of which nothing is there but the list; a function that notes how long they
    last."""
    rows = [Clip("train", name, f"{name}_train_{number}", 9000) for name in "AB" for number in range(4)]
    write_data_file(tmp_path, rows)

    def note(seconds):
        for row in rows:
            path = tmp_path / "train" / row.class_name / f"{row.name}-frames.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"seconds": seconds, "frames": 9000}))

    monkeypatch.setattr("train.import_keras", lambda **options: pytest.fail("training"))
    return note


@pytest.mark.parametrize(
    "seq_length, seconds, mentions", [(8193, None, "shorter sequence"), (75, 100000, "cut the clips")]
)
def test_it_is_refused_before_anything_is_extracted(
    listed, tmp_path, monkeypatch, seq_length, seconds, mentions
):
    monkeypatch.setattr("train.extract_features", lambda *arguments, **options: pytest.fail("hours of work"))
    if seconds:
        listed(seconds)
    with pytest.raises(ValueError, match=mentions):
        train(seq_length, 2, (80, 96, 3), TrainOptions(tmp_path, "random"))


def test_the_length_of_clips_is_checked_when_it_is_known(listed, tmp_path, monkeypatch):
    """The extraction may note another."""
    monkeypatch.setattr(
        "train.extract_features", lambda *arguments: listed(100000) or ExtractionResult(8, 0, 0)
    )
    monkeypatch.setattr(FolderStore, "missing", lambda *arguments: [])
    with pytest.raises(ValueError, match="clip_seconds is not between 0.001 and 86400.0; cut the clips"):
        train(75, 2, (80, 96, 3), TrainOptions(tmp_path, "random"))


def test_checkpoints_of_before_do_not_say_where_the_weights_were():
    text = json.dumps({key: value for key, value in asdict(GOOD).items() if key != "weights_path"})
    assert parse_metadata(text, "x.hdf5") == GOOD and GOOD.weights_path is None


def test_a_long_name_of_weights_is_cut(listed, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("vidclass.features.identity.weights_id", lambda weights: "abc")
    monkeypatch.setattr("vidclass.training.metadata._check", written.append)

    def begin(*arguments):
        raise OSError("begun")

    monkeypatch.setattr("train.extract_features", begin)
    with pytest.raises(OSError, match="begun"):
        train(75, 2, (80, 96, 3), TrainOptions(tmp_path, "x" * 300))
    assert written[0].weights_name == "x" * 255
