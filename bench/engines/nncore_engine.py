"""nncore, through its public API; bare matrix products and gradient kernels through _core, their only door."""
import contextlib

import numpy as np

import nncore
from nncore import _core, data, losses, nn, ops

from ..overhead import STATEMENTS
from ..timed import RATE, Timed, labels, net_data, net_weights, normal
from .nncore_images import KINDS as IMAGES

quiet = nncore.no_grad


def set_threads(n):
    nncore.set_num_threads(n)


def versions():
    return {"nncore": nncore.__version__, "isa": nncore.isa_current(), "threads": nncore.get_num_threads()}


def to_numpy(result):
    return result.numpy() if hasattr(result, "numpy") else np.asarray(result)


def tensor(seed, *shape):
    return nncore.tensor(normal(seed, *shape))


def gemm(layout, m, n, k):
    ta, tb = layout[0] == "T", layout[1] == "T"
    a = tensor(1, *((k, m) if ta else (m, k))).array
    b = tensor(2, *((n, k) if tb else (k, n))).array
    return {"plain": lambda: _core.gemm(a, b, ta=ta, tb=tb)}


def activation_function(name):
    return (lambda x: ops.gelu(x, approximate="tanh")) if name == "gelu_tanh" else getattr(ops, name)


def activation(name, n):
    f, x = activation_function(name), tensor(1, n)
    if name in ("log", "sqrt"):
        x = ops.abs(x)
    return {"plain": Timed(lambda: f(x), context=quiet)}


def activation_grad(name, n):
    x, dy = nncore.tensor(normal(1, n), requires_grad=True), tensor(2, n).array
    s, code, a, b = activation_function(name)(x).node.saved
    return {"kernel": lambda: _core.unary_grad(code, dy, s, a, b)}


def rows(name, b, c):
    x, t = tensor(1, b, c), nncore.tensor(labels(2, b, c))
    leaf = nncore.tensor(normal(1, b, c), requires_grad=True)

    def cross_entropy_grad():
        leaf.grad = None
        losses.cross_entropy(leaf, t).backward()
        return leaf.grad

    work = {"softmax": lambda: ops.softmax(x), "log_softmax": lambda: ops.log_softmax(x),
            "cross_entropy": lambda: losses.cross_entropy(x, t)}.get(name)
    return {"plain": Timed(work, context=quiet) if work else Timed(cross_entropy_grad)}


def reduce(name, shape, axis):
    f, x = getattr(ops, name), tensor(1, *shape)
    return {"plain": Timed(lambda: f(x, axis), context=quiet)}


def binary(name, x, y):
    f, x, y = getattr(ops, name), tensor(1, *x), tensor(2, *y)
    return {"plain": Timed(lambda: f(x, y), context=quiet)}


def dropout(n, p):
    x = tensor(1, n)
    return {"plain": Timed(lambda: ops.dropout(x, p, True), context=quiet)}


def adam(n):
    w = nn.Parameter(normal(1, n))
    optimizer = nncore.optim.Adam([w], lr=RATE)
    w.grad = tensor(2, n)
    return {"plain": lambda: (optimizer.step(), w)[1]}


def net(sizes, activation, dropout=0.0):
    layers = []
    for i, (w, b) in enumerate(net_weights(sizes)):
        last = i == len(sizes) - 2
        layers.append(nn.Linear(*w.shape, activation=None if last else activation))
        layers[-1].load_state_dict({"weight": w, "bias": b})
        if dropout and not last:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def training(model, optimizer, loss_function):
    """The step of a training loop, as users write it."""
    def step(x, t):
        value = loss_function(model(x), t)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value
    return step


def train_step(sizes, activation, dropout, batch, loss):
    x, t = map(nncore.tensor, net_data(sizes, batch, loss))
    loss_function = nn.MSELoss() if loss == "mse" else nn.CrossEntropyLoss()

    def way():
        model = net(sizes, activation, dropout)
        return training(model, nncore.optim.Adam(model.parameters(), lr=RATE), loss_function)

    eager, compiled = way(), nncore.compile(way())

    def recording():
        """A program of its own: the two calls that are recorded."""
        step = nncore.compile(eager)
        step(x, t)
        return step(x, t)
    return {"eager": lambda: eager(x, t), "compiled": lambda: compiled(x, t), "recording": recording}


def inference(sizes, activation, batch):
    """From a NumPy array to a NumPy array."""
    x, model = net_data(sizes, batch, "mse")[0], net(sizes, activation).eval()
    compiled = nncore.compile(model)

    def eager():
        with nncore.no_grad():
            return model(x).numpy()
    return {"eager": eager, "compiled": lambda: compiled(x).numpy()}


def epoch(sizes, batch, folder, count):
    from ..mlp import mnist
    loader = data.DataLoader(*mnist(folder, count), batch_size=batch, shuffle=True)
    model = net(sizes, "relu")
    step = training(model, nncore.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss())

    def work(step):
        for inputs, targets in loader:
            value = step(inputs, targets)
        return value
    compiled = nncore.compile(step)
    return {"eager": lambda: work(step), "compiled": lambda: work(compiled)}


def overhead(name):
    model = net((4, 8, 8, 2), "relu")
    names = {"a": nncore.ones(4), "b": nncore.ones(4, 4), "s": nncore.ones(1, 4), "tensor": nncore.tensor,
             "layer": nn.Linear(4, 4), "model": model}
    if name == "adam step 4-8-8-2":
        names["step"] = nncore.optim.Adam(model.parameters(), lr=RATE).step
        model(names["s"]).sum().backward()
    return {"plain": Timed(STATEMENTS[name], names, context=contextlib.nullcontext if "backward" in name else quiet)}


KINDS = {"gemm": gemm, "activation": activation, "activation_grad": activation_grad, "rows": rows, "reduce": reduce,
         "binary": binary, "dropout": dropout, "adam": adam, "train_step": train_step, "inference": inference,
         "epoch": epoch, "overhead": overhead, **IMAGES}
