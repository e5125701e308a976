/* Elementwise kernels: one loop per line of unary.inc, binary.inc and loss.inc. Whole vectors, then the tail.
 *
 * Functions of one array take two vectors at a time. They are chains of 10 to 40 instructions, each waiting 4 cycles
 * for the one before; a processor looks only so far ahead for others to run meanwhile (Cascade Lake: as far as 97 that
 * wait), so it is given two chains.
 */

#define UNARY(name, saved, nattr, forward, grad)                                                                       \
    INLINE vf unary_value_##name(vf x, vf a, vf b) { (void)a; (void)b; return forward; }                               \
    INLINE vf unary_slope_##name(vf dy, vf s, vf a, vf b) { (void)a; (void)b; (void)s; return grad; }                  \
    static void unary_##name(float *y, const float *x, const float *attr, int64_t n)                                   \
    {                                                                                                                  \
        vf a = vset(attr[0]), b = vset(attr[1]);                                                                       \
        int64_t i = 0;                                                                                                 \
        for (; i + 2 * VL <= n; i += 2 * VL) {                                                                         \
            vf u = unary_value_##name(vload(x + i), a, b), v = unary_value_##name(vload(x + i + VL), a, b);            \
            vstore(y + i, u);                                                                                          \
            vstore(y + i + VL, v);                                                                                     \
        }                                                                                                              \
        for (; i + VL <= n; i += VL) vstore(y + i, unary_value_##name(vload(x + i), a, b));                            \
        if (i < n) vstore_n(y + i, unary_value_##name(vload(x + i), a, b), n - i);                                     \
    }                                                                                                                  \
    static void unary_grad_##name(float *dx, const float *dy, const float *s, const float *attr, int64_t n)            \
    {                                                                                                                  \
        vf a = vset(attr[0]), b = vset(attr[1]);                                                                       \
        int64_t i = 0;                                                                                                 \
        for (; i + 2 * VL <= n; i += 2 * VL) {                                                                         \
            vf u = unary_slope_##name(vload(dy + i), vload(s + i), a, b);                                              \
            vf v = unary_slope_##name(vload(dy + i + VL), vload(s + i + VL), a, b);                                    \
            vstore(dx + i, u);                                                                                         \
            vstore(dx + i + VL, v);                                                                                    \
        }                                                                                                              \
        for (; i + VL <= n; i += VL) vstore(dx + i, unary_slope_##name(vload(dy + i), vload(s + i), a, b));            \
        if (i < n) vstore_n(dx + i, unary_slope_##name(vload(dy + i), vload(s + i), a, b), n - i);                     \
    }
#include "unary.inc"
#undef UNARY

#define BINARY(name, expression)                                                                                       \
    INLINE vf binary_value_##name(vf x, vf y) { return expression; }                                                   \
    static void binary_##name(float *z, const float *xp, int64_t sx, const float *yp, int64_t sy, int64_t n)           \
    {                                                                                                                  \
        int64_t i = 0;                                                                                                 \
        vf x = vset(*xp), y = vset(*yp);                                                                               \
        if (sx && sy)                                                                                                  \
            for (; i + VL <= n; i += VL) vstore(z + i, binary_value_##name(vload(xp + i), vload(yp + i)));             \
        else if (sx)                                                                                                   \
            for (; i + VL <= n; i += VL) vstore(z + i, binary_value_##name(vload(xp + i), y));                         \
        else                                                                                                           \
            for (; i + VL <= n; i += VL) vstore(z + i, binary_value_##name(x, sy ? vload(yp + i) : y));                \
        if (i < n) vstore_n(z + i, binary_value_##name(sx ? vload(xp + i) : x, sy ? vload(yp + i) : y), n - i);        \
    }
#include "binary.inc"
#undef BINARY

/* loss: y = factor * forward. loss_sum: the sum of forward. loss_grad: dx = factor * dy * grad. */
#define LOSS(name, forward, grad)                                                                                      \
    INLINE vf loss_value_##name(vf x, vf t, vf a) { (void)a; return forward; }                                         \
    INLINE vf loss_slope_##name(vf x, vf t, vf a) { (void)a; return grad; }                                            \
    static void loss_##name(float *y, const float *x, const float *t, float attr, float factor, int64_t n)             \
    {                                                                                                                  \
        vf a = vset(attr), f = vset(factor);                                                                           \
        int64_t i = 0;                                                                                                 \
        for (; i + VL <= n; i += VL) vstore(y + i, f * loss_value_##name(vload(x + i), vload(t + i), a));              \
        if (i < n) vstore_n(y + i, f * loss_value_##name(vload(x + i), vload(t + i), a), n - i);                       \
    }                                                                                                                  \
    static double loss_sum_##name(const float *x, const float *t, float attr, int64_t n)                               \
    {                                                                                                                  \
        vf a = vset(attr), s = vset(0);                                                                                \
        int64_t i = 0;                                                                                                 \
        for (; i + VL <= n; i += VL) s += loss_value_##name(vload(x + i), vload(t + i), a);                            \
        if (i < n) s += vkeep(loss_value_##name(vload(x + i), vload(t + i), a), n - i);                                \
        return vsum(s);                                                                                                \
    }                                                                                                                  \
    static void loss_grad_##name(float *dx, const float *dy, int64_t sdy, const float *x, const float *t, float attr,  \
                                 float factor, int64_t n)                                                              \
    {                                                                                                                  \
        vf a = vset(attr), f = vset(factor), d = f * vset(*dy);                                                        \
        int64_t i = 0;                                                                                                 \
        for (; i < n; i += VL) {                                                                                       \
            if (sdy) d = f * vload(dy + i);                                                                            \
            vf r = d * loss_slope_##name(vload(x + i), vload(t + i), a);                                               \
            if (i + VL <= n) vstore(dx + i, r);                                                                        \
            else vstore_n(dx + i, r, n - i);                                                                           \
        }                                                                                                              \
    }
#include "loss.inc"
#undef LOSS

static void fill(float *y, float value, int64_t n)
{
    vf v = vset(value);
    int64_t i = 0;
    for (; i + VL <= n; i += VL) vstore(y + i, v);
    if (i < n) vstore_n(y + i, v, n - i);
}

static void add_to(float *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) vstore(y + i, vload(y + i) + vload(x + i));
    if (i < n) vstore_n(y + i, vload(y + i) + vload(x + i), n - i);
}

static void where(float *z, const uint8_t *c, int64_t sc, const float *x, int64_t sx, const float *y, int64_t sy, int64_t n)
{
    for (int64_t i = 0; i < n; i++) z[i] = c[i * sc] ? x[i * sx] : y[i * sy];
}
