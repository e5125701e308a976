"""overhead: what the smallest calls cost, where nothing but the way from Python to the kernel and back counts."""
from .case import Case, Figure

# Each engine names its own a (4 ones), b (4x4), s (1x4), layer (4 -> 4), model (4-8-8-2, ReLU), tensor (from a list).
STATEMENTS = {
    "add of 4": "a + a",
    "matmul 4x4": "b @ b",
    "tensor from a list of 4": "tensor([1.0, 2.0, 3.0, 4.0])",
    "linear 1x4 -> 4": "layer(s)",
    "forward 4-8-8-2": "model(s)",
    "forward and backward 4-8-8-2": "model(s).sum().backward()",  # adds to .grad from the second call on
    "adam step 4-8-8-2": "step()",
}


def cases(quick):
    return [Case(name, "overhead", {"name": name}, tolerance=None) for name in STATEMENTS]


FIGURES = [Figure("beyond the issue: the smallest calls, never slower than any peer", 1.0, ("torch", "numpy", "jax"),
                  ("",))]
