"""Losses as functions; nncore.nn has them as layers.

reduction: "mean" (default), "sum", or "none" for one loss per element or row.
"""
from . import _core
from ._core import BINARY, LOSSES, as_float, record
from .convert import index_tensor, to_array

__all__ = ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy",
           "binary_cross_entropy_with_logits", "cross_entropy", "nll_loss"]

SUB, MUL, DIV = BINARY["sub"], BINARY["mul"], BINARY["div"]


def _check_reduction(name, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")


# ---- element by element ----------------------------------------------------------------------------------------------

def _elementwise(name, x, target, reduction, a, code, grad):
    x, target = as_float(x), as_float(target)
    p, t = x.array, target.array
    if reduction == "mean":
        factor = 1.0 / p.size if p.size else float("nan")
    else:
        _check_reduction(name, reduction)
        factor = 1.0
    y = _core.loss(code, p, t, a, factor, reduction != "none", name)
    return record(y, grad, (x, target), (p, t, code, a, factor))


def _difference_grad(node, dy):
    """For losses of x - target: the target's gradient is minus that of x."""
    x, target, code, a, factor = node.saved
    node.give(0, _core.loss_grad(code, dy, x, target, a, factor))
    if node.needs(1):
        node.give(1, _core.loss_grad(code, dy, x, target, a, -factor))


MSE, L1, HUBER, SMOOTH_L1, BCE, BCE_LOGITS = (
    LOSSES[name] for name in ("mse", "l1", "huber", "smooth_l1", "bce", "bce_logits"))


def mse_loss(input, target, reduction="mean"):
    """(input - target)^2."""
    return _elementwise("mse_loss", input, target, reduction, 0.0, MSE, _difference_grad)


def l1_loss(input, target, reduction="mean"):
    """|input - target|."""
    return _elementwise("l1_loss", input, target, reduction, 0.0, L1, _difference_grad)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """d^2 / 2 for |d| <= delta, else delta * (|d| - delta / 2), d = input - target (Huber, 1964)."""
    if not delta > 0:
        raise ValueError(f"huber_loss: delta = {delta} is not positive")
    return _elementwise("huber_loss", input, target, reduction, delta, HUBER, _difference_grad)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) for |d| < beta, else |d| - beta / 2, d = input - target (Girshick, 2015); beta = 0: l1_loss."""
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta = {beta} is not 0 or more")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return _elementwise("smooth_l1_loss", input, target, reduction, beta, SMOOTH_L1, _difference_grad)


def _bce_grad(node, dy):
    x, target, code, a, factor = node.saved
    node.give(0, _core.loss_grad(code, dy, x, target, a, factor))
    if node.needs(1):  # d/dt = log(1 - x) - log(x), logarithms limited as in the loss
        def log(v):
            return _core.unary(_CLIP, _core.unary(_LOG, v), -100.0, float("inf"))
        slope = _core.binary(SUB, log(_core.binary(SUB, _core.from_scalar(1.0), x)), log(x))
        node.give(1, _core.binary(MUL, _core.expand(dy, x.shape, factor), slope))


def _bce_logits_grad(node, dy):
    x, target, code, a, factor = node.saved
    node.give(0, _core.loss_grad(code, dy, x, target, a, factor))
    if node.needs(1):  # d/dt = -x
        node.give(1, _core.binary(MUL, _core.expand(dy, x.shape, -factor), x))


_LOG, _CLIP = _core.UNARY["log"][0], _core.UNARY["clip"][0]


def binary_cross_entropy(input, target, reduction="mean"):
    """-(target log(input) + (1 - target) log(1 - input)); logarithms are limited to -100. input: probabilities."""
    return _elementwise("binary_cross_entropy", input, target, reduction, 0.0, BCE, _bce_grad)


def binary_cross_entropy_with_logits(input, target, reduction="mean", pos_weight=None):
    """binary_cross_entropy(sigmoid(input), target), stable for scores of any size.

    pos_weight: weight of the positive class, a number or an array that broadcasts over input.
    """
    name = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        return _elementwise(name, input, target, reduction, 0.0, BCE_LOGITS, _bce_logits_grad)
    _check_reduction(name, reduction)
    loss = _elementwise(name, input, target, "none", 0.0, BCE_LOGITS, _bce_logits_grad)
    pos_weight = as_float(pos_weight)
    shape, own = loss.array.shape, pos_weight.array.shape
    if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(own[::-1], shape[::-1])):
        raise ValueError(f"{name}: pos_weight {own} does not broadcast over input {shape}")
    # -(w t log s(x) + (1-t) log(1-s(x))) = loss + (w-1) t softplus(-x)
    from .ops import add, mean, mul, neg, softplus, sub, sum
    extra = mul(mul(sub(pos_weight, 1.0), target), softplus(neg(input)))
    loss = add(loss, extra)
    return loss if reduction == "none" else (mean if reduction == "mean" else sum)(loss)


# ---- classes ---------------------------------------------------------------------------------------------------------

def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-log softmax(input)[target] for every row: softmax, logarithm and loss in one pass, stable for any scores.

    input: scores (..., classes). target: int labels of shape (...), or probabilities of input's shape.
    weight: (classes,), a factor for every class; the mean is then divided by the sum of the factors of the targets.
    ignore_index: a label whose rows count nothing; if all do, the mean is NaN.
    label_smoothing: share of the target spread over all classes (Szegedy et al., 2016).
    """
    _check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing = {label_smoothing} is not within [0, 1]")
    x, t, weight = as_float(input), _labels("cross_entropy", target, True), _weight(weight)
    loss, scale, rz = _core.cross_entropy(x.array, t, weight, label_smoothing, ignore_index, True)
    y, denominator = _reduce_rows(loss, scale, reduction, x.array.shape[:-1])
    return record(y, _cross_entropy_grad, (x, target if isinstance(target, _core.TensorBase) else None),
                  (x.array, t, weight, rz, denominator, label_smoothing, ignore_index))


def _cross_entropy_grad(node, dy):
    x, target, weight, rz, denominator, smoothing, ignore = node.saved
    dloss = dy if denominator is None else _core.binary(DIV, dy, denominator)
    if node.needs(0):
        node.give(0, _core.cross_entropy_grad(dloss, rz, x, target, weight, smoothing, ignore, True))
    if node.needs(1):  # probabilities: dt[b,c] = -(1 - smoothing) weight[c] log_softmax(x[b])[c] dloss[b]
        slope = _core.binary(MUL, _core.log_softmax(x), _core.from_scalar(smoothing - 1.0))
        if weight is not None:
            slope = _core.binary(MUL, slope, _core.reshape(weight, -1))
        if dloss.ndim:
            dloss = _core.reshape(dloss, x.shape[:-1] + (1,))
        node.give(1, _core.binary(MUL, slope, dloss))


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input[target] for every row of log-probabilities (..., classes); the rest as in cross_entropy."""
    _check_reduction("nll_loss", reduction)
    x, target, weight = as_float(input), _labels("nll_loss", target, False), _weight(weight)
    loss, scale = _core.nll(x.array, target, weight, ignore_index, True)
    y, denominator = _reduce_rows(loss, scale, reduction, x.array.shape[:-1])
    return record(y, _nll_grad, (x,), (target, weight, x.array.shape, denominator, ignore_index))


def _nll_grad(node, dy):
    target, weight, shape, denominator, ignore = node.saved
    dloss = dy if denominator is None else _core.binary(DIV, dy, denominator)
    node.give(0, _core.nll_grad(dloss, target, weight, shape, ignore, True))


def _labels(name, target, probabilities):
    array = target.array if isinstance(target, _core.TensorBase) else None
    if array is None or array.dtype in ("uint8", "bool"):
        if array is None and probabilities:
            array = to_array(target)
            target = _core.make_tensor(array)
        if not (probabilities and array is not None and array.dtype == "float32"):
            array = index_tensor(target, name).array
    return array


def _weight(weight):
    return None if weight is None else as_float(weight).array


def _reduce_rows(loss, scale, reduction, shape):
    """(result, what the rows' gradients are divided by: the sum of the scales for a mean, else None)."""
    if reduction == "none":
        return _core.reshape(loss, shape), None
    total = _core.reduce("sum", loss)
    if reduction == "sum":
        return total, None
    denominator = _core.reduce("sum", scale)
    return _core.binary(DIV, total, denominator), denominator
