"""Small training steps, eager and compiled, and what tests of nncore.compile ask of them."""
import numpy as np

import nncore
from nncore import _core, losses, nn, optim

OPTIMIZERS = {
    "SGD": dict(weight_decay=0.01), "SGD momentum": dict(momentum=0.9, dampening=0.1),
    "SGD nesterov": dict(momentum=0.9, nesterov=True), "RMSprop": dict(), "RMSprop centered": dict(centered=True),
    "RMSprop momentum": dict(momentum=0.5, centered=True), "Adam": dict(weight_decay=0.1), "AdamW": dict(),
    "Adam amsgrad": dict(amsgrad=True), "Adagrad": dict(lr_decay=0.1), "Adadelta": dict(rho=0.8),
}


def optimizer_of(kind, parameters, lr=0.01):
    return getattr(optim, kind.split()[0])(parameters, lr=lr, **OPTIMIZERS[kind])


def mlp(*widths, dropout=0.0):
    layers = [nn.Linear(a, b, activation="relu") for a, b in zip(widths, widths[1:-1])]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(*widths[-2:]))


def data(n=16, features=6, classes=3, seed=0):
    rng = np.random.default_rng([seed, n, features])
    return rng.standard_normal((n, features), dtype="f4"), rng.integers(0, classes, n)


def bits(*tensors):
    return [t.numpy().tobytes() for t in tensors]


class Run:
    """A model, its optimizer and its step; `python` counts how often the step ran in Python."""

    def __init__(self, compile, kind="Adam", widths=(6, 10, 3), dropout=0.3, extra=None, make=optimizer_of):
        nncore.manual_seed(7)
        self.model = mlp(*widths, dropout=dropout)
        self.optimizer = make(kind, self.model.parameters())
        self.python = 0

        def step(x, y):
            self.python += 1
            loss = losses.cross_entropy(self.model(x), y)
            loss.backward()
            if extra:
                extra(list(self.model.parameters()))
            self.optimizer.step()
            self.optimizer.zero_grad()
            return loss
        self.step = nncore.compile(step) if compile else step
        nncore.manual_seed(8)  # of dropout

    def losses(self, batches):
        return bits(*[self.step(x, y) for x, y in batches])

    def bits(self):
        return bits(*self.model.parameters())


def same_as_eager(batches, recordings=2, between=None, **options):
    """Losses and parameters after these batches are eager's; between(run, i) happens before batch i."""
    results = []
    for compile in (False, True):
        run, found = Run(compile, **options), []
        for i, batch in enumerate(batches):
            if between:
                between(run, i)
            found += run.losses([batch])
        results.append((found, run.bits(), optimizer_bits(run.optimizer)))
    assert results[0] == results[1]
    assert len(set(results[0][0])) > 1
    assert run.python == recordings
    return run


def optimizer_bits(optimizer):
    state = optimizer.state_dict()["state"].values()
    return [{k: v if k == "step" else v.tobytes() for k, v in entry.items()} for entry in state]


def nothing_records():
    """The engine computes, and records, after an error."""
    assert not _core.recording()
    assert (nncore.ones(3) * 2.0).sum().item() == 6
    double = nncore.compile(lambda x: x * 2.0)
    for value in range(4):
        assert double(nncore.full((2,), value)).tolist() == [2 * value] * 2
