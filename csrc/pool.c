/* Max pooling of images [b,h,w,c]. Beside every maximum the number of its place in the window is kept, a byte where the
 * window has at most 256 places. The gradient of a pixel is gathered from the windows that it is in: each is written
 * once, by one task, whether windows overlap or not.
 */
#include "par.h"
#include "taps.h"

#define NS_OUTPUT 0.03 /* per output and place of the window, in cache */
#define NS_INPUT 0.1   /* per pixel and channel of x, which large images have in memory: it takes longer then */

typedef struct {
    const nn_call *c;
    nn_taps rows, columns;
    int64_t h, w, p, q, n; /* sizes of x and of y, channels */
    int64_t units, group;  /* rows to be written; how many in a task */
    int wide;
} pooling;

static void max_pool_task(void *arg, int64_t t, int worker)
{
    const pooling *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->units ? (t + 1) * a->group : a->units, row = a->q * a->n;
    for (int64_t u = t * a->group; u < end; u++) {
        const int32_t *start = a->rows.start + u % a->p;
        const float *x = (const float *)a->c->v[2].p + u / a->p * a->h * a->w * a->n;
        nn_k->max_pool_row((float *)a->c->v[0].p + u * row, a->c->v[1].p + u * row * (a->wide ? 8 : 1), x, a->wide,
                           a->rows.tap + start[0], start[1] - start[0], a->columns.tap, a->columns.start, a->q, a->n);
    }
}

static void max_pool_grad_task(void *arg, int64_t t, int worker)
{
    const pooling *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->units ? (t + 1) * a->group : a->units, image = a->p * a->q * a->n;
    for (int64_t u = t * a->group; u < end; u++) {
        const int32_t *start = a->rows.start + u % a->h;
        const float *dy = (const float *)a->c->v[1].p + u / a->h * image;
        const char *where = a->c->v[2].p + u / a->h * image * (a->wide ? 8 : 1);
        nn_k->max_pool_grad_row((float *)a->c->v[0].p + u * a->w * a->n, dy, where, a->wide, a->rows.tap + start[0],
                                start[1] - start[0], a->columns.tap, a->columns.start, a->w, a->n);
    }
}

static nn_axis axis_of(const nn_call *c, int axis, int64_t n, int64_t o)
{
    int64_t kernel = nn_pair(c->a.i[0], axis);
    return (nn_axis){n, o, kernel ? NN_WINDOW : NN_ADAPTIVE, kernel, nn_pair(c->a.i[1], axis), nn_pair(c->a.i[2], axis),
                     kernel ? nn_pair(c->a.i[3], axis) : 1, 0};
}

static int run(const nn_call *c, const nn_view *x, const nn_view *y, int back)
{
    pooling a = {.c = c, .h = x->n[1], .w = x->n[2], .p = y->n[1], .q = y->n[2], .n = x->n[3]};
    int64_t b = x->n[0];
    if (nn_count(c->v) == 0) return NN_OK;
    a.wide = c->v[back ? 2 : 1].dtype != NN_U8;
    nn_axis rows = axis_of(c, 0, a.h, a.p), columns = axis_of(c, 1, a.w, a.q);
    int64_t kw = nn_window(&columns);
    int status = nn_taps_make(&a.rows, &rows, back, (back ? a.q : a.w) * a.n, kw);
    if (status) return status;
    status = nn_taps_make(&a.columns, &columns, back, a.n, 1);
    if (!status) {
        double work = NS_OUTPUT * (double)(b * a.p * a.q) * (double)(a.n * nn_window(&rows) * kw) +
                      NS_INPUT * (double)nn_count(x);
        a.units = b * (back ? a.h : a.p);
        a.group = NN_CHUNK / ((back ? a.w : a.q) * a.n) + 1;
        nn_for((a.units + a.group - 1) / a.group, work, back ? max_pool_grad_task : max_pool_task, &a);
        nn_taps_free(&a.columns);
    }
    nn_taps_free(&a.rows);
    return status;
}

int nn_op_max_pool(const nn_call *c) { return run(c, &c->v[2], &c->v[0], 0); }
int nn_op_max_pool_grad(const nn_call *c) { return run(c, &c->v[0], &c->v[1], 1); }
