/* Elements from one place to another: unchanged, but for take_grad and unslice, which may add, and gather_rows, which
 * converts. Indices are all checked before anything is written.
 */
#include <string.h>
#include "kernels/kernels.h"
#include "par.h"

#define BLOCK (4 * (int64_t)NN_CHUNK) /* bytes of a task */
#define NS_PER_BYTE 0.05

static inline void copy_run(char *y, const char *x, size_t bytes)
{
    if (bytes == 4) memcpy(y, x, 4);
    else if (bytes == 8) memcpy(y, x, 8);
    else memcpy(y, x, bytes);
}

/* One element in every n: y[j] = x[j * step], sizes in bytes. */
static void copy_strided(char *y, const char *x, int64_t sy, int64_t sx, int64_t n, size_t size)
{
    if (size == 4) for (int64_t j = 0; j < n; j++) memcpy(y + j * sy, x + j * sx, 4);
    else if (size == 8) for (int64_t j = 0; j < n; j++) memcpy(y + j * sy, x + j * sx, 8);
    else if (size == 1) for (int64_t j = 0; j < n; j++) y[j * sy] = x[j * sx];
    else for (int64_t j = 0; j < n; j++) memcpy(y + j * sy, x + j * sx, size);
}

/* ---- permute: the axes of y in order, with their strides in x; neighbours that stay neighbours are one axis ---- */

typedef struct {
    char *y;
    const char *x;
    int nd, turned;                       /* turned: the axis that is innermost in x, unless it is in y too */
    int64_t n[NN_MAX_DIMS], sx[NN_MAX_DIMS], sy[NN_MAX_DIMS], size;
    int64_t rows, group;                  /* runs of the last axis; how many in a task */
} permute_args;

/* Where row r of y (all axes but the last and `skip`) starts, in elements of x and of y. */
static int64_t permute_row(const permute_args *a, int64_t r, int skip, int64_t *y)
{
    int64_t x = 0;
    *y = 0;
    for (int d = a->nd - 2; d >= 0; d--) {
        if (d == skip) continue;
        x += r % a->n[d] * a->sx[d];
        *y += r % a->n[d] * a->sy[d];
        r /= a->n[d];
    }
    return x;
}

static void permute_runs_task(void *arg, int64_t t, int worker)
{
    const permute_args *a = arg;
    (void)worker;
    int64_t last = a->nd - 1, r = t * a->group, end = r + a->group < a->rows ? r + a->group : a->rows;
    size_t run = (size_t)(a->n[last] * a->size);
    while (r < end) { /* along the last but one axis as far as it goes */
        int64_t y, x = permute_row(a, r, -1, &y), n = last ? a->n[last - 1] - r % a->n[last - 1] : 1;
        int64_t step = last ? a->sx[last - 1] * a->size : 0;
        if (n > end - r) n = end - r;
        char *to = a->y + y * a->size;
        const char *from = a->x + x * a->size;
        for (int64_t j = 0; j < n; j++) copy_run(to + j * (int64_t)run, from + j * step, run);
        r += n;
    }
}

#define TURN 64 /* rows of a transposed piece */

static void permute_turn_task(void *arg, int64_t t, int worker)
{
    const permute_args *a = arg;
    (void)worker;
    int q = a->turned, last = a->nd - 1;
    int64_t pieces = (a->n[q] + TURN - 1) / TURN, i = t % pieces * TURN;
    int64_t m = a->n[q] - i < TURN ? a->n[q] - i : TURN, y, x = permute_row(a, t / pieces, q, &y);
    char *to = a->y + (y + i * a->sy[q]) * a->size;
    const char *from = a->x + (x + i) * a->size;
    (a->size == 4 ? nn_k->transpose4 : a->size == 8 ? nn_k->transpose8 : nn_k->transpose1)(
        to, a->sy[q], from, a->sx[last], m, a->n[last]);
}

int nn_op_permute(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[1];
    int64_t stride[NN_MAX_DIMS], s = 1, count = nn_count(y);
    if (count == 0) return NN_OK;
    permute_args a = {.y = y->p, .x = x->p, .turned = -1, .size = (int64_t)nn_dtype_size[x->dtype]};
    for (int d = x->nd - 1; d >= 0; d--) stride[d] = s, s *= x->n[d];
    for (int d = 0; d < y->nd; d++) {
        int axis = (int)(c->a.i[0] >> 4 * d & 15);
        int64_t n = y->n[d], sx = stride[axis];
        if (n == 1) continue;
        if (a.nd && a.sx[a.nd - 1] == sx * n) a.n[a.nd - 1] *= n, a.sx[a.nd - 1] = sx;
        else a.n[a.nd] = n, a.sx[a.nd++] = sx;
    }
    if (a.nd == 0) a.n[0] = a.sx[0] = 1, a.nd = 1;
    s = 1;
    for (int d = a.nd - 1; d >= 0; d--) a.sy[d] = s, s *= a.n[d];
    double work = NS_PER_BYTE * (double)count * (double)a.size;
    if (a.sx[a.nd - 1] == 1) {
        a.rows = count / a.n[a.nd - 1];
        a.group = BLOCK / (a.n[a.nd - 1] * a.size) + 1;
        nn_for((a.rows + a.group - 1) / a.group, work, permute_runs_task, &a);
        return NN_OK;
    }
    for (int d = 0; d < a.nd - 1; d++)
        if (a.sx[d] == 1) a.turned = d;
    int64_t planes = count / (a.n[a.turned] * a.n[a.nd - 1]);
    nn_for(planes * ((a.n[a.turned] + TURN - 1) / TURN), 2 * work, permute_turn_task, &a);
    return NN_OK;
}

/* ---- slice and unslice: runs of `run` elements, n of them in each of o outer positions ---- */

typedef struct {
    char *y;
    const char *x;
    int64_t o, n, run, size;  /* elements: outer, in a row, together */
    int64_t syo, sy, sxo, sx; /* distances in bytes */
    int64_t group;            /* outer positions in a task */
    int add;
} slice_args;

static void slice_task(void *arg, int64_t t, int worker)
{
    const slice_args *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->o ? (t + 1) * a->group : a->o;
    for (int64_t o = t * a->group; o < end; o++) {
        char *y = a->y + o * a->syo;
        const char *x = a->x + o * a->sxo;
        if (!a->add && a->run == 1)
            copy_strided(y, x, a->sy, a->sx, a->n, (size_t)a->size);
        else if (!a->add)
            for (int64_t j = 0; j < a->n; j++) copy_run(y + j * a->sy, x + j * a->sx, (size_t)(a->run * a->size));
        else if (a->run == 1)
            for (int64_t j = 0; j < a->n; j++) *(float *)(y + j * a->sy) += *(const float *)(x + j * a->sx);
        else
            for (int64_t j = 0; j < a->n; j++)
                nn_k->add_to((float *)(y + j * a->sy), (const float *)(x + j * a->sx), a->run);
    }
}

static int slice(const nn_call *c, int back)
{
    const nn_view *small = &c->v[back ? 1 : 0], *large = &c->v[back ? 0 : 1];
    int64_t size = (int64_t)nn_dtype_size[small->dtype], start = c->a.i[0], step = c->a.i[1];
    int64_t o = small->n[0], n = small->n[1], i = small->n[2];
    if (o * n * i == 0) return NN_OK;
    int64_t near = i * size, far = step * i * size, outer = n * i * size, far_outer = large->n[1] * i * size;
    slice_args a = {c->v[0].p, c->v[1].p, o, n, i, size, outer, near, far_outer, far, 1, back && c->flags & NN_ACC};
    if (back) a.y += start * i * size, a.syo = far_outer, a.sy = far, a.sxo = outer, a.sx = near;
    else a.x += start * i * size;
    if (step == 1) a.run *= n, a.n = 1;
    if (a.n > 1 && o == 1) a.o = a.n, a.n = 1, a.syo = a.sy, a.sxo = a.sx; /* one long row: cut that instead */
    int64_t bytes = a.n * a.run * size;
    a.group = BLOCK / bytes + 1;
    if (a.n == 1 && a.run == 1 && a.o > 1) { /* single elements: strided loops of a fair length */
        a.n = a.o, a.o = 1, a.sy = a.syo, a.sx = a.sxo, a.group = 1;
    }
    nn_for((a.o + a.group - 1) / a.group, NS_PER_BYTE * (double)(o * n) * (double)(i * size), slice_task, &a);
    return NN_OK;
}

int nn_op_slice(const nn_call *c) { return slice(c, 0); }
int nn_op_unslice(const nn_call *c) { return slice(c, 1); }

/* ---- take: rows by index ---- */

static int check_indices(const int64_t *index, int64_t n, int64_t limit)
{
    int bad = 0;
    for (int64_t j = 0; j < n; j++) bad |= index[j] < -limit || index[j] >= limit;
    if (!bad) return NN_OK;
    while (*index >= -limit && *index < limit) index++;
    nn_bad_index = *index;
    return NN_BADINDEX;
}

typedef struct {
    char *y;
    const char *x;
    const int64_t *index;
    int64_t o, j, n, run, group; /* run: bytes of a row; n: rows of x (take), of y (take_grad) */
} take_args;

static void take_task(void *arg, int64_t t, int worker)
{
    const take_args *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->o * a->j ? (t + 1) * a->group : a->o * a->j;
    for (int64_t r = t * a->group; r < end; r++) {
        int64_t o = r / a->j, k = a->index[r - o * a->j];
        copy_run(a->y + r * a->run, a->x + (o * a->n + (k < 0 ? k + a->n : k)) * a->run, (size_t)a->run);
    }
}

int nn_op_take(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[1];
    take_args a = {y->p, x->p, (const int64_t *)c->v[2].p, x->n[0], nn_count(&c->v[2]), x->n[1], 0, 0};
    int status = check_indices(a.index, a.j, a.n);
    a.run = x->n[2] * (int64_t)nn_dtype_size[x->dtype];
    if (status || a.o * a.j * a.run == 0) return status;
    a.group = BLOCK / (a.run + 16) + 1;
    nn_for((a.o * a.j + a.group - 1) / a.group, (double)(a.o * a.j) * (2 + NS_PER_BYTE * (double)a.run), take_task, &a);
    return NN_OK;
}

#define LANE 64 /* columns of a task of take_grad: 4 cache lines, so tasks share none */

/* Columns of one outer position: all rows that arrive, in order. */
static void take_grad_task(void *arg, int64_t t, int worker)
{
    const take_args *a = arg;
    (void)worker;
    int64_t pieces = (a->run + LANE - 1) / LANE, o = t / pieces, i = t % pieces * LANE;
    int64_t width = a->run - i < LANE ? a->run - i : LANE;
    float *dx = (float *)a->y + o * a->n * a->run + i;
    const float *dy = (const float *)a->x + o * a->j * a->run + i;
    for (int64_t j = 0; j < a->j; j++) {
        int64_t k = a->index[j];
        float *to = dx + (k < 0 ? k + a->n : k) * a->run;
        const float *from = dy + j * a->run;
        if (width >= 8) nn_k->add_to(to, from, width);
        else for (int64_t q = 0; q < width; q++) to[q] += from[q];
    }
}

int nn_op_take_grad(const nn_call *c)
{
    const nn_view *dx = &c->v[0], *dy = &c->v[1];
    take_args a = {dx->p, dy->p, (const int64_t *)c->v[2].p, dx->n[0], nn_count(&c->v[2]), dx->n[1], dx->n[2], 1};
    int status = check_indices(a.index, a.j, a.n);
    if (status) return status;
    if (!(c->flags & NN_ACC)) memset(dx->p, 0, (size_t)nn_count(dx) * sizeof(float));
    if (a.run > 0 && a.j > 0)
        nn_for(a.o * ((a.run + LANE - 1) / LANE), (double)(a.o * a.j) * (2 + 0.2 * (double)a.run), take_grad_task, &a);
    return NN_OK;
}

/* ---- flat_index: the index of x[i, j] in x with both axes as one ---- */

/* The steps of v along the axes of z; 0 where it repeats. */
static void steps_of(const nn_view *v, const nn_view *z, int64_t *step)
{
    int64_t size = 1;
    for (int d = z->nd - 1, e = v->nd - 1; d >= 0; d--, e--) {
        step[d] = e >= 0 && v->n[e] > 1 ? size : 0;
        if (e >= 0) size *= v->n[e];
    }
}

int nn_op_flat_index(const nn_call *c)
{
    const nn_view *z = &c->v[0];
    const int64_t *in[2] = {(const int64_t *)c->v[1].p, (const int64_t *)c->v[2].p}, *limit = c->a.i;
    int64_t count = nn_count(z), step[2][NN_MAX_DIMS], *flat = (int64_t *)z->p;
    for (int k = 0; k < 2 && count; k++) {
        int status = check_indices(in[k], nn_count(&c->v[1 + k]), limit[k]);
        nn_bad_operand = k + 1;
        if (status) return status;
        steps_of(&c->v[1 + k], z, step[k]);
    }
    for (int64_t j = 0; j < count; j++) {
        int64_t at[2] = {0, 0};
        for (int64_t d = z->nd - 1, left = j; d >= 0; left /= z->n[d--])
            for (int k = 0; k < 2; k++) at[k] += left % z->n[d] * step[k][d];
        int64_t x = in[0][at[0]], y = in[1][at[1]];
        flat[j] = (x < 0 ? x + limit[0] : x) * limit[1] + (y < 0 ? y + limit[1] : y);
    }
    return NN_OK;
}

/* ---- gather_rows: a batch out of a data set ---- */

typedef struct {
    char *y;
    const char *x;
    const int64_t *index;
    const float *scale, *shift;
    int64_t b, f, n, ss, st, group, row; /* row: bytes of a row of x */
    int dtype;
} gather_args;

/* Bytes, about, that are on their way from memory while a row is converted; the next row alone takes twice the time.
 * Asked for piece by piece, between pieces that are converted: the lines of a whole row at once wait for each other. */
#define AHEAD 6144
#define PIECE 1024 /* bytes */

static const char *gather_row(const gather_args *a, int64_t r)
{
    int64_t k = a->index[r];
    return a->x + (k < 0 ? k + a->n : k) * a->row;
}

/* n elements, from element j of a row on, become those from `to` on. */
static void gather_piece(const gather_args *a, int64_t to, const char *x, int64_t j, int64_t n)
{
    const float *scale = a->scale + (a->ss > 0 ? j : 0), *shift = a->shift + (a->st > 0 ? j : 0);
    if (a->dtype == NN_I64)
        memcpy((int64_t *)a->y + to, x, (size_t)n * sizeof(int64_t));
    else if (a->dtype == NN_U8)
        nn_k->scale_bytes((float *)a->y + to, (const uint8_t *)x, scale, a->ss, shift, a->st, n);
    else if (a->ss < 0)
        memcpy((float *)a->y + to, x, (size_t)n * sizeof(float));
    else
        nn_k->scale_floats((float *)a->y + to, (const float *)x, scale, a->ss, shift, a->st, n);
}

static void gather_task(void *arg, int64_t t, int worker)
{
    const gather_args *a = arg;
    (void)worker;
    int64_t end = (t + 1) * a->group < a->b ? (t + 1) * a->group : a->b;
    int64_t rows = AHEAD / a->row < 16 ? AHEAD / a->row + 1 : 16;
    int64_t size = a->row / a->f, piece = PIECE / size;
    for (int64_t r = t * a->group; r < end; r++) {
        const char *x = gather_row(a, r), *ahead = gather_row(a, r + rows < a->b ? r + rows : r);
        for (int64_t j = 0; j < a->f; j += piece) {
            int64_t n = j + piece < a->f ? piece : a->f - j;
            for (int64_t q = j * size; q < (j + n) * size; q += 64) __builtin_prefetch(ahead + q);
            gather_piece(a, r * a->f + j, x + j * size, j, n);
        }
    }
}

int nn_op_gather_rows(const nn_call *c)
{
    static const float one = 1, zero = 0;
    const nn_view *y = &c->v[0], *x = &c->v[1], *scale = &c->v[3], *shift = &c->v[4];
    int scaled = c->nv > 3 && scale->p, shifted = c->nv > 4 && shift->p;
    int64_t f = 1;
    for (int d = 1; d < x->nd; d++) f *= x->n[d];
    gather_args a = {y->p, x->p, (const int64_t *)c->v[2].p, &one, &zero, nn_count(&c->v[2]), f, x->n[0], 0, 0, 1, 0,
                     x->dtype};
    int status = check_indices(a.index, a.b, a.n);
    if (status || a.b * f == 0) return status;
    if (scaled) a.scale = (const float *)scale->p, a.ss = nn_count(scale) > 1;
    if (shifted) a.shift = (const float *)shift->p, a.st = nn_count(shift) > 1;
    if (!scaled && !shifted) a.ss = x->dtype == NN_U8 ? 0 : -1;
    a.row = f * (int64_t)nn_dtype_size[x->dtype];
    a.group = NN_CHUNK / f + 1;
    nn_for((a.b + a.group - 1) / a.group, (double)a.b * (5 + 0.15 * (double)f), gather_task, &a);
    return NN_OK;
}
