"""elementwise: activations and their gradients, and everything else that walks once over its arrays.

The limit is a plain pass over the same number of arrays of the same size, so it is memory's at 1e6 elements and the
load and store units' in cache.
"""
from .case import Case, Figure

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "softplus")
MATHS = ("exp", "log", "sqrt", "abs")
BIG, IN_CACHE = 1_000_000, (4096, 16384)
ROWS = ("softmax", "log_softmax", "cross_entropy", "cross_entropy_grad")
REDUCTIONS = ("sum", "mean", "max", "var")
BINARIES = (("add", (1000, 1000), (1000, 1000)), ("mul", (1000, 1000), (1000, 1000)), ("add", (1000, 1000), (1000,)),
            ("mul", (1000, 1000), (1000, 1)), ("add", (64, 64), (64, 64)), ("mul", (64, 64), (64,)))


def pass_over(n, reads, writes):
    return {"kind": "stream", "n": n, "reads": reads, "writes": writes}


def cases(quick):
    found = []
    for n in (*IN_CACHE, BIG):
        for name in ACTIVATIONS:
            found.append(Case(f"{name}, {n}", "activation", {"name": name, "n": n}, limit=pass_over(n, 1, 1)))
            found.append(Case(f"{name} grad, {n}", "activation_grad", {"name": name, "n": n}, limit=pass_over(n, 2, 1)))
        for name in MATHS:
            found.append(Case(f"math {name}, {n}", "activation", {"name": name, "n": n}, limit=pass_over(n, 1, 1)))
    for b, c in ((128, 10), (128, 1000)):
        for name in ROWS:
            found.append(Case(f"{name.replace('_grad', ' and grad')}, {b}x{c}", "rows", {"name": name, "b": b, "c": c},
                              limit=pass_over(b * c, 1, 1)))
    for name in REDUCTIONS:
        for axis in (0, 1, None):
            found.append(Case(f"{name} of 1000x1000 over {'all' if axis is None else f'axis {axis}'}", "reduce",
                              {"name": name, "shape": (1000, 1000), "axis": axis}, limit=pass_over(BIG, 1, 0)))
    for name, x, y in BINARIES:
        found.append(Case(f"{name} {x} {y}".replace(",)", ")"), "binary", {"name": name, "x": x, "y": y},
                          limit=pass_over(x[0] * x[1], 1 if y != x else 2, 1)))
    found.append(Case(f"dropout 0.2, {BIG}", "dropout", {"n": BIG, "p": 0.2}, limit=pass_over(BIG, 1, 1),
                      tolerance=None))
    found.append(Case(f"adam step, {BIG}", "adam", {"n": BIG}))
    return found[::4] if quick else found


FIGURES = [
    Figure("activations and their gradients, 1e6 elements: not slower than PyTorch", 1.0, ("torch",),
           tuple(f"{a}{g}, {BIG}" for a in ACTIVATIONS for g in ("", " grad"))),
    Figure("activations and their gradients, in cache: 1.5 x PyTorch", 1.5, ("torch",),
           tuple(f"{a}{g}, {n}" for a in ACTIVATIONS for g in ("", " grad") for n in IN_CACHE)),
    Figure("beyond the issue: elementwise, never slower than any peer", 1.0, ("torch", "numpy", "jax"), ("",)),
]
