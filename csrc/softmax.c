/* Softmax and the classification losses. Rows are the last axis; blocks of rows are the tasks.
 *
 * cross_entropy leaves rz[b] = 1 / sum exp(x - m) for its gradient, m the largest element of the row, which is found
 * anew there: a log-sum-exp of logits near 1e4 would have lost the digits that matter. dloss is [b], or [1] for all
 * rows.
 */
#include <string.h>
#include "kernels/kernels.h"
#include "par.h"

typedef struct {
    float *y, *scale, *rz;
    const float *x, *s, *weight;
    const int64_t *label;
    const float *target, *dloss;
    int64_t sd, b, c, group;
    nn_entropy p;
    int what;
} softmax_args;

enum { SOFTMAX, SOFTMAX_GRAD, LOG_SOFTMAX, LOG_SOFTMAX_GRAD, ENTROPY, ENTROPY_GRAD };

static void softmax_task(void *arg, int64_t t, int worker)
{
    const softmax_args *a = arg;
    (void)worker;
    int64_t i = t * a->group, b = a->b - i < a->group ? a->b - i : a->group, c = a->c;
    float *y = a->y + (a->what == ENTROPY ? i : i * c);
    const float *x = a->x + i * c;
    switch (a->what) {
    case SOFTMAX: nn_k->softmax_rows(y, x, b, c); break;
    case SOFTMAX_GRAD: nn_k->softmax_grad_rows(y, x, a->s + i * c, b, c); break;
    case LOG_SOFTMAX: nn_k->log_softmax_rows(y, x, b, c); break;
    case LOG_SOFTMAX_GRAD: nn_k->log_softmax_grad_rows(y, x, a->s + i * c, b, c); break;
    case ENTROPY:
        if (a->label) nn_k->cross_entropy_labels(y, a->scale + i, a->rz + i, x, a->label + i, &a->p, b, c);
        else nn_k->cross_entropy_probs(y, a->scale + i, a->rz + i, x, a->target + i * c, &a->p, b, c);
        break;
    default:
        if (a->label)
            nn_k->cross_entropy_labels_grad(y, a->dloss + i * a->sd, a->sd, a->rz + i, x, a->label + i, &a->p, b, c);
        else
            nn_k->cross_entropy_probs_grad(y, a->dloss + i * a->sd, a->sd, a->rz + i, x, a->target + i * c, &a->p, b,
                                           c);
    }
}

static int run(softmax_args *a, double ns)
{
    if (a->b * a->c == 0) return NN_OK;
    a->group = a->c < NN_CHUNK ? (NN_CHUNK / a->c + 15) / 16 * 16 : 1;
    nn_for((a->b + a->group - 1) / a->group, (double)a->b * (5 + ns * (double)a->c), softmax_task, a);
    return NN_OK;
}

static int rows(const nn_call *c, int what)
{
    const nn_view *x = &c->v[1];
    softmax_args a = {.y = (float *)c->v[0].p, .x = (const float *)x->p, .what = what};
    if (c->nv > 2) a.s = (const float *)c->v[2].p;
    a.c = x->nd ? x->n[x->nd - 1] : 1;
    a.b = a.c ? nn_count(x) / a.c : 0;
    return run(&a, what == SOFTMAX_GRAD ? 0.1 : 0.4);
}

int nn_op_softmax(const nn_call *c) { return rows(c, SOFTMAX); }
int nn_op_softmax_grad(const nn_call *c) { return rows(c, SOFTMAX_GRAD); }
int nn_op_log_softmax(const nn_call *c) { return rows(c, LOG_SOFTMAX); }
int nn_op_log_softmax_grad(const nn_call *c) { return rows(c, LOG_SOFTMAX_GRAD); }

static int check_labels(const int64_t *label, int64_t b, int64_t c, int ignore, int64_t ignored)
{
    for (int64_t i = 0; i < b; i++)
        if ((label[i] < 0 || label[i] >= c) && !(ignore && label[i] == ignored)) {
            nn_bad_index = label[i];
            return NN_BADINDEX;
        }
    return NN_OK;
}

/* x is operand k, target k + 1, weight k + 2. */
static int entropy_operands(softmax_args *a, const nn_call *c, int k)
{
    const nn_view *x = &c->v[k], *target = &c->v[k + 1], *weight = &c->v[k + 2];
    a->x = (const float *)x->p, a->b = x->n[0], a->c = x->n[1];
    a->p = (nn_entropy){.smoothing = c->a.f[0], .ignored = c->a.i[1], .ignore = c->a.i[2] != 0};
    a->p.weight_sum = (float)a->c;
    if (c->nv > k + 2 && weight->p) a->p.weight = (const float *)weight->p;
    if (a->p.weight && a->p.smoothing > 0)
        nn_k->reduce_rows(&a->p.weight_sum, a->p.weight, 0, NN_SUM, 0, 1, 1, a->c);
    if (target->dtype != NN_I64) {
        a->target = (const float *)target->p;
        return NN_OK;
    }
    a->label = (const int64_t *)target->p;
    return check_labels(a->label, a->b, a->c, a->p.ignore, a->p.ignored);
}

int nn_op_cross_entropy(const nn_call *c)
{
    softmax_args a = {.y = (float *)c->v[0].p, .scale = (float *)c->v[1].p, .rz = (float *)c->v[2].p, .what = ENTROPY};
    int status = entropy_operands(&a, c, 3);
    if (status) return status;
    if (a.c == 0) { /* no classes: every label is ignored, or the sums are empty */
        nn_k->fill(a.y, 0, a.b);
        nn_k->fill(a.scale, a.label ? 0 : 1, a.b);
        nn_k->fill(a.rz, 0, a.b);
    }
    return run(&a, 0.4);
}

int nn_op_cross_entropy_grad(const nn_call *c)
{
    softmax_args a = {.y = (float *)c->v[0].p, .dloss = (const float *)c->v[1].p, .rz = (float *)c->v[2].p,
                      .what = ENTROPY_GRAD};
    int status = entropy_operands(&a, c, 3);
    if (status) return status;
    a.sd = nn_count(&c->v[1]) > 1;
    return run(&a, 0.4);
}

/* One element of a row matters; nothing here is worth a vector or a thread. */
int nn_op_nll(const nn_call *c)
{
    const nn_view *x = &c->v[2], *weight = &c->v[4];
    float *loss = (float *)c->v[0].p, *scale = (float *)c->v[1].p;
    const int64_t *label = (const int64_t *)c->v[3].p;
    const float *w = c->nv > 4 ? (const float *)weight->p : 0;
    int64_t b = x->n[0], k = x->n[1];
    int status = check_labels(label, b, k, c->a.i[2] != 0, c->a.i[1]);
    if (status) return status;
    for (int64_t i = 0; i < b; i++) {
        int64_t t = label[i];
        int ignored = c->a.i[2] && t == c->a.i[1];
        scale[i] = ignored ? 0 : w ? w[t] : 1;
        loss[i] = ignored ? 0 : -scale[i] * ((const float *)x->p)[i * k + t];
    }
    return NN_OK;
}

int nn_op_nll_grad(const nn_call *c)
{
    const nn_view *dx = &c->v[0], *weight = &c->v[3];
    const float *dloss = (const float *)c->v[1].p, *w = c->nv > 3 ? (const float *)weight->p : 0;
    const int64_t *label = (const int64_t *)c->v[2].p;
    int64_t b = dx->n[0], k = dx->n[1], sd = nn_count(&c->v[1]) > 1;
    int status = check_labels(label, b, k, c->a.i[2] != 0, c->a.i[1]);
    if (status) return status;
    memset(dx->p, 0, (size_t)(b * k) * sizeof(float));
    for (int64_t i = 0; i < b; i++)
        if (!(c->a.i[2] && label[i] == c->a.i[1]))
            ((float *)dx->p)[i * k + label[i]] = -dloss[i * sd] * (w ? w[label[i]] : 1);
    return NN_OK;
}
