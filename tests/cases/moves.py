"""What moves elements or picks them: exact, forward and gradient."""
from nncore.reference.array import size

from .case import case, integers, uniform

for shape, new in (((6,), (2, 3)), ((2, 3), (6,)), ((2, 3, 4), (4, -1)), ((1,), ()), ((), (1, 1)), ((0, 3), (3, 0)),
                   ((2, 2, 2, 2, 2), (-1,)), ((4, 4), (2, 2, 2, 2, 1))):
    case("reshape", uniform(shape), arguments=(new,))
for shape, axes in (((), ()), ((3,), (0,)), ((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)),
                    ((2, 3, 4), (-1, 0, 1)), ((2, 1, 3, 2), (3, 1, 0, 2)), ((2, 3, 1, 2, 2), (4, 2, 0, 3, 1)),
                    ((0, 3), (1, 0)), ((17, 33), (1, 0)), ((3, 16, 17), (0, 2, 1)), ((2, 3, 17), (1, 0, 2))):
    case("permute", uniform(shape), arguments=(axes,))
for shape, axes in (((3, 5), ()), ((17, 16), (0, 1)), ((2, 3, 4), ()), ((2, 3, 4), (0, -1)), ((2, 3, 4), (1, 1)),
                    ((33, 31), (-1, -2)), ((2, 3, 2, 2, 3), (0, 3))):
    case("transpose", uniform(shape), arguments=axes)
for shapes, axis in ((((3,), (2,)), 0), (((2, 3), (1, 3), (4, 3)), 0), (((2, 3), (2, 1), (2, 17)), 1),
                     (((2, 3, 4), (2, 2, 4)), -2), (((0, 3), (2, 3)), 0), (((2, 3),), 1), (((2, 0), (2, 0)), 1),
                     (((1, 1, 1, 1, 3), (1, 1, 1, 1, 2)), 4)):
    case("concat", *(uniform(s, seed=i) for i, s in enumerate(shapes)), listed=True, attributes={"axis": axis},
         wanted=tuple(range(len(shapes))))
for shape, count, axis in (((), 3, 0), ((3,), 2, 0), ((3,), 2, 1), ((2, 3), 3, 1), ((2, 3), 2, -1), ((0,), 2, 0),
                           ((2, 1, 3, 2), 1, 2), ((17,), 3, -2)):
    case("stack", *(uniform(shape, seed=i) for i in range(count)), listed=True, attributes={"axis": axis},
         wanted=tuple(range(count)))
for shape, sizes, axis in (((5,), 2, 0), ((5,), (1, 0, 4), 0), ((2, 6), 3, 1), ((4, 3), 2, 0),
                           ((2, 7, 2), (3, 3, 1), -2), ((0, 2), 3, 0), ((3, 2), 9, 0)):
    case("split", uniform(shape), arguments=(sizes,), attributes={"axis": axis})
ALL = slice(None)
for shape, index in (((5,), 2), ((5,), -1), ((5,), slice(1, 4)), ((5,), slice(None, None, -1)), ((5,), slice(4, 0, -2)),
                     ((5,), slice(3, 3)), ((17,), slice(1, None, 3)), ((4, 3), 1), ((4, 3), (ALL, 1)),
                     ((4, 3), (2, slice(None, None, 2))), ((4, 3), (slice(1, 3), slice(0, 2))), ((4, 3), (..., -1)),
                     ((4, 3), (None, 1)), ((4, 3), (ALL, None, ALL)), ((2, 3, 4), (0, ..., 0)), ((2, 3, 4), (1, 2, 3)),
                     ((2, 3, 4), ...), ((2, 3, 2, 3, 2), (ALL, 1, slice(None, None, -1), slice(0, 2), 0)),
                     ((), ()), ((4, 3), slice(-100, 100)), ((4, 3), slice(10, 20)), ((0, 3), (ALL, 1)),
                     ((4, 3), (-4, -3))):
    case("slice", uniform(shape), arguments=(index,))
for shape, widths in (((3,), ((1, 2),)), ((2, 3), ((0, 0), (1, 1))), ((2, 3), ((1, 0), (0, 2))), ((17,), ((0, 16),)),
                      ((2, 3, 2), ((1, 1), (0, 0), (2, 1))), ((0, 2), ((1, 1), (0, 1))), ((2, 2), ((0, 0), (0, 0))),
                      ((1, 2, 1, 2, 1), ((1, 0), (0, 1), (1, 1), (0, 0), (0, 2)))):
    case("pad", uniform(shape), arguments=(widths,))
    case("pad", uniform(shape), arguments=(widths,), attributes={"value": -1.5})
for mode, cases in (
        ("reflect", (((4,), ((3, 3),)), ((1, 5, 3), ((0, 0), (2, 1), (0, 0))),
                     ((2, 3, 4, 2), ((0, 0), (2, 1), (1, 3), (1, 0))),
                     ((0, 2), ((0, 0), (1, 1))), ((7, 17), ((6, 0), (0, 0))), ((2, 2), ((0, 0), (0, 0))))),
        ("replicate", (((1,), ((3, 4),)), ((1, 5, 3), ((0, 0), (9, 1), (0, 0))),
                       ((2, 3, 1, 5), ((0, 0), (2, 1), (1, 3), (0, 0))),
                       ((0, 2), ((0, 0), (1, 1))))),
        ("circular", (((4,), ((4, 3),)), ((1, 5, 3), ((0, 0), (5, 1), (0, 0))),
                      ((2, 3, 1, 5), ((0, 0), (2, 1), (1, 1), (0, 0))),
                      ((1, 1, 2, 1, 3), ((0, 1), (0, 0), (1, 1), (0, 0), (3, 3)))))):
    for shape, widths in cases:
        case("pad", uniform(shape), arguments=(widths, mode))
for shape, index, axis in (((5,), (3,), 0), ((5, 3), (7,), 0), ((5, 3), (4,), 1), ((4, 17), (33,), 0),
                           ((3, 5, 2), (2, 3), 1), ((3, 5, 2), (4,), -1), ((5,), (0,), 0), ((5,), (), 0),
                           ((2, 3, 4), (), 1), ((5, 0), (3,), 0)):
    n = shape[axis]
    case("take", uniform(shape), integers(index, -n, n), attributes={"axis": axis}, gradient_terms=2 * size(index) + 1)
