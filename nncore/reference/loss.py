"""Losses. Features and classes are the last axis: logits x[b..., c], labels t[b...] or probabilities t[b..., c].

reduction is "mean", "sum" or "none". All formulas, and what happens at their edges, are PyTorch's; the mean of nothing
is NaN, so is the cross-entropy of a batch whose rows are all ignored.
"""
from nncore.reference import scalar as s
from nncore.reference.array import Array, array
from nncore.reference.elementwise import sigmoid_of, softplus_of
from nncore.reference.reduce import total
from nncore.reference.softmax import log_softmax_row


def reduce(losses, shape, reduction, denominator=None):
    if reduction == "none":
        return Array(shape, losses)
    if reduction == "sum":
        return Array((), [total(losses)])
    if reduction == "mean":
        return Array((), [s.div(total(losses), len(losses) if denominator is None else denominator)])
    raise ValueError(f"reduction {reduction!r} is not 'mean', 'sum' or 'none'")


def elementwise_loss(f):
    """The loss of arrays of one shape that applies f to pairs of elements."""
    def apply(x, target, *attributes, reduction="mean", **named):
        x, target = array(x), array(target)
        if x.shape != target.shape:
            raise ValueError(f"{f.__name__}: x {x.shape} does not fit target {target.shape}")
        losses = [f(a, t, *attributes, **named) for a, t in zip(x.flat, target.flat)]
        return reduce(losses, x.shape, reduction)
    apply.__name__, apply.__doc__ = f.__name__, f.__doc__
    return apply


@elementwise_loss
def mse_loss(x, t):
    """(x - t)^2"""
    return (x - t) * (x - t)


@elementwise_loss
def l1_loss(x, t):
    """|x - t|. d = 0 where x = t."""
    return s.abs(x - t)


@elementwise_loss
def huber_loss(x, t, delta=1.0):
    """(x - t)^2 / 2 up to |x - t| = delta, from there on its tangent. Huber 1964."""
    d = s.abs(x - t)
    return 0.5 * (x - t) * (x - t) if d <= delta else delta * (d - 0.5 * delta)


@elementwise_loss
def smooth_l1_loss(x, t, beta=1.0):
    """Huber's loss with delta = beta, divided by beta; for beta = 0 it is |x - t|. Girshick 2015."""
    d = s.abs(x - t)
    return 0.5 * (x - t) * (x - t) / beta if d < beta else d - 0.5 * beta


@elementwise_loss
def binary_cross_entropy(x, t):
    """-(t log x + (1 - t) log(1 - x)) for a probability x; the logarithms are no less than -100.

    d = (x - t) / max(x (1 - x), 1e-12), which is the derivative wherever that is of use, and finite at 0 and 1.
    """
    p, q = s.number(x), s.number(t)
    log_x, log_rest = (s.NAN if a != a else max(s.log(a), -100.0) for a in (p, 1 - p))
    dx = s.NAN if p != p else (p - q) / max(p * (1 - p), 1e-12)
    return s._binary(x, t, -(q * log_x + (1 - q) * log_rest), dx, log_rest - log_x)


@elementwise_loss
def binary_cross_entropy_with_logits(x, t):
    """binary_cross_entropy(sigmoid(x), t) = log(1 + e^x) - t x, without its rounding and its limit."""
    return softplus_of(x) - t * x


def rows(x):
    """The rows of the last axis, as lists."""
    c = x.shape[-1]
    return [x.flat[i * c:(i + 1) * c] for i in range(len(x.flat) // c if c else 0)]


def label(t, classes):
    if not 0 <= t < classes:
        raise IndexError(f"label {t} is out of range for {classes} classes")
    return t


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    """loss[b] = -weight[t] x[b, t], t = target[b], for log-probabilities x; 0 where t = ignore_index.

    The mean divides by the sum of the weights used.
    """
    x, target = array(x), array(target)
    weight = array(weight).flat if weight is not None else [1.0] * x.shape[-1]
    losses, share = [], []
    for row, t in zip(rows(x), target.flat):
        used = t != ignore_index
        losses.append(-weight[t] * row[label(t, len(row))] if used else 0.0)
        share.append(weight[t] if used else 0.0)
    return reduce(losses, target.shape, reduction, total(share))


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """loss[b] = -sum over c of weight[c] p[b, c] log_softmax(x[b])[c]

    p[b] is the target: a row of probabilities, or 1 at the label and 0 elsewhere. Label smoothing e replaces it by
    (1 - e) p[b] + e / classes (Szegedy et al. 2015). The mean divides by the sum of weight[label] over the rows that
    are not ignored; for probabilities, by the number of rows.
    """
    x, target = array(x), array(target)
    c = x.shape[-1]
    weight = array(weight).flat if weight is not None else [1.0] * c
    probabilities = target.shape == x.shape
    losses, share = [], []
    for row, t in zip(rows(x), rows(target) if probabilities else target.flat):
        if not probabilities and t == ignore_index:
            losses.append(0.0)
            share.append(0.0)
            continue
        p = t if probabilities else [float(k == label(t, c)) for k in range(c)]
        smooth = [(1 - label_smoothing) * pk + label_smoothing / c for pk in p]
        terms = [(w * pk, y) for w, pk, y in zip(weight, smooth, log_softmax_row(row))]
        losses.append(-total(wp * y for wp, y in terms if wp != 0 or s.isnan(y)))
        share.append(1.0 if probabilities else weight[t])
    return reduce(losses, x.shape[:-1], reduction, total(share))
