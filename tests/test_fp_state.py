"""The caller's floating-point state, its rounding, masks, flush bits and sticky exception flags, is the same after
import and after every call, in every thread.

Two things are the interpreter's and NumPy's own: Python's arithmetic raises the flag of inexact results all the time,
and NumPy clears all flags whenever it has computed or converted something, also where nncore asks it to (arrays of
other dtypes at the door). There everything but the sticky flags is checked.
"""
import ctypes
import ctypes.util
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

import nncore
from nncore import _core, losses, nn, ops, optim

X86 = platform.machine().lower() in ("x86_64", "amd64")
INEXACT = 0x20  # of x86: the one flag that Python's own arithmetic sets all the time
try:
    libm = ctypes.CDLL(ctypes.util.find_library("m") or None)
    libm.fegetenv, libm.fesetenv, libm.feclearexcept, libm.feraiseexcept, libm.fetestexcept
except (OSError, AttributeError):
    libm = None
pytestmark = pytest.mark.skipif(libm is None or not X86, reason="the state is read through glibc's libm on x86-64")
ALL = 0x3D  # FE_INVALID, FE_DIVBYZERO, FE_OVERFLOW, FE_UNDERFLOW, FE_INEXACT


def state(flags=True):
    """(x87 control word, MXCSR), with or without its sticky flags; the flag of inexact results is never among them."""
    environment = (ctypes.c_ubyte * 32)()
    libm.fegetenv(environment)
    raw = bytes(environment)
    control, mxcsr = int.from_bytes(raw[0:2], "little"), int.from_bytes(raw[28:32], "little")
    return control, mxcsr & ~INEXACT if flags else mxcsr & ~0x3F


def x(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4")


def leaf(a):
    return nncore.tensor(a, requires_grad=True)


def labels(n, classes):
    return nncore.tensor([i % classes for i in range(n)])


BATCH, LABELS, LABELS9 = nncore.tensor(x(256, 20)), labels(256, 10), labels(9000, 9)


def training():
    model = nn.Sequential(nn.Linear(20, 300, activation="relu"), nn.Dropout(0.5), nn.Linear(300, 10))
    optimizer = optim.Adam(model.parameters())

    def step():
        losses.cross_entropy(model(BATCH), LABELS).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return step


HARD = np.array([np.inf, -np.inf, np.nan, 1e38, -1e38, 1e-38, 1e-44, 0, -0.0] * 9000, "f4")  # more than one chunk
CALLS = {
    "exp": lambda: ops.exp(nncore.tensor(HARD)),
    "log": lambda: ops.log(nncore.tensor(HARD)),
    "sqrt": lambda: ops.sqrt(nncore.tensor(HARD)),
    "div": lambda: ops.div(nncore.tensor(HARD), nncore.tensor(HARD[::-1])),
    "pow": lambda: ops.pow(nncore.tensor(HARD), nncore.tensor(HARD)),
    "gelu": lambda: ops.gelu(leaf(HARD)).sum().backward(),
    "comparison": lambda: nncore.tensor(HARD) < 1.0,
    "maximum": lambda: ops.maximum(nncore.tensor(HARD), 0.0),
    "where": lambda: ops.where(nncore.tensor(HARD), nncore.tensor(HARD), 1.0),
    "reductions": lambda: [f(nncore.tensor(HARD)) for f in (ops.sum, ops.mean, ops.max, ops.var, ops.argmax)],
    "nothing": lambda: ops.mean(nncore.zeros(0)),
    "softmax": lambda: ops.softmax(leaf(HARD.reshape(-1, 9))).sum().backward(),
    "cross-entropy": lambda: losses.cross_entropy(leaf(HARD.reshape(-1, 9)), LABELS9).backward(),
    "losses": lambda: [f(leaf(HARD), nncore.zeros(len(HARD))).backward()
                       for f in (losses.mse_loss, losses.huber_loss, losses.l1_loss)],
    "matmul": lambda: nncore.tensor(HARD.reshape(270, 300)) @ nncore.tensor(HARD.reshape(300, 270)),
    "linear": lambda: ops.linear(nncore.tensor(x(300, 300)), nncore.tensor(x(300, 300)), None, "tanh"),
    "random": lambda: (nncore.randn(100000), nncore.rand(100000), nncore.randperm(1000),
                       ops.dropout(nncore.ones(100000), 0.3)),
    "moves": lambda: nncore.tensor(HARD.reshape(300, 270)).T[::-1],
    "optimizers": lambda: [optimizer_step(f)
                           for f in (optim.SGD, optim.Adam, optim.RMSprop, optim.Adagrad, optim.Adadelta)],
    "training": lambda: training()(),
    "errors": lambda: [failing(f) for f in (lambda: ops.add(nncore.ones(2), nncore.ones(3)),
                                            lambda: ops.take(nncore.ones(2), LABELS),
                                            lambda: losses.cross_entropy(nncore.ones(256, 3), LABELS))],
    "init": lambda: [f(nncore.zeros(30, 40)) for f in (nncore.init.xavier_normal_, nncore.init.kaiming_uniform_)],
}
AT_THE_DOOR = {  # what NumPy or the interpreter converts
    "out of memory": lambda: failing(lambda: [_core.memory_fail_after(0), nncore.ones(5, 5) @ nncore.ones(5, 5)]),
    "conversion": lambda: [nncore.tensor(np.array([1e300, np.nan, 1e-300])), nncore.tensor(HARD.astype("f8"))],
    "numbers beyond float32": lambda: [nncore.tensor(1e300), nncore.ones(2) * 1e-300, nncore.full((3,), 1e300)],
    "casts": lambda: [nncore.tensor([2.5, -3.5]).long(), nncore.tensor(HARD).bool(), nncore.tensor([1, 2]).float()],
    "orthogonal": lambda: nncore.init.orthogonal_(nncore.zeros(30, 40)),
    "loader": lambda: list(nncore.data.DataLoader(HARD.reshape(-1, 9), np.arange(9000), 100, shuffle=True,
                                                  scale=1e-20)),
}


def failing(function):
    try:
        function()
    except (ValueError, IndexError, MemoryError):
        return
    finally:
        _core.memory_fail_after(-1)
    raise AssertionError("no error")


def optimizer_step(kind):
    p = leaf(HARD)
    optimizer = kind([p], lr=0.1)
    p.grad = HARD
    optimizer.step()


def check(call, flags=True):
    """Whatever flags are up before, none is lost and none comes up."""
    for raised in (0, 0x04 | 0x10, ALL):
        libm.feclearexcept(ALL)
        if raised:
            libm.feraiseexcept(raised)
        before = state(flags)
        call()
        after = state(flags)
        libm.feclearexcept(ALL)
        assert after == before, f"MXCSR {before[1]:#x} became {after[1]:#x}"


@pytest.mark.parametrize("name", CALLS)
def test_state_is_the_same_after_a_call(isa, threads, name):
    threads(2)
    CALLS[name]()
    check(CALLS[name])


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_state_is_the_same_but_for_flags_after_a_conversion(name):
    check(AT_THE_DOOR[name], flags=False)


@pytest.mark.parametrize("rounding", [0x400, 0x800, 0xC00])
def test_another_rounding_is_the_caller_s_own(isa, rounding):
    """Rounding of the caller neither changes a result nor is changed."""
    libm.fesetround.argtypes = [ctypes.c_int]
    a, b = nncore.tensor(x(300, 40)), nncore.tensor(x(40, 300))

    def results():
        return [t.numpy().tobytes() for t in (a @ b, ops.exp(a), ops.sum(a), ops.softmax(a))]
    expected = results()
    try:
        assert libm.fesetround(rounding) == 0
        before = state(flags=False)
        got = results()
        after = state(flags=False)
    finally:
        libm.fesetround(0)
    assert got == expected and after == before and before[1] >> 13 & 3 == rounding >> 10


def test_flush_bits_of_the_caller_stay():
    """A caller that flushes denormals itself still does afterwards."""
    old, new = (ctypes.c_ubyte * 32)(), (ctypes.c_ubyte * 32)()
    libm.fegetenv(old)
    ctypes.memmove(new, old, 32)
    word = int.from_bytes(bytes(new)[28:32], "little") | 0x8040
    new[28:32] = list(word.to_bytes(4, "little"))
    try:
        libm.fesetenv(new)
        ops.exp(nncore.ones(5)) @ nncore.ones(5)
        after = state(flags=False)
    finally:
        libm.fesetenv(old)
    assert after[1] & 0x8040 == 0x8040


def test_denormals_work_in_numpy_afterwards(isa, threads):
    threads(2)
    tiny, smallest = np.array([2.0**-140], "f4"), np.array([5e-324])
    training()()
    for call in (*CALLS.values(), *AT_THE_DOOR.values()):
        call()
        assert (tiny * np.float32(0.5))[0] == np.float32(2.0**-141) and (smallest * 1.0)[0] > 0
        assert 2.0**-1074 / 1.0 > 0


def test_the_state_of_other_threads_is_theirs(threads):
    """Threads of Python that call nncore, and threads that were there before."""
    threads(2)
    wrong, ready, go = [], threading.Barrier(3), threading.Event()

    def call():
        try:
            ready.wait(20)
            check(CALLS["matmul"])
            check(training())
        except BaseException as error:
            wrong.append(error)

    def watch():
        before = state()
        ready.wait(20)
        go.wait(60)
        if state() != before:
            wrong.append("a thread that did nothing")
    workers = [threading.Thread(target=call), threading.Thread(target=call)]
    watcher = threading.Thread(target=watch)
    for t in (*workers, watcher):
        t.start()
    for t in workers:
        t.join(120)
    go.set()
    watcher.join(20)
    assert not wrong, wrong


IMPORT = """
import ctypes, ctypes.util, numpy
libm = ctypes.CDLL(ctypes.util.find_library("m"))
def state():
    environment = (ctypes.c_ubyte * 32)()
    libm.fegetenv(environment)
    return bytes(environment)[0:2] + bytes(environment)[28:32]
libm.feclearexcept(0x3d)
if {flags}: libm.feraiseexcept({flags})
before = state()
import nncore, nncore.data
after = state()
assert after[0:2] == before[0:2] and after[3:] == before[3:] and (after[2] ^ before[2]) & ~0x20 == 0, (before, after)
assert 5e-324 * 1.0 > 0
nncore.ones(300, 300) @ nncore.ones(300, 300)
assert 5e-324 * 1.0 > 0 and (numpy.array([1e-44], "f4") * numpy.float32(0.5))[0] > 0
"""


@pytest.mark.parametrize("flags", [0, 0x15])
def test_state_is_the_same_after_import(flags):
    subprocess.run([sys.executable, "-c", IMPORT.format(flags=flags)], check=True)
