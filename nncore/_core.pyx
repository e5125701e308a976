# cython: language_level=3, boundscheck=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=False, allow_none_for_extension_args=False
"""The one extension module of nncore: arrays, the autograd graph, and a short function for every op.

In reading order:
  _array.pxi      Array: a contiguous block of our memory that speaks the buffer protocol
  _autograd.pxi   TensorBase and Node: what a tensor remembers, and the walk back through the graph
  calls/          a file for each kind of op, one function per op: sizes -> check -> allocate -> fill a call -> run.
                  They take and return Arrays and know nothing of gradients
  _guards.pxi     whether what a step has read from Python is still there
  _program.pxi    Program: the calls of a step, recorded and run again
Here: running a call, the log of those that ran, and questions about the machine.

No NumPy C API: the buffer protocol is enough, so NumPy is not needed to build.
"""
cimport cython
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_WRITABLE, PyObject_GetBuffer, PyBuffer_Release,
                             PyBUF_C_CONTIGUOUS)
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from nncore.c_nn cimport *

cdef extern from "Python.h":
    # borrowed references
    PyObject *PyTuple_GET_ITEM(object t, Py_ssize_t i) noexcept
    Py_ssize_t PyTuple_GET_SIZE(object t) noexcept
    PyObject *PyCell_GET(object cell) noexcept
    PyObject *PyDict_GetItem(object d, object key) noexcept
    Py_ssize_t Py_REFCNT(object x) noexcept
    Py_ssize_t PyNumber_AsSsize_t(object x, PyObject *error) except? -1   # NULL: what is too large is limited

include "_array.pxi"
include "_autograd.pxi"
include "calls/checks.pxi"
include "calls/elementwise.pxi"
include "calls/reduce.pxi"
include "calls/move.pxi"
include "calls/product.pxi"
include "calls/loss.pxi"
include "calls/random.pxi"
include "calls/optim.pxi"
include "calls/norm.pxi"
include "calls/images.pxi"
include "calls/conv.pxi"
include "calls/effects.pxi"
include "_guards.pxi"
include "_program.pxi"


# ---- running a call --------------------------------------------------------------------------------------------------

cdef inline void begin(nn_call *c, int op, int nout) noexcept:
    c.op = <uint16_t>op
    c.nv = 0
    c.nout = <uint8_t>nout
    c.flags = 0
    memset(&c.a, 0, sizeof(c.a))


cdef inline int operand(nn_call *c, Array x) except -1:
    c.v[c.nv] = x.v
    c.nv += 1
    if nn_recording:
        recorder.use(x, c.nv <= c.nout)
    return 0


cdef inline void no_operand(nn_call *c) noexcept:
    memset(&c.v[c.nv], 0, sizeof(nn_view))
    c.nv += 1


# The view of x as a block of other sizes: outer, middle, inner.
cdef inline int operand3(nn_call *c, Array x, int64_t o, int64_t n, int64_t i) except -1:
    cdef nn_view *v = &c.v[c.nv]
    if (o | n | i) >> 31:
        too_long(nn_op_names[c.op], x)
    v[0] = x.v
    v.nd = 3
    v.n[0] = <int32_t>o
    v.n[1] = <int32_t>n
    v.n[2] = <int32_t>i
    c.nv += 1
    if nn_recording:
        recorder.use(x, c.nv <= c.nout)
    return 0


cdef inline int operand2(nn_call *c, Array x, int64_t m, int64_t n) except -1:
    cdef nn_view *v = &c.v[c.nv]
    if (m | n) >> 31:
        too_long(nn_op_names[c.op], x)
    v[0] = x.v
    v.nd = 2
    v.n[0] = <int32_t>m
    v.n[1] = <int32_t>n
    c.nv += 1
    if nn_recording:
        recorder.use(x, c.nv <= c.nout)
    return 0


cdef too_long(const char *op, Array x):
    raise MemoryError(f"{op.decode()}: shape {x.shape} has more than 2147483647 elements in a run of axes")


# `work` in elements or multiply-adds / 16: the GIL is given up where it is worth it (about 20 us).
cdef int run(nn_call *c, int64_t work) except -1:
    return run_checked(c, work, NULL, 0)


# The same for a call that may find a wrong value: its error tells the shape of x and the axis.
cdef int run_checked(nn_call *c, int64_t work, const nn_view *x, int axis) except -1:
    cdef int status
    if nn_recording:
        recorder.before(c)
    if work > 100000:
        with nogil:
            status = nn_run(c)
    else:
        status = nn_run(c)
    if status != NN_OK:
        fail(c, status, None if x == NULL else (shape_of(x), axis))
    if nn_recording:
        if x != NULL:
            recorder.about[recorder.n] = (shape_of(x), axis)
        recorder.append(c)
    return 0


# about: (shape, axis) as given to run_checked, or None.
cdef fail(const nn_call *c, int status, tuple about):
    name = nn_op_names[c.op].decode()
    if status == NN_NOMEM:
        raise MemoryError(f"{name}: out of memory for working space")
    if status == NN_BADRANGE:
        raise ValueError(f"binary_cross_entropy: probabilities within [0, 1] expected, got {nn_bad_range[0]:g} .. "
                         f"{nn_bad_range[1]:g}; for scores use binary_cross_entropy_with_logits")
    if c.op == NN_OP_copy:
        raise ValueError(f"integer {nn_bad_index} is beyond 2**24 and not exact in float32")
    if about is None:
        raise IndexError(f"{name}: index {nn_bad_index} is out of range")
    shape, axis = about
    if c.op == NN_OP_cross_entropy or c.op == NN_OP_nll:
        raise ValueError(f"{'nll_loss' if c.op == NN_OP_nll else name}: label {nn_bad_index} is out of range for "
                         f"{shape[axis]} classes (scores {shape})")
    if c.op == NN_OP_flat_index:
        raise IndexError(f"index {nn_bad_index} is out of range for axis {axis + nn_bad_operand - 2} of shape {shape}")
    raise IndexError(f"{name}: index {nn_bad_index} is out of range for axis {axis} of shape {shape}")


# ---- profiling -------------------------------------------------------------------------------------------------------

@cython.final
cdef class Log:
    """The calls that ran between profile_start and profile_stop; times in nanoseconds of one clock."""
    cdef nn_log *log
    cdef readonly int64_t start, end, calls, dropped

    def __init__(self):
        raise TypeError("Log: profile_stop makes them")

    def __dealloc__(self):
        nn_log_free(self.log)

    def read(self):
        """[(what, start, duration, thread)] in the order in which the calls ended. what: (op, shapes of its operands,
        number of outputs, bytes of its operands, multiply-adds * 2 of a product or 0), one object for all calls that
        share it; thread: as of threading.get_ident."""
        cdef nn_timed t
        cdef size_t at = 0
        cdef dict known = {}
        cdef list found = []
        while nn_log_next(self.log, &at, &t):
            key = t.what[:t.bytes]
            what = known.get(key)
            if what is None:
                what = known[key] = describe(&t.call)
            found.append((what, t.start, t.ns, t.thread))
        return found


def profile_start(int64_t most):
    """Log the first `most` calls of all threads from here on. RuntimeError if that is being done already."""
    cdef int status = nn_profile_start(most)
    if status == NN_NOMEM:
        raise MemoryError("profile: no memory for the log")
    if status:
        raise RuntimeError("profile: one is being taken already; blocks cannot be nested, nor run in two "
                           "threads at once")


def profile_stop():
    """The Log since profile_start; None if there was none."""
    cdef Log x
    cdef nn_log *log = nn_profile_stop()
    cdef nn_log_info about
    if log == NULL:
        return None
    x = Log.__new__(Log)
    x.log = log
    nn_log_about(log, &about)
    x.start, x.end, x.calls, x.dropped = about.start, about.end, about.calls, about.dropped
    return x


# ---- the machine -----------------------------------------------------------------------------------------------------

def isa_names():
    """Names of the compiled-in instruction sets that this CPU supports, best first."""
    return [nn_isa_name(i).decode() for i in range(nn_isa_count()) if nn_isa_supported(i)]


def isa_compiled():
    """Names of all compiled-in instruction sets, best first."""
    return [nn_isa_name(i).decode() for i in range(nn_isa_count())]


def isa_current():
    """Name of the instruction set in use."""
    return nn_isa_current().decode()


def isa_select(name=None):
    """Use the kernels of this instruction set from here on; None: the best. ValueError where the CPU lacks it."""
    cdef bytes b
    cdef int status
    if name is None:
        status = nn_isa_select(NULL)
    else:
        b = name.encode()
        status = nn_isa_select(b)
    if status:
        raise ValueError(f"instruction set {name!r} is not available on this CPU; available: {', '.join(isa_names())}")


def build_flags():
    """What this was built with: lines of `name: value`."""
    return nn_build.decode()


def get_num_threads():
    """Number of threads a large piece of work is shared by."""
    return nn_threads_get()


def set_num_threads(n):
    """Share large pieces of work by n >= 1 threads. Results do not depend on it, to the last bit."""
    cdef Py_ssize_t count = PyNumber_AsSsize_t(n, NULL)
    if count < 1:
        raise ValueError(f"set_num_threads: {n} threads")
    nn_threads_set(<int>min(count, 1 << 20))


def has_openmp():
    """Whether this was built with threads."""
    return bool(nn_has_openmp())


def memory_stats():
    """Bytes of array memory: live (in use), peak (most ever in use), cached (free, kept for reuse)."""
    return {"live": nn_memory_live(), "peak": nn_memory_peak(), "cached": nn_memory_cached()}


def memory_reset_peak():
    """Let the peak of memory_stats start again from what is in use."""
    nn_memory_reset_peak()


def memory_trim():
    """Give cached memory back to the system."""
    nn_memory_trim()


def memory_fail_after(int64_t n):
    """For tests: the n-th allocation from now on (0: the next) fails once, with MemoryError. Negative: none."""
    nn_memory_fail_after(n)
