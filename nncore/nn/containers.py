"""Modules made of modules: Sequential, Residual, ModuleList."""
from .. import ops
from .activations import Activation
from .layers import Linear
from .module import Module

__all__ = ["Sequential", "Residual", "ModuleList"]


FUSING = {Linear}  # layers that apply the activation behind them: layer.with_activation(x, activation)
MEASURING = set()  # layers that take moments of what they give: layer.forward(x, moments=True) ...
MEASURED = set()   # ... and those that want them where layer.own_statistics


class ModuleList(Module):
    """A list of modules whose parameters are found."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: a Module expected, got {type(module).__name__}")
        n = len(self)
        while hasattr(self, str(n)):  # after one was taken away, or among names of the user's
            n += 1
        setattr(self, str(n), module)
        return self

    def __len__(self):
        return sum(1 for _ in self.children())

    def __iter__(self):
        return self.children()

    def __getitem__(self, i):
        layers = list(self.children())
        return type(self)(layers[i]) if isinstance(i, slice) else layers[i]


class Sequential(ModuleList):
    """Modules one after another: y = last(... second(first(x))).

    Sequential(a, b, c), or Sequential(OrderedDict(name=a, ...)). A Linear, convolution or batch norm with an activation
    behind it runs as one op with the activation fused; the numbers are the same. A convolution in front of a batch norm
    takes mean and variance while its result is in cache; they agree with the batch norm's own to rounding.
    """

    def __init__(self, *modules):
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                if not isinstance(module, Module):
                    raise TypeError(f"Sequential: {name} is no Module but of type {type(module).__name__}")
                if hasattr(type(self), name):
                    raise ValueError(f"Sequential: {name!r} is an attribute of its own and cannot name a layer")
                setattr(self, name, module)
        else:
            if len(modules) == 1 and isinstance(modules[0], (list, tuple)):
                modules = modules[0]
            super().__init__(modules)

    def __setattr__(self, name, value):
        self.__dict__.pop("_layers", None)
        super().__setattr__(name, value)

    def __delattr__(self, name):
        self.__dict__.pop("_layers", None)
        super().__delattr__(name)

    def _plan(self):
        """The layers in order, each with the activation behind it that it can fuse, or None, and with the batch norm
        behind it that wants its moments, or None."""
        layers, plan = list(self.children()), []
        while layers:
            layer, *layers = layers
            fuses = (type(layer) in FUSING and layers and isinstance(layers[0], Activation) and layers[0].fused
                     and _is_plain(layers[0]))
            measures = type(layer) in MEASURING and layers and type(layers[0]) in MEASURED
            plan.append((layer if _is_plain(layer) else _Called(layer), layers.pop(0) if fuses else None,
                         layers[0] if measures else None))
        self.__dict__["_layers"] = plan
        return plan

    def forward(self, x):
        for layer, activation, norm in self.__dict__.get("_layers") or self._plan():
            if norm is not None and norm.own_statistics and "forward" not in layer.__dict__:
                x = layer.forward(x, moments=True)
            elif activation is None:
                x = layer.forward(x)
            elif layer.activation is None and "forward" not in layer.__dict__ and "forward" not in activation.__dict__:
                x = layer.with_activation(x, activation.fused)
            else:
                x = activation(layer(x))
        return x


def _is_plain(layer):
    return type(layer).__call__ is Module.__call__


class _Called:
    """A layer whose class has a __call__ of its own: what Sequential runs is forward."""

    def __init__(self, layer):
        self.forward = layer


class Residual(Module):
    """y = x + body(x), or shortcut(x) + body(x): a skip connection (He, Zhang, Ren and Sun, 2016).

    body: a module, or several that run one after another. shortcut: a module where the shapes differ; None: x itself.
    """

    def __init__(self, *body, shortcut=None):
        self.body = body[0] if len(body) == 1 else Sequential(*body)
        self.shortcut = shortcut

    def forward(self, x):
        y = self.body(x)
        skip = x if self.shortcut is None else self.shortcut(x)
        if y.shape != skip.shape:
            raise ValueError(f"Residual: the body gives {y.shape}, the shortcut {skip.shape}")
        return ops.add(skip, y)
