/* Convolution with a window of 3 x 3 or 5 x 5 by Winograd's minimal filtering, F(4x4, 3x3) and F(2x2, 5x5): stride 1,
 * dilation 1, one group, no size 0.
 *
 *   y = A^T [(G w G^T) . (B^T x B)] A        dw = G^T [(B^T x B) . (A dy A^T)] G
 *
 * (Winograd 1980; Lavin and Gray 2016.) A tile takes 36 multiplications for each pair of channels: 4 x 4 pixels instead
 * of 144, or, with the larger window, 2 x 2 instead of 100. Both have 6 x 6 points and so the same B, products and
 * plan; G, A and the distance of tiles differ. The points are 0, +-3/4, +-3/2 and infinity: against Lavin and Gray's
 * +-1, +-2 they cost nothing and halve the error, to two or three times that of a direct sum in float32. F(2x2, 3x3)
 * saves too little to be kept beside them.
 *
 * Axes as in conv.h. Tiles lie [image, down, across] and are cut into boxes. All cuts depend on sizes only; partial
 * sums are added in the order of boxes and pieces. NaN or infinity in x gives NaN in the tiles that see it, up to 5
 * pixels away, and nowhere else; in w or dy, in all that the channel reaches.
 *
 * What decides the speed is where the transformed data stay: u = G w G^T, v = B^T x B, m = u v, d = A dy A^T.
 *
 *   boxes    many tiles: u is made once; for each small box v, m and y follow on each other within L2. Channels are cut
 *            into runs, which costs nothing and halves the error for 256 of them.
 *   panels   few tiles: v of a large box is made once; then for a panel of columns o after another, u is made piece by
 *            piece in L2 and used at once. With 4 x 4 maps u is larger than all else: 38 MB for 512 channels.
 *   pieces   dw of few channels: boxes, whose products are added up in a u for each piece of the batch.
 *   chunks   dw of many channels: v and d of a large box are made; then, a chunk of c and o after
 *            another, u, and dw from it while it is in L2.
 *
 * Memory is idle during the products, so they fetch the next box and the pixels of y (nn_ahead). For 16 to 32
 * channels that saves a fifth of the whole, and lets boxes be small. Each box is copied once, with a border of zeros,
 * which gives all tiles the same form.
 *
 * Sizes were measured on a Xeon (Cascade Lake, 1 MB of L2). Tried there without gain: huge pages for the scratch,
 * boxes of 64 and 128 tiles unless m takes v's place, panels for 256 tiles, prefetching w.
 */
#include "winograd_boxes.h"

#define PANEL_COLUMNS 64  /* of so many columns */
#define DW_SMALL_CHANNELS 128 /* c + o up to which dw's boxes are BOX, */
#define DW_BOX 64         /* and else this */
#define CHUNK_TILES 256   /* of a box of chunks */
#define CHUNK_WEIGHTS (128 * 256) /* c * o from which it is chunks ... */
#define CHUNK_C 32        /* ... of so many channels, */
#define CHUNK_O 64        /* so many columns, */
#define CHUNK_DEPTH 128   /* and so many tiles to a sum that starts at zero */

/* ---- forward ---- */

/* u in pieces: those of cc channels for each panel of oc columns */
static void weights_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    int64_t parts = ceil_div(s->g.c, s->cc), c0 = task % parts * s->cc, o0 = task / parts * s->oc;
    weights(s, s->u + 36 * task * s->u_plane, s->scratch + worker * s->room, c0, min(s->cc, s->g.c - c0), o0,
            min(s->oc, s->g.o - o0));
}

static void box_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    const nn_conv *g = &s->g;
    float *v = s->scratch + worker * s->room, *m = s->in_place ? v : v + 36 * s->v.plane, *u = s->u;
    float *room = m + 36 * s->m.plane;
    box x = box_at(&s->t, task);
    for (int64_t c0 = 0; c0 < g->c; c0 += 16) box_in(s, v + c0 / 16 * s->v.block, room, &x, c0);
    for (int64_t o0 = 0; o0 < g->o; o0 += s->oc) {
        int64_t o = min(s->oc, g->o - o0);
        for (int64_t c0 = 0; c0 < g->c; c0 += s->cc, u += 36 * s->u_plane) {
            int64_t c = min(s->cc, g->c - c0);
            nn_ahead f = {0};
            if (o0 == 0 && c0 == 0) fetch(&f, 0, s, s->y, task, g->p, g->q * g->o, 0);
            if (o0 + o == g->o && c0 + c == g->c) fetch(&f, 1, s, s->x, task + 1, g->h, g->w * g->c, g->top);
            nn_k->winograd_product(m, s->m.plane, s->m.block, v + c0 / 16 * s->v.block, s->v.plane, s->v.block, u,
                                   s->u_plane, x.tiles, c, o, c0 > 0, &f);
        }
        box_out(s, m, &x, o0, o);
    }
}

/* Of u, v and m for a box of so many tiles */
static int64_t box_bytes(const nn_conv *g, int64_t tiles)
{
    return 36 * (int64_t)sizeof(float) * (g->c * g->o + tiles * (g->c + BOX_COLUMNS));
}

static int run_boxes(wino *s)
{
    const nn_conv *g = &s->g;
    /* A register tile has read all channels of its tiles before it writes, so that m may be v if it has all columns. */
    s->in_place = g->o <= WINO_WIDE * nn_k->vl && whole(g->c) >= whole(g->o) && g->c <= DEPTH;
    s->t = cut(g, s->in_place ? LARGE_BOX : box_bytes(g, BOX) > L2 && box_bytes(g, SMALL_BOX) <= L2 ? SMALL_BOX : BOX);
    s->oc = min(whole(g->o), g->c > DEPTH ? DEEP_COLUMNS : BOX_COLUMNS), s->cc = min(whole(g->c), DEPTH);
    s->v = layout_of(s->t.tiles, g->c), s->m = s->in_place ? s->v : layout_of(s->t.tiles, s->oc);
    s->u_plane = s->cc * s->oc + 16;
    s->room = 16 + max(36 * (s->v.plane + s->m.plane) + patch_floats(s), g->r * g->s * s->cc * s->oc);
    int64_t panels = ceil_div(g->o, s->oc) * ceil_div(g->c, s->cc);
    size_t u_bytes = (size_t)(36 * panels * s->u_plane) * sizeof(float);
    double transforms = 10.0 * g->c * g->o, work = work_of(s, tiles_of(g));
    size_t bytes = (size_t)(nn_workers(fmax(transforms, work)) * s->room) * sizeof(float);
    s->u = nn_alloc(u_bytes), s->scratch = nn_alloc(bytes);
    int status = s->u && s->scratch ? nn_moments_start(s->moments, s->t.boxes) : NN_NOMEM;
    if (status == NN_OK) {
        nn_for(panels, transforms, weights_task, s);
        nn_for(s->t.boxes, work, box_task, s);
        nn_moments_finish(s->moments);
    }
    nn_free(s->u, u_bytes);
    nn_free(s->scratch, bytes);
    return status;
}

static void in_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    box x = box_at(&s->t, s->number);
    box_in(s, s->all_v + task * s->v.block, s->scratch + worker * s->room, &x, 16 * task);
}

static void panel_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    const nn_conv *g = &s->g;
    float *u = s->scratch + worker * s->room, *m = u + 36 * s->u_plane, *room = m + 36 * s->m.plane;
    int64_t o0 = task * s->oc, o = min(s->oc, g->o - o0);
    box x = box_at(&s->t, s->number);
    const nn_ahead none = {0};
    for (int64_t c0 = 0; c0 < g->c; c0 += s->cc) {
        int64_t c = min(s->cc, g->c - c0);
        weights(s, u, room, c0, c, o0, o);
        nn_k->winograd_product(m, s->m.plane, s->m.block, s->all_v + c0 / 16 * s->v.block, s->v.plane, s->v.block, u,
                               s->u_plane, x.tiles, c, o, c0 > 0, &none);
    }
    box_out(s, m, &x, o0, o);
}

static int run_panels(wino *s)
{
    const nn_conv *g = &s->g;
    s->t = cut(g, FEW_TILES);
    s->oc = min(whole(g->o), PANEL_COLUMNS), s->cc = min(whole(g->c), DEPTH);
    s->v = layout_of(s->t.tiles, g->c), s->m = layout_of(s->t.tiles, s->oc), s->u_plane = s->cc * s->oc + 16;
    s->room = 16 + max(36 * (s->u_plane + s->m.plane) + g->r * g->s * s->cc * s->oc, patch_floats(s));
    size_t v_bytes = (size_t)(36 * s->v.plane) * sizeof(float);
    double transforms = 5.0 * s->t.tiles * g->c, work = work_of(s, s->t.tiles);
    size_t bytes = (size_t)(nn_workers(fmax(transforms, work)) * s->room) * sizeof(float);
    s->all_v = nn_alloc(v_bytes), s->scratch = nn_alloc(bytes);
    int status = s->all_v && s->scratch ? nn_moments_start(s->moments, s->t.boxes) : NN_NOMEM;
    for (s->number = 0; status == NN_OK && s->number < s->t.boxes; s->number++) {
        nn_for(ceil_div(g->c, 16), transforms, in_task, s);
        nn_for(ceil_div(g->o, s->oc), work, panel_task, s);
    }
    if (status == NN_OK) nn_moments_finish(s->moments);
    nn_free(s->all_v, v_bytes);
    nn_free(s->scratch, bytes);
    return status;
}

int nn_winograd(float *y, const float *x, const float *w, const float *bias, const nn_conv *g, int flipped, int acc,
                nn_unary_fn *f, const float *attr, nn_moments *moments, const nn_norm *norm)
{
    wino s = {.g = *g, .y = y, .x = x, .w = w, .bias = bias, .flipped = flipped, .acc = acc, .f = f, .attr = attr,
              .moments = moments, .norm = norm};
    return tiles_of(g) <= FEW_TILES ? run_panels(&s) : run_boxes(&s);
}

/* ---- the gradient of the weights ---- */

static void piece_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    const nn_conv *g = &s->g;
    float *v = s->scratch + worker * s->room, *d = v + 36 * s->v.plane, *room = d + 36 * s->m.plane;
    float *u = s->u + 36 * task * s->u_plane;
    int64_t first = s->t.boxes * task / s->pieces, end = s->t.boxes * (task + 1) / s->pieces;
    for (int64_t i = first; i < end; i++) {
        box x = box_at(&s->t, i);
        for (int64_t c0 = 0; c0 < g->c; c0 += 16) box_in(s, v + c0 / 16 * s->v.block, room, &x, c0);
        for (int64_t o0 = 0; o0 < g->o; o0 += 16) box_dy(s, d + o0 / 16 * s->m.block, room, &x, o0);
        nn_ahead f = {0};
        fetch(&f, 0, s, s->x, i + 1, g->h, g->w * g->c, g->top);
        fetch(&f, 1, s, s->dy, i + 1, g->p, g->q * g->o, 0);
        nn_k->winograd_dw(u, s->u_plane, s->oc, v, s->v.plane, s->v.block, d, s->m.plane, s->m.block, x.tiles, g->c,
                          g->o, i > first, &f);
    }
}

static int run_pieces(wino *s)
{
    const nn_conv *g = &s->g;
    int64_t tiles = tiles_of(g);
    s->t = cut(g, g->c + g->o <= DW_SMALL_CHANNELS ? BOX : DW_BOX);
    s->pieces = min(s->t.boxes, max(1, min(PIECES, tiles / PIECE_TILES)));
    s->oc = whole(g->o), s->v = layout_of(s->t.tiles, g->c), s->m = layout_of(s->t.tiles, g->o);
    s->u_plane = whole(g->c) * s->oc + 16;
    s->room = 16 + 36 * (s->v.plane + s->m.plane) + patch_floats(s);
    size_t u_bytes = (size_t)(36 * s->pieces * s->u_plane) * sizeof(float);
    double transforms = 10.0 * g->c * g->o * s->pieces, work = work_of(s, tiles);
    size_t bytes = (size_t)(nn_workers(fmax(transforms, work)) * s->room) * sizeof(float);
    s->u = nn_alloc(u_bytes), s->scratch = nn_alloc(bytes);
    int status = s->u && s->scratch ? NN_OK : NN_NOMEM;
    if (status == NN_OK) {
        nn_for(s->pieces, work, piece_task, s);
        nn_for(ceil_div(g->c, 16), transforms, sum_task, s);
    }
    nn_free(s->u, u_bytes);
    nn_free(s->scratch, bytes);
    return status;
}

/* v of 16 channels, or d */
static void transform_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    int64_t blocks = ceil_div(s->g.c, 16);
    float *room = s->scratch + worker * s->room;
    box x = box_at(&s->t, s->number);
    if (task < blocks) box_in(s, s->all_v + task * s->v.block, room, &x, 16 * task);
    else box_dy(s, s->all_d + (task - blocks) * s->m.block, room, &x, 16 * (task - blocks));
}

/* The sums of all boxes stay in s->u; of a single box they are only passed through. */
static void chunk_task(void *arg, int64_t task, int worker)
{
    wino *s = arg;
    const nn_conv *g = &s->g;
    int64_t chunks = ceil_div(g->c, s->cc), c0 = task % chunks * s->cc, o0 = task / chunks * s->oc;
    int64_t c = min(s->cc, g->c - c0), o = min(s->oc, g->o - o0);
    float *u = s->u ? s->u + 36 * task * s->u_plane : s->scratch + worker * s->room;
    const float *v = s->all_v + c0 / 16 * s->v.block, *d = s->all_d + o0 / 16 * s->m.block;
    box x = box_at(&s->t, s->number);
    const nn_ahead none = {0};
    for (int64_t t = 0; t < x.tiles; t += CHUNK_DEPTH)
        nn_k->winograd_dw(u, s->u_plane, s->oc, v + 16 * t, s->v.plane, s->v.block, d + 16 * t, s->m.plane, s->m.block,
                          min(CHUNK_DEPTH, x.tiles - t), c, o, s->number > 0 || t > 0, &none);
    if (s->number + 1 == s->t.boxes)
        nn_k->winograd_dweights(s->dw + c0 * g->o + o0, g->c * g->o, g->o, u, s->u_plane, s->oc, c, o, s->acc,
                                tile_of(g));
}

static int run_chunks(wino *s)
{
    const nn_conv *g = &s->g;
    s->t = cut(g, CHUNK_TILES);
    s->oc = min(whole(g->o), CHUNK_O), s->cc = min(whole(g->c), CHUNK_C);
    s->v = layout_of(s->t.tiles, g->c), s->m = layout_of(s->t.tiles, g->o), s->u_plane = s->cc * s->oc + 16;
    s->room = 16 + max(36 * s->u_plane, patch_floats(s));
    int64_t chunks = ceil_div(g->c, s->cc) * ceil_div(g->o, s->oc), blocks = ceil_div(g->c, 16) + ceil_div(g->o, 16);
    size_t v_bytes = (size_t)(36 * s->v.plane) * sizeof(float), d_bytes = (size_t)(36 * s->m.plane) * sizeof(float);
    size_t u_bytes = s->t.boxes > 1 ? (size_t)(36 * chunks * s->u_plane) * sizeof(float) : 0;
    double transforms = 5.0 * s->t.tiles * (g->c + g->o), work = work_of(s, s->t.tiles);
    size_t bytes = (size_t)(nn_workers(fmax(transforms, work)) * s->room) * sizeof(float);
    s->all_v = nn_alloc(v_bytes), s->all_d = nn_alloc(d_bytes), s->scratch = nn_alloc(bytes);
    s->u = u_bytes ? nn_alloc(u_bytes) : NULL;
    int status = s->all_v && s->all_d && s->scratch && (s->u || !u_bytes) ? NN_OK : NN_NOMEM;
    for (s->number = 0; status == NN_OK && s->number < s->t.boxes; s->number++) {
        nn_for(blocks, transforms, transform_task, s);
        nn_for(chunks, work, chunk_task, s);
    }
    nn_free(s->all_v, v_bytes);
    nn_free(s->all_d, d_bytes);
    nn_free(s->scratch, bytes);
    nn_free(s->u, u_bytes);
    return status;
}

int nn_winograd_dw(float *dw, const float *x, const float *dy, const nn_conv *g, int acc, const nn_norm *norm)
{
    wino s = {.g = *g, .x = x, .dy = dy, .dw = dw, .acc = acc, .norm = norm};
    return g->c * g->o >= CHUNK_WEIGHTS ? run_chunks(&s) : run_pieces(&s);
}
