# Random numbers: each call counts its generator's state on.

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
