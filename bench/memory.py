"""memory: the largest resident size of a process that trains on MNIST from file to result, and the accuracy it reaches.

The kernel's own account of the ended child (wait4), so nothing short-lived is missed. This process stays small: a
child starts with its parent's peak.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from .mlp import mnist_folder

TRAINING_MB, ACCURACY = 150, 0.982


def peak(command):
    """(MB, seconds, output, exit status) of a child process."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd="/")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        scale = 1e-6 if sys.platform == "darwin" else 1.024e-3
        return usage.ru_maxrss * scale, time.perf_counter() - start, out.read(), child.returncode


def measure(options):
    folder = mnist_folder()
    pythons = {"numpy": sys.executable, "nncore": sys.executable}
    pythons.update({m: options.python for m in options.peers if m in ("torch", "jax", "sklearn")})
    commands = {f"import {m}": [python, "-c", f"import {m}"] for m, python in pythons.items()}
    training = "python -m nncore train mnist"
    if folder:
        short = ["--epochs", "1"] if options.quick else []
        commands[training] = [sys.executable, "-m", "nncore", "train", "mnist", "--data", folder, *short]
    rows, raw = [["memory", "peak", "time"]], {}
    for name, command in commands.items():
        size, t, said, status = peak(command)
        raw[name] = {"MB": size, "seconds": t, "status": status, "end": said[-400:]}
        rows.append([name, f"{size:.1f} MB" if status == 0 else "failed", f"{t:.2f} s"])
    figure = f"training on MNIST: at most {TRAINING_MB} MB"
    accurate = f"MNIST 784-512-256-10, 10 epochs: {100 * ACCURACY} %"
    run = raw.get(training)
    if not run or run["status"]:
        why = "no MNIST found: set NNCORE_DATA" if not run else f"failed: {run['end'].strip().splitlines()[-1:]}"
        return rows, [{"figure": f, "verdict": "not measured", "got": why} for f in (figure, accurate)], raw
    figures = [{"figure": figure, "verdict": "reached" if run["MB"] <= TRAINING_MB else "NOT REACHED",
                "got": f"{run['MB']:.1f} MB"}]
    found = re.findall(r"test accuracy (0\.\d+|1\.0*)", run["end"])
    accuracy = float(found[-1]) if found else 0.0
    verdict = "1 epoch only" if options.quick else "reached" if accuracy >= ACCURACY else "NOT REACHED"
    figures.append({"figure": accurate, "verdict": verdict if found else "not measured",
                    "got": f"{accuracy:.4f} in {run['seconds']:.1f} s" if found else "no accuracy in the output"})
    return rows, figures, raw
