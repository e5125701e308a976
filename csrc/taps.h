/* Which positions along one axis make an output position: the tables that pooling and upsampling run on. */
#ifndef TAPS_H
#define TAPS_H
#include "kernels/kernels.h"

typedef struct {
    int64_t n, o;                              /* positions of the input, of the output */
    int kind;                                  /* enum nn_resample */
    int64_t kernel, stride, padding, dilation; /* windows */
    double step;                               /* NN_NEAREST, NN_LINEAR: input positions from one output to the next */
} nn_axis;

/* What makes position o: tap[start[o]] .. tap[start[o + 1] - 1], in order. */
typedef struct {
    int64_t positions, most; /* most: taps of one position */
    int32_t *start;
    nn_tap *tap;
    float *divisor;          /* of the sum of position o */
    size_t bytes;
} nn_taps;

/* The halves of an attribute that holds something for rows (axis 0) and for columns (1). */
static inline int64_t nn_pair(int64_t pair, int axis) { return (int32_t)(pair >> 32 * axis); }

/* The most taps that a window has. */
int64_t nn_window(const nn_axis *a);
/* turned: the input's positions are made of the output's, as the gradient wants it. Position i is at i * distance, the
 * t-th of a window has the number t * count. Returns NN_OK or NN_NOMEM. */
int nn_taps_make(nn_taps *t, const nn_axis *a, int turned, int64_t distance, int64_t count);
void nn_taps_free(nn_taps *t);
#endif
