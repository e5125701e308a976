"""Shapes nobody thought of, judged by NumPy; and input that makes no sense, which must raise and never crash."""
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

import nncore
from nncore import losses, ops

settings.register_profile("nncore", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("nncore")

SHAPES = hn.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)


def draw(shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("f4")


def leaf(a):
    return nncore.tensor(a, requires_grad=True)


@given(hn.mutually_broadcastable_shapes(num_shapes=2, max_dims=5, min_side=0, max_side=4),
       st.sampled_from(["add", "sub", "mul", "maximum"]))
def test_broadcasting(shapes, name):
    (a, b), out = shapes.input_shapes, shapes.result_shape
    x, y = leaf(draw(a)), leaf(draw(b, 1))
    z = getattr(ops, name)(x, y)
    f = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum}[name]
    assert z.shape == out and (z.numpy() == f(x.numpy(), y.numpy())).all()
    z.backward(nncore.ones(*out) if out else None)
    assert x.grad.shape == a and y.grad.shape == b
    assert np.isfinite(x.grad.numpy()).all()
    if name == "add":
        assert (x.grad.numpy() == np.prod(out) / max(1, np.prod(a)) if np.prod(out) else x.grad.numpy() == 0).all()


@given(SHAPES, SHAPES, st.sampled_from(["add", "div", "minimum"]))
def test_shapes_that_do_not_broadcast(a, b, name):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match=name):
            getattr(ops, name)(nncore.zeros(a), nncore.zeros(b))
    else:
        assert getattr(ops, name)(nncore.zeros(a), nncore.ones(b)).shape == expected


@given(SHAPES, st.sets(st.integers(-5, 4)), st.booleans(), st.sampled_from(["sum", "mean", "var"]))
def test_reductions(shape, axes, keepdims, name):
    axes = [a for a in axes if -len(shape) <= a < len(shape)]
    axes = tuple({a % len(shape): a for a in axes}.values())
    x = leaf(draw(shape))
    y = getattr(ops, name)(x, axis=axes, keepdims=keepdims)
    options = {"ddof": 1} if name == "var" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing
        expected = getattr(np, name)(x.numpy().astype("f8"), axis=axes, keepdims=keepdims, **options)
    assert y.shape == expected.shape
    assert np.allclose(y.numpy(), expected, rtol=1e-5, atol=1e-5, equal_nan=True)
    y.backward(nncore.ones(*y.shape))
    assert x.grad.shape == shape


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40),
       hn.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
def test_matmul(m, n, k, lead):
    x, y = leaf(draw((*lead.input_shapes[0], m, k))), leaf(draw((*lead.input_shapes[1], k, n), 1))
    z = ops.matmul(x, y)
    a, b = x.numpy().astype("f8"), y.numpy().astype("f8")
    assert z.shape == (*lead.result_shape, m, n) and np.allclose(z.numpy(), a @ b, rtol=0, atol=1e-4)
    d = draw(z.shape, 2)
    z.backward(nncore.tensor(d))

    def to(g, shape):  # summed over what was broadcast
        g = g.sum(axis=tuple(range(g.ndim - len(shape))))
        return g.sum(axis=tuple(i for i, s in enumerate(shape) if s == 1 and g.shape[i] != 1), keepdims=True)
    assert np.allclose(x.grad.numpy(), to(d @ b.swapaxes(-1, -2), x.shape), rtol=0, atol=2e-3)
    assert np.allclose(y.grad.numpy(), to(a.swapaxes(-1, -2) @ d, y.shape), rtol=0, atol=2e-3)


@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), st.permutations(range(len(s))))))
def test_permute(shape_order):
    shape, order = shape_order
    x = leaf(draw(shape))
    y = ops.permute(x, tuple(order))
    assert (y.numpy() == x.numpy().transpose(order)).all() and y.shape == tuple(shape[d] for d in order)
    d = draw(y.shape, 1)
    y.backward(nncore.tensor(d))
    assert (x.grad.numpy() == d.transpose(np.argsort(order))).all()


@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), hn.basic_indices(s, max_dims=5, allow_newaxis=True))))
def test_indexing(shape_index):
    shape, index = shape_index
    x = leaf(draw(shape))
    expected = x.numpy()[index]
    y = x[index]
    assert y.shape == expected.shape and (y.numpy() == expected).all()
    (y * 2).sum().backward()
    dx = np.zeros(shape, "f4")
    dx[index] += 2
    assert (x.grad.numpy() == dx).all()


@given(hn.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5).flatmap(
    lambda s: st.tuples(st.just(s), st.integers(0, len(s) - 1), st.lists(st.integers(0, 3), min_size=1, max_size=4))))
def test_concat_and_split_are_inverse(arguments):
    shape, axis, sizes = arguments
    parts = [leaf(draw(shape[:axis] + (n,) + shape[axis + 1:], n)) for n in sizes]
    y = ops.concat(parts, axis=axis)
    assert (y.numpy() == np.concatenate([p.numpy() for p in parts], axis)).all()
    for p, q in zip(ops.split(y, sizes, axis=axis), parts, strict=True):
        assert p.shape == q.shape and (p.numpy() == q.numpy()).all()


@given(SHAPES, st.integers(-6, 6))
def test_softmax_over_any_axis(shape, axis):
    x = nncore.tensor(draw(shape))
    if not -len(shape) <= axis < len(shape):
        with pytest.raises(ValueError):
            ops.softmax(x, axis=axis)
        return
    y = ops.softmax(x, axis=axis).numpy()
    assert y.shape == shape and np.allclose(y.sum(axis=axis), 1 if shape[axis] else 0, atol=1e-6)


NONSENSE = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=3), st.booleans(), st.binary(max_size=3), st.tuples(),
    st.complex_numbers(), st.lists(st.one_of(st.integers(-3, 3), st.lists(st.floats(), max_size=3)), max_size=3),
    st.dictionaries(st.integers(), st.integers(), max_size=1), st.builds(object),
    hn.arrays(st.sampled_from(["f2", "f4", "f8", "i1", "u8", "c8", "?", "O", "U1", "M8[s]"]),
              hn.array_shapes(max_dims=6, max_side=3)))
OPS = ("add matmul linear sum reshape take concat pad softmax where clip split permute max gelu cross_entropy "
       "mse_loss").split()


@given(NONSENSE, NONSENSE, st.sampled_from(OPS))
@settings(max_examples=400)
def test_nonsense_is_an_error_or_a_result(a, b, name):
    function = getattr(ops, name, None) or getattr(losses, name)
    try:
        function(a, b)
    except (TypeError, ValueError, IndexError, OverflowError, MemoryError, AttributeError):
        pass  # AttributeError: an argument that must be a tensor is none
