/* Winograd's minimal filtering, F(4x4, 3x3) and F(2x2, 5x5): the transforms of tiles and weights. The products are in
 * winograd_product.h, the plan in ../winograd.c. Axes as in ../conv.h; a tile is tile x tile pixels of the output and
 * the 6 x 6 of the input that they see: 4 x 4 for a window of 3 x 3, 2 x 2 for one of 5 x 5. `tile` is a constant in
 * all that computes.
 *
 *   y = A^T [(G w G^T) . (B^T x B)] A        dw = G^T [(B^T x B) . (A dy A^T)] G
 *
 * The points are 0, +-a, +-b and infinity with a = 3/4, b = 3/2. P = x (x^2 - a^2) (x^2 - b^2) is 0 at the finite
 * ones.
 *
 *   B^T, a row for each point t: the coefficients of P / (x - t); the last row: those of P itself
 *   G, a row for each point t: (1, t, t^2 ..) / P'(t), as many as the window; the last row: (.. 0, 0, 1)
 *   A, a row for each point t: (1, t, t^2 ..), as many as the tile; the last row: (.. 0, 1)
 *
 * Rows of +t and -t share their even and odd terms. Numbers of A and B are exact in float32.
 *
 * Transformed data are [point][block of 16 channels][tile][16], so that all addresses within a register tile are
 * constants. What lies in lanes beyond the last channel is never used.
 */
#define WINO_A 0.75f
#define WINO_B 1.5f
#define WINO_A2 (WINO_A * WINO_A)
#define WINO_B2 (WINO_B * WINO_B)
#define WINO_WINDOW(tile) (7 - (tile)) /* 6 points: they are tile + window - 1 */
/* The kernel winograd_<name> of wino_<name>_body, once for each tile as a constant, and apart: with both in one
 * function gcc 12.2 made 3 x 3's winograd_dweights 1.4 times slower (AVX2). */
#define WINO_TILED(name, params, ...)                                                                                  \
    static __attribute__((noinline)) void wino_##name##_2 params { (void)tile, wino_##name##_body(2, __VA_ARGS__); }   \
    static __attribute__((noinline)) void wino_##name##_4 params { (void)tile, wino_##name##_body(4, __VA_ARGS__); }   \
    static void winograd_##name params { (tile == 4 ? wino_##name##_4 : wino_##name##_2)(__VA_ARGS__, tile); }
#define WINO_LANES for (int lane = 0; lane < 16; lane += VL)

/* The row of 0, and that of infinity from the next three */
INLINE vf wino_end(vf x0, vf x2, vf x4)
{
    return (x4 - vset(WINO_A2 + WINO_B2) * x2) + vset(WINO_A2 * WINO_B2) * x0;
}

/* t = B^T x of 6 numbers, stored `plane` apart */
INLINE void wino_in(float *v, int64_t plane, const vf x[6])
{
    vf even_a = x[4] - vset(WINO_B2) * x[2], odd_a = x[3] - vset(WINO_B2) * x[1];
    vf even_b = x[4] - vset(WINO_A2) * x[2], odd_b = x[3] - vset(WINO_A2) * x[1];
    vstore(v, wino_end(x[0], x[2], x[4]));
    vstore(v + plane, even_a + vset(WINO_A) * odd_a);
    vstore(v + 2 * plane, even_a - vset(WINO_A) * odd_a);
    vstore(v + 3 * plane, even_b + vset(WINO_B) * odd_b);
    vstore(v + 4 * plane, even_b - vset(WINO_B) * odd_b);
    vstore(v + 5 * plane, wino_end(x[1], x[3], x[5]));
}

/* Rows of B^T x for +t and -t: x_4 - other^2 x_2 +- t (x_3 - other^2 x_1) */
INLINE void wino_in_pair(float *v, int64_t plane, const float *x, int64_t row, const float t, const float other2)
{
    vf even[6], odd[6], sum[6];
    UNROLL for (int s = 0; s < 6; s++) {
        even[s] = vload(x + 4 * row + 16 * s) - vset(other2) * vload(x + 2 * row + 16 * s);
        odd[s] = vload(x + 3 * row + 16 * s) - vset(other2) * vload(x + row + 16 * s);
    }
    UNROLL for (int s = 0; s < 6; s++) sum[s] = even[s] + vset(t) * odd[s];
    wino_in(v, plane, sum);
    UNROLL for (int s = 0; s < 6; s++) sum[s] = even[s] - vset(t) * odd[s];
    wino_in(v + 6 * plane, plane, sum);
}

INLINE void wino_in_end(float *v, int64_t plane, const float *x, int64_t row)
{
    vf t[6];
    UNROLL for (int s = 0; s < 6; s++)
        t[s] = wino_end(vload(x + 16 * s), vload(x + 2 * row + 16 * s), vload(x + 4 * row + 16 * s));
    wino_in(v, plane, t);
}

/* v[point][tile][16] = B^T x B for `tiles` tiles side by side; x[row][column][16], its rows `row` apart. Each row of
 * B^T x, or pair of rows, is used up before the next: all 36 numbers do not fit into the registers. */
static void winograd_in(float *v, int64_t plane, const float *x, int64_t row, int64_t tiles, int tile)
{
    for (int64_t i = 0; i < tiles; i++, x += 16 * tile, v += 16)
        WINO_LANES {
            wino_in_end(v + lane, plane, x + lane, row);
            wino_in_pair(v + lane + 6 * plane, plane, x + lane, row, WINO_A, WINO_B2);
            wino_in_pair(v + lane + 18 * plane, plane, x + lane, row, WINO_B, WINO_A2);
            wino_in_end(v + lane + 30 * plane, plane, x + row + lane, row);
        }
}

/* A^T m of 6 numbers, in two halves: y_0 and y_2 from sums, y_1 and y_3 from differences; m_5 is in the last */
INLINE void wino_out_even(const int tile, vf y[2], vf m0, vf m1, vf m2, vf m3, vf m4)
{
    vf a = m1 + m2, b = m3 + m4;
    y[0] = m0 + a + b;
    if (tile == 4) y[1] = vset(WINO_A2) * a + vset(WINO_B2) * b;
}
INLINE void wino_out_odd(const int tile, vf y[2], vf m1, vf m2, vf m3, vf m4, vf m5)
{
    vf a = m1 - m2, b = m3 - m4;
    if (tile == 2) {
        y[0] = (m5 + vset(WINO_A) * a) + vset(WINO_B) * b;
        return;
    }
    y[0] = vset(WINO_A) * a + vset(WINO_B) * b;
    y[1] = (m5 + vset(WINO_A * WINO_A2) * a) + vset(WINO_B * WINO_B2) * b;
}

/* y[tile,tile] = A^T m A; m's points are `plane` apart */
INLINE void wino_out(const int tile, vf y[4][4], const float *m, int64_t plane)
{
#define M(r, s) vload(m + (6 * (r) + (s)) * plane)
    UNROLL for (int half = 0; half < 2; half++) {
        vf t[6][2], z[2];
        UNROLL for (int s = 0; s < 6; s++) {
            if (half == 0) wino_out_even(tile, t[s], M(0, s), M(1, s), M(2, s), M(3, s), M(4, s));
            else wino_out_odd(tile, t[s], M(1, s), M(2, s), M(3, s), M(4, s), M(5, s));
        }
        UNROLL for (int r = 0; r < tile / 2; r++) {
            wino_out_even(tile, z, t[0][r], t[1][r], t[2][r], t[3][r], t[4][r]);
            UNROLL for (int s = 0; s < tile / 2; s++) y[half + 2 * r][2 * s] = z[s];
            wino_out_odd(tile, z, t[1][r], t[2][r], t[3][r], t[4][r], t[5][r]);
            UNROLL for (int s = 0; s < tile / 2; s++) y[half + 2 * r][2 * s + 1] = z[s];
        }
    }
#undef M
}

INLINE void wino_out_body(const int tile, float *y, int64_t row, int64_t pixel, const float *m, int64_t plane,
                          int64_t tiles, int64_t rows, int64_t columns, int64_t n, const float *bias, int acc)
{
    for (int64_t i = 0; i < tiles; i++, y += tile * pixel, m += 16, columns -= tile)
        for (int lane = 0; lane < 16 && lane < n; lane += VL) {
            vf c = bias ? vload(bias + lane) : vset(0), t[4][4];
            wino_out(tile, t, m + lane, plane);
            if (rows >= tile && columns >= tile && n - lane >= VL) {
                UNROLL for (int r = 0; r < tile; r++)
                    UNROLL for (int s = 0; s < tile; s++) {
                        float *to = y + lane + r * row + s * pixel;
                        vstore(to, (acc ? vload(to) : c) + t[r][s]);
                    }
                continue;
            }
            for (int r = 0; r < tile && r < rows; r++)
                for (int s = 0; s < tile && s < columns; s++) {
                    float *to = y + lane + r * row + s * pixel;
                    vstore_n(to, (acc ? vload(to) : c) + t[r][s], n - lane < VL ? n - lane : VL);
                }
        }
}

/* y[row][column][n <= 16] = A^T m A + bias, or added to y, for `tiles` tiles side by side, of which `rows` rows and
 * `columns` columns exist. */
WINO_TILED(out, (float *y, int64_t row, int64_t pixel, const float *m, int64_t plane, int64_t tiles, int64_t rows,
                 int64_t columns, int64_t n, const float *bias, int acc, int tile),
           y, row, pixel, m, plane, tiles, rows, columns, n, bias, acc)

/* A d of `tile` numbers, stored `plane` apart */
INLINE void wino_dy(const int tile, float *v, int64_t plane, const vf d[4])
{
    vf even_a = d[0], odd_a = d[1], even_b = d[0], odd_b = d[1];
    if (tile == 4) {
        even_a = d[0] + vset(WINO_A2) * d[2], odd_a = d[1] + vset(WINO_A2) * d[3];
        even_b = d[0] + vset(WINO_B2) * d[2], odd_b = d[1] + vset(WINO_B2) * d[3];
    }
    vstore(v, d[0]);
    vstore(v + plane, even_a + vset(WINO_A) * odd_a);
    vstore(v + 2 * plane, even_a - vset(WINO_A) * odd_a);
    vstore(v + 3 * plane, even_b + vset(WINO_B) * odd_b);
    vstore(v + 4 * plane, even_b - vset(WINO_B) * odd_b);
    vstore(v + 5 * plane, d[tile - 1]);
}

/* Rows of A dy for +t and -t: dy_0 + t^2 dy_2 +- t (dy_1 + t^2 dy_3) */
INLINE void wino_dy_pair(const int tile, float *v, int64_t plane, const float *dy, int64_t row, int64_t pixel,
                         const float t)
{
    vf even[4], odd[4], sum[4];
    UNROLL for (int s = 0; s < tile; s++) {
        even[s] = vload(dy + s * pixel), odd[s] = vload(dy + row + s * pixel);
        if (tile == 2) continue;
        even[s] = even[s] + vset(t * t) * vload(dy + 2 * row + s * pixel);
        odd[s] = odd[s] + vset(t * t) * vload(dy + 3 * row + s * pixel);
    }
    UNROLL for (int s = 0; s < tile; s++) sum[s] = even[s] + vset(t) * odd[s];
    wino_dy(tile, v, plane, sum);
    UNROLL for (int s = 0; s < tile; s++) sum[s] = even[s] - vset(t) * odd[s];
    wino_dy(tile, v + 6 * plane, plane, sum);
}

INLINE void wino_dy_end(const int tile, float *v, int64_t plane, const float *dy, int64_t pixel)
{
    vf t[4];
    UNROLL for (int s = 0; s < tile; s++) t[s] = vload(dy + s * pixel);
    wino_dy(tile, v, plane, t);
}

INLINE void wino_dy_body(const int tile, float *v, int64_t plane, const float *dy, int64_t row, int64_t pixel,
                         int64_t tiles)
{
    for (int64_t i = 0; i < tiles; i++, dy += tile * pixel, v += 16)
        WINO_LANES {
            wino_dy_end(tile, v + lane, plane, dy + lane, pixel);
            wino_dy_pair(tile, v + lane + 6 * plane, plane, dy + lane, row, pixel, WINO_A);
            wino_dy_pair(tile, v + lane + 18 * plane, plane, dy + lane, row, pixel, WINO_B);
            wino_dy_end(tile, v + lane + 30 * plane, plane, dy + (tile - 1) * row + lane, pixel);
        }
}

/* v[point][tile][16] = A dy A^T for `tiles` tiles side by side; dy's rows are `row` apart, its pixels `pixel`. */
WINO_TILED(dy, (float *v, int64_t plane, const float *dy, int64_t row, int64_t pixel, int64_t tiles, int tile),
           v, plane, dy, row, pixel, tiles)

/* 1 / P'(t) */
#define WINO_G0 (1 / (WINO_A2 * WINO_B2))
#define WINO_GA (1 / (2 * WINO_A2 * (WINO_A2 - WINO_B2)))
#define WINO_GB (1 / (2 * WINO_B2 * (WINO_B2 - WINO_A2)))

/* G w of `window` numbers */
INLINE void wino_weights(const int window, vf u[6], const vf w[5])
{
    vf even = vset(WINO_GA) * w[0] + vset(WINO_GA * WINO_A2) * w[2], odd = vset(WINO_GA * WINO_A) * w[1];
    if (window == 5) {
        even = even + vset(WINO_GA * WINO_A2 * WINO_A2) * w[4];
        odd = odd + vset(WINO_GA * WINO_A * WINO_A2) * w[3];
    }
    u[0] = vset(WINO_G0) * w[0];
    u[1] = even + odd;
    u[2] = even - odd;
    even = vset(WINO_GB) * w[0] + vset(WINO_GB * WINO_B2) * w[2], odd = vset(WINO_GB * WINO_B) * w[1];
    if (window == 5) {
        even = even + vset(WINO_GB * WINO_B2 * WINO_B2) * w[4];
        odd = odd + vset(WINO_GB * WINO_B * WINO_B2) * w[3];
    }
    u[3] = even + odd;
    u[4] = even - odd;
    u[5] = w[window - 1];
}

/* The columns o of u are cut into panels of WINO_WIDE vectors; the last has what is left. */
INLINE int64_t wino_panel(int64_t left)
{
    return left > (WINO_WIDE - 1) * VL ? WINO_WIDE * VL : (left + VL - 1) / VL * VL;
}

INLINE void wino_weights_body(const int tile, float *u, int64_t plane, const float *w, int64_t tap, int64_t row,
                              int64_t c, int64_t o)
{
    const int window = WINO_WINDOW(tile);
    for (int64_t j = 0; j < o;) {
        int64_t width = wino_panel(o - j);
        for (int64_t i = 0; i < c; i++)
            for (int64_t k = 0; k < width; k += VL) {
                const float *wi = w + i * row + j + k;
                float *to = u + j * c + i * width + k;
                vf t[6][5], d[6], from[5];
                UNROLL for (int s = 0; s < window; s++) {
                    UNROLL for (int r = 0; r < window; r++) from[r] = vload(wi + (window * r + s) * tap);
                    wino_weights(window, d, from);
                    UNROLL for (int r = 0; r < 6; r++) t[r][s] = d[r];
                }
                UNROLL for (int r = 0; r < 6; r++) {
                    wino_weights(window, d, t[r]);
                    UNROLL for (int s = 0; s < 6; s++) vstore(to + (6 * r + s) * plane, d[s]);
                }
            }
        j += width;
    }
}

/* u[point][panel][c][its columns] = G w G^T, points `plane` apart; w[r,s,c,o] with taps `tap` and rows `row` apart. */
WINO_TILED(weights, (float *u, int64_t plane, const float *w, int64_t tap, int64_t row, int64_t c, int64_t o, int tile),
           u, plane, w, tap, row, c, o)

/* G^T u of 6 numbers */
INLINE void wino_dweights(const int window, vf w[5], const vf u[6])
{
    vf pa = u[1] + u[2], pb = u[3] + u[4], da = u[1] - u[2], db = u[3] - u[4];
    w[0] = (vset(WINO_G0) * u[0] + vset(WINO_GA) * pa) + vset(WINO_GB) * pb;
    w[1] = vset(WINO_GA * WINO_A) * da + vset(WINO_GB * WINO_B) * db;
    if (window == 3) {
        w[2] = (u[5] + vset(WINO_GA * WINO_A2) * pa) + vset(WINO_GB * WINO_B2) * pb;
        return;
    }
    w[2] = vset(WINO_GA * WINO_A2) * pa + vset(WINO_GB * WINO_B2) * pb;
    w[3] = vset(WINO_GA * WINO_A * WINO_A2) * da + vset(WINO_GB * WINO_B * WINO_B2) * db;
    w[4] = (u[5] + vset(WINO_GA * WINO_A2 * WINO_A2) * pa) + vset(WINO_GB * WINO_B2 * WINO_B2) * pb;
}

INLINE void wino_dweights_body(const int tile, float *dw, int64_t tap, int64_t row, const float *du, int64_t plane,
                               int64_t ld, int64_t c, int64_t o, int acc)
{
    const int window = WINO_WINDOW(tile);
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < o; j += VL) {
            const float *from = du + i * ld + j;
            vf t[5][6], d[6], e[5];
            UNROLL for (int s = 0; s < 6; s++) {
                UNROLL for (int r = 0; r < 6; r++) d[r] = vload(from + (6 * r + s) * plane);
                wino_dweights(window, e, d);
                UNROLL for (int r = 0; r < window; r++) t[r][s] = e[r];
            }
            UNROLL for (int r = 0; r < window; r++) {
                wino_dweights(window, e, t[r]);
                UNROLL for (int s = 0; s < window; s++) {
                    float *to = dw + (window * r + s) * tap + i * row + j;
                    vf value = acc ? vload(to) + e[s] : e[s];
                    if (o - j >= VL) vstore(to, value);
                    else vstore_n(to, value, o - j);
                }
            }
        }
}

/* dw[tap][c,o] (+)= G^T du G; du[point][c][o], points `plane` and rows `ld` apart, those of dw `tap` and `row`. */
WINO_TILED(dweights, (float *dw, int64_t tap, int64_t row, const float *du, int64_t plane, int64_t ld, int64_t c,
                      int64_t o, int acc, int tile),
           dw, tap, row, du, plane, ld, c, o, acc)

/* n pixels of 16 channels, `pixel` apart */
INLINE void wino_pixels(float *to, const float *x, int64_t pixel, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4, to += 64, x += 4 * pixel)
        UNROLL for (int q = 0; q < 4; q++)
            UNROLL WINO_LANES vstore(to + 16 * q + lane, vload(x + q * pixel + lane));
    for (; i < n; i++, to += 16, x += pixel)
        UNROLL WINO_LANES vstore(to + lane, vload(x + lane));
}

/* Batch norm of what is loaded, or its gradient, term by term as norm_apply and norm_grad_apply have them: the same
 * numbers to the last bit. */
INLINE vf wino_norm(const int grad, const int relu, vf x, vf z, const vf k[5])
{
    if (!grad) {
        vf y = (x - k[0]) * k[1] + k[2];
        return relu ? vatleast(y, 0) : y;
    }
    vf d = z - k[0], s = d * k[1] + k[2];
    return (relu ? vless(s, vset(0x1p-126f), vset(0), x) : x) * k[1] + (d * k[3] + k[4]);
}

INLINE void wino_normed(const int grad, const int relu, float *to, const float *x, const float *z, int64_t pixel,
                        int64_t n, const nn_norm *norm)
{
    for (int lane = 0; lane < 16; lane += VL) {
        vf k[5];
        UNROLL for (int i = 0; i < 5; i++) k[i] = vload(norm->columns + i * norm->apart + lane);
        int64_t i = 0;
        for (; i + 4 <= n; i += 4)
            UNROLL for (int q = 0; q < 4; q++) {
                int64_t at = (i + q) * pixel + lane;
                vstore(to + 16 * (i + q) + lane, wino_norm(grad, relu, vload(x + at), vload(z + at), k));
            }
        for (; i < n; i++) {
            int64_t at = i * pixel + lane;
            vstore(to + 16 * i + lane, wino_norm(grad, relu, vload(x + at), vload(z + at), k));
        }
    }
}

INLINE void wino_patch_body(const int norms, const int grad, const int relu, float *to, const float *x, int64_t row,
                            int64_t pixel, const nn_patch *g, const nn_norm *norm)
{
    const float *z = grad ? norm->z : x;
    memset(to, 0, (size_t)(g->top * g->columns * 16) * sizeof *to);
    to += g->top * g->columns * 16;
    for (int64_t i = g->top; i < g->bottom; i++, to += g->columns * 16, x += row) {
        memset(to, 0, (size_t)(g->left * 16) * sizeof *to);
        if (norms) wino_normed(grad, relu, to + g->left * 16, x, z, pixel, g->right - g->left, norm), z += row;
        else wino_pixels(to + g->left * 16, x, pixel, g->right - g->left);
        memset(to + g->right * 16, 0, (size_t)((g->columns - g->right) * 16) * sizeof *to);
    }
    memset(to, 0, (size_t)((g->rows - g->bottom) * g->columns * 16) * sizeof *to);
}

/* to[row][column][16] = 16 channels of a piece of an image, zero where the piece lies outside of it. x: the first
 * pixel of the piece that lies inside. norm: of these channels, from this pixel on, or null. */
static void winograd_patch(float *to, const float *x, int64_t row, int64_t pixel, const nn_patch *g,
                           const nn_norm *norm)
{
    if (!norm) wino_patch_body(0, 0, 0, to, x, row, pixel, g, norm);
    else if (norm->z && norm->relu) wino_patch_body(1, 1, 1, to, x, row, pixel, g, norm);
    else if (norm->z) wino_patch_body(1, 1, 0, to, x, row, pixel, g, norm);
    else if (norm->relu) wino_patch_body(1, 0, 1, to, x, row, pixel, g, norm);
    else wino_patch_body(1, 0, 0, to, x, row, pixel, g, norm);
}
