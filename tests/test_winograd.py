"""Winograd's convolution of each instruction set against double precision, compiled and run as a C program
(winograd_test.c)."""
import os
import shlex
import subprocess

import pytest

from test_vmath import FLAGS, NEEDED, ROOT, SETS, cpu_flags


@pytest.mark.no_sanitizer  # the program is compiled without them
@pytest.mark.parametrize("isa", SETS)
def test_winograd(isa, tmp_path):
    if not NEEDED[isa] <= cpu_flags():
        pytest.skip(f"this CPU lacks {isa}")
    program = tmp_path / "winograd_test"
    sources = [str(ROOT / "tests" / "winograd_test.c"), str(ROOT / "csrc" / "winograd.c")]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *FLAGS, *SETS[isa], f"-I{ROOT / 'csrc'}", *sources, "-o", str(program), "-lm"],
                   check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 failures" in result.stdout
