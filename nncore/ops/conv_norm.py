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

__all__ = []  # of nncore.ops: the layers' own functions give the same numbers

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
    ValueError, before anything is computed, where shapes do not fit or a channel has less than two values.
    """
    x, residual = as_float(x), None if residual is None else as_float(residual)
    plans = _plans(x.array, layers, residual)
    inputs, saved, a, columns, relu = [x, residual], [], x.array, None, False
    for k, (layer, w, gamma, beta, geometry, shape) in enumerate(plans):
        both = _core.conv_fusion(a, w.array, geometry, shape)[1]
        z = _core.conv(a, w.array, None, geometry, shape, -1, 0.0, True, columns, relu)
        g, b = None if gamma is None else gamma.array, None if beta is None else beta.array
        own_columns, stats = _core.norm_columns(_core.moments_of(z), g, b, layer.eps)
        _move_running_stats(layer, stats, z)
        saved.append(_Saved(a, columns, relu, w.array, geometry, z, stats, own_columns, g, b, layer.eps, layer.relu,
                            both))
        inputs += [w, gamma, beta]
        a, columns, relu = z, own_columns, layer.relu
        last = k + 1 == len(plans)
        if last or not _core.conv_fusion(z, plans[k + 1].w.array, plans[k + 1].geometry, plans[k + 1].shape)[0]:
            a, _ = _core.group_norm(z, 1, z.shape[-1], g, b, residual.array if last and residual is not None else None,
                                    None, None, layer.eps, layer.relu, "batch_norm")
            columns, relu = None, False
    masks = residual is not None and layers[-1].relu
    y = record(a, _conv2d_batch_norms_grad, tuple(inputs), _flat(saved, a if masks else None))
    if masks and both and y.node is not None:
        y.node.norm = (a, z, own_columns)
    return y


_Plan = namedtuple("_Plan", "layer w gamma beta geometry shape")
_Image = namedtuple("_Image", "shape ndim")   # of a result that is not computed yet


def _plans(x, layers, residual):
    """[_Plan of each layer], with everything checked that the layers one by one would refuse."""
    plans = []
    for layer in layers:
        w = as_float(layer.weight)
        gamma, beta = (None if p is None else as_float(p) for p in (layer.norm_weight, layer.norm_bias))
        check("conv2d", 2, x, w.array, None, 1)
        stride = pair("conv2d", "stride", layer.stride, 2, 1)
        geometry, shape = plan("conv2d", 2, x.shape, w.shape, stride, layer.padding, (1, 1), 1)
        for what, p in ("weight", gamma), ("bias", beta):
            if p is not None and p.shape != shape[-1:]:
                raise ValueError(f"batch_norm: {what} {p.shape} does not fit x {shape}: {shape[-1]} values expected")
        if shape[0] * shape[1] * shape[2] < 2 or not shape[3]:
            raise ValueError(f"batch_norm: Expected more than 1 value per channel when training, got x {shape}")
        plans.append(_Plan(layer, w, gamma, beta, geometry, shape))
        x = _Image(shape, 4)
    if residual is not None and residual.shape != x.shape:
        raise ValueError(f"batch_norm: residual {residual.shape} does not fit x {x.shape}")
    return plans


def _move_running_stats(layer, stats, z):
    if layer.running_mean is None:
        return
    tracked = layer.num_batches_tracked
    _core.running_stats(_state(layer.running_mean, "running_mean"), _state(layer.running_var, "running_var"),
                        None if tracked is None else _state(tracked, "num_batches_tracked"), stats,
                        z.size // z.shape[-1], layer.momentum, "batch_norm")


def _flat(saved, y):
    """Arrays and numbers side by side: what is saved is looked through for arrays that were written to."""
    return (y, len(saved), *(value for layer in saved for value in layer))


def _conv2d_batch_norms_grad(node, dy):
    y, count, *values = node.saved
    width = len(_Saved._fields)
    layers = [_Saved(*values[k * width:(k + 1) * width]) for k in range(count)]
    normed, sums = _core.take_sums(dy)
    if normed is not layers[-1].z:
        sums = None   # else dy is behind the mask already
    wanted = [k for k in range(count) if any(node.needs(2 + 3 * k + i) for i in range(3))]
    first = 0 if node.needs(0) else wanted[0] if wanted else count - 1   # nothing in front of it wants a gradient
    for k in range(count - 1, first - 1, -1):
        s, mask = layers[k], y if k + 1 == count else None
        wants_dx, wants_dw = k > first or node.needs(0), node.needs(2 + 3 * k)
        if s.both and wants_dw and wants_dx and (k == 0 or s.columns is not None):
            dy, sums, dgamma, dbeta, before = _both_gradients(node, k, s, dy, sums, mask)
        else:
            dz, dgamma, dbeta, before = _core.group_norm_grad(dy, s.z, s.stats, s.norm_weight, s.norm_bias, mask, s.eps,
                                                              s.own_relu, False, wants_dx or wants_dw)
            if wants_dw:
                node.give_conv_dw(2 + 3 * k, s.x, dz, s.geometry, s.columns, s.relu)
            if k and wants_dx:
                dy, sums = _core.conv_dx(dz, s.w, None, s.geometry, s.x.shape), None
            elif wants_dx:
                node.give_conv_dx(0, dz, s.w, s.geometry)
        node.give(3 + 3 * k, dgamma, True)
        node.give(4 + 3 * k, dbeta, True)
        if k + 1 == count:
            node.give(1, before, y is not None)


def _both_gradients(node, k, s, dy, sums, y):
    """Both gradients of convolution k by conv_grads, its norm's gradient made as they load: (the gradient of what the
    norm in front made, its sums, dgamma, dbeta, the gradient of the residual). y: as in norm_grad_sums."""
    masked = s.own_relu and y is None
    dz = dy
    if sums is None:
        sums, dz = _core.norm_grad_sums(dy, s.z, s.own_columns, y, masked)
    front, of_front = None, s.columns
    if of_front is None:   # dx's sums may be taken for the node that made x
        front, of_front = node.norm_of_input(0, s.x)
    columns, dgamma, dbeta = _core.norm_grad_columns(sums, s.own_columns, s.stats, s.norm_weight, of_front, s.eps,
                                                     s.z.size // s.z.shape[-1])
    dx, sums = node.give_conv_grads(0, 2 + 3 * k, s.x, dz, s.w, s.z, columns, s.geometry, masked, s.columns is not None,
                                    s.relu, front)
    return dx, sums, dgamma, dbeta, dz
