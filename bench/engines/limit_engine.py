"""The machine itself: the time that a number of multiply-adds or bytes takes at the peak measured at that moment."""
import numpy as np

from ..probe import compile_probe
from ..timed import Timed

LIB = compile_probe()
THREADS = 1
MOMENT = 1e-3  # seconds at the peak that one call lasts at least, so that starting the threads is not felt


def set_threads(n):
    global THREADS
    if n > 1 and not LIB.probe_has_threads():
        raise OSError("the compiler has no OpenMP: limits for one thread only")
    THREADS = n


def versions():
    return {"vector length": LIB.probe_vector_length(), "threads": THREADS}


def to_numpy(result):
    return None


def fma(flops):
    rounds = int(MOMENT * 200e9 / LIB.probe_flops_per_round())
    done = rounds * LIB.probe_flops_per_round() * THREADS
    return {"fma": Timed(lambda: LIB.probe_fma(rounds, THREADS), units=done / flops)}


def stream(n, reads, writes):
    arrays = [np.ones(n + 64, np.float32) for _ in range(3)]
    z, x, y = (a.ctypes.data for a in arrays)
    repeat = max(1, int(MOMENT * 100e9 / (4 * n * (reads + writes))))

    def work(arrays=arrays):
        return LIB.probe_stream(z, x, y, n, reads, writes, repeat, THREADS)

    return {"stream": Timed(work, units=repeat)}


KINDS = {"fma": fma, "stream": stream}
