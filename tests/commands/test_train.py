"""extract_features.py, train.py and evaluate.py as a user runs them, on rendered clips of two classes that
differ plainly."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import h5py
import keras
import numpy as np
import pytest
from conftest import (
    ARTICLE_ARGUMENTS,
    CLASSES,
    EPOCHS,
    HEIGHT,
    LENGTH,
    ROOT,
    WIDTH,
    assert_one_line_error,
    render,
    run,
    run_as_user,
)

from data import DataSet
from extractor import Extractor
from models import ResearchModel
from train import TrainOptions
from vidclass.dataset.data_file import read_data_file, write_data_file
from vidclass.errors import UsageError
from vidclass.features.sequence_store import FolderStore
from vidclass.training.checkpoint import METADATA
from vidclass.training.loop import MIN_DELTA


def test_sequences_lie_where_they_should(project):
    files = sorted(path.relative_to(project / "data/sequences") for path in project.rglob("*.npy"))
    assert (
        len(files) == 16 and str(files[0]) == f"80x96-random/test/Colour/Colour_test_0-{LENGTH}-features.npy"
    )
    sequence = np.load(project / "data/sequences" / files[0])
    assert sequence.shape == (LENGTH, 2048) and sequence.dtype == np.float32 and np.isfinite(sequence).all()


def test_features_of_a_sequence_are_those_of_its_frames(project):
    """First, last and evenly between: 0, 3, 6, 10, 13, 17, 20, 24 of 25."""
    found = np.load(
        project / "data/sequences/80x96-random/train/Grey" / f"Grey_train_1-{LENGTH}-features.npy"
    )
    stock = Extractor((HEIGHT, WIDTH, 3), "random")
    for position, frame in ((0, 1), (1, 4), (3, 11), (7, 25)):
        image = cv2.imread(str(project / f"data/train/Grey/Grey_train_1-{frame:04d}.jpg"))[..., ::-1]
        expected = stock.extract_image(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
        np.testing.assert_allclose(found[position], expected, rtol=1e-2, atol=1e-2)


def test_training_prints_the_test_accuracy(project):
    log = (project / "train.log").read_text()
    assert "Classes: Colour, Grey" in log and "10 clips to train on, 2 to validate on, 4 to test on" in log
    accuracy = re.search(r"Test accuracy: ([\d.]+) \((\d) of 4 clips; .*always .* would give 0.500\)", log)
    assert float(accuracy[1]) == int(accuracy[2]) / 4 and float(accuracy[1]) >= 0.75


def logged(folder):
    (path,) = (folder / "data/logs").glob("*.csv")
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_checkpoints_are_written_at_each_improvement_and_the_last_is_the_best(project):
    losses = [float(row["val_loss"]) for row in logged(project)]
    best, expected = float("inf"), []
    for epoch, loss in enumerate(losses, 1):
        if loss < best - MIN_DELTA:
            best = loss
            expected.append(f"lstm-features.{epoch:03d}-{loss:.3f}.hdf5")
    found = sorted(os.listdir(project / "data/checkpoints"))
    assert found == [*expected, "lstm-features.hdf5"] and len(expected) > 1
    folder = project / "data/checkpoints"
    assert (folder / "lstm-features.hdf5").read_bytes() == (folder / expected[-1]).read_bytes()
    assert list((project / "data/logs").glob("lstm-*/train/events*"))


def test_a_checkpoint_tells_all(project):
    path = project / "data/checkpoints/lstm-features.hdf5"
    with h5py.File(path) as file:
        metadata = json.loads(file.attrs[METADATA])
    assert metadata["class_names"] == ["Colour", "Grey"] and metadata["seq_length"] == LENGTH
    assert metadata["image_shape"] == [HEIGHT, WIDTH, 3] and metadata["clip_seconds"] == 1.0
    assert metadata["weights"] == "random" and metadata["model"] == "lstm"
    assert keras.models.load_model(path).output_shape == (None, 2)


def test_reports_of_a_training(project):
    """The figures in the report are those of the predictions that the checkpoint makes for the test clips."""
    reports = project / "data/reports"
    assert sorted(os.listdir(reports)) == [
        "lstm-features-test.json",
        "lstm-features-test.png",
        "training.png",
    ]
    with open(reports / "lstm-features-test.json") as file:
        report = json.load(file)
    dataset = DataSet(LENGTH, CLASSES, (HEIGHT, WIDTH, 3), project / "data")
    rows = dataset.split_train_test()[1]
    store = FolderStore(dataset, "random")
    sequences = np.stack([store.load(row) for row in rows])
    model = ResearchModel.load(project / "data/checkpoints/lstm-features.hdf5")
    truth = np.array([["Colour", "Grey"].index(row.class_name) for row in rows])
    likelihood = model.predict(sequences)[np.arange(4), truth]
    assert report["accuracy"] == np.mean(likelihood > 0.5) and report["clips"] == 4
    assert report["log_loss"] == pytest.approx(-np.log(likelihood).mean(), rel=1e-3)
    assert model.temperature != 1  # eight validation clips say something


def test_evaluate(project):
    """evaluate.py says of the test clips what train.py said, and takes the validation clips from the
    checkpoint."""
    said = re.search("^Test accuracy: .*", (project / "train.log").read_text(), re.M)[0]
    result = run(project, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5")
    assert result.returncode == 0 and said in result.stdout and "Colour      2 " in result.stdout, (
        result.stderr
    )
    for split, clips in (("validation", 2), ("train", 10)):
        result = run(project, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5", "--split", split)
        assert result.returncode == 0 and f"of {clips} clips" in result.stdout
        with open(project / f"data/reports/lstm-features-{split}.json") as file:
            assert json.load(file)["clips"] == clips
        for suffix in ("json", "png"):
            (project / f"data/reports/lstm-features-{split}.{suffix}").unlink()


def test_a_class_without_test_clips_is_named(copy):
    """Else an accuracy of 1.0 would seem to be one of all classes."""
    arguments = (copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5", "--no-baseline")
    assert "the accuracy tells nothing" not in run(*arguments).stderr
    rows = read_data_file(copy / "data")
    write_data_file(copy / "data", [row for row in rows if (row.split, row.class_name) != ("test", "Grey")])
    assert "No test clips of Grey: the accuracy tells nothing of that\n" in run(*arguments).stderr


def test_evaluate_says_what_is_wrong(copy):
    assert_one_line_error(
        run(copy, "evaluate.py", 75, CLASSES, "lstm-features.hdf5"), 2, "sequences of 8 frames, not 75"
    )
    assert_one_line_error(
        run(copy, "evaluate.py", LENGTH, CLASSES, "none.hdf5"), 1, "none.hdf5: no such checkpoint"
    )
    (copy / f"data/sequences/80x96-random/test/Grey/Grey_test_1-{LENGTH}-features.npy").unlink()
    assert_one_line_error(
        run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5"),
        1,
        "Grey_test_1-8-features.npy",
        "python extract_features.py 8 2 80 96",
    )
    table = (copy / "data/data_file.csv").read_text()
    (copy / "data/data_file.csv").write_text(table.replace("Grey,", "Gray,"))
    assert_one_line_error(
        run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5"), 2, "Colour, Grey", "Colour, Gray"
    )
    (copy / "data/data_file.csv").write_text(
        "".join(line for line in table.splitlines(True) if line.startswith("train"))
    )
    assert_one_line_error(run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5"), 2, "no test clips")


def test_evaluate_a_checkpoint_of_the_articles_repository(copy, keras_2_checkpoint):
    path = keras_2_checkpoint[0]
    assert_one_line_error(run(copy, "evaluate.py", 6, CLASSES, path), 2, "--size HEIGHT WIDTH")
    assert (
        run(
            copy, "extract_features.py", 6, CLASSES, HEIGHT, WIDTH, "--weights", "random", "--quiet"
        ).returncode
        == 0
    )
    arguments = ("evaluate.py", 6, CLASSES, path, "--size", HEIGHT, WIDTH, "--weights", "random")
    result = run(copy, *arguments)
    assert result.returncode == 0 and "of 4 clips" in result.stdout, result.stderr
    assert_one_line_error(
        run(copy, *arguments, "--split", "validation"), 2, "doesn't say which clips validated it"
    )


def history(folder):
    """The lines of the CSV logs, without the header, in order of time."""
    return [
        line
        for path in sorted((folder / "data/logs").glob("*.csv"))
        for line in path.read_text().splitlines()[1:]
    ]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_history(copy):
    """To the last digit, in another process, too; another seed gives another."""
    before = history(copy)
    arguments = (*ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 3, "--quiet", "--seed")
    for start, seed, same in ((run_as_user, 0, True), (run, 1, False)):
        shutil.rmtree(copy / "data/logs")
        result = start(copy, "train.py", *arguments, seed)
        assert result.returncode == 0, result.stderr
        assert (history(copy) == before[:3]) is same


def test_resumed_training_does_what_an_unstopped_one_does(copy):
    """From the third checkpoint on: the same losses to the last digit, the same checkpoints, none set aside
    but later ones."""
    before, files = history(copy), sorted(path.name for path in (copy / "data/checkpoints").glob("*.hdf5"))
    best = ResearchModel.load(copy / "data/checkpoints/lstm-features.hdf5")
    shutil.rmtree(copy / "data/logs")
    result = run(
        copy,
        "train.py",
        *ARTICLE_ARGUMENTS,
        "--weights",
        "random",
        "--epochs",
        EPOCHS,
        "--quiet",
        "--resume",
        files[2],
    )
    assert result.returncode == 0, result.stderr
    epoch = int(files[2].split(".")[1].split("-")[0])
    assert history(copy) == before[epoch:] and result.stderr == ""
    assert sorted(path.name for path in (copy / "data/checkpoints").glob("*.hdf5")) == files
    (earlier,) = (copy / "data/checkpoints").glob("earlier-*")
    assert sorted(path.name for path in earlier.iterdir()) == files[3:-1]
    again = ResearchModel.load(copy / "data/checkpoints/lstm-features.hdf5")
    assert again.metadata == best.metadata
    for array, expected in zip(again.model.get_weights(), best.model.get_weights()):
        np.testing.assert_array_equal(array, expected)


def test_resuming_a_finished_training_changes_nothing(copy):
    checkpoint = copy / "data/checkpoints/lstm-features.hdf5"
    before = checkpoint.read_bytes()
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 1, "--resume")
    assert (
        result.returncode == 0
        and "no improvement on it" in result.stdout
        and "Test accuracy" in result.stdout
    )
    assert checkpoint.read_bytes() == before


def test_resuming_with_other_options_is_refused(copy, keras_2_checkpoint):
    for arguments, mentions in (
        ((LENGTH, 2, 80, 97), "frame size [80, 96], not [80, 97]"),
        ((9, 2, 80, 96), "sequence length 8, not 9"),
        ((*ARTICLE_ARGUMENTS, "--seed", 5), "--seed 0, not 5"),
        ((*ARTICLE_ARGUMENTS, "--units", 9), "--units 64, not 9"),
        ((*ARTICLE_ARGUMENTS, "--model", "gru"), "--model lstm, not gru"),
        ((*ARTICLE_ARGUMENTS, "--group"), "(neither --group nor --no-group), not --group; give the same"),
        ((*ARTICLE_ARGUMENTS, "--no-group"), "(neither --group nor --no-group), not --no-group"),
    ):
        result = run(copy, "train.py", *arguments, "--weights", "random", "--resume")
        assert_one_line_error(result, 2, "data/checkpoints/lstm-features.hdf5 was trained with", mentions)
    result = run(
        copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--resume", keras_2_checkpoint[0]
    )
    assert_one_line_error(result, 1, "has no training state: cannot resume")


def test_a_training_that_learns_nothing_and_shared_clips_are_named(copy):
    """One clip over and over, in both classes and in the test split."""
    clips = sorted((copy / "data/train").rglob("*.mp4"))
    for target in (*clips[1:], copy / "data/test/Grey/other_name.mp4"):
        shutil.copy(clips[0], target)
    assert run(copy, "extract_files.py", "mp4", "--quiet").returncode == 0
    result = run(
        copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--epochs", 1, "--group"
    )
    assert result.returncode == 0, result.stderr
    pair = "train/(Grey/Grey|Colour/Colour)_train_[0-5] and test/Grey/other_name"
    assert re.search(f"The same video is in both splits: {pair}", result.stderr)
    assert "In all 1 of the 5 test clips" in result.stderr
    assert "--group: the clip names of Colour, Grey tell no groups" in result.stderr
    (predicted,) = re.findall(
        "All validation clips are classified as (Colour|Grey): the network has not", result.stderr
    )
    assert re.search(f"^{predicted} +[23] ", result.stdout, re.M)


def test_training_stops_after_five_epochs_without_improvement(copy):
    """Labels that no network can learn: the same clip in both classes."""
    for split in ("train", "test"):
        for clip in (copy / f"data/{split}/Grey").glob("*.mp4"):
            shutil.copy(clip, copy / f"data/{split}/Colour" / clip.name.replace("Grey", "Colour"))
    shutil.rmtree(copy / "data/logs")
    assert run(copy, "extract_files.py", "mp4", "--quiet").returncode == 0
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert result.returncode == 0, result.stderr
    losses = [float(row["val_loss"]) for row in logged(copy)]
    best, waited = losses[0], 0
    for loss in losses[1:]:
        best, waited = (loss, 0) if loss < best - MIN_DELTA else (best, waited + 1)
    assert waited == 5 and len(losses) < 1000
    # The checkpoints of the run before are kept, apart from the new ones.
    (earlier,) = (copy / "data/checkpoints").glob("earlier-*")
    assert (earlier / "lstm-features.hdf5").exists() and (
        copy / "data/checkpoints/lstm-features.hdf5"
    ).exists()


def test_the_test_split_chooses_nothing(copy):
    """Training with other test clips gives the same validation losses."""
    with open(copy / "data/data_file.csv") as file:
        rows = [line for line in file if not line.startswith("test,Grey")]
    (copy / "data/data_file.csv").write_text("".join(rows))
    before = [row["val_loss"] for row in logged(copy)][:3]
    shutil.rmtree(copy / "data/logs")
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--epochs", 3)
    assert result.returncode == 0 and "2 to test on" in result.stdout
    np.testing.assert_allclose(
        [float(row["val_loss"]) for row in logged(copy)],
        [float(loss) for loss in before],
        rtol=1e-3,
        atol=1e-5,
    )


def test_features_are_extracted_once(project):
    result = run(project, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random")
    assert result.returncode == 0 and "All 16 sequences are there already" in result.stdout


def interrupted(copy, arguments):
    """extract_features.py, to which Ctrl-C comes when it has saved a sequence."""
    save = FolderStore.save

    def save_and_stop(*args):
        save(*args)
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderStore, "save", save_and_stop)
        return run(copy, "extract_features.py", *arguments)


def interrupted_process(copy, arguments):
    """The same in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "extract_features.py"), *arguments],
        cwd=copy,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not list(copy.rglob("*.npy")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    "stop, size",
    [(interrupted, "80 96"), pytest.param(interrupted_process, "160 160", marks=pytest.mark.slow)],
)
def test_an_interrupted_extraction_goes_on_where_it_was(copy, stop, size):
    with open(copy / "data/data_file.csv") as file:
        rows = [line for line in file if line.startswith("train")][:8]
    (copy / "data/data_file.csv").write_text("".join(rows))
    shutil.rmtree(copy / "data/sequences")
    arguments = ["25", "2", *size.split(), "--weights", "random", "--quiet"]
    stopped = stop(copy, arguments)
    assert_one_line_error(stopped, 130, "stopped by Ctrl-C")
    done = {path: path.stat().st_mtime_ns for path in copy.rglob("*.npy")}
    assert 0 < len(done) < 8 and not list(copy.rglob("*.tmp"))
    result = run(copy, "extract_features.py", *arguments)
    assert (
        result.returncode == 0
        and (
            f"{8 - len(done)} sequences extracted, {len(done)} "
            f"{'was' if len(done) == 1 else 'were'} there already"
        )
        in result.stdout
    )
    assert (
        all(path.stat().st_mtime_ns == before for path, before in done.items())
        and len(list(copy.rglob("*.npy"))) == 8
    )


def test_damaged_frames_are_named_and_the_rest_goes_on(copy):
    shutil.rmtree(copy / "data/sequences")
    (copy / "data/train/Grey/Grey_train_2-0001.jpg").unlink()
    (copy / "data/train/Grey/Grey_train_3-0025.jpg").write_bytes(b"no jpeg")
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "Grey_train_2-0001.jpg: No such file" in result.stderr
    assert "Grey_train_3-0025.jpg: not a readable image" in result.stderr
    assert len(list(copy.rglob("*.npy"))) == 14 and "14 sequences extracted" in result.stdout


def test_short_clips_are_named_and_left_out(copy):
    render(copy / "data/train/Grey/short.mp4", "Grey", 1, 0.2)
    assert run(copy, "extract_files.py", "mp4").returncode == 0
    result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random")
    assert result.returncode == 0 and "train/Grey/short: left out, 5 frames are fewer" in result.stderr
    assert_one_line_error(run(copy, "train.py", 26, 2, 80, 96), 1, "no training clip of at least 26 frames")


def test_too_many_classes_and_no_data_file(project, tmp_path):
    assert_one_line_error(
        run(project, "train.py", LENGTH, 3, 80, 96), 1, "3 classes asked for", "has 2: Colour, Grey"
    )
    assert_one_line_error(
        run(tmp_path, "train.py", LENGTH, 3, 80, 96),
        1,
        "data/data_file.csv is missing",
        "python extract_files.py mp4",
    )


@pytest.mark.parametrize(
    "table, mentions",
    [
        (
            "train,Colour,Colour_train_0,25\n",
            ["class Colour has 1 usable training clips", "data/train/Colour"],
        ),
        (
            "train,Colour,Colour_train_0,25\ntrain,Colour,Colour_train_1,7\n",
            ["class Colour has 1 usable training clips", "8 frames"],
        ),
        (
            "train,Colour,Colour_train_0,7\n",
            ["class Colour has no training clip of at least 8 frames", "at most 7"],
        ),
        ("test,Colour,Colour_test_0,25\n", ["no training clips of class Colour, only test clips"]),
        ("", ["2 classes asked for", "has 1: Grey"]),
        ("train,Colour,../../../evil,25\n", ["data_file.csv, row 1", "can't be the name"]),
    ],
)
def test_what_the_list_tells_is_checked_before_anything_is_extracted(copy, monkeypatch, table, mentions):
    with open(copy / "data/data_file.csv") as file:
        grey = [line for line in file if line.startswith("train,Grey")]
    (copy / "data/data_file.csv").write_text(table + "".join(grey))
    shutil.rmtree(copy / "data/sequences")
    monkeypatch.setattr("extract_features.extract_here", lambda *args: pytest.fail("hours of work"))
    assert_one_line_error(
        run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet"), 1, *mentions
    )
    if "usable" in mentions[0]:  # extract_features.py warns of it, before the hours, too
        monkeypatch.setattr("extract_features.extract_here", lambda *args: iter(()))
        result = run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
        assert mentions[0] in result.stderr


def test_the_splits_are_described_before_anything_is_extracted(copy, monkeypatch):
    shutil.rmtree(copy / "data/sequences")
    shutil.copy(copy / "data/train/Grey/Grey_train_0.mp4", copy / "data/test/Grey/Grey_test_0.mp4")
    assert run(copy, "extract_files.py", "mp4", "--quiet").returncode == 0

    def stop(*args):
        raise RuntimeError("the extraction begins")

    monkeypatch.setattr("extract_features.extract_here", stop)
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--group")
    assert "the extraction begins" in result.stderr
    assert "10 clips to train on, 2 to validate on, 4 to test on" in result.stdout
    assert (
        "The same video is in both splits: train/Grey/Grey_train_0 and test/Grey/Grey_test_0" in result.stderr
    )
    assert "--group: the clip names of Colour, Grey tell no groups" in result.stderr


def test_a_sequence_that_is_none_is_named_when_it_is_read(copy):
    """Of the right size, so that no start can tell: reading it does, and what it says helps."""
    path = copy / "data/sequences/80x96-random/train/Grey/Grey_train_1-8-features.npy"
    content = path.read_bytes()
    path.write_bytes(b"?" * 10 + content[10:])
    arguments = (*ARTICLE_ARGUMENTS, "--weights", "random", "--quiet", "--epochs", 1)
    assert_one_line_error(
        run(copy, "train.py", *arguments), 1, "Grey_train_1-8-features.npy", "delete it and run again"
    )
    path.unlink()
    result = run(copy, "train.py", *arguments)
    assert result.returncode == 0 and "1 sequence extracted, 15 were there already" in result.stdout


@pytest.mark.parametrize(
    "options, mentions",
    [
        ({"model": "transformer"}, "--model transformer: expected one of lstm, bilstm, gru, article"),
        ({"units": 0}, "--units"),
        ({"validation_split": 1.0}, "--validation-split"),
        ({"epochs": 0}, "--epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"seed": -1}, "--seed"),
        ({"devices": "two"}, "--devices two: expected one of one, all"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, mentions):
    """From Python, too, where no command line has looked at them."""
    with pytest.raises(UsageError, match=mentions):
        TrainOptions(**options)
