/* Convolution with windows of 3 x 3 whose channels do not mix, step 1 or 2: result, and both gradients. Axes as in
 * conv.h; all images are those of nn_window3.
 *
 * It has so little arithmetic that loads decide, from L1 as from memory. A tile is some pixels of some lines: what they
 * see is loaded once and serves up to nine of its sums. All channels of a tile are done before the next tile, so every
 * line of an image is read as one stream, which the processor fetches ahead by itself; fetching by instructions as well
 * costs 5 to 20 % (Cascade Lake). */

#define DEPTHWISE3_LINES 4 /* of a tile, or 1 */
#define DEPTHWISE3_PIXELS(step) ((step) == 1 && VL == 16 ? 4 : 2) /* or 1; as many as there are registers for */
#define UNLIKELY(a) __builtin_expect(a, 0)

/* Which of its rows and columns of pixels a tile sees: from row .. row_end-1, column .. column_end-1. */
typedef struct {
    int64_t row, row_end, column, column_end;
} depthwise3_seen;

/* Whether column v of n lies outside. Tiles of several pixels lack the first or the last at most. */
INLINE int depthwise3_outside(const depthwise3_seen *seen, const int v, const int n, const int pixels)
{
    return ((pixels == 1 || v == 0) && v < seen->column) || ((pixels == 1 || v == n - 1) && v >= seen->column_end);
}

/* n vectors, `apart` floats from one to the next, from pointers three of them apart */
INLINE void depthwise3_load(vf *to, const float *from, const int n, int64_t apart)
{
    UNROLL for (int v = 0; v < n; v += 3, from += 3 * apart) {
        V_FORGET(from);
        UNROLL for (int k = 0; k < 3; k++)
            if (v + k < n) to[v + k] = vload(from + k * apart);
    }
}

/* The same back; of the vectors, `left` floats if that is less */
INLINE void depthwise3_store(float *to, const vf *from, const int n, int64_t apart, int64_t left)
{
    UNROLL for (int v = 0; v < n; v += 3, to += 3 * apart) {
        V_FORGET(to);
        UNROLL for (int k = 0; k < 3; k++)
            if (v + k < n) {
                if (left >= VL) vstore(to + k * apart, from[v + k]);
                else vstore_n(to + k * apart, from[v + k], left);
            }
    }
}

/* y[l,p,:] (+)= sum over r s of x[step*l+r, step*p+s, :] * w[r,s,:] (+ bias) */
INLINE void depthwise3_tile(const int step, const int lines, const int pixels, float *y, const float *x, const float *w,
                            int64_t ldw, const float *bias, int acc, const nn_window3 *g, const depthwise3_seen *seen)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    const int rows = step * (lines - 1) + 3, columns = step * (pixels - 1) + 3;
    for (int64_t j = 0; j < c; j += VL) {
        vf ws[9], s[DEPTHWISE3_LINES * 4], start = bias ? vload(bias + j) : vset(0);
        depthwise3_load(ws, w + j, 9, ldw);
        UNROLL for (int i = 0; i < lines * pixels; i++) s[i] = start;
        if (acc) {
            const float *from = y + j;
            UNROLL for (int l = 0; l < lines; l++, from += y_line) depthwise3_load(s + l * pixels, from, pixels, c);
        }
        const float *row = x + j;
        UNROLL for (int r = 0; r < rows; r++, row += x_line) {
            V_FORGET(row);
            if (UNLIKELY(r < seen->row || r >= seen->row_end)) continue;
            const float *fourth = row + 3 * c;
            V_FORGET(fourth);
            UNROLL for (int v = 0; v < columns; v++) {
                if (UNLIKELY(depthwise3_outside(seen, v, columns, pixels))) continue;
                vf xv = vload(v < 3 ? row + v * c : fourth + (v - 3) * c);
                UNROLL for (int l = 0; l < lines; l++)
                    UNROLL for (int p = 0; p < pixels; p++)
                        if (r - step * l >= 0 && r - step * l < 3 && v - step * p >= 0 && v - step * p < 3)
                            s[l * pixels + p] += xv * ws[3 * (r - step * l) + v - step * p];
            }
        }
        float *to = y + j;
        UNROLL for (int l = 0; l < lines; l++, to += y_line) depthwise3_store(to, s + l * pixels, pixels, c, c - j);
    }
}

/* dw[r,s,:] += sum over l p of x[step*l+r, step*p+s, :] * dy[l,p,:]
 *
 * The loop over what a tile sees stands here again: as one function for both tiles, handed its sums and factors as
 * pointers, gcc 12.2 made them 1-9 % slower with AVX2 and 9-15 % with SSE2 (AVX-512: equal). */
INLINE void depthwise3_dw_tile(const int step, const int lines, const int pixels, float *dw, const float *x,
                               const float *dy, const nn_window3 *g, const depthwise3_seen *seen)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    const int rows = step * (lines - 1) + 3, columns = step * (pixels - 1) + 3;
    for (int64_t j = 0; j < c; j += VL) {
        vf s[9], d[DEPTHWISE3_LINES * 4];
        UNROLL for (int t = 0; t < 9; t++) s[t] = vset(0);
        const float *from = dy + j, *row = x + j;
        UNROLL for (int l = 0; l < lines; l++, from += y_line) depthwise3_load(d + l * pixels, from, pixels, c);
        UNROLL for (int r = 0; r < rows; r++, row += x_line) {
            V_FORGET(row);
            if (UNLIKELY(r < seen->row || r >= seen->row_end)) continue;
            const float *fourth = row + 3 * c;
            V_FORGET(fourth);
            UNROLL for (int v = 0; v < columns; v++) {
                if (UNLIKELY(depthwise3_outside(seen, v, columns, pixels))) continue;
                vf xv = vload(v < 3 ? row + v * c : fourth + (v - 3) * c);
                UNROLL for (int l = 0; l < lines; l++)
                    UNROLL for (int p = 0; p < pixels; p++)
                        if (r - step * l >= 0 && r - step * l < 3 && v - step * p >= 0 && v - step * p < 3)
                            s[3 * (r - step * l) + v - step * p] += xv * d[l * pixels + p];
            }
        }
        float *to = dw + j;
        UNROLL for (int r = 0; r < 9; r += 3, to += 3 * c) {
            UNROLL for (int t = 0; t < 3; t++) s[r + t] += vload(to + t * c);
            depthwise3_store(to, s + r, 3, c, c - j);
        }
    }
}

typedef void depthwise3_fn(float *y, const float *x, const float *w, int64_t ldw, const float *bias, int acc,
                           const nn_window3 *g, const depthwise3_seen *seen);
typedef void depthwise3_dw_fn(float *dw, const float *x, const float *dy, const nn_window3 *g,
                              const depthwise3_seen *seen);
#define DEPTHWISE3_TILE(name, step, lines, pixels)                                                                     \
    static void depthwise3_##name(float *y, const float *x, const float *w, int64_t ldw, const float *bias, int acc,  \
                                  const nn_window3 *g, const depthwise3_seen *seen)                                   \
    { depthwise3_tile(step, lines, pixels, y, x, w, ldw, bias, acc, g, seen); }                                        \
    static void depthwise3_dw_##name(float *dw, const float *x, const float *dy, const nn_window3 *g,                 \
                                     const depthwise3_seen *seen)                                                     \
    { depthwise3_dw_tile(step, lines, pixels, dw, x, dy, g, seen); }
#define DEPTHWISE3_STEP(step)                                                                                          \
    DEPTHWISE3_TILE(pixel_##step, step, 1, 1)                                                                          \
    DEPTHWISE3_TILE(line_##step, step, 1, DEPTHWISE3_PIXELS(step))                                                     \
    DEPTHWISE3_TILE(column_##step, step, DEPTHWISE3_LINES, 1)                                                          \
    DEPTHWISE3_TILE(block_##step, step, DEPTHWISE3_LINES, DEPTHWISE3_PIXELS(step))
DEPTHWISE3_STEP(1) DEPTHWISE3_STEP(2)
#define DEPTHWISE3_TILES(name) /* [step - 1][several lines][several pixels] */                                         \
    {{{name##_pixel_1, name##_line_1}, {name##_column_1, name##_block_1}},                                             \
     {{name##_pixel_2, name##_line_2}, {name##_column_2, name##_block_2}}}
static depthwise3_fn *const depthwise3_tiles[2][2][2] = DEPTHWISE3_TILES(depthwise3);
static depthwise3_dw_fn *const depthwise3_dw_tiles[2][2][2] = DEPTHWISE3_TILES(depthwise3_dw);

static inline int64_t depthwise3_lines(const nn_window3 *g, int64_t i)
{
    return g->end - i >= DEPTHWISE3_LINES ? DEPTHWISE3_LINES : 1;
}

/* The tile at line i and pixel j of y: its pixels, what it sees, and where that begins, in floats from x. */
typedef struct {
    int64_t pixels, x;
    depthwise3_seen seen;
} depthwise3_place;

static inline depthwise3_place depthwise3_at(const nn_window3 *g, int64_t i, int64_t j)
{
    int64_t h = g->step * i - g->top, v = g->step * j - g->left, most = DEPTHWISE3_PIXELS(g->step);
    depthwise3_place t = {.x = (h * g->w + v) * g->c, .seen = {-h, g->h - h, -v, g->w - v}};
    int several = g->q - j >= most && t.seen.column <= 1 && t.seen.column_end >= g->step * (most - 1) + 2;
    t.pixels = several ? most : 1;
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
            depthwise3_place t = depthwise3_at(g, i, j);
            pixels = t.pixels;
            depthwise3_tiles[g->step - 1][lines > 1][pixels > 1](y + (i * g->q + j) * g->c, x + t.x, w, ldw, bias, acc,
                                                                 g, &t.seen);
        }
    }
}

/* dw[3,3,c] += sum over lines first .. end-1 of dy[p,q,c] */
static void depthwise3_dw(float *dw, const float *x, const float *dy, const nn_window3 *g)
{
    for (int64_t i = g->first, lines; i < g->end; i += lines) {
        lines = depthwise3_lines(g, i);
        for (int64_t j = 0, pixels; j < g->q; j += pixels) {
            depthwise3_place t = depthwise3_at(g, i, j);
            pixels = t.pixels;
            depthwise3_dw_tiles[g->step - 1][lines > 1][pixels > 1](dw, x + t.x, dy + (i * g->q + j) * g->c, g,
                                                                    &t.seen);
        }
    }
}

/* The gradient of the image with step 2. Pixels of dx, counted from the border's first, go in squares of 2 x 2, and
 * those of square a, b see the same 2 x 2 of dy, a-1 .. a and b-1 .. b: the first of them four, the last one. A tile is
 * some squares of a line of them; its dx and dy begin at the first square's and at dy's pixel a, b. */
#define DEPTHWISE3_SQUARES (VL == 16 ? 4 : 2)

/* What dy's line a or a-1 (`up`) brings to s[line of dx][pixel]. */
INLINE void depthwise3_dx2_line(const int squares, const int up, vf s[2][2 * DEPTHWISE3_SQUARES], const float *dy,
                                const vf *w, int64_t c, const depthwise3_seen *y)
{
    dy -= c;
    UNROLL for (int b = -1; b < squares; b++, dy += c) {
        V_FORGET(dy);
        if (UNLIKELY(squares == 1 && (b < y->column || b >= y->column_end))) continue;
        vf d = vload(dy);
        if (b >= 0) s[0][2 * b] += d * w[6 * up], s[0][2 * b + 1] += d * w[6 * up + 1];
        if (b >= 0 && !up) s[1][2 * b] += d * w[3], s[1][2 * b + 1] += d * w[4];
        if (b < squares - 1) s[0][2 * b + 2] += d * w[6 * up + 2];
        if (b < squares - 1 && !up) s[1][2 * b + 2] += d * w[5];
    }
}

INLINE void depthwise3_dx2_tile(const int squares, float *dx, const float *dy, const float *w, const float *bias,
                                int acc, const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    const int64_t c = g->c, x_line = g->w * c, y_line = g->q * c;
    const int64_t left = squares > 1 ? 0 : x->column > 0, end = squares > 1 || x->column_end > 1 ? 2 * squares : 1;
    for (int64_t j = 0; j < c; j += VL) {
        vf ws[9], s[2][2 * DEPTHWISE3_SQUARES], start = bias ? vload(bias + j) : vset(0);
        depthwise3_load(ws, w + j, 9, c);
        UNROLL for (int p = 0; p < 4 * squares; p++) s[p / (2 * squares)][p % (2 * squares)] = start;
        UNROLL for (int i = 0; i < 2; i++)
            if (acc && i >= x->row && i < x->row_end)
                UNROLL for (int p = 0; p < 2 * squares; p++)
                    if (squares > 1 || (p >= left && p < end)) s[i][p] = vload(dx + i * x_line + p * c + j);
        if (y->row <= 0 && y->row_end > 0) depthwise3_dx2_line(squares, 0, s, dy + j, ws, c, y);
        if (y->row <= -1 && y->row_end > -1) depthwise3_dx2_line(squares, 1, s, dy - y_line + j, ws, c, y);
        UNROLL for (int i = 0; i < 2; i++) {
            float *to = dx + i * x_line + j;
            if (UNLIKELY(i < x->row || i >= x->row_end)) continue;
            const float *next = to + 2 * squares * c; /* of the next tile: nothing else fetches what is only written */
            UNROLL for (int p = 0; p < 2 * squares; p++, next += c) {
                V_FORGET(next);
                __builtin_prefetch(next, 1, 3);
            }
            if (squares > 1 || end - left == 2) depthwise3_store(to, s[i], 2 * squares, c, c - j);
            else if (left) depthwise3_store(to + c, s[i] + 1, 1, c, c - j);
            else depthwise3_store(to, s[i], 1, c, c - j);
        }
    }
}

static void depthwise3_dx2_square(float *dx, const float *dy, const float *w, const float *bias, int acc,
                                  const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    depthwise3_dx2_tile(1, dx, dy, w, bias, acc, g, x, y);
}
static void depthwise3_dx2_squares(float *dx, const float *dy, const float *w, const float *bias, int acc,
                                   const nn_window3 *g, const depthwise3_seen *x, const depthwise3_seen *y)
{
    depthwise3_dx2_tile(DEPTHWISE3_SQUARES, dx, dy, w, bias, acc, g, x, y);
}

/* Lines first .. end-1 of dx[h,w,c] (+)= the gradient with step 2 (+ bias). */
static void depthwise3_dx2(float *dx, const float *dy, const float *w, const float *bias, int acc, const nn_window3 *g)
{
    for (int64_t a = (g->first + g->top) / 2; 2 * a - g->top < g->end; a++)
        for (int64_t b = g->left / 2, most = DEPTHWISE3_SQUARES; 2 * b < g->w + g->left;) {
            int64_t h = 2 * a - g->top, v = 2 * b - g->left;
            depthwise3_seen x = {g->first - h, g->end - h, -v, g->w - v}, y = {-a, g->p - a, -b, g->q - b};
            int several = v >= 0 && v + 2 * most <= g->w && b >= 1 && b + most <= g->q;
            (several ? depthwise3_dx2_squares : depthwise3_dx2_square)(
                dx + (h * g->w + v) * g->c, dy + (a * g->q + b) * g->c, w, bias, acc, g, &x, &y);
            b += several ? most : 1;
        }
}
