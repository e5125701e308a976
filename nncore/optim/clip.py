"""Limits for gradients, in place, between backward and step."""
from .. import _core
from ..tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def _grads(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not all(isinstance(p, Tensor) for p in parameters):
        raise TypeError(f"clip_grad: tensors expected, got {sorted({type(p).__name__ for p in parameters})}")
    return [g for g in (p.grad_array() for p in parameters) if g is not None]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scale all gradients together so that their norm is at most max_norm; returns the norm before, a tensor.

    norm_type: 2 (Euclidean) or inf (largest absolute value). g *= min(1, max_norm / (norm + 1e-6)), as in PyTorch.
    error_if_nonfinite: RuntimeError instead of passing on an infinite or NaN norm.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm = {max_norm}")
    grads = _grads(parameters)
    if not grads:
        return _core.make_tensor(_core.zeros(()))
    if norm_type == 2:
        norm = _core.norm(grads)
    elif norm_type == float("inf"):
        absolute = _core.UNARY["abs"][0]
        largest = [_core.reduce("max", _core.unary(absolute, g)) for g in grads if g.size]
        norm = _core.full(1, 0.0)
        for g in largest:
            norm = _core.binary(_core.BINARY["maximum"], norm, g)
    else:
        raise ValueError(f"clip_grad_norm_: norm_type is 2 or inf, not {norm_type}")
    if error_if_nonfinite and not abs(norm.item()) < float("inf"):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm.item()}")
    for g in grads:
        _core.scale_to_norm(g, norm, max_norm)
    return _core.make_tensor(_core.reshape(norm, ()))


def clip_grad_value_(parameters, clip_value):
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value = {clip_value}")
    for g in _grads(parameters):
        _core.clip_in_place(g, -clip_value, clip_value)
