"""Convolutions and the batch norms behind them, run as one op where that is made for them."""
from .._core import as_float
from ..ops.conv_norm import ConvNorm, conv2d_batch_norms
from .conv import Conv2d
from .norm import BatchNorm2d


def normed_convolutions(x, pairs, residual=None):
    """norm(conv(x)) for each (Conv2d, BatchNorm2d) one after another, `residual` handed to the last norm.

    While training as one op, which keeps no normalised image in between where the next convolution can make it as it
    loads; the numbers are the same, the gradients but for rounding.
    """
    x = as_float(x)
    if x.ndim == 4 and all(_fits(*pair) for pair in pairs):
        return conv2d_batch_norms(x, [_layer(*pair) for pair in pairs], residual)
    for k, (conv, norm) in enumerate(pairs):
        x = conv(x, moments=norm.own_statistics)
        x = norm(x, residual) if k + 1 == len(pairs) else norm(x)
    return x


def _fits(conv, norm):
    """Whether these are plain layers that belong together: no bias or activation between them, and their own forward,
    of the class and the object (not one that was put in the place of Conv2d.forward)."""
    plain = type(conv) is Conv2d and type(norm) is BatchNorm2d and "forward" not in {**conv.__dict__, **norm.__dict__}
    return (plain and norm.training and norm.activation in (None, "relu") and norm.num_features == conv.out_channels
            and conv.bias is None and conv.activation is None and conv.padding_mode == "zeros" and conv.groups == 1
            and conv.dilation == (1, 1))


def _layer(conv, norm):
    return ConvNorm(conv.weight, conv.stride, conv.padding, norm.running_mean, norm.running_var,
                    norm.num_batches_tracked, norm.weight, norm.bias, norm.momentum, norm.eps,
                    norm.activation is not None)
