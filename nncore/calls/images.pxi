# Images: changing them at random, pooling, resampling. Convolutions are in conv.pxi.

# The axes of images x[n, h, w, c]; x[n, h, w] has one channel.
cdef int image_view(nn_view *v, Array x, str name) except -1:
    v[0] = x.v
    if x.v.nd == 3:
        v.nd = 4
        v.n[3] = 1
    if v.nd != 4:
        raise ValueError(f"{name}: images (n, height, width, channels) or (n, height, width) expected, got {x.shape}")
    if extent(v, 1, 4) == 0:
        raise ValueError(f"{name}: images of shape {x.shape} have no pixels")
    return 0


cdef int need_settings(Array settings, int64_t count, str name) except -1:
    if settings.v.dtype != NN_F64 or nn_count(&settings.v) != count:
        raise ValueError(f"{name}: {count} float64 settings expected, got {settings.dtype} {settings.shape}")
    return 0


cdef int need_stream(Array state, str name) except -1:
    if state.v.dtype != NN_U64 or nn_count(&state.v) != 3:
        raise ValueError(f"{name}: a state of 3 uint64 expected, got {state.dtype} {state.shape}")
    return 0


def augment(Array x, Array index, int64_t start, int64_t count, Array state, int64_t p, int64_t q, Array settings,
            Array colours):
    """y[b] = a window of p x q pixels of x[index[start + b]], changed at random, for b < count: csrc/ops.inc. The
    settings are those of nncore.data.augment, which checks them."""
    cdef nn_view images, v, rows
    cdef nn_call c
    image_view(&images, x, "augment")
    need_index(index, "augment")
    if x.v.dtype != NN_F32 and x.v.dtype != NN_U8:
        raise TypeError(f"augment: float32 or uint8 images expected, got {x.dtype}")
    if index.v.nd != 1 or start < 0 or count < 0 or start + count > index.v.n[0]:
        raise IndexError(f"augment: {count} images from {start} of an index of shape {index.shape}")
    need_stream(state, "augment")
    need_settings(settings, 18, "augment")
    need_float(colours, "augment")
    if nn_count(&colours.v) != 4 * images.n[3] or p < 1 or q < 1 or (p | q) >> 31:
        raise ValueError(f"augment: windows of {p} x {q} pixels and colours {colours.shape} of images {x.shape}")
    v = images
    v.dtype = NN_F32
    v.n[0] = <int32_t>count
    v.n[1] = <int32_t>p
    v.n[2] = <int32_t>q
    v.nd = x.v.nd
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_augment, 2)
    operand(&c, y)
    c.v[0].nd = 4
    c.v[0].n[3] = images.n[3]
    operand(&c, state)
    operand(&c, x)
    c.v[2] = images
    rows = index.v
    rows.p += start * 8
    rows.n[0] = <int32_t>count
    c.v[3] = rows
    c.nv = 4
    if nn_recording:
        recorder.use(index, False)
    operand(&c, settings)
    operand(&c, colours)
    run(&c, nn_count(&v) + 100 * count)
    return y


def mix(Array x, Array target, int64_t classes, Array state, Array settings):
    """(y, t): images mixed with the ones before them, and their targets as probabilities [b, classes]; targets are
    labels, or float32 [b, classes]. The settings are those of nncore.data.augment, which checks them."""
    cdef nn_view images, v
    cdef nn_call c
    image_view(&images, x, "mix")
    need_float(x, "mix")
    need_stream(state, "mix")
    need_settings(settings, 4, "mix")
    if target.v.dtype != NN_I64:
        need_float(target, "mix")
    if (target.v.nd != (1 if target.v.dtype == NN_I64 else 2) or target.v.n[0] != x.v.n[0] or classes < 1
            or classes >> 31 or (target.v.nd == 2 and target.v.n[1] != classes)):
        raise ValueError(f"mix: targets {target.dtype} {target.shape} are neither labels nor probabilities of "
                         f"{classes} classes for images {x.shape}")
    v.nd = 2
    v.dtype = NN_F32
    v.buf = 0
    v.n[0] = x.v.n[0]
    v.n[1] = <int32_t>classes
    cdef Array y = allocate(&x.v), t = allocate(&v)
    begin(&c, NN_OP_mix, 3)
    operand(&c, y)
    operand(&c, t)
    operand(&c, state)
    operand(&c, x)
    c.v[3] = images
    operand(&c, target)
    operand(&c, settings)
    run(&c, nn_count(&x.v))
    return y, t


# ---- pooling and upsampling ------------------------------------------------------------------------------------------

RESAMPLE = {"sum": NN_WINDOW, "average": NN_AVERAGE, "average inside": NN_AVERAGE_INSIDE, "adaptive": NN_ADAPTIVE,
            "nearest": NN_NEAREST, "linear": NN_LINEAR, "linear corners": NN_LINEAR_CORNERS, "constant": NN_WINDOW,
            "reflect": NN_REFLECT, "replicate": NN_REPLICATE, "circular": NN_CIRCULAR}


# x as images: all axes but the last three are one.
cdef inline int image_operand(nn_call *c, Array x) except -1:
    cdef nn_view *v = &c.v[c.nv]
    cdef int64_t b = extent(&x.v, 0, x.v.nd - 3)
    operand3(c, x, b, x.v.n[x.v.nd - 3], x.v.n[x.v.nd - 2])
    v.nd = 4
    v.n[3] = x.v.n[x.v.nd - 1]
    return 0


# Images of the same number and channels as x, of another height and width.
cdef Array images_like(Array x, int64_t h, int64_t w, int dtype):
    cdef nn_view v = x.v
    if (h | w) >> 31:
        raise MemoryError(f"an image of {h} x {w} pixels: at most 2147483647 on a side")
    v.n[v.nd - 3] = <int32_t>h
    v.n[v.nd - 2] = <int32_t>w
    v.dtype = <uint8_t>dtype
    return allocate(&v)


cdef inline int64_t packed(tuple pair) except? -1:
    cdef int32_t rows = pair[0], columns = pair[1]
    return <int64_t><uint32_t>rows | <int64_t>columns << 32


def max_pool(Array x, tuple size, tuple kernel, tuple stride, tuple padding, tuple dilation, bint wide):
    """(y, where) of images x[..., h, w, c] for outputs of `size`: see csrc/ops.inc. A kernel of (0, 0): adaptive
    windows."""
    need_float(x, "max_pool")
    cdef Array y = images_like(x, size[0], size[1], NN_F32)
    cdef Array where = images_like(x, size[0], size[1], NN_I64 if wide else NN_U8)
    cdef nn_call c
    begin(&c, NN_OP_max_pool, 2)
    image_operand(&c, y)
    image_operand(&c, where)
    image_operand(&c, x)
    c.a.i[0] = packed(kernel)
    c.a.i[1] = packed(stride)
    c.a.i[2] = packed(padding)
    c.a.i[3] = packed(dilation)
    run(&c, nn_count(&x.v))
    return y, where


def max_pool_grad(Array dy, Array where, tuple size, tuple kernel, tuple stride, tuple padding, tuple dilation):
    """dx, of `size`, from where the maxima were."""
    cdef Array dx = images_like(dy, size[0], size[1], NN_F32)
    cdef nn_call c
    begin(&c, NN_OP_max_pool_grad, 1)
    image_operand(&c, dx)
    image_operand(&c, dy)
    image_operand(&c, where)
    c.a.i[0] = packed(kernel)
    c.a.i[1] = packed(stride)
    c.a.i[2] = packed(padding)
    c.a.i[3] = packed(dilation)
    run(&c, nn_count(&dx.v))
    return dx


def resample(Array x, tuple size, int kind, object how=None, int divisor=0, bint back=False):
    """Images of `size` from those of x, or from a gradient, back to the size of x. kind is one of RESAMPLE; how:
    (kernel, stride, padding) of windows and borders, or the two steps of nearest and linear."""
    need_float(x, "resample")
    cdef Array y = images_like(x, size[0], size[1], NN_F32)
    cdef nn_call c
    begin(&c, NN_OP_resample_grad if back else NN_OP_resample, 1)
    image_operand(&c, y)
    image_operand(&c, x)
    c.a.i[0] = packed((kind, divisor))
    if NN_NEAREST <= kind <= NN_LINEAR_CORNERS:
        c.a.d[1] = how[0]
        c.a.d[2] = how[1]
    elif kind != NN_ADAPTIVE:
        c.a.i[1] = packed(how[0])
        c.a.i[2] = packed(how[1])
        c.a.i[3] = packed(how[2])
    run(&c, nn_count(&x.v) + nn_count(&y.v))
    return y
