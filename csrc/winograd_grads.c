/* Both gradients of a convolution with a batch norm behind it, by Winograd's filtering, box by box: dy is the gradient
 * of the norm's input and never lies in memory, but is made of the gradient of its result while it is loaded, once for
 * both; x may be normalised on its way in likewise; and the sums that the gradient of x's norm begins with are taken
 * from dx while it is in cache. Of nine passes over arrays that conv_dx, conv_dw and the norm's second pass need (with
 * what a store reads) five are left, and memory works while the products run.
 *
 * For layers whose transformed weights and sums, 36 (c o) floats each, stay in L2 together with a box.
 */
#include "winograd_boxes.h"

typedef struct {
    wino dx, dw;      /* dx: dy is its x; dw: d is made by dx's patches. One tiling, and one scratch */
    float *u;         /* of the weights */
} both;

/* Floats of scratch: v of dy and later of x, m, d, a patch */
static int64_t room_of(const both *s)
{
    int64_t v = max(s->dx.v.plane, s->dw.v.plane);
    return 16 + 36 * (v + s->dx.m.plane + s->dw.m.plane) + max(patch_floats(&s->dx), patch_floats(&s->dw));
}

/* v = B^T dy B and d = A dy A^T of 16 channels, from one patch: the tiles of d lie inside its border. */
static void box_both(const both *s, float *v, float *d, float *room, const box *x, int64_t o0)
{
    const wino *a = &s->dx;
    const nn_conv *g = &a->g;
    int tile = tile_of(g);
    int64_t rows = seen(g, x->down), columns = seen(g, x->across), inner = (g->top * columns + g->left) * 16;
    for (int64_t n = 0; n < x->images; n++) {
        patch(room, a->x, a->norm, x->image + n, g->h, g->w, g->c, o0, tile * x->i - g->top, tile * x->j - g->left,
              rows, columns);
        for (int64_t i = 0; i < x->down; i++, v += 16 * x->across, d += 16 * x->across) {
            const float *from = room + tile * i * columns * 16;
            nn_k->winograd_in(v, a->v.plane, from, columns * 16, x->across, tile);
            nn_k->winograd_dy(d, s->dw.m.plane, from + inner, columns * 16, 16, x->across, tile);
        }
    }
}

/* m = u v, and dx of it; meanwhile what is written is fetched, and what the next box loads of dy. */
static void box_dx(const both *s, float *m, const float *v, const box *x)
{
    const wino *a = &s->dx;
    const nn_conv *g = &a->g;
    const float *u = s->u;
    for (int64_t o0 = 0; o0 < g->o; o0 += a->oc) {
        int64_t o = min(a->oc, g->o - o0);
        for (int64_t c0 = 0; c0 < g->c; c0 += a->cc, u += 36 * a->u_plane) {
            nn_ahead f = {0};
            if (o0 == 0 && c0 == 0) {
                fetch(&f, 0, a, a->y, x->number, g->p, g->q * g->o, 0);
                fetch(&f, 1, a, a->x, x->number + 1, g->h, g->w * g->c, g->top);
            }
            nn_k->winograd_product(m, a->m.plane, a->m.block, v + c0 / 16 * a->v.block, a->v.plane, a->v.block, u,
                                   a->u_plane, x->tiles, min(a->cc, g->c - c0), o, c0 > 0, &f);
        }
        box_out(a, m, x, o0, o);
    }
}

static void box_task(void *arg, int64_t task, int worker)
{
    both *s = arg;
    wino *a = &s->dx, *b = &s->dw;
    const nn_conv *g = &b->g;
    float *v = b->scratch + worker * b->room, *m = v + 36 * max(a->v.plane, b->v.plane), *d = m + 36 * a->m.plane;
    float *room = d + 36 * b->m.plane, *u = b->u + 36 * task * b->u_plane;
    int64_t first = b->t.boxes * task / b->pieces, end = b->t.boxes * (task + 1) / b->pieces;
    for (int64_t i = first; i < end; i++) {
        box x = box_at(&b->t, i);
        for (int64_t o0 = 0; o0 < g->o; o0 += 16)
            box_both(s, v + o0 / 16 * a->v.block, d + o0 / 16 * b->m.block, room, &x, o0);
        box_dx(s, m, v, &x);
        for (int64_t c0 = 0; c0 < g->c; c0 += 16) box_in(b, v + c0 / 16 * b->v.block, room, &x, c0);
        nn_ahead f = {0};
        fetch(&f, 0, b, a->norm->z, i + 1, g->p, g->q * g->o, g->top);
        fetch(&f, 1, b, b->x, i + 1, g->h, g->w * g->c, g->top);
        nn_k->winograd_dw(u, b->u_plane, b->oc, v, b->v.plane, b->v.block, d, b->m.plane, b->m.block, x.tiles, g->c,
                          g->o, i > first, &f);
    }
}

static void weights_task(void *arg, int64_t task, int worker)
{
    both *s = arg;
    wino *a = &s->dx;
    int64_t parts = ceil_div(a->g.c, a->cc), c0 = task % parts * a->cc, o0 = task / parts * a->oc;
    weights(a, s->u + 36 * task * a->u_plane, s->dw.scratch + worker * s->dw.room, c0, min(a->cc, a->g.c - c0), o0,
            min(a->oc, a->g.o - o0));
}

static int64_t l2_bytes(const nn_conv *g, int64_t tiles)
{
    return 36 * (int64_t)sizeof(float) * (2 * whole(g->c) * whole(g->o) + tiles * (whole(g->c) + whole(g->o)));
}

int nn_winograd_fits_both(const nn_conv *g)
{
    return g->p == g->h && g->q == g->w && 2 * g->top == g->r - 1 && 2 * g->left == g->s - 1 &&
           tiles_of(g) > FEW_TILES && l2_bytes(g, SMALL_BOX) <= L2;
}

int nn_winograd_grads(const nn_winograd_both *args, const nn_conv *g)
{
    nn_conv turned = *g;
    turned.c = g->o, turned.o = g->c;
    both s = {
        .dx = {.g = turned, .x = args->dy, .norm = args->norm_dy, .w = args->w, .y = args->dx, .flipped = 1,
               .acc = args->acc_dx, .sums = args->sums},
        .dw = {.g = *g, .x = args->x, .norm = args->norm, .dw = args->dw, .acc = args->acc_dw},
    };
    wino *a = &s.dx, *b = &s.dw;
    int64_t tiles = tiles_of(g);
    a->t = b->t = cut(g, l2_bytes(g, BOX) > L2 ? SMALL_BOX : BOX);
    a->oc = min(whole(g->c), BOX_COLUMNS), a->cc = min(whole(g->o), DEPTH), a->u_plane = a->cc * a->oc + 16;
    a->v = layout_of(a->t.tiles, g->o), a->m = layout_of(a->t.tiles, a->oc);
    b->pieces = min(b->t.boxes, max(1, min(PIECES, tiles / PIECE_TILES)));
    b->oc = whole(g->o), b->v = layout_of(b->t.tiles, g->c), b->m = layout_of(b->t.tiles, g->o);
    b->u_plane = whole(g->c) * b->oc + 16;
    b->room = max(room_of(&s), g->r * g->s * a->cc * a->oc);
    int64_t panels = ceil_div(g->c, a->oc) * ceil_div(g->o, a->cc);
    size_t u_bytes = (size_t)(36 * panels * a->u_plane) * sizeof(float);
    size_t du_bytes = (size_t)(36 * b->pieces * b->u_plane) * sizeof(float);
    double transforms = 10.0 * g->c * g->o * b->pieces, work = 2 * work_of(b, tiles);
    size_t bytes = (size_t)(nn_workers(fmax(transforms, work)) * b->room) * sizeof(float);
    s.u = nn_alloc(u_bytes), b->u = nn_alloc(du_bytes), b->scratch = nn_alloc(bytes);
    int status = s.u && b->u && b->scratch ? nn_grad_sums_start(a->sums, a->t.boxes) : NN_NOMEM;
    if (status == NN_OK) {
        nn_for(panels, transforms, weights_task, &s);
        nn_for(b->pieces, work, box_task, &s);
        nn_for(ceil_div(g->c, 16), transforms, sum_task, b);
        nn_grad_sums_finish(a->sums);
    }
    nn_free(s.u, u_bytes);
    nn_free(b->u, du_bytes);
    nn_free(b->scratch, bytes);
    return status;
}
