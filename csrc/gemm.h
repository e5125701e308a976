/* The matrix product for other drivers: c[m,n] (+)= op(a) @ op(b) (+ bias[n]), then f. Matrices as in the op gemm. */
#ifndef GEMM_H
#define GEMM_H
#include "kernels/kernels.h"

int nn_product(float *c, const float *a, const float *b, const float *bias, int64_t m, int64_t n, int64_t k, int ta,
               int tb, int acc, nn_unary_fn *f, const float *attr);

/* Whether wide tiles suit m rows and n columns better: a tile of r rows and v vectors loads 1/r + 1/v values for each
 * multiply-add, and rows and vectors are cut into even pieces. In 32 bits and without fractions, because a division of
 * 64 bits costs 40 to 90 cycles, and a small product a few hundred. */
static inline int nn_wide(int64_t rows, int64_t n)
{
    if (n <= nn_k->nr || rows < 1 || nn_k->wide_nr == nn_k->nr) return 0;
    uint32_t m = rows < 1 << 20 ? (uint32_t)rows : 1 << 20, v = (uint32_t)(n < 1 << 20 ? n : 1 << 20);
    uint32_t vl = nn_k->vl, nv = nn_k->nr / vl, wide_nv = nn_k->wide_nr / vl, mr = nn_k->mr, wide_mr = nn_k->wide_mr;
    v = (v + vl - 1) / vl;
    uint64_t tall = (uint64_t)((m + mr - 1) / mr) * v + (uint64_t)((v + nv - 1) / nv) * m;
    uint64_t wide = (uint64_t)((m + wide_mr - 1) / wide_mr) * v + (uint64_t)((v + wide_nv - 1) / wide_nv) * m;
    return 100 * wide < 99 * tall;
}
#endif
