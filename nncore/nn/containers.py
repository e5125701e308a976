"""Modules made of modules: Sequential, Residual, ModuleList."""
from .. import ops
from .activations import Activation
from .layers import Linear
from .module import Module

__all__ = ["Sequential", "Residual", "ModuleList"]


class ModuleList(Module):
    """A list of modules whose parameters are found."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: a Module expected, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
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

    Sequential(a, b, c), or Sequential(OrderedDict(name=a, ...)). A Linear with an activation layer behind it runs as one
    product with the activation fused; the numbers are the same.
    """

    def __init__(self, *modules):
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                setattr(self, name, module)
        else:
            if len(modules) == 1 and isinstance(modules[0], (list, tuple)):
                modules = modules[0]
            super().__init__(modules)

    def forward(self, x):
        layers = [m for m in self.__dict__.values() if isinstance(m, Module)]
        i, n = 0, len(layers)
        while i < n:
            layer = layers[i]
            i += 1
            if type(layer) is Linear and layer.activation is None and i < n and isinstance(layers[i], Activation):
                fused = layers[i].fused
                if fused is not None and "forward" not in layer.__dict__:
                    x = ops.linear(x, layer.weight, layer.bias, fused)
                    i += 1
                    continue
            x = layer(x)
        return x


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
