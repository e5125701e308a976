/* The matrix product for other drivers: c[m,n] (+)= op(a) @ op(b) (+ bias[n]), then f. Matrices as in the op gemm. */
#ifndef GEMM_H
#define GEMM_H
#include "kernels/kernels.h"

int nn_product(float *c, const float *a, const float *b, const float *bias, int64_t m, int64_t n, int64_t k, int ta,
               int tb, int acc, nn_unary_fn *f, const float *attr);

/* Whether wide tiles suit m rows and n columns better: a tile of r rows and v vectors loads 1/r + 1/v values for each
 * multiply-add, and rows and vectors are cut into even pieces. */
static inline int nn_wide(int64_t m, int64_t n)
{
    int64_t v = (n + nn_k->vl - 1) / nn_k->vl, nv = nn_k->nr / nn_k->vl, wide_nv = nn_k->wide_nr / nn_k->vl;
    if (m < 1 || v < 1) return 0;
    double tall = (double)((m + nn_k->mr - 1) / nn_k->mr) / m + (double)((v + nv - 1) / nv) / v;
    double wide = (double)((m + nn_k->wide_mr - 1) / nn_k->wide_mr) / m + (double)((v + wide_nv - 1) / wide_nv) / v;
    return wide < 0.99 * tall;
}
#endif
