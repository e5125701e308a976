/* Normalisation. Batch, group and instance norm go over columns: rows of w floats, ld apart, with numbers that belong
 * to a column and are repeated for every row. Layer and RMS norm go over rows; their numbers belong to a row.
 *
 * A mean is two floats, mean + rest: with a mean of 1e4 and a deviation of 1 one float would be off by 5e-4. x - mean
 * is exact for such numbers, and the rest goes into the constant that is added later.
 *
 * Columns have names: m a b p q, arrays of cw floats behind one another.
 *     z = (x - m) a + b           dx = dz a + (x - m) p + q
 */
enum { NORM_M, NORM_A, NORM_B, NORM_P, NORM_Q };

/* f(0) + .. + f(7), in pairs. */
#define NORM_SUM8(f) (((f(0) + f(1)) + (f(2) + f(3))) + ((f(4) + f(5)) + (f(6) + f(7))))

/* part[3,ldp] = k, sum of x - k, sum of (x - k)^2 of the columns of x[rows,w]. k is near their mean: the mean of the
 * first 8 rows, so that the squares lose no more than n / 8 eps even where these rows are unlike all others. Not
 * first: the rows are added to those that are there. */
static void norm_moments(float *part, int64_t ldp, const float *x, int64_t rows, int64_t w, int64_t ld, int first)
{
    float *s1 = part + ldp, *s2 = part + 2 * ldp;
    for (int64_t j = 0; j < w && first; j += VL) {
        vf k = vload(x + j);
#define NORM_ROW(i) vload(x + (i) * ld + j)
        if (rows >= 8) k = NORM_SUM8(NORM_ROW) * vset(0.125f);
#undef NORM_ROW
        vstore(part + j, k), vstore(s1 + j, vset(0)), vstore(s2 + j, vset(0));
    }
    int64_t r = 0;
    for (; r + 8 <= rows; r += 8, x += 8 * ld)
        for (int64_t j = 0; j < w; j += VL) {
            vf k = vload(part + j), d[8];
            UNROLL for (int i = 0; i < 8; i++) d[i] = vload(x + i * ld + j) - k;
#define NORM_D(i) d[i]
#define NORM_D2(i) d[i] * d[i]
            vstore(s1 + j, vload(s1 + j) + NORM_SUM8(NORM_D));
            vstore(s2 + j, vload(s2 + j) + NORM_SUM8(NORM_D2));
#undef NORM_D
#undef NORM_D2
        }
    for (; r < rows; r++, x += ld)
        for (int64_t j = 0; j < w; j += VL) {
            vf d = vload(x + j) - vload(part + j);
            vstore(s1 + j, vload(s1 + j) + d);
            vstore(s2 + j, vload(s2 + j) + d * d);
        }
}

/* t[3,c] = shift, sum of x - shift, sum of squares of it, with the moments of `rows` rows added; first: there are none
 * yet. */
static void norm_join(double *restrict t, const float *restrict part, int64_t ldp, int64_t rows, int64_t c, int first)
{
    const float *s1 = part + ldp, *s2 = part + 2 * ldp;
    double *t1 = t + c, *t2 = t + 2 * c, n = (double)rows;
    if (first)
        for (int64_t j = 0; j < c; j++) t[j] = part[j], t1[j] = t2[j] = 0;
    for (int64_t j = 0; j < c; j++) {
        double k = part[j] - t[j];
        t2[j] += s2[j] + k * (2 * s1[j] + n * k);
        t1[j] += s1[j] + n * k;
    }
}

/* Mean and variance of g groups of c / g neighbouring columns, of n rows each. */
static void norm_statistics(float *mean, float *rest, float *var, const double *t, int64_t n, int64_t c, int64_t g)
{
    const int64_t of = c / g;
    for (int64_t i = 0; i < g; i++) {
        const double *k = t + i * of, *s1 = k + c, *s2 = s1 + c, many = (double)n * (double)of;
        double t1 = s1[0], t2 = s2[0];
        for (int64_t j = 1; j < of; j++) {
            double d = k[j] - k[0];
            t2 += s2[j] + d * (2 * s1[j] + (double)n * d);
            t1 += s1[j] + (double)n * d;
        }
        double m = t1 / many, v = t2 / many - m * m;
        m += k[0];
        mean[i] = (float)m;
        rest[i] = (float)(m - mean[i]);
        var[i] = (float)(v < 0 ? 0 : v);
    }
}

/* a = weight / sqrt(var + eps), b = bias - rest a for the columns of x, again and again up to w of them. */
static void norm_columns(float *to, int64_t cw, const float *mean, const float *rest, const float *var,
                         const float *weight, const float *bias, double eps, int64_t c, int64_t g, int64_t w)
{
    float *m = to, *a = to + NORM_A * cw, *b = to + NORM_B * cw;
    const int64_t of = c / g;
    for (int64_t i = 0; i < g; i++) {
        double root = 1 / sqrt(var[i] + eps);
        for (int64_t j = i * of; j < (i + 1) * of; j++) {
            double scale = weight ? weight[j] * root : root;
            m[j] = mean[i];
            a[j] = (float)scale;
            b[j] = (float)((bias ? bias[j] : 0) - rest[i] * scale);
        }
    }
    for (int64_t j = c; j < w; j++) m[j] = m[j - c], a[j] = a[j - c], b[j] = b[j - c];
}

INLINE vf norm_z(vf d, const float *to, int64_t cw, int64_t j)
{
    return d * vload(to + NORM_A * cw + j) + vload(to + NORM_B * cw + j);
}

/* BODY(VL) for whole vectors of w columns, BODY(tail) for what is left. Several rows go together, because loading what
 * belongs to a column costs as much as loading x. */
#define NORM_COLUMNS(BODY, w)                                                   \
    int64_t j = 0;                                                              \
    for (; j + VL <= w; j += VL) BODY(VL)                                       \
    if (j < w) BODY(w - j)
INLINE void norm_put(float *y, vf v, int64_t n)
{
    if (n == VL) vstore(y, v);
    else vstore_n(y, v, n);
}

INLINE void norm_apply_rows(const int n, const int adds, const int relu, float *y, const float *x,
                            const float *residual, const float *to, int64_t cw, int64_t w, int64_t ld)
{
#define BODY(tail) {                                                            \
        const vf m = vload(to + j);                                             \
        UNROLL for (int i = 0; i < n; i++) {                                    \
            vf z = norm_z(vload(x + i * ld + j) - m, to, cw, j);                \
            if (adds) z += vload(residual + i * ld + j);                        \
            norm_put(y + i * ld + j, relu ? vatleast(z, 0) : z, tail);          \
        }                                                                       \
    }
    NORM_COLUMNS(BODY, w)
#undef BODY
}

INLINE void norm_apply_body(const int adds, const int relu, float *y, const float *x, const float *residual,
                            const float *to, int64_t cw, int64_t rows, int64_t w, int64_t ld)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        norm_apply_rows(4, adds, relu, y + r * ld, x + r * ld, residual + r * ld, to, cw, w, ld);
    for (; r < rows; r++) norm_apply_rows(1, adds, relu, y + r * ld, x + r * ld, residual + r * ld, to, cw, w, ld);
}

/* y = f((x - m) a + b + residual) */
static void norm_apply(float *y, const float *x, const float *residual, int relu, const float *to, int64_t cw,
                       int64_t rows, int64_t w, int64_t ld)
{
    if (residual && relu) norm_apply_body(1, 1, y, x, residual, to, cw, rows, w, ld);
    else if (residual) norm_apply_body(1, 0, y, x, residual, to, cw, rows, w, ld);
    else if (relu) norm_apply_body(0, 1, y, x, x, to, cw, rows, w, ld);
    else norm_apply_body(0, 0, y, x, x, to, cw, rows, w, ld);
}

/* ReLU's gradient: the mask is computed from x as the forward pass did, or read from y. Neither is ever subnormal, so
 * that s < 2^-126 means s <= 0. */
INLINE vf norm_dz(const int mask, vf dy, vf d, const float *y, const float *to, int64_t cw, int64_t j)
{
    if (mask == NN_MASK_NONE) return dy;
    vf s = mask == NN_MASK_Y ? vload(y + j) : norm_z(d, to, cw, j);
    return vless(s, vset(0x1p-126f), vset(0), dy);
}

/* n rows at once, n = 8 or 1. */
INLINE void norm_grad_sums_rows(const int n, const int mask, float *part, int64_t ldp, float *dz, const float *dy,
                                const float *x, const float *y, const float *to, int64_t cw, int64_t w, int64_t ld)
{
#define BODY(tail) {                                                            \
        vf m = vload(to + j), g[8], gd[8];                                      \
        UNROLL for (int i = 0; i < n; i++) {                                    \
            vf d = vload(x + i * ld + j) - m;                                   \
            g[i] = norm_dz(mask, vload(dy + i * ld + j), d, y + i * ld, to, cw, j); \
            gd[i] = g[i] * d;                                                   \
            if (mask == NN_MASK_Y) norm_put(dz + i * ld + j, g[i], tail);       \
        }                                                                       \
        UNROLL for (int h = n / 2; h; h /= 2)                                   \
            UNROLL for (int i = 0; i < h; i++) g[i] += g[i + h], gd[i] += gd[i + h]; \
        vstore(part + j, vload(part + j) + g[0]);                               \
        vstore(part + ldp + j, vload(part + ldp + j) + gd[0]);                  \
    }
    NORM_COLUMNS(BODY, w)
#undef BODY
}

INLINE void norm_grad_sums_body(const int mask, float *part, int64_t ldp, float *dz, const float *dy, const float *x,
                                const float *y, const float *to, int64_t cw, int64_t rows, int64_t w, int64_t ld,
                                int first)
{
    for (int64_t j = 0; first && j < w; j += VL) vstore(part + j, vset(0)), vstore(part + ldp + j, vset(0));
    int64_t r = 0;
    for (; r + 8 <= rows; r += 8)
        norm_grad_sums_rows(8, mask, part, ldp, dz + r * ld, dy + r * ld, x + r * ld, y + r * ld, to, cw, w, ld);
    for (; r < rows; r++)
        norm_grad_sums_rows(1, mask, part, ldp, dz + r * ld, dy + r * ld, x + r * ld, y + r * ld, to, cw, w, ld);
}

/* part[2,ldp] = sums of dz and of dz (x - m). dz is dy behind ReLU's mask, and written where the mask is read from
 * y. Not first: the rows are added to those that are there. */
static void norm_grad_sums(float *part, int64_t ldp, float *dz, const float *dy, const float *x, const float *y,
                           int mask, const float *to, int64_t cw, int64_t rows, int64_t w, int64_t ld, int first)
{
    if (mask == NN_MASK_Y) norm_grad_sums_body(NN_MASK_Y, part, ldp, dz, dy, x, y, to, cw, rows, w, ld, first);
    else if (mask == NN_MASK_X) norm_grad_sums_body(NN_MASK_X, part, ldp, part, dy, x, x, to, cw, rows, w, ld, first);
    else norm_grad_sums_body(NN_MASK_NONE, part, ldp, part, dy, x, x, to, cw, rows, w, ld, first);
}

/* t[2,c] += part; first: there is nothing yet. */
static void norm_grad_join(double *restrict t, const float *restrict part, int64_t ldp, int64_t c, int first)
{
    for (int k = 0; k < 2; k++)
        for (int64_t j = 0; j < c; j++) t[k * c + j] = part[k * ldp + j] + (first ? 0 : t[k * c + j]);
}

/* dweight[c], dbias[c] and the columns p and q from t[2,c]. With xhat = (x - mean - rest) root of a group of n values,
 *     dx = root (w dz - sum(w dz) / n - xhat sum(w dz xhat) / n);
 * fixed: mean and variance were given, so only the first term is there. */
static void norm_grad_columns(float *to, int64_t cw, float *dweight, float *dbias, const double *t, const float *rest,
                              const float *var, const float *weight, double eps, int fixed, int64_t rows, int64_t c,
                              int64_t g, int64_t w)
{
    float *p = to + NORM_P * cw, *q = to + NORM_Q * cw;
    const int64_t of = c / g;
    for (int64_t i = 0; i < g; i++) {
        double root = 1 / sqrt(var[i] + eps), g1 = 0, g2 = 0, n = (double)rows * (double)of;
        for (int64_t j = i * of; j < (i + 1) * of; j++) {
            double db = t[j], dw = (t[c + j] - rest[i] * db) * root, wj = weight ? weight[j] : 1;
            dbias[j] = (float)db;
            dweight[j] = (float)dw;
            g1 += wj * db, g2 += wj * dw;
        }
        double pi = -root * root * g2 / n, qi = -root * g1 / n - rest[i] * pi;
        for (int64_t j = i * of; j < (i + 1) * of; j++) p[j] = fixed ? 0 : (float)pi, q[j] = fixed ? 0 : (float)qi;
    }
    for (int64_t j = c; j < w; j++) p[j] = p[j - c], q[j] = q[j - c];
}

INLINE void norm_grad_apply_rows(const int n, const int mask, float *dx, const float *dy, const float *x,
                                 const float *to, int64_t cw, int64_t w, int64_t ld)
{
#define BODY(tail) {                                                            \
        const vf m = vload(to + j), a = vload(to + NORM_A * cw + j);            \
        const vf p = vload(to + NORM_P * cw + j), q = vload(to + NORM_Q * cw + j); \
        UNROLL for (int i = 0; i < n; i++) {                                    \
            vf d = vload(x + i * ld + j) - m;                                   \
            vf g = norm_dz(mask, vload(dy + i * ld + j), d, x, to, cw, j);      \
            norm_put(dx + i * ld + j, g * a + (d * p + q), tail);               \
        }                                                                       \
    }
    NORM_COLUMNS(BODY, w)
#undef BODY
}

INLINE void norm_grad_apply_body(const int mask, float *dx, const float *dy, const float *x, const float *to,
                                 int64_t cw, int64_t rows, int64_t w, int64_t ld)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) norm_grad_apply_rows(4, mask, dx + r * ld, dy + r * ld, x + r * ld, to, cw, w, ld);
    for (; r < rows; r++) norm_grad_apply_rows(1, mask, dx + r * ld, dy + r * ld, x + r * ld, to, cw, w, ld);
}

/* dx = dz a + (x - m) p + q; dy is dz already where the mask was read from y. */
static void norm_grad_apply(float *dx, const float *dy, const float *x, int mask, const float *to, int64_t cw,
                            int64_t rows, int64_t w, int64_t ld)
{
    if (mask == NN_MASK_X) norm_grad_apply_body(NN_MASK_X, dx, dy, x, to, cw, rows, w, ld);
    else norm_grad_apply_body(NN_MASK_NONE, dx, dy, x, to, cw, rows, w, ld);
}

/* mean and var move by `factor` to the average over b of stats[3,b,c]; unbias: n / (n - 1). */
static void norm_running(float *mean, float *var, const float *stats, double unbias, double factor, int64_t b,
                         int64_t c)
{
    for (int64_t j = 0; j < c; j++) {
        double m = 0, v = 0;
        for (int64_t i = 0; i < b; i++)
            m += (double)stats[i * c + j] + stats[(b + i) * c + j], v += stats[(2 * b + i) * c + j];
        mean[j] = (float)(factor * (m / (double)b) + (1 - factor) * mean[j]);
        var[j] = (float)(factor * (v / (double)b * unbias) + (1 - factor) * var[j]);
    }
}

/* ---- rows: layer norm and RMS norm. A group of up to VL rows stays in the first cache between its passes. */

INLINE int64_t norm_group(int64_t c)
{
    int64_t rows = 4096 / c;
    return rows < 1 ? 1 : rows < VL ? rows : VL;
}

/* Vectors of the sums over a row of x - m, if that is wanted, and of its square. */
INLINE void norm_row_moments(const int mean, vf *sum, vf *squares, const float *x, vf m, int64_t c)
{
    vf t1 = vset(0), t2 = vset(0);
    while (c > 0) {
        int64_t n = c < 128 * VL ? c : 128 * VL, k = 0;
        vf s1[4], s2[4];
        UNROLL for (int i = 0; i < 4; i++) s1[i] = s2[i] = vset(0);
        for (; k + 4 * VL <= n; k += 4 * VL)
            UNROLL for (int i = 0; i < 4; i++) {
                vf d = mean ? vload(x + k + i * VL) - m : vload(x + k + i * VL);
                if (mean) s1[i] += d;
                s2[i] += d * d;
            }
        for (; k < n; k += VL) {
            vf v = n - k < VL ? vload_n(x + k, n - k, mean ? m : vset(0)) : vload(x + k), d = mean ? v - m : v;
            if (mean) s1[0] += d;
            s2[0] += d * d;
        }
        t1 += (s1[0] + s1[1]) + (s1[2] + s1[3]);
        t2 += (s2[0] + s2[1]) + (s2[2] + s2[3]);
        x += n, c -= n;
    }
    *sum = t1, *squares = t2;
}

/* The sum of the first c <= 64 elements, as a vector. */
INLINE vf norm_row_start(const float *x, int64_t c)
{
    vf s = vset(0);
    int64_t k = 0;
    for (; k + VL <= c; k += VL) s += vload(x + k);
    return k < c ? s + vkeep(vload(x + k), c - k) : s;
}

/* y = (x - m) root w + k w + b */
INLINE void norm_row(const int mean, const int weight, const int bias, float *y, const float *x, const float *w,
                     const float *b, vf m, vf root, vf k, int64_t c)
{
    for (int64_t j = 0; j < c; j += VL) {
        vf v = mean ? (vload(x + j) - m) * root + k : vload(x + j) * root;
        if (weight) v = bias ? v * vload(w + j) + vload(b + j) : v * vload(w + j);
        else if (bias) v += vload(b + j);
        if (j + VL <= c) vstore(y + j, v);
        else vstore_n(y + j, v, c - j);
    }
}

/* The squares are taken about m, the mean of the first 64 elements: this loses c / 64 eps at most, where these are
 * unlike all others, and spares a pass. */
INLINE void norm_rows_body(const int mean, float *y, float *mean_to, float *rest, float *root, const float *x,
                           const float *w, const float *b, float eps, int64_t rows, int64_t c)
{
    const int64_t group = norm_group(c), start = c < 64 ? c : 64;
    const vf over = vset(1 / (float)c);
    for (int64_t i = 0; i < rows; i += group, x += group * c, y += group * c) {
        int64_t n = rows - i < group ? rows - i : group;
        vf s[VL], t[VL], k = vset(0), d = vset(0);
        float m[VL] = {0}, r[VL], kr[VL];
        if (mean) {
            for (int64_t j = 0; j < VL; j++) s[j] = j < n ? norm_row_start(x + j * c, start) : vset(0);
            vstore(m, k = reduce_lanes(NN_SUM, s) * vset(1 / (float)start));
        }
        for (int64_t j = 0; j < VL; j++) {
            s[j] = t[j] = vset(0);
            if (j < n) norm_row_moments(mean, &s[j], &t[j], x + j * c, vset(m[j]), c);
        }
        if (mean) d = reduce_lanes(NN_SUM, s) * over;
        vf var = reduce_lanes(NN_SUM, t) * over - d * d, inverse = vset(1) / vsqrt(vmax(vset(0), var) + vset(eps));
        if (mean) {
            vf near = k + d;
            vstore(m, near);
            d -= near - k;
            vstore_n(mean_to + i, near, n), vstore_n(rest + i, d, n);
        }
        vstore(r, inverse), vstore(kr, -d * inverse);
        vstore_n(root + i, inverse, n);
        for (int64_t j = 0; j < n; j++) {
            const vf mj = vset(m[j]), rj = vset(r[j]), kj = vset(kr[j]);
            if (w && b) norm_row(mean, 1, 1, y + j * c, x + j * c, w, b, mj, rj, kj, c);
            else if (w) norm_row(mean, 1, 0, y + j * c, x + j * c, w, b, mj, rj, kj, c);
            else if (b) norm_row(mean, 0, 1, y + j * c, x + j * c, w, b, mj, rj, kj, c);
            else norm_row(mean, 0, 0, y + j * c, x + j * c, w, b, mj, rj, kj, c);
        }
    }
}

/* y = (x - mean) / sqrt(var + eps) w + b, rows of c; m[rows] + rest[rows] the mean, root[rows] what multiplies. */
static void layer_norm_rows(float *y, float *m, float *rest, float *root, const float *x, const float *w,
                            const float *b, float eps, int64_t rows, int64_t c)
{
    norm_rows_body(1, y, m, rest, root, x, w, b, eps, rows, c);
}

/* y = x / sqrt(mean of x^2 + eps) w */
static void rms_norm_rows(float *y, float *root, const float *x, const float *w, float eps, int64_t rows, int64_t c)
{
    norm_rows_body(0, y, 0, 0, root, x, w, 0, eps, rows, c);
}

/* Vectors of the sums of g = dy w and g (x - m) over a row. */
INLINE void norm_row_sums(const int mean, vf *sum, vf *dot, const float *dy, const float *x, const float *w, vf m,
                          int64_t c)
{
    vf t1 = vset(0), t2 = vset(0);
    while (c > 0) {
        int64_t n = c < 128 * VL ? c : 128 * VL, k = 0;
        vf s1[2], s2[2];
        UNROLL for (int i = 0; i < 2; i++) s1[i] = s2[i] = vset(0);
        for (; k + 2 * VL <= n; k += 2 * VL)
            UNROLL for (int i = 0; i < 2; i++) {
                vf g = vload(dy + k + i * VL), v = vload(x + k + i * VL);
                if (w) g *= vload(w + k + i * VL);
                if (mean) s1[i] += g;
                s2[i] += g * (mean ? v - m : v);
            }
        for (; k < n; k += VL) {
            vf g = vload(dy + k), v = vload(x + k);
            if (w) g *= vload(w + k);
            if (mean) s1[0] += vkeep(g, n - k);
            s2[0] += vkeep(g * (mean ? v - m : v), n - k);
        }
        t1 += s1[0] + s1[1], t2 += s2[0] + s2[1];
        dy += n, x += n, c -= n;
        if (w) w += n;
    }
    *sum = t1, *dot = t2;
}

/* What belongs to a row of a gradient: xhat = (x - m) root + k, dx = dy w root + xhat p + q. */
typedef struct { const float *m, *root, *k, *p, *q; } norm_row_numbers;

/* dx of n rows and, added up over them, dw += dy xhat, db += dy. */
INLINE void norm_row_grad(const int n, const int mean, const int weight, float *dx, float *dw, float *db,
                          const float *dy, const float *x, const float *w, norm_row_numbers a, int64_t c)
{
    vf m[4], root[4], k[4], p[4], q[4];
    UNROLL for (int i = 0; i < n; i++) {
        m[i] = vset(mean ? a.m[i] : 0), root[i] = vset(a.root[i]), k[i] = vset(a.k[i]);
        p[i] = vset(a.p[i]), q[i] = vset(a.q[i]);
    }
#define BODY(tail) {                                                            \
        vf dwj = vload(dw + j), dbj = mean ? vload(db + j) : vset(0), wj = weight ? vload(w + j) : vset(1); \
        UNROLL for (int i = 0; i < n; i++) {                                    \
            vf g = vload(dy + i * c + j), v = vload(x + i * c + j);             \
            vf xhat = mean ? (v - m[i]) * root[i] + k[i] : v * root[i];         \
            dwj += g * xhat;                                                    \
            if (mean) dbj += g;                                                 \
            if (weight) g *= wj;                                                \
            norm_put(dx + i * c + j, g * root[i] + (mean ? xhat * p[i] + q[i] : xhat * p[i]), tail); \
        }                                                                       \
        vstore(dw + j, dwj);                                                    \
        if (mean) vstore(db + j, dbj);                                          \
    }
    NORM_COLUMNS(BODY, c)
#undef BODY
}

enum { NORM_GRAD_ROWS = VL == 16 ? 4 : 2 }; /* whose numbers fit in registers */

INLINE void norm_grad_rows_body(const int mean, float *dx, float *dw, float *db, const float *dy, const float *x,
                                const float *m, const float *rest, const float *root, const float *w, int64_t rows,
                                int64_t c)
{
    const int64_t group = norm_group(c);
    const vf over = vset(1 / (float)c);
    for (int64_t j = 0; j < c; j += VL) {
        vstore(dw + j, vset(0));
        if (mean) vstore(db + j, vset(0));
    }
    for (int64_t i = 0; i < rows; i += group, x += group * c, dy += group * c, dx += group * c) {
        int64_t n = rows - i < group ? rows - i : group;
        vf s[VL], t[VL];
        float k[VL], p[VL], q[VL];
        for (int64_t j = 0; j < VL; j++) {
            s[j] = t[j] = vset(0);
            if (j < n) norm_row_sums(mean, &s[j], &t[j], dy + j * c, x + j * c, w, vset(mean ? m[i + j] : 0), c);
        }
        vf r = vload(root + i), minus = -r * over, kr = mean ? -vload(rest + i) * r : vset(0);
        vf g1 = mean ? reduce_lanes(NN_SUM, s) : vset(0), g2 = reduce_lanes(NN_SUM, t) * r + g1 * kr;
        vstore(k, kr), vstore(p, minus * g2), vstore(q, minus * g1);
        for (int64_t j = 0; j < n; ) {
            norm_row_numbers a = {m + i + j, root + i + j, k + j, p + j, q + j};
            float *dxj = dx + j * c;
            const float *dyj = dy + j * c, *xj = x + j * c;
            int64_t many = n - j < NORM_GRAD_ROWS ? n - j < 2 ? 1 : 2 : NORM_GRAD_ROWS;
            if (!w) norm_row_grad(many = 1, mean, 0, dxj, dw, db, dyj, xj, w, a, c);
            else if (many == NORM_GRAD_ROWS) norm_row_grad(NORM_GRAD_ROWS, mean, 1, dxj, dw, db, dyj, xj, w, a, c);
            else if (many == 2) norm_row_grad(2, mean, 1, dxj, dw, db, dyj, xj, w, a, c);
            else norm_row_grad(1, mean, 1, dxj, dw, db, dyj, xj, w, a, c);
            j += many;
        }
    }
}

/* dx, and dw[c] db[c], whose buffers have room for whole vectors: sums over the rows. */
static void layer_norm_grad_rows(float *dx, float *dw, float *db, const float *dy, const float *x, const float *m,
                                 const float *rest, const float *root, const float *w, int64_t rows, int64_t c)
{
    norm_grad_rows_body(1, dx, dw, db, dy, x, m, rest, root, w, rows, c);
}

static void rms_norm_grad_rows(float *dx, float *dw, const float *dy, const float *x, const float *root, const float *w,
                               int64_t rows, int64_t c)
{
    norm_grad_rows_body(0, dx, dw, 0, dy, x, 0, 0, root, w, rows, c);
}
