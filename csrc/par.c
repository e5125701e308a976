/* How many threads a piece of work is worth, and running it on them. The only file that knows OpenMP.
 *
 * What a region costs decides everything here. GNU OpenMP, 2 threads on 2 cores of an AMD EPYC (Zen 5, virtual machine,
 * Linux 6.18), in microseconds; SPIN_COUNT is in nncore/threads.py and keeps an idle team awake for about 75 us:
 *     0.5     the team is still awake
 *     12-40   it sleeps
 *     8000    now and then, on a busy machine, with GNU OpenMP's own 300000 spins instead of SPIN_COUNT
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
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "fpstate.h"
#include "par.h"
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

/* Seats: no two threads of a team on one processor.
 *
 * Linux wakes a thread near the one that wakes it, often on the same processor, and moves it only after milliseconds of
 * work; a team that sleeps between short regions then never runs in parallel. Measured, two tasks of 50 us: 105 us with
 * no spinning, 208 us with 2000 spins, 51 us with the seats below. Who finds its processor taken limits itself to those
 * that are free. The limit stays, because the next wake-up would undo it, and is drawn from what the caller may use.
 * The caller's own affinity is never touched. OMP_PROC_BIND does as well but ties the caller, the user's main thread. */
#ifdef __linux__
enum { SEAT_WORDS = CPU_SETSIZE / 64 };
typedef struct {
    _Atomic uint64_t taken[SEAT_WORDS];
    pid_t caller;
} seats;

static int seat_is_free(seats *s)
{
    int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE) return 1;
    uint64_t bit = (uint64_t)1 << (cpu & 63);
    return !(atomic_fetch_or_explicit(&s->taken[cpu >> 6], bit, memory_order_relaxed) & bit);
}
static void seats_open(seats *s)
{
    static _Thread_local pid_t id;
    if (!id) id = (pid_t)syscall(SYS_gettid);
    memset(s, 0, sizeof *s);
    s->caller = id;
    seat_is_free(s);
}
static void seats_take(seats *s)
{
    uint64_t mask[SEAT_WORDS] = {0}, any = 0;
    if (seat_is_free(s) || sched_getaffinity(s->caller, sizeof mask, (cpu_set_t *)mask)) return;
    for (int i = 0; i < SEAT_WORDS; i++)
        any |= mask[i] &= ~atomic_load_explicit(&s->taken[i], memory_order_relaxed);
    if (any && !sched_setaffinity(0, sizeof mask, (cpu_set_t *)mask)) seat_is_free(s);
}
#else
typedef char seats;
static void seats_open(seats *s) { (void)s; }
static void seats_take(seats *s) { (void)s; }
#endif

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
    seats places;
    seats_open(&places);
#pragma omp parallel num_threads(n)
    {
        nn_fp_state saved = nn_fp_enter();
        int worker = omp_get_thread_num();
        if (worker) seats_take(&places);
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
