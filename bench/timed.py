"""One way of doing a case: something to call, timed in blocks. And the inputs, the same numbers for every engine."""
import contextlib
import timeit

import numpy as np


class Timed:
    """work     a function of no arguments, or a statement (with `names`) where a call's own 30 ns would be felt
    names    globals of the statement
    context  makes a context manager that is active while the block runs (torch.inference_mode)
    after    called with nothing at the end of a block, inside the timing: waits for work still under way (JAX)
    units    how many times the case's work one call does
    """

    def __init__(self, work, names=None, context=contextlib.nullcontext, after=None, units=1.0):
        if isinstance(work, str):
            names = dict(names or {})
            self.once = lambda code=compile(work, "<case>", "eval"): eval(code, names)
        else:
            names, self.once = {"work": work}, work
            work = "work()"
        self.context, self.after, self.units = context, after, units
        self.timer = timeit.Timer(work, "import gc; gc.enable()", globals=names)  # as users run: with the collector

    def first(self):
        """Runs once and returns the result."""
        with self.context():
            result = self.once()
            if self.after:
                self.after()
        return result

    def block(self, calls):
        """Seconds for `calls` calls."""
        with self.context():
            seconds = self.timer.timeit(calls)
            if self.after:
                start = timeit.default_timer()
                self.after()
                seconds += timeit.default_timer() - start
        return seconds


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def labels(seed, n, classes):
    return np.random.default_rng(seed).integers(0, classes, n)


def net_weights(sizes, seed=7):
    """[(w[i,o], b[o]), ...] of a dense net: every engine starts from the same."""
    rng = np.random.default_rng(seed)
    return [(rng.uniform(-1, 1, (i, o)).astype(np.float32) / np.float32(i) ** 0.5,
             rng.uniform(-1, 1, o).astype(np.float32) / np.float32(i) ** 0.5) for i, o in zip(sizes, sizes[1:])]


def net_data(sizes, batch, loss, seed=11):
    """(x[b,i], target): labels for cross-entropy, numbers for MSE."""
    x = np.abs(normal(seed, batch, sizes[0]))
    return x, labels(seed, batch, sizes[-1]) if loss == "cross_entropy" else normal(seed + 1, batch, sizes[-1])


# Steps repeat one batch thousands of times. With a usual rate the net would learn it by heart and its gradients would
# fade into denormals, which no training does; a rate this small keeps every step the same work.
RATE = 1e-7
