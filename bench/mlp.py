"""mlp: whole training steps, and epochs of MNIST against scikit-learn's MLPClassifier.

A step is forward, loss, backward, Adam and the gradients cleared, on one batch. An epoch shuffles, gathers and trains.
For compiled steps also: how long until the first result, and what nncore's recording costs.
"""
import gzip
import os
from pathlib import Path

from .case import Case, Figure
from .table import recording

CLASSIFIER = {"sizes": (784, 512, 256, 10), "activation": "relu", "dropout": 0.2, "batch": 128, "loss": "cross_entropy"}
TINY = {"sizes": (4, 64, 64, 2), "activation": "tanh", "dropout": 0.0, "batch": 32, "loss": "mse"}
TABULAR = {"sizes": (54, 256, 256, 7), "activation": "relu", "dropout": 0.0, "batch": 256, "loss": "cross_entropy"}
HIDDEN = ((100,), (512, 256))
IMAGES = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def flops(sizes, batch):
    """Forward, dw and dx of every layer; the first needs no dx."""
    products = [i * o for i, o in zip(sizes, sizes[1:])]
    return 2 * batch * (3 * sum(products) - products[0])


def step(name, net):
    return Case(name, "train_step", net, limit={"kind": "fma", "flops": flops(net["sizes"], net["batch"])},
                tolerance=None if net["dropout"] else 1e-3)


def mnist_folder():
    """Where MNIST's files lie, or None: NNCORE_DATA or ../shared/data beside the repository, or mnist/ therein."""
    roots = [os.environ.get("NNCORE_DATA"), Path(__file__).resolve().parents[2] / "shared" / "data"]
    for folder in (Path(r) / sub for r in roots if r for sub in ("", "mnist")):
        if all((folder / f).exists() for f in IMAGES):
            return str(folder)
    return None


def mnist(folder, count):
    """(x[n,784] float32 in 0..1, labels[n]): the first `count` training images, or noise of the same shape."""
    import numpy as np
    if folder is None:
        rng = np.random.default_rng(3)
        return rng.random((count, 784), dtype=np.float32), rng.integers(0, 10, count)
    raw = [gzip.decompress((Path(folder) / f).read_bytes()) for f in IMAGES]
    pixels = np.frombuffer(raw[0], np.uint8, count * 784, 16).reshape(count, 784)
    return pixels.astype(np.float32) / 255, np.frombuffer(raw[1], np.uint8, count, 8).astype(np.int64)


def epoch(hidden, folder, count):
    sizes = (784, *hidden, 10)
    data = f"{count} MNIST images" if folder else f"{count} synthetic images, no MNIST found"
    return Case(f"epoch 784-{'-'.join(map(str, hidden))}-10, batch 200, {data}", "epoch",
                {"sizes": sizes, "batch": 200, "folder": folder, "count": count},
                limit={"kind": "fma", "flops": flops(sizes, 200) * count // 200}, tolerance=None, rounds=3)


def cases(quick):
    folder, count = mnist_folder(), 6000 if quick else 60000
    forward = Case("forward 4-64-64-2 tanh, batch 1, NumPy in and out", "inference",
                   {"sizes": TINY["sizes"], "activation": "tanh", "batch": 1})
    return [step("step 4-64-64-2 tanh", TINY), forward, step("step 54-256-256-7 relu", TABULAR),
            step("step 784-512-256-10 relu", CLASSIFIER),
            step("step 784-512-256-10 relu, no dropout", {**CLASSIFIER, "dropout": 0.0}),
            *(epoch(hidden, folder, count) for hidden in HIDDEN)]


EAGER, COMPILED = "nncore/eager", "nncore/compiled"
FIGURES = [
    Figure("eager step 784-512-256-10, dropout, batch 128: 1.3 x PyTorch, eager and compiled", 1.3, ("torch",),
           ("step 784-512-256-10 relu",), threads=1, own=EAGER),
    Figure("eager step 4-64-64-2, batch 32: 10 x PyTorch eager", 10, ("torch/eager",), ("step 4-64-64-2",), threads=1,
           own=EAGER),
    Figure("eager step 4-64-64-2, batch 32: 4 x jitted JAX", 4, ("jax",), ("step 4-64-64-2",), threads=1, own=EAGER),
    Figure("compiled step 4-64-64-2: 20 x PyTorch", 20, ("torch",), ("step 4-64-64-2",), threads=1, own=COMPILED),
    Figure("compiled step 4-64-64-2: 8 x jitted JAX", 8, ("jax",), ("step 4-64-64-2",), threads=1, own=COMPILED),
    Figure("compiled forward 4-64-64-2, batch 1: 15 x PyTorch", 15, ("torch",), ("forward 4-64-64-2",), threads=1,
           own=COMPILED),
    Figure("compiled step 54-256-256-7: 1.25 x the best peer", 1.25, ("torch", "jax"), ("step 54-256-256-7",),
           threads=1, own=COMPILED),
    Figure("compiled step 784-512-256-10, dropout: 1.25 x the best peer", 1.25, ("torch", "jax"),
           ("step 784-512-256-10 relu",), threads=1, own=COMPILED),
    Figure("one epoch of MNIST: 3 x scikit-learn", 3, ("sklearn",), ("epoch",)),
    Figure("beyond the issue: every training step 1.3 x PyTorch, however compiled", 1.3, ("torch",), ("step",)),
    Figure("beyond the issue: training steps and epochs, never slower than JAX", 1.0, ("jax",), ("step", "epoch")),
    Figure("beyond the issue: the same, PyTorch with MKL made to use AVX-512", 1.0, ("torch-avx512",),
           ("step", "epoch")),
]
RECORDING = 5   # eager steps


def judge_recording(found, threads):
    """[the figure's line]: recording a new program costs at most so many eager steps."""
    costs = {r.case.name: c for r in found if (c := recording(r)) is not None}
    if not costs:
        return []
    worst = max(costs, key=costs.get)
    return [{"figure": f"recording a new program: at most {RECORDING} eager steps", "threads": threads,
             "verdict": "reached" if costs[worst] <= RECORDING else "NOT REACHED",
             "got": f"worst {costs[worst]:.1f}: {worst}"}]
