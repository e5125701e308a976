"""Ladder 6: several steps of each optimizer against its formula in Python floats (nncore/reference/optim.py)."""
import math
import random

import numpy as np
import pytest

import nncore
from cases import EPS
from nncore.reference import optim as reference

OPTIONS = [
    ("SGD", {}), ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.5)}), ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.5)}),
    ("RMSprop", {}), ("RMSprop", {"lr": 0.1, "alpha": 0.5, "weight_decay": 0.1}), ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "eps": 1e-3}), ("RMSprop", {"centered": True, "eps": 1e-3, "momentum": 0.5}),
    ("Adagrad", {}), ("Adagrad", {"lr": 0.5, "lr_decay": 0.5, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {}), ("Adadelta", {"lr": 0.5, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
]
STEPS = 6
# A step rounds about ten times; weights are of size 1 to 3, so is what they change by. Centered RMSprop takes the root
# of a difference (v - a^2), which loses digits: hence eps = 1e-3 above and a factor below.
TOLERANCE = 3 * 10 * STEPS * EPS


def draw(rng, shape):
    return np.array([rng.gauss(0, 1) for _ in range(math.prod(shape))], "f4").reshape(shape)


def set_gradient(parameter, values):
    """As training does it: through backward."""
    (parameter * nncore.tensor(values)).sum().backward()


@pytest.mark.parametrize("name, options", OPTIONS, ids=lambda o: str(o).replace(" ", "") if isinstance(o, dict) else o)
def test_formula(isa, name, options):
    rng = random.Random(1)
    shapes = [(3,), (), (4, 5), (1,), (17,), (0,), (2, 33)]
    starts = [draw(rng, shape) for shape in shapes]
    parameters = [nncore.tensor(w, requires_grad=True) for w in starts]
    weights = [float(x) for w in starts for x in w.flat]
    ours = getattr(nncore.optim, name)(parameters, **options)
    formula = getattr(reference, name)(len(weights), **options)
    for _ in range(STEPS):
        gradients = [draw(rng, shape) for shape in shapes]
        for p, g in zip(parameters, gradients):
            set_gradient(p, g)
        ours.step()
        ours.zero_grad()
        formula.step(weights, [float(x) for g in gradients for x in g.flat])
        got = np.concatenate([p.numpy().ravel() for p in parameters]).astype("f8")
        error = np.abs(got - weights).max()
        assert error <= TOLERANCE * (10 if options.get("centered") else 1), error


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"weight_decay": 0.0, "maximize": True}], ids=str)
def test_adam_of_any_size_and_magnitude(isa, options):
    """Its kernel works in blocks of several vectors and two stages, and takes roots by an estimate where it can."""
    for n in (1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 200, 1000):
        rng = np.random.default_rng(n)
        w = nncore.tensor(np.zeros(n, "f4"), requires_grad=True)
        adam = nncore.optim.Adam([w], lr=0.1, **options)
        m, v, top, expected, sign = 0, 0, 0, 0, -1 if options.get("maximize") else 1
        for t in range(1, 4):
            g = (rng.standard_normal(n) * 10.0 ** rng.integers(-12, 12, n) * (rng.random(n) < 0.9)).astype("f4")
            set_gradient(w, g)
            adam.step()
            adam.zero_grad()
            g = sign * g.astype("f8")
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            top = np.maximum(top, v)
            root = np.sqrt((top if options.get("amsgrad") else v) / (1 - 0.999**t))
            expected = expected - 0.1 * m / (1 - 0.9**t) / (root + 1e-8)
            # as above, of updates of at most 0.32 (a large gradient after two small ones)
            assert np.abs(w.numpy() - expected).max() <= 30 * t * EPS, (n, t)


def test_adam_with_zero_infinite_and_missing_gradients(isa):
    w = nncore.tensor(np.ones(70, "f4"), requires_grad=True)
    adam = nncore.optim.Adam([w], lr=0.1)
    g = np.zeros(70, "f4")
    g[[1, 66]], g[[2, 67]] = 1e25, np.nan   # the square of 1e25 is infinite
    set_gradient(w, g)
    adam.step()
    expected = np.ones(70, "f4")
    expected[[2, 67]] = np.nan
    assert np.array_equal(w.numpy(), expected, equal_nan=True)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_parameter_without_gradient_stands_still(name):
    rng = random.Random(2)
    options = {"momentum": 0.9} if name == "SGD" else {}
    starts = [draw(rng, (5,)) for _ in range(4)]
    parameters = [nncore.tensor(w, requires_grad=True) for w in starts]
    weights = [[float(x) for x in w] for w in starts]
    ours = getattr(nncore.optim, name)(parameters, lr=0.1, **options)
    formulas = [getattr(reference, name)(5, lr=0.1, **options) for _ in starts]
    for present in ((0, 1, 2, 3), (0, 2, 3), (1, 3), (), (0, 1, 2, 3)):
        for i in present:
            g = draw(rng, (5,))
            set_gradient(parameters[i], g)
            formulas[i].step(weights[i], [float(x) for x in g])
        ours.step()
        ours.zero_grad()
        for p, w in zip(parameters, weights):
            error = np.abs(p.numpy() - np.array(w)).max()
            assert error <= TOLERANCE, (present, error)


def test_groups_have_settings_of_their_own():
    a, b = (nncore.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = nncore.optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.25)
    for expected_a, expected_b in ((0.5, 0.75), (0.25, 0.5)):
        (a + b).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert (a.item(), b.item()) == (expected_a, expected_b)
        optimizer.param_groups[0]["lr"] = 0.25


def test_gradients_accumulate_until_zero_grad():
    a = nncore.tensor([1.0], requires_grad=True)
    optimizer = nncore.optim.SGD([a], lr=1.0)
    for _ in range(3):
        a.sum().backward()
    assert a.grad.item() == 3
    optimizer.zero_grad()
    assert a.grad is None or a.grad.item() == 0
    a.sum().backward()
    assert a.grad.item() == 1


@pytest.mark.parametrize("name, options", [("SGD", {"momentum": 0.9}), ("Adam", {}), ("RMSprop", {}), ("Adagrad", {}),
                                           ("Adadelta", {})])
def test_state_dict_goes_on_where_it_was(name, options):
    def make():
        parameters = [nncore.tensor(draw(random.Random(3), shape), requires_grad=True) for shape in ((3,), (2, 5))]
        return parameters, getattr(nncore.optim, name)(parameters, lr=0.1, **options)

    def train(parameters, optimizer, seed):
        rng = random.Random(seed)
        for _ in range(3):
            for p in parameters:
                set_gradient(p, draw(rng, p.shape))
            optimizer.step()
            optimizer.zero_grad()
    first, optimizer = make()
    train(first, optimizer, 4)
    second, other = make()
    for p, q in zip(first, second):
        with nncore.no_grad():
            q.copy_(p)
    other.load_state_dict(optimizer.state_dict())
    train(first, optimizer, 5)
    train(second, other, 5)
    for p, q in zip(first, second):
        assert p.numpy().tobytes() == q.numpy().tobytes()


@pytest.mark.parametrize("maximum", [0.5, 1e3])
def test_clip_grad_norm(isa, maximum):
    rng = random.Random(6)
    shapes = [(3,), (4, 5), (33,), (0,), (), *[(2,)] * 10]
    parameters = [nncore.tensor(draw(rng, s), requires_grad=True) for s in shapes]
    unused = nncore.tensor([1.0], requires_grad=True)
    gradients = [draw(rng, s) for s in shapes]
    for p, g in zip(parameters, gradients):
        set_gradient(p, g)
    flat = [float(x) for g in gradients for x in g.flat]
    norm, clipped = reference.clip_grad_norm(flat, maximum)
    got = nncore.optim.clip_grad_norm_([*parameters, unused], maximum)
    assert abs(float(got) - norm) <= 4 * EPS * norm
    left = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    assert np.abs(left - np.array(clipped)).max() <= 8 * EPS * max(map(abs, clipped))
    assert unused.grad is None


def test_clip_grad_value(isa):
    p = nncore.tensor([1.0] * 5, requires_grad=True)
    set_gradient(p, np.array([-3, -0.5, 0, 0.25, 9], "f4"))
    nncore.optim.clip_grad_value_([p], 0.5)
    assert p.grad.numpy().tolist() == reference.clip_grad_value([-3, -0.5, 0, 0.25, 9], 0.5)


@pytest.mark.parametrize("name, options", [
    ("SGD", {"lr": -1}), ("SGD", {"momentum": -1}), ("SGD", {"nesterov": True}), ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"eps": -1}), ("RMSprop", {"alpha": -1}), ("Adagrad", {"lr_decay": -1}), ("AdamW", {"weight_decay": -1}),
    ("Adam", {"lr": float("nan")}), ("Adadelta", {"rho": 1.5}), ("Adadelta", {"eps": -1}),
])
def test_settings_out_of_range(name, options):
    with pytest.raises(ValueError):
        getattr(nncore.optim, name)([nncore.tensor([1.0], requires_grad=True)], **options)


def test_wrong_parameters():
    p = nncore.tensor([1.0], requires_grad=True)
    for parameters in ([], [p, p], [p * 2], [1.0], [{"params": [p], "no such setting": 1}], [nncore.tensor([1])]):
        with pytest.raises((ValueError, TypeError)):
            nncore.optim.SGD(parameters, lr=0.1)
