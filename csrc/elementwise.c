/* Elementwise work: cut into pieces of about NN_CHUNK elements, which the kernels run through. */
#include <string.h>
#include "kernels/kernels.h"
#include "par.h"

#define NS_PER_ELEMENT 0.4

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

/* y[j] <- x[j], one function of one array, or dx <- dy, s. */
typedef struct {
    const nn_call *c;
    int64_t n;
} flat;

static float *at(const flat *f, int v, int64_t task) { return (float *)f->c->v[v].p + task * NN_CHUNK; }
static int64_t length(const flat *f, int64_t task) { return min(NN_CHUNK, f->n - task * NN_CHUNK); }

static int run_flat(const nn_call *c, nn_task_fn *fn, double ns_per_element)
{
    flat f = {c, nn_count(&c->v[0])};
    if (f.n) nn_for(nn_chunks(f.n), f.n * ns_per_element, fn, &f);
    return NN_OK;
}

static void unary_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    flat *f = arg;
    nn_k->unary[f->c->a.i[0]](at(f, 0, task), at(f, 1, task), f->c->a.f + 2, length(f, task));
}
int nn_op_unary(const nn_call *c) { return run_flat(c, unary_task, NS_PER_ELEMENT); }

static void unary_grad_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    flat *f = arg;
    nn_k->unary_grad[f->c->a.i[0]](at(f, 0, task), at(f, 1, task), at(f, 2, task), f->c->a.f + 2, length(f, task));
}
int nn_op_unary_grad(const nn_call *c) { return run_flat(c, unary_grad_task, NS_PER_ELEMENT); }

static void fill_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    flat *f = arg;
    nn_k->fill(at(f, 0, task), f->c->a.f[0], length(f, task));
}
int nn_op_fill(const nn_call *c) { return run_flat(c, fill_task, NS_PER_ELEMENT); }

static void add_to_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    flat *f = arg;
    nn_k->add_to(at(f, 0, task), at(f, 1, task), length(f, task));
}
int nn_op_add_to(const nn_call *c) { return run_flat(c, add_to_task, NS_PER_ELEMENT); }

/* Conversion between dtypes. float32 to integers truncates; Python has checked the range. */
static void copy_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    flat *f = arg;
    const nn_view *y = &f->c->v[0], *x = &f->c->v[1];
    int64_t start = task * NN_CHUNK, n = length(f, task);
    char *yp = y->p + start * nn_dtype_size[y->dtype];
    const char *xp = x->p + start * nn_dtype_size[x->dtype];
    if (y->dtype == x->dtype) {
        memcpy(yp, xp, n * nn_dtype_size[y->dtype]);
        return;
    }
#define CONVERT(to, from) for (int64_t i = 0; i < n; i++) ((to *)yp)[i] = (to)((const from *)xp)[i]
#define CONVERT_FROM(from)                                                                     \
    switch (y->dtype) {                                                                        \
    case NN_F32: CONVERT(float, from); break;                                                  \
    case NN_I64: CONVERT(int64_t, from); break;                                                \
    case NN_U8: CONVERT(uint8_t, from); break;                                                 \
    case NN_BOOL: for (int64_t i = 0; i < n; i++) yp[i] = ((const from *)xp)[i] != 0; break;   \
    case NN_U64: CONVERT(uint64_t, from); break;                                               \
    case NN_F64: CONVERT(double, from); break;                                                 \
    }                                                                                          \
    break;
    switch (x->dtype) {
    case NN_F32: CONVERT_FROM(float)
    case NN_I64: CONVERT_FROM(int64_t)
    case NN_BOOL: case NN_U8: CONVERT_FROM(uint8_t)
    case NN_U64: CONVERT_FROM(uint64_t)
    case NN_F64: CONVERT_FROM(double)
    }
}

/* Integers of at most 24 bits, not counting zeros at the end. */
static int check_exact(const int64_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t u = x[i] < 0 ? -(uint64_t)x[i] : (uint64_t)x[i];
        if (u >> 24 && u >> __builtin_ctzll(u) >> 24) {
            nn_bad_index = x[i];
            return NN_BADINDEX;
        }
    }
    return NN_OK;
}

int nn_op_copy(const nn_call *c)
{
    int status = c->flags & NN_EXACT ? check_exact((const int64_t *)c->v[1].p, nn_count(&c->v[1])) : NN_OK;
    return status ? status : run_flat(c, copy_task, NS_PER_ELEMENT);
}

/* Broadcasting: the output as a nest of loops, with a step for every operand in every loop; a step of 0 repeats. Loops
 * that run through all operands as one are merged, so the usual cases have one or two, and the innermost steps are 0
 * or 1. */
typedef struct {
    const nn_call *c;
    int loops, operands;
    int64_t n[NN_MAX_DIMS], step[3][NN_MAX_DIMS]; /* outermost first */
    int64_t rows, rows_per_task, inner_per_task;
} nest;

static void make_nest(nest *t, const nn_call *c)
{
    const nn_view *z = &c->v[0];
    int64_t full[3] = {1, 1, 1};
    t->c = c;
    t->operands = c->nv - 1;
    t->loops = 0;
    int64_t n[NN_MAX_DIMS], step[3][NN_MAX_DIMS]; /* innermost first */
    for (int d = 0; d < z->nd; d++) {
        int64_t size = z->n[z->nd - 1 - d], s[3] = {0};
        for (int o = 0; o < t->operands; o++) {
            const nn_view *x = &c->v[1 + o];
            int64_t own = d < x->nd ? x->n[x->nd - 1 - d] : 1;
            s[o] = own == 1 ? 0 : full[o];
            full[o] *= own;
        }
        if (size == 1) continue;
        int merge = t->loops > 0;
        for (int o = 0; o < t->operands && merge; o++)
            merge = s[o] == step[o][t->loops - 1] * n[t->loops - 1];
        if (merge) {
            n[t->loops - 1] *= size;
            continue;
        }
        n[t->loops] = size;
        for (int o = 0; o < t->operands; o++) step[o][t->loops] = s[o];
        t->loops++;
    }
    if (t->loops == 0) {
        n[0] = 1;
        for (int o = 0; o < 3; o++) step[o][0] = 0;
        t->loops = 1;
    }
    t->rows = 1;
    for (int l = 0; l < t->loops; l++) {
        t->n[l] = n[t->loops - 1 - l];
        for (int o = 0; o < t->operands; o++) t->step[o][l] = step[o][t->loops - 1 - l];
        if (l < t->loops - 1) t->rows *= t->n[l];
    }
    int64_t inner = t->n[t->loops - 1];
    t->inner_per_task = t->rows == 1 ? NN_CHUNK : inner;
    t->rows_per_task = inner >= NN_CHUNK ? 1 : NN_CHUNK / (inner ? inner : 1);
}

static void nest_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    nest *t = arg;
    int last = t->loops - 1;
    int64_t inner = t->n[last], first = 0, row = task * t->rows_per_task, end = min(row + t->rows_per_task, t->rows),
            n = inner;
    if (t->rows == 1) {
        row = 0, end = 1;
        first = task * NN_CHUNK;
        n = min(NN_CHUNK, inner - first);
    }
    for (; row < end; row++) {
        int64_t offset[3] = {0}, rest = row;
        for (int l = last - 1; l >= 0; l--) {
            int64_t index = rest % t->n[l];
            rest /= t->n[l];
            for (int o = 0; o < t->operands; o++) offset[o] += index * t->step[o][l];
        }
        float *z = (float *)t->c->v[0].p + row * inner + first;
        const nn_view *v = t->c->v + 1;
        int64_t s0 = t->step[0][last], s1 = t->step[1][last];
        if (t->operands == 2) {
            nn_k->binary[t->c->a.i[0]](z, (const float *)v[0].p + offset[0] + first * s0, s0,
                                       (const float *)v[1].p + offset[1] + first * s1, s1, n);
        } else {
            int64_t s2 = t->step[2][last];
            nn_k->where(z, (const uint8_t *)v[0].p + offset[0] + first * s0, s0,
                        (const float *)v[1].p + offset[1] + first * s1, s1,
                        (const float *)v[2].p + offset[2] + first * s2, s2, n);
        }
    }
}

static int run_nest(const nn_call *c)
{
    int64_t count = nn_count(&c->v[0]);
    if (count == 0) return NN_OK;
    nest t;
    make_nest(&t, c);
    int64_t tasks = t.rows == 1 ? nn_chunks(t.n[t.loops - 1]) : (t.rows + t.rows_per_task - 1) / t.rows_per_task;
    nn_for(tasks, count * NS_PER_ELEMENT, nest_task, &t);
    return NN_OK;
}
int nn_op_binary(const nn_call *c) { return run_nest(c); }
int nn_op_where(const nn_call *c) { return run_nest(c); }
