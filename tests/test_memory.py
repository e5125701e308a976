"""Memory that runs out, leaks, or is asked for in absurd amounts."""
import gc
import os
import threading

import numpy as np
import pytest

import nncore
from nncore import _core, losses, nn, ops, optim


def failing_at(n, function):
    """function() while the n-th allocation fails; True if it raised MemoryError, False if it passed."""
    _core.memory_fail_after(n)
    try:
        function()
    except MemoryError as error:
        assert str(error)
        return True
    finally:
        _core.memory_fail_after(-1)
    return False


def state_bits(model):
    return [p.numpy().tobytes() for p in model.parameters()]


# ---- each allocation of a training step fails in turn ----------------------------------------------------------------

def classifier():
    """Labels, class weights, smoothing; dropout, a fused and a separate activation, a skip connection."""
    model = nn.Sequential(nn.Linear(7, 17, activation="gelu"), nn.Dropout(0.3),
                          nn.Residual(nn.Linear(17, 17), nn.ReLU()),
                          nn.Linear(17, 5), nn.SiLU(), nn.Linear(5, 3))
    x, target = np.random.default_rng(1).standard_normal((33, 7), dtype="f4"), np.arange(33) % 3

    def loss():
        return losses.cross_entropy(model(nncore.tensor(x)), nncore.tensor(target), weight=[1.0, 2.0, 0.5],
                                    label_smoothing=0.1)
    return model, loss


def regression():
    """Plain tensors and many operations, among them reductions that need working space, slices and joins."""
    model = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 4))
    x = np.random.default_rng(2).standard_normal((50, 6), dtype="f4")

    def loss():
        t = nncore.tensor(x)
        y = model(ops.concat([t[:, :3], t[:, 3:]], dim=1))
        y = ops.softmax(y.reshape(50, 2, 2), dim=1).permute(1, 0, 2)
        y = (y - y.mean(dim=1, keepdim=True)) / (ops.var(y, dim=(0, 2)).sum() + 1.0)
        return losses.huber_loss(ops.pad(y, (0, 1))[::-1], nncore.zeros(2, 50, 3)) + ops.maximum(y, 0.1).max()
    return model, loss


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "Adadelta": lambda p: optim.Adadelta(p, lr=0.1),
}


@pytest.mark.parametrize("build, optimizer", [
    (classifier, "Adam"), (regression, "SGD"), (classifier, "RMSprop"), (regression, "Adagrad"),
    (regression, "Adadelta")], ids=lambda a: getattr(a, "__name__", a))
def test_each_allocation_of_a_step_fails_in_turn(build, optimizer):
    """A step that fails has done nothing to the parameters, or all of it; the same step afterwards gives the same bits
    as if nothing had happened: no gradient is left of the failed one."""
    nncore.manual_seed(3)
    model, loss = build()
    half = len(list(model.parameters())) // 2
    groups = [{"params": list(model.parameters())[:half]}, {"params": list(model.parameters())[half:]}]
    optimizer = OPTIMIZERS[optimizer](groups)

    def step():
        nncore.manual_seed(4)  # of dropout
        y = loss()
        y.backward()
        optim.clip_grad_norm_(model.parameters(), 0.5)
        optim.clip_grad_value_(model.parameters(), 0.4)
        optimizer.step()
        optimizer.zero_grad()
        return y
    step()
    weights, state, before = model.state_dict(), optimizer.state_dict(), state_bits(model)
    assert np.isfinite(step().item())
    after = state_bits(model)
    gc.collect()
    live = _core.memory_stats()["live"]
    failures = 0
    for n in range(2000):
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        if not failing_at(n, step):
            break
        failures += 1
        found = state_bits(model)
        assert found in (before, after), f"allocation {n}: a part of the parameters was stepped"
        optimizer.zero_grad()
        assert all(p.grad is None for p in model.parameters())
        if found == before:
            step()
        assert state_bits(model) == after, f"allocation {n}: the next step differs"
        assert _core.memory_stats()["live"] == live, f"allocation {n}: something is left behind"
    assert n == failures >= 30
    assert state_bits(model) == after


def test_a_failed_forward_and_backward_leave_the_gradients_of_before():
    """backward adds to gradients; one that fails before it reaches them leaves them as they were."""
    nncore.manual_seed(5)
    model, loss = regression()
    loss().backward()
    first = [p.grad.numpy().copy() for p in model.parameters()]
    last = next(reversed(list(model.parameters())))
    y = loss()
    assert failing_at(0, y.backward)  # the seed of the walk
    assert all((p.grad.numpy() == g).all() for p, g in zip(model.parameters(), first))
    assert failing_at(0, loss)
    assert all((p.grad.numpy() == g).all() for p, g in zip(model.parameters(), first))
    assert last.grad is not None


def test_a_product_that_fails_leaves_no_gradient():
    """What was to become a gradient is undefined memory then."""
    x = nncore.tensor(np.ones((40, 30), "f4"))
    for n in range(50):
        w = nncore.tensor(np.ones((30, 20), "f4"), requires_grad=True)
        y = (x @ w).sum()
        if not failing_at(n, y.backward):
            break
        assert w.grad is None
    assert n >= 2 and (w.grad.numpy() == 40).all()


ELSEWHERE = {
    "tensor of a list": lambda: nncore.tensor([[1.0, 2.0]]),
    "tensor of float64": lambda: nncore.tensor(np.ones((3, 2))),
    "astype": lambda: nncore.tensor([1.5]).long(),
    "Linear": lambda: nn.Linear(4, 5),
    "SGD": lambda: optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1, momentum=0.9),
    "orthogonal": lambda: nncore.init.orthogonal_(nncore.zeros(5, 4)),
    "DataLoader": lambda: list(nncore.data.DataLoader(np.ones((9, 3)), np.arange(9), 4, shuffle=True, scale=2.0)),
    "state_dict": lambda: nn.Linear(3, 2).load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(2)}),
    "matmul of stacks": lambda: nncore.ones(2, 3, 4) @ nncore.ones(2, 4, 5),
    "var": lambda: ops.var(nncore.ones(3, 4, 5), dim=(0, 2)),
    "pow": lambda: (nncore.ones(3, requires_grad=True) ** nncore.ones(3, requires_grad=True)).sum().backward(),
    "take": lambda: ops.take(nncore.ones(3, 4, requires_grad=True), [[0, 1], [2, 2]]).sum().backward(),
    "mask": lambda: nncore.ones(3, 4)[nncore.ones(3, 4) > 0],
    "where": lambda: ops.where(nncore.ones(3) > 0, nncore.ones(3), 0.0),
    "nll": lambda: losses.nll_loss(ops.log_softmax(nncore.ones(3, 4, requires_grad=True)), [0, 1, 2]).backward(),
    "bce": lambda: losses.binary_cross_entropy_with_logits(nncore.ones(3, requires_grad=True), [0.0, 1.0, 1.0],
                                                           pos_weight=2.0).backward(),
    "large loss": lambda: losses.mse_loss(nncore.ones(1200, 1000), nncore.zeros(1200, 1000)),
    "deep product": lambda: nncore.ones(3, 5000) @ nncore.ones(5000, 3),
    "norm": lambda: optim.clip_grad_norm_([with_grad() for _ in range(20)], 1.0),
    "deepcopy": lambda: __import__("copy").deepcopy(nn.Linear(3, 2)),
    "summary": lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU()).summary((4, 3)),
}


def with_grad():
    p = nncore.tensor([3.0, 4.0], requires_grad=True)
    p.grad = [3.0, 4.0]
    return p


@pytest.mark.parametrize("name", ELSEWHERE)
def test_each_allocation_elsewhere_fails_in_turn(name):
    ELSEWHERE[name]()
    gc.collect()
    live = _core.memory_stats()["live"]
    for n in range(300):
        if not failing_at(n, ELSEWHERE[name]):
            break
        assert _core.memory_stats()["live"] == live, f"allocation {n}: something is left behind"
        ELSEWHERE[name]()
    assert 0 < n < 300
    assert _core.memory_stats()["live"] == live


def test_parameters_survive_an_optimizer_that_could_not_be_made():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = state_bits(model)
    groups = [{"params": layer.parameters()} for layer in model]
    for n in range(100):
        if not failing_at(n, lambda: optim.Adam([dict(g, params=list(layer.parameters()))
                                                 for g, layer in zip(groups, model)])):
            break
        assert state_bits(model) == before
        x = nncore.ones(2, 3)
        losses.mse_loss(model(x), nncore.zeros(2, 2)).backward()
        assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
        model.zero_grad()
    assert n >= 6 and state_bits(model) == before


def test_a_step_that_must_cut_a_segment_fails_before_it_changes_anything():
    """Where some parameters have no gradient, the step makes arrays; the groups before must not be stepped by then."""
    a, b, c = (nncore.ones(3, requires_grad=True) for _ in range(3))
    for n in range(20):
        optimizer = optim.SGD([{"params": [a]}, {"params": [b, c]}], lr=1.0)
        a.grad = b.grad = nncore.ones(3)
        start = [p.numpy().copy() for p in (a, b, c)]
        if not failing_at(n, optimizer.step):
            break
        assert all((p.numpy() == s).all() for p, s in zip((a, b, c), start))
        optimizer.step()
        assert (a.numpy() == start[0] - 1).all() and (b.numpy() == start[1] - 1).all()
        assert (c.numpy() == start[2]).all()
    assert n >= 1


# ---- nothing is kept -------------------------------------------------------------------------------------------------

def resident_megabytes():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.no_sanitizer
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_400_steps_and_20000_errors_leave_no_memory_behind():
    nncore.manual_seed(6)
    model, loss = classifier()
    optimizer = optim.Adam(model.parameters())
    a, b, labels = nncore.zeros(2, 3, requires_grad=True), nncore.zeros(4, 5), nncore.tensor([0, 9])
    wrong = [
        lambda: ops.add(a, b), lambda: ops.matmul(a, b), lambda: losses.cross_entropy(a, labels), lambda: a[7],
        lambda: (a * 2).backward(), lambda: ops.take(a, labels), lambda: nncore.tensor(1j), lambda: model(b),
        lambda: model.load_state_dict({}), lambda: nncore.zeros(2**40), lambda: a.reshape(7),
        lambda: nncore.zeros(2, -1),
        lambda: nn.Linear(-1, 2), lambda: optim.SGD([b * 1.0, 3], lr=1.0), lambda: ops.concat([a, b]),
        lambda: nncore.data.DataLoader(np.ones((3, 2)), np.ones(4)), lambda: losses.mse_loss(a, b),
        lambda: optimizer.load_state_dict({}), lambda: nncore.tensor([[1], [1, 2]]), lambda: ops.gelu(a, "maybe"),
    ]

    def train(steps):
        for _ in range(steps):
            loss().backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    def errors(times):
        for _ in range(times):
            for function in wrong:
                try:
                    function()
                except (ValueError, TypeError, IndexError, RuntimeError, MemoryError, KeyError):
                    continue
                raise AssertionError(function)
    train(50)
    errors(50)
    gc.collect()
    before, live = resident_megabytes(), _core.memory_stats()["live"]
    train(400)
    errors(1000)  # of 20 kinds
    gc.collect()
    assert _core.memory_stats()["live"] == live
    assert resident_megabytes() - before < 5


def test_live_memory_returns_to_what_it_was():
    gc.collect()
    live = _core.memory_stats()["live"]
    model, loss = classifier()
    optimizer = optim.Adam(model.parameters())
    for _ in range(3):
        loss().backward()
        optimizer.step()
    kept = [loss(), loss()]  # graphs that never run backward
    view = kept[0].numpy()
    assert _core.memory_stats()["live"] > live
    del model, loss, optimizer, kept
    assert np.isfinite(view)  # what NumPy looks at stays alive
    del view
    gc.collect()
    assert _core.memory_stats()["live"] == live


def test_results_do_not_keep_their_inputs_alive_without_a_graph():
    gc.collect()
    with nncore.no_grad():
        live = _core.memory_stats()["live"]
        x = nncore.ones(1000, requires_grad=True)
        for _ in range(20):
            x = ops.exp(-x) * 2.0
        assert _core.memory_stats()["live"] - live <= 2 * 4096
    grown = nncore.ones(1000, requires_grad=True)
    total = 0.0
    for _ in range(20):
        total = total + (grown * 2.0).sum().detach()  # as losses are added up in a loop
    assert total.is_leaf and _core.memory_stats()["live"] - live <= 3 * 4096 + 64 * 4


def test_cached_memory_is_given_back():
    x = nncore.zeros(1000, 1000)
    del x
    assert _core.memory_stats()["cached"] >= 4_000_000
    _core.memory_trim()
    stats = _core.memory_stats()
    assert stats["cached"] == 0 and stats["live"] >= 0
    assert nncore.ones(1000, 1000).sum().item() == 1_000_000


def test_memory_from_several_threads():
    """Blocks taken by one thread and freed by another, while the lists are trimmed."""
    gc.collect()
    live, failures, shelf = _core.memory_stats()["live"], [], []

    def work(seed):
        try:
            rng = np.random.default_rng(seed)
            for k in range(300):
                x = nncore.full(tuple(int(n) for n in rng.integers(1, 200, 2)), float(k))
                shelf.append(x)
                y = shelf.pop(0)
                assert (y.numpy() == y.numpy().flat[0]).all()
                if k % 50 == 0:
                    _core.memory_trim()
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failures
    shelf.clear()
    gc.collect()
    assert _core.memory_stats()["live"] == live


# ---- absurd amounts --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [
    (2**31,), (2**31, 2), (2, 2**31), (2**63,), (2**64, 1), (2**31 - 1, 2**31 - 1), (2**31 - 1,) * 5,
    (2**31 - 1, 32768),
    (0, 2**31), (2**31 - 1, 2**31 - 1, 2**31 - 1, 0),
], ids=str)
def test_shapes_beyond_any_memory(shape):
    for make in (nncore.zeros, nncore.ones, nncore.rand, lambda *s: nncore.full(s, 2.0), nn.Linear):
        if make is nn.Linear and (len(shape) != 2 or not all(shape)):
            continue
        with pytest.raises((MemoryError, ValueError)) as error:
            make(*shape)
        assert "2147483647" in str(error.value) or "memory" in str(error.value)


@pytest.mark.no_sanitizer  # which keeps books of every byte
def test_every_size_of_memory_is_refused_or_given():
    """From a byte to the largest the allocator takes: its table of sizes ends behind that."""
    for bits in range(47):
        for size in {1 << bits, (1 << bits) * 5 // 4 + 1, (1 << bits) * 15 // 8 + 1}:
            columns = 1 if size < 2**31 else 2**16
            try:
                _core.empty((-(-size // columns), columns), "uint8")  # pages that are not touched cost nothing
            except MemoryError as error:
                assert size > 2**31 and str(error)
    _core.memory_trim()


def test_results_beyond_any_memory():
    x = nncore.zeros(2**22, 1)
    for make in (lambda: x + x.T, lambda: x @ x.T, lambda: ops.concat([nncore.zeros(2**24, 0)] * 200, 0),
                 lambda: ops.pad(x, (0, 2**31 - 2)), lambda: ops.linear(x, nncore.zeros(1, 2**25)),
                 lambda: ops.where(x > 0, x, x.T), lambda: ops.take(nncore.zeros(1, 2**22), np.zeros(2**22, "i8"))):
        with pytest.raises(MemoryError) as error:
            make()
        assert str(error.value)


def test_arrays_of_no_elements_whose_rows_do_not_fit_31_bits():
    """2^32 rows of nothing hold no memory, but a count of rows that wraps would be 0 rows, and an answer."""
    x = nncore.zeros(2**16, 2**16, 0)
    assert x.size == 0 and (x + 1.0).shape == x.shape and x.sum().item() == 0
    for make in (lambda: x.sum(dim=2), lambda: x @ nncore.zeros(0, 1), lambda: ops.linear(x, nncore.zeros(0, 1)),
                 lambda: ops.softmax(x), lambda: ops.var(x, dim=2), lambda: x.reshape(2**32, 0)):
        with pytest.raises(MemoryError):
            make()
