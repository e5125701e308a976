/* Average pooling, upsampling and borders of images [b,h,w,c]: every output pixel is a weighted sum of pixels, and the
 * weights are products of one for the row and one for the column. So rows are summed first, over all their columns at
 * once, and then columns of that one row, which stays in cache. The gradient is the same with the tables turned round.
 */
#include "par.h"
#include "taps.h"

#define NS_TAP 0.03 /* per element and tap, in cache */

typedef struct {
    float *y;
    const float *x;
    nn_taps rows, columns;
    int64_t h, w, p, q, n; /* sizes of what is read and of what is written, channels */
    int64_t units, group;
    float divisor;         /* 0: the tables have it */
    float *room;           /* a row for every worker */
    int64_t room_row;
} resampling;

static void resample_task(void *arg, int64_t t, int worker)
{
    const resampling *a = arg;
    int64_t end = (t + 1) * a->group < a->units ? (t + 1) * a->group : a->units;
    for (int64_t u = t * a->group; u < end; u++) {
        int64_t p = u % a->p, taps = a->rows.start[p + 1] - a->rows.start[p];
        const nn_tap *tap = a->rows.tap + a->rows.start[p];
        const float *x = a->x + u / a->p * a->h * a->w * a->n;
        float *y = a->y + u * a->q * a->n, factor = 1;
        if (taps == 0) { /* the gradient of a row that no window sees */
            nn_k->fill(y, 0, a->q * a->n);
            continue;
        }
        if (taps == 1) {
            x += tap->at;
            factor = tap->weight;
        } else {
            float *row = a->room + worker * a->room_row;
            nn_k->sum_taps(row, x, tap, taps, a->w * a->n);
            x = row;
        }
        nn_k->sum_columns(y, x, a->columns.tap, a->columns.start, a->columns.divisor, factor,
                          a->divisor ? a->divisor : a->rows.divisor[p], a->q, a->n);
    }
}

static nn_axis axis_of(const nn_call *c, int axis, int64_t n, int64_t o)
{
    nn_axis a = {.n = n, .o = o, .kind = (int)nn_pair(c->a.i[0], 0), .dilation = 1};
    if (a.kind >= NN_NEAREST && a.kind <= NN_LINEAR_CORNERS) a.step = c->a.d[1 + axis];
    else {
        a.kernel = nn_pair(c->a.i[1], axis);
        a.stride = nn_pair(c->a.i[2], axis);
        a.padding = nn_pair(c->a.i[3], axis);
    }
    return a;
}

static int run(const nn_call *c, int back)
{
    const nn_view *y = &c->v[0], *x = &c->v[1], *large = back ? y : x, *small = back ? x : y;
    resampling a = {.y = (float *)y->p, .x = (const float *)x->p, .h = x->n[1], .w = x->n[2], .p = y->n[1],
                    .q = y->n[2],
                    .n = x->n[3], .divisor = (float)nn_pair(c->a.i[0], 1)};
    if (nn_count(y) == 0) return NN_OK;
    nn_axis rows = axis_of(c, 0, large->n[1], small->n[1]), columns = axis_of(c, 1, large->n[2], small->n[2]);
    int status = nn_taps_make(&a.rows, &rows, back, a.w * a.n, 1);
    if (status) return status;
    status = nn_taps_make(&a.columns, &columns, back, a.n, 1);
    if (status) {
        nn_taps_free(&a.rows);
        return status;
    }
    a.room_row = a.rows.most <= 1 ? 0 : (a.w * a.n + NN_OVERREAD / 4 + 15) / 16 * 16;
    a.units = y->n[0] * a.p;
    double work = NS_TAP * (double)a.units * (double)a.n * (double)(a.rows.most * a.w + a.columns.most * a.q);
    size_t bytes = (size_t)(a.room_row * nn_workers(work)) * sizeof(float);
    if (bytes && !(a.room = nn_alloc(bytes))) status = NN_NOMEM;
    if (!status) {
        a.group = NN_CHUNK / (a.q * a.n + (a.room_row ? a.w * a.n : 0)) + 1;
        nn_for((a.units + a.group - 1) / a.group, work, resample_task, &a);
    }
    if (a.room) nn_free(a.room, bytes);
    nn_taps_free(&a.columns);
    nn_taps_free(&a.rows);
    return status;
}

int nn_op_resample(const nn_call *c) { return run(c, 0); }
int nn_op_resample_grad(const nn_call *c) { return run(c, 1); }
