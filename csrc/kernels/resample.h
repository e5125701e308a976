/* Weighted sums of rows, and of pixels of a row, as lists of taps name them. */

INLINE void sum_of_taps(float *y, const float *x, const nn_tap *tap, const int64_t taps, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        vf sum = vset(0);
        UNROLL for (int64_t t = 0; t < taps; t++) {
            vf term = vset(tap[t].weight) * vload(x + tap[t].at + i);
            sum = t ? sum + term : term;
        }
        vstore(y + i, sum);
    }
    if (i < n) {
        vf sum = vset(0);
        for (int64_t t = 0; t < taps; t++) {
            vf term = vset(tap[t].weight) * vload(x + tap[t].at + i);
            sum = t ? sum + term : term;
        }
        vstore_n(y + i, sum, n - i);
    }
}

/* y[i] = sum over the taps of weight * x[at + i] */
static void sum_taps(float *y, const float *x, const nn_tap *tap, int64_t taps, int64_t n)
{
    if (taps == 2) sum_of_taps(y, x, tap, 2, n);
    else if (taps == 3) sum_of_taps(y, x, tap, 3, n);
    else sum_of_taps(y, x, tap, taps, n);
}

INLINE void column_pixel(float *y, const float *x, const nn_tap *tap, const int64_t taps, float factor, float divisor,
                         int64_t c)
{
    for (int64_t i = 0; i < c; i += VL) {
        vf sum = vset(0);
        UNROLL for (int64_t t = 0; t < taps; t++) {
            vf term = vset(factor * tap[t].weight) * vload(x + tap[t].at + i);
            sum = t ? sum + term : term;
        }
        if (divisor != 1) sum = sum / vset(divisor);
        vstore_n(y + i, sum, c - i < VL ? c - i : VL);
    }
}

/* How many pixels from j on are those of x from its first tap on, as they are. */
INLINE int64_t unchanged(const nn_tap *columns, const int32_t *start, const float *divisors, int64_t j, int64_t q,
                         int64_t c)
{
    const nn_tap *tap = columns + start[j];
    int64_t n = 0;
    while (j + n < q && start[j + n + 1] - start[j + n] == 1 && tap[n].weight == 1 && divisors[j + n] == 1 &&
           tap[n].at == tap->at + n * c)
        n++;
    return n;
}

/* y[j,i] = factor * sum over the taps of j of weight * x[at + i], divided by both divisors */
static void sum_columns(float *y, const float *x, const nn_tap *columns, const int32_t *start, const float *divisors,
                        float factor, float divisor, int64_t q, int64_t c)
{
    const int as_is = factor == 1 && divisor == 1;
    for (int64_t j = 0; j < q; j++) {
        const nn_tap *tap = columns + start[j];
        int64_t taps = start[j + 1] - start[j];
        float d = divisor * divisors[j];
        int64_t run = as_is ? unchanged(columns, start, divisors, j, q, c) : 0;
        if (run) {
            for (int64_t i = 0; i < run * c; i += VL)
                vstore_n(y + j * c + i, vload(x + tap->at + i), run * c - i < VL ? run * c - i : VL);
            j += run - 1;
        } else if (taps == 1) column_pixel(y + j * c, x, tap, 1, factor, d, c);
        else if (taps == 2) column_pixel(y + j * c, x, tap, 2, factor, d, c);
        else if (taps == 3) column_pixel(y + j * c, x, tap, 3, factor, d, c);
        else column_pixel(y + j * c, x, tap, taps, factor, d, c);
    }
}
