/* Mean and variance of every channel of an image y[..., c], taken by the driver that makes y, part by part, while they
 * are in cache; for the batch norm that follows. */
#ifndef MOMENTS_H
#define MOMENTS_H
#include <stddef.h>
#include <stdint.h>

/* What is added to a part: so many lines of pixels, `line` floats apart; of these, `width` channels from `first` (a
 * multiple of 16) on. begins: these channels of the part have nothing yet. */
typedef struct {
    int64_t part, lines, line, pixels, first, width;
    int begins;
} nn_lines;

typedef struct {
    float *stats;        /* [3,c]: mean, rest, variance, as of the op group_norm */
    int64_t c;
    /* made by nn_moments_start */
    double *total;
    float *sums;         /* of each part */
    int64_t *rows;       /* of each part: pixels */
    int64_t parts, columns;
    size_t bytes;
} nn_moments;

/* Room for so many parts, which may be filled by different threads; nn_moments_finish joins them in order and frees
 * it. m may be NULL: nothing is wanted. */
int nn_moments_start(nn_moments *m, int64_t parts);
/* Adds `lines` of pixels, whose first pixel's channel 0 is at y, to a part. */
void nn_moments_add(nn_moments *m, const float *y, const nn_lines *l);
void nn_moments_finish(nn_moments *m);
/* The same in a pass of its own: x[s,c]. */
int nn_moments_of(float *stats, const float *x, int64_t s, int64_t c);
#endif
