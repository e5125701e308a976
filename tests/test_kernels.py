"""Ladder 3 and 4: kernels in sizes around vectors, tiles and blocks, over their whole range of values, in large shapes.

What the reference is too slow for is judged by NumPy in float64, by identities, and by comparing instruction sets.
"""
import random

import numpy as np
import pytest

import nncore
from cases import EPS
from guards import check_guard, poison
from nncore import _core, losses, ops
from nncore.reference import REFERENCE
from nncore.reference import random as reference_random


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4")


def array(a):
    """An Array of the core."""
    return nncore.tensor(a).array


# ---- products --------------------------------------------------------------------------------------------------------

EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 14, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 127, 129)
SMALL = [tuple(random.Random(i).choice(EDGES) for _ in range(3)) for i in range(150)]
# few columns; a depth of 2; around the border of what is computed as one block
SMALL += [(m, n, k) for n in (1, 2, 3, 4, 5) for m, k in ((64, 32), (33, 17), (31, 64), (130, 2))]
SMALL += [(32, 64, 2), (32, 63, 2), (7, 65, 2), (255, 9, 200), (64, 64, 128), (65, 64, 128), (3, 255, 255), (3, 256, 9),
          (256, 3, 9), (9, 64, 256)]
# few columns, and a depth for which they are sums of products
DEEP = [(37, 5, 161), (25, 6, 200), (41, 7, 230), (29, 8, 260), (61, 9, 290), (31, 10, 161), (31, 10, 330),
        (130, 11, 353), (24, 12, 400)]
# a few columns behind whole vectors; with more than one block of k, more than one task of rows
RAGGED = [(200, 100, 784), (150, 36, 240), (40, 97, 100), (300, 50, 64), (20, 104, 1000), (16, 33, 600),
          (130, 66, 1290), (300, 2114, 33),
          (2100, 65, 700)]  # a task of rows has all of k
LARGE = [(300, 270, 520), (1, 1000, 700), (1000, 1, 700), (700, 1000, 1), (64, 2048, 1024), (257, 129, 1031),
         (6, 16, 20000), (1500, 10, 256), (48, 4096, 33),
         (130, 150, 9000),  # k in pieces
         (700, 720, 96), (300, 400, 200), (130, 144, 33)]  # shallow: a in place, wide tiles


@pytest.mark.parametrize("ta, tb", [(False, False), (False, True), (True, False), (True, True)])
def test_gemm_of_any_size(isa, ta, tb):
    for m, n, k in SMALL + DEEP + RAGGED:
        a, b, c = draw(m, k), draw(k, n, seed=1), draw(m, n, seed=2)
        A, B = (array(np.ascontiguousarray(x.T) if t else x) for x, t in ((a, ta), (b, tb)))
        exact = a.astype("f8") @ b.astype("f8")
        # k products and k sums, each rounded once, of numbers whose absolute values add up to this
        allowed = (k + 2) * EPS * (np.abs(a).astype("f8") @ np.abs(b) + np.abs(c)) + 1e-30
        poison(((m, n), "float32"))
        out = _core.gemm(A, B, ta, tb)
        check_guard(out, (m, n, k))
        assert (np.abs(out.numpy() - exact) <= allowed).all(), (m, n, k)
        out = array(c)
        _core.gemm(A, B, ta, tb, out, True)
        assert (np.abs(out.numpy() - (c + exact)) <= allowed).all(), ("accumulated", m, n, k)


@pytest.mark.parametrize("m, n, k", LARGE)
def test_large_gemm_by_an_identity(isa, m, n, k):
    """(A B) t = A (B t): O(n^2) instead of a second product."""
    a, b, t = draw(m, k), draw(k, n, seed=1), draw(n, seed=2).astype("f8")
    expected = a.astype("f8") @ (b.astype("f8") @ t)
    # the roundings of a row of C add up to a random walk: sqrt(k n) steps of EPS times a partial sum of size sqrt(k)
    allowed = 20 * EPS * k * n**0.5
    for ta, tb in ((False, False), (False, True), (True, False)):
        A, B = (array(np.ascontiguousarray(x.T) if flip else x) for x, flip in ((a, ta), (b, tb)))
        c = _core.gemm(A, B, ta, tb).numpy()
        assert not np.isnan(c).any()
        error = np.abs(c.astype("f8") @ t - expected).max()
        assert error <= allowed, (ta, tb, error, allowed)


@pytest.mark.parametrize("activation", [None, "relu", "gelu"])
def test_dense_layers_of_any_width(isa, activation):
    """Bias and activation reach every column, in all of the ways that a product goes."""
    for m, n, k in [(33, 2, 64), (8, 10, 9), (65, 64, 128), (700, 33, 1300)] + DEEP + RAGGED:
        x, w, b = draw(m, k), draw(k, n, seed=1) / k**0.5, draw(n, seed=2)
        y = ops.linear(nncore.tensor(x), nncore.tensor(w), nncore.tensor(b), activation).numpy()
        plain = nncore.tensor((x.astype("f8") @ w + b).astype("f4"))
        expected = plain if activation is None else getattr(ops, activation)(plain)
        allowed = 2 * (k + 3) * EPS * (np.abs(x) @ np.abs(w) + np.abs(b))  # the slope of gelu is at most 1.13
        assert (np.abs(y - expected.numpy()) <= allowed).all(), (m, n, k)


@pytest.mark.parametrize("stack_a, stack_b", [(1, 1), (5, 5), (1, 5), (5, 1), (0, 0)])
def test_gemm_of_stacks(isa, stack_a, stack_b):
    for m, n, k in ((3, 5, 7), (17, 16, 33), (1, 1, 1), (8, 33, 2)):
        a, b = draw(stack_a, m, k), draw(stack_b, k, n, seed=1)
        c = _core.gemm(array(a), array(b)).numpy()
        assert np.allclose(c, np.matmul(a.astype("f8"), b), rtol=0, atol=(k + 2) * EPS * 9 * k)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16])
def test_narrow_transposes(isa, n):
    for m in (1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 65):
        for shape in ((m, n), (n, m)):
            x = draw(*shape)
            poison(((shape[1], shape[0]), "float32"))
            y = ops.permute(nncore.tensor(x), (1, 0)).array
            check_guard(y, shape)
            assert (y.numpy() == x.T).all(), shape


def test_nan_and_infinity_stay_in_their_row_and_column(isa):
    a, b = np.ones((20, 30), "f4"), np.ones((30, 40), "f4")
    a[3, 5], b[29, 39] = np.nan, np.inf
    c = ops.matmul(nncore.tensor(a), nncore.tensor(b)).numpy()
    assert np.isnan(c[3]).all() and np.isinf(c[:3, 39]).all() and (np.delete(c, 3, 0)[:, :39] == 30).all()


# ---- the whole range of elementwise functions ------------------------------------------------------------------------

PROMISED = {"exp": 2, "log": 2, "tanh": 2, "sigmoid": 2, "gelu": 2, "silu": 2, "softplus": 2, "sqrt": 0.5}


def all_kinds_of_floats(n):
    """Normal float32 of every exponent, and many between -20 and 20, where functions do their work."""
    rng = np.random.default_rng(9)
    x = rng.integers(0, 2**32, n, dtype="u4").view("f4")
    x = x[np.isfinite(x)]
    x = np.concatenate([x, rng.uniform(-20, 20, n).astype("f4"), rng.uniform(-1, 1, n).astype("f4"),
                        rng.uniform(-105, 90, n).astype("f4"), [0.0, 1.0, -1.0]]).astype("f4")
    return x[np.abs(x) >= 2**-126]


X = all_kinds_of_floats(40000)
TRUE = {}  # name -> the true values, by the reference in float64


@pytest.mark.parametrize("name", PROMISED)
def test_accuracy_over_the_whole_range(isa, name):
    if name not in TRUE:
        TRUE[name] = np.array(REFERENCE[name]([float(x) for x in X]).flat)
    e, r = TRUE[name], getattr(ops, name)(nncore.tensor(X)).numpy().astype("f8")
    with np.errstate(all="ignore"):
        rounded = e.astype("f4")
        finite = np.isfinite(rounded)
        ulp = np.spacing(np.abs(np.where(finite, rounded, 0))).astype("f8")
        error = np.abs(r - e) / ulp
        flushed = (np.abs(e) < 2**-125) & (np.abs(r) <= 2**-125)  # results below the normal numbers may be 0
        same = (r == rounded) | (np.isnan(r) & np.isnan(e))
        border = ~finite & ~np.isnan(e) & (np.abs(e) < 3.41e38) & (np.abs(r) > 3.40e38)  # rounds up to inf, just
    good = same | flushed | border | (finite & (error <= PROMISED[name]))
    assert good.all(), [(float(X[i]), float(r[i]), float(e[i]), float(error[i])) for i in np.argwhere(~good)[:5, 0]]


@pytest.mark.parametrize("name", [*PROMISED, "elu", "relu", "leaky_relu"])
def test_a_value_does_not_depend_on_its_place(isa, name):
    """Tails are computed by the same arithmetic as full vectors."""
    x = np.abs(draw(200)) if name in ("log", "sqrt") else draw(200)
    whole = getattr(ops, name)(nncore.tensor(x)).numpy()
    for n in range(70):
        assert getattr(ops, name)(nncore.tensor(x[:n])).numpy().tobytes() == whole[:n].tobytes(), n


# ---- each instruction set against baseline ---------------------------------------------------------------------------

def outputs():
    """A bit of everything, in sizes beyond one block of work (16384 elements), not multiples of anything."""
    x, y = nncore.tensor(draw(211, 331), requires_grad=True), nncore.tensor(draw(331, seed=1), requires_grad=True)
    z = ops.gelu(x) * y + ops.softplus(x) / (ops.exp(y) + 1)
    losses.huber_loss(z, ops.tanh(x), delta=0.3).backward()
    results = {"elementwise": z, "gradient x": x.grad, "gradient y": y.grad}
    big = nncore.tensor(draw(37, 41, 43))
    for axis in (None, 0, 1, 2, (0, 2)):
        for name in ("sum", "mean", "var", "max", "min"):
            results[f"{name} {axis}"] = getattr(ops, name)(big, axis=axis)
    scores = nncore.tensor(draw(1003, 131) * 5, requires_grad=True)
    losses.cross_entropy(scores, nncore.tensor(np.arange(1003) % 131), label_smoothing=0.1).backward()
    results["cross_entropy"] = scores.grad
    results["softmax"] = ops.softmax(scores)
    results["take"] = ops.take(big, nncore.tensor(np.arange(90) % 43), axis=2)
    results["linear"] = ops.linear(nncore.tensor(draw(300, 200)), nncore.tensor(draw(200, 170)), None, "silu")
    return {name: t.numpy().copy() for name, t in results.items()}


def test_instruction_sets_agree(isa):
    got = outputs()
    _core.isa_select("baseline")
    for name, expected in outputs().items():
        scale = max(1.0, float(np.abs(expected).max()))
        # sums over up to 65231 elements in another order: a random walk of 256 steps, times a margin of 8
        assert (np.abs(got[name] - expected) <= 8 * 256 * EPS * scale).all(), name
        assert not np.isnan(got[name]).any(), name


# ---- long reductions -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1000, 16383, 16384, 16385, 100003])
def test_long_sums_are_accurate(isa, n):
    """Partial sums are short enough that the error stays near that of a pairwise sum."""
    x = np.random.default_rng(n).uniform(0, 1, n).astype("f4")
    exact = float(x.astype("f8").sum())
    assert abs(ops.sum(nncore.tensor(x)).item() - exact) <= 64 * EPS * exact
    assert abs(ops.mean(nncore.tensor(x)).item() - exact / n) <= 64 * EPS * exact / n
    shifted = (x + 100).astype("f4")
    variance = float(shifted.astype("f8").var(ddof=1))
    assert abs(ops.var(nncore.tensor(shifted)).item() - variance) <= 1e-4 * variance
    column = ops.sum(nncore.tensor(np.stack([x, -x], 1)), axis=0).numpy()
    assert np.abs(column - [exact, -exact]).max() <= 2e-5 * exact


def test_norm_is_added_up_in_double(isa):
    parts = [draw(n, seed=n) * np.float32(1e-3 if n % 2 else 1e3) for n in (1, 17, 1000, 16385, 0, 3, 5, 7, 9)]
    exact = np.sqrt(sum((p.astype("f8") ** 2).sum() for p in parts))
    assert abs(_core.norm([array(p) for p in parts]).item() - exact) <= 4 * EPS * exact


# ---- gathering rows --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["u1", "f4", "i8"])
def test_gather_rows(isa, dtype):
    rng = np.random.default_rng(3)
    for f in (1, 3, 15, 16, 17, 63, 64, 65, 784):
        x = rng.integers(0, 256, (23, f)).astype(dtype)
        index = rng.integers(-23, 23, 41) % 23
        got = _core.gather_rows(array(x), array(index), 4, 30).numpy()
        assert got.dtype == ("i8" if dtype == "i8" else "f4") and (got == x[index[4:34]]).all()
        if dtype == "i8":
            continue
        for size in (1, f):
            scale, shift = (rng.uniform(0.5, 2, size).astype("f4") for _ in range(2))
            poison(((30, f), "float32"))
            got = _core.gather_rows(array(x), array(index), 4, 30, array(scale), array(shift))
            check_guard(got, f)
            rows = x[index[4:34]].astype("f8")
            assert np.allclose(got.numpy(), rows * scale + shift, rtol=2 * EPS, atol=0)
            got = _core.gather_rows(array(x), array(index), 4, 30, array(scale))
            assert np.allclose(got.numpy(), rows * scale, rtol=2 * EPS, atol=0)
            got = _core.gather_rows(array(x), array(index), 4, 30, None, array(shift))
            assert np.allclose(got.numpy(), rows + shift, rtol=2 * EPS, atol=0)
    with pytest.raises(IndexError):
        _core.gather_rows(array(np.zeros((3, 2), "f4")), array(np.array([0, 3])), 0, 2)


# ---- random numbers --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [0, 1, 3, 15, 16, 17, 63, 64, 65, 1000])
@pytest.mark.parametrize("seed, call", [(0, 0), (2**64 - 1, 3), (0x123456789ABCDEF, 2**33 + 5)])
def test_every_random_number_is_the_one_it_should_be(isa, n, seed, call):
    generator = nncore.Generator()
    x = nncore.ones(n)
    for at in (call, call + 1):
        generator.set_state((seed, at))
        assert generator.get_state() == (seed, at)
        u = nncore.rand(n, generator=generator).numpy()
        assert generator.get_state() == (seed, at + 1)
        assert u.tolist() == reference_random.uniform(n, seed, at)
        generator.set_state((seed, at))
        z = nncore.randn(n, generator=generator).numpy()
        # radius, up to 6.7, and sine are off by a few ulp each
        assert np.abs(z - np.array(reference_random.normal(n, seed, at))).max(initial=0) <= 8 * EPS * 6.7
        for p in (0.25, 0.5, 0.9):
            generator.set_state((seed, at))
            y = ops.dropout(x, p, True, generator=generator).numpy()
            kept = np.array(reference_random.kept(n, float(np.float32(p)), seed, at))
            assert ((y != 0) == kept).all()


def test_random_numbers_beyond_one_block_of_work(isa):
    generator = nncore.Generator(9)
    u, z = nncore.rand(16384 + 70, generator=generator).numpy(), nncore.randn(16384 + 70, generator=generator).numpy()
    assert u.tolist() == reference_random.uniform(16384 + 70, 9, 0)
    assert np.abs(z - np.array(reference_random.normal(16384 + 70, 9, 1))).max() <= 8 * EPS * 6.7


@pytest.mark.parametrize("n", [0, 1, 3, 15, 16, 17, 1000, 16385])
def test_random_numbers(isa, n):
    nncore.manual_seed(11)
    u, z, p = nncore.rand(n).numpy(), nncore.randn(n).numpy(), nncore.randperm(n).numpy()
    assert ((u >= 0) & (u < 1)).all() and np.isfinite(z).all() and sorted(p) == list(range(n))
    if n >= 1000:
        assert abs(u.mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5 and abs(z.mean()) < 5 / n**0.5
        assert abs(z.var() - 1) < 5 * (2 / n) ** 0.5 and abs(np.corrcoef(u, z)[0, 1]) < 5 / n**0.5
        assert len(np.unique(u)) > 0.99 * n and list(p) != list(range(n))


def test_random_numbers_are_the_same_with_every_instruction_set(isa):
    def numbers():
        nncore.manual_seed(12)
        return nncore.rand(1001).numpy().tobytes(), nncore.randperm(1001).numpy().tobytes()
    got = numbers()
    _core.isa_select("baseline")
    assert numbers() == got


# ---- the caller's floating-point state -------------------------------------------------------------------------------

def test_floating_point_state_is_the_caller_s(isa):
    x = nncore.tensor(draw(300, 300))
    ops.matmul(ops.exp(x), x)
    tiny = np.array([2.0**-140], "f4")  # would be 0 if denormals were flushed in the caller
    assert (tiny * np.float32(1.0))[0] == np.float32(2.0**-140) and (tiny + tiny)[0] > 0
