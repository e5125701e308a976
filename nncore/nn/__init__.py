"""Layers and models: Module and what is built of it."""
from ..tensor import Parameter
from . import activations, containers, conv, layers, loss, norm
from .activations import *
from .containers import *
from .conv import *
from .layers import *
from .loss import *
from .module import Module
from .norm import *

__all__ = ["Module", "Parameter"]
for _family in (layers, conv, activations, containers, norm, loss):
    __all__ += _family.__all__
