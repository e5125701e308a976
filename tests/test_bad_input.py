"""Input that makes no sense, or little: the right answer or a clear error, never a crash or a silent wrong result."""
import contextlib
import os
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

import nncore
from nncore import losses, nn, ops, optim
from nncore.data import DataLoader

settings.register_profile("nncore", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("nncore")

NAN, INF = float("nan"), float("inf")
CLEAR = (ValueError, TypeError, IndexError, MemoryError, RuntimeError)


def leaf(a):
    return nncore.tensor(np.asarray(a, "f4"), requires_grad=True)


def draw(shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("f4")


# ---- NaN -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", sorted(set(nncore._core.UNARY) - {"gelu_tanh"}))
@pytest.mark.parametrize("n", [1, 3, 16, 17, 33])
def test_nan_in_gives_nan_out(isa, name, n):
    """In every place of a vector, beside numbers and infinities, and the neighbours are what they are without it."""
    f = getattr(ops, name) if name != "clip" else lambda x: ops.clip(x, -1.0, 1.0)
    x = np.tile(np.array([0.5, 2.0, 0.25], "f4"), n)[:n]
    clean = f(nncore.tensor(x)).numpy().copy()
    for place in range(n):
        x[place] = NAN
        for sign in (1, -1):
            t = leaf(x * np.float32(sign) if sign < 0 and place == 0 else x)
            y = f(t)
            y.sum().backward()
            if sign > 0 or place:
                others = np.delete(np.arange(n), place)
                assert np.isnan(y.numpy()[place]) and (y.numpy()[others] == clean[others]).all()
                assert np.isfinite(t.grad.numpy()[others]).all()
            else:
                assert np.isnan(y.numpy()[0])
        x[place] = [0.5, 2.0, 0.25][place % 3]


@pytest.mark.parametrize("f", [ops.maximum, ops.minimum, ops.add, ops.mul, ops.div, ops.pow], ids=lambda f: f.__name__)
def test_nan_in_either_operand(isa, f):
    for a, b in ((NAN, 1.0), (1.5, NAN), (NAN, NAN), (NAN, INF), (-INF, NAN), (NAN, 0.0), (0.0, NAN)):
        for n in (1, 16, 19):
            x, y = leaf(np.full(n, a)), leaf(np.full(n, b))
            for z in (f(x, y), f(x, leaf(b)), f(leaf(a), y)):
                expected = 1 if f is ops.pow and b == 0 else NAN  # as C's powf
                assert np.array_equal(z.numpy(), np.full(n, expected), equal_nan=True), (a, b)
    x, y = leaf([NAN, 1.0, 2.0]), leaf([1.0, NAN, 3.0])
    f(x, y).sum().backward()
    assert np.isfinite(x.grad.numpy()[2]) and np.isfinite(y.grad.numpy()[2])


def test_clip_and_where_with_nan(isa):
    x = nncore.tensor([NAN, -5.0, 0.5, 5.0])
    assert np.isnan(ops.clip(x, 0.0, 1.0).numpy()[0]) and ops.clip(x, 0.0, 1.0).tolist()[1:] == [0, 0.5, 1]
    assert np.isnan(ops.clip(x, min=0.0).numpy()[0]) and np.isnan(ops.clip(x, max=0.0).numpy()[0])
    assert ops.where([True, False, True, False], 1.0, x).tolist()[::2] == [1, 1]  # not chosen: not seen
    t = leaf([NAN, 2.0])
    ops.where([False, True], t, 0.0).sum().backward()
    assert t.grad.tolist() == [0, 1]


@pytest.mark.parametrize("n", [1, 5, 16, 100, 40000])
def test_reductions_with_nan(isa, n):
    for place in {0, n // 2, n - 1}:
        x = np.linspace(-1, 1, n, dtype="f4")
        x[place] = NAN
        t = nncore.tensor(x)
        for f in (ops.sum, ops.mean, ops.max, ops.min, ops.var):
            assert np.isnan(f(t).item()), f
            assert np.isnan(f(nncore.tensor(x.reshape(-1, 1)), dim=0).item())
        assert ops.argmax(t).item() == ops.argmin(t).item() == place
    assert np.isnan(ops.max(nncore.tensor([-INF, NAN, INF])).item())
    assert ops.max(nncore.tensor([-INF, -INF])).item() == -INF


@pytest.mark.parametrize("f", [ops.softmax, ops.log_softmax], ids=lambda f: f.__name__)
def test_softmax_with_strange_rows(isa, f):
    for c in (1, 3, 16, 37):
        x = draw((4, c))
        x[1, c // 2] = NAN
        y = f(leaf(x))
        assert np.isnan(y.numpy()[1]).all() and np.isfinite(y.numpy()[[0, 2, 3]]).all()
    y = f(nncore.tensor([[1e4, -1e4, 0.0], [INF, 0.0, 1.0], [-INF, 0.0, 0.0], [-INF, -INF, -INF]])).numpy()
    if f is ops.log_softmax:
        y = np.exp(y)
    assert np.allclose(y[0], [1, 0, 0]) and np.isnan(y[1]).any() and np.allclose(y[2], [0, 0.5, 0.5])
    assert np.isnan(y[3]).all()


LOSSES = {
    "mse_loss": (0.5,), "l1_loss": (0.5,), "huber_loss": (0.5,), "smooth_l1_loss": (0.5,),
    "binary_cross_entropy": (0.5,),
    "binary_cross_entropy_with_logits": (0.5,),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_say_that_there_is_nan(isa, name):
    f = getattr(losses, name)
    for reduction in ("mean", "sum", "none"):
        for which in (0, 1):
            for n in (1, 17, 1100):
                a = [np.full(n, 0.5, "f4"), np.full(n, 0.25, "f4")]
                a[which][n // 2] = NAN
                x = leaf(a[0])
                y = f(x, a[1], reduction=reduction)
                y.sum().backward()
                assert np.isnan(y.numpy()).any() and (reduction != "none" or np.isnan(y.numpy()).sum() == 1)
                assert np.isnan(x.grad.numpy()[n // 2]) and np.isfinite(np.delete(x.grad.numpy(), n // 2)).all()


def test_classification_losses_say_that_there_is_nan(isa):
    for f in (losses.cross_entropy, losses.nll_loss):
        for target in ([0, 2, 1], np.full((3, 3), 1 / 3, "f4")):
            if f is losses.nll_loss and not isinstance(target, list):
                continue
            x = draw((3, 3))
            x[1, 2] = NAN
            each = f(nncore.tensor(x), target, reduction="none").numpy()
            assert np.isnan(f(nncore.tensor(x), target).item()) and np.isnan(each[1])
            assert np.isfinite(each[[0, 2]]).all()
    x = leaf(np.where(np.arange(9).reshape(3, 3) == 4, NAN, 0.5))
    losses.cross_entropy(x, [0, -100, 1]).backward()
    assert np.isfinite(x.grad.numpy()).all() and (x.grad.numpy()[1] == 0).all()  # an ignored row counts nothing


def test_nan_in_the_data_trains_and_shows():
    """The training goes on, as in PyTorch; the loss says so, the parameters do."""
    nncore.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4, activation="relu"), nn.Linear(4, 2))
    optimizer = optim.Adam(model.parameters())
    x = np.ones((6, 3))
    x[4, 1] = NAN
    seen = []
    for inputs, targets in DataLoader(x, [0, 1] * 3, 2):
        loss = losses.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    assert np.isfinite(seen[:2]).all() and np.isnan(seen[2])
    assert any(np.isnan(p.numpy()).any() for p in model.parameters())


# ---- losses of nothing -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f", [losses.cross_entropy, losses.nll_loss], ids=lambda f: f.__name__)
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
def test_a_fully_ignored_loss_is_what_pytorch_returns(isa, f, weight):
    """mean: 0/0 = NaN; sum: 0; none: zeros. The gradient is NaN * 0 of an ignored row, which PyTorch gives as zeros."""
    for labels, ignore in (([-100, -100], -100), ([1, 1], 1), ([7, 7], 7), ([-1, -1], -1)):
        for reduction, expected in (("mean", NAN), ("sum", 0.0), ("none", [0.0, 0.0])):
            x = leaf(draw((2, 3)))
            y = f(x, labels, weight=weight, ignore_index=ignore, reduction=reduction)
            assert np.array_equal(y.numpy(), np.float32(expected), equal_nan=True)
            y.sum().backward()
            assert (x.grad.numpy() == 0).all()
    x = leaf(draw((3, 3)))
    y = f(x, [0, -100, 2], weight=weight)
    y.backward()
    assert np.isfinite(y.item()) and (x.grad.numpy()[1] == 0).all() and (x.grad.numpy()[0] != 0).any()


def test_losses_of_empty_batches(isa):
    for name in LOSSES:
        f = getattr(losses, name)
        for shape in ((0,), (0, 3), (3, 0)):
            for reduction, expected in (("mean", NAN), ("sum", 0.0)):
                x = nncore.zeros(*shape, requires_grad=True)
                y = f(x, nncore.zeros(*shape), reduction=reduction)
                y.backward()
                assert np.array_equal(y.item(), expected, equal_nan=True) and x.grad.shape == shape
            assert f(nncore.zeros(*shape), nncore.zeros(*shape), reduction="none").shape == shape
    for f in (losses.cross_entropy, losses.nll_loss):
        for reduction, expected in (("mean", NAN), ("sum", 0.0)):
            x = nncore.zeros(0, 3, requires_grad=True)
            y = f(x, np.zeros(0, int), reduction=reduction)
            y.backward()
            assert np.array_equal(y.item(), expected, equal_nan=True) and x.grad.shape == (0, 3)
        assert f(nncore.zeros(0, 3), np.zeros(0, int), reduction="none").shape == (0,)
    assert losses.cross_entropy(nncore.zeros(0, 3), nncore.zeros(0, 3), reduction="sum").item() == 0
    with pytest.raises(ValueError, match="0 classes"):
        losses.cross_entropy(nncore.zeros(2, 0), [0, 0])


def test_empty_batches_through_a_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4, activation="gelu"), nn.Dropout(),
                          nn.Residual(nn.Linear(4, 4), nn.Tanh()),
                          nn.Linear(4, 2), nn.LogSoftmax())
    optimizer = optim.Adam(model.parameters())
    y = model(nncore.zeros(0, 2, 3))
    assert y.shape == (0, 2)
    losses.nll_loss(y, np.zeros(0, int), reduction="sum").backward()
    assert all((p.grad.numpy() == 0).all() for p in model.parameters())
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer.step()
    assert all((p.numpy() == b).all() for p, b in zip(model.parameters(), before))


# ---- labels ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f", [losses.cross_entropy, losses.nll_loss], ids=lambda f: f.__name__)
@pytest.mark.parametrize("label", [3, -1, -2, 2**31, -2**31, 2**32, 2**63 - 1, -2**63, -99, -101])
def test_labels_out_of_range(isa, f, label):
    for labels in ([0, label, 1], [label, label, label], [0, 1, label]):
        with pytest.raises(ValueError, match=f"{f.__name__}: label {label} is out of range for 3 classes"):
            f(nncore.zeros(3, 3), labels)
    assert f(nncore.zeros(3, 3), [0, label, 1], ignore_index=label, reduction="none").tolist()[1] == 0


@pytest.mark.parametrize("target, error", [
    ([0.0, 1.0], (ValueError, TypeError)), (["a", "b"], TypeError), ([0, 1, 2], ValueError), ([[0, 1]], ValueError),
    ([[0], [1]], ValueError), (0, ValueError), (None, TypeError), ([1j, 0], TypeError),
    ([[0.5, 0.5], [0.5, 0.5]], (ValueError, TypeError)),
    ([2**64, 0], TypeError), ([[1], [1, 2]], ValueError), (np.zeros((2, 3, 1)), (ValueError, TypeError)),
    ([], (ValueError, TypeError)), ([NAN, NAN], (ValueError, TypeError)),
], ids=str)
def test_targets_that_do_not_fit(target, error):
    for f in (losses.cross_entropy, losses.nll_loss):
        for wrapped in (lambda t: t, nncore.tensor):
            with pytest.raises(error) as e:
                f(nncore.zeros(2, 3), wrapped(target))
            assert str(e.value)


def test_targets_of_every_integer_kind():
    x = draw((3, 4))
    expected = losses.cross_entropy(nncore.tensor(x), [1, 0, 3]).item()
    for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u2"):
        a = np.array([1, 9, 0, 9, 3, 9], dtype)[::2]
        assert losses.cross_entropy(nncore.tensor(x), a).item() == expected
        assert losses.cross_entropy(nncore.tensor(x), nncore.tensor(a)).item() == expected
    assert losses.cross_entropy(nncore.tensor(x), (1, 0, 3)).item() == expected
    assert losses.cross_entropy(nncore.tensor(x[:2, :2]), [True, False]).item() == losses.cross_entropy(
        nncore.tensor(x[:2, :2]), [1, 0]).item()


@pytest.mark.parametrize("call", [
    lambda x, t: losses.cross_entropy(x, t, weight=[1.0, 2.0]), lambda x,
    t: losses.cross_entropy(x, t, weight=np.ones((3, 1, 3))),
    lambda x, t: losses.cross_entropy(x, t, weight="abc"), lambda x, t: losses.cross_entropy(x, t, weight=1j),
    lambda x, t: losses.cross_entropy(x, t, reduction="all"), lambda x, t: losses.cross_entropy(x, t, reduction=None),
    lambda x, t: losses.cross_entropy(x, t, label_smoothing=-0.1), lambda x,
    t: losses.cross_entropy(x, t, label_smoothing=NAN),
    lambda x, t: losses.cross_entropy(x, t, ignore_index=0.5), lambda x,
    t: losses.cross_entropy(x, t, ignore_index=2**70),
    lambda x, t: losses.cross_entropy(x, t, ignore_index=None), lambda x, t: losses.nll_loss(x, t, ignore_index="a"),
    lambda x, t: losses.cross_entropy(x[0][0], 0), lambda x, t: losses.nll_loss(x, x), lambda x,
    t: losses.cross_entropy(t, t),
    lambda x, t: losses.mse_loss(x, x[:1]), lambda x, t: losses.mse_loss(x, None), lambda x, t: losses.mse_loss(x, "a"),
    lambda x, t: losses.mse_loss(x, x, "mena"), lambda x, t: losses.huber_loss(x, x, delta=0.0), lambda x,
    t: losses.huber_loss(x, x, delta=NAN),
    lambda x, t: losses.smooth_l1_loss(x, x, beta=-1.0), lambda x, t: losses.binary_cross_entropy(x * 0 + 1.5, x),
    lambda x, t: losses.binary_cross_entropy(x * 0 - 0.5, x), lambda x,
    t: losses.binary_cross_entropy_with_logits(x, x, pos_weight=[1.0, 2.0]),
    lambda x, t: losses.binary_cross_entropy_with_logits(x, x[0]), lambda x, t: losses.smooth_l1_loss(x, x, beta=NAN),
    lambda x, t: losses.binary_cross_entropy_with_logits(x, x, "mena", pos_weight=2.0),
])
def test_arguments_of_losses(call):
    with pytest.raises(CLEAR) as e:
        call(nncore.zeros(2, 3), nncore.tensor([0, 1]))
    assert str(e.value)


@pytest.mark.parametrize("shape", [(2,), (2, 1, 3), (3, 3)])
def test_pos_weight_never_makes_the_loss_larger_than_the_scores(shape):
    x = nncore.zeros(2, 3)
    with pytest.raises(ValueError, match=r"with_logits: pos_weight \(.*\) does not broadcast over input \(2, 3\)"):
        losses.binary_cross_entropy_with_logits(x, x, "none", nncore.ones(*shape))


@pytest.mark.parametrize("call, error, message", [
    (lambda x: ops.softmax(x, 5), ValueError, r"^softmax: axis 5 does not exist in shape \(2, 3\)"),
    (lambda x: ops.log_softmax(x, -3), ValueError, r"^log_softmax: axis -3 does not exist in shape \(2, 3\)"),
    (lambda x: ops.softmax(x[0, 0], 0), ValueError, r"^softmax: axis 0 does not exist in shape \(\)"),
    (lambda x: ops.softmax(x, "a"), TypeError, "^softmax: axis 'a' is no integer"),
    (lambda x: ops.transpose(x, 0.5), TypeError, "^transpose: axis 0.5 is no integer"),
    (lambda x: ops.concat([x], None), TypeError, "^concat: axis None is no integer"),
    (lambda x: ops.stack([x], None), TypeError, "^stack: axis None is no integer"),
    (lambda x: ops.split(x, 2.0), TypeError, "^split: an integer, or a list of integers, expected, got 2.0"),
    (lambda x: ops.split(x, [1.0, 1.0]), TypeError, "^split: an integer, or a list of integers, expected"),
    (lambda x: ops.pad(x, 1), TypeError, "^pad: a pair of numbers for each axis expected, got 1"),
    (lambda x: ops.matmul(x, nncore.ones(4)), ValueError, r"^matmul: \(2, 3\) and \(4,\) do not fit"),
    (lambda x: ops.matmul(nncore.ones(2), nncore.ones(3, 2)), ValueError, r"^matmul: \(2,\) and \(3, 2\) do not fit"),
    (lambda x: x.reshape(-1, -1), ValueError, r"^reshape: \(2, 3\) to \(-1, -1\): only one size may be -1"),
    (lambda x: ops.clip(x, nncore.ones(3)), TypeError, r"^clip: a number expected, not a tensor of shape \(3,\)"),
    (lambda x: ops.clip(x, max=nncore.ones((), requires_grad=True)), TypeError, "^clip: .* requires a gradient"),
    (lambda x: ops.leaky_relu(x, leaf(0.1)), TypeError, "^leaky_relu: .* requires a gradient"),
    (lambda x: x + [[leaf(1.0), 2.0]], TypeError, r"^a list of tensors has no gradient, .* use stack\(\)"),
    (lambda x: ops.take(x, [0.5]), TypeError, r"^take: integer labels or indices expected, got float32 of shape \(1,"),
    (lambda x: losses.nll_loss(x, [0.5, 1]), TypeError, "^nll_loss: integer labels"),
])
def test_messages_name_the_op_and_what_it_got(call, error, message):
    with pytest.raises(error, match=message):
        call(nncore.zeros(2, 3))


# ---- every public entry, with whatever comes -------------------------------------------------------------------------

NONSENSE = st.one_of(
    st.none(), st.integers(-4, 4), st.integers(), st.floats(), st.text(max_size=3), st.booleans(),
    st.binary(max_size=3), st.just(()),
    st.complex_numbers(), st.lists(st.one_of(st.integers(-3, 3), st.lists(st.floats(), max_size=3)), max_size=3),
    st.tuples(st.integers(-3, 5), st.integers(-3, 5)), st.dictionaries(st.integers(), st.integers(), max_size=1),
    st.builds(object),
    st.sampled_from([len, nncore, nncore.Tensor, slice(None), Ellipsis, NotImplemented, 2**31, 2**63, 2**64, -2**63,
                     NAN, INF, -INF, 1e300]),
    hn.arrays(st.sampled_from(["f2", "f4", "f8", ">f4", "i1", "u8", "i8", "c8", "?", "O", "U1", "M8[s]"]),
              hn.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=3)),
    hn.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3).map(lambda s: nncore.zeros(*s)),
    st.lists(st.integers(0, 3), max_size=3).map(nncore.tensor),
)
ENTRIES = {name: getattr(ops, name) for name in ops.__all__}
ENTRIES |= {name: getattr(losses, name) for name in losses.__all__}
ENTRIES |= {name: getattr(nncore, name) for name in (
    "tensor zeros ones full arange linspace eye zeros_like ones_like rand randn randint randperm manual_seed Tensor "
    "Generator").split()}
ENTRIES |= {f"x.{name}": getattr(nncore.Tensor, name) for name in dir(nncore.Tensor)
            if not name.startswith("_") and callable(getattr(nncore.Tensor, name)) and name != "backward_from"
            and name not in ("grad_array", "set_grad_array", "move_to", "replace_array", "drop_graph", "keep_grad")}
ENTRIES |= {f"x.{name}": getattr(nncore.Tensor, name) for name in
            "__add__ __rsub__ __mul__ __truediv__ __pow__ __rpow__ __matmul__ __rmatmul__ __lt__ __getitem__".split()}
ENTRIES |= {f"init.{name}": getattr(nncore.init, name) for name in nncore.init.__all__}
ENTRIES |= {f"nn.{name}": getattr(nn, name) for name in nn.__all__}
ENTRIES |= {f"optim.{name}": getattr(optim, name) for name in optim.__all__}
ENTRIES["DataLoader"] = DataLoader
ENTRIES["set_num_threads"] = lambda n=None: (nncore.set_num_threads(n), nncore.set_num_threads(1))
ENTRIES["x[] ="] = lambda x, k=0, v=0.0: nncore.tensor(x).__setitem__(k, v)
ENTRIES["load_state_dict"] = lambda s=None, v=None: nn.Linear(2, 2).load_state_dict({"weight": s, "bias": v})
ENTRIES["optimizer"] = lambda s=None, v=None: optim.SGD(nn.Linear(2, 2).parameters(), lr=s, momentum=v)
ENTRIES["group"] = lambda s=None: optim.Adam(nn.Linear(2, 2).parameters()).param_groups[0].__setitem__("lr", s)
ENTRIES["clip_grad_norm_"] = lambda *a: optim.clip_grad_norm_(nn.Linear(2, 2).parameters(), *a)
ALLOWED = {"load_state_dict": (KeyError,)}


@contextlib.contextmanager
def little_memory():
    """At most 1 GiB more than now, where Linux can tell: a size of 2^31 fails at once, instead of filling 8 GB."""
    if not os.path.exists("/proc/self/statm"):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@given(arguments=st.lists(NONSENSE, max_size=4),
       first=st.none() | hn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
@settings(max_examples=120)
@little_memory()
def test_nonsense_is_a_result_or_a_clear_error(arguments, first):
    """Where something comes out, it is used: what is broken inside shows then. Every entry gets the same arguments,
    because to draw them takes twenty times as long as to call; methods, and about half of the rest, a tensor first."""
    for name, entry in ENTRIES.items():
        inputs = list(arguments)
        if first is not None or name.startswith("x."):
            inputs[:1] = [leaf(draw(first or ()))]
        try:
            use(entry(*inputs))
        except (*CLEAR, *ALLOWED.get(name, ())) as error:
            assert str(error), name
        except BaseException as error:
            error.add_note(f"{name} with {inputs}")
            raise
        finally:
            nncore._core.set_grad_mode(True)


def use(result):
    if isinstance(result, nncore.Tensor):
        repr(result)
        if result.requires_grad and result.dtype == "float32":
            result.sum().backward()
    elif isinstance(result, (list, tuple)):
        for r in result:
            use(r)
    elif isinstance(result, nn.Module):
        repr(result)
        result.state_dict()
    elif isinstance(result, DataLoader):
        for batch in result:
            repr(batch.inputs)
            break


SHAPES = hn.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)


@given(SHAPES, SHAPES, st.booleans())
@settings(max_examples=150)
def test_any_two_shapes_multiply_or_say_why(a, b, transposed):
    x, y = draw(a), draw(b, 1)
    if transposed and len(b) > 1:
        y = y.swapaxes(-1, -2)
    try:
        expected = x.astype("f8") @ y.astype("f8")
    except ValueError:
        with pytest.raises(ValueError, match="matmul"):
            ops.matmul(nncore.tensor(x), nncore.tensor(y))
        return
    s, t = leaf(x), leaf(y)
    z = ops.matmul(s, t)
    assert z.shape == expected.shape and np.allclose(z.numpy(), expected, atol=1e-5)
    z.sum().backward()
    assert s.grad.shape == a and t.grad.shape == y.shape


@given(SHAPES, st.integers(0, 6), st.integers(0, 6), st.booleans())
def test_linear_with_any_shape(shape, i, o, bias):
    x, w, b = leaf(draw(shape)), leaf(draw((i, o), 1)), leaf(draw((o,), 2)) if bias else None
    if not shape or shape[-1] != i:
        with pytest.raises(ValueError, match="linear"):
            ops.linear(x, w, b)
        return
    y = ops.linear(x, w, b, "tanh")
    z = x.numpy().astype("f8") @ w.numpy() + (b.numpy() if bias else 0)
    assert y.shape == shape[:-1] + (o,) and np.allclose(y.numpy(), np.tanh(z), atol=1e-5)
    y.sum().backward()
    assert x.grad.shape == shape and w.grad.shape == (i, o)
    rows = int(np.prod(shape[:-1]))
    dz = 1 - np.tanh(z).reshape(rows, o) ** 2
    assert np.allclose(w.grad.numpy(), x.numpy().reshape(rows, i).T.astype("f8") @ dz, atol=1e-5)


@given(SHAPES.filter(len), st.integers(-6, 6), st.integers(0, 6), st.integers(-3, 3))
def test_take_with_any_axis(shape, axis, count, low):
    index = np.random.default_rng([count, *shape]).integers(low - 1, low + 3, count)
    x = leaf(draw(shape))
    try:
        expected = np.take(x.numpy(), index, axis)
        if count and shape[axis] == 0:
            raise IndexError("NumPy takes what does not exist where the result is empty")
    except (IndexError, ValueError):
        with pytest.raises((IndexError, ValueError), match="take"):
            ops.take(x, index, axis)
        return
    y = ops.take(x, index, axis)
    assert (y.numpy() == expected).all() and y.shape == expected.shape


@given(SHAPES, st.lists(st.integers(-6, 6), max_size=3), st.booleans(),
       st.sampled_from(["sum", "mean", "max", "min", "var"]))
@settings(max_examples=150)
def test_reductions_over_any_axes(shape, axes, keep, name):
    x, axes = leaf(draw(shape)), tuple(axes)
    valid = all(-len(shape) <= a < len(shape) for a in axes) and len({a % len(shape) for a in axes}
                                                                     if shape else axes) == len(axes)
    f = getattr(ops, name)
    if not valid:
        with pytest.raises(ValueError, match=name):
            f(x, dim=axes, keepdim=keep)
        return
    empty = any(shape[a] == 0 for a in axes)
    if name in ("max", "min") and empty and np.prod([n for i, n in enumerate(shape)
                                                     if i not in {a % len(shape) for a in axes}]):
        with pytest.raises(ValueError, match=name):
            f(x, dim=axes, keepdim=keep)
        return
    y = f(x, dim=axes, keepdim=keep)
    a = x.numpy().astype("f8")
    if name in ("max", "min") and empty:
        assert y.size == 0
    else:
        with np.errstate(all="ignore"):
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = getattr(a, name)(axis=axes, keepdims=keep, **({"ddof": 1} if name == "var" else {}))
        assert y.shape == expected.shape and np.allclose(y.numpy(), expected, atol=1e-5, equal_nan=True)
    y.sum().backward()
    assert x.grad.shape == shape


# ---- sizes beyond 2^31 -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call", [
    lambda v: nncore.tensor(v), lambda v: nncore.ones(2) + v, lambda v: ops.linear(v, nncore.ones(2, 2)),
    lambda v: nn.Linear(2, 2)(v),
    lambda v: ops.concat([v, v]), lambda v: losses.mse_loss(v, v), lambda v: losses.cross_entropy(v, [0]),
    lambda v: DataLoader(v),
    lambda v: nncore.zeros(2).copy_(v), lambda v: nn.Linear(2, 2).load_state_dict({"weight": v, "bias": [0, 0]}),
    lambda v: nncore.Tensor(v),
    lambda v: nn.Parameter(v), lambda v: nncore.zeros(2).__setitem__(0, v), lambda v: nncore.zeros(5)[v.astype(bool)]
    if v.size < 0 else ops.take(nncore.ones(3), v),
    lambda v: ops.where(v, 1.0, 0.0), lambda v: setattr(nncore.zeros(2, requires_grad=True), "grad", v),
    lambda v: (nncore.ones(2, requires_grad=True) * 2).backward(v),
])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "?"])
@pytest.mark.parametrize("shape", [(2**31, 2), (1, 2**31)])
def test_views_beyond_31_bits_are_refused_before_they_are_copied(call, dtype, shape):
    with pytest.raises((MemoryError, ValueError)) as e:
        call(np.broadcast_to(np.zeros((), dtype), shape))
    assert str(e.value)


def test_a_linear_layer_beyond_memory_names_itself():
    for i, o in ((2**31, 2), (2, 2**31), (2**31 - 1, 2**31 - 1)):
        with pytest.raises((MemoryError, ValueError)) as e:
            nn.Linear(i, o)
        assert "Linear" in str(e.value) and str(i) in str(e.value) and str(o) in str(e.value)
