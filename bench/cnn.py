"""cnn: whole training steps of convolutional networks, and the peak memory of a process that makes ten of them.

The networks: PyTorch's own MNIST example (two convolutions), ResNet-20 and VGG-11 with batch norm on CIFAR's shapes.
"""
import sys
from pathlib import Path

from .case import Case, Figure
from .memory import peak

MNIST = {"model": "mnist", "image": (28, 28, 1), "batch": 64, "optimizer": "adam"}
RESNET = {"model": "resnet20", "image": (32, 32, 3), "batch": 128, "optimizer": "sgd"}
VGG = {"model": "vgg11_bn", "image": (32, 32, 3), "batch": 64, "optimizer": "sgd"}
NETS = {"PyTorch's MNIST example": MNIST, "ResNet-20": RESNET, "VGG-11-BN": VGG}
ROOT = Path(__file__).resolve().parent.parent
TEN_STEPS = """import sys; sys.path.append({root!r})
from bench.engines import {engine}_engine as engine
engine.set_threads(1)
work = engine.KINDS["cnn_step"](**{net!r}, only={way!r})[{way!r}]
for _ in range(10): work()"""


def cases(quick):
    # with dropout engines draw different numbers; without, ten-layer networks with batch norm amplify rounding
    return [Case(f"step {name}, batch {net['batch']}", "cnn_step", net, tolerance=None, rounds=2 if quick else 7)
            for name, net in NETS.items()]


def memory(options):
    """Rows and figures: the peak of a process that imports, builds the network and makes ten steps."""
    rows, figures, raw = [["peak memory, ten steps", "nncore", "PyTorch", "share"]], [], {}
    for name, net in NETS.items():
        sizes = {}
        for engine, python, ways in (("nncore", sys.executable, ("compiled", "eager")),
                                     ("torch", options.python, ("eager nchw", "eager channels_last"))):
            if engine == "torch" and "torch" not in options.peers:
                continue
            for way in ways:
                code = TEN_STEPS.format(root=str(ROOT), engine=engine, net=net, way=way)
                size, _, said, status = peak([python, "-P", "-c", code])
                raw[f"{name}, {engine} {way}"] = {"MB": size, "status": status, "end": said[-300:]}
                if status == 0:
                    sizes.setdefault(engine, []).append(size)
        own, peer = (min(sizes[e]) if e in sizes else None for e in ("nncore", "torch"))
        rows.append([name, *(f"{v:.0f} MB" if v else "not measured" for v in (own, peer)),
                     f"{own / peer:.2f}" if own and peer else ""])
        figures.append({"figure": f"peak memory, {name}: at most half of PyTorch's",
                        "verdict": "not measured" if not own or not peer else "reached" if own <= peer / 2
                        else "NOT REACHED",
                        "got": " against ".join(f"{v:.0f} MB" for v in (own, peer) if v)})
    return rows, figures, raw


FIGURES = [
    Figure("step, PyTorch's MNIST example, batch 64, Adam: 1.9 x PyTorch", 1.9, ("torch",), ("step PyTorch's",)),
    Figure("step, ResNet-20, batch 128, SGD momentum: 1.9 x PyTorch", 1.9, ("torch",), ("step ResNet-20",)),
    Figure("step, VGG-11-BN, batch 64, SGD momentum: 2.4 x PyTorch", 2.4, ("torch",), ("step VGG-11-BN",)),
    Figure("beyond the issue: the same, never slower than JAX", 1.0, ("jax",), ("step",)),
]
