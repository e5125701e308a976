"""Ladder 3: inputs beside unreadable pages. Kernels may read 64 bytes behind the end of an input, and not one more, nor
anything before its start; gather_rows and augment, which read memory that is not ours, must not even read those 64.

Guard bytes cannot see reads. Here every input of every case of tests/cases ends 64 bytes before a page that must not be
touched, then starts right behind one. A read too far ends the process: so it is another one, for each instruction set.
"""
import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncore
from cases import CASES
from closeness import to_numpy
from nncore import _core
from nncore.reference import array
from test_ops import OPS, called

PAGE = mmap.PAGESIZE
ROOM = 16 * PAGE
OVERREAD = 64


class Region:
    """Readable memory between two pages that are not."""

    def __init__(self):
        self.memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (start, start + PAGE + ROOM):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):  # PROT_NONE
                raise OSError(ctypes.get_errno(), "mprotect")

    def place(self, a, at_end, behind=OVERREAD):
        """A copy of a at one end of the readable memory."""
        offset = PAGE + (ROOM - behind - a.nbytes if at_end else 0)
        copy = np.frombuffer(self.memory, a.dtype, a.size, offset).reshape(a.shape)
        copy[...] = a
        return copy


# What the other process runs. Each says what it is at on standard output.

def run_cases():
    regions = [Region() for _ in range(6)]

    def tensor(a, k, at_end, wanted=False):
        return _core.make_tensor(_core.borrow(regions[k].place(a, at_end)), wanted)
    for case in CASES:
        for at_end in (True, False):
            print(case, "at the end" if at_end else "at the start", flush=True)
            inputs = [x if x is None or isinstance(x, (int, tuple)) else
                      tensor(to_numpy(array(x)), k, at_end, k in case.wanted)
                      for k, x in enumerate(case.inputs)]
            results = called(OPS[case.op], case)(*inputs)
            for y in results if isinstance(results, list) else [results]:
                if case.wanted and y.requires_grad:
                    y.backward(tensor(np.ones(y.shape, "f4"), 5, at_end))
    for ta, tb in ((False, False), (False, True), (True, False)):
        for m, n, k in ((1, 1, 1), (3, 5, 7), (8, 32, 16), (9, 33, 17), (17, 15, 31), (64, 48, 50), (2, 129, 5),
                        (5, 3, 129), (40, 100, 150), (150, 35, 100)):
            for at_end in (True, False):
                print("gemm", ta, tb, m, n, k, flush=True)
                a, b = np.ones((k, m) if ta else (m, k), "f4"), np.ones((n, k) if tb else (k, n), "f4")
                out = regions[2].place(np.ones((m, n), "f4"), at_end, 0)
                c = _core.gemm(tensor(a, 0, at_end).array, tensor(b, 1, at_end).array, ta, tb, _core.borrow(out))
                assert (c.numpy() == k).all()


def run_gather_rows():
    region = Region()
    for dtype in ("u1", "f4", "i8"):
        for f in (1, 3, 15, 17, 63, 65, 100):
            print("gather_rows", dtype, f, flush=True)
            x = np.arange(7 * f).reshape(7, f).astype(dtype)
            for at_end in (True, False):
                rows = _core.borrow(region.place(x, at_end, 0))
                index = nncore.tensor([6, 0, 6, 3]).array
                for scale in (None, nncore.ones(1).array, nncore.ones(f).array) if dtype != "i8" else (None,):
                    y = _core.gather_rows(rows, index, 0, 4, scale).numpy()
                    assert (y == x[[6, 0, 6, 3]]).all(), (y, x)


def run_augment():
    from nncore.data.augment import ColorJitter, Normalize, Plan, RandomCrop, RandomHorizontalFlip, streams
    region = Region()
    for dtype in ("u1", "f4"):
        for shape in ((1, 1, 1), (3, 5, 1), (4, 7, 3), (2, 16, 3), (5, 33, 2), (2, 3, 17)):
            print("augment", dtype, shape, flush=True)
            x = np.arange(4 * np.prod(shape)).reshape(4, *shape).astype(dtype)
            h, w, _ = shape
            for at_end in (True, False):
                images = _core.borrow(region.place(x, at_end, 0))
                index, state = nncore.tensor([3, 0, 3, 1]).array, nncore.random.Generator(1).state
                for steps in ([], [RandomHorizontalFlip(1)],
                              [RandomCrop((h + 2, w + 1), 2), RandomHorizontalFlip(), Normalize(0, 1)],
                              [RandomCrop((h, w), 1, "edge"), RandomHorizontalFlip()], [ColorJitter(0.1, 0.1)]):
                    y = Plan(steps, shape, images.dtype).images(images, index, 0, 4, streams(state)).numpy()
                    assert steps or (y == x[[3, 0, 3, 1]]).all()


@pytest.mark.parametrize("what", ["run_cases", "run_gather_rows", "run_augment"])
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mprotect"), reason="no mprotect on this system")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer watches these accesses itself")
def test_reads_stay_within_bounds(isa, what):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_overread as t; t.{what}()"
    done = subprocess.run([sys.executable, "-c", code + "; print('done')"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "NNCORE_ISA": isa})
    last = done.stdout.splitlines()[-1:] or ["nothing"]
    assert done.returncode == 0 and last == ["done"], f"ended with {done.returncode} in {last[0]}\n{done.stderr[-900:]}"
