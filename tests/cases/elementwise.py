"""Functions of one, two and three elements."""
from dataclasses import dataclass

from nncore.reference.array import Array, broadcast_shape, size

from .case import FACTORS, INF, NAN, Booleans, case, integers, rounded, uniform

# ---- functions of one element ----------------------------------------------------------------------------------------

@dataclass
class Unary:
    low: float = -3.0        # where gradients are checked
    high: float = 3.0
    kinks: tuple = ()
    points: tuple = ()       # more arguments of the forward function: its whole range
    arguments: tuple = ()
    ulps: float = 2


SIZES = [0, 1, 3, 15, 16, 17, 31, 32, 33, 67]
WIDE = tuple(sign * m * 10.0**e for e in range(-36, 38, 2) for m in (1.0, 3.7) for sign in (1, -1))
MIDDLE = tuple(i / 16 + 1 / 97 for i in range(-320, 321))
UNARIES = {
    "neg": Unary(points=WIDE, ulps=0), "abs": Unary(kinks=(0,), points=WIDE, ulps=0),
    "sqrt": Unary(0.1, 4, points=WIDE, ulps=0.5), "exp": Unary(points=tuple(i / 7 for i in range(-730, 640)) + WIDE),
    "log": Unary(0.1, 4, points=WIDE + tuple(1 + i / 512 for i in range(-200, 200))),
    "clip": Unary(kinks=(-1, 1.5), arguments=(-1.0, 1.5), points=WIDE, ulps=0.5),
    "step": Unary(kinks=(0,), points=WIDE, ulps=0), "relu": Unary(kinks=(0,), points=WIDE, ulps=0),
    "leaky_relu": Unary(kinks=(0,), points=WIDE, ulps=1.5), "elu": Unary(kinks=(0,), points=MIDDLE + WIDE, ulps=2.5),
    "gelu": Unary(points=MIDDLE[200:] + (1e4, -1e4, 1e30, -1e30, 1e-20)), "silu": Unary(points=MIDDLE + WIDE),
    "sigmoid": Unary(points=MIDDLE + WIDE), "tanh": Unary(points=MIDDLE + WIDE),
    "softplus": Unary(points=MIDDLE + WIDE),
}
for name, u in UNARIES.items():
    for n in SIZES:
        case(name, uniform((n,), u.low, u.high, u.kinks), arguments=u.arguments, ulps=u.ulps)
    for shape in ((), (2, 3, 5), (1, 1, 2, 1, 7)):
        case(name, uniform(shape, u.low, u.high, u.kinks), arguments=u.arguments, ulps=u.ulps)
    case(name, Array((len(u.points),), map(rounded, u.points)), arguments=u.arguments, ulps=u.ulps, wanted=(),
         note="range")
    infinite = (INF,) if name in ("gelu", "silu") else (INF, -INF)  # theirs at -inf is inf * 0 in other engines
    case(name, Array((len(infinite) + 2,), (NAN, *infinite, 0.5)), arguments=u.arguments, ulps=u.ulps, wanted=(),
         note="nan,inf")
    if u.kinks:
        case(name, Array((2 * len(u.kinks),), [k for kink in u.kinks for k in (float(kink), -float(kink))]),
             arguments=u.arguments, ulps=u.ulps, note="kink")
for name in ("exp", "sigmoid", "tanh", "softplus"):
    case(name, Array((5,), (-1e4, -90.0, 20.0, 85.0, 0.0)), ulps=2, note="saturated")
case("clip", uniform((17,)), attributes={"min": -0.5}, ulps=0)
case("clip", uniform((17,)), attributes={"max": 0.5}, ulps=0)
for slope in (0.0, 0.3, 1.0):
    case("leaky_relu", uniform((17,), avoid=(0,)), arguments=(slope,), ulps=1.5)
for alpha in (0.5, 2.0):
    case("elu", uniform((17,), avoid=(0,)), arguments=(alpha,), ulps=2.5)
for n in (1, 17, 33):
    case("gelu", uniform((n,), -3, 3), attributes={"approximate": "tanh"}, ulps=3)
case("gelu", Array((7,), (-1e4, -20.0, -9.0, -1e-3, 0.0, 9.0, 1e4)), attributes={"approximate": "tanh"}, wanted=(),
     terms=4)

# ---- functions of two or three elements ------------------------------------------------------------------------------

BROADCASTS = [
    ((), ()), ((1,), (17,)), ((33,), (33,)), ((3,), ()), ((), (2, 3)), ((16, 17), (16, 1)), ((16, 17), (1, 17)),
    ((2, 3, 4), (4,)), ((4,), (2, 3, 4)), ((2, 3, 1), (1, 3, 5)), ((2, 1, 4), (3, 1)), ((5, 1), (1, 7)),
    ((2, 1, 3, 1, 2), (1, 2, 1, 4, 1)), ((1, 1, 1, 1, 1), (2,)), ((0,), (1,)), ((0, 3), (3,)), ((0, 1), (1, 5)),
    ((2, 3, 4, 5, 2), (3, 1, 5, 1)), ((67,), (1,)), ((31, 1), (31, 3)),
]
BINARIES = {"add": (-2, 2), "sub": (-2, 2), "mul": (-2, 2), "div": (0.5, 2), "pow": (0.3, 2.5), "maximum": (-2, 2),
            "minimum": (-2, 2)}


def summed(x, y):
    """How many elements of the result share an element of the input that is broadcast most: terms of its gradient."""
    z = size(broadcast_shape(x, y))
    return max(1, z // max(1, min(size(x), size(y))))


for name, (low, high) in BINARIES.items():
    for x, y in BROADCASTS:
        case(name, uniform(x, low, high), uniform(y, low, high, seed=1), wanted=(0, 1),
             ulps=2 if name == "pow" else 0.5, gradient_terms=FACTORS + 4 * summed(x, y))
specials = [(a, b) for a in (NAN, INF, -INF, 0.0, -0.0, 2.0, -3.0) for b in (NAN, INF, -INF, 0.0, 0.5, 3.0, -2.0)]
for name in (*BINARIES, "eq", "ne", "lt", "le", "gt", "ge"):
    case(name, Array((49,), (a for a, _ in specials)), Array((49,), (b for _, b in specials)), wanted=(),
         ulps=2 if name == "pow" else 0.5, note="nan,inf")
for name in ("maximum", "minimum"):
    case(name, Array((5,), (1.0, 2.0, 0.0, -3.0, 4.0)), Array((5,), (1.0, 1.0, -0.0, -3.0, 5.0)), wanted=(0, 1),
         note="ties")
    case(name, Array((2, 2), (1.0, 2.0, 2.0, 0.0)), Array((), (2.0,)), wanted=(0, 1), note="ties")
for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    for x, y in BROADCASTS[:12]:
        case(name, integers(x, 0, 3), integers(y, 0, 3, seed=1), wanted=())
case("pow", Array((6,), (0.0, -2.0, -1.5, 0.0, 3.0, 0.0)), Array((6,), (2.0, 3.0, 2.0, 1.0, 0.0, 0.0)), ulps=2,
     note="integer")
case("pow", Array((5,), (0.0, 1.0, 2.0, 0.0, 0.0)), Array((5,), (2.0, 0.0, -1.0, 0.5, 0.0)), wanted=(1,), ulps=2,
     note="edge")
case("pow", uniform((17,), 0.01, 30), uniform((17,), -20, 20), wanted=(), ulps=2, note="range")
for c, x, y in (((), (), ()), ((17,), (17,), (17,)), ((3, 1), (1, 5), ()), ((2, 1, 3), (3,), (2, 4, 1)),
                ((), (33,), (33,)), ((0,), (1,), (1,)), ((2, 1, 2, 1, 2), (1, 3, 1, 3, 1), ())):
    condition = Booleans(c, (i > 0 for i in integers(c, 0, 2, seed=2).flat))
    case("where", condition, uniform(x), uniform(y, seed=1), wanted=(1, 2), gradient_terms=FACTORS + 4 * 54)
case("where", Booleans((2,), (True, False)), Array((2,), (1.0, NAN)), Array((2,), (INF, 2.0)), wanted=(1, 2),
     note="nan")
