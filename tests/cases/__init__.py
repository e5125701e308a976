"""The table of cases: for every op the inputs, attributes and tolerances it is judged with. No engine is imported here.

Sizes are those that hurt: 0, 1, 3, one below, at and one above the vector lengths 16 and 32, primes. Inputs are seeded
and exact in float32, so that reference and engine see the same numbers; where gradients are checked they keep away from
kinks, which have cases of their own.

A result r passes for an expected e if |r - e| <= ulps * ulp(e) + EPS * terms * max(1, largest |e| of the array).
- `ulps` is for functions of single elements, whose kernels promise it: vmath.h is within 2 ulp of the true value.
- `terms` counts the roundings that may add up in one element. Inputs are of size about 1, so one rounding is worth EPS
  times the largest result; the bound is reached only if all roundings fall on one side.
Gradients are products of a few such functions with dy: FACTORS roundings, more where they are sums.

A file for each kind of op. Its cases stand in CASES once it is imported.
"""
from .case import CASES, EPS, FACTORS, Booleans, Case, Integers, case, integers, rounded, uniform
from . import elementwise, reductions, moves, products, convolutions, norms, losses, pools
from .norms import SMALL
from .products import ACTIVATIONS
