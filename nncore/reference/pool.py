"""Pooling and upsampling of sequences x[b, t, c] and images x[b, h, w, c]: each channel for itself.

Every output position is made of positions of the input: `windows`, `shares`, `nearest` and `between` list them for one
axis, with their weights; along two axes it is all pairs, and weights multiply.
"""
import math
import struct
from itertools import product

from nncore.reference import scalar as s
from nncore.reference.array import Array, array, indices


def each(value, dims):
    """One value for every axis, from one for all or from a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value] * dims


def windows(n, kernel, stride, padding, dilation, ceil_mode):
    """For every window the positions in it, of n and of the padding, up to the padding's end."""
    span = dilation * (kernel - 1) + 1
    count = (n + 2 * padding - span) / stride + 1
    count = math.ceil(count) if ceil_mode else math.floor(count)
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1  # it would lie in the padding behind the end
    starts = [o * stride - padding for o in range(count)]
    return [[i for i in range(start, start + span, dilation) if i < n + padding] for start in starts]


def shares(n, count):
    """The positions of `count` shares of n, from the floor of where each starts to the ceiling of where it ends."""
    return [list(range(o * n // count, -(-(o + 1) * n // count))) for o in range(count)]


def pooled(x, axes, reduce):
    """y[b, o..., c] = reduce(the elements of a window that lie in x, the number of its positions). axes[d]: the lists
    of positions along axis d + 1; what is in no axis of x is padding."""
    x = array(x)
    sizes = x.shape[1:-1]
    y = []
    for b, *o, c in indices((x.shape[0], *map(len, axes), x.shape[-1])):
        places = list(product(*(lists[i] for lists, i in zip(axes, o))))
        inside = [p for p in places if all(0 <= i < n for i, n in zip(p, sizes))]
        y.append(reduce([x[(b, *p, c)] for p in inside], len(places)))
    return Array((x.shape[0], *map(len, axes), x.shape[-1]), y)


def largest(elements, _):
    """The first of the largest, or the last NaN."""
    best = -math.inf
    for i, a in enumerate(elements):
        if i == 0 or a > best or s.isnan(a):
            best = a
    return best


def total(elements):
    t = 0.0
    for a in elements:
        t = t + a
    return t


def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """y[b, o, c] = max of x[b, o stride - padding + k dilation, c] over k < kernel_size, and so for two axes."""
    x = array(x)
    dims = len(x.shape) - 2
    settings = zip(x.shape[1:-1], each(kernel_size, dims), each(kernel_size if stride is None else stride, dims),
                   each(padding, dims), each(dilation, dims))
    return pooled(x, [windows(*axis, ceil_mode) for axis in settings], largest)


def avg_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """y[b, o, c] = mean of x[b, o stride - padding + k, c] over k < kernel_size, where padding is 0 or does not
    count."""
    x = array(x)
    dims = len(x.shape) - 2
    settings = zip(x.shape[1:-1], each(kernel_size, dims), each(kernel_size if stride is None else stride, dims),
                   each(padding, dims))

    def mean(elements, places):
        return total(elements) / (divisor_override or (places if count_include_pad else len(elements)))
    return pooled(x, [windows(*axis, 1, ceil_mode) for axis in settings], mean)


def adaptive(x, output_size, reduce):
    x = array(x)
    sizes = x.shape[1:-1]
    counts = [n if o is None else o for n, o in zip(sizes, each(output_size, len(sizes)))]
    return pooled(x, [shares(n, o) for n, o in zip(sizes, counts)], reduce)


def adaptive_max_pool(x, output_size):
    """y[b, o, c] = max of the o-th share of x[b, t, c], and so for two axes."""
    return adaptive(x, output_size, largest)


def adaptive_avg_pool(x, output_size):
    """y[b, o, c] = mean of the o-th share of x[b, t, c], and so for two axes."""
    return adaptive(x, output_size, lambda elements, _: total(elements) / len(elements))


max_pool1d = max_pool2d = max_pool
avg_pool1d = avg_pool2d = avg_pool
adaptive_max_pool1d = adaptive_max_pool2d = adaptive_max_pool
adaptive_avg_pool1d = adaptive_avg_pool2d = adaptive_avg_pool


def single(x):
    """x rounded to float32."""
    return struct.unpack("f", struct.pack("f", x))[0]


def nearest(n, count, scale):
    """Position floor(o * step), computed in float32 as PyTorch does: which position it is depends on that."""
    step = single(1 / scale if scale else n / count)
    return [[(min(math.floor(single(o * step)), n - 1), 1.0)] for o in range(count)]


def between(n, count, scale, align_corners):
    """The two neighbours of a position between them, by their distance; one, where it is a position itself or
    outside."""
    lists = []
    for o in range(count):
        if align_corners:
            at = o * (n - 1) / (count - 1) if count > 1 else 0.0
        else:
            at = min(max((o + 0.5) * (1 / scale if scale else n / count) - 0.5, 0.0), n - 1)
        i = min(math.floor(at), n - 1)
        lists.append([(i, 1.0)] if at == i else [(i, 1 - (at - i)), (i + 1, at - i)])
    return lists


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """y[b, o, c] = sum of weight * x[b, i, c] over the (i, weight) of position o, and so for two axes."""
    x = array(x)
    sizes = x.shape[1:-1]
    scales = each(scale_factor, len(sizes))
    counts = [math.floor(n * f) for n, f in zip(sizes, scales)] if size is None else each(size, len(sizes))
    if mode != "nearest" or len(sizes) == 2:  # what keeps its size is copied, as PyTorch does
        scales = [None if n == count else f for n, count, f in zip(sizes, counts, scales)]
    axes = [nearest(*axis) if mode == "nearest" else between(*axis, align_corners)
            for axis in zip(sizes, counts, scales)]

    def element(b, o, c):
        terms = []
        for taps in product(*(lists[i] for lists, i in zip(axes, o))):
            weight = math.prod(w for _, w in taps)
            terms.append(x[(b, *(i for i, _ in taps), c)] * weight)
        return total(terms)
    shape = (x.shape[0], *counts, x.shape[-1])
    return Array(shape, (element(b, o, c) for b, *o, c in indices(shape)))
