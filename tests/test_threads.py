"""Ladder 5: results are bitwise equal for any number of threads, in two Python threads at once, and after a fork."""
import os
import signal
import threading

import numpy as np
import pytest

import nncore
from nncore import losses, ops

COUNTS = (1, 2, 3, 7)


def normal(*shape, seed=0):
    return nncore.tensor(np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4"))


def trained():
    """Parameters after three steps of a network large enough for several threads."""
    nncore.manual_seed(3)
    nn = nncore.nn
    model = nn.Sequential(nn.Linear(200, 300, activation="relu"), nn.Dropout(0.3), nn.Linear(300, 10))
    optimizer = nncore.optim.Adam(model.parameters())
    x, labels = normal(256, 200), nncore.tensor(np.arange(256) % 10)
    for _ in range(3):
        losses.cross_entropy(model(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return list(model.parameters())


def with_gradients(function, *tensors):
    leaves = [nncore.tensor(t.numpy(), requires_grad=True) for t in tensors]
    y = function(*leaves)
    y.backward(nncore.ones(*y.shape) if y.shape else None)
    return [y, *(leaf.grad for leaf in leaves)]


def random_numbers():
    nncore.manual_seed(5)
    return [nncore.rand(70001), nncore.randn(70001), nncore.randperm(70001), ops.dropout(nncore.ones(70001), 0.4, True)]


WORK = {
    "gemm": lambda: [ops.matmul(normal(m, k), normal(k, n)) for m, k, n in
                     ((300, 200, 250), (16, 5000, 16), (130, 9000, 100), (1, 3000, 700), (2000, 64, 3),
                      (513, 129, 257))],
    "gemm of a stack": lambda: [ops.matmul(normal(12, 70, 50), normal(12, 50, 60))],
    "linear": lambda: with_gradients(lambda x, w, b: ops.linear(x, w, b, "gelu"), normal(700, 100), normal(100, 130),
                                     normal(130)),
    "elementwise": lambda: with_gradients(lambda x, y: ops.tanh(x * y + ops.exp(x)), normal(300, 400), normal(400)),
    "reductions": lambda: [f(normal(150, 40, 60), axis=axis) for f in (ops.sum, ops.mean, ops.var, ops.max, ops.argmin)
                           for axis in (None, 0, 1, 2)],
    "reduction gradients": lambda: with_gradients(lambda x: ops.var(x, axis=0) * ops.max(x, axis=0), normal(900, 200)),
    "softmax": lambda: with_gradients(lambda x: ops.softmax(x) * 3, normal(3000, 70)),
    "losses": lambda: [y for loss in (losses.mse_loss, losses.huber_loss)
                       for y in with_gradients(lambda x: loss(x, normal(300, 400, seed=1)), normal(300, 400))],
    "cross-entropy": lambda: with_gradients(
        lambda x: losses.cross_entropy(x, nncore.tensor(np.arange(5000) % 31), label_smoothing=0.1), normal(5000, 31)),
    "moves": lambda: with_gradients(
        lambda x: ops.concat([ops.permute(x, 2, 0, 1), x[::-1, :, ::2].permute(2, 0, 1)], 0), normal(40, 50, 60)),
    "take": lambda: with_gradients(
        lambda x: ops.take(x, nncore.tensor(np.arange(40000) * 7919 % 500)), normal(500, 17)),
    "batch norm": lambda: with_gradients(
        lambda x, w, b, r: ops.batch_norm(x, None, None, w, b, True, activation="relu", residual=r),
        normal(50, 20, 20, 24), normal(24), normal(24, seed=1), normal(50, 20, 20, 24, seed=1)),
    "batch norm of few channels": lambda: with_gradients(
        lambda x, w, b: ops.batch_norm(x, None, None, w, b, True, activation="relu"), normal(90001, 3), normal(3),
        normal(3, seed=1)),
    "group norm": lambda: with_gradients(lambda x, w, b: ops.group_norm(x, 4, w, b), normal(30, 15, 15, 36), normal(36),
                                         normal(36, seed=1)),
    "one group norm": lambda: with_gradients(lambda x, w: ops.group_norm(x, 4, w), normal(1, 120, 100, 20), normal(20)),
    "layer norm": lambda: with_gradients(lambda x, w, b: ops.layer_norm(x, 130, w, b), normal(3000, 130), normal(130),
                                         normal(130, seed=1)),
    "RMS norm": lambda: with_gradients(lambda x, w: ops.rms_norm(x, 700, w), normal(700, 700), normal(700)),
    "ragged product": lambda: with_gradients(lambda x, w, b: ops.linear(x, w, b, "relu"), normal(900, 784),
                                             normal(784, 100), normal(100)),
    "shallow product": lambda: with_gradients(lambda x, w: x @ w, normal(700, 96), normal(96, 720)),
    "pooling": lambda: [y for pool in (lambda x: ops.max_pool2d(x, 3, 2, 1), lambda x: ops.avg_pool2d(x, 3, 1, 1),
                                       lambda x: ops.adaptive_avg_pool2d(x, (5, 1)),
                                       lambda x: ops.interpolate(x, scale_factor=1.5),
                                       lambda x: ops.interpolate(x, (50, 20), mode="bilinear"),
                                       lambda x: ops.pad(x, (0, 0, 3, 3, 2, 2), "reflect"))
                        for y in with_gradients(pool, normal(17, 33, 29, 20))],
    "random numbers": random_numbers,
    "training": trained,
}


def bits(tensors):
    return [t.numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("name", WORK)
def test_bitwise_equal_for_any_number_of_threads(isa, threads, name):
    threads(1)
    expected = bits(WORK[name]())
    for n in COUNTS[1:]:
        threads(n)
        for _ in range(2):
            assert bits(WORK[name]()) == expected, f"{n} threads"


def test_two_python_threads_at_once(threads):
    threads(2)
    names = [name for name in WORK if name not in ("random numbers", "training")]  # those two share a random state
    expected = {name: bits(WORK[name]()) for name in names}
    wrong, start = [], threading.Barrier(2)

    def run(order):
        try:
            start.wait()
            for name in order:
                if bits(WORK[name]()) != expected[name]:
                    wrong.append(name)
        except BaseException as error:
            wrong.append(error)
    workers = [threading.Thread(target=run, args=(order,)) for order in (names * 2, names[::-1] * 2)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(120)
        assert not w.is_alive(), "two threads wait for each other"
    assert not wrong, wrong


def test_no_grad_is_of_one_thread():
    seen = []
    with nncore.no_grad():
        t = threading.Thread(target=lambda: seen.append(nncore.is_grad_enabled()))
        t.start()
        t.join()
        assert not nncore.is_grad_enabled()
    assert seen == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_child_work_after_fork(threads):
    threads(2)
    expected = bits(WORK["gemm"]() + trained())
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # a child that hangs dies
        status = 1
        try:
            status = 0 if bits(WORK["gemm"]() + trained()) == expected else 2
        finally:
            os._exit(status)
    assert bits(WORK["gemm"]() + trained()) == expected
    assert os.waitpid(pid, 0)[1] == 0


def test_number_of_threads():
    with pytest.raises(ValueError):
        nncore.set_num_threads(0)
    assert nncore.get_num_threads() >= 1
