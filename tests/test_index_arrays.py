"""x[i, j] with several arrays of integers, against NumPy; and its gradient, which adds up where an element is picked
twice."""
import numpy as np
import pytest

import nncore

KEYS = {
    "one for each row": (np.arange(3), np.array([0, 1, 2])),
    "lists, negative": ([0, 2], [-1, -4]),
    "broadcast": (np.array([[0], [2]]), np.array([1, -1, 0])),
    "behind a slice": (slice(1, None), [0, 3, 1], [2, -1, 2]),
    "behind an integer": (1, [0, 1], [2, 3]),
    "all axes": ([0, 1], [0, 1], [1, 1]),
    "none picked": (np.zeros(0, int), np.zeros(0, int)),
    "new axis and dots": (None, [0, 1], [1, 2], ...),
    "before a slice": ([0, 0, 2], [1, 1, 3], slice(None, None, -2)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_as_numpy(key):
    a = np.arange(60, dtype="f4").reshape(3, 4, 5)
    x = nncore.tensor(a, requires_grad=True)
    y = x[key]
    assert y.shape == a[key].shape and (y.numpy() == a[key]).all()
    weights = np.arange(1, y.size + 1, dtype="f4").reshape(y.shape)
    (y * weights).sum().backward()
    expected = np.zeros_like(a)
    np.add.at(expected, key, weights)
    assert (x.grad.numpy() == expected).all()


def test_range_and_labels_as_in_q_learning():
    q = nncore.tensor(np.arange(12, dtype="f4").reshape(4, 3), requires_grad=True)
    actions = nncore.tensor([2, 0, 1, 1])
    assert q[range(4), actions].tolist() == [2, 3, 7, 10]


@pytest.mark.parametrize("key, message", [
    (([0, 5], [0, 0]), r"index 5 is out of range for axis 0 of shape \(3, 4\)"),
    (([0, 1], [0, 1, 2]), "do not broadcast"),
    (([0], [True, False, True, False]), "mask"),
])
def test_errors(key, message):
    with pytest.raises(IndexError, match=message):
        nncore.zeros(3, 4)[key]


def test_arrays_apart_are_refused():
    with pytest.raises(IndexError, match="side by side"):
        nncore.zeros(3, 4, 5)[[0, 1], :, [0, 1]]


@pytest.mark.parametrize("key, first, then", [
    ((0, slice(None), [1, 2, -1]), 0, (slice(None), [1, 2, -1])),
    ((0, slice(None), np.array([True, False, True, False, True])), 0, (slice(None), [0, 2, 4])),
    ((0, slice(None), np.eye(5, 3) > 0), 0, (slice(None), np.eye(5, 3) > 0)),
    ((np.int64(-1), None, [1, 2]), -1, (None, [1, 2])),
    ((slice(None), [0, 3], slice(None, None, 2), -2), (..., -2), (slice(None), [0, 3], slice(None, None, 2))),
    (([0, 2], 1, [0, 4]), (slice(None), 1), ([0, 2], [0, 4])),
    ((..., 2, slice(1, None), np.array([[0, 1], [1, 1]])), (..., 2, slice(1, None), slice(None)),
     (..., np.array([[0, 1], [1, 1]]))),
])
def test_an_integer_takes_its_axis_away_first(key, first, then):
    """As PyTorch has it, where NumPy sometimes puts the picked axis in front; x[key] = v agrees with x[key]."""
    a = np.arange(180, dtype="f4").reshape(3, 4, 5, 3)
    x = nncore.tensor(a, requires_grad=True)
    expected = a[first][then]
    y = x[key]
    assert y.shape == expected.shape and (y.numpy() == expected).all()
    weights = np.arange(1, y.size + 1, dtype="f4").reshape(y.shape)
    y.backward(weights)
    dx = np.zeros_like(a)
    np.add.at(dx[first], then, weights)
    assert (x.grad.numpy() == dx).all()
    z, b = nncore.tensor(a), a.copy()
    z[key] = -expected
    b[first][then] = -expected
    assert (z.numpy() == b).all()


def test_five_axes_of_which_one_is_picked_by_an_array():
    a = np.arange(64, dtype="f4").reshape(2, 2, 4, 2, 2)
    index = np.array([[0, 1], [3, 2]])
    assert (nncore.tensor(a)[1, :, index].numpy() == a[1][:, index]).all()


def test_integers_that_float32_does_not_hold():
    x = nncore.ones(1)
    for value in (2 ** 24, -(2 ** 24), 2 ** 24 + 2, 2 ** 62, -(2 ** 63), 3 << 60, 0):
        assert (x * nncore.tensor([value])).item() == value
    for value in (2 ** 24 + 1, -(2 ** 24) - 1, 2 ** 63 - 1, -(2 ** 63) + 1, (1 << 40) + 1):
        with pytest.raises(ValueError, match="not exact"):
            x * nncore.tensor([0, value])
