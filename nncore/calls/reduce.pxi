# Sums, extremes and their places, over any axes.

# Which axes: a bit mask, from None (all), an int, or a sequence of ints.
cdef int axes_mask(Array x, object axes, str name) except -1:
    cdef int mask = 0, d
    if axes is None:
        return (1 << x.v.nd) - 1
    if not isinstance(axes, (tuple, list)):
        return 1 << axis_of(x, axes, name)
    for axis in axes:
        d = axis_of(x, axis, name)
        if mask >> d & 1:
            raise ValueError(f"{name}: axis {axis} is named twice in {tuple(axes)}")
        mask |= 1 << d
    return mask


# x with the axes of the mask in one run: o, r, i are the sizes before, in and after it. Permutes where they are apart.
cdef Array gather_axes(Array x, int mask, int64_t *o, int64_t *r, int64_t *i):
    cdef int d, first = 0, last, nd = x.v.nd
    if mask == 0:
        o[0] = nn_count(&x.v)
        r[0] = 1
        i[0] = 1
        return x
    while not mask >> first & 1:
        first += 1
    last = first
    while mask >> last & 1:
        last += 1
    for d in range(nd):   # axes of size 1 may join anything
        if d >= last and mask >> d & 1:
            order = [d for d in range(nd) if not mask >> d & 1] + [d for d in range(nd) if mask >> d & 1]
            i[0] = 1
            r[0] = 1
            for d in range(nd):
                if mask >> d & 1:
                    r[0] *= x.v.n[d]
            o[0] = 1
            for d in range(nd):
                if not mask >> d & 1:
                    o[0] *= x.v.n[d]
            return permute(x, order)
    o[0] = extent(&x.v, 0, first)
    r[0] = extent(&x.v, first, last)
    i[0] = extent(&x.v, last, nd)
    return x


# The shape that is left when the axes of the mask are gone, or kept with size 1.
cdef void reduced_shape(nn_view *y, const nn_view *x, int mask, bint keepdims) noexcept:
    cdef int d, nd = 0
    for d in range(x.nd):
        if not mask >> d & 1:
            y.n[nd] = x.n[d]
            nd += 1
        elif keepdims:
            y.n[nd] = 1
            nd += 1
    y.nd = <uint8_t>nd
    y.dtype = NN_F32
    y.buf = 0


cdef Array call_reduce(int kind, Array x, int mask, bint keepdims, str name):
    cdef nn_view shape
    cdef nn_call c
    cdef int64_t o, r, i
    need_float(x, name)
    reduced_shape(&shape, &x.v, mask, keepdims)
    x = gather_axes(x, mask, &o, &r, &i)
    if r == 0 and kind >= NN_MAX and o * i > 0:
        raise ValueError(f"{name}: nothing to compare in shape {x.shape}")
    cdef Array y = allocate(&shape)
    begin(&c, NN_OP_reduce, 1)
    operand2(&c, y, o, i)
    operand3(&c, x, o, r, i)
    c.a.i[0] = kind
    run(&c, nn_count(&x.v))
    return y


def reduce(str kind, Array x, axes=None, bint keepdims=False):
    """Sum, mean, max or min over axes (None: all)."""
    cdef int code = NN_SUM if kind == "sum" else NN_MEAN if kind == "mean" else NN_MAX if kind == "max" else NN_MIN
    return call_reduce(code, x, axes_mask(x, axes, kind), keepdims, kind)


def var(Array x, axes, bint keepdims, int64_t correction):
    """Mean squared distance from the mean, over axes; the divisor is the number of elements less the correction."""
    cdef int mask = axes_mask(x, axes, "var")
    cdef nn_view shape
    cdef nn_call c
    cdef int64_t o, r, i
    need_float(x, "var")
    reduced_shape(&shape, &x.v, mask, keepdims)
    x = gather_axes(x, mask, &o, &r, &i)
    cdef Array y = allocate(&shape)
    begin(&c, NN_OP_var, 1)
    operand2(&c, y, o, i)
    operand3(&c, x, o, r, i)
    c.a.i[0] = correction
    run(&c, nn_count(&x.v) * 2)
    return y


def argmax(Array x, axis, bint keepdims, bint smallest=False):
    """Index of the largest (or smallest) element along an axis (None: in the flattened array), as int64."""
    cdef str name = "argmin" if smallest else "argmax"
    cdef int mask = axes_mask(x, axis, name)
    cdef nn_view shape
    cdef nn_call c
    cdef int64_t o, r, i
    need_float(x, name)
    reduced_shape(&shape, &x.v, mask, keepdims)
    shape.dtype = NN_I64
    x = gather_axes(x, mask, &o, &r, &i)
    if r == 0 and o * i > 0:
        raise ValueError(f"{name}: nothing to compare in shape {x.shape}")
    cdef Array y = allocate(&shape)
    begin(&c, NN_OP_argmax, 1)
    operand2(&c, y, o, i)
    operand3(&c, x, o, r, i)
    c.a.i[0] = NN_MIN if smallest else NN_MAX
    run(&c, nn_count(&x.v))
    return y


# `to` (+)= g summed over all axes but the last.
cdef int sum_rows(Array to, Array g, bint accumulate) except -1:
    cdef nn_call c
    cdef int64_t i = g.v.n[g.v.nd - 1], r = extent(&g.v, 0, g.v.nd - 1)
    begin(&c, NN_OP_reduce, 1)
    operand2(&c, to, 1, i)
    operand3(&c, g, 1, r, i)
    c.a.i[0] = NN_SUM
    c.flags = NN_ACC if accumulate else 0
    run(&c, nn_count(&g.v))
    return 0


# g summed over the axes that were broadcast from `shape`.
cdef Array sum_to(Array g, const nn_view *shape):
    cdef int mask = 0, d, lead = g.v.nd - shape.nd
    cdef bint fits = lead >= 0
    for d in range(g.v.nd):
        if d < lead or (lead >= 0 and shape.n[d - lead] == 1 and g.v.n[d] != 1):
            mask |= 1 << d
        elif lead >= 0 and g.v.n[d] != shape.n[d - lead]:
            fits = False
    if not fits:
        raise ValueError(f"backward: a gradient of shape {g.shape} does not fit a tensor of shape {shape_of(shape)}")
    return view(call_reduce(NN_SUM, g, mask, True, "sum"), shape, 0)


cdef int call_norm(Array y, list arrays) except -1:
    cdef nn_call c
    cdef int64_t work = 0
    begin(&c, NN_OP_norm, 1)
    operand(&c, y)
    for x in arrays:
        need_float(<Array>x, "norm")
        operand(&c, <Array>x)
        work += nn_count(&(<Array>x).v)
    run(&c, work)
    return 0


def norm(list arrays):
    """Euclidean norm of all elements of all arrays together, as an Array of shape (1,)."""
    cdef Array y = allocate1(NN_F32, 1), parts
    cdef Py_ssize_t i, most = NN_MAX_VIEWS - 1
    while len(arrays) > most:   # norms of groups, then the norm of those
        parts = allocate1(NN_F32, (len(arrays) + most - 1) // most)
        for i in range(0, len(arrays), most):
            call_norm(flat_slice(parts, i // most, 1), arrays[i:i + most])
        arrays = [flat_slice(parts, i, min(most, parts.v.n[0] - i)) for i in range(0, parts.v.n[0], most)] \
            if parts.v.n[0] > most else [parts]
    call_norm(y, arrays)
    return y
