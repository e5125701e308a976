"""NumPy, written as an expert would: every result into memory that is already there, where that is possible."""
import numpy as np

from ..overhead import STATEMENTS
from ..timed import RATE, Timed, labels, net_data, net_weights, normal


def set_threads(n):
    pass  # OpenBLAS reads OPENBLAS_NUM_THREADS


def versions():
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {"numpy": np.__version__, "blas": f"{blas.get('name')} {blas.get('version')}"}


def to_numpy(result):
    return result


def gemm(layout, m, n, k):
    a = normal(1, k, m).T if layout[0] == "T" else normal(1, m, k)
    b = normal(2, n, k).T if layout[1] == "T" else normal(2, k, n)
    c = np.empty((m, n), np.float32)
    return {"plain": lambda: a @ b, "out": lambda: np.matmul(a, b, out=c)}


def sigmoid(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    return np.reciprocal(out, out=out)


def silu(x, out):
    return np.multiply(sigmoid(x, out), x, out=out)


def gelu_tanh(x, out):
    np.multiply(x, x, out=out)
    out *= np.float32(0.044715 * 0.7978845608)
    out += np.float32(0.7978845608)
    out *= x
    np.tanh(out, out=out)
    out += 1
    out *= x
    return np.multiply(out, np.float32(0.5), out=out)


def elu(x, out):
    np.minimum(x, 0, out=out)
    np.expm1(out, out=out)
    return np.maximum(out, x, out=out)


ACTIVATIONS = {
    "relu": lambda x, out: np.maximum(x, 0, out=out),
    "leaky_relu": lambda x, out: np.maximum(np.multiply(x, np.float32(0.01), out=out), x, out=out),
    "elu": elu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
    "sigmoid": sigmoid,
    "tanh": lambda x, out: np.tanh(x, out=out),
    "softplus": lambda x, out: np.logaddexp(x, np.float32(0), out=out),
    "exp": lambda x, out: np.exp(x, out=out),
    "log": lambda x, out: np.log(x, out=out),
    "sqrt": lambda x, out: np.sqrt(x, out=out),
    "abs": lambda x, out: np.abs(x, out=out),
}
GRADIENTS = {
    "relu": lambda dy, x, y, out: np.multiply(dy, y > 0, out=out),
    "sigmoid": lambda dy, x, y, out: np.multiply(np.multiply(np.subtract(1, y, out=out), y, out=out), dy, out=out),
    "tanh": lambda dy, x, y, out: np.multiply(np.subtract(1, np.multiply(y, y, out=out), out=out), dy, out=out),
}


def activation(name, n):
    f = ACTIVATIONS.get(name)
    if f is None:
        return None
    x = np.abs(normal(1, n)) if name in ("log", "sqrt") else normal(1, n)
    out = np.empty_like(x)
    return {"out": lambda: f(x, out)}


def activation_grad(name, n):
    g = GRADIENTS.get(name)
    if g is None:
        return None
    x, dy = normal(1, n), normal(2, n)
    y, out = ACTIVATIONS[name](x, np.empty_like(x)), np.empty_like(x)
    return {"out": lambda: g(dy, x, y, out)}


def softmax(x):
    e = np.subtract(x, x.max(1, keepdims=True))
    np.exp(e, out=e)
    return np.divide(e, e.sum(1, keepdims=True), out=e)


def log_softmax(x):
    e = np.subtract(x, x.max(1, keepdims=True))
    return np.subtract(e, np.log(np.exp(e).sum(1, keepdims=True)), out=e)


def cross_entropy_grad(x, t):
    dx, rows = softmax(x), np.arange(len(t))
    dx[rows, t] -= 1
    return np.divide(dx, len(t), out=dx)


def rows(name, b, c):
    x, t, r = normal(1, b, c), labels(2, b, c), np.arange(b)
    return {"plain": {"softmax": lambda: softmax(x), "log_softmax": lambda: log_softmax(x),
                      "cross_entropy": lambda: -log_softmax(x)[r, t].mean(),
                      "cross_entropy_grad": lambda: cross_entropy_grad(x, t)}[name]}


def reduce(name, shape, axis):
    x = normal(1, *shape)
    if name == "var":
        return {"plain": lambda: x.var(axis, ddof=1)}
    return {"plain": lambda f=getattr(x, name): f(axis)}


def binary(name, x, y):
    x, y, f = normal(1, *x), normal(2, *y), {"add": np.add, "mul": np.multiply}[name]
    z = f(x, y)
    return {"plain": lambda: f(x, y), "out": lambda: f(x, y, z)}


def dropout(n, p):
    x, rng, scale = normal(1, n), np.random.Generator(np.random.SFC64(1)), np.float32(1 / (1 - p))
    u, y = np.empty_like(x), np.empty_like(x)

    def work():
        np.multiply(rng.random(dtype=np.float32, out=u) >= p, scale, out=y)
        return np.multiply(y, x, out=y)
    return {"plain": work}


class Adam:
    """Kingma and Ba, 2015, over one flat array, in place."""

    def __init__(self, w, lr=RATE):
        self.w, self.lr, self.t = w, np.float32(lr), 0
        self.m, self.v, self.u = np.zeros_like(w), np.zeros_like(w), np.empty_like(w)

    def step(self, g):
        self.t += 1
        u = self.u
        self.m *= np.float32(0.9)
        self.m += np.multiply(g, np.float32(0.1), out=u)
        self.v *= np.float32(0.999)
        self.v += np.multiply(np.multiply(g, g, out=u), np.float32(0.001), out=u)
        np.sqrt(np.multiply(self.v, np.float32(1 / (1 - 0.999**self.t)), out=u), out=u)
        u += np.float32(1e-8)
        np.divide(self.m, u, out=u)
        self.w -= np.multiply(u, np.float32(self.lr / (1 - 0.9**self.t)), out=u)


def adam(n):
    w, g = normal(1, n), normal(2, n)
    state = Adam(w)
    return {"in place": lambda: (state.step(g), w)[1]}


def train_step(sizes, activation, dropout, batch, loss):
    """By hand: parameters and gradients in flat arrays, so that Adam is one pass."""
    if dropout:
        return None
    start = net_weights(sizes)
    flat = np.concatenate([p.ravel() for w, b in start for p in (w, b)])
    grad, at, layers = np.empty_like(flat), 0, []
    for w, b in start:
        views = []
        for p in (w, b):
            views += [flat[at:at + p.size].reshape(p.shape), grad[at:at + p.size].reshape(p.shape)]
            at += p.size
        layers.append(views)
    x, t = net_data(sizes, batch, loss)
    state, rows = Adam(flat), np.arange(batch)

    def work():
        hs = [x]
        for i, (w, dw, b, db) in enumerate(layers):
            y = hs[-1] @ w
            y += b
            if i < len(layers) - 1:
                y = np.maximum(y, 0, out=y) if activation == "relu" else np.tanh(y, out=y)
            hs.append(y)
        y = hs.pop()
        if loss == "mse":
            d = y - t
            value = np.vdot(d, d) / d.size
            d *= np.float32(2 / d.size)
        else:
            value = -log_softmax(y)[rows, t].mean()
            d = cross_entropy_grad(y, t)
        for i in range(len(layers) - 1, -1, -1):
            w, dw, b, db = layers[i]
            h = hs[i]
            np.matmul(h.T, d, out=dw)
            d.sum(0, out=db)
            if i:
                d = d @ w.T
                d *= h > 0 if activation == "relu" else 1 - h * h
        state.step(grad)
        return value
    return {"by hand": work}


def overhead(name):
    a, b, s = np.ones(4, np.float32), np.ones((4, 4), np.float32), np.ones((1, 4), np.float32)
    own = {"tensor from a list of 4": "array([1.0, 2.0, 3.0, 4.0], float32)", "linear 1x4 -> 4": "s @ b + a"}
    if "4-8-8-2" in name:
        return None
    work = own.get(name, STATEMENTS[name])
    return {"plain": Timed(work, {"a": a, "b": b, "s": s, "array": np.array, "float32": np.float32})}


KINDS = {"gemm": gemm, "activation": activation, "activation_grad": activation_grad, "rows": rows, "reduce": reduce,
         "binary": binary, "dropout": dropout, "adam": adam, "train_step": train_step, "overhead": overhead}
