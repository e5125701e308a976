"""Normalisation: batch, group and instance norm over channels (the last axis), layer and RMS norm over features.

x of shape (batch, ..., channels): images are (batch, height, width, channels), sequences (batch, time, channels).
"""
import math

from .. import _core
from .._core import UNARY, as_float, record
from .elementwise import activation_code, apply_unary

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

RELU = UNARY["relu"][0]
EPS32 = 2.0**-23  # of float32, what rms_norm takes where eps is None


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5,
               activation=None, residual=None, num_batches_tracked=None):
    """y = f((x - mean) / sqrt(var + eps) * weight + bias + residual), channel by channel (Ioffe and Szegedy, 2015).

    x: (batch, ..., channels); weight, bias: (channels,) or None; residual: as x, or None. training: mean and variance
    are x's own, over all axes but the last, and the tensors running_mean and running_var, unless None, move to them by
    `momentum` in place, as PyTorch's do (the variance of n - 1); momentum None: they are the average of all calls,
    counted in num_batches_tracked (int64). Otherwise they are the running ones; without these, x's own.
    activation: None, or the name of an elementwise function; "relu" is computed in the same pass, and so is its
    gradient.
    ValueError where a channel has less than two values to take statistics of.
    """
    x, weight, bias, residual = _floats(x, weight, bias, residual)
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var belong together: one of them is None")
    relu, code = False, None
    if activation is not None:
        code, _, attribute = activation_code(activation)
        relu = code == RELU
    own = training or running_mean is None
    a = x.array
    n = a.size // a.shape[-1] if a.ndim and a.shape[-1] else 0
    if own and n < 2:
        raise ValueError(f"batch_norm: Expected more than 1 value per channel when training, got x {a.shape}")
    mean, var = (None, None) if own else (_state(running_mean, "running_mean"), _state(running_var, "running_var"))
    y, saved = _normalise(x, 1, a.shape[-1] if a.ndim else 0, weight, bias, residual, mean, var, eps, relu,
                          "batch_norm")
    if training and running_mean is not None:
        count = None if num_batches_tracked is None else _state(num_batches_tracked, "num_batches_tracked")
        _core.running_stats(_state(running_mean, "running_mean"), _state(running_var, "running_var"), count, saved[1],
                            n, momentum, "batch_norm")
    y = record(y, _batch_norm_grad, (x, weight, bias, residual), saved)
    return y if relu or code is None else apply_unary(_name(activation), y, attribute)


def _name(activation):
    return activation if isinstance(activation, str) else activation[0]


def _floats(x, *others):
    return [as_float(x), *(None if other is None else as_float(other) for other in others)]


def _state(x, what):
    """The array of a tensor that is written in place."""
    if not isinstance(x, _core.TensorBase):
        raise TypeError(f"{what} must be a tensor: it is read and written in place, got {type(x).__name__}")
    return x.array


def _array(x):
    return None if x is None else x.array


def _normalise(x, images, groups, weight, bias, residual, mean, var, eps, relu, name):
    """(y, what the gradient needs)."""
    w, b, r = _array(weight), _array(bias), _array(residual)
    y, stats = _core.group_norm(x.array, images, groups, w, b, r, mean, var, eps, relu, name)
    return y, (x.array, stats, w, b, y if relu and r is not None else None, eps, relu, mean is not None)


def _batch_norm_grad(node, dy):
    x, stats, w, b, y, eps, relu, fixed = node.saved
    dx, dw, db, dr = _core.group_norm_grad(dy, x, stats, w, b, y, eps, relu, fixed, node.needs(0))
    if dx is not None:
        node.give(0, dx, True)
    node.give(1, dw, True)
    node.give(2, db, True)
    node.give(3, dr, dr is not dy)


def _sites(x, name):
    """Number of positions of an image: the axes between the first and the last."""
    if x.array.ndim < 2:
        raise ValueError(f"{name}: x of shape (batch, ..., channels) expected, got {x.array.shape}")
    return math.prod(x.array.shape[1:-1])


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over each image's group of channels (Wu and He, 2018).

    x: (batch, ..., channels); channels / num_groups neighbouring channels are a group. weight, bias: (channels,) or
    None.
    """
    x, weight, bias = _floats(x, weight, bias)
    _sites(x, "group_norm")
    y, saved = _normalise(x, x.array.shape[0], num_groups, weight, bias, None, None, None, eps, False, "group_norm")
    return record(y, _batch_norm_grad, (x, weight, bias, None), saved)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5, num_batches_tracked=None):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over each channel of each image (Ulyanov et al., 2016).

    x: (batch, ..., channels). With use_input_stats mean and variance are each image's own, and running_mean and
    running_var, unless None, move to their averages over the batch as batch_norm's do; else the running ones are used.
    """
    x, weight, bias = _floats(x, weight, bias)
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm: running_mean and running_var belong together: one of them is None")
    if not use_input_stats:
        if running_mean is None:
            raise ValueError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    sites, shape = _sites(x, "instance_norm"), x.array.shape
    if sites < 2:
        raise ValueError(f"instance_norm: Expected more than 1 spatial element when training, got x {shape}")
    y, saved = _normalise(x, shape[0], shape[-1], weight, bias, None, None, None, eps, False, "instance_norm")
    if running_mean is not None and shape[0]:
        count = None if num_batches_tracked is None else _state(num_batches_tracked, "num_batches_tracked")
        _core.running_stats(_state(running_mean, "running_mean"), _state(running_var, "running_var"), count, saved[1],
                            sites, momentum, "instance_norm")
    return record(y, _batch_norm_grad, (x, weight, bias, None), saved)


def _features(x, normalized_shape, weight, bias, name):
    """normalized_shape as a tuple, which the last axes of x, weight and bias must have."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    for tensor, what in ((x, "x"), (weight, "weight"), (bias, "bias")):
        if tensor is not None:
            own = tensor.array.shape
            if not shape or (own[-len(shape):] if tensor is x else own) != shape:
                raise ValueError(f"{name}: {what} {own} does not fit the normalized shape {shape}")
    return shape


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes of x (Ba, Kiros and Hinton, 2016).

    normalized_shape: an int or the sizes of the last axes; weight and bias have that shape, or are None.
    """
    x, weight, bias = _floats(x, weight, bias)
    shape = _features(x, normalized_shape, weight, bias, "layer_norm")
    features, w = math.prod(shape), _array(weight)
    y, stats = _core.layer_norm(x.array, features, w, _array(bias), eps)
    return record(y, _layer_norm_grad, (x, weight, bias), (x.array, stats, w, shape, features))


def _layer_norm_grad(node, dy):
    x, stats, w, shape, features = node.saved
    dx, dwb = _core.layer_norm_grad(dy, x, stats, features, w)
    node.give(0, dx, True)
    node.give(1, _core.flat_slice(dwb, 0, shape), True)
    node.give(2, _core.flat_slice(dwb, features, shape), True)


def rms_norm(x, normalized_shape, weight=None, eps=None):
    """y = x / sqrt(mean of x^2 + eps) * weight, over the last axes of x (Zhang and Sennrich, 2019).

    normalized_shape: an int or the sizes of the last axes; weight has that shape, or is None. eps None: 2^-23.
    """
    x, weight = _floats(x, weight)
    shape = _features(x, normalized_shape, weight, None, "rms_norm")
    features, w = math.prod(shape), _array(weight)
    y, stats = _core.rms_norm(x.array, features, w, EPS32 if eps is None else eps)
    return record(y, _rms_norm_grad, (x, weight), (x.array, stats, w, shape, features))


def _rms_norm_grad(node, dy):
    x, stats, w, shape, features = node.saved
    dx, dw = _core.rms_norm_grad(dy, x, stats, features, w)
    node.give(0, dx, True)
    node.give(1, _core.flat_slice(dw, 0, shape), True)
