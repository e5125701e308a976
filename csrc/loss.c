/* Losses of a prediction x and a target, element by element, and their sums: each block in float vectors, the blocks in
 * double, in their order.
 */
#include <math.h>
#include <stdatomic.h>
#include "kernels/kernels.h"
#include "par.h"

#define BLOCK 1024
#define NS_PER_ELEMENT 0.2

typedef struct {
    int kind;
    float *y;
    const float *x, *target, *dy;
    double *part;
    int64_t n, sdy;
    float attribute, factor;
    atomic_int outside; /* x is no probability: its logarithm would be NaN, which would hide the mistake */
} loss_args;

static void look_at_probabilities(loss_args *a, const float *x, int64_t n)
{
    float low, high;
    nn_k->reduce_rows(&low, x, 0, NN_MIN, 0, 1, 1, n);
    nn_k->reduce_rows(&high, x, 0, NN_MAX, 0, 1, 1, n);
    if (low < 0 || high > 1) atomic_store_explicit(&a->outside, 1, memory_order_relaxed);
}

/* For the message: the range of the numbers among x. */
static int bad_range(const float *x, int64_t n)
{
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    nn_bad_range[0] = low, nn_bad_range[1] = high;
    return NN_BADRANGE;
}

static void loss_sum_task(void *arg, int64_t t, int worker)
{
    loss_args *a = arg;
    (void)worker;
    int64_t k = t * NN_CHUNK, end = k + NN_CHUNK < a->n ? k + NN_CHUNK : a->n;
    double sum = 0;
    if (a->kind == NN_LOSS_bce) look_at_probabilities(a, a->x + k, end - k);
    for (; k < end; k += BLOCK)
        sum += nn_k->loss_sum[a->kind](a->x + k, a->target + k, a->attribute, end - k < BLOCK ? end - k : BLOCK);
    a->part[t] = sum;
}

static void loss_task(void *arg, int64_t t, int worker)
{
    loss_args *a = arg;
    (void)worker;
    int64_t k = t * NN_CHUNK, n = a->n - k < NN_CHUNK ? a->n - k : NN_CHUNK;
    if (a->kind == NN_LOSS_bce && !a->dy) look_at_probabilities(a, a->x + k, n);
    if (a->dy)
        nn_k->loss_grad[a->kind](a->y + k, a->dy + k * a->sdy, a->sdy, a->x + k, a->target + k, a->attribute, a->factor,
                                 n);
    else
        nn_k->loss[a->kind](a->y + k, a->x + k, a->target + k, a->attribute, a->factor, n);
}

int nn_op_loss(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[1];
    loss_args a = {(int)c->a.i[0], (float *)y->p, (const float *)x->p, (const float *)c->v[2].p, 0, 0, nn_count(x), 0,
                   c->a.f[2], c->a.f[3]};
    int64_t chunks = nn_chunks(a.n);
    if (nn_count(y) == a.n) {
        nn_for(chunks, NS_PER_ELEMENT * (double)a.n, loss_task, &a);
        return a.outside ? bad_range(a.x, a.n) : NN_OK;
    }
    double small[64], sum = 0;
    size_t bytes = (size_t)chunks * sizeof(double);
    a.part = chunks <= 64 ? small : nn_alloc(bytes);
    if (!a.part) return NN_NOMEM;
    nn_for(chunks, NS_PER_ELEMENT * (double)a.n, loss_sum_task, &a);
    for (int64_t t = 0; t < chunks; t++) sum += a.part[t];
    if (a.part != small) nn_free(a.part, bytes);
    if (a.outside) return bad_range(a.x, a.n);
    *a.y = (float)(sum * a.factor);
    return NN_OK;
}

int nn_op_loss_grad(const nn_call *c)
{
    const nn_view *dx = &c->v[0], *dy = &c->v[1];
    loss_args a = {(int)c->a.i[0], (float *)dx->p, (const float *)c->v[2].p, (const float *)c->v[3].p,
                   (const float *)dy->p, 0, nn_count(dx), nn_count(dy) > 1, c->a.f[2], c->a.f[3]};
    nn_for(nn_chunks(a.n), NS_PER_ELEMENT * (double)a.n, loss_task, &a);
    return NN_OK;
}
