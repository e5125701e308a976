/* The matrix product for other drivers: c[m,n] (+)= op(a) @ op(b) (+ bias[n]), then f. Matrices as in the op gemm. */
#ifndef GEMM_H
#define GEMM_H
#include "kernels/kernels.h"

int nn_product(float *c, const float *a, const float *b, const float *bias, int64_t m, int64_t n, int64_t k, int ta,
               int tb, int acc, nn_unary_fn *f, const float *attr);
#endif
