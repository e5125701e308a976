"""Layers and models: Module and what is built of it."""
from ..tensor import Parameter
from . import activations, containers, conv, layers, loss
from .activations import *
from .containers import *
from .conv import *
from .layers import *
from .loss import *
from .module import Module

__all__ = ["Module", "Parameter", *layers.__all__, *conv.__all__, *activations.__all__, *containers.__all__, *loss.__all__]
