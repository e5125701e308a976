"""Layers that change the size of sequences (batch, time, channels) and images (batch, height, width, channels)."""
from .. import ops
from ..ops.pool import sizes, window
from ..ops.upsample import check_mode
from .module import Module

__all__ = ["MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
           "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "Upsample"]


class _MaxPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, *, ceil_mode=False):
        window(self.dims, kernel_size, stride, padding, dilation, type(self).__name__)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x):
        return self.function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPool):
    """y[b, o, c] = the largest of x[b, o stride - padding + k dilation, c] over k < kernel_size.

    stride: None is kernel_size. padding: at most half of kernel_size; it is never chosen. ceil_mode: windows may reach
    beyond the end. Raises ValueError for settings that make no sense, and where no window fits x.
    """
    dims, function = 1, staticmethod(ops.max_pool1d)


class MaxPool2d(_MaxPool):
    """y[b, p, q, c] = the largest of a window of x[b, h, w, c]. Settings as MaxPool1d's: numbers, or pairs for height
    and width."""
    dims, function = 2, staticmethod(ops.max_pool2d)


class AvgPool1d(Module):
    """y[b, o, c] = the mean of x[b, o stride - padding + k, c] over k < kernel_size.

    Padding counts as zeros, or not at all with count_include_pad=False; other settings and errors as MaxPool1d's.
    """
    dims = 1

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        window(self.dims, kernel_size, stride, padding, 1, type(self).__name__)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x):
        return ops.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPool1d):
    """y[b, p, q, c] = the mean of a window of x[b, h, w, c], or its sum / divisor_override. Settings as AvgPool1d's:
    numbers, or pairs for height and width."""
    dims = 2

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        if divisor_override == 0:
            raise ValueError("AvgPool2d: divisor_override is 0")
        self.divisor_override = divisor_override

    def forward(self, x):
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                              self.divisor_override)


class _Adaptive(Module):
    def __init__(self, output_size):
        several = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * self.dims
        sizes([1 if o is None else o for o in several], self.dims, 1, type(self).__name__, "output_size")
        self.output_size = output_size

    def forward(self, x):
        return self.function(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_Adaptive):
    """y[b, o, c] = the largest of the o-th of output_size shares of x[b, t, c]: positions floor(o t / output_size) ..
    ceil((o + 1) t / output_size) - 1. None keeps the size."""
    dims, function = 1, staticmethod(ops.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_Adaptive):
    """The same for images x[b, h, w, c]. output_size: a number, or a pair for height and width."""
    dims, function = 2, staticmethod(ops.adaptive_max_pool2d)


class AdaptiveAvgPool1d(_Adaptive):
    """y[b, o, c] = the mean of the o-th of output_size shares of x[b, t, c], as AdaptiveMaxPool1d."""
    dims, function = 1, staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_Adaptive):
    """The same for images x[b, h, w, c]. output_size: a number, or a pair for height and width; 1 is the global mean,
    [b, 1, 1, c] (Lin, Chen and Yan, 2014)."""
    dims, function = 2, staticmethod(ops.adaptive_avg_pool2d)


class Upsample(Module):
    """y = x at `size` positions, or at scale_factor times as many: ops.interpolate with these settings.

    mode: "nearest", "linear" (sequences) or "bilinear" (images); align_corners is for the last two.
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None):
        check_mode(mode, align_corners, "Upsample")
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: either size or scale_factor is given")
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x):
        return ops.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self):
        how = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{how}, mode={self.mode!r}"
