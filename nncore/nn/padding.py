"""Layers that put a border around sequences (batch, time, channels) and images (batch, height, width, channels)."""
from .. import ops
from ..ops.pool import sizes
from .module import Module

__all__ = ["ZeroPad2d", "ReflectionPad1d", "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d", "CircularPad1d",
           "CircularPad2d"]


class _Pad(Module):
    """padding: a number for all sides, or (before, after), for images (left, right, top, bottom), as PyTorch's."""

    def __init__(self, padding):
        self.padding = sizes(padding, 2 * self.dims, 0, type(self).__name__, "padding")

    def forward(self, x):
        if len(x.shape) < self.dims + 1:
            raise ValueError(f"{type(self).__name__}: at least {self.dims + 1} axes expected, got shape {x.shape}")
        return ops.pad(x, (0, 0, *self.padding), self.mode)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad2d(_Pad):
    """Images with a border of zeros. padding: a number, or (left, right, top, bottom)."""
    dims, mode = 2, "constant"


class ReflectionPad1d(_Pad):
    """Sequences, mirrored at their first and last position. padding: a number, or (before, after); less than there
    is."""
    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Images, mirrored at their outermost pixels. padding: a number, or (left, right, top, bottom); less than there
    is."""
    dims, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """Sequences, their first and last position repeated. padding: a number, or (before, after)."""
    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Images, their outermost pixels repeated. padding: a number, or (left, right, top, bottom)."""
    dims, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """Sequences that go round: before the start comes the end. padding: a number, or (before, after)."""
    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Images that go round on all sides. padding: a number, or (left, right, top, bottom)."""
    dims, mode = 2, "circular"
