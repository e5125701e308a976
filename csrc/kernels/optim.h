/* Optimizer steps: weights, gradient and state in one pass. The formulas are PyTorch's; optional arrays and switches
 * are constants of the bodies, so every combination is its own loop. The settings are copied first: behind a pointer
 * they might change with every store.
 */

/* What the step sees: the gradient, turned if it shall climb, and weight decay. */
INLINE vf optim_gradient(const float *g, vf w, float sign, float decay)
{
    return vset(sign) * vload(g) + vset(decay) * w;
}

INLINE void optim_store(float *p, vf a, int64_t n)
{
    if (n >= VL) vstore(p, a);
    else vstore_n(p, a, n);
}

/* m = momentum m + gain g (the first time m = g),  w -= lr m   (Nesterov: lr (g + momentum m); without m: lr g) */
INLINE void sgd_body(const int with_m, const int first, const int nesterov, float *w, float *m, const float *g,
                     const nn_sgd h, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) {
        vf wi = vload(w + i), d = optim_gradient(g + i, wi, h.sign, h.decay);
        if (with_m) {
            vf mi = first ? d : vset(h.momentum) * vload(m + i) + vset(h.gain) * d;
            optim_store(m + i, mi, n - i);
            d = nesterov ? d + vset(h.momentum) * mi : mi;
        }
        optim_store(w + i, wi - vset(h.lr) * d, n - i);
    }
}
static void sgd(float *w, float *m, const float *g, const nn_sgd *hp, int64_t n)
{
    if (!m) sgd_body(0, 0, 0, w, m, g, *hp, n);
    else if (hp->first && hp->nesterov) sgd_body(1, 1, 1, w, m, g, *hp, n);
    else if (hp->first) sgd_body(1, 1, 0, w, m, g, *hp, n);
    else if (hp->nesterov) sgd_body(1, 0, 1, w, m, g, *hp, n);
    else sgd_body(1, 0, 0, w, m, g, *hp, n);
}

/* m += gain1 (g - m),  v = beta2 v + gain2 g^2,  w = keep w - lr m / (root sqrt(v) + eps)
 * AMSGrad: the largest v so far in place of v. plain: the gradient as it is.
 *
 * In two stages, as root and division are a chain of about 60 cycles, of which a processor sees too few at a time: some
 * vectors are divided while the next ones' roots are on their way. With vroot, 4610 parameters take 1.6 us instead of
 * 2.7 on a Xeon (Cascade Lake), where 22 of the 23 cycles a vector went to the divider. */
#define ADAM_VECTORS (VL == 16 ? 4 : 2)

/* The first stage for one vector: returns v, or the largest, and in *step lr m. n: elements there. */
INLINE vf adam_moments(const int with_largest, const int plain, const float *w, float *m, float *v, float *largest,
                       const float *g, const nn_adam *h, int64_t n, vf *step)
{
    vf gi = plain ? vload(g) : optim_gradient(g, vload(w), h->sign, h->decay), mi = vload(m);
    mi += vset(h->gain1) * (gi - mi);
    vf var = vset(h->beta2) * vload(v) + vset(h->gain2) * (gi * gi), top = var;
    if (with_largest) top = vmax(vload(largest), var);
    optim_store(m, mi, n);
    optim_store(v, var, n);
    if (with_largest) optim_store(largest, top, n);
    *step = vset(h->lr) * mi;
    return top;
}
INLINE vf adam_denominator(vf top, const nn_adam *h) { return vset(h->root) * vroot(top) + vset(h->eps); }
INLINE void adam_weights(float *w, vf step, vf denominator, const nn_adam *h, int64_t n)
{
    optim_store(w, vset(h->keep) * vload(w) - step / denominator, n);
}

INLINE void adam_body(const int with_largest, const int plain, float *w, float *m, float *v, float *largest,
                      const float *g, const nn_adam h, int64_t n)
{
    const int block = ADAM_VECTORS * VL;
    vf step[ADAM_VECTORS], denominator[ADAM_VECTORS], top[ADAM_VECTORS], next[ADAM_VECTORS];
    int64_t i = 0;
    for (; i + block <= n; i += block) {
        UNROLL for (int j = 0; j < ADAM_VECTORS; j++) {
            int64_t k = i + j * VL;
            top[j] = adam_moments(with_largest, plain, w + k, m + k, v + k, with_largest ? largest + k : 0, g + k, &h,
                                  VL, &next[j]);
        }
        if (i > 0)
            UNROLL for (int j = 0; j < ADAM_VECTORS; j++)
                adam_weights(w + i - block + j * VL, step[j], denominator[j], &h, VL);
        UNROLL for (int j = 0; j < ADAM_VECTORS; j++) step[j] = next[j], denominator[j] = adam_denominator(top[j], &h);
    }
    if (i > 0)
        UNROLL for (int j = 0; j < ADAM_VECTORS; j++)
            adam_weights(w + i - block + j * VL, step[j], denominator[j], &h, VL);
    for (; i < n; i += VL) {
        top[0] = adam_moments(with_largest, plain, w + i, m + i, v + i, with_largest ? largest + i : 0, g + i, &h,
                              n - i, step);
        adam_weights(w + i, step[0], adam_denominator(top[0], &h), &h, n - i);
    }
}
static void adam(float *w, float *m, float *v, float *largest, const float *g, const nn_adam *hp, int64_t n)
{
    int plain = hp->sign == 1 && hp->decay == 0;
    if (largest && plain) adam_body(1, 1, w, m, v, largest, g, *hp, n);
    else if (largest) adam_body(1, 0, w, m, v, largest, g, *hp, n);
    else if (plain) adam_body(0, 1, w, m, v, largest, g, *hp, n);
    else adam_body(0, 0, w, m, v, largest, g, *hp, n);
}

/* v = alpha v + gain g^2,  d = g / (sqrt(v) + eps),  m = momentum m + d,  w -= lr m   (without m: lr d)
 * centered: mean = alpha mean + gain g,  and v - mean^2 in place of v; rounding must not make that negative. */
INLINE void rmsprop_body(const int centered, const int with_m, float *w, float *v, float *mean, float *m,
                         const float *g, const nn_rmsprop h, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) {
        vf wi = vload(w + i), gi = optim_gradient(g + i, wi, h.sign, h.decay);
        vf var = vset(h.alpha) * vload(v + i) + vset(h.gain) * (gi * gi), square = var;
        optim_store(v + i, var, n - i);
        if (centered) {
            vf a = vload(mean + i);
            a += vset(h.gain) * (gi - a);
            optim_store(mean + i, a, n - i);
            square = vmax(vset(0), var - a * a);
        }
        vf d = gi / (vsqrt(square) + vset(h.eps));
        if (with_m) {
            d += vset(h.momentum) * vload(m + i);
            optim_store(m + i, d, n - i);
        }
        optim_store(w + i, wi - vset(h.lr) * d, n - i);
    }
}
static void rmsprop(float *w, float *v, float *mean, float *m, const float *g, const nn_rmsprop *hp, int64_t n)
{
    if (mean && m) rmsprop_body(1, 1, w, v, mean, m, g, *hp, n);
    else if (mean) rmsprop_body(1, 0, w, v, mean, m, g, *hp, n);
    else if (m) rmsprop_body(0, 1, w, v, mean, m, g, *hp, n);
    else rmsprop_body(0, 0, w, v, mean, m, g, *hp, n);
}

/* v += g^2,  w -= lr g / (sqrt(v) + eps) */
static void adagrad(float *w, float *v, const float *g, const nn_adagrad *hp, int64_t n)
{
    const nn_adagrad h = *hp;
    for (int64_t i = 0; i < n; i += VL) {
        vf wi = vload(w + i), gi = optim_gradient(g + i, wi, h.sign, h.decay), var = vload(v + i) + gi * gi;
        optim_store(v + i, var, n - i);
        optim_store(w + i, wi - vset(h.lr) * gi / (vsqrt(var) + vset(h.eps)), n - i);
    }
}

/* v = rho v + gain g^2,  d = sqrt(u + eps) / sqrt(v + eps) g,  u = rho u + gain d^2,  w -= lr d */
static void adadelta(float *w, float *v, float *u, const float *g, const nn_adadelta *hp, int64_t n)
{
    const nn_adadelta h = *hp;
    const vf rho = vset(h.rho), gain = vset(h.gain), eps = vset(h.eps);
    for (int64_t i = 0; i < n; i += VL) {
        vf wi = vload(w + i), gi = optim_gradient(g + i, wi, h.sign, h.decay), ui = vload(u + i);
        vf var = rho * vload(v + i) + gain * (gi * gi), d = vroot(ui + eps) / vroot(var + eps) * gi;
        optim_store(v + i, var, n - i);
        optim_store(u + i, rho * ui + gain * (d * d), n - i);
        optim_store(w + i, wi - vset(h.lr) * d, n - i);
    }
}

static void scale(float *y, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) optim_store(y + i, vset(factor) * vload(y + i), n - i);
}
