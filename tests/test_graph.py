"""The autograd graph: deep, wide, shared, interrupted, misused. Nothing recurses, leaks or is silently wrong."""
import gc
import threading
import time

import numpy as np
import pytest

import nncore
from nncore import _core, losses, nn, ops, optim

DEEP = 20_000


def leaf(*values):
    return nncore.tensor(list(values), requires_grad=True)


def live_memory():
    """Bytes of arrays in use, without those that only garbage holds."""
    gc.collect()
    return _core.memory_stats()["live"]


def on_a_small_stack(function, kilobytes=192):
    """function() in a thread whose stack would not hold a recursion over a deep graph."""
    failures = []

    def run():
        try:
            function()
        except BaseException as error:
            failures.append(error)
    before = threading.stack_size(kilobytes * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join(60)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


# ---- deep and wide ---------------------------------------------------------------------------------------------------

def chain(x, n=DEEP):
    for _ in range(n):
        x = ops.neg(x)
    return x


def comb(x, n=DEEP):
    """Every node holds its predecessor and the leaf."""
    y = x
    for _ in range(n):
        y = ops.maximum(y, x)
    return y


def ladder(x, n=DEEP // 2):
    """Two nodes a rung, each holding both of the rung below."""
    a, b = x + 1.0, x + 2.0
    for _ in range(n):
        a, b = a + b, (a - b) * 0.5
        a = a * 0.5
    return a


def joined(x, n=DEEP // 4):
    """Nodes with many parents."""
    y = x
    for _ in range(n):
        y = ops.concat([y, x, y])[:1]
    return y


@pytest.mark.parametrize("make", [chain, comb, ladder, joined])
@pytest.mark.parametrize("fate", ["backward", "backward, kept", "dies unused", "dies elsewhere"])
def test_a_deep_graph_fits_a_small_stack(make, fate):
    live = live_memory()

    def run():
        x = leaf(1.0)
        y = make(x)
        if fate.startswith("backward"):
            y.sum().backward(retain_graph=fate.endswith("kept"))
            assert np.isfinite(x.grad.numpy()).all()
        if fate == "dies elsewhere":
            shelf = [y]
            del y
            thread = threading.Thread(target=shelf.clear)
            thread.start()
            thread.join()
    on_a_small_stack(run)
    assert live_memory() == live


def test_deep_graphs_that_die_in_two_threads_at_once():
    live = live_memory()
    x = leaf(1.0)
    shelves = [[chain(x, 5000) for _ in range(4)] for _ in range(2)]
    threads = [threading.Thread(target=shelf.clear) for shelf in shelves]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    del x
    assert live_memory() == live


def test_a_graph_that_dies_inside_the_death_of_another():
    """A finaliser that drops a deep graph of its own."""
    live = live_memory()

    def grad(node, dy):
        node.give(0, dy)

    class Holder:
        def __init__(self, graph):
            self.graph = graph
    x = leaf(1.0)
    y = x
    for _ in range(100):
        holder = Holder(chain(x, 500))
        y = _core.record(_core.copy(y.array), grad, (y,), (holder,))
        y = chain(y, 50)
    on_a_small_stack(lambda shelf=[y]: shelf.clear())
    del y, holder, x
    assert live_memory() == live


def test_a_wide_graph_is_walked_once_per_node():
    """2^100 paths, 100 nodes."""
    x = y = leaf(1.0)
    for _ in range(100):
        y = y + y
    start = time.perf_counter()
    y.backward()
    assert x.grad.item() == 2.0**100 and time.perf_counter() - start < 1


def test_gradients_are_complete_before_they_are_passed_on():
    """Random graphs of sums, judged by a walk forward: every value is a multiple of x."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        x = leaf(0.5, -1.5)
        values, factors = [x], [1.0]
        for _ in range(40):
            i, j = rng.integers(max(0, len(values) - 6), len(values), 2)
            values.append(values[i] * 0.5 - values[j] * 0.75)
            factors.append(factors[i] * 0.5 - factors[j] * 0.75)
        (values[-1].sum() + values[20].sum()).backward()
        expected = factors[-1] + factors[20]
        assert np.abs(x.grad.numpy() - expected).max() <= 1e-5


# ---- several uses, several backwards ---------------------------------------------------------------------------------

def test_a_second_backward_is_refused_unless_the_graph_is_kept():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.tolist() == [2, 4]
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8, 16]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_a_shared_part_that_is_freed_is_told():
    x = leaf(1.0, 2.0)
    shared = ops.exp(x)
    a, b = shared.sum(), (shared * 2.0).sum()
    a.backward()
    with pytest.raises(RuntimeError, match="second time"):
        b.backward()


def test_backward_of_what_has_no_gradient():
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        nncore.tensor([1.0]).backward()
    with pytest.raises(RuntimeError, match=r"shape \(2,\)"):
        (leaf(1.0, 2.0) * 2).backward()
    for wrong in (nncore.ones(3), nncore.ones(1), nncore.ones(2, 1), 1.0):
        with pytest.raises(ValueError, match=r"\(2,\)"):
            (leaf(1.0, 2.0) * 2).backward(wrong)
    with pytest.raises(TypeError):
        (leaf(1.0, 2.0) * 2).backward("one")
    with nncore.no_grad(), pytest.raises(RuntimeError):
        (leaf(1.0) * 2).backward()
    with pytest.raises(RuntimeError):
        (leaf(1.0) * 2).detach().backward()
    with pytest.raises(TypeError, match="int64"):
        nncore.tensor([1, 2]).requires_grad = True
    with pytest.raises(RuntimeError, match="leaf"):
        (leaf(1.0) * 2).requires_grad = False


def test_gradient_of_a_leaf_and_of_what_lies_between():
    x = leaf(1.0, 2.0)
    x.backward(nncore.tensor([3.0, 4.0]))
    x.backward([1.0, 1.0])
    assert x.grad.tolist() == [4, 5]
    x.grad = None
    y = x * 3.0
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12] and x.grad.tolist() == [18, 36]
    y.grad = [0.5, 1.0]
    assert y.grad.tolist() == [0.5, 1]
    y.grad = None
    assert y.grad is None
    with pytest.raises(ValueError, match=r"grad: shape \(1,\) does not fit"):
        y.grad = [1.0]
    z = x * 3.0
    (z * z).sum().backward()
    assert z.grad is None


@pytest.mark.parametrize("same", [lambda x: x[:], lambda x: x[...], lambda x: x[()], lambda x: x.squeeze(0),
                                  lambda x: x.permute(0), lambda x: x.reshape(2), lambda x: ops.split(x, 2)[0]])
def test_all_of_a_tensor_is_another_tensor(same):
    x = leaf(1.0, 2.0)
    y, plain = same(x), x.detach()
    same(plain).requires_grad_()
    assert not y.is_leaf and y.tolist() == [1, 2] and not plain.requires_grad
    y.retain_grad()
    (y * 2.0 + x).sum().backward()
    assert y.grad.tolist() == [2, 2] and x.grad.tolist() == [3, 3]


def test_gradients_have_memory_of_their_own():
    """One array may arrive at several leaves; to write to one gradient leaves the others alone."""
    a, b, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), nncore.tensor([5.0, 6.0])
    c = a + b
    c.retain_grad()
    c.backward(seed)
    seed.zero_()
    assert a.grad.tolist() == b.grad.tolist() == c.grad.tolist() == [5, 6]
    a.grad.numpy()[:] = 0
    c.grad.numpy()[:] = 1
    assert b.grad.tolist() == [5, 6] and a.grad.tolist() == [0, 0]

    a, b = leaf(3.0), leaf(4.0)
    (a + b).backward(nncore.tensor([1.0]))
    optim.clip_grad_norm_([a, b], 2.0**0.5 / 2)
    assert abs(a.grad.item() - 0.5) < 1e-6 and abs(b.grad.item() - 0.5) < 1e-6  # halved once, not twice
    x = leaf(1.0, 2.0, 3.0)
    parts = ops.split(x, 1)
    (parts[0] + parts[1] + parts[2]).backward(nncore.tensor([1.0]))
    assert x.grad.tolist() == [1, 1, 1]


def test_assigned_gradients():
    x = leaf(1.0, 2.0)
    source = np.array([1.0, 2.0])
    x.grad = source
    source[:] = 9
    assert x.grad.tolist() == [1, 2] and x.grad.dtype == "float32"
    (x * 1.0).sum().backward()
    assert x.grad.tolist() == [2, 3]
    for wrong, error in (([1.0], ValueError), (np.ones((2, 1)), ValueError), (["a", "b"], TypeError), (1j, TypeError)):
        with pytest.raises(error):
            x.grad = wrong
    assert x.grad.tolist() == [2, 3]
    x.grad = None
    assert x.grad is None


# ---- values that are overwritten -------------------------------------------------------------------------------------

def stepped(w):
    optimizer = optim.SGD([w], lr=0.1)
    y = (w * w).sum()
    w.grad = nncore.ones(*w.shape)
    optimizer.step()
    return y


def overwritten(change, make=lambda x: (x * x).sum()):
    def run(w):
        y = make(w)
        with nncore.no_grad():
            change(w)
        return y
    return run


@pytest.mark.parametrize("run", [
    stepped, overwritten(lambda w: w.copy_([7.0, 8.0])), overwritten(lambda w: w.fill_(3.0)),
    overwritten(lambda w: w.zero_()),
    overwritten(lambda w: w.__setitem__(0, 5.0)), overwritten(lambda w: w[1:].__setitem__(0, 5.0)),
    overwritten(lambda w: w.reshape(2, 1).copy_([[1.0], [1.0]])), overwritten(lambda w: w.detach().zero_()),
    overwritten(nncore.init.zeros_), overwritten(nncore.init.uniform_),
    overwritten(lambda w: w.zero_(), lambda x: ops.exp(x).sum() * x[0]),
    overwritten(lambda w: w.zero_(), lambda x: (nncore.ones(1, 2) @ x.reshape(2, 1)).sum()),
    overwritten(lambda w: w.zero_(), lambda x: losses.mse_loss(x, [0.0, 0.0])),
    overwritten(lambda w: w.zero_(), lambda x: losses.cross_entropy(x.reshape(1, 2), [0])),
    overwritten(lambda w: w.zero_(), lambda x: ops.linear(nncore.ones(3, 2), x.reshape(2, 1)).sum()),
], ids=range(15))
def test_a_saved_value_that_is_overwritten_is_noticed(run):
    w = leaf(1.0, 2.0)
    y = run(w)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()
    w.grad = None
    (w * 2.0).sum().backward()  # still usable
    assert w.grad.tolist() == [2, 2]


def test_load_state_dict_between_forward_and_backward_is_noticed():
    model = nn.Sequential(nn.Linear(3, 4, activation="relu"), nn.Linear(4, 2))
    y = model(nncore.ones(5, 3)).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="overwritten"):
        y.backward()


def test_what_is_not_saved_may_be_overwritten():
    x = leaf(1.0, 2.0)
    y = (x + 1.0).sum() + ops.relu(x).sum()  # neither needs x again
    with nncore.no_grad():
        x.zero_()
    y.backward()
    assert x.grad.tolist() == [2, 2]


def test_a_clipped_gradient_that_was_saved_is_noticed():
    x = leaf(1.0, 2.0)
    x.grad = [3.0, 4.0]
    w = leaf(1.0, 1.0)
    for change in (lambda: optim.clip_grad_norm_([x], 1.0), lambda: optim.clip_grad_value_([x], 0.5),
                   lambda: (x * 1.0).sum().backward()):
        y = (w * x.grad).sum()
        change()
        with pytest.raises(RuntimeError, match="overwritten"):
            y.backward()


# ---- errors inside backward ------------------------------------------------------------------------------------------

def custom(x, grad, *saved):
    """An op with a gradient function of the user's."""
    return _core.record(_core.copy(x.array), grad, (x,), saved)


class Mine(Exception):
    pass


@pytest.mark.parametrize("error", [Mine, KeyboardInterrupt, MemoryError, SystemExit])
def test_an_exception_inside_backward_leaves_things_usable(error):
    live = live_memory()

    def grad(node, dy):
        raise error("in the middle")
    w = leaf(1.0, 2.0)
    a = ops.exp(w * 2.0)          # below the failure: must not run, nor keep a part of a gradient
    b = custom(a, grad)
    y = (b * a).sum() + (a * w).sum()
    with pytest.raises(error, match="middle"):
        y.backward()
    w.grad = None
    z = (a * 3.0).sum()           # what lay below is as it was
    z.backward()
    assert np.allclose(w.grad.numpy(), 6 * np.exp(2 * w.numpy()), rtol=1e-6)
    del a, b, y, z, w
    assert live_memory() == live


def test_a_gradient_function_of_the_user_s():
    def grad(node, dy):
        factor, = node.saved
        node.give(0, _core.binary(_core.BINARY["mul"], dy, factor))
    x = leaf(1.0, 2.0)
    custom(x, grad, _core.from_scalar(5.0)).sum().backward()
    assert x.grad.tolist() == [5, 5]


@pytest.mark.parametrize("wrong", [
    lambda: _core.zeros((3,)), lambda: _core.zeros((2, 3)), lambda: _core.zeros((3, 2)), lambda: _core.zeros(()),
    lambda: _core.zeros((1,)), lambda: _core.zeros((2, 2, 2, 3))], ids=range(6))
def test_a_gradient_of_the_wrong_shape_is_refused(wrong):
    x = nncore.ones(2, 2, requires_grad=True)
    y = custom(x, lambda node, dy: node.give(0, wrong()))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        y.sum().backward()


def test_gradients_of_the_wrong_kind_are_refused():
    for wrong in (None, 1.0, nncore.ones(2), np.ones(2, "f4"), _core.zeros((2,), "int64")):
        x = leaf(1.0, 2.0)
        y = custom(x, lambda node, dy: node.give(0, wrong))
        with pytest.raises((TypeError, ValueError)):
            y.sum().backward()
    x = leaf(1.0, 2.0)
    for i in (1, -2, 10**20):
        with pytest.raises((IndexError, OverflowError, TypeError)):
            custom(x, lambda node, dy: node.give(i, dy)).sum().backward()


def test_a_backward_inside_a_backward():
    """A gradient function may run a graph of its own, but not a part of the one that is being walked."""
    x, inner = leaf(1.0, 2.0), leaf(3.0)

    def own(node, dy):
        (inner * inner).sum().backward()
        node.give(0, dy)
    custom(x, own).sum().backward()
    assert inner.grad.item() == 6 and x.grad.tolist() == [1, 1]

    x = leaf(1.0, 2.0)
    below = x * 2.0

    def same(node, dy):
        below.backward(nncore.ones(2), retain_graph=True)
        node.give(0, dy)
    y = (custom(below, same) + below * 1.0).sum()
    try:
        y.backward()
    except RuntimeError as error:
        assert "graph" in str(error)
    else:
        assert x.grad.tolist() == [6, 6]
    x.grad = None
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_one_graph_in_two_threads_is_right_or_refused():
    rng = np.random.default_rng(0)
    w = nncore.tensor(rng.standard_normal((300, 300), dtype="f4"), requires_grad=True)
    y = ops.tanh(w @ w) @ w
    for _ in range(3):
        y = ops.tanh(y @ w)
    y = y.sum()
    y.backward(retain_graph=True)
    once, outcomes = w.grad.numpy().copy(), []
    w.grad = None
    start = threading.Barrier(2)

    def run():
        start.wait()
        try:
            y.backward(retain_graph=True)
            outcomes.append("right")
        except RuntimeError as error:
            outcomes.append(str(error))
    threads = [threading.Thread(target=run) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(o == "right" or "graph" in o for o in outcomes), outcomes
    w.grad = None
    y.backward()
    assert (w.grad.numpy() == once).all()


# ---- modes -----------------------------------------------------------------------------------------------------------

def test_no_grad_in_all_its_forms():
    x = leaf(1.0)

    @nncore.no_grad()
    def quiet():
        return x * 2.0

    @nncore.enable_grad()
    def loud():
        return x * 2.0
    assert quiet().is_leaf and not loud().is_leaf and nncore.is_grad_enabled()
    with nncore.no_grad():
        assert (x * 2.0).is_leaf and not loud().is_leaf and not nncore.is_grad_enabled()
        with nncore.enable_grad():
            assert not (x * 2.0).is_leaf
        with pytest.raises(Mine), nncore.enable_grad():
            raise Mine
        assert not nncore.is_grad_enabled()
    assert nncore.is_grad_enabled() and not (x * 2.0).is_leaf


def test_no_grad_around_a_generator():
    seen = []

    @nncore.no_grad()
    def steps(n):
        try:
            for i in range(n):
                try:
                    seen.append((nncore.is_grad_enabled(), (yield i)))
                except Mine:
                    seen.append("Mine")
            return n
        finally:
            seen.append(nncore.is_grad_enabled())

    def outer():
        seen.append((yield from steps(3)))
    assert [(i, nncore.is_grad_enabled()) for i in outer()] == [(0, True), (1, True), (2, True)]
    assert seen == [(False, None)] * 3 + [False, 3]
    seen.clear()
    g = steps(3)
    assert next(g) == 0 and g.send("sent") == 1 and g.throw(Mine) == 2 and nncore.is_grad_enabled()
    g.close()
    assert seen == [(False, "sent"), "Mine", False] and nncore.is_grad_enabled()
    with nncore.no_grad(), pytest.raises(StopIteration):
        next(nncore.enable_grad()(steps)(0))


def test_only_what_wants_a_gradient_is_recorded():
    x = nncore.ones(3)
    assert ops.exp(x * 2.0).is_leaf
    x.requires_grad = True
    y = x * 2.0
    assert not y.is_leaf and y.requires_grad
    x.requires_grad = False
    z = x * y
    z.sum().backward()
    assert x.grad is None or x.grad.tolist() == [2, 2, 2]


def test_parts_of_a_model_may_be_frozen():
    nncore.manual_seed(1)
    a, b = nn.Linear(3, 4), nn.Linear(4, 2)
    a.requires_grad_(False)
    losses.mse_loss(b(ops.tanh(a(nncore.ones(5, 3)))), nncore.zeros(5, 2)).backward()
    assert all(p.grad is None for p in a.parameters()) and all(p.grad is not None for p in b.parameters())
