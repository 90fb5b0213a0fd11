"""train.py --folds: networks validated on different clips, and their mean in one checkpoint."""

import json
import shutil

import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, LENGTH, assert_one_line_error, run

from data import DataSet
from models import ResearchModel
from train import TrainOptions
from vidclass.errors import UsageError
from vidclass.features.sequence_store import FolderStore
from vidclass.training.loop import Checkpoints
from vidclass.training.metadata import Metadata

FOLDS = ["--folds", 2, "--epochs", 2, "--units", 4, "--weights", "random", "--quiet", "--no-baseline"]


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory):
    """A copy of the project after a training in two folds, with what it printed."""
    folder = tmp_path_factory.mktemp("folds") / "copy"
    shutil.copytree(project, folder)
    result = run(folder, "train.py", *ARTICLE_ARGUMENTS, *FOLDS)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def best_of(folder, fold):
    return ResearchModel.load(folder / f"data/checkpoints/fold-{fold}/lstm-features.hdf5")


def test_the_checkpoint_is_the_mean_of_the_folds(trained):
    folder, printed = trained
    mean = ResearchModel.load(folder / "data/checkpoints/lstm-features.hdf5")
    assert mean.members == 2 and mean.metadata.training["folds"] == 2
    assert "Fold 2 of 2: 6 clips to train on, 6 to validate on" in printed
    x = np.random.default_rng(0).random((3, LENGTH, 2048)).astype(np.float32)
    branches = np.concatenate([best_of(folder, fold).predict_branches(x) for fold in (1, 2)])
    weights = mean.branch_weights
    np.testing.assert_allclose(weights[:3], weights[3:], rtol=1e-6)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)
    mean.temperature = 1.0
    np.testing.assert_allclose(mean.predict(x), np.tensordot(weights, branches, 1), rtol=1e-4)


def test_each_clip_is_classified_by_the_network_that_did_not_learn_from_it(trained):
    """Counted from the networks of the folds themselves."""
    folder, printed = trained
    report = json.loads((folder / "data/reports/lstm-features-cross-validation.json").read_text())
    dataset = DataSet(LENGTH, 2, tuple(map(int, (*ARTICLE_ARGUMENTS[2:4], 3))), folder / "data")
    store, right, validated = FolderStore(dataset, "random"), 0, []
    weights = ResearchModel.load(folder / "data/checkpoints/lstm-features.hdf5").branch_weights[:3]
    for fold, (_, clips) in enumerate(dataset.split_folds(2), 1):
        x = np.stack([store.load(clip) for clip in clips])
        predicted = np.tensordot(weights, best_of(folder, fold).predict_branches(x), 1).argmax(1)
        right += sum(dataset.classes[number] == clip.class_name for number, clip in zip(predicted, clips))
        validated += clips
    assert sorted(validated) == sorted(dataset.split_train_test()[0])
    assert report["clips"] == 12 and report["accuracy"] == right / 12
    assert f"Cross-validation accuracy: {right / 12:.3f} ({right} of 12 clips; 95 % interval" in printed
    for name in ("lstm-features-cross-validation.png", "training-fold-1.png", "training-fold-2.png"):
        assert (folder / "data/reports" / name).stat().st_size > 1000


def test_it_is_evaluated_but_not_on_validation_clips(trained):
    folder, _ = trained
    arguments = (*ARTICLE_ARGUMENTS[:2], "lstm-features.hdf5", "--no-baseline")
    assert run(folder, "evaluate.py", *arguments).returncode == 0
    assert "12 clips" in run(folder, "evaluate.py", *arguments, "--split", "train").stdout
    result = run(folder, "evaluate.py", *arguments, "--split", "validation")
    assert_one_line_error(result, 2, "lstm-features.hdf5", "--folds", "cross-validation")


def test_no_training_goes_on_from_it(trained):
    folder, _ = trained
    result = run(folder, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--resume")
    assert_one_line_error(result, 1, "lstm-features.hdf5", "--folds", "train again")
    with pytest.raises(UsageError, match="leave one of them out"):
        TrainOptions(folds=2, resume="lstm-features.hdf5")
    with pytest.raises(UsageError, match="--folds is not 1 to 20"):
        TrainOptions(folds=21)


def test_more_folds_than_clips(trained):
    folder, _ = trained
    result = run(folder, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--folds", 7)
    assert_one_line_error(result, 1, "7 folds are not possible", "6")


@pytest.mark.slow
def test_the_earlier_best_stays_until_the_mean_is_written(trained, tmp_path, monkeypatch):
    folder = tmp_path / "stopped"
    shutil.copytree(trained[0], folder)
    before = (folder / "data/checkpoints/lstm-features.hdf5").read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vidclass.training.evaluation.combine_folds", stop)
    assert run(folder, "train.py", *ARTICLE_ARGUMENTS, *FOLDS).returncode == 130
    assert (folder / "data/checkpoints/lstm-features.hdf5").read_bytes() == before
    assert (folder / "data/checkpoints/fold-2/lstm-features.hdf5").exists()
    assert len(list((folder / "data/checkpoints").glob("earlier-*/fold-2"))) == 1


@pytest.mark.slow
def test_training_again_sets_the_folds_aside(trained, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(trained[0], folder)
    before = (folder / "data/checkpoints/fold-2/lstm-features.hdf5").read_bytes()
    assert run(folder, "train.py", *ARTICLE_ARGUMENTS, *FOLDS[2:]).returncode == 0
    checkpoints = folder / "data/checkpoints"
    assert not (checkpoints / "fold-2").exists()
    assert ResearchModel.load(checkpoints / "lstm-features.hdf5").members == 1
    (aside,) = (path for path in checkpoints.glob("earlier-*") if (path / "fold-2").exists())
    assert (aside / "fold-2/lstm-features.hdf5").read_bytes() == before


def test_a_file_of_that_name_in_the_working_directory_is_no_earlier_best(tmp_path, monkeypatch):
    class Network:
        metadata = None

        def save(self, path, metadata):
            tmp_path.joinpath(path).write_text("new")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "lstm-features.hdf5").write_text("of another dataset")
    checkpoints = Checkpoints(
        Network(), Metadata(["A", "B"], 4, [80, 96, 3], 1.0, "random", "random"), "data", 1
    )
    checkpoints.on_epoch_end(0, {"val_loss": 1.0})
    assert (tmp_path / "data/fold-1/lstm-features.hdf5").read_text() == "new"
    assert not (tmp_path / "data/lstm-features.hdf5").exists()
