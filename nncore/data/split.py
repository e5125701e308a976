"""Dividing samples at random into those a model learns from and those that tell how well it does."""
import numpy as np

from .datasets import Samples


def split(inputs, targets, fraction=0.1, seed=0):
    """Divides the samples at random: returns (Samples, Samples), the second with `fraction` of them.

    Both are copies. Where the data are too large for that, `split_rows` gives the row numbers for `DataLoader(rows=)`.
    """
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets):
        raise ValueError(f"split: inputs {inputs.shape} and targets {targets.shape} differ in length")
    first, second = split_rows(len(inputs), fraction, seed)
    return Samples(inputs[first], targets[first]), Samples(inputs[second], targets[second])


def split_rows(count, fraction=0.1, seed=0):
    """Divides the row numbers 0 .. count - 1 at random: returns two sorted int64 arrays, the second with `fraction`.

    The same count, fraction and seed give the same parts. Raises ValueError when one part would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"split: fraction {fraction} is not between 0 and 1")
    held = round(count * fraction)
    if not 0 < held < count:
        raise ValueError(f"split: {fraction} of {count} samples leaves a part empty")
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def row_numbers(rows, count, what):
    """The row numbers that `rows`, numbers or a mask of bools, selects of `count` rows: an int64 array of its own.

    what: the name that errors begin with.
    """
    rows = np.asarray(rows)
    if rows.dtype.kind == "b":
        if rows.shape != (count,):
            raise ValueError(f"{what}: the mask rows {rows.shape} does not fit {count} samples")
        rows = np.flatnonzero(rows)
    if rows.ndim != 1:
        raise ValueError(f"{what}: rows {rows.shape} are neither a list of row numbers nor a mask")
    if not rows.size:
        raise ValueError(f"{what}: rows selects no samples")
    if rows.dtype.kind not in "iu":
        raise TypeError(f"{what}: rows of dtype {rows.dtype} are neither integers nor bools")
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(f"{what}: rows {rows.min()} to {rows.max()} are not all within 0 to {count - 1}")
    return np.array(rows, np.int64, order="C")
