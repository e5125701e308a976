/* What the plans of Winograd's convolution share (winograd.c, winograd_grads.c): tiles cut into boxes, and the steps of
 * a box. winograd.c explains them. */
#ifndef WINOGRAD_BOXES_H
#define WINOGRAD_BOXES_H
#include "kernels/kernels.h"
#include <math.h>
#include "conv.h"
#include "par.h"

#define L2 900000         /* bytes of it that u, v and m of a box may fill */
#define BOX 32            /* tiles of a box ... */
#define SMALL_BOX 16      /* ... or so many, if these fit into L2 where those do not, */
#define LARGE_BOX 64      /* ... or so many where m takes v's place */
#define BOX_COLUMNS 32    /* columns o at a time, */
#define DEEP_COLUMNS 128  /* or so many for more than DEPTH channels, whose v is beyond L2 */
#define DEPTH 64          /* channels c at a time: also the length of a sum that starts at zero */
#define FEW_TILES 128     /* up to so many: panels ... */
#define PIECE_TILES 256   /* of a piece of the batch */
#define PIECES 16         /* at most */
#define FLOPS_PER_NS 100.0

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t whole(int64_t channels) { return (channels + 15) / 16 * 16; }

/* All tiles, and how they are cut into boxes; the last box in each direction may be smaller. */
typedef struct {
    int64_t images, down, across, box_images, box_down, box_across;
    int64_t boxes, tiles; /* how many, and tiles of a box at most */
} tiling;

/* n in pieces of at most `most` that differ little: the size of the first */
static inline int64_t even(int64_t n, int64_t most) { return ceil_div(n, ceil_div(n, max(most, 1))); }

/* A tile's pixels in the output, down or across: with the window's they are the 6 points and one. */
static inline int tile_of(const nn_conv *g) { return 7 - (int)g->r; }

static inline int64_t tiles_of(const nn_conv *g)
{
    return g->b * ceil_div(g->p, tile_of(g)) * ceil_div(g->q, tile_of(g));
}

/* Boxes of at most `most` tiles: whole images, else whole rows, else parts of a row */
static inline tiling cut(const nn_conv *g, int64_t most)
{
    tiling t = {.images = g->b, .down = ceil_div(g->p, tile_of(g)), .across = ceil_div(g->q, tile_of(g))};
    t.box_across = even(t.across, most);
    t.box_down = even(t.down, most / t.across);
    t.box_images = even(t.images, most / (t.across * t.down));
    t.tiles = t.box_images * t.box_down * t.box_across;
    t.boxes = ceil_div(t.images, t.box_images) * ceil_div(t.down, t.box_down) * ceil_div(t.across, t.box_across);
    return t;
}

typedef struct {
    int64_t image, i, j, images, down, across; /* its first tile, and its size */
    int64_t tiles, number;
} box;

static inline box box_at(const tiling *t, int64_t number)
{
    int64_t across = ceil_div(t->across, t->box_across), down = ceil_div(t->down, t->box_down);
    box x = {.j = number % across * t->box_across, .i = number / across % down * t->box_down,
             .image = number / across / down * t->box_images, .number = number};
    x.images = min(t->box_images, t->images - x.image);
    x.down = min(t->box_down, t->down - x.i);
    x.across = min(t->box_across, t->across - x.j);
    x.tiles = x.images * x.down * x.across;
    return x;
}

/* Transformed data, [point][block of 16 channels][tile][16]; points are an odd number of cache lines apart. */
typedef struct { int64_t block, plane; } layout;

static inline layout layout_of(int64_t tiles, int64_t channels)
{
    int64_t block = 16 * tiles, lines = tiles * ceil_div(channels, 16);
    return (layout){block, 16 * (lines | 1)};
}

typedef struct {
    nn_conv g;
    const float *x, *w, *bias, *dy;
    const nn_norm *norm;  /* of x, or NULL: applied while it is loaded */
    float *y, *dw;
    int flipped, acc, in_place; /* in_place: m takes the place of v */
    nn_unary_fn *f;
    const float *attr;
    nn_moments *moments;  /* of y, or NULL */
    nn_grad_sums *sums;   /* of y, which is then the gradient of a norm's result, or NULL */
    tiling t;
    int64_t cc, oc;       /* channels c and columns o at a time */
    layout v, m;          /* m: of the products; for dw, of d = A dy A^T */
    float *u, *all_v, *all_d;
    int64_t u_plane, pieces, number; /* floats of a point of u; pieces of the batch; the box in work */
    float *scratch;
    int64_t room;         /* floats of scratch for each worker */
} wino;

static inline double work_of(const wino *s, int64_t tiles) { return 72.0 * tiles * s->g.c * s->g.o / FLOPS_PER_NS; }
/* Pixels of the input, down or across, that so many tiles see */
static inline int64_t seen(const nn_conv *g, int64_t tiles) { return tile_of(g) * tiles + g->r - 1; }
static inline int64_t patch_floats(const wino *s)
{
    return seen(&s->g, s->t.box_down) * seen(&s->g, s->t.box_across) * 16;
}

/* ---- the three steps of a box ---- */

/* The part of one image of x[b,h,w,c] that begins at `row` and `column`, of the 16 channels from c0 on */
static inline void patch(float *to, const float *x, const nn_norm *norm, int64_t image, int64_t h, int64_t w, int64_t c,
                         int64_t c0, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    nn_patch a = {.rows = rows, .columns = columns};
    a.top = min(rows, max(0, -row)), a.left = min(columns, max(0, -column));
    a.bottom = max(a.top, min(rows, h - row)), a.right = max(a.left, min(columns, w - column));
    int empty = a.bottom == a.top || a.right == a.left; /* then there is no first pixel */
    if (empty) a.bottom = a.top, a.right = a.left;
    int64_t at = empty ? 0 : ((image * h + row + a.top) * w + column + a.left) * c + c0;
    nn_norm n;
    if (norm) n = *norm, n.columns += c0, n.z = n.z ? n.z + at : NULL, norm = &n;
    nn_k->winograd_patch(to, x + at, w * c, c, &a, norm);
}

/* v[point][tile][16] = B^T x B for the channels from c0 on */
static inline void box_in(const wino *s, float *v, float *room, const box *x, int64_t c0)
{
    const nn_conv *g = &s->g;
    int tile = tile_of(g);
    int64_t rows = seen(g, x->down), columns = seen(g, x->across);
    for (int64_t n = 0; n < x->images; n++) {
        patch(room, s->x, s->norm, x->image + n, g->h, g->w, g->c, c0, tile * x->i - g->top, tile * x->j - g->left,
              rows, columns);
        for (int64_t i = 0; i < x->down; i++, v += 16 * x->across)
            nn_k->winograd_in(v, s->v.plane, room + tile * i * columns * 16, columns * 16, x->across, tile);
    }
}

/* d[point][tile][16] = A dy A^T for the columns from o0 on. Whole tiles are read where they lie. */
static inline void box_dy(const wino *s, float *d, float *room, const box *x, int64_t o0)
{
    const nn_conv *g = &s->g;
    int tile = tile_of(g);
    int64_t row = g->q * g->o, q = tile * x->j;
    for (int64_t n = 0; n < x->images; n++)
        for (int64_t i = 0; i < x->down; i++, d += 16 * x->across) {
            const float *image = s->dy + (x->image + n) * g->p * row;
            int64_t p = tile * (x->i + i), direct = p + tile <= g->p ? min(x->across, (g->q - q) / tile) : 0;
            int64_t rest = x->across - direct;
            nn_k->winograd_dy(d, s->m.plane, image + p * row + q * g->o + o0, row, g->o, direct, tile);
            if (!rest) continue;
            patch(room, s->dy, NULL, x->image + n, g->p, g->q, g->o, o0, p, q + tile * direct, tile, tile * rest);
            nn_k->winograd_dy(d + 16 * direct, s->m.plane, room, 16 * tile * rest, 16, rest, tile);
        }
}

/* y = f(A^T m A + bias) for `width` columns from o0 on, and sums over it while it is in L1 */
static inline void box_out(const wino *s, const float *m, const box *x, int64_t o0, int64_t width)
{
    const nn_conv *g = &s->g;
    int tile = tile_of(g), begins = 1;
    int64_t row = g->q * g->o, q = tile * x->j, columns = min(tile * x->across, g->q - q);
    for (int64_t n = 0; n < x->images; n++)
        for (int64_t i = 0; i < x->down; i++, m += 16 * x->across, begins = 0) {
            int64_t p = tile * (x->i + i), rows = min(tile, g->p - p);
            int64_t at = ((x->image + n) * g->p + p) * row + q * g->o;
            float *y = s->y + at + o0;
            for (int64_t j = 0; j < width; j += 16)
                nn_k->winograd_out(y + j, row, g->o, m + j / 16 * s->m.block, s->m.plane, x->across, rows, columns,
                                   width - j, s->bias ? s->bias + o0 + j : NULL, s->acc, tile);
            for (int64_t r = 0; s->f && r < rows; r++, y += row) {
                if (width == g->o) s->f(y, y, s->attr, columns * width);
                else for (int64_t k = 0; k < columns; k++) s->f(y + k * g->o, y + k * g->o, s->attr, width);
            }
            const nn_lines lines = {x->number, rows, row, columns, o0, width, begins};
            if (s->moments) nn_moments_add(s->moments, s->y + at, &lines);
            if (s->sums) nn_grad_sums_add(s->sums, s->y + at, at, &lines);
        }
}

/* u = G w G^T for c channels from c0 and o columns from o0 on; `room` takes c whole(o) floats for each tap */
static inline void weights(const wino *s, float *u, float *room, int64_t c0, int64_t c, int64_t o0, int64_t o)
{
    const nn_conv *g = &s->g;
    if (!s->flipped) {
        nn_k->winograd_weights(u, s->u_plane, s->w + c0 * g->o + o0, g->c * g->o, g->o, c, o, tile_of(g));
        return;
    }
    int64_t ld = whole(o), taps = g->r * g->s;
    for (int64_t tap = 0; tap < taps; tap++)
        nn_k->transpose4(room + tap * c * ld, ld, s->w + ((taps - 1 - tap) * g->o + o0) * g->c + c0, g->c, c, o);
    nn_k->winograd_weights(u, s->u_plane, room, c * ld, ld, c, o, tile_of(g));
}

/* To be fetched: what a box needs of images of h rows of `row` floats, from `above` rows before its tiles on. With
 * several threads the next box may be another's; then this is for nothing. */
static inline void fetch(nn_ahead *f, int i, const wino *s, const float *images, int64_t number, int64_t h, int64_t row,
                  int64_t above)
{
    if (number >= s->t.boxes) return;
    box b = box_at(&s->t, number);
    int64_t first = tile_of(&s->g) * b.i - above, end = min(h, first + seen(&s->g, b.down));
    first = max(0, first);
    f->p[i] = images + (b.image * h + first) * row;
    f->n[i] = b.images > 1 ? b.images * h * row : (end - first) * row;
}

/* dw from the sum of all pieces, for 16 channels c */
static inline void sum_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    wino *s = arg;
    const nn_conv *g = &s->g;
    int64_t c0 = 16 * task, c = min(16, g->c - c0);
    float *u = s->u + c0 * s->oc;
    for (int64_t piece = 1; piece < s->pieces; piece++)
        for (int point = 0; point < 36; point++)
            nn_k->add_to(u + point * s->u_plane, u + (36 * piece + point) * s->u_plane, c * s->oc);
    nn_k->winograd_dweights(s->dw + c0 * g->o, g->c * g->o, g->o, u, s->u_plane, s->oc, c, g->o, s->acc,
                            tile_of(g));
}
#endif
