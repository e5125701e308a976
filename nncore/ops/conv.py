"""Convolutions, features last: images [b,h,w,c], sequences [b,t,c]; windows [r,s,c/groups,o] and [s,c/groups,o].

One function does the work for images and sequences: a sequence is an image of height 1. The transposed convolution is
the gradient of a convolution's input, so each is the other's gradient.
"""
import numpy as np

from .. import _core
from .._core import as_float, record, unary, unary_grad, wants_grad
from .elementwise import activation_code

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None, moments=False):
    """y[b,q,o] = f(sum over s, c of x[b, q*stride + s*dilation - padding, c] * weight[s,c,o] + bias[o]).

    As conv2d, with one number for each setting.
    """
    return _conv("conv1d", 1, x, weight, bias, stride, padding, dilation, groups, activation, moments)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None, moments=False):
    """y[b,p,q,o] = f(sum over r, s, c of x[b, p*stride + r*dilation - padding, q*..., c] * weight[r,s,c,o] + bias[o]).

    x: [b,h,w,c]; weight: [r,s,c/groups,o]; bias: [o] or None. stride, dilation: a number, or one for h and one for w.
    padding: zeros around the image: a number, (h, w), ((top, bottom), (left, right)), "valid" (none) or "same" (p and q
    are h and w divided by the stride, rounded up; an odd zero goes below or right). groups: output channels of a group
    see the input channels of that group alone. activation: None or the name of an elementwise function, applied while y
    is in cache. moments: mean and variance of y's channels are taken then too, for the batch_norm that follows, which
    finds them with y and reads y once less.
    Returns [b,p,q,o] with p = (h + top + bottom - dilation * (r - 1) - 1) // stride + 1.
    ValueError where shapes do not fit, or the window is larger than the padded image.
    """
    return _conv("conv2d", 2, x, weight, bias, stride, padding, dilation, groups, activation, moments)


def conv_transpose1d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
                     activation=None):
    """As conv_transpose2d, for x [b,q,o], weight [s,c/groups,o] and y [b,t,c]."""
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation,
                       activation)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
                     activation=None):
    """y such that a convolution of y with these settings has the shape of x: the gradient of conv2d's input.

    x: [b,p,q,o]; weight: [r,s,c/groups,o], as conv2d's that goes the other way (Zeiler et al., 2010); bias: [c]; y:
    [b,h,w,c] with h = (p - 1) * stride - 2 * padding + dilation * (r - 1) + output_padding + 1. output_padding: what to
    add at the bottom and right, less than stride or dilation. activation: as for conv2d.
    """
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation,
                       activation)


# ---- settings --------------------------------------------------------------------------------------------------------

def pair(name, what, value, dims, least):
    """(for h, for w): from a number for both, or one for each; for sequences h is 1 or, for least = 0, 0."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    values = tuple([int(v) if isinstance(v, np.integer) else v for v in values])
    if len(values) != dims or not all(
            isinstance(v, int) and not isinstance(v, bool) and least <= v < 1 << 16 for v in values):
        raise ValueError(f"{name}: {what} must be {'an integer' if dims == 1 else 'an integer or two'} from {least} to "
                         f"65535, got {value!r}")
    return (least,) * (2 - dims) + values


def sides(name, padding, dims, sizes, window, stride, dilation):
    """((top, bottom), (left, right)) of zeros."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding {padding!r} is neither 'same' nor 'valid'")
        if padding == "valid":
            return (0, 0), (0, 0)
        missing = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                   for n, k, s, d in zip(sizes, window, stride, dilation)]
        return tuple((m // 2, m - m // 2) for m in missing)
    if isinstance(padding, (tuple, list)) and dims == 1 and len(padding) == 2:
        padding = (padding,)
    if isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding):
        if len(padding) == dims and all(isinstance(p, (tuple, list)) and len(p) == 2 for p in padding):
            return ((0, 0),) * (2 - dims) + tuple(pair(name, "padding", tuple(p), 2, 0) for p in padding)
        raise ValueError(f"{name}: padding {padding!r} is not (before, after) for each of {dims} axes")
    return tuple((p, p) for p in pair(name, "padding", padding, dims, 0))


def check(name, dims, x, w, bias, groups, transposed=False):
    axes = "[b,t,c]" if dims == 1 else "[b,h,w,c]"
    if x.ndim != dims + 2:
        raise ValueError(f"{name}: x {x.shape} is not {axes}: {dims + 2} axes expected")
    if w.ndim != dims + 2 or 0 in w.shape[:dims]:
        raise ValueError(f"{name}: weight {w.shape} is not {'[s,' if dims == 1 else '[r,s,'}c/groups,o]")
    if not isinstance(groups, (int, np.integer)) or isinstance(groups, bool) or groups < 1:
        raise ValueError(f"{name}: groups = {groups!r} is no positive integer")
    if w.shape[-1] % groups:
        raise ValueError(f"{name}: {w.shape[-1]} channels of weight {w.shape} do not divide into {groups} groups")
    inputs = w.shape[-1] if transposed else w.shape[-2] * groups
    outputs = w.shape[-2] * groups if transposed else w.shape[-1]
    if x.shape[-1] != inputs:
        raise ValueError(f"{name}: x {x.shape} does not fit weight {w.shape} in {groups} groups: "
                         f"{x.shape[-1]} channels given, {inputs} expected")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias {bias.shape} does not fit weight {w.shape}: ({outputs},) expected")


def _arrays(x, weight, bias):
    x, weight = as_float(x), as_float(weight)
    return x, weight, None if bias is None else as_float(bias)


# ---- convolution -----------------------------------------------------------------------------------------------------

def _conv(name, dims, x, weight, bias, stride, padding, dilation, groups, activation, moments):
    x, weight, bias = _arrays(x, weight, bias)
    w, b = weight.array, None if bias is None else bias.array
    check(name, dims, x.array, w, b, groups)
    stride, dilation = pair(name, "stride", stride, dims, 1), pair(name, "dilation", dilation, dims, 1)
    geometry, shape = plan(name, dims, x.shape, w.shape, stride, padding, dilation, groups)
    return _recorded(lambda f=-1, a=0: _core.conv(x.array, w, b, geometry, shape, f, a, moments), _conv_grad,
                     _active_conv_grad, (x, weight, bias), (x.array, w, geometry), activation)


def plan(name, dims, x, w, stride, padding, dilation, groups):
    """(geometry, shape of the result) of a convolution of shapes x and w."""
    sizes, window = (1,) * (2 - dims) + x[1:-1], (1,) * (2 - dims) + w[:-2]
    (top, bottom), (left, right) = sides(name, padding, dims, sizes, window, stride, dilation)
    shape = []
    for n, zeros, k, s, d in zip(sizes, (top + bottom, left + right), window, stride, dilation):
        if n + zeros < d * (k - 1) + 1:
            raise ValueError(f"{name}: a window of {w[:-2]} with dilation {dilation[2 - dims:]} does not fit "
                             f"into x {x} with padding {padding}")
        shape.append((n + zeros - d * (k - 1) - 1) // s + 1)
    return (*stride, *dilation, top, left, groups), (x[0], *shape[2 - dims:], w[-1])


def _recorded(compute, grad, active_grad, inputs, saved, activation):
    """compute(), with its activation fused where its gradient can do without what was there before it."""
    if activation is None:
        return record(compute(), grad, inputs, saved)
    code, reads, a = activation_code(activation)
    if reads == "x" and wants_grad(*inputs):
        s = compute()
        y = unary(code, s, a)
    else:
        s = y = compute(code, a)
    return record(y, active_grad, inputs, (*saved, s, code, a))


def _conv_grad(node, dy):
    x, w, geometry, *_ = node.saved
    node.give_sum(2, dy)
    node.give_conv_dw(1, x, dy, geometry)
    node.give_conv_dx(0, dy, w, geometry)


def _active_conv_grad(node, dy):
    *_, s, code, a = node.saved
    _conv_grad(node, unary_grad(code, dy, s, a))


# ---- transposed ------------------------------------------------------------------------------------------------------

def _transposed(name, dims, x, weight, bias, stride, padding, output_padding, groups, dilation, activation):
    x, weight, bias = _arrays(x, weight, bias)
    w, b = weight.array, None if bias is None else bias.array
    check(name, dims, x.array, w, b, groups, transposed=True)
    stride, dilation = pair(name, "stride", stride, dims, 1), pair(name, "dilation", dilation, dims, 1)
    padding, extra = pair(name, "padding", padding, dims, 0), pair(name, "output_padding", output_padding, dims, 0)
    sizes, window = (1,) * (2 - dims) + x.shape[1:-1], (1,) * (2 - dims) + w.shape[:-2]
    if any(e and e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueError(f"{name}: output_padding {output_padding} must be less than stride or dilation")
    shape = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 if n else 0
             for n, s, p, d, k, e in zip(sizes, stride, padding, dilation, window, extra)]
    if min(shape) < 0 or (0 in shape and 0 not in sizes):
        raise ValueError(f"{name}: x {x.shape} with padding {padding[2 - dims:]} leaves nothing of the result")
    geometry = (*stride, *dilation, *padding, groups)
    shape = (x.shape[0], *shape[2 - dims:], w.shape[-2] * groups)
    return _recorded(lambda *f: _core.conv_dx(x.array, w, b, geometry, shape, *f), _transposed_grad,
                     _active_transposed_grad, (x, weight, bias), (x.array, w, geometry), activation)


def _transposed_grad(node, dy):
    x, w, geometry, *_ = node.saved
    node.give_sum(2, dy)
    node.give_conv_dw(1, dy, x, geometry)
    if node.needs(0):
        node.give(0, _core.conv(dy, w, None, geometry, x.shape), True)


def _active_transposed_grad(node, dy):
    *_, s, code, a = node.saved
    _transposed_grad(node, unary_grad(code, dy, s, a))
