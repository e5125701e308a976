"""What a case is, and the numbers that cases are made of. The package's head explains the tolerances."""
import math
import random
import struct
from dataclasses import dataclass

from nncore.reference.array import Array, array, size

EPS = 2.0**-24   # the largest relative error of one rounding to float32
FACTORS = 12     # roundings in the gradient of an elementwise function: a formula of about six operations, doubled
NAN, INF = math.nan, math.inf


class Integers(Array):
    """Reaches the engine as int64."""


class Booleans(Array):
    """Reaches the engine as bool."""


@dataclass
class Case:
    """op(*inputs, *arguments, **attributes), with the gradients of the inputs in `wanted`."""
    op: str
    inputs: list
    arguments: tuple = ()
    attributes: dict = None
    wanted: tuple = (0,)
    ulps: float = 0
    terms: float = 0
    gradient_terms: float = FACTORS
    listed: bool = False   # the op takes its inputs as one list
    note: str = ""

    def __str__(self):
        shapes = ",".join("x".join(map(str, array(x).shape)) or "scalar" for x in self.inputs if x is not None)
        more = [str(a).replace(" ", "") for a in self.arguments]
        more += [f"{k}={str(v).replace(' ', '')}"[:40] for k, v in (self.attributes or {}).items()]
        return "-".join([self.op, shapes, *more, *([self.note] if self.note else [])])


def rounded(x):
    """x as the nearest float32."""
    return struct.unpack("f", struct.pack("f", x))[0]


def uniform(shape, low=-2.0, high=2.0, avoid=(), seed=0):
    """Numbers of float32 between low and high, further than 0.05 from those in `avoid`."""
    rng = random.Random(f"{shape} {low} {high} {seed}")

    def draw():
        while True:
            x = rng.uniform(low, high)
            if all(abs(x - kink) > 0.05 for kink in avoid):
                return rounded(x)
    return Array(shape, (draw() for _ in range(size(shape))))


def integers(shape, low, high, seed=0):
    """Whole numbers, low <= i < high."""
    rng = random.Random(f"{shape} {low} {high} {seed}")
    return Integers(shape, (rng.randrange(low, high) for _ in range(size(shape))))


def probabilities(shape, seed=0):
    """Rows that add up to 1."""
    x = uniform(shape, 0.05, 1.0, seed=seed)
    c = shape[-1]
    return Array(shape, (rounded(a / sum(x.flat[i // c * c:i // c * c + c])) for i, a in enumerate(x.flat)))


CASES = []


def case(op, *inputs, **fields):
    CASES.append(Case(op, list(inputs), **fields))
