"""nncore.profile: where the time of a block goes, call by call, and how far each op is from what the machine can do.

It reads the records of calls that csrc/profile.c keeps and knows no op by name: new ops appear by themselves. Eager
steps and replayed ones (nncore.compile) log the same calls, so they can be laid side by side.
"""
import functools
import itertools
import os
import threading
import time
from collections import namedtuple

import numpy as np

from . import _core

__all__ = ["profile", "Call", "Total"]

MEASURE_SECONDS = 0.008          # for the matrix product, and once more for the copies
PRODUCT_SIZES = (256, 384)       # square; the larger has 1.8 MB of operands
COPIED_FLOATS = 8 << 20          # 32 MB, read and written: beyond the last cache of most processors
COPIES = 8                       # one after the other: short, so that some are not interrupted on a busy machine

Call = namedtuple("Call", "op shapes outputs bytes flops start ns thread")
Call.__doc__ = """One call: the op, the shapes of its operands (the first `outputs` of them were written), their bytes,
the floating-point operations if it is a product (else 0), when it started and how long it took in ns, and on which
thread."""

Total = namedtuple("Total", "name calls seconds bytes flops")
Total.__doc__ = "All calls of an op, or of an op with operands of some shapes: their number, and sums."


class profile:
    """What the calls of a block cost, on all threads, eager or replayed:

        with nncore.profile() as p:
            train_step(x, y)
        print(p)
        p.export_chrome_trace("step.json")   # for chrome://tracing or ui.perfetto.dev

    most_calls: how many are kept, about 72 bytes each; later ones run unlogged and are counted in `dropped`. A logged
    call takes about 0.1 us longer (Intel Xeon, Cascade Lake). Results are the same to the last bit. Calls that other
    Python threads make meanwhile are logged too, and so is a call that fails; one that is under way when the block
    begins or ends is not.

    One block at a time in a process: RuntimeError for a nested one, and for a question before the block has ended. An
    object can be used for several blocks and then describes the last one. ValueError for a negative most_calls.
    """

    def __init__(self, most_calls=1_000_000):
        self.most_calls = int(most_calls)
        if self.most_calls < 0:
            raise ValueError(f"profile: most_calls={most_calls}")
        self._log = self._calls = None

    def __enter__(self):
        _core.profile_start(self.most_calls)
        self._log = self._calls = None
        return self

    def __exit__(self, *error):
        self._log = _core.profile_stop()
        self._machine = (_core.isa_current(), _core.get_num_threads())
        self._names = {t.ident: t.name for t in threading.enumerate()}

    @property
    def calls(self):
        """The calls as a list of Call, in the order in which they ended."""
        if self._calls is None:
            self._calls = [Call(*what, start, ns, thread) for what, start, ns, thread in self._finished().read()]
        return self._calls

    @property
    def dropped(self):
        """How many calls were not kept because there were more than most_calls, or no memory for them."""
        return self._finished().dropped

    @property
    def wall_seconds(self):
        """From the beginning of the block to its end."""
        log = self._finished()
        return (log.end - log.start) * 1e-9

    @property
    def between_seconds(self):
        """The time of the block in which no call was running on any thread: Python, what surrounds calls, and about 0.1
        us of our own for each call."""
        log = self._finished()
        idle, done = 0, log.start
        for c in sorted(self.calls, key=lambda c: c.start):
            idle += max(0, c.start - done)
            done = max(done, c.start + c.ns)
        return (idle + log.end - done) * 1e-9

    def totals(self, shapes=False):
        """A list of Total, one for each op (shapes=True: for each op and shapes of operands), the longest time
        first."""
        found = {}
        for c in self.calls:
            name = f"{c.op} {_shapes(c)}" if shapes else c.op
            n, ns, moved, flops = found.get(name, (0, 0, 0, 0))
            found[name] = n + 1, ns + c.ns, moved + c.bytes, flops + c.flops
        rows = [Total(name, n, ns * 1e-9, moved, flops) for name, (n, ns, moved, flops) in found.items()]
        return sorted(rows, key=lambda row: -row.seconds)

    def limits(self):
        """(flop/s, bytes/s): the fastest of our own kernels on this machine, with the instruction set and the number of
        threads of the block. Measured when first asked for and then kept: a matrix product whose operands stay in
        the cache, and a copy of 32 MB in eight pieces. That takes about 20 ms, and what the system needs for 64 MB of
        fresh memory (40 ms on a virtual machine)."""
        self._finished()
        return _limits(*self._machine)

    def table(self, shapes=False):
        """The totals as text, one line each.

        share: of the time of the block; with several Python threads they may add up to more than 100 %. GFLOP/s: of
        matrix products, 2 m n k. GB/s: every operand once, whole. of limit: the larger of GFLOP/s and GB/s as a share
        of what limits() measured. It exceeds 100 % where operands lie in a cache, or where only a part of one is read
        (rows of a data set, a slice).
        """
        totals, wall, between = self.totals(shapes), self.wall_seconds, self.between_seconds
        peak, bandwidth = self.limits()
        width = max([len("between calls"), *(len(row.name) for row in totals)])
        lines = [f"{'op':{width}}{'calls':>9}{'ms':>11}{'share':>9}{'GFLOP/s':>10}{'GB/s':>9}{'of limit':>10}"]
        for name, calls, seconds, moved, flops in totals:
            per_second = 1 / max(seconds, 1e-9)
            speed = f"{flops * per_second * 1e-9:.1f}" if flops else "-"
            lines.append(f"{name:{width}}{calls:9}{seconds * 1e3:11.3f}{_share(seconds, wall):>9}{speed:>10}"
                         f"{moved * per_second * 1e-9:9.1f}"
                         f"{max(flops / peak, moved / bandwidth) * per_second:10.0%}")
        lines.append(f"{'between calls':{width}}{'':9}{between * 1e3:11.3f}{_share(between, wall):>9}")
        lines.append(f"{'wall time':{width}}{sum(row.calls for row in totals):9}{wall * 1e3:11.3f}")
        isa, threads = self._machine
        lines.append(f"limit: {peak * 1e-9:.1f} GFLOP/s, {bandwidth * 1e-9:.1f} GB/s: the fastest of our own kernels "
                     f"on this machine, {isa}, {threads} thread{'s' * (threads > 1)}")
        if self.dropped:
            lines.append(f"not logged: {self.dropped} calls after the first {len(self.calls)}, part of 'between calls'")
        return "\n".join(lines)

    def __str__(self):
        return repr(self) if self._log is None else self.table()

    def __repr__(self):
        state = "not finished" if self._log is None else f"{self._log.calls} calls in {self.wall_seconds * 1e3:.3f} ms"
        return f"nncore.profile({state})"

    def export_chrome_trace(self, path):
        """Write the calls as a trace in Chrome's format, for chrome://tracing or ui.perfetto.dev: complete events,
        times in microseconds since the beginning of the block, shapes, bytes and flops in their args."""
        import json  # 3 ms, of 20, of `import nncore`
        log, process = self._finished(), os.getpid()
        events = [{"ph": "M", "name": "thread_name", "pid": process, "tid": thread,
                   "args": {"name": self._names.get(thread, f"thread {thread}")}}
                  for thread in sorted({c.thread for c in self.calls})]
        events += [{"ph": "X", "cat": "call", "name": c.op, "pid": process, "tid": c.thread,
                    "ts": (c.start - log.start) / 1e3, "dur": c.ns / 1e3,
                    "args": {"outputs": c.shapes[:c.outputs], "inputs": c.shapes[c.outputs:], "bytes": c.bytes,
                             "flops": c.flops}} for c in self.calls]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"dropped": log.dropped}}, file)

    def _finished(self):
        if self._log is None:
            raise RuntimeError("profile: the block has not ended yet; ask after it")
        return self._log


def _share(seconds, wall):
    return f"{seconds / max(wall, 1e-9):.1%}"


def _shapes(call):
    texts = ["x".join(map(str, shape)) or "1" for shape in call.shapes]
    return f"{','.join(texts[:call.outputs])} <- {','.join(texts[call.outputs:])}"


# ---- what the machine can do -----------------------------------------------------------------------------------------

@functools.lru_cache(None)
def _limits(isa, threads):
    """(flop/s, bytes/s) of our fastest product and copy with this instruction set and number of threads."""
    before = _core.isa_current(), _core.get_num_threads()
    paused = _core.pause_recording(True)   # a table may be asked for within a compiled step
    try:
        _core.isa_select(isa)
        _core.set_num_threads(threads)
        return _fastest_product(), _fastest_copy()
    finally:
        _core.isa_select(before[0])
        _core.set_num_threads(before[1])
        if paused:
            _core.pause_recording(False)


def _fastest_product():
    best = 0.0
    for n in PRODUCT_SIZES:
        x = _core.from_buffer(np.ones((n, n), np.float32))
        y = _core.empty((n, n))
        product = functools.partial(_core.gemm, x, x, out=y)
        product()   # packs, takes its scratch memory, wakes the threads
        best = max(best, 2 * n ** 3 / _fastest([product], MEASURE_SECONDS / len(PRODUCT_SIZES)))
    return best


def _fastest_copy():
    x, y = _core.zeros((COPIED_FLOATS,)), _core.zeros((COPIED_FLOATS,))
    n = COPIED_FLOATS // COPIES
    pieces = [(_core.flat_slice(y, i * n, (n,)), _core.flat_slice(x, i * n, (n,))) for i in range(COPIES)]
    return 8 * n / _fastest([functools.partial(_core.assign, *piece) for piece in pieces], MEASURE_SECONDS)


def _fastest(functions, budget):
    """Seconds of the fastest call of these functions in turn, as many calls as the budget allows; one at least."""
    best, done, end = float("inf"), time.perf_counter(), time.perf_counter() + budget
    for function in itertools.cycle(functions):
        start = done
        function()
        done = time.perf_counter()
        best = min(best, done - start)
        if done > end:
            return best
