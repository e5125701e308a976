/* A caching, aligned allocator.
 *
 * A training step asks for the same sizes over and over, so a freed block is kept on a list of its size class and
 * handed out again: about 10 ns, and the memory is warm. Classes are four to a power of two (at most 25 % lost; pages
 * never touched cost nothing). A block has no header: whoever frees it knows its size. The list pointer lives in the
 * block. Cached memory is bounded by CACHE_LIMIT and given back when the system has no more. A step that is recorded
 * will not run this way again, so meanwhile little is kept beyond what is live at the peak: sizes that are needed one
 * after another would add up.
 *
 * Rejected: thread-local caches. Blocks are mostly taken by the one thread that runs Python; a spin lock costs 5 ns.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "nn.h"

#define LARGEST ((size_t)1 << 46)
#define CLASSES 161 /* size_class(LARGEST) is the last */
#define CACHE_LIMIT ((size_t)256 << 20)
#ifdef __SANITIZE_ADDRESS__
#define MAPPED SIZE_MAX /* all blocks are malloc's, whose ends are watched */
#else
#define MAPPED ((size_t)1 << 20)
#endif
/* What live and cached memory may be together in thrifty times, if 1.25 times the peak is less. */
#define SPARE ((size_t)64 << 20)

static void *free_lists[CLASSES];
static size_t live, peak, cached;
static int64_t fail_countdown = -1;
static int thrifty;
static atomic_flag lock = ATOMIC_FLAG_INIT;

static void acquire(void) { while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) ; }
static void release(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

/* The smallest class of at least `bytes`, and its size: 64, 80, 96, 112, 128, 160, ... */
static int size_class(size_t bytes, size_t *size)
{
    if (bytes < 64) bytes = 64;
    int power = 63 - __builtin_clzll(bytes);
    size_t step = (size_t)1 << (power - 2);
    size_t quarter = (bytes - ((size_t)1 << power) + step - 1) / step;
    *size = ((size_t)1 << power) + quarter * step;
    return (power - 6) * 4 + (int)quarter; /* quarter 4 is quarter 0 of the next power */
}

/* Large blocks are mapped one by one, so that what is given back is given back: malloc would keep it, in pieces. */
static void *from_system(size_t size)
{
    void *p;
    if (size >= MAPPED) {
        p = mmap(NULL, size + NN_OVERREAD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    return posix_memalign(&p, NN_ALIGN, size + NN_OVERREAD) ? NULL : p;
}

static void to_system(void *p, size_t size)
{
    if (size >= MAPPED) munmap(p, size + NN_OVERREAD);
    else free(p);
}

static size_t class_size(int class)
{
    return ((size_t)1 << (class / 4 + 6)) + (size_t)(class % 4) * ((size_t)1 << (class / 4 + 4));
}

void *nn_alloc(size_t bytes)
{
    size_t size;
    if (bytes > LARGEST) return NULL;
    int class = size_class(bytes, &size);
    acquire();
    if (fail_countdown >= 0 && fail_countdown-- == 0) {
        release();
        return NULL;
    }
    void *p = free_lists[class];
    if (p) {
        free_lists[class] = *(void **)p;
        cached -= size;
    }
    live += size;
    if (live > peak) peak = live;
    release();
    if (p) return p;
    p = from_system(size);
    if (!p) {
        nn_memory_trim();
        p = from_system(size);
    }
    if (!p) {
        acquire();
        live -= size;
        release();
    }
    return p;
}

void nn_free(void *p, size_t bytes)
{
    size_t size;
    if (!p) return;
    int class = size_class(bytes, &size);
    acquire();
    live -= size;
    int keep = cached + size <= CACHE_LIMIT;
    if (thrifty && live + cached + size > SPARE && live + cached + size > peak + peak / 4) keep = 0;
    if (keep) {
        *(void **)p = free_lists[class];
        free_lists[class] = p;
        cached += size;
    }
    release();
    if (!keep) to_system(p, size);
}

void nn_memory_trim(void)
{
    for (int class = 0; class < CLASSES; class++) {
        acquire();
        void *p = free_lists[class];
        free_lists[class] = NULL;
        release();
        while (p) {
            void *next = *(void **)p;
            to_system(p, class_size(class));
            p = next;
        }
    }
    acquire();
    cached = 0;
    for (int class = 0; class < CLASSES; class++) /* what other threads freed meanwhile */
        for (void *p = free_lists[class]; p; p = *(void **)p) cached += class_size(class);
    release();
}

size_t nn_memory_live(void) { return live; }
size_t nn_memory_peak(void) { return peak; }
size_t nn_memory_cached(void) { return cached; }
void nn_memory_reset_peak(void) { peak = live; }
void nn_memory_thrift(int on) { thrifty = on; }
void nn_memory_fail_after(int64_t n) { fail_countdown = n; }

static __attribute__((constructor)) void survive_fork(void) { pthread_atfork(acquire, release, release); }
