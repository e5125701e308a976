"""nncore.compile: a replayed step is the eager step to the last bit, or it is recorded anew; never stale."""
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import nncore
from nncore import _core, compiled, losses, nn, ops, optim
from nncore.data import Batch
from steps import OPTIMIZERS, Run, bits, data, mlp, optimizer_bits, same_as_eager

# ---- the same bits ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_200_steps_of_every_optimizer(kind):
    same_as_eager([data(seed=i % 5) for i in range(200)], kind=kind)


def test_every_instruction_set(isa):
    same_as_eager([data(17, 33, seed=i) for i in range(20)], widths=(33, 65, 3))


LARGE = dict(widths=(200, 300, 10))   # with data(256, 200): products worth several threads


def test_any_number_of_threads(threads):
    found, teams = [], set()
    for n in (1, 2, 3, 7):
        threads(n)
        run = same_as_eager([data(256, 200, seed=i) for i in range(6)], **LARGE)
        found.append(run.bits())
        teams.add(run.step.programs[0].core.team)
    assert found[1:] == found[:-1] and teams == {max(teams)} and max(teams) > 2


def test_the_number_of_threads_may_change_between_replays(threads):
    counts = [1, 7, 2, 1, 3] * 8
    same_as_eager([data(256, 200, seed=i % 5) for i in range(len(counts))],
                  between=lambda run, i: threads(counts[i]), **LARGE)


def test_a_team_flushes_subnormal_numbers_too(threads):
    """In every thread: the product of the even elements is subnormal."""
    threads(3)
    step = nncore.compile(lambda x, y: x * y)
    x, y = np.full(10 ** 6, 1e-20, "f4"), np.full(10 ** 6, 1e-20, "f4")
    y[1::2] = 1.0
    for _ in range(4):
        assert (step(x, y).numpy() == np.where(y == 1, x, np.float32(0))).all()
    assert step.programs[0].core.team > 2


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted in /proc")
@pytest.mark.parametrize("widths, rows, threads, expected", [
    ((4, 64, 64, 2), 32, 2, 1), ((200, 300, 10), 256, 1, 1), ((200, 300, 10), 256, 2, 2)])
def test_a_replay_wakes_threads_only_where_they_pay(widths, rows, threads, expected):
    """Whether the OpenMP runtime was entered shows in the number of threads of a process."""
    code = f"""if True:
        import os, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        import nncore
        from steps import Run, data
        before = len(os.listdir("/proc/self/task"))
        nncore.set_num_threads(1)
        run, batch = Run(True, widths={widths}), data({rows}, {widths[0]}, {widths[-1]})
        run.losses([batch] * 3)
        nncore.set_num_threads({threads})
        run.losses([batch] * 3)
        assert run.python == 2
        print(len(os.listdir("/proc/self/task")) - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"{expected - 1}\n" or not _core.has_openmp(), done.stderr


@pytest.mark.parametrize("extra", [lambda p: optim.clip_grad_norm_(p, 0.1), lambda p: optim.clip_grad_value_(p, 0.01),
                                   lambda p: optim.clip_grad_norm_(p, 0.1, float("inf"))], ids=["norm", "value", "inf"])
def test_clipped_gradients(extra):
    same_as_eager([data(seed=i) for i in range(10)], extra=extra)


def test_settings_changed_between_steps_are_in_force():
    def between(run, i):
        run.optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
    same_as_eager([data(seed=i) for i in range(10)], between=between)


@pytest.mark.parametrize("name, value", [("maximize", True), ("nesterov", True), ("momentum", 0.5),
                                         ("weight_decay", 0.3)])
def test_a_switch_changed_between_steps_is_in_force(name, value):
    def between(run, i):
        if i == 5:
            run.optimizer.param_groups[0][name] = value
    same_as_eager([data(seed=i) for i in range(10)], kind="SGD momentum", between=between,
                  recordings=4 if name in ("maximize", "nesterov") else 2,
                  make=lambda kind, p: optim.SGD(p, lr=0.1, momentum=0.9))


def test_a_smaller_last_batch_is_a_program_of_its_own():
    same_as_eager([data(n, seed=i) for i in range(4) for n in (16, 16, 5)], recordings=4)


def test_train_and_eval_find_their_programs_again():
    nncore.manual_seed(1)
    model, x, runs = mlp(6, 8, 3, dropout=0.5), data()[0], []

    def forward(x):
        runs.append(0)
        return model(x)
    step = nncore.compile(forward)
    for _ in range(5):
        for mode in (True, False):
            model.train(mode)
            for _ in range(3):
                nncore.manual_seed(2)
                expected = model(nncore.tensor(x))
                nncore.manual_seed(2)
                assert bits(step(x)) == bits(expected)
    assert len(runs) == 4


def test_dropout_draws_anew_in_each_replay():
    step = nncore.compile(lambda x: ops.dropout(x, 0.5, True))
    nncore.manual_seed(3)
    found = [step(nncore.ones(40)) for _ in range(6)]
    nncore.manual_seed(3)
    assert bits(*found) == bits(*[ops.dropout(nncore.ones(40), 0.5, True) for _ in range(6)])
    assert len(set(bits(*found))) == 6


def test_two_optimizers_in_one_step():
    results = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(4)
        g, d = mlp(4, 8, 6), mlp(6, 8, 1)
        og, od = optim.Adam(g.parameters()), optim.SGD(d.parameters(), lr=0.1)

        def step(real):
            fake = g(nncore.randn(16, 4))
            loss_d = (d(fake.detach()) - d(real)).mean() + (d(real) ** 2).mean()
            loss_d.backward()
            od.step()
            d.zero_grad()
            loss_g = -d(fake).mean()
            loss_g.backward()
            og.step()
            g.zero_grad()
            d.zero_grad()
            return {"d": loss_d, "g": loss_g}
        step = wrap(step)
        found = [step(data(seed=i)[0]) for i in range(12)]
        results.append([bits(f["d"], f["g"]) for f in found] + bits(*g.parameters(), *d.parameters()))
    assert results[0] == results[1]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("arena", [True, False])
def test_accumulated_gradients(k, arena):
    """backward over k batches, then a step; gradients in the optimizer's arena, or made by backward and kept by
    hand."""
    results = []
    for compile in (False, True):
        nncore.manual_seed(5)
        model, runs = mlp(6, 8, 3), []
        optimizer = optim.AdamW(model.parameters()) if arena else None

        def backward(x, y):
            runs.append(0)
            loss = losses.cross_entropy(model(x), y)
            loss.backward()
            return loss

        def update():
            runs.append(0)
            optimizer.step()
            optimizer.zero_grad()
        if compile:
            backward, update = nncore.compile(backward), nncore.compile(update)
        found = []
        for i in range(8):
            found += [backward(*data(seed=10 * i + j)).item() for j in range(k)]
            found += bits(*[p.grad for p in model.parameters()])
            if arena:
                assert update() is None
            else:
                model.zero_grad()
        results.append((found, bits(*model.parameters())))
    assert results[0] == results[1]
    # Without an arena each gradient has memory of its own, and a program for adding to it must have seen it twice.
    assert len(runs) == (2 * min(k, 2) + 2 if arena else (2, 5, 9)[k - 1])


def test_gradients_kept_from_a_step_are_not_overwritten():
    v, w, runs, kept = nncore.ones(3, requires_grad=True), nncore.ones(3, 1, requires_grad=True), [], []

    @nncore.compile
    def backward(x):
        runs.append(0)
        ((x @ w).sum() + (v * x).sum()).backward()
    for i in range(6):
        v.grad = w.grad = None
        backward(np.full((1, 3), i, "f4"))
        kept.append((v.grad, w.grad))
    assert [(g.tolist(), h.tolist()) for g, h in kept] == [([i] * 3, [[i]] * 3) for i in range(6)] and len(runs) == 2


def test_gradients_set_and_cleared_by_hand_between_steps():
    def between(run, i):
        first = next(run.model.parameters())
        if i % 3 == 1:
            first.grad = np.full(first.shape, 0.1, "f4")
        elif i % 3 == 2:
            first.grad = None
        else:
            run.model.zero_grad()
    same_as_eager([data(seed=i) for i in range(12)], between=between, recordings=4)


def test_a_gradient_of_the_argument():
    runs = []

    @nncore.compile
    def slope(x):
        runs.append(0)
        x.requires_grad = True
        (x ** 3).sum().backward()
        return x.grad
    for i in range(6):
        x = data(seed=i)[0]
        np.testing.assert_allclose(slope(x).numpy(), 3 * x ** 2, rtol=1e-6)
    assert len(runs) == 2


@pytest.mark.parametrize("name", ["probabilities", "actions", "masks"])
def test_losses_that_look_at_values(name, threads):
    """binary_cross_entropy, which refuses what is no probability; q[range(n), actions]; comparisons and labels as
    numbers."""
    def loss_of(y, t):
        if name == "probabilities":
            return losses.binary_cross_entropy(ops.sigmoid(y), t.reshape(-1, 1) * nncore.ones(1, 3), reduction="mean")
        if name == "actions":
            return ((y[range(len(y)), t] - 1.0) ** 2).mean() + y[-1, t].sum()
        return ((y - 1.0) ** 2 * (y > -1) * t.reshape(-1, 1)).mean()
    results = []
    for compile in (False, True):
        nncore.manual_seed(3)
        model, runs = mlp(6, 40, 3), []
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        def step(x, t):
            runs.append(0)
            loss = loss_of(model(x), t)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss
        step, found = nncore.compile(step) if compile else step, []
        for i in range(40):
            threads(1 + i % 3)
            x, t = data(200, seed=i)
            found += bits(step(nncore.tensor(x), nncore.tensor(t % 2 if name == "probabilities" else t)))
        results.append((found, bits(*model.parameters())))
    assert results[0] == results[1] and len(runs) == 2 and len(set(found)) == 40


# ---- arguments and results -------------------------------------------------------------------------------------------

def test_a_module_batch_1_numpy_in_tensor_out():
    model = mlp(6, 8, 3, dropout=0.5).eval()
    fast = nncore.compile(model)
    found = []
    for i in range(6):
        x = data(1, seed=i)[0]
        found.append((fast(x), model(nncore.tensor(x))))
    for y, expected in found:  # results are fresh: all are looked at after all replays
        assert type(y) is nncore.Tensor and bits(y) == bits(expected) and not y.requires_grad
    assert len(list(fast.parameters())) == 4 and len(fast.programs) == 1 and "gemm" in fast.summary()


def test_a_class_with_a_compiled_method():
    class Net(nn.Module):
        def __init__(self, factor):
            self.factor = factor

        @nncore.compile
        def twice(self, x):
            return x * self.factor
    a, b = Net(2.0), Net(3.0)
    for i in range(4):
        assert a.twice(float(i)).item() == 2 * i and b.twice(float(i)).item() == 3 * i


@pytest.mark.parametrize("convert", [
    lambda x, y: (x, y), lambda x, y: (x.astype("f8"), y.astype("i4")),
    lambda x, y: (nncore.tensor(x), nncore.tensor(y)),
    lambda x, y: (np.asfortranarray(x), np.repeat(y, 2)[::2]),
    lambda x, y: (x.astype(">f4"), y.astype("u1").astype(">i2"))],
    ids=["native", "f8 i4", "tensors", "strided", "swapped"])
def test_arrays_of_all_kinds_are_replayed(convert):
    run, expected = Run(True), Run(False)
    for i in range(6):
        nncore.manual_seed(i)
        loss = run.step(*convert(*data(seed=i)))
        nncore.manual_seed(i)
        assert bits(loss) == bits(expected.step(*[nncore.tensor(a) for a in data(seed=i)]))
    assert run.python == 2


# ---- arguments read where they lie: tensors of 4 KB and more ---------------------------------------------------------

def test_large_tensors_are_read_where_they_lie():
    """The values are those of each call, also after a tensor was freed, for parts of tensors and for NumPy arrays."""
    step = nncore.compile(lambda x, y: (x @ y).sum(axis=0))
    rng = np.random.default_rng(1)
    for i in range(12):
        x, y = rng.standard_normal((2, 64, 64)).astype("f4")
        both = nncore.tensor(np.concatenate([x, y]))
        arguments = [(nncore.tensor(x), nncore.tensor(y)), (both[:64], both[64:]), (x, nncore.tensor(y)), (x, y),
                     (both[64:], both[64:])][i % 5]
        expected = ops.sum(nncore.tensor(arguments[0]) @ nncore.tensor(arguments[1]), axis=0)
        assert bits(step(*arguments)) == bits(expected)
    assert len(step.programs) == 1 and step.programs[0].core.in_place == 2


@pytest.mark.parametrize("keep", [lambda x: x, lambda x: x[1:], lambda x: x.reshape(-1)[64:]],
                         ids=["argument", "part", "view"])
def test_an_argument_kept_outside_has_the_values_of_the_last_call(keep):
    outside = SimpleNamespace()

    @nncore.compile
    def step(x, y):
        outside.kept = keep(x)
        return (x + y).sum()
    for i in range(5):
        step(nncore.tensor(np.full((64, 64), i, "f4")), nncore.tensor(np.ones((64, 64), "f4")))
        assert outside.kept.numpy().max() == i
    assert step.programs[0].core.in_place == 1


def test_an_argument_may_be_returned():
    step = nncore.compile(lambda x: (x, x[3:], x * 2))
    for i in range(4):
        x = nncore.tensor(np.full((64, 64), i, "f4"))
        same, part, twice = step(x)
        x.numpy()[:] = -1
        assert (same.numpy() == i).all() and (part.numpy() == i).all() and (twice.numpy() == 2 * i).all()


@pytest.mark.parametrize("of", ["parameter", "gradient"])
def test_an_argument_may_be_what_the_step_writes(of):
    """It counts as it was before the step."""
    layer = nn.Linear(64, 64, bias=False)
    optimizer = optim.SGD(layer.parameters(), lr=0.5)

    @nncore.compile
    def step(x):
        (layer(x) ** 2).mean().backward()
        optimizer.step()
        return x + 1

    for i in range(5):
        if i:
            x = (layer.weight if of == "parameter" else layer.weight.grad).detach()
        else:
            x = nncore.tensor(np.ones((64, 64), "f4"))
        before = x.numpy().copy()
        assert (step(x).numpy() == before + 1).all()


def test_a_replay_that_fails_lets_go_of_its_arguments():
    weight = nn.Parameter(np.ones((4, 64), "f4"))

    @nncore.compile
    def step(x, labels):
        loss = losses.cross_entropy(x @ weight.transpose(), labels)
        loss.backward()
        return loss

    x, labels = nncore.tensor(np.ones((64, 64), "f4")), np.zeros(64, "i8")
    first = [step(x, labels).item() for _ in range(3)]
    with pytest.raises(ValueError, match="label"):
        step(nncore.tensor(np.zeros((64, 64), "f4")), labels + 4)
    assert step(x, labels).item() == first[0]


def test_nested_arguments_and_results():
    runs = []

    @nncore.compile
    def step(batch, scale, *, mode, options, nothing=None):
        runs.append(0)
        assert type(batch) is Batch and type(scale) is nncore.Tensor
        y = batch.inputs * scale + options["shift"][0]
        return {"y": y if mode == "plus" else -y, "more": (batch.targets, [y.sum(), None, "text", 3])}
    for i in range(8):
        x, y = data(seed=i)
        mode = "plus" if i % 2 else "minus"
        found = step(Batch(x, y), 0.5 * i, mode=mode, options={"shift": [nncore.full((6,), i), 7]})
        expected = x * np.float32(0.5 * i) + np.float32(i)
        assert (found["y"].numpy() == (expected if i % 2 else -expected)).all()
        targets, (total, *rest) = found["more"]
        assert (targets.numpy() == y).all() and rest == [None, "text", 3]
        assert np.isclose(total.item(), expected.sum(), rtol=1e-5, atol=1e-4)  # 96 terms of size 10, in another order
    assert len(runs) == 4
    for shift in (np.float32(2), np.array(2.0), 2.0):
        assert step(Batch(x, y), 1.0, mode="plus",
                    options={"shift": [shift, 7]})["y"].numpy().tobytes() == (x + 2).tobytes()


def test_a_new_constant_or_closure_variable_or_global_is_a_new_recording():
    factor = 2.0

    def scaled(x, power):
        return x ** power * factor * GLOBAL["factor"] + OFFSET
    global OFFSET
    step = nncore.compile(scaled)
    for power, factor, OFFSET in ((1, 2.0, 0.0), (2, 2.0, 0.0), (2, 5.0, 0.0), (2, 5.0, 4.0), (1, 2.0, 0.0)):
        for i in range(1, 5):
            assert step(float(i), power).item() == i ** power * factor + OFFSET


def test_a_function_named_by_the_step_is_replaced():
    global HELPER
    step = nncore.compile(lambda x: HELPER(x))
    for HELPER, expected in ((ops.exp, np.e), (lambda x: x + 5.0, 6.0), (ops.exp, np.e)):
        for _ in range(3):
            assert np.isclose(step(1.0).item(), expected)


GLOBAL, OFFSET, HELPER = {"factor": 1.0}, 0.0, None


def test_most_programs():
    step = nncore.compile(lambda x: x * 2.0)
    for n in [*range(30), 3]:
        for _ in range(3):
            assert step(nncore.ones(n)).tolist() == [2.0] * n
        step(nncore.ones(99 + n))
        assert len(step.programs) <= compiled.MOST_PROGRAMS and len(step.trials) <= compiled.MOST_PROGRAMS


# ---- what is changed from outside ------------------------------------------------------------------------------------

def new_layer(run):
    nncore.manual_seed(11)
    setattr(run.model, "0", nn.Linear(6, 10, activation="tanh"))
    run.optimizer = optim.SGD(run.model.parameters(), lr=0.1)


def load_model(run):
    nncore.manual_seed(12)
    run.model.load_state_dict(mlp(6, 10, 3, dropout=0.3).state_dict())


def load_optimizer(run):
    state = run.optimizer.state_dict()
    state["param_groups"][0]["lr"] = 0.2
    state["state"][0]["step"] = 100
    run.optimizer.load_state_dict(state)


def partial_step(run):
    """An eager step with one gradient: the group falls into segments."""
    run.model.zero_grad()
    next(run.model.parameters()).sum().backward()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.optimizer.param_groups[0]["lr"] = 0.05


CHANGES = {
    "state loaded": load_model, "optimizer state loaded": load_optimizer, "layer": new_layer,
    "partial step": partial_step,
    "optimizer": lambda run: setattr(run, "optimizer", optim.SGD(run.model.parameters(), lr=0.1)),
    "frozen": lambda run: setattr(next(run.model.parameters()), "requires_grad", False),
    "dropout": lambda run: setattr(getattr(run.model, "1"), "p", 0.8),
    "values": lambda run: next(run.model.parameters()).numpy().__setitem__(0, 0.5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_never_stale(name):
    def between(run, i):
        if i == 5:
            CHANGES[name](run)
    results = []
    for compile in (False, True):
        run, found = Run(compile), []
        for i in range(12):
            between(run, i)
            found += run.losses([data(seed=i)])
        results.append((found, run.bits(), optimizer_bits(run.optimizer)))
    assert results[0] == results[1] and run.python < 8


def test_settings_of_an_object_are_read_while_recording_only():
    """The limit: what Python reads from an object that is no Module is a constant of the recording."""
    options = SimpleNamespace(factor=2.0)
    step = nncore.compile(lambda x: x * options.factor)
    assert [step(1.0).item() for _ in range(3)] == [2, 2, 2]
    options = SimpleNamespace(factor=3.0)  # another object: a new recording
    assert [step(1.0).item() for _ in range(3)] == [3, 3, 3]
