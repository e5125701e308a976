"""Elementary functions and random numbers of each instruction set, compiled and run as a C program (vmath_test.c)."""
import os
import platform
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
X86 = {
    "baseline": ["-DVL=4"],
    "avx2": ["-DVL=8", "-mavx2", "-mfma"],
    "avx512": ["-DVL=16", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"],
}
NEEDED = {
    "baseline": set(),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
}
SETS = X86 if platform.machine() in ("x86_64", "AMD64") else {"baseline": X86["baseline"]}


def cpu_flags():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())


@pytest.mark.no_sanitizer  # the program is compiled without them
@pytest.mark.parametrize("isa", SETS)
def test_vmath(isa, tmp_path):
    if not NEEDED[isa] <= cpu_flags():
        pytest.skip(f"this CPU lacks {isa}")
    program = tmp_path / "vmath_test"
    sources = [str(ROOT / "tests" / "vmath_test.c"), str(ROOT / "csrc" / "random.c")]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = [*FLAGS, *SETS[isa], f"-I{ROOT / 'csrc'}"]
    subprocess.run([*compiler, *flags, *sources, "-o", str(program), "-lm"], check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 failures" in result.stdout
