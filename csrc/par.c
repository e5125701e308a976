/* How many threads a piece of work is worth, and running it on them. The only file that knows OpenMP.
 *
 * What a region costs decides everything here. GNU OpenMP, 2 threads on 2 cores of an AMD EPYC (Zen 5, virtual machine,
 * Linux 6.18), in microseconds; SPIN_COUNT is in nncore/threads.py and keeps an idle team awake for about 75 us:
 *     0.5     the team is still awake
 *     12-40   it sleeps
 *     8000    now and then, on a busy machine, with GNU OpenMP's own 300000 spins instead of SPIN_COUNT
 * Hence GRAIN_NS: a thread is called for when it gets that much work. And LEAST_NS, as what two threads share goes
 * through the caches of both and is cut finer: products of 38 us took 28-41 us on two threads of a Xeon (Cascade Lake),
 * and a step made of them 196 us instead of 178.
 *
 * Serial instead of parallel
 *   - inside a parallel region, ours or the user's: the processors are taken;
 *   - while another thread of the process is in a region of ours. GNU OpenMP keeps a team per calling thread, so two
 *     Python threads would run 2 n threads on n processors; the second one computes alone, with the same results;
 *   - in a forked child: the team did not survive the fork and GNU OpenMP would wait for it for ever.
 *
 * Tasks are handed out one by one from a counter: a thread that the system stops in the middle delays its own task
 * only.
 *
 * A replayed program opens one region at most, and only if recording found a call worth sharing: see nn_lead.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include "fpstate.h"
#include "par.h"
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define LEAST_NS 50e3     /* work, in nanoseconds, that is shared at all */
#define GRAIN_NS 15e3     /* ... and of which each thread must have so much */
#define MAX_THREADS 1024

/* How many threads a piece of work is worth, however many there are. */
static int worth(double work)
{
    return work < LEAST_NS ? 1 : work < MAX_THREADS * GRAIN_NS ? (int)(work / GRAIN_NS) : MAX_THREADS;
}

static atomic_int threads = 1;
/* What nn_workers last answered in the call that this thread runs: scratch was sized by it, so a following nn_for must
 * not use more even if another thread calls nn_threads_set in between. 0: nothing. */
static _Thread_local int promised;
/* The most threads that a piece of work was worth on this thread since nn_wished was asked. By its work alone: how many
 * tasks a matrix product is cut into depends on the number of threads. */
static _Thread_local int wished;

int nn_wished(void)
{
    int n = wished;
    wished = 0;
    return n;
}

#ifdef NN_NO_OPENMP

int nn_has_openmp(void) { return 0; }
int nn_threads_get(void) { return 1; }
static int most_workers(double work) { return (void)work, 1; }
static int run_in_team(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    (void)tasks, (void)work, (void)fn, (void)arg;
    return 0;
}
void nn_lead(int most, nn_lead_fn *program, void *arg)
{
    (void)most;
    program(arg);
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
 * The caller's own affinity is never touched. OMP_PROC_BIND does as well but ties the caller, the user's main
 * thread. */
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

/* Tasks of one piece of work, taken one by one. */
typedef struct {
    nn_task_fn *fn;
    void *arg;
    int64_t tasks;
    _Atomic int64_t next;
} job;

static void take_tasks(job *j, int worker)
{
    for (int64_t task; (task = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->tasks;)
        j->fn(j->arg, task, worker);
}

/* A team of at most n threads for a region of ours: 1 inside another region, or while there is one elsewhere; more than
 * 1 are to be given back. */
static atomic_flag taken = ATOMIC_FLAG_INIT;
static int take_team(int n)
{
    if (n > nn_threads_get()) n = nn_threads_get();
    if (n < 2 || omp_in_parallel() || atomic_flag_test_and_set_explicit(&taken, memory_order_acquire)) return 1;
    return n;
}
static void give_team(void) { atomic_flag_clear_explicit(&taken, memory_order_release); }

/* ---- one team for a whole program ----
 *
 * The leader, the thread that calls nn_lead, runs the program; the others wait. Where a piece of work is worth sharing,
 * nn_for opens a job for them, takes tasks like everyone, closes the job, and waits for those who are still at a task
 * of it. So a thread that sleeps, or that the system has stopped, delays nobody: the job is done without it.
 *
 * epoch is odd while a job is open. A follower that sees a new one first says that it is inside, and then looks again:
 * so either it sees that the job is closed, or the leader sees it inside (both in the one order of all seq_cst
 * accesses), and the job's fields stay as they are until it has left.
 *
 * Against a region for each call, two threads of a Xeon (Cascade Lake): the steps of bench/mlp.py take the same time,
 * within 4 %, when the machine is quiet; while others compute on both processors, the median of the largest is half.
 */
#define SPINS 3000 /* pauses before a follower sleeps: SPIN_COUNT in nncore/threads.py */
#define OVER UINT64_MAX

typedef struct {
    _Alignas(64) _Atomic uint64_t epoch;
    _Alignas(64) job job;
    int most;                 /* followers from this number on leave the job alone */
    _Alignas(64) atomic_int inside;
    atomic_int asleep;
    int size, spins;
    pthread_mutex_t lock;     /* of those who sleep */
    pthread_cond_t changed;   /* epoch has */
} team;

static _Thread_local team *led; /* by this thread, unless a job is open */

static inline void pause_processor(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void set_epoch(team *t, uint64_t epoch)
{
    atomic_store(&t->epoch, epoch);
    if (!(epoch & 1) || !atomic_load(&t->asleep)) return; /* nobody need wake to see that a job is closed */
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* The first epoch that is not `seen`. */
static uint64_t next_epoch(team *t, uint64_t seen)
{
    uint64_t epoch;
    for (int i = 0; i < t->spins; i++) {
        if ((epoch = atomic_load_explicit(&t->epoch, memory_order_acquire)) != seen) return epoch;
        pause_processor();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->asleep, 1);
    while ((epoch = atomic_load(&t->epoch)) == seen) pthread_cond_wait(&t->changed, &t->lock);
    atomic_fetch_sub(&t->asleep, 1);
    pthread_mutex_unlock(&t->lock);
    return epoch;
}

static void follow(team *t, int worker)
{
    for (uint64_t epoch = 0; (epoch = next_epoch(t, epoch)) != OVER;) {
        if (!(epoch & 1)) continue;
        atomic_fetch_add(&t->inside, 1);
        if (atomic_load(&t->epoch) == epoch && worker < t->most) take_tasks(&t->job, worker);
        atomic_fetch_sub(&t->inside, 1);
    }
}

static void share(team *t, int n, int64_t tasks, nn_task_fn *fn, void *arg)
{
    uint64_t epoch = atomic_load_explicit(&t->epoch, memory_order_relaxed);
    t->job.fn = fn, t->job.arg = arg, t->job.tasks = tasks, t->most = n;
    atomic_store_explicit(&t->job.next, 0, memory_order_relaxed);
    led = NULL; /* a task that is cut itself runs on one thread */
    set_epoch(t, epoch + 1);
    take_tasks(&t->job, 0);
    set_epoch(t, epoch + 2);
    for (int i = 0; atomic_load(&t->inside); i++)
        if (i < t->spins) pause_processor();
        else sched_yield();
    led = t;
}

void nn_lead(int most, nn_lead_fn *program, void *arg)
{
    int n = take_team(most);
    if (n < 2) {
        program(arg);
        return;
    }
    team t = {.size = n, .spins = n > omp_get_num_procs() ? SPINS / 30 : SPINS, .lock = PTHREAD_MUTEX_INITIALIZER,
              .changed = PTHREAD_COND_INITIALIZER};
    seats places;
    seats_open(&places);
#pragma omp parallel num_threads(n)
    {
        int worker = omp_get_thread_num();
        if (worker) {
            nn_fp_state saved = nn_fp_enter();
            seats_take(&places);
            follow(&t, worker);
            nn_fp_leave(saved);
        } else {
            led = &t;
            program(arg);
            led = NULL;
            set_epoch(&t, OVER);
        }
    }
    give_team();
}

/* How many threads nn_for would take for this work, if there are tasks enough. */
static int most_workers(double work)
{
    int n = worth(work), most = led ? led->size : nn_threads_get();
    if (n > most) n = most;
    return n < 2 || (!led && omp_in_parallel()) ? 1 : n;
}

/* Returns 0 when the work is not worth a team or there is none to be had. */
static int run_in_team(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    int n = tasks < 2 ? 1 : most_workers(work);
    if (n > tasks) n = (int)tasks;
    if (promised && n > promised) n = promised;
    if (n < 2) return 0;
    if (led) {
        share(led, n, tasks, fn, arg);
        return 1;
    }
    if ((n = take_team(n)) < 2) return 0;
    job j = {.fn = fn, .arg = arg, .tasks = tasks};
    seats places;
    seats_open(&places);
#pragma omp parallel num_threads(n)
    {
        nn_fp_state saved = nn_fp_enter();
        int worker = omp_get_thread_num();
        if (worker) seats_take(&places);
        take_tasks(&j, worker);
        nn_fp_leave(saved);
    }
    give_team();
    return 1;
}
#endif

void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    int n = worth(work);
    if (n > 1 && n > wished) wished = n;
    if (run_in_team(tasks, work, fn, arg)) return;
    for (int64_t task = 0; task < tasks; task++) fn(arg, task, 0);
}

int nn_workers(double work) { return promised = most_workers(work); }

void nn_forget_workers(void) { promised = 0; }

void nn_threads_set(int n)
{
    atomic_store_explicit(&threads, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n, memory_order_relaxed);
}
