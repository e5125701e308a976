# What the functions for calls begin with: names and codes, dtypes, axes. Messages name the op and the actual shapes.

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
