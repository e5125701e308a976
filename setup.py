"""Builds the one extension module, nncore._core: the Cython binding, the drivers of csrc/ and the kernels, which are
compiled once per instruction set with the flags of ISA_FLAGS.

setuptools compiles every source of an extension with the same flags and recompiles all of them when one changed; the
build_ext below compiles source by source instead, in parallel, and only what is older than its source or any header.
Objects lie in a folder per kind of build and keep their path, so that none is taken for another. A static library per
instruction set (build_clib) was rejected: it forgets the headers, and sources of the same name can silently share an
object.

Environment, at build time:
    NNCORE_NO_OPENMP=1      build without threads
    NNCORE_DEBUG=1          -O1 -g, assertions on, symbols kept
    NNCORE_SANITIZE=LIST    e.g. address,undefined: as NNCORE_DEBUG, with -fsanitize=LIST; the first report ends the
                            process
    NNCORE_BUILD_JOBS=N     compilers that run at once (default: the CPUs of this process)
"""

import os
import platform
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as setuptools_build_ext
from setuptools.errors import CCompilerError, CompileError, LinkError, PlatformError

HERE = Path(__file__).parent
ARCHITECTURE = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())

# Later flags win over those CPython itself was built with, which come first on every command line.
C_FLAGS = ["-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-Wall",
           "-Werror=incompatible-pointer-types"]
ISA_FLAGS = {
    "x86_64": {
        "baseline": ["-msse2"],
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
                   "-mprefer-vector-width=512"],
    },
    "aarch64": {"baseline": []},
}

# Intel's microcode keeps a jump that touches the end of a 32-byte line out of the cache of decoded instructions
# (erratum SKX102, Skylake to Cascade Lake): the register tile of the matrix product then runs at two thirds of its
# speed. The assembler can move such jumps; gcc and clang name that differently.
BRANCH_FLAGS = {"x86_64": ["-Wa,-mbranches-within-32B-boundaries", "-mbranches-within-32B-boundaries"]}

OPENMP_TEST = """
#include <omp.h>
int main(void) { int n = 0;
#pragma omp parallel reduction(+ : n)
n += 1;
return n < 1 || omp_get_max_threads() < 1; }
"""
OPENMP_MISSING = """
nncore needs OpenMP for its threads, and this C compiler cannot compile or link a program that uses it.
    Debian, Ubuntu:  apt install gcc libgomp1          (for clang: libomp-dev)
    Fedora:          dnf install gcc libgomp           (for clang: libomp-devel)
    Alpine:          apk add gcc musl-dev libgomp
    macOS:           brew install libomp
To build for a single thread instead: NNCORE_NO_OPENMP=1 pip install .
"""


def switched_on(name):
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise PlatformError(f"{name}={value!r}: expected 1, 0 or nothing")
    return value == "1"


def asked_jobs():
    value = os.environ.get("NNCORE_BUILD_JOBS", "")
    if value and not (value.isdecimal() and int(value)):
        raise PlatformError(f"NNCORE_BUILD_JOBS={value!r}: expected a number of compilers from 1 up, or nothing")
    return int(value or 0)


class build_ext(setuptools_build_ext):
    def run(self):
        if self.editable_mode:  # setuptools gives it an empty folder: what another build has compiled would be lost
            self.build_temp = str(Path("build") / f"temp.{self.plat_name}-{sys.implementation.cache_tag}")
        super().run()
        if not self.inplace:
            # `python -m nncore` inside the checkout imports the package from there, not the installed one.
            self.copy_extensions_to_source()

    def build_extension(self, ext):
        if ARCHITECTURE not in ISA_FLAGS or self.compiler.compiler_type != "unix":
            raise PlatformError(f"nncore builds with gcc or clang on {' and '.join(ISA_FLAGS)}; this is "
                                f"{ARCHITECTURE} with the compiler type {self.compiler.compiler_type!r}")
        name, c_flags, link_flags = self.configuration()
        omp_flags, omp_link = ([], []) if switched_on("NNCORE_NO_OPENMP") else self.openmp()
        if not omp_link:
            name += "-serial"
        branch_flags = self.branches()
        record = {"kind": name, "flags": " ".join([*C_FLAGS, *c_flags]), "OpenMP": " ".join(omp_flags) or "none",
                  "jumps": " ".join(branch_flags) or "as they come",
                  **{isa: " ".join(flags) for isa, flags in ISA_FLAGS[ARCHITECTURE].items() if flags}}
        recorded = "\\n".join(f"{key}: {value}" for key, value in record.items())

        flags_of = {self.cythonized(ext): ["-O2" if name.startswith("release") else "-O1", "-Wno-unused-function"]}
        for source in sorted(HERE.glob("csrc/*.c")):
            flags_of[source] = {
                "par.c": [*omp_flags, *([] if omp_link else ["-DNN_NO_OPENMP"])],
                "cpu.c": ['-DNN_BUILD_FLAGS="' + recorded.replace('"', '\\"') + '"'],
            }.get(source.name, [])
        for isa, flags in ISA_FLAGS[ARCHITECTURE].items():
            flags_of[HERE / "csrc" / "kernels" / "isa" / f"{isa}.c"] = [*flags, *branch_flags]

        depends = [HERE / path for path in ext.depends]
        # those are _core.c's
        newest = max(path.stat().st_mtime for path in depends if path.suffix not in (".pxd", ".pxi"))

        def compile_one(item):
            source, flags = item
            relative = source.relative_to(HERE)
            directory = str(Path(self.build_temp) / name)
            [object_] = self.compiler.object_filenames([str(relative)], output_dir=directory)
            fresh = Path(object_).exists() and Path(object_).stat().st_mtime > max(newest, source.stat().st_mtime)
            if fresh and not self.force:
                return object_
            self.compiler.compile([str(relative)], output_dir=directory, include_dirs=ext.include_dirs,
                                  extra_postargs=[*C_FLAGS, *c_flags, *flags])
            return object_

        jobs = int(self.parallel or asked_jobs() or available_cpus())
        slowest_first = sorted(flags_of.items(), key=lambda item: "kernels" not in item[0].parts)
        with ThreadPoolExecutor(jobs) as pool:
            objects = list(pool.map(compile_one, slowest_first))
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), libraries=self.get_libraries(ext),
            export_symbols=self.get_export_symbols(ext), extra_postargs=[*link_flags, *omp_link, "-lm"],
            build_temp=self.build_temp, target_lang="c")

    def configuration(self):
        """Name, compiler flags and linker flags of this kind of build."""
        sanitize = os.environ.get("NNCORE_SANITIZE", "")
        if sanitize:
            flags = [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
            if {"address", "undefined"} <= set(sanitize.split(",")):
                flags.append("-fno-sanitize=null,object-size")  # address sees those: a fifth of the compiler's time
            lines_only = "-g1"  # for stack traces; all of -g costs a quarter of the compiler's time
            return "sanitize-" + sanitize.replace(",", "-"), ["-O1", lines_only, "-UNDEBUG", *flags], flags
        if switched_on("NNCORE_DEBUG"):
            return "debug", ["-O1", "-g", "-UNDEBUG"], []
        return "release", ["-O3", "-g0", "-DNDEBUG"], ["-Wl,-x" if sys.platform == "darwin" else "-Wl,-s"]

    def openmp(self):
        """Compiler and linker flags for OpenMP: the first that build a program."""
        candidates = [(["-fopenmp"], ["-fopenmp"])]
        if sys.platform == "darwin":  # Apple's clang has no runtime of its own; Homebrew's is outside the search path
            candidates = [(["-Xpreprocessor", "-fopenmp", f"-I{prefix}/include"], [f"-L{prefix}/lib", "-lomp"])
                          for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp")] + candidates
        for c_flags, link_flags in candidates:
            if self.builds(OPENMP_TEST, c_flags, link_flags):
                return c_flags, link_flags
        raise PlatformError(OPENMP_MISSING)

    def branches(self):
        """The flag that keeps jumps away from the ends of 32-byte lines, if this compiler knows one."""
        for flag in BRANCH_FLAGS.get(ARCHITECTURE, []):
            if self.builds("int main(void) { return 0; }", ["-Werror", flag], []):
                return [flag]
        return []

    def builds(self, program, c_flags, link_flags):
        """Whether a C program compiles and links with these flags."""
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "trial.c"
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=directory, extra_postargs=c_flags)
                self.compiler.link_executable(objects, str(Path(directory) / "trial"), extra_postargs=link_flags)
            except (CCompilerError, CompileError, LinkError):
                return False
            return True

    def cythonized(self, ext):
        from Cython.Build import cythonize

        [translated] = cythonize([ext], force=self.force, quiet=True, language_level=3)
        return HERE / translated.sources[0]


def available_cpus():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


os.chdir(HERE)
depends = ["setup.py", *(str(path.relative_to(HERE))
                         for pattern in ("csrc/**/*.h", "csrc/**/*.inc", "nncore/**/*.px[di]")
                         for path in sorted(HERE.glob(pattern)))]
setup(
    ext_modules=[Extension("nncore._core", ["nncore/_core.pyx"], include_dirs=["csrc"], depends=depends)],
    cmdclass={"build_ext": build_ext},
)
