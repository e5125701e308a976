# Functions of one element, of two with broadcasting, and where.

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
