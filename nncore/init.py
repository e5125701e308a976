"""Initialisers: they overwrite a parameter in place and return it. Weights are (in, out), or (window..., in, out).

fan_in and fan_out count the connections of an output and of an input: window x in, and window x out.
"""
import math

from . import _core
from .random import state_of

__all__ = ["fans", "calculate_gain", "uniform_", "normal_", "constant_", "zeros_", "ones_", "eye_", "xavier_uniform_",
           "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "he_uniform_", "he_normal_", "orthogonal_"]


def fans(shape):
    """(fan_in, fan_out) of a weight of this shape."""
    if len(shape) < 2:
        raise ValueError(f"fan in and fan out need a weight of at least two axes, got {tuple(shape)}")
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def calculate_gain(nonlinearity, param=None):
    """By how much a weight should grow so that the activation behind it keeps the variance: sqrt(2) for ReLU."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: no gain is known for {nonlinearity!r}; "
                         f"known: leaky_relu, {', '.join(gains)}")
    return gains[nonlinearity]


def _set(parameter, array):
    _core.assign(parameter.array, array)
    return parameter


def _shape(parameter):
    if not isinstance(parameter, _core.TensorBase):
        raise TypeError(f"init: a tensor expected, got {type(parameter).__name__}")
    if parameter.array.dtype != "float32":
        raise TypeError(f"init: a float32 tensor expected, got {parameter.array.dtype}")
    return parameter.array.shape


def uniform_(parameter, a=0.0, b=1.0, generator=None):
    """Evenly spread over a <= w < b."""
    return _set(parameter, _core.uniform(_shape(parameter), state_of(generator), a, b))


def normal_(parameter, mean=0.0, std=1.0, generator=None):
    """Normally distributed."""
    return _set(parameter, _core.normal(_shape(parameter), state_of(generator), mean, std))


def constant_(parameter, value):
    """All the same."""
    return _set(parameter, _core.full(_shape(parameter), value))


def zeros_(parameter):
    """All zero."""
    return constant_(parameter, 0.0)


def ones_(parameter):
    """All one."""
    return constant_(parameter, 1.0)


def eye_(parameter):
    """The identity matrix: a dense layer that passes its input on."""
    if len(_shape(parameter)) != 2:
        raise ValueError(f"eye_: a weight of two axes expected, got {_shape(parameter)}")
    constant_(parameter, 0.0)
    values = parameter.numpy()
    for i in range(min(_shape(parameter))):
        values[i, i] = 1.0
    parameter.array.wrote()
    return parameter


def xavier_uniform_(parameter, gain=1.0, generator=None):
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    fan_in, fan_out = fans(_shape(parameter))
    bound = gain * math.sqrt(6 / max(1, fan_in + fan_out))
    return uniform_(parameter, -bound, bound, generator)


def xavier_normal_(parameter, gain=1.0, generator=None):
    """Normal with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    fan_in, fan_out = fans(_shape(parameter))
    return normal_(parameter, 0.0, gain * math.sqrt(2 / max(1, fan_in + fan_out)), generator)


def _kaiming_std(parameter, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan = fans(_shape(parameter))[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(parameter, a=0.0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Uniform with variance gain^2 / fan (He, Zhang, Ren and Sun, 2015). a: the slope of leaky_relu."""
    bound = math.sqrt(3) * _kaiming_std(parameter, a, mode, nonlinearity)
    return uniform_(parameter, -bound, bound, generator)


def kaiming_normal_(parameter, a=0.0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Normal with variance gain^2 / fan (He, Zhang, Ren and Sun, 2015). a: the slope of leaky_relu."""
    return normal_(parameter, 0.0, _kaiming_std(parameter, a, mode, nonlinearity), generator)


he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_


def orthogonal_(parameter, gain=1.0, generator=None):
    """Orthogonal rows or columns, whichever are fewer, of length gain (Saxe, McClelland and Ganguli, 2013)."""
    import numpy as np
    shape, gain = _shape(parameter), float(gain)
    if len(shape) < 2:
        raise ValueError(f"orthogonal_: a weight of at least two axes expected, got {shape}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    a = _core.normal((max(rows, columns), min(rows, columns)), state_of(generator), 0.0, 1.0).numpy()
    q, r = np.linalg.qr(a.astype("f8"))
    q *= np.sign(np.diag(r))  # makes the distribution uniform
    q = q if rows >= columns else q.T
    return _set(parameter, _core.from_buffer(np.ascontiguousarray((gain * q).reshape(shape), dtype="f4")))
