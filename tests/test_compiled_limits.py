"""nncore.compile: what it refuses, the errors of a replay, its memory, threads and processes."""
import copy
import gc
import os
import pickle
import random
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import nncore
from nncore import _core, compiled, losses, nn, ops, optim
from steps import Run, bits, data, mlp, nothing_records, optimizer_bits

# ---- what cannot be recorded -----------------------------------------------------------------------------------------

OUTER = []


def assigning(model, x):
    model.last = 1
    return x


def changing(run, x, y):
    t = nncore.tensor([1.0])
    values, y = t.numpy(), x * t
    values[:] = 2.0
    return y + x * t


REFUSED = {
    "float": lambda r, x, y: float(x.sum()), "item": lambda r, x, y: x.sum().item(), "numpy": lambda r, x, y: x.numpy(),
    "if": lambda r, x, y: x if x.sum() > 0 else -x, "print": lambda r, x, y: print(x),
    "tolist": lambda r, x, y: x.tolist(),
    "np.asarray": lambda r, x, y: np.asarray(x * 2.0), "weights": lambda r, x, y: next(r.model.parameters()).numpy(),
    "lr": lambda r, x, y: r.optimizer.param_groups[0].update(lr=0.5),
    "attribute": lambda r, x, y: assigning(r.model, x), "eval": lambda r, x, y: r.model.eval(),
    "train": lambda r, x, y: r.model.eval().train(),
    "outer list": lambda r, x, y: OUTER.append(x * 2.0), "seed": lambda r, x, y: nncore.manual_seed(1),
    "optimizer": lambda r, x, y: optim.SGD(r.model.parameters()), "values changed": changing,
    "returned array": lambda r, x, y: np.zeros(3), "mask": lambda r, x, y: x[x > 0],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(name):
    run, refused = Run(False, dropout=0), REFUSED[name]
    model = run.model
    step = nncore.compile(lambda x, y: (model(x), refused(run, x, y)))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="compile"):
            step(*data())
        OUTER.clear()
        nothing_records()
    assert not step.programs
    fresh = Run(False, dropout=0)
    batches = [data(seed=i) for i in range(3)]
    assert run.losses(batches) == fresh.losses(batches) and run.bits() == fresh.bits()


def test_an_argument_that_requires_a_gradient_is_refused():
    step = nncore.compile(lambda x: x * 2.0)
    for _ in range(3):
        step(nncore.ones(3))
    with pytest.raises(ValueError, match="requires a gradient"):
        step(nncore.ones(3, requires_grad=True))
    nothing_records()


@pytest.mark.parametrize("step", [lambda x: x * random.random(), lambda x: (x, random.random()),
                                  lambda x: ops.dropout(x, random.random(), True),
                                  lambda x: x + nncore.tensor(np.random.default_rng().random(3))],
                         ids=["factor", "result", "attribute", "array"])
def test_random_numbers_of_the_host_are_detected(step):
    step = nncore.compile(step)
    with pytest.raises(ValueError, match="differ"):
        for _ in range(2 * compiled.MOST_RECORDINGS):
            step(nncore.ones(3))
    nothing_records()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_errors_in_a_recorded_step(error):
    armed = [True]

    @nncore.compile
    def step(x):
        y = x * 2.0
        if armed[0]:
            raise error
        return y
    with pytest.raises(error):
        step(nncore.ones(3))
    nothing_records()
    armed[0] = False
    for i in range(4):
        assert step(float(i)).item() == 2 * i


def test_a_label_out_of_range_leaves_everything_as_it_was():
    run, eager = Run(True, dropout=0), Run(False, dropout=0)
    batches = [data(seed=i) for i in range(4)]
    assert run.losses(batches) == eager.losses(batches)
    before, state = run.bits(), optimizer_bits(run.optimizer)
    for label in (3, -1, 10 ** 12):
        with pytest.raises(ValueError, match=f"label {label} is out of range for 3 classes"):
            run.step(data()[0], np.full(16, label))
        assert run.bits() == before and optimizer_bits(run.optimizer) == state
        assert all(p.grad is None for p in run.model.parameters())
    assert run.losses(batches) == eager.losses(batches) and run.bits() == eager.bits() and run.python == 2


SCORES = np.arange(12, dtype="f4").reshape(4, 3) / 12
WRONG = {  # what the step computes, an argument that is right, one that is wrong
    "cross_entropy": (losses.cross_entropy, [0, 1, 2, 0], [0, 1, 3, -1]),
    "cross_entropy of a sequence": (lambda x, y: losses.cross_entropy(x.reshape(2, 2, 3), y.reshape(2, 2)),
                                    [0, 1, 2, 0], [0, 1, -2, 0]),
    "nll_loss": (losses.nll_loss, [0, 1, 2, 0], [0, 1, 2, 5]),
    "take": (lambda x, i: ops.take(x, i, 1), [0, 2, -3], [0, 2, -4]),
    "one index": (lambda x, i: x[i], [0, 3, -4], [0, 4]),
    "indices": (lambda x, i: x[range(4), i], [0, 1, 2, -3], [0, 1, 3, 0]),
    "first of two indices": (lambda x, i: x[i, i], [0, 2, -1], [0, -5, -1]),
    "probabilities": (lambda x, t: losses.binary_cross_entropy(t, x), SCORES, SCORES * 2 - 0.5),
    "probabilities one by one": (lambda x, t: losses.binary_cross_entropy(t, x, reduction="none"), SCORES, -SCORES),
    "integers beyond float32": (lambda x, y: x * y.reshape(4, 1), [1, 2, 3, 2 ** 40], [1, 2, 3, 2 ** 24 + 1]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_replay_fails_as_the_eager_step_does(name):
    function, right, wrong = WRONG[name]
    right, wrong, runs = np.array(right), np.resize(np.array(wrong), np.shape(right)), []

    @nncore.compile
    def step(x, y):
        runs.append(0)
        return function(x, y)
    for _ in range(4):
        assert bits(step(SCORES, right)) == bits(function(nncore.tensor(SCORES), nncore.tensor(right)))
    with pytest.raises((IndexError, ValueError)) as eager:
        function(nncore.tensor(SCORES), nncore.tensor(wrong))
    with pytest.raises(type(eager.value)) as replayed:
        step(SCORES, wrong)
    assert str(replayed.value) == str(eager.value) and len(runs) == 2
    assert bits(step(SCORES, right)) == bits(function(nncore.tensor(SCORES), nncore.tensor(right))) and len(runs) == 2


def test_a_replay_that_fails_half_way_counts_as_a_write():
    """A graph that saved a weight before it refuses to go back: the weight was stepped, then a label was wrong."""
    w = nncore.ones(4, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    @nncore.compile
    def step(x, y):
        (w * x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return losses.cross_entropy(x.reshape(2, 2), y)
    for _ in range(3):
        step(np.ones(4, "f4"), np.array([0, 1]))
    loss, before = (w * w).sum(), bits(w)
    with pytest.raises(ValueError, match="out of range"):
        step(np.ones(4, "f4"), np.array([0, 2]))
    assert bits(w) != before
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


def test_one_and_true_are_two_constants():
    step = nncore.compile(lambda x, k: x * (2.0 if k is True else 3.0))
    for _ in range(3):
        assert step(1.0, True).item() == 2 and step(1.0, 1).item() == 3
    assert len(step.programs) == 2 and not step.trials and "number, 1" in step.summary() and "True" in step.summary()


def test_nan_comes_out():
    run = Run(True, dropout=0)
    for _ in range(3):
        assert np.isfinite(run.step(*data()).item())
    assert np.isnan(run.step(np.full((16, 6), np.nan, "f4"), data()[1]).item()) and run.python == 2


# ---- memory ----------------------------------------------------------------------------------------------------------

def overlaps(program):
    lives = program.lifetimes()
    return [(a, b) for i, a in enumerate(lives) for b in lives[:i]
            if a[2] <= b[3] and b[2] <= a[3] and a[0] < b[0] + b[1] and b[0] < a[0] + a[1]]


UNARIES = (ops.relu, ops.tanh, ops.exp, lambda t: t * t, lambda t: t + 1.0, lambda t: t.reshape(-1).reshape(t.shape),
           lambda t: ops.softmax(t, dim=-1), lambda t: t - t.mean(), lambda t: ops.concat([t[:1], t[1:]], 0),
           lambda t: ops.dropout(t, 0.5, True), lambda t: ops.maximum(t, 0.1 * t))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(UNARIES) - 1), st.integers(0, 9), st.booleans()), min_size=1, max_size=12),
       st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(1, 17))
def test_random_graphs(chain, widths, n):
    """Results are eager's; what lives at the same time lies apart, in an arena at least as large as what lives at
    once."""
    results = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(1)
        model = mlp(*widths)
        optimizer = optim.SGD(model.parameters(), lr=0.01)

        def step(x):
            values = [model(x)]
            for f, i, join in chain:
                t = UNARIES[f](values[i % len(values)] * 0.5)
                values.append(t + values[-1] if join else t)
            values[-1].mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            return values[-1], values[len(values) // 2]
        step = wrap(step)
        found = [b for i in range(5) for b in bits(*step(data(n, widths[0], seed=i)[0]))]
        results.append((found, bits(*model.parameters())))
    assert results[0] == results[1]
    core = step.programs[0].core
    assert not overlaps(core)
    assert max((o + b for o, b, _, _ in core.lifetimes()), default=0) <= core.arena_bytes
    assert core.live_bytes <= core.arena_bytes <= core.naive_bytes


@pytest.mark.parametrize("n", [2, 4, 16])
def test_a_gradient_of_dropout_does_not_overwrite_its_key(n):
    """The key has 16 bytes, as four numbers have, and is no longer used after the gradient."""
    results = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(3)
        w = nncore.tensor(np.arange(1, n + 1), dtype="float32", requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)

        def step(x):
            h = w * x
            y = (ops.dropout(h, 0.5, True) + h) * x
            y.sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            return y
        step = wrap(step)
        results.append(bits(*[step(np.full(n, i, "f4")) for i in range(1, 20)], w))
    assert results[0] == results[1]


def test_arena_of_a_deep_network():
    run = Run(True, widths=(256,) * 9, dropout=0)
    x, y = data(256, 256, 256)
    run.losses([(x, y)] * 3)
    core = run.step.programs[0].core
    assert (core.arena_bytes <= 1.05 * core.live_bytes and core.naive_bytes >= 2 * core.arena_bytes
            and not overlaps(core))


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.no_sanitizer
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
@pytest.mark.filterwarnings("ignore:.*recorded at each call")
def test_2000_replays_and_recordings_leave_no_memory():
    run, batch = Run(True), data()
    run.losses([batch] * 50)
    gc.collect()
    before, live = resident(), nncore.memory_stats()["live"]
    for _ in range(2000):
        run.step(*batch)
    assert resident() - before < 5e6 and nncore.memory_stats()["live"] == live
    before = None
    for i in range(60):
        nncore.compile(lambda x: (x @ x).sum())(nncore.ones(200, 200))
        run.model.eval()  # a module in between
        setattr(run.model, "0", getattr(run.model, "0"))
        run.losses([batch])
        if i == 30:
            gc.collect()
            before = nncore.memory_stats()["live"]
    gc.collect()
    assert nncore.memory_stats()["live"] <= before + 1e5


@pytest.mark.parametrize("warm, rows, widths", [(0, 16, (6, 10, 3)), (1, 16, (6, 10, 3)), (3, 16, (6, 10, 3)),
                                                (3, 256, (200, 300, 10))],
                         ids=["first recording", "second recording", "replay", "replay by a team"])
def test_each_allocation_fails_in_turn(threads, warm, rows, widths):
    """Afterwards the same step gives the bits of one that never failed, from the state before or the state after."""
    threads(2)

    def extra(parameters):
        optim.clip_grad_norm_(parameters, 0.5)

    def batch(seed=0):
        return data(rows, widths[0], seed=seed)
    for n in range(500):
        run, eager = [Run(compile, widths=widths, dropout=0, extra=extra) for compile in (True, False)]
        assert run.losses([batch()] * warm) == eager.losses([batch()] * warm)
        _core.memory_fail_after(n)
        try:
            run.step(*batch())
            break
        except MemoryError as error:
            assert str(error)
        finally:
            _core.memory_fail_after(-1)
        assert not _core.recording()
        run.optimizer.zero_grad()
        if run.bits() != eager.bits():
            eager.step(*batch())
        for i in range(4):
            assert run.losses([batch(i)]) == eager.losses([batch(i)]), f"allocation {n}"
        assert run.bits() == eager.bits() and run.python <= warm + 4
    assert n >= (1 if warm == 3 else 20)


# ---- threads and processes -------------------------------------------------------------------------------------------

def in_threads(*works):
    wrong, start = [], threading.Barrier(len(works))

    def run(work):
        try:
            start.wait()
            work()
        except BaseException as error:
            wrong.append(error)
    workers = [threading.Thread(target=run, args=(work,)) for work in works]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
        assert not w.is_alive(), "two threads wait for each other"
    if wrong:
        raise wrong[0]


@pytest.mark.parametrize("n, rows, widths", [(2, 64, (40, 90, 3)), (2, 256, (200, 300, 10)), (7, 256, (200, 300, 10))])
def test_two_threads_with_a_program_each(threads, n, rows, widths):
    """Of the large ones, which have a team, one replays without: there is one at a time."""
    threads(n)
    batches = [data(rows, widths[0], seed=i) for i in range(40)]
    options = dict(widths=widths, dropout=0)  # dropout would share a random state
    eager = Run(False, **options)
    expected = eager.losses(batches), eager.bits()
    runs, found = [Run(True, **options) for _ in range(2)], {}

    def work(run):
        found[id(run)] = run.losses(batches), run.bits()
    in_threads(*[lambda run=run: work(run) for run in runs])
    assert all(found[id(run)] == expected for run in runs)


def test_one_program_in_two_threads():
    model = mlp(40, 300, 3).eval()
    fast = nncore.compile(model)
    inputs = [data(64, 40, seed=i)[0] for i in range(10)]
    expected = [bits(model(nncore.tensor(x))) for x in inputs]

    def work():
        for _ in range(20):
            for x, y in zip(inputs, expected):
                assert bits(fast(x)) == y
    in_threads(work, work, work)
    assert 1 <= len(fast.programs) <= compiled.MOST_PROGRAMS


def test_eager_steps_in_another_thread_are_not_recorded():
    stop, run, eager = threading.Event(), Run(True, dropout=0), Run(False, dropout=0)

    def other():
        model = mlp(6, 8, 3)
        while not stop.is_set():
            losses.cross_entropy(model(data()[0]), data()[1]).backward()
            float(model(data()[0]).sum())

    def work():
        try:
            batches = [data(4 + i % 20, seed=i) for i in range(60)]
            assert run.losses(batches) == eager.losses(batches)
        finally:
            stop.set()
    in_threads(other, work)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("rows, widths", [(16, (6, 10, 3)), (256, (200, 300, 10))])
def test_parent_and_child_go_on_after_a_fork(threads, rows, widths):
    threads(2)
    run, eager = Run(True, widths=widths), Run(False, widths=widths)
    batches = [data(rows, widths[0], seed=i) for i in range(6)]
    eager_losses = eager.losses(batches * 2)
    nncore.manual_seed(8)
    assert run.losses(batches) == eager_losses[:6]
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        status = 1
        try:
            good = run.losses(batches) == eager_losses[6:] and run.bits() == eager.bits() and run.python == 2
            nothing_records()
            status = 0 if good else 2
        finally:
            os._exit(status)
    assert run.losses(batches) == eager_losses[6:] and run.bits() == eager.bits()
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_records():
    inside, go = threading.Event(), threading.Event()

    @nncore.compile
    def slow(x):
        inside.set()
        go.wait(60)
        return x * 2.0
    worker = threading.Thread(target=slow, args=(1.0,))
    worker.start()
    inside.wait(60)
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        status = 1
        try:
            nothing_records()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    go.set()
    worker.join(60)
    nothing_records()


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))],
                         ids=["deepcopy", "pickle"])
def test_copies_record_anew(twin_of):
    fast, x = nncore.compile(mlp(6, 8, 3).eval()), data()[0]
    for _ in range(3):
        y = fast(x)
    twin = twin_of(fast)
    assert not twin.programs and twin.function is not fast.function
    next(twin.parameters()).numpy()[:] = 0
    for _ in range(3):
        assert bits(fast(x)) == bits(y) and bits(twin(x)) == bits(twin.function(nncore.tensor(x))) != bits(y)


def test_what_the_recordings_left_is_given_back():
    """A program's arena comes instead of the blocks of the eager steps, not beside them."""
    model = nn.Sequential(nn.Linear(256, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.Tanh(), nn.Linear(2048, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((512, 256), "f4")

    @nncore.compile
    def step(x):
        loss = model(x).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    step(x)
    eager = nncore.memory_stats()["cached"]
    assert eager > 8e6
    step(x)
    step(x)
    assert nncore.memory_stats()["cached"] < eager / 2
