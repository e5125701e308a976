"""What is built and chosen: the instruction set, the package's metadata, and builds that must fail with advice."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nncore
from nncore import _core

ROOT = Path(__file__).parent.parent


def run(code, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NNCORE_")}
    return subprocess.run([sys.executable, *code], env={**clean, **environ}, capture_output=True, text=True)


# ---- the instruction set ---------------------------------------------------------------------------------------------

SHOW_ISA = ["-c", "import nncore; print(nncore.isa_current())"]


def test_the_best_instruction_set_is_chosen():
    assert run(SHOW_ISA).stdout.strip() == _core.isa_names()[0]


@pytest.mark.parametrize("isa", _core.isa_names())
def test_the_environment_chooses_the_instruction_set(isa):
    assert run(SHOW_ISA, NNCORE_ISA=isa).stdout.strip() == isa


def test_baseline_is_always_there():
    assert "baseline" in _core.isa_names()


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", *sorted(set(_core.isa_compiled()) - set(_core.isa_names()))])
def test_an_instruction_set_that_is_not_there_stops_the_import(isa):
    done = run(SHOW_ISA, NNCORE_ISA=isa)
    assert done.returncode != 0
    assert isa in done.stderr and "available: " + ", ".join(_core.isa_names()) in done.stderr


def test_empty_means_the_best():
    assert run(SHOW_ISA, NNCORE_ISA="").stdout.strip() == _core.isa_names()[0]


# ---- metadata --------------------------------------------------------------------------------------------------------

def project():
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def test_numpy_is_the_one_dependency():
    assert [re.match(r"[\w-]+", name).group() for name in project()["project"]["dependencies"]] == ["numpy"]


def test_the_version_is_written_once():
    assert "version" in project()["project"]["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", nncore.__version__)


def test_importing_the_package_imports_nothing_but_numpy():
    code = ("import sys, numpy; before = set(sys.modules); import nncore; "
            "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))")
    assert [name for name in run(["-c", code]).stdout.split() if "cython" not in name] == ["nncore"]


# ---- builds that must fail -------------------------------------------------------------------------------------------

def build(folder, **environ):
    pytest.importorskip("setuptools", minversion="77")
    return run([str(ROOT / "setup.py"), "-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder)],
               **environ)


def test_without_openmp_the_build_says_what_to_do(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\n'
                        'for flag; do case $flag in *openmp) echo "no OpenMP here" >&2; exit 1;; esac; done\nexit 0\n')
    compiler.chmod(0o755)
    done = build(tmp_path, CC=str(compiler))
    assert done.returncode != 0
    assert "NNCORE_NO_OPENMP=1" in done.stderr and "apt install" in done.stderr and "brew install libomp" in done.stderr


@pytest.mark.parametrize("name, value", [("NNCORE_NO_OPENMP", "maybe"), ("NNCORE_DEBUG", "maybe"),
                                         ("NNCORE_BUILD_JOBS", "many"), ("NNCORE_BUILD_JOBS", "0")])
def test_a_setting_with_a_strange_value_is_refused(tmp_path, name, value):
    done = build(tmp_path, **{name: value})
    assert done.returncode != 0
    assert f"error: {name}='{value}'" in done.stderr
