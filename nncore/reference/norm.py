"""Normalisation: (x - mean) / sqrt(variance + eps), scaled and shifted; what shares a mean differs from op to op.

x[b, ..., c]: channels last. The variance is the mean of squared differences; only running variances are those of n - 1.
"""
from nncore.reference import elementwise
from nncore.reference import scalar as s
from nncore.reference.array import Array, array, indices, size
from nncore.reference.reduce import total


def normalised(group, eps):
    mean, variance = moments(group)
    return [(x - mean) / s.sqrt(variance + eps) for x in group]


def moments(group):
    mean = s.div(total(group), len(group))
    return mean, s.div(total((x - mean) * (x - mean) for x in group), len(group))


def in_groups(x, key, eps):
    """Every element normalised among those whose index has the same key."""
    members = {}
    for at, index in enumerate(indices(x.shape)):
        members.setdefault(key(*index), []).append(at)
    y = list(x.flat)
    for group in members.values():
        for at, value in zip(group, normalised([x.flat[at] for at in group], eps)):
            y[at] = value
    return Array(x.shape, y)


def scaled(x, weight, bias):
    """x * weight + bias, weight and bias of the shape of x's last axes, or None."""
    n = (size(x.shape[-len(array(weight if weight is not None else bias).shape):])
         if (weight, bias) != (None, None) else 0)
    w, b = (None if p is None else array(p).flat for p in (weight, bias))
    y = []
    for i, value in enumerate(x.flat):
        value = value if w is None else value * w[i % n]
        y.append(value if b is None else value + b[i % n])
    return Array(x.shape, y)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, eps=1e-5, activation=None,
               residual=None):
    """Elements of one channel share mean and variance: their own, or the running ones where these are given and it is
    not training."""
    x = array(x)
    if training or running_mean is None:
        y = in_groups(x, lambda *index: index[-1], eps)
    else:
        mean, var = array(running_mean).flat, array(running_var).flat
        y = Array(x.shape, ((value - mean[i % len(mean)]) / s.sqrt(var[i % len(var)] + eps)
                            for i, value in enumerate(x.flat)))
    y = scaled(y, weight, bias)
    if residual is not None:
        y = Array(y.shape, (a + b for a, b in zip(y.flat, array(residual).flat)))
    return y if activation is None else elementwise.FUNCTIONS[activation](y)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Elements of one image and of one group of neighbouring channels share mean and variance."""
    x = array(x)
    channels = x.shape[-1] // num_groups
    return scaled(in_groups(x, lambda *index: (index[0], index[-1] // channels), eps), weight, bias)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, eps=1e-5):
    """Elements of one image and channel share mean and variance, unless the running ones are to be used."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, eps)
    return group_norm(x, array(x).shape[-1], weight, bias, eps)


def running(x, mean, var, momentum, images=False):
    """(mean, var) as lists after x has passed: moved by `momentum` to x's own, of n - 1 values; images: to the average
    over the images of what is theirs."""
    x = array(x)
    channels = x.shape[-1]
    own = {}
    for index, value in zip(indices(x.shape), x.flat):
        own.setdefault((index[0] if images else 0, index[-1]), []).append(value)
    blocks = len(own) // channels
    for c in range(channels):
        found = [(*moments(values), len(values)) for (_, channel), values in own.items() if channel == c]
        m = total(mean for mean, _, _ in found) / blocks
        v = total(variance * n / (n - 1) for _, variance, n in found) / blocks
        mean = [*mean[:c], (1 - momentum) * mean[c] + momentum * m, *mean[c + 1:]]
        var = [*var[:c], (1 - momentum) * var[c] + momentum * v, *var[c + 1:]]
    return mean, var


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Elements share mean and variance with those that differ in the last axes only, of which there are as many as
    normalized_shape has."""
    x = array(x)
    last = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return scaled(in_groups(x, lambda *index: index[:len(index) - last], eps), weight, bias)


def rms_norm(x, normalized_shape, weight=None, eps=2.0**-23):
    """x / sqrt(mean of squares + eps), the mean over the last axes."""
    x = array(x)
    n = normalized_shape if isinstance(normalized_shape, int) else size(normalized_shape)
    y = []
    for at in range(0, len(x.flat), n):
        row = x.flat[at:at + n]
        root = s.sqrt(total(v * v for v in row) / n + eps)
        y += [v / root for v in row]
    return scaled(Array(x.shape, y), weight, None)
