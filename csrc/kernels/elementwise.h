/* Elementwise kernels: one loop per line of unary.inc, binary.inc and loss.inc. Whole vectors, then the tail. */

/* y[i] = value, an expression of i that gives VL of them, for 0 <= i < n.
 *
 * Two vectors at a time: functions of one array are chains of 10 to 40 instructions, each waiting 4 cycles for the one
 * before; a processor looks only so far ahead for others to run meanwhile (Cascade Lake: as far as 97 that wait), so
 * it is given two chains. And processors foresee what will be read better than what will be written: with y asked for
 * in time, relu of 1e6 elements takes 336 us there instead of 392. */
#define STORE_EACH(y, value)                                                                                           \
    do {                                                                                                               \
        int64_t i = 0;                                                                                                 \
        while (i + 2 * VL <= n) {                                                                                      \
            vahead(y + i);                                                                                             \
            vf u = value;                                                                                              \
            i += VL;                                                                                                   \
            vf v = value;                                                                                              \
            vstore(y + i - VL, u);                                                                                     \
            vstore(y + i, v);                                                                                          \
            i += VL;                                                                                                   \
        }                                                                                                              \
        if (i + VL <= n) {                                                                                             \
            vstore(y + i, value);                                                                                      \
            i += VL;                                                                                                   \
        }                                                                                                              \
        if (i < n) vstore_n(y + i, value, n - i);                                                                      \
    } while (0)

/* Functions that vmath.h has for several vectors: as many as there are registers for. */
#define ABREAST(name)                                                                                                  \
    static void name##_abreast(float *y, const float *x, int64_t n)                                                    \
    {                                                                                                                  \
        const int m = VL == 16 ? 4 : 2;                                                                                \
        int64_t done = n - n % (m * VL);                                                                               \
        for (int64_t i = 0; i < done; i += m * VL) {                                                                   \
            vf u[V_ABREAST], v[V_ABREAST];                                                                             \
            UNROLL for (int j = 0; j < m; j += 2) vahead(y + i + j * VL);                                              \
            UNROLL for (int j = 0; j < m; j++) u[j] = vload(x + i + j * VL);                                           \
            v_##name##_abreast(m, v, u);                                                                               \
            UNROLL for (int j = 0; j < m; j++) vstore(y + i + j * VL, v[j]);                                           \
        }                                                                                                              \
        y += done, x += done, n -= done;                                                                               \
        STORE_EACH(y, v_##name(vload(x + i)));                                                                         \
    }
V_ABREAST_FUNCTIONS(ABREAST)
#define ABREAST_ENTRY(name) [NN_##name] = name##_abreast,
static void (*const abreast[NN_UNARIES])(float *y, const float *x, int64_t n) = {V_ABREAST_FUNCTIONS(ABREAST_ENTRY)};

#define UNARY(name, saved, nattr, forward, grad)                                                                       \
    INLINE vf unary_value_##name(vf x, vf a, vf b) { (void)a; (void)b; return forward; }                               \
    INLINE vf unary_slope_##name(vf dy, vf s, vf a, vf b) { (void)a; (void)b; (void)s; return grad; }                  \
    static void unary_##name(float *y, const float *x, const float *attr, int64_t n)                                   \
    {                                                                                                                  \
        vf a = vset(attr[0]), b = vset(attr[1]);                                                                       \
        if (abreast[NN_##name]) abreast[NN_##name](y, x, n);                                                           \
        else STORE_EACH(y, unary_value_##name(vload(x + i), a, b));                                                    \
    }                                                                                                                  \
    static void unary_grad_##name(float *dx, const float *dy, const float *s, const float *attr, int64_t n)            \
    {                                                                                                                  \
        vf a = vset(attr[0]), b = vset(attr[1]);                                                                       \
        STORE_EACH(dx, unary_slope_##name(vload(dy + i), vload(s + i), a, b));                                         \
    }
#include "unary.inc"
#undef UNARY

#define BINARY(name, expression)                                                                                       \
    INLINE vf binary_value_##name(vf x, vf y) { return expression; }                                                   \
    static void binary_##name(float *z, const float *xp, int64_t sx, const float *yp, int64_t sy, int64_t n)           \
    {                                                                                                                  \
        vf x = vset(*xp), y = vset(*yp);                                                                               \
        if (sx && sy) STORE_EACH(z, binary_value_##name(vload(xp + i), vload(yp + i)));                                \
        else if (sx) STORE_EACH(z, binary_value_##name(vload(xp + i), y));                                             \
        else if (sy) STORE_EACH(z, binary_value_##name(x, vload(yp + i)));                                             \
        else STORE_EACH(z, binary_value_##name(x, y));                                                                 \
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

static void fill(float *y, float value, int64_t n) { STORE_EACH(y, vset(value)); }
static void add_to(float *y, const float *x, int64_t n) { STORE_EACH(y, vload(y + i) + vload(x + i)); }

static void where(float *z, const uint8_t *c, int64_t sc, const float *x, int64_t sx, const float *y, int64_t sy,
                  int64_t n)
{
    for (int64_t i = 0; i < n; i++) z[i] = c[i * sc] ? x[i * sx] : y[i * sy];
}
