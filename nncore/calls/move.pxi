# What moves elements: permutations, pieces, joins, rows by number.

def permute(Array x, axes):
    """Axis d of the result is axis axes[d] of x."""
    cdef nn_view v
    cdef nn_call c
    cdef int64_t packed = 0
    cdef int d = 0, a
    cdef bint moved = False
    v.nd = x.v.nd
    v.dtype = x.v.dtype
    v.buf = 0
    axes = tuple(axes)
    if sorted([axis_of(x, axis, "permute") for axis in axes]) != list(range(x.v.nd)):
        raise ValueError(f"permute: axes {axes} are not an order of the {x.v.nd} axes of shape {x.shape}")
    for axis in axes:
        a = axis_of(x, axis, "permute")
        v.n[d] = x.v.n[a]
        packed |= <int64_t>a << (4 * d)
        moved = moved or a != d
        d += 1
    if not moved:
        return x
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_permute, 1)
    operand(&c, y)
    operand(&c, x)
    c.a.i[0] = packed
    run(&c, nn_count(&v))
    return y


def slice_axis(Array x, dim, int64_t start, int64_t step, int64_t count):
    """y[..., j, ...] = x[..., start + j * step, ...] for j < count, along one axis."""
    cdef nn_view v = x.v
    cdef nn_call c
    cdef int axis = axis_of(x, dim, "slice")
    cdef int64_t o = extent(&x.v, 0, axis), i = extent(&x.v, axis + 1, x.v.nd), n = x.v.n[axis]
    if count and not (0 <= start < n and 0 <= start + (count - 1) * step < n):
        raise IndexError(f"slice: {count} elements from {start} by {step} do not fit axis {axis} of shape {x.shape}")
    v.n[axis] = <int32_t>count
    if (o == 1 and step == 1) or count == n and step == 1:   # already in one piece
        return view(x, &v, start * i * nn_dtype_size[x.v.dtype] if count else 0)
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_slice, 1)
    operand3(&c, y, o, count, i)
    operand3(&c, x, o, n, i)
    c.a.i[0] = start
    c.a.i[1] = step
    run(&c, nn_count(&v))
    return y


def unslice(Array y, Array x, dim, int64_t start, int64_t step=1, bint accumulate=False):
    """y[..., start + j * step, ...] = x[..., j, ...] in place, or += ; y has as many axes as x."""
    cdef nn_call c
    cdef int axis = axis_of(y, dim, "unslice")
    cdef int64_t o = extent(&y.v, 0, axis), i = extent(&y.v, axis + 1, y.v.nd), n = y.v.n[axis], count = x.v.n[axis]
    if x.v.nd != y.v.nd or x.v.dtype != y.v.dtype or o != extent(&x.v, 0, axis) or i != extent(&x.v, axis + 1, x.v.nd):
        raise ValueError(f"unslice: {x.shape} does not fit into {y.shape} along axis {axis}")
    if count and not (0 <= start < n and 0 <= start + (count - 1) * step < n):
        raise IndexError(f"unslice: {count} elements from {start} by {step} do not fit axis {axis} of shape {y.shape}")
    begin(&c, NN_OP_unslice, 1)
    operand3(&c, y, o, n, i)
    operand3(&c, x, o, count, i)
    c.a.i[0] = start
    c.a.i[1] = step
    c.flags = NN_ACC if accumulate else 0
    run(&c, nn_count(&x.v))


def take(Array x, Array index, dim=0):
    """y[o, j, i] = x[o, index[j], i]; the shape of index takes the place of the axis. Negative indices count from the
    end."""
    cdef nn_view v
    cdef nn_call c
    cdef int axis = axis_of(x, dim, "take")
    need_index(index, "take")
    if x.v.nd - 1 + index.v.nd > NN_MAX_DIMS:
        raise ValueError(f"take: {index.shape} in place of axis {axis} of {x.shape} has more than {NN_MAX_DIMS} axes")
    cdef int64_t o = extent(&x.v, 0, axis), i = extent(&x.v, axis + 1, x.v.nd), j = nn_count(&index.v)
    v.dtype = x.v.dtype
    set_shape(&v, x.shape[:axis] + index.shape + x.shape[axis + 1:])
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_take, 1)
    operand3(&c, y, o, j, i)
    operand3(&c, x, o, x.v.n[axis], i)
    operand(&c, index)
    run_checked(&c, nn_count(&v), &x.v, axis)
    return y


def flat_index(Array x, Array y, int64_t n, int64_t m, tuple shape, tuple of, int axis):
    """z = x m + y, where z[shape] picks from axes axis-1 and axis, of n and m elements, of an array with shape `of`."""
    cdef nn_view v, whole
    cdef nn_call c
    need_index(x, "index")
    need_index(y, "index")
    v.dtype = NN_I64
    set_shape(&v, shape)
    set_shape(&whole, of)
    cdef Array z = allocate(&v)
    begin(&c, NN_OP_flat_index, 1)
    operand(&c, z)
    operand(&c, x)
    operand(&c, y)
    c.a.i[0] = n
    c.a.i[1] = m
    run_checked(&c, nn_count(&v) * 4, &whole, axis)
    return z


def take_grad(Array dy, Array index, tuple shape, int axis):
    """dx of take: zeros, to which dy's rows are added in order."""
    cdef nn_view v
    cdef nn_call c
    v.dtype = NN_F32
    set_shape(&v, shape)
    cdef Array dx = allocate(&v)
    cdef int64_t o = extent(&v, 0, axis), i = extent(&v, axis + 1, v.nd), j = nn_count(&index.v)
    begin(&c, NN_OP_take_grad, 1)
    operand3(&c, dx, o, v.n[axis], i)
    operand3(&c, dy, o, j, i)
    operand(&c, index)
    run(&c, nn_count(&v) + nn_count(&dy.v))
    return dx


def gather_rows(Array x, Array index, int64_t start, int64_t count, Array scale=None, Array shift=None):
    """y[b] = x[index[start + b]] * scale + shift for b < count, the axes of x after the first kept. float32 from uint8
    or float32; int64 stays. scale and shift hold one value, or one for each element of a row."""
    cdef nn_view v = x.v, rows
    cdef nn_call c
    need_index(index, "gather_rows")
    if x.v.dtype != NN_F32 and x.v.dtype != NN_U8 and x.v.dtype != NN_I64:
        raise TypeError(f"gather_rows: float32, uint8 or int64 expected, got {x.dtype}")
    if index.v.nd != 1 or start < 0 or count < 0 or start + count > index.v.n[0]:
        raise IndexError(f"gather_rows: {count} rows from {start} of an index of shape {index.shape}")
    if x.v.nd == 0:
        raise ValueError("gather_rows: an array with at least one axis expected")
    cdef int64_t f = extent(&x.v, 1, x.v.nd)
    v.n[0] = <int32_t>count
    v.dtype = NN_I64 if x.v.dtype == NN_I64 else NN_F32
    for a in (scale, shift):
        if a is None:
            continue
        if v.dtype != NN_F32:
            raise TypeError("gather_rows: int64 stays as it is and takes no scale and shift")
        need_float(<Array>a, "gather_rows")
        if a.size != 1 and a.size != f:
            raise ValueError(f"gather_rows: scale and shift need 1 or {f} values, got {a.shape}")
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_gather_rows, 1)
    operand2(&c, y, count, f)
    operand2(&c, x, x.v.n[0], f)
    rows = index.v
    rows.p += start * 8
    rows.n[0] = <int32_t>count
    c.v[2] = rows
    c.nv = 3
    if nn_recording:
        recorder.use(index, False)
    if scale is not None or shift is not None:
        if scale is None:
            scale = scalar(1)
        if shift is None:
            shift = scalar(0)
        operand(&c, scale)
        operand(&c, shift)
    run(&c, count * f)
    return y
