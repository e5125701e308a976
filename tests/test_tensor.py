"""Tensor: creation, dtypes, operators, repr, shapes, copies, pickling. Indexing: test_indexing.py."""
import copy
import operator
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

import nncore
from nncore import Tensor, ops

settings.register_profile("nncore", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("nncore")


def leaf(a):
    return nncore.tensor(np.asarray(a, "f4"), requires_grad=True)


def draw(shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("f4")


# ---- creation --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("data, dtype, shape", [
    (1.5, "float32", ()), (2, "int64", ()), (True, "bool", ()), ([], "float32", (0,)), ([1, 2], "int64", (2,)),
    ([1, 2.5], "float32", (2,)), ([True, False], "bool", (2,)), ([[1.0], [2.0]], "float32", (2, 1)),
    ((1, 2), "int64", (2,)),
    (range(3), "int64", (3,)), (np.float64(2), "float32", ()), (np.int8(2), "int64", ()), (np.bool_(True), "bool", ()),
    (np.zeros((0, 3)), "float32", (0, 3)), (np.zeros(2, "u1"), "uint8", (2,)), (np.zeros(2, "i1"), "int64", (2,)),
    (np.zeros(2, "u2"), "int64", (2,)), (np.zeros(2, "u4"), "int64", (2,)), (np.zeros(2, "u8"), "int64", (2,)),
    (np.zeros(2, "f2"), "float32", (2,)), (np.zeros(2, "g"), "float32", (2,)), (np.zeros(2, ">i4"), "int64", (2,)),
    (np.zeros((1, 1, 1, 1, 1)), "float32", (1, 1, 1, 1, 1)), (bytearray(b"ab"), "uint8", (2,)),
    (memoryview(b"abc"), "uint8", (3,)), ([np.zeros(2), np.ones(2)], "float32", (2, 2)), (np.array(3.0), "float32", ()),
], ids=repr)
def test_dtype_and_shape_of_what_is_given(data, dtype, shape):
    t = nncore.tensor(data)
    assert (t.dtype, t.shape) == (dtype, shape)
    assert t.ndim == t.dim() == len(shape) and t.size == t.numel() == int(np.prod(shape))
    if not isinstance(data, (bytearray, memoryview)):
        assert t.tolist() == np.asarray(data).tolist()


def test_values_survive():
    for dtype in ("f4", "f8", "f2", "i8", "i4", "u1", "?", ">f8", ">i2"):
        a = (draw((3, 4)) * 50).astype(dtype)
        assert (nncore.tensor(a).numpy() == a).all(), dtype
    assert nncore.tensor(np.array([2**62 + 1, -2**63])).tolist() == [2**62 + 1, -2**63]
    assert np.isnan(nncore.tensor(float("nan")).item()) and nncore.tensor(1e300).item() == float("inf")
    assert nncore.tensor(np.array([1e300, -1e300, 1e-300])).tolist() == [float("inf"), -float("inf"), 0]


@pytest.mark.parametrize("data, error", [
    (1j, TypeError), ([1j], TypeError), (np.zeros(2, "c8"), TypeError), (np.zeros(2, "c16"), TypeError),
    (None, TypeError),
    ([None], TypeError), ("1.5", TypeError), (["1.5"], TypeError), (object(), TypeError), ([object()], TypeError),
    (np.array([1, "a"], object), TypeError), (np.zeros(2, "M8[s]"), TypeError), (np.zeros(2, "m8[s]"), TypeError),
    (np.zeros(2, "i4,f4"), TypeError), ({1: 2}, TypeError), ({1, 2}, TypeError), (lambda: 1, TypeError),
    (b"ab", TypeError),
    (2**64, TypeError), ([2**63], ValueError), (np.array([2**63], "u8"), ValueError), ([Decimal(1)], TypeError),
    (Fraction(1, 2), TypeError), ([[1], [1, 2]], ValueError), ([[1.0], 2.0], ValueError),
    (np.zeros((1,) * 6), ValueError),
    (np.zeros((1,) * 6, "f4"), ValueError), ([[[[[[1.0]]]]]], ValueError), (np.zeros(3, "V4"), TypeError),
    (np.broadcast_to(np.float32(0), (2**31, 2)), MemoryError),
    (np.broadcast_to(np.float64(0), (2, 2**31)), MemoryError),
    (np.broadcast_to(np.int32(0), (2**60,)), MemoryError), (np.broadcast_to(np.uint8(0), (2**31,)), MemoryError),
], ids=lambda x: repr(x)[:40] if not isinstance(x, np.ndarray) else f"{x.dtype}{x.shape}")
def test_what_is_refused(data, error):
    with pytest.raises(error) as e:
        nncore.tensor(data)
    assert str(e.value)
    if not isinstance(data, (dict, int)):  # a number may be too large for int64, but not for float32
        with pytest.raises(error):
            nncore.ones(2) + data


def test_data_are_copied():
    a = np.ones(3, "f4")
    t, u = nncore.tensor(a), Tensor(a)
    v = nncore.tensor(t)
    a[:] = 2
    t.fill_(3)
    assert u.tolist() == v.tolist() == [1, 1, 1]
    b = t.numpy()
    b[:] = 4
    assert t.tolist() == [4, 4, 4] and np.shares_memory(b, t.numpy())
    assert not np.shares_memory(t.clone().numpy(), b) and np.shares_memory(t.detach().numpy(), b)


LAYOUTS = {
    "fortran": np.asfortranarray, "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "strided": lambda a: np.repeat(np.repeat(a, 3, 0), 2, 1)[::3, ::2],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")), "read-only": lambda a: frozen(a.copy()),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape), "unaligned": lambda a: unaligned(a),
    "subclass": lambda a: a.view(type("Mine", (np.ndarray,), {})), "memmap": lambda a: a.copy().view(np.memmap),
}


def frozen(a):
    a.flags.writeable = False
    return a


def unaligned(a):
    raw = np.empty(a.nbytes + 1, "u1")
    b = raw[1:].view(a.dtype).reshape(a.shape)
    b[...] = a
    return b


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "u1", "?"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_of_any_layout(layout, dtype):
    a = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    given_ = LAYOUTS[layout](a)
    t = nncore.tensor(given_)
    assert t.tolist() == given_.tolist() and t.numpy().flags.c_contiguous and t.numpy().flags.writeable


def test_objects_that_are_arrays():
    class Arrayish:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0])

    class Liar:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("no")
    assert nncore.tensor(Arrayish()).tolist() == [1, 2]
    assert (nncore.ones(2) + Arrayish()).tolist() == [2, 3]
    with pytest.raises(KeyError):
        nncore.tensor(Liar())


def test_makers():
    assert nncore.zeros(2, 3).shape == nncore.zeros((2, 3)).shape == nncore.zeros([2, 3]).shape == (2, 3)
    assert nncore.zeros().shape == nncore.ones(()).shape == () and nncore.zeros(0).shape == (0,)
    assert nncore.zeros(np.int64(2), np.int8(3)).shape == nncore.ones(np.array([2, 3])).shape == (2, 3)
    assert nncore.full((2,), 7).tolist() == [7, 7] and nncore.full(2, -1.5).tolist() == [-1.5, -1.5]
    assert nncore.arange(3).dtype == "int64" and nncore.arange(0.0, 1.0, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert nncore.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1] and nncore.eye(2).tolist() == [[1, 0], [0, 1]]
    x = nncore.tensor([[1, 2]])
    assert nncore.zeros_like(x).shape == nncore.ones_like(x).shape == (1, 2)
    assert nncore.ones(2, requires_grad=True).requires_grad and not nncore.ones(2).requires_grad
    for dtype in ("float32", np.float32, "float64", float, np.dtype("f8"), "float16"):
        assert nncore.zeros(2, dtype=dtype).dtype == nncore.tensor([1], dtype=dtype).dtype == "float32"
    for dtype in ("int64", np.int64, "int32", int, np.dtype(">i4")):
        assert nncore.zeros(2, dtype=dtype).dtype == nncore.tensor([1.0], dtype=dtype).dtype == "int64"
    for dtype in ("bool", bool, np.bool_, "uint8", np.uint8):
        assert nncore.zeros(2, dtype=dtype).dtype == np.dtype(dtype).name


@pytest.mark.parametrize("make", [
    lambda: nncore.zeros(-1), lambda: nncore.zeros(2, -3), lambda: nncore.zeros(2.0), lambda: nncore.zeros("2"),
    lambda: nncore.zeros((2, 1.5)), lambda: nncore.zeros(None), lambda: nncore.zeros([[2]]),
    lambda: nncore.zeros({2.5: 3}),
    lambda: nncore.zeros(1, 1, 1, 1, 1, 1), lambda: nncore.zeros(np.zeros((2, 2), int)),
    lambda: nncore.zeros(2, dtype="complex64"),
    lambda: nncore.zeros(2, dtype="uint64"), lambda: nncore.zeros(2, dtype="nonsense"),
    lambda: nncore.zeros(2, dtype=object),
    lambda: nncore.full((2,), "x"), lambda: nncore.full((2,), None), lambda: nncore.full((2,), 1j),
    lambda: nncore.full(-1, 0.0),
    lambda: nncore.arange("a"), lambda: nncore.arange(0, 1, 0), lambda: nncore.linspace(0, 1, -1),
    lambda: nncore.eye(-1),
    lambda: nncore.rand(-1), lambda: nncore.randn(1.5), lambda: nncore.rand(3, low=1, high=0),
    lambda: nncore.rand(3, low=float("nan")),
    lambda: nncore.rand(3, high=float("inf")), lambda: nncore.randint(0, 0, (3,)), lambda: nncore.randint(3, 1, (3,)),
    lambda: nncore.randint(0, 2.5, (3,)), lambda: nncore.randint(0, 2**25, (3,)),
    lambda: nncore.randint(2**63, 2**63 + 1, (3,)),
    lambda: nncore.randperm(-1), lambda: nncore.randperm(1.5), lambda: nncore.manual_seed("x"),
    lambda: nncore.manual_seed(None),
    lambda: nncore.tensor([1, 2], requires_grad=True), lambda: nncore.zeros(2, dtype="int64", requires_grad=True),
    lambda: nncore.tensor([0.5], dtype="int64"), lambda: nncore.tensor([float("nan")], dtype="int64"),
    lambda: nncore.tensor([1e30], dtype="int64"), lambda: nncore.tensor([300], dtype="uint8"),
    lambda: nncore.tensor([-1.0], dtype="uint8"),
    lambda: nncore.tensor([2**24 + 1], dtype="float32"), lambda: nncore.tensor([2**63 - 1], dtype="float32"),
])
def test_makers_that_cannot(make):
    with pytest.raises((ValueError, TypeError)) as e:
        make()
    assert str(e.value)


def test_conversion_between_dtypes():
    x = nncore.tensor([1.7, -2.7, 0.0])
    assert x.long().tolist() == [1, -2, 0] and x.long().dtype == "int64"
    assert x.bool().tolist() == [True, True, False] and x.astype("bool").astype("float32").tolist() == [1, 1, 0]
    assert nncore.tensor([254.9, 0.5]).astype("uint8").tolist() == [254, 0]
    assert x.float() is x and nncore.tensor([1, 2]).float().tolist() == [1, 2]
    assert nncore.tensor([True]).long().tolist() == [1]
    y = x.astype("float32")
    y.zero_()
    assert x.tolist()[2] == 0 and x.numpy()[0] != 0
    for bad in ([float("nan")], [float("inf")], [1e19], [-1e19]):
        with pytest.raises(ValueError, match="int64"):
            nncore.tensor(bad).long()
    for bad in ([256.0], [-1.0]):
        with pytest.raises(ValueError, match="uint8"):
            nncore.tensor(bad).astype("uint8")
    assert nncore.tensor([-2.0**63]).long().tolist() == [-2**63]
    with pytest.raises(ValueError, match="2\\*\\*24"):
        nncore.tensor([2**24 + 1]).float()
    assert nncore.tensor([2**24 + 2, -2**62]).float().tolist() == [2**24 + 2, -2**62]
    with pytest.raises(TypeError):
        x.astype("complex64")


# ---- values out ------------------------------------------------------------------------------------------------------

def test_numbers_out():
    assert nncore.tensor([[2.5]]).item() == 2.5 and type(nncore.tensor(2).item()) is int
    assert nncore.tensor(True).item() is True and float(nncore.tensor([3])) == 3.0 and int(nncore.tensor(2.9)) == 2
    assert [10, 20, 30][nncore.tensor(1)] == 20 and list(range(nncore.tensor(2))) == [0, 1]
    assert nncore.tensor([1.0]) and not nncore.tensor(0) and len(nncore.zeros(3, 2)) == 3
    for wrong in (lambda: nncore.zeros(2).item(), lambda: float(nncore.zeros(2)), lambda: bool(nncore.zeros(2)),
                  lambda: nncore.zeros(0).item(), lambda: bool(nncore.zeros(0)),
                  lambda: int(nncore.tensor(float("nan")))):
        with pytest.raises(ValueError):
            wrong()
    for wrong in (lambda: len(nncore.tensor(1.0)), lambda: list(nncore.tensor(1.0)), lambda: [1, 2][nncore.tensor(1.0)],
                  lambda: [1, 2][nncore.tensor([1])], lambda: hash([nncore.zeros(1)])):
        with pytest.raises(TypeError):
            wrong()
    assert hash(nncore.zeros(1)) is not None


def test_to_numpy_and_back():
    x = nncore.tensor(draw((3, 4)))
    assert np.asarray(x).dtype == np.float32 and np.shares_memory(np.asarray(x), x.numpy())
    assert np.array(x).sum() == x.numpy().sum() and not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype="f8").dtype == np.float64
    assert memoryview(x.array).shape == (3, 4) and memoryview(x.array).format == "f"
    assert np.stack([x, x]).shape == (2, 3, 4)
    for dtype in ("int64", "uint8", "bool"):
        assert np.asarray(nncore.zeros(2, dtype=dtype)).dtype == dtype
    assert isinstance(np.ones((2, 3), "f4") @ x, Tensor) and isinstance(np.ones(4) + x, Tensor)
    assert isinstance(np.float32(2) * x, Tensor) and isinstance(np.float64(2) - x, Tensor)


def test_what_numpy_sees_outlives_the_tensor():
    views = [nncore.full((1000,), float(i)).numpy() for i in range(50)]
    nncore.full((1000,), -1.0)
    assert all((v == i).all() for i, v in enumerate(views))


# ---- text ------------------------------------------------------------------------------------------------------------

def test_repr():
    assert repr(nncore.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(nncore.tensor([1, 2])) == "tensor([1, 2], dtype=int64)"
    assert repr(nncore.zeros(0, 3)) == "tensor([], shape=(0, 3))"
    assert repr(nncore.tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert "made by exp" in repr(ops.exp(nncore.tensor([1.0], requires_grad=True)))
    assert repr(nncore.tensor(True)) == "tensor(True, dtype=bool)" and "nan" in repr(nncore.tensor(float("nan")))
    assert len(repr(nncore.zeros(1000, 1000))) < 2000
    assert "[[0., 0.]," in repr(nncore.zeros(2, 2)) and str(nncore.tensor(1.5)) == "tensor(1.5)"
    assert "(3,)" in repr(nncore.zeros(3).array) and "float32" in repr(nncore.zeros(3).array)


# ---- operators -------------------------------------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [2, 2.5, True, np.float32(2), np.int64(3), np.full((3,), 2.0), [1.0, 2.0, 3.0],
                                   "tensor"],
                         ids=str)
def test_operators_with_what_is_no_tensor(f, other):
    x = np.abs(draw((2, 3))) + 0.5
    y = np.abs(draw((3,), 1)) + 0.5 if isinstance(other, str) else np.asarray(other)
    t = nncore.tensor(y) if isinstance(other, str) else other
    for mine, theirs in ((f(leaf(x), t), f(x.astype("f8"), y)), (f(t, leaf(x)), f(y, x.astype("f8")))):
        assert isinstance(mine, Tensor) and mine.dtype == "float32" and not mine.is_leaf
        assert np.allclose(mine.numpy(), theirs, rtol=1e-6)


@pytest.mark.parametrize("f", COMPARE, ids=lambda f: f.__name__)
def test_comparisons(f):
    x, y = np.array([1, 2, 3, np.nan, np.inf], "f4"), np.array([1, 3, 2, np.nan, np.inf], "f4")
    for mine, theirs in ((f(nncore.tensor(x), nncore.tensor(y)), f(x, y)), (f(nncore.tensor(x), 2), f(x, 2)),
                         (f(2, nncore.tensor(x)), f(2, x)), (f(y, nncore.tensor(x)), f(y, x))):
        assert mine.dtype == "bool" and mine.tolist() == theirs.tolist() and not mine.requires_grad
    assert f(nncore.tensor([1, 2]), nncore.tensor([2, 2])).tolist() == f(np.array([1, 2]), np.array([2, 2])).tolist()


def test_comparison_with_none_and_text():
    x = nncore.ones(2)
    assert (x == None) is False and (x != None) is True and (x == "a") is False and (None == x) is False  # noqa: E711
    assert x in [None, x] and [None, x].index(x) == 1
    for f in (operator.lt, operator.ge):
        with pytest.raises(TypeError):
            f(x, None)


def test_unary_operators_and_in_place_forms():
    x = nncore.tensor([1.0, -2.0], requires_grad=True)
    assert (-x).tolist() == [-1, 2] and (+x) is x and abs(x).tolist() == [1, 2]
    y = x
    y += 1.0
    y *= 2.0
    y -= 1.0
    y /= 2.0
    assert y.tolist() == [1.5, -1.5] and x.tolist() == [1, -2] and not y.is_leaf
    a = nncore.ones(2, 3)
    a @= nncore.ones(3, 2)
    assert a.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("f", BINARY + [operator.matmul], ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [None, "a", 1j, object(), {}, [1j], np.array(["a"])], ids=repr)
def test_operators_refuse(f, other):
    x = nncore.ones(2, 2)
    for wrong in (lambda: f(x, other), lambda: f(other, x)):
        with pytest.raises((TypeError, ValueError)) as e:
            wrong()
        assert str(e.value)


def test_numbers_too_large():
    x = nncore.ones(2)
    for wrong in (lambda: x + 10**400, lambda: 10**400 * x, lambda: x < 10**400, lambda: ops.maximum(x, -10**400)):
        with pytest.raises(ValueError, match="too large"):
            wrong()
    assert (x * 1e300).tolist() == [float("inf")] * 2


def test_arithmetic_of_integers_is_float32():
    a, b = nncore.tensor([1, 2]), nncore.tensor([3, 4])
    assert (a + b).dtype == (a * 2).dtype == (a / b).dtype == a.sum().dtype == "float32"
    assert (nncore.tensor([True, False]) + nncore.tensor([1, 1])).tolist() == [2, 1]
    with pytest.raises(ValueError, match="2\\*\\*24"):
        nncore.tensor([2**40 + 1]) + 1.0


@given(hn.mutually_broadcastable_shapes(num_shapes=2, max_dims=5, min_side=0, max_side=4),
       st.sampled_from(BINARY + COMPARE))
def test_broadcasting_as_numpy_s(shapes, f):
    (a, b), out = shapes.input_shapes, shapes.result_shape
    x, y = np.abs(draw(a)) + 0.5, np.abs(draw(b, 1)) + 0.5
    s, t = leaf(x), leaf(y)
    z = f(s, t)
    assert z.shape == out and np.allclose(z.numpy(), f(x.astype("f8"), y.astype("f8")), rtol=1e-6)
    if f in BINARY:
        z.sum().backward()
        assert s.grad.shape == a and t.grad.shape == b
        if f is operator.mul:
            assert np.allclose(s.grad.numpy(), summed(np.broadcast_to(y, out), a), rtol=1e-5, atol=1e-6)
            assert np.allclose(t.grad.numpy(), summed(np.broadcast_to(x, out), b), rtol=1e-5, atol=1e-6)


def summed(g, shape):
    """g summed over the axes that were broadcast from shape."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1), keepdims=True)


# ---- shapes ----------------------------------------------------------------------------------------------------------

def test_methods_that_change_shape():
    x = nncore.zeros(2, 3, 1)
    assert x.T.shape == (1, 3, 2) and x.flatten().shape == (6,) and x.flatten(1).shape == (2, 3)
    assert x.flatten(0, 1).shape == (6, 1)
    assert x.squeeze().shape == x.squeeze(-1).shape == (2, 3) and x.squeeze(0).shape == (2, 3, 1)
    assert x.unsqueeze(0).shape == (1, 2, 3, 1) and x.unsqueeze(-1).shape == (2, 3, 1, 1)
    assert nncore.tensor(1.0).unsqueeze(0).shape == (1,)
    assert x.view(6, -1).shape == x.reshape((6, 1)).shape == (6, 1) and x.reshape(-1).shape == (6,)
    assert x.reshape([3, 2]).shape == (3, 2)
    assert x.permute(2, 0, 1).shape == x.permute((2, 0, 1)).shape == (1, 2, 3)
    assert x.transpose(0, -1).shape == (1, 3, 2)
    assert nncore.tensor(1.0).flatten().shape == (1,) and nncore.zeros(3).permute(0).shape == (3,)
    assert nncore.zeros(0, 5).reshape(5, 0).shape == (5, 0)
    for wrong in (lambda: x.squeeze(3), lambda: x.squeeze(-4), lambda: nncore.tensor(1.0).squeeze(0),
                  lambda: x.unsqueeze(4),
                  lambda: x.unsqueeze(-5), lambda: x.flatten(2, 0), lambda: x.flatten(3), lambda: x.reshape(4),
                  lambda: x.reshape(-1, -1),
                  lambda: x.reshape(-2, -3), lambda: x.reshape(5, -1), lambda: nncore.zeros(0).reshape(0, -1),
                  lambda: x.permute(0, 1),
                  lambda: x.permute(0, 0, 1), lambda: x.transpose(0, 5), lambda: x.reshape(1, 1, 1, 1, 1, 6),
                  lambda: x.permute(0, 1, 3)):
        with pytest.raises(ValueError) as e:
            wrong()
        assert str(e.value)
    for wrong in (lambda: x.reshape(1.5, 4), lambda: x.reshape("a"), lambda: x.permute(0.0, 1.0, 2.0),
                  lambda: x.squeeze("a"),
                  lambda: x.reshape(None)):
        with pytest.raises(TypeError):
            wrong()


def test_in_place_methods():
    x = nncore.ones(2, 2)
    assert x.copy_([[1, 2], [3, 4]]) is x and x.tolist() == [[1, 2], [3, 4]]
    assert x.fill_(3).tolist() == [[3, 3], [3, 3]] and x.zero_().tolist() == [[0, 0], [0, 0]]
    n = nncore.tensor([1, 2])
    assert n.fill_(7).tolist() == [7, 7] and n.copy_([3, 4]).dtype == "int64"
    for wrong in (lambda: x.copy_([1.0]), lambda: x.copy_(nncore.ones(4)), lambda: n.fill_(0.5),
                  lambda: n.copy_([0.5, 1.0])):
        with pytest.raises(ValueError):
            wrong()
    assert n.tolist() == [3, 4]
    assert n.fill_(2 ** 40 + 1).tolist() == [2 ** 40 + 1] * 2 and n.zero_().tolist() == [0, 0]


@pytest.mark.parametrize("n, dtype", [(7, "float32"), (300_000, "float32"), (300_000, "int64"), (300_000, "uint8")])
@pytest.mark.parametrize("threads", [1, 2])
def test_copy_of_what_overlaps(n, dtype, threads):
    values = np.arange(n).astype(dtype)
    before = nncore.get_num_threads()
    nncore.set_num_threads(threads)
    try:
        for to, of in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None)), (slice(5), slice(-5, None))):
            x = nncore.tensor(values)
            x[to].copy_(x[of])
            expected = values.copy()
            expected[to] = values[of]
            assert (x.numpy() == expected).all()
    finally:
        nncore.set_num_threads(before)


# ---- copies and pickling ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))],
                         ids=["copy", "deepcopy", "pickle"])
def test_copies(make_copy):
    for t in (nncore.tensor([1.5, 2.5], requires_grad=True), nncore.tensor([1, 2]), nncore.tensor(True),
              nncore.zeros(0, 3),
              nncore.nn.Parameter([1.0, 2.0]), nncore.tensor(np.zeros(2, "u1")),
              nncore.nn.Parameter([1.0], requires_grad=False)):
        u = make_copy(t)
        assert type(u) is type(t) and u.dtype == t.dtype and u.shape == t.shape and u.tolist() == t.tolist()
        assert u.requires_grad == t.requires_grad and u.is_leaf and not np.shares_memory(u.numpy(), t.numpy())
    with pytest.raises(RuntimeError, match="leaf"):
        make_copy(leaf([1.0]) * 2)


def test_deepcopy_keeps_the_gradient_and_what_is_shared():
    x = leaf([1.0, 2.0])
    x.grad = [3.0, 4.0]
    y, z = copy.deepcopy([x, x])
    assert y is z and y.grad.tolist() == [3, 4]
    y.grad.numpy()[:] = 0
    assert x.grad.tolist() == [3, 4]
    assert copy.deepcopy(leaf([1.0])).grad is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_of_every_protocol(protocol):
    t = nncore.nn.Parameter(draw((3, 4)))
    assert (pickle.loads(pickle.dumps(t, protocol)).numpy() == t.numpy()).all()


def test_subclasses():
    class Mine(Tensor):
        pass
    t = Mine([1.0, 2.0], requires_grad=True)
    assert type(t) is Mine and type(copy.deepcopy(t)) is Mine
    t.note = "kept"
    (t * 2).sum().backward()
    assert t.grad.tolist() == [2, 2] and t.note == "kept"


def test_tensors_made_behind_our_back():
    """Objects that no function of ours made are empty, not a crash."""
    from nncore import _core
    for t in (_core.TensorBase.__new__(Tensor), _core.TensorBase.__new__(nncore.nn.Parameter)):
        assert t.shape == (0,) and t.tolist() == [] and ops.relu(t).shape == (0,) and t.sum().item() == 0
    for cls in (_core.Array, ):
        with pytest.raises(TypeError):
            cls()
    node = _core.Node()
    for wrong in (lambda: node.needs(0), lambda: node.give(0, nncore.ones(2).array), lambda: node.shape_of(0)):
        with pytest.raises(TypeError):
            wrong()
    for name in ("copy", "reshape", "linear", "softmax", "gemm", "where", "reduce", "assign"):
        with pytest.raises(TypeError):
            getattr(_core, name)(*[None] * 3)
