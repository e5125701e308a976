"""Normalisation layers, and folding batch norm into the layer in front of it for inference. Channels are the last
axis."""
import copy

import numpy as np

from .. import ops
from ..ops.elementwise import activation_code
from ..tensor import Parameter, ones, tensor, zeros
from .containers import FUSING, MEASURED, Sequential
from .conv import ConvTranspose2d
from .module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d", "GroupNorm", "LayerNorm", "RMSNorm",
           "fold_batch_norm"]


class _RunningNorm(Module):
    """Parameters, running statistics and settings of batch and instance norm."""
    axes = ()

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        if num_features < 0:
            raise ValueError(f"{type(self).__name__}: {num_features} features")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.register_buffer("running_mean", zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype="int64") if track_running_stats else None)

    def reset_running_stats(self):
        """Forget what was seen: mean 0, variance 1."""
        if self.track_running_stats:
            for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
                buffer.numpy()[...] = value

    def reset_parameters(self):
        """weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        if self.affine:
            self.weight.numpy()[...] = 1
            self.bias.numpy()[...] = 0

    def check(self, x):
        """ValueError unless x has one of the numbers of axes that the layer is for, and its channels."""
        shape = x.shape
        if len(shape) not in self.axes or shape[-1] != self.num_features:
            axes = " or ".join(map(str, self.axes))
            raise ValueError(f"{type(self).__name__}: x of {axes} axes with {self.num_features} channels last "
                             f"expected, got {tuple(shape)}")

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")


class _BatchNorm(_RunningNorm):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, activation=None):
        if activation is not None:
            activation_code(activation)
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.activation = activation

    @property
    def own_statistics(self):
        """Whether x is normalised by its own mean and variance, and not by the running ones."""
        return self.training or not self.track_running_stats

    def forward(self, x, residual=None):
        return self.with_activation(x, self.activation, residual)

    def with_activation(self, x, activation, residual=None):
        """forward with this activation instead of the layer's own."""
        self.check(x)
        return ops.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                              self.momentum, self.eps, activation, residual, self.num_batches_tracked)

    def extra_repr(self):
        return super().extra_repr() + ("" if self.activation is None else f", activation={self.activation!r}")


class BatchNorm1d(_BatchNorm):
    """y = f((x - mean) / sqrt(var + eps) * weight + bias + residual), channel by channel (Ioffe and Szegedy, 2015).

    x: (batch, channels) or (batch, time, channels). While training mean and variance are the batch's, and the buffers
    running_mean and running_var move to them by `momentum` (None: they are the average of all batches); in evaluation
    the running ones are used, unless track_running_stats is False. activation: an elementwise function behind it,
    "relu" in the same pass; layer(x, residual) adds a tensor of x's shape before it.
    Raises ValueError for other shapes, and while training for a batch that has one value per channel.
    """
    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: x is (batch, height, width, channels)."""
    axes = (4,)


FUSING |= {BatchNorm1d, BatchNorm2d}
MEASURED |= {BatchNorm1d, BatchNorm2d}


class _InstanceNorm(_RunningNorm):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, x):
        self.check(x)
        single = len(x.shape) == self.axes[0]  # one image without its batch axis
        own = self.training or not self.track_running_stats
        y = ops.instance_norm(x.reshape((1, *x.shape)) if single else x, self.running_mean, self.running_var,
                              self.weight, self.bias, own, self.momentum, self.eps, self.num_batches_tracked)
        return y.reshape(x.shape) if single else y


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over each channel of each sequence (Ulyanov et al., 2016).

    x: (batch, time, channels) or (time, channels). With track_running_stats the averages of mean and variance over the
    batch move the running ones, which evaluation uses.
    """
    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images: x is (batch, height, width, channels) or (height, width, channels)."""
    axes = (3, 4)


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over groups of neighbouring channels of each image (Wu and He,
    2018).

    x: (batch, ..., channels); num_groups divides num_channels. weight starts at 1, bias at 0; affine=False: there are
    none.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be divided into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, x):
        if not x.shape or x.shape[-1] != self.num_channels:
            raise ValueError(f"GroupNorm: x {tuple(x.shape)} does not have {self.num_channels} channels last")
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes of x (Ba, Kiros and Hinton, 2016).

    normalized_shape: their sizes, or one int. weight starts at 1, bias at 0, both of that shape;
    elementwise_affine=False: neither, bias=False: no bias.
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        self.normalized_shape = _shape(normalized_shape, "LayerNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(ones(*self.normalized_shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(*self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x):
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """y = x / sqrt(mean of x^2 + eps) * weight, over the last axes of x (Zhang and Sennrich, 2019).

    normalized_shape: their sizes, or one int. weight starts at 1; elementwise_affine=False: there is none. eps None:
    2^-23.
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True):
        self.normalized_shape = _shape(normalized_shape, "RMSNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(ones(*self.normalized_shape)) if elementwise_affine else None

    def forward(self, x):
        return ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def _shape(sizes, name):
    shape = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if not shape or any(n < 0 for n in shape):
        raise ValueError(f"{name}: normalized_shape {sizes!r} is no shape")
    return shape


# ---- folding ---------------------------------------------------------------------------------------------------------

def fold_batch_norm(layer, bn=None):
    """Inference without batch norm: its scale and shift go into the weights of the layer in front of it.

    fold_batch_norm(layer, bn): a copy of the layer that computes bn(layer(x)) as bn does in evaluation, bn's activation
    included. layer: a Linear, a convolution, anything whose weight has the outputs last, with a bias or None.
    fold_batch_norm(model): a copy of the model in evaluation mode, in which this is done wherever a Sequential has a
    batch norm behind such a layer; the layers of such a Sequential are numbered anew.
    """
    if not isinstance(layer, Module):
        raise TypeError(f"fold_batch_norm: a Module expected, got {type(layer).__name__}")
    if bn is not None:
        return _folded(layer, bn)
    model = copy.deepcopy(layer).eval()
    return _fold_within(model, {})


def _can_fold(layer, bn):
    weight = getattr(layer, "weight", None)
    return (isinstance(bn, _BatchNorm) and bn.running_mean is not None and isinstance(weight, Parameter)
            and hasattr(layer, "bias") and not isinstance(layer, (_RunningNorm, GroupNorm, LayerNorm, RMSNorm))
            and len(weight.shape) > 1 and _outputs(layer) == bn.num_features
            and getattr(layer, "activation", None) is None and (bn.activation is None or hasattr(layer, "activation")))


def _outputs(layer):
    return layer.out_channels if isinstance(layer, ConvTranspose2d) else layer.weight.shape[-1]


def _scaled_weight(layer, scale):
    """The layer's weight with the part of each output multiplied by its number."""
    if isinstance(layer, ConvTranspose2d):   # [window..., out/groups, in]: of each input those of its group
        of_groups = scale.reshape(layer.groups, -1)
        scale = np.repeat(of_groups, layer.in_channels // layer.groups, axis=0).T
    return (layer.weight.numpy() * scale).astype("f4")


def _folded(layer, bn):
    if not _can_fold(layer, bn):
        raise ValueError(f"fold_batch_norm: {bn!r} does not fold into {layer!r}: a batch norm with running statistics "
                         "is expected behind a layer without activation that has weight (..., outputs) and bias")
    scale = 1 / np.sqrt(bn.running_var.numpy().astype("f8") + bn.eps)
    if bn.affine:
        scale *= bn.weight.numpy()
    bias = 0.0 if layer.bias is None else layer.bias.numpy().astype("f8")
    bias = (bias - bn.running_mean.numpy()) * scale + (bn.bias.numpy() if bn.affine else 0)
    folded = copy.deepcopy(layer).eval()
    folded.weight = Parameter(tensor(_scaled_weight(layer, scale)))
    folded.bias = Parameter(tensor(bias.astype("f4")))
    if bn.activation is not None:
        folded.activation = bn.activation
    return folded


def _fold_within(module, done):
    """The module with its Sequentials folded. done: {id: (module, what became of it)}, so that a module in two places
    stays one."""
    if id(module) in done:
        return done[id(module)][1]
    done[id(module)] = module, module
    for name, child in list(module.named_children()):
        folded = _fold_within(child, done)
        if folded is not child:
            setattr(module, name, folded)
    if type(module) is not Sequential:
        return module
    layers = []
    for layer in module:
        if layers and _can_fold(layers[-1], layer):
            layers[-1] = _folded(layers[-1], layer)
        else:
            layers.append(layer)
    if len(layers) == len(module):
        return module
    folded = Sequential(*layers).eval()
    done[id(module)] = module, folded
    return folded
