"""Learning-rate schedules: PyTorch's recursions written out, its numbers, state, compiled steps, wrong use."""
import json
import math

import numpy as np
import pytest

import nncore
from nncore import losses, optim
from nncore.optim import lr_scheduler as schedules

STEPS = 30


def make(kind=optim.SGD, **more):
    """An optimizer with groups of learning rates 0.1 and 0.3."""
    groups = [{"params": [nncore.zeros(2, requires_grad=True)], "lr": lr} for lr in (0.1, 0.3)]
    return kind(groups, **more)


def run(scheduler, steps=STEPS):
    """The learning rates of both groups before each step."""
    found = []
    for _ in range(steps):
        assert scheduler.get_last_lr() == [group["lr"] for group in scheduler.optimizer.param_groups]
        found.append(scheduler.get_last_lr())
        scheduler.step()
    return np.array(found)


def recursion(change, first=1.0):
    """lr(t) = change(t, lr(t - 1)) for t = 1, 2, ...: how PyTorch computes a schedule."""
    lr, found = first, []
    for t in range(STEPS):
        lr = change(t, lr) if t else lr
        found.append(lr)
    return np.array(found)


def raised_cosine(t):
    return 1 + math.cos(math.pi * t / 40)


@pytest.mark.parametrize("schedule, change, first", [
    (lambda o: optim.StepLR(o, 7, 0.5), lambda t, lr: lr * (0.5 if t % 7 == 0 else 1), 1),
    (lambda o: optim.StepLR(o, 1), lambda t, lr: lr * 0.1, 1),
    (lambda o: optim.MultiStepLR(o, [12, 3, 3, 20], 0.4), lambda t, lr: lr * 0.4 ** [12, 3, 3, 20].count(t), 1),
    (lambda o: optim.ExponentialLR(o, 0.8), lambda t, lr: lr * 0.8, 1),
    (lambda o: optim.LinearLR(o, 0.25, 0.75, 8), lambda t, lr: lr + (0.0625 if t <= 8 else 0), 0.25),
    (lambda o: optim.LinearLR(o), lambda t, lr: lr + (2 / 15 if t <= 5 else 0), 1 / 3),
    (lambda o: optim.LambdaLR(o, lambda t: 0.9 ** t * (1 + t)), lambda t, lr: lr * 0.9 * (1 + t) / t, 1),
    (lambda o: optim.CosineAnnealingLR(o, 40), lambda t, lr: lr * raised_cosine(t) / raised_cosine(t - 1), 1),
])
def test_rates_are_those_of_the_recursion(schedule, change, first):
    got, want = run(schedule(make())), recursion(change, first)
    assert np.abs(got / [0.1, 0.3] - want[:, None]).max() <= 1e-12


def test_cosine_annealing_between_its_ends():
    rates = run(optim.CosineAnnealingLR(make(), 10, eta_min=0.02))
    for column, base in enumerate((0.1, 0.3)):
        assert rates[0, column] == base and rates[20, column] == pytest.approx(base, rel=1e-15)
        assert rates[10, column] == pytest.approx(0.02, rel=1e-15)
        assert rates[5, column] == pytest.approx((base + 0.02) / 2, rel=1e-14)
        assert np.allclose(rates[10:21, column], rates[10::-1, column], rtol=1e-14)


def test_one_cycle_as_pytorch_prints_it():
    """torch 2.13, OneCycleLR(SGD(lr=0.1, momentum=0.9), max_lr=1.0, total_steps=10): learning rate and momentum."""
    torch = [(0.04, 0.95), (0.52, 0.9), (1.0, 0.85), (0.950484632013, 0.854951556605), (0.81174565395, 0.868825509907),
             (0.611262021936, 0.888873953302), (0.388741978064, 0.911126046698), (0.18825834605, 0.931174490093),
             (0.049519367987, 0.945048443395), (4e-06, 0.95)]
    optimizer = make(momentum=0.9)
    scheduler = optim.OneCycleLR(optimizer, 1.0, total_steps=10)
    for i, (lr, momentum) in enumerate(torch):
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(lr, rel=1e-9) and group["momentum"] == pytest.approx(momentum, rel=1e-9)
        scheduler.step()  # behind every batch, the last one too
    for _ in range(2):
        assert scheduler.last_epoch == 10 and optimizer.param_groups[0]["lr"] == pytest.approx(4e-6)
        with pytest.raises(ValueError, match="step 11 of 10: the cycle is over"):
            scheduler.step()


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three", [False, True])
def test_one_cycle_by_its_corners(strategy, three):
    optimizer = make(optim.Adam, betas=(0.9, 0.97))
    scheduler = optim.OneCycleLR(optimizer, [0.5, 0.2], epochs=4, steps_per_epoch=5, pct_start=0.4,
                                 anneal_strategy=strategy, base_momentum=0.8, max_momentum=[0.9, 0.95], div_factor=10,
                                 final_div_factor=100, three_phase=three)
    rates, betas = [], []
    for i in range(20):
        rates.append(scheduler.get_last_lr())
        betas.append([group["betas"] for group in optimizer.param_groups])
        if i < 19:
            scheduler.step()
    rates, first, second = np.array(rates), np.array(betas)[..., 0], np.array(betas)[..., 1]
    corners = [(0, (0.05, 0.02), (0.9, 0.95)), (7, (0.5, 0.2), (0.8, 0.8)), (19, (0.0005, 0.0002), (0.9, 0.95))]
    if three:
        corners.append((14, (0.05, 0.02), (0.9, 0.95)))
    for at, lr, beta in corners:
        assert np.allclose(rates[at], lr, rtol=1e-12) and np.allclose(first[at], beta, rtol=1e-12)
    assert (second == 0.97).all() and (np.diff(rates[:8], axis=0) > 0).all() and (np.diff(rates[7:], axis=0) < 0).all()
    if strategy == "linear":
        assert np.allclose(np.diff(rates[:8], axis=0, n=2), 0, atol=1e-15)
    else:
        assert rates[3, 0] < 0.05 + 0.45 * 3 / 7 < 0.05 + 0.45 * 4 / 7 < rates[4, 0]
    constant = make(momentum=0.5)
    run(optim.OneCycleLR(constant, 1.0, 31, cycle_momentum=False))
    assert constant.param_groups[1]["momentum"] == 0.5


def test_a_warm_up_and_what_follows():
    optimizer = make()
    parts = [optim.LinearLR(optimizer, 0.1, total_iters=4), optim.CosineAnnealingLR(optimizer, 10),
             optim.ExponentialLR(optimizer, 0.5)]
    rates = run(optim.SequentialLR(optimizer, parts, [4, 14])) / [0.1, 0.3]
    want = [0.1 + 0.9 * t / 4 for t in range(4)] + [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)] + \
        [0.5 ** t for t in range(16)]
    assert np.allclose(rates, np.array(want)[:, None], rtol=1e-13)


def plateau(values, start, mode, factor, patience, threshold, relative, cooldown, least, eps):
    """The rule, step by step."""
    lr, best, bad, rest, found = start, None, 0, 0, []
    for v in values:
        margin = 0 if best is None else threshold * (best if relative else 1)
        better = not math.isnan(v) and (best is None or (v < best - margin if mode == "min" else v > best + margin))
        best, bad = (v, 0) if better else (best, bad + 1)
        if rest:
            rest, bad = rest - 1, 0
        if bad > patience:
            if lr - max(lr * factor, least) > eps:
                lr = max(lr * factor, least)
            rest, bad = cooldown, 0
        found.append(lr)
    return found


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("relative", [True, False])
def test_reduction_on_plateaus(mode, relative):
    rng = np.random.default_rng(0)
    for trial in range(60):
        values = [float(v) for v in rng.choice([*rng.random(4), -0.3, 0.0, float("nan")], 40)]
        settings = dict(factor=float(rng.choice([0.1, 0.5])), patience=int(rng.integers(4)),
                        threshold=float(rng.choice([1e-4, 0.2])), cooldown=int(rng.integers(3)),
                        eps=float(rng.choice([1e-8, 0.01])))
        optimizer = make()
        kind = "rel" if relative else "abs"
        scheduler = optim.ReduceLROnPlateau(optimizer, mode, min_lr=[0.0, 0.02], threshold_mode=kind, **settings)
        rates = []
        for v in values:
            scheduler.step(nncore.tensor(v) if trial % 2 else v)
            rates.append(scheduler.get_last_lr())
        values = [np.float32(v).item() if trial % 2 else v for v in values]
        for column, (start, least) in enumerate(((0.1, 0.0), (0.3, 0.02))):
            want = plateau(values, start, mode, relative=relative, least=least, **settings)
            assert [r[column] for r in rates] == want
    assert rates[0] != rates[-1]


ALL = {
    "StepLR": lambda o: optim.StepLR(o, 3), "MultiStepLR": lambda o: optim.MultiStepLR(o, [2, 5]),
    "ExponentialLR": lambda o: optim.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: optim.CosineAnnealingLR(o, 20, 0.01),
    "LinearLR": lambda o: optim.LinearLR(o, total_iters=9),
    "LambdaLR": lambda o: optim.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 1]),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, 0.5, STEPS + 1),
    "SequentialLR": lambda o: optim.SequentialLR(o, [optim.LinearLR(o), optim.ExponentialLR(o, 0.9)], [6]),
}


def test_no_schedule_is_forgotten():
    assert set(ALL) | {"LRScheduler", "ReduceLROnPlateau"} == set(schedules.__all__) <= set(optim.__all__)


@pytest.mark.parametrize("name", ALL)
def test_going_on_from_a_saved_state(name):
    whole = run(ALL[name](make(momentum=0.9)))
    optimizer = make(momentum=0.9)
    scheduler = ALL[name](optimizer)
    run(scheduler, 8)
    saved = json.loads(json.dumps(scheduler.state_dict()))  # plain numbers and lists
    other = make(momentum=0.9)
    restored = ALL[name](other)
    other.load_state_dict(optimizer.state_dict())
    restored.load_state_dict(saved)
    assert np.array_equal(run(restored, STEPS - 8), whole[8:]) and restored.last_epoch == STEPS
    with pytest.raises(ValueError, match="do not fit"):
        restored.load_state_dict(dict(last_epoch=3))


@pytest.mark.parametrize("name", ALL)
def test_a_saved_state_sets_the_rates_that_are_due(name):
    """Also where the scheduler is made after the optimizer has its state back, as is usual."""
    optimizer = make(momentum=0.9)
    scheduler = ALL[name](optimizer)
    run(scheduler, 8)
    other = make(momentum=0.9)
    other.load_state_dict(optimizer.state_dict())
    restored = ALL[name](other)
    restored.load_state_dict(scheduler.state_dict())
    assert restored.get_last_lr() == scheduler.get_last_lr() == [g["lr"] for g in other.param_groups]
    assert np.array_equal(run(restored, STEPS - 8), run(scheduler, STEPS - 8))


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("SequentialLR", "OneCycleLR", "LambdaLR")])
def test_going_on_from_the_number_of_the_last_epoch(name):
    optimizer = make()
    scheduler = ALL[name](optimizer)
    whole = run(scheduler)
    other = make()
    settings = {k: v for k, v in scheduler.state_dict().items() if k not in ("base_lrs", "last_epoch")}
    with pytest.raises(KeyError, match="no initial_lr"):
        type(scheduler)(other, **settings, last_epoch=7)
    other.load_state_dict(optimizer.state_dict())  # knows where the rates began
    assert np.array_equal(run(type(scheduler)(other, **settings, last_epoch=7), STEPS - 8), whole[8:])


def test_a_plateau_goes_on_too():
    values = [1.0, 0.9, 0.95, 0.97, 0.8, 0.9, 0.9, 0.9, 0.9, 0.7, 0.9, 0.9]
    a, b = (make() for _ in range(2))
    one, two = (optim.ReduceLROnPlateau(o, patience=1, cooldown=1) for o in (a, b))
    for v in values[:6]:
        one.step(v)
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    b.load_state_dict(a.state_dict())
    for v in values[6:]:
        one.step(v)
        two.step(v)
        assert one.get_last_lr() == two.get_last_lr()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
@pytest.mark.parametrize("name", ALL)
def test_a_compiled_step_sees_the_rate_without_recording_anew(name, kind):
    x, y = np.random.default_rng(0).standard_normal((8, 5)).astype("f4"), np.arange(8) % 3

    def train(compiled):
        nncore.manual_seed(0)
        model = nncore.nn.Linear(5, 3)
        optimizer = kind([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.3}],
                         **(dict(momentum=0.9) if kind is optim.SGD else {}))
        scheduler = ALL[name](optimizer)

        def step(inputs, targets):
            loss = losses.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss
        step = nncore.compile(step) if compiled else step
        found = []
        for _ in range(12):
            found.append(step(nncore.tensor(x), nncore.tensor(y)).item())
            scheduler.step()
        return found, model.weight.numpy().tolist(), step
    eager, weight, _ = train(False)
    compiled, compiled_weight, step = train(True)
    assert eager == compiled and weight == compiled_weight and len(step.programs) == 1


def test_a_schedule_does_not_belong_into_a_compiled_step():
    optimizer = make()
    scheduler = optim.ExponentialLR(optimizer, 0.5)

    @nncore.compile
    def step(x):
        scheduler.step()
        return x * 2.0
    with pytest.raises(RuntimeError, match="a compiled step must not set lr"):
        for _ in range(3):
            step(nncore.ones(2))
    assert scheduler.get_last_lr() == [0.1 * 0.5 ** scheduler.last_epoch, 0.3 * 0.5 ** scheduler.last_epoch]


@pytest.mark.parametrize("make_it, error, match", [
    (lambda o: optim.StepLR(None, 3), TypeError, "StepLR: an optimizer expected, not NoneType"),
    (lambda o: optim.StepLR(o, 0), ValueError, "StepLR: step_size = 0 is not an integer from 1 on"),
    (lambda o: optim.StepLR(o, 2.5), ValueError, "step_size = 2.5"),
    (lambda o: optim.StepLR(o, 2, last_epoch=-2), ValueError, "last_epoch = -2"),
    (lambda o: optim.StepLR(o, 3, last_epoch=2), KeyError, "group 0 has no initial_lr"),
    (lambda o: optim.CosineAnnealingLR(o, 0), ValueError, "T_max = 0"),
    (lambda o: optim.LinearLR(o, 0), ValueError, "start_factor 0 "),
    (lambda o: optim.LinearLR(o, 0.5, 2), ValueError, "end_factor 2 "),
    (lambda o: optim.LambdaLR(o, [abs]), ValueError, "1 functions for 2 groups"),
    (lambda o: optim.OneCycleLR(o, 1.0), ValueError, "total_steps, or epochs and steps_per_epoch"),
    (lambda o: optim.OneCycleLR(o, 1.0, 10, pct_start=1.5), ValueError, "pct_start = 1.5"),
    (lambda o: optim.OneCycleLR(o, 1.0, 10, anneal_strategy="sin"), ValueError, "'cos' or 'linear', not 'sin'"),
    (lambda o: optim.OneCycleLR(o, [1.0], 10), ValueError, "1 values of max_lr for 2 groups"),
    (lambda o: optim.OneCycleLR(make(optim.Adagrad), 1.0, 10), ValueError, "Adagrad has no momentum: cycle_mom"),
    (lambda o: optim.OneCycleLR(o, 1.0, 10), ValueError, "momentum = 0.0 decides what state the optimizer keeps"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]), ValueError, "1 schedulers need one milestone less"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)] * 3, [3, 3]), ValueError, "must rise from above 0"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(make(), 1)], []), ValueError, "another optimizer"),
    (lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []), TypeError, "not ReduceLROnPlateau"),
    (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor = 1.0 is not below 1"),
    (lambda o: optim.ReduceLROnPlateau(o, "least"), ValueError, "mode 'least' is not"),
    (lambda o: optim.ReduceLROnPlateau(o, min_lr=[0]), ValueError, "1 values of min_lr"),
])
def test_wrong_use(make_it, error, match):
    with pytest.raises(error, match=match):
        make_it(make())


def test_what_a_schedule_says_of_itself():
    assert repr(optim.StepLR(make(), 3)) == "StepLR(step_size=3, gamma=0.1, last_epoch=0)"
    assert repr(optim.ReduceLROnPlateau(make())).startswith("ReduceLROnPlateau(mode='min', factor=0.1, patience=10")
