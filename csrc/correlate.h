/* Correlations of images with windows: what conv.c and conv_weights.c are made of. Axes as in conv.h. */
#ifndef CORRELATE_H
#define CORRELATE_H
#include <string.h>
#include "conv.h"

#define BAND 49152   /* floats of the images of a task: stays in L2 beside a panel of weights */
#define DEPTH 800    /* of k in one go: a panel of weights stays in L2 */
#define PIXELS 512   /* depth of a block of the weights' gradient */
#define SMALL_MAP 16 /* pixels up to which rows are images ... */
#define SMALL_BATCH 8 /* ... from so many images on */
#define PART 64      /* pixels of a part of the moments, at least */
#define FLOPS_PER_NS 80.0

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* A place of the window: x's pixel relative to the output's, its channels from c on, and the rows of the weights that
 * belong to them. k of them: where places are neighbours in memory, one stands for several. */
typedef struct {
    int64_t h, w, c, row, k;
} nn_place;

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
    nn_moments *moments; /* of y, or NULL */
    nn_place *places;
    int64_t count;
    /* made by correlate */
    int64_t first_h, first_w, last_h, last_w; /* of all places */
    int bordered, ends;                       /* the image is copied with a border; ends of lines are apart */
    int64_t band, bands, images_at_once;      /* lines of a band; bands of an image; images of a task */
    int64_t images_of_part;                   /* of moments */
    int64_t pitch, window_lines;              /* floats of a line, and lines, of what is read for a band */
    nn_stretch *stretches;                    /* with `pitch` */
    float *scratch;                           /* of each worker: bordered copies */
    int64_t scratch_size;
} nn_correlation;

/* y from x: see correlate.c. */
int nn_correlate(nn_correlation *g);
/* Lines h0 .. h0+lines and pixels w0 .. w0+pixels of an image, zeros where there is none. */
void nn_copy_with_border(float *to, int64_t pitch, const nn_correlation *g, const float *x, int64_t h0, int64_t lines,
                         int64_t w0, int64_t pixels);
/* The places of line i of y, or parts of joined ones, that lie in the image, for pixel j, or for all pixels (j < 0),
 * whose columns then count as inside; their number. */
int64_t nn_inside(const nn_correlation *g, nn_stretch *to, int64_t i, int64_t j);
/* The pixels of a line that see nothing beyond its ends: first .. end. */
void nn_interior(const nn_correlation *g, int64_t *first, int64_t *end);
/* What the line after i needs that line i does not; after the last line, that is of the next image. line: floats from
 * a line of y to the next. */
nn_next nn_next_line(const nn_correlation *g, int64_t i, int64_t line);
/* Adds a place with k channels; with more than DEPTH, in parts. The list takes nn_places_bytes. */
void nn_add_place(nn_correlation *c, int64_t h, int64_t w, int64_t row, int64_t k);
size_t nn_places_bytes(const nn_conv *g, int64_t k);

/* The gradient of the weights, conv_weights.c: dw[r,s,c,o] (+)= sum over b p q of x * dy. No size is 0. */
int nn_conv_weights(const nn_conv *g, float *dw, const float *x, const float *dy, int acc);

/* Windows of 3 x 3 whose channels do not mix, depthwise.c: whether it is such a convolution, the result and both
 * gradients. bias, f and moments may be NULL; dw: no size is 0. */
int nn_depthwise3_fits(const nn_conv *g);
int nn_depthwise3(const nn_conv *g, float *y, const float *x, const float *w, const float *bias, nn_unary_fn *f,
                  const float *attr, nn_moments *moments);
int nn_depthwise3_dx(const nn_conv *g, float *dx, const float *dy, const float *w, const float *bias, int acc);
int nn_depthwise3_dw(const nn_conv *g, float *dw, const float *x, const float *dy, int acc);

static inline int nn_depthwise(const nn_conv *g) { return g->groups == g->c && g->groups == g->o && g->groups > 1; }
/* Floats of packed weights. */
static inline int64_t nn_packed_size(int64_t rows, int64_t outputs)
{
    return rows * ceil_div(outputs, nn_k->vl) * nn_k->vl;
}
/* Floats from line to line, so that lines do not fall into the same cache sets. */
static inline int64_t nn_pitch(int64_t floats) { return floats % 1024 ? floats : floats + 16; }
static inline int nn_small_map(int64_t images, int64_t pixels) { return images >= SMALL_BATCH && pixels <= SMALL_MAP; }
#endif
