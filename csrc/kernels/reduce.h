/* Reductions of x[o,r,i] over r, as rows (i == 1) and as columns (r rows of i). kind: enum nn_reduce or NN_SQDEV, the
 * sum of (x - mean)^2. The bodies take it as a constant, so every kind is its own loop.
 *
 * Sums: one accumulator takes at most about 32 elements in a row before it is added to the next level, so the error
 * grows with eps * (32 + n / block), not with eps * n.
 */
INLINE vf reduce_empty(const int kind) { return vset(kind == NN_MAX ? -INFINITY : kind == NN_MIN ? INFINITY : 0); }
INLINE vf reduce_join(const int kind, vf a, vf b)
{
    return kind == NN_MAX ? vmax(a, b) : kind == NN_MIN ? vmin(a, b) : a + b;
}
INLINE vf reduce_step(const int kind, vf s, vf x, vf mean)
{
    return kind == NN_SQDEV ? s + (x - mean) * (x - mean) : reduce_join(kind, s, x);
}

/* Lane j of the result joins all lanes of t[j]. Each round halves the number of vectors: in two vectors that stand h
 * rows apart, lanes l and l ^ h are joined, and the lanes whose bit h is set are kept from the second. */
INLINE vf reduce_lanes(const int kind, vf t[VL])
{
    const vi lane = V_IOTA;
    UNROLL for (int h = VL / 2; h; h /= 2) {
        vi second = (lane & h) * (VL / h), keep = lane + second, swap = (lane ^ h) + second;
        UNROLL for (int j = 0; j < h; j++)
            t[j] = reduce_join(kind, vshuffle(t[j], t[j + h], keep), vshuffle(t[j], t[j + h], swap));
    }
    return t[0];
}

/* One row, reduced to a vector. */
INLINE vf reduce_row(const int kind, const float *x, vf mean, int64_t r)
{
    const int64_t block = 16 * 8 * VL;
    const vf empty = reduce_empty(kind);
    vf total = empty;
    for (; r >= 4 * VL; ) {
        int64_t n = r < block ? r / (4 * VL) * (4 * VL) : block;
        vf s[8];
        UNROLL for (int j = 0; j < 8; j++) s[j] = empty;
        int64_t k = 0;
        for (; k + 8 * VL <= n; k += 8 * VL)
            UNROLL for (int j = 0; j < 8; j++) s[j] = reduce_step(kind, s[j], vload(x + k + j * VL), mean);
        if (k < n)
            UNROLL for (int j = 0; j < 4; j++) s[j] = reduce_step(kind, s[j], vload(x + k + j * VL), mean);
        UNROLL for (int h = 4; h; h /= 2)
            UNROLL for (int j = 0; j < h; j++) s[j] = reduce_join(kind, s[j], s[j + h]);
        total = reduce_join(kind, total, s[0]);
        x += n, r -= n;
    }
    for (; r >= VL; x += VL, r -= VL) total = reduce_step(kind, total, vload(x), mean);
    if (r > 0) /* what stands in for the lanes beyond adds nothing */
        total = reduce_step(kind, total, vload_n(x, r, kind == NN_SQDEV ? mean : empty), mean);
    return total;
}

INLINE void reduce_rows_body(const int kind, float *y, const float *x, const float *mean, int acc, float divisor,
                             int64_t o, int64_t r)
{
    for (int64_t j = 0; j < o; j += VL) {
        int64_t n = o - j < VL ? o - j : VL;
        vf t[VL];
        for (int64_t q = 0; q < VL; q++)
            t[q] = q < n ? reduce_row(kind, x + (j + q) * r, vset(mean ? mean[j + q] : 0), r) : vset(0);
        vf s = reduce_lanes(kind, t) / vset(divisor);
        if (acc) s += vload(y + j);
        vstore_n(y + j, s, n);
    }
}

/* y[o] (+)= the rows of x[o,r], divided by the divisor; mean[o] for NN_SQDEV. */
static void reduce_rows(float *y, const float *x, const float *mean, int kind, int acc, float divisor, int64_t o,
                        int64_t r)
{
    switch (kind) {
    case NN_MAX: reduce_rows_body(NN_MAX, y, x, 0, acc, divisor, o, r); break;
    case NN_MIN: reduce_rows_body(NN_MIN, y, x, 0, acc, divisor, o, r); break;
    case NN_SQDEV: reduce_rows_body(NN_SQDEV, y, x, mean, acc, divisor, o, r); break;
    default: reduce_rows_body(NN_SUM, y, x, 0, acc, divisor, o, r);
    }
}

/* nv vectors side by side, r rows of them; every vector has nq accumulators that take turns. */
INLINE void reduce_strip(const int kind, const int nv, const int nq, float *y, const float *x, const float *mean,
                         int join, int64_t r, int64_t ld, int64_t tail)
{
    vf s[8], m[8];
    UNROLL for (int j = 0; j < nv; j++) m[j] = mean ? vload(mean + j * VL) : vset(0);
    UNROLL for (int j = 0; j < nv * nq; j++) s[j] = reduce_empty(kind);
    int64_t k = 0;
    for (; k + nq <= r; k += nq)
        UNROLL for (int q = 0; q < nq; q++)
            UNROLL for (int j = 0; j < nv; j++)
                s[q * nv + j] = reduce_step(kind, s[q * nv + j], vload(x + (k + q) * ld + j * VL), m[j]);
    for (; k < r; k++)
        UNROLL for (int j = 0; j < nv; j++) s[j] = reduce_step(kind, s[j], vload(x + k * ld + j * VL), m[j]);
    UNROLL for (int h = nq / 2; h; h /= 2)
        UNROLL for (int j = 0; j < nv * h; j++) s[j] = reduce_join(kind, s[j], s[j + nv * h]);
    if (join)
        UNROLL for (int j = 0; j < nv; j++) s[j] = reduce_join(kind, vload(y + j * VL), s[j]);
    UNROLL for (int j = 0; j < nv - 1; j++) vstore(y + j * VL, s[j]);
    if (tail == VL) vstore(y + (nv - 1) * VL, s[nv - 1]);
    else vstore_n(y + (nv - 1) * VL, s[nv - 1], tail);
}

/* 32 rows at a time: they stay in cache while the strips go over them, and y keeps the sum of the blocks. */
INLINE void reduce_columns_body(const int kind, float *y, const float *x, const float *mean, int join, int64_t r,
                                int64_t i, int64_t ld)
{
    const int nv = VL == 16 ? 8 : 4;
    for (; r > 0; r -= 32, x += 32 * ld, join = 1) {
        int64_t rows = r < 32 ? r : 32, j = 0;
        for (; j + nv * VL <= i; j += nv * VL)
            reduce_strip(kind, nv, 1, y + j, x + j, mean ? mean + j : 0, join, rows, ld, VL);
        if (nv == 8 && j + 4 * VL <= i) {
            reduce_strip(kind, 4, 2, y + j, x + j, mean ? mean + j : 0, join, rows, ld, VL);
            j += 4 * VL;
        }
        for (; j < i; j += VL)
            reduce_strip(kind, 1, 4, y + j, x + j, mean ? mean + j : 0, join, rows, ld, i - j < VL ? i - j : VL);
    }
}

/* y[i] = the columns of x[r,i], r > 0, rows ld apart; join: together with what y holds. mean[i] for NN_SQDEV. */
static void reduce_columns(float *y, const float *x, const float *mean, int kind, int join, int64_t r, int64_t i,
                           int64_t ld)
{
    switch (kind) {
    case NN_MAX: reduce_columns_body(NN_MAX, y, x, 0, join, r, i, ld); break;
    case NN_MIN: reduce_columns_body(NN_MIN, y, x, 0, join, r, i, ld); break;
    case NN_SQDEV: reduce_columns_body(NN_SQDEV, y, x, mean, join, r, i, ld); break;
    default: reduce_columns_body(NN_SUM, y, x, 0, join, r, i, ld);
    }
}

/* Where the largest (smallest) element of a row stands first, given its value m: NaN if there is one. */
INLINE int64_t argmax_find(const float *x, float max, int64_t r)
{
    const vf m = vset(max);
    int64_t k = 0;
    for (; k + VL < r; k += VL) {
        int lane = vfirst(max == max ? vload(x + k) == m : vload(x + k) != vload(x + k));
        if (lane < VL) return k + lane;
    }
    return k + vfirst(max == max ? vload(x + k) == m : vload(x + k) != vload(x + k));
}

/* y[o] = where the largest (NN_MIN: smallest) of each row of x[o,r] stands first, r > 0. */
static void argmax_rows(int64_t *y, const float *x, int kind, int64_t o, int64_t r)
{
    float max[VL];
    for (int64_t j = 0; j < o; j += VL) {
        int64_t n = o - j < VL ? o - j : VL;
        reduce_rows(max, x + j * r, 0, kind, 0, 1, n, r);
        for (int64_t q = 0; q < n; q++) y[j + q] = argmax_find(x + (j + q) * r, max[q], r);
    }
}

/* Integers in the order of the floats (of their negatives for NN_MIN), -0 equal to 0, NaN above all. No float gives
 * INT_MIN. */
INLINE vi argmax_key(vf x, vi flip)
{
    vi bits = (vi)((vf)((vi)x ^ flip) + vset(0));
    return visel(x != x, viset(INT32_MAX), bits ^ ((bits >> 31) & INT32_MAX));
}

/* y[i]: the same for the columns of x[r,i], rows ld apart. */
static void argmax_columns(int64_t *y, const float *x, int kind, int64_t r, int64_t i, int64_t ld)
{
    const vi flip = viset(kind == NN_MIN ? INT32_MIN : 0);
    for (int64_t j = 0; j < i; j += VL) {
        vi best = viset(INT32_MIN), at = viset(0);
        for (int64_t k = 0; k < r; k++) {
            vi key = argmax_key(vload(x + k * ld + j), flip), more = key > best;
            best = visel(more, key, best);
            at = visel(more, viset((int32_t)k), at);
        }
        int32_t t[VL];
        memcpy(t, &at, sizeof t);
        for (int64_t l = 0; l < VL && j + l < i; l++) y[j + l] = t[l];
    }
}

/* The sum of squares in double, so that neither large nor tiny gradients leave the range. */
static double sum_squares(const float *x, int64_t n)
{
    typedef double vd __attribute__((vector_size(4 * VL)));
    typedef float vh __attribute__((vector_size(2 * VL)));
    typedef float vh_any __attribute__((vector_size(2 * VL), aligned(4), may_alias));
    const int half = VL / 2;
    vd s[4] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + 4 * half <= n; i += 4 * half)
        UNROLL for (int j = 0; j < 4; j++) {
            vd d = __builtin_convertvector((vh)*(const vh_any *)(x + i + j * half), vd);
            s[j] += d * d;
        }
    vd t = (s[0] + s[1]) + (s[2] + s[3]);
    double sum = 0;
    for (int j = 0; j < half; j++) sum += t[j];
    for (; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}
