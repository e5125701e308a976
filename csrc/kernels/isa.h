/* All kernels of one instruction set, and their table. Included once by each isa/<isa>.c, which sets
 *   ISA      its name
 *   VL       floats in a vector
 *   GEMM_MR  rows of a register tile      GEMM_NV  vectors in a row of it      GEMM_KC  depth of a packed block
 *   GEMM_WIDE_MR, GEMM_WIDE_NV            the same of a second tile, if there is one
 */
#include "kernels.h"
#include "vec.h"
#include "vmath.h"
#include "elementwise.h"
#include "gemm.h"
#include "conv.h"
#include "depthwise.h"
#include "winograd.h"
#include "winograd_product.h"
#include "reduce.h"
#include "gather.h"
#include "augment.h"
#include "pool.h"
#include "resample.h"
#include "softmax.h"
#include "norm.h"
#include "optim.h"
#include "random.h"

#define ISA_TABLE_(isa) nn_kernels_##isa
#define ISA_TABLE(isa) ISA_TABLE_(isa)
#define ISA_STRING_(isa) #isa
#define ISA_STRING(isa) ISA_STRING_(isa)

const nn_kernels ISA_TABLE(ISA) = {
    .name = ISA_STRING(ISA),
    .mr = GEMM_MR, .nr = GEMM_NV * VL, .kc = GEMM_KC,
    .vl = VL, .wide_nr = GEMM_WIDE_NV * VL,
#define KERNEL(name, arguments) .name = name,
#define KERNEL_RETURNS(type, name, arguments) .name = name,
#include "kernels.inc"
#define UNARY(name, saved, nattr, forward, grad) \
    .unary[NN_##name] = unary_##name, .unary_grad[NN_##name] = unary_grad_##name,
#include "unary.inc"
#define BINARY(name, expression) .binary[NN_##name] = binary_##name,
#include "binary.inc"
#define LOSS(name, forward, grad) \
    .loss[NN_LOSS_##name] = loss_##name, .loss_sum[NN_LOSS_##name] = loss_sum_##name, \
    .loss_grad[NN_LOSS_##name] = loss_grad_##name,
#include "loss.inc"
};
