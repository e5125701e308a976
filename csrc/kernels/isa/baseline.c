/* What every CPU of the architecture has: SSE2 on x86-64 (16 registers, no FMA), NEON on AArch64 (32 registers). */
#define ISA baseline
#define VL 4
#if defined(__aarch64__)
#define GEMM_MR 8
#define GEMM_NV 2
#else
#define GEMM_MR 4
#define GEMM_NV 2
#endif
#define GEMM_KC 256
#include "../isa.h"
