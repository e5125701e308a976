/* Reductions: x[o,r,i] -> y[o,i], over r. Three layouts: i == 1 reduces rows, o == 1 columns, else columns o times.
 *
 * Work is cut by sizes: rows in pieces of NN_CHUNK elements, columns in pieces of PIECE rows. Pieces leave partial
 * results that the same kernels then reduce in their order, so a result never depends on the number of threads.
 */
#include <math.h>
#include "kernels/kernels.h"
#include "par.h"

#define PIECE 1024 /* rows of a piece */
#define STRIP 1024 /* columns of a task: 4 KB of each row */

/* Nanoseconds for an element, one thread, in cache (Zen 5, AVX2). */
#define NS_REDUCE 0.05
#define NS_ARGMAX 0.2

typedef struct {
    float *y;
    const float *x, *mean;
    int kind, join;
    float divisor;
    int64_t o, r, i, pieces, strips, group, units;
} reduction;

/* Pieces of rows. Task t: `group` rows that are whole, or one piece of one row. */
static void reduce_rows_task(void *arg, int64_t t, int worker)
{
    const reduction *a = arg;
    (void)worker;
    if (a->pieces == 1) {
        int64_t j = t * a->group, rows = a->o - j < a->group ? a->o - j : a->group;
        nn_k->reduce_rows(a->y + j, a->x + j * a->r, a->mean ? a->mean + j : 0, a->kind, a->join, a->divisor, rows,
                          a->r);
        return;
    }
    int64_t j = t / a->pieces, k = t % a->pieces * NN_CHUNK, n = a->r - k < NN_CHUNK ? a->r - k : NN_CHUNK;
    nn_k->reduce_rows(a->y + t, a->x + j * a->r + k, a->mean ? a->mean + j : 0, a->kind, 0, 1, 1, n);
}

/* Pieces of columns. Unit u: strip u % strips of piece u / strips of y[o,pieces,i]. */
static void reduce_columns_task(void *arg, int64_t t, int worker)
{
    const reduction *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->units ? (t + 1) * a->group : a->units;
    for (int64_t u = t * a->group; u < end; u++) {
        int64_t j = u % a->strips * STRIP, p = u / a->strips, o = p / a->pieces, k = p % a->pieces * PIECE;
        int64_t rows = a->r - k < PIECE ? a->r - k : PIECE, width = a->i - j < STRIP ? a->i - j : STRIP;
        float *y = a->y + p * a->i + j;
        nn_k->reduce_columns(y, a->x + (o * a->r + k) * a->i + j, a->mean ? a->mean + o * a->i + j : 0, a->kind,
                             a->join, rows, width, a->i);
        if (a->divisor != 1) nn_k->binary[NN_div](y, y, 1, &a->divisor, 0, width);
    }
}

/* y[o,i] (+)= reduction of x[o,r,i] / divisor; mean[o,i] for NN_SQDEV. */
static int reduce(float *y, const float *x, const float *mean, int kind, int acc, float divisor, int64_t o, int64_t r,
                  int64_t i)
{
    if (o * i == 0) return NN_OK;
    int64_t piece = i == 1 ? NN_CHUNK : PIECE, pieces = (r + piece - 1) / piece;
    if (pieces > 1 || (acc && i > 1 && (kind == NN_MAX || kind == NN_MIN || divisor != 1)) || r == 0) {
        if (pieces < 1) pieces = 1;
        size_t bytes = (size_t)(o * pieces * i) * sizeof(float);
        float *part = nn_alloc(bytes);
        if (!part) return NN_NOMEM;
        int status = NN_OK;
        if (r == 0) nn_k->fill(part, kind == NN_MAX ? -INFINITY : kind == NN_MIN ? INFINITY : 0, o * i);
        else if (pieces == 1) status = reduce(part, x, mean, kind, 0, divisor, o, r, i);
        else {
            reduction a = {part, x, mean, kind, 0, 1, o, r, i, pieces, (i + STRIP - 1) / STRIP, 1, 0};
            a.units = o * pieces * a.strips;
            nn_for(i == 1 ? o * pieces : a.units, NS_REDUCE * (double)(o * r) * (double)i,
                   i == 1 ? reduce_rows_task : reduce_columns_task, &a);
        }
        if (status == NN_OK && pieces > 1)
            status = reduce(y, part, 0, kind == NN_SQDEV ? NN_SUM : kind, acc, divisor, o, pieces, i);
        else if (status == NN_OK) {
            float d = r ? 1 : divisor;
            nn_k->binary[NN_div](part, part, 1, &d, 0, o * i);
            if (acc) nn_k->add_to(y, part, o * i);
            else nn_k->binary[NN_div](y, part, 1, &(float){1}, 0, o * i);
        }
        nn_free(part, bytes);
        return status;
    }
    if (o == 1 && i > 1 && i <= STRIP && divisor == 1) { /* the gradient of a bias: spared six divisions of 64 bits */
        nn_k->reduce_columns(y, x, mean, kind, acc, r, i, i);
        return NN_OK;
    }
    reduction a = {y, x, mean, kind, acc, divisor, o, r, i, 1, (i + STRIP - 1) / STRIP, 1, 0};
    int64_t size = i == 1 ? r : r * (i < STRIP ? i : STRIP); /* of a row, or of a unit */
    a.units = i == 1 ? o : o * a.strips;
    a.group = size < NN_CHUNK ? (NN_CHUNK / size + 15) / 16 * 16 : 1;
    nn_for((a.units + a.group - 1) / a.group, NS_REDUCE * (double)(o * r) * (double)i,
           i == 1 ? reduce_rows_task : reduce_columns_task, &a);
    return NN_OK;
}

int nn_op_reduce(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[1];
    int kind = (int)c->a.i[0];
    float divisor = kind == NN_MEAN ? (float)x->n[1] : 1;
    return reduce((float *)y->p, (const float *)x->p, 0, kind == NN_MEAN ? NN_SUM : kind, c->flags & NN_ACC, divisor,
                  x->n[0], x->n[1], x->n[2]);
}

/* Two passes: the mean, then the squares of the distances from it. */
int nn_op_var(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[1];
    int64_t o = x->n[0], r = x->n[1], i = x->n[2], free = r - c->a.i[0];
    size_t bytes = (size_t)(o * i) * sizeof(float);
    if (bytes == 0) return NN_OK;
    float *mean = nn_alloc(bytes);
    if (!mean) return NN_NOMEM;
    int status = reduce(mean, (const float *)x->p, 0, NN_SUM, 0, (float)r, o, r, i);
    if (status == NN_OK)
        status = reduce((float *)y->p, (const float *)x->p, mean, NN_SQDEV, 0, (float)(free > 0 ? free : 0), o, r, i);
    nn_free(mean, bytes);
    return status;
}

typedef struct {
    int64_t *y;
    const float *x;
    int kind;
    int64_t o, r, i, group;
} argmax_args;

static void argmax_task(void *arg, int64_t t, int worker)
{
    const argmax_args *a = arg;
    (void)worker;
    if (a->i == 1) {
        int64_t j = t * a->group, rows = a->o - j < a->group ? a->o - j : a->group;
        nn_k->argmax_rows(a->y + j, a->x + j * a->r, a->kind, rows, a->r);
        return;
    }
    int64_t strips = (a->i + STRIP - 1) / STRIP, o = t / strips, j = t % strips * STRIP;
    nn_k->argmax_columns(a->y + o * a->i + j, a->x + o * a->r * a->i + j, a->kind, a->r,
                         a->i - j < STRIP ? a->i - j : STRIP, a->i);
}

int nn_op_argmax(const nn_call *c)
{
    const nn_view *x = &c->v[1];
    argmax_args a = {(int64_t *)c->v[0].p, (const float *)x->p, (int)c->a.i[0], x->n[0], x->n[1], x->n[2], 1};
    if (a.o * a.i == 0) return NN_OK;
    a.group = a.r < NN_CHUNK ? NN_CHUNK / (a.r + 1) + 1 : 1;
    int64_t tasks = a.i == 1 ? (a.o + a.group - 1) / a.group : a.o * ((a.i + STRIP - 1) / STRIP);
    nn_for(tasks, NS_ARGMAX * (double)(a.o * a.r) * (double)a.i, argmax_task, &a);
    return NN_OK;
}

typedef struct {
    const nn_call *c;
    double *part; /* one for each chunk of each operand, in order */
} norm_args;

static void norm_task(void *arg, int64_t t, int worker)
{
    const norm_args *a = arg;
    (void)worker;
    int64_t k = t;
    int j = 1;
    while (k >= nn_chunks(nn_count(&a->c->v[j]))) k -= nn_chunks(nn_count(&a->c->v[j++]));
    int64_t n = nn_count(&a->c->v[j]) - k * NN_CHUNK;
    a->part[t] = nn_k->sum_squares((const float *)a->c->v[j].p + k * NN_CHUNK, n < NN_CHUNK ? n : NN_CHUNK);
}

int nn_op_norm(const nn_call *c)
{
    int64_t chunks = 0, n = 0;
    for (int j = 1; j < c->nv; j++) chunks += nn_chunks(nn_count(&c->v[j])), n += nn_count(&c->v[j]);
    double small[64], sum = 0;
    size_t bytes = (size_t)chunks * sizeof(double);
    norm_args a = {c, chunks <= 64 ? small : nn_alloc(bytes)};
    if (!a.part) return NN_NOMEM;
    nn_for(chunks, NS_REDUCE * (double)n, norm_task, &a);
    for (int64_t t = 0; t < chunks; t++) sum += a.part[t];
    if (a.part != small) nn_free(a.part, bytes);
    *(float *)c->v[0].p = (float)sqrt(sum);
    return NN_OK;
}
