"""Operations: each is one Python function, with its gradient function beside it.

An op converts its inputs, calls the core on their Arrays, and records what the gradient needs. Simple to complex:
elementwise, reduce, move, matmul, conv, pool, upsample, softmax, norm, dropout; index is what x[...] does.
"""
from . import (
    conv as _conv, dropout as _dropout, elementwise, matmul as _matmul, move, norm as _norm, pool, reduce,
    softmax as _softmax, upsample)

__all__ = []
for _module in (elementwise, reduce, move, _matmul, _conv, pool, upsample, _softmax, _norm, _dropout):
    for _name in _module.__all__:
        if _name not in ("activation_code", "slice_axis"):
            globals()[_name] = getattr(_module, _name)
            __all__.append(_name)
