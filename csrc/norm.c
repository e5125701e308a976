/* Normalisation by columns (batch, group, instance norm: one op) and by rows (layer norm, RMS norm).
 *
 * Columns: an image x[s,c] is cut into pieces of whole rows. The forward pass takes moments of every piece, joins them
 * in order in double, and goes over the pieces again to normalise; the gradient does the same with its sums. So x is
 * read twice, which is the least without the next layer's help, and dy too. Few channels would leave vectors empty: q
 * rows are put side by side as one row of w = q c columns, and columns that are the same channel are joined at the end.
 *
 * Nothing but statistics is saved for the gradient. ReLU's mask is computed from x again by the same arithmetic; behind
 * a residual it is read from y, which the next layer keeps anyway, and dz, which the residual wants, is written on the
 * way, so that the second pass needs neither y nor the mask. A bit mask would save nothing: y is alive.
 */
#include <string.h>
#include "kernels/kernels.h"
#include "moments.h"
#include "par.h"

/* Nanoseconds for an element and a pass, one thread (Cascade Lake, from memory). */
#define NS_PASS 0.4
#define NS_ROW 30 /* layer norm: for the statistics of a row */

enum { M_A_B_P_Q = 5 };

typedef struct {
    int64_t s, c, g, q, w, cw; /* rows, channels, groups; rows side by side, columns of them, rounded up to vectors */
    int64_t rows, step, pieces; /* rows of w, of them in a piece; the rows left over make a last piece of one row */
    size_t bytes;               /* of scratch */
    float *y, *dwb, *dz;
    const float *x, *residual, *dy, *weight, *bias;
    float *stats;               /* mean, rest, var: `apart` floats from one to the next */
    int64_t apart;
    double eps;
    int relu, given, fixed, mask; /* given: mean and variance are there; fixed: and no functions of x */
    float *part, *columns;
    double *t;
} image;

static int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

/* Cuts x[s,c], by sizes alone. */
static void cut(image *a, int64_t s, int64_t c)
{
    int64_t q = 16;
    while (q > 1 && (c * q / 2) % 16 == 0) q /= 2; /* the fewest rows that fill vectors */
    if (q * c > 4096) q = 1;
    while (q * c < 128) q *= 2;
    if (q > s / 8) q = s / 8 > 1 ? s / 8 : 1;
    a->s = s, a->c = c, a->q = q, a->w = q * c, a->cw = padded(a->w);
    a->rows = s / q;
    a->step = NN_CHUNK / a->w > 16 ? NN_CHUNK / a->w : 16;
    a->pieces = (a->rows + a->step - 1) / a->step + (s % q > 0);
    a->bytes = (size_t)(3 * c) * sizeof(double) + (size_t)((3 * a->pieces + M_A_B_P_Q) * a->cw) * sizeof(float);
}

static void use_scratch(image *a, char *scratch)
{
    a->t = (double *)scratch;
    a->columns = (float *)(a->t + 3 * a->c);
    a->part = a->columns + M_A_B_P_Q * a->cw;
}

/* Where piece k starts; how many rows it has, and how many columns. */
static int64_t piece(const image *a, int64_t k, int64_t *rows, int64_t *w)
{
    int64_t first = k * a->step;
    if (k == a->pieces - 1 && a->s % a->q > 0) {
        *rows = 1, *w = a->s % a->q * a->c;
        return a->rows * a->w;
    }
    *rows = a->rows - first < a->step ? a->rows - first : a->step, *w = a->w;
    return first * a->w;
}

static void moments_task(void *arg, int64_t k, int worker)
{
    const image *a = arg;
    int64_t rows, w, at = piece(a, k, &rows, &w);
    (void)worker;
    nn_k->norm_moments(a->part + 3 * k * a->cw, a->cw, a->x + at, rows, w, a->w, 1);
}

/* The second pass starts at the end, with what the first one has left in cache. */
static void apply_task(void *arg, int64_t k, int worker)
{
    const image *a = arg;
    int64_t rows, w, at = piece(a, a->pieces - 1 - k, &rows, &w);
    (void)worker;
    nn_k->norm_apply(a->y + at, a->x + at, a->residual ? a->residual + at : 0, a->relu, a->columns, a->cw, rows, w,
                     a->w);
}

static void sums_task(void *arg, int64_t k, int worker)
{
    const image *a = arg;
    int64_t rows, w, at = piece(a, k, &rows, &w);
    (void)worker;
    nn_k->norm_grad_sums(a->part + 2 * k * a->cw, a->cw, a->dz ? a->dz + at : 0, a->dy + at, a->x + at,
                         a->residual ? a->residual + at : 0, a->mask, a->columns, a->cw, rows, w, a->w, 1);
}

static void grad_task(void *arg, int64_t k, int worker)
{
    const image *a = arg;
    int64_t rows, w, at = piece(a, a->pieces - 1 - k, &rows, &w);
    (void)worker;
    nn_k->norm_grad_apply(a->y + at, (a->dz ? a->dz : a->dy) + at, a->x + at, a->mask, a->columns, a->cw, rows, w,
                          a->w);
}

static void for_pieces(image *a, nn_task_fn *fn) { nn_for(a->pieces, NS_PASS * (double)(a->s * a->c), fn, a); }

static void columns(image *a)
{
    nn_k->norm_columns(a->columns, a->cw, a->stats, a->stats + a->apart, a->stats + 2 * a->apart, a->weight, a->bias,
                       a->eps, a->c, a->g, a->w);
}

static void take_moments(image *a)
{
    for_pieces(a, moments_task);
    for (int64_t k = 0; k < a->pieces; k++) {
        int64_t rows, w;
        piece(a, k, &rows, &w);
        for (int64_t j = 0; j < w; j += a->c)
            nn_k->norm_join(a->t, a->part + 3 * k * a->cw + j, a->cw, rows, a->c, k == 0 && j == 0);
    }
    nn_k->norm_statistics(a->stats, a->stats + a->apart, a->stats + 2 * a->apart, a->t, a->s, a->c, a->g);
}

static void normalise(image *a)
{
    if (!a->given) take_moments(a);
    columns(a);
    for_pieces(a, apply_task);
}

static void take_sums(image *a)
{
    for_pieces(a, sums_task);
    for (int64_t k = 0; k < a->pieces; k++) {
        int64_t rows, w;
        piece(a, k, &rows, &w);
        for (int64_t j = 0; j < w; j += a->c)
            nn_k->norm_grad_join(a->t, a->part + 2 * k * a->cw + j, a->cw, a->c, k == 0 && j == 0);
    }
}

static void normalise_grad(image *a)
{
    columns(a);
    take_sums(a);
    nn_k->norm_grad_columns(a->columns, a->cw, a->dwb, a->dwb + a->c, a->t, a->stats + a->apart,
                            a->stats + 2 * a->apart, a->weight, a->eps, a->fixed, a->s, a->c, a->g, a->w);
    if (a->y) for_pieces(a, grad_task);
}

typedef struct {
    image first;
    void (*fn)(image *);
    char *scratch;
} images;

static void image_task(void *arg, int64_t i, int worker)
{
    const images *all = arg;
    image a = all->first;
    int64_t n = i * a.s * a.c;
    if (a.y) a.y += n;
    if (a.dz) a.dz += n;
    if (a.dy) a.dy += n;
    if (a.residual) a.residual += n;
    if (a.dwb) a.dwb += 2 * i * a.c;
    a.x += n;
    a.stats += i * a.g;
    use_scratch(&a, all->scratch + (size_t)worker * a.bytes);
    all->fn(&a);
}

/* Image by image, so that what one pass read is in cache for the next. One image alone is cut into pieces instead. */
static int for_images(image *a, int64_t b, void (*fn)(image *))
{
    a->bytes = (a->bytes + 63) / 64 * 64;
    double work = 2 * NS_PASS * (double)(b * a->s) * (double)a->c;
    size_t bytes = a->bytes * (size_t)(b > 1 ? nn_workers(work) : 1);
    images all = {*a, fn, nn_alloc(bytes)};
    if (!all.scratch) return NN_NOMEM;
    nn_for(b, work, image_task, &all);
    nn_free(all.scratch, bytes);
    return NN_OK;
}

static const float *operand(const nn_call *c, int k) { return k < c->nv ? (const float *)c->v[k].p : 0; }

int nn_op_group_norm(const nn_call *c)
{
    const nn_view *x = &c->v[2], *stats = &c->v[1];
    image a = {.y = (float *)c->v[0].p, .stats = (float *)stats->p, .x = (const float *)x->p, .weight = operand(c, 3),
               .bias = operand(c, 4), .residual = operand(c, 5), .eps = c->a.f[0], .relu = (c->flags & NN_RELU) != 0,
               .given = (c->flags & (NN_FIXED | NN_MOMENTS)) != 0, .g = stats->n[2]};
    int64_t b = x->n[0], g = a.g;
    size_t bytes = (size_t)g * sizeof(float);
    a.apart = b * g;
    if (c->flags & NN_MOMENTS) memcpy(a.stats, operand(c, 6), 3 * bytes);
    else if (c->flags & NN_FIXED) {
        memcpy(a.stats, operand(c, 6), bytes);
        memset(a.stats + g, 0, bytes);
        memcpy(a.stats + 2 * g, operand(c, 7), bytes);
    }
    if (nn_count(x) == 0) return NN_OK;
    cut(&a, x->n[1], x->n[2]);
    return for_images(&a, b, normalise);
}

int nn_moments_of(float *stats, const float *x, int64_t s, int64_t c)
{
    image a = {.x = x, .stats = stats, .g = c, .apart = c};
    cut(&a, s, c);
    return for_images(&a, 1, take_moments);
}

int nn_op_group_norm_grad(const nn_call *c)
{
    const nn_view *x = &c->v[4], *stats = &c->v[5];
    float *dwb = (float *)c->v[1].p;
    image a = {.y = (float *)c->v[0].p, .dwb = dwb, .dz = (float *)c->v[2].p, .dy = (const float *)c->v[3].p,
               .x = (const float *)x->p, .stats = (float *)stats->p, .weight = operand(c, 6), .eps = c->a.f[0],
               .fixed = (c->flags & NN_FIXED) != 0, .g = stats->n[2]};
    int64_t b = x->n[0], pairs = 2 * (int64_t)x->n[2];
    a.apart = b * a.g;
    if (a.dz) a.mask = NN_MASK_Y, a.residual = operand(c, 7);
    else if (c->flags & NN_RELU) a.mask = NN_MASK_X, a.bias = operand(c, 7);
    if (nn_count(x) == 0) {
        memset(dwb, 0, (size_t)pairs * sizeof(float));
        return NN_OK;
    }
    cut(&a, x->n[1], x->n[2]);
    if (b == 1) return for_images(&a, 1, normalise_grad);
    size_t bytes = (size_t)(b * pairs) * sizeof(float);
    a.dwb = nn_alloc(bytes);
    if (!a.dwb) return NN_NOMEM;
    int status = for_images(&a, b, normalise_grad);
    if (status == NN_OK) nn_k->reduce_columns(dwb, a.dwb, 0, NN_SUM, 0, b, pairs, pairs);
    nn_free(a.dwb, bytes);
    return status;
}

/* ---- the parts, for convolutions that apply batch norm themselves ---- */

int nn_op_norm_columns(const nn_call *c)
{
    float *to = (float *)c->v[0].p;
    const float *stats = (const float *)c->v[1].p;
    int64_t cw = c->v[0].n[1], channels = c->v[1].n[2];
    nn_k->fill(to, 0, 5 * cw);
    nn_k->norm_columns(to, cw, stats, stats + channels, stats + 2 * channels, operand(c, 2), operand(c, 3), c->a.f[0],
                       channels, channels, channels);
    return NN_OK;
}

/* The columns of a channel, again and again */
static void spread(image *a, const float *from, int64_t apart)
{
    for (int row = 0; row < M_A_B_P_Q; row++)
        for (int64_t j = 0; j < a->w; j += a->c)
            memcpy(a->columns + row * a->cw + j, from + row * apart, (size_t)a->c * sizeof(float));
}

int nn_op_norm_grad_sums(const nn_call *c)
{
    const nn_view *dy = &c->v[2], *columns = &c->v[4];
    image a = {.dz = (float *)c->v[1].p, .dy = (const float *)dy->p, .x = (const float *)c->v[3].p};
    if (a.dz) a.mask = NN_MASK_Y, a.residual = operand(c, 5);
    else if (c->flags & NN_RELU) a.mask = NN_MASK_X;
    cut(&a, dy->n[0], dy->n[1]);
    char *scratch = nn_alloc(a.bytes);
    if (!scratch) return NN_NOMEM;
    use_scratch(&a, scratch);
    spread(&a, (const float *)columns->p, columns->n[1]);
    take_sums(&a);
    memcpy(c->v[0].p, a.t, (size_t)(2 * a.c) * sizeof(double));
    nn_free(scratch, a.bytes);
    return NN_OK;
}

int nn_op_norm_grad_columns(const nn_call *c)
{
    float *to = (float *)c->v[0].p, *dwb = (float *)c->v[1].p;
    const nn_view *columns = &c->v[3], *stats = &c->v[4];
    const float *mean = (const float *)stats->p, *before = operand(c, 6);
    int64_t cw = columns->n[1], channels = stats->n[2];
    memcpy(to, columns->p, (size_t)(5 * cw) * sizeof(float));
    nn_k->norm_grad_columns(to, cw, dwb, dwb + channels, (const double *)c->v[2].p, mean + channels,
                            mean + 2 * channels, operand(c, 5), c->a.f[0], 0, c->a.i[1], channels, channels, channels);
    if (before) memcpy(to + 5 * cw, before, (size_t)nn_count(&c->v[6]) * sizeof(float));
    return NN_OK;
}

int nn_op_running_stats(const nn_call *c)
{
    const nn_view *stats = &c->v[3];
    int64_t *count = (int64_t *)c->v[2].p;
    double n = (double)c->a.i[0], factor = c->a.d[1];
    if (count) ++*count;
    if (c->a.i[2]) factor = 1 / (double)*count;
    nn_k->norm_running((float *)c->v[0].p, (float *)c->v[1].p, (const float *)stats->p, n / (n - 1), factor,
                       stats->n[1], stats->n[2]);
    return NN_OK;
}

typedef struct {
    float *y, *stats, *part;
    const float *x, *dy, *weight, *bias;
    float eps;
    int mean;
    int64_t r, c, pc, step;
} rows_args;

static void rows_task(void *arg, int64_t t, int worker)
{
    const rows_args *a = arg;
    int64_t i = t * a->step, n = a->r - i < a->step ? a->r - i : a->step;
    float *s = a->stats + i;
    (void)worker;
    if (a->mean)
        nn_k->layer_norm_rows(a->y + i * a->c, s, s + a->r, s + 2 * a->r, a->x + i * a->c, a->weight, a->bias, a->eps,
                              n, a->c);
    else nn_k->rms_norm_rows(a->y + i * a->c, s, a->x + i * a->c, a->weight, a->eps, n, a->c);
}

static void rows_grad_task(void *arg, int64_t t, int worker)
{
    const rows_args *a = arg;
    int64_t i = t * a->step, n = a->r - i < a->step ? a->r - i : a->step;
    const float *s = a->stats + i, *dy = a->dy + i * a->c, *x = a->x + i * a->c;
    float *dw = a->part + 2 * t * a->pc, *dx = a->y + i * a->c;
    (void)worker;
    if (a->mean)
        nn_k->layer_norm_grad_rows(dx, dw, dw + a->pc, dy, x, s, s + a->r, s + 2 * a->r, a->weight, n, a->c);
    else nn_k->rms_norm_grad_rows(dx, dw, dy, x, s, a->weight, n, a->c);
}

/* Tasks are at least 64 rows: the gradient adds up a weight's gradient for each. */
static int64_t cut_rows(rows_args *a, const nn_view *x)
{
    a->r = x->n[0], a->c = x->n[1], a->pc = padded(a->c);
    a->step = a->c ? NN_CHUNK / a->c : 1;
    if (a->step < 64) a->step = 64;
    return (a->r + a->step - 1) / a->step;
}

static int rows(const nn_call *c, int mean)
{
    rows_args a = {.y = (float *)c->v[0].p, .stats = (float *)c->v[1].p, .x = operand(c, 2), .weight = operand(c, 3),
                   .bias = operand(c, 4), .eps = c->a.f[0], .mean = mean};
    int64_t tasks = cut_rows(&a, &c->v[2]);
    if (a.r > 0 && a.c > 0) nn_for(tasks, (double)a.r * (NS_ROW + NS_PASS * (double)a.c), rows_task, &a);
    return NN_OK;
}

static int rows_grad(const nn_call *c, int mean)
{
    rows_args a = {.y = (float *)c->v[0].p, .dy = operand(c, 2), .x = operand(c, 3), .stats = (float *)c->v[4].p,
                   .weight = operand(c, 5), .mean = mean};
    int64_t tasks = cut_rows(&a, &c->v[3]);
    float *dw = (float *)c->v[1].p;
    if (a.r * a.c == 0) {
        memset(dw, 0, (size_t)nn_count(&c->v[1]) * sizeof(float));
        return NN_OK;
    }
    size_t bytes = (size_t)(tasks * 2 * a.pc) * sizeof(float);
    a.part = nn_alloc(bytes);
    if (!a.part) return NN_NOMEM;
    nn_for(tasks, (double)a.r * (NS_ROW + 2 * NS_PASS * (double)a.c), rows_grad_task, &a);
    for (int k = 0; k <= mean; k++)
        nn_k->reduce_columns(dw + k * a.c, a.part + k * a.pc, 0, NN_SUM, 0, tasks, a.c, 2 * a.pc);
    nn_free(a.part, bytes);
    return NN_OK;
}

int nn_op_layer_norm(const nn_call *c) { return rows(c, 1); }
int nn_op_layer_norm_grad(const nn_call *c) { return rows_grad(c, 1); }
int nn_op_rms_norm(const nn_call *c) { return rows(c, 0); }
int nn_op_rms_norm_grad(const nn_call *c) { return rows_grad(c, 0); }
