"""Dropout, for a given choice of what is dropped: which elements that are is the business of the random numbers."""
from nncore.reference.array import Array, array


def dropout(x, p, kept):
    """y[...] = x[...] / (1 - p) where kept[...], else 0. Srivastava et al. 2014."""
    x, kept = array(x), array(kept)
    return Array(x.shape, (a / (1 - p) if k else 0.0 for a, k in zip(x.flat, kept.flat)))
