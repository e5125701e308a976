# Array: a contiguous, row-major block of elements in our own aligned memory, or a view of one.

DTYPES = ("float32", "int64", "uint8", "bool", "uint64", "float64")
cdef tuple FORMATS = (b"f", b"q", b"B", b"?", b"Q", b"d")
cdef object numpy_asarray = None


@cython.final
@cython.freelist(512)
@cython.no_gc
cdef class Array:
    """A contiguous block of float32, int64, uint8 or bool elements. Tensors are built on it; users rarely see it.

    Speaks the buffer protocol: `numpy.asarray(array)` shares its memory.
    """
    cdef nn_view v
    cdef size_t bytes       # of memory owned; 0: `owner` has it
    cdef object owner       # what keeps the memory alive: an Array that owns, or a foreign memoryview
    cdef uint64_t written   # counts writes in place to memory owned, so that saved values can be checked
    cdef Array moments      # of its channels, where the call that made this took them, for group_norm
    cdef tuple sums         # of the gradient of a norm's result: (the norm's input, those of norm_grad_sums)

    def __init__(self):
        raise TypeError("Array: made by nncore.tensor and its kin")

    def __dealloc__(self):
        if self.bytes:
            if nn_recording and recorder.internal(&self.v):
                recorder.buffers[self.v.buf].freed = True
            nn_free(self.v.p, self.bytes)

    @property
    def shape(self):
        return shape_of(&self.v)

    @property
    def dtype(self):
        return DTYPES[self.v.dtype]

    @property
    def size(self):
        return nn_count(&self.v)

    @property
    def ndim(self):
        return self.v.nd

    @property
    def nbytes(self):
        return nn_count(&self.v) * nn_dtype_size[self.v.dtype]

    @property
    def address(self):
        return <size_t>self.v.p

    def __repr__(self):
        return f"Array(shape={self.shape}, dtype={self.dtype})"

    def __getbuffer__(self, Py_buffer *b, int flags):
        cdef bint readonly = type(self.owner) is memoryview and self.owner.readonly
        if nn_recording:
            host_reads(self)
        if readonly and flags & PyBUF_WRITABLE:
            raise BufferError("Array: this memory is borrowed and may not be written")
        root(self).moments = None   # the host may write what they are of
        cdef Py_ssize_t *sizes = <Py_ssize_t *>PyMem_Malloc(2 * NN_MAX_DIMS * sizeof(Py_ssize_t))
        if sizes == NULL:
            raise MemoryError("Array: no memory to describe the buffer")
        cdef Py_ssize_t item = nn_dtype_size[self.v.dtype], step = item
        cdef int d
        for d in range(self.v.nd - 1, -1, -1):
            sizes[d] = self.v.n[d]
            sizes[NN_MAX_DIMS + d] = step
            step *= self.v.n[d]
        b.buf = self.v.p
        b.obj = self
        b.len = nn_count(&self.v) * item
        b.itemsize = item
        b.readonly = readonly
        b.ndim = self.v.nd
        b.format = <char *><bytes>FORMATS[self.v.dtype]
        b.shape = sizes
        b.strides = sizes + NN_MAX_DIMS
        b.suboffsets = NULL
        b.internal = sizes

    def __releasebuffer__(self, Py_buffer *b):
        PyMem_Free(b.internal)

    cpdef numpy(self):
        """A NumPy array that shares this memory."""
        if nn_recording:
            host_reads(self)   # here, as NumPy would take the error of a buffer for there being none
        global numpy_asarray
        if numpy_asarray is None:
            from numpy import asarray as numpy_asarray_
            numpy_asarray = numpy_asarray_
        return numpy_asarray(self)

    def item(self):
        """The value of a single element, as a Python number."""
        if nn_recording:
            host_reads(self)
        if nn_count(&self.v) != 1:
            raise ValueError(f"item: one element expected, the shape is {self.shape}")
        if self.v.dtype == NN_F32:
            return (<float *>self.v.p)[0]
        if self.v.dtype == NN_I64:
            return (<int64_t *>self.v.p)[0]
        if self.v.dtype == NN_BOOL:
            return bool((<uint8_t *>self.v.p)[0])
        if self.v.dtype == NN_U8:
            return (<uint8_t *>self.v.p)[0]
        if self.v.dtype == NN_U64:
            return (<uint64_t *>self.v.p)[0]
        return (<double *>self.v.p)[0]

    def __reduce__(self):   # copies and what a pickle brings back have memory of their own
        return from_numpy, (self.numpy().copy(),)

    def wrote(self):
        """Tell that the memory was written in place: gradients that saved its values will refuse to run."""
        touch(self)


cdef tuple shape_of(const nn_view *v):
    if v.nd == 2:
        return (v.n[0], v.n[1])
    if v.nd == 1:
        return (v.n[0],)
    return tuple([v.n[d] for d in range(v.nd)])


# The Array that owns a's memory.
cdef inline Array root(Array a):
    if type(a.owner) is Array:
        return <Array>a.owner
    return a


cdef inline touch(Array a):
    cdef Array r = root(a)
    r.written += 1


cdef inline bint same_shape(const nn_view *x, const nn_view *y) noexcept:
    cdef int d
    if x.nd != y.nd:
        return False
    for d in range(x.nd):
        if x.n[d] != y.n[d]:
            return False
    return True


# MemoryError for sizes whose product, zeros left out, is beyond any memory: products of some of them are then safe.
cdef int check_size(const nn_view *v) except -1:
    cdef double elements = 1
    cdef int d
    for d in range(v.nd):
        elements *= v.n[d] if v.n[d] else 1
    if elements > 7e13:
        raise MemoryError(f"no memory for an array of shape {shape_of(v)}: {elements:.3g} elements")
    return 0


# Memory for v.nd, v.n, v.dtype of `like`; its pointer is not read.
cdef Array allocate(const nn_view *like):
    cdef Array a = Array.__new__(Array)
    cdef int d
    cdef size_t bytes = nn_dtype_size[like.dtype]
    a.v = like[0]
    a.v.p = NULL
    check_size(like)
    for d in range(like.nd):
        bytes *= like.n[d]
    if bytes == 0:
        bytes = 1
    a.v.p = <char *>nn_alloc(bytes)
    if a.v.p == NULL:
        raise MemoryError(f"no memory for an array of shape {shape_of(like)}: {bytes} bytes")
    a.bytes = bytes
    a.v.buf = 0
    if nn_recording:
        recorder.new_buffer(a)
    return a


cdef inline Array allocate1(int dtype, int64_t n):
    cdef nn_view v
    v.nd = 1
    v.dtype = <uint8_t>dtype
    if n >> 31:
        raise MemoryError(f"an axis of {n} elements: at most 2147483647")
    v.n[0] = <int32_t>n
    v.buf = 0
    return allocate(&v)


cdef inline Array allocate2(int64_t m, int64_t n):
    cdef nn_view v
    v.nd = 2
    v.dtype = NN_F32
    v.n[0] = <int32_t>m
    v.n[1] = <int32_t>n
    v.buf = 0
    return allocate(&v)


cdef inline Array scalar(float value):
    cdef nn_view v
    v.nd = 0
    v.dtype = NN_F32
    v.buf = 0
    cdef Array a = allocate(&v)
    (<float *>a.v.p)[0] = value
    return a


# A view of x's memory, `offset` bytes in, with the sizes and dtype of `like`.
cdef inline Array view(Array x, const nn_view *like, size_t offset):
    cdef Array a = Array.__new__(Array)
    a.v = like[0]
    a.v.p = x.v.p + offset
    a.v.buf = x.v.buf
    a.owner = x if x.owner is None else x.owner
    return a


cdef int dtype_code(object dtype) except -1:
    for code in range(NN_DTYPES):
        if DTYPES[code] == dtype:
            return code
    raise TypeError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")


# A shape from Python: a tuple, from integers, or from one.
cdef tuple sizes_of(object shape):
    if type(shape) is tuple:
        return shape
    try:
        return (shape.__index__(),)
    except (AttributeError, TypeError):   # several, for an array of them
        pass
    try:
        return tuple(shape)
    except TypeError:
        raise TypeError(f"shape {shape!r}: an integer or a tuple of integers expected") from None


# Sizes from Python into v.
cdef int set_shape(nn_view *v, object shape) except -1:
    cdef tuple sizes = sizes_of(shape)
    cdef int d = 0
    cdef Py_ssize_t n
    if len(sizes) > NN_MAX_DIMS:
        raise ValueError(f"at most {NN_MAX_DIMS} dimensions, got {len(sizes)}: {sizes}")
    for size in sizes:
        try:
            n = PyNumber_AsSsize_t(size, NULL)
        except TypeError:
            raise TypeError(f"shape {sizes}: sizes are integers") from None
        if n < 0:
            raise ValueError(f"negative size in shape {sizes}")
        if n > 0x7fffffff:
            raise MemoryError(f"size {size} in shape {sizes}: an axis holds at most 2147483647 elements")
        v.n[d] = <int32_t>n
        d += 1
    v.nd = <uint8_t>d
    v.buf = 0
    check_size(v)
    return 0


def empty(shape, dtype="float32"):
    """An Array of undefined values."""
    cdef nn_view v
    v.dtype = <uint8_t>dtype_code(dtype)
    set_shape(&v, shape)
    return allocate(&v)


def zeros(shape, dtype="float32"):
    """An Array of zeros."""
    cdef Array a = empty(shape, dtype)
    if nn_recording and a.v.dtype == NN_F32:
        fill(a, 0)
    else:
        memset(a.v.p, 0, a.bytes)
    return a


def full(shape, float value):
    """A float32 Array of one value."""
    cdef Array a = empty(shape)
    fill(a, value)
    return a


cdef int fill(Array a, float value) except -1:
    cdef nn_call c
    begin(&c, NN_OP_fill, 1)
    operand(&c, a)
    c.a.f[0] = value
    run(&c, nn_count(&a.v))
    return 0


def from_scalar(float value):
    """A float32 Array of shape ()."""
    return scalar(value)


# The dtype code for a buffer's format, or -1: native float, long long (or long, where it has 8 bytes), byte, bool.
cdef int format_code(const char *format, Py_ssize_t itemsize) noexcept:
    if format == NULL:
        return NN_U8
    cdef char f = format[0]
    if (f == b'@' or f == b'=' or f == b'<') and format[1] != 0:
        f = format[1]
        if format[2] != 0:
            return -1
    elif f != 0 and format[1] != 0:
        return -1
    if f == b'f' and itemsize == 4:
        return NN_F32
    if (f == b'q' or f == b'l') and itemsize == 8:
        return NN_I64
    if f == b'B':
        return NN_U8
    if f == b'?':
        return NN_BOOL
    if (f == b'Q' or f == b'L') and itemsize == 8:
        return NN_U64
    if f == b'd' and itemsize == 8:
        return NN_F64
    return -1


def from_buffer(object x):
    """A copy of a C-contiguous buffer of float32, int64, uint8 or bool; None where it is anything else."""
    cdef Py_buffer b
    cdef nn_view v
    cdef int code, d
    cdef Array a
    try:
        PyObject_GetBuffer(x, &b, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    except (TypeError, BufferError, ValueError):
        return None
    try:
        code = format_code(b.format, b.itemsize)
        if code < 0 or code == NN_F64 or b.ndim > NN_MAX_DIMS:
            return None
        v.dtype = <uint8_t>code
        v.nd = <uint8_t>b.ndim
        v.buf = 0
        for d in range(b.ndim):
            if b.shape[d] > 0x7fffffff:
                raise MemoryError(f"an axis of {b.shape[d]} elements: at most 2147483647")
            v.n[d] = <int32_t>b.shape[d]
        a = allocate(&v)
        memcpy(a.v.p, b.buf, b.len)
        return a
    finally:
        PyBuffer_Release(&b)


def from_numpy(object x):
    """A copy of a NumPy array of one of DTYPES, the internal ones included."""
    cdef Array a = empty(x.shape, x.dtype.name)
    a.numpy()[...] = x
    return a


def borrow(object x):
    """A read-only Array over the memory of a C-contiguous buffer, without a copy: for gather_rows, which never reads
    past its end. TypeError for anything else."""
    cdef object m = memoryview(x)
    cdef Py_buffer b
    cdef Array a = Array.__new__(Array)
    cdef int code, d
    PyObject_GetBuffer(m, &b, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    try:
        code = format_code(b.format, b.itemsize)
        if code < 0 or b.ndim > NN_MAX_DIMS:
            raise TypeError(f"borrow: a native float32, int64, uint8 or bool buffer expected, got format {m.format!r}")
        a.v.p = <char *>b.buf
        a.v.dtype = <uint8_t>code
        a.v.nd = <uint8_t>b.ndim
        for d in range(b.ndim):
            if b.shape[d] > 0x7fffffff:
                raise MemoryError(f"an axis of {b.shape[d]} elements: at most 2147483647")
            a.v.n[d] = <int32_t>b.shape[d]
        a.owner = m
    finally:
        PyBuffer_Release(&b)
    return a


def reshape(Array x, shape):
    """The same elements in another shape (one size may be -1), sharing memory."""
    cdef nn_view v
    cdef int64_t known = 1, count = nn_count(&x.v)
    cdef int d, unknown = -1
    shape = sizes_of(shape)
    if -1 in shape:
        unknown = shape.index(-1)
        shape = shape[:unknown] + (1,) + shape[unknown + 1:]
        if -1 in shape:
            raise ValueError(f"reshape: {x.shape} to {shape[:unknown] + (-1,) + shape[unknown + 1:]}: only one size "
                             "may be -1")
    v.dtype = x.v.dtype
    set_shape(&v, shape)
    for d in range(v.nd):
        known *= v.n[d]
    if unknown >= 0:
        if known == 0 or count % known:
            raise ValueError(f"reshape: {x.shape} does not fit {shape[:unknown] + (-1,) + shape[unknown + 1:]}")
        if count // known > 0x7fffffff:
            raise MemoryError(f"reshape: {x.shape} as {shape[:unknown] + (-1,) + shape[unknown + 1:]}: an axis holds "
                              "at most 2147483647 elements")
        v.n[unknown] = <int32_t>(count // known)
        known = count
    if known != count:
        raise ValueError(f"reshape: {x.shape} has {count} elements, {shape} would have {known}")
    return view(x, &v, 0)


def flat_slice(Array x, int64_t start, shape):
    """A view of an Array of `shape` that begins `start` elements into x: parameters in their arena."""
    cdef nn_view v
    v.dtype = x.v.dtype
    set_shape(&v, shape)
    if start < 0 or start + nn_count(&v) > nn_count(&x.v):
        raise ValueError(f"flat_slice: {start} and {shape} do not fit {x.shape}")
    return view(x, &v, start * nn_dtype_size[x.v.dtype])


def assign(Array to, Array x):
    """Overwrite `to` in place with x, of the same shape."""
    cdef nn_call c
    cdef int64_t distance = to.v.p - x.v.p, bytes = nn_count(&x.v) * <int64_t>nn_dtype_size[x.v.dtype]
    if not same_shape(&to.v, &x.v):
        raise ValueError(f"assign: {x.shape} does not fit {to.shape}")
    if distance != 0 and -bytes < distance < bytes:   # slices that overlap, copied piece by piece by threads
        x = copy_of(x)
    begin(&c, NN_OP_copy, 1)
    operand(&c, to)
    operand(&c, x)
    run(&c, nn_count(&x.v))
    touch(to)


def cast(Array x, dtype):
    """x converted to another dtype: float32 to integers truncates, bool is x != 0. ValueError for an integer that
    float32 does not hold exactly."""
    cdef nn_view v = x.v
    cdef nn_call c
    v.dtype = <uint8_t>dtype_code(dtype)
    cdef Array y = allocate(&v)
    begin(&c, NN_OP_copy, 1)
    operand(&c, y)
    operand(&c, x)
    if x.v.dtype == NN_I64 and v.dtype == NN_F32:
        c.flags = NN_EXACT
    run(&c, nn_count(&v))
    return y
