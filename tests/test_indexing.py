"""x[...] as NumPy has it: values, gradients, assignment, iteration. Several arrays in one index are in
test_index_arrays.py."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

import nncore
from test_tensor import draw, leaf


def keys_of(shape):
    """Everything NumPy and we both take: basic indices, one array of integers or a mask among them."""
    basic = hn.basic_indices(shape, max_dims=5, allow_newaxis=True)
    if not shape or 0 in shape:
        return basic
    axis = st.integers(0, len(shape) - 1)

    def with_array(axis):
        index = hn.arrays("i8", hn.array_shapes(max_dims=1, min_side=0, max_side=4),
                          elements=st.integers(-shape[axis], shape[axis] - 1))
        before = st.tuples(*[st.slices(n) for n in shape[:axis]])
        after = st.tuples(*[st.slices(n) for n in shape[axis + 1:]])
        return st.tuples(before, index, after).map(lambda k: (*k[0], k[1], *k[2]))
    mask = hn.arrays("?", st.integers(1, len(shape)).map(lambda k: shape[:k]))
    return st.one_of(basic, axis.flatmap(with_array), mask, mask.map(lambda m: (m, Ellipsis)))


@given(hn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4).flatmap(
    lambda s: st.tuples(st.just(s), keys_of(s))))
@settings(max_examples=200)
def test_indexing_and_its_gradient_as_numpy_s(shape_key):
    shape, key = shape_key
    a = draw(shape)
    expected = a[key]
    if expected.ndim > 5:
        return
    x = leaf(a)
    y = x[key]
    assert y.shape == expected.shape and (y.numpy() == expected).all()
    g = draw(expected.shape, 1)
    y.backward(g)
    dx = np.zeros(shape, "f4")
    np.add.at(dx, key, g)
    assert np.allclose(x.grad.numpy(), dx, atol=1e-6)
    plain = nncore.tensor((a * 10).astype("i8"))[key]  # any dtype
    assert plain.dtype == "int64" and (plain.numpy() == (a * 10).astype("i8")[key]).all()


@given(hn.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4).flatmap(
    lambda s: st.tuples(st.just(s), keys_of(s))), st.booleans())
@settings(max_examples=100)
def test_assignment_as_numpy_s(shape_key, broadcast):
    shape, key = shape_key
    a = draw(shape)
    x = nncore.tensor(a)
    value = np.float32(7) if broadcast else draw(a[key].shape, 1)
    if isinstance(key, np.ndarray) and key.dtype == bool or isinstance(key, tuple) and any(
            isinstance(k, np.ndarray) and k.dtype != bool and len(np.unique(k % n)) != k.size for k,
            n in zip(key, shape)):
        value = np.float32(7)  # repeated places: the last one wins in both, but say no more
    x[key] = nncore.tensor(value) if np.ndim(value) else float(value)
    a[key] = value
    assert (x.numpy() == a).all()


def test_forms_of_keys():
    a = np.arange(24).reshape(2, 3, 4).astype("f4")
    x = nncore.tensor(a)
    for key in (0, -1, np.int64(1), np.array(1), (0, 1, 2), (..., 0), (slice(None), None, 1), [0, 1, 1], [[0], [1]],
                (0, [2, 0]),
                ([1, 0], slice(None), 2), (..., [3, 1]), slice(None, None, -1), (slice(5, None), 0), (), None, ...,
                [True, False],
                np.array([[True, False, True], [False] * 3]), (0, np.array([True, False, True])), []):
        got, expected = x[key], a[np.array([], int)] if isinstance(key, list) and not key else a[key]
        assert got.shape == expected.shape and (got.numpy() == expected).all(), key
    assert (x[nncore.tensor([1, 0])].numpy() == a[[1, 0]]).all() and x[nncore.tensor(1)].shape == (3, 4)
    assert (x[x > 11].numpy() == a[a > 11]).all() and x[nncore.tensor(True)].shape == (1, 2, 3, 4)
    assert x[nncore.tensor(np.array(1, "u1"))].shape == (3, 4)
    assert nncore.zeros(3, 8, 0)[nncore.tensor(np.ones((3, 8), bool))].shape == (24, 0)


@pytest.mark.parametrize("key, error", [
    (2, IndexError), (-3, IndexError), (10**30, IndexError), ((0, 3), IndexError), ((0, 0, 0, 0), IndexError),
    (1.0, IndexError),
    ("a", IndexError), ((..., ...), IndexError), (True, IndexError), (False, IndexError), (np.True_, IndexError),
    ([0, 2], IndexError), ([-3], IndexError), ([0.5], TypeError), ([True], IndexError),
    ([True, True, True], IndexError),
    (np.ones((2, 2), bool), IndexError), (slice(None, None, 0), ValueError), (slice("a"), TypeError), (1j, IndexError),
    ({0: 1}, IndexError), ((None,) * 4, ValueError), (["a"], TypeError), ([None], TypeError),
    ([[0], [0, 1]], ValueError),
    ((0, 1.5), IndexError), (np.array([2**40]), IndexError), (np.array([1.5]), TypeError),
], ids=repr)
def test_keys_that_are_refused(key, error):
    x = nncore.zeros(2, 3)
    with pytest.raises(error) as e:
        x[key]
    assert str(e.value)


def test_the_gradients_of_slices_are_added_in_place():
    x = nncore.ones(3, 50, 4, requires_grad=True)
    h = x * 2
    y = sum(((t + 1) * h[:, t] for t in range(50)), start=h[:, 10:40:2].sum())
    with nncore.profile() as p:
        y.sum().backward()
    assert [c.op for c in p.calls].count("fill") <= 2  # h's gradient once, and backward's own 1
    whole = [c for c in p.calls if c.outputs and np.prod(c.shapes[0]) == h.size and c.op in ("add_to", "binary")]
    assert len(whole) == 1  # times 2
    expected = 2 * np.arange(1.0, 51) + 2 * 12 * np.isin(np.arange(50), np.arange(10, 40, 2))
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(expected[:, None].astype("f4"), (3, 50, 4)))


def test_assignment():
    x = nncore.zeros(2, 3)
    x[0] = [1.0, 2.0, 3.0]
    x[1, ::2] = nncore.tensor([4, 5])
    x[x == 0] = -1
    assert x.tolist() == [[1, 2, 3], [4, -1, 5]]
    x[nncore.tensor([0, 1]), nncore.tensor([1, 1])] = 9.0
    assert x.tolist() == [[1, 9, 3], [4, 9, 5]]
    n = nncore.tensor([1, 2])
    n[0] = 5.0
    assert n.tolist() == [5, 2] and n.dtype == "int64"
    b = nncore.zeros(2, dtype="bool")
    b[0] = 1
    assert b.tolist() == [True, False]
    for target, key, value, error in (
            (x, 0, [1.0, 2.0], ValueError), (x, 5, 1.0, IndexError), (x, 0, "a", TypeError), (x, 0, 1j, TypeError),
            (x, 0, None, TypeError),
            (x, 0, np.array([1j, 0, 0]), TypeError), (n, 0, 0.5, ValueError), (n, 0, float("nan"), ValueError),
            (n, 0, 1e30, ValueError),
            (n, slice(None), np.array([0.5, np.nan]), ValueError), (x, "a", 1.0, IndexError),
            (x, 0, 2**24 + 1, ValueError)):
        before = target.tolist()
        with pytest.raises(error):
            target[key] = value
        assert target.tolist() == before
    w = nncore.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires a gradient"):
        w[0] = 2.0
    with nncore.no_grad():
        w[0] = 2.0
    assert w.tolist() == [2, 1]
    with pytest.raises(RuntimeError):
        (w * 2)[0] = 1.0
    with pytest.raises(RuntimeError, match="lose the gradient of value"):
        x[0] = (w * 2)[0]
    with nncore.no_grad():
        x[0] = (w * 2)[0]
    x[1] = (w * 2)[1].detach()
    assert x.tolist() == [[4, 4, 4], [2, 2, 2]]


def test_iteration():
    x = leaf([[1, 2], [3, 4], [5, 6]])
    rows = list(x)
    assert [r.tolist() for r in rows] == [[1, 2], [3, 4], [5, 6]]
    a, b, c = x
    (b * 2.0).sum().backward()
    assert x.grad.tolist() == [[0, 0], [2, 2], [0, 0]]
    assert [t.item() for t in nncore.tensor([1, 2])] == [1, 2] and list(nncore.zeros(0, 2)) == []
    assert 2.0 in nncore.tensor([1.0, 2.0]) and 5.0 not in nncore.tensor([1.0, 2.0])
    assert [t.tolist() for t in reversed(nncore.tensor([[1], [2]]))] == [[2], [1]]
    assert max(nncore.tensor([1.0, 3.0, 2.0])).item() == 3 and sum(nncore.tensor([1.0, 2.0])).item() == 3
