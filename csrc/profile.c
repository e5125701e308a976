/* A log of the calls that ran: what they were, when, for how long, on which thread.
 *
 * One log at a time, for the whole process. A call is noted after it ran, as a record of 40 to 256 bytes (72 for most)
 * at the end of a block that doubles: without its addresses and attributes, so nothing is kept alive. That costs about
 * 100 ns a call (Intel Xeon, Cascade Lake, virtual machine), most of it the two readings of the clock. A call that was
 * under way when the log was started or stopped is not in it.
 *
 * The memory is malloc's: what is measured must not change because nn_alloc's lists did.
 *
 * Rejected: a log per thread without a lock. A lock that is free costs little beside the clock, and almost
 * always one thread runs calls.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "profile.h"

/* One call: word[0] op | operands << 16 | outputs << 24; word[1] flags; then each view: dimensions | dtype << 8,
 * sizes. */
typedef struct {
    int64_t start, ns;
    uint64_t thread;
    int32_t words, word[];
} entry;
#define MOST_WORDS (2 + NN_MAX_VIEWS * (1 + NN_MAX_DIMS))

struct nn_log {
    char *p;
    size_t used, room;
    int64_t most, calls, dropped, start, end;
};

atomic_int nn_profiling;
static nn_log *current;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void acquire(void) { pthread_mutex_lock(&lock); }
static void release(void) { pthread_mutex_unlock(&lock); }
static __attribute__((constructor)) void survive_fork(void) { pthread_atfork(acquire, release, release); }

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static size_t entry_bytes(int words) { return (offsetof(entry, word) + 4 * (size_t)words + 7) & ~(size_t)7; }

static int pack(int32_t *word, const nn_call *c)
{
    int words = 2;
    word[0] = (int32_t)(c->op | (uint32_t)c->nv << 16 | (uint32_t)c->nout << 24);
    word[1] = (int32_t)c->flags;
    for (int k = 0; k < c->nv; k++) {
        const nn_view *v = &c->v[k];
        word[words++] = v->nd | v->dtype << 8;
        for (int d = 0; d < v->nd; d++) word[words++] = v->n[d];
    }
    return words;
}

static void unpack(nn_call *c, const int32_t *word)
{
    memset(c, 0, sizeof *c);
    c->op = (uint16_t)word[0];
    c->nv = (uint8_t)(word[0] >> 16);
    c->nout = (uint8_t)(word[0] >> 24);
    c->flags = (uint32_t)word[1];
    word += 2;
    for (int k = 0; k < c->nv; k++) {
        nn_view *v = &c->v[k];
        v->nd = (uint8_t)*word;
        v->dtype = (uint8_t)(*word++ >> 8);
        for (int d = 0; d < v->nd; d++) v->n[d] = *word++;
    }
}

/* Room for one more call; 0 when there is none. */
static int make_room(nn_log *log)
{
    if (log->calls >= log->most) return 0;
    if (log->used + entry_bytes(MOST_WORDS) <= log->room) return 1;
    size_t room = 2 * log->room + (1 << 16);
    char *p = realloc(log->p, room);
    if (!p) return 0;
    log->p = p;
    log->room = room;
    return 1;
}

int nn_profiled(const nn_call *c, int (*driver)(const nn_call *))
{
    int64_t start = clock_ns();
    int status = driver(c);
    int64_t ns = clock_ns() - start;
    acquire();
    if (current && start >= current->start) {
        if (make_room(current)) {
            entry *e = (entry *)(current->p + current->used);
            e->start = start;
            e->ns = ns;
            e->thread = (uint64_t)pthread_self();
            e->words = pack(e->word, c);
            current->used += entry_bytes(e->words);
            current->calls++;
        } else
            current->dropped++;
    }
    release();
    return status;
}

int nn_profile_start(int64_t most)
{
    nn_log *log = calloc(1, sizeof *log);
    if (!log) return NN_NOMEM;
    log->most = most;
    acquire();
    int busy = current != NULL;
    if (!busy) {
        current = log;
        log->start = clock_ns();
        atomic_store_explicit(&nn_profiling, 1, memory_order_relaxed);
    }
    release();
    if (busy) free(log);
    return busy ? -1 : NN_OK;
}

nn_log *nn_profile_stop(void)
{
    acquire();
    nn_log *log = current;
    atomic_store_explicit(&nn_profiling, 0, memory_order_relaxed);
    current = NULL;
    if (log) log->end = clock_ns();
    release();
    return log;
}

void nn_log_free(nn_log *log)
{
    if (log) free(log->p);
    free(log);
}

void nn_log_about(const nn_log *log, nn_log_info *about)
{
    *about = (nn_log_info){log->start, log->end, log->calls, log->dropped};
}

int nn_log_next(const nn_log *log, size_t *at, nn_timed *timed)
{
    if (*at >= log->used) return 0;
    const entry *e = (const entry *)(log->p + *at);
    timed->start = e->start;
    timed->ns = e->ns;
    timed->thread = e->thread;
    timed->what = (const char *)e->word;
    timed->bytes = 4 * (size_t)e->words;
    unpack(&timed->call, e->word);
    *at += entry_bytes(e->words);
    return 1;
}
