/* The whole C interface of nncore: a view, a call, the list of ops, and the few functions Python needs.
 *
 * Every computation is one nn_call: an op, its operands (outputs first), its attributes. Eager mode fills a record on
 * the stack and runs it; recording, profiling and checking read the same record. See README.md for the way of the data.
 */
#ifndef NN_H
#define NN_H
#include <stddef.h>
#include <stdint.h>

#define NN_MAX_DIMS 5
#define NN_MAX_VIEWS 9
#define NN_ALIGN 64      /* every buffer starts on such a boundary ... */
#define NN_OVERREAD 64   /* ... and has this many readable bytes behind its end: vector loads may run past a tail */

enum nn_dtype { NN_F32, NN_I64, NN_U8, NN_BOOL, NN_U64, NN_F64, NN_DTYPES };

/* A contiguous block of elements: p[n[0], ..., n[nd-1]], row-major. */
typedef struct {
    char *p;
    int32_t n[NN_MAX_DIMS];
    uint8_t nd, dtype;
    uint16_t buf; /* number of the buffer in a recorded program; unused in eager calls */
} nn_view;

typedef struct {
    uint16_t op;       /* enum nn_op */
    uint8_t nv, nout;  /* operands; the first nout of them are written */
    uint32_t flags;    /* enum nn_flag */
    nn_view v[NN_MAX_VIEWS];
    union {            /* constants of the call; what changes from step to step is an operand instead */
        double d[4];
        int64_t i[4];
        float f[8];
    } a;
} nn_call;

enum nn_op {
#define OP(name, nout) NN_OP_##name,
#include "ops.inc"
#undef OP
    NN_OPS
};

enum nn_flag {
    NN_ACC = 1,     /* add to the output instead of overwriting it */
    NN_TA = 2,      /* gemm: a is stored transposed, [k,m] */
    NN_TB = 4,      /* gemm: b is stored transposed, [n,k] */
    NN_NESTEROV = 8,
    NN_DECOUPLED = 16, /* adam: weight decay acts on the weight, not on the gradient (AdamW) */
    NN_MAXIMIZE = 32,  /* optimizers: climb instead */
    NN_RELU = 64,      /* group_norm: ReLU behind it */
    NN_FIXED = 128,    /* group_norm: mean and variance are given, and no functions of x */
    NN_MOMENTS = 512,  /* group_norm: x's own are given */
    NN_NORM = 1024,    /* conv and its gradients: x is normalised while it is loaded; NN_RELU: with ReLU behind it */
    NN_MASK = 2048,    /* conv_grads: dy passes ReLU's mask */
    NN_ACC_DW = 4096,  /* conv_grads: add to dw, as NN_ACC does to dx */
    NN_EXACT = 256,    /* copy, i64 to f32: NN_BADINDEX for what float32 does not hold exactly */
};

enum nn_status { NN_OK, NN_NOMEM, NN_BADINDEX, NN_BADRANGE };

/* Elementwise functions: one line each in these lists gives the enum, the name, the kernels and the attribute count. */
enum nn_unary {
#define UNARY(name, saved, nattr, forward, grad) NN_##name,
#include "kernels/unary.inc"
#undef UNARY
    NN_UNARIES
};
enum nn_binary {
#define BINARY(name, expression) NN_##name,
#include "kernels/binary.inc"
#undef BINARY
    NN_BINARIES
};
enum nn_loss {
#define LOSS(name, forward, grad) NN_LOSS_##name,
#include "kernels/loss.inc"
#undef LOSS
    NN_LOSSES
};
enum nn_reduce { NN_SUM, NN_MEAN, NN_MAX, NN_MIN };
/* What makes an output pixel of op resample: a window (its sum; its mean, AVERAGE_INSIDE without padding), a share of
 * the input, neighbours, or itself within a border. */
enum nn_resample { NN_WINDOW, NN_AVERAGE, NN_AVERAGE_INSIDE, NN_ADAPTIVE, NN_NEAREST, NN_LINEAR, NN_LINEAR_CORNERS,
                   NN_REFLECT, NN_REPLICATE, NN_CIRCULAR };

extern const char *const nn_op_names[NN_OPS];
extern const char *const nn_unary_names[NN_UNARIES];
extern const char nn_unary_saved[NN_UNARIES];   /* 'x' or 'y': what the gradient reads */
extern const int nn_unary_nattr[NN_UNARIES];
extern const char *const nn_binary_names[NN_BINARIES];
extern const char *const nn_loss_names[NN_LOSSES];
extern const size_t nn_dtype_size[NN_DTYPES];

/* Runs one call. Returns NN_OK, NN_NOMEM, NN_BADINDEX with the offending value in nn_bad_index and the operand it is of
 * in nn_bad_operand, or NN_BADRANGE with the least and the largest value of the input in nn_bad_range. Outputs may be
 * half written after a failure; nothing else is touched. The caller's floating-point state is the same afterwards. */
int nn_run(const nn_call *c);
/* Runs n calls one after another, on one team of at most `team` threads: nn_wished() after they were recorded. After a
 * failure, *failed is the number of the call that failed, and no later one ran. */
int nn_replay(const nn_call *calls, ptrdiff_t n, int team, ptrdiff_t *failed);
extern _Thread_local int64_t nn_bad_index;
extern _Thread_local int nn_bad_operand; /* of flat_index */
extern _Thread_local float nn_bad_range[2];

/* Profiling (profile.c): a log of the calls that nn_run and nn_replay ran, one at a time for the whole process. Times
 * are CLOCK_MONOTONIC, in nanoseconds. */
typedef struct nn_log nn_log;
typedef struct { int64_t start, end, calls, dropped; } nn_log_info;
typedef struct {
    int64_t start, ns;
    uint64_t thread;    /* pthread_self() */
    const char *what;   /* calls of one op, flags and shapes have the same `bytes` bytes here */
    size_t bytes;
    nn_call call;       /* op, flags, shapes and dtypes; no addresses, no attributes */
} nn_timed;
/* the first `most` calls are kept; NN_NOMEM, or -1 while another log is being written */
int nn_profile_start(int64_t most);
nn_log *nn_profile_stop(void);      /* the log, for nn_log_free; NULL when there is none */
void nn_log_free(nn_log *log);
void nn_log_about(const nn_log *log, nn_log_info *about);
/* the calls from *at = 0 on, as they ended; 0: no more */
int nn_log_next(const nn_log *log, size_t *at, nn_timed *timed);

/* Memory: cached, aligned blocks (memory.c). nn_alloc returns NULL when there is none. */
void *nn_alloc(size_t bytes);
void nn_free(void *p, size_t bytes);
size_t nn_memory_live(void), nn_memory_peak(void), nn_memory_cached(void);
void nn_memory_trim(void);               /* gives cached blocks back to the system */
void nn_memory_reset_peak(void);
void nn_memory_thrift(int on);           /* whether to keep less of what is freed */
void nn_memory_fail_after(int64_t n);    /* test hook: the n-th allocation from here on fails, once; negative: off */

extern const char *const nn_build;       /* what this was built with: lines of `name: value` */

/* Processor (cpu.c): instruction sets compiled in and supported here, best first. */
int nn_isa_count(void);
const char *nn_isa_name(int i);
int nn_isa_supported(int i);
int nn_isa_select(const char *name); /* 0, or -1 when unknown or not supported here; NULL: the best */
const char *nn_isa_current(void);

/* Convolution (conv.c): the algorithm for windows that have a choice; auto is by shape. */
enum nn_conv_algorithm { NN_CONV_AUTO, NN_CONV_DIRECT, NN_CONV_WINOGRAD };
void nn_conv_algorithm_set(int algorithm);
int nn_conv_algorithm_get(void);
/* What is made for a convolution's geometry (a.i[2] and a.i[3] of a call of it) and what the algorithm would choose:
 * bits of nn_conv_fusion. */
enum nn_conv_fusion {
    NN_LOADS_NORM = 1, /* x can be normalised while it is loaded, forward and for dw */
    NN_BOTH_GRADS = 2, /* and there is conv_grads */
    NN_CHOSEN = 4,     /* it is Winograd's, forward and for dw, */
    NN_CHOSEN_DX = 8,  /* and for dx */
};
int nn_conv_fusion(const nn_call *call, const nn_view *x, const nn_view *y, const nn_view *w);

/* Threads (par.c). */
int nn_threads_get(void);
void nn_threads_set(int n);
int nn_has_openmp(void);
int nn_wished(void); /* the most threads that work of this thread was worth since this was last called; 0: one */

static inline int64_t nn_count(const nn_view *v)
{
    int64_t n = 1;
    for (int d = 0; d < v->nd; d++) n *= v->n[d];
    return n;
}
#endif
