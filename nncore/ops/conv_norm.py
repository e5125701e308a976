"""Convolutions with batch norm behind each, as one node.

Layer by layer, a normalised image is written only to be read by the next convolution, and the gradient of a norm's
input only by the two gradients of the convolution in front. Where Winograd's convolution is chosen, which copies what
it loads anyway, both are computed as it loads them and never lie in memory; the sums that the gradient of a norm begins
with are taken from the next convolution's gradient while it is in cache. csrc/winograd_grads.c has the counts.
"""
from collections import namedtuple

from .. import _core
from .._core import as_float, record
from .conv import check, pair, plan
from .norm import _state

ConvNorm = namedtuple("ConvNorm", "weight stride padding running_mean running_var num_batches_tracked norm_weight "
                                  "norm_bias momentum eps relu")
ConvNorm.__doc__ = """A layer of conv2d_batch_norms: the weight, stride and padding of conv2d, the other arguments of
batch_norm, and whether ReLU follows."""

# What the gradient needs of a layer: its input (or what is normalised to be it, with `columns`, `relu`), window and
# geometry; its result z, with the statistics and columns of its norm. both: conv_grads is made for it.
_Saved = namedtuple("_Saved", "x columns relu w geometry z stats own_columns norm_weight norm_bias eps own_relu both")


def conv2d_batch_norms(x, layers, residual=None):
    """y = f(norm(conv(... f(norm(conv(x))))) + residual): convolutions without bias, each followed by the batch norm of
    its own statistics (training) and by ReLU or nothing.

    x: [b,h,w,c]; layers: ConvNorms; residual: of the result's shape, added before the last ReLU, or None. The numbers
    are those of conv2d(..., moments=True) and batch_norm one after another, to the last bit; the gradients differ in
    rounding.
    ValueError where shapes do not fit, or a channel has less than two values.
    """
    name = "conv2d_batch_norms"
    x, residual = as_float(x), None if residual is None else as_float(residual)
    inputs, saved, a, columns, relu = [x, residual], [], x.array, None, False
    plans = [_arrays(name, layer) for layer in layers]
    for k, (layer, w, gamma, beta, stride, padding) in enumerate(plans):
        geometry, shape = _geometry(name, a, w.array, stride, padding)
        both = _core.conv_fusion(a, w.array, geometry, shape)[1]
        z = _core.conv(a, w.array, None, geometry, shape, -1, 0.0, True, columns, relu)
        g, b = None if gamma is None else gamma.array, None if beta is None else beta.array
        count = z.size // z.shape[-1] if z.shape[-1] else 0
        if count < 2:
            raise ValueError(f"batch_norm: Expected more than 1 value per channel when training, got x {z.shape}")
        own_columns, stats = _core.norm_columns(_core.moments_of(z), g, b, layer.eps)
        if layer.running_mean is not None:
            tracked = layer.num_batches_tracked
            _core.running_stats(_state(layer.running_mean, "running_mean"), _state(layer.running_var, "running_var"),
                                None if tracked is None else _state(tracked, "num_batches_tracked"), stats, count,
                                layer.momentum, "batch_norm")
        saved.append(_Saved(a, columns, relu, w.array, geometry, z, stats, own_columns, g, b, layer.eps, layer.relu,
                            both))
        inputs += [w, gamma, beta]
        a, columns, relu = z, own_columns, layer.relu
        last = k + 1 == len(plans)
        if last or not _loads_norm(name, z, plans[k + 1]):
            a, _ = _core.group_norm(z, 1, z.shape[-1], g, b, residual.array if last and residual is not None else None,
                                    None, None, layer.eps, layer.relu, "batch_norm")
            columns, relu = None, False
    masks = residual is not None and layers[-1].relu
    y = record(a, _grad, tuple(inputs), _flat(saved, a if masks else None))
    if masks and both and y.node is not None:
        y.node.norm = (z, own_columns)
    return y


def _arrays(name, layer):
    w = as_float(layer.weight)
    gamma, beta = (None if p is None else as_float(p) for p in (layer.norm_weight, layer.norm_bias))
    return layer, w, gamma, beta, pair(name, "stride", layer.stride, 2, 1), layer.padding


def _geometry(name, x, w, stride, padding):
    check(name, 2, x, w, None, 1)
    return plan(name, 2, x.shape, w.shape, stride, padding, (1, 1), 1)


def _loads_norm(name, z, layer):
    _, w, _, _, stride, padding = layer
    return _core.conv_fusion(z, w.array, *_geometry(name, z, w.array, stride, padding))[0]


def _flat(saved, y):
    """Arrays and numbers side by side: what is saved is looked through for arrays that were written to."""
    return (y, len(saved), *(value for layer in saved for value in layer))


def _grad(node, dy):
    y, count, *values = node.saved
    width = len(_Saved._fields)
    layers = [_Saved(*values[k * width:(k + 1) * width]) for k in range(count)]
    normed, sums = _core.take_sums(dy)
    if normed is not layers[-1].z:
        sums = None   # else dy is behind the mask already
    for k in range(count - 1, -1, -1):
        s, last = layers[k], k + 1 == count
        masked = s.own_relu and not (last and y is not None)
        n = s.z.size // s.z.shape[-1]
        if s.both and (s.columns is not None or node.needs(0)):
            dz = dy
            if sums is None:
                sums, dz = _core.norm_grad_sums(dy, s.z, s.own_columns, y if last else None, masked)
            front, of_front = None, s.columns
            if of_front is None:   # dx's sums may be taken for the node that made x
                front, of_front = node.norm_of_input(0)
            columns, dgamma, dbeta = _core.norm_grad_columns(sums, s.own_columns, s.stats, s.norm_weight, of_front,
                                                             s.eps, n)
            before = dz
            dy, sums = node.give_conv_grads(0, 2 + 3 * k, s.x, dz, s.w, s.z, columns, s.geometry, masked,
                                            s.columns is not None, s.relu, front)
        else:
            dx, dgamma, dbeta, before = _core.group_norm_grad(dy, s.z, s.stats, s.norm_weight, s.norm_bias,
                                                              y if last else None, s.eps, s.own_relu, False, True)
            node.give_conv_dw(2 + 3 * k, s.x, dx, s.geometry, s.columns, s.relu)
            if k:
                dy, sums = _core.conv_dx(dx, s.w, None, s.geometry, s.x.shape), None
            else:
                node.give_conv_dx(0, dx, s.w, s.geometry)
        node.give(3 + 3 * k, dgamma, True)
        node.give(4 + 3 * k, dbeta, True)
        if last:
            node.give(1, before, y is not None)
