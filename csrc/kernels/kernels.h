/* The table of kernels: one per instruction set, all with the same fields. Drivers reach kernels through `nn_k`
 * only. */
#ifndef KERNELS_H
#define KERNELS_H
#include "../nn.h"

/* y and x may be the same array. a: the attributes. */
typedef void nn_unary_fn(float *y, const float *x, const float *a, int64_t n);
typedef void nn_unary_grad_fn(float *dx, const float *dy, const float *s, const float *a, int64_t n);
/* sx, sy: 1, or 0 to repeat the first element. */
typedef void nn_binary_fn(float *z, const float *x, int64_t sx, const float *y, int64_t sy, int64_t n);
typedef void nn_loss_fn(float *y, const float *x, const float *t, float a, float factor, int64_t n);
typedef double nn_loss_sum_fn(const float *x, const float *t, float a, int64_t n);
typedef void nn_loss_grad_fn(float *dx, const float *dy, int64_t sdy, const float *x, const float *t, float a,
                             float factor, int64_t n);

enum { NN_SQDEV = NN_MIN + 1 }; /* reduce: the sum of (x - mean)^2 */

/* A part of a product's k: k steps, from a + `a` and from row `b` of b. */
typedef struct {
    int64_t a, b, k;
} nn_stretch;

/* Where the lines of a convolution lie: lines of images, in c and in a, in floats. ahead: what will be read after
 * them, `ahead_n` floats, to be fetched into L2 meanwhile. */
typedef struct {
    int64_t images, lines, c_image, c_line, a_image, a_line;
    const float *ahead;
    int64_t ahead_n;
} nn_conv_lines;

/* Normalisation: where ReLU's gradient finds out what it lets through. */
enum nn_mask { NN_MASK_NONE, NN_MASK_X, NN_MASK_Y };

/* What all rows of a cross-entropy share. */
typedef struct {
    const float *weight; /* of the classes, or null */
    float weight_sum;    /* the number of classes if weight is null */
    float smoothing;
    int ignore;
    int64_t ignored;     /* the label of rows that do not count */
} nn_entropy;

/* A position along an axis that takes part in another one: where it lies, in elements; its number in the window. */
typedef struct {
    int64_t at;
    int32_t tap;
    float weight;
} nn_tap;

/* What all elements of an optimizer step share; sign is -1 to maximize. */
typedef struct {
    float sign, decay, lr, momentum, gain; /* m = momentum m + gain g */
    int nesterov, first; /* first: there is no m yet */
} nn_sgd;
typedef struct {
    float sign, decay, keep; /* g += decay w, then w *= keep: one of the two does nothing */
    float gain1, beta2, gain2, root, eps, lr;
} nn_adam;
typedef struct {
    float sign, decay, lr, alpha, gain, eps, momentum;
} nn_rmsprop;
typedef struct {
    float sign, decay, lr, eps;
} nn_adagrad;
typedef struct {
    float sign, decay, lr, rho, gain, eps;
} nn_adadelta;

/* A piece of an image, and which part of it lies inside: rows top .. bottom-1, columns left .. right-1. */
typedef struct {
    int64_t rows, columns, top, bottom, left, right;
} nn_patch;

/* Batch norm that is applied while its input is loaded, with columns m a b p q, `apart` floats from one to the next, as
 * norm.h has them: (x - m) a + b, with ReLU behind it. Or its gradient, where z is not null: the norm's input, beside
 * the gradient of its result that is loaded. */
typedef struct {
    const float *columns;
    int64_t apart;
    const float *z;
    int relu;
} nn_norm;

/* What will be wanted next, to be fetched while something else is computed: n[0] floats from p[0], n[1] from p[1]
 * on. */
typedef struct {
    const float *p[2];
    int64_t n[2];
} nn_ahead;

#define WINO_WIDE 2 /* vectors in a row of winograd_product's register tiles, at most */

/* Windows of 3 x 3 over x[h,w,c], whose channels do not mix; y[p,q,c] has a pixel for each `step` of x, 1 or 2. top,
 * left: zeros around x. Lines first .. end-1 are meant: of the result, or of y where that is the weights' gradient. */
typedef struct {
    int64_t h, w, c, p, q, step, top, left, first, end;
} nn_window3;

/* What the next line of a convolution needs, in floats from where this one is: that of y or dy, and of x up to 4 pixels
 * for each pixel. */
typedef struct {
    int64_t line, at[4];
    int count;
} nn_next;

typedef struct {
    const char *name;
    int mr, nr, kc; /* gemm: rows and columns of a register tile, and how much of k goes through it at once */
    int vl, wide_nr; /* floats of a vector; columns of the wide tile, or nr again */
#define KERNEL(name, arguments) void (*name) arguments;
#define KERNEL_RETURNS(type, name, arguments) type (*name) arguments;
#include "kernels.inc"
#undef KERNEL
#undef KERNEL_RETURNS
    nn_unary_fn *unary[NN_UNARIES];
    nn_unary_grad_fn *unary_grad[NN_UNARIES];
    nn_binary_fn *binary[NN_BINARIES];
    nn_loss_fn *loss[NN_LOSSES];
    nn_loss_sum_fn *loss_sum[NN_LOSSES];
    nn_loss_grad_fn *loss_grad[NN_LOSSES];
} nn_kernels;

extern const nn_kernels *nn_k; /* the table in use */
#endif
