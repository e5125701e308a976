"""nncore.profile: it logs every call of a block and nothing else, eager and replayed alike, and changes no result."""
import json
import os
import signal
import threading

import numpy as np
import pytest

import nncore
from nncore import _core, losses, ops


def training_step():
    """(step, parameters) of a small network; the step is a fresh one, with the same numbers each time."""
    nncore.manual_seed(1)
    model = nncore.nn.Sequential(nncore.nn.Linear(6, 12, activation="gelu"), nncore.nn.Dropout(0.2),
                                 nncore.nn.Linear(12, 3))
    optimizer = nncore.optim.Adam(model.parameters())

    def step(x, labels):
        loss = losses.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    return step, list(model.parameters())


X = np.random.default_rng(0).standard_normal((8, 6), dtype="f4")
LABELS = np.arange(8) % 3


def counted(p):
    return {row.name: row.calls for row in p.totals(shapes=True)}


def square(n):
    return nncore.tensor(np.random.default_rng(n).standard_normal((n, n), dtype="f4"))


def test_eager_and_replayed_steps_log_the_same_calls():
    step, _ = training_step()
    x, labels = nncore.tensor(X), nncore.tensor(LABELS)
    step(x, labels)
    with nncore.profile() as eager:
        step(x, labels)
    step, _ = training_step()
    compiled = nncore.compile(step)
    for _ in range(3):
        compiled(X, LABELS)
    with nncore.profile() as replayed:
        compiled(X, LABELS)
    assert counted(replayed) == counted(eager)
    assert {"gemm", "cross_entropy", "cross_entropy_grad", "dropout", "adam"} <= {c.op for c in eager.calls}
    assert {c.op for c in eager.calls} <= set(_core.OPS)
    assert [(c.op, c.shapes) for c in replayed.calls] == [call[:2] for call in compiled.programs[0].core.calls_made()]


@pytest.mark.parametrize("a, b, ta, tb, flops", [
    ((5, 7), (7, 3), False, False, 2 * 5 * 7 * 3), ((7, 5), (7, 3), True, False, 2 * 5 * 7 * 3),
    ((5, 7), (3, 7), False, True, 2 * 5 * 7 * 3), ((4, 5, 7), (4, 7, 3), False, False, 4 * 2 * 5 * 7 * 3),
    ((1, 5, 7), (4, 7, 3), False, False, 4 * 2 * 5 * 7 * 3)])
def test_flops_and_bytes_of_products(a, b, ta, tb, flops):
    a, b = _core.zeros(a), _core.zeros(b)
    with nncore.profile() as p:
        y = _core.gemm(a, b, ta, tb)
    call, = p.calls
    assert (call.op, call.shapes, call.outputs) == ("gemm", (y.shape, a.shape, b.shape), 1)
    assert (call.flops, call.bytes) == (flops, 4 * (y.size + a.size + b.size))


def test_other_ops_have_bytes_only():
    x = nncore.ones(10, 3)
    with nncore.profile() as p:
        ops.exp(x)
    assert p.totals()[0][3:] == (2 * 4 * 30, 0)


def test_times_are_positive_and_fit_into_the_wall_time():
    x = square(100)
    with nncore.profile() as p:
        for _ in range(20):
            x = ops.tanh(x @ x)
    assert len(p.calls) == 40 and all(c.ns > 0 and c.thread == threading.get_ident() for c in p.calls)
    assert all(c.start + c.ns <= d.start for c, d in zip(p.calls, p.calls[1:]))
    spent = sum(row.seconds for row in p.totals())
    assert 0 < spent < p.wall_seconds
    assert p.between_seconds == pytest.approx(p.wall_seconds - spent, abs=1e-9)


def test_nothing_is_logged_outside_of_the_block():
    x = square(5)
    ops.exp(x)
    with nncore.profile() as p:
        pass
    ops.exp(x)
    assert p.calls == [] and p.totals() == [] and p.between_seconds == p.wall_seconds > 0
    assert "between calls" in p.table()


def test_results_are_the_same_to_the_last_bit():
    def run(compiled, profiled):
        step, parameters = training_step()
        step = nncore.compile(step) if compiled else step
        arguments = (X, LABELS) if compiled else (nncore.tensor(X), nncore.tensor(LABELS))
        losses_ = []
        for _ in range(5):
            if profiled:
                with nncore.profile():
                    losses_.append(step(*arguments))
            else:
                losses_.append(step(*arguments))
        return [t.numpy().tobytes() for t in (*losses_, *parameters)]
    expected = run(False, False)
    assert run(False, True) == run(True, False) == run(True, True) == expected


def test_array_memory_is_as_without_it():
    x, before = square(50), _core.memory_stats()
    with nncore.profile() as p:
        ops.exp(x)
    assert p.calls and _core.memory_stats()["live"] == before["live"]


def test_two_threads_at_once():
    start, count = threading.Barrier(3), 2000

    def work(n):
        x = square(n)
        start.wait()
        for _ in range(count):
            ops.exp(x)
    workers = [threading.Thread(target=work, args=(n,), name=f"worker {n}") for n in (3, 4)]
    for w in workers:
        w.start()
    while start.n_waiting < 2:
        pass
    with nncore.profile() as p:
        start.wait()
        for w in workers:
            w.join()
    by_thread = {}
    for c in p.calls:
        by_thread.setdefault(c.thread, []).append(c)
    assert sorted(len(calls) for calls in by_thread.values()) == [count, count] and len(by_thread) == 2
    assert all({c.shapes for c in calls} in ({((3, 3),) * 2}, {((4, 4),) * 2}) for calls in by_thread.values())
    assert 0 < p.between_seconds < p.wall_seconds


def test_nested_blocks_are_refused_and_the_outer_one_goes_on():
    x = square(4)
    with nncore.profile() as outer:
        ops.exp(x)
        with pytest.raises(RuntimeError, match="profile: .*nested"):
            with nncore.profile():
                pass
        with pytest.raises(RuntimeError, match="profile: .*nested"):
            with outer:
                pass
        ops.exp(x)
    assert len(outer.calls) == 2


def test_asking_before_the_end_is_refused():
    p = nncore.profile()
    asks = (p.table, p.totals, p.limits, lambda: p.calls, lambda: p.dropped, lambda: p.export_chrome_trace("none"))

    def refused():
        for ask in asks:
            with pytest.raises(RuntimeError, match="profile: the block has not ended"):
                ask()
    refused()
    with p:
        refused()
    assert str(nncore.profile()) == "nncore.profile(not finished)"
    with pytest.raises(ValueError, match="most_calls=-1"):
        nncore.profile(-1)


def test_usable_after_an_exception_and_again():
    x, p = square(4), nncore.profile()
    with pytest.raises(ZeroDivisionError):
        with p:
            ops.exp(x)
            1 / 0
    assert len(p.calls) == 1
    with p:
        ops.exp(x), ops.exp(x)
    assert len(p.calls) == 2


def test_a_call_that_fails_is_logged():
    x = nncore.ones(4, 3)
    index = nncore.tensor(np.array([9]))
    with nncore.profile() as p:
        with pytest.raises(IndexError):
            ops.take(x, index)
    assert [c.op for c in p.calls] == ["take"]


def test_the_log_is_bounded_and_says_so():
    x = square(3)
    with nncore.profile(most_calls=7) as p:
        for _ in range(10):
            ops.exp(x)
    assert (len(p.calls), p.dropped) == (7, 3)
    assert "not logged: 3 calls after the first 7" in p.table()
    with nncore.profile(most_calls=0) as p:
        ops.exp(x)
    assert (p.calls, p.dropped) == ([], 1)


def test_a_log_of_many_calls():
    x, count = square(3), 20000
    with nncore.profile() as p:
        for _ in range(count):
            ops.exp(x)
    assert len(p.calls) == count and p.dropped == 0 and len({c[:5] for c in p.calls}) == 1


def test_table():
    x = square(64)
    with nncore.profile() as p:
        for _ in range(10):
            ops.exp(x @ x)
    heading, *rows = str(p).splitlines()
    assert heading.split() == ["op", "calls", "ms", "share", "GFLOP/s", "GB/s", "of", "limit"]
    assert {row.split()[0] for row in rows[:2]} == {"gemm", "unary"}
    assert all(row.split()[1] == "10" and len(row.split()) == 7 for row in rows[:2])
    assert rows[2].startswith("between calls") and rows[3].startswith("wall time") and rows[4].startswith("limit: ")
    assert any("64x64 <- 64x64,64x64" in line for line in p.table(shapes=True).splitlines())
    assert all(limit > 0 for limit in p.limits()) and p.limits() == p.limits()


def test_limits_are_of_the_block_and_leave_the_settings_alone(threads):
    threads(1)
    with nncore.profile() as p:
        pass
    threads(2)
    before = _core.isa_current()
    assert "1 thread" in p.table().splitlines()[-1]
    assert (_core.isa_current(), nncore.get_num_threads()) == (before, 2)


def test_chrome_trace(tmp_path):
    x = square(9)
    with nncore.profile() as p:
        ops.exp(x @ x)
    p.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    names, product, function = trace["traceEvents"]
    assert ((names["ph"], names["name"]) == ("M", "thread_name")
            and names["args"]["name"] == threading.current_thread().name)
    assert [e["name"] for e in (product, function)] == ["gemm", "unary"]
    for event, call in zip((product, function), p.calls):
        assert event["ph"] == "X" and event["tid"] == call.thread and event["pid"] == os.getpid()
        assert event["dur"] == call.ns / 1e3 and 0 <= event["ts"] <= p.wall_seconds * 1e6
    assert product["args"] == {"outputs": [[9, 9]], "inputs": [[9, 9], [9, 9]], "bytes": 3 * 4 * 81,
                               "flops": 2 * 9 ** 3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_child_log_for_themselves_after_a_fork():
    x = square(4)
    with nncore.profile() as p:
        ops.exp(x)
        pid = os.fork()
        if pid:
            ops.exp(x)
        else:
            signal.alarm(30)  # a child that hangs dies
            status = 1
            try:
                for _ in range(4):
                    ops.exp(x)
                p.__exit__()
                status = 0 if len(p.calls) == 5 else 2
            finally:
                os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(p.calls) == 2
