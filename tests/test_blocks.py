"""Ladder 4: arrays beyond one block of work (16384 elements), where drivers cut, against NumPy in float64.

The tables of cases all fit one block. The sizes here end a little before, at and a little behind the end of a block,
lie on few long and on many short rows, and are no multiples of a vector.
"""
import numpy as np
import pytest

import nncore
from cases import EPS
from nncore import losses, ops

SIZES = [16383, 16384, 16385, 32768 + 17, 50021]
SHAPES = [(3, 20011), (20011, 3), (131, 257), (37, 41, 43), (2, 16384), (16384, 2), (1, 40000), (40000, 1),
          (5, 7, 1, 11, 101)]


def draw(shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4")


def leaf(a):
    return nncore.tensor(a, requires_grad=True)


def close(got, expected, terms):
    expected = np.asarray(expected)
    got = got.numpy()
    assert got.shape == expected.shape
    error = np.abs(got - expected).max(initial=0)
    allowed = EPS * terms * max(1.0, np.abs(expected).max(initial=0))
    assert error <= allowed, (error, allowed)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("n", SIZES)
def test_functions_of_one_element(isa, n):
    a = draw((n,))
    d = draw((n,), 1)
    for name, f, slope in (("exp", np.exp, np.exp), ("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
                           ("relu", lambda x: np.maximum(x, 0), lambda x: x > 0), ("sigmoid", sigmoid, None),
                           ("neg", np.negative, lambda x: -np.ones_like(x)),
                           ("softplus", lambda x: np.log1p(np.exp(x)), sigmoid)):
        x = leaf(a)
        y = getattr(ops, name)(x)
        close(y, f(a.astype("f8")), 8)
        y.backward(nncore.tensor(d))
        slope = slope or (lambda x: sigmoid(x) * (1 - sigmoid(x)))
        close(x.grad, slope(a.astype("f8")) * d, 16)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_broadcasting(isa, shape):
    a = draw(shape)
    for axes in ((), (0,), (len(shape) - 1,), tuple(range(len(shape) - 1)), tuple(range(len(shape)))):
        b = draw(tuple(1 if d in axes else n for d, n in enumerate(shape)), 1)
        x, y = leaf(a), leaf(b)
        d = draw(shape, 2)
        z = ops.mul(x, y)
        close(z, a.astype("f8") * b, 1)
        z.backward(nncore.tensor(d))
        close(x.grad, d.astype("f8") * b, 1)
        # sums of up to 60 000 products of size 1: a random walk of 250 steps in blocks, with a margin
        close(y.grad, (d.astype("f8") * a).sum(axis=axes, keepdims=True), 500)
        close(ops.sub(y, x), b.astype("f8") - a, 1)
        w = ops.where(nncore.tensor(a > 0), y, x)
        close(w, np.where(a > 0, b, a), 0)
        close(ops.maximum(y, x), np.maximum(a, b), 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions(isa, shape):
    a = draw(shape) + np.float32(0.5)
    d8 = a.astype("f8")
    n = len(shape)
    for axis in {None, *range(n), (0, n - 1), tuple(range(n - 1)), tuple(range(1, n))}:
        if axis == (0, 0):
            continue
        x = nncore.tensor(a)
        for name in ("sum", "mean", "max", "min"):
            close(getattr(ops, name)(x, axis=axis), getattr(d8, name)(axis=axis), 500 if name in ("sum", "mean") else 0)
        divisor = d8.size // max(1, d8.sum(axis=axis).size) - 1
        if divisor > 0:
            close(ops.var(x, axis=axis), d8.var(axis=axis, ddof=1), 500)
        if axis is None or isinstance(axis, int):
            assert (ops.argmax(x, axis=axis).numpy() == d8.argmax(axis=axis)).all()
            assert (ops.argmin(x, axis=axis, keepdims=True).numpy() == d8.argmin(axis=axis, keepdims=True)).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_moves(isa, shape):
    a = draw(shape)
    n = len(shape)
    x = nncore.tensor(a)
    for axes in (tuple(reversed(range(n))), tuple(np.roll(range(n), 1)), (*range(n - 2), n - 1, n - 2)):
        axes = tuple(int(i) for i in axes)
        close(ops.permute(x, axes), a.transpose(axes), 0)
    for key in ((slice(None, None, -1),), (..., slice(1, None, 2)), (slice(1, None),), (..., 0), (..., slice(0, -1))):
        y = leaf(a)
        part = y[key]
        close(part, a[key], 0)
        part.backward(part.detach())
        expected = np.zeros_like(a)
        expected[key] = a[key]
        close(y.grad, expected, 0)
    for axis in range(n):
        index = np.random.default_rng(axis).integers(-shape[axis], shape[axis], 19)
        y = leaf(a)
        part = ops.take(y, nncore.tensor(index), axis=axis)
        close(part, a.take(index % shape[axis], axis=axis), 0)
        part.backward(nncore.tensor(np.ones(part.shape, "f4")))
        counts = np.bincount(index % shape[axis], minlength=shape[axis])
        expected = np.broadcast_to(counts.reshape([-1 if d == axis else 1 for d in range(n)]), shape)
        close(y.grad, expected, 0)
        close(ops.concat([x, x], axis=axis), np.concatenate([a, a], axis), 0)


@pytest.mark.parametrize("b, c", [(1, 40000), (40000, 1), (20011, 3), (3, 20011), (1283, 131)])
def test_rows(isa, b, c):
    """softmax, log_softmax and the cross-entropies, with their gradients."""
    a = draw((b, c)) * np.float32(3)
    e = np.exp(a.astype("f8") - a.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    log_p = np.log(p)
    d = draw((b, c), 1)
    terms = 100 + 4 * c**0.5  # a random walk over the row
    x = leaf(a)
    y = ops.softmax(x)
    close(y, p, terms)
    y.backward(nncore.tensor(d))
    close(x.grad, p * (d - (p * d).sum(1, keepdims=True)), terms)
    x = leaf(a)
    y = ops.log_softmax(x)
    close(y, log_p, terms)
    y.backward(nncore.tensor(d))
    close(x.grad, d - p * d.sum(1, keepdims=True, dtype="f8"), terms)
    labels = np.random.default_rng(5).integers(0, c, b)
    hot = np.zeros((b, c))
    hot[np.arange(b), labels] = 1
    for target, q in ((labels, hot), (p.astype("f4"), p)):
        x = leaf(a)
        loss = losses.cross_entropy(x, nncore.tensor(target), label_smoothing=0.1)
        q = 0.9 * q + 0.1 / c
        close(loss, -(q * log_p).sum() / b, terms)
        loss.backward()
        close(x.grad * b, p - q, terms)
    x = leaf(log_p.astype("f4"))
    loss = losses.nll_loss(x, nncore.tensor(labels), reduction="sum")
    close(loss, -(hot * log_p).sum(), terms)
    loss.backward()
    close(x.grad, -hot, 0)


@pytest.mark.parametrize("n", SIZES)
def test_losses(isa, n):
    a, t = draw((n,)), draw((n,), 1)
    e = a.astype("f8") - t
    for name, loss, slope in (("mse_loss", e**2, 2 * e), ("l1_loss", np.abs(e), np.sign(e)),
                              ("huber_loss", np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5), np.clip(e, -1, 1))):
        for reduction, f, factor in (("mean", np.mean, 1 / n), ("sum", np.sum, 1), ("none", np.array, 1)):
            x = leaf(a)
            y = getattr(losses, name)(x, nncore.tensor(t), reduction=reduction)
            close(y, f(loss), 100)
            y.backward(nncore.ones(*y.shape))
            close(x.grad * (1 / factor), slope, 8)


@pytest.mark.parametrize("rows, i, o", [(20011, 3, 5), (5, 3, 20011), (1, 200, 20011), (20011, 40, 1), (130, 257, 139)])
def test_dense_layers(isa, rows, i, o):
    a, w, b, d = draw((rows, i)), draw((i, o), 1), draw((o,), 2), draw((rows, o), 3)
    for activation in (None, "relu", "silu"):
        x, v, c = leaf(a), leaf(w), leaf(b)
        y = ops.linear(x, v, c, activation)
        z = a.astype("f8") @ w + b
        s = sigmoid(z)
        f = {None: z, "relu": np.maximum(z, 0), "silu": z * s}[activation]
        slope = {None: 1.0, "relu": z > 0, "silu": s * (1 + z * (1 - s))}[activation]
        close(y, f, 16 + i)
        y.backward(nncore.tensor(d))
        dz = d.astype("f8") * slope
        if activation == "relu":  # where z is 0 up to rounding, either slope is right
            continue
        close(x.grad, dz @ w.T, 32 + 2 * o**0.5 * 8)
        close(v.grad, a.T.astype("f8") @ dz, 32 + 2 * rows**0.5 * 8)
        close(c.grad, dz.sum(0), 32 + 2 * rows**0.5 * 8)
