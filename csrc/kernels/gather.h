/* Kernels that move elements: transposed tiles, and rows of bytes that become floats. */

/* Two or four rows become columns side by side, or the other way round: y[m,n] = x[n,m] for n resp. m of 2 or 4, with
 * no gap between the short rows. */
INLINE void transpose_weave(const int rows, float *y, const float *x, int64_t ldx, int64_t m)
{
    for (int64_t i = 0; i < m; i += VL) {
        vf t[VL];
        UNROLL for (int q = 0; q < rows; q++) t[q] = vload(x + q * ldx + i);
        vinterleave(t, rows);
        UNROLL for (int q = 0; q < rows; q++) {
            int64_t left = (m - i) * rows - q * VL;
            if (left > 0) vstore_n(y + i * rows + q * VL, t[q], left < VL ? left : VL);
        }
    }
}
INLINE void transpose_part(const int rows, float *y, int64_t ldy, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += VL) {
        vf t[VL];
        UNROLL for (int q = 0; q < rows; q++) t[q] = q * VL < (n - j) * rows ? vload(x + j * rows + q * VL) : vset(0);
        vdeinterleave(t, rows);
        UNROLL for (int q = 0; q < rows; q++) vstore_n(y + q * ldy + j, t[q], n - j < VL ? n - j : VL);
    }
}

/* y[m,n] = x[n,m] transposed, for elements of 4 bytes, rows ldy and ldx elements apart. Tiles of VL x VL within blocks
 * of 64 columns: the lines of x that a narrow tile leaves half read are still in cache when the next tile wants
 * them. */
static void transpose4(void *yp, int64_t ldy, const void *xp, int64_t ldx, int64_t m, int64_t n)
{
    float *y = yp;
    const float *x = xp;
    if (n == 2 && ldy == 2) { transpose_weave(2, y, x, ldx, m); return; }
    if (n == 4 && ldy == 4) { transpose_weave(4, y, x, ldx, m); return; }
    if (m == 2 && ldx == 2) { transpose_part(2, y, ldy, x, n); return; }
    if (m == 4 && ldx == 4) { transpose_part(4, y, ldy, x, n); return; }
    for (int64_t jj = 0; jj < n; jj += 64)
        for (int64_t i = 0; i < m; i += VL)
            for (int64_t j = jj; j < n && j < jj + 64; j += VL) {
                int64_t rows = m - i < VL ? m - i : VL, columns = n - j < VL ? n - j : VL;
                vf t[VL];
                if (columns == VL) {
                    UNROLL for (int q = 0; q < VL; q++) t[q] = vload(x + (j + q) * ldx + i);
                    vtranspose(t);
                    UNROLL for (int q = 0; q < VL; q++)
                        if (q < rows) vstore(y + (i + q) * ldy + j, t[q]);
                } else {
                    for (int64_t q = 0; q < VL; q++) t[q] = q < columns ? vload(x + (j + q) * ldx + i) : vset(0);
                    vtranspose(t);
                    for (int64_t q = 0; q < rows; q++) vstore_n(y + (i + q) * ldy + j, t[q], columns);
                }
            }
}

/* The same for elements of 8 bytes and of 1. */
static void transpose8(void *yp, int64_t ldy, const void *xp, int64_t ldx, int64_t m, int64_t n)
{
    int64_t *y = yp;
    const int64_t *x = xp;
    for (int64_t jj = 0; jj < n; jj += 16)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = jj; j < n && j < jj + 16; j++) y[i * ldy + j] = x[j * ldx + i];
}
static void transpose1(void *yp, int64_t ldy, const void *xp, int64_t ldx, int64_t m, int64_t n)
{
    uint8_t *y = yp;
    const uint8_t *x = xp;
    for (int64_t jj = 0; jj < n; jj += 64)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = jj; j < n && j < jj + 64; j++) y[i * ldy + j] = x[j * ldx + i];
}

/* y = x * scale + shift; each of the two is an array, or one value for all (stride 0). */
static void scale_bytes(float *restrict y, const uint8_t *restrict x, const float *scale, int64_t ss,
                        const float *shift, int64_t st, int64_t n)
{
    if (!ss && !st) {
        const float a = *scale, b = *shift;
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * a + b;
    } else if (ss && st && n >= VL) /* what is left over is done by a vector that overlaps the one before */
        for (int64_t i = 0; i < n; i += VL) {
            int64_t j = i + VL <= n ? i : n - VL;
            vstore(y + j, vfrombytes(x + j) * vload(scale + j) + vload(shift + j));
        }
    else
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * scale[i * ss] + shift[i * st];
}
static void scale_floats(float *restrict y, const float *restrict x, const float *scale, int64_t ss,
                         const float *shift, int64_t st, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        vf a = ss ? vload(scale + i) : vset(*scale), b = st ? vload(shift + i) : vset(*shift);
        vstore(y + i, vload(x + i) * a + b);
    }
    for (; i < n; i++) y[i] = x[i] * scale[i * ss] + shift[i * st]; /* x may be borrowed, with nothing behind its end */
}
