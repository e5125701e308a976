/* Depthwise convolution with windows of 3 x 3, step 1 or 2: what kernels/depthwise.h has tiles for. Others go through
 * correlate.c and conv_weights.c. Nothing is copied and nothing packed; tasks are bands of lines of an image.
 */
#include "correlate.h"
#include "par.h"

#define PIECES 8 /* independent sums of the weights' gradient, for threads */

int nn_depthwise3_fits(const nn_conv *g)
{
    return nn_depthwise(g) && g->r == 3 && g->s == 3 && g->dilation_h == 1 && g->dilation_w == 1 &&
           g->stride_h == g->stride_w && g->stride_h <= 2;
}

static nn_window3 window(const nn_conv *g)
{
    return (nn_window3){.h = g->h, .w = g->w, .c = g->c, .p = g->p, .q = g->q, .step = g->stride_h, .top = g->top,
                        .left = g->left};
}
static double nanoseconds(const nn_conv *g) { return 18.0 * g->b * g->p * g->q * g->c / FLOPS_PER_NS; }

/* Lines of a band, of images of so many: whole tiles. */
static int64_t band_of(int64_t lines, int64_t most)
{
    return min(lines, max(4, ceil_div(ceil_div(lines, ceil_div(lines, max(1, most))), 4) * 4));
}

/* ---- forward, and the gradient of the input ---------------------------------------------------------------------- */

typedef struct {
    nn_window3 g;
    float *y;
    const float *x, *w, *bias; /* x in y, or dy in dx */
    int64_t ldw, y_image, y_line, x_image, lines, band, bands;
    int acc, apart; /* apart: the gradient with step 2 */
    nn_unary_fn *f;
    const float *attr;
    nn_moments *moments;
} depthwise;

static void band_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const depthwise *d = arg;
    int64_t image = task / d->bands;
    nn_window3 g = d->g;
    g.first = task % d->bands * d->band, g.end = min(d->lines, g.first + d->band);
    float *y = d->y + image * d->y_image, *made = y + g.first * d->y_line;
    const float *x = d->x + image * d->x_image;
    if (d->apart) nn_k->depthwise3_dx2(y, x, d->w, d->bias, d->acc, &g);
    else nn_k->depthwise3(y, x, d->w, d->ldw, d->bias, d->acc, &g);
    int64_t n = (g.end - g.first) * d->y_line;
    if (d->f) d->f(made, made, d->attr, n);
    if (d->moments) nn_moments_add(d->moments, made, &(nn_lines){task, 1, n, n / g.c, 0, g.c, 1});
}

static int run(depthwise *d, int64_t images, double work)
{
    if (images * d->y_image == 0) return NN_OK;
    d->band = band_of(d->lines, BAND / d->y_line);
    d->bands = ceil_div(d->lines, d->band);
    if (nn_moments_start(d->moments, images * d->bands) != NN_OK) return NN_NOMEM;
    nn_for(images * d->bands, work, band_task, d);
    nn_moments_finish(d->moments);
    return NN_OK;
}

int nn_depthwise3(const nn_conv *g, float *y, const float *x, const float *w, const float *bias, nn_unary_fn *f,
                  const float *attr, nn_moments *moments)
{
    depthwise d = {.g = window(g), .y = y, .x = x, .w = w, .ldw = g->c, .bias = bias, .y_image = g->p * g->q * g->c,
                   .y_line = g->q * g->c, .x_image = g->h * g->w * g->c, .lines = g->p, .f = f, .attr = attr,
                   .moments = moments};
    return run(&d, g->b, nanoseconds(g));
}

int nn_depthwise3_dx(const nn_conv *g, float *dx, const float *dy, const float *w, const float *bias, int acc)
{
    depthwise d = {.g = window(g), .y = dx, .x = dy, .w = w, .ldw = g->c, .bias = bias, .acc = acc,
                   .y_image = g->h * g->w * g->c, .y_line = g->w * g->c, .x_image = g->p * g->q * g->c, .lines = g->h,
                   .apart = g->stride_h == 2};
    if (!d.apart) { /* a convolution of dy with the window turned around */
        d.g = (nn_window3){.h = g->p, .w = g->q, .c = g->c, .p = g->h, .q = g->w, .step = 1, .top = 2 - g->top,
                           .left = 2 - g->left};
        d.w = w + 8 * g->c, d.ldw = -g->c;
    }
    return run(&d, g->b, nanoseconds(g));
}

/* ---- the gradient of the weights --------------------------------------------------------------------------------- */

/* A tile's sums are added up over a block of about PIXELS pixels: lines of an image, or whole images; the blocks' to a
 * piece's, and the pieces' in order. That keeps them accurate. */
typedef struct {
    const nn_conv *g;
    float *sums; /* of each piece; of its block */
    const float *x, *dy;
    int64_t band, bands, images_at_once, blocks, pieces;
} depthwise_weights;

static void piece_task(void *arg, int64_t piece, int worker)
{
    (void)worker;
    const depthwise_weights *d = arg;
    const nn_conv *g = d->g;
    int64_t size = 9 * g->c, first = piece * d->blocks / d->pieces, end = (piece + 1) * d->blocks / d->pieces;
    float *sum = d->sums + 2 * piece * size, *part = sum + size;
    nn_window3 w = window(g);
    for (int64_t block = first; block < end; block++) {
        float *to = block > first ? part : sum;
        int64_t image = block / d->bands * d->images_at_once, images = min(g->b, image + d->images_at_once);
        w.first = block % d->bands * d->band, w.end = min(g->p, w.first + d->band);
        memset(to, 0, (size_t)size * sizeof(float));
        for (; image < images; image++)
            nn_k->depthwise3_dw(to, d->x + image * g->h * g->w * g->c, d->dy + image * g->p * g->q * g->c, &w);
        if (to == part) nn_k->add_to(sum, part, size);
    }
}

int nn_depthwise3_dw(const nn_conv *g, float *dw, const float *x, const float *dy, int acc)
{
    depthwise_weights d = {.g = g, .x = x, .dy = dy, .band = band_of(g->p, PIXELS / g->q)};
    int64_t size = 9 * g->c;
    d.bands = ceil_div(g->p, d.band);
    d.images_at_once = d.bands > 1 ? 1 : max(1, PIXELS / (g->p * g->q));
    d.blocks = ceil_div(g->b, d.images_at_once) * d.bands;
    d.pieces = min(PIECES, d.blocks);
    size_t bytes = (size_t)(2 * d.pieces * size) * sizeof(float);
    if (!(d.sums = nn_alloc(bytes))) return NN_NOMEM;
    nn_for(d.pieces, nanoseconds(g), piece_task, &d);
    if (acc) nn_k->add_to(dw, d.sums, size);
    else memcpy(dw, d.sums, (size_t)size * sizeof(float));
    for (int64_t i = 1; i < d.pieces; i++) nn_k->add_to(dw, d.sums + 2 * i * size, size);
    nn_free(d.sums, bytes);
    return NN_OK;
}
