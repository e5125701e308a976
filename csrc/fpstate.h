/* The floating-point state inside our kernels: denormals are flushed to zero (arithmetic on them costs about 100 cycles
 * each), rounding is to nearest, nothing traps. The caller gets back what it had, its sticky exception flags included.
 *
 *     nn_fp_state saved = nn_fp_enter();
 *     ... a call to another translation unit or through a pointer: the compiler moves arithmetic across these functions
 *     nn_fp_leave(saved);
 *
 * The state belongs to a thread: nn_run sets it for the thread that calls, par.c for the threads that help.
 */
#ifndef FPSTATE_H
#define FPSTATE_H
#include <stdint.h>

#if defined(__x86_64__)
typedef uint32_t nn_fp_state;

static inline nn_fp_state nn_fp_enter(void)
{
    nn_fp_state saved = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x8000 | 0x1f80 | 0x0040); /* flush results, mask all exceptions, denormal inputs are zero */
    return saved;
}
static inline void nn_fp_leave(nn_fp_state saved) { __builtin_ia32_ldmxcsr(saved); }

#elif defined(__aarch64__)
typedef struct { uint64_t control, status; } nn_fp_state;

static inline nn_fp_state nn_fp_enter(void)
{
    nn_fp_state saved;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(saved.control), "=r"(saved.status) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24) : "memory"); /* FZ, and everything else off */
    return saved;
}
static inline void nn_fp_leave(nn_fp_state saved)
{
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved.control), "r"(saved.status) : "memory");
}

#else
#error "nncore knows x86-64 and AArch64; give this architecture its own nn_fp_enter and nn_fp_leave"
#endif
#endif
