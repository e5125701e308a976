"""What goes wrong in a long-lived process: memory that runs out or leaks, deep graphs, interrupts, huge sizes."""
import _thread
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nncore
from nncore import _core, losses, nn, ops, optim


def small_training(seed=1, dropout=0.2):
    """(model, optimizer, step): step() trains once and returns the loss."""
    nncore.manual_seed(seed)
    model = nn.Sequential(nn.Linear(7, 17, activation="relu"), nn.Dropout(dropout), nn.Linear(17, 5), nn.GELU(),
                          nn.Linear(5, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    rng = np.random.default_rng(2)
    x = nncore.tensor(rng.standard_normal((33, 7), dtype="f4"))
    labels = nncore.tensor(rng.integers(0, 3, 33))

    def step():
        loss = losses.cross_entropy(model(x), labels, label_smoothing=0.1)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()
    return model, optimizer, step


# ---- memory ----------------------------------------------------------------------------------------------------------

def test_each_allocation_of_a_step_may_fail():
    model, optimizer, step = small_training()
    step()
    gc.collect()
    live = _core.memory_stats()["live"]
    failed = 0
    try:
        for n in range(1000):
            _core.memory_fail_after(n)
            try:
                step()
            except MemoryError:
                failed += 1
                optimizer.zero_grad()
            else:
                break
            finally:
                _core.memory_fail_after(-1)
            assert np.isfinite(step()), n  # usable at once
            assert _core.memory_stats()["live"] <= live + 4096, n  # nothing is left behind by the failure
    finally:
        _core.memory_fail_after(-1)
    assert n == failed >= 20  # every one was reached, and the first step with none to fail passed
    before = step()
    for _ in range(100):
        after = step()
    assert after < before


@pytest.mark.parametrize("make", [
    lambda: optim.SGD([nncore.zeros(5, requires_grad=True)], momentum=0.9), lambda: nn.Linear(4, 5),
    lambda: nncore.tensor(np.zeros((3, 4))) @ np.zeros((4, 5)), lambda: nncore.randn(1000),
    lambda: ops.var(nncore.ones(3, 4, 5), axis=(0, 2)), lambda: ops.pad(nncore.ones(3, 3), ((1, 1), (1, 1))),
    lambda: nncore.tensor(np.ones((70, 70), "f4"))[::-1].T.argmax(axis=0),
    lambda: ops.softmax(nncore.ones(3, 4, 5), axis=1), lambda: ops.take(nncore.ones(5, 5), [0, -1]),
], ids=range(9))
def test_each_allocation_elsewhere_may_fail(make):
    for n in range(1000):
        _core.memory_fail_after(n)
        try:
            make()
            break
        except MemoryError:
            pass
        finally:
            _core.memory_fail_after(-1)
        make()
    assert 0 < n < 1000


def resident_megabytes():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_steps_and_errors_leave_no_memory_behind():
    _, _, step = small_training()
    a, b, label = nncore.zeros(2, 3, requires_grad=True), nncore.zeros(4, 5), nncore.tensor([0, 9])

    def errors(times):
        for _ in range(times):
            for wrong in (lambda: ops.add(a, b), lambda: losses.cross_entropy(a, label), lambda: ops.matmul(a, b),
                          lambda: (a * 2).backward(), lambda: a[7]):
                with pytest.raises((ValueError, IndexError, RuntimeError)):
                    wrong()
    for _ in range(50):
        step()
    errors(200)
    gc.collect()
    before, live = resident_megabytes(), _core.memory_stats()["live"]
    for _ in range(400):
        step()
    errors(4000)
    gc.collect()
    assert _core.memory_stats()["live"] <= live
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps what was freed, to see it used
        assert resident_megabytes() - before < 5


def test_a_result_keeps_nothing_but_its_graph_alive():
    live = _core.memory_stats()["live"]
    x = nncore.zeros(1000, requires_grad=True)
    y = (ops.exp(x) * x).sum()
    y.backward()
    del x, y
    assert _core.memory_stats()["live"] == live


@pytest.mark.parametrize("shape", [(2**31,), (2**31, 2), (2**20, 2**20, 2**20), (2**30,) * 5, (2**63,)])
def test_sizes_beyond_any_memory(shape):
    for make in (nncore.zeros, nncore.ones, nncore.randn):
        with pytest.raises((MemoryError, ValueError, OverflowError)) as error:
            make(*shape)
        assert str(error.value)


def test_results_beyond_any_memory():
    x = nncore.zeros(2**22, 1)
    with pytest.raises(MemoryError, match="4194304"):
        x + x.T
    with pytest.raises(MemoryError):
        ops.matmul(x, x.T)


# ---- graphs ----------------------------------------------------------------------------------------------------------

def test_a_deep_graph_fits_a_small_stack():
    """20 000 nodes run backward, and die, on a stack of 256 KB."""
    failures = []

    def run():
        try:
            for use in (True, False):
                x = y = nncore.tensor([1.0], requires_grad=True)
                for _ in range(20000):
                    y = ops.neg(y)
                if use:
                    y.backward(nncore.tensor([1.0]))
                    assert x.grad.item() == 1
                del y
        except BaseException as error:
            failures.append(error)
    before = threading.stack_size(256 * 1024)
    try:
        t = threading.Thread(target=run)
        t.start()
        t.join()
    finally:
        threading.stack_size(before)
    assert not failures


def test_a_wide_graph_is_walked_once_per_node():
    """2^60 paths, 60 nodes."""
    x = y = nncore.tensor([1.0], requires_grad=True)
    for _ in range(60):
        y = y + y
    start = time.perf_counter()
    y.backward(nncore.tensor([1.0]))
    assert x.grad.item() == 2.0**60 and time.perf_counter() - start < 1


def test_misuse_of_backward_is_told():
    x = nncore.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="gradient"):
        (x * 2).backward()
    with pytest.raises(RuntimeError):
        nncore.tensor([1.0]).backward()
    with pytest.raises(ValueError, match="shape"):
        (x * 2).backward(nncore.ones(3))
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6, 12]


def test_a_saved_value_that_is_overwritten_is_noticed():
    x, w = nncore.ones(3), nncore.ones(3, requires_grad=True)
    y = (ops.exp(x * w)).sum()
    with nncore.no_grad():
        w.copy_(nncore.zeros(3))
    with pytest.raises(RuntimeError, match="overwritten"):
        (y * (w * x).sum()).backward()
        (x * w).sum().backward()
        y.backward()


def test_an_error_inside_backward_leaves_the_engine_usable():
    x = nncore.ones(50, 50, requires_grad=True)
    y = ops.tanh(ops.matmul(x, x)).sum()
    _core.memory_fail_after(2)
    try:
        with pytest.raises(MemoryError):
            y.backward()
    finally:
        _core.memory_fail_after(-1)
    x.grad = None
    ops.matmul(x, x).sum().backward()
    assert (x.grad.numpy() == 100).all()


# ---- data ------------------------------------------------------------------------------------------------------------

def test_nan_in_the_data_shows_in_the_loss():
    model = nn.Sequential(nn.Linear(3, 4, activation="relu"), nn.Linear(4, 2))
    x = np.ones((5, 3), "f4")
    x[2, 1] = np.nan
    for loss in (losses.cross_entropy(model(nncore.tensor(x)), nncore.tensor([0, 1, 0, 1, 0])),
                 losses.mse_loss(model(nncore.tensor(x)), nncore.zeros(5, 2))):
        loss.backward()
        assert np.isnan(loss.item())


def test_an_empty_batch():
    model = nn.Sequential(nn.Linear(3, 4, activation="gelu"), nn.Dropout(), nn.Linear(4, 2))
    y = model(nncore.zeros(0, 3))
    assert y.shape == (0, 2)
    loss = losses.cross_entropy(y, nncore.tensor(np.zeros(0, "i8")), reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad.numpy() == 0).all() for p in model.parameters())
    assert np.isnan(losses.mse_loss(y, y).item())


# ---- the process -----------------------------------------------------------------------------------------------------

def test_an_interrupt_stops_training_within_a_second():
    _, optimizer, step = small_training(dropout=0.0)
    pressed = []

    def press():
        pressed.append(time.perf_counter())
        _thread.interrupt_main(signal.SIGINT)
    timer = threading.Timer(0.2, press)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests are started
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            while True:
                step()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.perf_counter() - pressed[0] < 1
    optimizer.zero_grad()
    before = step()
    for _ in range(100):
        after = step()
    assert after < 1.01 * before  # it may have learned all there is


def test_the_floating_point_state_survives_the_import():
    code = ("import numpy as np; tiny = np.array([2.0**-140], 'f4'); import nncore; "
            "nncore.ops.exp(nncore.ones(9)); assert (tiny * np.float32(1))[0] > 0 and 5e-324 * 1.0 > 0")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
