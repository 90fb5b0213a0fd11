"""The network uses time: clips of the same frames in opposite order, through the whole pipeline."""
import os
import sys

import numpy as np
import pytest
from conftest import ROOT
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import data
from extract_files import extract_files
from train import train

sys.path.append(os.path.join(ROOT, "benchmarks"))
import order  # noqa: E402


@pytest.mark.parametrize("kind", ["light", "fill"])
def test_order_tells_what_no_average_of_frames_can(kind, tmp_path):
    order.render(kind, str(tmp_path), train_scenes=80, test_scenes=20)
    extract_files("avi", str(tmp_path), quiet=True)
    result = train(15, 2, (order.HEIGHT, order.WIDTH, 3), str(tmp_path), "random", quiet=True)
    assert result["test_accuracy"] >= 0.95
    dataset = data.DataSet(15, 2, (order.HEIGHT, order.WIDTH, 3), tmp_path)
    train_set, test_set = ((np.stack([dataset.load_sequence(row, "random").mean(0) for row in rows]),
                            [row.class_name for row in rows]) for rows in dataset.split_train_test())
    baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(*train_set)
    assert 0.35 <= baseline.score(*test_set) <= 0.65
