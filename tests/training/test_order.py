"""The network uses time: clips of the same frames in opposite order, through the whole pipeline."""

import os
import sys

import pytest
from conftest import ROOT

from data import DataSet  # noqa: E402
from extract_files import SplitOptions, extract_files  # noqa: E402
from train import TrainOptions, train  # noqa: E402

sys.path.append(os.path.join(ROOT, "benchmarks"))
import order  # noqa: E402
import recipe  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fill", pytest.param("light", marks=pytest.mark.slow)])
def test_order_tells_what_no_average_of_frames_can(kind, tmp_path):
    order.render(kind, str(tmp_path), train_scenes=80, test_scenes=20)
    extract_files("avi", SplitOptions(data_dir=str(tmp_path), quiet=True))
    options = TrainOptions(str(tmp_path), "random", quiet=True)
    result = train(15, 2, (order.HEIGHT, order.WIDTH, 3), options)
    assert result.test_accuracy >= 0.95
    dataset = DataSet(15, 2, (order.HEIGHT, order.WIDTH, 3), tmp_path)
    assert 0.35 <= recipe.regression(dataset, dataset.split_train_test()[0], "random").accuracy <= 0.65
