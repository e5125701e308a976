/* Convolution: y[b,p,q,o] = sum over r s c of x[b, p*stride+r*dilation-top, q*stride+s*dilation-left, c] * w[r,s,c,o], its
 * two gradients, and the transposed convolution, which is the gradient of the input. Images are features last.
 *
 * All of them run through the register tiles of gemm.h without a matrix of gathered windows. Forward, a tile's rows are
 * pixels of a line, and k runs through the window place by place (nn_stretch). Zeros around the image come from a copy of a
 * band of it with a border, in scratch memory that stays in L2; without padding the image is read where it lies.
 *
 *   correlate   y from x: forward with the window's places as they are; the gradient of the input with their signs turned,
 *               and with stride one correlation for each of the stride_h * stride_w pixels that see the same places
 *   pixels      the same for maps of up to SMALL_MAP pixels: rows are images, and places outside of the image are left out
 *   weights     dw: rows are the window's places, k runs over pixels
 *
 * 1 x 1 windows without padding and stride are products of gemm.c; 3 x 3 ones of stride 1 may go to winograd.c.
 * Rejected: packing of a, as gemm.c does, because a window's pixels are already close together; edge tiles of their own
 * for the border, which need one set of places for each side and corner.
 */
#include <string.h>
#include "conv.h"
#include "gemm.h"
#include "par.h"

#define BAND 49152      /* floats of the images of a task: stays in L2 beside a panel of weights */
#define DEPTH 800       /* of k in one go: a panel of weights stays in L2 */
#define SMALL_MAP 16    /* pixels up to which rows are images */
#define SMALL_BATCH 8   /* ... from so many images on */
#define PIXELS 512      /* depth of a block of the weights' gradient */
#define PIECES 8        /* independent sums of it, for threads ... */
#define PIECE_SIZE (1 << 21) /* ... while they are together at most so many floats */
#define WINOGRAD_CHANNELS 12 /* channels in and out, and pixels of the map's sides, from which winograd.c is chosen */
#define WINOGRAD_MAP 3
#define FLOPS_PER_NS 80.0

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* A place of the window: x's pixel relative to the output's, its channels from c on, and the rows of the weights that belong
 * to them. k of them: where places are neighbours in memory, one stands for several. */
typedef struct {
    int64_t h, w, c, row, k;
} place;

typedef struct {
    float *y;
    const float *x, *weights, *bias; /* weights: packed, or [place,c] where channels do not mix */
    int64_t images, lines, pixels;   /* of y */
    int64_t y_image, y_line, y_pixel; /* in floats, as all steps below */
    int64_t h, w, c, step_h, step_w; /* x: its size, and its pixels for one pixel of y */
    int64_t groups, inputs, outputs; /* channels of a group */
    int64_t rows;                    /* of packed weights of a group */
    int depthwise, acc, wide;
    nn_unary_fn *f;
    const float *attr;
    place *places;
    int64_t count;
    /* made by correlate */
    int64_t first_h, first_w, last_h, last_w; /* of all places */
    int bordered;
    int64_t band, bands, images_at_once;      /* lines of a band; bands of an image; images of a task */
    int64_t pitch, window_lines;              /* floats of a line, and lines, of what is read for a band */
    nn_stretch *stretches;                    /* with `pitch` */
    float *scratch;                           /* of each worker: bordered copies */
    int64_t scratch_size;
} correlation;

/* Floats of packed weights. */
static int64_t packed_size(int64_t rows, int64_t outputs) { return rows * ceil_div(outputs, nn_k->vl) * nn_k->vl; }

/* Lines h0 .. h0+lines and pixels w0 .. w0+pixels of an image, zeros where there is none. */
static void copy_with_border(float *to, int64_t pitch, const correlation *g, const float *x, int64_t h0, int64_t lines,
                             int64_t w0, int64_t pixels)
{
    int64_t left = min(max(0, -w0), pixels), inside = max(0, min(g->w - w0, pixels) - left), c = g->c;
    for (int64_t i = h0; i < h0 + lines; i++, to += pitch) {
        if (i < 0 || i >= g->h) {
            memset(to, 0, (size_t)(pixels * c) * sizeof(float));
            continue;
        }
        memset(to, 0, (size_t)(left * c) * sizeof(float));
        memcpy(to + left * c, x + (i * g->w + w0 + left) * c, (size_t)(inside * c) * sizeof(float));
        memset(to + (left + inside) * c, 0, (size_t)((pixels - left - inside) * c) * sizeof(float));
    }
}

/* How many stretches from `first` on make up the next block of k. */
static int64_t block_of(const nn_stretch *x, int64_t first, int64_t count, int64_t depth)
{
    int64_t n = 0, k = 0;
    while (first + n < count && (n == 0 || k + x[first + n].k <= depth)) k += x[first + n++].k;
    return n;
}

/* One group of channels of some lines, in blocks of k. */
static void run_lines(const correlation *g, float *y, const float *x, int64_t rs, int64_t pixels, const nn_conv_lines *l,
                      const nn_stretch *stretches, int64_t count, int64_t group)
{
    const float *weights = g->weights + group * packed_size(g->rows, g->outputs);
    const float *bias = g->bias ? g->bias + group * g->outputs : NULL;
    int64_t done = 0;
    do {
        int64_t n = block_of(stretches, done, count, DEPTH);
        nn_k->conv_block(y + group * g->outputs, g->y_pixel, x + group * g->inputs, rs, 0, weights, 0, g->rows,
                         stretches + done, n, l, done ? NULL : bias, g->acc || done, pixels, g->outputs, g->wide);
        done += n;
    } while (done < count);
}

/* The places of line i of y that lie in the image, for pixel j, or for all pixels (j < 0), whose columns then count as
 * inside. a is their distance from the first pixel that the output's sees, h0 w0. */
static int64_t inside(const correlation *g, nn_stretch *to, int64_t i, int64_t j)
{
    int64_t n = 0;
    for (int64_t t = 0; t < g->count; t++) {
        const place *p = &g->places[t];
        int64_t h = i * g->step_h + p->h, w = j * g->step_w + p->w;
        if (h < 0 || h >= g->h || (j >= 0 && (w < 0 || w >= g->w))) continue;
        to[n++] = (nn_stretch){(h * g->w + p->w) * g->c + p->c, p->row, p->k};
    }
    return n;
}

/* The pixels of a line that see nothing beyond its ends: first .. end. */
static void interior(const correlation *g, int64_t *first, int64_t *end)
{
    *first = min(g->pixels, ceil_div(max(0, -g->first_w), g->step_w));
    *end = max(*first, min(g->pixels, g->last_w < g->w ? (g->w - 1 - g->last_w) / g->step_w + 1 : 0));
}

/* Channels that do not mix need little arithmetic: a copy with a border would cost as much. Lines above and below the image
 * are left out of the list of places, and pixels near the ends of a line have lists of their own. */
static void depthwise_task(void *arg, int64_t task, int worker)
{
    const correlation *g = arg;
    int64_t image = task / g->bands, line = task % g->bands * g->band, end_line = min(line + g->band, g->lines), first, end;
    nn_stretch *list = (nn_stretch *)(g->scratch + worker * g->scratch_size);
    const float *x = g->x + image * g->h * g->w * g->c;
    interior(g, &first, &end);
    for (int64_t i = line; i < end_line; i++) {
        float *y = g->y + image * g->y_image + i * g->y_line;
        for (int64_t j = 0; j < g->pixels;) {
            int within = j >= first && j < end;
            int64_t n = inside(g, list, i, within ? -1 : j), next = within ? end : j + 1;
            nn_k->depthwise_line(y + j * g->y_pixel, g->y_pixel, x + j * g->step_w * g->c, g->step_w * g->c, g->weights, g->c,
                                 list, n, g->bias, g->acc, next - j, g->c);
            j = next;
        }
        if (g->f) g->f(y, y, g->attr, g->y_line);
    }
}

static void band_task(void *arg, int64_t task, int worker)
{
    const correlation *g = arg;
    int64_t image = task / g->bands * g->images_at_once, line = task % g->bands * g->band;
    nn_conv_lines l = {.images = min(g->images_at_once, g->images - image), .lines = min(g->band, g->lines - line),
                       .c_image = g->y_image, .c_line = g->y_line, .a_image = g->h * g->w * g->c,
                       .a_line = g->step_h * g->pitch};
    float *y = g->y + image * g->y_image + line * g->y_line;
    const float *x = g->x + image * l.a_image;
    int64_t h0 = line * g->step_h + g->first_h;
    if (g->bordered) {
        float *copy = g->scratch + worker * g->scratch_size;
        int64_t lines = (l.lines - 1) * g->step_h + g->last_h - g->first_h + 1, size = g->window_lines * g->pitch;
        for (int64_t b = 0; b < l.images; b++)
            copy_with_border(copy + b * size, g->pitch, g, x + b * l.a_image, h0, lines, g->first_w,
                             (g->pixels - 1) * g->step_w + g->last_w - g->first_w + 1);
        x = copy;
        l.a_image = size;
    } else x += (h0 * g->w + g->first_w) * g->c;
    for (int64_t group = 0; group < g->groups; group++)
        run_lines(g, y, x, g->step_w * g->c, g->pixels, &l, g->stretches, g->count, group);
    if (g->f)
        for (int64_t b = 0; b < l.images; b++)
            g->f(y + b * g->y_image, y + b * g->y_image, g->attr, l.lines * g->y_line);
}

/* Small maps: rows are images, pixel by pixel, through the places that lie in the image. */
static void pixels_task(void *arg, int64_t task, int worker)
{
    const correlation *g = arg;
    int64_t image = task * g->images_at_once, images = min(g->images_at_once, g->images - image);
    int64_t x_image = g->h * g->w * g->c;
    nn_stretch *list = (nn_stretch *)(g->scratch + worker * g->scratch_size);
    const nn_conv_lines one = {.images = 1, .lines = 1};
    correlation rows = *g;
    rows.y_pixel = g->y_image;
    for (int64_t i = 0; i < g->lines; i++)
        for (int64_t j = 0; j < g->pixels; j++) {
            int64_t n = inside(g, list, i, j);
            float *y = g->y + image * g->y_image + i * g->y_line + j * g->y_pixel;
            for (int64_t group = 0; group < g->groups; group++)
                run_lines(&rows, y, g->x + image * x_image + j * g->step_w * g->c, x_image, images, &one, list, n, group);
        }
    if (g->f) {
        float *y = g->y + image * g->y_image;
        g->f(y, y, g->attr, images * g->y_image);
    }
}

static int small_map(int64_t images, int64_t pixels) { return images >= SMALL_BATCH && pixels <= SMALL_MAP; }

/* Whether lines of so many pixels are better cut into wide tiles. */
static int wide_tiles(int64_t images, int64_t lines, int64_t pixels, int64_t outputs)
{
    return nn_wide(small_map(images, lines * pixels) ? images : pixels, outputs);
}

static double nanoseconds(const correlation *g)
{
    double k = 0;
    for (int64_t t = 0; t < g->count; t++) k += g->places[t].k;
    return 2.0 * g->images * g->lines * g->pixels * g->groups * g->outputs * k / FLOPS_PER_NS;
}

/* Lines that do not fall into the same cache sets. */
static int64_t pitch_of(int64_t floats) { return floats % 1024 ? floats : floats + 16; }

static int correlate(correlation *g)
{
    if (g->images * g->lines * g->pixels * g->outputs == 0) return NN_OK;
    double work = nanoseconds(g);
    int workers = nn_workers(work);
    g->first_h = g->first_w = g->last_h = g->last_w = 0;
    for (int64_t t = 0; t < g->count; t++) {
        const place *p = &g->places[t];
        int64_t w = p->w + (p->c + p->k - 1) / g->c;
        g->first_h = t ? min(g->first_h, p->h) : p->h, g->last_h = t ? max(g->last_h, p->h) : p->h;
        g->first_w = t ? min(g->first_w, p->w) : p->w, g->last_w = t ? max(g->last_w, w) : w;
    }
    int small = small_map(g->images, g->lines * g->pixels) && g->count > 1 && !g->depthwise;
    int64_t columns = (g->pixels - 1) * g->step_w + g->last_w - g->first_w + 1;
    g->bordered = !g->depthwise && (g->first_h < 0 || g->first_w < 0 || (g->lines - 1) * g->step_h + g->last_h >= g->h ||
                  (g->pixels - 1) * g->step_w + g->last_w >= g->w);
    g->pitch = max(1, g->bordered ? pitch_of(columns * g->c) : g->w * g->c); /* without channels there is nothing to read */
    int64_t image = ((g->lines - 1) * g->step_h + g->last_h - g->first_h + 1) * g->pitch;
    g->band = image <= BAND ? g->lines : max(1, (BAND / g->pitch - g->last_h + g->first_h) / g->step_h);
    g->bands = ceil_div(g->lines, g->band);
    g->band = ceil_div(g->lines, g->bands);
    g->window_lines = (g->band - 1) * g->step_h + g->last_h - g->first_h + 1;
    g->images_at_once = g->depthwise ? 1 : small ? 64 : g->bands > 1 ? 1 : max(1, BAND / image);
    g->images_at_once = max(1, min(g->images_at_once, ceil_div(g->images, 2 * workers)));
    g->scratch_size = small || g->depthwise ? ceil_div(g->count * sizeof(nn_stretch), 64) * 16
                            : g->bordered ? g->images_at_once * g->window_lines * g->pitch + 64 : 0;
    size_t list = (size_t)ceil_div(g->count * sizeof(nn_stretch), 64) * 64;
    size_t bytes = list + (size_t)(workers * g->scratch_size) * sizeof(float);
    if (!(g->stretches = nn_alloc(bytes))) return NN_NOMEM;
    g->scratch = (float *)((char *)g->stretches + list);
    for (int64_t t = 0; t < g->count; t++) {
        const place *p = &g->places[t];
        g->stretches[t] = (nn_stretch){(p->h - g->first_h) * g->pitch + (p->w - g->first_w) * g->c + p->c, p->row, p->k};
    }
    int64_t tasks = ceil_div(g->images, g->images_at_once) * (small ? 1 : g->bands);
    nn_for(tasks, work, g->depthwise ? depthwise_task : small ? pixels_task : band_task, g);
    nn_free(g->stretches, bytes);
    return NN_OK;
}

/* ---- forward ---------------------------------------------------------------------------------------------------------- */

static int depthwise(const nn_conv *g) { return g->groups == g->c && g->groups == g->o && g->groups > 1; }

static int pointwise(const nn_conv *g)
{
    return g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && g->groups == 1 && g->top == 0 &&
           g->left == 0 && g->p == g->h && g->q == g->w;
}


/* The list of places, and how much memory it and packed weights take. */
static int64_t place_count(const nn_conv *g, int64_t k) { return g->r * g->s * ceil_div(k, DEPTH); }
static size_t places_bytes(const nn_conv *g, int64_t k)
{
    return (size_t)ceil_div(place_count(g, k) * (int64_t)sizeof(place), 64) * 64;
}

/* A place with more than DEPTH channels, in parts. */
static void add_place(correlation *c, int64_t h, int64_t w, int64_t row, int64_t k)
{
    for (int64_t parts = ceil_div(k, DEPTH), at = 0; parts; parts--) {
        int64_t n = ceil_div(k - at, parts);
        c->places[c->count++] = (place){h, w, at, row + at, n};
        at += n;
    }
}

static int forward(const nn_conv *g, float *y, const float *x, const float *w, const float *bias, nn_unary_fn *f,
                   const float *attr)
{
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, rows = g->r * g->s * inputs;
    int64_t packed_group = packed_size(rows, outputs);
    int apart = depthwise(g);
    size_t list = places_bytes(g, inputs), packed = apart ? 0 : (size_t)(g->groups * packed_group) * sizeof(float);
    char *memory = nn_alloc(list + packed);
    if (!memory) return NN_NOMEM;
    float *weights = (float *)(memory + list);
    correlation c = {
        .y = y, .x = x, .weights = apart ? w : weights, .bias = bias, .images = g->b, .lines = g->p, .pixels = g->q,
        .y_image = g->p * g->q * g->o, .y_line = g->q * g->o, .y_pixel = g->o, .h = g->h, .w = g->w, .c = g->c,
        .step_h = g->stride_h, .step_w = g->stride_w, .groups = g->groups, .inputs = inputs, .outputs = outputs,
        .rows = rows, .depthwise = apart, .f = f, .attr = attr, .places = (place *)memory,
        .wide = wide_tiles(g->b, g->p, g->q, outputs),
    };
    int joined = g->groups == 1 && g->dilation_w == 1 && g->s * g->c <= DEPTH && !small_map(g->b, g->p * g->q);
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < (joined ? 1 : g->s); s++)
            add_place(&c, r * g->dilation_h - g->top, s * g->dilation_w - g->left, (r * g->s + s) * inputs,
                      joined ? g->s * g->c : inputs);
    if (!apart)
        for (int64_t i = 0; i < g->groups; i++)
            nn_k->gemm_pack_b(weights + i * packed_group, w + i * outputs, g->o, rows, outputs, c.wide);
    int status = correlate(&c);
    nn_free(memory, list + packed);
    return status;
}

/* ---- the gradient of the input, or a transposed convolution ------------------------------------------------------------ */

/* dx[b,h,w,c] (+)= sum over the p q r s with p*stride_h + r*dilation_h - top = h ... of dy[b,p,q,o] * w[r,s,c,o] (+ bias[c])
 * Pixels whose h and w leave the same rest when divided by the strides see the same places of the window. */
static int backward(const nn_conv *g, float *dx, const float *dy, const float *w, const float *bias, int acc)
{
    int64_t inputs = g->o / g->groups, outputs = g->c / g->groups, window = g->r * g->s, rows = window * inputs;
    int64_t packed_group = packed_size(rows, outputs);
    int apart = depthwise(g), wide = wide_tiles(g->b, g->h / g->stride_h, ceil_div(g->w, g->stride_w), outputs);
    size_t list = places_bytes(g, inputs), packed = apart ? 0 : (size_t)(g->groups * packed_group) * sizeof(float);
    size_t turned = apart ? 0 : (size_t)(rows * outputs) * sizeof(float);
    char *memory = nn_alloc(list + packed + turned);
    if (!memory) return NN_NOMEM;
    float *weights = (float *)(memory + list), *scratch = (float *)(memory + list + packed);
    for (int64_t i = 0; i < g->groups && !apart; i++) {
        for (int64_t t = 0; t < window; t++) /* [c,o] -> [o,c] */
            nn_k->transpose4(scratch + t * inputs * outputs, outputs, w + t * outputs * g->o + i * inputs, g->o, inputs,
                             outputs);
        nn_k->gemm_pack_b(weights + i * packed_group, scratch, outputs, rows, outputs, wide);
    }
    int status = NN_OK;
    for (int64_t phase = 0; phase < g->stride_h * g->stride_w && status == NN_OK; phase++) {
        int64_t h = phase / g->stride_w, v = phase % g->stride_w;
        correlation c = {
            .y = dx + (h * g->w + v) * g->c, .x = dy, .weights = apart ? w : weights, .bias = bias, .images = g->b,
            .lines = ceil_div(g->h - h, g->stride_h), .pixels = ceil_div(g->w - v, g->stride_w),
            .y_image = g->h * g->w * g->c, .y_line = g->stride_h * g->w * g->c, .y_pixel = g->stride_w * g->c,
            .h = g->p, .w = g->q, .c = g->o, .step_h = 1, .step_w = 1, .groups = g->groups, .inputs = inputs,
            .outputs = outputs, .rows = rows, .depthwise = apart, .acc = acc, .wide = wide, .places = (place *)memory,
        };
        if (h >= g->h || v >= g->w) continue;
        for (int64_t t = window - 1; t >= 0; t--) { /* from left to right in dy */
            int64_t p = h + g->top - t / g->s * g->dilation_h, q = v + g->left - t % g->s * g->dilation_w;
            if (p % g->stride_h == 0 && q % g->stride_w == 0)
                add_place(&c, p / g->stride_h, q / g->stride_w, apart ? t : t * inputs, apart ? 1 : inputs);
        }
        status = correlate(&c);
    }
    nn_free(memory, list + packed + turned);
    return status;
}

/* ---- the gradient of the weights --------------------------------------------------------------------------------------- */

/* dw[r,s,c,o] = sum over b p q of x * dy, in blocks of about PIXELS pixels: lines of an image, or whole images. Every block
 * starts its sums at zero and is added to those before it, which keeps them accurate. */
typedef struct {
    const nn_conv *g;
    correlation source; /* the forward direction, for copy_with_border and where channels do not mix */
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
    int wide = nn_wide(m, columns);
    if (g->r * g->s * inputs >= 64) {
        nn_k->gemm_pack_b(packed, dy, g->o, depth, columns, wide);
        dy = packed, ldb = 0;
    }
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < (d->joined ? 1 : g->s); s++)
            nn_k->conv_block(dw + (r * g->s + s) * inputs * g->o, g->o,
                             x + r * g->dilation_h * d->pitch + s * g->dilation_w * g->c, g->stride_w * g->c, 1, dy, ldb,
                             depth, lines, count, &one, NULL, acc, m, columns, wide);
}

/* The same where channels do not mix: line by line, without a border, as depthwise_task does. */
static void add_depthwise(const weights *d, float *dw, int64_t image, int64_t line, int64_t lines, nn_stretch *list)
{
    const nn_conv *g = d->g;
    const correlation *c = &d->source;
    const float *x = d->x + image * g->h * g->w * g->c;
    int64_t first, end;
    interior(c, &first, &end);
    for (int64_t i = line; i < line + lines; i++)
        for (int64_t j = 0; j < g->q;) {
            int within = j >= first && j < end;
            int64_t n = inside(c, list, i, within ? -1 : j), next = within ? end : j + 1;
            nn_k->depthwise_grad_line(dw, g->c, x + j * g->stride_w * g->c, g->stride_w * g->c, list, n,
                                      d->dy + ((image * g->p + i) * g->q + j) * g->o, g->o, next - j, g->c);
            j = next;
        }
}

static void add_block(const weights *d, float *dw, int64_t block, int64_t column, int64_t columns, float *scratch, int acc)
{
    const nn_conv *g = d->g;
    int64_t image = block / d->bands * d->images_at_once, line = block % d->bands * d->band;
    int64_t images = min(d->images_at_once, g->b - image), lines = min(d->band, g->p - line);
    int64_t h0 = line * g->stride_h - g->top, count = 0;
    const float *x = d->x + image * g->h * g->w * g->c, *dy = d->dy + (image * g->p + line) * g->q * g->o;
    nn_stretch *list = (nn_stretch *)scratch;
    float *copy = (float *)(list + d->images_at_once * d->band);
    for (int64_t b = 0; b < images && depthwise(g); b++) add_depthwise(d, dw, image + b, line, lines, list);
    if (depthwise(g)) return;
    for (int64_t b = 0; b < images; b++) {
        if (d->bordered)
            copy_with_border(copy + b * d->image_size, d->pitch, &d->source, x + b * g->h * g->w * g->c, h0,
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
    int64_t piece = task / d->chunks, column = task % d->chunks * d->columns, size = g->r * g->s * (g->c / g->groups) * g->o;
    int64_t columns = min(d->columns, g->o / g->groups - column);
    float *dw = d->pieces > 1 ? d->partial + piece * size : d->dw;
    int64_t first = piece * d->blocks / d->pieces, end = (piece + 1) * d->blocks / d->pieces;
    int acc = d->pieces == 1 && d->acc;
    if (depthwise(g) && !acc) memset(dw, 0, (size_t)size * sizeof(float));
    for (int64_t block = first; block < end; block++)
        add_block(d, dw, block, column, columns, d->scratch + worker * d->scratch_size, acc || block > first);
}

static int weights_gradient(const nn_conv *g, float *dw, const float *x, const float *dy, int acc)
{
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, size = g->r * g->s * inputs * g->o;
    if (size == 0) return NN_OK;
    if (g->b * g->p * g->q == 0) {
        if (!acc) memset(dw, 0, (size_t)size * sizeof(float));
        return NN_OK;
    }
    double work = 2.0 * g->b * g->p * g->q * size / FLOPS_PER_NS;
    int workers = nn_workers(work);
    int64_t pixels = (g->q - 1) * g->stride_w + (g->s - 1) * g->dilation_w + 1;
    int64_t window = (g->r - 1) * g->dilation_h + 1;
    weights d = {.g = g, .dw = dw, .x = x, .dy = dy, .acc = acc};
    d.source = (correlation){.h = g->h, .w = g->w, .c = g->c, .pixels = g->q, .step_h = g->stride_h, .step_w = g->stride_w,
                             .first_w = -g->left, .last_w = (g->s - 1) * g->dilation_w - g->left};
    d.joined = g->groups == 1 && g->dilation_w == 1;
    d.bordered = !depthwise(g) && (g->top > 0 || g->left > 0 || (g->p - 1) * g->stride_h + window > g->h || pixels > g->w);
    d.pitch = d.bordered ? pitch_of(pixels * g->c) : g->w * g->c;
    d.band = min(g->p, max(1, min(PIXELS / g->q, (BAND / d.pitch - window) / g->stride_h)));
    d.bands = ceil_div(g->p, d.band);
    d.band = ceil_div(g->p, d.bands);
    d.image_size = d.bordered ? ((d.band - 1) * g->stride_h + window) * d.pitch : g->h * g->w * g->c;
    d.images_at_once = d.bands > 1 ? 1 : max(1, min(PIXELS / (g->p * g->q), BAND / d.image_size));
    d.blocks = ceil_div(g->b, d.images_at_once) * d.bands;
    d.pieces = max(1, min(min(PIECES, d.blocks), PIECE_SIZE / size));
    d.columns = d.pieces > 1 || workers == 1 || depthwise(g) ? outputs : min(outputs, 2 * nn_k->nr);
    d.chunks = ceil_div(outputs, d.columns);
    int64_t lists = max(d.images_at_once * d.band, g->r * g->s);
    d.packed_at = ceil_div(lists * (int64_t)sizeof(nn_stretch), 4) + (d.bordered ? d.images_at_once * d.image_size : 0) + 64;
    d.packed_at = ceil_div(d.packed_at, 16) * 16;
    d.scratch_size = d.packed_at + packed_size(d.images_at_once * d.band * g->q, d.columns) + 16;
    int64_t partial = d.pieces > 1 ? d.pieces * size : 0;
    size_t list = depthwise(g) ? places_bytes(g, 1) : 0;
    size_t bytes = list + (size_t)(ceil_div(partial, 16) * 16 + workers * d.scratch_size) * sizeof(float);
    char *memory = nn_alloc(bytes);
    if (!memory) return NN_NOMEM;
    d.partial = (float *)(memory + list);
    d.scratch = d.partial + ceil_div(partial, 16) * 16;
    d.source.places = (place *)memory;
    for (int64_t t = 0; t < g->r * g->s && list; t++)
        add_place(&d.source, t / g->s * g->dilation_h - g->top, t % g->s * g->dilation_w - g->left, t, 1);
    nn_for(d.pieces * d.chunks, work, piece_task, &d);
    if (partial) {
        if (acc) nn_k->add_to(dw, d.partial, size);
        else memcpy(dw, d.partial, (size_t)size * sizeof(float));
        for (int64_t i = 1; i < d.pieces; i++) nn_k->add_to(dw, d.partial + i * size, size);
    }
    nn_free(memory, bytes);
    return NN_OK;
}

/* ---- which way ----------------------------------------------------------------------------------------------------- */

static _Atomic int algorithm = NN_CONV_AUTO;

void nn_conv_algorithm_set(int a) { algorithm = a; }
int nn_conv_algorithm_get(void) { return algorithm; }

/* Winograd's, for 3 x 3 windows of stride 1: 36 multiplications instead of 144 for 4 x 4 pixels. With few channels its
 * transforms cost what the products save, and small maps waste most of a tile. */
static int winograd(const nn_conv *g)
{
    if (g->r != 3 || g->s != 3 || g->stride_h != 1 || g->stride_w != 1 || g->dilation_h != 1 || g->dilation_w != 1 ||
        g->groups != 1 || g->top > 2 || g->left > 2 || g->b * g->h * g->w * g->c * g->p * g->q * g->o == 0)
        return 0;
    return algorithm == NN_CONV_WINOGRAD ||
           (algorithm == NN_CONV_AUTO && min(g->c, g->o) >= WINOGRAD_CHANNELS && min(g->p, g->q) >= WINOGRAD_MAP);
}

/* ---- ops ---------------------------------------------------------------------------------------------------------------- */

static nn_conv geometry(const nn_call *call, const nn_view *x, const nn_view *y, const nn_view *w)
{
    uint64_t steps = (uint64_t)call->a.i[2], edges = (uint64_t)call->a.i[3];
    return (nn_conv){
        .b = x->n[0], .h = x->n[1], .w = x->n[2], .c = x->n[3], .p = y->n[1], .q = y->n[2], .o = y->n[3],
        .r = w->n[0], .s = w->n[1], .stride_h = steps & 0xffff, .stride_w = steps >> 16 & 0xffff,
        .dilation_h = steps >> 32 & 0xffff, .dilation_w = steps >> 48, .top = edges & 0xffff,
        .left = edges >> 16 & 0xffff, .groups = edges >> 32,
    };
}

int nn_op_conv(const nn_call *call)
{
    const nn_view *y = &call->v[0], *x = &call->v[1], *w = &call->v[2];
    nn_conv g = geometry(call, x, y, w);
    const float *bias = call->nv > 3 ? (const float *)call->v[3].p : NULL;
    nn_unary_fn *f = call->a.i[0] < 0 ? NULL : nn_k->unary[call->a.i[0]];
    if (pointwise(&g))
        return nn_product((float *)y->p, (const float *)x->p, (const float *)w->p, bias, g.b * g.p * g.q, g.o, g.c, 0, 0,
                          0, f, call->a.f + 2);
    if (winograd(&g))
        return nn_winograd((float *)y->p, (const float *)x->p, (const float *)w->p, bias, &g, 0, 0, f, call->a.f + 2);
    return forward(&g, (float *)y->p, (const float *)x->p, (const float *)w->p, bias, f, call->a.f + 2);
}

typedef struct {
    float *y;
    int64_t n;
    nn_unary_fn *f;
    const float *attr;
} activation;

static void activation_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const activation *a = arg;
    float *y = a->y + task * NN_CHUNK;
    a->f(y, y, a->attr, min(NN_CHUNK, a->n - task * NN_CHUNK));
}

int nn_op_conv_dx(const nn_call *call)
{
    const nn_view *dx = &call->v[0], *dy = &call->v[1], *w = &call->v[2];
    nn_conv g = geometry(call, dx, dy, w);
    int acc = call->flags & NN_ACC, status;
    const float *bias = call->nv > 3 ? (const float *)call->v[3].p : NULL;
    if (pointwise(&g))
        status = nn_product((float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, g.b * g.p * g.q, g.c, g.o, 0,
                            1, acc, NULL, NULL);
    else if (winograd(&g)) {
        nn_conv turned = g; /* a convolution of dy: what is left of the window's reach beyond the padding is its padding */
        turned.h = g.p, turned.w = g.q, turned.c = g.o, turned.p = g.h, turned.q = g.w, turned.o = g.c;
        turned.top = 2 - g.top, turned.left = 2 - g.left;
        status = nn_winograd((float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, &turned, 1, acc, NULL, NULL);
    } else status = backward(&g, (float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, acc);
    if (status != NN_OK || call->a.i[0] < 0) return status;
    activation a = {(float *)dx->p, nn_count(dx), nn_k->unary[call->a.i[0]], call->a.f + 2};
    nn_for(nn_chunks(a.n), (double)a.n, activation_task, &a);
    return NN_OK;
}

int nn_op_conv_dw(const nn_call *call)
{
    const nn_view *dw = &call->v[0], *x = &call->v[1], *dy = &call->v[2];
    nn_conv g = geometry(call, x, dy, dw);
    int acc = call->flags & NN_ACC;
    if (pointwise(&g))
        return nn_product((float *)dw->p, (const float *)x->p, (const float *)dy->p, NULL, g.c, g.o, g.b * g.p * g.q, 1, 0,
                          acc, NULL, NULL);
    if (winograd(&g)) return nn_winograd_dw((float *)dw->p, (const float *)x->p, (const float *)dy->p, &g, acc);
    return weights_gradient(&g, (float *)dw->p, (const float *)x->p, (const float *)dy->p, acc);
}
