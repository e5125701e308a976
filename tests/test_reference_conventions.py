"""The reference claims PyTorch's conventions: compared here where PyTorch is installed, skipped where it is not."""
import math
import random

import pytest

from nncore.reference import REFERENCE, gradients, optim

torch = pytest.importorskip("torch")
F = torch.nn.functional


def close(a, b, tolerance=1e-8):  # PyTorch rounds a constant of its binary cross-entropy to float32
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


def check(function, expected, inputs, wanted=(0,)):
    """function of the reference and PyTorch's `expected` agree on inputs, with the gradients of ones, in float64."""
    y, dx = gradients(function, inputs, wanted)
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) if i in wanted else x
               for i, x in enumerate(inputs)]
    z = expected(*tensors)
    z.sum().backward()
    assert y.shape == tuple(z.shape)
    assert all(map(close, y.flat, z.flatten().tolist())), (y, z)
    for i, d in zip(wanted, dx):
        g = tensors[i].grad if tensors[i].grad is not None else torch.zeros_like(tensors[i])
        assert all(map(close, d.flat, g.flatten().tolist())), (i, d, g)


POINTS = [-1e4, -30.0, -3.0, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 30.0, 1e4]

UNARY = {
    "abs": torch.abs, "relu": torch.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu, "silu": F.silu,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "exp": torch.exp,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    points = POINTS if name != "exp" else POINTS[1:-1]
    points = [x for x in points if x != 0] if name == "softplus" else points  # logaddexp has no kink, only rounding
    check(REFERENCE[name], UNARY[name], [points])


def test_gelu_tanh_and_clip():
    check(lambda x: REFERENCE["gelu"](x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), [POINTS[1:-1]])
    check(lambda x: REFERENCE["clip"](x, -1.0, 0.5), lambda x: torch.clamp(x, -1.0, 0.5), [POINTS])


@pytest.mark.parametrize("name", ["maximum", "minimum", "pow"])
def test_binary(name):
    x, y = [0.0, 1.0, 2.0, -1.0, 0.5, 0.0, -2.0, 0.0], [0.0, 1.0, 1.0, 3.0, -2.5, 2.0, 2.0, 0.5]
    if name == "pow":
        check(lambda x: REFERENCE["pow"](x, y), lambda x: torch.pow(x, torch.tensor(y, dtype=torch.float64)), [x])
        check(REFERENCE["pow"], torch.pow, [[0.0, 1.0, 2.0, 0.5, 0.0], [0.0, 1.0, -1.0, 2.5, 2.0]], (0, 1))
    else:
        check(REFERENCE[name], getattr(torch, name), [x, y], (0, 1))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_reductions(axis):
    rng = random.Random(1)
    x = [[[float(rng.randrange(4)) for _ in range(4)] for _ in range(3)] for _ in range(2)]  # with ties
    dims = (0, 1, 2) if axis is None else axis
    check(lambda x: REFERENCE["max"](x, axis), lambda x: torch.amax(x, dims), [x])
    check(lambda x: REFERENCE["min"](x, axis, keepdims=True), lambda x: torch.amin(x, dims, keepdim=True), [x])
    check(lambda x: REFERENCE["var"](x, axis, correction=0), lambda x: torch.var(x, dims, correction=0), [x])
    check(lambda x: REFERENCE["var"](x, axis), lambda x: torch.var(x, dims), [x])
    check(lambda x: REFERENCE["mean"](x, axis), lambda x: torch.mean(x, dims), [x])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_elementwise_losses(reduction):
    x, t = [0.0, 1.0, 2.5, -3.0, 0.75, 1.5], [0.0, 0.0, 0.5, 0.0, 1.0, 2.5]
    r = {"reduction": reduction}
    T = torch.tensor(t, dtype=torch.float64)
    for name, attributes in (("mse_loss", {}), ("l1_loss", {}), ("huber_loss", {"delta": 1.0}),
                             ("huber_loss", {"delta": 0.5}), ("smooth_l1_loss", {"beta": 0.5}),
                             ("smooth_l1_loss", {"beta": 0.0})):
        check(lambda x: REFERENCE[name](x, t, **attributes, **r),
              lambda x: getattr(F, name)(x, T, **attributes, **r), [x])
    p, q = [0.0, 1.0, 0.0, 1.0, 0.5, 1e-20, 0.9], [0.0, 1.0, 1.0, 0.0, 0.3, 1.0, 0.25]
    Q = torch.tensor(q, dtype=torch.float64)
    check(lambda x: REFERENCE["binary_cross_entropy"](x, q, **r), lambda x: F.binary_cross_entropy(x, Q, **r), [p])
    logits = [-1e4, -20.0, 0.0, 1.0, 20.0, 1e4, 3.0]
    check(lambda x: REFERENCE["binary_cross_entropy_with_logits"](x, q, **r),
          lambda x: F.binary_cross_entropy_with_logits(x, Q, **r), [logits])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(reduction, smoothing, weighted):
    rng = random.Random(2)
    x = [[rng.gauss(0, 2) for _ in range(5)] for _ in range(7)]
    weight = [0.5, 2.0, 0.0, 1.0, 3.0] if weighted else None
    W = torch.tensor(weight, dtype=torch.float64) if weighted else None
    c = {"reduction": reduction, "label_smoothing": smoothing}
    for labels, ignored in (([0, 1, 2, 3, 4, 0, 1], -100), ([0, 1, 4, 3, 4, 0, 1], 4), ([4] * 7, 4)):
        check(lambda x: REFERENCE["cross_entropy"](x, labels, weight, ignored, **c),
              lambda x: F.cross_entropy(x, torch.tensor(labels), W, ignore_index=ignored, **c), [x])
        check(lambda x: REFERENCE["nll_loss"](x, labels, weight, ignored, reduction),
              lambda x: F.nll_loss(x, torch.tensor(labels), W, ignore_index=ignored, reduction=reduction), [x])
    p = [[rng.random() for _ in range(5)] for _ in range(7)]
    p = [[a / sum(row) for a in row] for row in p]
    check(lambda x: REFERENCE["cross_entropy"](x, p, weight, **c),
          lambda x: F.cross_entropy(x, torch.tensor(p, dtype=torch.float64), W, **c), [x])


@pytest.mark.parametrize("name, options", [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "weight_decay": 0.1, "betas": (0.5, 0.9)}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.5)}), ("Adam", {"maximize": True, "weight_decay": 0.1}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
    ("RMSprop", {}), ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "maximize": True}), ("SGD", {"maximize": True, "momentum": 0.9}),
    ("Adagrad", {}), ("Adagrad", {"lr_decay": 0.5, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {}), ("Adadelta", {"lr": 0.5, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
])
def test_optimizers(name, options):
    rng = random.Random(3)
    w = [rng.gauss(0, 1) for _ in range(5)]
    W = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    ours, theirs = getattr(optim, name)(5, **options), getattr(torch.optim, name)([W], **options)
    for _ in range(6):
        g = [rng.gauss(0, 1) for _ in w]
        ours.step(w, list(g))
        W.grad = torch.tensor(g, dtype=torch.float64)
        theirs.step()
        assert all(map(close, w, W.tolist()))
