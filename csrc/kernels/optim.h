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
 * AMSGrad: the largest v so far in place of v. */
INLINE void adam_body(const int with_largest, float *w, float *m, float *v, float *largest, const float *g,
                      const nn_adam h, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) {
        vf wi = vload(w + i), gi = optim_gradient(g + i, wi, h.sign, h.decay), mi = vload(m + i);
        mi += vset(h.gain1) * (gi - mi);
        vf var = vset(h.beta2) * vload(v + i) + vset(h.gain2) * (gi * gi), top = var;
        if (with_largest) top = vmax(vload(largest + i), var);
        wi = vset(h.keep) * wi - vset(h.lr) * mi / (vset(h.root) * vsqrt(top) + vset(h.eps));
        optim_store(m + i, mi, n - i);
        optim_store(v + i, var, n - i);
        if (with_largest) optim_store(largest + i, top, n - i);
        optim_store(w + i, wi, n - i);
    }
}
static void adam(float *w, float *m, float *v, float *largest, const float *g, const nn_adam *hp, int64_t n)
{
    if (largest) adam_body(1, w, m, v, largest, g, *hp, n);
    else adam_body(0, w, m, v, largest, g, *hp, n);
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

static void scale(float *y, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) optim_store(y + i, vset(factor) * vload(y + i), n - i);
}
