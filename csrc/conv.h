/* The geometry of a convolution, shared by conv.c (direct) and winograd.c. Axes: b batch, h w image in, p q image out,
 * r s window, c channels in, o channels out. */
#ifndef CONV_H
#define CONV_H
#include "kernels/kernels.h"
#include "grad_sums.h"
#include "moments.h"

typedef struct {
    int64_t b, h, w, c, p, q, o, r, s;
    int64_t stride_h, stride_w, dilation_h, dilation_w, groups;
    int64_t top, left; /* zeros above and left of the image; below and right as p and q need */
} nn_conv;

/* For 3 x 3 and 5 x 5 windows with stride and dilation 1, one group, and no size that is 0.
 * y[b,p,q,o] (+)= f(x[b,h,w,c] * w[r,s,c,o] + bias[o]); bias, f and moments (of y) may be NULL. flipped: w is stored
 * [r,s,o,c] and read from its other end: the input gradient of a convolution whose weights are w, with x for dy and y
 * for dx. norm: what becomes of x while it is loaded, or NULL. */
int nn_winograd(float *y, const float *x, const float *w, const float *bias, const nn_conv *g, int flipped, int acc,
                nn_unary_fn *f, const float *attr, nn_moments *moments, const nn_norm *norm);
/* dw[r,s,c,o] (+)= sum over images and pixels of x * dy; norm: of x */
int nn_winograd_dw(float *dw, const float *x, const float *dy, const nn_conv *g, int acc, const nn_norm *norm);

/* Both gradients in one pass over x and dy, where dy is made of a norm's gradient while it is loaded. */
typedef struct {
    float *dx, *dw;
    const float *x, *dy, *w;
    const nn_norm *norm, *norm_dy; /* of x, or NULL; of dy */
    int acc_dx, acc_dw;
    nn_grad_sums *sums;            /* of dx for the norm of x, or NULL */
} nn_winograd_both;
/* Whether that way is made for such a convolution: few enough channels for the weights of both to stay in L2, and
 * results of the size of the image. */
int nn_winograd_fits_both(const nn_conv *g);
int nn_winograd_grads(const nn_winograd_both *a, const nn_conv *g);
#endif
