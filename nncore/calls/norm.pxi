# Normalisation by batch, group, layer and root mean square.

# A parameter of n features, or None.
cdef int need_features(Array p, int64_t n, Array x, str what, str name) except -1:
    if p is None:
        return 0
    need_float(p, name)
    if nn_count(&p.v) != n:
        raise ValueError(f"{name}: {what} {p.shape} does not fit x {x.shape}: {n} values expected")
    return 0


cdef inline int operand_or_none(nn_call *c, Array x) except -1:
    if x is None:
        no_operand(c)
    else:
        operand(c, x)
    return 0


def group_norm(Array x, int64_t b, num_groups, Array weight or None, Array bias or None, Array residual or None,
               Array mean or None, Array var or None, float eps, bint relu, str name):
    """(y, stats[3, b, num_groups]) of x as b images of channels last; mean and var: what to use instead of x's own."""
    cdef nn_view v
    cdef nn_call call
    cdef int64_t groups = PyNumber_AsSsize_t(num_groups, NULL)
    need_float(x, name)
    if x.v.nd < 2:
        raise ValueError(f"{name}: x of shape (batch, ..., channels) expected, got {x.shape}")
    cdef int64_t n = nn_count(&x.v), c = x.v.n[x.v.nd - 1], s = n // (b * c) if b * c else 0
    if groups < 1 or c % groups:
        raise ValueError(f"{name}: {c} channels of x {x.shape} cannot be divided into {num_groups} groups")
    need_features(weight, c, x, "weight", name)
    need_features(bias, c, x, "bias", name)
    need_features(mean, c, x, "running_mean", name)
    need_features(var, c, x, "running_var", name)
    if residual is not None:
        need_float(residual, name)
        if not same_shape(&residual.v, &x.v):
            raise ValueError(f"{name}: residual {residual.shape} does not fit x {x.shape}")
    v.dtype = NN_F32
    v.buf = 0
    v.nd = 3
    v.n[0] = 3
    v.n[1] = <int32_t>b
    v.n[2] = <int32_t>groups
    cdef Array y = allocate(&x.v), stats = allocate(&v)
    begin(&call, NN_OP_group_norm, 2)
    operand3(&call, y, b, s, c)
    operand(&call, stats)
    operand3(&call, x, b, s, c)
    operand_or_none(&call, weight)
    operand_or_none(&call, bias)
    if residual is None:
        no_operand(&call)
    else:
        operand3(&call, residual, b, s, c)
    # taken when x was made, and x is as it was then
    cdef bint taken = mean is None and b == 1 and groups == c and x.moments is not None and not x.written
    operand_or_none(&call, x.moments if taken else mean)
    operand_or_none(&call, var)
    call.a.f[0] = eps
    call.flags = (NN_RELU if relu else 0) | (NN_FIXED if mean is not None else NN_MOMENTS if taken else 0)
    run(&call, n * 2)
    return y, stats


def group_norm_grad(Array dy, Array x, Array stats, Array weight or None, Array bias or None, Array y or None,
                    float eps, bint relu, bint fixed, bint wants_x):
    """(dx or None, dweight, dbias, dresidual): the last is dy itself but with y, the result behind a residual and
    ReLU."""
    cdef nn_call call
    cdef int64_t b = stats.v.n[1], n = nn_count(&x.v), c = x.v.n[x.v.nd - 1], s = n // (b * c) if b * c else 0
    cdef Array dx = allocate(&x.v) if wants_x else None, dwb = allocate2(2, c)
    cdef Array dz = None if y is None else allocate(&x.v)
    begin(&call, NN_OP_group_norm_grad, 3)
    if dx is None:
        no_operand(&call)
    else:
        operand3(&call, dx, b, s, c)
    operand(&call, dwb)
    operand_or_none(&call, dz)
    operand3(&call, dy, b, s, c)
    operand3(&call, x, b, s, c)
    operand(&call, stats)
    operand_or_none(&call, weight)
    operand_or_none(&call, bias if y is None else y)
    call.a.f[0] = eps
    call.flags = (NN_RELU if relu else 0) | (NN_FIXED if fixed else 0)
    run(&call, n * 2)
    return dx, flat_slice(dwb, 0, (c,)), flat_slice(dwb, c, (c,)), dy if dz is None else dz


cdef inline Array sums_of(int64_t c):
    """Room for the two sums of each channel, in double."""
    cdef nn_view v
    v.dtype = NN_F64
    v.buf = 0
    v.nd = 2
    v.n[0] = 2
    v.n[1] = <int32_t>c
    return allocate(&v)


def moments_of(Array y):
    """Mean and variance of y's channels, which the convolution that made y took: [3,c]."""
    return y.moments


def take_sums(Array dy):
    """(x, sums) where dy is the gradient of the result of a batch norm of x, behind the mask of its ReLU, from
    conv_grads; else (None, None). dy has them no more."""
    cdef tuple found = dy.sums
    dy.sums = None
    return (None, None) if found is None else found


def norm_columns(Array moments, Array weight or None, Array bias or None, float eps):
    """(columns[5, c in blocks of 16], stats[3,1,c]) of the moments of x's channels: what a convolution needs to apply a
    batch norm while it loads x."""
    cdef nn_call call
    cdef int64_t c = moments.v.n[moments.v.nd - 1]
    need_features(weight, c, moments, "weight", "batch_norm")
    need_features(bias, c, moments, "bias", "batch_norm")
    cdef Array columns = allocate2(5, in_blocks(c)), stats = reshape(moments, (3, 1, c))
    begin(&call, NN_OP_norm_columns, 1)
    operand(&call, columns)
    operand(&call, stats)
    operand_or_none(&call, weight)
    operand_or_none(&call, bias)
    call.a.f[0] = eps
    run(&call, c)
    return columns, stats


def norm_grad_sums(Array dy, Array x, Array columns, Array y or None, bint relu):
    """(sums[2,c] float64, dz): what the gradient of a batch norm with these columns begins with. y: its result behind
    a residual and ReLU; dz is then dy behind the mask, and else dy itself."""
    cdef nn_call call
    cdef int64_t c = x.v.n[x.v.nd - 1], s = nn_count(&x.v) // c
    cdef Array sums = sums_of(c), dz = None if y is None else allocate(&x.v)
    begin(&call, NN_OP_norm_grad_sums, 2)
    operand(&call, sums)
    if dz is None:
        no_operand(&call)
    else:
        operand2(&call, dz, s, c)
    operand2(&call, dy, s, c)
    operand2(&call, x, s, c)
    operand(&call, columns)
    if y is not None:
        operand2(&call, y, s, c)
    call.flags = NN_RELU if relu else 0
    run(&call, s * c)
    return sums, dy if dz is None else dz


def norm_grad_columns(Array sums, Array columns, Array stats, Array weight or None, Array before or None, float eps,
                      int64_t n):
    """(columns for conv_grads, dweight, dbias) from the sums over n values of each channel; before: the columns of the
    norm of conv_grads' x."""
    cdef nn_call call
    cdef int64_t c = stats.v.n[2]
    cdef Array to = allocate1(NN_F32, nn_count(&columns.v) + (0 if before is None else nn_count(&before.v)))
    cdef Array dwb = allocate2(2, c)
    begin(&call, NN_OP_norm_grad_columns, 2)
    operand(&call, to)
    operand(&call, dwb)
    operand(&call, sums)
    operand(&call, columns)
    operand(&call, stats)
    operand_or_none(&call, weight)
    operand_or_none(&call, before)
    call.a.f[0] = eps
    call.a.i[1] = n
    run(&call, c)
    return to, flat_slice(dwb, 0, (c,)), flat_slice(dwb, c, (c,))


def running_stats(Array mean, Array var, Array count or None, Array stats, int64_t n, momentum, str name):
    """Move running mean and variance to those of stats, of n values each; momentum None: the average of all calls."""
    cdef nn_call c
    cdef int64_t channels = stats.v.n[2]
    need_features(mean, channels, stats, "running_mean", name)
    need_features(var, channels, stats, "running_var", name)
    if count is not None and (count.v.dtype != NN_I64 or nn_count(&count.v) != 1):
        raise ValueError(f"{name}: num_batches_tracked must be one int64, got {count.dtype} of shape {count.shape}")
    if momentum is None and count is None:
        raise ValueError(f"{name}: momentum None needs num_batches_tracked")
    begin(&c, NN_OP_running_stats, 3)
    operand(&c, mean)
    operand(&c, var)
    operand_or_none(&c, count)
    operand(&c, stats)
    c.a.i[0] = n
    c.a.d[1] = 0 if momentum is None else momentum
    c.a.i[2] = momentum is None
    run(&c, channels)
    touch(mean)
    touch(var)
    if count is not None:
        touch(count)


cdef tuple row_norm(int op, Array x, int64_t features, Array weight, Array bias, float eps, str name):
    cdef nn_call c
    need_float(x, name)
    need_features(weight, features, x, "weight", name)
    need_features(bias, features, x, "bias", name)
    cdef int64_t rows = nn_count(&x.v) // features if features else 0
    cdef Array y = allocate(&x.v), stats = allocate2(3 if op == NN_OP_layer_norm else 1, rows)
    begin(&c, op, 2)
    operand2(&c, y, rows, features)
    operand(&c, stats)
    operand2(&c, x, rows, features)
    operand_or_none(&c, weight)
    if op == NN_OP_layer_norm:
        operand_or_none(&c, bias)
    c.a.f[0] = eps
    run(&c, rows * features * 2)
    return y, stats


cdef tuple row_norm_grad(int op, Array dy, Array x, Array stats, int64_t features, Array weight):
    cdef nn_call c
    cdef int64_t rows = nn_count(&x.v) // features if features else 0
    cdef Array dx = allocate(&x.v), dwb = allocate2(2 if op == NN_OP_layer_norm_grad else 1, features)
    begin(&c, op, 2)
    operand2(&c, dx, rows, features)
    operand(&c, dwb)
    operand2(&c, dy, rows, features)
    operand2(&c, x, rows, features)
    operand(&c, stats)
    operand_or_none(&c, weight)
    run(&c, rows * features * 2)
    return dx, dwb


def layer_norm(Array x, int64_t features, Array weight or None, Array bias or None, float eps):
    """(y, stats) for rows of `features` elements."""
    return row_norm(NN_OP_layer_norm, x, features, weight, bias, eps, "layer_norm")


def layer_norm_grad(Array dy, Array x, Array stats, int64_t features, Array weight or None):
    """(dx, dweight and dbias as [2, features])."""
    return row_norm_grad(NN_OP_layer_norm_grad, dy, x, stats, features, weight)


def rms_norm(Array x, int64_t features, Array weight or None, float eps):
    """(y, stats) for rows of `features` elements."""
    return row_norm(NN_OP_rms_norm, x, features, weight, None, eps, "rms_norm")


def rms_norm_grad(Array dy, Array x, Array stats, int64_t features, Array weight or None):
    """(dx, dweight as [1, features])."""
    return row_norm_grad(NN_OP_rms_norm_grad, dy, x, stats, features, weight)
