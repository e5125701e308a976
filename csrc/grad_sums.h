/* The sums that the gradient of batch norm begins with, taken by the driver that makes dy, part by part, while it is in
 * cache: for every channel those of dz and of dz (x - m), where dz is dy behind ReLU's mask. */
#ifndef GRAD_SUMS_H
#define GRAD_SUMS_H
#include "moments.h"

typedef struct {
    double *total;         /* [2,c] */
    const float *x;        /* the norm's input, of dy's shape */
    const float *y;        /* its result behind a residual and ReLU, or NULL; dz is then written in dy's place */
    const float *columns;  /* m a b of the norm, `columns_apart` from one to the next */
    int64_t columns_apart, c;
    int relu;
    /* made by nn_grad_sums_start */
    float *parts_sums;     /* of each part */
    int64_t parts, room;
    size_t bytes;
} nn_grad_sums;

/* Room for so many parts, which may be filled by different threads; nn_grad_sums_finish joins them in order and frees
 * it. s may be NULL: nothing is wanted. */
int nn_grad_sums_start(nn_grad_sums *s, int64_t parts);
/* Adds lines of pixels, whose first pixel's channel 0 is at dy, and at x + at in x, to a part. */
void nn_grad_sums_add(nn_grad_sums *s, float *dy, int64_t at, const nn_lines *l);
void nn_grad_sums_finish(nn_grad_sums *s);
#endif
