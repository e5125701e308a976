"""Convolution layers: Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d. Images are [b,h,w,c], sequences [b,t,c]."""
import math

import numpy as np

from .. import init, ops
from ..ops.conv import pair, sides
from ..ops.elementwise import activation_code
from ..tensor import Parameter, zeros
from .containers import FUSING, MEASURING
from .module import Module

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the four share: settings, weights [window..., in/groups, out] and their start."""
    dims = 2

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, activation):
        name = type(self).__name__
        if not all(isinstance(n, (int, np.integer)) for n in (in_channels, out_channels)):
            raise TypeError(f"{name}: numbers of channels expected, got ({in_channels!r}, {out_channels!r})")
        if in_channels < 0 or out_channels < 0:
            raise ValueError(f"{name}: negative number of channels in ({in_channels}, {out_channels})")
        if (not isinstance(groups, (int, np.integer)) or isinstance(groups, bool) or groups < 1
                or in_channels % groups or out_channels % groups):
            raise ValueError(f"{name}: {in_channels} and {out_channels} channels do not divide into {groups!r} groups")
        if activation is not None:
            activation_code(activation)
        self.in_channels, self.out_channels, self.groups = int(in_channels), int(out_channels), int(groups)
        self.kernel_size = self._setting("kernel_size", kernel_size, 1)
        self.stride, self.dilation = self._setting("stride", stride, 1), self._setting("dilation", dilation, 1)
        self.padding, self.activation = padding, activation
        try:
            self.weight = Parameter(zeros(*self.kernel_size, *self._channels()))
            self.bias = Parameter(zeros(out_channels)) if bias else None
        except MemoryError as error:
            raise MemoryError(f"{name}({in_channels}, {out_channels}, {self.kernel_size}): {error}") from None
        self.reset_parameters()

    def _setting(self, what, value, least):
        """A number for each of the layer's axes."""
        return pair(type(self).__name__, what, value, self.dims, least)[2 - self.dims:]

    def reset_parameters(self):
        """Draw weight and bias anew: uniform within +-1 / sqrt(inputs of an output), as PyTorch's."""
        inputs = math.prod(self.weight.shape[:-1])
        bound = 1 / math.sqrt(inputs) if inputs else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        return self.with_activation(x, self.activation)

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        plain = {"padding": (0,) * self.dims, "dilation": (1,) * self.dims, "groups": 1, "padding_mode": "zeros",
                 "output_padding": (0,) * self.dims, "activation": None}
        for name, default in plain.items():
            value = getattr(self, name, default)
            if value not in (default, 0 if name.endswith("padding") else default):
                text += f", {name}={value!r}"
        return text if self.bias is not None else text + ", bias=False"


class Conv2d(_Convolution):
    """y[b,p,q,o] = f(sum over r, s, c of x[b, p*stride+r*dilation-padding, q*..., c] * weight[r,s,c,o] + bias[o]).

    kernel_size, stride, dilation: a number, or one for height and one for width. padding: a number, (h, w), ((top,
    bottom), (left, right)), "valid" or "same". groups: the channels fall into so many groups that do not mix;
    in_channels of them is a depthwise convolution. padding_mode: what lies around the image: "zeros", "reflect",
    "replicate" or "circular". activation: the name of an elementwise function applied to y, fused. weight: [r, s,
    in_channels / groups, out_channels]. layer(x, moments=True) takes mean and variance of y's channels for the batch
    norm behind it, which Sequential asks for by itself.
    Raises ValueError where x does not have in_channels channels or the window does not fit.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", activation=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, activation)
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{type(self).__name__}: padding_mode {padding_mode!r} is not one of "
                             f"{', '.join(PADDING_MODES)}")
        self.padding_mode = padding_mode
        self._sides((1,) * self.dims)  # a padding that makes no sense is an error here

    def _channels(self):
        return self.in_channels // self.groups, self.out_channels

    def _sides(self, sizes):
        ones = (1,) * (2 - self.dims)
        return sides(type(self).__name__, self.padding, self.dims, ones + tuple(sizes), ones + self.kernel_size,
                     ones + self.stride, ones + self.dilation)[2 - self.dims:]

    def forward(self, x, moments=False):
        return self.with_activation(x, self.activation, moments)

    def with_activation(self, x, activation, moments=False):
        """forward with this activation instead of the layer's own."""
        padding, setting = self.padding, (lambda v: v) if self.dims == 2 else (lambda v: v[0])
        if self.padding_mode != "zeros" and x.ndim == self.dims + 2:
            x = ops.pad(x, ((0, 0), *self._sides(x.shape[1:-1]), (0, 0)), mode=self.padding_mode)
            padding = 0
        function = ops.conv2d if self.dims == 2 else ops.conv1d
        return function(x, self.weight, self.bias, setting(self.stride), padding, setting(self.dilation), self.groups,
                        activation, moments)


class Conv1d(Conv2d):
    """y[b,q,o] = f(sum over s, c of x[b, q*stride + s*dilation - padding, c] * weight[s,c,o] + bias[o]).

    Settings as for Conv2d, with one number each; padding: a number, (before, after), "valid" or "same".
    """
    dims = 1


class ConvTranspose2d(_Convolution):
    """A convolution run backwards: the image grows by the stride (Zeiler, Krishnan, Taylor and Fergus, 2010).

    x [b,p,q,in_channels] becomes y [b,h,w,out_channels] with h = (p - 1) * stride - 2 * padding + dilation *
    (kernel_size - 1) + output_padding + 1. weight: [r, s, out_channels / groups, in_channels], that of the convolution
    that goes the other way.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
                 bias=True, dilation=1, activation=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, activation)
        self.padding = self._setting("padding", padding, 0)
        self.output_padding = self._setting("output_padding", output_padding, 0)

    def _channels(self):
        return self.out_channels // self.groups, self.in_channels

    def with_activation(self, x, activation):
        """forward with this activation instead of the layer's own."""
        setting = (lambda v: v) if self.dims == 2 else (lambda v: v[0])
        function = ops.conv_transpose2d if self.dims == 2 else ops.conv_transpose1d
        return function(x, self.weight, self.bias, setting(self.stride), setting(self.padding),
                        setting(self.output_padding), self.groups, setting(self.dilation), activation)


class ConvTranspose1d(ConvTranspose2d):
    """The same for sequences: x [b,q,in_channels], weight [s, out_channels / groups, in_channels], y
    [b,t,out_channels]."""
    dims = 1


FUSING |= {Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d}
MEASURING |= {Conv1d, Conv2d}
