"""Layers: Linear, Dropout, Flatten, Identity. Features are the last axis; leading axes are batch, time, ..."""
import math

from .. import init, ops
from ..ops.elementwise import activation_code
from ..tensor import Parameter, zeros
from .module import Module

__all__ = ["Linear", "Dropout", "Flatten", "Identity"]


class Linear(Module):
    """y[..., o] = x[..., i] @ weight[i, o] + bias[o].

    activation: the name of an elementwise function applied to y ("relu", "tanh", ...), fused into the product; None:
    none. weight and bias start uniform within +-1/sqrt(in_features), as PyTorch's.
    Raises ValueError where x does not have in_features features.
    """

    def __init__(self, in_features, out_features, bias=True, activation=None):
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: negative size in ({in_features}, {out_features})")
        if activation is not None:
            activation_code(activation)
        self.in_features, self.out_features, self.activation = in_features, out_features, activation
        try:
            self.weight = Parameter(zeros(in_features, out_features))
            self.bias = Parameter(zeros(out_features)) if bias else None
        except MemoryError as error:
            raise MemoryError(f"Linear({in_features}, {out_features}): {error}") from None
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        return ops.linear(x, self.weight, self.bias, self.activation)

    def with_activation(self, x, activation):
        """forward with this activation instead of the layer's own."""
        return ops.linear(x, self.weight, self.bias, activation)

    def extra_repr(self):
        text = f"{self.in_features}, {self.out_features}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"


class Dropout(Module):
    """y = x / (1 - p), or 0 with probability p, while training; x itself in evaluation (Srivastava et al., 2014)."""

    def __init__(self, p=0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p = {p} is no probability")
        self.p = p

    def forward(self, x):
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    """Axes start_dim .. end_dim as one: (batch, height, width, channels) -> (batch, features)."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return "" if (self.start_dim, self.end_dim) == (1, -1) else f"{self.start_dim}, {self.end_dim}"


class Identity(Module):
    """y = x."""

    def forward(self, x):
        return x
