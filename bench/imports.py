"""import: what `import nncore` costs against the others, and the size of the wheel.

Every import is a fresh process, taken in turn. The figure compares whole processes, from start to exit; the table also
shows the import statement alone.
"""
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from statistics import median

MODULES = {"nothing": "pass", "numpy": "import numpy", "nncore": "import nncore", "torch": "import torch",
           "jax": "import jax", "sklearn": "import sklearn.neural_network"}
OWN = ("nothing", "numpy", "nncore")  # measured with this interpreter, the others with that of --python
CODE = "import time; t = time.perf_counter()\n{}\nprint(time.perf_counter() - t)"
# Modules that have changed are compiled at the first import and not at each.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
WHEEL_MB, OVER_NUMPY_MS = 3, 20


def once(python, statement):
    """(seconds of the process, seconds of the statement), or None if it cannot be imported."""
    start = time.perf_counter()
    done = subprocess.run([python, "-c", CODE.format(statement)], capture_output=True, text=True, cwd="/",
                          env=ENVIRONMENT)
    whole = time.perf_counter() - start
    return (whole, float(done.stdout.split()[-1])) if done.returncode == 0 else None


def wheel_figure():
    wheels = sorted((Path(__file__).resolve().parent.parent / "dist").glob("*.whl"), key=lambda p: p.stat().st_mtime)
    if not wheels:
        return {"figure": f"wheel: at most {WHEEL_MB} MB", "verdict": "not measured", "got": "no wheel in dist/"}
    size = wheels[-1].stat().st_size / 1e6
    return {"figure": f"wheel: at most {WHEEL_MB} MB", "verdict": "reached" if size <= WHEEL_MB else "NOT REACHED",
            "got": f"{size:.2f} MB: {wheels[-1].name}"}


def editable():
    """Whether nncore is installed as a link to its sources: the link's finder makes every start of Python slower."""
    found = [d.read_text("direct_url.json") for d in metadata.distributions(name="nncore-cpu")]  # of this folder, too
    return any(json.loads(about).get("dir_info", {}).get("editable", False) for about in found if about)


def measure(options):
    """rows, figures, raw samples."""
    samples, pythons = {}, {}
    for module, statement in MODULES.items():
        if module in OWN or module in options.peers:
            pythons[module] = sys.executable if module in OWN else options.python
            if once(pythons[module], statement):  # also writes byte code and fills the file cache
                samples[module] = []
    for _ in range(3 if options.quick else 11):
        for module in samples:
            slow = samples[module] and samples[module][0][0] > 1 and len(samples[module]) >= 5
            found = None if slow else once(pythons[module], MODULES[module])
            if found:
                samples[module].append(found)
    rows = [["import", "process min", "median", "import min", "median"]]
    for module, s in samples.items():
        rows.append([module, *(f"{1e3 * f(x[i] for x in s):.1f} ms" for i in (0, 1) for f in (min, median))])
    figures = [wheel_figure()]
    if "nncore" in samples and "numpy" in samples:
        whole = {m: [x[0] for x in samples[m]] for m in ("nncore", "numpy")}
        by_min, by_median = (1e3 * (f(whole["nncore"]) - f(whole["numpy"])) for f in (min, median))
        note = " (an editable install: its finder slows every start, measure a wheel)" if editable() else ""
        figures.append({"figure": f"import nncore: NumPy's time + {OVER_NUMPY_MS} ms",
                        "verdict": "reached" if max(by_min, by_median) <= OVER_NUMPY_MS else "NOT REACHED",
                        "got": f"+ {by_min:.1f} ms by min, + {by_median:.1f} ms by median{note}"})
    return rows, figures, samples
