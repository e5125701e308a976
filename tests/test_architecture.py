"""The arrows of the design, read from imports, #includes and pragmas: numbers go down, results come up, nothing points
upward. Each rule is a function from a text to the lines that break it, and is itself tried on a text that does.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "nncore"

# The rooms of the package from bottom to top. A module imports from its own floor and those below. One that is missing
# here fails test_every_module_has_a_floor: decide where it belongs.
FLOORS = [
    {"_version", "_core", "progress", "reference", "threads"},
    {"convert", "random", "autograd", "info", "profiler", "guards"},
    {"ops"},
    {"tensor", "losses", "init"},
    {"compiled", "data", "nn", "optim"},
    {"models"},
    {"__init__"},
    {"train", "io", "distributed", "sklearn", "onnx"},  # written on the public names, as a user would
    {"__main__"},
]
HARD_DEPENDENCIES = {"numpy"}


def python_files():
    return sorted(PACKAGE.rglob("*.py"))


def c_files(*patterns):
    return sorted(path for pattern in patterns for path in CSRC.glob(pattern))


def room(path):
    """The module or sub-package directly below nncore that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name):
    return next((i for i, names in enumerate(FLOORS) if name in names), None)


def report(path, lines):
    return [f"{path.relative_to(ROOT)}: {line}" for line in lines]


# ---- lines -----------------------------------------------------------------------------------------------------------

MOST_COLUMNS = 120  # CONTRIBUTING.md


def written_files():
    """What is written by hand; the _core.c that Cython writes is not."""
    patterns = {CSRC: ["**/*.c", "**/*.h", "**/*.inc"], PACKAGE: ["**/*.py", "**/*.pyi", "**/*.pxi", "*.pyx", "*.pxd"],
                ROOT / "tests": ["**/*.py", "*.c"], ROOT / "bench": ["**/*.py"], ROOT / "examples": ["*.py"],
                ROOT: ["setup.py"]}
    files = {path for folder, names in patterns.items() for name in names for path in folder.glob(name)}
    return sorted(files)


def too_long(text):
    return [f"line {number}: {len(line)} columns" for number, line in enumerate(text.split("\n"), 1)
            if len(line) > MOST_COLUMNS]


def test_lines_have_at_most_120_columns():
    files = written_files()
    assert {path.suffix for path in files} == {".c", ".h", ".inc", ".py", ".pyi", ".pxi", ".pyx", ".pxd"}
    assert not [line for path in files for line in report(path, too_long(path.read_text(encoding="utf-8")))]
    assert not too_long("\u00e9" * MOST_COLUMNS) and too_long("a\n" + "b" * 121) == ["line 2: 121 columns"]


# ---- Python ----------------------------------------------------------------------------------------------------------

def imported(text, package, anywhere=True):
    """Full names of what a module of `package` imports; anywhere=False: only what runs when the module is imported."""
    names = []

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not anywhere:
                continue
            if isinstance(child, ast.Import):
                names.extend(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package.split(".")[:len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*base, *([child.module] if child.module else [])])
                # `from . import a` names modules, `from .a import b` may name anything: the longer name covers both
                names.extend(f"{base}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(text))
    return names


def imports_of(path, anywhere=True):
    return imported(path.read_text(), ".".join(path.relative_to(ROOT).parent.parts), anywhere)


def upward(own_room, names):
    """Imports of nncore's own modules from a higher floor."""
    found = []
    for name in names:
        parts = name.split(".")
        if parts[0] != "nncore":
            continue
        target = parts[1] if len(parts) > 1 and floor(parts[1]) is not None else "__init__"
        if target != own_room and floor(target) > floor(own_room):
            found.append(name)
    return found


def optional(names):
    """Imports of packages that are neither Python's own nor a hard dependency."""
    return [name for name in names
            if name.split(".")[0] not in {*sys.stdlib_module_names, *HARD_DEPENDENCIES, "nncore"}]


def foreign_to_the_reference(names):
    return [name for name in names if name.split(".")[0] not in sys.stdlib_module_names
            and name != "nncore.reference" and not name.startswith("nncore.reference.")]


def test_every_module_has_a_floor():
    rooms = {room(path) for path in python_files()}
    assert not sorted(name for name in rooms if floor(name) is None)


def test_no_import_points_upward():
    assert not [line for path in python_files() for line in report(path, upward(room(path), imports_of(path)))]


def test_nothing_optional_at_the_top_level():
    assert not [line for path in python_files() for line in report(path, optional(imports_of(path, anywhere=False)))]


def test_the_reference_imports_nothing_of_what_it_judges():
    files = [path for path in python_files() if room(path) == "reference"]
    assert files
    assert not [line for path in files for line in report(path, foreign_to_the_reference(imports_of(path)))]


def test_the_thread_policy_can_run_before_the_compiled_part():
    assert not [name for name in imports_of(PACKAGE / "threads.py") if name.startswith("nncore")]


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "misc", "common"])
def test_no_room_without_a_name(name):
    assert not [path for folder in (PACKAGE, CSRC, ROOT / "tests", ROOT / "bench")
                for path in folder.rglob(name + ".*")]


def test_the_rules_for_python_see_what_breaks_them():
    assert imported("from . import ops\nfrom .nn import Linear\nfrom .. import _core", "nncore.data") == [
        "nncore.data.ops", "nncore.data.nn.Linear", "nncore._core"]
    assert upward("ops", ["nncore.nn.Linear", "nncore.convert.to_array", "math", "nncore.ops.names"]) == [
        "nncore.nn.Linear"]
    assert upward("ops", ["nncore.Tensor"]) == ["nncore.Tensor"]
    assert upward("reference", ["nncore.ops.add"])
    text = "import numpy\ntry:\n    import tqdm\nexcept ImportError:\n    pass\ndef f():\n    import matplotlib\n"
    assert optional(imported(text, "nncore", anywhere=False)) == ["tqdm"]
    assert optional(imported(text, "nncore")) == ["tqdm", "matplotlib"]
    assert foreign_to_the_reference(["math", "numpy", "nncore.reference.scalar.Value", "nncore._core"]) == [
        "numpy", "nncore._core"]


# ---- Cython ----------------------------------------------------------------------------------------------------------

def cython_imports(text):
    """Imports of the binding beyond Python's C interface and nncore's own C declarations. A function may `import numpy`
    when it is called."""
    found = re.findall(r"^([ \t]*)(from|c?import)[ \t]+([\w.]+)([ \t]+cimport)?", text, re.MULTILINE)
    return [name for indent, word, name, cimport in found
            if name.split(".")[0] not in {"cython", "cpython", "libc"} and name != "nncore.c_nn"
            and not (indent and name == "numpy" and word != "cimport" and not cimport)]


def test_the_binding_imports_no_python_of_ours_and_no_numpy():
    files = sorted(PACKAGE.glob("*.px[idy]")) + sorted(PACKAGE.glob("*.pyx"))
    assert PACKAGE / "_core.pyx" in files
    assert not [line for path in files for line in report(path, cython_imports(path.read_text()))]


def test_the_rule_for_the_binding_sees_what_breaks_it():
    text = "cimport numpy as np\nfrom .tensor import Tensor\nfrom libc.stdint cimport int64_t\n    import nncore.ops\n"
    assert cython_imports(text) == ["numpy", ".tensor", "nncore.ops"]
    assert cython_imports("import numpy\n") and cython_imports("    from numpy cimport ndarray\n")
    assert not cython_imports("    from numpy import asarray\n    import numpy\n")


# ---- C ---------------------------------------------------------------------------------------------------------------

def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def includes(text):
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', text, re.MULTILINE)


def openmp(text):
    return re.findall(r"omp\.h|#[ \t]*pragma[ \t]+omp\b.*|_Pragma[ \t]*\([ \t]*\"omp.*|\bomp_\w+",
                      without_comments(text))


def intrinsics(text):
    found = re.findall(r"\b_mm\d*_\w+|\b__m(?:128|256|512)\w*|\bv\w+q_[fsu]\d+\b|\b__builtin_ia32_\w+"
                       r"|\w*intrin\.h|arm_neon\.h",
                       without_comments(text))
    return [name for name in found if name not in ("__builtin_ia32_ldmxcsr", "__builtin_ia32_stmxcsr")]


def state(text):
    """What a kernel must not know: memory, threads, Python."""
    return re.findall(r"\b(?:nn_alloc|nn_free|malloc|calloc|realloc|free|nn_for|nn_workers|pthread_\w+|nn_k|Py\w+)\b",
                      without_comments(text))


def unsafe_math(text):
    return re.findall(r"-ffast-math|-Ofast|-funsafe-math-optimizations|-fassociative-math|-ffinite-math-only"
                      r"|-freciprocal-math|-march=native|pragma[ \t]+GCC[ \t]+optimize"
                      r"|__attribute__[ \t]*\(\([ \t]*optimize", text)


def test_only_par_knows_openmp():
    files = [path for path in c_files("**/*.c", "**/*.h", "**/*.inc") if path.name != "par.c"]
    assert not [line for path in files for line in report(path, openmp(path.read_text()))]
    assert openmp((CSRC / "par.c").read_text())


def test_intrinsics_live_in_vec_alone():
    files = [path for path in c_files("**/*.c", "**/*.h", "**/*.inc") if path.name != "vec.h"]
    assert not [line for path in files for line in report(path, intrinsics(path.read_text()))]
    assert intrinsics((CSRC / "kernels" / "vec.h").read_text())


def test_kernels_include_kernels_and_the_interface_only():
    own = {path.name for path in (CSRC / "kernels").iterdir()}
    system = {"math.h", "stdint.h", "stddef.h", "string.h", "immintrin.h", "arm_neon.h"}
    allowed = own | system | {"../nn.h", "../isa.h"}
    for path in c_files("kernels/*.h", "kernels/*.inc", "kernels/isa/*.c"):
        assert not report(path, set(includes(path.read_text())) - allowed)


def test_kernels_hold_no_memory_and_start_no_threads():
    files = [path for path in c_files("kernels/*.h", "kernels/*.inc", "kernels/isa/*.c") if path.name != "kernels.h"]
    assert not [line for path in files for line in report(path, state(path.read_text()))]


def test_drivers_reach_kernels_through_the_table_only():
    for path in c_files("*.c", "*.h"):
        of_kernels = [name for name in includes(path.read_text())
                      if name.startswith("kernels/") and name.endswith(".h")]
        assert not report(path, [name for name in of_kernels if name != "kernels/kernels.h"])
        assert not report(path, [name for name in includes(path.read_text()) if name.endswith(".c")])


def test_the_interface_includes_lists_only():
    assert {name for name in includes((CSRC / "nn.h").read_text()) if not name.endswith(".inc")} == {
        "stddef.h", "stdint.h"}


def test_nothing_in_c_knows_python():
    assert not [line for path in c_files("**/*.c", "**/*.h", "**/*.inc")
                for line in report(path, [name for name in includes(path.read_text()) if "ython" in name])]


def test_no_flag_that_changes_the_meaning_of_arithmetic():
    files = [ROOT / "setup.py", ROOT / "pyproject.toml", *c_files("**/*.c", "**/*.h", "**/*.inc")]
    assert not [line for path in files for line in report(path, unsafe_math(path.read_text()))]


def test_every_op_has_one_driver():
    ops = re.findall(r"^OP\((\w+),", (CSRC / "ops.inc").read_text(), re.MULTILINE)
    defined = [name for path in c_files("*.c")
               for name in re.findall(r"^int nn_op_(\w+)\(const nn_call \*", path.read_text(), re.MULTILINE)]
    assert sorted(defined) == sorted(ops)


def test_the_rules_for_c_see_what_breaks_them():
    assert includes('#include <a.h>\n # include "b.inc"\nx #include "c.h"') == ["a.h", "b.inc"]
    assert openmp("#pragma omp parallel for\n") and openmp('_Pragma("omp simd")') and openmp("omp_get_thread_num()")
    assert not openmp("/* omp.h */ // #pragma omp\n")
    assert intrinsics("_mm256_add_ps(a, b)") and intrinsics("__m512 x;") and intrinsics("vaddq_f32(a, b)")
    assert intrinsics("#include <immintrin.h>") and not intrinsics("vset(1) /* _mm_add_ps */")
    assert state("float *p = nn_alloc(n);") == ["nn_alloc"] and state("nn_k->fill(y)") and not state("vfree_lanes(x)")
    assert unsafe_math("-Ofast") and unsafe_math('#pragma GCC optimize("O3")')


# ---- instruction sets ------------------------------------------------------------------------------------------------

def isa_flags():
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "ISA_FLAGS":
            return ast.literal_eval(node.value)


def test_every_instruction_set_is_built_and_in_the_table():
    files = {path.stem for path in c_files("kernels/isa/*.c")}
    assert {name for flags in isa_flags().values() for name in flags} == files
    assert set(re.findall(r"\{&nn_kernels_(\w+),", (CSRC / "cpu.c").read_text())) == files


def test_every_extension_the_compiler_may_use_is_asked_for():
    wanted = {flag.removeprefix("-m") for flags in isa_flags()["x86_64"].values() for flag in flags if "=" not in flag}
    asked = set(re.findall(r'__builtin_cpu_supports\("(\w+)"\)', (CSRC / "cpu.c").read_text()))
    assert asked == wanted - {"sse2"}  # sse2 is part of x86-64
