/* How many threads a piece of work is worth, and running it on them. The only file that knows OpenMP.
 *
 * What a region costs decides everything here. GNU OpenMP, 2 threads, AMD EPYC (Zen 5, 2 cores), in microseconds, with
 * GOMP_SPINCOUNT 2000 (about 50 us; nncore/threads.py sets it) unless said otherwise:
 *     0.5      team still spinning from the last region
 *     12-30    team asleep
 *     50-160   both threads on one core, because the other is busy with another process
 *     8000     the same with the default of 300000 spins: why the default is not left as it is
 * Hence GRAIN_NS: a thread is called for when it gets that much work.
 *
 * Serial instead of parallel
 *   - inside a parallel region, ours or the user's: the processors are taken;
 *   - while another thread of the process is in a region of ours. GNU OpenMP keeps a team per calling thread, so two
 *     Python threads would run 2 n threads on n processors; the second one computes alone, with the same results;
 *   - in a forked child: the team did not survive the fork and GNU OpenMP would wait for it for ever.
 *
 * Tasks are handed out one by one from a counter: a thread that the system stops in the middle delays its own task only.
 */
#include <pthread.h>
#include <stdatomic.h>
#include "fpstate.h"
#include "par.h"

#define GRAIN_NS 15e3     /* work, in nanoseconds, that each thread of a region must have */
#define MAX_THREADS 1024

static atomic_int threads = 1;
/* What nn_workers last answered on this thread: scratch was sized by it, so a following nn_for must not use more even if
 * another thread calls nn_threads_set in between. 0: nothing since nn_threads_set was called here. */
static _Thread_local int promised;

#ifdef NN_NO_OPENMP

int nn_has_openmp(void) { return 0; }
int nn_threads_get(void) { return 1; }
static int run_in_team(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    (void)tasks, (void)work, (void)fn, (void)arg;
    return 0;
}

#else
#include <omp.h>

static int forked;
static void in_child(void) { forked = 1; }
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

int nn_has_openmp(void) { return 1; }
int nn_threads_get(void) { return forked ? 1 : atomic_load_explicit(&threads, memory_order_relaxed); }

/* Returns 0 when the work is not worth a team or there is none to be had. */
static int run_in_team(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    static atomic_flag taken = ATOMIC_FLAG_INIT;
    if (tasks < 2 || work < 2 * GRAIN_NS) return 0;
    int n = nn_threads_get();
    if (promised && n > promised) n = promised;
    if (n > tasks) n = (int)tasks;
    if (n > work / GRAIN_NS) n = (int)(work / GRAIN_NS);
    if (n < 2 || omp_in_parallel() || atomic_flag_test_and_set_explicit(&taken, memory_order_acquire)) return 0;

    _Atomic int64_t next = 0;
#pragma omp parallel num_threads(n)
    {
        nn_fp_state saved = nn_fp_enter();
        int worker = omp_get_thread_num();
        for (int64_t task; (task = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed)) < tasks;)
            fn(arg, task, worker);
        nn_fp_leave(saved);
    }
    atomic_flag_clear_explicit(&taken, memory_order_release);
    return 1;
}
#endif

void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    if (run_in_team(tasks, work, fn, arg)) return;
    for (int64_t task = 0; task < tasks; task++) fn(arg, task, 0);
}

int nn_workers(void) { return promised = nn_threads_get(); }

void nn_threads_set(int n)
{
    promised = 0;
    atomic_store_explicit(&threads, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n, memory_order_relaxed);
}

void nn_threads_init(int affinity, int quota, int cores)
{
    int n = affinity > 0 ? affinity : 1;
    if (quota > 0 && quota < n) n = quota;
    if (cores > 0 && cores < n) n = cores;
    nn_threads_set(n);
}
