#include <pthread.h>
#include <stdatomic.h>
#include "fpstate.h"
#include "par.h"
#ifndef NN_NO_OPENMP
#include <omp.h>
#endif

#define GRAIN_NS 15000.0
#define MAX_THREADS 1024

static atomic_int threads = 1;
static atomic_flag team_busy = ATOMIC_FLAG_INIT;
static int forked;
static _Thread_local int promised;

static void in_child(void) { forked = 1; }

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

void nn_threads_set(int n)
{
    promised = 0;
    atomic_store(&threads, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n);
}

void nn_threads_init(int affinity, int quota, int cores)
{
    int n = MAX_THREADS;
    if (affinity > 0 && affinity < n) n = affinity;
    if (quota > 0 && quota < n) n = quota;
    if (cores > 0 && cores < n) n = cores;
    nn_threads_set(n == MAX_THREADS ? 1 : n);
}

#ifdef NN_NO_OPENMP
int nn_has_openmp(void) { return 0; }
int nn_threads_get(void) { return 1; }
#else
int nn_has_openmp(void) { return 1; }
int nn_threads_get(void) { return forked ? 1 : atomic_load_explicit(&threads, memory_order_relaxed); }
#endif

int nn_workers(void) { return promised = nn_threads_get(); }

static int worth(int64_t tasks, double work)
{
    int n = nn_threads_get();
    if (promised && n > promised) n = promised;
    if (n > tasks) n = (int)tasks;
    return n * GRAIN_NS > work ? (int)(work / GRAIN_NS) : n;
}

void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
#ifndef NN_NO_OPENMP
    int n = tasks < 2 ? 1 : worth(tasks, work);
    if (n > 1 && !omp_in_parallel() && !atomic_flag_test_and_set_explicit(&team_busy, memory_order_acquire)) {
        _Atomic int64_t next = 0;
#pragma omp parallel num_threads(n)
        {
            nn_fp_state saved = nn_fp_enter();
            int worker = omp_get_thread_num();
            for (int64_t task; (task = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed)) < tasks;)
                fn(arg, task, worker);
            nn_fp_leave(saved);
        }
        atomic_flag_clear_explicit(&team_busy, memory_order_release);
        return;
    }
#endif
    for (int64_t task = 0; task < tasks; task++) fn(arg, task, 0);
}
