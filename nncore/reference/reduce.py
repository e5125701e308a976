"""Reductions over any axes: y[o, i] = f of x[o, r, i] over all r, for one axis; for several, over all their indices.

`axis` is None (all axes), one axis or several, which may count from the end; keepdims leaves axes of size 1 in their
place. The extreme of nothing is an error; the mean and the variance of nothing are NaN.
"""
import builtins

from nncore.reference import scalar as s
from nncore.reference.array import Array, array, axes_of, indices, size


def groups(x, axis, keepdims):
    """The shape of the result and, for each of its elements, the list of the elements of x that it is made of."""
    axes = axes_of(axis, len(x.shape))
    kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    members = {index: [] for index in indices(kept)}
    for index, element in zip(indices(x.shape), x.flat):
        members[tuple(0 if d in axes else i for d, i in enumerate(index))].append(element)
    shape = kept if keepdims else tuple(n for d, n in enumerate(x.shape) if d not in axes)
    return shape, members.values()


def reduction(f):
    """The function of arrays that applies f to the list of elements that are reduced to one."""
    def apply(x, axis=None, keepdims=False, **attributes):
        shape, members = groups(array(x), axis, keepdims)
        return Array(shape, (f(group, **attributes) for group in members))
    apply.__name__, apply.__doc__ = f.__name__, f.__doc__
    return apply


def total(numbers):
    t = 0.0
    for x in numbers:
        t = t + x
    return t


@reduction
def sum(group):
    return total(group)


@reduction
def mean(group):
    return s.div(total(group), len(group))


@reduction
def max(group):
    """The largest; NaN if there is one. Equal largest elements share the gradient evenly."""
    return extreme(group, lambda x, y: x > y, "max")


@reduction
def min(group):
    """The smallest; NaN if there is one. Equal smallest elements share the gradient evenly."""
    return extreme(group, lambda x, y: x < y, "min")


def extreme(group, beats, name):
    if not group:
        raise ValueError(f"{name} of no elements")
    best = group[0]
    for x in group:
        if s.isnan(x):
            return total(group)
        if beats(x, best):
            best = x
    ties = [x for x in group if x == best]
    return total(ties) / len(ties) if len(ties) > 1 else best


@reduction
def var(group, correction=1):
    """The sum of squared differences from the mean, divided by the number of elements less the correction."""
    n = len(group)
    average = s.div(total(group), n)
    return s.div(total((x - average) * (x - average) for x in group), builtins.max(0, n - correction))


def argmax(x, axis=None, keepdims=False):
    """The position of the largest along one axis, or in the flattened array; the first of several; a NaN counts as
    larger than anything."""
    return position(x, axis, keepdims, lambda x, y: x > y, "argmax")


def argmin(x, axis=None, keepdims=False):
    """The position of the smallest, as argmax; a NaN counts as smaller than anything."""
    return position(x, axis, keepdims, lambda x, y: x < y, "argmin")


def position(x, axis, keepdims, beats, name):
    def first(group):
        if not group:
            raise ValueError(f"{name} of no elements")
        best = 0
        for i, element in enumerate(group):
            if s.isnan(element):
                return i
            if beats(element, group[best]):
                best = i
        return best
    x = array(x)
    if size(x.shape) == 0 and not isinstance(axis, int):
        raise ValueError(f"{name} of no elements")
    shape, members = groups(x, axis, keepdims)
    return Array(shape, map(first, members))

