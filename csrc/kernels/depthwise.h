/* Convolution with windows of 3 x 3 whose channels do not mix, step 1 or 2: result, and both gradients. Axes as in
 * conv.h; all images are those of nn_window3.
 *
 * It has so little arithmetic that reading decides. A tile is some pixels of some lines: what they see is loaded once
 * into registers and serves up to nine of its sums. All channels of a tile are done before the next tile, so that every
 * line of the image is read as one stream, which the processor fetches ahead by itself. Measured on Cascade Lake, images
 * in L3: tiles of a line, channels outermost, took 2.7 times as long, and fetching by instructions 1.1 times. */

#define DEPTHWISE3_LINES 4 /* of a tile, or 1; pixels: 2, or 1 */

/* Which of its rows and columns of pixels a tile sees: from row .. row_end-1, column .. column_end-1. */
typedef struct {
    int64_t row, row_end, column, column_end;
} depthwise3_seen;

/* The pixels of one row that a tile sees, `c` floats from one to the next. */
typedef struct {
    const float *first, *fourth;
} depthwise3_row;

INLINE depthwise3_row depthwise3_at(const float *x, int64_t c) { return (depthwise3_row){x, vpointer(x + 3 * c)}; }
INLINE vf depthwise3_load(const depthwise3_row *x, const int v, int64_t c)
{
    return vload(v < 3 ? x->first + v * c : x->fourth + (v - 3) * c);
}

/* Whether column v of n lies outside. Tiles of several pixels lack the first or the last at most. */
INLINE int depthwise3_outside(const depthwise3_seen *seen, const int v, const int n, const int pixels)
{
    return ((pixels == 1 || v == 0) && v < seen->column) || ((pixels == 1 || v == n - 1) && v >= seen->column_end);
}

/* y[l,p,:] (+)= sum over r s of x[step*l+r, step*p+s, :] * w[r,s,:] (+ bias) */
INLINE void depthwise3_tile(const int step, const int lines, const int pixels, float *y, const float *x, const float *w,
                            int64_t ldw, const float *bias, int acc, const nn_window3 *g, const depthwise3_seen *seen)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    const int rows = step * (lines - 1) + 3, columns = step * (pixels - 1) + 3;
    for (int64_t j = 0; j < c; j += VL) {
        vf ws[9], s[DEPTHWISE3_LINES * 2], start = bias ? vload(bias + j) : vset(0);
        UNROLL for (int t = 0; t < 9; t++) ws[t] = vload(w + t * ldw + j);
        UNROLL for (int i = 0; i < lines * pixels; i++)
            s[i] = acc ? vload(y + i / pixels * y_line + i % pixels * c + j) : start;
        const float *xr = x + j;
        UNROLL for (int r = 0; r < rows; r++, xr = vpointer(xr + x_line)) {
            if (r < seen->row || r >= seen->row_end) continue;
            const depthwise3_row row = depthwise3_at(xr, c);
            UNROLL for (int v = 0; v < columns; v++) {
                if (depthwise3_outside(seen, v, columns, pixels)) continue;
                vf xv = depthwise3_load(&row, v, c);
                UNROLL for (int l = 0; l < lines; l++)
                    UNROLL for (int p = 0; p < pixels; p++)
                        if (r - step * l >= 0 && r - step * l < 3 && v - step * p >= 0 && v - step * p < 3)
                            s[l * pixels + p] += xv * ws[3 * (r - step * l) + v - step * p];
            }
        }
        float *to = y + j;
        UNROLL for (int l = 0; l < lines; l++, to += y_line)
            UNROLL for (int p = 0; p < pixels; p++) {
                if (c - j >= VL) vstore(to + p * c, s[l * pixels + p]);
                else vstore_n(to + p * c, s[l * pixels + p], c - j);
            }
    }
}

/* dw[r,s,:] += sum over l p of x[step*l+r, step*p+s, :] * dy[l,p,:] */
INLINE void depthwise3_dw_tile(const int step, const int lines, const int pixels, float *dw, const float *x,
                               const float *dy, const nn_window3 *g, const depthwise3_seen *seen)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    const int rows = step * (lines - 1) + 3, columns = step * (pixels - 1) + 3;
    for (int64_t j = 0; j < c; j += VL) {
        vf s[9], d[DEPTHWISE3_LINES * 2];
        UNROLL for (int t = 0; t < 9; t++) s[t] = vset(0);
        const float *dyl = dy + j, *xr = x + j;
        UNROLL for (int l = 0; l < lines; l++, dyl = vpointer(dyl + y_line))
            UNROLL for (int p = 0; p < pixels; p++) d[l * pixels + p] = vload(dyl + p * c);
        UNROLL for (int r = 0; r < rows; r++, xr = vpointer(xr + x_line)) {
            if (r < seen->row || r >= seen->row_end) continue;
            const depthwise3_row row = depthwise3_at(xr, c);
            UNROLL for (int v = 0; v < columns; v++) {
                if (depthwise3_outside(seen, v, columns, pixels)) continue;
                vf xv = depthwise3_load(&row, v, c);
                UNROLL for (int l = 0; l < lines; l++)
                    UNROLL for (int p = 0; p < pixels; p++)
                        if (r - step * l >= 0 && r - step * l < 3 && v - step * p >= 0 && v - step * p < 3)
                            s[3 * (r - step * l) + v - step * p] += xv * d[l * pixels + p];
            }
        }
        float *to = dw + j;
        UNROLL for (int t = 0; t < 9; t++, to += c) {
            vf sum = vload(to) + s[t];
            if (c - j >= VL) vstore(to, sum);
            else vstore_n(to, sum, c - j);
        }
    }
}

typedef void depthwise3_fn(float *y, const float *x, const float *w, int64_t ldw, const float *bias, int acc,
                           const nn_window3 *g, const depthwise3_seen *seen);
typedef void depthwise3_dw_fn(float *dw, const float *x, const float *dy, const nn_window3 *g,
                              const depthwise3_seen *seen);
#define DEPTHWISE3_TILE(step, lines, pixels)                                                                           \
    static void depthwise3_##step##_##lines##_##pixels(float *y, const float *x, const float *w, int64_t ldw,         \
                                                       const float *bias, int acc, const nn_window3 *g,               \
                                                       const depthwise3_seen *seen)                                   \
    { depthwise3_tile(step, lines, pixels, y, x, w, ldw, bias, acc, g, seen); }                                        \
    static void depthwise3_dw_##step##_##lines##_##pixels(float *dw, const float *x, const float *dy,                 \
                                                          const nn_window3 *g, const depthwise3_seen *seen)           \
    { depthwise3_dw_tile(step, lines, pixels, dw, x, dy, g, seen); }
DEPTHWISE3_TILE(1, 1, 1) DEPTHWISE3_TILE(1, 1, 2) DEPTHWISE3_TILE(1, 4, 1) DEPTHWISE3_TILE(1, 4, 2)
DEPTHWISE3_TILE(2, 1, 1) DEPTHWISE3_TILE(2, 1, 2) DEPTHWISE3_TILE(2, 4, 1) DEPTHWISE3_TILE(2, 4, 2)
#define DEPTHWISE3_TILES(name) /* [step - 1][several lines][two pixels] */                                             \
    {{{name##_1_1_1, name##_1_1_2}, {name##_1_4_1, name##_1_4_2}},                                                     \
     {{name##_2_1_1, name##_2_1_2}, {name##_2_4_1, name##_2_4_2}}}
static depthwise3_fn *const depthwise3_tiles[2][2][2] = DEPTHWISE3_TILES(depthwise3);
static depthwise3_dw_fn *const depthwise3_dw_tiles[2][2][2] = DEPTHWISE3_TILES(depthwise3_dw);

/* The tile at line i and pixel j of y: its size, what it sees, and where that begins, in floats from x. */
typedef struct {
    int several, two;
    int64_t pixels, x;
    depthwise3_seen seen;
} depthwise3_place;

static inline int64_t depthwise3_lines(const nn_window3 *g, int64_t i)
{
    return g->end - i >= DEPTHWISE3_LINES ? DEPTHWISE3_LINES : 1;
}
static inline depthwise3_place depthwise3_next(const nn_window3 *g, int64_t i, int64_t j)
{
    int64_t h = g->step * i - g->top, v = g->step * j - g->left;
    depthwise3_place t = {.several = depthwise3_lines(g, i) > 1, .x = (h * g->w + v) * g->c,
                          .seen = {-h, g->h - h, -v, g->w - v}};
    t.two = g->q - j >= 2 && t.seen.column <= 1 && t.seen.column_end >= g->step + 2;
    t.pixels = t.two ? 2 : 1;
    return t;
}

/* Lines first .. end-1 of y[p,q,c] (+)= x[h,w,c] * w (+ bias). The weights' places are ldw floats apart, which may be
 * negative: the gradient's window is turned around. */
static void depthwise3(float *y, const float *x, const float *w, int64_t ldw, const float *bias, int acc,
                       const nn_window3 *g)
{
    for (int64_t i = g->first, lines; i < g->end; i += lines) {
        lines = depthwise3_lines(g, i);
        for (int64_t j = 0, pixels; j < g->q; j += pixels) {
            depthwise3_place t = depthwise3_next(g, i, j);
            pixels = t.pixels;
            depthwise3_tiles[g->step - 1][t.several][t.two](y + (i * g->q + j) * g->c, x + t.x, w, ldw, bias, acc, g,
                                                            &t.seen);
        }
    }
}

/* dw[3,3,c] += sum over lines first .. end-1 of dy[p,q,c] */
static void depthwise3_dw(float *dw, const float *x, const float *dy, const nn_window3 *g)
{
    for (int64_t i = g->first, lines; i < g->end; i += lines) {
        lines = depthwise3_lines(g, i);
        for (int64_t j = 0, pixels; j < g->q; j += pixels) {
            depthwise3_place t = depthwise3_next(g, i, j);
            pixels = t.pixels;
            depthwise3_dw_tiles[g->step - 1][t.several][t.two](dw, x + t.x, dy + (i * g->q + j) * g->c, g, &t.seen);
        }
    }
}

/* The gradient of the image with step 2. Pixels of dx, counted from the border's first, go in squares of 2 x 2, and
 * those of square a, b see the same 2 x 2 of dy, a-1 .. a and b-1 .. b: the first of them four, the last one.
 * `squares` of a line, whose first has its dx and its dy a, b at dx and dy. */
INLINE void depthwise3_dx2_tile(const int squares, float *dx, const float *dy, const float *w, const float *bias,
                                int acc, const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    for (int64_t j = 0; j < c; j += VL) {
        vf ws[9], start = bias ? vload(bias + j) : vset(0);
        UNROLL for (int t = 0; t < 9; t++) ws[t] = vload(w + t * c + j);
        UNROLL for (int b = 0; b < squares; b++) {
            vf s[4];
            float *to[2] = {dx + 2 * b * c + j, dx + 2 * b * c + x_line + j};
            int inside[4];
            UNROLL for (int i = 0; i < 4; i++) {
                inside[i] = i / 2 >= x->row && i / 2 < x->row_end &&
                            (squares > 1 || (i % 2 >= x->column && i % 2 < x->column_end));
                s[i] = acc && inside[i] ? vload(to[i / 2] + i % 2 * c) : start;
            }
            UNROLL for (int r = 0; r < 2; r++) { /* up, and the window's rows 0 and 1, or 2 */
                if (-r < y->row || -r >= y->row_end) continue;
                const float *at = dy + b * c - r * y_line + j;
                if (squares > 1 || (y->column <= 0 && y->column_end > 0)) {
                    vf d = vload(at);
                    s[0] += d * ws[6 * r], s[1] += d * ws[6 * r + 1];
                    if (r == 0) s[2] += d * ws[3], s[3] += d * ws[4];
                }
                if (squares > 1 || (y->column <= -1 && y->column_end > -1)) {
                    vf d = vload(at - c);
                    s[0] += d * ws[6 * r + 2];
                    if (r == 0) s[2] += d * ws[5];
                }
            }
            UNROLL for (int i = 0; i < 4; i++)
                if (inside[i]) {
                    if (c - j >= VL) vstore(to[i / 2] + i % 2 * c, s[i]);
                    else vstore_n(to[i / 2] + i % 2 * c, s[i], c - j);
                }
        }
    }
}

static void depthwise3_dx2_1(float *dx, const float *dy, const float *w, const float *bias, int acc,
                             const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    depthwise3_dx2_tile(1, dx, dy, w, bias, acc, g, x, y);
}
static void depthwise3_dx2_4(float *dx, const float *dy, const float *w, const float *bias, int acc,
                             const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    depthwise3_dx2_tile(4, dx, dy, w, bias, acc, g, x, y);
}

/* Lines first .. end-1 of dx[h,w,c] (+)= the gradient with step 2 (+ bias). */
static void depthwise3_dx2(float *dx, const float *dy, const float *w, const float *bias, int acc, const nn_window3 *g)
{
    for (int64_t a = (g->first + g->top) / 2; 2 * a - g->top < g->end; a++)
        for (int64_t b = g->left / 2; 2 * b < g->w + g->left;) {
            int64_t h = 2 * a - g->top, v = 2 * b - g->left;
            depthwise3_seen x = {g->first - h, g->end - h, -v, g->w - v}, y = {-a, g->p - a, -b, g->q - b};
            int four = v >= 0 && v + 8 <= g->w && b >= 1 && b + 4 <= g->q;
            (four ? depthwise3_dx2_4 : depthwise3_dx2_1)(dx + (h * g->w + v) * g->c, dy + (a * g->q + b) * g->c, w, bias,
                                                         acc, g, &x, &y);
            b += four ? 4 : 1;
        }
}
