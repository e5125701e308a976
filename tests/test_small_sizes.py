"""Every operation on arrays of sizes 0, 1 and a few, in up to five axes, with every instruction set.

Forward, gradient, and the bytes behind what was written. Values are judged elsewhere; here it is what happens at the
edges of memory, which the sanitizers watch as well.
"""
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import nncore
from guards import check_guard, poison
from nncore import _core, losses, nn, ops, optim
from nncore.data import DataLoader

settings.register_profile("nncore", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("nncore")

SIDES = st.sampled_from([0, 1, 1, 2, 3, 16, 17])
SHAPES = st.lists(SIDES, max_size=5).map(tuple).filter(lambda s: math.prod(n or 1 for n in s) < 5000)


def axes(x):
    return range(-x.ndim, x.ndim)


def rows(x):
    return x.reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def labels(x):
    return np.arange(math.prod(x.shape[:-1])).reshape(x.shape[:-1]) % max(x.shape[-1], 1)


def ones(shape):
    return nncore.ones(shape, requires_grad=True)


def matrix(x, o):
    return nncore.full((x.shape[-1], o), 0.5, requires_grad=True)


# name -> the results of an operation on a tensor of any shape; nothing where it does not apply
CALLS = {name: (lambda x, f=getattr(ops, name): [f(x)]) for name in _core.UNARY if name not in ("clip", "gelu_tanh")}
CALLS |= {
    "clip": lambda x: [ops.clip(x, 0.3, 0.8)],
    "gelu_tanh": lambda x: [ops.gelu(x, "tanh")],
    "binary": lambda x: [f(x, y) for f in (ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.maximum, ops.minimum)
                         for y in (x, 2.0, x.T.T)],
    "broadcast": lambda x: [x * nncore.ones(*(n if i % 2 else 1 for i, n in enumerate(x.shape)), requires_grad=True)],
    "compare": lambda x: [x < 0.6, x == x],
    "where": lambda x: [ops.where(x > 0.6, x, 0.0), ops.where(x > 0.6, 1.0, -x)],
    "reduce": lambda x: [f(x, dim=d, keepdim=k) for f in (ops.sum, ops.mean, ops.var)
                         for d in (None, *axes(x), tuple(axes(x)[:x.ndim]))
                         for k in (True, False)],
    "extremes": lambda x: [f(x, dim=d) for f in (ops.max, ops.min, ops.argmax, ops.argmin) for d in (None, *axes(x))
                           if x.size],
    "softmax": lambda x: [f(x, dim=d) for f in (ops.softmax, ops.log_softmax) for d in axes(x)],
    "permute": lambda x: [x.T, *(ops.transpose(x, 0, d) for d in axes(x))],
    "reshape": lambda x: [x.flatten(), x.squeeze(), x.reshape(x.shape)],
    "slice": lambda x: [x[key] for d in range(x.ndim) for n in (x.shape[d],) for s in
                        (slice(None, None, -1), slice(1, None, 2), slice(0, 0), slice(n // 2, n), slice(-1, None))
                        for key in ((slice(None),) * d + (s,),)],
    "mask": lambda x: [x[x > 0.6]] if x.ndim else [],
    "take": lambda x: [ops.take(x, index, d) for d in axes(x) for index in ([], [0, -1, 0], [x.shape[d] - 1])
                       if x.shape[d] or not index],
    "concat": lambda x: [ops.concat([x, x, x], d) for d in axes(x)] + ([ops.stack([x, x], 0)] if x.ndim < 5 else []),
    "split": lambda x: [y for d in axes(x) for y in ops.split(x, 2, d)],
    "pad": lambda x: [ops.pad(x, [(i, 2 - i % 3) for i in range(x.ndim)], value=7.0),
                      *(ops.pad(x, [(min(n - (mode == "reflect"), 1),) * 2 for n in x.shape], mode)
                        for mode in ("reflect", "replicate", "circular") if x.size)],
    "pooling 1d": lambda x: [f(x, k) for f in (ops.max_pool1d, ops.avg_pool1d) for k in (1, 2) if x.shape[-2] >= k] + [
        f(x, o) for f in (ops.adaptive_avg_pool1d, ops.adaptive_max_pool1d) for o in (1, 2, 5)]
    if x.ndim > 1 and x.shape[-2] else [],
    "pooling 2d": lambda x: [f(x, k, padding=k // 2) for f in (ops.max_pool2d, ops.avg_pool2d) for k in (1, 2, 3)] + [
        f(x, o) for f in (ops.adaptive_avg_pool2d, ops.adaptive_max_pool2d) for o in (1, (2, 5))]
    if x.ndim > 2 and x.shape[-2] and x.shape[-3] else [],
    "interpolate": lambda x: [ops.interpolate(x, o, mode=mode) for o in (1, 2, 7)
                              for mode in ("nearest", "linear" if x.ndim == 3 else "bilinear")]
    if x.ndim in (3, 4) and all(x.shape[1:-1]) else [],
    "matmul": lambda x: [x @ x.transpose(), x.transpose() @ x] if x.ndim > 1 else [x @ x] if x.ndim else [],
    "linear": lambda x: [ops.linear(x, matrix(x, o), b, f) for o in (0, 1, 17) for f in (None, "relu", "gelu")
                         for b in (None, nncore.ones(o, requires_grad=True))] if x.ndim else [],
    "norms over rows": lambda x: [y for d in range(1, x.ndim + 1) for w in (None, ones(x.shape[-d:]))
                                  for y in (ops.layer_norm(x, x.shape[-d:], w, w), ops.rms_norm(x, x.shape[-d:], w))],
    "norms over columns": lambda x: [
        *(ops.batch_norm(x, nncore.zeros(x.shape[-1]), nncore.ones(x.shape[-1]), w, w, t, activation=f, residual=r)
          for w in (None, ones(x.shape[-1:])) for t in (True, False) if not t or len(rows(x)) > 1
          for f in (None, "relu") for r in (None, x)),
        *(ops.group_norm(x, g, w, w) for g in (1, x.shape[-1]) for w in (None, ones(x.shape[-1:])))
    ] if x.ndim > 1 and x.shape[-1] else [],
    "dropout": lambda x: [ops.dropout(x, p) for p in (0.0, 0.5, 1.0)],
    "losses": lambda x: [f(x, x.detach() * 0.5, reduction=r)
                         for f in (losses.mse_loss, losses.l1_loss, losses.huber_loss,
                         losses.smooth_l1_loss, losses.binary_cross_entropy, losses.binary_cross_entropy_with_logits)
                         for r in ("sum", "none")],
    "cross-entropy": lambda x: [losses.cross_entropy(x, t, weight=w, label_smoothing=s, reduction=r)
                                for t in (labels(x), x.detach()) for w in (None, np.ones(x.shape[-1]))
                                for s in (0.0, 0.5)
                                for r in ("sum", "none")] if x.ndim and x.shape[-1] else [],
    "nll": lambda x: [losses.nll_loss(x, labels(x), reduction=r) for r in ("sum", "none")] if x.ndim
    and x.shape[-1] else [],
    "copies": lambda x: [x.clone(), x.detach().astype("int64"), x.detach().astype("bool"), x.detach().astype("uint8")],
}


@given(SHAPES)
@settings(max_examples=100)
def test_every_operation_on_small_sizes(shape):
    values = np.random.default_rng([1, *shape]).uniform(0.5, 0.9, shape).astype("f4")
    before = _core.isa_current()
    try:
        for isa in _core.isa_names():
            _core.isa_select(isa)
            for name, call in CALLS.items():
                x = nncore.tensor(values, requires_grad=True)
                poison((shape, "float32"), copies=2)
                for y in call(x):
                    y.numpy()
                    check_guard(y.array, name, first=False)
                    if y.requires_grad and y.dtype == "float32":
                        x.grad = None
                        y.backward(nncore.ones(*y.shape) if y.size != 1 else None)
                        assert x.grad is not None and x.grad.shape == shape, name
                        check_guard(x.grad.array, name, first=False)
                        assert np.isfinite(x.grad.numpy()).all() or name in ("reduce", "binary"), name
    finally:
        _core.isa_select(before)


@given(st.lists(SHAPES.filter(lambda s: math.prod(s) < 100), min_size=1, max_size=4), st.integers(0, 3))
@settings(max_examples=25)
def test_optimizers_on_small_sizes(shapes, missing):
    for kind in (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, amsgrad=True),
                 lambda p: optim.RMSprop(p, centered=True, momentum=0.9), optim.Adagrad, optim.Adadelta):
        parameters = [nncore.tensor(np.ones(s, "f4"), requires_grad=True) for s in shapes]
        optimizer = kind(parameters)
        for _ in range(2):
            for i, p in enumerate(parameters):
                p.grad = None if i == missing else np.full(p.shape, 0.5)
            assert np.isfinite(optim.clip_grad_norm_(parameters, 1.0).item())
            optim.clip_grad_value_(parameters, 0.25)
            optimizer.step()
            optimizer.zero_grad()
        for i, p in enumerate(parameters):
            assert ((p.numpy() < 1).all() if i != missing else (p.numpy() == 1).all()) and p.shape == shapes[i]


@given(SHAPES.filter(lambda s: len(s) and s[0]), st.sampled_from(["f4", "u1", "i8", "?"]), st.integers(1, 20),
       st.booleans())
@settings(max_examples=40)
def test_loader_on_small_sizes(shape, dtype, batch, shuffle):
    x = (np.arange(math.prod(shape)).reshape(shape) % 200).astype(dtype)
    seen = 0
    for inputs, targets in DataLoader(x, np.arange(shape[0]), batch, shuffle=shuffle):
        assert (inputs.numpy() == x[targets.numpy()]).all() and inputs.shape[1:] == shape[1:]
        seen += len(inputs)
    assert seen == shape[0]


@given(SHAPES, SHAPES)
def test_models_on_small_sizes(a, b):
    i, o = (s[0] if s else 1 for s in (a, b))
    model = nn.Sequential(nn.Linear(i, o, activation="gelu"), nn.Dropout(0.5),
                          nn.Residual(nn.Linear(o, o), nn.Tanh()), nn.Linear(o, 1))
    y = model(nncore.ones(*b, i) if len(b) < 5 else nncore.ones(i))
    y.sum().backward()
    optim.AdamW(model.parameters()).step()
    assert all(np.isfinite(p.numpy()).all() and p.grad is not None for p in model.parameters())
