/* A batch of images out of a data set, each changed at random: cut out of a padded image, mirrored, brightness and
 * contrast, bytes to floats with a scale and a shift for each channel, parts erased. One pass from the data set to the
 * batch: a row is found, mirrored if need be, and converted while it is copied.
 *
 * An image's 64 words of the random stream are those of its number since the stream began (state[2], which is counted
 * on). So it is changed the same way whatever the size of the batches, and for any number of threads.
 */
#include <math.h>
#include <string.h>
#include "kernels/kernels.h"
#include "par.h"

/* Where the settings stand; ops.inc says what they are. */
enum { MIRROR, TURN, TOP, LEFT, PLACES_DOWN, PLACES_ACROSS, PADDING, DARKEST, BRIGHTEST, FLATTEST, STRONGEST, WHITE,
       ERASE, P_ERASE, HOLES, HOLE_HEIGHT, HOLE_WIDTH, AREA_LOW = HOLES, AREA_HIGH, RATIO_LOW, RATIO_HIGH, SETTINGS };
enum { CONSTANT, EDGE, REFLECT, SYMMETRIC };
enum { NOTHING, CUTOUT, RECTANGLE };
/* Which of an image's words decides what. From WORD_ERASE + 1 on: holes by twos, tries of a rectangle by fours. */
enum { WORD_MIRROR, WORD_TURN, WORD_DOWN, WORD_ACROSS, WORD_BRIGHTNESS, WORD_CONTRAST, WORD_ERASE = 7, WORDS = 64 };
enum { TRIES = 10 };

typedef struct {
    float *y;
    const char *x;
    const int64_t *index;
    const double *s;
    const float *fill, *scale, *shift, *value, *weight; /* rows of an image: every pixel has the channels' values */
    char *room;        /* of a worker: a row of x, and the same mirrored */
    uint64_t key[3];
    int64_t b, n, h, w, c, p, q, group, size, room_size; /* size: bytes of a pixel of x */
    int dtype, levels; /* levels: brightness or contrast change */
} images;

static int chance(uint32_t word, double p) { return word < (uint64_t)(p * 0x1p32); }
/* Below n: some numbers are more likely than others by n / 2^32. */
static int64_t below(uint32_t word, int64_t n) { return (int64_t)((uint64_t)word * (uint64_t)n >> 32); }
static double between(uint32_t word, double low, double high) { return low + (high - low) * ((word >> 8) * 0x1p-24); }

/* Which of n rows or columns stands at place i of the padded image; -1: none. */
static int64_t source(int64_t i, int64_t n, int padding)
{
    if (i >= 0 && i < n) return i;
    if (padding == CONSTANT) return -1;
    if (padding == EDGE) return i < 0 ? 0 : n - 1;
    int edge = padding == SYMMETRIC; /* whether the edge itself is repeated */
    return i < 0 ? -i - edge : 2 * n - 2 - i + edge;
}

static inline void copy_pixel(char *to, const char *from, int64_t size)
{
    if (size == 3) memcpy(to, from, 3);
    else if (size == 12) memcpy(to, from, 12);
    else if (size == 4) memcpy(to, from, 4);
    else if (size == 1) *to = *from;
    else memcpy(to, from, (size_t)size);
}

/* n pixels, the last one first. Those of three bytes move as four: `from` is readable, `to` writable a byte further. */
static void mirror_pixels(char *to, const char *from, int64_t n, int64_t size)
{
    if (size == 3) for (int64_t j = 0; j < n; j++) memcpy(to + 3 * j, from + 3 * (n - 1 - j), 4);
    else if (size == 1) for (int64_t j = 0; j < n; j++) to[j] = from[n - 1 - j];
    else for (int64_t j = 0; j < n; j++) copy_pixel(to + size * j, from + size * (n - 1 - j), size);
}

static void convert(const images *a, float *y, const char *x, int64_t pixels)
{
    static const float one = 1, zero = 0;
    const float *scale = a->levels ? &one : a->scale, *shift = a->levels ? &zero : a->shift;
    int64_t each = !a->levels, n = pixels * a->c;
    if (a->dtype == NN_U8) nn_k->scale_bytes(y, (const uint8_t *)x, scale, each, shift, each, n);
    else nn_k->scale_floats(y, (const float *)x, scale, each, shift, each, n);
}

/* y[0 .. q-1] from the columns left .. left + q - 1 of a row of the padded image, or the other way round. */
static void row(const images *a, float *y, const char *x, int64_t left, int mirrored, char *room)
{
    int64_t size = a->size, q = a->q, first = left < 0 ? -left : 0, end = left + q > a->w ? a->w - left : q;
    char *turned = room + a->room_size / 2;
    int padding = (int)a->s[PADDING];
    if (padding != CONSTANT && (first > 0 || end < q)) {
        for (int64_t j = 0; j < q; j++)
            copy_pixel(room + j * size, x + source(left + (mirrored ? q - 1 - j : j), a->w, padding) * size, size);
        convert(a, y, room, q);
        return;
    }
    if (first >= end) first = end = q;
    x += (left + first) * size;
    if (mirrored) {
        int64_t t = first;
        memcpy(room, x, (size_t)((end - first) * size));
        mirror_pixels(turned, room, end - first, size);
        x = turned;
        first = q - end;
        end = q - t;
    }
    if (first > 0) memcpy(y, a->fill, (size_t)(first * a->c) * sizeof *y);
    if (end > first) convert(a, y + first * a->c, x, end - first);
    if (end < q) memcpy(y + end * a->c, a->fill, (size_t)((q - end) * a->c) * sizeof *y);
}

/* Brightness: y = f y; then contrast: y = f y + (1 - f) mean of the grey values. Both are limited to 0 .. white. */
static void levels(const images *a, float *y, const uint32_t *word)
{
    const double *s = a->s;
    int64_t n = a->q * a->c;
    float white = (float)s[WHITE];
    float brightness = (float)between(word[WORD_BRIGHTNESS], s[DARKEST], s[BRIGHTEST]);
    float contrast = (float)between(word[WORD_CONTRAST], s[FLATTEST], s[STRONGEST]);
    if (s[FLATTEST] == 1 && s[STRONGEST] == 1) {
        nn_k->image_levels(y, brightness, 0, white, a->scale, a->shift, a->p, n);
        return;
    }
    if (s[DARKEST] != 1 || s[BRIGHTEST] != 1) nn_k->image_levels(y, brightness, 0, white, NULL, NULL, a->p, n);
    float mean = (float)(nn_k->image_dot(y, a->weight, a->p, n) / (double)(a->p * a->q));
    nn_k->image_levels(y, contrast, (1 - contrast) * mean, white, a->scale, a->shift, a->p, n);
}

static void paint(const images *a, float *y, int64_t top, int64_t left, int64_t height, int64_t width)
{
    int64_t bottom = top + height < a->p ? top + height : a->p, right = left + width < a->q ? left + width : a->q;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    for (int64_t r = top; r < bottom && left < right; r++)
        memcpy(y + (r * a->q + left) * a->c, a->value, (size_t)((right - left) * a->c) * sizeof *y);
}

static void erase(const images *a, float *y, const uint32_t *word)
{
    const double *s = a->s;
    if (!chance(word[WORD_ERASE], s[P_ERASE])) return;
    word += WORD_ERASE + 1;
    if (s[ERASE] == CUTOUT) {
        int64_t height = (int64_t)s[HOLE_HEIGHT], width = (int64_t)s[HOLE_WIDTH];
        for (int64_t hole = 0; hole < (int64_t)s[HOLES]; hole++, word += 2)
            paint(a, y, below(word[0], a->p) - height / 2, below(word[1], a->q) - width / 2, height, width);
        return;
    }
    for (int t = 0; t < TRIES; t++, word += 4) {
        double area = (double)(a->p * a->q) * between(word[0], s[AREA_LOW], s[AREA_HIGH]);
        double ratio = exp(between(word[1], s[RATIO_LOW], s[RATIO_HIGH]));
        double height = rint(sqrt(area * ratio)), width = rint(sqrt(area / ratio));
        if (!(height < (double)a->p && width < (double)a->q)) continue;
        int64_t r = (int64_t)height, c = (int64_t)width;
        paint(a, y, below(word[2], a->p - r + 1), below(word[3], a->q - c + 1), r, c);
        return;
    }
}

static void image(const images *a, int64_t i, char *room)
{
    uint32_t word[WORDS];
    const double *s = a->s;
    nn_k->random_words(word, a->key[0], a->key[1], (int64_t)((a->key[2] + (uint64_t)i) * WORDS), WORDS);
    int64_t top = below(word[WORD_DOWN], (int64_t)s[PLACES_DOWN]) - (int64_t)s[TOP];
    int64_t left = below(word[WORD_ACROSS], (int64_t)s[PLACES_ACROSS]) - (int64_t)s[LEFT];
    int mirrored = chance(word[WORD_MIRROR], s[MIRROR]), turned = chance(word[WORD_TURN], s[TURN]);
    int64_t k = a->index[i], line = a->w * a->size, n = a->q * a->c;
    const char *x = a->x + (k < 0 ? k + a->n : k) * a->h * line;
    float *y = a->y + i * a->p * n;
    for (int64_t r = 0; r < a->p; r++) {
        int64_t from = source(top + (turned ? a->p - 1 - r : r), a->h, (int)s[PADDING]);
        if (from < 0) memcpy(y + r * n, a->fill, (size_t)n * sizeof *y);
        else row(a, y + r * n, x + from * line, left, mirrored, room);
    }
    if (a->levels) levels(a, y, word);
    if (s[ERASE] != NOTHING) erase(a, y, word);
}

static void task(void *arg, int64_t t, int worker)
{
    const images *a = arg;
    int64_t end = (t + 1) * a->group < a->b ? (t + 1) * a->group : a->b, bytes = a->h * a->w * a->size;
    for (int64_t i = t * a->group; i < end; i++) {
        if (i + 1 < end) { /* the next image is on its way while this one is converted */
            int64_t k = a->index[i + 1];
            const char *next = a->x + (k < 0 ? k + a->n : k) * bytes;
            for (int64_t at = 0; at < bytes && at < 4096; at += 64) __builtin_prefetch(next + at);
        }
        image(a, i, a->room + worker * a->room_size);
    }
}

/* Rows of q pixels with the channels' fill value, scale, shift, erased value, and weight in the grey value. */
static void patterns(images *a, float *to, const float *colours)
{
    static const float grey[3] = {0.2989f, 0.587f, 0.114f}; /* ITU-R BT.601, as torchvision rounds it */
    const float *scale = colours + a->c, *shift = scale + a->c;
    int64_t n = a->q * a->c;
    for (int64_t j = 0, k = 0; j < n; j++, k = k + 1 < a->c ? k + 1 : 0) {
        to[j] = a->levels ? colours[k] : colours[k] * scale[k] + shift[k];
        to[n + j] = scale[k];
        to[2 * n + j] = shift[k];
        to[3 * n + j] = shift[a->c + k];
        to[4 * n + j] = a->c == 3 ? grey[k] : 1 / (float)a->c;
    }
    a->fill = to;
    a->scale = to + n;
    a->shift = to + 2 * n;
    a->value = to + 3 * n;
    a->weight = to + 4 * n;
}

int nn_op_augment(const nn_call *c)
{
    const nn_view *y = &c->v[0], *x = &c->v[2];
    uint64_t *state = (uint64_t *)c->v[1].p;
    const double *s = (const double *)c->v[4].p;
    images a = {.y = (float *)y->p, .x = x->p, .index = (const int64_t *)c->v[3].p, .s = s, .dtype = x->dtype,
                .key = {state[0], state[1], state[2]}, .b = y->n[0], .p = y->n[1], .q = y->n[2], .c = y->n[3],
                .n = x->n[0], .h = x->n[1], .w = x->n[2]};
    for (int64_t i = 0; i < a.b; i++)
        if (a.index[i] < -a.n || a.index[i] >= a.n) {
            nn_bad_index = a.index[i];
            return NN_BADINDEX;
        }
    a.size = a.c * (int64_t)nn_dtype_size[x->dtype];
    a.levels = s[DARKEST] != 1 || s[BRIGHTEST] != 1 || s[FLATTEST] != 1 || s[STRONGEST] != 1;
    a.group = NN_CHUNK / (a.p * a.q * a.c) + 1;
    a.room_size = 2 * (((a.q > a.w ? a.q : a.w) * a.size + 127) / 64 * 64);
    double work = (double)a.b * (300 + 0.3 * (double)(a.p * a.q * a.c));
    size_t bytes = (size_t)(5 * a.q * a.c) * sizeof(float), room = (size_t)nn_workers(work) * (size_t)a.room_size;
    float *rows = nn_alloc(bytes);
    a.room = nn_alloc(room);
    int status = rows && a.room ? NN_OK : NN_NOMEM;
    if (status == NN_OK) {
        patterns(&a, rows, (const float *)c->v[5].p);
        nn_for((a.b + a.group - 1) / a.group, work, task, &a);
        state[2] += (uint64_t)a.b;
    }
    if (rows) nn_free(rows, bytes);
    if (a.room) nn_free(a.room, room);
    return status;
}
