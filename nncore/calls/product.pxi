# Matrix products and dense layers.

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
