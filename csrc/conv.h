/* The geometry of a convolution, shared by conv.c (direct) and winograd.c. Axes: b batch, h w image in, p q image out, r s
 * window, c channels in, o channels out. */
#ifndef CONV_H
#define CONV_H
#include "kernels/kernels.h"

typedef struct {
    int64_t b, h, w, c, p, q, o, r, s;
    int64_t stride_h, stride_w, dilation_h, dilation_w, top, left, groups; /* zeros above and left of the image; below and right as p and q need */
} nn_conv;
#endif
