"""Ops that move elements and do not compute: every element of the result is one of the arguments', or a constant."""
import builtins

from nncore.reference.array import Array, array, build, size


def reshape(x, shape):
    """The same elements in row-major order under another shape; one size may be -1: whatever fits."""
    x = array(x)
    shape = [shape] if isinstance(shape, int) else list(shape)
    if -1 in shape:
        known = 1
        for n in shape:
            known *= n if n != -1 else 1
        if known == 0 or size(x.shape) % known:
            raise ValueError(f"reshape: {x.shape} does not fit {shape}")
        shape[shape.index(-1)] = size(x.shape) // known
    return Array(shape, x.flat)


def permute(x, axes):
    """Axis d of the result is axis axes[d] of x: y[i0, i1, ...] = x[index], index[axes[d]] = i_d."""
    x = array(x)
    axes = [a % len(x.shape) for a in axes]

    def element(*index):
        source = [0] * len(axes)
        for d, a in enumerate(axes):
            source[a] = index[d]
        return x[tuple(source)]
    return build([x.shape[a] for a in axes], element)


def transpose(x, axis1=-2, axis2=-1):
    """Two axes exchanged: y[..., j, i] = x[..., i, j]."""
    axes = list(range(len(array(x).shape)))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return permute(x, axes)


def concat(xs, axis=0):
    """The arrays one after the other along an existing axis."""
    xs = [array(x) for x in xs]
    axis %= len(xs[0].shape)
    ends, n = [], 0
    for x in xs:
        n += x.shape[axis]
        ends.append(n)

    def element(*index):
        which = next(k for k, end in enumerate(ends) if index[axis] < end)
        start = ends[which] - xs[which].shape[axis]
        return xs[which][index[:axis] + (index[axis] - start,) + index[axis + 1:]]
    return build(xs[0].shape[:axis] + (n,) + xs[0].shape[axis + 1:], element)


def stack(xs, axis=0):
    """The arrays, of one shape, along a new axis."""
    xs = [array(x) for x in xs]
    shape = xs[0].shape
    axis %= len(shape) + 1
    return build(shape[:axis] + (len(xs),) + shape[axis:],
                 lambda *index: xs[index[axis]][index[:axis] + index[axis + 1:]])


def slice(x, index):
    """x[index] as NumPy has it, for a tuple of integers, slices, None and one Ellipsis."""
    x = array(x)
    index = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in index:
        index.append(Ellipsis)
    at = index.index(Ellipsis)
    used = len([i for i in index if i is not None and i is not Ellipsis])
    index[at:at + 1] = [builtins.slice(None)] * (len(x.shape) - used)
    shape, sources, axis = [], [], 0  # sources[d]: which elements of axis d; an integer where the axis goes away
    for i in index:
        if i is None:
            shape.append(1)
            continue
        n = x.shape[axis]
        if isinstance(i, int):
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of range for size {n}")
            sources.append(i % n)
        else:
            sources.append(range(n)[i])
            shape.append(len(sources[-1]))
        axis += 1

    def element(*index):
        kept = iter([i for i, n in zip(index, kinds) if n])
        return x[tuple(s if isinstance(s, int) else s[next(kept)] for s in sources)]
    kinds = [i is not None for i in index if not isinstance(i, int)]
    return build(shape, element)


def split(x, sizes, axis=0):
    """A list of pieces along an axis: of the sizes given, or all of one size, the last one smaller if need be."""
    x = array(x)
    axis %= len(x.shape)
    n = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, n - start) for start in range(0, n, sizes)] or [0]
    pieces, start = [], 0
    for width in sizes:
        pieces.append(slice(x, (builtins.slice(None),) * axis + (builtins.slice(start, start + width),)))
        start += width
    return pieces


def pad(x, widths, mode="constant", value=0.0):
    """x with a border: widths[d] = (before, after) on axis d. Beyond x lies `value`, its mirror image, its last element
    over and over, or x again."""
    x = array(x)

    def within(i, n):
        if 0 <= i < n or mode == "constant":
            return i
        if mode == "reflect":  # there and back is 2 n - 2 steps
            return (n - 1) - builtins.abs((n - 1) - i % (2 * n - 2))
        return i % n if mode == "circular" else min(max(i, 0), n - 1)

    def element(*index):
        source = tuple(within(i - before, n) for i, (before, _), n in zip(index, widths, x.shape))
        return x[source] if all(0 <= i < n for i, n in zip(source, x.shape)) else value
    return build([n + before + after for n, (before, after) in zip(x.shape, widths)], element)


def take(x, index, axis=0):
    """y[o, j..., i] = x[o, index[j...], i]; a negative index counts from the end."""
    x, index = array(x), array(index)
    axis %= len(x.shape)
    n, dims = x.shape[axis], len(index.shape)
    for j in index.flat:
        if not -n <= j < n:
            raise IndexError(f"take: index {j} is out of range for size {n}")
    return build(x.shape[:axis] + index.shape + x.shape[axis + 1:],
                 lambda *i: x[i[:axis] + (index[i[axis:axis + dims]] % n,) + i[axis + dims:]])

