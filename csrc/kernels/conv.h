/* Convolution by the register tiles of gemm.h: pixels are rows, and k runs through the window, place by place. Nothing
 * is gathered into a matrix: a row of a tile is a pixel where it lies, in an image with a border of zeros. */

#if VL == 16
/* A tile of two vectors and up to 14 rows, for 17 to 32 output channels: gemm.h's 8 rows read b's panel, which for
 * large windows does not stay in L1, nearly twice as often. Share of the FMA peak on Cascade Lake, image in L2,
 * 64 -> 32 channels, 5 places: 81-86 % instead of 62-66 %; as much as before while the core's other thread is busy. For
 * the gradient of the weights, 16 -> 32 channels, stride 2: 1.14 times as fast, quiet or busy.
 *
 * col: a's rows lie side by side, its steps of k `stride` apart; else its rows lie `stride` apart, with k along them,
 * and pointers three rows apart, as in gemm.h. */
#define CONV_TALL 14
INLINE void conv_tall_body(const int rows, const int col, float *c, int64_t ldc, const float *a0, int64_t stride,
                           const float *b0, const nn_stretch *x, int64_t stretches, const float *bias, int acc,
                           int64_t tail, gemm_ahead ahead)
{
    vf s[CONV_TALL][GEMM_MOST_NV];
    UNROLL for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = vset(0);
    int c_rows = rows; /* to be fetched */
    for (const nn_stretch *end = x + stretches; x < end; x++) {
        const float *a[(CONV_TALL + 2) / 3], *b = b0 + x->b * 2 * VL;
        UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] = a0 + x->a + i * stride;
#define STEP(q)                                                                                                        \
    do {                                                                                                               \
        vf bq[2] = {vload(b + (q) * 2 * VL), vload(b + (q) * 2 * VL + VL)};                                            \
        UNROLL for (int i = 0; i < rows; i++)                                                                          \
            vmuladd_row(vfrom_memory(rows, 2, i), 2, s[i], col ? a[0] + i : a[i / 3] + i % 3 * stride + (q), bq);      \
        if (col) {                                                                                                     \
            a[0] += stride;                                                                                            \
            V_FORGET(a[0]);                                                                                            \
        }                                                                                                              \
    } while (0)
        int64_t k = x->k;
        for (; k >= 4; k -= 4, b += 8 * VL) {
            if (c_rows) gemm_fetch_row(2, ahead.c), ahead.c += ldc, c_rows--;
            __builtin_prefetch(ahead.line, 0, 2);
            ahead.line += ahead.step;
            UNROLL for (int q = 0; q < 4; q++) STEP(q);
            UNROLL for (int i = 0; i < rows && !col; i += 3) a[i / 3] += 4;
        }
        for (; k > 0; k--, b += 2 * VL) {
            STEP(0);
            UNROLL for (int i = 0; i < rows && !col; i += 3) a[i / 3]++;
        }
#undef STEP
    }
    gemm_store(rows, 2, s, c, ldc, bias, acc, tail);
}
#define CONV_TALL_TILE(rows, name, col)                                                                                \
    static void conv_##name##_##rows(float *c, int64_t ldc, const float *a, int64_t stride, const float *b,            \
                                     int64_t ldb, const nn_stretch *x, int64_t stretches, const float *bias, int acc,  \
                                     int64_t tail, gemm_ahead ahead)                                                   \
    { (void)ldb; conv_tall_body(rows, col, c, ldc, a, stride, b, x, stretches, bias, acc, tail, ahead); }
#define CONV_TALL_TILES(rows) CONV_TALL_TILE(rows, tall_row, 0) CONV_TALL_TILE(rows, tall_col, 1)
CONV_TALL_TILES(9) CONV_TALL_TILES(10) CONV_TALL_TILES(11) CONV_TALL_TILES(12) CONV_TALL_TILES(13) CONV_TALL_TILES(14)
static gemm_tile_fn *const conv_talls[][2] = { /* [rows - 9][col] */
    {conv_tall_row_9, conv_tall_col_9}, {conv_tall_row_10, conv_tall_col_10}, {conv_tall_row_11, conv_tall_col_11},
    {conv_tall_row_12, conv_tall_col_12}, {conv_tall_row_13, conv_tall_col_13}, {conv_tall_row_14, conv_tall_col_14},
};
#else
#define CONV_TALL 0
static gemm_tile_fn *const conv_talls[][2] = {{0}};
#endif

/* c[image,line,m,n] (+)= sum over the stretches of a @ b (+ bias): one block of k of a correlation. Row i of a line
 * lies at a + i*as and is written to c + i*ldc; transposed: a's rows lie 1 apart and its k steps `as`. b is packed (ldb
 * == 0: panels of k rows) or has rows ldb apart. */
static void conv_block(float *c, int64_t ldc, const float *a, int64_t as, int transposed, const float *b, int64_t ldb,
                       int64_t k, const nn_stretch *x, int64_t stretches, const nn_conv_lines *l, const float *bias,
                       int acc, int64_t m, int64_t n, int wide)
{
    /* Tall tiles: pieces that differ by at most a row, `larger` of them of `rows`, the others of one less. */
    int64_t pieces = CONV_TALL ? (m + CONV_TALL - 1) / CONV_TALL : 0, rows = pieces ? (m + pieces - 1) / pieces : 0,
            larger = m - pieces * (rows - 1);
    const int kind = transposed ? GEMM_COL : GEMM_ROW;
    int64_t fetched = 0, lines = 0; /* of what the tiles fetch one after another, and of one tile */
    for (int64_t i = 0; i < stretches; i++) lines += x[i].k / GEMM_PACE;
    for (int64_t j = 0; j < n;) {
        int nv = gemm_panel_vectors(j, n, wide), width = nv * VL;
        int64_t tail = (n - j < width ? n - j : width) - (nv - 1) * VL, step = ldb ? ldb : width;
        int tall = !ldb && nv == 2 && rows - (larger < pieces) > GEMM_MR;
        const float *panel = ldb ? b + j : b + j * k, *bias_j = bias ? bias + j : 0;
        for (int64_t image = 0; image < l->images; image++)
            for (int64_t line = 0; line < l->lines; line++) {
                float *cl = c + image * l->c_image + line * l->c_line + j;
                const float *al = a + image * l->a_image + line * l->a_line;
                for (int64_t i = 0; i < m;) {
                    int mr = tall ? (int)rows - (i >= larger * rows) : gemm_tile_rows(i, m, wide);
                    float *ci = cl + i * ldc;
                    gemm_ahead ahead = {i + mr < m ? ci + mr * ldc : ci, panel, 0, 0};
                    if (fetched < l->ahead_n) ahead.line = l->ahead + fetched, ahead.step = 16;
                    gemm_tile_fn *tile =
                        tall ? conv_talls[mr - GEMM_MR - 1][transposed] : gemm_tiles[mr - 1][kind][nv - 1];
                    tile(ci, ldc, al + i * (transposed ? 1 : as), as, panel, step, x, stretches, bias_j, acc, tail,
                         ahead);
                    fetched += 16 * lines;
                    i += mr;
                }
            }
        j += width;
    }
}

/* Depthwise convolution, whose channels do not mix: y[m,n] = sum over the places t of x[m*as + place[t].a, n] * w[t,n]
 * (+ bias).
 *
 * Some pixels at a time share the weights. Where three places are neighbours as pixels are (windows of 3 pixels of
 * a line), they share the pixels too: of eight pixels that are loaded, the middle ones serve three outputs each. */
#define DEPTHWISE_ROWS 6

/* It has so little arithmetic that it would wait for memory: while a line is computed, the next one of y is fetched,
 * and what that sees of x. */
INLINE void depthwise_fetch(const float *a, const nn_next *next)
{
    for (int k = 0; k < next->count; k++) __builtin_prefetch(a + next->at[k], 0, 2);
}

/* `across` neighbouring places at a time, for `rows` pixels and one vector of channels. */
INLINE void depthwise_tile(const int rows, const int across, float *y, int64_t ldc, const float *a, int64_t as,
                           const float *w, int64_t ldw, const nn_stretch *x, int64_t places, const float *bias, int acc,
                           const nn_next *next, int64_t left)
{
    vf s[DEPTHWISE_ROWS], start = bias ? vload(bias) : vset(0);
    UNROLL for (int i = 0; i < rows; i++) s[i] = acc ? vload(y + i * ldc) : start;
    for (int64_t t = 0; t < places; t += across) {
        const float *at = a + x[t].a, *wt = w + x[t].b * ldw;
        vf ws[3];
        const int64_t step = across > 1 ? (x[t + 1].b - x[t].b) * ldw : 0; /* the gradient's window is turned around */
        UNROLL for (int k = 0; k < across; k++) ws[k] = vload(wt + k * step);
        UNROLL for (int i = 0; i < rows + across - 1; i++) {
            vf xi = vload(at + i * as);
            UNROLL for (int k = 0; k < across; k++)
                if (i - k >= 0 && i - k < rows) s[i - k] += xi * ws[k];
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        __builtin_prefetch(y + i * ldc + next->line, 1, 2);
        depthwise_fetch(a + i * as, next);
    }
    if (left >= VL)
        UNROLL for (int i = 0; i < rows; i++) vstore(y + i * ldc, s[i]);
    else
        UNROLL for (int i = 0; i < rows; i++) vstore_n(y + i * ldc, s[i], left);
}

/* Whether the places come in threes whose pixels lie one step apart, and their weights too. */
INLINE int in_threes(const nn_stretch *x, int64_t places, int64_t as)
{
    if (places % 3) return 0;
    for (int64_t t = 0; t < places; t += 3)
        for (int k = 1; k < 3; k++)
            if (x[t + k].a != x[t].a + k * as || x[t + k].b != x[t].b + k * (x[t + 1].b - x[t].b)) return 0;
    return 1;
}

static void depthwise_line(float *y, int64_t ldc, const float *a, int64_t as, const float *w, int64_t ldw,
                           const nn_stretch *x, int64_t places, const float *bias, int acc, int64_t m, int64_t n,
                           const nn_next *next)
{
    int threes = in_threes(x, places, as);
    for (int64_t i = 0; i < m;) {
        int rows = m - i >= DEPTHWISE_ROWS ? DEPTHWISE_ROWS : m - i >= 2 ? 2 : 1;
        float *yi = y + i * ldc;
        const float *ai = a + i * as;
        for (int64_t j = 0; j < n; j += VL) {
            const float *bj = bias ? bias + j : 0;
#define DEPTHWISE_TILE(rows, across) \
    depthwise_tile(rows, across, yi + j, ldc, ai + j, as, w + j, ldw, x, places, bj, acc, next, n - j)
            if (rows == DEPTHWISE_ROWS && threes) DEPTHWISE_TILE(DEPTHWISE_ROWS, 3);
            else if (rows == DEPTHWISE_ROWS) DEPTHWISE_TILE(DEPTHWISE_ROWS, 1);
            else if (rows == 2) DEPTHWISE_TILE(2, 1);
            else DEPTHWISE_TILE(1, 1);
#undef DEPTHWISE_TILE
        }
        i += rows;
    }
}

/* Sums for up to `count` places over m pixels. */
#define DEPTHWISE_PLACES 9
INLINE void depthwise_sums(float *dw, int64_t ldw, const float *a, int64_t as, const nn_stretch *x, int64_t count,
                           const float *dy, int64_t ldy, int64_t m, int64_t left, const nn_next *next)
{
    vf s[DEPTHWISE_PLACES];
    const float *at[DEPTHWISE_PLACES];
    UNROLL for (int t = 0; t < DEPTHWISE_PLACES; t++) {
        s[t] = vset(0);
        at[t] = a + x[t < count ? t : 0].a; /* beyond the last: the first again */
    }
    for (int64_t i = 0; i < m; i++) {
        vf d = vload(dy + i * ldy);
        __builtin_prefetch(dy + i * ldy + next->line, 0, 2);
        depthwise_fetch(a + i * as, next);
        UNROLL for (int t = 0; t < DEPTHWISE_PLACES; t++) s[t] += vload(at[t] + i * as) * d;
    }
    for (int64_t t = 0; t < count; t++) {
        float *to = dw + x[t].b * ldw;
        vstore_n(to, vload(to) + s[t], left < VL ? left : VL);
    }
}

/* The weights' gradient over one line: dw[t,n] += sum over m of x[m*as + place[t].a, n] * dy[m,n]. */
static void depthwise_grad_line(float *dw, int64_t ldw, const float *a, int64_t as, const nn_stretch *x, int64_t places,
                                const float *dy, int64_t ldy, int64_t m, int64_t n, const nn_next *next)
{
    for (int64_t j = 0; j < n; j += VL)
        for (int64_t t = 0; t < places; t += DEPTHWISE_PLACES) {
            int64_t count = places - t < DEPTHWISE_PLACES ? places - t : DEPTHWISE_PLACES;
            depthwise_sums(dw + j, ldw, a + j, as, x + t, count, dy + j, ldy, m, n - j, next);
        }
}
