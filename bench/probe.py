"""probe: the machine's FMA peak and memory bandwidth, with a small C program compiled here (probe.c).

They make the other tables read as a share of the limit; the limit engine measures them again beside every case.
"""
import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

from .case import Case

# As NNCORE_ISA narrows nncore to an older instruction set, the limit is that instruction set's.
TARGETS = {"avx2": ["-mavx2", "-mfma"], "baseline": []}


def compile_probe():
    """Builds probe.c in a temporary folder and returns it as a ctypes library; OSError where there is no compiler."""
    source = Path(__file__).with_name("probe.c")
    compiler = os.environ.get("CC", "cc").split()
    target = TARGETS.get(os.environ.get("NNCORE_ISA", ""), ["-march=native"])
    with tempfile.TemporaryDirectory(prefix="nncore-probe-") as folder:
        out = Path(folder) / "probe.so"
        for openmp in (["-fopenmp"], []):
            made = subprocess.run([*compiler, "-O3", *target, *openmp, "-shared", "-fPIC", "-o", out, source],
                                  capture_output=True, text=True)
            if made.returncode == 0:
                break
        else:
            raise OSError(f"{compiler[0]} does not compile probe.c: {made.stderr.strip().splitlines()[-1:]}")
        lib = ctypes.CDLL(str(out))
    floats, long, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    lib.probe_fma.restype = lib.probe_stream.restype = ctypes.c_float
    lib.probe_fma.argtypes = [long, number]
    lib.probe_stream.argtypes = [floats, floats, floats, long, number, number, long, number]
    return lib


STREAMS = {"read": (1, 0), "write": (0, 1), "copy": (1, 1), "triad": (2, 1)}
SIZES = {"L1 16 KB": 4 << 10, "L2 256 KB": 64 << 10, "L3 4 MB": 1 << 20, "DRAM 256 MB": 64 << 20}  # floats per array


def cases(quick):
    found = [Case("FMA peak", "none", {}, limit={"kind": "fma", "flops": 1e9})]
    for size, n in SIZES.items():
        for name, (reads, writes) in STREAMS.items():
            if not (quick and n > 1 << 22):
                found.append(Case(f"{name}, {size}", "none", {}, rounds=5 if n > 1 << 22 else None,
                                  limit={"kind": "stream", "n": n, "reads": reads, "writes": writes}))
    return found


FIGURES = []
