"""Sums, means, extremes and their places, over any axes; softmax."""
from nncore.reference.array import Array, size

from .case import FACTORS, INF, NAN, case, integers, rounded, uniform

# ---- reductions ------------------------------------------------------------------------------------------------------

REDUCED = [((), (None,)), ((1,), (None, 0, -1)), ((17,), (None, 0)), ((33,), (0,)), ((67,), (None,)),
           ((5, 7), (None, 0, 1, -1, -2, (0, 1), ())), ((3, 17), (0, 1)), ((17, 3), (0, 1)), ((16, 33), (0, 1)),
           ((2, 3, 4), (None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (-1, 0), (0, 1, 2))),
           ((2, 3, 2, 3), ((0, 2), (1, 3), (1, 2), -1)), ((2, 2, 3, 1, 2), ((0, 2, 4), (1, 3), (2, 3), 3, None)),
           ((1, 31, 1), (0, 1, (0, 2)))]
EMPTY = [((0,), (None, 0)), ((0, 3), (0, 1, None)), ((3, 0), (0, 1)), ((2, 0, 3), (1, (0, 2)))]
for name in ("sum", "mean", "max", "min", "var"):
    for shape, axes in REDUCED:
        for axis in axes:
            n = size(shape)
            for keepdims in ((False, True) if shape in ((5, 7), (2, 3, 4)) else (False,)):
                case(name, uniform(shape), attributes={"axis": axis, "keepdims": keepdims}, ulps=0.5 if n == 1 else 0,
                     terms=0 if name in ("max", "min") else 2 * n, gradient_terms=FACTORS + 2 * n)
    for shape, axes in EMPTY if name in ("sum", "mean", "var") else EMPTY[1:3]:
        for axis in axes:
            if name in ("max", "min") and (axis is None or shape[axis] == 0):
                continue  # an error: tests of its own
            case(name, uniform(shape), attributes={"axis": axis}, note="empty")
    for x in (NAN, INF, -INF):
        values = Array((3, 17), (x if i in (20, 50) else 0.25 * (i % 5) for i in range(51)))
        for axis in (None, 0, 1):
            case(name, values, attributes={"axis": axis}, wanted=(), terms=100, note=str(x))
for name in ("max", "min"):
    for axis in (None, 0, 1, (0, 2)):
        ties = integers((3, 5, 4), 0, 3)
        case(name, Array(ties.shape, map(float, ties.flat)), attributes={"axis": axis}, note="ties")
for correction in (0, 1, 2):
    case("var", uniform((5, 7)), attributes={"axis": 1, "correction": correction}, terms=14, gradient_terms=30)
case("var", Array((3, 33), (rounded(1000 + (i % 7) / 8) for i in range(99))), attributes={"axis": 1}, terms=66,
     gradient_terms=100, note="far-from-0")  # two passes: the mean is subtracted before squaring
for name in ("argmax", "argmin"):
    for shape, axes in REDUCED:
        for axis in axes:
            if axis is None or isinstance(axis, int) and shape:
                case(name, uniform(shape), attributes={"axis": axis}, wanted=())
    case(name, uniform((2, 3, 4)), attributes={"axis": 1, "keepdims": True}, wanted=())
    case(name, uniform((0, 3)), attributes={"axis": 1}, wanted=())
    ties = integers((3, 17), 0, 3)
    for axis in (None, 0, 1):
        case(name, Array(ties.shape, map(float, ties.flat)), attributes={"axis": axis}, wanted=(), note="ties")
        case(name, Array((3, 17), (NAN if i in (5, 20, 22, 50) else float(i % 5) for i in range(51))),
             attributes={"axis": axis}, wanted=(), note="nan")
        case(name, Array((2, 17), (-INF if i % 3 else INF if i % 2 else 0.0 for i in range(34))),
             attributes={"axis": axis}, wanted=(), note="inf")

# ---- softmax ---------------------------------------------------------------------------------------------------------

for name in ("softmax", "log_softmax"):
    for shape, axes in (((1,), (-1,)), ((3,), (0, -1)), ((17,), (-1,)), ((5, 10), (-1, 0)), ((2, 33), (1,)),
                        ((3, 16), (-1,)), ((2, 3, 4), (-1, 0, 1, -2)), ((2, 1, 3, 2, 5), (-1, 2)), ((0, 3), (-1,)),
                        ((3, 0), (-1,)), ((3, 67), (-1,)), ((33, 2), (-1, 0)), ((4, 1), (-1,))):
        for axis in axes:
            c = shape[axis]
            case(name, uniform(shape, -3, 3), attributes={"axis": axis}, terms=c + 8, gradient_terms=FACTORS + 4 * c)
    for row in ((1e4, -1e4, 0.0, 9999.0), (-1e4,) * 17, (1e4, 9998.5, 9999.0)):
        case(name, Array((1, len(row)), row), terms=len(row) + 8, gradient_terms=32, note="large")
    case(name, Array((3, 3), (1.0, NAN, 2.0, 1.0, 2.0, 3.0, INF, 0.0, 1.0)), wanted=(), terms=12, note="nan,inf")
    case(name, Array((2, 3), (1.0, -INF, 2.0, -INF, -INF, 3.0)), wanted=(), terms=12, note="-inf")
