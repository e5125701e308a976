"""How a result of the engine is judged: see cases/__init__.py for what the tolerances mean."""
import numpy as np

from cases import EPS, Booleans, Integers
from nncore.reference import array

FLT_MAX = float(np.finfo("f4").max)
FLT_MIN = float(np.finfo("f4").tiny)  # below it kernels may flush to 0


def to_numpy(x):
    """A reference Array as the NumPy array the engine is given."""
    dtype = "i8" if isinstance(x, Integers) else "?" if isinstance(x, Booleans) else "f4"
    return np.array(x.flat, dtype=dtype).reshape(x.shape)


def assert_close(got, expected, ulps=0.0, terms=0.0, what="result"):
    """`got`, a NumPy array, is `expected`, an Array or nested lists of Python floats, up to the tolerance."""
    expected = array(expected)
    assert tuple(got.shape) == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    e = np.array(expected.flat, dtype="f8").reshape(expected.shape)
    r = got.astype("f8")
    with np.errstate(all="ignore"):
        e[np.abs(e) >= FLT_MAX * (1 + EPS)] *= np.inf  # what float32 cannot hold
        finite = np.isfinite(e)
        largest = np.abs(e[finite]).max(initial=1.0)
        tolerance = ulps * np.spacing(np.abs(np.where(finite, e, 0)).astype("f4")).astype("f8") + EPS * terms * largest
        flushed = (np.abs(e) < FLT_MIN) & (r == 0)
        error = np.abs(r - e)
        good = np.where(finite, (error <= tolerance) | flushed, (r == e) | (np.isnan(r) & np.isnan(e)))
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        with np.errstate(all="ignore"):
            worst = float(np.nanmax(np.where(good, 0, error / np.maximum(tolerance, 1e-300)), initial=0))
        raise AssertionError(f"{what}[{at}] is {r[at]!r}, expected {e[at]!r}; error {error[at]:.3g}, allowed "
                             f"{tolerance[at]:.3g}; {int((~good).sum())} of {good.size} wrong, worst {worst:.3g} times "
                             "the allowed error")
