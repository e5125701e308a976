"""One pass of a classifier over its data: what counts as right, and loaders that give nothing to count."""
import math

import numpy as np
import pytest

import nncore
from nncore import losses, nn, optim
from nncore.data import DataLoader
from nncore.train import evaluate, train_epoch

X = np.random.default_rng(0).standard_normal((40, 4), dtype="f4")


def fixed(scores):
    """A model whose scores are given."""
    model = nn.Identity()
    model.forward = lambda x: nncore.tensor(scores)
    return model


def zero(predictions, targets):
    return nncore.zeros()


@pytest.mark.parametrize("scores, targets, expected", [
    ([[0, 1], [2, 0], [0, 3]], [1, 1, 1], 2 / 3),
    ([[0, 1], [2, 0], [0, 3]], [[0.1, 0.9], [0.2, 0.8], [0.6, 0.4]], 1 / 3),    # probabilities
    ([[[0, 1], [2, 0]], [[0, 3], [1, 0]]], [[1, 1], [1, 0]], 3 / 4),            # two labels for each sample
    ([[0.5], [0.2]], [[1.0], [0.0]], math.nan),                                 # one score: no classes to choose from
    ([0.5, 0.2], [1.0, 0.0], math.nan),
    ([[0, 1], [2, 0]], [[1], [1]], math.nan),
])
def test_accuracy(scores, targets, expected):
    scores, targets = np.asarray(scores, np.float32), np.asarray(targets)
    loader = DataLoader(np.zeros((len(scores), 1)), targets)
    assert evaluate(fixed(scores), loader, zero) == (0, pytest.approx(expected, nan_ok=True))


def test_batches_of_numpy_arrays():
    y = np.arange(40) % 3
    model = nn.Linear(4, 3)
    loader = DataLoader(X, y, batch_size=40)
    assert evaluate(model, [(X, y)], losses.cross_entropy) == evaluate(model, loader, losses.cross_entropy)


@pytest.mark.parametrize("loader, match", [([], "no batches"), (iter(()), "no batches"),
                                           (DataLoader(X), "no targets")])
def test_loaders_of_nothing(loader, match):
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=f"train_epoch: the loader has {match}"):
        train_epoch(model, loader, losses.cross_entropy, optimizer)
    with pytest.raises(ValueError, match=f"evaluate: the loader has {match}"):
        evaluate(model, loader, losses.cross_entropy)
