"""What the README, CONTRIBUTING and the stubs say is so."""
import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncore
import nncore.data
import nncore.train

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nncore"
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "csrc" / "README.md", PACKAGE / "data" / "DIGITS.md"]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# ---- README ----------------------------------------------------------------------------------------------------------

def test_the_first_shell_block_is_the_two_commands_of_the_ci():
    assert blocks(README, "sh")[0].splitlines() == ["pip install . && python -m nncore train",
                                                    "pip install -e '.[test]' && pytest"]
    fences = re.findall(r"^```(\w*)$", README, re.MULTILINE)
    assert fences[0] == "sh"  # .ci/run reads the first block


def test_the_example_runs_as_it_stands(tmp_path):
    code = blocks(README, "python")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy, images = re.match(r"(0\.\d{3}) of (\d+) test images\n$", done.stdout).groups()
    assert float(accuracy) > 0.9 and int(images) == len(nncore.data.digits().test.targets)


def test_the_compiled_step_runs_as_it_stands():
    before, step = blocks(README, "python")[:2]
    names = {}
    exec(before[:before.index("for epoch")], names)
    exec(step, names)
    losses = [names["train_step"](*batch).item() for batch in names["batches"]]
    assert losses[-1] < losses[0] and len(names["train_step"].programs) == 1


def test_the_convolutional_networks_run_as_they_stand(capsys):
    names = {}
    exec(blocks(README, "python")[2], names)
    assert capsys.readouterr().out.count("Conv2d") == 2
    assert names["lenet"](nncore.zeros(2, 28, 28, 1)).shape == (2, 10)
    assert names["resnet"](nncore.zeros(2, 32, 32, 3)).shape == (2, 10)


def test_the_images_run_as_they_stand(monkeypatch):
    rng = np.random.default_rng(0)
    parts = [nncore.data.Samples(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 10)
             for n in (200, 50)]
    monkeypatch.setattr(nncore.data, "cifar10", lambda: nncore.data.TrainTest(*parts))
    names = {}
    exec(blocks(README, "python")[3], names)
    assert [batch.inputs.shape for batch in names["batches"]] == [(128, 32, 32, 3), (72, 32, 32, 3)]
    assert abs(next(iter(names["tests"])).inputs.numpy().mean() - 0.104) < 0.02  # that of (0.5 - mean) / std


def test_figures_are_marked_once():
    names = re.findall(r"<!-- figure: ([\w-]+) -->", README)
    assert len(names) == len(set(names)) > 10


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)]+)\)", text)
    local = [target.split("#")[0] for target in targets if "://" not in target]
    assert not [target for target in local if not (path.parent / target).exists()]


def test_tests_named_in_the_readme_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    table = README[README.index("## Numbers"):README.index("## If you come")]
    names = re.findall(r"`((?:test_)?[a-z]+(?:_[a-z]+){3,})`", table)
    assert len(names) >= 4
    assert not [name for name in names if f"def test_{name.removeprefix('test_')}(" not in tests]


def test_what_the_readme_lists_is_there():
    state = README[README.index("## The state of things"):README.index("What does not, yet")]
    rooms = [nncore, nncore.ops, nncore.nn, nncore.losses, nncore.models, nncore.optim, nncore.data, nncore.Tensor,
             nncore.optim.Optimizer]
    names = {name for quoted in re.findall(r"`([^`]+)`", state) for name in re.findall(r"[a-zA-Z]\w+", quoted)}
    assert not {name for name in names if not any(hasattr(room, name) for room in rooms)}


def test_environment_variables_are_complete():
    sources = [*PACKAGE.rglob("*.py"), ROOT / "setup.py", ROOT / ".ci" / "run"]
    used = set(re.findall(r"\bNNCORE_[A-Z_]+\b", "".join(path.read_text() for path in sources)))
    assert used == set(re.findall(r"\bNNCORE_[A-Z_]+\b", README))


def test_no_line_names_a_place_on_somebody_s_machine():
    assert not [(path.name, line) for path in TEXTS for line in path.read_text().splitlines()
                if re.search(r"(^|[\s(`\"'=])/(tmp|home|work|root|opt|Users)/|file://|localhost|127\.0\.0\.1", line)]


def test_the_size_of_a_call_and_of_its_header():
    header = (ROOT / "csrc" / "nn.h").read_text()
    views = int(re.search(r"#define NN_MAX_VIEWS (\d+)", header)[1])
    assert int(re.search(r"one C record of (\d+) bytes", README)[1]) == 8 + 32 * views + 32
    lines = [(ROOT / "csrc" / name).read_text().count("\n") for name in ("nn.h", "ops.inc")]
    assert abs(int(re.search(r"nn\.h\), (\d+) lines", README)[1]) - lines[0]) < 10
    said = re.search(r"the whole interface, about (\d+) lines", (ROOT / "csrc" / "README.md").read_text())[1]
    assert abs(int(said) - sum(lines)) < 20


def test_every_file_of_c_is_in_the_list():
    text = (ROOT / "csrc" / "README.md").read_text()
    names = {path.name for path in (ROOT / "csrc").rglob("*") if path.suffix in (".c", ".h", ".inc")} - {
        "avx2.c", "avx512.c", "baseline.c"}  # isa/*.c
    assert not {name for name in names if not re.search(rf"(?<!\w){name}", text)}


# ---- CONTRIBUTING ----------------------------------------------------------------------------------------------------

def sections():
    """(title, [(place, example)]) of every list of places."""
    for title, body in re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", CONTRIBUTING, re.MULTILINE | re.DOTALL):
        yield title, re.findall(r"^\| `([^`]+)` \|.*\| `(\w+)` \|$", body, re.MULTILINE)


def mentions(path, word):
    return re.search(rf"\b{word}\b", path.read_text()) or path.stem == word


@pytest.mark.parametrize("title, places", list(sections()), ids=lambda x: x if isinstance(x, str) else "")
def test_every_place_that_is_listed_has_the_example(title, places):
    assert len(places) >= 2
    assert not [(place, word) for place, word in places if not mentions(ROOT / place, word)]


@pytest.mark.parametrize("title, words", [
    ("An activation", ("silu", "SiLU")), ("An optimizer", ("adagrad", "Adagrad", "nn_op_adagrad", "NN_OP_adagrad")),
    ("An instruction set", ("avx2",)), ("A data set", ("fashion_mnist",)), ("A layer", ("Identity",))])
def test_no_place_is_left_out(title, words):
    """Every source of the engine that names the example is in the list, but for those that only use it."""
    users = {"nncore/train/command.py", "csrc/kernels/vmath.h"}  # they use what others define
    sources = [ROOT / "setup.py", *(path for folder in ("csrc", "nncore") for path in (ROOT / folder).rglob("*")
                                    if path.suffix in (".c", ".h", ".inc", ".py", ".pyi", ".pyx", ".pxi", ".pxd"))]
    found = {str(path.relative_to(ROOT)) for path in sources if path.name != "_core.c"
             and any(mentions(path, word) for word in words)}
    listed = {place for place, _ in dict(sections())[title]}
    assert found - users <= listed


@pytest.mark.no_sanitizer  # the program is compiled without them
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_one_line_makes_kernels_of_an_activation(tmp_path):
    """The line of CONTRIBUTING in a copy of csrc, compiled; its values and slopes against the reference beside it."""
    from nncore.reference import elementwise, gradients

    line, = [b for b in blocks(CONTRIBUTING, "c") if b.startswith("UNARY(softsign,")]
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    with open(tmp_path / "csrc" / "kernels" / "unary.inc", "a") as file:
        file.write(line)
    (tmp_path / "main.c").write_text("""
        #include <stdio.h>
        #include "kernels/kernels.h"
        extern const nn_kernels nn_kernels_baseline;
        int main(void)
        {
            float x[16 + 16] = {0}, dy[16 + 16], y[16], dx[16], attributes[2] = {0};
            for (int i = 0; i < 13; i++) x[i] = (i - 6) / 2.0f, dy[i] = 1;
            nn_kernels_baseline.unary[NN_softsign](y, x, attributes, 13);
            nn_kernels_baseline.unary_grad[NN_softsign](dx, dy, x, attributes, 13);
            for (int i = 0; i < 13; i++) printf("%.9g %.9g %.9g\\n", x[i], y[i], dx[i]);
            return 0;
        }""")
    command = ["cc", "-std=gnu11", "-O0", "-w", "-I", str(tmp_path / "csrc"), str(tmp_path / "main.c"),
               str(tmp_path / "csrc/kernels/isa/baseline.c"), "-lm", "-o", str(tmp_path / "main")]
    subprocess.run(command, check=True, timeout=120)
    rows = [tuple(map(float, row.split())) for row in
            subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout.splitlines()]

    names = dict(vars(elementwise), register=lambda apply, f: apply)
    names["unary"] = lambda f: lambda x: elementwise.Array((len(x.flat),), map(f, x.flat))
    code, = [b for b in blocks(CONTRIBUTING, "python") if "def softsign" in b]
    exec(code, names)
    y, (dx,) = gradients(names["softsign"], [[x for x, _, _ in rows]], [0])
    for (_, got, slope), value, exact in zip(rows, y.flat, dx.flat, strict=True):
        assert abs(got - value) <= 1e-6 and abs(slope - exact) <= 1e-6


# ---- stubs -----------------------------------------------------------------------------------------------------------

MODULES = {"__init__": nncore, "_core": nncore._core, "autograd": nncore.autograd,
           "compiled": sys.modules["nncore.compiled"], "data/__init__": nncore.data,
           "init": nncore.init, "losses": nncore.losses, "models/__init__": nncore.models, "nn/__init__": nncore.nn,
           "ops/__init__": nncore.ops, "data/augment": nncore.data.augment, "optim/__init__": nncore.optim,
           "optim/lr_scheduler": nncore.optim.lr_scheduler,
           "profiler": nncore.profiler, "random": nncore.random, "tensor": sys.modules["nncore.tensor"],
           "train/__init__": nncore.train}
NUMPY_NAMES = {"axis", "keepdims", "ddof"}  # also understood: see ops/names.py


def stub(name):
    return ast.parse((PACKAGE / f"{name}.pyi").read_text())


def declared(body):
    """{name: node} of what a stub, or a class in it, declares."""
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
        elif isinstance(node, ast.Assign):
            found.update((target.id, node) for target in node.targets)
        elif isinstance(node, ast.ImportFrom):
            if node.names[0].name == "*":
                inner = declared(stub(next(k for k, m in MODULES.items() if m.__name__ == node.module)).body)
                exported = ast.literal_eval(inner["__all__"].value) if "__all__" in inner else \
                    [name for name in inner if not name.startswith("_")]
                found.update((name, inner[name]) for name in exported)
            else:
                found.update((alias.asname, node) for alias in node.names if alias.asname)
    return found


def public(module):
    """Names that users of a module see: __all__, or what is no module and has no underscore in front."""
    names = getattr(module, "__all__", None) or [name for name, value in vars(module).items()
                                                 if not name.startswith("_") and not inspect.ismodule(value)]
    return {name: getattr(module, name) for name in names}


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_in_the_stub(name):
    assert not sorted(set(public(MODULES[name])) - set(declared(stub(name).body)))


def test_every_stub_is_compared():
    assert {str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.pyi")} == set(MODULES)
    assert (PACKAGE / "py.typed").exists()


def parameters_of(node):
    """[(name, default as text or None)] of a function in a stub, without NumPy's names for the same things."""
    a = node.args
    plain = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + [ast.unparse(d) for d in a.defaults]
    found = [(p.arg, d) for p, d in zip(plain, defaults)]
    found += [("*" + a.vararg.arg, None)] if a.vararg else []
    named = [(p.arg, d and ast.unparse(d)) for p, d in zip(a.kwonlyargs, a.kw_defaults)]
    return found + [(name, default) for name, default in named if name not in NUMPY_NAMES]


def parameters_at_run_time(function):
    empty = inspect.Parameter.empty
    return [("*" * (p.kind is p.VAR_POSITIONAL) + p.name, None if p.default is empty else p.default)
            for p in inspect.signature(function).parameters.values() if not p.name.startswith("_")]


def same_parameters(node, function):
    stubbed, real = parameters_of(node), parameters_at_run_time(function)
    if stubbed and real and stubbed[0][0] == "self":  # as a method, the first argument of an op has another name
        stubbed, real = stubbed[1:], real[1:]
    return [name for name, _ in stubbed] == [name for name, _ in real] and all(
        default is None or ast.literal_eval(default) == value for (_, default), (_, value) in zip(stubbed, real))


def functions():
    for name, module in MODULES.items():
        for function, node in declared(stub(name).body).items():
            if isinstance(node, ast.FunctionDef) and name != "__init__":
                yield f"{module.__name__}.{function}", node, getattr(module, function)
            elif isinstance(node, ast.ClassDef) and name != "__init__" and not function.startswith("_"):
                cls = getattr(module, function)
                for method, inner in declared(node.body).items():
                    if isinstance(inner, ast.FunctionDef) and not inner.decorator_list and \
                            (not method.startswith("__") or method == "__init__"):
                        yield f"{module.__name__}.{function}.{method}", inner, getattr(cls, method)


def test_stubs_have_the_parameters_and_defaults_of_the_functions():
    compared = list(functions())
    assert len(compared) > 250
    assert not [f"{name}{inspect.signature(function)}" for name, node, function in compared
                if not same_parameters(node, function)]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name):
    without = [key for key, value in public(MODULES[name]).items() if callable(value) and not inspect.getdoc(value)]
    for key, value in public(MODULES[name]).items():
        if inspect.isclass(value) and value.__module__.startswith("nncore"):
            methods = [m for m, f in vars(value).items() if not m.startswith("_") and inspect.isfunction(f)]
            without += [f"{key}.{method}" for method in methods if not inspect.getdoc(getattr(value, method))]
    internal = name == "_core"  # a gradient's call needs none beside the op's
    assert not [key for key in without if not (internal and key.endswith("_grad"))]


def test_the_example_passes_a_type_checker(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "example.py").write_text(blocks(README, "python")[0])
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "example.py"], capture_output=True, text=True,
                          cwd=tmp_path, timeout=120, env=os.environ | {"MYPYPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout
