/* Correlation of images with windows:
 * y[b,i,j,:] = sum over places of x[b, i*step_h + h, j*step_w + w, :] @ weights[place].
 *
 * It runs through the register tiles of gemm.h without a matrix of gathered windows: a tile's rows are pixels of a
 * line, and k runs through the window place by place (nn_stretch). Zeros around the image come from a copy of a band
 * of it with a border, in scratch memory that stays in L2; without padding the image is read where it lies. Where only
 * the ends of lines see zeros, as in sequences, they are computed apart, pixel by pixel, and nothing is copied.
 *
 *   band_task        some lines of an image, or some images
 *   pixels_task      the same for maps of up to SMALL_MAP pixels: rows are images, and places outside are left out
 *   depthwise_task   channels that do not mix
 *
 * Rejected: packing of a, as gemm.c does, because a window's pixels are already close together; edge tiles of their
 * own for the border, which need one set of places for each side and corner.
 */
#include "correlate.h"
#include "gemm.h"
#include "par.h"

void nn_copy_with_border(float *to, int64_t pitch, const nn_correlation *g, const float *x, int64_t h0, int64_t lines,
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
static void run_lines(const nn_correlation *g, float *y, const float *x, int64_t rs, int64_t pixels,
                      const nn_conv_lines *l,
                      const nn_stretch *stretches, int64_t count, int64_t group)
{
    const float *weights = g->weights + group * nn_packed_size(g->rows, g->outputs);
    const float *bias = g->bias ? g->bias + group * g->outputs : NULL;
    nn_conv_lines where = *l;
    if (group) where.ahead_n = 0;
    int64_t done = 0;
    do {
        int64_t n = block_of(stretches, done, count, DEPTH);
        nn_k->conv_block(y + group * g->outputs, g->y_pixel, x + group * g->inputs, rs, 0, weights, 0, g->rows,
                         stretches + done, n, &where, done ? NULL : bias, g->acc || done, pixels, g->outputs, g->wide);
        done += n;
        where.ahead_n = 0;
    } while (done < count);
}

int64_t nn_inside(const nn_correlation *g, nn_stretch *to, int64_t i, int64_t j)
{
    int64_t n = 0;
    for (int64_t t = 0; t < g->count; t++) {
        const nn_place *p = &g->places[t];
        int64_t h = i * g->step_h + p->h, at = (j * g->step_w + p->w) * g->c + p->c; /* in the line */
        int64_t from = j < 0 ? 0 : max(0, -at), end = j < 0 ? p->k : min(p->k, g->w * g->c - at);
        if (h < 0 || h >= g->h || from >= end) continue;
        to[n++] = (nn_stretch){(h * g->w + p->w) * g->c + p->c + from, p->row + from, end - from};
    }
    return n;
}

void nn_interior(const nn_correlation *g, int64_t *first, int64_t *end)
{
    *first = min(g->pixels, ceil_div(max(0, -g->first_w), g->step_w));
    *end = max(*first, min(g->pixels, g->last_w < g->w ? (g->w - 1 - g->last_w) / g->step_w + 1 : 0));
}

nn_next nn_next_line(const nn_correlation *g, int64_t i, int64_t line)
{
    nn_next next = {.line = line};
    for (int64_t u = 0; u < g->step_h && u < 2; u++)
        for (int64_t v = 0; v < g->step_w && v < 2; v++)
            next.at[next.count++] = ((i * g->step_h + g->last_h + 1 + u) * g->w + v) * g->c;
    return next;
}

/* A task has made some lines of some images (all lines, if images are several). */
static void finish(const nn_correlation *g, int64_t image, int64_t images, int64_t line, int64_t lines)
{
    float *y = g->y + image * g->y_image + line * g->y_line;
    if (g->f && !g->depthwise)
        for (int64_t b = 0; b < images; b++) g->f(y + b * g->y_image, y + b * g->y_image, g->attr, lines * g->y_line);
    for (int64_t b = 0, n = g->images_of_part; g->moments && b < images; b += n)
        nn_moments_add(g->moments, y + b * g->y_image,
                       &(nn_lines){(image + b) / n * g->bands + line / g->band, min(n, images - b), g->y_image,
                                   lines * g->pixels, 0, g->groups * g->outputs, 1});
}

/* Channels that do not mix need little arithmetic: a copy with a border would cost as much. Lines above and below the
 * image are left out of the list of places, and pixels near the ends of a line have lists of their own. */
static void depthwise_task(void *arg, int64_t task, int worker)
{
    const nn_correlation *g = arg;
    int64_t image = task / g->bands, line = task % g->bands * g->band;
    int64_t end_line = min(line + g->band, g->lines), first, end;
    nn_stretch *list = (nn_stretch *)(g->scratch + worker * g->scratch_size);
    const float *x = g->x + image * g->h * g->w * g->c;
    nn_interior(g, &first, &end);
    for (int64_t i = line; i < end_line; i++) {
        float *y = g->y + image * g->y_image + i * g->y_line;
        const nn_next after = nn_next_line(g, i, g->y_line);
        for (int64_t j = 0; j < g->pixels;) {
            int within = j >= first && j < end;
            int64_t n = nn_inside(g, list, i, within ? -1 : j), next = within ? end : j + 1;
            nn_k->depthwise_line(y + j * g->y_pixel, g->y_pixel, x + j * g->step_w * g->c, g->step_w * g->c,
                                 g->weights, g->c, list, n, g->bias, g->acc, next - j, g->c, &after);
            j = next;
        }
        if (g->f) g->f(y, y, g->attr, g->y_line);
    }
    finish(g, image, 1, line, end_line - line);
}

/* One pixel of some lines of some images, through the places that lie in the image. Rows are the lines or the images,
 * whichever are more; where they are the lines, all of them see the same places as the first. */
static void one_pixel(const nn_correlation *g, nn_stretch *list, int64_t image, int64_t images, int64_t line,
                      int64_t lines, int64_t j)
{
    int64_t n = nn_inside(g, list, line, j), x_image = g->h * g->w * g->c, x_line = g->step_h * g->w * g->c;
    float *y = g->y + image * g->y_image + line * g->y_line + j * g->y_pixel;
    const float *x = g->x + image * x_image + j * g->step_w * g->c;
    int down = lines > images;
    nn_correlation rows = *g;
    rows.y_pixel = down ? g->y_line : g->y_image;
    nn_conv_lines l = {.images = down ? images : 1, .lines = down ? 1 : lines, .c_image = g->y_image,
                       .c_line = g->y_line, .a_image = x_image, .a_line = x_line};
    for (int64_t group = 0; group < g->groups; group++)
        run_lines(&rows, y, x, down ? x_line : x_image, down ? lines : images, &l, list, n, group);
}

static void band_task(void *arg, int64_t task, int worker)
{
    const nn_correlation *g = arg;
    int64_t image = task / g->bands * g->images_at_once, line = task % g->bands * g->band;
    nn_conv_lines l = {.images = min(g->images_at_once, g->images - image), .lines = min(g->band, g->lines - line),
                       .c_image = g->y_image, .c_line = g->y_line, .a_image = g->h * g->w * g->c,
                       .a_line = g->step_h * g->pitch};
    float *y = g->y + image * g->y_image + line * g->y_line;
    const float *x = g->x + image * l.a_image;
    int64_t h0 = line * g->step_h + g->first_h, first = 0, end = g->pixels;
    if (g->ends) {
        nn_interior(g, &first, &end);
        for (int64_t j = first ? 0 : end; j < g->pixels; j = j + 1 == first ? end : j + 1)
            one_pixel(g, (nn_stretch *)(g->scratch + worker * g->scratch_size), image, l.images, line, l.lines, j);
    }
    if (g->bordered) {
        float *copy = g->scratch + worker * g->scratch_size;
        int64_t lines = (l.lines - 1) * g->step_h + g->last_h - g->first_h + 1, size = g->window_lines * g->pitch;
        for (int64_t b = 0; b < l.images; b++)
            nn_copy_with_border(copy + b * size, g->pitch, g, x + b * l.a_image, h0, lines, g->first_w,
                             (g->pixels - 1) * g->step_w + g->last_w - g->first_w + 1);
        x = copy + first * g->step_w * g->c;
        l.a_image = size;
    } else x += (h0 * g->w + g->first_w + first * g->step_w) * g->c;
    /* The band, or the images, that most likely come next on this thread: what follows in memory. */
    int64_t seen = min(g->h, h0 + (l.lines - 1) * g->step_h + g->last_h - g->first_h + 1), line_size = g->w * g->c;
    int64_t at = ((image + l.images - 1) * g->h + seen) * line_size;
    l.ahead = g->x + at;
    l.ahead_n = min(g->images * g->h * line_size - at, l.images * min(g->h, l.lines * g->step_h) * line_size);
    for (int64_t group = 0; group < g->groups; group++)
        run_lines(g, y + first * g->y_pixel, x, g->step_w * g->c, end - first, &l,
                  g->stretches, g->count, group);
    finish(g, image, l.images, line, l.lines);
}

/* Small maps, pixel by pixel. */
static void pixels_task(void *arg, int64_t task, int worker)
{
    const nn_correlation *g = arg;
    int64_t image = task * g->images_at_once, images = min(g->images_at_once, g->images - image);
    nn_stretch *list = (nn_stretch *)(g->scratch + worker * g->scratch_size);
    for (int64_t i = 0; i < g->lines; i++)
        for (int64_t j = 0; j < g->pixels; j++) one_pixel(g, list, image, images, i, 1, j);
    finish(g, image, images, 0, g->lines);
}

static double nanoseconds(const nn_correlation *g)
{
    double k = 0;
    for (int64_t t = 0; t < g->count; t++) k += g->places[t].k;
    return 2.0 * g->images * g->lines * g->pixels * g->groups * g->outputs * k / FLOPS_PER_NS;
}

int nn_correlate(nn_correlation *g)
{
    if (g->images * g->lines * g->pixels * g->outputs == 0) return NN_OK;
    double work = nanoseconds(g);
    int workers = nn_workers(work);
    g->first_h = g->first_w = g->last_h = g->last_w = 0;
    for (int64_t t = 0; t < g->count; t++) {
        const nn_place *p = &g->places[t];
        int64_t w = p->w + (p->c + p->k - 1) / g->c;
        g->first_h = t ? min(g->first_h, p->h) : p->h, g->last_h = t ? max(g->last_h, p->h) : p->h;
        g->first_w = t ? min(g->first_w, p->w) : p->w, g->last_w = t ? max(g->last_w, w) : w;
    }
    int small = nn_small_map(g->images, g->lines * g->pixels) && g->count > 1 && !g->depthwise;
    int64_t columns = (g->pixels - 1) * g->step_w + g->last_w - g->first_w + 1;
    int across = g->first_h < 0 || (g->lines - 1) * g->step_h + g->last_h >= g->h;
    int along = g->first_w < 0 || (g->pixels - 1) * g->step_w + g->last_w >= g->w;
    int64_t first, end;
    nn_interior(g, &first, &end);
    g->ends = !g->depthwise && !small && along && !across && 2 * (end - first) > g->pixels;
    g->bordered = !g->depthwise && !g->ends && (across || along);
    /* without channels there is nothing to read */
    g->pitch = max(1, g->bordered ? nn_pitch(columns * g->c) : g->w * g->c);
    int64_t image = ((g->lines - 1) * g->step_h + g->last_h - g->first_h + 1) * g->pitch;
    g->band = small || image <= BAND ? g->lines : max(1, (BAND / g->pitch - g->last_h + g->first_h) / g->step_h);
    g->bands = ceil_div(g->lines, g->band);
    g->band = ceil_div(g->lines, g->bands);
    g->window_lines = (g->band - 1) * g->step_h + g->last_h - g->first_h + 1;
    g->images_at_once = g->depthwise ? 1 : small ? 64 : g->bands > 1 ? 1 : max(1, BAND / image);
    g->images_at_once = max(1, min(g->images_at_once, ceil_div(g->images, 2 * workers)));
    /* Parts for moments do not depend on threads; tasks are whole ones. */
    g->images_of_part = g->depthwise || g->bands > 1 ? 1 : 1 + (PART - 1) / (g->lines * g->pixels);
    if (g->moments) g->images_at_once = ceil_div(g->images_at_once, g->images_of_part) * g->images_of_part;
    g->scratch_size = small || g->depthwise || g->ends ? ceil_div(g->count * sizeof(nn_stretch), 64) * 16
                            : g->bordered ? g->images_at_once * g->window_lines * g->pitch + 64 : 0;
    size_t list = (size_t)ceil_div(g->count * sizeof(nn_stretch), 64) * 64;
    size_t bytes = list + (size_t)(workers * g->scratch_size) * sizeof(float);
    int64_t tasks = ceil_div(g->images, g->images_at_once) * g->bands;
    if (!(g->stretches = nn_alloc(bytes))) return NN_NOMEM;
    if (nn_moments_start(g->moments, ceil_div(g->images, g->images_of_part) * g->bands) != NN_OK) {
        nn_free(g->stretches, bytes);
        return NN_NOMEM;
    }
    g->scratch = (float *)((char *)g->stretches + list);
    for (int64_t t = 0; t < g->count; t++) {
        const nn_place *p = &g->places[t];
        g->stretches[t] = (nn_stretch){(p->h - g->first_h) * g->pitch + (p->w - g->first_w) * g->c + p->c, p->row,
                                       p->k};
    }
    nn_for(tasks, work, g->depthwise ? depthwise_task : small ? pixels_task : band_task, g);
    nn_free(g->stretches, bytes);
    nn_moments_finish(g->moments);
    return NN_OK;
}

static int64_t place_count(const nn_conv *g, int64_t k) { return g->r * g->s * ceil_div(k, DEPTH); }
size_t nn_places_bytes(const nn_conv *g, int64_t k)
{
    return (size_t)ceil_div(place_count(g, k) * (int64_t)sizeof(nn_place), 64) * 64;
}

void nn_add_place(nn_correlation *c, int64_t h, int64_t w, int64_t row, int64_t k)
{
    for (int64_t parts = ceil_div(k, DEPTH), at = 0; parts; parts--) {
        int64_t n = ceil_div(k - at, parts);
        c->places[c->count++] = (nn_place){h, w, at, row + at, n};
        at += n;
    }
}
