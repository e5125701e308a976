"""Products of matrices and dense layers."""
from nncore.reference.array import size

from .case import FACTORS, case, uniform
from .elementwise import UNARIES

MATMULS = [((m, k), (k, n)) for m, k, n in
           ((1, 1, 1), (3, 1, 2), (1, 5, 1), (2, 3, 4), (1, 17, 33), (7, 5, 3), (8, 8, 8), (15, 16, 17), (17, 3, 33),
            (31, 33, 1), (16, 1, 32), (13, 29, 11), (0, 3, 2), (3, 0, 2), (3, 2, 0), (2, 67, 5), (33, 2, 65))]
MATMULS += [((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((0,), (0,)), ((17,), (17, 16)), ((2, 2, 3), (2, 3, 2)),
            ((2, 3), (4, 3, 2)), ((4, 2, 3), (3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 2, 3), (2, 3, 4)),
            ((2, 3, 1, 4, 3), (2, 1, 2, 3, 2)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)), ((0, 2, 3), (3, 4)),
            ((2, 0, 3), (2, 3, 2)), ((1, 3), (2, 3, 1))]
for x, y in MATMULS:
    k = x[-1]
    case("matmul", uniform(x), uniform(y, seed=1), wanted=(0, 1), terms=k + 1,
         gradient_terms=FACTORS + 2 * max(x + y) * (4 if len(x) != len(y) else 1))
ACTIVATIONS = (*(name for name in UNARIES if name not in ("neg", "abs", "sqrt", "exp", "log", "clip")), "gelu_tanh")
for x, o in (((2, 3), 4), ((1, 1), 1), ((17, 16), 15), ((5, 33), 3), ((0, 3), 2), ((3, 0), 2), ((3,), 5),
             ((2, 3, 4), 7), ((2, 1, 2, 2, 3), 17)):
    i = x[-1]
    for bias in (True, False):
        case("linear", uniform(x), uniform((i, o), seed=1), *([uniform((o,), seed=2)] if bias else []),
             wanted=(0, 1, 2)[:2 + bias], terms=i + 2, gradient_terms=FACTORS + 2 * max(size(x), o))
for activation in ACTIVATIONS:
    for x, o in (((2, 3), 5), ((9, 17), 16), ((2, 2, 4), 33)):
        # the sum is off by a few roundings, which the activation and its gradient pass on: slopes are at most about 1
        case("linear", uniform(x, -1, 1), uniform((x[-1], o), -1, 1, seed=1), uniform((o,), seed=2), wanted=(0, 1, 2),
             attributes={"activation": activation}, terms=2 * x[-1] + 8,
             gradient_terms=2 * FACTORS + 4 * max(size(x), o))
    case("linear", uniform((4, 3), -1, 1), uniform((3, 2), -1, 1, seed=1), wanted=(0, 1), terms=16, gradient_terms=48,
         attributes={"activation": activation})
