"""models.py: networks, and checkpoints from ourselves, from Keras 2 and from strangers."""

import functools
import json
import os
import shutil
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
from conftest import ARTICLE_ARGUMENTS, CLASSES, LENGTH, assert_one_line_error, run, write_keras_2

from models import ResearchModel
from vidclass.training.batches import FeatureStatistics
from vidclass.training.calibration import apply_temperature
from vidclass.training.checkpoint import METADATA, Checkpoint, rewrite_metadata, weight_shapes
from vidclass.training.fast_lstm import LSTM
from vidclass.training.metadata import Metadata, printable_name

TRAINING = {"validation_split": 0.2, "seed": 0, "batch_size": 16, "group": False}
METADATA_OF_TEST = Metadata(
    class_names=["Commercial", "Football", "足球"],
    seq_length=6,
    image_shape=[720, 1280, 3],
    clip_seconds=3.0,
    weights="imagenet",
    weights_name="imagenet",
    epoch=2,
    val_loss=1.5,
    training=TRAINING,
)
X = np.random.default_rng(0).random((4, 6, 2048)).astype(np.float32)


slow = functools.partial(pytest.param, marks=pytest.mark.slow)
every_model = pytest.mark.parametrize("trained", ["lstm", slow("bilstm"), "gru"], indirect=True)


def statistics_of(x):
    """FeatureStatistics of sequences (n, steps, features)."""
    steps = np.abs(x[:, 1:] - x[:, :-1])
    deviation = np.abs(x - x.mean(1, keepdims=True)).mean(1)
    summary = np.concatenate([x.mean(1), deviation, steps.mean(1)], axis=1)
    return FeatureStatistics(
        (x.mean((0, 1)), x.var((0, 1))),
        (steps.mean((0, 1)), steps.var((0, 1))),
        (summary.mean(0), summary.var(0)),
    )


@pytest.fixture(scope="module")
def trained(request):
    """A small model with weights that are not the initial ones."""
    model = ResearchModel(3, getattr(request, "param", "lstm"), seq_length=6, units=8)
    model.set_normalization(statistics_of(X))
    random = np.random.default_rng(1)
    model.fitted_layers[1].set_weights([random.normal(0, 0.02, (3 * 2048, 3)), random.normal(0, 1, 3)])
    model.trainer.fit(X, np.eye(3)[[0, 1, 2, 0]], epochs=2, verbose=0)
    return model


@pytest.fixture
def checkpoint(trained, tmp_path):
    trained.save(tmp_path / "lstm-features.hdf5", METADATA_OF_TEST)
    return tmp_path / "lstm-features.hdf5"


def predict(model, x=X):
    """Not by model.predict, for which each network is traced."""
    return np.asarray(model(x))


@every_model
def test_a_checkpoint_comes_back_with_its_metadata(trained, checkpoint, tmp_path):
    loaded = ResearchModel.load(checkpoint)
    np.testing.assert_array_equal(predict(loaded.model), predict(trained.model))
    assert loaded.metadata == replace(METADATA_OF_TEST, model=trained.name, units=8, network=3)
    assert (loaded.name, loaded.units, loaded.seq_length, loaded.nb_classes) == (trained.name, 8, 6, 3)
    assert os.listdir(tmp_path) == ["lstm-features.hdf5"]
    again = ResearchModel(3, trained.name, 6, units=8, saved_model=checkpoint)
    np.testing.assert_array_equal(predict(again.model), predict(trained.model))


@every_model
def test_stock_keras_opens_a_checkpoint(trained, checkpoint):
    np.testing.assert_allclose(
        predict(keras.models.load_model(checkpoint)), predict(trained.model), atol=1e-6
    )


def test_probabilities(trained):
    probabilities = predict(trained.model)
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def standardised(model, x):
    """{name of a Normalization layer: what it gives for sequences x}."""
    found = {}
    for branch in model.parts:
        for layer in branch.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                found[layer.name] = np.asarray(keras.Model(branch.input, layer.output)(x))
    return found


@pytest.mark.parametrize("scale", [1, 0.04])
def test_the_scale_of_features_does_not_matter(scale):
    model = ResearchModel(3, seq_length=6)
    x = np.random.default_rng(0).random((30, 6, 2048)).astype(np.float32) * np.float32(scale)
    model.set_normalization(statistics_of(x))
    found = standardised(model, x)
    assert {name: values.shape[1:] for name, values in found.items()} == {
        "frames": (6, 2048),
        "steps": (5, 2048),
        "summary": (3 * 2048,),
    }
    for values in found.values():
        np.testing.assert_allclose(values.mean(tuple(range(values.ndim - 1))), 0, atol=1e-3)
        np.testing.assert_allclose(values.std(tuple(range(values.ndim - 1))), 1, rtol=1e-2)


def test_a_feature_that_never_varies_is_not_blown_up():
    dead = X.copy()
    dead[..., 5] = 0
    model = ResearchModel(3, seq_length=6)
    model.set_normalization(statistics_of(dead))
    dead[:, ::2] += 0.001
    assert all(np.abs(values).max() < 10 for values in standardised(model, dead).values())


def test_branches_learn_by_themselves(trained):
    """The training loss is the mean of the branches' own, the validation loss that of their mean."""
    targets, weights = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([1, 2, 0.5, 0.5], np.float32)
    probabilities = trained.predict_branches(X)
    assert probabilities.shape == (3, 4, 3)
    decay = sum(float(loss) for loss in trained.trainer.losses)
    own = [-(np.log((one * targets).sum(1)) * weights).mean() for one in probabilities]
    loss = trained.trainer.compute_loss(y=targets, y_pred=list(probabilities), sample_weight=weights)
    np.testing.assert_allclose(float(loss), (sum(own) + decay) / 3, rtol=1e-5)
    loss = trained.trainer.compute_loss(
        y=targets, y_pred=list(probabilities), sample_weight=weights, training=False
    )
    mean = -(np.log((probabilities.mean(0) * targets).sum(1)) * weights).mean()
    np.testing.assert_allclose(float(loss), mean, rtol=1e-5)


def test_the_summary_sees_mean_deviation_and_step(trained):
    """Computed here otherwise; the network's linear branch gives the same."""
    summary = trained.parts[2]
    kernel, bias = summary.layers[-1].get_weights()
    (mean, variance), steps = statistics_of(X).summary, np.abs(np.diff(X, axis=1)).mean(1)
    seen = np.concatenate([X.mean(1), np.abs(X - X.mean(1)[:, None]).mean(1), steps], axis=1)
    floor = 0.01 * np.median(variance)
    logits = (seen - mean) / np.sqrt(np.maximum(variance, floor)) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(trained.predict_branches(X)[2], expected, rtol=1e-3)


def test_weights_of_branches(trained, checkpoint):
    """They make the mean, are in the checkpoint, and training leaves them alone."""
    np.testing.assert_allclose(trained.branch_weights, 1 / 3, rtol=1e-6)
    loaded = ResearchModel.load(checkpoint, optimizer=True)
    loaded.set_branch_weights([0.7, 0, 0.3])
    expected = np.tensordot([0.7, 0, 0.3], loaded.predict_branches(X), 1)
    np.testing.assert_allclose(predict(loaded.model), expected, rtol=1e-4)
    loaded.save(checkpoint, METADATA_OF_TEST)
    again = ResearchModel.load(checkpoint, optimizer=True)
    np.testing.assert_allclose(predict(again.model), expected, rtol=1e-4)
    assert "weights" not in " ".join(variable.path for variable in again.trainer.trainable_variables)


def test_one_frame_has_no_steps(tmp_path):
    model = ResearchModel(3, seq_length=1, units=8, features_length=16)
    assert len(model.parts) == 1
    metadata = replace(METADATA_OF_TEST, seq_length=1)
    model.save(tmp_path / "one.hdf5", metadata)
    x = np.random.default_rng(0).random((4, 1, 16)).astype(np.float32)
    np.testing.assert_array_equal(ResearchModel.load(tmp_path / "one.hdf5").predict(x), model.predict(x))


@pytest.mark.parametrize("name", ["lstm", slow("bilstm"), slow("gru"), "article"])
def test_mean_of_networks(name, tmp_path):
    members = [ResearchModel(3, name, seq_length=6, units=4, features_length=16) for _ in range(2)]
    x = np.random.default_rng(0).random((4, 6, 16)).astype(np.float32)
    if name != "article":
        members[0].set_branch_weights([0.5, 0.25, 0.25])
    mean = ResearchModel.mean_of(members)
    expected = np.mean([member.predict(x) for member in members], axis=0)
    np.testing.assert_allclose(mean.predict(x), expected, rtol=1e-5)
    mean.save(tmp_path / "mean.hdf5", METADATA_OF_TEST)
    loaded = ResearchModel.load(tmp_path / "mean.hdf5")
    assert loaded.members == loaded.metadata.members == 2
    np.testing.assert_allclose(loaded.predict(x), expected, rtol=1e-5)
    stock = keras.models.load_model(tmp_path / "mean.hdf5")
    np.testing.assert_allclose(predict(stock, x), expected, rtol=1e-4)


@every_model
def test_a_training_goes_on_as_if_it_had_not_been_stopped(trained, checkpoint):
    """Weights, Adam's moments and its step count: one more epoch gives the same from the checkpoint as
    without it."""
    loaded, targets = ResearchModel.load(checkpoint, optimizer=True), np.eye(3)[[2, 1, 0, 0]]
    for variable, other in zip(
        trained.model.optimizer.variables, loaded.model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(np.asarray(variable), np.asarray(other))
    assert int(loaded.model.optimizer.iterations) == 2
    without = ResearchModel.load(checkpoint)
    for model in (loaded, without):
        model.trainer.run_eagerly = True  # tracing one step takes longer than the step
        for layer in model.model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0
        model.trainer.fit(X, targets, verbose=0)
    assert (
        np.abs(predict(loaded.model) - predict(without.model)).max() > 1e-4
    )  # Adam begins with larger steps


def test_a_checkpoint_without_the_optimizer(trained, checkpoint):
    with h5py.File(checkpoint, "a") as file:
        del file["optimizer_weights"]
    ResearchModel.load(checkpoint)
    with pytest.raises(ValueError, match="lstm-features.hdf5: holds no state of this network's optimizer"):
        ResearchModel.load(checkpoint, optimizer=True)


def test_temperature(trained, checkpoint):
    """Probabilities as of logits divided by the temperature, in the checkpoint too."""
    logits = np.random.default_rng(1).normal(0, 3, (5, 4))
    plain = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    halved = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    np.testing.assert_allclose(apply_temperature(plain, 2), halved, rtol=1e-6)
    np.testing.assert_allclose(apply_temperature(plain, 1), plain, rtol=1e-6)
    assert apply_temperature([[1, 0]], 0.05).tolist() == [[1, 0]]
    with Checkpoint(checkpoint) as file:
        rewrite_metadata(checkpoint, replace(file.metadata, temperature=2.5))
    np.testing.assert_allclose(
        ResearchModel.load(checkpoint).predict(X), apply_temperature(predict(trained.model), 2.5), rtol=1e-5
    )


def test_the_articles_network(monkeypatch):
    # Orthogonal weights of 2048 units take seconds to find.
    monkeypatch.setattr(
        "models.LSTM", lambda units, **options: LSTM(units, **{**options, "recurrent_initializer": "zeros"})
    )
    model = ResearchModel(2, "article", seq_length=75).model
    assert [tuple(w.shape) for w in model.weights] == [
        (2048, 8192),
        (2048, 8192),
        (8192,),
        (2048, 512),
        (512,),
        (512, 2),
        (2,),
    ]
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-5)
    with pytest.raises(ValueError, match="no model is called gpt"):
        ResearchModel(2, "gpt")


@pytest.mark.parametrize("units, dense", [(16, 8), pytest.param(2048, 512, marks=pytest.mark.slow)])
def test_a_checkpoint_of_the_articles_repository(tmp_path, keras_2_checkpoint, units, dense):
    path, x, expected = keras_2_checkpoint if units == 16 else write_keras_2(tmp_path, units, dense)
    loaded = ResearchModel.load(path)
    assert loaded.metadata is None and (loaded.nb_classes, loaded.seq_length) == (2, 6)
    np.testing.assert_allclose(predict(loaded.model, x), expected, atol=1e-5)


def rewritten(checkpoint, **changes):
    with h5py.File(checkpoint, "a") as file:
        file.attrs[METADATA] = json.dumps({**json.loads(file.attrs[METADATA]), **changes})
    return checkpoint


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": "abc"},
        {"class_names": [1, 2, 3]},
        {"seq_length": -1},
        {"seq_length": "6"},
        {"units": 10**9},
        {"image_shape": [1, 2]},
        {"clip_seconds": 0},
        {"clip_seconds": None},
        {"model": "os.system"},
        {"unknown": 1},
        {"weights": 5},
        {"dense": 1.5},
        {"temperature": 0},
        {"temperature": "1"},
        {"epoch": -1},
        {"val_loss": "0"},
        {"training": {"seed": 1}},
        {"training": [1]},
        {"training": {**TRAINING, "seed": 0.5}},
    ],
)
def test_metadata_that_makes_no_sense(checkpoint, changes):
    with pytest.raises(ValueError, match="lstm-features.hdf5: its metadata is damaged"):
        ResearchModel.load(rewritten(checkpoint, **changes))


def test_metadata_of_another_network(checkpoint):
    with pytest.raises(ValueError, match="lstm-features.hdf5: a checkpoint of another network"):
        ResearchModel.load(rewritten(checkpoint, class_names=["a", "b"]))


def test_files_that_are_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.hdf5: no such checkpoint"):
        ResearchModel.load(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("no HDF5")
    with pytest.raises(ValueError, match="text.hdf5: not an HDF5 file"):
        ResearchModel.load(tmp_path / "text.hdf5")
    h5py.File(tmp_path / "empty.hdf5", "w").close()
    with pytest.raises(ValueError, match="empty.hdf5: no Keras model"):
        ResearchModel.load(tmp_path / "empty.hdf5")
    other = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    other.save(tmp_path / "other.hdf5")
    with pytest.raises(ValueError, match="other.hdf5: a Keras model, but neither"):
        ResearchModel.load(tmp_path / "other.hdf5")


def test_a_truncated_checkpoint(checkpoint):
    whole = checkpoint.read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 1000):
        checkpoint.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="lstm-features.hdf5"):
            ResearchModel.load(checkpoint)


def test_code_in_a_checkpoint_is_not_run(checkpoint, tmp_path):
    """A Lambda layer with pickled code, as keras.models.load_model would run with safe mode off."""
    with h5py.File(checkpoint, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].insert(
            1,
            {
                "class_name": "Lambda",
                "config": {
                    "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAAAAAAAA=="}}
                },
            },
        )
        file.attrs["model_config"] = json.dumps(config)
    ResearchModel.load(checkpoint)  # what the file says of its layers is not asked


@pytest.mark.parametrize("trap", ["external link", "soft link", "virtual dataset", "huge", "strings"])
def test_arrays_that_are_not_in_the_file(checkpoint, tmp_path, trap):
    with h5py.File(checkpoint, "a") as file:
        weights = file["model_weights"]
        layer = "weights"
        name = f"{layer}/{weights[layer].attrs['weight_names'][0]}"
        shape = weights[name].shape
        with h5py.File(tmp_path / "secret.hdf5", "w") as secret:
            secret["kernel"] = np.ones(shape, np.float32)
        if trap == "soft link":
            weights.move(name, "elsewhere")
            weights[name] = h5py.SoftLink("/model_weights/elsewhere")
        else:
            del weights[name]
        if trap == "external link":
            weights[name] = h5py.ExternalLink("secret.hdf5", "kernel")
        elif trap == "virtual dataset":
            layout = h5py.VirtualLayout(shape, np.float32)
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.hdf5"), "kernel", shape)
            weights.create_virtual_dataset(name, layout)
        elif trap == "huge":
            weights.create_dataset(name, (10**6, 10**6), np.float32, chunks=(1000, 1000))
        elif trap == "strings":
            weights.create_dataset(name, shape, h5py.string_dtype())
    with pytest.raises(ValueError, match="lstm-features.hdf5"):
        ResearchModel.load(checkpoint)


@pytest.mark.parametrize(
    ("name", "network", "members", "length"),
    [
        *(("lstm", *case) for case in [(1, 1, 3), (2, 1, 3), (2, 2, 3), (3, 2, 3), (3, 1, 1), (3, 2, 1)]),
        *((name, network, 1, 3) for name in ("lstm", "bilstm", "gru") for network in (1, 3)),
        *(("article", 1, members, 3) for members in (1, 2)),
    ],
)
def test_shapes_that_a_checkpoint_must_have_are_those_of_the_network(
    name, network, members, length, tmp_path
):
    arguments = {"nb_classes": 5, "model": name, "features_length": 16, "units": 4, "seq_length": length}
    model = ResearchModel(**arguments)
    model.network, model.members = network, members
    model.model, model.trainer = model._build(is_replaced=False)
    model.save(tmp_path / "it.hdf5", replace(METADATA_OF_TEST, class_names=list("abcde"), seq_length=length))
    with h5py.File(tmp_path / "it.hdf5") as file:
        layers = [file["model_weights"][layer] for layer in file["model_weights"].attrs["layer_names"]]
        found = [layer[name].shape for layer in layers for name in layer.attrs["weight_names"]]
    assert found == weight_shapes({**arguments, "dense": model.dense, "network": network, "members": members})
    ResearchModel.load(tmp_path / "it.hdf5")


def test_arrays_are_read_where_hdf5_says(trained, checkpoint, tmp_path):
    """With what Keras never writes but HDF5 can place before the arrays; and not if they are compressed."""
    with (
        h5py.File(checkpoint) as source,
        h5py.File(tmp_path / "shifted.hdf5", "w", userblock_size=1024) as target,
    ):
        source.copy("model_weights", target)
        target.attrs[METADATA] = source.attrs[METADATA]
    loaded = ResearchModel.load(tmp_path / "shifted.hdf5")
    np.testing.assert_array_equal(predict(loaded.model), predict(trained.model))
    with h5py.File(tmp_path / "shifted.hdf5", "a") as file:
        group, name = next(
            (group, name)
            for group in file["model_weights"].values()
            for name in group.attrs["weight_names"]
            if group[name].ndim == 2
        )
        values = group[name][()]
        del group[name]
        group.create_dataset(name, data=values, compression="gzip")
    with pytest.raises(
        ValueError, match="shifted.hdf5: its arrays are compressed .* h5repack -f NONE -l CONTI"
    ):
        ResearchModel.load(tmp_path / "shifted.hdf5")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(checkpoint, value):
    with h5py.File(checkpoint, "a") as file:
        group, name = next(
            (group, name)
            for group in file["model_weights"].values()
            for name in group.attrs["weight_names"]
            if group[name].ndim == 1
        )
        group[name][-1] = value
    with pytest.raises(ValueError, match="lstm-features.hdf5: its weights are not all numbers"):
        Checkpoint(checkpoint)


def test_an_optimizer_that_is_no_number(checkpoint):
    with h5py.File(checkpoint, "a") as file:
        group = file["optimizer_weights"]
        group[next(name for name in group.attrs["weight_names"] if group[name].ndim == 2)][0, 0] = np.nan
    with (
        Checkpoint(checkpoint) as file,
        pytest.raises(ValueError, match="lstm-features.hdf5: its optimizer's state"),
    ):
        file.check_optimizer()


@pytest.mark.parametrize(
    "script, arguments",
    [
        ("clasify.py", (LENGTH, CLASSES, "nan.hdf5", "video.mp4")),
        ("clasify.py", (LENGTH, CLASSES, "nan.hdf5", "tcp://127.0.0.1:9", "--stream")),
        ("evaluate.py", (LENGTH, CLASSES, "nan.hdf5")),
        ("train.py", (*ARTICLE_ARGUMENTS, "--weights", "random", "--resume", "nan.hdf5")),
    ],
)
def test_scripts_refuse_weights_that_are_no_numbers(project, match, script, arguments):
    shutil.copy(project / "data/checkpoints/lstm-features.hdf5", match / "nan.hdf5")
    (match / "data").symlink_to(project / "data")
    with h5py.File(match / "nan.hdf5", "a") as file:
        layer = next(layer for layer in file["model_weights"].values() if len(layer.attrs["weight_names"]))
        layer[layer.attrs["weight_names"][0]][0] = np.nan
    result = run(match, script, *arguments)
    assert_one_line_error(result, 1, "nan.hdf5: its weights are not all numbers")
    assert result.stdout == "" and sorted(os.listdir(match)) == ["data", "nan.hdf5", "video.mp4"]


def test_sequences_that_hold_no_numbers_are_named(copy):
    """By whoever reads them, with the cure; it cures."""
    for split, name in (("test", "Grey_test_1"), ("train", "Grey_train_1")):
        path = next((copy / "data/sequences").rglob(f"{split}/Grey/{name}-*.npy"))
        values = np.load(path)
        values[3, 100] = np.nan
        np.save(path, values)
    result = run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5")
    assert_one_line_error(
        result,
        1,
        "Grey_test_1-8-features.npy: holds values that are NaN or infinite",
        "delete it and run extract_features.py",
    )
    for split, name in (("test", "Grey_test_1"), ("train", "Grey_train_1")):
        next((copy / "data/sequences").rglob(f"{split}/Grey/{name}-*.npy")).unlink()
    assert run(copy, "extract_features.py", *ARTICLE_ARGUMENTS, "--weights", "random").returncode == 0
    assert run(copy, "evaluate.py", LENGTH, CLASSES, "lstm-features.hdf5").returncode == 0


@pytest.mark.parametrize("value", [1e20, -3e7])
def test_sequences_that_are_no_features_are_named(copy, value):
    """Finite, but their variance is not, or the network's weights would not be."""
    path = next((copy / "data/sequences").rglob("train/Grey/Grey_train_1-*.npy"))
    values = np.load(path)
    values[3, 100] = value
    np.save(path, values)
    before = (copy / "data/checkpoints/lstm-features.hdf5").read_bytes()
    result = run(copy, "train.py", *ARTICLE_ARGUMENTS, "--weights", "random", "--quiet")
    assert_one_line_error(result, 1, "Grey_train_1-8-features.npy: holds values that are beyond 1,000,000")
    assert (copy / "data/checkpoints/lstm-features.hdf5").read_bytes() == before


def test_a_network_of_other_features_is_refused(match, tmp_path):
    ResearchModel(2, "gru", seq_length=4, features_length=16, units=8).save(
        match / "x.hdf5", Metadata(["A", "B"], 4, [80, 96, 3], 1.0, "random", "random")
    )
    assert_one_line_error(
        run(match, "clasify.py", 4, 2, "x.hdf5", "video.mp4"),
        2,
        "x.hdf5 was trained on 16 features of a frame; InceptionV3 gives 2048",
    )


def test_where_a_checkpoint_was_looked_for(match):
    for arguments, places in (
        (("best.hdf5",), ("best.hdf5: no such checkpoint", os.path.join("data", "checkpoints", "best.hdf5"))),
        (("best.hdf5", "--data-dir", "other"), (os.path.join("other", "checkpoints", "best.hdf5"),)),
        ((match / "best.hdf5",), (f"{match / 'best.hdf5'}: no such checkpoint;",)),
    ):
        checkpoint, *options = arguments
        for script, more in (("clasify.py", ["video.mp4"]), ("evaluate.py", [])):
            result = run(match, script, LENGTH, CLASSES, checkpoint, *more, *options)
            assert_one_line_error(result, 1, *places)


def test_names_that_act_on_terminals_are_escaped(checkpoint):
    """As they are read, so that whatever prints or draws them can't go wrong; folders' names are compared the
    same way."""
    names = ["\udcff\x1b[2J", "a\nb\u202e", "足球 e\u0301 👩‍🚀"]
    with Checkpoint(rewritten(checkpoint, class_names=names)) as file:
        assert file.metadata.class_names == ["\\udcff\\x1b[2J", "a\\nb\\u202e", "足球 e\u0301 👩‍🚀"]
        assert [printable_name(name) for name in names] == file.metadata.class_names
