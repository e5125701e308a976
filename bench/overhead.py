"""overhead: what the smallest calls cost, where nothing but the way from Python to the kernel and back counts."""
from .case import Case, Figure

CALLS = ("add of 4", "matmul 4x4", "tensor from a list of 4", "linear 1x4 -> 4", "forward 4-8-8-2", "forward and backward 4-8-8-2",
         "adam step 4-8-8-2")


def cases(quick):
    return [Case(name, "overhead", {"name": name}, tolerance=None) for name in CALLS]


FIGURES = [Figure("beyond the issue: the smallest calls, never slower than any peer", 1.0, ("torch", "numpy", "jax"), ("",))]
