/* The gradient of a convolution's weights: dw[r,s,c,o] = sum over b p q of x * dy. Rows of the product are the
 * window's places and channels, k runs over pixels, in blocks of about PIXELS: lines of an image, or whole images.
 * Every block starts its sums at zero and is added to those before it, which keeps them accurate. For small maps k
 * runs over images instead.
 */
#include "correlate.h"
#include "gemm.h"
#include "par.h"

#define PIECES 8             /* independent sums, for threads ... */
#define PIECE_SIZE (1 << 21) /* ... while they are together at most so many floats */

typedef struct {
    const nn_conv *g;
    nn_correlation source; /* the forward direction, for nn_copy_with_border and where channels do not mix */
    float *dw, *partial;
    const float *x, *dy;
    int64_t band, bands, images_at_once, blocks, pieces, columns, chunks; /* bands of an image; columns of dw at once */
    int64_t pitch, image_size, scratch_size, packed_at;
    float *scratch;
    int acc, bordered, joined;
} weights;

/* One group's share of a block: x is its first pixel's first place. */
static void add_products(const weights *d, float *dw, const float *x, const float *dy, const nn_stretch *lines,
                         int64_t count, int64_t depth, int64_t columns, float *packed, int acc)
{
    const nn_conv *g = d->g;
    const nn_conv_lines one = {.images = 1, .lines = 1};
    int64_t inputs = g->c / g->groups, m = d->joined ? g->s * g->c : inputs, ldb = g->o;
    int wide = nn_k->gemm_wide(m, columns);
    if (g->r * g->s * inputs >= 64) {
        nn_k->gemm_pack_b(packed, dy, g->o, depth, columns, wide);
        dy = packed, ldb = 0;
    }
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < (d->joined ? 1 : g->s); s++)
            nn_k->conv_block(dw + (r * g->s + s) * inputs * g->o, g->o,
                             x + r * g->dilation_h * d->pitch + s * g->dilation_w * g->c, g->stride_w * g->c, 1, dy,
                             ldb, depth, lines, count, &one, NULL, acc, m, columns, wide);
}

/* The same where channels do not mix: line by line, without a border, as depthwise_task does. */
static void add_depthwise(const weights *d, float *dw, int64_t image, int64_t line, int64_t lines, nn_stretch *list)
{
    const nn_conv *g = d->g;
    const nn_correlation *c = &d->source;
    const float *x = d->x + image * g->h * g->w * g->c;
    int64_t first, end;
    nn_interior(c, &first, &end);
    for (int64_t i = line; i < line + lines; i++) {
        const float *dy = d->dy + (image * g->p + i) * g->q * g->o;
        const nn_next after = nn_next_line(c, i, g->q * g->o);
        for (int64_t j = 0; j < g->q;) {
            int within = j >= first && j < end;
            int64_t n = nn_inside(c, list, i, within ? -1 : j), next = within ? end : j + 1;
            nn_k->depthwise_grad_line(dw, g->c, x + j * g->stride_w * g->c, g->stride_w * g->c, list, n,
                                      dy + j * g->o, g->o, next - j, g->c, &after);
            j = next;
        }
    }
}

static void add_block(const weights *d, float *dw, int64_t block, int64_t column, int64_t columns, float *scratch,
                      int acc)
{
    const nn_conv *g = d->g;
    int64_t image = block / d->bands * d->images_at_once, line = block % d->bands * d->band;
    int64_t images = min(d->images_at_once, g->b - image), lines = min(d->band, g->p - line);
    int64_t h0 = line * g->stride_h - g->top, count = 0;
    const float *x = d->x + image * g->h * g->w * g->c, *dy = d->dy + (image * g->p + line) * g->q * g->o;
    nn_stretch *list = (nn_stretch *)scratch;
    float *copy = (float *)(list + d->images_at_once * d->band);
    for (int64_t b = 0; b < images && nn_depthwise(g); b++) add_depthwise(d, dw, image + b, line, lines, list);
    if (nn_depthwise(g)) return;
    for (int64_t b = 0; b < images; b++) {
        if (d->bordered)
            nn_copy_with_border(copy + b * d->image_size, d->pitch, &d->source, x + b * g->h * g->w * g->c, h0,
                             (lines - 1) * g->stride_h + (g->r - 1) * g->dilation_h + 1, -g->left,
                             (g->q - 1) * g->stride_w + (g->s - 1) * g->dilation_w + 1);
        for (int64_t i = 0; i < lines; i++)
            list[count++] = (nn_stretch){b * d->image_size + i * g->stride_h * d->pitch, (b * lines + i) * g->q, g->q};
    }
    x = d->bordered ? copy : x + (h0 * g->w - g->left) * g->c;
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups;
    for (int64_t i = 0; i < g->groups; i++)
        add_products(d, dw + i * outputs + column, x + i * inputs, dy + i * outputs + column, list, count,
                     images * lines * g->q, columns, scratch + d->packed_at, acc);
}

static void piece_task(void *arg, int64_t task, int worker)
{
    const weights *d = arg;
    const nn_conv *g = d->g;
    int64_t piece = task / d->chunks, column = task % d->chunks * d->columns;
    int64_t size = g->r * g->s * (g->c / g->groups) * g->o;
    int64_t columns = min(d->columns, g->o / g->groups - column);
    float *dw = d->pieces > 1 ? d->partial + piece * size : d->dw;
    int64_t first = piece * d->blocks / d->pieces, end = (piece + 1) * d->blocks / d->pieces;
    int acc = d->pieces == 1 && d->acc;
    if (nn_depthwise(g) && !acc) memset(dw, 0, (size_t)size * sizeof(float));
    for (int64_t block = first; block < end; block++)
        add_block(d, dw, block, column, columns, d->scratch + worker * d->scratch_size, acc || block > first);
}

static int weights_gradient(const nn_conv *g, float *dw, const float *x, const float *dy, int acc)
{
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, size = g->r * g->s * inputs * g->o;
    double work = 2.0 * g->b * g->p * g->q * size / FLOPS_PER_NS;
    int workers = nn_workers(work);
    int64_t pixels = (g->q - 1) * g->stride_w + (g->s - 1) * g->dilation_w + 1;
    int64_t window = (g->r - 1) * g->dilation_h + 1;
    weights d = {.g = g, .dw = dw, .x = x, .dy = dy, .acc = acc};
    d.source = (nn_correlation){.h = g->h, .w = g->w, .c = g->c, .pixels = g->q, .step_h = g->stride_h,
                                .step_w = g->stride_w,
                             .first_w = -g->left, .last_w = (g->s - 1) * g->dilation_w - g->left,
                             .last_h = (g->r - 1) * g->dilation_h - g->top};
    d.joined = g->groups == 1 && g->dilation_w == 1;
    d.bordered = !nn_depthwise(g) && (g->top > 0 || g->left > 0 || (g->p - 1) * g->stride_h + window > g->h ||
                                      pixels > g->w);
    d.pitch = d.bordered ? nn_pitch(pixels * g->c) : g->w * g->c;
    d.band = min(g->p, max(1, min(PIXELS / g->q, (BAND / d.pitch - window) / g->stride_h)));
    d.bands = ceil_div(g->p, d.band);
    d.band = ceil_div(g->p, d.bands);
    d.image_size = d.bordered ? ((d.band - 1) * g->stride_h + window) * d.pitch : g->h * g->w * g->c;
    d.images_at_once = d.bands > 1 ? 1 : max(1, min(PIXELS / (g->p * g->q), BAND / d.image_size));
    d.blocks = ceil_div(g->b, d.images_at_once) * d.bands;
    d.pieces = max(1, min(min(PIECES, d.blocks), PIECE_SIZE / size));
    d.columns = d.pieces > 1 || workers == 1 || nn_depthwise(g) ? outputs : min(outputs, 2 * nn_k->nr);
    d.chunks = ceil_div(outputs, d.columns);
    int64_t lists = max(d.images_at_once * d.band, g->r * g->s);
    d.packed_at = ceil_div(lists * (int64_t)sizeof(nn_stretch), 4) + 64;
    if (d.bordered) d.packed_at += d.images_at_once * d.image_size;
    d.packed_at = ceil_div(d.packed_at, 16) * 16;
    d.scratch_size = d.packed_at + nn_packed_size(d.images_at_once * d.band * g->q, d.columns) + 16;
    int64_t partial = d.pieces > 1 ? d.pieces * size : 0;
    size_t list = nn_depthwise(g) ? nn_places_bytes(g, 1) : 0;
    size_t bytes = list + (size_t)(ceil_div(partial, 16) * 16 + workers * d.scratch_size) * sizeof(float);
    char *memory = nn_alloc(bytes);
    if (!memory) return NN_NOMEM;
    d.partial = (float *)(memory + list);
    d.scratch = d.partial + ceil_div(partial, 16) * 16;
    d.source.places = (nn_place *)memory;
    for (int64_t t = 0; t < g->r * g->s && list; t++)
        nn_add_place(&d.source, t / g->s * g->dilation_h - g->top, t % g->s * g->dilation_w - g->left, t, 1);
    nn_for(d.pieces * d.chunks, work, piece_task, &d);
    if (partial) {
        if (acc) nn_k->add_to(dw, d.partial, size);
        else memcpy(dw, d.partial, (size_t)size * sizeof(float));
        for (int64_t i = 1; i < d.pieces; i++) nn_k->add_to(dw, d.partial + i * size, size);
    }
    nn_free(memory, bytes);
    return NN_OK;
}

/* The same for small maps: k runs over images, pixel by pixel, and pixels that see nothing but the border at a place
 * are left out. x and dy are laid out anew with images side by side. */
typedef struct {
    const nn_conv *g;
    float *dw, *x, *dy, *packed; /* x[pixel,image,pitch], dy[pixel,image,o] */
    int64_t pitch, images;       /* images of a block */
    nn_stretch *stretches;       /* of each worker */
    int acc, wide;
} small_weights;

static void by_pixels(float *to, int64_t pitch, const float *from, int64_t images, int64_t pixels, int64_t n)
{
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t b = 0; b < images; b++, to += pitch)
            memcpy(to, from + (b * pixels + i) * n, (size_t)n * sizeof(float));
}

static void place_task(void *arg, int64_t task, int worker)
{
    const small_weights *d = arg;
    const nn_conv *g = d->g;
    const nn_conv_lines one = {.images = 1, .lines = 1};
    int64_t group = task % g->groups, r = task / g->groups / g->s, s = task / g->groups % g->s;
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, rows = g->p * g->q * g->b;
    nn_stretch *list = d->stretches + worker * g->p * g->q;
    for (int64_t image = 0; image < g->b; image += d->images) {
        int64_t n = 0, images = min(d->images, g->b - image);
        for (int64_t i = 0; i < g->p * g->q; i++) {
            int64_t h = i / g->q * g->stride_h + r * g->dilation_h - g->top;
            int64_t w = i % g->q * g->stride_w + s * g->dilation_w - g->left;
            if (h < 0 || h >= g->h || w < 0 || w >= g->w) continue;
            list[n++] = (nn_stretch){((h * g->w + w) * g->b + image) * d->pitch, i * g->b + image, images};
        }
        nn_k->conv_block(d->dw + (r * g->s + s) * inputs * g->o + group * outputs, g->o, d->x + group * inputs,
                         d->pitch, 1,
                         d->packed + group * nn_packed_size(rows, outputs), 0, rows, list, n, &one, NULL,
                         d->acc || image > 0, inputs, outputs, d->wide);
    }
}

static int small_weights_gradient(const nn_conv *g, float *dw, const float *x, const float *dy, int acc)
{
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, in = g->h * g->w, out = g->p * g->q,
            rows = out * g->b;
    double work = 2.0 * g->b * out * g->r * g->s * inputs * g->o / FLOPS_PER_NS;
    small_weights d = {.g = g, .dw = dw, .pitch = g->c % 64 ? g->c : g->c + 16, .images = max(1, PIXELS / out),
                       .acc = acc,
                       .wide = nn_k->gemm_wide(inputs, outputs)};
    int64_t list = ceil_div(nn_workers(work) * out * (int64_t)sizeof(nn_stretch), 64) * 16, xs = in * g->b * d.pitch;
    size_t bytes = (size_t)(list + xs + 16 + rows * g->o + g->groups * nn_packed_size(rows, outputs)) * sizeof(float);
    if (!(d.stretches = nn_alloc(bytes))) return NN_NOMEM;
    d.x = (float *)d.stretches + list, d.dy = d.x + xs, d.packed = d.dy + rows * g->o;
    by_pixels(d.x, d.pitch, x, g->b, in, g->c);
    by_pixels(d.dy, g->o, dy, g->b, out, g->o);
    for (int64_t i = 0; i < g->groups; i++)
        nn_k->gemm_pack_b(d.packed + i * nn_packed_size(rows, outputs), d.dy + i * outputs, g->o, rows, outputs,
                          d.wide);
    nn_for(g->r * g->s * g->groups, work, place_task, &d);
    nn_free(d.stretches, bytes);
    return NN_OK;
}

int nn_conv_weights(const nn_conv *g, float *dw, const float *x, const float *dy, int acc)
{
    int small = nn_small_map(g->b, g->p * g->q) && !nn_depthwise(g);
    return small ? small_weights_gradient(g, dw, x, dy, acc) : weights_gradient(g, dw, x, dy, acc);
}
