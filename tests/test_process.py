"""The process nncore lives in: interrupts, forks, several Python threads, the end of the interpreter."""
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import nncore
from nncore import losses, nn, ops, optim

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
QUIET = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


def run(code, *arguments, **options):
    """Output of a program in a process of its own, which must end well."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], capture_output=True,
                          text=True,
                          timeout=120, **options)
    assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

TRAINING = """
import signal, sys, time
import numpy as np
import nncore
from nncore import losses, nn, optim
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts us may have it ignored
nncore.set_num_threads(int(sys.argv[1]))
width, batch = int(sys.argv[2]), int(sys.argv[3])
nncore.manual_seed(1)
model = nn.Sequential(nn.Linear(20, width, activation="relu"), nn.Dropout(0.1), nn.Linear(width, width), nn.Tanh(),
                      nn.Linear(width, 3))
optimizer = optim.Adam(model.parameters())
rng = np.random.default_rng(0)
x, y = rng.standard_normal((4 * batch, 20)), rng.integers(0, 3, 4 * batch)
loader = nncore.data.DataLoader(x, y, batch, shuffle=True)
def epoch():
    for inputs, targets in loader:
        loss = losses.cross_entropy(model(inputs), targets)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()
first = epoch()
print("training", flush=True)
try:
    while True:
        epoch()
except KeyboardInterrupt:
    print("stopped", time.time(), flush=True)
optimizer.zero_grad()
assert all(np.isfinite(p.numpy()).all() for p in model.parameters())
model.load_state_dict(model.state_dict())
losses_now = [epoch() for _ in range(3)]
assert all(np.isfinite(losses_now)), losses_now
model.eval()
assert np.isfinite(model(nncore.ones(2, 20)).numpy()).all()
print("usable", flush=True)
"""


@pytest.mark.parametrize("threads, width, batch, delay", [(1, 16, 8, 0.05), (1, 16, 8, 0.111), (2, 16, 8, 0.083),
                                                          (2, 512, 256, 0.2), (1, 512, 256, 0.15)])
def test_ctrl_c_stops_training_within_a_second_and_leaves_the_model_usable(threads, width, batch, delay):
    process = subprocess.Popen([sys.executable, "-c", TRAINING, str(threads), str(width), str(batch)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "training\n", process.communicate()[1]
        time.sleep(delay)
        pressed = time.time()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    (word, when), end = out.split("\n")[0].split(), out.split("\n")[1]
    assert word == "stopped" and float(when) - pressed < 1 and end == "usable"


def test_an_interrupt_anywhere_in_a_step_leaves_the_engine_usable():
    """KeyboardInterrupt raised at many different places of a step: in forward, loss, backward, the optimizer."""
    nncore.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 8, activation="gelu"), nn.Residual(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters())
    x, target = nncore.ones(4, 5), nncore.zeros(4, 2)
    last = None

    def step():
        loss = losses.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()
    step()
    for n in range(0, 400, 3):
        count = 0

        def interrupt(frame, event, argument):
            nonlocal count
            count += 1
            if count == n:
                raise KeyboardInterrupt
            return interrupt
        sys.settrace(interrupt)
        try:
            step()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        optimizer.zero_grad()
        last = step()
        assert np.isfinite(last) and nncore.is_grad_enabled()
    assert last < 1 and all(np.isfinite(p.numpy()).all() for p in model.parameters())


# ---- fork ------------------------------------------------------------------------------------------------------------

def large():
    """Work that several threads share where they may."""
    rng = np.random.default_rng(1)
    a, b = (nncore.tensor(rng.standard_normal((700, 700), dtype="f4")) for _ in range(2))
    return [t.numpy().tobytes() for t in (a @ b, ops.softmax(a), ops.sum(a, dim=0), ops.exp(a))]


def trained(seed=7, steps=3, generator=None):
    """The bits of a model after some steps that several threads share."""
    rng = np.random.default_rng(seed)
    layers = [nn.Linear(60, 400, activation="tanh"), nn.Linear(400, 10)]
    for layer in layers:
        for p in layer.parameters():
            p.copy_(rng.standard_normal(p.shape, dtype="f4") * 0.1)
    model = nn.Sequential(*layers)
    optimizer = optim.Adam(model.parameters())
    x, labels = nncore.tensor(rng.standard_normal((300, 60), dtype="f4")), nncore.tensor(rng.integers(0, 10, 300))
    for _ in range(steps):
        y = model(ops.dropout(x, 0.2, generator=generator) if generator else x)
        losses.cross_entropy(y, labels).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return [p.numpy().tobytes() for p in model.parameters()]


def in_child(function):
    """function() in a forked child; what it asserts must hold there."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # a child that hangs dies
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ends_well(pid):
    assert os.waitpid(pid, 0)[1] == 0, "the child failed or hung"


@FORKS
@QUIET
@pytest.mark.parametrize("before", [1, 2, 4])
def test_parent_and_child_work_after_fork(threads, before):
    threads(before)
    expected, weights = large(), trained()

    def child():
        assert large() == expected and trained() == weights
        nncore.set_num_threads(2)
        assert large() == expected
        ends_well(in_child(lambda: check(large() == expected)))
        assert trained() == weights
    first, second = in_child(child), in_child(child)
    assert large() == expected and trained() == weights
    ends_well(first)
    ends_well(second)
    assert large() == expected and nncore.get_num_threads() == before


def check(condition):
    assert condition


@FORKS
@QUIET
def test_fork_while_other_threads_compute(threads):
    """The child gets the memory of threads in the middle of their work; their locks must not be held in it."""
    threads(2)
    expected, stop = trained(), threading.Event()

    def work():
        while not stop.is_set():
            large()
            nncore.zeros(1000)
    workers = [threading.Thread(target=work) for _ in range(2)]
    for w in workers:
        w.start()
    try:
        for _ in range(5):
            ends_well(in_child(lambda: check(trained() == expected)))
    finally:
        stop.set()
        for w in workers:
            w.join()
    assert trained() == expected


@FORKS
@QUIET
def test_a_model_goes_on_in_the_child_and_in_the_parent(threads):
    """Weights and optimizer are copied by the fork: both continue from there, apart."""
    threads(2)
    w = nncore.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def step():
        (w * w).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    step()
    assert w.item() == 1

    def child():
        step()
        assert w.item() == 0.5
    pid = in_child(child)
    ends_well(pid)
    assert w.item() == 1
    step()
    assert w.item() == 0.5


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("there is no fork on this system")
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent("""
        import multiprocessing, sys, warnings
        warnings.simplefilter("ignore")
        import numpy as np, nncore
        def work(model):
            x = nncore.ones(300, 300)
            return float(((x @ x).sum() / 1e6 + model(nncore.ones(1, 300)).sum()).item())
        if __name__ == "__main__":
            nncore.set_num_threads(2)
            model = nncore.nn.Linear(300, 2)
            expected = work(model)
            with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                assert pool.map(work, [model] * 4) == [expected] * 4
            print("done")
    """))
    done = subprocess.run([sys.executable, str(path), method], capture_output=True, text=True, timeout=120)
    assert done.stdout == "done\n", done.stderr


# ---- several Python threads ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("count", [1, 2])
def test_threads_that_train_models_of_their_own_get_the_bits_they_get_alone(threads, count):
    threads(count)
    seeds = (1, 2, 3)
    alone = {s: trained(s, 6, nncore.Generator(s)) for s in seeds}
    together, failures, start = {}, [], threading.Barrier(len(seeds))

    def run(seed):
        try:
            start.wait(20)
            together[seed] = trained(seed, 6, nncore.Generator(seed))
        except BaseException as error:
            failures.append(error)
    workers = [threading.Thread(target=run, args=(s,)) for s in seeds]
    for w in workers:
        w.start()
    for w in workers:
        w.join(120)
        assert not w.is_alive()
    assert not failures and together == alone


def test_errors_in_one_thread_are_not_seen_in_another():
    failures = []

    def run(bad):
        try:
            for _ in range(300):
                with pytest.raises(IndexError, match=f"index {bad} "):
                    ops.take(nncore.zeros(3, 2), [0, bad])
                with pytest.raises(ValueError, match=f"label {bad} "):
                    losses.cross_entropy(nncore.zeros(2, 3), [0, bad])
        except BaseException as error:
            failures.append(error)
    workers = [threading.Thread(target=run, args=(n,)) for n in (3, 77, 10**12)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert not failures, failures


def test_threads_that_come_and_go():
    results = []
    for _ in range(30):
        t = threading.Thread(target=lambda: results.append((nncore.ones(200, 200) @ nncore.ones(200,
                                                                                                200)).sum().item()))
        t.start()
        t.join()
    assert results == [200.0**3] * 30


def test_the_number_of_threads_may_change_at_any_time(threads):
    expected, stop, failures = large(), threading.Event(), []

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            nncore.set_num_threads(n % 4 + 1)
    changer = threading.Thread(target=change)
    threads(1)
    changer.start()
    try:
        for _ in range(5):
            if large() != expected:
                failures.append("differs")
    finally:
        stop.set()
        changer.join()
    assert not failures


# ---- the end ---------------------------------------------------------------------------------------------------------

def test_the_interpreter_ends_with_graphs_and_threads_alive():
    assert run("""
        import threading, nncore
        nncore.set_num_threads(2)
        x = y = nncore.tensor([1.0], requires_grad=True)
        for _ in range(20000):
            y = nncore.neg(y)
        model = nncore.nn.Linear(300, 300)
        keep = model(nncore.ones(300, 300)).sum()
        view = keep.numpy()
        threading.Thread(target=lambda: [model(nncore.ones(300, 300)) for _ in range(20)]).start()
        class AtTheEnd:
            def __del__(self, T=nncore.tensor):
                assert (T([1.0]) + 1.0).item() == 2
        last = AtTheEnd()
        print("end")
    """) == "end\n"


def test_daemon_threads_do_not_stop_the_end():
    run("""
        import threading, time, nncore
        nncore.set_num_threads(2)
        def work():
            while True:
                nncore.ones(200, 200) @ nncore.ones(200, 200)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.1)
    """)


def test_nothing_is_printed_and_nothing_is_left_in_the_environment():
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent("""
        import os
        before = dict(os.environ)
        import nncore
        nncore.ones(300, 300) @ nncore.ones(300, 300)
        assert dict(os.environ) == before, set(os.environ) ^ set(before)
    """)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_signal_handler_may_use_the_engine():
    """In the middle of a step of the main program."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("there are no timers on this system")
    seen = []
    before = signal.signal(signal.SIGALRM,
                           lambda *_: seen.append((nncore.ones(50, 50) @ nncore.ones(50, 50)).sum().item()))
    expected = trained(3, 6)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for _ in range(20):
            assert trained(3, 6) == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen and set(seen) == {50.0**3}
