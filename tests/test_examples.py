"""The examples run as they stand and do what they say."""
import os
import re
import subprocess
import sys

import pytest

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


def test_mnist_cnn(small_mnist):  # noqa: F811
    output = run("mnist_cnn.py", "2", NNCORE_DATA=small_mnist)
    accuracies = re.findall(r"test accuracy ([\d.]+)", output)
    assert len(accuracies) == 2 and float(accuracies[-1]) > 0.9


SMALL = """import runpy, sys
import numpy as np
import nncore.data
from nncore.data import {name}
rng = np.random.default_rng(0)
labels = rng.integers(0, 2, {n})
images = (rng.integers(0, 100, ({n}, *{image})) + 100 * labels.reshape(-1, 1, 1, 1)).astype("u1")   # dark or bright
both = nncore.data.Batch(images, labels)
nncore.data.{name} = lambda *a, **k: (both, both)
sys.path.insert(0, {folder!r})
sys.argv = ["example", "3"]
runpy.run_path({folder!r} + "/{file}", run_name="__main__")"""


@pytest.mark.parametrize("file, name, n, image", [("fashion_cnn.py", "fashion_mnist", 512, (28, 28, 1)),
                                                  ("cifar_resnet.py", "cifar10", 384, (32, 32, 3))])
def test_examples_on_invented_images(file, name, n, image):
    """The two that would need tens of thousands of images: on a few, of two kinds."""
    code = SMALL.format(file=file, name=name, n=n, image=image, folder=os.path.join(ROOT, "examples"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT,
                          env=os.environ | {"PYTHONPATH": ROOT})
    assert done.returncode == 0, done.stderr
    accuracies = re.findall(r"test accuracy ([\d.]+)", done.stdout)
    assert len(accuracies) == 3 and float(accuracies[-1]) > 0.9, done.stdout
