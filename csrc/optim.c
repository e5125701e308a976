/* Optimizer steps over flat arrays: weights, gradient and state of a parameter group in one pass.
 *
 * hyper is f64, an operand rather than attributes: a recorded step sees a new learning rate, and counts its own steps.
 *
 *   all      hyper[0] lr      [1] weight decay  [2] steps done: every call counts one on
 *   sgd            [3] momentum  [4] dampening
 *   adam           [3] beta1     [4] beta2         [5] eps
 *   rmsprop        [3] alpha     [4] eps           [5] momentum
 *   adagrad        [3] lr decay  [4] eps
 *   adadelta       [3] rho       [4] eps
 *
 * sgd's m needs no start value: the first step (steps done == 0) writes it. All other state starts as zeros, adagrad's
 * as its initial accumulator. Sources: Nesterov's momentum as in Sutskever et al. 2013; Kingma & Ba 2015 (Adam),
 * Loshchilov & Hutter 2019 (AdamW), Reddi et al. 2018 (AMSGrad); Hinton 2012 and Graves 2013 (RMSprop); Duchi et al.
 * 2011 (Adagrad); Zeiler 2012 (Adadelta).
 */
#include <math.h>
#include "kernels/kernels.h"
#include "par.h"

typedef struct {
    int op;
    int64_t n;
    float *w, *s[3]; /* state, in the order of the kernel's arguments; null: not there */
    const float *g;
    union {
        nn_sgd sgd;
        nn_adam adam;
        nn_rmsprop rmsprop;
        nn_adagrad adagrad;
        nn_adadelta adadelta;
        float factor;
    } h;
} step_args;

static inline float *at(float *p, int64_t i) { return p ? p + i : 0; }

static void step_task(void *arg, int64_t t, int worker)
{
    const step_args *a = arg;
    (void)worker;
    int64_t i = t * NN_CHUNK, n = a->n - i < NN_CHUNK ? a->n - i : NN_CHUNK;
    float *w = a->w + i, *s0 = at(a->s[0], i), *s1 = at(a->s[1], i), *s2 = at(a->s[2], i);
    switch (a->op) {
    case NN_OP_sgd: nn_k->sgd(w, s0, a->g + i, &a->h.sgd, n); break;
    case NN_OP_adam: nn_k->adam(w, s0, s1, s2, a->g + i, &a->h.adam, n); break;
    case NN_OP_rmsprop: nn_k->rmsprop(w, s0, s1, s2, a->g + i, &a->h.rmsprop, n); break;
    case NN_OP_adagrad: nn_k->adagrad(w, s0, a->g + i, &a->h.adagrad, n); break;
    case NN_OP_adadelta: nn_k->adadelta(w, s0, s1, a->g + i, &a->h.adadelta, n); break;
    default: nn_k->scale(w, a->h.factor, n);
    }
}

/* The operands, outputs first: w, `states` arrays, hyper; then g. */
static step_args step_operands(const nn_call *c, int states)
{
    step_args a = {.op = c->op, .n = nn_count(&c->v[0]), .w = (float *)c->v[0].p};
    a.g = (const float *)c->v[states + 2].p;
    for (int k = 0; k < states; k++) a.s[k] = (float *)c->v[k + 1].p;
    return a;
}

/* ns: for an element, one thread (Zen 5, AVX2 or AVX-512). */
static int step(step_args *a, double *hyper, double ns)
{
    hyper[2] += 1;
    nn_for(nn_chunks(a->n), ns * (double)a->n, step_task, a);
    return NN_OK;
}

static inline float sign(const nn_call *c) { return c->flags & NN_MAXIMIZE ? -1 : 1; }

int nn_op_sgd(const nn_call *c)
{
    step_args a = step_operands(c, 1);
    double *h = (double *)c->v[2].p;
    a.h.sgd = (nn_sgd){sign(c), (float)h[1], (float)h[0], (float)h[3], (float)(1 - h[4]), !!(c->flags & NN_NESTEROV),
                       h[2] == 0};
    return step(&a, h, 0.1);
}

int nn_op_adam(const nn_call *c)
{
    step_args a = step_operands(c, 3);
    double *h = (double *)c->v[4].p, t = h[2] + 1, lr = h[0], decay = h[1];
    int apart = c->flags & NN_DECOUPLED;
    a.h.adam = (nn_adam){
        .sign = sign(c), .decay = (float)(apart ? 0 : decay), .keep = (float)(apart ? 1 - lr * decay : 1),
        .gain1 = (float)(1 - h[3]), .beta2 = (float)h[4], .gain2 = (float)(1 - h[4]), .eps = (float)h[5],
        .root = (float)(1 / sqrt(1 - pow(h[4], t))), .lr = (float)(lr / (1 - pow(h[3], t))),
    };
    return step(&a, h, 0.2);
}

int nn_op_rmsprop(const nn_call *c)
{
    step_args a = step_operands(c, 3);
    double *h = (double *)c->v[4].p;
    a.h.rmsprop = (nn_rmsprop){sign(c), (float)h[1], (float)h[0], (float)h[3], (float)(1 - h[3]), (float)h[4],
                               (float)h[5]};
    return step(&a, h, 0.2);
}

int nn_op_adagrad(const nn_call *c)
{
    step_args a = step_operands(c, 1);
    double *h = (double *)c->v[2].p;
    a.h.adagrad = (nn_adagrad){sign(c), (float)h[1], (float)(h[0] / (1 + h[2] * h[3])), (float)h[4]};
    return step(&a, h, 0.2);
}

int nn_op_adadelta(const nn_call *c)
{
    step_args a = step_operands(c, 2);
    double *h = (double *)c->v[3].p;
    a.h.adadelta = (nn_adadelta){sign(c), (float)h[1], (float)h[0], (float)h[3], (float)(1 - h[3]), (float)h[4]};
    return step(&a, h, 0.2);
}

/* NaN in the norm gives NaN, as it does in PyTorch. */
int nn_op_scale_to_norm(const nn_call *c)
{
    float factor = (float)c->a.d[0] / (*(const float *)c->v[1].p + 1e-6f);
    if (factor >= 1) return NN_OK;
    step_args a = {.op = c->op, .n = nn_count(&c->v[0]), .w = (float *)c->v[0].p, .h.factor = factor};
    nn_for(nn_chunks(a.n), 0.1 * (double)a.n, step_task, &a);
    return NN_OK;
}
