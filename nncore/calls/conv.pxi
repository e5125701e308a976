# Convolutions. A geometry is (stride_h, stride_w, dilation_h, dilation_w, top, left, groups), with top and left the
# zeros before the first pixels. Sequences [b,t,c] are images of height 1, their windows [s,c,o] too. Sizes are checked
# by nncore.ops.conv, which knows the layer's words; here only what memory safety needs.

cdef int conv_operand(nn_call *c, Array x) except -1:
    cdef int d
    operand(c, x)
    cdef nn_view *v = &c.v[c.nv - 1]
    cdef int at = 1 if c.nv - 1 != window_at(c) else 0
    if v.nd == 3:
        v.nd = 4
        for d in range(3, at, -1):
            v.n[d] = v.n[d - 1]
        v.n[at] = 1
    if v.nd != 4 or v.dtype != NN_F32:
        raise ValueError(f"convolution: float32 arrays of 3 or 4 axes expected, got {x.shape} {x.dtype}")
    return 0


cdef inline int window_at(const nn_call *c) noexcept:
    return 0 if c.op == NN_OP_conv_dw else 3 if c.op == NN_OP_conv_moments else 2


cdef int set_geometry(nn_call *c, tuple geometry, const nn_view *x, const nn_view *y, const nn_view *w) except -1:
    """Checks that image, output and window belong together."""
    cdef int64_t sh, sw, dh, dw, top, left, groups
    sh, sw, dh, dw, top, left, groups = geometry
    if (min(sh, sw, dh, dw, groups) < 1 or min(top, left) < 0 or max(sh, sw, dh, dw, top, left) > 0xffff
            or groups > 0x7fffffff or x.n[0] != y.n[0] or x.n[3] != w.n[2] * groups or y.n[3] != w.n[3]
            or y.n[3] % groups or w.n[0] < 1 or w.n[1] < 1):
        raise ValueError(f"convolution: x {shape_of(x)}, y {shape_of(y)}, w {shape_of(w)} do not fit {geometry}")
    c.a.i[2] = sh | sw << 16 | dh << 32 | <int64_t>(<uint64_t>dw << 48)
    c.a.i[3] = top | left << 16 | groups << 32
    return 0


cdef int run_conv(nn_call *c, tuple geometry, const nn_view *x, const nn_view *y, const nn_view *w) except -1:
    set_geometry(c, geometry, x, y, w)
    if c.flags & NN_NORM and not nn_conv_fusion(c, x, y, w) & NN_LOADS_NORM:
        raise ValueError(f"convolution: x {shape_of(x)} with w {shape_of(w)} and {geometry} cannot be normalised as it "
                         "is loaded")
    run(c, nn_count(y) * w.n[0] * w.n[1] * w.n[2] >> 4)
    return 0


def conv_fusion(Array x, Array w, tuple geometry, tuple shape):
    """(whether the convolution that would be chosen can normalise x while it loads it, whether it has conv_grads)."""
    cdef nn_call c
    cdef nn_view y = x.v
    cdef int d, bits
    if x.v.nd != 4 or w.v.nd != 4 or len(shape) != 4:
        return False, False
    for d in range(4):
        y.n[d] = shape[d]
    set_geometry(&c, geometry, &x.v, &y, &w.v)
    bits = nn_conv_fusion(&c, &x.v, &y, &w.v)
    return (bits & (NN_LOADS_NORM | NN_CHOSEN) == NN_LOADS_NORM | NN_CHOSEN,
            bits & NN_BOTH_GRADS and bits & (NN_CHOSEN | NN_CHOSEN_DX) == NN_CHOSEN | NN_CHOSEN_DX)


# The columns of a norm of c channels, as norm_columns makes them.
cdef int norm_operand(nn_call *c, Array columns, int64_t channels, bint relu) except -1:
    if columns.v.dtype != NN_F32 or columns.v.nd != 2 or columns.v.n[0] != 5 or columns.v.n[1] != in_blocks(channels):
        raise ValueError(f"convolution: columns {columns.shape} of a norm of {channels} channels")
    operand(c, columns)
    c.flags |= NN_NORM | (NN_RELU if relu else 0)
    return 0


cdef inline int64_t in_blocks(int64_t channels) noexcept:
    return (channels + 15) // 16 * 16


cdef int bias_operand(nn_call *c, Array b, int32_t n, int f, float a0) except -1:
    c.a.i[0] = f
    c.a.f[2] = a0
    if b is not None:
        if b.v.dtype != NN_F32 or nn_count(&b.v) != n:
            raise ValueError(f"convolution: bias {b.shape}, {n} values expected")
        operand(c, b)
    return 0


cdef Array image_like(Array x, tuple shape):
    cdef nn_view v = x.v
    cdef int d
    if len(shape) != x.v.nd:
        raise ValueError(f"convolution: a result of shape {shape} from {x.shape}")
    for d in range(v.nd):
        if not 0 <= shape[d] < 1 << 31:
            raise MemoryError(f"convolution: a result of shape {shape}")
        v.n[d] = shape[d]
    v.dtype = NN_F32
    return allocate(&v)


def conv(Array x, Array w, Array b or None, tuple geometry, tuple shape, int f=-1, float a0=0, bint moments=False,
         Array columns=None, bint relu=False):
    """y = f(convolution of x and w + b), of `shape`; f from UNARY, or -1. moments: y keeps those of its channels.
    columns: x is normalised by these while it is loaded, with ReLU behind it or not."""
    cdef nn_call c
    cdef Array y = image_like(x, shape)
    begin(&c, NN_OP_conv_moments if moments else NN_OP_conv, 1 + moments)
    conv_operand(&c, y)
    if moments:
        y.moments = allocate2(3, c.v[0].n[3])
        operand(&c, y.moments)
    conv_operand(&c, x)
    conv_operand(&c, w)
    bias_operand(&c, b, c.v[0].n[3], f, a0)
    if columns is not None:
        if b is None:
            no_operand(&c)
        norm_operand(&c, columns, c.v[1 + moments].n[3], relu)
    run_conv(&c, geometry, &c.v[1 + moments], &c.v[0], &c.v[2 + moments])
    return y


cdef int conv_dx_to(Array dx, Array dy, Array w, Array b, tuple geometry, bint accumulate, int f=-1,
                    float a0=0) except -1:
    cdef nn_call c
    begin(&c, NN_OP_conv_dx, 1)
    conv_operand(&c, dx)
    conv_operand(&c, dy)
    conv_operand(&c, w)
    bias_operand(&c, b, c.v[0].n[3], f, a0)
    c.flags = NN_ACC if accumulate else 0
    run_conv(&c, geometry, &c.v[0], &c.v[1], &c.v[2])
    return 0


def conv_dx(Array dy, Array w, Array b or None, tuple geometry, tuple shape, int f=-1, float a0=0):
    """The gradient of a convolution's input, of `shape`; or f(that + b), a transposed convolution."""
    cdef Array dx = image_like(dy, shape)
    conv_dx_to(dx, dy, w, b, geometry, False, f, a0)
    return dx


cdef int conv_dw_to(Array dw, Array x, Array dy, tuple geometry, bint accumulate, Array columns=None,
                    bint relu=False) except -1:
    cdef nn_call c
    begin(&c, NN_OP_conv_dw, 1)
    conv_operand(&c, dw)
    conv_operand(&c, x)
    conv_operand(&c, dy)
    c.a.i[0] = -1
    c.flags = NN_ACC if accumulate else 0
    if columns is not None:
        norm_operand(&c, columns, c.v[1].n[3], relu)
    run_conv(&c, geometry, &c.v[1], &c.v[2], &c.v[0])
    return 0


# dx (+)=, dw (+)= and, unless None, the sums for the gradient of the norm in front: that of x where `normed`, else of
# `front`. columns: those of norm_grad_columns, for z, and behind them those of the norm in front.
cdef int conv_grads_to(Array dx, Array dw, Array sums, Array x, Array dy, Array w, Array z, Array columns, Array front,
                       tuple geometry, bint acc_dx, bint acc_dw, bint mask, bint normed, bint relu) except -1:
    cdef nn_call c
    cdef bint summed = sums is not None
    begin(&c, NN_OP_conv_grads, 3)
    operand(&c, dx)
    operand(&c, dw)
    operand_or_none(&c, sums)
    operand(&c, x)
    operand(&c, dy)
    operand(&c, w)
    operand(&c, z)
    operand(&c, columns)
    if front is not None:
        operand(&c, front)
    cdef bint fits = same_shape(&x.v, &dx.v) and same_shape(&w.v, &dw.v) and same_shape(&dy.v, &z.v)
    fits = fits and x.v.nd == 4 and dy.v.nd == 4 and w.v.nd == 4
    fits = fits and nn_count(&columns.v) == 5 * (in_blocks(dy.v.n[3]) + summed * in_blocks(x.v.n[3]))
    if summed:
        fits = fits and normed != (front is not None) and sums.v.dtype == NN_F64 and nn_count(&sums.v) == 2 * x.v.n[3]
    if front is not None:
        fits = fits and summed and same_shape(&front.v, &x.v)
    if not fits or normed and not summed:
        raise ValueError(f"conv_grads: dx {dx.shape}, dw {dw.shape}, x {x.shape}, dy {dy.shape}, w {w.shape}, z "
                         f"{z.shape}, columns {columns.shape}")
    c.flags = ((NN_ACC if acc_dx else 0) | (NN_ACC_DW if acc_dw else 0) | (NN_MASK if mask else 0)
               | (NN_NORM if normed else 0) | (NN_RELU if relu else 0))
    set_geometry(&c, geometry, &x.v, &dy.v, &w.v)
    if not nn_conv_fusion(&c, &x.v, &dy.v, &w.v) & NN_BOTH_GRADS:
        raise ValueError(f"conv_grads: not made for x {x.shape}, w {w.shape} and {geometry}")
    run(&c, nn_count(&dy.v) * w.v.n[0] * w.v.n[1] * w.v.n[2] >> 3)
    return 0


def conv_dw(Array x, Array dy, tuple geometry, tuple shape, Array columns=None, bint relu=False):
    """The gradient of a convolution's weights, of `shape`; columns: x is normalised as it is loaded."""
    cdef Array dw = image_like(x, shape)
    conv_dw_to(dw, x, dy, geometry, False, columns, relu)
    return dw


cdef tuple CONV_ALGORITHMS = ("auto", "direct", "winograd")


def set_conv_algorithm(name):
    """How 3 x 3 and 5 x 5 convolutions of stride 1 are computed: "auto", "direct" or "winograd"; returns what it was.

    Others are always computed directly. "auto" takes Winograd's F(4x4, 3x3) and F(2x2, 5x5) (Winograd, 1980; Lavin and
    Gray, 2016) from 12 channels in on, for results of at least 4 x 4 or 5 x 5 pixels and 64 pixels over the batch: up
    to twice as fast, with two to three times the rounding error (seven times in the weights' gradient of 256 channels,
    1.3e-6 of its size). The gradient of the input is a convolution of the result's gradient, whose channels then count.
    The environment variable NNCORE_CONV_ALGORITHM sets it at import. ValueError for other names.
    """
    if name not in CONV_ALGORITHMS:
        raise ValueError(f"set_conv_algorithm: {name!r} is not one of {', '.join(CONV_ALGORITHMS)}")
    was = CONV_ALGORITHMS[nn_conv_algorithm_get()]
    nn_conv_algorithm_set(CONV_ALGORITHMS.index(name))
    structure_changed()   # which calls a recorded step has may depend on it
    return was
