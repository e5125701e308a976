/* The limits of this machine: multiply-adds per second from registers, and bytes per second by array size.
 *
 * Compiled at run time for the CPU it runs on. Sums are named variables, not an array, and each multiply-add is one
 * assembly statement where the instruction set is known: gcc neither spills the sums nor folds the chain. Two units of
 * 4 to 5 cycles latency need 10 sums in flight; there are as many as registers allow.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__AVX512F__)
#define VL 16
#define SUMS 24
#define FMA(s) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(s) : "v"(x), "v"(y))
#elif defined(__AVX__) && defined(__FMA__)
#define VL 8
#define SUMS 12
#define FMA(s) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(s) : "x"(x), "x"(y))
#elif defined(__aarch64__)
#define VL 4
#define SUMS 24
#define FMA(s) __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(s) : "w"(x), "w"(y))
#elif defined(__SSE2__)
#define VL 4
#define SUMS 12
/* No fused instruction: a product and a sum per step, the product of invariant operands kept from being hoisted. */
#define FMA(s)                                                                                                         \
    __asm__ volatile("movaps %1, %%xmm15\n\tmulps %2, %%xmm15\n\taddps %%xmm15, %0"                                   \
                     : "+x"(s) : "x"(x), "x"(y) : "xmm15")
#else
#define VL 4
#define SUMS 12
#define FMA(s) s += x * y
#endif

typedef float vf __attribute__((vector_size(4 * VL)));
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

#if SUMS == 24
#define EACH(F) F(s0) F(s1) F(s2) F(s3) F(s4) F(s5) F(s6) F(s7) F(s8) F(s9) F(s10) F(s11) \
                F(s12) F(s13) F(s14) F(s15) F(s16) F(s17) F(s18) F(s19) F(s20) F(s21) F(s22) F(s23)
#else
#define EACH(F) F(s0) F(s1) F(s2) F(s3) F(s4) F(s5) F(s6) F(s7) F(s8) F(s9) F(s10) F(s11)
#endif
#define DECLARE(s) vf s = zero;
#define STEP(s) FMA(s);
#define TOTAL(s) total += s;

int probe_vector_length(void) { return VL; }
int probe_flops_per_round(void) { return 2 * VL * SUMS; }

static float fma_rounds(int64_t rounds)
{
    vf zero = {0}, total = {0}, x = zero + 1.0f, y = zero + 1e-9f;
    EACH(DECLARE)
    for (int64_t i = 0; i < rounds; i++) { EACH(STEP) }
    EACH(TOTAL)
    return total[0];
}

/* Each of `threads` threads does `rounds` rounds of SUMS multiply-adds. */
float probe_fma(int64_t rounds, int threads)
{
    float total = 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(+ : total) if (threads > 1)
#endif
    total += fma_rounds(rounds);
    return total;
}

static float stream_part(float *z, const float *x, const float *y, int64_t n, int reads, int writes)
{
    vf s0 = {0}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    int64_t i = 0;
#define AT(p, k) (*(vf_any *)((p) + i + (k) * VL))
#define LOOP(body)                                                                                                     \
    for (; i + 8 * VL <= n; i += 8 * VL) { body(0) body(1) body(2) body(3) body(4) body(5) body(6) body(7) }
#define READ(k) s##k += AT(x, k);
#define WRITE(k) AT(z, k) = s0;
#define COPY(k) AT(z, k) = AT(x, k);
#define TRIAD(k) AT(z, k) = AT(x, k) + AT(y, k) * 3.0f;
    if (writes == 0) LOOP(READ)
    else if (reads == 0) LOOP(WRITE)
    else if (reads == 1) LOOP(COPY)
    else LOOP(TRIAD)
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;
    return s0[0];
}

/* `repeat` passes over n floats: reads 0, 1 or 2 arrays, writes 0 or 1; every thread has its own part throughout. */
float probe_stream(float *z, float *x, float *y, int64_t n, int reads, int writes, int64_t repeat, int threads)
{
    float total = 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) reduction(+ : total) if (threads > 1)
#endif
    {
        int thread = 0;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        int64_t part = (n / threads) & ~(int64_t)(8 * VL - 1), at = thread * part;
        if (thread == threads - 1) part = n - at;
        for (int64_t r = 0; r < repeat; r++) {
            total += stream_part(z + at, x + at, y + at, part, reads, writes);
            __asm__ volatile("" ::: "memory");
        }
    }
    return total;
}

int probe_has_threads(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}
