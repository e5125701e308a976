/* AVX2 and FMA: Intel since Haswell (2013), AMD since Zen (2017). 16 registers of 8 floats. */
#define ISA avx2
#define VL 8
#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_KC 256
#include "../isa.h"
