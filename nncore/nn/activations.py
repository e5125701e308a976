"""A layer for every activation: f(x), element by element or along an axis."""
from .. import ops
from .module import Module

__all__ = ["Softmax", "LogSoftmax", "LeakyReLU", "ELU", "GELU"]


class Activation(Module):
    """y = f(x). `fused` is what a dense layer in front may apply itself: the argument of ops.linear, or None."""
    fused = None

    def __init_subclass__(cls):
        if ("forward" in cls.__dict__ or "function" in cls.__dict__) and "fused" not in cls.__dict__:
            cls.fused = None  # it computes something else than the class it is made of

    def forward(self, x):
        return self.function(x)


def _layer(class_name, function_name):
    function = getattr(ops, function_name)
    return type(class_name, (Activation,), {
        "__doc__": function.__doc__, "__module__": __name__, "fused": function_name,
        "function": staticmethod(function)})


# name of the layer -> name of the op, for activations without attributes
SIMPLE = {"Step": "step", "ReLU": "relu", "SiLU": "silu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus"}
for _class, _function in SIMPLE.items():
    globals()[_class] = _layer(_class, _function)
    __all__.append(_class)


class LeakyReLU(Activation):
    """y = x for x > 0, else negative_slope * x (Maas, Hannun and Ng, 2013)."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    @property
    def fused(self):
        return "leaky_relu", self.negative_slope

    def forward(self, x):
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        return f"{self.negative_slope}"


class ELU(Activation):
    """y = x for x > 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner and Hochreiter, 2015)."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    @property
    def fused(self):
        return "elu", self.alpha

    def forward(self, x):
        return ops.elu(x, self.alpha)

    def extra_repr(self):
        return f"{self.alpha}"


class GELU(Activation):
    """y = x * Phi(x) (Hendrycks and Gimpel, 2016); approximate="tanh": the formula with tanh."""

    def __init__(self, approximate="none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    @property
    def fused(self):
        return "gelu" if self.approximate == "none" else "gelu_tanh"

    def forward(self, x):
        return ops.gelu(x, self.approximate)

    def extra_repr(self):
        return "" if self.approximate == "none" else "approximate='tanh'"


class Softmax(Activation):
    """y = exp(x) / sum(exp(x)) along an axis."""

    def __init__(self, dim=-1):
        self.dim = dim

    def forward(self, x):
        return ops.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Activation):
    """y = log(softmax(x)) along an axis."""

    def __init__(self, dim=-1):
        self.dim = dim

    def forward(self, x):
        return ops.log_softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"
