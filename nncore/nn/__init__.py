"""Layers and models: Module and what is built of it."""
from ..tensor import Parameter
from . import activations, containers, conv, dropout, layers, loss, norm, padding, pool
from .activations import *
from .containers import *
from .conv import *
from .dropout import *
from .layers import *
from .loss import *
from .module import Module
from .norm import *
from .padding import *
from .pool import *

__all__ = ["Module", "Parameter"]
for _family in (layers, conv, dropout, pool, padding, norm, activations, containers, loss):
    __all__ += _family.__all__
