"""PyTorch at its best: eager with the fused and the multi-tensor optimizer, out= variants, and torch.compile.

NNCORE_BENCH_COMPILE, from `--compile`, says what torch.compile is tried on: it takes seconds of C++ a case.
"""
import contextlib
import os

import torch
import torch.nn.functional as F

from ..overhead import STATEMENTS
from ..timed import RATE, Timed, labels, net_data, net_weights, normal
from .torch_images import KINDS as IMAGES

aten = torch.ops.aten
COMPILE = os.environ.get("NNCORE_BENCH_COMPILE", "steps")
quiet = torch.inference_mode


def set_threads(n):
    torch.set_num_threads(n)


def versions():
    return {"torch": torch.__version__, "mkl": torch.backends.mkl.is_available(),
            "cpu capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}


def to_numpy(result):
    return result.detach().numpy() if hasattr(result, "detach") else result


def tensor(seed, *shape):
    return torch.from_numpy(normal(seed, *shape))


def gemm(layout, m, n, k):
    a = tensor(1, k, m).t() if layout[0] == "T" else tensor(1, m, k)
    b = tensor(2, n, k).t() if layout[1] == "T" else tensor(2, k, n)
    c = torch.empty(m, n)
    return {"plain": Timed(lambda: torch.mm(a, b), context=quiet),
            "out": Timed(lambda: torch.mm(a, b, out=c), context=quiet)}


# name: function, the same with out= (None where there is none), its gradient into o
ACTIVATIONS = {
    "relu": (torch.relu, lambda x, o: torch.clamp_min(x, 0, out=o),
             lambda dy, x, y, o: aten.threshold_backward.grad_input(dy, y, 0, grad_input=o)),
    "leaky_relu": (F.leaky_relu, lambda x, o: torch._C._nn.leaky_relu(x, 0.01, out=o),
                   lambda dy, x, y, o: aten.leaky_relu_backward.grad_input(dy, x, 0.01, False, grad_input=o)),
    "elu": (F.elu, lambda x, o: torch._C._nn.elu(x, out=o),
            lambda dy, x, y, o: aten.elu_backward.grad_input(dy, 1.0, 1.0, 1.0, False, x, grad_input=o)),
    "gelu": (F.gelu, lambda x, o: torch._C._nn.gelu(x, out=o),
             lambda dy, x, y, o: aten.gelu_backward.grad_input(dy, x, grad_input=o)),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), lambda x, o: torch._C._nn.gelu(x, approximate="tanh", out=o),
                  lambda dy, x, y, o: aten.gelu_backward.grad_input(dy, x, approximate="tanh", grad_input=o)),
    "silu": (F.silu, lambda x, o: torch._C._nn.silu(x, out=o),
             lambda dy, x, y, o: aten.silu_backward.grad_input(dy, x, grad_input=o)),
    "sigmoid": (torch.sigmoid, lambda x, o: torch.sigmoid(x, out=o),
                lambda dy, x, y, o: aten.sigmoid_backward.grad_input(dy, y, grad_input=o)),
    "tanh": (torch.tanh, lambda x, o: torch.tanh(x, out=o),
             lambda dy, x, y, o: aten.tanh_backward.grad_input(dy, y, grad_input=o)),
    "softplus": (F.softplus, lambda x, o: torch._C._nn.softplus(x, out=o),
                 lambda dy, x, y, o: aten.softplus_backward.grad_input(dy, x, 1.0, 20.0, grad_input=o)),
    "exp": (torch.exp, lambda x, o: torch.exp(x, out=o), None),
    "log": (torch.log, lambda x, o: torch.log(x, out=o), None),
    "sqrt": (torch.sqrt, lambda x, o: torch.sqrt(x, out=o), None),
    "abs": (torch.abs, lambda x, o: torch.abs(x, out=o), None),
}


def activation(name, n):
    f, f_out, _ = ACTIVATIONS[name]
    x = tensor(1, n).abs() if name in ("log", "sqrt") else tensor(1, n)
    out = torch.empty_like(x)
    ways = {"plain": Timed(lambda: f(x), context=quiet), "out": Timed(lambda: f_out(x, out), context=quiet)}
    if COMPILE == "all":
        g = torch.compile(f, dynamic=False)
        ways["compiled"] = Timed(lambda: g(x), context=torch.no_grad)
    return ways


def activation_grad(name, n):
    f, _, g = ACTIVATIONS[name]
    x, dy = tensor(1, n), tensor(2, n)
    y, out, leaf = f(x), torch.empty_like(x), x.clone().requires_grad_()
    kept = f(leaf)
    return {"kernel out": Timed(lambda: g(dy, x, y, out), context=quiet),
            "autograd": lambda: torch.autograd.grad(kept, leaf, dy, retain_graph=True)[0]}


def rows(name, b, c):
    x, t = tensor(1, b, c), torch.from_numpy(labels(2, b, c))
    leaf = x.clone().requires_grad_()

    def cross_entropy_grad():
        return torch.autograd.grad(F.cross_entropy(leaf, t), leaf)[0]

    work = {"softmax": lambda: torch.softmax(x, 1), "log_softmax": lambda: torch.log_softmax(x, 1),
            "cross_entropy": lambda: F.cross_entropy(x, t)}.get(name)
    ways = {"plain": Timed(work, context=quiet) if work else Timed(cross_entropy_grad)}
    if COMPILE == "all" and work:
        ways["compiled"] = Timed(torch.compile(work, dynamic=False), context=torch.no_grad)
    return ways


def reduce(name, shape, axis):
    x = tensor(1, *shape)
    f = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "var": torch.var}[name]
    work = (lambda: f(x)) if axis is None else (lambda: f(x, axis))
    ways = {"plain": Timed(work, context=quiet)}
    if name == "max" and axis is None:
        ways["max"] = Timed(lambda: torch.max(x), context=quiet)
    return ways


def binary(name, x, y):
    x, y, f = tensor(1, *x), tensor(2, *y), {"add": torch.add, "mul": torch.mul}[name]
    z = f(x, y)
    return {"plain": Timed(lambda: f(x, y), context=quiet), "out": Timed(lambda: f(x, y, out=z), context=quiet)}


def dropout(n, p):
    x = tensor(1, n)
    return {"plain": Timed(lambda: F.dropout(x, p, True), context=quiet),
            "native": Timed(lambda: torch.native_dropout(x, p, True)[0], context=quiet)}


def adams(parameters, lr=RATE):
    """The implementations of one optimizer; each is the fastest somewhere."""
    parameters = list(parameters)
    return {"fused": torch.optim.Adam(parameters, lr=lr, fused=True),
            "foreach": torch.optim.Adam(parameters, lr=lr, foreach=True)}


def adam(n):
    def way(kind):
        w = tensor(1, n).requires_grad_()
        w.grad = tensor(2, n)
        optimizer = adams([w])[kind]
        return lambda: (optimizer.step(), w)[1]
    return {kind: way(kind) for kind in ("fused", "foreach")}


def net(sizes, activation, dropout=0.0):
    layers = []
    for i, (w, b) in enumerate(net_weights(sizes)):
        layers.append(torch.nn.Linear(*w.shape))
        with torch.no_grad():
            layers[-1].weight.copy_(torch.from_numpy(w.T.copy()))
            layers[-1].bias.copy_(torch.from_numpy(b))
        if i < len(sizes) - 2:
            layers.append({"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]())
            if dropout:
                layers.append(torch.nn.Dropout(dropout))
    return torch.nn.Sequential(*layers)


def whole_step(model, loss_function, x, t, options):
    """Forward, gradients and Adam as one compiled function of lists: no autograd, module or optimizer is left."""
    names = [name for name, _ in model.named_parameters()]
    weights = [p.detach().clone() for p in model.parameters()]
    ms, vs, count = [torch.zeros_like(w) for w in weights], [torch.zeros_like(w) for w in weights], torch.ones(())

    def value(weights):
        return loss_function(torch.func.functional_call(model, dict(zip(names, weights)), (x,)), t)

    def step(weights, ms, vs, count):
        grads, result = torch.func.grad_and_value(value)(weights)
        for w, m, v, g in zip(weights, ms, vs, grads):
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            w.sub_(RATE * (m / (1 - 0.9**count)) / ((v / (1 - 0.999**count)).sqrt() + 1e-8))
        count.add_(1)
        return result

    compiled = torch.compile(step, dynamic=False, options=options)
    return Timed(lambda: compiled(weights, ms, vs, count), context=torch.no_grad)


def train_step(sizes, activation, dropout, batch, loss):
    x, t = map(torch.from_numpy, net_data(sizes, batch, loss))
    loss_function = torch.nn.MSELoss() if loss == "mse" else torch.nn.CrossEntropyLoss()

    def way(kind, compiled=None, step_compiled=False):
        model = net(sizes, activation, dropout)
        optimizer = adams(model.parameters())[kind]

        def forward(x, t):
            return loss_function(model(x), t)

        update = optimizer.step
        if compiled is not None:
            forward = torch.compile(forward, dynamic=False, options=compiled)
        if step_compiled:
            update = torch.compile(optimizer.step)

        def work():
            value = forward(x, t)
            value.backward()
            update()
            optimizer.zero_grad(set_to_none=True)
            return value
        return work

    ways = {"eager fused": way("fused"), "eager foreach": way("foreach")}
    if COMPILE != "none":
        ways["compiled fused"] = way("fused", {})
        ways["compiled foreach"] = way("foreach", {}, step_compiled=True)
        ways["compiled cpp wrapper"] = way("fused", {"cpp_wrapper": True})
        for suffix, options in {"": {}, ", cpp wrapper": {"cpp_wrapper": True}}.items():
            model = net(sizes, activation, dropout)
            ways[f"whole step compiled{suffix}"] = whole_step(model, loss_function, x, t, options)
    return ways


def inference(sizes, activation, batch):
    x, model = net_data(sizes, batch, "mse")[0], net(sizes, activation).eval()

    def way(f):
        return Timed(lambda: f(torch.from_numpy(x)).numpy(), context=torch.inference_mode)
    ways = {"eager": way(model)}
    if COMPILE != "none":
        ways["compiled"] = way(torch.compile(model, dynamic=False))
        ways["traced"] = way(torch.jit.freeze(torch.jit.trace(model, torch.from_numpy(x))))
    return ways


def epoch(sizes, batch, folder, count):
    from ..mlp import mnist
    x, t = map(torch.from_numpy, mnist(folder, count))
    model, loss_function = net(sizes, "relu"), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def work():
        order = torch.randperm(count)
        for i in range(0, count, batch):
            rows = order[i:i + batch]
            value = loss_function(model(x[rows]), t[rows])
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return value
    return {"eager fused": work}


def overhead(name):
    model = net((4, 8, 8, 2), "relu")
    names = {"a": torch.ones(4), "b": torch.ones(4, 4), "s": torch.ones(1, 4), "tensor": torch.tensor,
             "layer": torch.nn.Linear(4, 4), "model": model}
    if name == "adam step 4-8-8-2":
        model(names["s"]).sum().backward()
        return {kind: Timed(STATEMENTS[name], {"step": adam.step}) for kind, adam in adams(model.parameters()).items()}
    return {"plain": Timed(STATEMENTS[name], names, context=contextlib.nullcontext if "backward" in name else quiet)}


KINDS = {"gemm": gemm, "activation": activation, "activation_grad": activation_grad, "rows": rows, "reduce": reduce,
         "binary": binary, "dropout": dropout, "adam": adam, "train_step": train_step, "inference": inference,
         "epoch": epoch, "overhead": overhead, **IMAGES}
