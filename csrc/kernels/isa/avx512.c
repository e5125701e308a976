/* AVX-512 (F, BW, DQ, VL): Intel servers since 2017, AMD since Zen 4 (2022). 32 registers of 16 floats. */
#define ISA avx512
#define VL 16
#define GEMM_MR 8
#define GEMM_NV 3
#define GEMM_WIDE_MR 6
#define GEMM_WIDE_NV 4
#define GEMM_KC 512
#include "../isa.h"
