# One short function per op: sizes -> check -> allocate -> fill a call -> run. They take and return Arrays and know
# nothing of gradients. Messages name the op and the actual shapes.

cdef dict UNARY_CODES = {}
cdef dict BINARY_CODES = {}
cdef dict LOSS_CODES = {}

for _i in range(NN_UNARIES):
    UNARY_CODES[nn_unary_names[_i].decode()] = _i
for _i in range(NN_BINARIES):
    BINARY_CODES[nn_binary_names[_i].decode()] = _i
for _i in range(NN_LOSSES):
    LOSS_CODES[nn_loss_names[_i].decode()] = _i

# name -> (code, what the gradient reads: "x" or "y", number of attributes)
UNARY = {name: (code, chr(nn_unary_saved[code]), nn_unary_nattr[code]) for name, code in UNARY_CODES.items()}
BINARY = dict(BINARY_CODES)
LOSSES = dict(LOSS_CODES)
OPS = tuple([nn_op_names[_i].decode() for _i in range(NN_OPS)])


cdef int need_float(Array x, str name) except -1:
    if x.v.dtype != NN_F32:
        raise TypeError(f"{name}: float32 expected, got {x.dtype}")
    return 0


cdef int need_index(Array x, str name) except -1:
    if x.v.dtype != NN_I64:
        raise TypeError(f"{name}: integer labels or indices expected, got {x.dtype}")
    return 0


cdef int axis_of(Array x, object axis, str name) except -1:
    cdef Py_ssize_t a
    try:
        a = PyNumber_AsSsize_t(axis, NULL)
    except TypeError:
        raise TypeError(f"{name}: axis {axis!r} is no integer") from None
    if a < -x.v.nd or a >= x.v.nd:
        raise ValueError(f"{name}: axis {axis} does not exist in shape {x.shape}")
    return <int>(a + x.v.nd if a < 0 else a)


# Product of the sizes of axes first .. last-1.
cdef inline int64_t extent(const nn_view *v, int first, int last) noexcept:
    cdef int64_t n = 1
    cdef int d
    for d in range(first, last):
        n *= v.n[d]
    return n


# ---- elementwise -----------------------------------------------------------------------------------------------------

cdef Array copy_of(Array x):
    cdef Array y = allocate(&x.v)
    cdef nn_call c
    begin(&c, NN_OP_copy, 1)
    operand(&c, y)
    operand(&c, x)
    run(&c, nn_count(&x.v))
    return y


def copy(Array x):
    """y = x, in memory of its own."""
    return copy_of(x)


cdef int add_to(Array y, Array x) except -1:
    cdef nn_call c
    begin(&c, NN_OP_add_to, 1)
    operand(&c, y)
    operand(&c, x)
    run(&c, nn_count(&x.v))
    return 0


cdef Array call_unary(int f, Array x, float a, float b):
    if x.v.dtype != NN_F32:
        need_float(x, nn_unary_names[f].decode())
    cdef Array y = allocate(&x.v)
    cdef nn_call c
    begin(&c, NN_OP_unary, 1)
    operand(&c, y)
    operand(&c, x)
    c.a.i[0] = f
    c.a.f[2] = a
    c.a.f[3] = b
    run(&c, nn_count(&x.v) * 4)
    return y


def unary(int f, Array x, float a=0, float b=0):
    """y = f(x), element by element; f from UNARY, a and b its attributes."""
    return call_unary(f, x, a, b)


def unary_with_grad(x, int f, grad, float a=0, float b=0):
    """as_float, unary and record in one: the tensor of f(x), whose gradient function finds (what it reads, f, a, b).
    From Python, the three cost 0.4 us more, which is what relu of 4096 elements takes."""
    cdef TensorBase t
    if isinstance(x, TensorBase) and (<TensorBase>x).array.v.dtype == NN_F32:
        t = <TensorBase>x
    else:
        t = as_float(x)
    cdef Array y = call_unary(f, t.array, a, b)
    cdef TensorBase made = wrap(y)
    if not nn_grad_off and parent_of(t) != NULL:
        made.node = make_node(y, grad, (t,), (t.array if nn_unary_saved[f] == c'x' else y, f, a, b))
    return made


def unary_grad(int f, Array dy, Array s, float a=0, float b=0):
    """dx from dy and what f saved: its input or its output."""
    cdef Array dx = allocate(&dy.v)
    cdef nn_call c
    begin(&c, NN_OP_unary_grad, 1)
    operand(&c, dx)
    operand(&c, dy)
    operand(&c, s)
    c.a.i[0] = f
    c.a.f[2] = a
    c.a.f[3] = b
    run(&c, nn_count(&dy.v) * 4)
    return dx


# The shape x and y broadcast to.
cdef int broadcast(nn_view *z, const nn_view *x, const nn_view *y, const char *name) except -1:
    cdef int d, nd = x.nd if x.nd > y.nd else y.nd
    cdef int32_t nx, ny
    z.nd = <uint8_t>nd
    z.dtype = NN_F32
    z.buf = 0
    for d in range(nd):
        nx = x.n[d + x.nd - nd] if d + x.nd >= nd else 1
        ny = y.n[d + y.nd - nd] if d + y.nd >= nd else 1
        if nx != ny and nx != 1 and ny != 1:
            raise ValueError(f"{name.decode()}: shapes {shape_of(x)} and {shape_of(y)} do not broadcast")
        z.n[d] = ny if nx == 1 else nx
    return 0


cdef Array call_binary(int f, Array x, Array y):
    cdef nn_view z
    cdef nn_call c
    if x.v.dtype != NN_F32 or y.v.dtype != NN_F32:
        need_float(x, nn_binary_names[f].decode())
        need_float(y, nn_binary_names[f].decode())
    broadcast(&z, &x.v, &y.v, nn_binary_names[f])
    cdef Array r = allocate(&z)
    begin(&c, NN_OP_binary, 1)
    operand(&c, r)
    operand(&c, x)
    operand(&c, y)
    c.a.i[0] = f
    run(&c, nn_count(&z))
    return r


def binary(int f, Array x, Array y):
    """z = f(x, y) with broadcasting; f from BINARY."""
    return call_binary(f, x, y)


def compare(int f, Array x, Array y):
    """f(x, y) for eq, ne, lt, le, gt, ge, as bool."""
    return cast(call_binary(f, x, y), "bool")


def expand(Array x, shape, float factor=1):
    """y = factor * x, broadcast to a shape."""
    cdef nn_view z, both
    cdef nn_call c
    z.dtype = NN_F32
    set_shape(&z, shape)
    broadcast(&both, &x.v, &z, b"expand")
    if not same_shape(&both, &z):
        raise ValueError(f"expand: {x.shape} does not broadcast to {shape_of(&z)}")
    cdef Array y = allocate(&z), f = scalar(factor)
    begin(&c, NN_OP_binary, 1)
    operand(&c, y)
    operand(&c, x)
    operand(&c, f)
    c.a.i[0] = NN_mul
    run(&c, nn_count(&z))
    return y


def where(Array c, Array x, Array y):
    """z = c ? x : y with broadcasting; c is bool."""
    cdef nn_view xy, z
    cdef nn_call call
    if c.v.dtype != NN_BOOL:
        raise TypeError(f"where: a bool condition expected, got {c.dtype}")
    need_float(x, "where")
    need_float(y, "where")
    broadcast(&xy, &x.v, &y.v, b"where")
    broadcast(&z, &c.v, &xy, b"where")
    cdef Array r = allocate(&z)
    begin(&call, NN_OP_where, 1)
    operand(&call, r)
    operand(&call, c)
    operand(&call, x)
    operand(&call, y)
    run(&call, nn_count(&z))
    return r


# ---- reductions ------------------------------------------------------------------------------------------------------

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


# ---- moving elements -------------------------------------------------------------------------------------------------

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


# ---- products --------------------------------------------------------------------------------------------------------

# to (+)= op(a) @ op(b), all axes but the last counting as rows.
cdef int product(Array to, Array a, Array b, bint ta, bint tb, bint accumulate) except -1:
    cdef nn_call c
    cdef int64_t work
    begin(&c, NN_OP_gemm, 1)
    operand2(&c, to, extent(&to.v, 0, to.v.nd - 1), to.v.n[to.v.nd - 1])
    operand2(&c, a, extent(&a.v, 0, a.v.nd - 1), a.v.n[a.v.nd - 1])
    operand2(&c, b, extent(&b.v, 0, b.v.nd - 1), b.v.n[b.v.nd - 1])
    c.flags = (NN_ACC if accumulate else 0) | (NN_TA if ta else 0) | (NN_TB if tb else 0)
    c.a.i[0] = -1
    work = c.v[0].n[0] * <int64_t>c.v[0].n[1] * c.v[1].n[0 if ta else 1]
    run(&c, work >> 4)
    return 0


def linear(Array x, Array w, Array b=None, int f=-1, float a0=0, float a1=0):
    """y[..., o] = f(x[..., i] @ w[i, o] + b[o]); f from UNARY, or -1."""
    cdef nn_view v = x.v
    cdef nn_call c
    cdef int64_t rows
    if x.v.dtype != NN_F32 or w.v.dtype != NN_F32 or x.v.nd == 0 or w.v.nd != 2 or x.v.n[x.v.nd - 1] != w.v.n[0]:
        need_float(x, "linear")
        need_float(w, "linear")
        if w.v.nd != 2:
            raise ValueError(f"linear: the weight must be (in, out), got {w.shape}")
        raise ValueError(f"linear: x {x.shape} does not fit w {w.shape}: "
                         f"{x.v.n[x.v.nd - 1] if x.v.nd else 'no'} features given, {w.v.n[0]} expected")
    if b is not None and (b.v.dtype != NN_F32 or nn_count(&b.v) != w.v.n[1]):
        raise ValueError(f"linear: bias {b.shape} does not fit w {w.shape}: {w.v.n[1]} values expected")
    rows = extent(&x.v, 0, x.v.nd - 1)
    v.n[v.nd - 1] = w.v.n[1]
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_gemm, 1)
    operand2(&c, y, rows, w.v.n[1])
    operand2(&c, x, rows, w.v.n[0])
    operand(&c, w)
    if b is not None:
        operand(&c, b)
    c.a.i[0] = f
    c.a.f[2] = a0
    c.a.f[3] = a1
    run(&c, rows * w.v.n[0] * <int64_t>w.v.n[1] >> 4)
    return y


def gemm(Array a, Array b, bint ta=False, bint tb=False, Array out=None, bint accumulate=False):
    """op(a) @ op(b) of two matrices, or of two stacks of matrices (3-D; a stack of one is repeated)."""
    cdef nn_view v
    cdef nn_call c
    cdef int da = a.v.nd - 2, db = b.v.nd - 2
    cdef Array y
    need_float(a, "matmul")
    need_float(b, "matmul")
    if da < 0 or db < 0 or da > 1 or db > 1 or a.v.n[da + (not ta)] != b.v.n[db + tb]:
        raise ValueError(f"matmul: {a.shape}{'^T' if ta else ''} and {b.shape}{'^T' if tb else ''} do not fit")
    v.dtype = NN_F32
    v.buf = 0
    v.nd = 2
    if da or db:
        v.nd = 3
        v.n[0] = a.v.n[0] if da else 1
        if db and b.v.n[0] != v.n[0]:
            if da and b.v.n[0] != 1 and a.v.n[0] != 1:
                raise ValueError(f"matmul: stacks of {a.v.n[0]} and {b.v.n[0]} matrices do not fit")
            if b.v.n[0] != 1 or not da:
                v.n[0] = b.v.n[0]
    v.n[v.nd - 2] = a.v.n[da + ta]
    v.n[v.nd - 1] = b.v.n[db + (not tb)]
    if out is None:
        y = allocate(&v)
    else:
        y = out
        if not same_shape(&y.v, &v) or y.v.dtype != NN_F32:
            raise ValueError(f"matmul: out has shape {y.shape}, the product {shape_of(&v)}")
    begin(&c, NN_OP_gemm, 1)
    operand(&c, y)
    operand(&c, a)
    operand(&c, b)
    c.flags = (NN_ACC if accumulate else 0) | (NN_TA if ta else 0) | (NN_TB if tb else 0)
    c.a.i[0] = -1
    run(&c, nn_count(&v) * a.v.n[da + (not ta)] >> 4)
    if out is not None:
        touch(out)
    return y


# ---- softmax and classification losses -------------------------------------------------------------------------------

cdef Array rowwise(int op, Array x, Array s, str name):
    need_float(x, name)
    if x.v.nd == 0:
        raise ValueError(f"{name}: at least one axis expected")
    cdef Array y = allocate(&x.v)
    cdef int64_t rows = extent(&x.v, 0, x.v.nd - 1), n = x.v.n[x.v.nd - 1]
    cdef nn_call c
    begin(&c, op, 1)
    operand2(&c, y, rows, n)
    operand2(&c, x, rows, n)
    if s is not None:
        operand2(&c, s, rows, n)
    run(&c, rows * n * 4)
    return y


def softmax(Array x):
    """y = exp(x) / sum(exp(x)) along the last axis."""
    return rowwise(NN_OP_softmax, x, None, "softmax")


def softmax_grad(Array dy, Array y):
    return rowwise(NN_OP_softmax_grad, dy, y, "softmax")


def log_softmax(Array x):
    """y = x - log(sum(exp(x))) along the last axis."""
    return rowwise(NN_OP_log_softmax, x, None, "log_softmax")


def log_softmax_grad(Array dy, Array y):
    return rowwise(NN_OP_log_softmax_grad, dy, y, "log_softmax")


# Whether target and weight fit the scores x[..., c].
cdef int check_labels(Array x, Array target, Array weight, bint probabilities, str name) except -1:
    need_float(x, name)
    if x.v.nd == 0:
        raise ValueError(f"{name}: scores of shape (..., classes) expected, got ()")
    if target.v.dtype == NN_F32 and probabilities:
        if not same_shape(&x.v, &target.v):
            raise ValueError(f"{name}: probabilities {target.shape} do not fit scores {x.shape}")
    else:
        need_index(target, name)
        if target.shape != x.shape[:-1]:
            raise ValueError(f"{name}: labels {target.shape} do not fit scores {x.shape}: {x.shape[:-1]} expected")
    if weight is not None:
        need_float(weight, name)
        if nn_count(&weight.v) != x.v.n[x.v.nd - 1]:
            raise ValueError(f"{name}: weight {weight.shape} does not fit {x.v.n[x.v.nd - 1]} classes")
    return 0


cdef inline int target_operand(nn_call *c, Array target, int64_t rows, int64_t n) except -1:
    if target.v.dtype == NN_F32:
        operand2(c, target, rows, n)
    else:
        operand(c, target)
        c.v[c.nv - 1].nd = 1
        c.v[c.nv - 1].n[0] = <int32_t>rows
    return 0


def cross_entropy(Array x, Array target, Array weight or None, float smoothing, ignored, bint may_ignore):
    """(loss, scale, rz) for every row of scores: see csrc/ops.inc."""
    check_labels(x, target, weight, True, "cross_entropy")
    cdef int64_t ignore = PyNumber_AsSsize_t(ignored, <PyObject *>ValueError)
    cdef int64_t rows = extent(&x.v, 0, x.v.nd - 1), n = x.v.n[x.v.nd - 1]
    cdef Array loss = allocate1(NN_F32, rows), scale = allocate1(NN_F32, rows), rz = allocate1(NN_F32, rows)
    cdef nn_call c
    begin(&c, NN_OP_cross_entropy, 3)
    operand(&c, loss)
    operand(&c, scale)
    operand(&c, rz)
    operand2(&c, x, rows, n)
    target_operand(&c, target, rows, n)
    if weight is not None:
        operand(&c, weight)
    c.a.f[0] = smoothing
    c.a.i[1] = ignore
    c.a.i[2] = may_ignore
    run_checked(&c, rows * n * 4, &x.v, -1)
    return loss, scale, rz


def cross_entropy_grad(Array dloss, Array rz, Array x, Array target, Array weight or None, float smoothing,
                       int64_t ignore, bint may_ignore):
    """dx from the gradient of every row's loss, or from one number for all rows."""
    cdef int64_t rows = extent(&x.v, 0, x.v.nd - 1), n = x.v.n[x.v.nd - 1]
    cdef Array dx = allocate(&x.v)
    cdef nn_call c
    begin(&c, NN_OP_cross_entropy_grad, 1)
    operand2(&c, dx, rows, n)
    operand2(&c, dloss, 1, nn_count(&dloss.v))
    operand(&c, rz)
    operand2(&c, x, rows, n)
    target_operand(&c, target, rows, n)
    if weight is not None:
        operand(&c, weight)
    c.a.f[0] = smoothing
    c.a.i[1] = ignore
    c.a.i[2] = may_ignore
    run(&c, rows * n * 4)
    return dx


def nll(Array x, Array target, Array weight or None, ignored, bint may_ignore):
    """(loss, scale) for every row of log-probabilities."""
    check_labels(x, target, weight, False, "nll_loss")
    cdef int64_t ignore = PyNumber_AsSsize_t(ignored, <PyObject *>ValueError)
    cdef int64_t rows = extent(&x.v, 0, x.v.nd - 1), n = x.v.n[x.v.nd - 1]
    cdef Array loss = allocate1(NN_F32, rows), scale = allocate1(NN_F32, rows)
    cdef nn_call c
    begin(&c, NN_OP_nll, 2)
    operand(&c, loss)
    operand(&c, scale)
    operand2(&c, x, rows, n)
    target_operand(&c, target, rows, n)
    if weight is not None:
        operand(&c, weight)
    c.a.f[0] = 0
    c.a.i[1] = ignore
    c.a.i[2] = may_ignore
    run_checked(&c, rows, &x.v, -1)
    return loss, scale


def nll_grad(Array dloss, Array target, Array weight or None, tuple shape, int64_t ignore, bint may_ignore):
    cdef nn_view v
    cdef nn_call c
    v.dtype = NN_F32
    set_shape(&v, shape)
    cdef int64_t rows = extent(&v, 0, v.nd - 1), n = v.n[v.nd - 1]
    cdef Array dx = allocate(&v)
    begin(&c, NN_OP_nll_grad, 1)
    operand2(&c, dx, rows, n)
    operand2(&c, dloss, 1, nn_count(&dloss.v))
    target_operand(&c, target, rows, n)
    if weight is not None:
        operand(&c, weight)
    c.a.f[0] = 0
    c.a.i[1] = ignore
    c.a.i[2] = may_ignore
    run(&c, rows * n)
    return dx


# ---- losses, element by element --------------------------------------------------------------------------------------

def loss(int f, Array x, Array t, float a, double factor, bint reduce, str name):
    """factor * sum of f(x, t), shape (); or factor * f(x, t) element by element. f from LOSSES, a its attribute."""
    cdef nn_view v = x.v
    cdef nn_call c
    need_float(x, name)
    need_float(t, name)
    if not same_shape(&x.v, &t.v):
        raise ValueError(f"{name}: predictions {x.shape} and targets {t.shape} differ in shape")
    if reduce:
        v.nd = 0
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_loss, 1)
    operand(&c, y)
    operand(&c, x)
    operand(&c, t)
    c.a.i[0] = f
    c.a.f[2] = a
    c.a.f[3] = factor
    run(&c, nn_count(&x.v))
    return y


def loss_grad(int f, Array dy, Array x, Array t, float a, double factor):
    cdef Array dx = allocate(&x.v)
    cdef nn_call c
    begin(&c, NN_OP_loss_grad, 1)
    operand(&c, dx)
    operand(&c, dy)
    operand(&c, x)
    operand(&c, t)
    c.a.i[0] = f
    c.a.f[2] = a
    c.a.f[3] = factor
    run(&c, nn_count(&x.v))
    return dx


# ---- random numbers --------------------------------------------------------------------------------------------------

def random_state(uint64_t seed):
    """A generator's state: seed, and number of calls so far."""
    cdef Array s = allocate1(NN_U64, 2)
    (<uint64_t *>s.v.p)[0] = seed
    (<uint64_t *>s.v.p)[1] = 0
    return s


def dropout(Array x, Array state, float p):
    """(y, key): y is x / (1 - p), or 0 with probability p."""
    need_float(x, "dropout")
    cdef Array y = allocate(&x.v), key = allocate1(NN_U64, 2)
    cdef nn_call c
    begin(&c, NN_OP_dropout, 2)
    operand(&c, y)
    operand(&c, key)
    operand(&c, x)
    operand(&c, state)
    c.a.f[0] = p
    run(&c, nn_count(&x.v) * 4)
    return y, key


def dropout_grad(Array dy, Array key, float p):
    cdef Array dx = allocate(&dy.v)
    cdef nn_call c
    begin(&c, NN_OP_dropout_grad, 1)
    operand(&c, dx)
    operand(&c, dy)
    operand(&c, key)
    c.a.f[0] = p
    run(&c, nn_count(&dy.v) * 4)
    return dx


cdef Array random_fill(int op, shape, Array state, float a, float b):
    if op == NN_OP_uniform and not (a <= b and b - a <= 3.4028234e38):
        raise ValueError(f"uniform: no numbers between {a} and {b}")
    if op == NN_OP_normal and not (b >= 0):
        raise ValueError(f"normal: standard deviation {b}")
    cdef Array y = empty(shape)
    cdef nn_call c
    begin(&c, op, 2)
    operand(&c, y)
    operand(&c, state)
    c.a.f[0] = a
    c.a.f[1] = b
    run(&c, nn_count(&y.v) * 4)
    return y


def uniform(shape, Array state, float low, float high):
    """Random numbers, low <= y < high."""
    return random_fill(NN_OP_uniform, shape, state, low, high)


def normal(shape, Array state, float mean, float std):
    """Random numbers from a normal distribution."""
    return random_fill(NN_OP_normal, shape, state, mean, std)


def permutation(n, Array state):
    """0 .. n-1 in random order, int64."""
    cdef Py_ssize_t size = PyNumber_AsSsize_t(n, NULL)
    if size < 0 or size > 0x7fffffff:
        raise ValueError(f"permutation: of {n} elements")
    cdef Array y = allocate1(NN_I64, size)
    cdef nn_call c
    begin(&c, NN_OP_permutation, 2)
    operand(&c, y)
    operand(&c, state)
    run(&c, size * 8)
    return y


# ---- optimizers ------------------------------------------------------------------------------------------------------

OPTIMIZERS = {"sgd": NN_OP_sgd, "adam": NN_OP_adam, "rmsprop": NN_OP_rmsprop, "adagrad": NN_OP_adagrad,
              "adadelta": NN_OP_adadelta}
NESTEROV = NN_NESTEROV
DECOUPLED = NN_DECOUPLED
MAXIMIZE = NN_MAXIMIZE


def optimizer_step(int op, int flags, Array w, tuple states, Array hyper, Array g):
    """One step of flat arrays of one length. states: as csrc/ops.inc lists them for the op, None for those not in
    use."""
    cdef nn_call c
    cdef Array s
    begin(&c, op, 2 + len(states))
    operand(&c, w)
    for x in states:
        if x is None:
            no_operand(&c)
        else:
            s = <Array>x
            operand(&c, s)
    operand(&c, hyper)
    operand(&c, g)
    c.flags = flags
    run(&c, nn_count(&w.v) * 4)
    touch(w)


def grads_present(list parameters, list homes):
    """1: all parameters have a gradient, 0: none has, -1: some have, -2: one no longer lives where it was put."""
    cdef TensorBase p
    cdef Py_ssize_t i, n = len(parameters), present = 0
    for i in range(n):
        p = <TensorBase>parameters[i]
        if nn_recording:
            recorder.leaf(p)
        if p.array is not homes[i]:
            return -2
        present += p.has_grad
    return 1 if present == n else 0 if present == 0 else -1


def clear_grads(list parameters):
    """Forget the gradients; their memory stays with those in an arena."""
    cdef TensorBase p
    for p in parameters:
        if nn_recording:
            recorder.leaf(p)
        p.has_grad = False
        if not p.in_arena:
            p.gradient = None
            p.grad_owned = False


def scale_to_norm(Array g, Array norm, double largest):
    """g *= min(1, largest / (norm + 1e-6)), in place."""
    cdef nn_call c
    begin(&c, NN_OP_scale_to_norm, 1)
    operand(&c, g)
    operand(&c, norm)
    c.a.d[0] = largest
    run(&c, nn_count(&g.v))
    touch(g)


def clip_in_place(Array x, float low, float high):
    """x = clip(x, low, high)."""
    cdef nn_call c
    begin(&c, NN_OP_unary, 1)
    operand(&c, x)
    operand(&c, x)
    c.a.i[0] = UNARY_CODES["clip"]
    c.a.f[2] = low
    c.a.f[3] = high
    run(&c, nn_count(&x.v))
    touch(x)
