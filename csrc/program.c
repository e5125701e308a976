/* Running calls: the tables made from the op list, and the one place where a call meets its driver. */
#include "fpstate.h"
#include "nn.h"
#include "par.h"
#include "profile.h"

#define OP(name, nout) int nn_op_##name(const nn_call *c);
#include "ops.inc"
#undef OP

static int (*const drivers[NN_OPS])(const nn_call *) = {
#define OP(name, nout) nn_op_##name,
#include "ops.inc"
#undef OP
};
const char *const nn_op_names[NN_OPS] = {
#define OP(name, nout) #name,
#include "ops.inc"
#undef OP
};

const char *const nn_unary_names[NN_UNARIES] = {
#define UNARY(name, saved, nattr, forward, grad) #name,
#include "kernels/unary.inc"
#undef UNARY
};
const char nn_unary_saved[NN_UNARIES] = {
#define UNARY(name, saved, nattr, forward, grad) saved,
#include "kernels/unary.inc"
#undef UNARY
};
const int nn_unary_nattr[NN_UNARIES] = {
#define UNARY(name, saved, nattr, forward, grad) nattr,
#include "kernels/unary.inc"
#undef UNARY
};
const char *const nn_binary_names[NN_BINARIES] = {
#define BINARY(name, expression) #name,
#include "kernels/binary.inc"
#undef BINARY
};
const char *const nn_loss_names[NN_LOSSES] = {
#define LOSS(name, forward, grad) #name,
#include "kernels/loss.inc"
#undef LOSS
};

const size_t nn_dtype_size[NN_DTYPES] = {[NN_F32] = 4, [NN_I64] = 8, [NN_U8] = 1, [NN_BOOL] = 1, [NN_U64] = 8,
                                         [NN_F64] = 8};

_Thread_local int64_t nn_bad_index;
_Thread_local int nn_bad_operand;
_Thread_local float nn_bad_range[2];

static inline int drive(const nn_call *c)
{
    nn_forget_workers();
    if (__builtin_expect(atomic_load_explicit(&nn_profiling, memory_order_relaxed), 0))
        return nn_profiled(c, drivers[c->op]);
    return drivers[c->op](c);
}

int nn_run(const nn_call *c)
{
    nn_fp_state saved = nn_fp_enter();
    int status = drive(c);
    nn_fp_leave(saved);
    return status;
}

typedef struct {
    const nn_call *calls;
    ptrdiff_t n, last;
    int status;
} replay;

static void run_all(void *arg)
{
    replay *r = arg;
    for (ptrdiff_t i = 0; i < r->n && r->status == NN_OK; i++) {
        r->status = drive(&r->calls[i]);
        r->last = i;
    }
}

int nn_replay(const nn_call *calls, ptrdiff_t n, int team, ptrdiff_t *failed)
{
    replay r = {calls, n, 0, NN_OK};
    nn_fp_state saved = nn_fp_enter();
    if (team < 2) run_all(&r);
    else nn_lead(team, run_all, &r);
    nn_fp_leave(saved);
    *failed = r.last;
    return r.status;
}
