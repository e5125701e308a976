/* Convolution by the register tiles of gemm.h: pixels are rows, and k runs through the window, place by place. Nothing is
 * gathered into a matrix: a row of a tile is a pixel where it lies, in an image with a border of zeros. */

/* c[image,line,m,n] (+)= sum over the stretches of a @ b (+ bias): one block of k of a correlation. Row i of a line lies at
 * a + i*as and is written to c + i*ldc; transposed: a's rows lie 1 apart and its k steps `as`. b is packed (ldb == 0: panels
 * of k rows) or has rows ldb apart. */
static void conv_block(float *c, int64_t ldc, const float *a, int64_t as, int transposed, const float *b, int64_t ldb,
                       int64_t k, const nn_stretch *x, int64_t stretches, const nn_conv_lines *l, const float *bias,
                       int acc, int64_t m, int64_t n, int wide)
{
    for (int64_t j = 0; j < n;) {
        int nv = gemm_panel_vectors(j, n, wide), width = nv * VL;
        int64_t tail = (n - j < width ? n - j : width) - (nv - 1) * VL, step = ldb ? ldb : width;
        const float *panel = ldb ? b + j : b + j * k, *bias_j = bias ? bias + j : 0;
        for (int64_t image = 0; image < l->images; image++)
            for (int64_t line = 0; line < l->lines; line++) {
                float *cl = c + image * l->c_image + line * l->c_line + j;
                const float *al = a + image * l->a_image + line * l->a_line;
                for (int64_t i = 0; i < m;) {
                    int mr = gemm_tile_rows(i, m, wide);
                    gemm_ahead ahead[2] = {gemm_rows_ahead(cl + (i + mr) * ldc, i + mr < m ? mr : 0, width, ldc),
                                           gemm_rows_ahead(a, 0, 1, 1)};
                    gemm_tiles[mr - 1][transposed][nv - 1](cl + i * ldc, ldc, al + i * (transposed ? 1 : as), as, panel,
                                                           step, x, stretches, bias_j, acc, tail, ahead);
                    i += mr;
                }
            }
        j += width;
    }
}

/* A line of a depthwise convolution, whose channels do not mix: y[m,n] = sum over the places t of a[m*as + x[t].a, n] *
 * w[t,n] (+ bias). Four pixels at a time share the weights. */
#define DEPTHWISE_ROWS 4
INLINE void depthwise_rows(const int rows, float *y, int64_t ldc, const float *a, int64_t as, const float *w, int64_t ldw,
                           const nn_stretch *x, int64_t places, const float *bias, int acc, int64_t n)
{
    for (int64_t j = 0; j < n; j += VL) {
        vf s[DEPTHWISE_ROWS], start = bias ? vload(bias + j) : vset(0);
        UNROLL for (int i = 0; i < rows; i++) s[i] = acc ? vload(y + i * ldc + j) : start;
        for (int64_t t = 0; t < places; t++) {
            vf wt = vload(w + x[t].b * ldw + j);
            const float *at = a + x[t].a + j;
            UNROLL for (int i = 0; i < rows; i++) s[i] += vload(at + i * as) * wt;
        }
        UNROLL for (int i = 0; i < rows; i++) {
            if (n - j >= VL) vstore(y + i * ldc + j, s[i]);
            else vstore_n(y + i * ldc + j, s[i], n - j);
        }
    }
}

static void depthwise_line(float *y, int64_t ldc, const float *a, int64_t as, const float *w, int64_t ldw,
                           const nn_stretch *x, int64_t places, const float *bias, int acc, int64_t m, int64_t n)
{
    int64_t i = 0;
    for (; i + DEPTHWISE_ROWS <= m; i += DEPTHWISE_ROWS)
        depthwise_rows(DEPTHWISE_ROWS, y + i * ldc, ldc, a + i * as, as, w, ldw, x, places, bias, acc, n);
    for (; i < m; i++) depthwise_rows(1, y + i * ldc, ldc, a + i * as, as, w, ldw, x, places, bias, acc, n);
}

/* Its weights' gradient over one line: dw[t,n] += sum over m of a[m*as + x[t].a, n] * dy[m,n]. */
static void depthwise_grad_line(float *dw, int64_t ldw, const float *a, int64_t as, const nn_stretch *x, int64_t places,
                                const float *dy, int64_t ldy, int64_t m, int64_t n)
{
    for (int64_t j = 0; j < n; j += VL)
        for (int64_t t0 = 0; t0 < places; t0 += 8) {
            int64_t count = places - t0 < 8 ? places - t0 : 8;
            vf s[8];
            const float *at[8];
            UNROLL for (int t = 0; t < 8; t++) {
                s[t] = vset(0);
                at[t] = a + x[t0 + (t < count ? t : 0)].a + j; /* beyond the last: the first again */
            }
            for (int64_t i = 0; i < m; i++) {
                vf d = vload(dy + i * ldy + j);
                UNROLL for (int t = 0; t < 8; t++) s[t] += vload(at[t] + i * as) * d;
            }
            for (int64_t t = 0; t < count; t++) {
                float *to = dw + x[t0 + t].b * ldw + j;
                vstore_n(to, vload(to) + s[t], n - j < VL ? n - j : VL);
            }
        }
}
