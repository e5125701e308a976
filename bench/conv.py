"""conv: single layers, each forward, input gradient and weight gradient; pools and batch norm, forward and backward.

Images are in each engine's own order: features last in nncore and JAX, both orders in PyTorch. Shares of the limit
count the multiply-adds of the direct method, so Winograd's may exceed 1; where channels do not mix, the limit is a
plain pass over the images that are read and written, as those have little arithmetic.
"""
from math import prod

from .case import Case, Figure

SQUARE3 = ((128, 32, 16, 16), (128, 16, 32, 32), (128, 8, 64, 64), (64, 16, 64, 128), (64, 8, 256, 256),
           (64, 4, 512, 512), (32, 28, 32, 32))   # batch, map, channels in, out
OTHERS = {  # batch, h, w, channels in, out, window, stride, padding, groups
    "1x1": (64, 16, 16, 128, 256, (1, 1), 1, 0, 1), "1x1, 64 channels": (32, 28, 28, 64, 64, (1, 1), 1, 0, 1),
    "5x5": (32, 28, 28, 32, 64, (5, 5), 1, 2, 1), "7x7 stride 2": (8, 112, 112, 3, 64, (7, 7), 2, 3, 1),
    "3x3 stride 2, narrow": (64, 32, 32, 16, 32, (3, 3), 2, 1, 1),
    "3x3 stride 2": (64, 16, 16, 64, 128, (3, 3), 2, 1, 1),
    "first layer, 1 channel": (64, 28, 28, 1, 32, (3, 3), 1, 0, 1),
    "first layer, 3 channels": (64, 32, 32, 3, 64, (3, 3), 1, 1, 1),
    "1-D": (64, 1, 256, 32, 64, (1, 5), 1, (0, 2), 1),
}
DEPTHWISE = {"64 channels": (32, 32, 32, 64, 64, (3, 3), 1, 1, 64),
             "128 channels": (32, 16, 16, 128, 128, (3, 3), 1, 1, 128),
             "stride 2": (32, 32, 32, 64, 64, (3, 3), 2, 1, 64)}
POOLS = (("max", (64, 28, 28, 32), 2, 2, 0), ("max", (128, 32, 32, 16), 2, 2, 0), ("max", (32, 56, 56, 64), 3, 2, 1),
         ("avg", (64, 28, 28, 32), 2, 2, 0), ("avg", (128, 32, 32, 16), 2, 2, 0))
NORMS = ((128, 32, 32, 16), (128, 16, 16, 32), (64, 16, 16, 128), (64, 8, 8, 256))
PARTS = {"y": "forward", "dx": "input gradient", "dw": "weight gradient"}


def layer(name, b, h, w, c, o, window, stride, padding, groups, parts=PARTS):
    """A case for each part; padding and stride a number, or one for each axis."""
    pad, step = ((v, v) if isinstance(v, int) else v for v in (padding, stride))
    p, q = ((n + 2 * z - k) // s + 1 for n, z, k, s in zip((h, w), pad, window, step))
    flops = 2 * b * p * q * window[0] * window[1] * (c // groups) * o
    shape, x, y = f"({b}, {h}x{w}, {c}->{o})", (b, h, w, c), (b, p, q, o)
    return [Case(f"{name} {shape} {PARTS[part]}", "conv",
                 {"x": x, "w": (*window, c // groups, o), "y": y, "stride": step, "padding": pad, "groups": groups,
                  "part": part},
                 limit={"kind": "fma", "flops": flops} if groups == 1 else images(prod(x) + prod(y), part))
            for part in parts]


def images(floats, part):
    """The limit of a depthwise layer: one array read and another written, or, for a few weights, all of it read."""
    n, writes = (floats, 0) if part == "dw" else (floats // 2, 1)
    return {"kind": "stream", "n": n, "reads": 1, "writes": writes}


def cases(quick):
    found = []
    for b, n, c, o in SQUARE3:
        found += layer("3x3", b, n, n, c, o, (3, 3), 1, 1, 1)
    for name, settings in OTHERS.items():
        # nobody asks for the gradient of the pixels of a data set
        found += layer(name, *settings, parts=("y", "dw") if settings[3] < 4 else PARTS)
    for name, settings in DEPTHWISE.items():
        found += layer(f"depthwise, {name}", *settings)
    for kind, x, window, stride, padding in POOLS:
        found.append(Case(f"{kind} pool {window}x{window} {x}, forward and backward", "pool",
                          {"kind": kind, "x": x, "window": window, "stride": stride, "padding": padding}))
    for x in NORMS:
        found.append(Case(f"batch norm + relu {x}, forward and backward", "batch_norm", {"x": x}))
    return found[::7] if quick else found


FIGURES = [
    Figure("3x3 stride 1, each part: 1.7 x PyTorch", 1.7, ("torch",), ("3x3 (",)),
    Figure("other layers, each part: never slower than PyTorch", 1.0, ("torch",),
           tuple(f"{name} (" for name in OTHERS)),
    Figure("depthwise 3x3: 2 x PyTorch", 2.0, ("torch",), ("depthwise",)),
    Figure("pools, forward and backward: 1.5 x PyTorch", 1.5, ("torch",), ("max pool", "avg pool")),
    Figure("batch norm + ReLU, forward and backward: 1.5 x PyTorch", 1.5, ("torch",), ("batch norm",)),
    Figure("beyond the issue: everything of a convolutional network, never slower than JAX", 1.0, ("jax",), ("",)),
]
