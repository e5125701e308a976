"""Normalisation by batch, group, layer and instance."""
from nncore.reference.array import Array, size

from .case import FACTORS, NAN, case, uniform

# Values of size 1 over a deviation of about 1: an output is a few roundings, a gradient of x a few more and two means.
# Gradients of weight and bias are sums over all n positions, of chunks of 8. Of few values the deviation may be small,
# and 1 / deviation multiplies the rounding of means in the gradient of x: SMALL.
SMALL = 48
NORMED = [(2, 1), (3, 1), (7, 3), (5, 17), (2, 3, 5), (4, 1, 1, 3), (2, 3, 3, 1), (1, 7, 7, 5), (2, 7, 7, 3),
          (1, 13, 13, 3), (3, 3, 2, 17), (2, 2, 2, 48), (19, 16), (3, 5, 33)]
for shape in NORMED:
    c, n = shape[-1], size(shape) // shape[-1]
    x, w, b = uniform(shape), uniform((c,), 0.5, 2, seed=1), uniform((c,), seed=2)
    mean, var = uniform((c,), seed=3), uniform((c,), 0.5, 2, seed=4)
    for attributes in ({"training": True}, {"eps": 0.5}):
        for weights, wanted in (((w, b), (0, 3, 4)), ((w, None), (0, 3)), ((None, b), (0, 4)), ((None, None), (0,))):
            if weights == (w, b) or n < 20:
                case("batch_norm", x, mean, var, *weights, attributes=attributes, wanted=wanted, terms=24,
                     gradient_terms=FACTORS + SMALL + n)
        # ReLU: shifted by so much that some are let through, and none is near 0 where float32 could decide otherwise
        case("batch_norm", x, mean, var, w, uniform((c,), 3, 4, seed=5), attributes=attributes | {"activation": "relu"},
             wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
        case("batch_norm", x, mean, var, w, uniform((c,), -9, -8, seed=5),
             attributes=attributes | {"activation": "relu"}, wanted=(0, 3, 4), terms=24, note="shut")
    case("batch_norm", x, None, None, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
    case("batch_norm", x, mean, var, w, b, attributes={"training": True, "activation": "tanh"}, wanted=(0, 3, 4),
         terms=36, gradient_terms=2 * FACTORS + SMALL + 2 * n)
    for groups in sorted({1, c, next(g for g in (3, 2, 17, 1) if c % g == 0)}):
        if c // groups * n // shape[0] > 1:
            for weights, wanted in (((w, b), (0, 2, 3)), ((None, None), (0,))):
                case("group_norm", x, groups, *weights, wanted=wanted, terms=24, gradient_terms=FACTORS + SMALL + n)
    if n // shape[0] > 1:
        case("instance_norm", x, None, None, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n)
        case("instance_norm", x, mean, var, w, b, wanted=(0, 3, 4), terms=24, gradient_terms=FACTORS + SMALL + n,
             attributes={"eps": 0.1})
        case("instance_norm", x, mean, var, attributes={"use_input_stats": False}, terms=24)
for shape, last in (((3, 2), 1), ((5, 3), 1), ((2, 17), 1), ((16, 16), 1), ((17, 15), 1), ((33, 5), 1), ((2, 67), 1),
                    ((3, 130), 1), ((2, 3, 48), 1), ((2, 3, 5), 2), ((2, 3, 5), 3), ((3, 2, 2, 5), 2), ((7,), 1),
                    ((0, 5), 1), ((3, 257), 1)):
    inner = shape[len(shape) - last:]
    n, rows = size(inner), size(shape) // size(inner)
    x, w, b = uniform(shape), uniform(inner, 0.5, 2, seed=1), uniform(inner, seed=2)
    for eps in ({}, {"eps": 0.25}):
        for weights, wanted in (((w, b), (0, 2, 3)), ((w, None), (0, 2)), ((None, b), (0, 3)), ((None, None), (0,))):
            if eps and weights != (w, None):
                continue
            case("layer_norm", x, inner if last > 1 else n, *weights, wanted=wanted, attributes=eps, terms=24,
                 gradient_terms=FACTORS + SMALL + rows)
            if weights[1] is None:
                case("rms_norm", x, inner if last > 1 else n, weights[0], wanted=wanted, attributes=eps, terms=24,
                     gradient_terms=FACTORS + SMALL + rows)
for name, arguments in (("batch_norm", (None, None)), ("group_norm", (1,)), ("layer_norm", (3,)), ("rms_norm", (3,))):
    bad = Array((3, 2, 3), (NAN if i == 7 else 0.25 * (i % 5) for i in range(18)))
    case(name, bad, *arguments, wanted=(), terms=24, note="nan")
for name in ("batch_norm", "instance_norm", "group_norm", "layer_norm"):  # a mean of 1e4, exact in float32, deviation 1
    far = Array((2, 37, 5), (10000 + (i * 7919 % 1024) / 256 for i in range(370)))
    case(name, far, *{"group_norm": (5,), "layer_norm": (5,)}.get(name, (None, None)), terms=24, gradient_terms=100,
         note="far-from-0")
