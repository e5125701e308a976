/* Max pooling of rows of pixels. Windows are lists of taps: a tap of the row and one of the column together name an
 * element, at the sum of their places, and its number in the window, the sum of theirs.
 */

/* The numbers of n <= VL neighbours, bytes or int64. */
INLINE void put_numbers(void *where, int64_t i, vi number, int64_t n, const int wide)
{
    if (!wide) vstore_bytes((uint8_t *)where + i, number, n);
    else for (int64_t k = 0; k < n; k++) ((int64_t *)where)[i + k] = number[k];
}
INLINE vi numbers(const void *where, int64_t i, int64_t n, const int wide)
{
    if (!wide) return vload_bytes((const uint8_t *)where + i);
    vi number = viset(-1);
    for (int64_t k = 0; k < n && k < VL; k++) number[k] = (int32_t)((const int64_t *)where)[i + k];
    return number;
}

/* One pixel: the first largest of nr x ns taps, or the last NaN. */
INLINE void max_pool_pixel(float *y, void *where, int64_t at, const float *x, const int wide, const nn_tap *row,
                           const int64_t nr, const nn_tap *column, const int64_t ns, int64_t c)
{
    for (int64_t i = 0; i < c; i += VL) {
        vf best = vset(-INFINITY);
        vi number = viset(0);
        if (nr && ns) best = vload(x + row->at + column->at + i), number = viset(row->tap + column->tap);
        UNROLL for (int64_t r = 0; r < nr; r++)
            UNROLL for (int64_t s = 0; s < ns; s++)
                if (r || s)
                    vkeep_max(&best, &number, vload(x + row[r].at + column[s].at + i),
                              viset(row[r].tap + column[s].tap));
        vstore_n(y + at + i, best, c - i < VL ? c - i : VL);
        put_numbers(where, at + i, number, c - i < VL ? c - i : VL, wide);
    }
}

static void max_pool_row(float *y, void *where, const float *x, int wide, const nn_tap *row, int64_t nr,
                         const nn_tap *columns, const int32_t *start, int64_t q, int64_t c)
{
    for (int64_t j = 0; j < q; j++) {
        const nn_tap *column = columns + start[j];
        int64_t ns = start[j + 1] - start[j];
        if (wide) max_pool_pixel(y, where, j * c, x, 1, row, nr, column, ns, c);
        else if (nr == 2 && ns == 2) max_pool_pixel(y, where, j * c, x, 0, row, 2, column, 2, c);
        else if (nr == 3 && ns == 3) max_pool_pixel(y, where, j * c, x, 0, row, 3, column, 3, c);
        else if (nr == 1 && ns == 2) max_pool_pixel(y, where, j * c, x, 0, row, 1, column, 2, c);
        else max_pool_pixel(y, where, j * c, x, 0, row, nr, column, ns, c);
    }
}

/* One pixel: dx is the sum of dy over the windows that chose it. */
INLINE void max_pool_grad_pixel(float *dx, const float *dy, const void *where, const int wide, const nn_tap *row,
                                const int64_t nr, const nn_tap *column, const int64_t ns, int64_t c)
{
    for (int64_t i = 0; i < c; i += VL) {
        vf sum = vset(0);
        UNROLL for (int64_t r = 0; r < nr; r++)
            UNROLL for (int64_t s = 0; s < ns; s++) {
                int64_t at = row[r].at + column[s].at + i;
                vf d = vwhere_equal(numbers(where, at, c - i, wide), viset(row[r].tap + column[s].tap), vload(dy + at));
                sum = r || s ? sum + d : d;
            }
        vstore_n(dx + i, sum, c - i < VL ? c - i : VL);
    }
}

static void max_pool_grad_row(float *dx, const float *dy, const void *where, int wide, const nn_tap *row, int64_t nr,
                              const nn_tap *columns, const int32_t *start, int64_t w, int64_t c)
{
    for (int64_t j = 0; j < w; j++) {
        const nn_tap *column = columns + start[j];
        int64_t ns = start[j + 1] - start[j];
        float *to = dx + j * c;
        if (wide) max_pool_grad_pixel(to, dy, where, 1, row, nr, column, ns, c);
        else if (nr == 1 && ns == 1) max_pool_grad_pixel(to, dy, where, 0, row, 1, column, 1, c);
        else if (nr == 1 && ns == 2) max_pool_grad_pixel(to, dy, where, 0, row, 1, column, 2, c);
        else if (nr == 2 && ns == 1) max_pool_grad_pixel(to, dy, where, 0, row, 2, column, 1, c);
        else if (nr == 2 && ns == 2) max_pool_grad_pixel(to, dy, where, 0, row, 2, column, 2, c);
        else if (nr == 3 && ns == 3) max_pool_grad_pixel(to, dy, where, 0, row, 3, column, 3, c);
        else max_pool_grad_pixel(to, dy, where, 0, row, nr, column, ns, c);
    }
}
