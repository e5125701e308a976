"""The examples run as they stand and do what they say."""
import os
import re
import subprocess
import sys

from test_cli import ROOT, small_mnist  # noqa: F401  (a fixture)


def run(name, *arguments, **environment):
    result = subprocess.run([sys.executable, os.path.join(ROOT, "examples", name), *arguments], capture_output=True,
                            text=True, timeout=120, cwd=ROOT, env=os.environ | {"PYTHONPATH": ROOT} | environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_perceptron():
    output = run("perceptron.py")
    assert re.search("AND: learned.*OR: learned.*XOR: not learned.*two layers, XOR: .0. 1. 1. 0..", output, re.S)


def test_mnist_mlp(small_mnist):  # noqa: F811
    output = run("mnist_mlp.py", "4", NNCORE_DATA=small_mnist)
    accuracies = re.findall(r"test accuracy ([\d.]+)", output)
    assert len(accuracies) == 4 and float(accuracies[-1]) > 0.9


def test_mnist_mlp_stays_short():
    with open(os.path.join(ROOT, "examples", "mnist_mlp.py")) as file:
        assert len(file.readlines()) < 60
