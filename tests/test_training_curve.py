"""Ladder 7: the loss curve of a small network equals that of the same training in pure Python.

Everything at once: layers, their gradients, the loss, the optimizer. The pure Python side runs the reference with
Values in float64; nothing of it is shared with the engine.
"""
import random

import numpy as np
import pytest

import nncore
from cases import integers, rounded, uniform
from closeness import to_numpy
from nncore.reference import REFERENCE, Array, gradients
from nncore.reference import optim as reference_optim

STEPS, BATCH = 20, 8
# Each step rounds about 30 times on the way to a weight, and errors of earlier steps are carried along: 20 * 30 * 2^-24
# is 4e-5 of the loss if all roundings fell on one side.
TOLERANCE = 4e-5


def start(sizes):
    """Weights and biases of layers of these sizes."""
    rng = random.Random(str(sizes))
    parameters = []
    for i, o in zip(sizes, sizes[1:]):
        parameters.append(Array((i, o), (rounded(rng.uniform(-1, 1) / i**0.5) for _ in range(i * o))))
        parameters.append(Array((o,), (rounded(rng.uniform(-0.5, 0.5)) for _ in range(o))))
    return parameters


def pure_python(parameters, activation, loss, target, x, optimizer):
    """The losses of STEPS steps."""
    losses = []

    def forward(*parameters):
        y = x
        for k in range(0, len(parameters), 2):
            y = REFERENCE["linear"](y, parameters[k], parameters[k + 1],
                                    activation=activation if k + 2 < len(parameters) else None)
        return REFERENCE[loss](y, target)
    flat = [w for p in parameters for w in p.flat]
    for _ in range(STEPS):
        at, arrays = 0, []
        for p in parameters:
            arrays.append(Array(p.shape, flat[at:at + len(p.flat)]))
            at += len(p.flat)
        y, grads = gradients(forward, arrays, range(len(arrays)))
        losses.append(y.tolist())
        optimizer.step(flat, [d for g in grads for d in g.flat])
    return losses


def engine(parameters, layers, loss, target, x, optimizer):
    model = nncore.nn.Sequential(*layers)
    own = list(model.parameters())
    assert [p.shape for p in own] == [p.shape for p in parameters]
    with nncore.no_grad():
        for p, q in zip(own, parameters):
            p.copy_(nncore.tensor(to_numpy(q)))
    optimizer = optimizer(own)
    x, target = nncore.tensor(to_numpy(x)), nncore.tensor(to_numpy(target))
    losses = []
    for _ in range(STEPS):
        y = getattr(nncore.losses, loss)(model(x), target)
        y.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(y.item())
    return losses


CURVES = {
    "tanh-mse-sgd": ((3, 5, 2), "tanh", "mse_loss", "SGD", {"lr": 0.2, "momentum": 0.5}),
    "relu-cross_entropy-adam": ((3, 6, 4), "relu", "cross_entropy", "Adam", {"lr": 0.05}),
    "gelu-huber-adamw": ((2, 4, 3, 1), "gelu", "huber_loss", "AdamW", {"lr": 0.02}),
    "silu-binary-rmsprop": ((3, 4, 1), "silu", "binary_cross_entropy_with_logits", "RMSprop", {"lr": 0.05}),
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CURVES)
def test_loss_curve(isa, name, fused):
    sizes, activation, loss, optimizer, options = CURVES[name]
    parameters = start(sizes)
    x = uniform((BATCH, sizes[0]), -1.5, 1.5)
    if loss == "cross_entropy":
        target = integers((BATCH,), 0, sizes[-1])
    elif loss.startswith("binary"):
        target = Array((BATCH, 1), (float(row > 0) for row in x.flat[::sizes[0]]))
    else:
        target = uniform((BATCH, sizes[-1]), 0, 1, seed=1)
    n = sum(len(p.flat) for p in parameters)
    expected = pure_python(parameters, activation, loss, target, x, getattr(reference_optim, optimizer)(n, **options))
    nn = nncore.nn
    classes = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
    layers = []
    for k, (i, o) in enumerate(zip(sizes, sizes[1:])):
        last = k + 2 == len(sizes)
        layers.append(nn.Linear(i, o, activation=activation if fused and not last else None))
        if not fused and not last:
            layers.append(classes[activation]())
    got = engine(parameters, layers, loss, target, x, lambda p: getattr(nncore.optim, optimizer)(p, **options))
    assert expected[-1] < 0.8 * expected[0]  # it learns, so the curve says something
    error = np.abs(np.array(got) - expected).max()
    assert error <= TOLERANCE * max(1, expected[0]), error
