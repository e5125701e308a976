/* Tables of taps. They are made anew for every call: for all positions of an axis together that takes less time than
 * one row of an image. Kinds of windows, borders, dilation and factors are seen here alone; kernels see lists.
 */
#include <math.h>
#include <stdlib.h>
#include "taps.h"

typedef struct {
    int64_t at, tap, n; /* the first position of the input, its number in the window, how many there are */
    float weight[2];
    float divisor;
} reach;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* `kernel` positions, `dilation` apart; those outside of the input do not count. */
static reach window(const nn_axis *a, int64_t o)
{
    int64_t first = o * a->stride - a->padding, d = a->dilation, skip = first < 0 ? (d - 1 - first) / d : 0;
    int64_t end = first < a->n ? least(a->kernel, (a->n - 1 - first) / d + 1) : 0;
    reach r = {first + skip * d, skip, end > skip ? end - skip : 0, {1, 1}, 1};
    if (a->kind == NN_AVERAGE) r.divisor = (float)(least(first + a->kernel, a->n + a->padding) - first);
    if (a->kind == NN_AVERAGE_INSIDE) r.divisor = (float)r.n;
    return r;
}

static reach reached(const nn_axis *a, int64_t o)
{
    reach r = {0, 0, 1, {1, 1}, 1};
    if (a->kind == NN_ADAPTIVE) { /* from the floor to the ceiling of what is its share */
        r.at = o * a->n / a->o;
        r.n = ((o + 1) * a->n + a->o - 1) / a->o - r.at;
        r.divisor = (float)r.n;
    } else if (a->kind == NN_NEAREST) { /* in float32, as PyTorch: else positions differ where o * step is whole */
        r.at = least((int64_t)floorf((float)o * (float)a->step), a->n - 1);
    } else if (a->kind == NN_LINEAR || a->kind == NN_LINEAR_CORNERS) {
        double x = a->kind == NN_LINEAR ? ((double)o + 0.5) * a->step - 0.5 : (double)o * a->step;
        if (x < 0) x = 0;
        r.at = least((int64_t)x, a->n - 1);
        r.weight[1] = (float)(x - (double)r.at);
        if (r.at == a->n - 1 || r.weight[1] == 0) return r;
        r.weight[0] = (float)(1 - (x - (double)r.at));
        r.n = 2;
    } else if (a->kind == NN_REFLECT) {
        int64_t last = a->n - 1;
        r.at = last - llabs(last - llabs(o - a->padding));
    } else if (a->kind == NN_REPLICATE) {
        r.at = o < a->padding ? 0 : least(o - a->padding, a->n - 1);
    } else if (a->kind == NN_CIRCULAR) {
        r.at = (o - a->padding + a->n) % a->n;
    } else
        r = window(a, o);
    return r;
}

int64_t nn_window(const nn_axis *a)
{
    return a->kind == NN_ADAPTIVE ? (a->n + a->o - 1) / a->o + (a->n % a->o != 0) : a->kernel;
}

static void fill(nn_taps *t, const nn_axis *a, int64_t distance, int64_t count)
{
    int32_t k = 0;
    for (int64_t o = 0; o < a->o; o++) {
        reach r = reached(a, o);
        t->start[o] = k;
        t->divisor[o] = r.divisor;
        if (r.n > t->most) t->most = r.n;
        for (int64_t i = 0; i < r.n; i++)
            t->tap[k++] = (nn_tap){(r.at + i * a->dilation) * distance, (int32_t)((r.tap + i) * count),
                                   r.weight[i & 1]};
    }
    t->start[a->o] = k;
}

/* The other way round: a list of outputs for every position of the input, in their order. */
static void fill_turned(nn_taps *t, const nn_axis *a, int64_t distance, int64_t count)
{
    for (int64_t i = 0; i <= a->n; i++) t->start[i] = 0;
    for (int64_t o = 0; o < a->o; o++) {
        reach r = reached(a, o);
        for (int64_t i = 0; i < r.n; i++) t->start[r.at + i * a->dilation]++;
    }
    int32_t sum = 0;
    for (int64_t i = 0; i < a->n; i++) { /* where the list of i ends; the next loop moves it to where it starts */
        t->divisor[i] = 1;
        if (t->start[i] > t->most) t->most = t->start[i];
        t->start[i] = sum += t->start[i];
    }
    t->start[a->n] = sum;
    for (int64_t o = a->o - 1; o >= 0; o--) {
        reach r = reached(a, o);
        for (int64_t i = 0; i < r.n; i++)
            t->tap[--t->start[r.at + i * a->dilation]] =
                (nn_tap){o * distance, (int32_t)((r.tap + i) * count), r.weight[i & 1] / r.divisor};
    }
}

int nn_taps_make(nn_taps *t, const nn_axis *a, int turned, int64_t distance, int64_t count)
{
    int64_t taps = 0;
    for (int64_t o = 0; o < a->o; o++) taps += reached(a, o).n;
    if (taps > INT32_MAX) return NN_NOMEM;
    *t = (nn_taps){.positions = turned ? a->n : a->o};
    t->bytes = (size_t)taps * sizeof(nn_tap) + (size_t)(t->positions + 1) * (sizeof(int32_t) + sizeof(float));
    t->tap = nn_alloc(t->bytes);
    if (!t->tap) return NN_NOMEM;
    t->start = (int32_t *)(t->tap + taps);
    t->divisor = (float *)(t->start + t->positions + 1);
    (turned ? fill_turned : fill)(t, a, distance, count);
    return NN_OK;
}

void nn_taps_free(nn_taps *t) { nn_free(t->tap, t->bytes); }
