/* The matrix product, with everything that can happen to its result while it is in cache.
 *
 *   c[m,n] = f(op(a)[m,k] @ op(b)[k,n] + bias[n])        op: as stored, or transposed (NN_TA, NN_TB)
 *
 * The loop nest is the usual five loops around a register tile (Goto and van de Geijn, 2008), axes named as there:
 *
 *   jc  columns of c, NC at a time
 *   pc  depth, about kc at a time: b's block [kc, NC] is packed into panels of nr columns, or read in place
 *   ic  rows of c, MC at a time, with all columns or NB of them: one task, on any thread
 *   jr  panels of nr columns
 *   ir  tiles of mr rows (kernels/gemm.h)
 *
 * a is read in place, by broadcast; one that is stored transposed, or whose rows share cache sets, is packed for every
 * task, unless c is narrow: then it is used too few times. b is read in place for few rows, and where it is small and
 * its rows do not fall into the same few cache sets; where all rows are one task, each panel is packed as it is used,
 * and stays in L2. What need not be turned is packed by the first tiles that read it. Where rows are many and b stays
 * in cache, ic goes around pc: a task has all of k. The blocks of k depend on sizes only, so results are bitwise equal
 * for any number of threads. Where c has too few blocks to share but k is long (a weight gradient over many rows), k is
 * cut (split_depth) and the partial sums are added in order. A c of a few columns goes other ways (run_dots,
 * run_turned), and so do a few columns at its end (ragged_block) and a product that is one task by far (run_small).
 */
#include <string.h>
#include "gemm.h"
#include "par.h"

#define NC 2112          /* columns of a packed block, at most: kc * NC floats = 4 MB with AVX-512, 2 MB without */
#define MC (16 * nn_k->mr) /* rows of a task: about 128; all of up to twice as many, if a is not packed */
#define NB(g) (256 / (g)->nr * (g)->nr) /* columns of a task where rows alone are too few tasks for the threads */
#define PACKING_COLUMNS 96 /* a is packed for so many columns, if it is stored transposed ... */
#define ALIASING_ROW 1024 /* ... or its rows lie a multiple of 4 KB apart, and so in the same cache sets */
#define DIRECT_ROWS 8    /* up to so many rows, b is read in place */
#define DIRECT_SIZE 131072 /* ... and if it is no larger than this: it stays in L2 as it is */
/* ... but not for so many rows if its own do not begin with a cache line: every other vector is two lines then */
#define UNALIGNED_ROWS 24
/* ... nor for so many if they lie a multiple of 1 KB apart: they share cache sets */
#define ALIASING_ROWS 64
/* A product of fewer columns and depth than this, with a b of so many elements (it stays in L1, as low tiles read it
 * more often) and so many multiplications, is one block. */
#define SMALL 256
#define SMALL_B (1 << 13)
#define SMALL_PRODUCT (1 << 19)
/* So many tasks of rows and more, with a b of at most so many floats and an a that is read in place, go through all of
 * k each: a's rows are read from end to end, and c stays in cache. */
#define DEPTHS_TASKS 16
#define DEPTHS_B (1 << 19)
#define SPLIT_DEPTH 1024 /* depth of a split, for outputs of at most SPLIT_OUTPUT elements; */
#define SPLIT_OUTPUT 4096
#define DEEP_SPLIT 4096  /* of one for outputs of at most this, which write more for each partial sum */
#define DEEP_SPLIT_OUTPUT 32768
#define DOTS 4           /* columns up to which c is made of sums of products along k ... */
/* ... or up to this, where k is so many times as long: with b stored transposed, or to be transposed first ... */
#define DEEP_DOTS(vl) (3 * (vl) / 4)
#define DEEP_DOTS_DEPTH(g) ((g)->tb ? 16 : 32)
#define DOTS_TASK 128    /* ... in tasks of so many rows */
#define TURNED 12        /* columns up to which c's transpose is computed where a is transposed */
/* Behind two vectors of columns and more, what is less than so much of a vector goes the same ways ... */
#define RAGGED_DOTS(vl) ((vl) / 4)
#define RAGGED_TURNED(vl) ((vl) / 2)
#define RAGGED_DEPTH 32  /* ... if k is at least this */
#define FLOPS_PER_NS 100.0

typedef struct {
    float *c;
    const float *a, *b, *bias;
    int64_t m, n, k, ldc, rs, cs, ldb; /* a[i,p] at a + i*rs + p*cs */
    int64_t ragged; /* columns behind these n that go another way */
    int tb, acc, wide;
    nn_unary_fn *f;
    const float *attr;
    /* the block in work */
    int64_t jc, nc, pc, kc;
    /* of b: not at all, panel by panel in each task, or a block for all tasks */
    enum { IN_PLACE, PANELS, BLOCKS } packing;
    float *packed_b; /* PANELS: one per worker */
    /* Where a task goes through all of k, the packed blocks of all depths are kept, so many floats apart for each step
     * of k; else 0. */
    int64_t kept;
    int packs_first; /* the first task packs a BLOCK for the others, as there is one worker */
    float *packed_a; /* one block per worker, or NULL */
    float *ragged_room; /* b's ragged columns, each along k; or for each worker its rows of c's transpose */
    int64_t mc;            /* rows of a task */
    int nr;                /* columns are cut at multiples of this: one panel, or two wide ones (one might be cut
                            * otherwise near the end, 9 vectors into 3 x 3) */
    int64_t nb, col_tasks; /* columns of a task: a multiple of nr; the last task has what is left */
    int64_t pack_tasks;
} gemm;

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
/* A division of 64 bits takes 40 to 90 cycles; a small product makes nine of these, and most quotients are 1. */
static int64_t ceil_div(int64_t a, int64_t b) { return a <= b ? a > 0 : (a + b - 1) / b; }

/* Floats of a packed block of a, and of a panel of b; more than a multiple of the page size, so that those of different
 * workers do not alias. */
static int64_t packed_a_size(int64_t kc) { return MC * kc + 64; }
static int64_t packed_panel_size(int64_t kc) { return (nn_k->nr > nn_k->wide_nr ? nn_k->nr : nn_k->wide_nr) * kc + 64; }

/* The block of b in work, from its column j on. */
static const float *b_at(const gemm *g, int64_t j)
{
    return g->tb ? g->b + (g->jc + j) * g->ldb + g->pc : g->b + g->pc * g->ldb + g->jc + j;
}

/* Where it is packed. */
static float *packed_at(const gemm *g, int64_t j) { return g->packed_b + g->pc * g->kept + j * g->kc; }

static void pack_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    gemm *g = arg;
    int64_t j = task * NB(g), width = task + 1 < g->pack_tasks ? NB(g) : g->nc - j;
    float *to = packed_at(g, j);
    if (g->tb) nn_k->gemm_pack_bt(to, b_at(g, j), g->ldb, g->kc, width, g->wide);
    else nn_k->gemm_pack_b(to, b_at(g, j), g->ldb, g->kc, width, g->wide);
}

/* c = f(c), for a block of it */
static void activate(const gemm *g, float *c, int64_t rows, int64_t width)
{
    if (!g->f) return;
    if (width == g->ldc) g->f(c, c, g->attr, rows * width);
    else for (int64_t r = 0; r < rows; r++) g->f(c + r * g->ldc, c + r * g->ldc, g->attr, width);
}

/* The ragged columns for some rows of c, from row i on, and the block of k in work. */
static void ragged_block(const gemm *g, int64_t i, int64_t rows, int acc, int worker)
{
    float *c = g->c + i * g->ldc + g->n;
    const float *a = g->a + i * g->rs + g->pc * g->cs, *bias = g->bias && g->pc == 0 ? g->bias + g->n : NULL;
    if (g->cs == 1) {
        const float *bt = g->tb ? g->b + g->n * g->ldb : g->ragged_room;
        nn_k->gemm_dots(c, g->ldc, a, g->rs, bt + g->pc, g->tb ? g->ldb : g->k, bias, acc, rows, g->ragged, g->kc);
        return;
    }
    float *turned = g->ragged_room + worker * g->ragged * g->mc; /* [ragged, rows] = b^T[ragged, k] @ a^T[k, rows] */
    if (acc) nn_k->transpose4(turned, rows, c, g->ldc, g->ragged, rows);
    else if (bias)
        for (int64_t j = 0; j < g->ragged; j++) nn_k->fill(turned + j * rows, bias[j], rows);
    const float *b = g->tb ? g->b + g->n * g->ldb + g->pc : g->b + g->pc * g->ldb + g->n;
    nn_k->gemm_block(turned, rows, b, g->tb ? g->ldb : 1, g->tb ? 1 : g->ldb, NULL, a, g->cs, 0, NULL, 0, NULL,
                     acc || bias, g->ragged, rows, g->kc, 0);
    nn_k->transpose4(c, g->ldc, turned, rows, rows, g->ragged);
}

static void block_task(void *arg, int64_t task, int worker)
{
    const gemm *g = arg;
    int last = task % g->col_tasks + 1 == g->col_tasks;
    int64_t i = task / g->col_tasks * g->mc, j = task % g->col_tasks * g->nb;
    int64_t rows = min(g->mc, g->m - i), width = last ? g->nc - j : g->nb;
    int64_t ragged = last && g->jc + g->nc == g->n ? g->ragged : 0;
    float *c = g->c + i * g->ldc + g->jc + j;
    const float *a = g->a + i * g->rs + g->pc * g->cs;
    float *a_room = g->packed_a ? g->packed_a + worker * packed_a_size(g->kc) : NULL;
    const float *bias = g->bias && g->pc == 0 ? g->bias + g->jc + j : NULL;
    int acc = g->acc || g->pc > 0;
    const float *b = b_at(g, j);
    float *room = g->packing == PANELS ? g->packed_b + worker * packed_panel_size(g->kc) : NULL;
    int64_t ldb = g->ldb, room_step = 0;
    if (g->packing == BLOCKS && g->packs_first && i == 0) room = packed_at(g, j), room_step = g->kc;
    else if (g->packing == BLOCKS) b = packed_at(g, j), ldb = 0;
    nn_k->gemm_block(c, g->ldc, a, g->rs, g->cs, a_room, b, ldb, ldb && g->tb, room, room_step, bias, acc, rows, width,
                     g->kc, g->wide);
    if (ragged) ragged_block(g, i, rows, acc, worker);
    if (g->pc + g->kc == g->k) activate(g, c, rows, width + ragged);
}

/* All depths one after the other. */
static void depths_task(void *arg, int64_t task, int worker)
{
    gemm g = *(const gemm *)arg;
    const int64_t kc = g.kc;
    for (g.pc = 0; g.pc < g.k; g.pc += kc) {
        g.kc = min(kc, g.k - g.pc);
        block_task(&g, task, worker);
    }
}

/* Nothing to multiply: c = f(bias), or f(c) when accumulating. */
static void empty_product(const gemm *g)
{
    for (int64_t i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        if (!g->acc && g->bias) memcpy(c, g->bias, g->n * sizeof(float));
        else if (!g->acc) memset(c, 0, g->n * sizeof(float));
        if (g->f) g->f(c, c, g->attr, g->n);
    }
}

/* All columns where there are row tasks enough, as a is packed once for each piece of columns; else NB; and narrower
 * where even those are fewer than two for each thread. A multiple of nr. Results do not depend on it: no sum is cut. */
static int64_t columns_of_a_task(const gemm *g, int64_t row_tasks, int workers)
{
    if (workers == 1 || row_tasks >= 4 * workers) return NC;
    if (row_tasks * ceil_div(g->nc, NB(g)) >= 2 * workers) return NB(g);
    int64_t pieces = ceil_div(2 * workers, row_tasks);
    return ceil_div(ceil_div(g->nc, pieces), g->nr) * g->nr;
}

/* How many pieces of `width` columns; the last may have some more, so that no panel is cut: panels are cut evenly. */
static int64_t pieces(int64_t columns, int64_t width)
{
    return columns < 2 * width ? 1 : columns / width;
}

static int is_small(const gemm *g)
{
    return g->n < SMALL && g->k < SMALL && g->n * g->k <= SMALL_B && g->m * g->n * g->k <= SMALL_PRODUCT;
}

/* One task on this thread: about 10 us of work at most, of which the decisions of `run` would be a tenth. */
static int run_small(const gemm *g)
{
    size_t bytes = g->tb ? (size_t)((g->n + nn_k->vl) * g->k) * sizeof(float) : 0;
    float *room = NULL;
    if (bytes && !(room = nn_alloc(bytes))) return NN_NOMEM;
    nn_k->gemm_small(g->c, g->ldc, g->a, g->rs, g->cs, g->b, g->ldb, room, g->bias, g->acc, g->m, g->n, g->k);
    nn_free(room, bytes);
    activate(g, g->c, g->m, g->n);
    return NN_OK;
}

/* Whether the tiles read b as it is stored. */
static int reads_in_place(const gemm *g)
{
    if (g->tb) return 0;
    if (g->m <= DIRECT_ROWS || g->n <= nn_k->nr) return 1;
    if (g->n * g->k > DIRECT_SIZE) return 0;
    return g->m < UNALIGNED_ROWS || (g->ldb % 16 == 0 && (g->m < ALIASING_ROWS || g->ldb % 256));
}

/* How many of the last columns of c are computed another way, as a tile would spend most of its lanes on what nobody
 * wants. */
static int64_t ragged_columns(const gemm *g)
{
    int64_t vl = nn_k->vl, left = g->n & (vl - 1), most = g->cs == 1 ? RAGGED_DOTS(vl) : RAGGED_TURNED(vl);
    return left <= most && g->n > 2 * vl && g->m >= vl && g->k >= RAGGED_DEPTH ? left : 0;
}

/* The loops over c's columns, ncs at a time, and over k, kc at a time. */
static void multiply(gemm *g, int64_t row_tasks, int64_t ncs, int64_t kc, int workers)
{
    for (g->jc = 0; g->jc < g->n; g->jc += ncs) {
        g->nc = min(ncs, g->n - g->jc);
        g->nb = columns_of_a_task(g, row_tasks, workers);
        g->col_tasks = pieces(g->nc, g->nb);
        g->pack_tasks = pieces(g->nc, NB(g));
        double step = 2.0 * g->m * (g->nc + g->ragged) / FLOPS_PER_NS; /* the work for each step of k */
        for (g->pc = 0; g->pc < g->k; g->pc += kc) {
            g->kc = min(kc, g->k - g->pc);
            if (g->packing == BLOCKS && !g->packs_first) nn_for(g->pack_tasks, 0.2 * g->nc * g->kc, pack_task, g);
            if (!g->kept) nn_for(row_tasks * g->col_tasks, step * g->kc, block_task, g);
        }
        g->kc = kc;
        if (g->kept) nn_for(row_tasks * g->col_tasks, step * g->k, depths_task, g);
    }
}

static int run(gemm *g)
{
    if (g->m == 0 || g->n == 0) return NN_OK;
    if (g->k == 0) return empty_product(g), NN_OK;
    if (is_small(g)) return run_small(g);
    /* blocks of 0.63 to 1.25 times nn_k->kc */
    int64_t depth_blocks = 4 * g->k < 5 * nn_k->kc ? 1 : (4 * g->k + 3 * nn_k->kc) / (4 * nn_k->kc);
    int64_t kc = depth_blocks == 1 ? g->k : ceil_div(g->k, depth_blocks);
    int workers = nn_workers(2.0 * g->m * g->n * g->k / FLOPS_PER_NS);
    g->ragged = ragged_columns(g);
    g->n -= g->ragged;
    int pack_a = g->m > 1 && g->n >= PACKING_COLUMNS && (g->cs != 1 || g->rs % ALIASING_ROW == 0);
    g->mc = !pack_a && g->m <= 2 * MC ? g->m : MC;
    int64_t row_tasks = ceil_div(g->m, g->mc);
    g->wide = !pack_a && nn_k->gemm_wide(g->m, g->n);
    g->nr = g->wide ? 2 * nn_k->wide_nr : nn_k->nr;
    int64_t ncs = ceil_div(ceil_div(g->n, ceil_div(g->n, NC)), g->nr) * g->nr;
    g->packs_first = workers == 1;
    g->packing = reads_in_place(g) ? IN_PLACE : row_tasks == 1 ? PANELS : BLOCKS;
    int all_depths = depth_blocks > 1 && row_tasks >= DEPTHS_TASKS && !pack_a && g->packing != PANELS &&
                     ncs >= g->n && g->n * g->k <= DEPTHS_B;
    g->kept = all_depths ? ncs : 0;
    int64_t b_floats = g->packing == BLOCKS   ? ncs * (all_depths ? g->k : kc)
                       : g->packing == PANELS ? workers * packed_panel_size(kc)
                                              : 0;
    int64_t a_floats = pack_a ? workers * packed_a_size(kc) : 0;
    int64_t ragged_floats = g->cs != 1 ? workers * g->mc * g->ragged : g->tb ? 0 : g->k * g->ragged;
    size_t bytes = (size_t)(b_floats + a_floats + ragged_floats) * sizeof(float);
    float *room = NULL;
    if (bytes && !(room = nn_alloc(bytes))) return NN_NOMEM;
    g->packed_b = room;
    g->packed_a = pack_a ? room + b_floats : NULL;
    g->ragged_room = room + b_floats + a_floats;
    if (g->ragged && g->cs == 1 && !g->tb)
        nn_k->transpose4(g->ragged_room, g->k, g->b + g->n, g->ldb, g->ragged, g->k);
    multiply(g, row_tasks, ncs, kc, workers);
    nn_free(room, bytes);
    return NN_OK;
}

/* A small output of a deep product: k in pieces of `depth` into partial outputs, on any thread; then their sum. */
typedef struct {
    gemm whole;
    int64_t depth;
    float *partial;
    int status; /* of any task that failed */
} splits;

static void split_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    splits *s = arg;
    gemm g = s->whole;
    int64_t p = task * s->depth;
    g.a += p * g.cs;
    g.b += g.tb ? p : p * g.ldb;
    g.k = min(s->depth, g.k - p);
    g.c = s->partial + task * g.m * g.n;
    g.ldc = g.n;
    g.acc = 0, g.bias = NULL, g.f = NULL;
    int status = run(&g);
    if (status) __atomic_store_n(&s->status, status, __ATOMIC_RELAXED);
}

/* c (+)= x (+ bias), then f, for a product that was computed in x[m,n]. */
static void hand_over(const gemm *g, const float *x)
{
    int whole = g->ldc == g->n && !g->bias;
    int64_t n = whole ? g->m * g->n : g->n;
    for (int64_t i = 0; i < (whole ? 1 : g->m); i++, x += n) {
        float *c = g->c + i * g->ldc;
        if (g->acc) nn_k->add_to(c, x, n);
        else if (g->bias) nn_k->binary[NN_add](c, x, 1, g->bias, 1, n);
        else memcpy(c, x, n * sizeof(float));
        if (g->f) g->f(c, c, g->attr, n);
    }
}

/* The depth of a split; no less than k where there is none. */
static int64_t split_depth(const gemm *g)
{
    int64_t size = g->m * g->n, depth = size <= SPLIT_OUTPUT ? SPLIT_DEPTH : DEEP_SPLIT;
    return size <= DEEP_SPLIT_OUTPUT && g->k >= 2 * depth ? depth : g->k;
}

static int run_split(gemm *g, int64_t depth)
{
    int64_t count = ceil_div(g->k, depth), size = g->m * g->n;
    splits s = {.whole = *g, .depth = depth, .partial = nn_alloc((size_t)(count * size) * sizeof(float))};
    if (!s.partial) return NN_NOMEM;
    nn_for(count, 2.0 * size * g->k / FLOPS_PER_NS, split_task, &s);
    if (s.status == NN_OK) {
        for (int64_t t = 1; t < count; t++) nn_k->add_to(s.partial, s.partial + t * size, size);
        hand_over(g, s.partial);
    }
    nn_free(s.partial, (size_t)(count * size) * sizeof(float));
    return s.status;
}

/* c has so few columns that a tile would compute mostly what nobody wants. With a transposed, as in the gradient of a
 * classifier's last layer: c's transpose, [n,m] = b[k,n]^T @ a[k,m], whose columns are a's, and that turned. */
static int run_turned(gemm *g)
{
    int64_t size = g->m * g->n;
    size_t bytes = (size_t)(2 * size) * sizeof(float);
    float *turned = nn_alloc(bytes), *x = turned + size;
    if (!turned) return NN_NOMEM;
    gemm t = {.c = turned, .ldc = g->m, .m = g->n, .n = g->m, .k = g->k, .b = g->a, .ldb = g->cs,
              .a = g->b, .rs = g->tb ? g->ldb : 1, .cs = g->tb ? 1 : g->ldb};
    int status = run(&t);
    if (status == NN_OK && !g->acc && !g->bias && !g->f)
        nn_k->transpose4(g->c, g->ldc, turned, g->m, g->m, g->n);
    else if (status == NN_OK) {
        nn_k->transpose4(x, g->n, turned, g->m, g->m, g->n);
        hand_over(g, x);
    }
    nn_free(turned, bytes);
    return status;
}

/* With a as stored: sums of products along k, for which b is transposed unless it is stored so. */
static void dots_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    gemm *g = arg;
    int64_t i = task * DOTS_TASK, rows = min(DOTS_TASK, g->m - i);
    float *c = g->c + i * g->ldc;
    nn_k->gemm_dots(c, g->ldc, g->a + i * g->rs, g->rs, g->b, g->ldb, g->bias, g->acc, rows, g->n, g->k);
    if (g->f) g->f(c, c, g->attr, rows * g->ldc);
}

static int uses_dots(const gemm *g)
{
    return g->n <= DOTS || (g->n <= DEEP_DOTS(nn_k->vl) && g->k >= DEEP_DOTS_DEPTH(g) * g->n);
}

static int run_dots(const gemm *g)
{
    gemm dots = *g;
    size_t bytes = (size_t)(g->n * g->k) * sizeof(float);
    float *bt = NULL;
    if (!g->tb) {
        if (!(bt = nn_alloc(bytes))) return NN_NOMEM;
        nn_k->transpose4(bt, g->k, g->b, g->ldb, g->n, g->k);
        dots.b = bt, dots.ldb = g->k;
    }
    nn_for(ceil_div(g->m, DOTS_TASK), 4.0 * g->m * g->n * g->k / FLOPS_PER_NS, dots_task, &dots);
    nn_free(bt, bytes);
    return NN_OK;
}

/* Many small products: one task each. */
typedef struct {
    gemm first;
    int64_t step_a, step_b, step_c;
    int status;
} batch;

static int run_one(gemm *g)
{
    if (g->m >= 2 * g->n && g->k > 0 && g->k < 2 * SPLIT_DEPTH) {
        if (g->cs == 1 && uses_dots(g)) return run_dots(g);
        if (g->cs != 1 && g->n <= TURNED) return run_turned(g);
    }
    int64_t depth = split_depth(g);
    return depth < g->k ? run_split(g, depth) : run(g);
}

int nn_product(float *c, const float *a, const float *b, const float *bias, int64_t m, int64_t n, int64_t k, int ta,
               int tb, int acc, nn_unary_fn *f, const float *attr)
{
    gemm g = {.c = c, .a = a, .b = b, .bias = bias, .m = m, .n = n, .k = k, .ldc = n, .rs = ta ? 1 : k,
              .cs = ta ? m : 1, .ldb = tb ? k : n, .tb = tb, .acc = acc, .f = f, .attr = attr};
    return run_one(&g);
}

static void batch_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    batch *t = arg;
    gemm g = t->first;
    g.a += task * t->step_a;
    g.b += task * t->step_b;
    g.c += task * t->step_c;
    int status = run_one(&g);
    if (status) __atomic_store_n(&t->status, status, __ATOMIC_RELAXED);
}

int nn_op_gemm(const nn_call *call)
{
    const nn_view *c = &call->v[0], *a = &call->v[1], *b = &call->v[2];
    int ta = !!(call->flags & NN_TA), tb = !!(call->flags & NN_TB);
    const int32_t *an = a->n + a->nd - 2, *bn = b->n + b->nd - 2, *cn = c->n + c->nd - 2;
    gemm g = {
        .c = (float *)c->p, .a = (const float *)a->p, .b = (const float *)b->p,
        .bias = call->nv > 3 ? (const float *)call->v[3].p : NULL,
        .m = cn[0], .n = cn[1], .k = an[!ta], .ldc = cn[1], .rs = ta ? 1 : an[1], .cs = ta ? an[1] : 1, .ldb = bn[1],
        .tb = tb, .acc = call->flags & NN_ACC,
        .f = call->a.i[0] < 0 ? NULL : nn_k->unary[call->a.i[0]], .attr = call->a.f + 2,
    };
    if (c->nd == 2) return run_one(&g);
    int64_t products = c->n[0];
    batch t = {.first = g, .step_c = g.m * g.n,
               .step_a = a->nd == 3 && a->n[0] > 1 ? (int64_t)an[0] * an[1] : 0,
               .step_b = b->nd == 3 && b->n[0] > 1 ? (int64_t)bn[0] * bn[1] : 0};
    double work = 2.0 * g.m * g.n * g.k / FLOPS_PER_NS;
    if (work > 1e6) /* each is worth sharing */
        for (int64_t i = 0; i < products && t.status == NN_OK; i++) batch_task(&t, i, 0);
    else
        nn_for(products, work * products, batch_task, &t);
    return t.status;
}
