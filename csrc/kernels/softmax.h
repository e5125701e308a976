/* Softmax, cross-entropy and their gradients, over the rows of x[b,c].
 *
 * VL rows go together: what is summed over a row is one vector per row until reduce_lanes turns VL of them into one
 * vector with a lane per row, so that logarithms and divisions are shared. Long rows go one by one, to stay in cache
 * between the passes. Neither changes the result of a row.
 *
 * Everything is taken relative to the largest element m of a row, also what the gradient needs: with logits of 1e4, m +
 * log(sum) rounds to 1e-3. A row of nothing but -inf gives -inf - -inf = NaN, as it should.
 */
INLINE int64_t softmax_group(int64_t c)
{
    int64_t rows = 4096 / (c + 1);
    return rows < 1 ? 1 : rows < VL ? rows : VL;
}

/* x[0 .. VL) - m, lanes from n on as if x were -inf there. */
INLINE vf softmax_shifted(const float *x, vf m, int64_t n)
{
    return (n < VL ? vload_n(x, n, vset(-INFINITY)) : vload(x)) - m;
}

INLINE vf softmax_max(const float *x, int64_t rows, int64_t c)
{
    vf t[VL];
    for (int64_t j = 0; j < VL; j++) t[j] = j < rows ? reduce_row(NN_MAX, x + j * c, vset(0), c) : vset(0);
    return reduce_lanes(NN_MAX, t);
}

/* The sum of exp(x - m) over a row as a vector; e, unless it is null, receives the terms (whole: whole vectors of
 * them). */
INLINE vf softmax_exp(float *e, const float *x, float max, int64_t c, int whole)
{
    const vf m = vset(max);
    vf total = vset(0);
    while (c > 0) {
        int64_t n = c < 64 * VL ? c : 64 * VL, k = 0;
        vf s0 = vset(0), s1 = vset(0);
        for (; k + 2 * VL <= n; k += 2 * VL) {
            vf a = v_exp(vload(x + k) - m), b = v_exp(vload(x + k + VL) - m);
            s0 += a, s1 += b;
            if (e) vstore(e + k, a), vstore(e + k + VL, b);
        }
        for (; k < n; k += VL) {
            vf a = v_exp(softmax_shifted(x + k, m, n - k));
            s0 += a;
            if (e && (whole || n - k >= VL)) vstore(e + k, a);
            else if (e) vstore_n(e + k, a, n - k);
        }
        total += s0 + s1;
        c -= n, x += n;
        if (e) e += n;
    }
    return total;
}

static void softmax_rows(float *y, const float *x, int64_t b, int64_t c)
{
    float terms[4 * VL * VL] __attribute__((aligned(64))), m[VL], f[VL];
    const int whole = c <= 4 * VL;
    const int64_t group = softmax_group(c), padded = (c + VL - 1) / VL * VL;
    for (int64_t i = 0; i < b; i += group, x += group * c, y += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL];
        vstore(m, softmax_max(x, rows, c));
        for (int64_t j = 0; j < VL; j++)
            t[j] = j < rows ? softmax_exp(whole ? terms + j * padded : y + j * c, x + j * c, m[j], c, whole) : vset(1);
        vstore(f, vset(1) / reduce_lanes(NN_SUM, t));
        for (int64_t j = 0; j < rows; j++) {
            const float *e = whole ? terms + j * padded : y + j * c;
            const vf fj = vset(f[j]);
            float *yj = y + j * c;
            int64_t k = 0;
            for (; k + VL <= c; k += VL) vstore(yj + k, vload(e + k) * fj);
            if (k < c) vstore_n(yj + k, vload(e + k) * fj, c - k);
        }
    }
}

static void log_softmax_rows(float *y, const float *x, int64_t b, int64_t c)
{
    float m[VL], f[VL];
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, x += group * c, y += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL];
        vstore(m, softmax_max(x, rows, c));
        for (int64_t j = 0; j < VL; j++) t[j] = j < rows ? softmax_exp(0, x + j * c, m[j], c, 0) : vset(1);
        vstore(f, v_log(reduce_lanes(NN_SUM, t)));
        for (int64_t j = 0; j < rows; j++) {
            const vf mj = vset(m[j]), fj = vset(f[j]);
            const float *xj = x + j * c;
            float *yj = y + j * c;
            int64_t k = 0;
            for (; k + VL <= c; k += VL) vstore(yj + k, vload(xj + k) - mj - fj);
            if (k < c) vstore_n(yj + k, vload(xj + k) - mj - fj, c - k);
        }
    }
}

/* The sum of x * y over a row (y null: of x) as a vector. */
INLINE vf softmax_dot(const float *x, const float *y, int64_t c)
{
    vf total = vset(0);
    while (c > 0) {
        int64_t n = c < 64 * VL ? c : 64 * VL, k = 0;
        vf s0 = vset(0), s1 = vset(0);
        for (; k + 2 * VL <= n; k += 2 * VL) {
            s0 += y ? vload(x + k) * vload(y + k) : vload(x + k);
            s1 += y ? vload(x + k + VL) * vload(y + k + VL) : vload(x + k + VL);
        }
        for (; k < n; k += VL) s0 += vkeep(y ? vload(x + k) * vload(y + k) : vload(x + k), n - k);
        total += s0 + s1;
        c -= n, x += n;
        if (y) y += n;
    }
    return total;
}

/* dx = y * (dy - sum(dy * y)) */
static void softmax_grad_rows(float *dx, const float *dy, const float *y, int64_t b, int64_t c)
{
    float f[VL];
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, dx += group * c, dy += group * c, y += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL];
        for (int64_t j = 0; j < VL; j++) t[j] = j < rows ? softmax_dot(dy + j * c, y + j * c, c) : vset(0);
        vstore(f, reduce_lanes(NN_SUM, t));
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = j * c, end = k + c; k < end; k += VL) {
                vf d = vload(y + k) * (vload(dy + k) - vset(f[j]));
                if (k + VL <= end) vstore(dx + k, d);
                else vstore_n(dx + k, d, end - k);
            }
    }
}

/* dx = dy - exp(y) * sum(dy) */
static void log_softmax_grad_rows(float *dx, const float *dy, const float *y, int64_t b, int64_t c)
{
    float f[VL];
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, dx += group * c, dy += group * c, y += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL];
        for (int64_t j = 0; j < VL; j++) t[j] = j < rows ? softmax_dot(dy + j * c, 0, c) : vset(0);
        vstore(f, reduce_lanes(NN_SUM, t));
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = j * c, end = k + c; k < end; k += VL) {
                vf d = vload(dy + k) - v_exp(vload(y + k)) * vset(f[j]);
                if (k + VL <= end) vstore(dx + k, d);
                else vstore_n(dx + k, d, end - k);
            }
    }
}

/* Cross-entropy with labels t, weights w and label smoothing s:
 *   loss[b] = (1 - s) w[t] (log z - (x[t] - m)) + s/c sum_k w[k] (log z - (x[k] - m)),   z = sum exp(x - m)
 * scale[b] = w[t], rz[b] = 1 / z; an ignored row has loss and scale 0. */
static void cross_entropy_labels(float *loss, float *scale, float *rz, const float *x, const int64_t *label,
                                 const nn_entropy *p, int64_t b, int64_t c)
{
    float m[VL];
    const float *weight = p->weight, share = p->smoothing / (float)c;
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, x += group * c, label += group) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL], q[VL], mv = softmax_max(x, rows, c);
        float xt[VL] = {0}, wt[VL] = {0};
        int32_t kept[VL] = {0};
        vstore(m, mv);
        for (int64_t j = 0; j < VL; j++) {
            t[j] = vset(1), q[j] = vset(0);
            if (j >= rows) continue;
            t[j] = softmax_exp(0, x + j * c, m[j], c, 0);
            if (p->ignore && label[j] == p->ignored) continue;
            kept[j] = -1;
            xt[j] = x[j * c + label[j]];
            wt[j] = weight ? weight[label[j]] : 1;
            if (p->smoothing > 0)
                for (int64_t k = 0; k < c; k += VL) {
                    vf d = vload(x + j * c + k) - vset(m[j]);
                    q[j] += vkeep(weight ? vload(weight + k) * d : d, c - k);
                }
        }
        vf z = reduce_lanes(NN_SUM, t), log_z = v_log(z), w = vload(wt), l = w * (log_z - (vload(xt) - mv));
        if (p->smoothing > 0)
            l = vset(1 - p->smoothing) * l + vset(share) * (vset(p->weight_sum) * log_z - reduce_lanes(NN_SUM, q));
        vstore_n(loss + i, vsel(viload(kept), l, vset(0)), rows);
        vstore_n(scale + i, w, rows);
        vstore_n(rz + i, vset(1) / z, rows);
    }
}

/* dx = dloss ((1 - s) w[t] (p - [k = t]) + s/c (p sum w - w)),   p = exp(x - m) / z; sd: stride of dloss, 0 or 1 */
static void cross_entropy_labels_grad(float *dx, const float *dloss, int64_t sd, const float *rz, const float *x,
                                      const int64_t *label, const nn_entropy *p, int64_t b, int64_t c)
{
    float m[VL];
    const float *weight = p->weight, share = p->smoothing / (float)c;
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, x += group * c, dx += group * c, label += group) {
        int64_t rows = b - i < group ? b - i : group;
        vstore(m, softmax_max(x, rows, c));
        for (int64_t j = 0; j < rows; j++) {
            const float *xj = x + j * c, d = dloss[(i + j) * sd];
            float *dxj = dx + j * c;
            if (p->ignore && label[j] == p->ignored) {
                fill(dxj, 0, c);
                continue;
            }
            float w = (1 - p->smoothing) * (weight ? weight[label[j]] : 1);
            const vf mj = vset(m[j]), f = vset(rz[i + j] * (d * (w + share * p->weight_sum))), u = vset(d * share);
            if (p->smoothing > 0)
                for (int64_t k = 0; k < c; k += VL) {
                    vf r = v_exp(vload(xj + k) - mj) * f - u * (weight ? vload(weight + k) : vset(1));
                    if (k + VL <= c) vstore(dxj + k, r);
                    else vstore_n(dxj + k, r, c - k);
                }
            else {
                int64_t k = 0;
                for (; k + VL <= c; k += VL) vstore(dxj + k, v_exp(vload(xj + k) - mj) * f);
                if (k < c) vstore_n(dxj + k, v_exp(vload(xj + k) - mj) * f, c - k);
            }
        }
        for (int64_t j = 0; j < rows; j++)
            if (!(p->ignore && label[j] == p->ignored))
                dx[j * c + label[j]] -= dloss[(i + j) * sd] * ((1 - p->smoothing) * (weight ? weight[label[j]] : 1));
    }
}

/* u[k] = w[k] ((1 - s) target[k] + s/c): what a row of target probabilities comes to. */
INLINE vf entropy_target(const float *target, const nn_entropy *p, vf share, int64_t k)
{
    vf u = vload(target + k);
    if (p->smoothing > 0) u = u * vset(1 - p->smoothing) + share;
    return p->weight ? u * vload(p->weight + k) : u;
}

/* loss[b] = sum_k u[k] (log z - (x[k] - m)), scale[b] = 1 */
static void cross_entropy_probs(float *loss, float *scale, float *rz, const float *x, const float *target,
                                const nn_entropy *p, int64_t b, int64_t c)
{
    float m[VL];
    const vf share = vset(p->smoothing / (float)c);
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, x += group * c, target += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf t[VL], q[VL], sum[VL];
        vstore(m, softmax_max(x, rows, c));
        for (int64_t j = 0; j < VL; j++) {
            t[j] = vset(1), q[j] = sum[j] = vset(0);
            if (j >= rows) continue;
            t[j] = softmax_exp(0, x + j * c, m[j], c, 0);
            for (int64_t k = 0; k < c; k += VL) {
                vf u = entropy_target(target + j * c, p, share, k);
                q[j] += vkeep(u * (vload(x + j * c + k) - vset(m[j])), c - k);
                sum[j] += vkeep(u, c - k);
            }
        }
        vf z = reduce_lanes(NN_SUM, t), l = reduce_lanes(NN_SUM, sum) * v_log(z) - reduce_lanes(NN_SUM, q);
        vstore_n(loss + i, l, rows);
        vstore_n(scale + i, vset(1), rows);
        vstore_n(rz + i, vset(1) / z, rows);
    }
}

/* dx = dloss (p sum u - u) */
static void cross_entropy_probs_grad(float *dx, const float *dloss, int64_t sd, const float *rz, const float *x,
                                     const float *target, const nn_entropy *p, int64_t b, int64_t c)
{
    float m[VL], sums[VL];
    const vf share = vset(p->smoothing / (float)c);
    const int64_t group = softmax_group(c);
    for (int64_t i = 0; i < b; i += group, x += group * c, dx += group * c, target += group * c) {
        int64_t rows = b - i < group ? b - i : group;
        vf sum[VL];
        vstore(m, softmax_max(x, rows, c));
        for (int64_t j = 0; j < VL; j++) {
            sum[j] = vset(0);
            for (int64_t k = 0; k < c && j < rows; k += VL)
                sum[j] += vkeep(entropy_target(target + j * c, p, share, k), c - k);
        }
        vstore(sums, reduce_lanes(NN_SUM, sum));
        for (int64_t j = 0; j < rows; j++) {
            const vf mj = vset(m[j]), d = vset(dloss[(i + j) * sd]), f = vset(rz[i + j] * sums[j]);
            for (int64_t k = 0; k < c; k += VL) {
                vf r = d * (v_exp(vload(x + j * c + k) - mj) * f - entropy_target(target + j * c, p, share, k));
                if (k + VL <= c) vstore(dx + j * c + k, r);
                else vstore_n(dx + j * c + k, r, c - k);
            }
        }
    }
}
