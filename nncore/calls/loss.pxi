# Softmax, and losses: of classes, fused with it, and element by element.

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
