"""Sequences x[b, t, c] and images x[b, h, w, c] in another size."""
import math

from .._core import RESAMPLE, as_float, resample
from .pool import as_images, recorded, resample_grad, sizes

__all__ = ["interpolate"]

MODES = {"nearest": (1, 2), "linear": (1,), "bilinear": (2,)}  # and the axes they are for


def check_mode(mode, align_corners, name):
    """Whether these settings make sense together."""
    if mode not in MODES:
        raise ValueError(f"{name}: mode is one of {', '.join(MODES)}, not {mode!r}")
    if align_corners is not None and mode == "nearest":
        raise ValueError(f"{name}: align_corners is for linear and bilinear, not for nearest")


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """y = x at `size` positions, or at scale_factor times as many, rounded down; one of the two is given.

    x: (batch, time, channels) or (batch, height, width, channels); size and scale_factor: a number, or one for each
    axis.
    "nearest": position o is x's at floor(o * step), step = size of x / size of y, or 1 / scale_factor where that is
    given.
    "linear" (sequences) and "bilinear" (images): between the neighbours of (o + 1/2) step - 1/2, or of o step with
    align_corners=True, where step is such that the first and the last positions of x and y are the same.
    An axis of an image, and of a sequence with "linear", that keeps its size under scale_factor is copied.
    Raises ValueError for modes and shapes that do not go together, and for sizes below 1. As PyTorch's.
    """
    name = "interpolate"
    check_mode(mode, align_corners, name)
    x = as_float(x)
    shape = x.array.shape
    dims = len(shape) - 2
    if dims not in MODES[mode]:
        wanted = " or ".join(f"{d + 2} axes" for d in MODES[mode])
        raise ValueError(f"{name}: mode {mode!r} takes {wanted}, got shape {shape}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: either size or scale_factor is given")
    images, shape = as_images(x, dims, name)
    before = shape[1:-1]
    if size is not None:
        size = sizes(size, dims, 1, name, "size")
        steps = [n / o for n, o in zip(before, size)]
    else:
        factors = _factors(scale_factor, dims, name)
        size = tuple(math.floor(n * f) for n, f in zip(before, factors))
        if min(size) < 1 or max(size) >= 2**31:
            raise ValueError(f"{name}: scale_factor {scale_factor} makes {size} of shape {shape}")
        # PyTorch copies an axis that keeps its size, whatever the factor, but for nearest of sequences
        formula = dims == 1 and mode == "nearest"
        steps = [1 / f if formula or n != o else 1.0 for f, n, o in zip(factors, before, size)]
    if align_corners:
        steps = [(n - 1) / (o - 1) if o > 1 else 0.0 for n, o in zip(before, size)]
    kind = RESAMPLE["nearest" if mode == "nearest" else "linear corners" if align_corners else "linear"]
    lead = 2 - dims
    how = kind, (1.0,) * lead + tuple(steps), 0
    return recorded(x, resample(images, (1,) * lead + size, *how), dims, resample_grad, how)


def _factors(value, dims, name):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    try:
        factors = tuple(1.0 * f for f in values)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: scale_factor {value!r} is no number") from None
    if len(factors) != dims or not all(0 < f < math.inf for f in factors):
        raise ValueError(f"{name}: scale_factor is a positive number or {dims} of them, not {value!r}")
    return factors
