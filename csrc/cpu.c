/* Which instruction sets were compiled in, which of them this processor and operating system can run, and the table of
 * kernels in use.
 *
 * __builtin_cpu_supports asks cpuid and, by xgetbv, whether the operating system saves the wide registers. An
 * instruction set is taken only with every extension its file is compiled with: see ISA_FLAGS in setup.py.
 */
#include <string.h>
#include "kernels/kernels.h"

/* How this was built, for `python -m nncore info`: lines of `name: value`. setup.py gives the flags. */
#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
#ifndef NN_BUILD_FLAGS
#define NN_BUILD_FLAGS "unknown"
#endif
const char *const nn_build = "compiler: " COMPILER "\n" NN_BUILD_FLAGS;

extern const nn_kernels nn_kernels_baseline;
const nn_kernels *nn_k = &nn_kernels_baseline;

static int always(void) { return 1; }

#if defined(__x86_64__)
extern const nn_kernels nn_kernels_avx512, nn_kernels_avx2;

static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct {
    const nn_kernels *table;
    int (*supported)(void);
} sets[] = { /* best first */
#if defined(__x86_64__)
    {&nn_kernels_avx512, has_avx512},
    {&nn_kernels_avx2, has_avx2},
#endif
    {&nn_kernels_baseline, always},
};
enum { SETS = sizeof sets / sizeof *sets };

int nn_isa_count(void) { return SETS; }
const char *nn_isa_name(int i) { return i >= 0 && i < SETS ? sets[i].table->name : NULL; }
int nn_isa_supported(int i) { return i >= 0 && i < SETS && sets[i].supported(); }
const char *nn_isa_current(void) { return nn_k->name; }

int nn_isa_select(const char *name)
{
    for (int i = 0; i < SETS; i++)
        if (sets[i].supported() && (!name || !strcmp(name, sets[i].table->name))) {
            nn_k = sets[i].table;
            return 0;
        }
    return -1;
}
