/* Between program.c, which runs calls, and profile.c, which keeps the log. The interface for Python is in nn.h. */
#ifndef PROFILE_H
#define PROFILE_H
#include <stdatomic.h>
#include "nn.h"

extern atomic_int nn_profiling; /* whether calls are logged: asked once per call */

/* Runs the call by its driver and logs it. */
int nn_profiled(const nn_call *c, int (*driver)(const nn_call *));
#endif
