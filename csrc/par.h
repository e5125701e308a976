/* Threads: the only interface to them, and par.c the only file that knows OpenMP. */
#ifndef PAR_H
#define PAR_H
#include "nn.h"

#define NN_CHUNK 16384 /* elements of a piece of elementwise work: 64 KB, a multiple of every vector length */

typedef void nn_task_fn(void *arg, int64_t task, int worker);

/* Runs fn(arg, 0 .. tasks-1, worker) in any order on as many threads as `work` is worth: an estimate, in nanoseconds on
 * one thread, of all tasks together. Tasks must be cut by sizes alone and write apart, so that results are the same for
 * any number of threads. Serial when small, inside another parallel region, and in a forked child. */
void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg);
/* Runs program(arg) on this thread, with a team of at most `most` threads for every nn_for inside: one
 * region at most. */
typedef void nn_lead_fn(void *arg);
void nn_lead(int most, nn_lead_fn *program, void *arg);
/* worker < nn_workers(work) in every task of a following nn_for of at most that work: the size of per-worker scratch. 1
 * where it will be serial. */
int nn_workers(double work);
void nn_forget_workers(void); /* before each call */

static inline int64_t nn_chunks(int64_t n) { return (n + NN_CHUNK - 1) / NN_CHUNK; }
#endif
